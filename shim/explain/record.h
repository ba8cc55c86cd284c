/* SPDX-License-Identifier: MIT */
/* A call as one line of JSON, made without stdio or allocation. */
#ifndef FAKEBIND_RECORD_H
#define FAKEBIND_RECORD_H

#include <time.h>

#include "explain.h"

#define RECORD_LINE 4096 /* room for any; one write of as much to a pipe is never torn */
#define RECORD_PRESENT 64

struct record {
	struct timespec time;
	uint32_t pid, uid;
	const char *program, *system, *call;
	int fd, new_fd;             /* new_fd -1: none */
	uint64_t new_socket;        /* cookie behind new_fd, or of what took the socket's place; 0: none */
	struct holder socket;       /* cookie, protocol, domain, options; domain 0: none */
	struct holder address;      /* what the call was given, or tells; domain 0: none */
	uint16_t local_port;        /* that the socket has now; 0: none */
	const char *option;         /* NULL: none */
	const char *word;           /* an argument in words; NULL: none */
	bool has_argument;
	int argument;
	int error;                  /* 0: it succeeded */
	const struct explanation *why;
	int present_count;          /* -1: not known */
	uint64_t present[RECORD_PRESENT]; /* the other sockets on the port that a process has open */
};

/* Writes one line with its newline and returns its length. */
size_t record_line(char *buffer, size_t size, const struct record *);

#endif

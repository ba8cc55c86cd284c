/* SPDX-License-Identifier: MIT */
/* A verdict in words: one line, made without stdio or allocation. */
#ifndef FAKEBIND_EXPLAIN_H
#define FAKEBIND_EXPLAIN_H

#include "../rules/rules.h"

struct explanation {
	const struct profile *profile;
	enum call call;
	int fd;
	uint32_t pid;
	char program[16]; /* empty: not known */
	const struct holder *claim;
	const struct verdict *verdict;
	char holder_program[16];
	int error;    /* what the program sees */
	bool outside; /* the holder does not run under fakebind */
	bool strange; /* its options are not known */
};

/* Writes one line with its newline into buffer (cut at size, size >= 2) and returns its length. */
size_t explain_line(char *buffer, size_t size, const struct explanation *);

/* "EADDRINUSE", or "errno N" for one that no rule gives. */
const char *explain_errno(int error, char buffer[16]);
const char *explain_call(enum call);

#endif

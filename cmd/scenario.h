/* SPDX-License-Identifier: MIT */
/*
 * The scenario language: a script of socket operations, one a line.  '#' starts a comment.
 * This parser knows no socket; stage.h plays the steps it yields.
 *
 *	scenario NAME                 opens a scenario; every socket of the one before is closed
 *	socket S KIND                 a new socket called S; KIND: tcp4 tcp6 udp4 udp6
 *	set S OPTION N                OPTION: reuseaddr reuseport v6only error, and of other systems
 *	get S OPTION                  reuseport_lb exclusive
 *	bind S ADDRESS [LENGTH]       LENGTH: the address length passed, if not the right one
 *	listen S [BACKLOG]
 *	connect S ADDRESS
 *	accept S NEW                  NEW: name of the accepted socket
 *	close S
 *	shutdown S rd|wr|rdwr
 *	dup S NEW
 *	dup2 S T                      T, an existing socket, becomes another name of S
 *	name S / peer S               getsockname, getpeername
 *	send S TEXT / sendto S ADDRESS TEXT / recv S
 *	join S GROUP [INTERFACE]      IPv4 multicast membership, on 127.0.0.1 if not said
 *	linger S N                    SO_LINGER, on, N seconds; 0: close sends a reset
 *	device S NAME                 SO_BINDTODEVICE
 *	fork S                        a child process keeps S, and S alone, open
 *	kill S                        SIGKILL to the child forked last for S
 *	uid N                         effective user from here to the end of the scenario
 *	sleep MS
 *	choose PORT                   should the next step make the system choose a port, it is this one if its
 *	                              rules allow it; real sockets take no notice
 *
 * ADDRESS is 127.0.0.1:PORT or [::1]:PORT.  PORT is P0 ... P9, ten ports that belong to the
 * scenario alone, or a number: itself, 0 for "any".  A name that is given again is first closed.
 * An operation that fails does not end its scenario.
 */
#ifndef FAKEBIND_SCENARIO_H
#define FAKEBIND_SCENARIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum operation {
	OPERATION_SOCKET, OPERATION_SET, OPERATION_GET, OPERATION_BIND, OPERATION_LISTEN,
	OPERATION_CONNECT, OPERATION_ACCEPT, OPERATION_CLOSE, OPERATION_SHUTDOWN, OPERATION_DUP,
	OPERATION_DUP2, OPERATION_NAME, OPERATION_PEER, OPERATION_SEND, OPERATION_SENDTO,
	OPERATION_RECV, OPERATION_JOIN, OPERATION_LINGER, OPERATION_DEVICE, OPERATION_FORK,
	OPERATION_KILL, OPERATION_UID, OPERATION_SLEEP, OPERATION_CHOOSE
};

enum socket_kind { SOCKET_TCP4, SOCKET_TCP6, SOCKET_UDP4, SOCKET_UDP6 };

enum socket_option {
	SOCKET_REUSEADDR, SOCKET_REUSEPORT, SOCKET_V6ONLY, SOCKET_ERROR,
	SOCKET_REUSEPORT_LB, /* FreeBSD 12: SO_REUSEPORT_LB */
	SOCKET_EXCLUSIVE     /* Windows: SO_EXCLUSIVEADDRUSE; illumos: SO_EXCLBIND */
};

#define SCENARIO_PORTS 10 /* P0 ... P9 */

struct endpoint {
	uint8_t family;      /* AF_INET or AF_INET6 */
	uint8_t address[16]; /* AF_INET: the first four bytes, network order */
	bool own;            /* port is a number out of P0 ... P9 */
	uint16_t port;       /* host byte order */
};

struct step {
	enum operation operation;
	size_t socket;    /* S, an index into the scenario's names */
	size_t other;     /* NEW or T */
	enum socket_kind kind;
	enum socket_option option;
	struct endpoint where;    /* ADDRESS; GROUP and INTERFACE without a port */
	struct endpoint interface;
	bool has_number;  /* an optional number was given */
	int number;       /* N, LENGTH, BACKLOG, MS; shutdown: SHUT_RD ... */
	char *text;       /* TEXT or the device's NAME, else NULL */
	char *line;       /* the operation as written, one blank between words */
	unsigned line_number;
};

struct scenario {
	char *name;
	struct step *steps;
	size_t step_count;
	char **names;     /* of the sockets, in order of appearance */
	size_t name_count;
	unsigned ports;   /* P0 ... are used up to, but not including, this one */
};

struct scenario_list {
	struct scenario *scenarios;
	size_t count;
};

struct scenario_error {
	unsigned line;
	char word[64];     /* cut if longer; "" at the end of a line */
	char expected[96];
};

/* Appends the scenarios of a text (need not end in NUL).  False: error is filled in, and the list holds what
 * came before. */
bool scenario_parse(struct scenario_list *, const char *text, size_t length, struct scenario_error *);
void scenario_list_free(struct scenario_list *);

#endif

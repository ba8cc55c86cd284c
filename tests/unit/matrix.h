/* SPDX-License-Identifier: MIT */
/* Reads and walks the table of starry-matrix.txt, whose head describes the language.  Who plays a row,
 * the rules or real sockets, is a set of functions. */
#ifndef FAKEBIND_TEST_MATRIX_H
#define FAKEBIND_TEST_MATRIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MATRIX_SOCKETS 26 /* a ... z */
#define MATRIX_STEPS 24
#define MATRIX_COLUMNS 8
#define MATRIX_ANSWERS 128 /* room for the answers of a row, as text */

enum matrix_verb {
	MATRIX_TCP, MATRIX_UDP, MATRIX_REUSEADDR, MATRIX_REUSEPORT, MATRIX_BIND, MATRIX_LISTEN,
	MATRIX_CONNECT, MATRIX_ACCEPT, MATRIX_CLOSE
};

enum matrix_host { MATRIX_LO, MATRIX_ANY, MATRIX_ETH, MATRIX_FAR };

struct matrix_step {
	enum matrix_verb verb;
	int socket;            /* 0 is a */
	int listener;          /* accept: whose connection it is */
	int value;             /* reuseaddr, reuseport */
	enum matrix_host host; /* bind, connect */
	uint16_t offset;       /* of the port from P */
};

struct matrix_column {
	char name[32];
	char answers[MATRIX_ANSWERS];
};

struct matrix_row {
	char id[8];
	struct matrix_step steps[MATRIX_STEPS];
	size_t step_count;
	struct matrix_column columns[MATRIX_COLUMNS];
	size_t column_count;
	bool needs_eth; /* a second local address */
};

/* How many rows, at most room; a mistake is reported on stderr and gives 0. */
size_t matrix_read(const char *path, struct matrix_row *rows, size_t room);

/* The answers in a column, or NULL; a row without the column NAME/VARIANT answers as in NAME. */
const char *matrix_expected(const struct matrix_row *, const char *column);

/* Every function gives 0 or an errno. */
struct matrix_player {
	int (*socket)(void *context, int socket, bool udp);
	int (*set)(void *context, int socket, enum matrix_verb, int value);
	int (*bind)(void *context, int socket, enum matrix_host, uint16_t offset);
	int (*listen)(void *context, int socket);
	int (*connect)(void *context, int socket, enum matrix_host, uint16_t offset);
	int (*accept)(void *context, int listener, int socket);
	int (*close)(void *context, int socket);
};

/* A failure of a step that has no answer (but set) ends the answers with its name and '!'. */
void matrix_play(const struct matrix_row *, const struct matrix_player *, void *context, char answers[MATRIX_ANSWERS]);

#endif

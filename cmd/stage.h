/* SPDX-License-Identifier: MIT */
/* Plays the steps of a scenario, by a machine in memory or by the libc calls any program would make. */
#ifndef FAKEBIND_STAGE_H
#define FAKEBIND_STAGE_H

#include "scenario.h"

#define ANSWER_MAX 256

/* answer: "ok", an errno's name, a value, got:TEXT or an address.  Valid during the call only. */
typedef void answer_function(void *context, const struct scenario *, const struct step *, const char *answer);

/* How long a waiting call waits, in milliseconds. */
struct waits {
	int accept, recv, connect;
};
/* Every recorded answer was made with these. */
#define RECORDED_WAITS ((struct waits){ .accept = 200, .recv = 40, .connect = 800 })

struct stage {
	const struct scenario *scenario;
	struct world *world; /* NULL: real sockets */
	struct waits waits;
	unsigned first_port; /* P0 */
	int *fds;            /* by name; -1: none */
	struct process *processes;
	size_t process_count;
	char answer[ANSWER_MAX];
};

/* Of a stage that knows all but fds, processes and answer. */
void stage_open(struct stage *);
void stage_play(struct stage *, answer_function *, void *context);
/* Closes every socket and ends every child. */
void stage_close(struct stage *);

#endif

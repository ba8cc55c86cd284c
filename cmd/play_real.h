/* SPDX-License-Identifier: MIT */
/* Plays scenarios on real sockets, by the libc calls any program would make: natively, or preloaded. */
#ifndef FAKEBIND_PLAY_REAL_H
#define FAKEBIND_PLAY_REAL_H

#include "answer.h"

struct real_player {
	int accept_ms, recv_ms, connect_ms; /* how long a call may wait */
	unsigned next;                      /* first port of the next scenario */
	unsigned ephemeral_first, ephemeral_last;
};

/* The waits of answer.h. */
void real_player_init(struct real_player *);
/* False: no ten free ports in a row outside the ephemeral range; nothing was played.  Sockets, children and
 * the effective user are as before when it returns. */
bool play_real(struct real_player *, const struct scenario *, answer_function *, void *context);

#endif

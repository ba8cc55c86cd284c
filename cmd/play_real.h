/* SPDX-License-Identifier: MIT */
/* Plays scenarios on real sockets, by the libc calls any program would make: natively, or preloaded. */
#ifndef FAKEBIND_PLAY_REAL_H
#define FAKEBIND_PLAY_REAL_H

#include "scenario.h"

#define ANSWER_MAX 256

struct real_player {
	int accept_ms, recv_ms, connect_ms; /* how long a call may wait */
	unsigned next;                      /* first port of the next scenario */
	unsigned ephemeral_first, ephemeral_last;
};

/* answer: "ok", an errno's name, a value, got:TEXT or an address.  Valid during the call only. */
typedef void answer_function(void *context, const struct scenario *, const struct step *, const char *answer);

/* The waits every recorded answer was made with: accept 200 ms, recv 40 ms, connect 800 ms. */
void real_player_init(struct real_player *);
/* False: no ten free ports in a row outside the ephemeral range; nothing was played.  Sockets, children and
 * the effective user are as before when it returns. */
bool play_real(struct real_player *, const struct scenario *, answer_function *, void *context);

#endif

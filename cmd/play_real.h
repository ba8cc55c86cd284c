/* SPDX-License-Identifier: MIT */
/* Plays scenarios on real sockets, by the libc calls any program would make: natively, or preloaded. */
#ifndef FAKEBIND_PLAY_REAL_H
#define FAKEBIND_PLAY_REAL_H

#include "stage.h"

struct real_player {
	struct waits waits;
	unsigned next; /* first port of the next scenario */
	unsigned ephemeral_first, ephemeral_last;
};

void real_player_init(struct real_player *);
/* False: no ten free ports in a row outside the ephemeral range; nothing was played.  Sockets, children and
 * the effective user are as before when it returns. */
bool play_real(struct real_player *, const struct scenario *, answer_function *, void *context);

#endif

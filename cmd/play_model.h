/* SPDX-License-Identifier: MIT */
/* Plays scenarios by the rules alone: no socket is made, nothing waits. */
#ifndef FAKEBIND_PLAY_MODEL_H
#define FAKEBIND_PLAY_MODEL_H

#include "shim/rules/rules.h"
#include "stage.h"

struct model_player {
	const struct profile *profile;
	bool loopback_alias;
	uint32_t options; /* of every new socket, as in world_new() */
	const struct verdict *verdict; /* while an answer is told: what the rules said */
};

/* Every scenario has a machine of its own, just booted. */
void play_model(struct model_player *, const struct scenario *, answer_function *, void *context);

#endif

/* SPDX-License-Identifier: MIT */
#include "play_model.h"

#include "world.h"

#define FIRST_PORT 10001 /* P0; no multiple of a hash table's size */

void play_model(struct model_player *player, const struct scenario *scenario, answer_function *answer, void *context)
{
	struct stage stage = {
		.scenario = scenario,
		.world = world_new(player->profile, player->loopback_alias, player->options),
		.waits = RECORDED_WAITS,
		.first_port = FIRST_PORT,
	};

	stage_open(&stage);
	player->verdict = world_verdict(stage.world);
	stage_play(&stage, answer, context);
	player->verdict = NULL;
	stage_close(&stage);
	world_free(stage.world);
}

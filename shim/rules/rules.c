/* SPDX-License-Identifier: MIT */
#include "rules.h"

#include <netinet/in.h>
#include <string.h>

void judge_begin(struct judgement *judgement, const struct profile *profile, enum call call,
		 const struct holder *claim, const struct memory *memory)
{
	static const struct memory nothing;

	judgement->profile = profile;
	judgement->call = call;
	judgement->automatic = judgement->refused = false;
	judgement->claim = *claim;
	judgement->caller = claim->uid;
	judgement->memory = memory ? *memory : nothing;
	judgement->seen = judgement->scratch = 0;
	judgement->rule = NULL;
	judgement->decider = judgement->decider2 = 0;
	/* The blamed and the matches are void until one of these is set: this is done for every bind. */
	for (size_t i = 0; i < sizeof judgement->found / sizeof *judgement->found; i++)
		judgement->found[i].cost = 0;
	for (size_t i = 0; i < sizeof judgement->list / sizeof *judgement->list; i++) {
		judgement->list[i].met = false;
		judgement->list[i].refused = false;
	}
}

void judge_holder(struct judgement *judgement, const struct holder *holder)
{
	judgement->seen++;
	judgement->profile->family->holder(judgement, holder);
}

void judge_end(struct judgement *judgement, struct verdict *verdict)
{
	verdict_begin(verdict);
	judgement->profile->family->end(judgement, verdict);
}

bool address_is_any(const struct holder *holder)
{
	static const uint8_t zero[16];

	return !memcmp(holder->address, zero, holder->domain == AF_INET ? 4 : 16);
}

/* SPDX-License-Identifier: MIT */
#include "rules.h"

#include <netinet/in.h>
#include <string.h>

void judge_begin(struct judgement *judgement, const struct profile *profile, enum call call,
		 const struct holder *claim, const struct memory *memory)
{
	*judgement = (struct judgement){ .profile = profile, .call = call, .claim = *claim };
	if (memory)
		judgement->memory = *memory;
}

void judge_holder(struct judgement *judgement, const struct holder *holder)
{
	judgement->seen++;
	judgement->profile->family->holder(judgement, holder);
}

void judge_end(struct judgement *judgement, struct verdict *verdict)
{
	*verdict = (struct verdict){ .error = 0 };
	judgement->profile->family->end(judgement, verdict);
}

bool address_is_any(const struct holder *holder)
{
	static const uint8_t zero[16];

	return !memcmp(holder->address, zero, holder->domain == AF_INET ? 4 : 16);
}

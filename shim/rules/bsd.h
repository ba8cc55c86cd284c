/* SPDX-License-Identifier: MIT */
/* What the files of the BSD family share. */
#ifndef FAKEBIND_BSD_H
#define FAKEBIND_BSD_H

#include "rules.h"

#include <string.h>

/* macOS: which searches find the socket, as its last bind() left it, failed or not.  Neither: its address tells. */
#define OPTION_SEEN4 0x10000u
#define OPTION_SEEN6 0x20000u

static inline bool bsd_is(const struct profile *profile, enum trait_index trait, uint32_t word)
{
	return profile->trait[trait] == word;
}

static inline bool bsd_answer(struct verdict *verdict, int error, const struct rule *rule)
{
	verdict->error = error;
	verdict->rule = rule;
	return true;
}

static inline bool bsd_is_mapped(const uint8_t *address)
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };

	return !memcmp(address, prefix, sizeof prefix);
}

bool bsd_before(const struct question *, struct verdict *, struct sockaddr_storage *to, uint32_t *to_length);
void bsd_option(const struct option_question *, struct option_answer *);
uint32_t bsd_fresh(const struct profile *, uint8_t domain, enum protocol);
uint16_t bsd_port(const struct profile *, enum call, const struct holder *claim, uint32_t start, uint32_t attempt);
unsigned bsd_room(const struct profile *, int backlog);
void bsd_event(const struct question *, enum event, struct verdict *);

#endif

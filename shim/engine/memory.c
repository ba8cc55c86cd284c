/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "memory.h"

#include <string.h>

#include "../host/diag.h"
#include "../host/permit.h"
#include "claim.h"
#include "session.h"

static uint32_t first(const struct holder *claim)
{
	return session.profile->family->first ? session.profile->family->first(session.profile, claim) : 0;
}

void memory_recall(const struct decision *d, struct recollection *r)
{
	registry_memory(&session.registry, d->bucket, &r->memory, &r->source);
	r->doubtful = r->memory.flags & MEMORY_DOUBTFUL;
	if (!r->doubtful)
		return;
	r->memory.flags &= ~MEMORY_DOUBTFUL;
	r->alone = (struct memory){ .flags = first(&r->source), .source = &r->source };
	r->doubtful = r->alone.flags != r->memory.flags;
}

/* What is remembered after a verdict: flags, and whose. */
static uint32_t after(const struct decision *d, const struct verdict *verdict, const struct memory *memory, const struct holder **source)
{
	*source = verdict->memory == MEMORY_CLAIM ? &d->claim : memory->source;
	switch (verdict->memory) {
	case MEMORY_KEEP: return memory->flags;
	case MEMORY_FORGET: return 0;
	default: return verdict->memory_flags;
	}
}

/* Would the port remember the same of both? */
static bool is_same_place(const struct holder *a, const struct holder *b)
{
	return a == b || (a->domain == b->domain && a->uid == b->uid && !((a->options ^ b->options) & OPTION_V6ONLY) &&
			  !memcmp(a->address, b->address, sizeof a->address));
}

bool memory_same(const struct decision *d, const struct verdict *verdict, const struct memory *memory, const struct verdict *other,
		 const struct memory *others)
{
	const struct holder *source, *its_source;
	uint32_t flags = after(d, verdict, memory, &source), its_flags = after(d, other, others, &its_source);
	return verdict->error == other->error && flags == its_flags &&
	       (flags == 0 || (source && its_source && is_same_place(source, its_source)));
}

struct elders {
	const struct decision *d;
	const struct holder *source;
	bool found;
};

static bool is_older(void *context, const struct diag_socket *socket)
{
	struct elders *elders = context;
	struct holder record;
	if (socket->holder.cookie == elders->d->claim.cookie || registry_is(elders->source, &socket->holder))
		return true;
	/* A connection's record may be younger than the connection. */
	if (registry_find(&session.registry, elders->d->bucket, &socket->holder, &record) &&
	    !(record.options & (OPTION_CHILD | OPTION_CLIENT)) && record.order >= elders->source->order)
		return true;
	elders->found = true;
	return false;
}

bool memory_met_others(struct decision *d, const struct recollection *r)
{
	struct elders elders = { .d = d, .source = &r->source };
	claim_meets(d);
	if (!diag_complete() && d->claim.protocol == PROTOCOL_TCP)
		return true;
	return diag_dump(d->claim.protocol, d->claim.port, DIAG_ALL, is_older, &elders) < 0 || elders.found;
}

bool memory_is_void(struct decision *d, const struct recollection *r)
{
	static const struct memory nothing;
	if (!r->memory.flags || d->call != CALL_BIND || d->turn.state != TURN_TAKEN)
		return false;
	const struct verdict alone = { .memory = MEMORY_CLAIM, .memory_flags = first(&d->claim) };
	if (memory_same(d, &d->verdict, &r->memory, &alone, &nothing))
		return false;
	/* The claim itself is the source then, and tells what it remembers if it was alone: memory_recall(). */
	if (d->verdict.error == 0 && d->verdict.memory == MEMORY_CLAIM && alone.memory_flags) {
		d->verdict.memory_flags |= MEMORY_DOUBTFUL;
		return false;
	}
	if (!permit_port_is_free(d->claim.protocol, d->claim.port))
		return false;
	registry_forget(&session.registry, &d->turn);
	return true;
}

/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "unseen.h"

#include <string.h>

#include "../host/diag.h"
#include "claim.h"
#include "session.h"

#define TIME_WAIT_MS 60000 /* of the host: include/net/tcp.h TCP_TIMEWAIT_LEN, and tcp_fin_timeout's default */

static bool is_mapped(const struct holder *holder, const uint8_t **ipv4)
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };
	*ipv4 = holder->address + (holder->domain == AF_INET ? 0 : 12);
	return holder->domain == AF_INET || !memcmp(holder->address, prefix, sizeof prefix);
}

static bool same_address(const struct holder *a, const struct holder *b)
{
	const uint8_t *a4, *b4;
	if (is_mapped(a, &a4) && is_mapped(b, &b4))
		return !memcmp(a4, b4, 4);
	return a->domain == b->domain && !memcmp(a->address, b->address, sizeof a->address);
}

/* The listener it was accepted from, alive or gone (STATE_DEAD: decide.c keeps such a record for this). */
static bool find_listener(const struct holder *child, uint32_t bucket, struct holder *listener)
{
	struct holder holder;
	struct cursor cursor;
	bool doubtful, found = false;
	registry_first(&session.registry, bucket, 0, &cursor);
	while (registry_next(&session.registry, &cursor, &holder, &doubtful)) {
		bool listened = holder.state == STATE_LISTENING || holder.state == STATE_DEAD;
		bool exact = same_address(&holder, child);
		if (!listened || holder.protocol != child->protocol || holder.port != child->port || (!exact && !address_is_any(&holder)))
			continue;
		if (found && !exact)
			continue;
		*listener = holder;
		found = true;
		if (exact)
			break;
	}
	return found;
}

void unseen_options(struct holder *holder)
{
	struct holder listener;
	uint32_t bucket = claim_bucket(holder->protocol, holder->port);
	if (holder->protocol != PROTOCOL_TCP || !find_listener(holder, bucket, &listener)) {
		holder->options |= OPTION_CLIENT | OPTION_AUTOBOUND;
		return;
	}
	holder->options |= session.profile->family->inherited(session.profile, listener.options) | OPTION_CHILD;
	if (listener.uid != UID_UNKNOWN)
		holder->uid = listener.uid;
}

/* What the system still has of this remnant; the host's timer tells how old it is. */
static enum state remains(const struct diag_socket *socket)
{
	struct holder ended = socket->holder;
	uint32_t length = 0, age = socket->timer_ms < TIME_WAIT_MS ? TIME_WAIT_MS - socket->timer_ms : 0;
	if (ended.state != STATE_TIME_WAIT)
		return ended.state;
	if (socket->half_closed)
		ended.state = STATE_CONNECTED;
	enum state state = session.profile->family->released(session.profile, &ended, true, &length);
	return length && age > length ? STATE_UNBOUND : state;
}

struct hearing {
	const struct decision *d;
	struct judgement judgement;
};

static bool hear(void *context, const struct diag_socket *socket)
{
	struct hearing *hearing = context;
	const struct decision *d = hearing->d;
	struct holder holder = socket->holder, record;
	if (holder.cookie == d->claim.cookie)
		return true;
	if (registry_find(&session.registry, d->bucket, holder.cookie, &record)) {
		record.state = holder.state;
		record.uid = holder.uid;
		memcpy(record.address, holder.address, sizeof record.address);
		holder = record;
	} else {
		unseen_options(&holder);
	}
	/* Those in its way a mirrored host judges itself, by options that only it knows. */
	if (session.mirror && session.stricter && !hearing->d->host_refused && linux_overlaps(&d->claim, &holder))
		return true;
	struct diag_socket known = *socket;
	known.holder = holder;
	holder.state = remains(&known);
	if (holder.state != STATE_UNBOUND)
		judge_holder(&hearing->judgement, &holder);
	return true;
}

/* Nothing but the registry has these. */
static void hear_anchors(struct hearing *hearing)
{
	struct holder holder;
	struct cursor cursor;
	bool doubtful;
	registry_first(&session.registry, hearing->d->bucket, hearing->d->turn.record, &cursor);
	while (registry_next(&session.registry, &cursor, &holder, &doubtful))
		if (holder.state == STATE_ANCHOR)
			judge_holder(&hearing->judgement, &holder);
}

bool unseen_decide(struct decision *d)
{
	struct hearing hearing = { .d = d };
	struct memory memory;
	struct holder source;
	if (!diag_complete() && d->claim.protocol == PROTOCOL_TCP)
		return false;
	registry_memory(&session.registry, d->bucket, &memory, &source);
	claim_meets(d);
	judge_begin(&hearing.judgement, session.profile, d->call, &d->claim, &memory);
	hear_anchors(&hearing);
	if (diag_dump(d->claim.protocol, d->claim.port, DIAG_ALL, hear, &hearing) < 0)
		return false;
	judge_end(&hearing.judgement, &d->verdict);
	d->strange = d->verdict.blamed && !d->verdict.holder.reference;
	return true;
}

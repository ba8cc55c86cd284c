/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "unseen.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <string.h>

#include "../host/ask.h"
#include "../host/diag.h"
#include "../rules/family.h"
#include "claim.h"
#include "memory.h"
#include "session.h"

#define TICK_MS 10 /* the host's timers are that exact */
#define TIME_WAIT_MS 60000 /* of the host: include/net/tcp.h TCP_TIMEWAIT_LEN, and tcp_fin_timeout's default */

/* The listener it was accepted from, alive or gone (STATE_DEAD: decide.c keeps such a record for this). */
static bool find_listener(const struct holder *child, uint32_t bucket, struct holder *listener)
{
	struct holder holder;
	struct cursor cursor;
	bool doubtful, found = false, exact = false;
	registry_first(&session.registry, bucket, 0, &cursor);
	while (!exact && registry_next(&session.registry, &cursor, &holder, &doubtful)) {
		if (!holder_accepts(&holder, child, &exact) || (found && !exact))
			continue;
		*listener = holder;
		found = true;
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
	holder->options &= ~OPTION_V6ONLY; /* of the host, which sets it when one address is bound */
	holder->options |= session.profile->family->inherited(session.profile, listener.options) | OPTION_CHILD;
	if (listener.uid != UID_UNKNOWN)
		holder->uid = listener.uid;
}

/* ---- what is left ---- */

/* What the system still has of a connection that ended then. */
static enum state left_of(struct holder ended, uint64_t when)
{
	uint32_t natural = 0;
	enum state state = session.profile->family->released(session.profile, &ended, true, &natural);
	uint64_t expired = registry_expired(&session.registry, claim_bucket(ended.protocol, ended.port));
	if (natural && process_now() - when >= time_wait_length(session.time_wait, natural))
		return STATE_UNBOUND;
	return expired && when <= expired + TICK_MS ? STATE_UNBOUND : state;
}

/* The host's timer tells how old a remnant is. */
static uint64_t when_ended(const struct diag_socket *socket)
{
	return process_now() - (socket->timer_ms < TIME_WAIT_MS ? TIME_WAIT_MS - socket->timer_ms : 0);
}

/* Has the system nothing any more of a socket whose connection is over, open as it may be? */
static bool is_over(const struct holder *holder)
{
	return claim_when_over(CALL_CLOSE, holder) & (VERDICT_KILLS | VERDICT_UNBINDS);
}

enum state unseen_remains(const struct diag_socket *socket)
{
	struct holder ended = socket->holder;
	bool over = ended.state == STATE_BOUND && ended.protocol == PROTOCOL_TCP && socket->peer.port;
	if (over && !session.mirror && is_over(&ended))
		return STATE_UNBOUND; /* the host keeps its port until it is closed */
	if (ended.state != STATE_TIME_WAIT && !socket->closing)
		return ended.state;
	if (socket->half_closed)
		ended.state = STATE_CONNECTED;
	return left_of(ended, socket->closing ? process_now() : when_ended(socket));
}

bool unseen_stands(const struct holder *remnant)
{
	return process_now() - remnant->cookie >= TIME_WAIT_MS && left_of(*remnant, remnant->cookie) != STATE_UNBOUND;
}

/* What is accepted holds its port when its connection is over, but the host's does not. */
static SELDOM bool outlives_reset(void)
{
	const struct holder child = { .domain = AF_INET, .state = STATE_BOUND, .options = OPTION_CHILD };
	struct judgement judgement;
	struct verdict verdict;
	judge_begin(&judgement, session.profile, CALL_BIND, &child, NULL);
	judge_holder(&judgement, &child);
	judge_end(&judgement, &verdict);
	return !session.mirror && verdict.error && !is_over(&child);
}

bool unseen_remembers(void)
{
	const struct holder ended = { .state = STATE_TIME_WAIT };
	uint32_t natural = 0;
	bool outlives = session.profile->family->released(session.profile, &ended, true, &natural) == STATE_TIME_WAIT &&
			time_wait_length(session.time_wait, natural) > TIME_WAIT_MS;
	return outlives || outlives_reset();
}

struct twin {
	const struct holder *from, *to;
	bool found;
};

static bool is_twin(void *context, const struct diag_socket *socket)
{
	struct twin *twin = context;
	bool from = holder_is_wild(twin->from) || holders_same_address(twin->from, &socket->holder);
	twin->found = socket->holder.state == STATE_TIME_WAIT && from && socket->peer.port == twin->to->port &&
		      holders_same_address(twin->to, &socket->peer) && unseen_remains(socket) != STATE_UNBOUND;
	return !twin->found;
}

bool unseen_twin(const struct holder *from, const struct holder *to)
{
	struct twin twin = { .from = from, .to = to };
	return diag_dump(PROTOCOL_TCP, from->port, DIAG_ALL, is_twin, &twin) == 0 && twin.found;
}

/* ---- remnants that the host forgets too early ---- */

static void keep(struct holder remnant, uint64_t when)
{
	remnant.state = STATE_TIME_WAIT;
	remnant.cookie = when;
	registry_keep(&session.registry, claim_bucket(remnant.protocol, remnant.port), &remnant);
}

static bool note(void *bucket, const struct diag_socket *socket)
{
	struct holder record, holder = socket->holder;
	bool ended = socket->closing || holder.state == STATE_TIME_WAIT;
	bool known = registry_find(&session.registry, *(uint32_t *)bucket, &holder, &record);
	if (known) {
		registry_confirm(&session.registry, record.reference);
		holder.options = record.options;
		if (record.uid != UID_UNKNOWN)
			holder.uid = record.uid;
		if (record.state == STATE_CONNECTED && ended)
			registry_end(&session.registry, record.reference, process_now());
		else if (record.state == STATE_ENDED && !ended)
			registry_turn_into(&session.registry, record.reference, STATE_CONNECTED);
	} else {
		unseen_options(&holder);
	}
	if (ended && unseen_remains(socket) != STATE_UNBOUND)
		keep(holder, socket->closing ? process_now() : when_ended(socket));
	return true;
}

/* The host's list of the port says nothing of this record. */
static void forget(const struct holder *record)
{
	/* What we have open still was reset, or closed second. */
	bool open = decide_is_own(record);
	if (open && !is_over(record)) {
		registry_confirm(&session.registry, record->reference);
		return;
	}
	/* Nobody saw it close, e.g. its process was killed: it ended before all that the host has. */
	if (record->state == STATE_CONNECTED && !open)
		keep(*record, process_now() - TIME_WAIT_MS);
	else if (record->state == STATE_ENDED && process_now() - record->order >= TIME_WAIT_MS)
		keep(*record, record->order); /* the host's own is over */
	registry_remove(&session.registry, record->reference);
}

void unseen_remember(enum protocol protocol, uint16_t port)
{
	struct holder holder;
	struct cursor cursor;
	bool doubtful, any = false;
	if (protocol != PROTOCOL_TCP || port == 0)
		return;
	uint32_t bucket = claim_bucket(protocol, port);
	for (int after = 0; after < 2; after++) {
		registry_first(&session.registry, bucket, 0, &cursor);
		while (registry_next(&session.registry, &cursor, &holder, &doubtful)) {
			bool connection = holder.state == STATE_CONNECTED || holder.state == STATE_ENDED;
			any |= connection;
			if (connection && !after)
				registry_let_go(&session.registry, holder.reference);
			else if (connection ? doubtful : holder.state == STATE_TIME_WAIT && left_of(holder, holder.cookie) == STATE_UNBOUND)
				forget(&holder);
		}
		/* Without a connection there is nothing to come by, and the kernel's list costs half a millisecond. */
		if (!after && (!any || diag_dump(protocol, port, DIAG_ALL, note, &bucket) < 0))
			return;
	}
}

void unseen_record(int fd, struct slot *slot, uint32_t options)
{
	if (slot->protocol != PROTOCOL_TCP || slot->record)
		return;
	struct holder holder = { .domain = slot->domain, .cookie = slot_cookie(fd, slot), .state = STATE_CONNECTED, .fd = fd,
				 .uid = ask_uid(fd), .options = slot->options | options };
	if (ask_name(fd, &holder) != 0)
		return;
	if (!options) {
		unseen_options(&holder);
		slot->options |= holder.options & OPTION_CHILD ? holder.options : 0;
	}
	slot->record = registry_keep(&session.registry, claim_bucket(PROTOCOL_TCP, holder.port), &holder);
}

void unseen_accepted(int fd, const struct slot *listener)
{
	struct slot own;
	if (session.remembers && fd >= 0)
		unseen_record(fd, slot_accepted(fd, listener, &own), 0);
}

#define LOOK_EVERY 128 /* closed connections whose records may lie about */

/* Does this side close first, and not by a reset? */
static bool leaves_remnant(int fd)
{
	switch (ask_option(fd, IPPROTO_TCP, TCP_INFO) & 0xff) {
	case TCP_ESTABLISHED:
	case TCP_FIN_WAIT1:
	case TCP_FIN_WAIT2:
	case TCP_CLOSING:
	case TCP_TIME_WAIT:
		return !ask_resets(fd);
	default:
		return false;
	}
}

uint16_t unseen_closing(int fd)
{
	static _Atomic unsigned ended;
	struct slot *slot = slot_of(fd);
	struct holder holder;
	if (!(slot->flags & SLOT_CONNECTED) || !registry_get(&session.registry, slot->record, &holder))
		return 0;
	if (holder.protocol != PROTOCOL_TCP || slot->cookie != ask_cookie(fd))
		return 0;
	slot_enter(fd, slot);
	if (!leaves_remnant(fd)) {
		/* The process that accepted it, and forked this one, may have it open still. */
		if (holder.pid == own_pid() || holder.state == STATE_ENDED)
			registry_remove(&session.registry, holder.reference);
		return 0;
	}
	registry_end(&session.registry, holder.reference, process_now());
	return ++ended % LOOK_EVERY ? 0 : holder.port;
}

/* ---- judging ---- */

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
	if (registry_find(&session.registry, d->bucket, &holder, &record)) {
		record.state = holder.state;
		record.uid = holder.uid;
		memcpy(record.address, holder.address, sizeof record.address);
		holder = record;
	} else {
		unseen_options(&holder);
	}
	/* Those in the way of a bind a mirrored host judges itself, by options that only it knows. */
	if (session.mirror && session.stricter && d->call == CALL_BIND && !d->host_refused && claim_overlaps_on_host(&d->claim, socket->holder))
		return true;
	struct diag_socket known = *socket;
	known.holder = holder;
	holder.state = unseen_remains(&known);
	if (holder.state != STATE_UNBOUND)
		judge_holder(&hearing->judgement, &holder);
	return true;
}

/* Nothing but the registry has these. */
static bool is_unlisted(const struct holder *holder)
{
	if (holder->state == STATE_BOUND)
		return holder->protocol == PROTOCOL_TCP && !diag_complete();
	return holder->state == STATE_ANCHOR || (holder->state == STATE_TIME_WAIT && unseen_stands(holder));
}

static void hear_unlisted(struct hearing *hearing)
{
	struct holder holder;
	struct cursor cursor;
	bool doubtful;
	registry_first(&session.registry, hearing->d->bucket, hearing->d->turn.record, &cursor);
	while (registry_next(&session.registry, &cursor, &holder, &doubtful)) {
		if (!is_unlisted(&holder) || holder.reference == hearing->d->slot->record)
			continue;
		if (holder.uid == UID_UNKNOWN)
			holder.uid = hearing->d->claim.uid;
		judge_holder(&hearing->judgement, &holder);
	}
}

bool unseen_decide(struct decision *d)
{
	struct hearing hearing = { .d = d };
	struct recollection r;
	claim_meets(d);
	memory_recall(d, &r);
	bool alone = r.doubtful && !memory_met_others(d, &r);
	judge_begin(&hearing.judgement, session.profile, d->call, &d->claim, alone ? &r.alone : &r.memory);
	hearing.judgement.caller = d->caller;
	hear_unlisted(&hearing);
	if (diag_dump(d->claim.protocol, d->claim.port, DIAG_ALL, hear, &hearing) < 0)
		return false;
	judge_end(&hearing.judgement, &d->verdict);
	d->strange = d->verdict.blamed && !d->verdict.holder.reference;
	return true;
}

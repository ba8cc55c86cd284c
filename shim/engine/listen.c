/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>

#include "../host/ask.h"
#include "../host/permit.h"
#include "../host/real.h"
#include "claim.h"
#include "engine.h"
#include "session.h"
#include "unseen.h"

static int host_failed(struct decision *d)
{
	decide_host_refused(d, errno);
	return refuse(d);
}

/* A profile that lets it listen; the host does not. */
static SELDOM int listen_udp(struct decision *d, bool known)
{
	claim_user(d, false);
	if (known)
		registry_update(&session.registry, d->slot->record, STATE_LISTENING, d->claim.options);
	else
		claim_choose(d, STATE_LISTENING);
	return 0;
}

/* listen() on a socket without a port: the host chooses one. */
static int listen_unbound(struct decision *d, int backlog)
{
	int saved = errno;
	claim_user(d, false);
	if (!session.mirror)
		permit_reuse(d->fd, &d->claim);
	if (real.listen(d->fd, backlog) < 0) {
		errno = claim_error(CALL_LISTEN, errno);
		return -1;
	}
	claim_chosen(d, STATE_LISTENING);
	errno = saved;
	return 0;
}

/* The rules refuse, but what a socket has been through comes before a conflict (EINVAL), and only the
 * kernel knows it: a mirrored host is asked, and should it ever listen, that is undone.  True: it had a
 * better reason, in errno. */
static bool has_better_reason(const struct decision *d, int backlog)
{
	if (!session.mirror)
		return false;
	if (real.listen(d->fd, backlog) == 0) {
		real.shutdown(d->fd, SHUT_RDWR);
		return false;
	}
	return errno != EADDRINUSE;
}

/* What the port remembers changes with the turn only. */
static bool listens_with_turn(int fd, struct slot *slot, int backlog, uint32_t flags)
{
	struct turn turn;
	uint32_t before;
	registry_retake(&session.registry, slot->record, &turn);
	if (turn.state != TURN_TAKEN || !registry_alone(&session.registry, slot->record, &before) || real.listen(fd, backlog) < 0) {
		registry_abandon(&session.registry, &turn);
		return false;
	}
	slot->record = registry_commit_state(&session.registry, &turn, STATE_LISTENING, flags ? MEMORY_CLAIM : MEMORY_FORGET, flags);
	return true;
}

/* An option that is off for the program may be on for the host: is_stickier(). */
static bool is_to_be_judged(const struct slot *slot)
{
	return slot->options & OPTION_REUSEPORT || (session.beyond_host && !(slot->options & OPTION_REUSEADDR)) ||
	       session.explain == EXPLAIN_ALL || session.log;
}

/* Nobody else has the port: there is nothing to judge, and who comes now meets the mirrored host's own check.  False: judge,
 * for the host refuses it and somebody may want to know why. */
static bool listens_alone(int fd, struct slot *slot, int backlog)
{
	int saved = errno;
	uint32_t before, after;
	if (!session.mirror || !slot->record || is_to_be_judged(slot) || !registry_alone(&session.registry, slot->record, &before) ||
	    !session.profile->family->listens(session.profile, &after))
		return false;
	bool listens = before == after ? real.listen(fd, backlog) == 0 : listens_with_turn(fd, slot, backlog, after);
	if (!listens)
		return false;
	if (before == after)
		registry_turn_into(&session.registry, slot->record, STATE_LISTENING);
	errno = saved;
	return true;
}

static int host_listen(struct decision *d, int backlog)
{
	if (!session.mirror)
		return permit_listen(d->fd, &d->claim, backlog);
	int result = real.listen(d->fd, backlog);
	if (result == 0 || errno != EADDRINUSE || !(session.beyond_host || registry_expired(&session.registry, d->bucket)))
		return result;
	d->host_refused = true;
	if (d->closed && (decide(d), d->verdict.error)) { /* somebody else has that open */
		errno = EADDRINUSE;
		return -1;
	}
	decide_lend(d, true);
	permit_reuse(d->fd, &d->claim);
	result = real.listen(d->fd, backlog);
	int saved = errno;
	permit_exactly(d->fd, d->claim.options);
	decide_lend(d, false);
	errno = saved;
	return result;
}

/* The host still has an option on that the program has turned off: what overlaps here is not the host's to judge. */
static bool is_stickier(const struct decision *d)
{
	return session.beyond_host && permit_options(d->fd) & ~d->claim.options;
}

static int listen_bound(struct decision *d, int backlog)
{
	int saved = errno;
	registry_retake(&session.registry, d->slot->record, &d->turn);
	d->bucket = d->turn.bucket;
	if (d->turn.state == TURN_NONE)
		return host_listen(d, backlog);
	if (session.remembers)
		unseen_remember(d->claim.protocol, d->claim.port);
	if (!d->decided)
		decide(d);
	if (!d->decided && d->verdict.error == 0 && is_stickier(d))
		unseen_decide(d);
	if (d->verdict.error) {
		bool better = has_better_reason(d, backlog);
		registry_abandon(&session.registry, &d->turn);
		claim_apply(d, d->verdict.flags);
		return better ? -1 : refuse(d);
	}
	if (host_listen(d, backlog) < 0) {
		registry_abandon(&session.registry, &d->turn);
		return host_failed(d);
	}
	d->claim.state = STATE_LISTENING;
	d->slot->record = registry_commit(&session.registry, &d->turn, &d->claim, d->verdict.memory, d->verdict.memory_flags);
	decide_explain(d, 0);
	errno = saved;
	return 0;
}

int engine_listen(int fd, int backlog)
{
	struct slot own, *slot;
	struct sockaddr_storage unused;
	uint32_t unused_length;
	struct decision d;
	if (!session.profile || !slot_identify(fd, &own, &slot))
		return real.listen(fd, backlog);
	if (slot->protocol == PROTOCOL_UDP && session.mirror)
		return real.listen(fd, backlog);
	if (listens_alone(fd, slot, backlog))
		return 0;
	claim_socket(&d, CALL_LISTEN, fd, slot);
	/* A duplicate of the descriptor bound it, or made a change that moved the record. */
	bool known = slot->record && registry_get(&session.registry, slot->record, &d.claim);
	if (!known && !(slot->flags & (SLOT_CONNECTED | SLOT_DEAD)) &&
	    ask_name(fd, &d.claim) == 0 && d.claim.port != 0 && slot_refresh(fd, &own, &slot))
		known = slot->record && registry_get(&session.registry, slot->record, &d.claim);
	if (known && session.mirror && d.claim.state == STATE_LISTENING)
		return real.listen(fd, backlog); /* only the backlog changes */
	if (!session.mirror) {
		struct question question = claim_question(&d);
		question.argument = backlog;
		question.queued = question.state == STATE_LISTENING ? ask_queued(fd) : 0;
		d.decided = claim_before(&d, &question, &unused, &unused_length);
		if (d.decided && d.verdict.error)
			return refuse(&d);
		if (d.decided && !(d.verdict.flags & VERDICT_LISTENS))
			return 0;
		if (slot->protocol == PROTOCOL_UDP)
			return listen_udp(&d, known);
	}
	return known ? listen_bound(&d, backlog) : listen_unbound(&d, backlog);
}

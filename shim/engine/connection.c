/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>

#include "../host/ask.h"
#include "../host/permit.h"
#include "../host/real.h"
#include "claim.h"
#include "engine.h"
#include "session.h"
#include "unseen.h"

/* The system gives the socket's address back; the kernel does not, and needs a new socket for it. */
static void unbind(struct decision *d)
{
	struct holder holder;
	int saved = errno;
	if (registry_get(&session.registry, d->slot->record, &holder))
		decide_forget(&holder);
	d->slot->record = 0;
	d->slot->flags &= ~SLOT_CONNECTED;
	slot_replace(d->fd, d->slot);
	errno = saved;
}

void claim_apply(struct decision *d, uint32_t flags)
{
	if (flags & (VERDICT_UNBINDS | VERDICT_KILLS))
		unbind(d);
	if (flags & VERDICT_KILLS)
		d->slot->flags |= SLOT_DEAD;
}

/* What the system makes of a connection that the host refuses; bound: the socket as it was, or NULL. */
static SELDOM void failed(struct decision *d, struct holder *bound)
{
	struct question question = claim_question(d);
	struct verdict verdict = { 0 };
	if (errno != ECONNREFUSED && errno != EADDRNOTAVAIL) {
		if (question.state == STATE_UNBOUND && d->verdict.flags & VERDICT_BINDS)
			claim_choose(d, STATE_BOUND);
		return;
	}
	if (question.state == STATE_UNBOUND)
		question.options |= OPTION_CLIENT | OPTION_AUTOBOUND;
	if (session.profile->family->event)
		session.profile->family->event(&question, errno == ECONNREFUSED ? EVENT_REFUSED : EVENT_TUPLE_TAKEN, &verdict);
	uint32_t flags = d->verdict.flags | verdict.flags;
	if (bound && flags & VERDICT_KILLS) {
		bound->state = STATE_DEAD;
		claim_anchor(bound, claim_bucket(bound->protocol, bound->port));
	}
	if (errno == ECONNREFUSED)
		claim_apply(d, flags);
	if (errno == ECONNREFUSED && question.protocol == PROTOCOL_TCP && question.state == STATE_UNBOUND &&
	    !(flags & (VERDICT_UNBINDS | VERDICT_KILLS)))
		claim_choose(d, STATE_BOUND); /* the host gave the port back */
	if (verdict.error)
		errno = verdict.error;
}

/* Is the place that it connects to its own? */
static bool is_self(const struct holder *from, const struct holder *to)
{
	bool same = !memcmp(from->address, to->address, sizeof to->address);
	return from->port == to->port && (same || (address_is_any(from) && to->domain == AF_INET && *to->address == 127));
}

/* The host takes over a connection in TIME_WAIT at once if the socket is bound, and connects it to itself; other systems
 * may not. */
static SELDOM bool tuple_refuses(struct decision *d, const struct holder *from)
{
	struct question question = claim_question(d);
	struct verdict verdict = { 0 };
	bool self = is_self(from, &d->claim);
	if (from->protocol != PROTOCOL_TCP || from->state != STATE_BOUND || !session.profile->family->event)
		return false;
	session.profile->family->event(&question, self ? EVENT_SELF : EVENT_TUPLE_REMNANT, &verdict);
	if (verdict.error == 0 || !(self || unseen_twin(from, &d->claim)))
		return false;
	errno = verdict.error;
	return true;
}

/* The record of a bound socket follows its state, and the address that it has from now on. */
static SELDOM void connected(struct decision *d, struct holder *bound)
{
	struct holder now = *bound;
	reference moved = 0;
	bound->state = now.state = d->slot->flags & SLOT_CONNECTED ? STATE_CONNECTED : STATE_BOUND;
	if (!(session.asks & ASKS_BOUND(now.protocol)) && ask_name(d->fd, &now) == 0 &&
	    memcmp(now.address, bound->address, sizeof now.address)) {
		registry_retake(&session.registry, d->slot->record, &d->turn);
		moved = registry_commit(&session.registry, &d->turn, &now, MEMORY_KEEP, 0);
	}
	if (moved)
		d->slot->record = moved;
	else
		registry_update(&session.registry, d->slot->record, (enum state)now.state, now.options);
	claim_anchor(bound, claim_bucket(bound->protocol, bound->port));
}

static int connect_host(struct decision *d, const struct sockaddr *address, socklen_t length)
{
	struct holder before = d->claim;
	bool known = d->slot->record && registry_get(&session.registry, d->slot->record, &before);
	if (known && tuple_refuses(d, &before))
		return -1;
	if (!known && d->claim.protocol == PROTOCOL_TCP)
		tell_option(d->fd, SOL_SOCKET, SO_REUSEADDR, 1); /* others may bind over a client's port */
	permit_mapped(d->fd, &d->claim);
	int result = real.connect(d->fd, address, length);
	if (result == 0 && address->sa_family == AF_UNSPEC)
		d->slot->flags &= ~SLOT_CONNECTED;
	else if (result == 0 || errno == EINPROGRESS)
		d->slot->flags |= SLOT_CONNECTED;
	if (result < 0)
		failed(d, known ? &before : NULL);
	if (!known && session.remembers && d->slot->flags & SLOT_CONNECTED)
		unseen_record(d->fd, d->slot, OPTION_CLIENT | OPTION_AUTOBOUND);
	if (result == 0 && known)
		connected(d, &before);
	return claim_host_answer(CALL_CONNECT, result);
}

/* It is not known by its place any more, and may soon be connected. */
static void leaves_its_place(int fd)
{
	struct slot *slot = slot_of(fd);
	if (!slot_used(slot))
		return;
	if (slot->record)
		slot_cookie(fd, slot);
	slot->flags |= SLOT_MET;
}

int engine_connect(int fd, const struct sockaddr *given, socklen_t length)
{
	struct slot own, *slot;
	struct sockaddr_storage copy, rewritten;
	uint32_t rewritten_length;
	struct decision d;
	if (session.mirror)
		leaves_its_place(fd);
	/* A mirrored host has the client's own options: nothing else is to be done or kept. */
	if (!session.profile || session.mirror || !slot_identify(fd, &own, &slot))
		return real.connect(fd, given, length);
	if (!claim_copy(given, length, &copy))
		return claim_host_answer(CALL_CONNECT, real.connect(fd, given, length));
	claim_socket(&d, CALL_CONNECT, fd, slot);
	struct question question = claim_question(&d);
	question.address = (const void *)&copy;
	question.length = length;
	address_parse(slot->domain, &copy, length, &d.claim);
	if (claim_before(&d, &question, &rewritten, &rewritten_length)) {
		if (d.verdict.flags & VERDICT_BINDS && question.state == STATE_UNBOUND)
			claim_choose(&d, STATE_BOUND);
		return d.verdict.error ? refuse(&d) : 0;
	}
	if (rewritten_length)
		address_parse(slot->domain, &rewritten, rewritten_length, &d.claim);
	if (rewritten_length)
		return connect_host(&d, (const struct sockaddr *)&rewritten, rewritten_length);
	return connect_host(&d, given, length);
}

static bool accept_refused(struct decision *d, int fd, struct slot *own, struct sockaddr *address, socklen_t *length)
{
	struct slot *slot;
	struct sockaddr_storage unused;
	uint32_t unused_length;
	d->slot = NULL;
	if (!session.profile || session.mirror || !slot_identify(fd, own, &slot))
		return false;
	claim_socket(d, CALL_ACCEPT, fd, slot);
	struct question question = claim_question(d);
	question.address = length ? (const void *)address : NULL;
	return claim_before(d, &question, &unused, &unused_length) && d->verdict.error;
}

/* What it accepts may outlive the listener, and does not tell whose that was. */
static void tell_user(struct decision *d)
{
	if (session.asks & ASKS_USER && !(d->slot->flags & SLOT_ACCEPTS))
		registry_tell_user(&session.registry, d->slot->record, ask_uid(d->fd));
	d->slot->flags |= SLOT_ACCEPTS;
}

static int accepted(struct decision *d, int made)
{
	slot_fresh(made);
	if (!d->slot)
		return made;
	if (made >= 0)
		tell_user(d);
	unseen_accepted(made, d->slot);
	return claim_host_answer(CALL_ACCEPT, made);
}

int engine_accept(int fd, struct sockaddr *address, socklen_t *length)
{
	struct decision d;
	struct slot own;
	if (accept_refused(&d, fd, &own, address, length))
		return refuse(&d);
	return accepted(&d, real.accept(fd, address, length));
}

int engine_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	struct decision d;
	struct slot own;
	if (accept_refused(&d, fd, &own, address, length))
		return refuse(&d);
	return accepted(&d, real.accept4(fd, address, length, flags));
}

/* A listener that was shut down keeps a port the program chose, and gives back one it did not. */
static void left_listening(int fd, struct slot *slot)
{
	struct holder holder;
	if (!slot->record || !registry_get(&session.registry, slot->record, &holder) || holder.state != STATE_LISTENING)
		return;
	if (ask_option(fd, SOL_SOCKET, SO_ACCEPTCONN) != 0)
		return;
	if (slot->flags & SLOT_AUTOBOUND) {
		registry_remove(&session.registry, slot->record);
		slot->record = 0;
	} else {
		slot->options &= ~OPTION_GROUP;
		registry_update(&session.registry, slot->record, STATE_BOUND, (holder.options & ~OPTION_GROUP) | OPTION_LISTENED);
	}
}

int engine_shutdown(int fd, int how)
{
	struct slot own, *slot = slot_of(fd);
	int saved = errno;
	struct sockaddr_storage unused;
	uint32_t unused_length;
	struct decision d = { 0 };
	if (!session.profile || (session.mirror && !slot_used(slot)) || !slot_identify(fd, &own, &slot))
		return real.shutdown(fd, how);
	if (!session.mirror) {
		claim_socket(&d, CALL_SHUTDOWN, fd, slot);
		struct question question = claim_question(&d);
		question.argument = how;
		if (claim_before(&d, &question, &unused, &unused_length)) {
			claim_apply(&d, d.verdict.flags);
			return d.verdict.error ? refuse(&d) : 0;
		}
	}
	if (d.verdict.flags & VERDICT_UNLISTENS) /* whatever direction */
		how = SHUT_RDWR;
	/* The host would remember it of a socket without a connection, to the cost of the next one. */
	bool idle = claim_over(CALL_SHUTDOWN, fd, &d.claim) != CLAIM_NOT_OVER;
	int result = idle ? (errno = ENOTCONN, -1) : real.shutdown(fd, how);
	result = claim_host_answer(CALL_SHUTDOWN, result);
	if (d.verdict.flags & (VERDICT_UNBINDS | VERDICT_KILLS))
		claim_apply(&d, d.verdict.flags);
	else
		left_listening(fd, slot);
	if (result == 0) {
		slot->options |= slot->protocol == PROTOCOL_UDP && how != SHUT_RD ? OPTION_ENDS : 0;
		errno = saved;
	}
	return result;
}

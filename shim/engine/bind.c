/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include "../host/ask.h"
#include "../host/permit.h"
#include "../host/real.h"
#include "claim.h"
#include "engine.h"
#include "session.h"
#include "unseen.h"

static const struct rule rule_not_asked = { "ok/not-judged", "the registry had no room or no time for it", NULL, NULL };

struct address {
	const struct sockaddr *given;
	socklen_t length;
};

/* Do sockets that the registry has not seen stand against it?  Then d->verdict says so. */
static SELDOM bool unseen_refuse(struct decision *d)
{
	if (!(session.asks & ASKS_UNSEEN) || d->decided || !unseen_decide(d) || d->verdict.error == 0)
		return false;
	errno = d->verdict.error;
	return d->unseen = true;
}

/* Whoever overlaps the claim the host answers for.  A profile that is stricter also minds those who are apart from it; but
 * of a port that nobody but at the claim's own place has or had, and of one that is free, there are none. */
static bool stricter_refuses(struct decision *d)
{
	if (!d->apart || d->claim.port == 0 || d->decided || permit_port_is_free(d->claim.protocol, d->claim.port))
		return false;
	struct verdict before = d->verdict;
	if (unseen_refuse(d))
		return true;
	if (session.mirror) /* not all of them were asked */
		d->verdict = before;
	return false;
}

/* May the profile allow what a mirrored host refuses?  Not without a reason: the list of its sockets costs. */
static bool may_overrule(const struct decision *d)
{
	return session.beyond_host || registry_expired(&session.registry, d->bucket);
}

static int mirrored_bind(struct decision *d, const struct address *address)
{
	d->plain = !(d->claim.options & (OPTION_REUSEADDR | OPTION_REUSEPORT));
	int result = real.bind(d->fd, address->given, address->length);
	d->host_refused = result < 0;
	if (result == 0 || errno != EADDRINUSE || !may_overrule(d) || d->claim.port == 0 || unseen_refuse(d))
		return result;
	d->plain = false;
	d->closed = 0; /* somebody has it, open or not */
	result = permit_bind(d->fd, &d->claim, address->given, address->length, d->claim.options);
	if (result == 0 || errno != EADDRINUSE)
		return result;
	decide_lend(d, true);
	result = permit_bind(d->fd, &d->claim, address->given, address->length, d->claim.options);
	decide_lend(d, false);
	return result;
}

/* The host has the socket bound still, by a connect() or before a shutdown(), where the system has it unbound or lets go of
 * the old address. */
static SELDOM bool made_new(struct decision *d)
{
	struct holder name = d->claim;
	if (ask_name(d->fd, &name) != 0 || name.port == 0)
		return false;
	slot_replace(d->fd, d->slot);
	d->claim.cookie = d->slot->cookie;
	return true;
}

/* The host's bind, made so that what the profile allows is allowed. */
static int host_bind(struct decision *d, const struct address *address)
{
	if (session.mirror)
		return mirrored_bind(d, address);
	int result;
	do
		result = permit_first_bind(d->fd, &d->claim, address->given, address->length, session.any_address);
	while (result < 0 && errno == EINVAL && made_new(d));
	d->plain = result == 0;
	if (d->plain || errno != EADDRINUSE || unseen_refuse(d))
		return result;
	return permit_bind(d->fd, &d->claim, address->given, address->length, PERMIT_KEEP);
}

static uint32_t options_when_bound(const struct holder *claim)
{
	return session.profile->family->bound ? session.profile->family->bound(session.profile, claim, 0) : claim->options;
}

/* The record is written before the verdict, with the options that the socket will have. */
static void write_claim(struct decision *d)
{
	struct holder record = d->claim;
	record.options = options_when_bound(&d->claim);
	registry_claim(&session.registry, d->bucket, &record, &d->turn);
}

static void bound(struct decision *d)
{
	decide_sweep(d);
	d->claim.options = options_when_bound(&d->claim);
	d->slot->options = (d->slot->options & ~OPTION_OWN) | (d->claim.options & OPTION_OWN);
	d->claim.state = STATE_BOUND;
	if (d->claim.protocol == PROTOCOL_TCP)
		d->slot->flags &= (uint8_t)~SLOT_CONNECTED; /* that connection is over */
	registry_remove(&session.registry, d->slot->record); /* of another address */
	d->slot->record = registry_commit(&session.registry, &d->turn, &d->claim, d->verdict.memory, d->verdict.memory_flags);
	claim_anchor(&d->claim, claim_bucket(PROTOCOL_UDP, 0));
}

/* The socket was bound already, through a duplicate of the descriptor or by another process that has it. */
static bool is_own_socket(const struct decision *d)
{
	const struct verdict *verdict = &d->verdict;
	return verdict->blamed && !holder_is_memory(verdict->holder.state) && verdict->holder.cookie == d->claim.cookie;
}

/* Every system looks first whether the address is one of the machine's; and in what else it may be wrong, a mirrored one
 * as the host does. */
static SELDOM int refuse_local(struct decision *d)
{
	struct holder claim = d->claim;
	if (!session.mirror)
		claim.options &= ~OPTION_V6ONLY;
	int error = session.any_address ? 0 : permit_address_error(&claim);
	if (error != EADDRNOTAVAIL && !(session.mirror && error == EINVAL))
		return refuse(d);
	errno = claim_error(CALL_BIND, error);
	return -1;
}

/* A profile that is stricter than the host may blame a socket that the host does not mind. */
static SELDOM bool host_minds(const struct decision *d)
{
	return !session.stricter || !d->verdict.blamed || claim_overlaps_on_host(&d->claim, d->verdict.holder) || ask_connected(d->fd);
}

/* The rules refuse.  The host is asked all the same, with its options off: errors of the arguments come
 * before a conflict, and it knows them in the right order. */
static SELDOM int refused(struct decision *d, const struct address *address)
{
	if (!session.mirror && is_own_socket(d)) {
		registry_abandon(&session.registry, &d->turn);
		slot_fresh(d->fd);
		return engine_bind(d->fd, address->given, address->length);
	}
	bool minds = session.mirror && host_minds(d);
	int result = minds ? permit_plain_bind(d->fd, &d->claim, address->given, address->length) : -1;
	if (result == 0) {
		bound(d); /* the holder left just now */
		return 0;
	}
	registry_abandon(&session.registry, &d->turn);
	if (minds && errno != EADDRINUSE)
		return -1;
	return minds ? refuse(d) : refuse_local(d);
}

/* Only doubtful holders stand against it.  A plain bind that succeeds proves them gone. */
static bool probed(struct decision *d, const struct address *address)
{
	if (session.mirror)
		d->plain = permit_plain_bind(d->fd, &d->claim, address->given, address->length) == 0;
	else
		d->plain = permit_first_bind(d->fd, &d->claim, address->given, address->length, false) == 0;
	d->probe = false;
	if (!d->plain)
		decide(d);
	return d->plain;
}

static int allowed(struct decision *d, const struct address *address)
{
	int saved = errno;
	if (d->slot->flags & SLOT_CONNECTED)
		permit_exactly(d->fd, 0); /* its connect() made it permissive */
	if (d->verdict.error == 0 && stricter_refuses(d)) {
		registry_abandon(&session.registry, &d->turn);
		return refuse_local(d);
	}
	if (d->probe && probed(d, address)) {
		bound(d);
		decide_explain(d, 0);
		errno = saved;
		return 0;
	}
	if (d->verdict.error)
		return refused(d, address);
	if (host_bind(d, address) == 0) {
		bound(d);
		decide_explain(d, 0);
		errno = saved;
		return 0;
	}
	int error = errno;
	registry_abandon(&session.registry, &d->turn);
	if (!d->unseen)
		decide_host_refused(d, error);
	/* Of IPv6 the host asks for privilege first. */
	return d->unseen || (error == EACCES && !session.mirror) ? refuse_local(d) : refuse(d);
}

/* The host has bound it: to what, only the host can say.  False: to no port (IP_BIND_ADDRESS_NO_PORT). */
static bool learn_port(struct decision *d)
{
	if (ask_name(d->fd, &d->claim) < 0 || d->claim.port == 0)
		return false;
	d->bucket = claim_bucket(d->claim.protocol, d->claim.port);
	write_claim(d);
	return true;
}

static void adopt(struct decision *d)
{
	if (!learn_port(d))
		return;
	decide(d); /* nobody who overlaps has this port; but what the port remembers changes */
	bound(d);
	decide_explain(d, 0);
}

/* Systems that do not compare ports may refuse before one is chosen. */
static bool refuses_any_port(struct decision *d)
{
	if (session.mirror)
		return false;
	d->bucket = claim_bucket(d->claim.protocol, 0);
	registry_claim(&session.registry, d->bucket, &d->claim, &d->turn);
	decide(d);
	registry_abandon(&session.registry, &d->turn);
	return d->verdict.error != 0;
}

/* The host chooses the port; nobody who overlaps can have it. */
static int bind_any(struct decision *d, const struct address *address)
{
	int saved = errno;
	if (!d->decided && refuses_any_port(d))
		return refuse(d);
	struct verdict before = d->verdict;
	if (host_bind(d, address) < 0) {
		errno = claim_error(CALL_BIND, errno);
		return -1;
	}
	if (before.error) { /* VERDICT_BINDS */
		if (learn_port(d))
			bound(d);
		d->verdict = before;
		return refuse(d);
	}
	adopt(d);
	errno = saved;
	return 0;
}

/* A second bind: the host refuses it, unless the socket lost its address on the way. */
static int bind_again(struct decision *d, const struct address *address)
{
	int saved = errno;
	if (real.bind(d->fd, address->given, address->length) < 0)
		return -1;
	registry_let_go(&session.registry, d->slot->record);
	adopt(d);
	errno = saved;
	return 0;
}

/* Once more if others lost patience with a claim that took too long (SIGSTOP, a signal handler that binds). */
static void take_turn(struct decision *d)
{
	for (int tries = 0; tries < 3; tries++) {
		write_claim(d);
		if (d->turn.state == TURN_NONE) {
			d->verdict.rule = &rule_not_asked;
			return;
		}
		if (!d->decided)
			decide_bind(d);
		if (d->verdict.error || registry_turn_stands(&session.registry, &d->turn))
			return;
		registry_abandon(&session.registry, &d->turn);
	}
	d->turn.state = TURN_NONE;
}

static int bind_claim(struct decision *d, const struct address *address)
{
	if (d->claim.port == 0)
		return bind_any(d, address);
	d->bucket = claim_bucket(d->claim.protocol, d->claim.port);
	if (session.remembers)
		unseen_remember(d->claim.protocol, d->claim.port);
	take_turn(d);
	if (d->verdict.error == 0)
		return allowed(d, address);
	if (d->verdict.flags & VERDICT_BINDS) {
		if (host_bind(d, address) == 0)
			bound(d);
		else
			registry_abandon(&session.registry, &d->turn);
		return refuse(d);
	}
	return refused(d, address);
}

/* Where rules ask who the caller is: NFS and its lock manager are reserved, too (illumos). */
static bool is_reserved(const struct sockaddr_storage *address, socklen_t length)
{
	uint16_t port = ntohs(((const struct sockaddr_in *)address)->sin_port); /* at the same place in both sockaddrs */
	return length >= offsetof(struct sockaddr_in, sin_addr) && (port < IPPORT_RESERVED || port == 2049 || port == 4045);
}

static bool is_left_to_host(uint8_t domain, const struct sockaddr_storage *address, socklen_t length)
{
	return session.mirror && session.asks & LEAVES_IPV4 && domain == AF_INET && address->ss_family == AF_INET &&
	       length >= sizeof(struct sockaddr_in) && !is_reserved(address, length);
}

/* What the profile says before it looks at any holder; the address it reads may not be the one given. */
static bool before(struct decision *d, struct sockaddr_storage *copy, struct address *address)
{
	struct sockaddr_storage rewritten;
	uint32_t length;
	struct holder self;
	bool known = d->slot->record && registry_get(&session.registry, d->slot->record, &self);
	address_parse(d->claim.domain, copy, address->length, &d->claim);
	struct question question = claim_question(d);
	question.address = (const void *)copy;
	question.length = address->length;
	question.uid = d->caller = is_reserved(copy, address->length) ? ask_caller() : 0;
	question.self = known ? &self : NULL;
	bool decided = claim_before(d, &question, &rewritten, &length);
	if (length) {
		*copy = rewritten;
		*address = (struct address){ (const struct sockaddr *)copy, length };
	}
	return decided;
}

int engine_bind(int fd, const struct sockaddr *given, socklen_t length)
{
	struct sockaddr_storage copy;
	struct slot own, *slot;
	struct address address = { given, length };
	struct decision d;
	if (!session.profile || !slot_identify(fd, &own, &slot))
		return real.bind(fd, given, length);
	if (!claim_copy(given, length, &copy))
		return claim_host_answer(CALL_BIND, real.bind(fd, given, length));
	/* A full slot may be stale: the number was closed behind our back and used again. */
	if (session.mirror && slot->record && !slot_fits(fd, slot) && !slot_refresh(fd, &own, &slot))
		return real.bind(fd, given, length);
	claim_socket(&d, CALL_BIND, fd, slot);
	d.met = true;
	d.apart = session.stricter;
	claim_user(&d, is_reserved(&copy, length));
	if (slot->record && session.as_host)
		return bind_again(&d, &address);
	d.decided = !session.as_host && !is_left_to_host(slot->domain, &copy, length) && before(&d, &copy, &address);
	if (d.decided && d.verdict.error && !(d.verdict.flags & VERDICT_BINDS))
		return d.verdict.flags & VERDICT_LOCAL ? refuse_local(&d) : refuse(&d);
	if (slot->record && session.profile->trait[trait_host] == host_mirror)
		return bind_again(&d, &address);
	if (!address_parse(slot->domain, &copy, address.length, &d.claim))
		return claim_host_answer(CALL_BIND, real.bind(fd, given, length));
	return bind_claim(&d, &address);
}

/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "../host/ask.h"
#include "../host/permit.h"
#include "../host/real.h"
#include "claim.h"
#include "engine.h"
#include "session.h"

static const struct rule rule_not_asked = { "ok/not-judged", "the registry had no room or no time for it", NULL, NULL };

struct address {
	const struct sockaddr *given;
	socklen_t length;
};

/* The host's bind, made so that what the profile allows is allowed. */
static int host_bind(struct decision *d, const struct address *address)
{
	if (!session.mirror)
		return permit_bind(d->fd, &d->claim, address->given, address->length, session.any_address, &d->plain);
	d->plain = !(d->claim.options & (OPTION_REUSEADDR | OPTION_REUSEPORT));
	return real.bind(d->fd, address->given, address->length);
}

/* One IPv6 address that is no IPv4 one: the bind made the socket v6only (net/ipv6/af_inet6.c __inet6_bind()). */
static bool became_v6only(const struct holder *claim)
{
	struct in6_addr address;
	memcpy(&address, claim->address, sizeof address);
	return claim->domain == AF_INET6 && !IN6_IS_ADDR_UNSPECIFIED(&address) && !IN6_IS_ADDR_V4MAPPED(&address);
}

static void bound(struct decision *d)
{
	decide_sweep(d);
	if (became_v6only(&d->claim))
		d->claim.options |= OPTION_V6ONLY;
	d->claim.state = STATE_BOUND;
	d->slot->record = registry_commit(&session.registry, &d->turn, &d->claim, d->verdict.memory, d->verdict.memory_flags);
	claim_anchor(&d->claim, claim_bucket(PROTOCOL_UDP, 0));
}

/* The rules refuse.  The host is asked all the same, with its options off: errors of the arguments come
 * before a conflict, and it knows them in the right order. */
static int refused(struct decision *d, const struct address *address)
{
	int result = session.mirror ? permit_plain_bind(d->fd, &d->claim, address->given, address->length) : -1;
	if (result == 0) {
		bound(d); /* the holder left just now */
		return 0;
	}
	registry_abandon(&session.registry, &d->turn);
	if (session.mirror && errno != EADDRINUSE)
		return -1;
	return refuse(d);
}

/* Only doubtful holders stand against it.  A plain bind that succeeds proves them gone. */
static bool probed(struct decision *d, const struct address *address)
{
	if (session.mirror)
		d->plain = permit_plain_bind(d->fd, &d->claim, address->given, address->length) == 0;
	else if ((d->plain = real.bind(d->fd, address->given, address->length) == 0))
		permit_reuse(d->fd, &d->claim);
	d->probe = false;
	if (!d->plain)
		decide(d);
	return d->plain;
}

static int allowed(struct decision *d, const struct address *address)
{
	int saved = errno;
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
	decide_host_refused(d, error);
	return refuse(d);
}

/* The host has bound it: to what, only the host can say.  False: to no port (IP_BIND_ADDRESS_NO_PORT). */
static bool learn_port(struct decision *d)
{
	if (ask_name(d->fd, &d->claim) < 0 || d->claim.port == 0)
		return false;
	d->bucket = claim_bucket(d->claim.protocol, d->claim.port);
	registry_claim(&session.registry, d->bucket, &d->claim, &d->turn);
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
static int bind_any(struct decision *d, const struct address *address, bool decided)
{
	int saved = errno;
	if (!decided && refuses_any_port(d))
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
static void take_turn(struct decision *d, bool decided)
{
	for (int tries = 0; tries < 3; tries++) {
		registry_claim(&session.registry, d->bucket, &d->claim, &d->turn);
		if (d->turn.state == TURN_NONE) {
			d->verdict.rule = &rule_not_asked;
			return;
		}
		if (!decided)
			decide_bind(d);
		if (d->verdict.error || registry_turn_stands(&session.registry, &d->turn))
			return;
		registry_abandon(&session.registry, &d->turn);
	}
	d->turn.state = TURN_NONE;
}

static int bind_claim(struct decision *d, const struct address *address, bool decided)
{
	if (d->claim.port == 0)
		return bind_any(d, address, decided);
	d->bucket = claim_bucket(d->claim.protocol, d->claim.port);
	take_turn(d, decided);
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

/* What the profile says before it looks at any holder; the address it reads may not be the one given. */
static bool before(struct decision *d, struct sockaddr_storage *copy, struct address *address)
{
	struct sockaddr_storage rewritten;
	uint32_t length;
	const struct question question = {
		.call = CALL_BIND, .profile = session.profile, .domain = d->claim.domain, .protocol = d->claim.protocol,
		.state = claim_state(d->slot), .options = d->claim.options,
		.address = (const void *)copy, .length = address->length,
	};
	address_parse(d->claim.domain, copy, address->length, &d->claim);
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
	struct decision d = { .met = true };
	if (!session.profile || !slot_identify(fd, &own, &slot))
		return real.bind(fd, given, length);
	if (!claim_copy(given, length, &copy))
		return claim_host_answer(CALL_BIND, real.bind(fd, given, length));
	/* A full slot may be stale: the number was closed behind our back and used again. */
	if (session.mirror && slot->record && slot->cookie != ask_cookie(fd) && !slot_refresh(fd, &own, &slot))
		return real.bind(fd, given, length);
	claim_socket(&d, CALL_BIND, fd, slot);
	if (slot->record && session.mirror)
		return bind_again(&d, &address);
	bool decided = !session.mirror && before(&d, &copy, &address);
	if (decided && d.verdict.error && !(d.verdict.flags & VERDICT_BINDS))
		return refuse(&d);
	if (!address_parse(slot->domain, &copy, address.length, &d.claim))
		return claim_host_answer(CALL_BIND, real.bind(fd, given, length));
	return bind_claim(&d, &address, decided);
}

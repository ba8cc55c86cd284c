/* SPDX-License-Identifier: MIT */
/*
 * Linux, as in 6.18.  TCP: net/ipv4/inet_connection_sock.c; UDP: net/ipv4/udp.c.
 *
 * Both decide by pairs of sockets.  TCP asks every socket of the port, listen() asks again, and one
 * remembered claim may let a socket in unasked.  UDP asks one socket only: the first it visits.
 */
#include "rules.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#define PAIR "net/ipv4/inet_connection_sock.c inet_bind_conflict(), 6.18"

/* memory.flags.  tb->fastreuseport is FASTREUSEPORT_STRICT: reuseport is remembered for one address. */
#define REMEMBERS_REUSEPORT 0x1u

/* judgement.scratch */
#define SHARES_REUSEADDR 0x1u
#define SHARES_REUSEPORT 0x2u
#define OVERRULED 0x4u /* UDP: somebody who objects was not the one to ask */
#define ONE_SOCKET 0x100u /* the rest counts the sockets of the port, overlapping or not */

enum objection {
	OBJECTION_NONE,
	OBJECTION_LISTENS,
	OBJECTION_USER,
	OBJECTION_GROUP,
	OBJECTION_CLAIM_REUSEADDR,
	OBJECTION_HOLDER_REUSEADDR,
	OBJECTION_CLAIM_TIME_WAIT,
	OBJECTION_HOLDER_TIME_WAIT
};

/* The same objection to a bind() and to a listen(). */
#define CONFLICT(id, because, remedy) { { "conflict/" id, because, remedy, PAIR }, { "listen/" id, because, remedy, PAIR } }

static const struct rule conflicts[][2] = {
	[OBJECTION_LISTENS] = CONFLICT("holder-listens",
		"a listener never shares by SO_REUSEADDR alone",
		"both sockets had SO_REUSEPORT and the same user"),
	[OBJECTION_USER] = CONFLICT("other-user",
		"it belongs to another user, and SO_REUSEPORT shares with the same user only",
		"both sockets belonged to the same user"),
	[OBJECTION_GROUP] = CONFLICT("reuseport-group",
		"it has a group already, and this socket brings one of its own (SO_ATTACH_REUSEPORT_*)",
		"the program were attached after the bind, or to the first socket"),
	[OBJECTION_CLAIM_REUSEADDR] = CONFLICT("no-reuseaddr",
		"the addresses overlap, and this socket lacks SO_REUSEADDR",
		"both sockets had SO_REUSEADDR"),
	[OBJECTION_HOLDER_REUSEADDR] = CONFLICT("holder-no-reuseaddr",
		"the addresses overlap, and that socket lacks SO_REUSEADDR",
		"the holder had SO_REUSEADDR too"),
	[OBJECTION_CLAIM_TIME_WAIT] = CONFLICT("time-wait",
		"this socket lacks SO_REUSEADDR",
		"this socket and the one that was closed had SO_REUSEADDR"),
	[OBJECTION_HOLDER_TIME_WAIT] = CONFLICT("holder-time-wait",
		"the socket was closed without SO_REUSEADDR",
		"SO_REUSEADDR had been set before the connection came in"),
};

static const struct rule ok_free = { "ok/free", "no socket overlaps", NULL, PAIR };
static const struct rule ok_reuseaddr = { "ok/reuseaddr", "every overlapping socket has SO_REUSEADDR, and none listens", NULL, PAIR };
static const struct rule ok_reuseport = { "ok/reuseport", "every overlapping socket has SO_REUSEPORT and the same user", NULL, PAIR };
static const struct rule ok_remembered = { "ok/reuseport-remembered",
	"the port remembers a SO_REUSEPORT claim of this user to the same address or to all, and nobody was asked", NULL,
	"net/ipv4/inet_connection_sock.c sk_reuseport_match(), inet_csk_update_fastreuse(), 6.18" };
static const struct rule ok_first_owner = { "ok/first-udp-owner",
	"only the first overlapping socket was asked, and it shares by SO_REUSEPORT", NULL,
	"net/ipv4/udp.c udp_lib_lport_inuse(), 6.18" };

/* ---- addresses ---- */

static bool has(const struct holder *holder, uint32_t option)
{
	return holder->options & option;
}

static bool is_mapped(const struct holder *holder)
{
	static const uint8_t prefix[12] = { [10] = 0xff, 0xff };

	return holder->domain == AF_INET || !memcmp(holder->address, prefix, sizeof prefix);
}

/* sk_rcv_saddr, which an IPv6 socket has too: its own IPv4 part, or LOOPBACK4_IPV6 (net/ipv6/af_inet6.c,
 * include/net/ipv6.h, 6.18) */
static uint32_t address4(const struct holder *holder)
{
	uint32_t address;

	if (holder->domain == AF_INET6 && address_is_any(holder))
		return 0;
	if (!is_mapped(holder))
		return htonl(0x7f000006);
	memcpy(&address, holder->address + (holder->domain == AF_INET ? 0 : 12), 4);
	return address;
}

static bool is_specific(const struct holder *holder)
{
	return address4(holder);
}

/* A bind to one IPv6 address makes the socket v6only (net/ipv6/af_inet6.c __inet6_bind(), 6.18).  The
 * children of a wildcard listener have one address as well, and keep the listener's option. */
static bool is_v6only(const struct holder *holder)
{
	if (holder->domain == AF_INET)
		return false;
	if (has(holder, OPTION_V6ONLY))
		return true;
	return holder->state < STATE_CONNECTED && !is_mapped(holder) && !address_is_any(holder);
}

/* inet_rcv_saddr_equal(): `wild` tells whether b's wildcard covers a; a's always covers b. */
static bool addresses_meet(const struct holder *a, const struct holder *b, bool wild)
{
	bool any_a = address_is_any(a), any_b = address_is_any(b);

	if (a->domain == AF_INET || (is_mapped(a) && is_mapped(b))) {
		uint32_t a4 = address4(a), b4 = address4(b);

		return !is_v6only(b) && (a4 == b4 || !a4 || (wild && !b4));
	}
	if (any_b && b->domain == AF_INET6 && (wild || any_a) && !(is_v6only(b) && is_mapped(a)))
		return true;
	if (any_a && !(is_v6only(a) && is_mapped(b)))
		return true;
	return b->domain == AF_INET6 && !memcmp(a->address, b->address, 16);
}

bool linux_overlaps(const struct holder *claim, const struct holder *other)
{
	bool device = !claim->ifindex || !other->ifindex || claim->ifindex == other->ifindex;

	return device && addresses_meet(claim, other, true);
}

/* ---- pairs ---- */

static enum objection objection(const struct holder *claim, const struct holder *holder)
{
	bool time_wait = holder->state == STATE_TIME_WAIT;
	uint32_t both = claim->options & holder->options;

	if ((both & OPTION_REUSEADDR) && holder->state != STATE_LISTENING)
		return OBJECTION_NONE;
	if (both & OPTION_REUSEPORT) {
		if (has(claim, OPTION_GROUP))
			return OBJECTION_GROUP;
		return time_wait || claim->uid == holder->uid ? OBJECTION_NONE : OBJECTION_USER;
	}
	if (holder->state == STATE_LISTENING)
		return OBJECTION_LISTENS;
	if (has(claim, OPTION_REUSEADDR))
		return time_wait ? OBJECTION_HOLDER_TIME_WAIT : OBJECTION_HOLDER_REUSEADDR;
	return time_wait ? OBJECTION_CLAIM_TIME_WAIT : OBJECTION_CLAIM_REUSEADDR;
}

static void note_sharing(struct judgement *judgement, const struct holder *holder)
{
	bool reuseaddr = (judgement->claim.options & holder->options & OPTION_REUSEADDR) && holder->state != STATE_LISTENING;

	judgement->scratch |= reuseaddr ? SHARES_REUSEADDR : SHARES_REUSEPORT;
}

static void refuse(const struct judgement *judgement, const struct holder *blame, struct verdict *verdict)
{
	verdict->error = EADDRINUSE;
	verdict->rule = &conflicts[objection(&judgement->claim, blame)][judgement->call == CALL_LISTEN];
	verdict->blamed = true;
	verdict->holder = *blame;
}

static const struct rule *why_ok(const struct judgement *judgement)
{
	if (judgement->scratch & SHARES_REUSEPORT)
		return &ok_reuseport;
	return judgement->scratch & SHARES_REUSEADDR ? &ok_reuseaddr : &ok_free;
}

/* ---- TCP ---- */

/* Whom to name of several: a listener, and of equals the latest, whatever the order of asking. */
static uint64_t blame_rank(const struct holder *holder)
{
	return (uint64_t)(holder->state == STATE_LISTENING) << 63 | holder->order;
}

/* A claim to one address asks the sockets of that address and of the wildcards only (inet_bhash2_conflict(),
 * inet_bhash2_addr_any_conflict(), 6.18): 127.0.0.6 does not meet the IPv6 sockets it stands for. */
static bool is_asked(const struct holder *claim, const struct holder *holder)
{
	return !is_specific(claim) || !is_specific(holder) || is_mapped(claim) == is_mapped(holder);
}

static void tcp_holder(struct judgement *judgement, const struct holder *holder)
{
	if (!is_asked(&judgement->claim, holder))
		return;
	if (!objection(&judgement->claim, holder)) {
		note_sharing(judgement, holder);
		return;
	}
	if (judgement->refused && blame_rank(holder) <= judgement->decider)
		return;
	judgement->refused = true;
	judgement->decider = blame_rank(holder);
	judgement->blame = *holder;
}

/* sk_reuseport_match(): devices are not looked at. */
static bool is_remembered(const struct judgement *judgement)
{
	const struct holder *claim = &judgement->claim, *source = judgement->memory.source;

	return (judgement->memory.flags & REMEMBERS_REUSEPORT) && source &&
		has(claim, OPTION_REUSEPORT) && !has(claim, OPTION_GROUP) &&
		claim->uid == source->uid && addresses_meet(source, claim, false);
}

/*
 * inet_csk_update_fastreuse().  fastreuse itself never becomes true from 6.8 on: the address bucket is
 * linked before the port is found to be empty, so no socket is ever the first.
 */
static void tcp_remember(const struct judgement *judgement, bool remembered, struct verdict *verdict)
{
	if (!has(&judgement->claim, OPTION_REUSEPORT)) {
		verdict->memory = MEMORY_FORGET;
	} else if (!remembered) {
		verdict->memory = MEMORY_CLAIM;
		verdict->memory_flags = REMEMBERS_REUSEPORT;
	}
}

static void tcp_end(const struct judgement *judgement, struct verdict *verdict)
{
	bool remembered = is_remembered(judgement);

	if (judgement->refused && !remembered) {
		refuse(judgement, &judgement->blame, verdict);
		return;
	}
	verdict->rule = judgement->refused ? &ok_remembered : why_ok(judgement);
	tcp_remember(judgement, remembered, verdict);
}

/* ---- UDP ---- */

/* Newest first, then those at the tail in the order of their binds (include/net/sock.h sk_add_node_rcu(), 6.18). */
static uint64_t visit_rank(const struct holder *holder)
{
	const uint64_t head = UINT64_C(1) << 63;

	return has(holder, OPTION_TAIL) ? head - 1 - holder->order : head | holder->order;
}

/* decider, blame: first of the claim's own address, if it has one; decider2, blame2: first of the others. */
static void udp_holder(struct judgement *judgement, const struct holder *holder)
{
	bool own = is_specific(&judgement->claim) && is_specific(holder);
	uint64_t *decider = own ? &judgement->decider : &judgement->decider2;

	if (judgement->claim.options & holder->options & OPTION_REUSEADDR) {
		note_sharing(judgement, holder);
		return;
	}
	if (objection(&judgement->claim, holder))
		judgement->scratch |= OVERRULED;
	else
		note_sharing(judgement, holder);
	if (visit_rank(holder) <= *decider)
		return;
	*decider = visit_rank(holder);
	*(own ? &judgement->blame : &judgement->blame2) = *holder;
}

/* More than ten sockets in the port's hash slot: a claim to one address asks the first of that address and
 * the first of the wildcards.  Not told: the slot may hold sockets of other ports, and a wildcard socket that
 * connected since has moved to the head of its new address (udp_lib_rehash()). */
static const struct holder *udp_refuser(const struct judgement *judgement)
{
	const struct holder *claim = &judgement->claim;
	bool own = judgement->decider && objection(claim, &judgement->blame);
	bool other = judgement->decider2 && objection(claim, &judgement->blame2);
	bool crowded = judgement->scratch / ONE_SOCKET > 10;

	if (own && (crowded || judgement->decider > judgement->decider2))
		return &judgement->blame;
	if (other && (crowded || judgement->decider2 > judgement->decider))
		return &judgement->blame2;
	return NULL;
}

static void udp_end(const struct judgement *judgement, struct verdict *verdict)
{
	const struct holder *refuser = udp_refuser(judgement);

	if (refuser)
		refuse(judgement, refuser, verdict);
	else
		verdict->rule = judgement->scratch & OVERRULED ? &ok_first_owner : why_ok(judgement);
}

/* ---- the family ---- */

static uint32_t linux_bucket(const struct profile *profile, enum protocol protocol, uint16_t port)
{
	(void)profile;
	return port + (protocol == PROTOCOL_UDP ? 65536u : 0);
}

/* The host is Linux: it gives every error of the arguments itself, in the right order. */
static bool linux_before(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	(void)question, (void)verdict, (void)to, (void)to_length;
	return false;
}

static void linux_holder(struct judgement *judgement, const struct holder *holder)
{
	const struct holder *claim = &judgement->claim;

	if (holder->protocol != claim->protocol || holder->port != claim->port)
		return;
	judgement->scratch += ONE_SOCKET;
	if (!linux_overlaps(claim, holder))
		return;
	if (claim->protocol == PROTOCOL_UDP)
		udp_holder(judgement, holder);
	else
		tcp_holder(judgement, holder);
}

static void linux_end(struct judgement *judgement, struct verdict *verdict)
{
	if (judgement->claim.protocol == PROTOCOL_UDP)
		udp_end(judgement, verdict);
	else
		tcp_end(judgement, verdict);
}

static void linux_option(const struct option_question *question, struct option_answer *answer)
{
	(void)question;
	*answer = (struct option_answer){ .passes = true };
}

static int linux_error(const struct profile *profile, enum call call, int host_errno)
{
	(void)profile, (void)call;
	return host_errno;
}

static bool linux_anchors(const struct profile *profile, const struct holder *claim)
{
	(void)profile, (void)claim;
	return false;
}

const struct family family_linux = {
	.name = "linux",
	.bucket = linux_bucket,
	.before = linux_before,
	.holder = linux_holder,
	.end = linux_end,
	.option = linux_option,
	.error = linux_error,
	.anchors = linux_anchors,
};

/* SPDX-License-Identifier: MIT */
/*
 * Linux, 2.6.24 to 6.18.  TCP: net/ipv4/inet_connection_sock.c; UDP: net/ipv4/udp.c.
 *
 * Both decide by pairs of sockets.  TCP asks every socket of the port, listen() asks again, and what the
 * port remembers may let a socket in unasked.  UDP asks one socket only since 4.12: the first it visits.
 * Which sockets are found is linux_address.c, what a port remembers linux_memory.c, and 1.2 a world of its own.
 */
#include "family.h"
#include "linux.h"

#include <errno.h>
#include <netinet/in.h>

#define PAIR "net/ipv4/inet_connection_sock.c inet_bind_conflict(), 6.18"

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
#define CONFLICT(id, because, remedy) \
	{ { "conflict/" id, because, remedy, FOR_PEOPLE(PAIR) }, { "listen/" id, because, remedy, FOR_PEOPLE(PAIR) } }

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

/* A port the system tries of its own accord (fakebind play; the host does it for itself). */
static const struct rule port_taken = { "port/taken", "an automatic port is shared with nobody", NULL,
	FOR_PEOPLE("net/ipv4/inet_connection_sock.c inet_csk_find_open_port(), inet_hashtables.c __inet_hash_connect(), 6.18") };
static const struct rule ok_free = { "ok/free", "no socket overlaps", NULL, FOR_PEOPLE(PAIR) };
static const struct rule ok_reuseaddr = { "ok/reuseaddr", "every overlapping socket has SO_REUSEADDR, and none listens", NULL, FOR_PEOPLE(PAIR) };
static const struct rule ok_reuseport = { "ok/reuseport", "every overlapping socket has SO_REUSEPORT and the same user", NULL, FOR_PEOPLE(PAIR) };
static const struct rule ok_remembered = { "ok/reuseport-remembered",
	"the port remembers a SO_REUSEPORT claim of this user to the same address or to all, and nobody was asked", NULL,
	FOR_PEOPLE("net/ipv4/inet_connection_sock.c sk_reuseport_match(), inet_csk_update_fastreuse(), 6.18") };
static const struct rule ok_remembered_reuseaddr = { "ok/reuseaddr-remembered",
	"the port remembers that its sockets had SO_REUSEADDR when they were bound, and nobody was asked", NULL,
	FOR_PEOPLE("net/ipv4/inet_connection_sock.c inet_csk_get_port(), tb->fastreuse, 2.6.24 to 6.7") };
static const struct rule ok_unseen = { "ok/not-found",
	"an overlapping socket is not found by the address looked up", NULL,
	FOR_PEOPLE("net/ipv4/inet_hashtables.c inet_bind2_bucket_match_addr_any(), inet_bind2_bucket_addr_match(), 6.1 to 6.8") };
static const struct rule ok_crowd = { "ok/crowded-port",
	"the port's hash slot has more than ten UDP sockets: a bind to all addresses asks only others to all addresses", NULL,
	FOR_PEOPLE("net/ipv4/udp.c udp_lib_get_port(), 3.6 to 6.18.15") };
static const struct rule ok_first_owner = { "ok/first-udp-owner",
	"only the first overlapping socket was asked, and it shares by SO_REUSEPORT", NULL,
	FOR_PEOPLE("net/ipv4/udp.c udp_lib_lport_inuse(), 6.18") };

/* ---- pairs ---- */

/* Up to 6.8 a child that nobody accepted counts as root's (net/core/sock.c sock_i_uid(), 6.8). */
static bool is_same_user(const struct judgement *judgement, const struct holder *holder)
{
	bool of_root = has(holder, OPTION_ORPHAN) && judgement->profile->trait[trait_orphan_uid] == orphan_uid_root;

	return judgement->claim.uid == (of_root ? 0 : holder->uid);
}

static enum objection objection(const struct judgement *judgement, const struct holder *holder)
{
	const struct holder *claim = &judgement->claim;
	bool time_wait = holder->state == STATE_TIME_WAIT;
	uint32_t both = claim->options & holder->options;

	if ((both & OPTION_REUSEADDR) && holder->state != STATE_LISTENING)
		return OBJECTION_NONE;
	if (both & OPTION_REUSEPORT) {
		if (has(claim, OPTION_GROUP))
			return OBJECTION_GROUP;
		return time_wait || is_same_user(judgement, holder) ? OBJECTION_NONE : OBJECTION_USER;
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
	verdict->rule = &conflicts[objection(judgement, blame)][judgement->call == CALL_LISTEN];
	verdict->blamed = true;
	verdict->holder = *blame;
}

static const struct rule *why_ok(const struct judgement *judgement)
{
	if (judgement->scratch & UNSEEN)
		return &ok_unseen;
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

static void blame_tcp(const struct holder *holder, bool *refused, struct holder *blame)
{
	if (*refused && blame_rank(holder) <= blame_rank(blame))
		return;
	*refused = true;
	*blame = *holder;
}

/* A mapped claim is taken to meet even a v6only :: that its list lookup comes by (__inet_bhash2_conflict(), 6.8). */
static bool meets_in_list(const struct judgement *judgement, enum linux_list list, const struct holder *holder)
{
	bool blind = judgement->profile->trait[trait_address_lookup] == address_lookup_linux_6_8 && judgement->claim.domain == AF_INET6;

	return (blind && list == LIST_ANY6) || linux_overlaps_as(judgement->profile, &judgement->claim, holder);
}

/* 127.0.0.6 misses nobody but sockets that it only stands for, and that is right. */
static void note_unseen(struct judgement *judgement, const struct holder *holder)
{
	bool right = judgement->profile->trait[trait_address_lookup] == address_lookup_linux_6_9;

	if (!right && linux_overlaps(&judgement->claim, holder) && objection(judgement, holder))
		judgement->scratch |= UNSEEN;
}

static void tcp_holder(struct judgement *judgement, const struct holder *holder)
{
	enum linux_list number = linux_lookup(judgement, holder);
	struct wildcard_list *list = &judgement->list[number == LIST_ANY6];

	judgement->scratch |= linux_is_any4(holder) ? MEETS_ANY4 : linux_is_specific(holder) ? 0 : MEETS_ANY6;
	if (number == LIST_NONE) {
		note_unseen(judgement, holder);
		return;
	}
	list->met |= number != LIST_OWN;
	if (!meets_in_list(judgement, number, holder))
		return;
	if (!objection(judgement, holder))
		note_sharing(judgement, holder);
	else if (number == LIST_OWN)
		blame_tcp(holder, &judgement->refused, &judgement->blame);
	else
		blame_tcp(holder, &list->refused, &list->blame);
}

static void meet_list(struct judgement *judgement, const struct wildcard_list *list, bool met)
{
	if (!list->refused)
		return;
	if (met)
		blame_tcp(&list->blame, &judgement->refused, &judgement->blame);
	else
		judgement->scratch |= UNSEEN;
}

/* The list begun last is met first, and nobody looks at the other. */
static void tcp_wildcards(struct judgement *judgement)
{
	bool second = judgement->list[1].met && (!judgement->list[0].met || linux_remembers_list(judgement));

	meet_list(judgement, &judgement->list[0], !second);
	meet_list(judgement, &judgement->list[1], second);
}

static void tcp_automatic(struct judgement *judgement, struct verdict *verdict)
{
	verdict->rule = judgement->refused ? &port_taken : &ok_free;
	verdict->error = judgement->refused ? EADDRINUSE : 0;
	if (!judgement->refused && judgement->call != CALL_CONNECT)
		linux_remember(judgement, false, verdict);
}

static void tcp_end(struct judgement *judgement, struct verdict *verdict)
{
	bool reuseaddr = linux_remembers_reuseaddr(judgement), unasked = reuseaddr || linux_remembers_reuseport(judgement);

	tcp_wildcards(judgement);
	if (judgement->refused && !unasked) {
		refuse(judgement, &judgement->blame, verdict);
		return;
	}
	verdict->rule = why_ok(judgement);
	if (judgement->refused)
		verdict->rule = reuseaddr ? &ok_remembered_reuseaddr : &ok_remembered;
	linux_remember(judgement, unasked, verdict);
}

/* ---- UDP ---- */

/* Newest first, then those at the tail in the order of their binds (include/net/sock.h sk_add_node_rcu(), 6.18). */
static uint64_t visit_rank(const struct holder *holder)
{
	const uint64_t head = UINT64_C(1) << 63;

	return has(holder, OPTION_TAIL) ? head - 1 - holder->order : head | holder->order;
}

/* Which of two sockets that are not of the sort that shares is asked: the first that is met, or the one that objects. */
static uint64_t ask_rank(const struct judgement *judgement, const struct holder *holder)
{
	if (judgement->profile->trait[trait_udp_scan] == udp_scan_all_sockets && !objection(judgement, holder))
		return 0;
	return visit_rank(holder);
}

/* decider, blame: first to be asked of those with one address; decider2, blame2: of the wildcards. */
static void udp_holder(struct judgement *judgement, const struct holder *holder)
{
	bool own = linux_is_specific(holder);
	uint64_t *decider = own ? &judgement->decider : &judgement->decider2;

	if (judgement->claim.options & holder->options & OPTION_REUSEADDR) {
		note_sharing(judgement, holder);
		return;
	}
	if (objection(judgement, holder))
		judgement->scratch |= OVERRULED;
	else
		note_sharing(judgement, holder);
	if (ask_rank(judgement, holder) <= *decider)
		return;
	*decider = ask_rank(judgement, holder);
	*(own ? &judgement->blame : &judgement->blame2) = *holder;
}

/*
 * More than ten sockets in the port's hash slot: a claim to one address asks the first of that address and the
 * first of the wildcards; up to 6.8 a claim to all addresses asks the first of the wildcards alone.  Not told: the
 * slot may hold sockets of other ports, and a wildcard socket that connected since has moved to the head of its new
 * address (udp_lib_rehash()).
 */
static const struct holder *udp_refuser(const struct judgement *judgement)
{
	bool own = judgement->decider && objection(judgement, &judgement->blame);
	bool other = judgement->decider2 && objection(judgement, &judgement->blame2);
	uint32_t crowd = judgement->scratch / ONE_SOCKET > 10 ? judgement->profile->trait[trait_udp_crowd] : udp_crowd_no_matter;
	bool specific = linux_is_specific(&judgement->claim), apart = specific && crowd != udp_crowd_no_matter;

	if (!specific && crowd == udp_crowd_any_claim)
		return other ? &judgement->blame2 : NULL;
	if (own && (apart || judgement->decider > judgement->decider2))
		return &judgement->blame;
	if (other && (apart || judgement->decider2 > judgement->decider))
		return &judgement->blame2;
	return NULL;
}

static const struct rule *why_udp_ok(const struct judgement *judgement)
{
	if (!(judgement->scratch & OVERRULED))
		return why_ok(judgement);
	return judgement->profile->trait[trait_udp_scan] == udp_scan_all_sockets ? &ok_crowd : &ok_first_owner;
}

static void udp_end(const struct judgement *judgement, struct verdict *verdict)
{
	const struct holder *refuser = udp_refuser(judgement);

	if (refuser)
		refuse(judgement, refuser, verdict);
	else
		verdict->rule = why_udp_ok(judgement);
}

/* ---- the family ---- */

static uint32_t linux_bucket(const struct profile *profile, enum protocol protocol, uint16_t port)
{
	(void)profile;
	return port + (protocol == PROTOCOL_UDP ? 65536u : 0);
}

/* The host is Linux: it gives almost every error of the arguments itself, in the right order. */
static bool linux_before(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	struct question read = *question;

	if (is_1_2(question->profile))
		return linux_1_2_before(question, verdict, to, to_length);
	if (linux_before_version(question, verdict, to, to_length))
		return true;
	if (*to_length)
		read.address = (const uint8_t *)to;
	return IS_ALONE(question) && linux_before_alone(&read, verdict, to, to_length);
}

/* bind() takes a port where nobody overlaps, connect() one where all others came by connect() too. */
static void automatic_holder(struct judgement *judgement, const struct holder *holder)
{
	if (judgement->call == CALL_CONNECT)
		judgement->refused |= !has(holder, OPTION_CLIENT);
	else
		judgement->refused |= linux_overlaps_as(judgement->profile, &judgement->claim, holder);
}

static void linux_holder(struct judgement *judgement, const struct holder *holder)
{
	const struct holder *claim = &judgement->claim;

	if (holder->protocol != claim->protocol || holder->port != claim->port)
		return;
	judgement->scratch += ONE_SOCKET;
	if (is_1_2(judgement->profile))
		linux_1_2_holder(judgement, holder);
	else if (claim->protocol == PROTOCOL_TCP && judgement->automatic)
		automatic_holder(judgement, holder);
	else if (claim->protocol == PROTOCOL_TCP)
		tcp_holder(judgement, holder);
	else if (linux_overlaps_as(judgement->profile, claim, holder))
		udp_holder(judgement, holder);
}

static void linux_end(struct judgement *judgement, struct verdict *verdict)
{
	if (is_1_2(judgement->profile))
		linux_1_2_end(judgement, verdict);
	else if (judgement->claim.protocol == PROTOCOL_UDP)
		udp_end(judgement, verdict);
	else if (judgement->automatic)
		tcp_automatic(judgement, verdict);
	else
		tcp_end(judgement, verdict);
}

static void linux_option(const struct option_question *question, struct option_answer *answer)
{
	*answer = (struct option_answer){ .passes = true };
	if (linux_option_version(question, answer) || !IS_ALONE(question))
		return;
	if (is_1_2(question->profile))
		linux_1_2_option_alone(question, answer);
	else
		linux_option_alone(question, answer);
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

static uint32_t linux_inherited(const struct profile *profile, uint32_t listener_options)
{
	(void)profile;
	return listener_options & (OPTION_REUSEADDR | OPTION_REUSEPORT | OPTION_V6ONLY);
}

static enum state linux_released(const struct profile *profile, const struct holder *holder, bool active, uint32_t *milliseconds)
{
	(void)profile, (void)holder;
	*milliseconds = 60000; /* TCP_TIMEWAIT_LEN: net/inet/tcp.h, 1.2.13; include/net/tcp.h, 2.6.24 to 6.18 */
	return active ? STATE_TIME_WAIT : STATE_UNBOUND;
}

static uint32_t linux_asks(const struct profile *profile)
{
	if (is_1_2(profile))
		return ASKS_UNSEEN | ASKS_STATE | ASKS_SOCKET;
	return ASKS_UNSEEN | ENDS_AS_LINUX | LEAVES_IPV4 | (profile->trait[trait_ipv6_rules] == ipv6_rules_linux_2_6_24 ? ASKS_STATE : 0);
}

const struct family family_linux = {
	.name = "linux",
	.asks = linux_asks,
	.bucket = linux_bucket,
	.before = linux_before,
	.holder = linux_holder,
	.end = linux_end,
	.option = linux_option,
	.error = linux_error,
	.inherited = linux_inherited,
	.released = linux_released,
	.first = linux_first,
	.listens = linux_listens,
	.anchors = linux_anchors,
	.bound = linux_bound,
	.source = ALONE_ONLY(linux_source),
	.port = ALONE_ONLY(linux_port),
	.event = linux_event,
};

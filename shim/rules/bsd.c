/* SPDX-License-Identifier: MIT */
/*
 * The BSDs and macOS: who may bind a port.  sys/netinet/in_pcb.c in_pcbbind(), in_pcblookup_local() and
 * sys/netinet6/in6_pcb.c in6_pcbbind(), in6_pcblookup_local(), by whatever name they go.
 *
 * A bind looks for one socket, the best match, and asks only that one.  Without a reuse option it searches
 * widely: a wildcard meets every address, and connections count.  With one it looks for a socket that has
 * exactly its address and no peer.  Both must have SO_REUSEPORT then; the holder's SO_REUSEADDR is never
 * looked at, nor is it whether it listens.  listen() compares with nobody.
 *
 * Another search, always wide, looks for another user's socket.  A socket for IPv4 and IPv6 makes each of the
 * two twice: once among the sockets that IPv6 sees, once among those that IPv4 sees.
 */
#include "bsd.h"
#include "family.h"

#include <errno.h>
#include <netinet/in.h>

#define IN_PCB "netinet/in_pcb.c in_pcbbind(), in_pcblookup_local(), netinet6/in6_pcb.c: 4.4BSD-Lite2, FreeBSD 9.1 to 15, " \
	"DragonFly 5.9, NetBSD 7.99.34, OpenBSD 2025, xnu-7195.141.2 and -11417.101.15"
#define FREEBSD_LB "netinet/in_pcb.c in_pcbbind_setup(), FreeBSD 13.0 to 15"

static const struct rule conflict_no_reuse = {
	"conflict/no-reuse", "the addresses overlap, and this socket has neither SO_REUSEADDR nor SO_REUSEPORT",
	"this socket had SO_REUSEADDR and not the very same address, or both had SO_REUSEPORT", FOR_PEOPLE(IN_PCB),
};
static const struct rule conflict_connection = {
	"conflict/connection", "that connection has the port still, and this socket has neither SO_REUSEADDR nor SO_REUSEPORT",
	"this socket had SO_REUSEADDR", FOR_PEOPLE(IN_PCB),
};
static const struct rule conflict_time_wait = {
	"conflict/time-wait", "this socket has neither SO_REUSEADDR nor SO_REUSEPORT",
	"this socket had SO_REUSEADDR; the closed one need not have had it", FOR_PEOPLE(IN_PCB),
};
static const struct rule conflict_same_address = {
	"conflict/same-address", "it has the very same address, and SO_REUSEADDR never shares that",
	"both sockets had SO_REUSEPORT", FOR_PEOPLE(IN_PCB),
};
static const struct rule conflict_holder_no_reuseport = {
	"conflict/holder-no-reuseport", "it has the very same address, and lacks SO_REUSEPORT",
	"both sockets had SO_REUSEPORT", FOR_PEOPLE(IN_PCB),
};
static const struct rule conflict_reuseport_lb = {
	"conflict/reuseport-lb", "it has the very same address, and SO_REUSEPORT_LB shares with SO_REUSEPORT_LB only",
	"both sockets had SO_REUSEPORT_LB, or both SO_REUSEPORT", FOR_PEOPLE(FREEBSD_LB),
};
static const struct rule conflict_multicast = {
	"conflict/multicast", "it has the same multicast address, and the two have no reuse option in common",
	"both sockets had SO_REUSEADDR, or both SO_REUSEPORT", FOR_PEOPLE(IN_PCB),
};
static const struct rule conflict_other_user = {
	"conflict/other-user", "it belongs to another user, and only root may share with others",
	"both sockets belonged to the same user", FOR_PEOPLE(IN_PCB),
};
static const struct rule port_taken = {
	"port/taken", "an automatic port is shared with nobody", NULL, FOR_PEOPLE("netinet/in_pcb.c in_pcb_lport(), in_pcbsetport(), in_pcbpickport()"),
};
static const struct rule bind_privileged_last = {
	"bind/privileged-last", "ports below 1024 are for root", "the port were 1024 or higher", FOR_PEOPLE("netinet/in_pcb.c in_pcbbind_locked(), OpenBSD 2025"),
};
static const struct rule ok_free = { "ok/free", "no socket overlaps", NULL, FOR_PEOPLE(IN_PCB) };
static const struct rule ok_reuse = { "ok/reuse", "no unconnected socket has the very same address", NULL, FOR_PEOPLE(IN_PCB) };
static const struct rule ok_reuseport = { "ok/reuseport", "the latest socket of that address has SO_REUSEPORT as well", NULL, FOR_PEOPLE(IN_PCB) };
static const struct rule ok_reuseport_lb = { "ok/reuseport-lb", "the latest socket of that address has SO_REUSEPORT_LB as well", NULL, FOR_PEOPLE(FREEBSD_LB) };
static const struct rule ok_multicast = { "ok/multicast", "both have a reuse option, which is enough for a multicast address", NULL, FOR_PEOPLE(IN_PCB) };
static const struct rule ok_both_stacks = { "ok/both-stacks", "a wildcard of IPv4 and one of IPv6 do not conflict in this order", NULL, FOR_PEOPLE(IN_PCB) };
static const struct rule ok_child = {
	"ok/child", "an accepted connection does not keep its port from others", NULL, FOR_PEOPLE("netinet/in_pcb.c in_pcbbind(), SS_ACCEPTMECH, DragonFly 5.9"),
};
static const struct rule ok_listen = { "ok/listen", "listen() compares with nobody", NULL, FOR_PEOPLE("kern/uipc_socket.c solisten(), tcp_usr_listen()") };

/* judgement.scratch */
#define OVERLAPS 0x1u /* somebody does, although not the one who is asked */

/* judgement.found: two searches for the port, the same two for another user's socket */
#define SEARCHES 2

/* ---- who sees whom ---- */

#define SEEN_BY4 0x1u
#define SEEN_BY6 0x2u

static bool has(const struct holder *holder, uint32_t option)
{
	return holder->options & option;
}

static bool is_connected(const struct holder *holder)
{
	return holder->state == STATE_CONNECTED || holder->state == STATE_TIME_WAIT;
}

static bool is_mapped(const struct holder *holder)
{
	return holder->domain == AF_INET6 && bsd_is_mapped(holder->address);
}

static const uint8_t *last_four(const struct holder *holder)
{
	return holder->address + (holder->domain == AF_INET ? 0 : 12);
}

static unsigned seen_by_address(const struct holder *holder)
{
	if (holder->domain == AF_INET || is_mapped(holder))
		return SEEN_BY4;
	if (address_is_any(holder) && !has(holder, OPTION_V6ONLY))
		return SEEN_BY4 | SEEN_BY6;
	return SEEN_BY6;
}

/* inp_vflag.  connect() sets it anew. */
static unsigned seen_by(const struct holder *holder)
{
	if (is_connected(holder) || !(holder->options & (OPTION_SEEN4 | OPTION_SEEN6)))
		return seen_by_address(holder);
	return (has(holder, OPTION_SEEN4) ? SEEN_BY4 : 0) | (has(holder, OPTION_SEEN6) ? SEEN_BY6 : 0);
}

/* ---- the searches ---- */

struct search {
	bool ipv6;           /* among the sockets that IPv6 sees */
	uint8_t address[16]; /* IPv4: the first four bytes */
};

static struct search search4(const uint8_t *address)
{
	struct search search = { .ipv6 = false };

	memcpy(search.address, address, 4);
	return search;
}

static struct search search6(const uint8_t *address)
{
	struct search search = { .ipv6 = true };

	memcpy(search.address, address, 16);
	return search;
}

static struct search search6_mapped(const uint8_t *address)
{
	struct search search = { .ipv6 = true, .address = { [10] = 0xff, [11] = 0xff } };

	memcpy(search.address + 12, address, 4);
	return search;
}

static bool has_both_stacks(const struct profile *profile)
{
	return bsd_is(profile, trait_dual_stack, dual_stack_searched) || bsd_is(profile, trait_dual_stack, dual_stack_marked);
}

/* How many searches a claim makes, and which. */
static unsigned searches_of(const struct judgement *judgement, struct search search[SEARCHES])
{
	static const uint8_t any[4];
	const struct holder *claim = &judgement->claim;
	bool ipv4 = claim->domain == AF_INET || is_mapped(claim);

	search[0] = ipv4 ? search4(last_four(claim)) : search6(claim->address);
	if (bsd_is(judgement->profile, trait_dual_stack, dual_stack_mapped)) {
		search[1] = search6_mapped(last_four(claim));
		return ipv4 ? 2 : 1;
	}
	search[1] = search4(any);
	return has_both_stacks(judgement->profile) && seen_by_address(claim) == (SEEN_BY4 | SEEN_BY6) ? 2 : 1;
}

static bool is_zero(const uint8_t *address, size_t size)
{
	static const uint8_t zero[16];

	return !memcmp(address, zero, size);
}

enum relation { RELATION_NONE, RELATION_WILD, RELATION_SAME };

static enum relation compare(const uint8_t *a, const uint8_t *b, size_t size)
{
	if (!memcmp(a, b, size))
		return RELATION_SAME;
	return is_zero(a, size) || is_zero(b, size) ? RELATION_WILD : RELATION_NONE;
}

/* NetBSD in6_pcblookup_port(): a mapped address is one of its own to every wildcard but ::. */
static enum relation compare_unmapped(const struct search *search, const struct holder *holder)
{
	bool mapped = bsd_is_mapped(search->address);

	if (holder->domain == AF_INET)
		return RELATION_NONE;
	if (mapped && has(holder, OPTION_V6ONLY))
		return RELATION_NONE;
	if (is_mapped(holder))
		return mapped ? compare(search->address + 12, holder->address + 12, 4) : RELATION_NONE;
	return compare(search->address, holder->address, 16);
}

static enum relation relation(const struct profile *profile, const struct search *search, const struct holder *holder)
{
	uint8_t address[16] = { 0 };

	if (bsd_is(profile, trait_dual_stack, dual_stack_mapped)) {
		if (search->ipv6)
			return compare_unmapped(search, holder);
		return holder->domain == AF_INET ? compare(search->address, holder->address, 4) : RELATION_NONE;
	}
	if (!(seen_by(holder) & (search->ipv6 ? SEEN_BY6 : SEEN_BY4)))
		return RELATION_NONE;
	if (!search->ipv6)
		return compare(search->address, last_four(holder), 4);
	/* Stored without its prefix; only a mark makes IPv6 see such a one. */
	memcpy(address + (is_mapped(holder) ? 12 : 0), holder->address + (is_mapped(holder) ? 12 : 0), is_mapped(holder) ? 4 : 16);
	return compare(search->address, address, 16);
}

/* 0: no match; else the smaller the better. */
static uint32_t cost(const struct judgement *judgement, const struct search *search, const struct holder *holder, bool wide)
{
	const struct profile *profile = judgement->profile;
	enum relation how = relation(profile, search, holder);
	bool excused = bsd_is(profile, trait_children, children_excused) && has(holder, OPTION_CHILD);
	uint32_t steps = is_connected(holder) + (how == RELATION_WILD);

	if (how == RELATION_NONE || (steps && !wide))
		return 0;
	if (!search->ipv6 && has_both_stacks(profile) && (seen_by(holder) & SEEN_BY6))
		steps += 3;
	/* While their listener lives, DragonFly keeps such children where nobody finds them: it comes first. */
	return 1 + 2 * steps + excused;
}

static void consider(struct match *match, const struct holder *holder, uint32_t cost)
{
	if (!cost || (match->cost && match->cost < cost))
		return;
	if (match->cost == cost && match->holder.order > holder->order)
		return;
	match->cost = cost;
	match->holder = *holder;
}

/* ---- what the claim is ---- */

static bool is_multicast(const struct holder *claim)
{
	if (claim->domain == AF_INET6 && !is_mapped(claim))
		return claim->address[0] == 0xff;
	return (*last_four(claim) & 0xf0) == 0xe0;
}

static uint32_t reuse_options(const struct judgement *judgement)
{
	uint32_t lb = bsd_is(judgement->profile, trait_reuseport_lb, reuseport_lb_known) ? OPTION_REUSEPORT_LB : 0;

	return judgement->claim.options & (OPTION_REUSEADDR | OPTION_REUSEPORT | lb);
}

/* Any of these on the holder, and the two share. */
static uint32_t sharing_options(const struct judgement *judgement)
{
	uint32_t reuse = reuse_options(judgement), share = reuse & ~OPTION_REUSEADDR;
	bool either = bsd_is(judgement->profile, trait_multicast_reuse, multicast_reuse_either);
	bool lb = bsd_is(judgement->profile, trait_reuseport_lb, reuseport_lb_known);

	if (!is_multicast(&judgement->claim))
		return share;
	if (reuse & (OPTION_REUSEADDR | (either ? OPTION_REUSEPORT : 0)))
		share |= OPTION_REUSEADDR | OPTION_REUSEPORT;
	if (lb && (reuse & (OPTION_REUSEADDR | OPTION_REUSEPORT_LB)))
		share |= OPTION_REUSEADDR | OPTION_REUSEPORT_LB;
	return share;
}

/* NetBSD asks for the user in IPv4 binds only (netinet6/in6_pcb.c in6_pcbbind_port()). */
static bool asks_for_user(const struct judgement *judgement)
{
	const struct holder *claim = &judgement->claim;

	if (claim->uid == 0 || is_multicast(claim) || bsd_is(judgement->profile, trait_other_user, other_user_none))
		return false;
	return claim->domain == AF_INET || !bsd_is(judgement->profile, trait_dual_stack, dual_stack_mapped);
}

/* ---- judging ---- */

static bool address4_is_any(const struct holder *holder)
{
	return is_zero(last_four(holder), 4);
}

/* second: the IPv4 search of a [::]. */
static bool user_is_excused(const struct judgement *judgement, const struct holder *holder, bool second)
{
	const struct holder *claim = &judgement->claim;
	bool ipv4 = claim->domain == AF_INET || is_mapped(claim);
	bool wild = !second && (ipv4 ? address4_is_any(claim) && address4_is_any(holder) : address_is_any(claim) && address_is_any(holder));
	bool connected = claim->protocol == PROTOCOL_TCP && is_connected(holder);

	switch ((enum trait_other_user)judgement->profile->trait[trait_other_user]) {
	case other_user_none:
		return true;
	case other_user_always:
		return false;
	case other_user_but_connected:
		return connected;
	case other_user_but_connected_or_wild_lb:
		return connected || (wild && has(holder, OPTION_REUSEPORT_LB) && !has(holder, OPTION_REUSEPORT));
	case other_user_but_connected_or_wild_reuseport:
		return connected || (wild && has(holder, OPTION_REUSEPORT));
	case other_user_but_wild_reuseport:
		return wild && has(holder, OPTION_REUSEPORT);
	case other_user_but_wild:
		if (second)
			return has(holder, OPTION_REUSEPORT) || (address4_is_any(holder) && holder->domain == AF_INET);
		return wild && (ipv4 || has(holder, OPTION_REUSEPORT));
	}
	return false;
}

/* Wildcards of both stacks: [::] does not mind a 0.0.0.0, [::ffff:0.0.0.0] no other AF_INET6 socket. */
static bool is_other_stack(const struct judgement *judgement, const struct holder *holder, bool second)
{
	const struct holder *claim = &judgement->claim;

	if (!has_both_stacks(judgement->profile) || claim->domain == AF_INET || !address4_is_any(claim) || !address4_is_any(holder))
		return false;
	return second ? holder->domain == AF_INET : is_mapped(claim) && holder->domain == AF_INET6;
}

static const struct rule *objection(const struct judgement *judgement, const struct holder *holder)
{
	uint32_t reuse = reuse_options(judgement);

	if (!reuse && holder->state == STATE_TIME_WAIT)
		return &conflict_time_wait;
	if (!reuse && holder->state == STATE_CONNECTED)
		return &conflict_connection;
	if (!reuse)
		return &conflict_no_reuse;
	if (is_multicast(&judgement->claim))
		return &conflict_multicast;
	if ((reuse & OPTION_REUSEPORT_LB) || ((reuse & OPTION_REUSEPORT) && has(holder, OPTION_REUSEPORT_LB)))
		return &conflict_reuseport_lb;
	return reuse & OPTION_REUSEPORT ? &conflict_holder_no_reuseport : &conflict_same_address;
}

/* NULL: it refuses. */
static const struct rule *why_shared(const struct judgement *judgement, const struct holder *holder, bool second)
{
	uint32_t shared = sharing_options(judgement) & holder->options;
	bool excused = bsd_is(judgement->profile, trait_children, children_excused) && has(holder, OPTION_CHILD);

	if (is_other_stack(judgement, holder, second))
		return &ok_both_stacks;
	if (excused && judgement->claim.domain == AF_INET)
		return &ok_child;
	if (!shared)
		return NULL;
	if (is_multicast(&judgement->claim))
		return &ok_multicast;
	return shared & OPTION_REUSEPORT ? &ok_reuseport : &ok_reuseport_lb;
}

static void refuse(struct verdict *verdict, const struct rule *rule, const struct holder *holder)
{
	bsd_answer(verdict, EADDRINUSE, rule);
	verdict->blamed = true;
	verdict->holder = *holder;
}

static bool refused_for_user(const struct judgement *judgement, struct verdict *verdict)
{
	for (unsigned i = 0; i < SEARCHES; i++) {
		const struct match *match = &judgement->found[SEARCHES + i];

		if (match->cost && match->holder.uid != judgement->claim.uid && !user_is_excused(judgement, &match->holder, i)) {
			refuse(verdict, &conflict_other_user, &match->holder);
			return true;
		}
	}
	return false;
}

static void end_bind(const struct judgement *judgement, struct verdict *verdict)
{
	const struct holder *claim = &judgement->claim;

	verdict->rule = judgement->scratch & OVERLAPS ? &ok_reuse : &ok_free;
	if (refused_for_user(judgement, verdict))
		return;
	for (unsigned i = 0; i < SEARCHES; i++) {
		const struct match *match = &judgement->found[i];
		const struct rule *shared = match->cost ? why_shared(judgement, &match->holder, i) : verdict->rule;

		if (!shared) {
			refuse(verdict, objection(judgement, &match->holder), &match->holder);
			return;
		}
		verdict->rule = shared;
	}
	if (bsd_is(judgement->profile, trait_bind_order, bind_order_openbsd) && claim->port && claim->port < IPPORT_RESERVED && judgement->caller)
		bsd_answer(verdict, EACCES, &bind_privileged_last);
}

/* ---- automatic ports ---- */

/* free_for_peer: somebody without a peer would be found first. */
static bool is_in_the_way(const struct judgement *judgement, const struct holder *holder, bool met_wide, bool met)
{
	const struct profile *profile = judgement->profile;

	if (judgement->call == CALL_CONNECT && bsd_is(profile, trait_connect_port, connect_port_free_for_peer))
		return met_wide && !is_connected(holder);
	return met || bsd_is(profile, trait_any_port, any_port_unused);
}

/* ---- the family ---- */

static uint32_t bsd_asks(const struct profile *profile)
{
	static const uint16_t ends[] = {
		[bind_order_lite2] = FORGETS_BOUND,
		[bind_order_freebsd13] = FORGETS_BOUND | ABORTS_ACCEPT,
		[bind_order_freebsd14] = FORGETS_BOUND | ABORTS_ACCEPT,
		[bind_order_dragonfly] = ABORTS_ACCEPT,
		[bind_order_netbsd] = FORGETS_BOUND | ABORTS_ACCEPT,
		[bind_order_openbsd] = FORGETS_BOUND | ABORTS_ACCEPT,
		[bind_order_xnu] = FORGETS_BOUND,
	};
	uint32_t deaf = bsd_is(profile, trait_unlistened, unlistened_unseen) ? 0 : ASKS_DEAF;

	return family_asks(profile) | ENDS_AS_BSD | ends[profile->trait[trait_bind_order]] | deaf;
}

static uint32_t bsd_bucket(const struct profile *profile, enum protocol protocol, uint16_t port)
{
	(void)profile;
	return port + (protocol == PROTOCOL_UDP ? 65536u : 0);
}

static void bsd_holder(struct judgement *judgement, const struct holder *holder)
{
	const struct holder *claim = &judgement->claim;
	struct search search[SEARCHES];
	bool wide = !reuse_options(judgement), met = false, met_wide = false;
	unsigned count = searches_of(judgement, search);

	if (holder->protocol != claim->protocol || holder->port != claim->port)
		return;
	if (has(holder, OPTION_CHILD) && bsd_is(judgement->profile, trait_children, children_unseen))
		return;
	for (unsigned i = 0; i < count; i++) {
		uint32_t narrow_cost = cost(judgement, &search[i], holder, wide), wide_cost = cost(judgement, &search[i], holder, true);

		met |= narrow_cost != 0;
		met_wide |= wide_cost != 0;
		consider(&judgement->found[i], holder, narrow_cost);
		if (asks_for_user(judgement) && (i == 0 || has_both_stacks(judgement->profile)))
			consider(&judgement->found[SEARCHES + i], holder, wide_cost);
	}
	judgement->scratch |= met_wide ? OVERLAPS : 0;
	judgement->refused |= judgement->automatic && is_in_the_way(judgement, holder, met_wide, met);
}

static void bsd_end(struct judgement *judgement, struct verdict *verdict)
{
	if (judgement->automatic)
		bsd_answer(verdict, judgement->refused ? EADDRINUSE : 0, judgement->refused ? &port_taken : &ok_free);
	else if (judgement->call == CALL_LISTEN)
		bsd_answer(verdict, 0, &ok_listen);
	else
		end_bind(judgement, verdict);
}

static int bsd_error(const struct profile *profile, enum call call, int host_errno)
{
	if (call == CALL_SHUTDOWN && host_errno == ENOTCONN && !bsd_is(profile, trait_idle_shutdown, idle_shutdown_enotconn))
		return 0;
	/* A connection that exists already (in_pcbconnect()). */
	return call == CALL_CONNECT && host_errno == EADDRNOTAVAIL ? EADDRINUSE : host_errno;
}

static uint32_t bsd_inherited(const struct profile *profile, uint32_t listener_options)
{
	uint32_t reuse = bsd_is(profile, trait_child_options, child_options_inherited) ?
		OPTION_REUSEADDR | OPTION_REUSEPORT | OPTION_REUSEPORT_LB : 0;

	return listener_options & (OPTION_V6ONLY | reuse);
}

static bool is_loopback(const struct holder *holder)
{
	static const uint8_t loopback6[16] = { [15] = 1 };

	if (holder->domain == AF_INET6 && !is_mapped(holder))
		return !memcmp(holder->address, loopback6, sizeof loopback6);
	return *last_four(holder) == 127;
}

/* FIN_WAIT_2: tcp_maxidle, eight probes 75 s apart; 70 s and more were measured on FreeBSD 13.0 and NetBSD 7.99.34. */
static enum state bsd_released(const struct profile *profile, const struct holder *holder, bool active, uint32_t *milliseconds)
{
	*milliseconds = 0;
	if (!active)
		return STATE_UNBOUND;
	if (holder->state != STATE_TIME_WAIT)
		*milliseconds = 600000;
	else
		*milliseconds = profile->trait[is_loopback(holder) ? trait_bsd_time_wait_loopback : trait_bsd_time_wait];
	return *milliseconds ? STATE_TIME_WAIT : STATE_UNBOUND;
}

static bool bsd_anchors(const struct profile *profile, const struct holder *claim)
{
	(void)profile, (void)claim;
	return false;
}

/* macOS writes who sees the socket before it tests anything but the family, be it bound or not
 * (netinet/tcp_usrreq.c tcp6_usr_bind(), netinet6/udp6_usrreq.c udp6_bind(), xnu-7195.141.2). */
static uint32_t bsd_bound(const struct profile *profile, const struct holder *claim, int error)
{
	unsigned seen = seen_by_address(claim);
	uint32_t options = claim->options;

	if (claim->domain != AF_INET6 || error == EAFNOSUPPORT || !bsd_is(profile, trait_dual_stack, dual_stack_marked))
		return options;
	if (has(claim, OPTION_V6ONLY))
		seen = SEEN_BY6;
	options &= ~(OPTION_SEEN4 | OPTION_SEEN6);
	return options | (seen & SEEN_BY4 ? OPTION_SEEN4 : 0) | (seen & SEEN_BY6 ? OPTION_SEEN6 : 0);
}

const struct family family_bsd = {
	.name = "bsd",
	.asks = bsd_asks,
	.bucket = bsd_bucket,
	.before = bsd_before,
	.holder = bsd_holder,
	.end = bsd_end,
	.option = bsd_option,
	.error = bsd_error,
	.inherited = bsd_inherited,
	.released = bsd_released,
	.anchors = bsd_anchors,
	.fresh = bsd_fresh,
	.bound = bsd_bound,
	.port = ALONE_ONLY(bsd_port),
	.room = ALONE_ONLY(bsd_room),
	.event = bsd_event,
};

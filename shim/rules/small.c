/* SPDX-License-Identifier: MIT */
/*
 * Two stacks of small machines, as far as their source was read: Zephyr's subsys/net/ip/net_context.c
 * check_used_port(), and NuttX's net/udp/udp_conn.c (01663808) and net/tcp/tcp_conn.c (007aabc4, b4d64a0d).
 * NuttX's listen() is net/tcp/tcp_listen.c (028e2d0f), Zephyr's net_tcp_accept() in subsys/net/ip/tcp.c.  What nobody read is
 * as on Linux.
 * Both keep IPv4 and IPv6 apart: an IPv4-mapped address is an IPv6 address that no interface has.
 */
#include "family.h"

#include <errno.h>
#include <netinet/in.h>

#define ZEPHYR "zephyr subsys/net/ip/net_context.c check_used_port()"
#define ZEPHYR_BIND "zephyr subsys/net/ip/net_context.c net_context_bind()"
#define ZEPHYR_LISTEN "zephyr subsys/net/ip/tcp.c net_tcp_accept(), subsys/net/ip/connection.c conn_find_handler()"
#define NUTTX_UDP "apache/nuttx net/udp/udp_conn.c, 01663808"
#define NUTTX_TCP "apache/nuttx net/tcp/tcp_conn.c, 007aabc4 and b4d64a0d"
#define NUTTX_LISTEN "apache/nuttx net/tcp/tcp_listen.c, 028e2d0f"
#define NUTTX_INET "apache/nuttx net/inet/inet_sockif.c, 02c329a1"
#define ZEPHYR_CONNECT "zephyr subsys/net/ip/net_context.c net_context_connect()"

static const struct rule ok_listen = { "ok/listen", "nobody listens there", NULL, FOR_PEOPLE(ZEPHYR_LISTEN "; " NUTTX_LISTEN) };
static const struct rule listen_udp = { "listen/udp", "a UDP socket cannot listen", NULL, FOR_PEOPLE("POSIX listen()") };
static const struct rule listen_connected = { "listen/connected", "the socket is connected", "it were a new socket", FOR_PEOPLE("POSIX listen()") };
static const struct rule connect_used = { "connect/used", "the socket listens or is connected", "it were a new socket", FOR_PEOPLE("POSIX connect()") };
static const struct rule connect_address = {
	"connect/address", "the address is not of the socket's family, or no interface leads there", NULL,
	FOR_PEOPLE(ZEPHYR_CONNECT "; " NUTTX_INET "; " NUTTX_TCP),
};
static const struct rule connect_refused = { "connect/refused", "nobody listens there", NULL, FOR_PEOPLE("POSIX connect()") };
static const struct rule connect_full = { "connect/full", "the listener's queue is full", NULL, FOR_PEOPLE("POSIX connect()") };
static const struct rule connect_tuple = { "connect/same-connection", "the same connection exists", "another port or peer were chosen", FOR_PEOPLE("POSIX connect()") };
static const struct rule accept_not_listening = { "accept/not-listening", "the socket does not listen", NULL, FOR_PEOPLE("POSIX accept()") };
static const struct rule shutdown_idle = { "shutdown/not-connected", "the socket is not connected", NULL, FOR_PEOPLE("POSIX shutdown()") };
static const struct rule no_port = { "port/none-left", "no automatic port is left", NULL, FOR_PEOPLE(ZEPHYR "; " NUTTX_UDP) };
static const struct rule taken = { "conflict/taken", "somebody has that port, and another one is tried", NULL, FOR_PEOPLE(ZEPHYR "; " NUTTX_UDP) };
static const struct rule bind_malformed = { "bind/malformed", "the length is too short", "it were that of the family's structure", FOR_PEOPLE(ZEPHYR_BIND) };
static const struct rule bind_family = { "bind/family", "the address is not of the socket's family", "it were", FOR_PEOPLE(ZEPHYR_BIND) };

/* ---- what both do ---- */

/* Errors of length and family, and this one for a foreign address. */
static bool before_bind(const struct question *question, int foreign_error, const struct rule *foreign, struct verdict *verdict)
{
	struct given given = given_address(question);
	enum locality locality;

	if (!question->address)
		return false;
	if (given.family == AF_UNSPEC || (given.family == question->domain && !given.whole))
		return verdict_final(verdict, EINVAL, &bind_malformed);
	if (given.family != question->domain)
		return verdict_final(verdict, EINVAL, &bind_family);
	if (given.mapped)
		return verdict_final(verdict, foreign_error, foreign);
	locality = given_locality(question, &given);
	if (locality == LOCALITY_MULTICAST && question->protocol == PROTOCOL_UDP)
		return false;
	return !given_is_own(question, &given) && verdict_final(verdict, foreign_error, foreign);
}

static bool before_other(const struct question *question, const struct connect_rules *connect, struct verdict *verdict,
			 struct sockaddr_storage *to, uint32_t *to_length)
{
	switch (question->call) {
	case CALL_LISTEN:
		return listen_decided(question, &listen_udp, &listen_connected, &ok_listen, verdict);
	case CALL_CONNECT:
		return connect_by_rules(question, connect, verdict, to, to_length);
	case CALL_ACCEPT:
		return accept_refused(question, &accept_not_listening, verdict);
	case CALL_SHUTDOWN:
		return shutdown_refused(question, &shutdown_idle, verdict);
	default:
		return false;
	}
}

static void small_event(const struct question *question, enum event event, struct verdict *verdict)
{
	static const struct event_rules rules = { ETIMEDOUT, EADDRINUSE, 0, &connect_refused, &connect_full, &connect_tuple, &no_port };

	event_by_rules(question, event, &rules, verdict);
}

static uint32_t small_inherited(const struct profile *profile, uint32_t listener_options)
{
	(void)profile;
	return listener_options & (OPTION_REUSEADDR | OPTION_REUSEPORT | OPTION_V6ONLY);
}

static const struct rule option_ok = { "ok/option", NULL, NULL, FOR_PEOPLE("POSIX setsockopt()") };
static const struct rule option_unknown = { "option/unknown", "there is no such option", NULL, FOR_PEOPLE("POSIX setsockopt()") };
static const struct rule option_length = { "option/length", "the value is too short", NULL, FOR_PEOPLE("POSIX setsockopt()") };
static const struct option_rules option_rules = { &option_ok, &option_unknown, &option_length, &option_length, false };

/* ---- Zephyr ---- */

static const struct rule zephyr_both_wild = {
	"conflict/wildcards", "both sockets want 0.0.0.0", "both sockets had SO_REUSEPORT", FOR_PEOPLE(ZEPHYR),
};
static const struct rule zephyr_wild = {
	"conflict/no-reuseaddr", "one of the two has 0.0.0.0, and this socket lacks SO_REUSEADDR",
	"this socket had SO_REUSEADDR, or both had SO_REUSEPORT", FOR_PEOPLE(ZEPHYR),
};
static const struct rule zephyr_listens = {
	"conflict/holder-listens", "one of the two has 0.0.0.0, and that socket listens", "both sockets had SO_REUSEPORT", FOR_PEOPLE(ZEPHYR),
};
static const struct rule zephyr_same = {
	"conflict/same-address", "SO_REUSEADDR shares an address with a socket in TIME_WAIT only",
	"both sockets had SO_REUSEPORT", FOR_PEOPLE(ZEPHYR),
};
static const struct rule zephyr_free = { "ok/free", "no socket overlaps", NULL, FOR_PEOPLE(ZEPHYR) };
static const struct rule zephyr_shared = {
	"ok/shared", "this socket has SO_REUSEADDR, or both have SO_REUSEPORT", NULL, FOR_PEOPLE(ZEPHYR),
};
static const struct rule zephyr_used = { "bind/already-bound", "the socket has an address already", "it were a new socket", FOR_PEOPLE(ZEPHYR_BIND) };
static const struct rule zephyr_foreign = {
	"bind/foreign-address", "no interface has that address", "the address belonged to an interface", FOR_PEOPLE(ZEPHYR_BIND),
};

static const struct rule *zephyr_objection(const struct holder *claim, const struct holder *holder)
{
	bool wild = holder_is_wild(claim) || holder_is_wild(holder), both = holder_is_wild(claim) && holder_is_wild(holder);
	bool reuseaddr = claim->options & OPTION_REUSEADDR;

	if (claim->options & holder->options & OPTION_REUSEPORT)
		return NULL;
	if (!wild)
		return reuseaddr && holder->state == STATE_TIME_WAIT ? NULL : &zephyr_same;
	if (both)
		return &zephyr_both_wild;
	if (!reuseaddr)
		return &zephyr_wild;
	return holder->state == STATE_LISTENING ? &zephyr_listens : NULL;
}

/* Where a holder without IPV6_V6ONLY counts for IPv4 as well, the first four bytes of its address are compared. */
static struct holder zephyr_reads(const struct holder *claim, const struct holder *holder)
{
	struct holder read = *holder;

	if (claim->domain == AF_INET && !(holder->options & OPTION_V6ONLY))
		read.domain = AF_INET;
	return read;
}

static void zephyr_holder(struct judgement *judgement, const struct holder *holder)
{
	const struct holder *claim = &judgement->claim, read = zephyr_reads(claim, holder);
	const struct rule *rule;

	if (!holders_same_port(claim, holder))
		return;
	if (judgement->automatic) {
		judgement_refuse(judgement, holder, EADDRINUSE, &taken);
		return;
	}
	/* net_conn_register() compares a listener with its twins. */
	if (judgement->call == CALL_LISTEN &&
	    (holder->state != STATE_LISTENING || claim->domain != holder->domain || !holders_same_address(claim, holder)))
		return;
	if (claim->domain != read.domain || !holders_addresses_meet(claim, &read))
		return;
	rule = zephyr_objection(claim, &read);
	if (rule)
		judgement_refuse(judgement, holder, EADDRINUSE, rule);
	else
		judgement->scratch = true;
}

static void zephyr_end(struct judgement *judgement, struct verdict *verdict)
{
	const struct rule *ok = judgement->scratch ? &zephyr_shared : &zephyr_free;

	judgement_close(judgement, verdict, judgement->call == CALL_LISTEN ? &ok_listen : ok);
}

static const struct connect_rules zephyr_connect = {
	EISCONN, EINVAL, EINVAL, ENETUNREACH, &connect_used, &connect_used, &connect_address, &connect_address,
};

/* A TCP socket has its conn_handler from listen() or connect() on until the connection is over (tcp_conn_release()), and
 * can be bound again before and after. */
static bool zephyr_is_registered(const struct question *question)
{
	return question->state != STATE_UNBOUND && !(question->protocol == PROTOCOL_TCP && question->state == STATE_BOUND);
}

static bool zephyr_before(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	if (question->call == CALL_BIND && zephyr_is_registered(question))
		return verdict_final(verdict, EISCONN, &zephyr_used);
	if (question->call == CALL_BIND)
		return before_bind(question, ENOENT, &zephyr_foreign, verdict);
	return before_other(question, &zephyr_connect, verdict, to, to_length);
}

static const struct option_row zephyr_rows[] = {
	{ SOL_SOCKET, SO_REUSEADDR, OPTION_REUSEADDR, 1, false },
	{ SOL_SOCKET, SO_REUSEPORT, OPTION_REUSEPORT, 1, false },
	{ IPPROTO_IPV6, IPV6_V6ONLY, OPTION_V6ONLY, 1, false },
	{ -1, 0, 0, 0, false },
};

static void zephyr_option(const struct option_question *question, struct option_answer *answer)
{
	option_by_rows(question, zephyr_rows, &option_rules, answer);
}

static int zephyr_error(const struct profile *profile, enum call call, int host_errno)
{
	(void)profile;
	return call == CALL_BIND && host_errno == EADDRNOTAVAIL ? ENOENT : host_errno;
}

/* One address makes no socket IPv6 only, and [::1] may be in the way of IPv4 (zephyr_reads()). */
static uint32_t zephyr_bound(const struct profile *profile, const struct holder *claim, int error)
{
	(void)profile, (void)error;
	return claim->options;
}

const struct family family_zephyr = {
	.name = "zephyr",
	.asks = family_asks,
	.bucket = family_bucket,
	.before = zephyr_before,
	.holder = zephyr_holder,
	.end = zephyr_end,
	.option = zephyr_option,
	.error = zephyr_error,
	.inherited = small_inherited,
	.released = family_released,
	.anchors = family_anchors,
	.fresh = family_fresh,
	.bound = zephyr_bound,
	.port = ALONE_ONLY(family_port),
	.event = small_event,
};

/* ---- NuttX ---- */

static const struct rule nuttx_udp_conflict = {
	"conflict/no-reuseaddr", "it has this address or 0.0.0.0, and not both sockets have SO_REUSEADDR",
	"both sockets had SO_REUSEADDR", FOR_PEOPLE(NUTTX_UDP),
};
static const struct rule nuttx_tcp_conflict = {
	"conflict/tcp", "it has this address or 0.0.0.0, and no option shares a TCP port", "the other socket were closed", FOR_PEOPLE(NUTTX_TCP),
};
static const struct rule nuttx_free = { "ok/free", "no socket has this address, nor 0.0.0.0", NULL, FOR_PEOPLE(NUTTX_UDP "; " NUTTX_TCP) };
static const struct rule nuttx_shared = { "ok/reuseaddr", "both sockets have SO_REUSEADDR", NULL, FOR_PEOPLE(NUTTX_UDP) };
static const struct rule nuttx_used = { "bind/already-bound", "the socket has an address already", "it were a new socket", FOR_PEOPLE(NUTTX_UDP "; " NUTTX_TCP) };
static const struct rule nuttx_foreign = { "bind/foreign-address", "no interface has that address", "the address belonged to an interface", FOR_PEOPLE(NUTTX_UDP) };

static const struct rule nuttx_listen_taken = {
	"listen/taken", "a socket listens on that address or on 0.0.0.0, be it this one", "the listener were closed",
	FOR_PEOPLE(NUTTX_LISTEN),
};

/* The new socket's own 0.0.0.0 meets nobody but another one. */
static bool nuttx_meets(const struct holder *claim, const struct holder *holder)
{
	return claim->domain == holder->domain && (holder_is_wild(holder) || holders_same_address(claim, holder));
}

static void nuttx_holder(struct judgement *judgement, const struct holder *holder)
{
	const struct holder *claim = &judgement->claim;

	if (!holders_same_port(claim, holder))
		return;
	if (judgement->automatic)
		judgement_refuse(judgement, holder, EADDRINUSE, &taken);
	else if (!nuttx_meets(claim, holder) || (judgement->call == CALL_LISTEN && holder->state != STATE_LISTENING))
		return;
	else if (judgement->call == CALL_LISTEN)
		judgement_refuse(judgement, holder, EADDRINUSE, &nuttx_listen_taken);
	else if (holder->protocol == PROTOCOL_TCP)
		judgement_refuse(judgement, holder, EADDRINUSE, &nuttx_tcp_conflict);
	else if (!(claim->options & holder->options & OPTION_REUSEADDR))
		judgement_refuse(judgement, holder, EADDRINUSE, &nuttx_udp_conflict);
	else
		judgement->scratch = true;
}

static void nuttx_end(struct judgement *judgement, struct verdict *verdict)
{
	const struct rule *ok = judgement->scratch ? &nuttx_shared : &nuttx_free;

	judgement_close(judgement, verdict, judgement->call == CALL_LISTEN ? &ok_listen : ok);
}

static const struct connect_rules nuttx_connect = {
	EISCONN, EPROTOTYPE, EINVAL, ENETUNREACH, &connect_used, &connect_used, &connect_address, &connect_address,
};

static bool nuttx_before(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	if (question->call == CALL_BIND && question->state != STATE_UNBOUND)
		return verdict_final(verdict, EINVAL, &nuttx_used);
	if (question->call == CALL_BIND)
		return before_bind(question, EADDRNOTAVAIL, &nuttx_foreign, verdict);
	if (question->call == CALL_LISTEN && question->state == STATE_LISTENING)
		return verdict_final(verdict, EADDRINUSE, &nuttx_listen_taken);
	return before_other(question, &nuttx_connect, verdict, to, to_length);
}

static const struct option_row nuttx_rows[] = {
	{ SOL_SOCKET, SO_REUSEADDR, OPTION_REUSEADDR, 1, false },
	{ SOL_SOCKET, SO_REUSEPORT, 0, 0, false },
	{ IPPROTO_IPV6, IPV6_V6ONLY, 0, 0, false }, /* net/inet/ipv6_setsockopt.c, ipv6_getsockopt.c: not implemented */
	{ -1, 0, 0, 0, false },
};

static void nuttx_option(const struct option_question *question, struct option_answer *answer)
{
	option_by_rows(question, nuttx_rows, &option_rules, answer);
}

const struct family family_nuttx = {
	.name = "nuttx",
	.asks = family_asks,
	.bucket = family_bucket,
	.before = nuttx_before,
	.holder = nuttx_holder,
	.end = nuttx_end,
	.option = nuttx_option,
	.error = family_error,
	.inherited = small_inherited,
	.released = family_released,
	.anchors = family_anchors,
	.fresh = family_fresh,
	.port = ALONE_ONLY(family_port),
	.event = small_event,
};

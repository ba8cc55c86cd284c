/* SPDX-License-Identifier: MIT */
/*
 * Fuchsia's netstack3: src/connectivity/network/netstack3/core/tcp/src/socket.rs (08c08b51) and
 * core/udp/src/base.rs (09c56057).  Not read, and so taken from Linux: listen() without bind(), IPv4 against
 * IPv6, ports below 1024.
 *
 * TCP knows SO_REUSEADDR alone, and both sockets need it.  A listener on 0.0.0.0 shuts out later binds of one
 * address; one on an address lets 0.0.0.0 be bound, but not listen.
 */
#include "family.h"

#include <errno.h>
#include <netinet/in.h>

#define TCP "Fuchsia netstack3 core/tcp/src/socket.rs, 08c08b51"
#define UDP "Fuchsia netstack3 core/udp/src/base.rs, 09c56057"
#define SOCKET "Fuchsia netstack3 bindings/socket/"

static const struct rule claim_no_reuseaddr = {
	"conflict/no-reuseaddr", "the addresses overlap, and this socket lacks SO_REUSEADDR", "both sockets had SO_REUSEADDR", FOR_PEOPLE(TCP),
};
static const struct rule holder_no_reuseaddr = {
	"conflict/holder-no-reuseaddr", "the addresses overlap, and that socket lacks SO_REUSEADDR", "the holder had SO_REUSEADDR too", FOR_PEOPLE(TCP),
};
static const struct rule holder_listens = {
	"conflict/holder-listens", "it listens on this address or on 0.0.0.0, and SO_REUSEADDR does not share that",
	"it did not listen", FOR_PEOPLE(TCP),
};
static const struct rule udp_no_common = {
	"conflict/nothing-in-common", "the addresses overlap, and no option for sharing is set on both sockets",
	"both sockets had SO_REUSEADDR, or both SO_REUSEPORT", FOR_PEOPLE(UDP),
};
static const struct rule listen_shadow = {
	"listen/overlap", "it listens on an overlapping address", "the other socket did not listen", FOR_PEOPLE(TCP),
};
static const struct rule ok_free = { "ok/free", "no socket overlaps", NULL, FOR_PEOPLE(TCP "; " UDP) };
static const struct rule ok_shared = { "ok/shared", "every overlapping socket has an option in common with this one", NULL, FOR_PEOPLE(TCP "; " UDP) };
static const struct rule ok_listen = { "ok/listen", "nobody listens on an overlapping address", NULL, FOR_PEOPLE(TCP) };
static const struct rule ok_listen_again = { "ok/listen-again", "only the backlog changes", NULL, FOR_PEOPLE(TCP) };

static const struct rule bind_malformed = { "bind/malformed", "the length is too short", "it were that of the family's structure", FOR_PEOPLE(SOCKET) };
static const struct rule bind_family = { "bind/family", "the address is not of the socket's family", "it were", FOR_PEOPLE(SOCKET) };
static const struct rule bind_used = { "bind/already-bound", "the socket has an address already", "it were a new socket", FOR_PEOPLE(TCP "; " UDP) };
static const struct rule bind_foreign = { "bind/foreign-address", "no interface has that address", "the address belonged to an interface", FOR_PEOPLE(TCP "; " UDP) };
static const struct rule listen_udp = { "listen/udp", "a UDP socket cannot listen", NULL, FOR_PEOPLE(SOCKET) };
static const struct rule listen_connected = { "listen/connected", "the socket is connected", "it were a new socket", FOR_PEOPLE(TCP) };
static const struct rule connect_listening = { "connect/listening", "the socket listens", "it were a new socket", FOR_PEOPLE(TCP) };
static const struct rule connect_used = { "connect/used", "the socket is connected", "it were a new socket", FOR_PEOPLE(TCP) };
static const struct rule connect_refused = { "connect/refused", "nobody listens there", NULL, FOR_PEOPLE(TCP) };
static const struct rule connect_full = { "connect/full", "the listener's queue is full", NULL, FOR_PEOPLE(TCP) };
static const struct rule connect_tuple = { "connect/same-connection", "the same connection exists", "another port or peer were chosen", FOR_PEOPLE(TCP) };
static const struct rule accept_not_listening = { "accept/not-listening", "the socket does not listen", NULL, FOR_PEOPLE(TCP) };
static const struct rule shutdown_idle = { "shutdown/not-connected", "the socket is not connected", NULL, FOR_PEOPLE(TCP "; " UDP) };
static const struct rule no_port = { "port/none-left", "all ports from 49152 to 65535 are taken", NULL, FOR_PEOPLE(TCP "; " UDP) };

/* ---- the holders ---- */

static void tcp_bind(struct judgement *judgement, const struct holder *holder)
{
	const struct holder *claim = &judgement->claim;
	bool below = holder_is_wild(claim) && !holder_is_wild(holder);

	if (!(claim->options & OPTION_REUSEADDR))
		judgement_refuse(judgement, holder, EADDRINUSE, &claim_no_reuseaddr);
	else if (!(holder->options & OPTION_REUSEADDR))
		judgement_refuse(judgement, holder, EADDRINUSE, &holder_no_reuseaddr);
	else if (holder->state == STATE_LISTENING && !below)
		judgement_refuse(judgement, holder, EADDRINUSE, &holder_listens);
	else
		judgement->scratch = true;
}

static void udp_bind(struct judgement *judgement, const struct holder *holder)
{
	if (judgement->claim.options & holder->options & (OPTION_REUSEADDR | OPTION_REUSEPORT))
		judgement->scratch = true;
	else
		judgement_refuse(judgement, holder, EADDRINUSE, &udp_no_common);
}

static void fuchsia_holder(struct judgement *judgement, const struct holder *holder)
{
	bool connected = holder->state == STATE_CONNECTED || holder->state == STATE_TIME_WAIT;

	if (!holders_same_port(&judgement->claim, holder) || !holders_overlap(&judgement->claim, holder))
		return;
	if (judgement->call == CALL_CONNECT && connected)
		return; /* the connections differ */
	if (judgement->call == CALL_LISTEN && holder->state == STATE_LISTENING)
		judgement_refuse(judgement, holder, EADDRINUSE, &listen_shadow);
	else if (judgement->call != CALL_LISTEN && holder->protocol == PROTOCOL_TCP)
		tcp_bind(judgement, holder);
	else if (judgement->call != CALL_LISTEN)
		udp_bind(judgement, holder);
}

static void fuchsia_end(struct judgement *judgement, struct verdict *verdict)
{
	const struct rule *ok = judgement->scratch ? &ok_shared : &ok_free;

	judgement_close(judgement, verdict, judgement->call == CALL_LISTEN ? &ok_listen : ok);
}

/* ---- before ---- */

static bool before_bind(const struct question *question, struct verdict *verdict)
{
	uint32_t least = question->domain == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	struct given given = given_address(question);
	enum locality locality;

	if (!question->address)
		return false;
	if (question->length < least)
		return verdict_final(verdict, EINVAL, &bind_malformed);
	if (given.family != question->domain)
		return verdict_final(verdict, EAFNOSUPPORT, &bind_family);
	if (question->state != STATE_UNBOUND)
		return verdict_final(verdict, EINVAL, &bind_used);
	locality = given_locality(question, &given);
	if (locality == LOCALITY_MULTICAST && question->protocol == PROTOCOL_UDP)
		return false;
	if (!given_is_own(question, &given) || (given.mapped && question->options & OPTION_V6ONLY))
		return verdict_final(verdict, EADDRNOTAVAIL, &bind_foreign);
	return false;
}

static const struct rule connect_malformed = { "connect/malformed-address", "the address is not one of the socket's family, or not whole", NULL, FOR_PEOPLE(SOCKET) };
static const struct rule connect_unreachable = { "connect/unreachable", "there is no route to it", NULL, FOR_PEOPLE(SOCKET) };
static const struct connect_rules connect_rules = {
	EINVAL, EAFNOSUPPORT, EINVAL, ENETUNREACH, &connect_listening, &connect_used, &connect_malformed, &connect_unreachable,
};

static bool fuchsia_before(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	switch (question->call) {
	case CALL_BIND:
		return before_bind(question, verdict);
	case CALL_LISTEN:
		return listen_decided(question, &listen_udp, &listen_connected, &ok_listen_again, verdict);
	case CALL_CONNECT:
		return connect_by_rules(question, &connect_rules, verdict, to, to_length);
	case CALL_ACCEPT:
		return accept_refused(question, &accept_not_listening, verdict);
	case CALL_SHUTDOWN:
		return shutdown_refused(question, &shutdown_idle, verdict);
	default:
		return false;
	}
}

/* ---- options ---- */

static const struct option_row tcp_rows[] = {
	{ SOL_SOCKET, SO_REUSEADDR, OPTION_REUSEADDR, 1, false },
	{ SOL_SOCKET, SO_REUSEPORT, 0, 0, false },
	{ IPPROTO_IPV6, IPV6_V6ONLY, OPTION_V6ONLY, 1, true },
	{ -1, 0, 0, 0, false },
};

static const struct option_row udp_rows[] = {
	{ SOL_SOCKET, SO_REUSEADDR, OPTION_REUSEADDR, 1, false },
	{ SOL_SOCKET, SO_REUSEPORT, OPTION_REUSEPORT, 1, false },
	{ IPPROTO_IPV6, IPV6_V6ONLY, OPTION_V6ONLY, 1, true },
	{ -1, 0, 0, 0, false },
};

static const struct rule option_ok = { "ok/option", NULL, NULL, FOR_PEOPLE(SOCKET) };
static const struct rule option_unknown = { "option/unknown", "TCP has no such option", NULL, FOR_PEOPLE(TCP) };
static const struct rule option_length = { "option/length", "the value is too short", NULL, FOR_PEOPLE(SOCKET) };
static const struct rule option_late = { "option/late", "it cannot be changed after the bind", "it had been set before", FOR_PEOPLE(SOCKET) };
static const struct option_rules option_rules = { &option_ok, &option_unknown, &option_length, &option_late, false };

/* Not told: clearing SO_REUSEADDR while others share the port is EADDRINUSE; options do not see the holders. */
static void fuchsia_option(const struct option_question *question, struct option_answer *answer)
{
	option_by_rows(question, question->protocol == PROTOCOL_TCP ? tcp_rows : udp_rows, &option_rules, answer);
}

/* ---- the family ---- */

static uint32_t fuchsia_inherited(const struct profile *profile, uint32_t listener_options)
{
	(void)profile;
	return listener_options & (OPTION_REUSEADDR | OPTION_V6ONLY);
}

static void fuchsia_event(const struct question *question, enum event event, struct verdict *verdict)
{
	static const struct event_rules rules = { ETIMEDOUT, EADDRNOTAVAIL, 0, &connect_refused, &connect_full, &connect_tuple, &no_port };

	event_by_rules(question, event, &rules, verdict);
}

const struct family family_fuchsia = {
	.name = "fuchsia",
	.asks = family_asks,
	.bucket = family_bucket,
	.before = fuchsia_before,
	.holder = fuchsia_holder,
	.end = fuchsia_end,
	.option = fuchsia_option,
	.error = family_error,
	.inherited = fuchsia_inherited,
	.released = family_released,
	.anchors = family_anchors,
	.fresh = family_fresh,
	.port = ALONE_ONLY(family_port),
	.event = fuchsia_event,
};

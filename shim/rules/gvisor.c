/* SPDX-License-Identifier: MIT */
/*
 * gVisor's netstack: google/gvisor pkg/tcpip/ports/, stack/transport_demuxer.go, transport/{tcp,udp}/endpoint.go
 * and pkg/sentry/socket/netstack/netstack.go, 3c5eee17 (2026) and as measured with runsc of December 2022 and of July 2024.
 *
 * A port is *reserved* for an address, with the options as they are at the bind; a child or a client that did
 * not bind reserves it for its peer only, and there SO_REUSEPORT does not count.  A reservation stays what it
 * was when the socket connects.  Beside that, sockets of the very same address share by SO_REUSEPORT, UDP by
 * SO_REUSEADDR too.
 */
#include "family.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#define PORTS "gVisor pkg/tcpip/ports/ports.go isAvailable(), intersectionFlags(), 3c5eee17"
#define DEMUXER "gVisor pkg/tcpip/stack/transport_demuxer.go singleCheck(), 3c5eee17"
#define TCP "gVisor pkg/tcpip/transport/tcp/endpoint.go bindLocked(), listen(), 3c5eee17"
#define UDP "gVisor pkg/tcpip/transport/udp/endpoint.go bindLocked(), 3c5eee17"
#define NETSTACK "gVisor pkg/sentry/socket/netstack/netstack.go, 3c5eee17"
#define MEASURED "runsc of December 2022 and July 2024"

/* The family's own options: what is reserved is the wildcard, of both families or of IPv4, whatever address the connection gave the socket. */
#define RESERVES_ANY 0x80000000u
#define RESERVES_BOTH 0x40000000u
#define RESERVES_IPV4 0x20000000u

static const struct rule no_common = {
	"conflict/nothing-in-common", "the addresses overlap, and no option for sharing is set on both sockets",
	"both sockets had SO_REUSEADDR, or both SO_REUSEPORT, before their binds", FOR_PEOPLE(PORTS),
};
static const struct rule connection = {
	"conflict/connection", "it has a peer, and this socket lacks SO_REUSEPORT, and one of the two SO_REUSEADDR",
	"this socket had SO_REUSEPORT, or both had SO_REUSEADDR", FOR_PEOPLE(PORTS),
};
static const struct rule same_address = {
	"conflict/same-address", "it listens on the very same address, and SO_REUSEADDR does not share that",
	"both sockets had SO_REUSEPORT", FOR_PEOPLE(DEMUXER),
};
static const struct rule listen_same_address = {
	"listen/same-address", "it listens on the very same address, and SO_REUSEADDR does not share that; this socket is closed by the attempt",
	"both sockets had SO_REUSEPORT", FOR_PEOPLE(DEMUXER "; " TCP),
};
static const struct rule automatic = { "conflict/taken", "somebody has that port, and the next one is tried", NULL, FOR_PEOPLE(PORTS) };
static const struct rule ok_free = { "ok/free", "no reservation overlaps", NULL, FOR_PEOPLE(PORTS) };
static const struct rule ok_shared = { "ok/shared", "every overlapping reservation has an option in common with this socket", NULL, FOR_PEOPLE(PORTS) };
static const struct rule ok_listen = { "ok/listen", "no listener of the very same address objects", NULL, FOR_PEOPLE(DEMUXER) };
static const struct rule ok_listen_again = { "ok/listen-again", "only the backlog changes", NULL, FOR_PEOPLE(TCP) };
static const struct rule listen_queue = {
	"listen/queue-too-long", "more connections wait than the new backlog has room for", "they were accepted first, or the backlog were greater", FOR_PEOPLE(TCP),
};
static const struct rule ok_shutdown = { "ok/shutdown", "the listener keeps its address", NULL, FOR_PEOPLE(TCP) };

static const struct rule bind_malformed = {
	"bind/malformed", "the length is too short for the socket's family, or the address's", "it were that of the family's structure", FOR_PEOPLE(NETSTACK " Bind(); " MEASURED),
};
static const struct rule bind_family = { "bind/family", "the address is not of the socket's family", "it were", FOR_PEOPLE(NETSTACK " Bind(); " MEASURED) };
static const struct rule bind_used = { "bind/already-bound", "the socket has an address already", "it were a new socket", FOR_PEOPLE(TCP "; " UDP) };
static const struct rule bind_mapped = {
	"bind/mapped-on-v6only", "an IPv4-mapped address has no route from an IPV6_V6ONLY socket", "IPV6_V6ONLY were off", FOR_PEOPLE(TCP "; " MEASURED),
};
static const struct rule bind_foreign = { "bind/foreign-address", "no interface has that address", "the address belonged to an interface", FOR_PEOPLE(TCP "; " UDP) };
static const struct rule listen_udp = { "listen/udp", "a UDP socket cannot listen", NULL, FOR_PEOPLE(UDP) };
static const struct rule listen_state = { "listen/wrong-state", "the socket is connected, or was closed by a failed listen() or connect()", "it were a new socket", FOR_PEOPLE(TCP) };
static const struct rule connect_listening = { "connect/listening", "the socket listens", "it were a new socket", FOR_PEOPLE(TCP) };
static const struct rule connect_used = { "connect/used", "the socket is connected", "it were a new socket", FOR_PEOPLE(TCP) };
static const struct rule connect_refused = { "connect/refused", "nobody listens there", NULL, FOR_PEOPLE("gVisor pkg/tcpip/transport/tcp/connect.go") };
static const struct rule connect_full = { "connect/full", "the listener's queue is full, and it drops what comes", NULL, FOR_PEOPLE("gVisor pkg/tcpip/transport/tcp/accept.go") };
static const struct rule connect_tuple = { "connect/same-connection", "the same connection exists", "another port or peer were chosen", FOR_PEOPLE(TCP) };
static const struct rule accept_not_listening = { "accept/not-listening", "the socket does not listen", NULL, FOR_PEOPLE(TCP) };
static const struct rule shutdown_idle = { "shutdown/not-connected", "the socket is not connected", NULL, FOR_PEOPLE(TCP "; " UDP) };
static const struct rule connect_aborted = {
	"connect/aborted", "an earlier connect() failed, and that closed the socket", "it were a new socket", FOR_PEOPLE("gVisor pkg/tcpip/transport/tcp/endpoint.go connect(), handshakeFailed()"),
};
static const struct rule connect_over = { "connect/over", "the socket's connection has ended", "it were a new socket", FOR_PEOPLE("gVisor pkg/tcpip/transport/tcp/endpoint.go connect()") };
static const struct rule no_port = { "port/none-left", "all ports from 16000 to 65535 are taken", NULL, FOR_PEOPLE("gVisor pkg/tcpip/ports/ports.go PickEphemeralPort(); " NETSTACK " Bind()") };

/* ---- the holders ---- */

/* Of a UDP socket the peer is never reserved. */
static bool has_peer(const struct holder *holder)
{
	return holder->protocol == PROTOCOL_TCP && (holder->options & (OPTION_CHILD | OPTION_CLIENT));
}

/* Is a port sought for one peer alone? */
static bool for_peer(const struct judgement *judgement)
{
	return judgement->call == CALL_CONNECT && judgement->claim.protocol == PROTOCOL_TCP;
}

static bool reserves_family(const struct holder *claim, const struct holder *holder)
{
	if (holder->options & RESERVES_IPV4)
		return holder_is_ipv4(claim) || holder_is_dual(claim);
	return holder->options & RESERVES_BOTH || holders_same_family(claim, holder);
}

static bool reservations_overlap(const struct holder *claim, const struct holder *holder)
{
	return reserves_family(claim, holder) && (holder->options & RESERVES_ANY || holders_addresses_meet(claim, holder));
}

/* Is this holder one that the claim would stand beside under the very same address? */
static bool is_registered(const struct holder *claim, const struct holder *holder)
{
	bool registered = holder->protocol == PROTOCOL_TCP ? holder->state == STATE_LISTENING : holder->state == STATE_BOUND;

	return registered && holders_same_family(claim, holder) && holders_same_address(claim, holder);
}

static bool shares_address(const struct holder *claim, const struct holder *holder)
{
	uint32_t sharing = OPTION_REUSEPORT | (claim->protocol == PROTOCOL_UDP ? OPTION_REUSEADDR : 0);

	return claim->options & holder->options & sharing;
}

/* intersectionFlags(): where one of the two is for a peer only, SO_REUSEPORT of the holder is not asked for. */
static bool shares_port(const struct judgement *judgement, const struct holder *holder)
{
	uint32_t wants = judgement->claim.options, has = holder->options;

	if (has_peer(holder) || for_peer(judgement))
		has |= OPTION_REUSEPORT;
	return wants & has & (OPTION_REUSEADDR | OPTION_REUSEPORT);
}

static void judge_bind(struct judgement *judgement, const struct holder *holder)
{
	const struct holder *claim = &judgement->claim;

	if (for_peer(judgement) && has_peer(holder))
		return; /* the connections differ */
	if (!reservations_overlap(claim, holder))
		return;
	if (judgement->automatic && !for_peer(judgement) && claim->protocol == PROTOCOL_TCP)
		judgement_refuse(judgement, holder, EADDRINUSE, &automatic);
	else if (!shares_port(judgement, holder))
		judgement_refuse(judgement, holder, EADDRINUSE, has_peer(holder) ? &connection : &no_common);
	else if (!for_peer(judgement) && is_registered(claim, holder) && !shares_address(claim, holder))
		judgement_refuse(judgement, holder, EADDRINUSE, &same_address);
	else
		judgement->scratch = true;
}

static void gvisor_holder(struct judgement *judgement, const struct holder *holder)
{
	if (!holders_same_port(&judgement->claim, holder))
		return;
	if (judgement->call != CALL_LISTEN)
		judge_bind(judgement, holder);
	else if (is_registered(&judgement->claim, holder) && !shares_address(&judgement->claim, holder))
		judgement_refuse(judgement, holder, EADDRINUSE, &listen_same_address);
}

static void gvisor_end(struct judgement *judgement, struct verdict *verdict)
{
	const struct rule *ok = judgement->scratch ? &ok_shared : &ok_free;

	judgement_close(judgement, verdict, judgement->call == CALL_LISTEN ? &ok_listen : ok);
	if (!verdict->error)
		return;
	if (judgement->call == CALL_LISTEN)
		verdict->flags = VERDICT_KILLS;
	else if (judgement->claim.protocol == PROTOCOL_TCP)
		verdict->flags = VERDICT_NAMES; /* the local address is written before the port is asked for */
}

/* ---- before ---- */

static bool address_refused(const struct question *question, const struct given *given, struct verdict *verdict)
{
	enum locality locality = given_locality(question, given);
	bool group = locality == LOCALITY_BROADCAST || (locality == LOCALITY_MULTICAST && question->protocol == PROTOCOL_UDP);

	if (given->mapped && question->options & OPTION_V6ONLY)
		return verdict_final(verdict, EHOSTUNREACH, &bind_mapped);
	return !group && !given_is_own(question, given) && verdict_final(verdict, EADDRNOTAVAIL, &bind_foreign);
}

static bool before_bind(const struct question *question, struct verdict *verdict)
{
	uint32_t least = question->domain == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	struct given given = given_address(question);

	if (!question->address)
		return false;
	if (question->length < least || (given.family == AF_INET6 && !given.whole))
		return verdict_final(verdict, EINVAL, &bind_malformed);
	if (given.family != question->domain)
		return verdict_final(verdict, EAFNOSUPPORT, &bind_family);
	if (question->state != STATE_UNBOUND)
		return verdict_final(verdict, EINVAL, &bind_used);
	return address_refused(question, &given, verdict);
}

static bool before_listen(const struct question *question, struct verdict *verdict)
{
	if (question->state == STATE_DEAD)
		return verdict_final(verdict, EINVAL, &listen_state);
	if (question->argument >= 0 && question->queued > question->argument + 1u)
		return verdict_final(verdict, EINVAL, &listen_queue);
	return listen_decided(question, &listen_udp, &listen_state, &ok_listen_again, verdict);
}

static const struct rule connect_malformed = { "connect/malformed-address", "the address is not one of the socket's family, or not whole", NULL, FOR_PEOPLE(NETSTACK " Connect(), TransportEndpointInfo.AddrNetProtoLocked()") };
static const struct rule send_unconnected = { "send/not-connected", "the socket is not connected", NULL, FOR_PEOPLE("gVisor pkg/tcpip/transport/tcp/endpoint.go readyToWrite()") };
static const struct rule send_port = { "send/port-0", "nobody has port 0", NULL, FOR_PEOPLE(UDP) };
static const struct rule connect_unreachable = { "connect/unreachable", "there is no route to it", NULL, FOR_PEOPLE(NETSTACK " Connect(), TransportEndpointInfo.AddrNetProtoLocked()") };
static bool gvisor_before(const struct question *, struct verdict *, struct sockaddr_storage *to, uint32_t *to_length);

static bool is_old(const struct question *question)
{
	return question->profile->trait[trait_netstack] == netstack_runsc_2022;
}

/* netstack.go checkFamily(): IPv4 is a dual-stack socket's, too. */
static bool needs_mapping(const struct question *question)
{
	struct given given = given_address(question);

	return given.family == AF_INET && given.whole && question->domain == AF_INET6 && !(question->options & OPTION_V6ONLY);
}

/* mapFamily() */
static bool map_address(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	struct sockaddr_in6 mapped = { .sin6_family = AF_INET6, .sin6_addr = { .s6_addr = { [10] = 0xff, [11] = 0xff } } };
	struct question read = *question;
	bool final;

	memcpy(&mapped.sin6_port, question->address + 2, 2);
	memcpy(mapped.sin6_addr.s6_addr + 12, question->address + 4, 4);
	read.address = (const uint8_t *)&mapped;
	read.length = sizeof mapped;
	final = gvisor_before(&read, verdict, to, to_length);
	if (!*to_length)
		memcpy(to, &mapped, *to_length = sizeof mapped);
	return final;
}

/* From an address of the one family to one of the other; to any it is Stack.FindRoute() that has no answer. */
static int no_way(const struct question *question, const struct given *given, bool to_ipv4)
{
	if (!given_is_any(question, given))
		return to_ipv4 ? ENETUNREACH : EINVAL;
	if (is_old(question) || (to_ipv4 && question->options & OPTION_V6ONLY))
		return EHOSTUNREACH;
	return question->call == CALL_CONNECT && question->protocol == PROTOCOL_UDP && !to_ipv4 ? ENETUNREACH : EADDRNOTAVAIL;
}

/* What connect() chose for a UDP socket bound to the wildcard is the route's. */
static bool has_address(const struct holder *self)
{
	return self && !holder_is_wild(self) && !(self->protocol == PROTOCOL_UDP && self->options & RESERVES_ANY);
}

/* TransportEndpointInfo.AddrNetProtoLocked() */
static bool address_unreachable(const struct question *question, const struct given *given, struct verdict *verdict)
{
	bool to_ipv4 = given->family == AF_INET || given->mapped;

	if (IS_ALONE(question) && has_address(question->self) && holder_is_ipv4(question->self) != to_ipv4)
		return verdict_final(verdict, no_way(question, given, to_ipv4), &connect_unreachable);
	return given->mapped && question->options & OPTION_V6ONLY && verdict_final(verdict, EHOSTUNREACH, &connect_unreachable);
}

/* Stack.FindRoute(): any address is the socket's own, or that of the loopback interface; so it is on the host. */
static void find_own(const struct question *question, const struct given *given, struct sockaddr_storage *to, uint32_t *to_length)
{
	bool ipv4 = question->domain == AF_INET;

	given_to_loopback(question, given, to, to_length);
	if (*to_length && has_address(question->self))
		memcpy((uint8_t *)to + (ipv4 ? 4 : 8), question->self->address, ipv4 ? 4 : 16);
}

static bool state_refuses(const struct question *question, struct verdict *verdict)
{
	if (question->protocol == PROTOCOL_UDP)
		return false;
	switch (question->state) {
	case STATE_LISTENING:
		return verdict_final(verdict, EINVAL, &connect_listening);
	case STATE_CONNECTED:
		return verdict_final(verdict, EISCONN, &connect_used);
	case STATE_DEAD:
		if (IS_ALONE(question) && question->shut & SHUT_APART)
			return verdict_final(verdict, EINVAL, &connect_over);
		return verdict_final(verdict, ECONNABORTED, &connect_aborted);
	default:
		return false;
	}
}

/* Stack.FindRoute().  Where a datagram can go the host knows. */
static bool no_route(const struct question *question, const struct given *given, struct verdict *verdict)
{
	bool foreign = given_locality(question, given) == LOCALITY_FOREIGN;

	if (given_is_own(question, given) || (question->protocol == PROTOCOL_UDP && !IS_ALONE(question)))
		return false;
	return verdict_final(verdict, foreign ? EHOSTUNREACH : ENETUNREACH, &connect_unreachable);
}

static bool before_connect(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	struct given given = given_address(question);

	if (!question->address || given.family == AF_UNSPEC)
		return false;
	if (given.family != question->domain || !given.whole)
		return verdict_final(verdict, EINVAL, &connect_malformed);
	if (address_unreachable(question, &given, verdict) || state_refuses(question, verdict) || no_route(question, &given, verdict))
		return true;
	verdict->flags = VERDICT_CROSSES;
	if (IS_ALONE(question))
		find_own(question, &given, to, to_length);
	return false;
}

/* A listener refuses connections until it listens again.  A UDP socket need only be bound; now it counts, but is an error. */
static bool before_shutdown(const struct question *question, struct verdict *verdict)
{
	if (question->state == STATE_LISTENING) {
		verdict->flags = question->argument == SHUT_WR ? 0 : VERDICT_DEAFENS;
		return verdict_final(verdict, 0, &ok_shutdown);
	}
	if (question->protocol == PROTOCOL_UDP && question->state == STATE_BOUND) {
		if (is_old(question))
			return !IS_ALONE(question) && verdict_final(verdict, 0, &ok_shutdown);
		if (IS_ALONE(question))
			verdict_final(verdict, ENOTCONN, &shutdown_idle);
		return false;
	}
	return shutdown_refused(question, &shutdown_idle, verdict);
}

/* A port is taken before the route is looked for. */
static bool before_send(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	const struct given given = given_address(question);

	if (question->protocol == PROTOCOL_TCP)
		return question->state != STATE_CONNECTED && verdict_final(verdict, EPIPE, &send_unconnected);
	if (given.family == AF_UNSPEC)
		return false;
	if (given.family != question->domain || !given.whole)
		return verdict_final(verdict, EINVAL, &connect_malformed);
	verdict->flags = VERDICT_BINDS;
	if (!given.port)
		return verdict_final(verdict, EINVAL, &send_port);
	if (address_unreachable(question, &given, verdict))
		return true;
	find_own(question, &given, to, to_length);
	return given_locality(question, &given) == LOCALITY_FOREIGN && verdict_final(verdict, EHOSTUNREACH, &connect_unreachable);
}

/* ::ffff:0.0.0.0 is kept as no address at all. */
static bool before_name(const struct question *question, struct sockaddr_storage *to, uint32_t *to_length)
{
	const struct given given = given_address(question);

	if (!given.mapped || !given_is_any(question, &given))
		return false;
	memcpy(to, question->address, *to_length = question->length);
	memset((uint8_t *)to + 8, 0, 16);
	return false;
}

static bool gvisor_before(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	if ((question->call == CALL_CONNECT || (IS_ALONE(question) && question->call == CALL_SEND)) && needs_mapping(question))
		return map_address(question, verdict, to, to_length);
	switch (question->call) {
	case CALL_BIND:
		return before_bind(question, verdict);
	case CALL_LISTEN:
		return before_listen(question, verdict);
	case CALL_CONNECT:
		return before_connect(question, verdict, to, to_length);
	case CALL_ACCEPT:
		return accept_refused(question, &accept_not_listening, verdict);
	case CALL_SHUTDOWN:
		return before_shutdown(question, verdict);
	case CALL_NAME:
		return IS_ALONE(question) && before_name(question, to, to_length);
	case CALL_SEND:
		return IS_ALONE(question) && before_send(question, verdict, to, to_length);
	default:
		return false;
	}
}

/* ---- options ---- */

static const struct option_row rows[] = {
	{ SOL_SOCKET, SO_REUSEADDR, OPTION_REUSEADDR, 1, false },
	{ SOL_SOCKET, SO_REUSEPORT, OPTION_REUSEPORT, 1, false },
	{ IPPROTO_IPV6, IPV6_V6ONLY, OPTION_V6ONLY, 1, true },
	{ -1, 0, 0, 0, false },
};

static const struct rule option_ok = { "ok/option", NULL, NULL, FOR_PEOPLE(NETSTACK " setSockOptSocket()") };
static const struct rule option_length = { "option/length", "the value is too short", NULL, FOR_PEOPLE(NETSTACK " setSockOptSocket()") };
static const struct rule option_late = { "option/late", "it cannot be changed after the bind", "it had been set before", FOR_PEOPLE(NETSTACK " setSockOptIPv6()") };
static const struct option_rules option_rules = { &option_ok, &option_length, &option_length, &option_late, true };

static void gvisor_option(const struct option_question *question, struct option_answer *answer)
{
	option_by_rows(question, rows, &option_rules, answer);
}

/* ---- the family ---- */

static uint32_t gvisor_asks(const struct profile *profile)
{
	return family_asks(profile) | KEEPS_ADDRESS;
}

/* A child's reservation has the listener's flags, the child itself shows none of the options (accepted-options). */
static uint32_t gvisor_inherited(const struct profile *profile, uint32_t listener_options)
{
	(void)profile;
	return OPTIONS_HIDDEN(listener_options & (OPTION_REUSEADDR | OPTION_REUSEPORT)) | (listener_options & OPTION_V6ONLY);
}

static uint32_t gvisor_bound(const struct profile *profile, const struct holder *claim, int error)
{
	(void)profile;
	if (error || !holder_is_wild(claim))
		return claim->options;
	return claim->options | RESERVES_ANY | (holder_is_dual(claim) ? RESERVES_BOTH : 0) | (holder_is_ipv4(claim) ? RESERVES_IPV4 : 0);
}

/* connect() writes the source address where the wildcard was, and ReleasePort() looks for that one in vain: cleanupLocked(). */
static bool gvisor_anchors(const struct profile *profile, const struct holder *claim)
{
	bool connects = claim->state == STATE_CONNECTED || claim->state == STATE_DEAD;

	(void)profile;
	return connects && claim->protocol == PROTOCOL_TCP && holder_is_wild(claim);
}

static void gvisor_event(const struct question *question, enum event event, struct verdict *verdict)
{
	bool tcp = question->protocol == PROTOCOL_TCP;
	uint32_t shared = OPTIONS_SHOWN(question->options); /* as they are now; SO_REUSEPORT does not share a connection */

	switch (event) {
	case EVENT_REFUSED:
	case EVENT_UNLISTENED:
		verdict_final(verdict, ECONNREFUSED, &connect_refused);
		verdict->flags = tcp ? VERDICT_KILLS | VERDICT_NAMES : 0;
		break;
	case EVENT_FULL:
		verdict_final(verdict, ETIMEDOUT, &connect_full);
		verdict->flags = VERDICT_KILLS | VERDICT_NAMES;
		break;
	case EVENT_TUPLE_TAKEN:
		if (IS_ALONE(question))
			shared &= OPTIONS_SHOWN(question->self->options);
		/* fall through */
	case EVENT_TUPLE_REMNANT:
	case EVENT_AGAIN: /* it once met itself */
		if (!tcp && (event != EVENT_AGAIN || is_old(question)) && !(shared & OPTION_REUSEADDR))
			verdict_final(verdict, EADDRINUSE, &connect_tuple);
		if (tcp)
			verdict_final(verdict, is_old(question) ? EADDRINUSE : EADDRNOTAVAIL, &connect_tuple);
		break;
	case EVENT_NO_PORT:
		if (question->call == CALL_CONNECT)
			verdict_final(verdict, tcp ? EADDRNOTAVAIL : EAGAIN, &no_port);
		else
			verdict_final(verdict, question->call == CALL_LISTEN ? EAGAIN : EADDRINUSE, &no_port);
		break;
	case EVENT_OVER:
		verdict->flags = VERDICT_KILLS;
		break;
	case EVENT_SELF:
		break;
	}
}

const struct family family_gvisor = {
	.name = "gvisor",
	.asks = gvisor_asks,
	.bucket = family_bucket,
	.before = gvisor_before,
	.holder = gvisor_holder,
	.end = gvisor_end,
	.option = gvisor_option,
	.error = family_error,
	.inherited = gvisor_inherited,
	.released = family_released,
	.anchors = gvisor_anchors,
	.fresh = family_fresh,
	.bound = gvisor_bound,
	.port = ALONE_ONLY(family_port),
	.event = gvisor_event,
};

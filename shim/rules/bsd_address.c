/* SPDX-License-Identifier: MIT */
/*
 * The BSDs and macOS: what the socket and the arguments of a call decide, and what becomes of a connect().
 *
 * bind() makes the same few tests everywhere, but in another order on each system, and some not at all: the
 * orders are data.  A program has no sa_len here, so the length it passes stands for it; that must be exact.
 */
#include "bsd.h"

#include <errno.h>
#include <netinet/in.h>

#define BIND "netinet/in_pcb.c in_pcbbind(), netinet6/in6_pcb.c in6_pcbbind(), netinet/tcp_usrreq.c, kern/uipc_syscalls.c"
#define NAME_LONGEST 255 /* SOCK_MAXADDRLEN */

static const struct rule address_long = { "address/long", "no address is that long", "the length were that of the family's structure", FOR_PEOPLE(BIND) };
static const struct rule address_short = { "address/short", "there is no room for a family", "the length were that of the family's structure", FOR_PEOPLE(BIND) };
static const struct rule address_length = { "address/length", "the length is not exactly that of the family's structure",
	"the length were sizeof(struct sockaddr_in), or of sockaddr_in6", FOR_PEOPLE(BIND) };
static const struct rule address_family = { "address/family", "the address is of another family than the socket", NULL, FOR_PEOPLE(BIND) };
static const struct rule address_multicast = { "address/multicast", "a TCP socket binds no such address", NULL, FOR_PEOPLE("netinet/tcp_usrreq.c tcp_usr_bind()") };
static const struct rule address_mapped = { "address/mapped", "the socket is for IPv6 only, and this is an IPv4 address", "IPV6_V6ONLY were off", FOR_PEOPLE(BIND) };
static const struct rule address_foreign = { "address/foreign", "no interface has that address; of 127.0.0.0/8 the loopback interface has 127.0.0.1 alone",
	"the address belonged to an interface (--loopback-alias adds 127.0.0.2 and its like)", FOR_PEOPLE(BIND) };
static const struct rule bind_bound = { "bind/bound", "the socket has a port already, or is connected", "it were a new socket", FOR_PEOPLE(BIND) };
static const struct rule bind_privileged = { "bind/privileged", "ports below 1024 are for root", "the port were 1024 or higher", FOR_PEOPLE(BIND) };
static const struct rule socket_domain = { "socket/domain", "there is no IPv6", NULL, FOR_PEOPLE("kern/uipc_socket.c socreate(), 4.4BSD-Lite2") };
static const struct rule socket_gone = { "socket/gone", "a refused connect() or a shutdown() ended the socket", "it were a new socket", FOR_PEOPLE("netinet/tcp_subr.c tcp_close(); tcp_usrreq.c") };
static const struct rule listen_udp = { "listen/udp", "a UDP socket cannot listen", NULL, FOR_PEOPLE("kern/uipc_socket.c solisten()") };
static const struct rule listen_connected = { "listen/connected", "the socket is connected", NULL, FOR_PEOPLE("kern/uipc_socket.c solisten_proto_check()") };
static const struct rule connect_listening = { "connect/listening", "the socket listens", NULL, FOR_PEOPLE("kern/uipc_socket.c soconnect()") };
static const struct rule connect_connected = { "connect/connected", "the socket is connected", NULL, FOR_PEOPLE("kern/uipc_socket.c soconnect()") };
static const struct rule connect_port = { "connect/port", "there is no port 0 to connect to", NULL, FOR_PEOPLE("netinet/in_pcb.c in_pcbladdr()") };
static const struct rule connect_any = { "connect/any", "nobody is there", "the program named a host, such as 127.0.0.1", FOR_PEOPLE("netinet/in_pcb.c in_pcbconnect()") };
static const struct rule connect_broadcast = { "connect/broadcast", "a TCP socket connects to one host", NULL, FOR_PEOPLE("netinet/tcp_usrreq.c tcp_usr_connect(), FreeBSD 13.0") };
static const struct rule connect_unreachable = { "connect/unreachable", "there is no route to it", NULL, FOR_PEOPLE("netinet/in_pcb.c in_pcbladdr()") };
static const struct rule connect_refused = { "connect/refused", "nobody listens there", NULL, FOR_PEOPLE("netinet/tcp_input.c tcp_input()") };
static const struct rule connect_silent = { "connect/silent", "a socket has that port and does not listen: the request is dropped", NULL, FOR_PEOPLE("netinet/tcp_input.c tcp_input(), TCPS_CLOSED") };
static const struct rule connect_full = { "connect/full", "the listener's queue is full: the request is dropped", NULL, FOR_PEOPLE("kern/uipc_socket.c sonewconn()") };
static const struct rule connect_reset = { "connect/full", "the listener's queue is full: the connection is reset as soon as it stands", NULL,
	FOR_PEOPLE("netinet/tcp_input.c tcp_input(), net.inet.tcp.syncache.rst_on_sock_fail, FreeBSD 13.0") };
static const struct rule connect_tuple = { "connect/four-tuple", "that connection exists already", "it came from another port", FOR_PEOPLE("netinet/in_pcb.c in_pcbconnect()") };
static const struct rule connect_self = { "connect/self", "a socket does not connect to its own address", "it were another address or port", FOR_PEOPLE("netinet/tcp_usrreq.c tcp_connect(), xnu-7195.141.2") };
static const struct rule no_port = { "port/none-left", "no automatic port is left", NULL, FOR_PEOPLE("netinet/in_pcb.c") };
static const struct rule accept_nobody = { "accept/ended", "shutdown() ended the listener, and nobody waits", NULL, FOR_PEOPLE("kern/uipc_syscalls.c accept()") };
static const struct rule accept_not_listening = { "accept/not-listening", "the socket does not listen", NULL, FOR_PEOPLE("kern/uipc_syscalls.c accept()") };
static const struct rule shutdown_idle = { "shutdown/not-connected", "the socket is not connected", NULL, FOR_PEOPLE("kern/uipc_socket.c soshutdown()") };
static const struct rule not_connected = { "send/not-connected", "the socket is not connected", NULL, FOR_PEOPLE("kern/uipc_socket.c sosend(), soreceive()") };
static const struct rule peer_shut = { "peer/shut-down", "the socket was shut down in both directions", NULL, FOR_PEOPLE("kern/uipc_syscalls.c getpeername(), xnu-7195.141.2") };
static const struct rule send_shut = { "send/shut-down", "the socket was shut down", NULL, FOR_PEOPLE("kern/uipc_socket.c sosend()") };
static const struct rule send_connected = { "send/connected", "a connected UDP socket sends to its peer only, and takes no address", "the socket were not connected", FOR_PEOPLE("netinet/udp_usrreq.c udp_output(), udp_send()") };
static const struct rule ok_shutdown = { "ok/shutdown", "a socket without a connection stays as it is", NULL, FOR_PEOPLE("kern/uipc_socket.c soshutdown(), FreeBSD 13.0") };
static const struct rule ok_ended = { "ok/ended", "shutdown() ends a socket that is not connected, and its port is free", NULL, FOR_PEOPLE("netinet/tcp_usrreq.c tcp_usrclosed()") };

/* ---- the address given ---- */

static uint32_t exact_length(const struct question *question)
{
	return question->domain == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

static sa_family_t family_of(const struct question *question)
{
	sa_family_t family = AF_UNSPEC;

	if (question->length >= sizeof family)
		memcpy(&family, question->address, sizeof family);
	return family;
}

static uint16_t port_of(const struct question *question)
{
	return (uint16_t)(question->address[2] << 8 | question->address[3]);
}

/* Four or sixteen bytes; NULL if the length ends before them. */
static const uint8_t *host_of(const struct question *question)
{
	bool ipv4 = question->domain == AF_INET;

	if (question->length < (ipv4 ? 8 : 24))
		return NULL;
	return question->address + (ipv4 ? 4 : 8);
}

static bool is_mapped_host(const struct question *question)
{
	return question->domain == AF_INET6 && bsd_is_mapped(host_of(question));
}

/* The IPv4 address, if it is one, mapped or not. */
static const uint8_t *host4_of(const struct question *question)
{
	const uint8_t *host = host_of(question);

	if (!host || question->domain == AF_INET)
		return host;
	return bsd_is_mapped(host) ? host + 12 : NULL;
}

static bool is_any_host(const struct question *question)
{
	static const uint8_t zero[16];
	const uint8_t *ipv4 = host4_of(question), *host = host_of(question);

	return ipv4 ? !memcmp(ipv4, zero, 4) : host && !memcmp(host, zero, 16);
}

static bool is_broadcast(const uint8_t *ipv4)
{
	static const uint8_t all[4] = { 255, 255, 255, 255 };

	return ipv4 && !memcmp(ipv4, all, sizeof all);
}

static bool is_multicast_host(const struct question *question)
{
	const uint8_t *ipv4 = host4_of(question), *host = host_of(question);

	return ipv4 ? (*ipv4 & 0xf0) == 0xe0 : host && *host == 0xff;
}

/* With a host behind, it knows the addresses that are not of the loopback interface. */
static bool is_local4(const struct question *question, const uint8_t *ipv4)
{
	static const uint8_t loopback[4] = { 127, 0, 0, 1 };

	if (is_broadcast(ipv4))
		return question->protocol == PROTOCOL_UDP && bsd_is(question->profile, trait_bind_order, bind_order_openbsd);
	if (*ipv4 == 127)
		return question->loopback_alias || !memcmp(ipv4, loopback, sizeof loopback);
	return !IS_ALONE(question);
}

static bool is_local(const struct question *question)
{
	static const uint8_t loopback[16] = { [15] = 1 };
	const uint8_t *ipv4 = host4_of(question);

	if (is_any_host(question) || is_multicast_host(question))
		return true;
	if (ipv4)
		return is_local4(question, ipv4);
	return !IS_ALONE(question) || !memcmp(host_of(question), loopback, sizeof loopback);
}

/* ---- bind: the tests ---- */

/* What the address looks like comes first, up to CHECK_TCP_FAMILY: connect() asks for these too. */
enum check {
	CHECK_END,
	CHECK_LONG,
	CHECK_SHORT,
	CHECK_LENGTH,
	CHECK_TCP_LENGTH,
	CHECK_FAMILY,
	CHECK_TCP_FAMILY, /* macOS: TCP knows its own and none, UDP over IPv4 both */
	CHECK_MULTICAST,
	CHECK_ALIVE,
	CHECK_BOUND,
	CHECK_MAPPED,
	CHECK_LOCAL,
	CHECK_PRIVILEGE
};

static const uint8_t orders[][2][11] = {
	/* sys/netinet/in_pcb.c 8.4, 4.4BSD-Lite2 */
	[bind_order_lite2] = { { CHECK_BOUND, CHECK_LENGTH, CHECK_LOCAL, CHECK_PRIVILEGE } },
	/* FreeBSD 9.1 and 13.0, measured */
	[bind_order_freebsd13] = {
		{ CHECK_LONG, CHECK_SHORT, CHECK_TCP_LENGTH, CHECK_MULTICAST, CHECK_BOUND, CHECK_LENGTH, CHECK_LOCAL, CHECK_PRIVILEGE },
		{ CHECK_LONG, CHECK_SHORT, CHECK_TCP_LENGTH, CHECK_MULTICAST, CHECK_BOUND, CHECK_LENGTH, CHECK_FAMILY, CHECK_LOCAL, CHECK_PRIVILEGE },
	},
	/* sys/netinet/tcp_usrreq.c, udp_usrreq.c, 1400507 and main */
	[bind_order_freebsd14] = {
		{ CHECK_LONG, CHECK_SHORT, CHECK_FAMILY, CHECK_LENGTH, CHECK_MULTICAST, CHECK_BOUND, CHECK_LOCAL, CHECK_PRIVILEGE },
		{ CHECK_LONG, CHECK_SHORT, CHECK_FAMILY, CHECK_LENGTH, CHECK_MULTICAST, CHECK_BOUND, CHECK_LOCAL, CHECK_PRIVILEGE },
	},
	/* DragonFly 5.9 */
	[bind_order_dragonfly] = {
		{ CHECK_SHORT, CHECK_LONG, CHECK_ALIVE, CHECK_MULTICAST, CHECK_BOUND, CHECK_LENGTH, CHECK_LOCAL, CHECK_PRIVILEGE },
		{ CHECK_SHORT, CHECK_LONG, CHECK_ALIVE, CHECK_MULTICAST, CHECK_BOUND, CHECK_LENGTH, CHECK_FAMILY, CHECK_MAPPED, CHECK_LOCAL, CHECK_PRIVILEGE },
	},
	/* NetBSD 7.99.34, measured: the family comes before the length (kern/uipc_socket.c sobind()) */
	[bind_order_netbsd] = {
		{ CHECK_SHORT, CHECK_FAMILY, CHECK_BOUND, CHECK_LENGTH, CHECK_LOCAL, CHECK_PRIVILEGE },
		{ CHECK_SHORT, CHECK_FAMILY, CHECK_BOUND, CHECK_LENGTH, CHECK_MAPPED, CHECK_LOCAL, CHECK_PRIVILEGE },
	},
	/* OpenBSD 2025 in_pcbbind_locked(), in_nam2sin(): privilege comes after the conflicts */
	[bind_order_openbsd] = {
		{ CHECK_BOUND, CHECK_SHORT, CHECK_FAMILY, CHECK_LENGTH, CHECK_LOCAL },
		{ CHECK_BOUND, CHECK_SHORT, CHECK_FAMILY, CHECK_LENGTH, CHECK_MAPPED, CHECK_LOCAL },
	},
	/* xnu-7195.141.2, measured */
	[bind_order_xnu] = {
		{ CHECK_SHORT, CHECK_LONG, CHECK_ALIVE, CHECK_TCP_FAMILY, CHECK_MULTICAST, CHECK_BOUND, CHECK_LENGTH, CHECK_LOCAL, CHECK_PRIVILEGE },
		{ CHECK_SHORT, CHECK_LONG, CHECK_ALIVE, CHECK_TCP_FAMILY, CHECK_MULTICAST, CHECK_BOUND, CHECK_LENGTH, CHECK_FAMILY, CHECK_LOCAL, CHECK_PRIVILEGE },
	},
};

/* FreeBSD 14: old programs left the family of 0.0.0.0 out. */
static bool refuses_family(const struct question *question)
{
	sa_family_t family = family_of(question);

	if (family == AF_UNSPEC && question->domain == AF_INET && bsd_is(question->profile, trait_bind_order, bind_order_freebsd14))
		return !is_any_host(question);
	return family != question->domain;
}

static bool refuses_tcp_family(const struct question *question)
{
	sa_family_t family = family_of(question);

	if (question->protocol == PROTOCOL_TCP)
		return family != AF_UNSPEC && family != question->domain;
	return question->domain == AF_INET && family != AF_UNSPEC && family != AF_INET && family != AF_INET6;
}

static bool is_freebsd(const struct profile *profile)
{
	return bsd_is(profile, trait_bind_order, bind_order_freebsd13) || bsd_is(profile, trait_bind_order, bind_order_freebsd14);
}

/* A mapped one is looked at by FreeBSD alone, where it counts as IPv4 (tcp6_usr_bind()). */
static bool refuses_multicast(const struct question *question)
{
	if (question->protocol != PROTOCOL_TCP || family_of(question) != question->domain)
		return false;
	if (question->domain == AF_INET6 && host4_of(question) && (!is_freebsd(question->profile) || question->options & OPTION_V6ONLY))
		return false;
	if (is_multicast_host(question))
		return true;
	return bsd_is(question->profile, trait_tcp_broadcast, tcp_broadcast_refused) && is_broadcast(host4_of(question));
}

/* macOS lets everybody have a wildcard. */
static bool lacks_privilege(const struct question *question)
{
	bool needed = !bsd_is(question->profile, trait_bind_order, bind_order_xnu) || !is_any_host(question);

	return needed && question->uid && port_of(question) && port_of(question) < IPPORT_RESERVED;
}

/* An IPv4 address in an IPv6 socket that is for IPv6 only. */
static bool is_misplaced(const struct question *question)
{
	return is_mapped_host(question) && (question->options & OPTION_V6ONLY);
}

static bool fails(const struct question *question, enum check check, struct verdict *verdict)
{
	const struct profile *profile = question->profile;
	bool dragonfly = bsd_is(profile, trait_bind_order, bind_order_dragonfly), tcp = question->protocol == PROTOCOL_TCP;

	switch (check) {
	case CHECK_LONG:
		return question->length > NAME_LONGEST && bsd_answer(verdict, ENAMETOOLONG, &address_long);
	case CHECK_SHORT:
		return question->length < sizeof(sa_family_t) && bsd_answer(verdict, dragonfly ? EDOM : EINVAL, &address_short);
	case CHECK_TCP_LENGTH:
		return tcp && fails(question, CHECK_LENGTH, verdict);
	case CHECK_LENGTH:
		return question->length != exact_length(question) && bsd_answer(verdict, EINVAL, &address_length);
	case CHECK_FAMILY:
		return refuses_family(question) && bsd_answer(verdict, EAFNOSUPPORT, &address_family);
	case CHECK_TCP_FAMILY:
		return refuses_tcp_family(question) && bsd_answer(verdict, EAFNOSUPPORT, &address_family);
	case CHECK_MULTICAST:
		return refuses_multicast(question) && bsd_answer(verdict, EAFNOSUPPORT, &address_multicast);
	case CHECK_ALIVE:
		return question->state == STATE_DEAD && bsd_answer(verdict, EINVAL, &socket_gone);
	case CHECK_BOUND:
		return question->state != STATE_UNBOUND && bsd_answer(verdict, EINVAL, question->state == STATE_DEAD ? &socket_gone : &bind_bound);
	case CHECK_MAPPED:
		return is_misplaced(question) &&
			bsd_answer(verdict, bsd_is(profile, trait_dual_stack, dual_stack_mapped) ? EINVAL : EADDRNOTAVAIL, &address_mapped);
	case CHECK_LOCAL:
		if (is_misplaced(question))
			return bsd_answer(verdict, EADDRNOTAVAIL, &address_mapped);
		return !is_local(question) && bsd_answer(verdict, EADDRNOTAVAIL, &address_foreign);
	case CHECK_PRIVILEGE:
		verdict->flags = VERDICT_LOCAL;
		return lacks_privilege(question) &&
			bsd_answer(verdict, dragonfly && question->domain == AF_INET ? EPERM : EACCES, &bind_privileged);
	case CHECK_END:
		break;
	}
	return false;
}

/* Where the family is not looked at, what is there is read as the socket's own. */
static void read_as_own(const struct question *question, struct sockaddr_storage *to, uint32_t *to_length)
{
	struct sockaddr_in given;

	if (question->domain != AF_INET || family_of(question) == AF_INET)
		return;
	memcpy(&given, question->address, sizeof given);
	given.sin_family = AF_INET;
	memcpy(to, &given, sizeof given);
	*to_length = sizeof given;
}

static bool before_bind(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	const uint8_t *check = orders[question->profile->trait[trait_bind_order]][question->domain == AF_INET6];

	for (; *check; check++)
		if (fails(question, *check, verdict))
			return true;
	read_as_own(question, to, to_length);
	return false;
}

/* ---- listen, connect, accept, shutdown ---- */

static bool before_listen(const struct question *question, struct verdict *verdict)
{
	bool checks = !bsd_is(question->profile, trait_bind_order, bind_order_lite2);

	if (question->protocol == PROTOCOL_UDP)
		return bsd_answer(verdict, EOPNOTSUPP, &listen_udp);
	return question->state == STATE_CONNECTED && checks && bsd_answer(verdict, EINVAL, &listen_connected);
}

/* 0.0.0.0 and :: stand for the machine itself. */
static bool connect_to_any(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	const struct profile *profile = question->profile;
	uint8_t *address = (uint8_t *)to;

	if (host4_of(question) && bsd_is(profile, trait_connect_any, connect_any_enetunreach))
		return bsd_answer(verdict, ENETUNREACH, &connect_any);
	if (!IS_ALONE(question))
		return false;
	memcpy(to, question->address, question->length);
	*to_length = question->length;
	if (host4_of(question))
		memcpy(address + question->length - (question->domain == AF_INET ? 12 : 8), (uint8_t[]){ 127, 0, 0, 1 }, 4);
	else
		address[8 + 15] = 1;
	return false;
}

/* Length and family, in the order of bind(); connect() looks at the family everywhere. */
static bool fails_by_form(const struct question *question, struct verdict *verdict)
{
	const uint8_t *check = orders[question->profile->trait[trait_bind_order]][0];

	for (; *check; check++)
		if (*check <= CHECK_TCP_FAMILY && fails(question, *check, verdict))
			return true;
	return family_of(question) != question->domain && bsd_answer(verdict, EAFNOSUPPORT, &address_family);
}

/* tcp_usr_connect(), of the systems that look in tcp_usr_bind() */
static bool minds_multicast(const struct profile *profile)
{
	const uint8_t *check = orders[profile->trait[trait_bind_order]][0];

	while (*check && *check != CHECK_MULTICAST)
		check++;
	return *check;
}

static bool is_netbsd(const struct profile *profile)
{
	return bsd_is(profile, trait_bind_order, bind_order_netbsd);
}

/* The stacks do not mix once the socket has an address (in6_pcbconnect()). */
static bool is_other_stack(const struct question *question)
{
	const struct holder *self = question->self;

	return self && question->domain == AF_INET6 && !address_is_any(self) && bsd_is_mapped(self->address) != is_mapped_host(question);
}

/* No interface but lo0, and no route: to a group, or to an address that nobody has. */
static bool is_unreachable(const struct question *question)
{
	if (IS_ALONE(question) && is_broadcast(host4_of(question)))
		return true;
	if (is_multicast_host(question))
		return IS_ALONE(question) && question->protocol == PROTOCOL_TCP;
	return !is_local(question) && (IS_ALONE(question) || *host4_of(question) == 127);
}

/* Who looks for a source address first has none. */
static int unreachable(const struct question *question)
{
	bool selects = is_netbsd(question->profile) || bsd_is(question->profile, trait_bind_order, bind_order_openbsd);

	return selects && (host4_of(question) || is_multicast_host(question)) ? EADDRNOTAVAIL : ENETUNREACH;
}

/* 13.0 and later. */
static bool is_newer_freebsd(const struct profile *profile)
{
	return is_freebsd(profile) && !bsd_is(profile, trait_idle_shutdown, idle_shutdown_ends);
}

/* The same connection is there still; FreeBSD 14 asks whether the socket ever had one. */
static bool refuses_again(const struct question *question, struct verdict *verdict)
{
	bool tries = question->options & OPTION_TRIES;

	if (!(IS_ALONE(question) && question->shut & SHUT_APART) || bsd_is(question->profile, trait_bind_order, bind_order_freebsd14))
		return bsd_answer(verdict, tries ? EALREADY : EISCONN, &connect_connected);
	return bsd_answer(verdict, EADDRINUSE, &connect_tuple);
}

static bool connect_address(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	const struct profile *profile = question->profile;
	bool tcp = question->protocol == PROTOCOL_TCP, group;
	/* tcp_connect() chooses a port before it reads the address, where any peer will do for it. */
	uint32_t flags = tcp && bsd_is(profile, trait_connect_port, connect_port_as_bind) ? VERDICT_BINDS : 0;

	if (fails_by_form(question, verdict))
		return true;
	group = is_multicast_host(question);
	if (is_netbsd(profile))
		verdict->flags = flags;
	if (is_misplaced(question))
		return bsd_answer(verdict, bsd_is(profile, trait_dual_stack, dual_stack_apart) ? EADDRNOTAVAIL : EINVAL, &address_mapped);
	if (tcp && bsd_is(profile, trait_connect_any, connect_any_einval) && (group || is_any_host(question) || is_broadcast(host4_of(question))))
		return bsd_answer(verdict, EINVAL, &connect_any);
	if (tcp && group && minds_multicast(profile))
		return bsd_answer(verdict, EAFNOSUPPORT, &address_multicast);
	if (tcp && is_newer_freebsd(profile) && is_broadcast(host4_of(question)))
		return bsd_answer(verdict, EACCES, &connect_broadcast);
	verdict->flags = flags;
	if (port_of(question) == 0)
		return bsd_answer(verdict, EADDRNOTAVAIL, &connect_port);
	if (is_netbsd(profile) && is_other_stack(question))
		return bsd_answer(verdict, EINVAL, &address_mapped);
	if (is_any_host(question))
		return connect_to_any(question, verdict, to, to_length);
	return is_unreachable(question) && bsd_answer(verdict, unreachable(question), &connect_unreachable);
}

/* A refused connect() ends the socket: its port is free at once (measured on FreeBSD 13.0, macOS 11, NetBSD 7.99). */
static bool before_connect(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	bool tcp = question->protocol == PROTOCOL_TCP;

	if (tcp && question->state == STATE_LISTENING)
		return bsd_answer(verdict, EOPNOTSUPP, &connect_listening);
	if (tcp && question->state == STATE_CONNECTED)
		return refuses_again(question, verdict);
	if (!tcp && family_of(question) == AF_UNSPEC)
		return false; /* disconnects */
	if (connect_address(question, verdict, to, to_length))
		return true;
	return false;
}

static bool end_socket(const struct question *question, struct verdict *verdict)
{
	verdict->flags = VERDICT_KILLS;
	bsd_answer(verdict, 0, &ok_ended);
	return IS_ALONE(question);
}

/* The datagram socket is shut down, connected or not; macOS and the newer FreeBSD call for a connection, and only macOS lets it be. */
static bool shut_datagrams(const struct question *question, struct verdict *verdict)
{
	const struct profile *profile = question->profile;
	bool told = bsd_is(profile, trait_idle_shutdown, idle_shutdown_enotconn);

	if (told)
		bsd_answer(verdict, ENOTCONN, &shutdown_idle);
	return told && !is_freebsd(profile);
}

static bool before_shutdown(const struct question *question, struct verdict *verdict)
{
	const struct profile *profile = question->profile;
	bool told = bsd_is(profile, trait_idle_shutdown, idle_shutdown_enotconn);

	if (question->options & OPTION_TRIES && bsd_is(profile, trait_unlistened, unlistened_silent) && question->argument != SHUT_RD)
		return end_socket(question, verdict);
	if (question->state == STATE_CONNECTED && IS_ALONE(question) && question->shut & SHUT_APART && told)
		return bsd_answer(verdict, ENOTCONN, &shutdown_idle);
	if (question->state == STATE_CONNECTED)
		return false;
	if (question->protocol == PROTOCOL_UDP)
		return shut_datagrams(question, verdict);
	/* soshutdown() */
	if (question->state == STATE_LISTENING && question->argument != SHUT_WR && is_newer_freebsd(profile))
		verdict->flags = VERDICT_INTERRUPTS;
	switch ((enum trait_idle_shutdown)profile->trait[trait_idle_shutdown]) {
	case idle_shutdown_nothing:
		return bsd_answer(verdict, 0, &ok_shutdown);
	case idle_shutdown_enotconn:
		return bsd_answer(verdict, ENOTCONN, &shutdown_idle);
	case idle_shutdown_ends:
		if (question->argument != SHUT_RD)
			return end_socket(question, verdict);
		return (IS_ALONE(question) || question->state == STATE_LISTENING) && bsd_answer(verdict, 0, &ok_ended);
	}
	return false;
}

static bool before_accept(const struct question *question, struct verdict *verdict)
{
	if (question->protocol == PROTOCOL_UDP)
		return bsd_answer(verdict, bsd_is(question->profile, trait_udp_accept, udp_accept_eopnotsupp) ? EOPNOTSUPP : EINVAL, &accept_not_listening);
	return IS_ALONE(question) && question->state != STATE_LISTENING && bsd_answer(verdict, EINVAL, &accept_not_listening);
}

/* udp_output(): who has an address of its own need not look for one, and is told later that nobody knows the way. */
static int send_unreachable(const struct question *question)
{
	bool specific = question->self && !address_is_any(question->self), ipv4 = host4_of(question);

	if (ipv4 && !specific && !bsd_is(question->profile, trait_bind_order, bind_order_lite2))
		return unreachable(question);
	return ipv4 || is_multicast_host(question) ? EHOSTUNREACH : unreachable(question);
}

/* FreeBSD's udp_send() and macOS's udp_output() look at an IPv4 port on the way to an address of their own alone. */
static bool sends_to_no_port(const struct question *question)
{
	bool specific = question->self && !address_is_any(question->self), xnu = bsd_is(question->profile, trait_bind_order, bind_order_xnu);

	return port_of(question) == 0 && !(host4_of(question) && specific && (xnu || is_freebsd(question->profile)));
}

/* Where a datagram goes.  4.4BSD and DragonFly have a port by then. */
static bool send_address(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	const struct profile *profile = question->profile;
	bool lite2 = bsd_is(profile, trait_bind_order, bind_order_lite2);

	if (lite2 || bsd_is(profile, trait_bind_order, bind_order_dragonfly))
		verdict->flags = VERDICT_BINDS;
	if (fails_by_form(question, verdict))
		return true;
	if (is_misplaced(question))
		return bsd_answer(verdict, bsd_is(profile, trait_dual_stack, dual_stack_apart) ? EADDRNOTAVAIL : EINVAL, &address_mapped);
	if (sends_to_no_port(question))
		return bsd_answer(verdict, EADDRNOTAVAIL, &connect_port);
	if (is_any_host(question))
		return connect_to_any(question, verdict, to, to_length);
	return (is_multicast_host(question) || is_broadcast(host4_of(question)) || !is_local(question)) &&
	       bsd_answer(verdict, send_unreachable(question), &connect_unreachable);
}

static bool before_send(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	bool tcp = question->protocol == PROTOCOL_TCP;

	if (tcp)
		return question->state != STATE_CONNECTED && bsd_answer(verdict, ENOTCONN, &not_connected);
	if (question->shut & SHUT_OUT)
		return bsd_answer(verdict, EPIPE, &send_shut);
	if (!question->address)
		return false;
	if (question->state == STATE_CONNECTED)
		return bsd_answer(verdict, EISCONN, &send_connected);
	return send_address(question, verdict, to, to_length);
}

/* macOS: an address is shown as whoever sees the socket reads it (netinet6/in6_pcb.c in6_mapped_sockaddr(),
 * xnu-7195.141.2), and a second bind() may have changed that. */
static void show_name(const struct question *question, struct sockaddr_storage *to, uint32_t *to_length)
{
	uint32_t marks = question->options & (OPTION_SEEN4 | OPTION_SEEN6);
	struct sockaddr_in6 shown;
	uint8_t *address = shown.sin6_addr.s6_addr;

	if (question->domain != AF_INET6 || question->state == STATE_CONNECTED || !marks || question->length != sizeof shown)
		return;
	memcpy(&shown, question->address, sizeof shown);
	if (marks == OPTION_SEEN4)
		memcpy(address, (uint8_t[12]){ [10] = 0xff, [11] = 0xff }, 12);
	else if (bsd_is_mapped(address))
		memset(address, 0, 12);
	memcpy(to, &shown, sizeof shown);
	*to_length = sizeof shown;
}

/* Both ways shut; what has ended is. */
static bool before_peer(const struct question *question, struct verdict *verdict)
{
	bool shut = question->state == STATE_DEAD || (question->shut & SHUT_OUT && question->shut & SHUT_IN);

	if (shut && bsd_is(question->profile, trait_bind_order, bind_order_xnu))
		return bsd_answer(verdict, EINVAL, &peer_shut);
	return question->shut & SHUT_APART && bsd_answer(verdict, ENOTCONN, &not_connected);
}

/* ---- a socket that has ended ---- */

/* A listener it was: SO_ACCEPTCONN stays.  OpenBSD looks whether it can receive first. */
static int nobody_waits(const struct question *question)
{
	return question->shut & SHUT_IN && bsd_is(question->profile, trait_bind_order, bind_order_openbsd) ? ECONNABORTED : EAGAIN;
}

/* soshutdown(): what is left can always be told to receive no more, but where a connection is called for. */
static bool shutdown_dead(const struct question *question, struct verdict *verdict)
{
	const struct profile *profile = question->profile;
	bool named = !bsd_is(profile, trait_refused_socket, refused_socket_nameless);

	if (bsd_is(profile, trait_idle_shutdown, idle_shutdown_nothing))
		return bsd_answer(verdict, 0, &ok_shutdown);
	if (bsd_is(profile, trait_idle_shutdown, idle_shutdown_enotconn))
		return bsd_answer(verdict, ENOTCONN, &socket_gone);
	if (question->argument == SHUT_RD)
		return bsd_answer(verdict, 0, &ok_ended);
	return bsd_answer(verdict, named ? ECONNRESET : EINVAL, &socket_gone);
}

static bool dead_alone(const struct question *question, struct verdict *verdict)
{
	bool listened = question->options & OPTION_LISTENED;

	switch (question->call) {
	case CALL_CONNECT:
		return listened && bsd_answer(verdict, EOPNOTSUPP, &connect_listening);
	case CALL_ACCEPT:
		return listened && bsd_answer(verdict, nobody_waits(question), &accept_nobody);
	case CALL_NAME:
		return bsd_is(question->profile, trait_refused_socket, refused_socket_nameless) && bsd_answer(verdict, EINVAL, &socket_gone);
	case CALL_PEER:
		return before_peer(question, verdict) || bsd_answer(verdict, ENOTCONN, &socket_gone);
	case CALL_SEND:
		return bsd_answer(verdict, EPIPE, &socket_gone);
	case CALL_RECEIVE:
		return bsd_answer(verdict, 0, &socket_gone);
	default:
		return false;
	}
}

static bool before_dead(const struct question *question, struct verdict *verdict)
{
	if (IS_ALONE(question) && dead_alone(question, verdict))
		return true;
	switch (question->call) {
	case CALL_BIND:
		return before_bind(question, verdict, NULL, NULL);
	case CALL_CONNECT:
		return bsd_answer(verdict, bsd_is(question->profile, trait_refused_socket, refused_socket_named_refused) ? ECONNREFUSED : EINVAL, &socket_gone);
	case CALL_SHUTDOWN:
		return shutdown_dead(question, verdict);
	case CALL_NAME:
	case CALL_DUP:
		return false;
	default:
		return bsd_answer(verdict, EINVAL, &socket_gone);
	}
}

static bool before_alone(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	switch (question->call) {
	case CALL_NAME:
		show_name(question, to, to_length);
		return false;
	case CALL_PEER:
		return before_peer(question, verdict);
	case CALL_SEND:
		return before_send(question, verdict, to, to_length);
	case CALL_RECEIVE:
		return question->protocol == PROTOCOL_TCP && question->state != STATE_CONNECTED && bsd_answer(verdict, ENOTCONN, &not_connected);
	default:
		return false;
	}
}

bool bsd_before(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	if (question->domain != AF_INET && question->domain != AF_INET6)
		return false;
	if (question->state == STATE_DEAD)
		return before_dead(question, verdict);
	switch (question->call) {
	case CALL_SOCKET:
		return question->domain == AF_INET6 && bsd_is(question->profile, trait_dual_stack, dual_stack_absent) &&
			bsd_answer(verdict, EPROTONOSUPPORT, &socket_domain);
	case CALL_BIND:
		return before_bind(question, verdict, to, to_length);
	case CALL_LISTEN:
		return before_listen(question, verdict);
	case CALL_CONNECT:
		return before_connect(question, verdict, to, to_length);
	case CALL_ACCEPT:
		return before_accept(question, verdict);
	case CALL_SHUTDOWN:
		return before_shutdown(question, verdict);
	default:
		return IS_ALONE(question) && before_alone(question, verdict, to, to_length);
	}
}

/* ---- what becomes of a connect() ---- */

static void no_port_left(const struct profile *profile, struct verdict *verdict)
{
	switch ((enum trait_no_port_left)profile->trait[trait_no_port_left]) {
	case no_port_left_eaddrnotavail:
		bsd_answer(verdict, EADDRNOTAVAIL, &no_port);
		break;
	case no_port_left_eagain:
		bsd_answer(verdict, EAGAIN, &no_port);
		break;
	case no_port_left_hangs:
		verdict->flags = VERDICT_HALTS;
		bsd_answer(verdict, ENOTRECOVERABLE, &no_port);
		break;
	}
}

void bsd_event(const struct question *question, enum event event, struct verdict *verdict)
{
	const struct profile *profile = question->profile;

	switch (event) {
	case EVENT_UNLISTENED:
		if (bsd_is(profile, trait_unlistened, unlistened_silent)) {
			verdict->flags = VERDICT_TRIES;
			bsd_answer(verdict, ETIMEDOUT, &connect_silent);
			break;
		}
		/* fall through */
	case EVENT_REFUSED:
		verdict->flags = VERDICT_KILLS;
		bsd_answer(verdict, ECONNREFUSED, &connect_refused);
		break;
	case EVENT_FULL:
		/* The request goes to the syncache, the answer finds no room. */
		if (is_freebsd(profile)) {
			verdict->flags = VERDICT_KILLS;
			bsd_answer(verdict, ECONNRESET, &connect_reset);
			break;
		}
		verdict->flags = VERDICT_TRIES;
		bsd_answer(verdict, ETIMEDOUT, &connect_full);
		break;
	case EVENT_TUPLE_TAKEN:
	case EVENT_TUPLE_REMNANT:
		bsd_answer(verdict, EADDRINUSE, &connect_tuple);
		break;
	case EVENT_OVER:
		verdict->flags = VERDICT_KILLS;
		break;
	case EVENT_NO_PORT:
		no_port_left(profile, verdict);
		break;
	case EVENT_SELF:
		if (bsd_is(profile, trait_bind_order, bind_order_xnu) && question->domain == AF_INET)
			bsd_answer(verdict, EINVAL, &connect_self);
		break;
	case EVENT_AGAIN:
		break;
	}
}

uint32_t bsd_fresh(const struct profile *profile, uint8_t domain, enum protocol protocol)
{
	(void)protocol;
	return domain == AF_INET6 && !bsd_is(profile, trait_v6only_default, v6only_default_off) ? OPTION_V6ONLY : 0;
}

uint16_t bsd_port(const struct profile *profile, enum call call, const struct holder *claim, uint32_t start, uint32_t attempt)
{
	uint32_t first = profile->trait[trait_bsd_port_first], last = profile->trait[trait_bsd_port_last];
	uint32_t count = last - first + 1;

	(void)call, (void)claim;
	if (attempt >= count)
		return 0;
	if (bsd_is(profile, trait_bsd_port_order, bsd_port_order_down))
		return (uint16_t)(last - (start + attempt) % count);
	return (uint16_t)(first + (start + attempt) % count);
}

/* Of what the program asked for the system makes so_qlimit (solisten()), and drops what comes when
 * so_qlen is more (tcp_input(): NetBSD, OpenBSD, DragonFly), as much (macOS, kern.ipc.soqlimitcompat),
 * or more than half as much again (sonewconn()). */
unsigned bsd_room(const struct profile *profile, int backlog)
{
	static const struct { int none, least, most; unsigned halves, more; } queues[] = {
		[bind_order_lite2] = { 0, 0, 5, 3, 1 },
		[bind_order_freebsd13] = { 128, 0, 128, 3, 1 },
		[bind_order_freebsd14] = { 128, 0, 128, 3, 1 },
		[bind_order_dragonfly] = { 128, 0, 128, 2, 1 },
		[bind_order_netbsd] = { 0, 0, 128, 2, 1 },
		[bind_order_openbsd] = { 128, 80, 128, 2, 1 },
		[bind_order_xnu] = { 128, 1, 128, 2, 0 },
	};
	uint32_t order = profile->trait[trait_bind_order];
	int limit = backlog < 0 || (backlog == 0 && order == bind_order_xnu) ? queues[order].none : backlog;

	limit = limit > queues[order].most ? queues[order].most : limit;
	limit = limit < queues[order].least ? queues[order].least : limit;
	return (unsigned)limit * queues[order].halves / 2 + queues[order].more;
}

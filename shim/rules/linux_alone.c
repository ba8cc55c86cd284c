/* SPDX-License-Identifier: MIT */
/*
 * What the host says where there is one: errors of the arguments, option values, automatic ports, the
 * fate of a connect().  For `fakebind play` and `fakebind compare`.
 */
#include "family.h"
#include "linux.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#define BIND4 "net/ipv4/af_inet.c inet_bind_sk(), __inet_bind(), 6.18"
#define BIND6 "net/ipv6/af_inet6.c inet6_bind_sk(), __inet6_bind(), 6.18"
#define FIRST_EPHEMERAL 32768 /* net/ipv4/af_inet.c inet_init_net(), 6.18 */
#define LAST_EPHEMERAL 60999
#define LOOPBACK_INDEX 1

static const struct rule address_short = { "address/short", "the length is below that of the family's address", NULL, FOR_PEOPLE(BIND4 "; " BIND6) };
static const struct rule address_family = { "address/family", "the address is of another family than the socket", NULL, FOR_PEOPLE(BIND4 "; " BIND6) };
static const struct rule address_foreign = { "address/foreign", "no interface has that address", "the address belonged to an interface", FOR_PEOPLE(BIND4 "; " BIND6) };
static const struct rule address_scope = { "address/scope", "such an address needs a scope id", "sin6_scope_id named an interface", FOR_PEOPLE(BIND6) };
static const struct rule address_v6only = { "address/v6only", "the socket is for IPv6 only, and this is an IPv4 address", "IPV6_V6ONLY were off", FOR_PEOPLE(BIND6) };
static const struct rule address_unreachable = { "address/unreachable", "there is no route to it", NULL, FOR_PEOPLE("net/ipv4/tcp_ipv4.c tcp_v4_connect(); net/ipv6/tcp_ipv6.c tcp_v6_connect(), 6.18") };
static const struct rule address_broadcast = { "address/broadcast", "it is a broadcast address", "SO_BROADCAST were on", FOR_PEOPLE("net/ipv4/udp.c udp_sendmsg(); net/ipv4/datagram.c __ip4_datagram_connect(), 6.18") };
static const struct rule address_source = { "address/source", "the socket's own address is none to send from", "it were an interface's address", FOR_PEOPLE("net/ipv4/route.c ip_route_output_key_hash_rcu(), 6.18") };
static const struct rule address_mapped = { "address/mapped", "the socket has an IPv4 address, and this is none", "it were a mapped address", FOR_PEOPLE("net/ipv6/ip6_output.c ip6_dst_lookup_tail(), 6.18") };
static const struct rule send_nowhere = { "send/no-port", "port 0 is nobody's", NULL, FOR_PEOPLE("net/ipv4/udp.c udp_sendmsg(), 6.18") };
static const struct rule join_stream = { "option/stream", "a TCP socket joins no group", NULL, FOR_PEOPLE("net/ipv4/ip_sockglue.c do_ip_setsockopt(), 6.18") };
static const struct rule join_no_group = { "option/no-group", "that is no multicast address", NULL, FOR_PEOPLE("net/ipv4/igmp.c ip_mc_join_group(), 6.18") };
static const struct rule join_no_device = { "option/no-device", "no interface has that address", NULL, FOR_PEOPLE("net/ipv4/igmp.c ip_mc_find_dev(), 6.18") };
static const struct rule bind_privileged = { "bind/privileged", "ports below 1024 are for root", "the port were 1024 or higher", FOR_PEOPLE(BIND4 "; " BIND6) };
static const struct rule bind_bound = { "bind/bound", "the socket has a port already, or is connected", "it were a new socket", FOR_PEOPLE(BIND4 "; " BIND6) };
static const struct rule listen_udp = { "listen/udp", "a UDP socket cannot listen", NULL, FOR_PEOPLE("net/core/sock.c sock_no_listen(), 6.18") };
static const struct rule listen_connected = { "listen/connected", "the socket is connected", NULL, FOR_PEOPLE("net/ipv4/af_inet.c inet_listen(), 6.18") };
static const struct rule connect_used = { "connect/used", "the socket listens or is connected", NULL, FOR_PEOPLE("net/ipv4/af_inet.c __inet_stream_connect(), 6.18") };
static const struct rule connect_refused = { "connect/refused", "nobody listens there", NULL, FOR_PEOPLE("net/ipv4/tcp_input.c tcp_reset(), 6.18") };
static const struct rule connect_full = { "connect/full", "the listener's queue is full, and nobody answers", NULL, FOR_PEOPLE("net/ipv4/tcp_input.c tcp_conn_request(), 6.18") };
static const struct rule connect_tuple = { "connect/four-tuple", "that connection exists already", "it came from another port", FOR_PEOPLE("net/ipv4/inet_hashtables.c __inet_check_established(), 6.18") };
static const struct rule connect_self = { "connect/self-ends", "the socket itself has sent its last, so the connection is over at once", "shutdown() were called later", FOR_PEOPLE("net/ipv4/tcp_input.c tcp_rcv_state_process(), SYN_RECV, 6.18; stays: before 94062790aedb") };
static const struct rule no_port = { "port/none-left", "no automatic port is left", NULL, FOR_PEOPLE("net/ipv4/inet_connection_sock.c inet_csk_find_open_port(), inet_hashtables.c __inet_hash_connect(), udp.c udp_lib_get_port(), 6.18") };
static const struct rule accept_udp = { "accept/udp", "a UDP socket accepts nothing", NULL, FOR_PEOPLE("net/core/sock.c sock_no_accept(), 6.18") };
static const struct rule accept_not_listening = { "accept/not-listening", "the socket does not listen", NULL, FOR_PEOPLE("net/ipv4/inet_connection_sock.c inet_csk_accept(), 6.18") };
static const struct rule shutdown_idle = { "shutdown/not-connected", "the socket is not connected", NULL, FOR_PEOPLE("net/ipv4/af_inet.c inet_shutdown(), 6.18") };
static const struct rule send_idle = { "send/not-connected", "the socket is not connected", NULL, FOR_PEOPLE("net/ipv4/tcp.c tcp_sendmsg_locked(), 6.18") };
static const struct rule option_unknown = { "option/unknown", "there is no such option for this socket", NULL, FOR_PEOPLE("net/core/sock.c sk_setsockopt(); net/ipv6/ipv6_sockglue.c, 6.18") };
static const struct rule option_short = { "option/short", "the value is shorter than an int", NULL, FOR_PEOPLE("net/core/sock.c sk_setsockopt(), 6.18") };
static const struct rule option_bound = { "option/bound", "IPV6_V6ONLY cannot change once the socket has a port", NULL, FOR_PEOPLE("net/ipv6/ipv6_sockglue.c do_ipv6_setsockopt(), 6.18") };
static const struct rule ok_arguments = { "ok/answered", "nothing is to be checked", NULL, FOR_PEOPLE(BIND4) };

bool linux_answer(struct verdict *verdict, int error, const struct rule *rule)
{
	verdict->error = error;
	verdict->rule = rule;
	return true;
}

/* 127.0.0.0/8 is local as a whole (net/ipv4/fib_frontend.c fib_add_ifaddr()). */
static bool is_local4(const uint8_t *address)
{
	static const uint8_t all[2][4] = { { 0, 0, 0, 0 }, { 255, 255, 255, 255 } };

	return address[0] == 127 || (address[0] & 0xf0) == 224 || !memcmp(address, all[0], 4) || !memcmp(address, all[1], 4);
}

static bool is_privileged(const struct question *question, const uint8_t *port)
{
	uint16_t number = (uint16_t)(port[0] << 8 | port[1]);

	return number && number < 1024 && question->uid;
}

static bool bind4(const struct question *question, struct verdict *verdict)
{
	static const uint8_t any[4];
	const uint8_t *port = question->address + 2, *address = question->address + 4;
	sa_family_t family;

	if (question->length < sizeof(struct sockaddr_in))
		return linux_answer(verdict, EINVAL, &address_short);
	memcpy(&family, question->address, sizeof family);
	if (family != AF_INET && (family != AF_UNSPEC || memcmp(address, any, 4)))
		return linux_answer(verdict, EAFNOSUPPORT, &address_family);
	if (!is_local4(address))
		return linux_answer(verdict, EADDRNOTAVAIL, &address_foreign);
	if (is_privileged(question, port))
		return linux_answer(verdict, EACCES, &bind_privileged);
	if (question->state != STATE_UNBOUND)
		return linux_answer(verdict, EINVAL, &bind_bound);
	return false;
}

/* Link-local, or a multicast address of this interface or link. */
static bool needs_scope(const uint8_t *address)
{
	uint8_t reach = address[1] & 0xf;

	return address[0] == 0xff ? reach == 1 || reach == 2 : address[0] == 0xfe && (address[1] & 0xc0) == 0x80;
}

/* Neither ::, ::1 nor mapped: the loopback interface has no such address, unless it is a multicast one. */
static bool bind6_other(const struct question *question, const struct sockaddr_in6 *given, struct verdict *verdict)
{
	const uint8_t *address = given->sin6_addr.s6_addr;
	bool multicast = address[0] == 0xff;

	if (needs_scope(address)) {
		uint32_t scope = question->length < sizeof *given ? 0 : given->sin6_scope_id, device = scope ? scope : question->ifindex;

		if (!device)
			return linux_answer(verdict, EINVAL, &address_scope);
		if (device != LOOPBACK_INDEX)
			return linux_answer(verdict, ENODEV, &address_scope);
	}
	return !multicast && linux_answer(verdict, EADDRNOTAVAIL, &address_foreign);
}

static bool bind6(const struct question *question, struct verdict *verdict)
{
	struct sockaddr_in6 given = { .sin6_family = AF_UNSPEC };
	const uint8_t *address = given.sin6_addr.s6_addr;
	uint32_t length = question->length < sizeof given ? question->length : (uint32_t)sizeof given;

	if (question->length < 24) /* SIN6_LEN_RFC2133 */
		return linux_answer(verdict, EINVAL, &address_short);
	memcpy(&given, question->address, length);
	if (given.sin6_family != AF_INET6)
		return linux_answer(verdict, EAFNOSUPPORT, &address_family);
	if (is_privileged(question, question->address + 2))
		return linux_answer(verdict, EACCES, &bind_privileged);
	if (question->state != STATE_UNBOUND)
		return linux_answer(verdict, EINVAL, &bind_bound);
	if (IN6_IS_ADDR_V4MAPPED(&given.sin6_addr)) {
		if (question->options & OPTION_V6ONLY)
			return linux_answer(verdict, EINVAL, &address_v6only);
		return !is_local4(address + 12) && linux_answer(verdict, EADDRNOTAVAIL, &address_foreign);
	}
	if (IN6_IS_ADDR_UNSPECIFIED(&given.sin6_addr) || IN6_IS_ADDR_LOOPBACK(&given.sin6_addr))
		return false;
	return bind6_other(question, &given, verdict);
}

static bool listen_alone(const struct question *question, struct verdict *verdict)
{
	if (question->protocol == PROTOCOL_UDP)
		return linux_answer(verdict, EOPNOTSUPP, &listen_udp);
	if (question->state == STATE_CONNECTED)
		return linux_answer(verdict, EINVAL, &listen_connected);
	if (question->state != STATE_LISTENING)
		return false;
	verdict->flags = VERDICT_LISTENS; /* with another backlog */
	return linux_answer(verdict, 0, &ok_arguments);
}

static bool is_multicast4(const uint8_t *address)
{
	return (address[0] & 0xf0) == 224;
}

static const uint8_t broadcast4[4] = { 127, 255, 255, 255 }, all4[4] = { 255, 255, 255, 255 };

/* The IPv4 address a socket sends from, NULL if it has none: a group or a broadcast address is none. */
static const uint8_t *own4(const struct question *question)
{
	static const uint8_t any[4];
	const uint8_t *address;

	if (!question->self || !linux_is_mapped(question->self))
		return NULL;
	address = question->self->address + (question->domain == AF_INET ? 0 : 12);
	return memcmp(address, any, sizeof any) && address[0] < 224 && memcmp(address, broadcast4, sizeof broadcast4) ? address : NULL;
}

/* It has an IPv4 address that nothing is sent from. */
static bool has_no_source4(const struct question *question)
{
	return question->self && linux_is_mapped(question->self) && !linux_is_any4(question->self) && !own4(question);
}

/* To the route a group is no address at all, 127.255.255.255 only none of the machine's. */
static bool refuse_source(const struct question *question, struct verdict *verdict)
{
	return linux_answer(verdict, question->self->address[12] == 127 ? ENETUNREACH : EINVAL, &address_source);
}

/* 0.0.0.0 is the sender itself (net/ipv4/route.c ip_route_output_key_hash_rcu(), 6.18). */
static void mean_loopback4(const struct question *question, void *address)
{
	static const uint8_t loopback[4] = { 127, 0, 0, 1 };
	const uint8_t *own = own4(question);

	memcpy(address, own ? own : loopback, 4);
}

/* Where a device is told and no route is, the address is taken to be on its link (ip_route_output_key_hash_rcu(), 6.18);
 * there is nobody on this one. */
static bool is_on_link4(const struct question *question, const uint8_t *to)
{
	return question->ifindex && to[0] != 127 && !is_multicast4(to) && memcmp(to, all4, sizeof all4);
}

/* There is a route to the loopback network alone, and to what needs none if the socket's address tells the interface. */
static bool unreachable4(const struct question *question, const uint8_t *to, struct verdict *verdict)
{
	const uint8_t *own = own4(question);
	bool has_link = (own && own[0] == 127) || question->ifindex, stream = question->protocol == PROTOCOL_TCP;

	if (!stream && (!memcmp(to, broadcast4, 4) || (has_link && !memcmp(to, all4, 4))))
		return linux_answer(verdict, EACCES, &address_broadcast);
	if ((to[0] == 127 && memcmp(to, broadcast4, 4)) || (!stream && has_link && is_multicast4(to)))
		return false;
	if (!is_on_link4(question, to))
		return linux_answer(verdict, ENETUNREACH, &address_unreachable);
	verdict->flags |= stream ? VERDICT_TRIES : 0;
	return false;
}

static bool connect4(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	struct sockaddr_in given;
	const uint8_t *address = (const uint8_t *)&given.sin_addr;

	if (question->length < sizeof given)
		return linux_answer(verdict, EINVAL, &address_short);
	memcpy(&given, question->address, sizeof given);
	if (given.sin_family != AF_INET)
		return linux_answer(verdict, EAFNOSUPPORT, &address_family);
	if (given.sin_addr.s_addr == htonl(INADDR_ANY)) {
		mean_loopback4(question, &given.sin_addr);
		memcpy(to, &given, sizeof given);
		*to_length = sizeof given;
		return false;
	}
	return unreachable4(question, address, verdict);
}

/* A UDP socket of IPv6 takes an IPv4 address, too (net/ipv6/datagram.c __ip6_datagram_connect()). */
static bool connect6_to_ipv4(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	struct sockaddr_in6 mapped = { .sin6_family = AF_INET6, .sin6_addr.s6_addr = { [10] = 0xff, 0xff } };
	struct sockaddr_in given;

	if (question->options & OPTION_V6ONLY)
		return linux_answer(verdict, EAFNOSUPPORT, &address_family);
	if (has_no_source4(question))
		return refuse_source(question, verdict);
	if (connect4(question, verdict, to, to_length))
		return true;
	memcpy(&given, *to_length ? (const uint8_t *)to : question->address, sizeof given);
	mapped.sin6_port = given.sin_port;
	memcpy(&mapped.sin6_addr.s6_addr[12], &given.sin_addr, sizeof given.sin_addr);
	memcpy(to, &mapped, sizeof mapped);
	*to_length = sizeof mapped;
	return false;
}

static sa_family_t family_of(const struct question *question)
{
	sa_family_t family = AF_UNSPEC;

	if (question->length >= sizeof family)
		memcpy(&family, question->address, sizeof family);
	return family;
}

static bool connect6(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	static const struct in6_addr loopback4 = { .s6_addr = { [10] = 0xff, 0xff, 127, 0, 0, 1 } };
	struct sockaddr_in6 given = { .sin6_family = AF_UNSPEC };
	uint32_t length = question->length < sizeof given ? question->length : (uint32_t)sizeof given;
	uint8_t *address = given.sin6_addr.s6_addr;
	bool mapped, any, stream = question->protocol == PROTOCOL_TCP, ipv4 = question->self && linux_is_mapped(question->self);

	if (question->length < 24) /* SIN6_LEN_RFC2133 */
		return linux_answer(verdict, EINVAL, &address_short);
	memcpy(&given, question->address, length);
	if (given.sin6_family != AF_INET6)
		return linux_answer(verdict, EAFNOSUPPORT, &address_family);
	mapped = IN6_IS_ADDR_V4MAPPED(&given.sin6_addr);
	if (mapped && has_no_source4(question))
		return refuse_source(question, verdict);
	any = mapped ? !(address[12] | address[13] | address[14] | address[15]) : IN6_IS_ADDR_UNSPECIFIED(&given.sin6_addr);
	if (mapped && (question->options & OPTION_V6ONLY))
		return linux_answer(verdict, ENETUNREACH, &address_v6only);
	if (any) {
		memcpy(address, ipv4 || mapped ? &loopback4 : &in6addr_loopback, sizeof loopback4);
		if (mapped)
			mean_loopback4(question, address + 12);
		memcpy(to, &given, sizeof given);
		*to_length = sizeof given;
		return false;
	}
	if (mapped)
		return unreachable4(question, address + 12, verdict);
	if (question->call == CALL_CONNECT && needs_scope(address) && !given.sin6_scope_id && !(stream && address[0] == 0xff))
		return linux_answer(verdict, EINVAL, &address_scope);
	if (!IN6_IS_ADDR_LOOPBACK(&given.sin6_addr))
		return linux_answer(verdict, ENETUNREACH, &address_unreachable);
	return ipv4 && linux_answer(verdict, EAFNOSUPPORT, &address_mapped);
}

static bool connect_alone(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	bool used = question->state == STATE_LISTENING || question->state == STATE_CONNECTED;

	if (question->protocol == PROTOCOL_TCP && used)
		return linux_answer(verdict, question->options & OPTION_TRIES ? EALREADY : EISCONN, &connect_used);
	/* inet_dgram_connect() takes a port before it looks at the address. */
	if (question->protocol == PROTOCOL_UDP)
		verdict->flags = VERDICT_BINDS;
	/* The host's own address takes the place of such a one, and stays (inet_saddr; tcp_disconnect()). */
	else if (question->domain == AF_INET && has_no_source4(question))
		verdict->flags = VERDICT_MOVES;
	if (question->domain == AF_INET)
		return connect4(question, verdict, to, to_length);
	if (question->protocol == PROTOCOL_UDP && family_of(question) == AF_INET)
		return connect6_to_ipv4(question, verdict, to, to_length);
	return connect6(question, verdict, to, to_length);
}

/* A listener that is shut down for reading, and who waits for an answer, is bound again; a port the system chose is given back. */
static bool shutdown_alone(const struct question *question, struct verdict *verdict)
{
	bool listens = question->state == STATE_LISTENING;

	if (listens || question->options & OPTION_TRIES) {
		if (!listens || question->argument != SHUT_WR)
			verdict->flags = question->options & OPTION_AUTOBOUND ? VERDICT_UNBINDS | VERDICT_NAMES : VERDICT_UNLISTENS;
		return linux_answer(verdict, 0, &ok_arguments);
	}
	return question->state != STATE_CONNECTED && linux_answer(verdict, ENOTCONN, &shutdown_idle);
}

static bool accept_alone(const struct question *question, struct verdict *verdict)
{
	if (question->protocol == PROTOCOL_UDP)
		return linux_answer(verdict, EOPNOTSUPP, &accept_udp);
	return question->state != STATE_LISTENING && linux_answer(verdict, EINVAL, &accept_not_listening);
}

static bool send_to(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	bool ipv4 = family_of(question) == AF_INET, ipv6 = question->domain == AF_INET6;

	if (ipv6 && ipv4 && (question->options & OPTION_V6ONLY))
		return linux_answer(verdict, ENETUNREACH, &address_v6only);
	if ((ipv4 || ipv6) && question->length >= 4 && !question->address[2] && !question->address[3])
		return linux_answer(verdict, EINVAL, &send_nowhere);
	if (!ipv6)
		return connect4(question, verdict, to, to_length);
	return ipv4 ? connect6_to_ipv4(question, verdict, to, to_length) : connect6(question, verdict, to, to_length);
}

/* inet_sendmsg() takes a port for a UDP socket before it looks for an address. */
static bool send_alone(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	bool connected = question->state == STATE_CONNECTED;

	if (question->options & OPTION_TRIES)
		return linux_answer(verdict, EAGAIN, &send_idle);
	if (question->protocol == PROTOCOL_TCP)
		return !connected && linux_answer(verdict, EPIPE, &send_idle);
	verdict->flags = VERDICT_BINDS;
	if (question->address)
		return send_to(question, verdict, to, to_length);
	return !connected && linux_answer(verdict, EDESTADDRREQ, &send_idle);
}

bool linux_before_alone(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	switch (question->call) {
	case CALL_BIND:
		return question->domain == AF_INET ? bind4(question, verdict) : bind6(question, verdict);
	case CALL_LISTEN:
		return listen_alone(question, verdict);
	case CALL_CONNECT:
		return connect_alone(question, verdict, to, to_length);
	case CALL_ACCEPT:
		return accept_alone(question, verdict);
	case CALL_SHUTDOWN:
		return shutdown_alone(question, verdict);
	case CALL_SEND:
		return send_alone(question, verdict, to, to_length);
	default:
		return false;
	}
}

void linux_option_error(struct option_answer *result, int error, const struct rule *rule)
{
	*result = (struct option_answer){ .error = error, .rule = rule };
}

/* 0: not one of those the rules look at. */
static uint32_t option_bit(const struct option_question *question)
{
	if (question->level == SOL_SOCKET && question->name == SO_REUSEADDR)
		return OPTION_REUSEADDR;
	if (question->level == SOL_SOCKET && question->name == SO_REUSEPORT)
		return OPTION_REUSEPORT;
	if (question->level == IPPROTO_IPV6 && question->name == IPV6_V6ONLY && question->domain == AF_INET6)
		return OPTION_V6ONLY;
	return 0;
}

static void get_alone(const struct option_question *question, uint32_t bit, struct option_answer *result)
{
	int32_t value = (question->options & bit) != 0;

	*result = (struct option_answer){ .rule = &ok_arguments, .options = question->options };
	result->length = question->length < sizeof value ? question->length : (uint32_t)sizeof value;
	memcpy(result->value, &value, result->length);
}

/* Answered only if there is something wrong. */
static void join_alone(const struct option_question *question, struct option_answer *result)
{
	struct ip_mreq given;

	if (question->protocol == PROTOCOL_TCP) {
		linux_option_error(result, EPROTO, &join_stream);
		return;
	}
	if (question->length < sizeof given) {
		linux_option_error(result, EINVAL, &option_short);
		return;
	}
	memcpy(&given, question->value, sizeof given);
	if (!is_multicast4((const uint8_t *)&given.imr_multiaddr))
		linux_option_error(result, EINVAL, &join_no_group);
	else if (ntohl(given.imr_interface.s_addr) >> 24 != 127)
		linux_option_error(result, ENODEV, &join_no_device);
}

void linux_option_alone(const struct option_question *question, struct option_answer *result)
{
	uint32_t bit = option_bit(question);
	int32_t value;

	if (question->level == SOL_SOCKET && question->name == SO_ERROR && question->call == CALL_SETSOCKOPT) {
		linux_option_error(result, ENOPROTOOPT, &option_unknown);
	} else if (question->level == IPPROTO_IPV6 && question->domain == AF_INET) {
		/* do_ip_getsockopt() and do_ip_setsockopt() disagree. */
		linux_option_error(result, question->call == CALL_GETSOCKOPT ? EOPNOTSUPP : ENOPROTOOPT, &option_unknown);
	} else if (question->level == IPPROTO_IP && question->name == IP_ADD_MEMBERSHIP && question->call == CALL_SETSOCKOPT) {
		join_alone(question, result);
	} else if (!bit) {
		return;
	} else if (question->call == CALL_GETSOCKOPT) {
		get_alone(question, bit, result);
	} else if (question->length < sizeof value) {
		linux_option_error(result, EINVAL, &option_short);
	} else if (bit == OPTION_V6ONLY && question->state != STATE_UNBOUND) {
		linux_option_error(result, EINVAL, &option_bound);
	} else {
		memcpy(&value, question->value, sizeof value);
		*result = (struct option_answer){ .rule = &ok_arguments, .options = value ? question->options | bit : question->options & ~bit };
	}
}

/* A bind to one IPv6 address makes the socket v6only; UDP visits IPv6 sockets with SO_REUSEPORT last. */
uint32_t linux_bound(const struct profile *profile, const struct holder *claim, int error)
{
	bool limits = profile->trait[trait_ipv6_rules] != ipv6_rules_linux_2_6_24;
	uint32_t options = claim->options;

	if (error || claim->domain == AF_INET)
		return options;
	if (limits && !linux_is_mapped(claim) && !address_is_any(claim))
		options |= OPTION_V6ONLY;
	if (claim->protocol == PROTOCOL_UDP && has(claim, OPTION_REUSEPORT))
		options |= OPTION_TAIL;
	return options;
}

/* Up to 3.9 the range ended one later (net/ipv4/inet_connection_sock.c sysctl_local_ports, 3.9). */
static uint16_t rising_port(uint32_t start, uint32_t attempt)
{
	const uint32_t count = LAST_EPHEMERAL + 2 - FIRST_EPHEMERAL;

	return attempt < count ? (uint16_t)(FIRST_EPHEMERAL + (start + attempt) % count) : 0;
}

/* net/inet/af_inet.c get_new_socknum(), 1.2.13, as long as the first 1024 are not used up. */
static uint16_t port_1_2(uint32_t start, uint32_t attempt)
{
	return attempt < 1024 ? (uint16_t)(1026 + (start + attempt) % 1024) : 0;
}

/* The odd ports of a half from a random one on, then its even ones; SO_REUSEADDR: the lower half first.  connect()
 * takes even ones first (inet_csk_find_open_port(), __inet_hash_connect(), 6.18). */
static uint16_t parity_port(bool connects, bool reuseaddr, uint32_t start, uint32_t attempt)
{
	uint32_t first = FIRST_EPHEMERAL, half = (LAST_EPHEMERAL + 1 - FIRST_EPHEMERAL) / 2, pairs = half;
	uint32_t odd = !connects;

	if (!connects && reuseaddr) {
		pairs = half / 2;
		first += attempt / half * half;
		attempt %= half;
	}
	odd ^= attempt / pairs;
	return (uint16_t)(first + 2 * ((start + attempt) % pairs) + odd);
}

/* inet_csk_get_port(), 4.4; its connect() starts anywhere. */
static uint16_t half_port(bool lower_first, uint32_t start, uint32_t attempt)
{
	uint32_t count = LAST_EPHEMERAL + 1 - FIRST_EPHEMERAL, half = count / 2;

	if (!lower_first)
		return (uint16_t)(FIRST_EPHEMERAL + (start + attempt) % count);
	return (uint16_t)(FIRST_EPHEMERAL + attempt / half * half + (start + attempt) % half);
}

uint16_t linux_port(const struct profile *profile, enum call call, const struct holder *claim, uint32_t start, uint32_t attempt)
{
	const uint32_t count = LAST_EPHEMERAL + 1 - FIRST_EPHEMERAL, order = profile->trait[trait_linux_ports];
	bool connects = call == CALL_CONNECT, reuseaddr = has(claim, OPTION_REUSEADDR);

	if (order == linux_ports_from_1026)
		return port_1_2(start, attempt);
	if (order == linux_ports_rising && claim->protocol == PROTOCOL_TCP)
		return rising_port(start, attempt);
	if (attempt >= count)
		return 0;
	if (claim->protocol == PROTOCOL_UDP) /* odd strides: udp_lib_get_port(), 6.18 */
		return (uint16_t)(FIRST_EPHEMERAL + (start + attempt * (start >> 16 | 1)) % count);
	if (order == linux_ports_halves)
		return half_port(!connects && reuseaddr, start, attempt);
	return parity_port(connects, reuseaddr, start, attempt);
}

/* The loopback interface has no address for what is on its link (inet_select_addr(), 6.18). */
void linux_source(const struct profile *profile, const struct holder *socket, const uint8_t *to, uint8_t *from)
{
	bool ipv4 = socket->domain == AF_INET;

	family_source(profile, socket, to, from);
	if (socket->ifindex && (ipv4 || to[10] == 0xff) && to[ipv4 ? 0 : 12] != 127)
		memset(from + (ipv4 ? 0 : 12), 0, 4);
}

void linux_event(const struct question *question, enum event event, struct verdict *verdict)
{
	bool udp = question->protocol == PROTOCOL_UDP;
	/* tcp_set_state() gives a port back that nobody asked for; before, only the last close did (1.2.13). */
	uint32_t unbinds = is_1_2(question->profile) ? 0 : VERDICT_UNBINDS;

	switch (event) {
	case EVENT_REFUSED:
	case EVENT_UNLISTENED:
		linux_answer(verdict, ECONNREFUSED, &connect_refused);
		verdict->flags = question->options & OPTION_AUTOBOUND && unbinds ? unbinds | VERDICT_NAMES : 0;
		break;
	case EVENT_FULL:
		linux_answer(verdict, ETIMEDOUT, &connect_full);
		verdict->flags = is_1_2(question->profile) ? 0 : VERDICT_TRIES;
		break;
	case EVENT_TUPLE_TAKEN:
		if (!udp)
			linux_answer(verdict, EADDRNOTAVAIL, &connect_tuple);
		break;
	case EVENT_TUPLE_REMNANT: /* bound: taken over at once, timestamps are on (tcp_twsk_unique()) */
		if (question->options & OPTION_CLIENT)
			linux_answer(verdict, EADDRNOTAVAIL, &connect_tuple);
		break;
	case EVENT_SELF:
		if (question->shut & SHUT_OUT && question->profile->trait[trait_self_connect] == self_connect_ends)
			linux_answer(verdict, ECONNABORTED, &connect_self);
		break;
	case EVENT_AGAIN:
		break;
	case EVENT_OVER:
		verdict->flags = question->options & (OPTION_AUTOBOUND | OPTION_CHILD) ? unbinds : 0;
		break;
	case EVENT_NO_PORT:
		linux_answer(verdict, question->call != CALL_CONNECT ? EADDRINUSE : udp ? EAGAIN : EADDRNOTAVAIL, &no_port);
		break;
	}
}

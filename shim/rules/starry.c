/* SPDX-License-Identifier: MIT */
/*
 * Starry and its kin: kernels in Rust grown from ArceOS, over the smoltcp network stack.
 *
 * bind() writes an address into the socket, listen() takes a slot out of a table indexed by port; what
 * bind() compares beside that changed with every generation, and the traits name it.  The errno depends
 * on the system-call layer: Starry's turns every failed bind() and listen() into -1, which is EPERM.
 *
 * TIME_WAIT, accepted children and the holder's own SO_REUSEADDR never matter here.
 *
 * Where the real kernel panics, and thereby powers the machine off, the program gets ENOTRECOVERABLE: no
 * call of these systems ever gives it, so it is not mistaken for an answer of theirs (VERDICT_HALTS).
 *
 * starry_before(), when it is final without an error: a bind() goes on to the host, unasked by the
 * holders; any other call is answered by that, and the host is not called.  When it is not final,
 * VERDICT_UNBINDS tells what the host's own answer will mean: a refused connect() or a shutdown() takes
 * the address away.
 */
#include "family.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#define API "Starry-OS/linux_syscall_api 0e2b37b src/syscall_net/"
#define AXNET "Starry-OS/axnet e128f66 src/smoltcp_impl/"
#define AXNET_NG "arceos-org/arceos dev 7bb6d0dc modules/axnet-ng/src/"
#define STARRYOS "Starry-OS/StarryOS 2e075ac kernel/src/syscall/net/"
#define TGOSKITS "rcore-os/tgoskits dev 759e69c "
#define ARCEOS "arceos-org/arceos 8d2e6f97 "

/* ---- rules ---- */

static const struct rule bind_self_conflict = {
	"bind/self-conflict", "bind() registers its own address before it looks for a conflict, and meets itself",
	"the socket had SO_REUSEADDR, or bound 0.0.0.0", FOR_PEOPLE(AXNET "tcp.rs TcpSocket::bind(), mod.rs bind_check()"),
};
static const struct rule bind_same_address = {
	"bind/same-address", "the addresses are the same, and ports are not compared",
	"this socket had SO_REUSEADDR, or bound 0.0.0.0", FOR_PEOPLE(AXNET "udp.rs UdpSocket::bind(), mod.rs bind_check()"),
};
static const struct rule bind_anchor = {
	"bind/anchor", "every address a TCP socket was ever bound to stays registered until reboot",
	"this socket had SO_REUSEADDR", FOR_PEOPLE(AXNET "tcp.rs TcpSocket::bind(), whose new handle is kept nowhere"),
};
static const struct rule bind_same_endpoint = {
	"bind/same-endpoint", "address and port are the same, and TCP and UDP are compared with each other",
	"this socket had SO_REUSEADDR, or bound 0.0.0.0", FOR_PEOPLE(AXNET_NG "tcp.rs and udp.rs bind()"),
};
static const struct rule bind_port_taken = {
	"bind/port-taken", "the addresses overlap, and SO_REUSEADDR does not help",
	"both sockets had SO_REUSEPORT and the same address", FOR_PEOPLE(TGOSKITS "net/ax-net/src/tcp.rs, udp.rs"),
};
static const struct rule bind_foreign_address = {
	"bind/foreign-address", "no interface has that address; of 127.0.0.0/8 only 127.0.0.1 counts",
	"the address belonged to an interface", FOR_PEOPLE(TGOSKITS "net/ax-net/src/tcp.rs bind()"),
};
static const struct rule bind_already_bound = {
	"bind/already-bound", "the socket has an address already", "it were a new socket",
	FOR_PEOPLE(AXNET "tcp.rs, udp.rs bind(), kept by its successors"),
};
static const struct rule bind_wrong_state = {
	"bind/wrong-state", "the socket listens or is connected", "it were a new socket",
	FOR_PEOPLE(AXNET "tcp.rs bind(), kept by its successors"),
};
static const struct rule address_missing = {
	"address/missing", "there is no room for an address", "the program gave an address and a length",
	FOR_PEOPLE(API "imp.rs accept4; " ARCEOS "api/arceos_posix_api/src/imp/net.rs from_sockaddr(), sys_accept()"),
};
static const struct rule address_malformed = {
	"address/malformed", "length and family do not fit each other", "the length were that of the family's structure",
	FOR_PEOPLE(STARRYOS "socket.rs read_from_user(); " ARCEOS "api/arceos_posix_api/src/imp/net.rs from_sockaddr()"),
};
static const struct rule address_no_ipv4 = {
	"address/no-ipv4", "IPv6 is mapped onto IPv4, and this address has no counterpart",
	"it were ::, ::1 or an IPv4-mapped address", FOR_PEOPLE(TGOSKITS "os/StarryOS/kernel/src/syscall/net/addr.rs"),
};
static const struct rule listen_udp = {
	"listen/udp", "a UDP socket cannot listen", NULL, FOR_PEOPLE(API "socket.rs Socket::listen(), kept by its successors"),
};
static const struct rule listen_port_taken = {
	"listen/port-taken", "listen() compares ports alone", "the other socket did not listen",
	FOR_PEOPLE(AXNET "listen_table.rs, kept by axnet-ng and ArceOS"),
};
static const struct rule listen_conflict = {
	"listen/conflict", "the addresses overlap",
	"both sockets had SO_REUSEPORT and the same address", FOR_PEOPLE(TGOSKITS "net/ax-net/src/listen_table.rs"),
};
static const struct rule listen_unbound = {
	"listen/unbound", "listen() asserts that the socket has a port", "bind() had been called", FOR_PEOPLE(AXNET_NG "tcp.rs listen()"),
};
static const struct rule listen_backlog = {
	"listen/backlog", "the backlog is below -1", NULL, FOR_PEOPLE(STARRYOS "socket.rs sys_listen()"),
};
static const struct rule connect_used = {
	"connect/used", "the socket listens, is connected or connecting", NULL, FOR_PEOPLE(AXNET "tcp.rs connect()"),
};
static const struct rule connect_unaddressable = {
	"connect/unaddressable", "nothing can be sent to the address 0.0.0.0 or to port 0",
	"the program named a host, such as 127.0.0.1", FOR_PEOPLE(AXNET "tcp.rs connect(); smoltcp tcp::Socket::connect()"),
};
static const struct rule accept_not_listening = {
	"accept/not-listening", "the socket does not listen", NULL, FOR_PEOPLE(API "imp.rs accept4"),
};
static const struct rule socket_domain = {
	"socket/domain", "there is no IPv6", NULL, FOR_PEOPLE(STARRYOS "socket.rs sys_socket(); " ARCEOS "api/arceos_posix_api/src/imp/net.rs"),
};
static const struct rule socket_type = {
	"socket/type", "there is no such socket type", NULL, FOR_PEOPLE(API "imp.rs syscall_socket(), and its counterparts"),
};
static const struct rule shutdown_how = {
	"shutdown/how", "there is no such direction", NULL, FOR_PEOPLE(API "imp.rs syscall_shutdown()"),
};
static const struct rule option_unknown = {
	"option/unknown", "there is no such option", NULL, FOR_PEOPLE("opt.rs of the system-call layer"),
};
static const struct rule option_refused = {
	"option/refused", "this value cannot be set", NULL, FOR_PEOPLE(API "socket.rs SocketOption::set(); " TGOSKITS "net/ax-net/src/general.rs"),
};
static const struct rule option_length = {
	"option/length", "the length is not that of the value", NULL, FOR_PEOPLE("opt.rs of the system-call layer"),
};
static const struct rule option_panics = {
	"option/panics", "the kernel has no answer to that option", NULL, FOR_PEOPLE(API "imp.rs and socket.rs, panic!() and unimplemented!()"),
};
static const struct rule option_unimplemented = {
	"option/unimplemented", "getsockopt() always fails", NULL, FOR_PEOPLE(ARCEOS "ulib/axlibc/c/socket.c"),
};
static const struct rule ok_unchecked = {
	"ok/unchecked", "bind() compares with nobody", NULL, FOR_PEOPLE(AXNET "tcp.rs bind() up to aef12b8; " ARCEOS "modules/axnet"),
};
static const struct rule ok_wildcard = {
	"ok/wildcard", "0.0.0.0 conflicts with nothing", NULL, FOR_PEOPLE(AXNET "mod.rs bind_check(); " AXNET_NG "tcp.rs bind()"),
};
static const struct rule ok_reuseaddr = {
	"ok/reuseaddr", "SO_REUSEADDR on the new socket skips the check", NULL, FOR_PEOPLE(AXNET "tcp.rs, udp.rs bind(); " AXNET_NG "tcp.rs bind()"),
};
static const struct rule ok_reuseport = {
	"ok/reuseport", "every holder of the port has SO_REUSEPORT and the same address", NULL, FOR_PEOPLE(TGOSKITS "net/ax-net/src/tcp.rs"),
};
static const struct rule ok_free = {
	"ok/free", "nobody has that address", NULL, FOR_PEOPLE("bind() of the network stack"),
};
static const struct rule ok_listen = {
	"ok/listen", "the slot of that port is free", NULL, FOR_PEOPLE(AXNET "listen_table.rs, kept by its successors"),
};
static const struct rule ok_listen_again = {
	"ok/listen-again", "listen() on a socket in use does nothing", NULL, FOR_PEOPLE(AXNET "tcp.rs listen(), kept by its successors"),
};
static const struct rule ok_shutdown = {
	"ok/shutdown", "shutdown() of a listener does nothing", NULL, FOR_PEOPLE(API "socket.rs Socket::shutdown()"),
};
static const struct rule ok_option = {
	"ok/option", NULL, NULL, FOR_PEOPLE("the system-call layer"),
};

/* ---- answers and traits ---- */

static bool answer(struct verdict *verdict, int error, const struct rule *rule)
{
	verdict->error = error;
	verdict->rule = rule;
	return true;
}

static bool halt(struct verdict *verdict, const struct rule *rule)
{
	verdict->flags |= VERDICT_HALTS;
	return answer(verdict, ENOTRECOVERABLE, rule);
}

static bool has(const struct profile *profile, enum trait_index trait, uint32_t word)
{
	return profile->trait[trait] == word;
}

static bool layer_is(const struct profile *profile, enum trait_syscalls layer)
{
	return has(profile, trait_syscalls, layer);
}

/* What a failed bind() or listen() looks like: API imp.rs maps every error to -1. */
static int failed(const struct profile *profile, int error)
{
	return layer_is(profile, syscalls_starry) ? EPERM : error;
}

static bool in_use(const struct question *question)
{
	return question->state == STATE_LISTENING || question->state == STATE_CONNECTED;
}

/* ---- addresses ---- */

static const uint8_t zero[16];

/* The stack's own test compares four bytes: :: is an address like any other (AXNET addr.rs is_unspecified()). */
static bool is_wildcard(const struct holder *holder)
{
	return holder->domain == AF_INET && address_is_any(holder);
}

/* UDP's connect() and sendto() bind to 0.0.0.0, and a port that nobody names. */
static bool is_client(const struct holder *holder)
{
	return holder->protocol == PROTOCOL_UDP && holder->options & OPTION_CLIENT;
}

static bool same_address(const struct holder *a, const struct holder *b)
{
	return a->domain == b->domain && !memcmp(a->address, b->address, a->domain == AF_INET ? 4 : 16);
}

/* TGOSKITS addr.rs: ::, ::1 and IPv4-mapped addresses have a counterpart, no others. */
static bool map_ipv6(const uint8_t *address, uint8_t ipv4[4])
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };
	static const uint8_t loopback[4] = { 127, 0, 0, 1 };

	if (!memcmp(address, prefix, sizeof prefix))
		memcpy(ipv4, address + 12, 4);
	else if (!memcmp(address, zero, 15) && address[15] <= 1)
		memcpy(ipv4, address[15] ? loopback : zero, 4);
	else
		return false;
	return true;
}

static bool as_ipv4(const struct holder *holder, uint8_t ipv4[4])
{
	if (holder->domain == AF_INET6)
		return map_ipv6(holder->address, ipv4);
	memcpy(ipv4, holder->address, 4);
	return true;
}

/* On no interface, whatever machine it is: of 127.0.0.0/8 all but 127.0.0.1, multicast and broadcast. */
static bool is_foreign(const struct holder *holder)
{
	static const uint8_t loopback[4] = { 127, 0, 0, 1 };
	uint8_t ipv4[4];

	return as_ipv4(holder, ipv4) && (ipv4[0] >= 224 || (ipv4[0] == 127 && memcmp(ipv4, loopback, 4)));
}

static sa_family_t family_of(const struct question *question)
{
	sa_family_t family;

	memcpy(&family, question->address, sizeof family);
	return family;
}

static void read_ipv4(const uint8_t *given, struct sockaddr_storage *to, uint32_t *to_length)
{
	struct sockaddr_in address = { .sin_family = AF_INET };

	memcpy(&address.sin_port, given + 2, 2);
	memcpy(&address.sin_addr, given + 4, 4);
	memcpy(to, &address, sizeof address);
	*to_length = sizeof address;
}

/* The address is sought where sin6_flowinfo is, and each pair of bytes is turned round (little endian). */
static void read_ipv6(const uint8_t *given, struct sockaddr_storage *to, uint32_t *to_length)
{
	struct sockaddr_in6 address = { .sin6_family = AF_INET6 };

	memcpy(&address.sin6_port, given + 2, 2);
	for (unsigned i = 0; i < 16; i += 2) {
		uint16_t unit;
		memcpy(&unit, given + 4 + i, 2);
		unit = htons(unit);
		memcpy(&address.sin6_addr.s6_addr[i], &unit, 2);
	}
	memcpy(to, &address, sizeof address);
	*to_length = sizeof address;
}

/* API socket.rs socket_address_from(): length and family are not looked at.  What is too short for us to
 * read is left to the host. */
static void read_loosely(const struct question *question, struct sockaddr_storage *to, uint32_t *to_length)
{
	bool ipv4 = question->domain == AF_INET;

	if (!question->address || question->length < (ipv4 ? 8 : 20))
		return;
	if (ipv4)
		read_ipv4(question->address, to, to_length);
	else
		read_ipv6(question->address, to, to_length);
}

static bool refuses_unmapped(const struct question *question, struct verdict *verdict)
{
	const uint8_t *address = question->address + 8;
	uint8_t ipv4[4];

	if (!map_ipv6(address, ipv4))
		return answer(verdict, question->call == CALL_BIND ? EADDRNOTAVAIL : ENETUNREACH, &address_no_ipv4);
	if (question->call == CALL_CONNECT && !memcmp(address, zero, 16))
		return answer(verdict, EINVAL, &connect_unaddressable);
	return false;
}

/* STARRYOS read_from_user(); a null pointer is the host's to refuse. */
static bool refuses_malformed(const struct question *question, struct verdict *verdict)
{
	if (!question->address)
		return false;
	if (question->length < sizeof(sa_family_t))
		return answer(verdict, EINVAL, &address_malformed);
	sa_family_t family = family_of(question);
	if (family != AF_INET && family != AF_INET6)
		return answer(verdict, EAFNOSUPPORT, &address_malformed);
	if (question->length != (family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)))
		return answer(verdict, EINVAL, &address_malformed);
	if (layer_is(question->profile, syscalls_tgoskits) && question->domain == AF_INET6 && family == AF_INET6)
		return refuses_unmapped(question, verdict);
	return false;
}

static bool refuses_address(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	switch ((enum trait_syscalls)question->profile->trait[trait_syscalls]) {
	case syscalls_starry:
		read_loosely(question, to, to_length);
		return false;
	case syscalls_starryos:
	case syscalls_tgoskits:
		return refuses_malformed(question, verdict);
	case syscalls_arceos:
		if (!question->address)
			return answer(verdict, EFAULT, &address_missing);
		if (question->length != sizeof(struct sockaddr_in) || family_of(question) != AF_INET)
			return answer(verdict, EINVAL, &address_malformed);
		return false;
	}
	return false;
}

/* ---- before: what the socket and the arguments decide ---- */

static bool before_socket(const struct question *question, struct verdict *verdict)
{
	int type = question->argument & 0xff, stray = question->argument & ~0xff;
	bool common = type == SOCK_STREAM || type == SOCK_DGRAM, ipv6 = question->domain == AF_INET6;

	switch ((enum trait_syscalls)question->profile->trait[trait_syscalls]) {
	case syscalls_starry:
		if (type == SOCK_RAW || type == SOCK_RDM || type == SOCK_DCCP || type == SOCK_PACKET)
			return halt(verdict, &socket_type);
		return !common && type != SOCK_SEQPACKET && answer(verdict, EINVAL, &socket_type);
	case syscalls_starryos:
		if (ipv6)
			return answer(verdict, EAFNOSUPPORT, &socket_domain);
		return !common && answer(verdict, ESOCKTNOSUPPORT, &socket_type);
	case syscalls_tgoskits:
		if (type > SOCK_PACKET)
			return answer(verdict, EINVAL, &socket_type);
		return !common && (type != SOCK_RAW || ipv6) && answer(verdict, ESOCKTNOSUPPORT, &socket_type);
	case syscalls_arceos:
		if (ipv6)
			return answer(verdict, EINVAL, &socket_domain);
		/* The type is compared whole: SOCK_CLOEXEC and SOCK_NONBLOCK make it an unknown one. */
		return (!common || stray) && answer(verdict, EINVAL, &socket_type);
	}
	return false;
}

static bool bind_alone(const struct question *question, struct verdict *verdict, const struct sockaddr_storage *to)
{
	const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)to;

	if (question->options & OPTION_REUSEADDR)
		return answer(verdict, 0, &ok_reuseaddr);
	if (to->ss_family == AF_INET && ipv4->sin_addr.s_addr == INADDR_ANY)
		return answer(verdict, 0, &ok_wildcard);
	verdict->flags = VERDICT_BINDS;
	return answer(verdict, EPERM, &bind_self_conflict);
}

static bool before_bind(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	const struct profile *profile = question->profile;
	bool tcp = question->protocol == PROTOCOL_TCP;

	if (refuses_address(question, verdict, to, to_length))
		return true;
	if (tcp && in_use(question))
		return answer(verdict, failed(profile, EINVAL), &bind_wrong_state);
	if (question->state != STATE_UNBOUND)
		return answer(verdict, failed(profile, EINVAL), &bind_already_bound);
	if (tcp ? has(profile, trait_tcp_bind, tcp_bind_unchecked) : has(profile, trait_udp_bind, udp_bind_unchecked))
		return answer(verdict, 0, &ok_unchecked);
	return tcp && has(profile, trait_tcp_bind, tcp_bind_self_conflict) && *to_length && bind_alone(question, verdict, to);
}

static bool before_listen(const struct question *question, struct verdict *verdict)
{
	const struct profile *profile = question->profile;
	bool checks = layer_is(profile, syscalls_starryos) || layer_is(profile, syscalls_tgoskits);

	if (checks && question->argument < -1)
		return answer(verdict, EINVAL, &listen_backlog);
	if (question->protocol == PROTOCOL_UDP)
		return answer(verdict, failed(profile, EOPNOTSUPP), &listen_udp);
	if (in_use(question))
		return answer(verdict, 0, &ok_listen_again);
	return question->state == STATE_UNBOUND && layer_is(profile, syscalls_starryos) && halt(verdict, &listen_unbound);
}

/* smoltcp refuses an unspecified address and port 0 before anything is sent. */
static bool is_unaddressable(const uint8_t *address, uint32_t length)
{
	sa_family_t family;

	if (!address || length < sizeof(struct sockaddr_in))
		return false;
	memcpy(&family, address, sizeof family);
	if (!memcmp(address + 2, zero, 2))
		return true;
	if (family == AF_INET)
		return !memcmp(address + 4, zero, 4);
	return family == AF_INET6 && length >= sizeof(struct sockaddr_in6) && !memcmp(address + 8, zero, 16);
}

/* A refused connection unbinds; an unaddressable peer is noticed earlier and does not. */
static bool before_connect(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	const struct profile *profile = question->profile;
	bool starry = layer_is(profile, syscalls_starry), arceos = layer_is(profile, syscalls_arceos);

	if (question->protocol == PROTOCOL_UDP)
		return false;
	if (refuses_address(question, verdict, to, to_length))
		return true;
	if (in_use(question))
		return (starry || arceos) && answer(verdict, starry ? EISCONN : EEXIST, &connect_used);
	if (*to_length ? is_unaddressable((const uint8_t *)to, *to_length) : is_unaddressable(question->address, question->length))
		return answer(verdict, ECONNREFUSED, &connect_unaddressable);
	if (has(profile, trait_refused_connect, refused_connect_unbinds))
		verdict->flags = VERDICT_UNBINDS;
	return false;
}

/* question->address: where the peer's address goes, NULL if that or its length is missing.  A socket whose
 * state is not known for certain (STATE_UNBOUND may be an inherited listener) is left to the host. */
static bool before_accept(const struct question *question, struct verdict *verdict)
{
	const struct profile *profile = question->profile;
	bool starry = layer_is(profile, syscalls_starry);
	bool idle = question->state == STATE_BOUND || question->state == STATE_CONNECTED;

	if (!question->address && (starry || layer_is(profile, syscalls_arceos)))
		return answer(verdict, EFAULT, &address_missing);
	return starry && idle && question->protocol == PROTOCOL_TCP && answer(verdict, EPERM, &accept_not_listening);
}

static bool before_shutdown(const struct question *question, struct verdict *verdict)
{
	bool tcp = question->protocol == PROTOCOL_TCP, listens = question->state == STATE_LISTENING;
	int how = question->argument;

	if (layer_is(question->profile, syscalls_starry)) {
		if (how < SHUT_RD || how > SHUT_RDWR)
			return answer(verdict, EINVAL, &shutdown_how);
		if (tcp && listens)
			return answer(verdict, 0, &ok_shutdown);
		/* UDP closes the endpoint, but the socket counts as bound. */
		verdict->flags = !tcp && how != SHUT_RD && question->state != STATE_UNBOUND ? VERDICT_KILLS : 0;
	}
	/* Listening sockets are listed by port: shut down, they leave the list, and ArceOS clears the address, too. */
	if (tcp && listens && layer_is(question->profile, syscalls_starryos))
		verdict->flags = VERDICT_UNLISTENS;
	if (tcp && listens && layer_is(question->profile, syscalls_arceos))
		verdict->flags = VERDICT_UNLISTENS | VERDICT_UNBINDS;
	if (layer_is(question->profile, syscalls_tgoskits) && tcp)
		verdict->flags = listens || (question->state == STATE_CONNECTED && how == SHUT_RDWR) ? VERDICT_UNBINDS : 0;
	return false;
}

static bool before_all(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	switch (question->call) {
	case CALL_SOCKET:
		return before_socket(question, verdict);
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
		return false;
	}
}

/* ---- alone: what the host says otherwise, in this system's words ---- */

static const struct rule host_refuses = {
	"host/refused", "the host refuses it", NULL, FOR_PEOPLE("net/ipv4/af_inet.c and net/ipv6/af_inet6.c, Linux 6.18"),
};

static int starry_error(const struct profile *profile, enum call call, int host_errno);

static int host_address_error(const struct question *question)
{
	sa_family_t family = question->length < sizeof family ? AF_UNSPEC : family_of(question);
	const uint8_t *ipv4 = question->address + (question->domain == AF_INET ? 4 : 20);
	const uint8_t *ipv6 = question->address + 8;
	bool local;

	if (question->length < (question->domain == AF_INET ? sizeof(struct sockaddr_in) : 24))
		return EINVAL;
	if (family != question->domain)
		return EAFNOSUPPORT;
	local = ipv4[0] == 127 || !memcmp(ipv4, zero, 4) || (question->call == CALL_BIND && ipv4[0] >= 224);
	if (question->domain == AF_INET6)
		local = (!memcmp(ipv6, zero, 15) && ipv6[15] <= 1) || (!memcmp(ipv6, zero, 10) && ipv6[10] == 0xff && local);
	return local ? 0 : question->call == CALL_BIND ? EADDRNOTAVAIL : ENETUNREACH;
}

/* With port 0 there is no holder to be asked first: starry_end(). */
static int host_bind_error(const struct question *question)
{
	struct holder claim = { .domain = question->domain };
	int error = host_address_error(question);

	if (has(question->profile, trait_foreign_address, foreign_address_bound))
		return error == EADDRNOTAVAIL ? 0 : error;
	if (error)
		return error;
	memcpy(claim.address, question->address + (claim.domain == AF_INET ? 4 : 8), claim.domain == AF_INET ? 4 : 16);
	return !memcmp(question->address + 2, zero, 2) && is_foreign(&claim) ? EADDRNOTAVAIL : 0;
}

static int host_error(const struct question *question)
{
	bool tcp = question->protocol == PROTOCOL_TCP;

	switch (question->call) {
	case CALL_BIND:
		return host_bind_error(question);
	case CALL_CONNECT:
		return tcp && in_use(question) ? EISCONN : host_address_error(question);
	case CALL_ACCEPT:
		return !tcp ? EOPNOTSUPP : question->state == STATE_LISTENING ? 0 : EINVAL;
	case CALL_SHUTDOWN:
		return in_use(question) ? 0 : ENOTCONN;
	case CALL_SEND:
		return tcp && question->state != STATE_CONNECTED ? EPIPE : 0;
	default:
		return 0;
	}
}

/* A UDP socket of AF_INET6 connects to an AF_INET address, too. */
static void map_ipv4(const struct question *question, struct sockaddr_storage *to, uint32_t *to_length)
{
	struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_addr.s6_addr = { [10] = 0xff, [11] = 0xff } };

	if (*to_length || question->call != CALL_CONNECT || question->protocol != PROTOCOL_UDP || question->domain != AF_INET6 ||
	    question->length < sizeof(struct sockaddr_in) || family_of(question) != AF_INET)
		return;
	memcpy(&address.sin6_port, question->address + 2, 2);
	memcpy(&address.sin6_addr.s6_addr[12], question->address + 4, 4);
	memcpy(to, &address, sizeof address);
	*to_length = sizeof address;
}

/* The host gets the address as the system reads it.  What it refuses changes nothing, if the system calls that a refusal. */
static bool before_alone(const struct question *given, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	struct question question = *given;
	int error;

	map_ipv4(given, to, to_length);
	if (*to_length) {
		question.address = (const uint8_t *)to;
		question.length = *to_length;
	}
	error = host_error(&question);
	if (!error)
		return false;
	error = starry_error(given->profile, given->call, error);
	verdict->flags = error ? 0 : verdict->flags;
	return answer(verdict, error, &host_refuses);
}

/* AXNET tcp.rs, udp.rs get_ephemeral_port(), kept by its successors. */
#define FIRST_EPHEMERAL 49152u

static uint16_t starry_port(const struct profile *profile, enum call call, const struct holder *claim, uint32_t start, uint32_t attempt)
{
	const uint32_t count = 65536 - FIRST_EPHEMERAL;

	(void)profile, (void)call, (void)claim;
	return attempt < count ? (uint16_t)(FIRST_EPHEMERAL + (start + attempt) % count) : 0;
}

static void starry_event(const struct question *question, enum event event, struct verdict *verdict)
{
	static const int errors[] = {
		[EVENT_REFUSED] = ECONNREFUSED, [EVENT_UNLISTENED] = ECONNREFUSED, [EVENT_FULL] = ETIMEDOUT,
		[EVENT_TUPLE_TAKEN] = EADDRNOTAVAIL, [EVENT_TUPLE_REMNANT] = 0, [EVENT_SELF] = 0, [EVENT_AGAIN] = 0, [EVENT_OVER] = 0,
		[EVENT_NO_PORT] = EADDRINUSE,
	};

	if (event == EVENT_TUPLE_TAKEN && question->protocol == PROTOCOL_UDP)
		return; /* connect() writes the peer, and compares it with nobody's */
	if (errors[event])
		answer(verdict, starry_error(question->profile, question->call, errors[event]), &host_refuses);
}

static bool starry_before(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	if (question->domain != AF_INET && question->domain != AF_INET6)
		return false;
	bool final = before_all(question, verdict, to, to_length);

	if (!IS_ALONE(question) || (final && (question->call != CALL_BIND || verdict->error)))
		return final;
	return before_alone(question, verdict, to, to_length) || final;
}

/* ---- the holders ---- */

/* judgement.scratch */
#define LISTENER_FIRST 0x1u /* the listen table refuses before the address is looked at */
#define SHARES_PORT 0x2u

static void refuse(struct judgement *judgement, const struct holder *holder, const struct rule *rule)
{
	/* The walk stops at the first match; the eldest is blamed, whatever order we were shown. */
	if (judgement->refused && judgement->blame.order <= holder->order)
		return;
	judgement->refused = true;
	judgement->blame = *holder;
	judgement->rule = rule;
}

/* Two endpoints of one port exclude each other if either is the wildcard or both are equal, unless equal
 * and both with SO_REUSEPORT (TGOSKITS, pull request 1518). */
static bool table_conflict(struct judgement *judgement, const struct holder *holder)
{
	const struct holder *claim = &judgement->claim;
	uint8_t wanted[4], held[4];

	if (holder->protocol != claim->protocol || holder->port != claim->port)
		return false;
	if (!as_ipv4(claim, wanted) || !as_ipv4(holder, held))
		return false;
	bool same = !memcmp(wanted, held, 4);
	if (!same && memcmp(wanted, zero, 4) && memcmp(held, zero, 4))
		return false;
	if (same && (claim->options & holder->options & OPTION_REUSEPORT)) {
		judgement->scratch |= SHARES_PORT;
		return false;
	}
	return true;
}

static void bind_by_table(struct judgement *judgement, const struct holder *holder)
{
	uint32_t reuse = judgement->claim.options & (OPTION_REUSEADDR | OPTION_REUSEPORT);

	if (!table_conflict(judgement, holder))
		return;
	if (!reuse && holder->state == STATE_LISTENING)
		judgement->scratch |= LISTENER_FIRST;
	refuse(judgement, holder, &bind_port_taken);
}

/* mod.rs bind_check(): only the new socket's flag counts, and its wildcard meets nobody. */
static void bind_by_address(struct judgement *judgement, const struct holder *holder, bool compare_port)
{
	const struct holder *claim = &judgement->claim;

	if ((claim->options & OPTION_REUSEADDR) || is_wildcard(claim) || is_client(claim) || !same_address(claim, holder))
		return;
	if (compare_port) {
		if (claim->port == holder->port)
			refuse(judgement, holder, &bind_same_endpoint);
	} else if (holder->state == STATE_ANCHOR) {
		refuse(judgement, holder, &bind_anchor);
	} else if (holder->protocol == PROTOCOL_UDP) {
		refuse(judgement, holder, &bind_same_address);
	}
}

static void judge_bind(struct judgement *judgement, const struct holder *holder)
{
	const struct profile *profile = judgement->profile;

	if (judgement->claim.protocol == PROTOCOL_TCP) {
		if (has(profile, trait_tcp_bind, tcp_bind_port_table))
			bind_by_table(judgement, holder);
		else if (has(profile, trait_tcp_bind, tcp_bind_endpoint))
			bind_by_address(judgement, holder, true);
		return;
	}
	if (has(profile, trait_udp_bind, udp_bind_port_table))
		bind_by_table(judgement, holder);
	else if (!has(profile, trait_udp_bind, udp_bind_unchecked))
		bind_by_address(judgement, holder, has(profile, trait_udp_bind, udp_bind_endpoint));
}

static void judge_listen(struct judgement *judgement, const struct holder *holder)
{
	if (holder->protocol != PROTOCOL_TCP || holder->state != STATE_LISTENING || holder->port != judgement->claim.port)
		return;
	if (has(judgement->profile, trait_tcp_listen, tcp_listen_port))
		refuse(judgement, holder, &listen_port_taken);
	else if (table_conflict(judgement, holder))
		refuse(judgement, holder, &listen_conflict);
}

static void starry_holder(struct judgement *judgement, const struct holder *holder)
{
	if (holder->state == STATE_TIME_WAIT || holder->options & OPTION_CHILD || is_client(holder))
		return;
	if (judgement->call == CALL_LISTEN)
		judge_listen(judgement, holder);
	else
		judge_bind(judgement, holder);
}

static const struct rule *why_ok(const struct judgement *judgement)
{
	const struct holder *claim = &judgement->claim;
	bool table = claim->protocol == PROTOCOL_TCP ? has(judgement->profile, trait_tcp_bind, tcp_bind_port_table)
						     : has(judgement->profile, trait_udp_bind, udp_bind_port_table);

	if (judgement->scratch & SHARES_PORT)
		return &ok_reuseport;
	if (judgement->call == CALL_LISTEN)
		return &ok_listen;
	if (!table && (claim->options & OPTION_REUSEADDR))
		return &ok_reuseaddr;
	return !table && is_wildcard(claim) ? &ok_wildcard : &ok_free;
}

static void starry_end(struct judgement *judgement, struct verdict *verdict)
{
	const struct profile *profile = judgement->profile;
	bool foreign = judgement->call == CALL_BIND && is_foreign(&judgement->claim) &&
		has(profile, trait_foreign_address, foreign_address_refused);

	if (foreign && !(judgement->scratch & LISTENER_FIRST)) {
		answer(verdict, ENXIO, &bind_foreign_address);
		return;
	}
	if (!judgement->refused) {
		answer(verdict, 0, why_ok(judgement));
		return;
	}
	answer(verdict, failed(profile, EADDRINUSE), judgement->rule);
	verdict->blamed = true;
	verdict->holder = judgement->blame;
}

/* ---- options ---- */

enum effect {
	EFFECT_HOST,      /* the host's own */
	EFFECT_NOTHING,   /* 0, and nothing is stored or written */
	EFFECT_REUSEADDR,
	EFFECT_REUSEPORT,
	EFFECT_NUMBER,    /* get: an int */
	EFFECT_LONG,      /* get: eight bytes */
	EFFECT_RENO,      /* get: the word */
	EFFECT_BUFFER,    /* set: ignored, but not below 0 */
	EFFECT_PRIORITY,  /* set: 0 to 6 */
	EFFECT_INVALID,
	EFFECT_PERM,
	EFFECT_UNKNOWN,
	EFFECT_HALTS,
	EFFECT_FAILS
};

#define ANY (-1)
#define TCP_ONLY 1
#define UDP_ONLY 2

struct row {
	int level, name;
	enum effect set, get;
	uint8_t size; /* of the value, 0: not looked at */
	uint8_t only;
	int32_t number;
};

/* API imp.rs syscall_set_sock_opt(), syscall_get_sock_opt(); socket.rs SocketOption, TcpSocketOption, IpOption. */
static const struct row starry_rows[] = {
	{ SOL_SOCKET, SO_REUSEADDR, EFFECT_REUSEADDR, EFFECT_REUSEADDR, 4, 0, 0 },
	{ SOL_SOCKET, SO_ERROR, EFFECT_HALTS, EFFECT_NOTHING, 0, 0, 0 },
	/* Writes the other option's flag: a slip in SocketOption::set(). */
	{ SOL_SOCKET, SO_DONTROUTE, EFFECT_REUSEADDR, EFFECT_NUMBER, 4, 0, 0 },
	{ SOL_SOCKET, SO_SNDBUF, EFFECT_HOST, EFFECT_HOST, 4, 0, 0 },
	{ SOL_SOCKET, SO_RCVBUF, EFFECT_HOST, EFFECT_HOST, 4, 0, 0 },
	{ SOL_SOCKET, SO_KEEPALIVE, EFFECT_HOST, EFFECT_HOST, 4, 0, 0 },
	{ SOL_SOCKET, SO_RCVTIMEO, EFFECT_HOST, EFFECT_HOST, 16, 0, 0 },
	{ SOL_SOCKET, SO_SNDTIMEO, EFFECT_PERM, EFFECT_HALTS, 0, 0, 0 },
	{ SOL_SOCKET, ANY, EFFECT_NOTHING, EFFECT_HALTS, 0, 0, 0 },
	{ IPPROTO_TCP, TCP_NODELAY, EFFECT_HOST, EFFECT_HOST, 4, TCP_ONLY, 0 },
	{ IPPROTO_TCP, TCP_MAXSEG, EFFECT_HALTS, EFFECT_LONG, 0, TCP_ONLY, 1500 },
	{ IPPROTO_TCP, TCP_INFO, EFFECT_NOTHING, EFFECT_UNKNOWN, 0, TCP_ONLY, 0 },
	{ IPPROTO_TCP, TCP_CONGESTION, EFFECT_NOTHING, EFFECT_RENO, 0, TCP_ONLY, 0 },
	{ IPPROTO_TCP, ANY, EFFECT_NOTHING, EFFECT_HALTS, 0, 0, 0 },
	{ IPPROTO_IP, IP_MULTICAST_TTL, EFFECT_HOST, EFFECT_NOTHING, 1, UDP_ONLY, 0 },
	{ IPPROTO_IP, IP_ADD_MEMBERSHIP, EFFECT_HOST, EFFECT_NOTHING, 8, 0, 0 },
	{ IPPROTO_IP, ANY, EFFECT_NOTHING, EFFECT_NOTHING, 0, 0, 0 },
	{ IPPROTO_IPV6, ANY, EFFECT_NOTHING, EFFECT_NOTHING, 0, 0, 0 },
	{ ANY, ANY, EFFECT_HALTS, EFFECT_HALTS, 0, 0, 0 },
};

/* STARRYOS opt.rs call_dispatch!, less what no socket of AXNET_NG answers. */
static const struct row starryos_rows[] = {
	{ SOL_SOCKET, SO_REUSEADDR, EFFECT_REUSEADDR, EFFECT_REUSEADDR, 4, 0, 0 },
	{ SOL_SOCKET, SO_ERROR, EFFECT_UNKNOWN, EFFECT_NUMBER, 4, 0, 0 },
	{ SOL_SOCKET, SO_SNDBUF, EFFECT_BUFFER, EFFECT_NUMBER, 4, 0, 65536 },
	{ SOL_SOCKET, SO_RCVBUF, EFFECT_BUFFER, EFFECT_NUMBER, 4, 0, 65536 },
	{ SOL_SOCKET, SO_KEEPALIVE, EFFECT_HOST, EFFECT_HOST, 4, TCP_ONLY, 0 },
	{ SOL_SOCKET, SO_RCVTIMEO, EFFECT_HOST, EFFECT_HOST, 16, 0, 0 },
	{ SOL_SOCKET, SO_SNDTIMEO, EFFECT_HOST, EFFECT_HOST, 16, 0, 0 },
	{ IPPROTO_TCP, TCP_NODELAY, EFFECT_HOST, EFFECT_HOST, 4, TCP_ONLY, 0 },
	{ IPPROTO_TCP, TCP_MAXSEG, EFFECT_UNKNOWN, EFFECT_NUMBER, 4, TCP_ONLY, 1460 },
	{ IPPROTO_IP, IP_TTL, EFFECT_HOST, EFFECT_HOST, 4, UDP_ONLY, 0 },
	{ ANY, ANY, EFFECT_UNKNOWN, EFFECT_UNKNOWN, 0, 0, 0 },
};

/* TGOSKITS os/StarryOS/kernel/src/syscall/net/opt.rs.  Its IP and IPv6 options decide no bind: the host's. */
static const struct row tgoskits_rows[] = {
	{ SOL_SOCKET, SO_REUSEADDR, EFFECT_REUSEADDR, EFFECT_REUSEADDR, 4, 0, 0 },
	{ SOL_SOCKET, SO_REUSEPORT, EFFECT_REUSEPORT, EFFECT_REUSEPORT, 4, 0, 0 },
	{ SOL_SOCKET, SO_ERROR, EFFECT_UNKNOWN, EFFECT_HOST, 4, 0, 0 },
	{ SOL_SOCKET, SO_SNDBUF, EFFECT_BUFFER, EFFECT_NUMBER, 4, 0, 65536 },
	{ SOL_SOCKET, SO_RCVBUF, EFFECT_BUFFER, EFFECT_NUMBER, 4, 0, 65536 },
	{ SOL_SOCKET, SO_KEEPALIVE, EFFECT_HOST, EFFECT_HOST, 4, TCP_ONLY, 0 },
	{ SOL_SOCKET, SO_RCVTIMEO, EFFECT_HOST, EFFECT_HOST, 16, 0, 0 },
	{ SOL_SOCKET, SO_SNDTIMEO, EFFECT_HOST, EFFECT_HOST, 16, 0, 0 },
	{ SOL_SOCKET, SO_TYPE, EFFECT_UNKNOWN, EFFECT_HOST, 4, 0, 0 },
	{ SOL_SOCKET, SO_PROTOCOL, EFFECT_UNKNOWN, EFFECT_HOST, 4, 0, 0 },
	{ SOL_SOCKET, SO_DOMAIN, EFFECT_UNKNOWN, EFFECT_HOST, 4, 0, 0 },
	{ SOL_SOCKET, SO_PRIORITY, EFFECT_PRIORITY, EFFECT_HOST, 4, 0, 0 },
	{ SOL_SOCKET, SO_BINDTODEVICE, EFFECT_HOST, EFFECT_HOST, 0, 0, 0 },
	{ SOL_SOCKET, SO_BROADCAST, EFFECT_HOST, EFFECT_UNKNOWN, 0, 0, 0 },
	{ IPPROTO_TCP, TCP_NODELAY, EFFECT_HOST, EFFECT_HOST, 4, TCP_ONLY, 0 },
	{ IPPROTO_TCP, TCP_MAXSEG, EFFECT_UNKNOWN, EFFECT_NUMBER, 4, TCP_ONLY, 1460 },
	{ IPPROTO_TCP, TCP_KEEPIDLE, EFFECT_HOST, EFFECT_HOST, 4, TCP_ONLY, 0 },
	{ IPPROTO_TCP, TCP_KEEPINTVL, EFFECT_HOST, EFFECT_HOST, 4, TCP_ONLY, 0 },
	{ IPPROTO_TCP, TCP_KEEPCNT, EFFECT_HOST, EFFECT_HOST, 4, TCP_ONLY, 0 },
	{ IPPROTO_TCP, TCP_USER_TIMEOUT, EFFECT_HOST, EFFECT_HOST, 4, TCP_ONLY, 0 },
	{ IPPROTO_TCP, TCP_INFO, EFFECT_UNKNOWN, EFFECT_HOST, 0, TCP_ONLY, 0 },
	{ IPPROTO_IPV6, IPV6_V6ONLY, EFFECT_NOTHING, EFFECT_NUMBER, 4, 0, 0 },
	{ IPPROTO_IP, ANY, EFFECT_HOST, EFFECT_HOST, 0, 0, 0 },
	{ IPPROTO_IPV6, ANY, EFFECT_HOST, EFFECT_HOST, 0, 0, 0 },
	{ ANY, ANY, EFFECT_UNKNOWN, EFFECT_UNKNOWN, 0, 0, 0 },
};

/* ARCEOS ulib/axlibc/c/socket.c: setsockopt() does nothing, getsockopt() fails without an errno of its own. */
static const struct row arceos_rows[] = {
	{ ANY, ANY, EFFECT_NOTHING, EFFECT_FAILS, 0, 0, 0 },
};

static const struct row *const tables[] = {
	[syscalls_starry] = starry_rows,
	[syscalls_starryos] = starryos_rows,
	[syscalls_tgoskits] = tgoskits_rows,
	[syscalls_arceos] = arceos_rows,
};

/* Every table ends with a row for any level and name. */
static const struct row *find_row(const struct option_question *question)
{
	const struct row *row = tables[question->profile->trait[trait_syscalls]];

	while ((row->level != ANY && row->level != question->level) || (row->name != ANY && row->name != question->name))
		row++;
	return row;
}

static bool fits(const struct row *row, const struct option_question *question, bool starry)
{
	if (starry || question->call == CALL_GETSOCKOPT)
		return question->length >= row->size;
	return question->length == row->size;
}

static enum effect effect_of(const struct row *row, const struct option_question *question)
{
	const struct profile *profile = question->profile;
	bool starry = layer_is(profile, syscalls_starry), tcp = question->protocol == PROTOCOL_TCP;
	bool set = question->call == CALL_SETSOCKOPT;
	enum effect effect = set ? row->set : row->get;

	if (!set && (effect == EFFECT_UNKNOWN || effect == EFFECT_NOTHING))
		return effect;
	if (row->only && row->only != (tcp ? TCP_ONLY : UDP_ONLY))
		return starry ? EFFECT_HALTS : EFFECT_UNKNOWN;
	if (row->size && !fits(row, question, starry))
		return starry ? EFFECT_HALTS : EFFECT_INVALID;
	if (effect == EFFECT_REUSEADDR && tcp && has(profile, trait_tcp_reuseaddr, tcp_reuseaddr_ignored))
		return set ? EFFECT_NOTHING : EFFECT_HALTS;
	return effect;
}

static void give(struct option_answer *result, const void *value, uint32_t length, uint32_t room)
{
	/* The real kernel writes more than there is room for; we do not. */
	result->length = length < room ? length : room;
	memcpy(result->value, value, result->length);
}

static void give_number(struct option_answer *result, const struct option_question *question, int32_t number)
{
	give(result, &number, sizeof number, question->length);
}

static void refuse_option(struct option_answer *result, int error, const struct rule *rule)
{
	result->error = error;
	result->rule = rule;
}

static void flag(struct option_answer *result, const struct option_question *question, uint32_t bit, int32_t value)
{
	if (question->call == CALL_GETSOCKOPT)
		give_number(result, question, (question->options & bit) != 0);
	else
		result->options = value ? question->options | bit : question->options & ~bit;
}

static void starry_option(const struct option_question *question, struct option_answer *result)
{
	const struct row *row = find_row(question);
	enum effect effect = effect_of(row, question);
	uint64_t wide = (uint64_t)row->number;
	int32_t value = 0;

	*result = (struct option_answer){ .rule = &ok_option, .options = question->options };
	if (question->domain != AF_INET && question->domain != AF_INET6)
		effect = EFFECT_HOST;
	if (question->value && question->length >= sizeof value)
		memcpy(&value, question->value, sizeof value);
	switch (effect) {
	case EFFECT_HOST:
		result->passes = true;
		break;
	case EFFECT_NOTHING:
		break;
	case EFFECT_REUSEADDR:
		flag(result, question, OPTION_REUSEADDR, value);
		break;
	case EFFECT_REUSEPORT:
		flag(result, question, OPTION_REUSEPORT, value);
		break;
	case EFFECT_NUMBER:
		give_number(result, question, row->number);
		break;
	case EFFECT_LONG:
		give(result, &wide, sizeof wide, question->length);
		break;
	case EFFECT_RENO:
		give(result, "reno", 4, question->length);
		break;
	case EFFECT_BUFFER:
		if (value < 0)
			refuse_option(result, EINVAL, &option_refused);
		break;
	case EFFECT_PRIORITY:
		result->passes = value >= 0 && value <= 6;
		if (!result->passes)
			refuse_option(result, EPERM, &option_refused);
		break;
	case EFFECT_INVALID:
		refuse_option(result, EINVAL, &option_length);
		break;
	case EFFECT_PERM:
		refuse_option(result, EPERM, &option_refused);
		break;
	case EFFECT_UNKNOWN:
		refuse_option(result, ENOPROTOOPT, &option_unknown);
		break;
	case EFFECT_HALTS:
		result->flags = VERDICT_HALTS;
		refuse_option(result, ENOTRECOVERABLE, &option_panics);
		break;
	case EFFECT_FAILS:
		refuse_option(result, ENOSYS, &option_unimplemented);
		break;
	}
}

/* ---- the host's errors ---- */

/* API imp.rs, and syscall_fs/imp/io.rs for close(). */
static int starry_layer_error(enum call call, int error)
{
	if (call == CALL_CLOSE)
		return error == EBADF ? EPERM : error;
	if (error == EBADF || error == ENOTSOCK || error == EFAULT)
		return error;
	switch (call) {
	case CALL_BIND:
	case CALL_LISTEN:
		return EPERM;
	case CALL_ACCEPT:
		if (error == EMFILE)
			return ENFILE;
		if (error == EOPNOTSUPP || error == EINTR || error == ECONNABORTED || error == EAGAIN || error == ENFILE)
			return error;
		return EPERM;
	case CALL_CONNECT:
		if (error == EALREADY)
			return EISCONN;
		return error == EINPROGRESS || error == EINTR || error == EISCONN ? error : ECONNREFUSED;
	case CALL_SHUTDOWN:
		return error == EINVAL ? error : 0;
	case CALL_SETSOCKOPT:
		return error == ENOPROTOOPT ? 0 : error;
	default:
		return error;
	}
}

/* ARCEOS api/arceos_posix_api/src/imp/net.rs and the axerrno table. */
static int arceos_layer_error(enum call call, int error)
{
	if (error == ENOTSOCK)
		return EINVAL;
	if (call == CALL_SOCKET && (error == EPROTONOSUPPORT || error == ESOCKTNOSUPPORT || error == EAFNOSUPPORT))
		return EINVAL;
	if (call == CALL_CONNECT && error == EINPROGRESS)
		return EAGAIN;
	if (call == CALL_CONNECT && (error == EALREADY || error == EISCONN))
		return EEXIST;
	return error;
}

static int starry_error(const struct profile *profile, enum call call, int host_errno)
{
	if (layer_is(profile, syscalls_starry))
		return starry_layer_error(call, host_errno);
	if (layer_is(profile, syscalls_arceos))
		return arceos_layer_error(call, host_errno);
	bool foreign = call == CALL_BIND && host_errno == EADDRNOTAVAIL;
	return foreign && has(profile, trait_foreign_address, foreign_address_refused) ? ENXIO : host_errno;
}

/* ---- the family ---- */

/* Where the check ignores the port, all that it compares lies in one bucket. */
static uint32_t starry_bucket(const struct profile *profile, enum protocol protocol, uint16_t port)
{
	if (protocol == PROTOCOL_TCP || has(profile, trait_udp_bind, udp_bind_endpoint))
		return port;
	return has(profile, trait_udp_bind, udp_bind_address) ? 65536u : 65536u + port;
}

/* specific: AXNET tcp.rs bind(), as soon as the address is written, success or not.  connected_any: TGOSKITS
 * tcp.rs connect() replaces the wildcard by a source address, and the release looks for that one in vain;
 * claim is then the socket as it was bound, in STATE_CONNECTED. */
static bool starry_anchors(const struct profile *profile, const struct holder *claim)
{
	uint8_t ipv4[4];

	if (claim->protocol != PROTOCOL_TCP)
		return false;
	if (has(profile, trait_anchors, anchors_specific))
		return !is_wildcard(claim);
	return has(profile, trait_anchors, anchors_connected_any) && claim->state == STATE_CONNECTED &&
		as_ipv4(claim, ipv4) && !memcmp(ipv4, zero, 4);
}

static uint32_t starry_inherited(const struct profile *profile, uint32_t listener_options)
{
	(void)profile;
	return (void)listener_options, 0;
}

static enum state starry_released(const struct profile *profile, const struct holder *holder, bool active, uint32_t *milliseconds)
{
	(void)profile, (void)holder, (void)active;
	*milliseconds = 0;
	return STATE_UNBOUND;
}

/* AXNET_NG tcp.rs connect() writes the source address where bind() wrote its own; nothing else does.  TGOSKITS tcp.rs
 * start_connect() registers only what has not been. */
static uint32_t starry_asks(const struct profile *profile)
{
	bool moves = has(profile, trait_tcp_bind, tcp_bind_endpoint);

	return ASKS_SOCKET | ASKS_BOUND(PROTOCOL_UDP) | (moves ? 0 : ASKS_BOUND(PROTOCOL_TCP));
}

const struct family family_starry = {
	.name = "starry",
	.asks = starry_asks,
	.bucket = starry_bucket,
	.before = starry_before,
	.holder = starry_holder,
	.end = starry_end,
	.option = starry_option,
	.error = starry_error,
	.inherited = starry_inherited,
	.released = starry_released,
	.anchors = starry_anchors,
	.port = ALONE_ONLY(starry_port),
	.source = ALONE_ONLY(family_source),
	.event = starry_event,
};

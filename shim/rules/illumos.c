/* SPDX-License-Identifier: MIT */
/*
 * illumos and Solaris 10: illumos-gate usr/src/uts/common/inet/tcp/tcp_bind.c, inet/udp/udp.c,
 * fs/sockfs/sockcommon_sops.c, as of 2022 to 2024.
 *
 * Only the new socket's SO_REUSEADDR counts, and it never shares an address that a TCP socket is bound to
 * or listens on.  SO_EXCLBIND of either beats it and looks at both address families.  listen() asks nobody.
 * What counts is the address given to bind() (conn_bound_addr_v6), whatever connect() makes of it.  Accepted sockets, and
 * those that connect() gave a port, have none, and so have them all.
 */
#include "family.h"

#include <errno.h>
#include <fakebind.h>
#include <netinet/in.h>
#include <string.h>

#define TCP_BIND "illumos-gate inet/tcp/tcp_bind.c tcp_bindi(), 39707ee3; inet/tcp/tcp_input.c tcp_conn_create_v4(), _v6()"
#define TCP_CHECK "illumos-gate inet/tcp/tcp_bind.c tcp_bind_check(), tcp_bind_select_lport(), 39707ee3"
#define UDP_BIND "illumos-gate inet/udp/udp.c udp_do_bind(), e939c4c9"
#define SOCKFS "illumos-gate fs/sockfs/sockcommon_sops.c so_bind(), 0250c53a"
#define OPTIONS "illumos-gate inet/ip/conn_opt.c 188e1664, inet/proto_set.c proto_opt_check()"

static const struct rule holder_exclusive = {
	"conflict/holder-exclusive", "that socket has SO_EXCLBIND, which SO_REUSEADDR does not lift",
	"the holder had no SO_EXCLBIND", FOR_PEOPLE(TCP_BIND "; " UDP_BIND),
};
static const struct rule claim_exclusive = {
	"conflict/exclusive", "this socket has SO_EXCLBIND, and the addresses overlap, IPv4 and IPv6 taken together",
	"this socket had no SO_EXCLBIND", FOR_PEOPLE(TCP_BIND "; " UDP_BIND),
};
static const struct rule no_reuseaddr = {
	"conflict/no-reuseaddr", "the addresses overlap (an unbound connection has all), and this socket lacks SO_REUSEADDR",
	"this socket had SO_REUSEADDR; the holder's own does not matter", FOR_PEOPLE(TCP_BIND "; " UDP_BIND),
};
static const struct rule time_wait = {
	"conflict/time-wait", "this socket lacks SO_REUSEADDR", "this socket had SO_REUSEADDR", FOR_PEOPLE(TCP_BIND),
};
static const struct rule same_address = {
	"conflict/same-address", "SO_REUSEADDR does not share the very address of a socket that is bound or listens",
	"one of the two had another address, or 0.0.0.0", FOR_PEOPLE(TCP_BIND),
};
static const struct rule udp_automatic = {
	"conflict/udp-automatic", "the port is in use, and SO_REUSEADDR does not count for port 0", NULL, FOR_PEOPLE(UDP_BIND),
};
static const struct rule ok_free = { "ok/free", "no socket overlaps", NULL, FOR_PEOPLE(TCP_BIND "; " UDP_BIND) };
static const struct rule ok_reuseaddr = {
	"ok/reuseaddr", "this socket has SO_REUSEADDR, and the holder's own does not matter", NULL, FOR_PEOPLE(TCP_BIND "; " UDP_BIND),
};
static const struct rule ok_listen = { "ok/listen", "listen() asks nobody", NULL, FOR_PEOPLE("illumos-gate inet/tcp/tcp_bind.c tcp_do_listen()") };

static const struct rule bind_malformed = {
	"bind/malformed", "length and family do not fit the socket", "the address were that of the socket's family", FOR_PEOPLE(SOCKFS),
};
static const struct rule bind_used = {
	"bind/already-bound", "the socket has an address already", "it were a new socket", FOR_PEOPLE(TCP_CHECK "; " UDP_BIND "; " SOCKFS),
};
static const struct rule bind_foreign = {
	"bind/foreign-address", "no interface has that address", "the address belonged to an interface", FOR_PEOPLE(TCP_CHECK "; " UDP_BIND),
};
static const struct rule bind_privileged = {
	"bind/privileged-port", "ports below 1024, 2049 and 4045 need the privilege net_privaddr",
	"root bound it", FOR_PEOPLE(TCP_CHECK "; " UDP_BIND),
};
static const struct rule listen_udp = {
	"listen/udp", "a UDP socket cannot listen", NULL, FOR_PEOPLE("illumos-gate inet/udp/udp.c, tpi_notsupp"),
};
static const struct rule listen_connected = {
	"listen/connected", "the socket is connected", "it were a new socket", FOR_PEOPLE("illumos-gate inet/tcp/tcp_bind.c tcp_do_listen()"),
};
static const struct rule connect_used = {
	"connect/used", "the socket is connected", "it were a new socket", FOR_PEOPLE("illumos-gate fs/sockfs/sockcommon_sops.c so_connect()"),
};
static const struct rule connect_listening = {
	"connect/listening", "the socket listens", "it were a new socket", FOR_PEOPLE("illumos-gate fs/sockfs/sockcommon_sops.c so_connect()"),
};
static const struct rule connect_refused = {
	"connect/refused", "nobody listens there", NULL, FOR_PEOPLE("RFC 9293 3.10.7.1"),
};
static const struct rule connect_full = {
	"connect/full", "the listener's queue is full, and it drops what comes", NULL, FOR_PEOPLE("illumos-gate inet/tcp/tcp_input.c tcp_input_listener()"),
};
static const struct rule connect_tuple = {
	"connect/same-connection", "the same connection exists", "another port or peer were chosen",
	FOR_PEOPLE("illumos-gate inet/ip/ipclassifier.c ipcl_conn_insert(), 041297c2"),
};
static const struct rule shutdown_idle = { "shutdown/not-connected", "the socket is not connected", NULL, FOR_PEOPLE("illumos-gate fs/sockfs/sockcommon_sops.c so_shutdown()") };
static const struct rule no_port = {
	"port/none-left", "all ports from 32768 to 65535 are taken", NULL, FOR_PEOPLE(TCP_CHECK "; " UDP_BIND),
};
static const struct rule accept_not_listening = {
	"accept/not-listening", "the socket does not listen", NULL, FOR_PEOPLE("illumos-gate fs/sockfs/sockcommon_sops.c so_accept()"),
};

/* ---- the holders ---- */

static bool exclusive(const struct profile *profile, const struct holder *holder)
{
	switch ((enum trait_exclusive_default)profile->trait[trait_exclusive_default]) {
	case exclusive_default_always:
		return true;
	case exclusive_default_unless_reuseaddr:
		if (!(holder->options & (OPTION_REUSEADDR | OPTION_CHILD)))
			return true;
		break;
	case exclusive_default_no:
		break;
	}
	return holder->options & OPTION_EXCLUSIVE;
}

/* Once a connection is past ESTABLISHED, SO_EXCLBIND excludes no more. */
static bool excludes(const struct judgement *judgement, const struct holder *holder)
{
	bool either = exclusive(judgement->profile, &judgement->claim) || exclusive(judgement->profile, holder);

	return either && holder->state != STATE_TIME_WAIT && !(holder->protocol == PROTOCOL_TCP && holder->options & OPTION_ENDS);
}

static bool addresses_meet(const struct holder *claim, const struct holder *holder)
{
	return holder->options & (OPTION_CHILD | OPTION_CLIENT) || holders_addresses_meet(claim, holder);
}

static void excluded(struct judgement *judgement, const struct holder *holder)
{
	if (addresses_meet(&judgement->claim, holder))
		judgement_refuse(judgement, holder, EADDRINUSE,
			exclusive(judgement->profile, holder) ? &holder_exclusive : &claim_exclusive);
}

/* conn_ipversion: UDP's bind() writes it, TCP's does not, so that a mapped address is IPv6 until it is connected. */
static bool is_ipv4(const struct holder *holder)
{
	bool connected = holder->state == STATE_CONNECTED || holder->state == STATE_TIME_WAIT;

	return holder->protocol == PROTOCOL_UDP || connected ? holder_is_ipv4(holder) : holder->domain == AF_INET;
}

/* `::' and 0.0.0.0 never meet, unless the system looks for a port of its own accord. */
static bool other_family(const struct judgement *judgement, const struct holder *holder)
{
	return !judgement->automatic && is_ipv4(&judgement->claim) != is_ipv4(holder);
}

/* Byte for byte: `::' is not ::ffff:0.0.0.0. */
static bool same_bytes(const struct holder *claim, const struct holder *holder)
{
	return holder_is_ipv4(claim) == holder_is_ipv4(holder) && holders_same_address(claim, holder);
}

static void tcp_holder(struct judgement *judgement, const struct holder *holder)
{
	const struct holder *claim = &judgement->claim;
	bool idle = holder->state == STATE_BOUND || holder->state == STATE_LISTENING;

	if (judgement->call == CALL_CONNECT && !idle)
		return; /* the connections differ: nobody else is asked (quick_connect) */
	if (excludes(judgement, holder)) {
		excluded(judgement, holder);
		return;
	}
	if (other_family(judgement, holder) || !addresses_meet(claim, holder))
		return;
	if (!(claim->options & OPTION_REUSEADDR))
		judgement_refuse(judgement, holder, EADDRINUSE, holder->state == STATE_TIME_WAIT ? &time_wait : &no_reuseaddr);
	else if (idle && same_bytes(claim, holder))
		judgement_refuse(judgement, holder, EADDRINUSE, &same_address);
	else
		judgement->scratch = true;
}

static void udp_holder(struct judgement *judgement, const struct holder *holder)
{
	const struct holder *claim = &judgement->claim;

	if (excludes(judgement, holder)) {
		excluded(judgement, holder);
		return;
	}
	if (other_family(judgement, holder) || !holders_addresses_meet(claim, holder))
		return;
	if (judgement->automatic)
		judgement_refuse(judgement, holder, EADDRINUSE, &udp_automatic);
	else if (!(claim->options & OPTION_REUSEADDR))
		judgement_refuse(judgement, holder, EADDRINUSE, &no_reuseaddr);
	else
		judgement->scratch = true;
}

static void illumos_holder(struct judgement *judgement, const struct holder *holder)
{
	if (judgement->call == CALL_LISTEN || !holders_same_port(&judgement->claim, holder))
		return;
	if (holder->protocol == PROTOCOL_TCP)
		tcp_holder(judgement, holder);
	else
		udp_holder(judgement, holder);
}

static void illumos_end(struct judgement *judgement, struct verdict *verdict)
{
	const struct rule *ok = judgement->scratch ? &ok_reuseaddr : &ok_free;

	judgement_close(judgement, verdict, judgement->call == CALL_LISTEN ? &ok_listen : ok);
}

/* ---- before ---- */

static bool bind_address_refused(const struct question *question, const struct given *given, struct verdict *verdict)
{
	bool mapped_v6only = given->mapped && (question->options & OPTION_V6ONLY);
	enum locality locality = given_locality(question, given);
	bool group = (locality == LOCALITY_MULTICAST || locality == LOCALITY_BROADCAST) && !given->mapped;

	if (mapped_v6only || !(given_is_own(question, given) || (group && question->protocol == PROTOCOL_UDP)))
		return verdict_final(verdict, EADDRNOTAVAIL, &bind_foreign);
	return false;
}

/* extra_priv_ports: NFS and its lock manager. */
static bool is_privileged(uint16_t port)
{
	return port && (port < 1024 || port == 2049 || port == 4045);
}

/* XPG4.2 callers apart, the family of an AF_INET socket's address is not looked at. */
static struct given overwritten(const struct question *question, struct sockaddr_storage *to, uint32_t *to_length)
{
	struct question copy = *question;
	const sa_family_t family = AF_INET;

	memcpy(to, question->address, question->length);
	memcpy(to, &family, sizeof family);
	*to_length = question->length;
	copy.address = (const uint8_t *)to;
	return given_address(&copy);
}

static bool before_bind(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	uint32_t length = question->domain == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	struct question read = *question;
	struct given given = given_address(question);
	bool used = question->state != STATE_UNBOUND, tcp = question->protocol == PROTOCOL_TCP;

	if (!question->address)
		return false;
	if (used && question->options & OPTION_ENDS) /* SS_CANTSENDMORE, before sockfs asks UDP */
		return verdict_final(verdict, EINVAL, &bind_used);
	if (question->length != length)
		return verdict_final(verdict, given.family != AF_UNSPEC && given.family != question->domain ? EAFNOSUPPORT : EINVAL, &bind_malformed);
	if (given.family != question->domain && question->domain == AF_INET6)
		return verdict_final(verdict, EAFNOSUPPORT, &bind_malformed);
	if (given.family != question->domain) {
		given = overwritten(question, to, to_length);
		read.address = (const uint8_t *)to;
	}
	if (tcp && used)
		return verdict_final(verdict, EINVAL, &bind_used);
	if (bind_address_refused(&read, &given, verdict))
		return true;
	verdict->flags = VERDICT_LOCAL;
	if (is_privileged(given.port) && question->uid)
		return verdict_final(verdict, EACCES, &bind_privileged);
	return used && verdict_final(verdict, EINVAL, &bind_used);
}

static const struct rule connect_malformed = { "connect/malformed-address", "the address is not one of the socket's family, or not whole", NULL, FOR_PEOPLE("proto_verify_ip_addr(), tcp_do_connect(), ip_set_destination_v4()") };
static const struct rule connect_unreachable = { "connect/unreachable", "there is no route to it", NULL, FOR_PEOPLE("proto_verify_ip_addr(), tcp_do_connect(), ip_set_destination_v4()") };
static const struct connect_rules connect_rules = {
	EOPNOTSUPP, EAFNOSUPPORT, EINVAL, EADDRNOTAVAIL, &connect_listening, &connect_used, &connect_malformed, &connect_unreachable,
};

static bool illumos_before(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	switch (question->call) {
	case CALL_BIND:
		return before_bind(question, verdict, to, to_length);
	case CALL_LISTEN:
		return listen_decided(question, &listen_udp, &listen_connected, &ok_listen, verdict);
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

/* Not TCP_EXCLBIND: 0x21 is TCP_FASTOPEN_KEY of Linux. */
#define UDP_EXCLBIND 0x101

static const struct option_row rows[] = {
	{ SOL_SOCKET, SO_REUSEADDR, OPTION_REUSEADDR, 0x4, false },
	{ SOL_SOCKET, SO_REUSEPORT, 0, 0, false },
	{ SOL_SOCKET, FAKEBIND_SO_EXCLUSIVE, OPTION_EXCLUSIVE, 0x1015, false },
	{ SOL_SOCKET, EXCLUSIVE_WINDOWS, OPTION_EXCLUSIVE, 0x1015, false },
	{ SOL_SOCKET_FOREIGN, FAKEBIND_SO_EXCLUSIVE, OPTION_EXCLUSIVE, 0x1015, false },
	{ IPPROTO_UDP, UDP_EXCLBIND, OPTION_EXCLUSIVE, 0x101, false },
	{ IPPROTO_IPV6, IPV6_V6ONLY, OPTION_V6ONLY, 1, false },
	{ -1, 0, 0, 0, false },
};

static const struct rule option_ok = { "ok/option", NULL, NULL, FOR_PEOPLE(OPTIONS) };
static const struct rule option_unknown = { "option/unknown", "there is no such option", NULL, FOR_PEOPLE(OPTIONS) };
static const struct rule option_length = { "option/length", "the length is not that of the value", NULL, FOR_PEOPLE(OPTIONS) };
static const struct option_rules option_rules = { &option_ok, &option_unknown, &option_length, &option_length, false };

static void illumos_option(const struct option_question *question, struct option_answer *answer)
{
	option_by_rows(question, rows, &option_rules, answer);
	if (!answer->passes && !answer->error && question->call == CALL_SETSOCKOPT && question->length != sizeof(int)) {
		answer->error = EINVAL;
		answer->rule = &option_length;
	}
}

/* ---- the family ---- */

/* conn_inherit_parent(): SO_EXCLBIND is not among what a child gets. */
static uint32_t illumos_inherited(const struct profile *profile, uint32_t listener_options)
{
	(void)profile;
	return listener_options & (OPTION_REUSEADDR | OPTION_V6ONLY);
}

/* EVENT_OVER: tcp_clean_death() ends in tcp_do_unbind(). */
static void illumos_event(const struct question *question, enum event event, struct verdict *verdict)
{
	static const struct event_rules rules = {
		ETIMEDOUT, EADDRNOTAVAIL, VERDICT_UNBINDS, &connect_refused, &connect_full, &connect_tuple, &no_port,
	};

	event_by_rules(question, event, &rules, verdict);
}

static uint32_t illumos_asks(const struct profile *profile)
{
	return family_asks(profile) | ASKS_BOUND(PROTOCOL_TCP) | ASKS_BOUND(PROTOCOL_UDP);
}

const struct family family_illumos = {
	.name = "illumos",
	.asks = illumos_asks,
	.bucket = family_bucket,
	.before = illumos_before,
	.holder = illumos_holder,
	.end = illumos_end,
	.option = illumos_option,
	.error = family_error,
	.inherited = illumos_inherited,
	.released = family_released,
	.anchors = family_anchors,
	.fresh = family_fresh,
	.port = ALONE_ONLY(family_port),
	.event = illumos_event,
};

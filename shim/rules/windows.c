/* SPDX-License-Identifier: MIT */
/*
 * Windows (Winsock), and what Cygwin makes of it.
 *
 * From documentation: MicrosoftDocs/win32 desktop-src/WinSock/using-so-reuseaddr-and-so-exclusiveaddruse.md
 * (08f5ed21), sdk-api nf-winsock-bind.md and nf-winsock2-listen.md; and from what Wine's
 * dlls/ws2_32/tests/sock.c test_reuseaddr asserts of the real system.
 *
 * The options count as they were at the bind.  A WSA error is the errno of the same name.
 */
#include "family.h"

#include <errno.h>
#include <fakebind.h>
#include <netinet/in.h>

#define SHARING "MicrosoftDocs/win32 using-so-reuseaddr-and-so-exclusiveaddruse.md, 08f5ed21; Wine ws2_32/tests/sock.c test_reuseaddr"
#define BIND "MicrosoftDocs/sdk-api nf-winsock-bind.md"
#define LISTEN "MicrosoftDocs/sdk-api nf-winsock2-listen.md"
#define CONNECT "MicrosoftDocs/sdk-api nf-winsock2-connect.md"
#define OPTIONS "MicrosoftDocs/win32 sol-socket-socket-options.md, ipproto-ipv6-socket-options.md"

static const struct rule in_use = {
	"conflict/in-use", "it has that very address, and this socket lacks SO_REUSEADDR",
	"both sockets had SO_REUSEADDR", FOR_PEOPLE(SHARING),
};
static const struct rule holder_no_reuseaddr = {
	"conflict/holder-no-reuseaddr", "this socket has SO_REUSEADDR, and that one, of the same address, has not",
	"both sockets had SO_REUSEADDR", FOR_PEOPLE(SHARING),
};
static const struct rule holder_exclusive = {
	"conflict/holder-exclusive", "that socket has SO_EXCLUSIVEADDRUSE",
	"the holder had no SO_EXCLUSIVEADDRUSE", FOR_PEOPLE(SHARING),
};
static const struct rule claim_exclusive = {
	"conflict/exclusive", "this socket wants the wildcard with SO_EXCLUSIVEADDRUSE, and somebody has an address of it",
	"this socket had no SO_EXCLUSIVEADDRUSE", FOR_PEOPLE(SHARING),
};
static const struct rule other_account = {
	"conflict/other-account", "it has the wildcard and belongs to another account",
	"both sockets belonged to the same account, or both had SO_REUSEADDR", FOR_PEOPLE(SHARING),
};
static const struct rule xp_in_use = {
	"conflict/overlap", "the addresses overlap, and this socket lacks SO_REUSEADDR",
	"this socket had SO_REUSEADDR; the holder's own does not matter", FOR_PEOPLE(SHARING),
};
static const struct rule exclusive_child = {
	"conflict/exclusive-children", "a connection of the old listener is still there, and this socket has SO_EXCLUSIVEADDRUSE",
	"the connections were closed first, or this socket had no SO_EXCLUSIVEADDRUSE", FOR_PEOPLE("MicrosoftDocs/win32 so-exclusiveaddruse.md"),
};
static const struct rule no_automatic = { "conflict/taken", "the port is taken, and another one is tried", NULL, FOR_PEOPLE(SHARING) };
static const struct rule ok_free = { "ok/free", "no socket overlaps", NULL, FOR_PEOPLE(SHARING) };
static const struct rule ok_apart = { "ok/wildcard-and-address", "the wildcard and one address share a port without any option", NULL, FOR_PEOPLE(SHARING) };
static const struct rule ok_reuseaddr = { "ok/reuseaddr", "SO_REUSEADDR allows it", NULL, FOR_PEOPLE(SHARING) };
static const struct rule ok_listen = { "ok/listen", "listen() asks nobody", NULL, FOR_PEOPLE("Wine ws2_32/tests/sock.c test_reuseaddr") };
static const struct rule ok_listen_again = { "ok/listen-again", "the socket listens already, and keeps its backlog", NULL, FOR_PEOPLE(LISTEN) };

static const struct rule bind_malformed = {
	"bind/malformed", "there is no address of the socket's family, or it is too short",
	"the address were that of the socket's family", FOR_PEOPLE(BIND),
};
static const struct rule bind_used = { "bind/already-bound", "the socket has an address already", "it were a new socket", FOR_PEOPLE(BIND) };
static const struct rule bind_foreign = {
	"bind/foreign-address", "no interface has that address", "the address belonged to an interface", FOR_PEOPLE(BIND),
};
static const struct rule bind_excluded = {
	"bind/excluded-port", "the port is in a range that was reserved (netsh int ipv4 show excludedportrange)", "the port were outside that range",
	FOR_PEOPLE("MicrosoftDocs/sdk-api nf-iphlpapi-createpersistenttcpportreservation.md; the errno as reported, docker/for-win#3171"),
};
static const struct rule listen_udp = { "listen/udp", "a UDP socket cannot listen", NULL, FOR_PEOPLE(LISTEN) };
static const struct rule listen_unbound = { "listen/unbound", "the socket has no address, and listen() does not pick one", "bind() had been called", FOR_PEOPLE(LISTEN) };
static const struct rule listen_connected = { "listen/connected", "the socket is connected", "it were a new socket", FOR_PEOPLE(LISTEN) };
static const struct rule connect_listening = { "connect/listening", "the socket listens", "it were a new socket", FOR_PEOPLE(CONNECT) };
static const struct rule connect_used = { "connect/used", "the socket is connected", "it were a new socket", FOR_PEOPLE(CONNECT) };
static const struct rule connect_any = { "connect/any", "0.0.0.0 and port 0 are nobody's address", "the program named a host, such as 127.0.0.1", FOR_PEOPLE(CONNECT) };
static const struct rule connect_refused = { "connect/refused", "nobody listens there", NULL, FOR_PEOPLE(CONNECT) };
static const struct rule connect_full = { "connect/full", "the listener's queue is full", NULL, FOR_PEOPLE(CONNECT) };
static const struct rule connect_tuple = { "connect/same-connection", "the same connection exists", "another port or peer were chosen", FOR_PEOPLE(CONNECT) };
static const struct rule accept_not_listening = { "accept/not-listening", "the socket does not listen", NULL, FOR_PEOPLE("MicrosoftDocs/sdk-api nf-winsock2-accept.md") };
static const struct rule shutdown_idle = { "shutdown/not-connected", "the socket is not connected", NULL, FOR_PEOPLE("MicrosoftDocs/sdk-api nf-winsock-shutdown.md") };
static const struct rule no_port = { "port/none-left", "all ports of the dynamic range are taken", NULL, FOR_PEOPLE(BIND) };

static bool is(const struct profile *profile, enum trait_index trait, uint32_t word)
{
	return profile->trait[trait] == word;
}

/* ---- the holders ---- */

/* judgement.scratch */
#define STANDS_APART 0x1u
#define SHARES 0x2u

enum sharing { SHARING_DEFAULT, SHARING_REUSE, SHARING_EXCLUSIVE };

/* What the system itself is told: Cygwin sits between (winsup/cygwin/fhandler_socket_inet.cc bind()). */
static enum sharing sharing_of(const struct profile *profile, const struct holder *socket)
{
	bool reuse = socket->options & OPTION_REUSEADDR;
	bool withheld = socket->protocol == PROTOCOL_TCP && is(profile, trait_tcp_sharing, tcp_sharing_withheld);

	if (socket->options & OPTION_EXCLUSIVE || is(profile, trait_exclusive_default, exclusive_default_always))
		return SHARING_EXCLUSIVE;
	if (reuse)
		return withheld ? SHARING_DEFAULT : SHARING_REUSE;
	return is(profile, trait_exclusive_default, exclusive_default_unless_reuseaddr) ? SHARING_EXCLUSIVE : SHARING_DEFAULT;
}

/* A dual-stack wildcard stands over 0.0.0.0 as that does over one address. */
static int width(const struct holder *socket)
{
	return holder_is_dual(socket) ? 2 : holder_is_wild(socket);
}

/* It claims its IPv4 side only if it is exclusive: [::] beside 0.0.0.0 is fine otherwise. */
static bool meets(const struct profile *profile, const struct holder *a, const struct holder *b)
{
	const struct holder *dual = holder_is_dual(a) ? a : b, *other = dual == a ? b : a;

	if (holder_is_dual(dual) && holder_is_ipv4(other) && sharing_of(profile, dual) != SHARING_EXCLUSIVE)
		return false;
	return holders_overlap(a, b);
}

/* IPv6 wildcards are of one width among each other. */
static int wider(const struct holder *holder, const struct holder *claim)
{
	if (holders_same_address(holder, claim) && holder_is_ipv4(holder) == holder_is_ipv4(claim))
		return 0;
	return width(holder) - width(claim);
}

static bool is_other_account(const struct judgement *judgement, const struct holder *holder)
{
	return judgement->claim.uid != holder->uid;
}

/* The holder has the wildcard, the claim one address of it. */
static void below_wildcard(struct judgement *judgement, const struct holder *holder, enum sharing held, enum sharing wanted)
{
	if (held == SHARING_EXCLUSIVE)
		judgement_refuse(judgement, holder, EACCES, &holder_exclusive);
	else if (is_other_account(judgement, holder) && (held == SHARING_DEFAULT || wanted != SHARING_REUSE))
		judgement_refuse(judgement, holder, EACCES, &other_account);
	else
		judgement->scratch |= STANDS_APART;
}

static void same_address(struct judgement *judgement, const struct holder *holder, enum sharing held, enum sharing wanted)
{
	if (wanted != SHARING_REUSE)
		judgement_refuse(judgement, holder, EADDRINUSE, &in_use);
	else if (held != SHARING_REUSE)
		judgement_refuse(judgement, holder, EACCES, held == SHARING_EXCLUSIVE ? &holder_exclusive : &holder_no_reuseaddr);
	else
		judgement->scratch |= SHARES;
}

static void server2003(struct judgement *judgement, const struct holder *holder, enum sharing held, enum sharing wanted)
{
	int above = wider(holder, &judgement->claim);

	if (above == 0)
		same_address(judgement, holder, held, wanted);
	else if (above > 0)
		below_wildcard(judgement, holder, held, wanted);
	else if (wanted == SHARING_EXCLUSIVE)
		judgement_refuse(judgement, holder, EADDRINUSE, &claim_exclusive);
	else
		judgement->scratch |= STANDS_APART;
}

static void xp(struct judgement *judgement, const struct holder *holder, enum sharing held, enum sharing wanted)
{
	if (wanted != SHARING_REUSE)
		judgement_refuse(judgement, holder, EADDRINUSE, &xp_in_use);
	else if (held == SHARING_EXCLUSIVE)
		judgement_refuse(judgement, holder, EACCES, &holder_exclusive);
	else
		judgement->scratch |= SHARES;
}

static void child(struct judgement *judgement, const struct holder *holder, enum sharing wanted)
{
	if (is(judgement->profile, trait_exclusive_children, exclusive_children_block) && wanted == SHARING_EXCLUSIVE)
		judgement_refuse(judgement, holder, EADDRINUSE, &exclusive_child);
}

static void windows_holder(struct judgement *judgement, const struct holder *holder)
{
	const struct profile *profile = judgement->profile;
	enum sharing held = sharing_of(profile, holder), wanted = sharing_of(profile, &judgement->claim);

	/* TIME_WAIT never keeps anybody out. */
	if (judgement->call == CALL_LISTEN || holder->state == STATE_TIME_WAIT || !holders_same_port(&judgement->claim, holder))
		return;
	if (judgement->automatic)
		judgement_refuse(judgement, holder, EADDRINUSE, &no_automatic);
	else if (!meets(profile, &judgement->claim, holder))
		return;
	else if (holder->options & OPTION_CHILD)
		child(judgement, holder, wanted);
	else if (is(profile, trait_winsock, winsock_xp))
		xp(judgement, holder, held, wanted);
	else
		server2003(judgement, holder, held, wanted);
}

static void windows_end(struct judgement *judgement, struct verdict *verdict)
{
	const struct rule *ok = judgement->scratch & SHARES ? &ok_reuseaddr : judgement->scratch ? &ok_apart : &ok_free;

	judgement_close(judgement, verdict, judgement->call == CALL_LISTEN ? &ok_listen : ok);
}

/* ---- before ---- */

static bool is_excluded(const struct profile *profile, uint16_t port)
{
	return port && port >= profile->trait[trait_excluded_first] && port <= profile->trait[trait_excluded_last];
}

/* The mutual order of EINVAL, EADDRNOTAVAIL and EACCES is not documented. */
static bool before_bind(const struct question *question, struct verdict *verdict)
{
	struct given given = given_address(question);
	enum locality locality;

	if (!given.whole || given.family != question->domain)
		return verdict_final(verdict, EFAULT, &bind_malformed);
	if (question->state != STATE_UNBOUND)
		return verdict_final(verdict, EINVAL, &bind_used);
	locality = given_locality(question, &given);
	if (locality == LOCALITY_BROADCAST || locality == LOCALITY_MULTICAST)
		return question->protocol == PROTOCOL_TCP && verdict_final(verdict, EADDRNOTAVAIL, &bind_foreign);
	if (!given_is_own(question, &given) || (given.mapped && question->options & OPTION_V6ONLY))
		return verdict_final(verdict, EADDRNOTAVAIL, &bind_foreign);
	verdict->flags = VERDICT_LOCAL;
	return is_excluded(question->profile, given.port) && verdict_final(verdict, EACCES, &bind_excluded);
}

static bool before_listen(const struct question *question, struct verdict *verdict)
{
	if (question->protocol == PROTOCOL_UDP)
		return verdict_final(verdict, EOPNOTSUPP, &listen_udp);
	switch (question->state) {
	case STATE_CONNECTED:
		return verdict_final(verdict, EISCONN, &listen_connected);
	case STATE_LISTENING:
		return verdict_final(verdict, 0, &ok_listen_again);
	case STATE_UNBOUND:
		return is(question->profile, trait_unbound_listen, unbound_listen_refused) &&
			verdict_final(verdict, EINVAL, &listen_unbound);
	default:
		return false;
	}
}

static const struct rule connect_malformed = { "connect/malformed-address", "the address is not one of the socket's family, or not whole", NULL, FOR_PEOPLE(CONNECT) };
static const struct rule connect_unreachable = { "connect/unreachable", "there is no route to it", NULL, FOR_PEOPLE(CONNECT) };
static const struct connect_rules connect_rules = {
	EINVAL, EAFNOSUPPORT, EFAULT, ENETUNREACH, &connect_listening, &connect_used, &connect_malformed, &connect_unreachable,
};

static bool before_connect(const struct question *question, struct verdict *verdict)
{
	struct given given = given_address(question);

	if (connect_denied(question, &given, &connect_rules, verdict))
		return true;
	return question->protocol == PROTOCOL_TCP && given.whole && (!given.port || given_is_any(question, &given)) &&
		verdict_final(verdict, EADDRNOTAVAIL, &connect_any);
}

static bool windows_before(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	(void)to;
	(void)to_length;
	switch (question->call) {
	case CALL_BIND:
		return before_bind(question, verdict);
	case CALL_LISTEN:
		return before_listen(question, verdict);
	case CALL_CONNECT:
		return before_connect(question, verdict);
	case CALL_ACCEPT:
		return accept_refused(question, &accept_not_listening, verdict);
	case CALL_SHUTDOWN:
		return shutdown_refused(question, &shutdown_idle, verdict);
	default:
		return false;
	}
}

/* ---- options ---- */

static const struct option_row rows[] = {
	{ IPPROTO_IPV6, IPV6_V6ONLY, 0, 0, false }, /* XP alone, which has two separate stacks */
	{ SOL_SOCKET, SO_REUSEADDR, OPTION_REUSEADDR, 1, false },
	{ SOL_SOCKET, SO_REUSEPORT, 0, 0, false },
	{ SOL_SOCKET, FAKEBIND_SO_EXCLUSIVE, OPTION_EXCLUSIVE, 1, false },
	{ SOL_SOCKET, EXCLUSIVE_WINDOWS, OPTION_EXCLUSIVE, 1, false },
	{ SOL_SOCKET_FOREIGN, FAKEBIND_SO_EXCLUSIVE, OPTION_EXCLUSIVE, 1, false },
	{ SOL_SOCKET_FOREIGN, EXCLUSIVE_WINDOWS, OPTION_EXCLUSIVE, 1, false },
	{ IPPROTO_IPV6, IPV6_V6ONLY, OPTION_V6ONLY, 1, true },
	{ -1, 0, 0, 0, false },
};

static const struct rule option_ok = { "ok/option", NULL, NULL, FOR_PEOPLE(OPTIONS) };
static const struct rule option_unknown = { "option/unknown", "there is no such option", NULL, FOR_PEOPLE(OPTIONS) };
static const struct rule option_length = { "option/length", "the length is not that of the value", NULL, FOR_PEOPLE(OPTIONS) };
static const struct rule option_late = { "option/late", "it cannot be changed after the bind", "it had been set before", FOR_PEOPLE(OPTIONS) };
static const struct rule option_both = {
	"option/reuse-and-exclusive", "SO_REUSEADDR and SO_EXCLUSIVEADDRUSE exclude each other",
	"the other option were turned off first", FOR_PEOPLE("Wine ws2_32/tests/sock.c test_reuseaddr"),
};
static const struct option_rules option_rules = { &option_ok, &option_unknown, &option_length, &option_late, true };

static void windows_option(const struct option_question *question, struct option_answer *answer)
{
	const uint32_t both = OPTION_REUSEADDR | OPTION_EXCLUSIVE;

	option_by_rows(question, is(question->profile, trait_winsock, winsock_xp) ? rows : rows + 1, &option_rules, answer);
	if (answer->passes || answer->error || question->call != CALL_SETSOCKOPT)
		return;
	if ((OPTIONS_SHOWN(answer->options) & both) == both) {
		answer->error = EINVAL;
		answer->rule = &option_both;
	}
}

/* ---- the family ---- */

static uint32_t windows_inherited(const struct profile *profile, uint32_t listener_options)
{
	(void)profile;
	return listener_options & (OPTION_REUSEADDR | OPTION_EXCLUSIVE | OPTION_V6ONLY);
}

/* Winsock answers a SYN to a full queue with a reset. */
static void windows_event(const struct question *question, enum event event, struct verdict *verdict)
{
	static const struct event_rules rules = { ECONNREFUSED, ENOBUFS, 0, &connect_refused, &connect_full, &connect_tuple, &no_port };

	event_by_rules(question, event, &rules, verdict);
}

const struct family family_windows = {
	.name = "windows",
	.asks = family_asks,
	.bucket = family_bucket,
	.before = windows_before,
	.holder = windows_holder,
	.end = windows_end,
	.option = windows_option,
	.error = family_error,
	.inherited = windows_inherited,
	.released = family_released,
	.anchors = family_anchors,
	.fresh = family_fresh,
	.source = ALONE_ONLY(family_source),
	.port = ALONE_ONLY(family_port),
	.event = windows_event,
};

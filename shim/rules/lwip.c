/* SPDX-License-Identifier: MIT */
/*
 * lwIP 2.1.3 to 2.2.1: src/core/tcp.c, udp.c, src/api/sockets.c, api_msg.c, err.c.
 *
 * No address is ever compared with the interfaces, no port is privileged, and an address can be bound anew.
 * Both sockets need SO_REUSEADDR, as it is now; of two listeners with the same address the second is
 * refused by listen().  Without SO_REUSE in the build there is no such option.
 */
#include "family.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#define TCP "lwIP src/core/tcp.c tcp_bind(), 2.1.3 to 2.2.1"
#define TCP_LISTEN "lwIP src/core/tcp.c tcp_listen_with_backlog_and_err(), 2.1.3 to 2.2.1"
#define UDP "lwIP src/core/udp.c udp_bind(), 2.1.3 to 2.2.1"
#define SOCKETS "lwIP src/api/sockets.c, 2.1.3 to 2.2.1"
#define NETCONN "lwIP src/api/api_msg.c, 2.1.3 to 2.2.1"

static const struct rule claim_no_reuseaddr = {
	"conflict/no-reuseaddr", "the addresses overlap, and this socket lacks SO_REUSEADDR",
	"both sockets had SO_REUSEADDR", FOR_PEOPLE(TCP "; " UDP),
};
static const struct rule holder_no_reuseaddr = {
	"conflict/holder-no-reuseaddr", "the addresses overlap, and that socket lacks SO_REUSEADDR",
	"the holder had SO_REUSEADDR too", FOR_PEOPLE(TCP "; " UDP),
};
static const struct rule not_built = {
	"conflict/overlap", "the addresses overlap, and lwIP was built without SO_REUSE",
	"lwIP were built with SO_REUSE", FOR_PEOPLE(TCP "; " UDP),
};
static const struct rule time_wait = {
	"conflict/time-wait", "this socket lacks SO_REUSEADDR", "this socket had SO_REUSEADDR; the old one's does not matter", FOR_PEOPLE(TCP),
};
static const struct rule bind_itself = {
	"conflict/itself", "the socket has that very address already, and bind() does not leave it out",
	"it had SO_REUSEADDR", FOR_PEOPLE(TCP),
};
static const struct rule listen_same_address = {
	"listen/same-address", "it listens on the very same address", "the addresses differed, if only by 0.0.0.0", FOR_PEOPLE(TCP_LISTEN),
};
static const struct rule any_taken = { "conflict/taken", "somebody has that port, and the next one is tried", NULL, FOR_PEOPLE(TCP "; " UDP) };
static const struct rule ok_free = { "ok/free", "no socket overlaps", NULL, FOR_PEOPLE(TCP "; " UDP) };
static const struct rule ok_reuseaddr = { "ok/reuseaddr", "every overlapping socket has SO_REUSEADDR", NULL, FOR_PEOPLE(TCP "; " UDP) };
static const struct rule ok_listen = { "ok/listen", "nobody listens on the very same address", NULL, FOR_PEOPLE(TCP_LISTEN) };
static const struct rule ok_listen_again = { "ok/listen-again", "only the backlog changes", NULL, FOR_PEOPLE(NETCONN) };
static const struct rule ok_listen_unbound = {
	"ok/listen-unbound", "the socket listens on port 0, where nobody finds it", "bind() had been called", FOR_PEOPLE(NETCONN " lwip_netconn_do_listen()"),
};
static const struct rule ok_shutdown = { "ok/shutdown", "the socket is closed, but for its descriptor", NULL, FOR_PEOPLE(NETCONN " lwip_netconn_do_close()") };

static const struct rule ok_shutdown_read = { "ok/shutdown-read", "only a flag is set, connection or not", NULL, FOR_PEOPLE("lwIP src/core/tcp.c tcp_shutdown()") };

static const struct rule ok_dropped = { "ok/dropped", "it is sent, and dropped on arrival: the address is not the loopback interface's own", NULL, FOR_PEOPLE("lwIP src/core/ipv4/ip4.c ip4_input()") };

static const struct rule bind_family = {
	"bind/family", "the address is not of the socket's family", "it were", FOR_PEOPLE(SOCKETS " lwip_bind()"),
};
static const struct rule bind_length = {
	"bind/length", "the length is that of no address", "the length were that of the family's structure", FOR_PEOPLE(SOCKETS " lwip_bind()"),
};
static const struct rule bind_state = {
	"bind/wrong-state", "the socket listens, is connected or was shut down", "it were a new socket", FOR_PEOPLE(TCP),
};
static const struct rule listen_udp = { "listen/udp", "a UDP socket cannot listen", NULL, FOR_PEOPLE(SOCKETS " lwip_listen()") };
static const struct rule listen_connected = { "listen/connected", "the socket is connected", "it were a new socket", FOR_PEOPLE(NETCONN " lwip_netconn_do_listen()") };
static const struct rule socket_gone = {
	"socket/gone", "the connection's memory was given back, and the socket is good for nothing", "it were a new socket", FOR_PEOPLE(NETCONN),
};
static const struct rule connect_address = {
	"connect/malformed", "the address is not of the socket's family, or its length is that of none", "it were", FOR_PEOPLE(SOCKETS " lwip_connect()"),
};
static const struct rule connect_unreachable = { "connect/unreachable", "no interface leads there", NULL, FOR_PEOPLE("lwIP src/core/tcp.c tcp_connect()") };
static const struct rule connect_used = { "connect/used", "the socket listens or is connected", "it were a new socket", FOR_PEOPLE(NETCONN " lwip_netconn_do_connect()") };
static const struct rule connect_reset = { "connect/reset", "nobody listens there, and the answer is a reset", NULL, FOR_PEOPLE("lwIP src/core/tcp_in.c tcp_input(), src/api/err.c") };
static const struct rule connect_unanswered = {
	"connect/unanswered", "the listener's queue is full, the peer is the socket itself, or an address is not the loopback interface's own", NULL,
	FOR_PEOPLE("lwIP src/core/tcp_in.c tcp_listen_input(), tcp_process(); src/core/ipv4/ip4.c ip4_input()"),
};
static const struct rule connect_tuple = {
	"connect/same-connection", "the same connection exists, and this socket has SO_REUSEADDR", "another port or peer were chosen",
	FOR_PEOPLE("lwIP src/core/tcp.c tcp_connect()"),
};
static const struct rule accept_not_listening = { "accept/not-listening", "the socket does not listen", NULL, FOR_PEOPLE(SOCKETS " lwip_accept()") };
static const struct rule shutdown_half = {
	"shutdown/not-connected", "only a connection has two directions", NULL, FOR_PEOPLE("lwIP src/core/tcp.c tcp_shutdown()"),
};
static const struct rule no_port = { "port/none-left", "all ports from 49152 on are taken", NULL, FOR_PEOPLE("lwIP src/core/tcp.c tcp_new_port(), udp.c udp_new_port()") };

/* The family's own option: `::' was bound as IPv6 alone, and listen() will make it of both families (lwip_netconn_do_listen()). */
#define LISTENS_DUAL 0x80000000u

static bool has_reuse(const struct profile *profile)
{
	return profile->trait[trait_so_reuse] == so_reuse_on;
}

/* ---- the holders ---- */

static bool is_dual(const struct holder *holder)
{
	bool listens_dual = holder->state == STATE_LISTENING && holder->options & LISTENS_DUAL && address_is_any(holder);

	return listens_dual || holder_is_dual(holder);
}

/* TCP asks whether one is IPv6 and the other not, and `::' of both families is not IPv6 then; UDP takes it for both. */
static bool classes_meet(const struct holder *a, const struct holder *b)
{
	bool a6 = !holder_is_ipv4(a) && !is_dual(a), b6 = !holder_is_ipv4(b) && !is_dual(b);

	return a->protocol == PROTOCOL_UDP ? holders_same_family(a, b) : a6 == b6;
}

/* listen() compares the kind of wildcard, too. */
static bool identical(const struct holder *a, const struct holder *b)
{
	return holders_same_address(a, b) && is_dual(a) == is_dual(b) && holder_is_ipv4(a) == holder_is_ipv4(b);
}

static const struct rule *objection(const struct judgement *judgement, const struct holder *holder)
{
	uint32_t wants = judgement->claim.options & OPTION_REUSEADDR, has = holder->options & OPTION_REUSEADDR;

	if (!has_reuse(judgement->profile))
		return &not_built;
	if (holder->state == STATE_TIME_WAIT)
		return wants ? NULL : &time_wait;
	return !wants ? &claim_no_reuseaddr : !has ? &holder_no_reuseaddr : NULL;
}

static void judge_bind(struct judgement *judgement, const struct holder *holder)
{
	const struct rule *rule;

	if (!classes_meet(&judgement->claim, holder) || !holders_addresses_meet(&judgement->claim, holder))
		return;
	rule = objection(judgement, holder);
	if (rule)
		judgement_refuse(judgement, holder, EADDRINUSE, rule);
	else
		judgement->scratch = true;
}

static void judge_listen(struct judgement *judgement, const struct holder *holder)
{
	bool checked = has_reuse(judgement->profile) && (judgement->claim.options & OPTION_REUSEADDR);
	struct holder claim = judgement->claim;

	claim.state = STATE_LISTENING;
	if (checked && holder->state == STATE_LISTENING && identical(&claim, holder))
		judgement_refuse(judgement, holder, EADDRINUSE, &listen_same_address);
}

static void lwip_holder(struct judgement *judgement, const struct holder *holder)
{
	if (!holders_same_port(&judgement->claim, holder))
		return;
	if (judgement->automatic)
		judgement_refuse(judgement, holder, EADDRINUSE, &any_taken);
	else if (judgement->call == CALL_LISTEN)
		judge_listen(judgement, holder);
	else
		judge_bind(judgement, holder);
}

static void lwip_end(struct judgement *judgement, struct verdict *verdict)
{
	const struct rule *ok = judgement->scratch ? &ok_reuseaddr : &ok_free;

	judgement_close(judgement, verdict, judgement->call == CALL_LISTEN ? &ok_listen : ok);
}

/* ---- before ---- */

/* The length may be that of the other family: what an IPv6 address has beyond it is not ours to read. */
static void padded(const struct question *question, struct sockaddr_storage *to, uint32_t *to_length)
{
	memset(to, 0, sizeof *to);
	memcpy(to, question->address, question->length);
	*to_length = sizeof(struct sockaddr_in6);
}

static bool is_length(uint32_t length)
{
	return length == sizeof(struct sockaddr_in) || length == sizeof(struct sockaddr_in6);
}

static bool same_as_bound(const struct question *question)
{
	struct holder wanted = *question->self;
	struct given given = given_address(question);

	memcpy(wanted.address, question->address + (given.family == AF_INET ? 4 : 8), given.family == AF_INET ? 4 : 16);
	wanted.port = given.port;
	wanted.options = question->options; /* not what its old address made of them on the host */
	return wanted.port == question->self->port && classes_meet(&wanted, question->self) &&
		holders_addresses_meet(&wanted, question->self);
}

/* A second bind() moves the socket; TCP then meets its own old address, because it is still in the list. */
static bool meets_itself(const struct question *question)
{
	bool reuse = has_reuse(question->profile) && (question->options & OPTION_REUSEADDR);

	return question->protocol == PROTOCOL_TCP && question->state == STATE_BOUND && question->self && !reuse &&
		same_as_bound(question);
}

static bool before_bind(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	struct given given = given_address(question);

	if (!question->address)
		return false;
	if (given.family != question->domain)
		return verdict_final(verdict, EINVAL, &bind_family);
	if (!is_length(question->length))
		return verdict_final(verdict, EIO, &bind_length);
	if (question->state == STATE_DEAD)
		return verdict_final(verdict, EINVAL, &socket_gone);
	if (question->protocol == PROTOCOL_TCP && (question->state == STATE_LISTENING || question->state == STATE_CONNECTED))
		return verdict_final(verdict, EINVAL, &bind_state);
	if (!given.whole)
		padded(question, to, to_length);
	else if (meets_itself(question))
		return verdict_final(verdict, EADDRINUSE, &bind_itself);
	return false;
}

static bool listens(struct verdict *verdict)
{
	verdict->flags = VERDICT_LISTENS;
	return verdict_final(verdict, 0, &ok_listen_unbound);
}

static bool before_listen(const struct question *question, struct verdict *verdict)
{
	if (question->options & OPTION_TRIES)
		return verdict_final(verdict, ENOTCONN, &listen_connected);
	if (listen_decided(question, &listen_udp, &listen_connected, &ok_listen_again, verdict))
		return true;
	if (question->state == STATE_DEAD)
		return verdict_final(verdict, ENOTCONN, &socket_gone);
	return question->state == STATE_UNBOUND && IS_ALONE(question) && listens(verdict);
}

static bool malformed(const struct question *question, const struct given *given, struct verdict *verdict)
{
	if (!question->address || given->family == AF_UNSPEC)
		return false;
	if (given->family != question->domain)
		return verdict_final(verdict, EINVAL, &connect_address);
	return !is_length(question->length) && verdict_final(verdict, EIO, &connect_address);
}

static bool is_loopback(const struct holder *holder)
{
	static const uint8_t loopback[4] = { 127, 0, 0, 1 };

	return holder_is_ipv4(holder) ? !memcmp(holder->address + (holder->domain == AF_INET ? 0 : 12), loopback, 4)
				      : !memcmp(holder->address, &in6addr_loopback, 16);
}

/* ip4_input() and ip6_input() drop what is not for the interface's own address, be it the SYN or the answer.  An IPv4 host
 * beyond 127.0.0.0/8 has no route, IPv6 ones have all that of the only interface. */
static bool unanswered(const struct question *question, const struct given *given, struct verdict *verdict)
{
	struct holder to = { .domain = question->domain };
	const struct holder *from = question->self;
	bool ipv4 = question->domain == AF_INET || given->mapped;

	memcpy(to.address, question->address + (question->domain == AF_INET ? 4 : 8), question->domain == AF_INET ? 4 : 16);
	if (ipv4 && given->ipv4[0] != 127)
		return verdict_final(verdict, EHOSTUNREACH, &connect_unreachable);
	if (is_loopback(&to) && (holder_is_wild(from) || (is_loopback(from) && holder_is_ipv4(from) == ipv4)))
		return false;
	verdict->flags = VERDICT_TRIES;
	return false;
}

static bool before_connect(const struct question *question, struct verdict *verdict)
{
	struct given given = given_address(question);

	if (malformed(question, &given, verdict))
		return true;
	verdict->flags = VERDICT_CROSSES;
	if (question->protocol == PROTOCOL_UDP)
		return false;
	if (question->state == STATE_DEAD)
		return verdict_final(verdict, ENOTCONN, &socket_gone);
	if (question->state == STATE_LISTENING || question->state == STATE_CONNECTED)
		return verdict_final(verdict, question->options & OPTION_TRIES ? EALREADY : EISCONN, &connect_used);
	return IS_ALONE(question) && given.whole && unanswered(question, &given, verdict);
}

static bool closes(struct verdict *verdict)
{
	verdict->flags = VERDICT_KILLS;
	return verdict_final(verdict, 0, &ok_shutdown);
}

/* Whatever is no connection is closed by SHUT_RDWR. */
static bool before_shutdown(const struct question *question, struct verdict *verdict)
{
	if (question->protocol == PROTOCOL_UDP)
		return verdict_final(verdict, EOPNOTSUPP, &shutdown_half);
	if (question->state == STATE_DEAD)
		return verdict_final(verdict, ENOTCONN, &socket_gone);
	if (question->state == STATE_CONNECTED)
		return question->options & OPTION_TRIES && verdict_final(verdict, ENOTCONN, &shutdown_half);
	if (question->argument == SHUT_RD && question->state != STATE_LISTENING)
		return verdict_final(verdict, 0, &ok_shutdown_read);
	return question->argument == SHUT_RDWR ? closes(verdict) : verdict_final(verdict, ENOTCONN, &shutdown_half);
}

/* udp_sendto(): a route to the host, and from the interface's own address; ip4_input() drops what is for others. */
static bool before_datagram(const struct question *question, struct verdict *verdict)
{
	const struct given given = given_address(question);
	enum locality locality = given.whole ? given_locality(question, &given) : LOCALITY_OWN;
	bool ipv4 = question->domain == AF_INET || given.mapped;
	bool to_any = question->state != STATE_CONNECTED && given.whole && given_is_any(question, &given);

	if (given.whole && question->self && !holder_is_wild(question->self) && holder_is_ipv4(question->self) != ipv4)
		return verdict_final(verdict, EINVAL, &connect_address);
	if ((ipv4 && (locality == LOCALITY_FOREIGN || to_any)) ||
	    (question->self && !holder_is_wild(question->self) && !is_loopback(question->self)))
		return verdict_final(verdict, EHOSTUNREACH, &connect_unreachable);
	verdict->flags = VERDICT_BINDS;
	return locality == LOCALITY_LOOPBACK && verdict_final(verdict, 0, &ok_dropped);
}

static const struct rule no_such_call = {
	"call/none", "a library has neither users nor descriptors that can be duplicated", NULL, FOR_PEOPLE("lwIP 2.2.1 src/api/sockets.c"),
};

static bool lwip_before(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	switch (question->call) {
	case CALL_BIND:
		return before_bind(question, verdict, to, to_length);
	case CALL_LISTEN:
		return before_listen(question, verdict);
	case CALL_CONNECT:
		return before_connect(question, verdict);
	case CALL_SHUTDOWN:
		return before_shutdown(question, verdict);
	case CALL_ACCEPT:
		return accept_refused(question, &accept_not_listening, verdict);
	case CALL_DUP:
	case CALL_SETEUID:
		return verdict_final(verdict, ENOSYS, &no_such_call);
	case CALL_SEND:
		if (IS_ALONE(question) && question->protocol == PROTOCOL_UDP)
			return before_datagram(question, verdict);
		/* fall through */
	case CALL_RECEIVE:
		return (question->state == STATE_DEAD || question->options & OPTION_TRIES) && verdict_final(verdict, ENOTCONN, &socket_gone);
	default:
		return question->state == STATE_DEAD && verdict_final(verdict, ENOTCONN, &socket_gone);
	}
}

/* ---- options ---- */

static const struct option_row rows[] = {
	{ SOL_SOCKET, SO_REUSEADDR, OPTION_REUSEADDR, 0x4, false },
	{ SOL_SOCKET, SO_REUSEPORT, 0, 0, false },
	{ IPPROTO_IPV6, IPV6_V6ONLY, OPTION_V6ONLY, 1, false },
	{ -1, 0, 0, 0, false },
};

static const struct option_row rows_without_reuse[] = {
	{ SOL_SOCKET, SO_REUSEADDR, 0, 0, false },
	{ SOL_SOCKET, SO_REUSEPORT, 0, 0, false },
	{ IPPROTO_IPV6, IPV6_V6ONLY, OPTION_V6ONLY, 1, false },
	{ -1, 0, 0, 0, false },
};

static const struct rule option_ok = { "ok/option", NULL, NULL, FOR_PEOPLE(SOCKETS " lwip_setsockopt_impl()") };
static const struct rule option_unknown = { "option/unknown", "there is no such option in this build", NULL, FOR_PEOPLE(SOCKETS " lwip_setsockopt_impl()") };
static const struct rule option_length = { "option/length", "the value is too short", NULL, FOR_PEOPLE(SOCKETS " lwip_setsockopt_impl()") };
static const struct option_rules option_rules = { &option_ok, &option_unknown, &option_length, &option_length, false };
/* bind() makes `::' of both families or of one, and nothing later does. */
static const struct option_rules v6only_rules = { &option_ok, &option_unknown, &option_length, &option_length, true };

/* LWIP_SOCKOPT_CHECK_OPTLEN_CONN_PCB(): what is kept with the connection is gone with it. */
static bool is_kept(const struct option_question *question)
{
	bool shows = question->level == IPPROTO_IPV6 && question->call == CALL_GETSOCKOPT;

	return shows || question->protocol == PROTOCOL_UDP || question->state != STATE_DEAD;
}

static void lwip_option(const struct option_question *question, struct option_answer *answer)
{
	const struct option_rules *rules = question->level == IPPROTO_IPV6 ? &v6only_rules : &option_rules;

	option_by_rows(question, has_reuse(question->profile) ? rows : rows_without_reuse, rules, answer);
	if (rules == &v6only_rules && question->call == CALL_SETSOCKOPT && question->state == STATE_BOUND && !answer->error)
		answer->options = (answer->options & ~LISTENS_DUAL) | (OPTIONS_SHOWN(answer->options) & OPTION_V6ONLY ? 0 : LISTENS_DUAL);
	if (answer->passes || answer->error || is_kept(question))
		return;
	answer->error = EINVAL;
	answer->rule = &socket_gone;
}

/* ---- the family ---- */

/* udp_connect() writes the peer alone. */
static uint32_t lwip_asks(const struct profile *profile)
{
	return family_asks(profile) | ASKS_BOUND(PROTOCOL_UDP);
}

/* tcp_listen_input(): so_options & SOF_INHERITED, that is SO_REUSEADDR and SO_KEEPALIVE. */
static uint32_t lwip_inherited(const struct profile *profile, uint32_t listener_options)
{
	(void)profile;
	return listener_options & OPTION_REUSEADDR;
}

/* FIN_WAIT_2 is not TIME_WAIT: it stays in the list of connections, for TCP_FIN_WAIT_TIMEOUT (tcp_priv.h). */
static enum state lwip_released(const struct profile *profile, const struct holder *holder, bool active, uint32_t *milliseconds)
{
	enum state state = family_released(profile, holder, active, milliseconds);

	if (state != STATE_TIME_WAIT || holder->state == STATE_TIME_WAIT)
		return state;
	*milliseconds = 20000;
	return STATE_CONNECTED;
}

/* src/api/err.c: a reset during the handshake is ERR_RST, no route ERR_RTE. */
static int lwip_error(const struct profile *profile, enum call call, int host_errno)
{
	(void)profile;
	if (call != CALL_CONNECT)
		return host_errno;
	return host_errno == ECONNREFUSED ? ECONNRESET : host_errno == ENETUNREACH ? EHOSTUNREACH : host_errno;
}

/* TCP never comes to the last port. */
static uint16_t lwip_port(const struct profile *profile, enum call call, const struct holder *claim, uint32_t start, uint32_t attempt)
{
	uint16_t port = family_port(profile, call, claim, start, attempt);

	return port == 65535 && claim->protocol == PROTOCOL_TCP ? family_port(profile, call, claim, start, attempt + 1) : port;
}

static void lwip_event(const struct question *question, enum event event, struct verdict *verdict)
{
	bool tcp = question->protocol == PROTOCOL_TCP;

	switch (event) {
	case EVENT_REFUSED:
	case EVENT_UNLISTENED:
		verdict_final(verdict, tcp ? ECONNRESET : 0, &connect_reset);
		verdict->flags = tcp ? VERDICT_KILLS : 0;
		break;
	case EVENT_SELF:
	case EVENT_FULL:
		verdict_final(verdict, ETIMEDOUT, &connect_unanswered);
		verdict->flags = VERDICT_TRIES;
		break;
	case EVENT_TUPLE_TAKEN:
	case EVENT_TUPLE_REMNANT:
		if (tcp && has_reuse(question->profile) && question->options & OPTION_REUSEADDR)
			verdict_final(verdict, EADDRINUSE, &connect_tuple);
		break;
	case EVENT_NO_PORT:
		verdict_final(verdict, tcp ? ENOBUFS : EADDRINUSE, &no_port);
		break;
	case EVENT_OVER:
		verdict->flags = VERDICT_KILLS;
		break;
	case EVENT_AGAIN:
		break;
	}
}

const struct family family_lwip = {
	.name = "lwip",
	.asks = lwip_asks,
	.bucket = family_bucket,
	.before = lwip_before,
	.holder = lwip_holder,
	.end = lwip_end,
	.option = lwip_option,
	.error = lwip_error,
	.inherited = lwip_inherited,
	.released = lwip_released,
	.anchors = family_anchors,
	.fresh = family_fresh,
	.port = ALONE_ONLY(lwip_port),
	.event = lwip_event,
};

/* SPDX-License-Identifier: MIT */
/*
 * Linux 1.2.13: one rule for TCP and UDP, which asks for the port and not for the address (net/inet/af_inet.c
 * inet_bind()), no wildcard, no second look in listen(), and the "BSD hack" that ends a TIME_WAIT (net/inet/tcp.c).
 */
#include "linux.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#define BIND "net/inet/af_inet.c inet_bind(), 1.2.13"

static const struct rule socket_family = { "socket/family", "there is no IPv6", NULL, FOR_PEOPLE("net/socket.c sock_socket(), 1.2.13") };
static const struct rule bind_connected = { "bind/connected", "the socket listens or is connected", "it were a new socket", FOR_PEOPLE(BIND) };
static const struct rule bind_bound = { "bind/bound", "the socket has a port already", "it were a new socket", FOR_PEOPLE(BIND) };
static const struct rule bind_privileged = { "bind/privileged", "ports below 1024 are for root", "the port were 1024 or higher", FOR_PEOPLE(BIND) };
static const struct rule address_short = { "address/short", "the length is below that of the address", NULL, FOR_PEOPLE(BIND) };
static const struct rule address_foreign = { "address/foreign", "no interface has that address", "the address belonged to an interface",
	FOR_PEOPLE("net/inet/devinet.c ip_chk_addr(), 1.2.13") };
static const struct rule listen_connected = { "listen/connected", "the socket is connected", NULL, FOR_PEOPLE("net/socket.c sock_listen(), 1.2.13") };
static const struct rule listen_always = { "listen/unchecked", "listen() never looks at others", NULL, FOR_PEOPLE("net/inet/af_inet.c inet_listen(), 1.2.13") };
static const struct rule shutdown_idle = { "shutdown/not-connected", "the socket is not connected", NULL, FOR_PEOPLE("net/inet/af_inet.c inet_shutdown(), 1.2.13") };
static const struct rule name_own = { "name/own-address", "a socket without an address shows the machine's", NULL, FOR_PEOPLE("net/inet/af_inet.c inet_getname(), 1.2.13") };
static const struct rule send_multicast = { "send/no-route", "there is no route to a multicast address", NULL, FOR_PEOPLE("net/inet/route.c ip_rt_route(), 1.2.13") };
static const struct rule join_no_device = { "option/no-device", "the loopback interface takes no multicast", NULL, FOR_PEOPLE("net/inet/ip.c ip_setsockopt(), 1.2.13") };

static const struct rule port_used = { "conflict/port-used", "that socket has the port, and this one lacks SO_REUSEADDR: addresses do not count",
	"this socket had SO_REUSEADDR", FOR_PEOPLE(BIND) };
static const struct rule same_address = { "conflict/same-address", "it has the very same address and lacks SO_REUSEADDR",
	"both sockets had SO_REUSEADDR", FOR_PEOPLE(BIND) };
static const struct rule same_listens = { "conflict/same-address-listens", "it has the very same address and listens",
	"the addresses differed: 0.0.0.0 and 127.0.0.1 do", FOR_PEOPLE(BIND) };
static const struct rule ok_free = { "ok/free", "no socket has the port", NULL, FOR_PEOPLE(BIND) };
static const struct rule ok_reuseaddr = { "ok/reuseaddr", "this socket has SO_REUSEADDR, and no other with the same address objects", NULL, FOR_PEOPLE(BIND) };

/* ---- the arguments ---- */

/* Every broadcast address is refused, and those of no interface. */
static bool is_mine(const struct question *question, const uint8_t *address)
{
	static const uint8_t broadcast[2][4] = { { 255, 255, 255, 255 }, { 127, 255, 255, 255 } };

	if (!memcmp(address, broadcast[0], 4) || !memcmp(address, broadcast[1], 4))
		return false;
	if (!IS_ALONE(question)) /* the host knows the interfaces */
		return true;
	return address[0] == 127 || (address[0] & 0xf0) == 224 || !(address[0] | address[1] | address[2] | address[3]);
}

/* sin_family is not looked at. */
static void read_as_ipv4(const struct question *question, struct sockaddr_storage *to, uint32_t *to_length)
{
	struct sockaddr_in address;

	memcpy(&address, question->address, sizeof address);
	address.sin_family = AF_INET;
	memset(to, 0, sizeof *to);
	memcpy(to, &address, sizeof address);
	*to_length = sizeof address;
}

static bool before_bind(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	uint32_t port;

	if (question->state != STATE_UNBOUND && question->state != STATE_BOUND)
		return linux_answer(verdict, EIO, &bind_connected);
	if (question->length < sizeof(struct sockaddr_in))
		return linux_answer(verdict, EINVAL, &address_short);
	if (question->state == STATE_BOUND)
		return linux_answer(verdict, EINVAL, &bind_bound);
	port = (uint32_t)question->address[2] << 8 | question->address[3];
	if (port && port < 1024 && question->uid)
		return linux_answer(verdict, EACCES, &bind_privileged);
	if (!is_mine(question, question->address + 4))
		return linux_answer(verdict, EADDRNOTAVAIL, &address_foreign);
	read_as_ipv4(question, to, to_length);
	return false;
}

/* A socket that accept() returned without waiting counts as unconnected (net/inet/af_inet.c inet_accept()). */
static bool before_listen(const struct question *question, struct verdict *verdict)
{
	if (question->state == STATE_CONNECTED && question->options & OPTION_CHILD)
		return linux_answer(verdict, 0, &listen_always);
	if (question->state == STATE_CONNECTED)
		return linux_answer(verdict, EINVAL, &listen_connected);
	if (question->state == STATE_UNBOUND)
		return false;
	verdict->flags = VERDICT_LISTENS;
	return linux_answer(verdict, 0, &listen_always);
}

static bool before_name(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	static const uint8_t any[4], loopback[4] = { 127, 0, 0, 1 };

	if (question->length < sizeof(struct sockaddr_in) || memcmp(question->address + 4, any, sizeof any))
		return false;
	read_as_ipv4(question, to, to_length);
	memcpy((uint8_t *)to + 4, loopback, sizeof loopback);
	return linux_answer(verdict, 0, &name_own);
}

static bool before_send(const struct question *question, struct verdict *verdict)
{
	if (question->address && question->length >= sizeof(struct sockaddr_in) && (question->address[4] & 0xf0) == 224)
		return linux_answer(verdict, ENETUNREACH, &send_multicast);
	return false;
}

bool linux_1_2_before(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	switch (question->call) {
	case CALL_SOCKET:
		return question->domain == AF_INET6 && linux_answer(verdict, EINVAL, &socket_family);
	case CALL_BIND:
		return before_bind(question, verdict, to, to_length);
	case CALL_LISTEN:
		return before_listen(question, verdict);
	case CALL_SHUTDOWN:
		return question->state != STATE_CONNECTED && linux_answer(verdict, ENOTCONN, &shutdown_idle);
	case CALL_NAME:
		return before_name(question, verdict, to, to_length);
	case CALL_SEND:
		if (IS_ALONE(question) && before_send(question, verdict))
			return true;
		/* fall through */
	default:
		return IS_ALONE(question) && linux_before_alone(question, verdict, to, to_length);
	}
}

void linux_1_2_option_alone(const struct option_question *question, struct option_answer *answer)
{
	if (question->level == IPPROTO_IP && question->name == IP_ADD_MEMBERSHIP)
		linux_option_error(answer, ENODEV, &join_no_device);
	else
		linux_option_alone(question, answer);
}

/* ---- conflicts ---- */

static const struct rule *objection(const struct holder *claim, const struct holder *holder)
{
	if (!has(claim, OPTION_REUSEADDR))
		return &port_used;
	if (memcmp(claim->address, holder->address, 4))
		return NULL;
	if (!has(holder, OPTION_REUSEADDR))
		return &same_address;
	return holder->state == STATE_LISTENING ? &same_listens : NULL;
}

/* Whom to name of several: a listener, and of equals the latest. */
void linux_1_2_holder(struct judgement *judgement, const struct holder *holder)
{
	const struct rule *rule = objection(&judgement->claim, holder);
	uint64_t rank = (uint64_t)(holder->state == STATE_LISTENING) << 63 | holder->order;

	judgement->refused |= judgement->automatic;
	if (!rule || judgement->call == CALL_LISTEN || (judgement->refused && rank <= judgement->decider))
		return;
	judgement->refused = true;
	judgement->decider = rank;
	judgement->rule = rule;
	judgement->blame = *holder;
}

/* A refused bind has stored the address before it looked for the port. */
void linux_1_2_end(const struct judgement *judgement, struct verdict *verdict)
{
	verdict->rule = judgement->scratch ? &ok_reuseaddr : &ok_free;
	if (judgement->call == CALL_LISTEN)
		verdict->rule = &listen_always;
	if (!judgement->refused)
		return;
	verdict->error = EADDRINUSE;
	verdict->flags = VERDICT_NAMES;
	verdict->rule = judgement->rule ? judgement->rule : &port_used;
	verdict->blamed = judgement->rule != NULL;
	verdict->holder = judgement->blame;
}

/* ---- the BSD hack: tcp_rcv() ---- */

enum linux_1_2_fate linux_1_2_time_wait(const struct linux_1_2_segment *segment, uint32_t *first_sequence)
{
	bool newer = (int32_t)(segment->sequence - segment->received) > 0;

	if (!segment->closed || !segment->syn || segment->rst || !newer)
		return FATE_CHECKED;
	if (!segment->listens)
		return FATE_DROPPED;
	*first_sequence = segment->written + 128000;
	return FATE_REBORN;
}

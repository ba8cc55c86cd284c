/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "diag.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "ask.h"
#include "raw.h"

#ifndef INET_DIAG_SKV6ONLY
#define INET_DIAG_SKV6ONLY 11
#endif
#define DIAG_BOUND_INACTIVE 13 /* TCP_BOUND_INACTIVE, include/net/tcp_states.h, Linux >= 6.8 */
#define STATE_BIT(state) (1u << (state))

struct request {
	struct nlmsghdr header;
	struct inet_diag_req_v2 body;
	struct rtattr attribute;
	struct inet_diag_bc_op code[4]; /* two comparisons of an op and its operand */
};

/* "local port >= port and local port <= port".  The bound-only part of a dump ignores id.idiag_sport and
 * would send every bound socket of the machine. */
static void port_filter(struct request *request, uint16_t port)
{
	const unsigned op = sizeof(struct inet_diag_bc_op);
	struct inet_diag_bc_op *code = request->code;
	code[0] = (struct inet_diag_bc_op){ INET_DIAG_BC_S_GE, 2 * op, 4 * op + 4 };
	code[1] = (struct inet_diag_bc_op){ 0, 0, port };
	code[2] = (struct inet_diag_bc_op){ INET_DIAG_BC_S_LE, 2 * op, 2 * op + 4 };
	code[3] = (struct inet_diag_bc_op){ 0, 0, port ? port : UINT16_MAX };
	request->attribute = (struct rtattr){ RTA_LENGTH(4 * op), INET_DIAG_REQ_BYTECODE };
}

static uint32_t states_of(enum protocol protocol, enum diag_what what)
{
	if (what == DIAG_LISTENING)
		return STATE_BIT(TCP_LISTEN);
	if (protocol == PROTOCOL_UDP)
		return ~0u;
	/* Half-open requests (SYN_RECV) own nothing. */
	return (STATE_BIT(DIAG_BOUND_INACTIVE + 1) - 1) & ~STATE_BIT(TCP_SYN_RECV) & ~STATE_BIT(12);
}

static uint8_t state_of(const struct inet_diag_msg *message)
{
	switch (message->idiag_state) {
	case TCP_LISTEN:
		return STATE_LISTENING;
	case TCP_CLOSE:
	case DIAG_BOUND_INACTIVE:
		return STATE_BOUND;
	case TCP_TIME_WAIT:
		return STATE_TIME_WAIT;
	case TCP_FIN_WAIT2: /* without a descriptor it is a TIME_WAIT mini-socket (tcp_time_wait(), 2.6 and later) */
		return message->idiag_inode == 0 && message->idiag_timer == 3 ? STATE_TIME_WAIT : STATE_CONNECTED;
	default:
		return STATE_CONNECTED;
	}
}

static bool v6only_of(const struct inet_diag_msg *message, uint32_t room)
{
	const struct rtattr *attribute = (const void *)(message + 1);
	for (; RTA_OK(attribute, room); attribute = RTA_NEXT(attribute, room))
		if (attribute->rta_type == INET_DIAG_SKV6ONLY)
			return *(const uint8_t *)RTA_DATA(attribute) != 0;
	return false;
}

static void read_message(enum protocol protocol, const struct nlmsghdr *header, struct diag_socket *to)
{
	const struct inet_diag_msg *message = NLMSG_DATA(header);
	memset(to, 0, sizeof *to);
	to->holder.domain = message->idiag_family;
	to->holder.protocol = (uint8_t)protocol;
	to->holder.port = ntohs(message->id.idiag_sport);
	memcpy(to->holder.address, message->id.idiag_src, to->holder.domain == AF_INET ? 4 : 16);
	to->peer = (struct holder){ .domain = to->holder.domain, .port = ntohs(message->id.idiag_dport) };
	memcpy(to->peer.address, message->id.idiag_dst, to->peer.domain == AF_INET ? 4 : 16);
	to->holder.cookie = message->id.idiag_cookie[0] | (uint64_t)message->id.idiag_cookie[1] << 32;
	to->holder.ifindex = message->id.idiag_if;
	to->holder.uid = message->idiag_uid;
	to->holder.state = state_of(message);
	to->half_closed = to->holder.state == STATE_TIME_WAIT && message->idiag_state == TCP_FIN_WAIT2;
	to->closing = message->idiag_inode == 0 && to->holder.state == STATE_CONNECTED &&
		      STATE_BIT(message->idiag_state) & (STATE_BIT(TCP_FIN_WAIT1) | STATE_BIT(TCP_FIN_WAIT2) | STATE_BIT(TCP_CLOSING));
	if (to->holder.state == STATE_CONNECTED && message->idiag_state > TCP_SYN_RECV)
		to->holder.options = OPTION_ENDS;
	to->holder.fd = -1;
	to->inode = message->idiag_inode;
	to->timer_ms = message->idiag_timer ? message->idiag_expires : 0;
	if (to->holder.domain == AF_INET6 && v6only_of(message, NLMSG_PAYLOAD(header, sizeof *message)))
		to->holder.options |= OPTION_V6ONLY;
}

static int ask(long netlink, enum protocol protocol, uint8_t family, uint16_t port, enum diag_what what)
{
	struct request request = {
		.header = { sizeof request, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, 1, 0 },
		.body = { .sdiag_family = family,
			  .sdiag_protocol = protocol == PROTOCOL_TCP ? IPPROTO_TCP : IPPROTO_UDP,
			  .idiag_states = states_of(protocol, what) },
	};
	request.body.id.idiag_sport = htons(port);
	port_filter(&request, port);
	long sent = raw_call(SYS_sendto, netlink, (long)&request, sizeof request);
	return sent < 0 ? (int)sent : 0;
}

/* One dump's answers.  1: `each` wants no more; 0: complete; else -errno. */
static int receive(long netlink, enum protocol protocol, uint16_t port, bool (*each)(void *, const struct diag_socket *), void *context)
{
	_Alignas(8) char buffer[8192];
	for (;;) {
		long n = raw_call(SYS_recvfrom, netlink, (long)buffer, sizeof buffer);
		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
		unsigned left = (unsigned)n;
		for (const struct nlmsghdr *header = (const void *)buffer; NLMSG_OK(header, left); header = NLMSG_NEXT(header, left)) {
			struct diag_socket found;
			if (header->nlmsg_type == NLMSG_DONE)
				return 0;
			if (header->nlmsg_type == NLMSG_ERROR)
				return ((const struct nlmsgerr *)NLMSG_DATA(header))->error ?: -EIO;
			if (header->nlmsg_flags & NLM_F_DUMP_INTR)
				return -EINTR;
			read_message(protocol, header, &found);
			if ((port == 0 || found.holder.port == port) && !each(context, &found))
				return 1;
		}
	}
}

int diag_dump(enum protocol protocol, uint16_t port, enum diag_what what, bool (*each)(void *, const struct diag_socket *), void *context)
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };
	int result = 0;
	for (size_t i = 0; result == 0 && i < sizeof families; i++) {
		/* A socket for each: an abandoned dump must not leave answers for the next. */
		long netlink = ask_socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);
		if (netlink < 0)
			return (int)netlink;
		result = ask(netlink, protocol, families[i], port, what);
		if (result == 0)
			result = receive(netlink, protocol, port, each, context);
		raw_call(SYS_close, netlink);
		if (result == -ENOENT) /* a kernel without IPv6 (or its inet_diag) has nobody there */
			result = 0;
	}
	return result > 0 ? 0 : result;
}

bool diag_complete(void)
{
	static int known; /* 0: not asked, 1: no, 2: yes */
	struct utsname name;
	if (!known) {
		int major = 0, minor = 0;
		const char *at = uname(&name) == 0 ? name.release : "";
		for (; *at >= '0' && *at <= '9'; at++)
			major = major * 10 + *at - '0';
		for (at += *at == '.'; *at >= '0' && *at <= '9'; at++)
			minor = minor * 10 + *at - '0';
		known = major > 6 || (major == 6 && minor >= 8) ? 2 : 1;
	}
	return known == 2;
}

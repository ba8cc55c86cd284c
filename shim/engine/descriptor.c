/* SPDX-License-Identifier: MIT */
/* Descriptors come and go.  No call here may fail, wait or cost anything for what is not a socket of ours. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <linux/close_range.h>
#include <sched.h>

#include "../host/real.h"
#include "claim.h"
#include "log.h"
#include "session.h"
#include "unseen.h"

int engine_socket(int domain, int type, int protocol)
{
	if (!session.profile)
		return real.socket(domain, type, protocol);
	if (session.asks & ASKS_SOCKET && (domain == AF_INET || domain == AF_INET6)) {
		struct sockaddr_storage unused;
		uint32_t unused_length;
		struct decision d = { .call = CALL_SOCKET, .fd = -1 };
		d.claim.domain = (uint8_t)domain;
		d.claim.protocol = socket_protocol(type, protocol) == IPPROTO_UDP ? PROTOCOL_UDP : PROTOCOL_TCP;
		struct question question = claim_question(&d);
		question.argument = type;
		if (claim_before(&d, &question, &unused, &unused_length) && d.verdict.error)
			return refuse(&d);
	}
	int fd = real.socket(domain, type, protocol);
	slot_socket(fd, domain, socket_protocol(type, protocol));
	return fd;
}

/* Before the host closes it: the port to look at afterwards, 0 for none. */
static uint16_t closing(int fd)
{
	return session.remembers && slot_used(slot_of(fd)) ? unseen_closing(fd) : 0;
}

int engine_close(int fd)
{
	uint16_t port = closing(fd);
	slot_drop(fd);
	int result = real.close(fd);
	if (port)
		unseen_remember(PROTOCOL_TCP, port);
	return session.profile ? claim_host_answer(CALL_CLOSE, result) : result;
}

int engine_close_range(unsigned first, unsigned last, int flags)
{
	if (session.profile && !((unsigned)flags & ~CLOSE_RANGE_UNSHARE))
		slot_drop_range(first, last);
	return real.close_range(first, last, flags);
}

void engine_closefrom(int first)
{
	if (session.profile)
		slot_drop_range(first < 0 ? 0 : (unsigned)first, ~0u);
	real.closefrom(first);
}

void engine_duplicated(int fd, int made)
{
	int saved = errno;
	if (made >= 0 && session.profile) {
		slot_copy(fd, made);
		if (session.log)
			log_duplicated(fd, made);
		if (made == 2)
			session_stderr();
	}
	errno = saved;
}

int engine_unshare(int flags)
{
	if (session.profile && flags & CLONE_NEWNET)
		slots_moved();
	return real.unshare(flags);
}

int engine_setns(int fd, int type)
{
	if (session.profile)
		slots_moved();
	return real.setns(fd, type);
}

int engine_dup(int fd)
{
	int made = real.dup(fd);
	engine_duplicated(fd, made);
	return made;
}

int engine_dup2(int fd, int onto)
{
	if (fd != onto)
		closing(onto);
	int made = real.dup2(fd, onto);
	engine_duplicated(fd, made);
	return made;
}

int engine_dup3(int fd, int onto, int flags)
{
	if (fd != onto)
		closing(onto);
	int made = real.dup3(fd, onto, flags);
	engine_duplicated(fd, made);
	return made;
}

/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "claim.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "../host/ask.h"
#include "session.h"

#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif

bool claim_copy(const struct sockaddr *from, socklen_t length, struct sockaddr_storage *to)
{
	if (length < sizeof from->sa_family || length > sizeof *to || !ask_readable(from, length))
		return false;
	memcpy(to, from, length);
	return true;
}

uint32_t claim_bucket(enum protocol protocol, uint16_t port)
{
	return session.profile->family->bucket(session.profile, protocol, port);
}

void claim_socket(struct decision *d, enum call call, int fd, struct slot *slot)
{
	struct holder *claim = &d->claim;
	d->call = call;
	d->fd = fd;
	d->slot = slot;
	claim->domain = slot->domain;
	claim->protocol = slot->protocol;
	claim->options = slot->options;
	claim->fd = fd;
	claim->cookie = slot->cookie ? slot->cookie : (slot->cookie = ask_cookie(fd));
	if (session.mirror && slot->domain == AF_INET6 && ask_option(fd, IPPROTO_IPV6, IPV6_V6ONLY) > 0)
		claim->options |= OPTION_V6ONLY;
	if (slot->flags & SLOT_DEVICE) {
		int device = ask_option(fd, SOL_SOCKET, SO_BINDTOIFINDEX);
		claim->ifindex = device > 0 ? (uint32_t)device : 0;
	}
	if (slot->domain == AF_INET6 && slot->protocol == PROTOCOL_UDP && slot->options & OPTION_REUSEPORT)
		claim->options |= OPTION_TAIL;
}

void claim_user(struct decision *d, bool reserved_port)
{
	bool asks = !session.as_host && session.profile->family->asks & ASKS_USER;
	/* Linux asks only sockets that share by SO_REUSEPORT whose they are. */
	if (asks ? reserved_port : d->claim.options & OPTION_REUSEPORT)
		d->claim.uid = ask_uid(d->fd);
	else if (asks)
		d->claim.uid = UID_UNKNOWN;
}

void claim_meets(struct decision *d)
{
	if (d->claim.uid == UID_UNKNOWN)
		d->claim.uid = ask_uid(d->fd);
}

enum state claim_state(const struct slot *slot)
{
	struct holder holder;
	if (slot->flags & SLOT_DEAD)
		return STATE_DEAD;
	if (slot->record && registry_get(&session.registry, slot->record, &holder) && holder.state == STATE_LISTENING)
		return STATE_LISTENING;
	if (slot->flags & SLOT_CONNECTED)
		return STATE_CONNECTED;
	return slot->record ? STATE_BOUND : STATE_UNBOUND;
}

bool claim_before(struct decision *d, const struct question *question, struct sockaddr_storage *to, uint32_t *to_length)
{
	d->verdict = (struct verdict){ 0 };
	*to_length = 0;
	return session.profile->family->before(question, &d->verdict, to, to_length);
}

int claim_error(enum call call, int host_errno)
{
	return session.profile->family->error(session.profile, call, host_errno);
}

int claim_host_answer(enum call call, int result)
{
	if (result >= 0)
		return result;
	int error = claim_error(call, errno);
	if (error == 0)
		return 0;
	errno = error;
	return -1;
}

void claim_anchor(const struct holder *claim, uint32_t bucket)
{
	if (session.profile->family->anchors(session.profile, claim))
		registry_anchor(&session.registry, bucket, claim);
}

int refuse(struct decision *d)
{
	if (d->call == CALL_BIND && session.profile->family->bound)
		d->slot->options = session.profile->family->bound(session.profile, &d->claim, d->verdict.error);
	decide_explain(d, d->verdict.error);
	errno = d->verdict.error;
	return -1;
}

/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "claim.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "../host/ask.h"
#include "../host/permit.h"
#include "../host/real.h"
#include "session.h"

bool claim_copy(const struct sockaddr *from, socklen_t length, struct sockaddr_storage *to)
{
	socklen_t room = length < sizeof *to ? length : sizeof *to;
	to->ss_family = AF_UNSPEC;
	if (length && !ask_readable(from, room))
		return false;
	memcpy(to, from, room);
	return true;
}

/* One IPv6 address that is no IPv4 one: the host's bind made the socket v6only (net/ipv6/af_inet6.c __inet6_bind()). */
static bool became_v6only(const struct holder *claim)
{
	struct in6_addr address;
	memcpy(&address, claim->address, sizeof address);
	return claim->domain == AF_INET6 && !IN6_IS_ADDR_UNSPECIFIED(&address) && !IN6_IS_ADDR_V4MAPPED(&address);
}

bool claim_overlaps_on_host(const struct holder *claim, struct holder holder)
{
	if (became_v6only(&holder))
		holder.options |= OPTION_V6ONLY;
	return linux_overlaps(claim, &holder);
}

uint32_t claim_bucket(enum protocol protocol, uint16_t port)
{
	return session.profile->family->bucket(session.profile, protocol, port);
}

void claim_socket(struct decision *d, enum call call, int fd, struct slot *slot)
{
	struct holder *claim = &d->claim;
	decision_begin(d, call, fd);
	d->slot = slot;
	claim->domain = slot->domain;
	claim->protocol = slot->protocol;
	claim->options = slot->options;
	claim->fd = fd;
	claim->cookie = session.mirror ? slot->cookie : slot_cookie(fd, slot);
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
	bool asks = session.asks & ASKS_USER;
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
	if (d->claim.cookie == 0)
		d->claim.cookie = slot_cookie(d->fd, d->slot);
}

uint32_t claim_when_over(enum call call, const struct holder *holder)
{
	const struct question question = { .call = call, .profile = session.profile, .domain = holder->domain,
					   .protocol = holder->protocol, .state = STATE_CONNECTED, .options = holder->options };
	struct verdict verdict = { 0 };
	if (session.profile->family->event)
		session.profile->family->event(&question, EVENT_OVER, &verdict);
	return verdict.flags;
}

uint32_t claim_over(enum call call, int fd, const struct holder *holder)
{
	/* The first byte of struct tcp_info is the state. */
	if (session.mirror || holder->protocol != PROTOCOL_TCP || (ask_option(fd, IPPROTO_TCP, TCP_INFO) & 0xff) != TCP_CLOSE)
		return CLAIM_NOT_OVER;
	return claim_when_over(call, holder);
}

/* The socket stays connected, to nobody, but its port may be given back. */
static enum state state_when_over(enum call call, struct slot *slot, uint32_t flags)
{
	bool about_port = call == CALL_BIND || call == CALL_SETSOCKOPT || call == CALL_SHUTDOWN;
	if (flags & VERDICT_KILLS) {
		registry_turn_into(&session.registry, slot->record, STATE_ENDED); /* what is left of it has its options */
		slot->record = 0;
		slot->flags = (uint8_t)((slot->flags & ~SLOT_CONNECTED) | SLOT_DEAD);
		return STATE_DEAD;
	}
	if (flags == CLAIM_NOT_OVER || !about_port)
		return STATE_CONNECTED;
	return flags & VERDICT_UNBINDS ? STATE_UNBOUND : STATE_BOUND;
}

enum state claim_state(enum call call, int fd, struct slot *slot)
{
	struct holder holder = { .domain = slot->domain, .protocol = slot->protocol,
				 .options = slot->options | OPTION_CLIENT | OPTION_AUTOBOUND };
	if (slot->flags & SLOT_DEAD)
		return STATE_DEAD;
	if (session.mirror && !(session.asks & ASKS_STATE))
		return STATE_UNBOUND;
	if (slot->record && registry_get(&session.registry, slot->record, &holder) && holder.state == STATE_LISTENING)
		return STATE_LISTENING;
	if (session.mirror ? ask_connected(fd) : slot->flags & SLOT_CONNECTED)
		return state_when_over(call, slot, claim_over(call, fd, &holder));
	/* A refused connect() of a datagram socket has taken a port. */
	if (session.mirror && slot->protocol == PROTOCOL_UDP && ask_name(fd, &holder) == 0 && holder.port)
		return STATE_BOUND;
	return slot->record ? STATE_BOUND : STATE_UNBOUND;
}

struct question claim_question(const struct decision *d)
{
	return (struct question){
		.call = d->call, .profile = session.profile, .domain = d->claim.domain, .protocol = d->claim.protocol,
		.state = d->slot ? claim_state(d->call, d->fd, d->slot) : STATE_UNBOUND, .options = d->claim.options,
		.loopback_alias = session.loopback_alias,
	};
}

void claim_chosen(struct decision *d, enum state state)
{
	if (ask_name(d->fd, &d->claim) < 0 || d->claim.port == 0)
		return;
	d->bucket = claim_bucket(d->claim.protocol, d->claim.port);
	registry_claim(&session.registry, d->bucket, &d->claim, &d->turn);
	d->claim.state = state;
	d->slot->record = registry_commit(&session.registry, &d->turn, &d->claim, MEMORY_CLAIM, 0);
	d->slot->flags |= SLOT_AUTOBOUND;
}

void claim_choose(struct decision *d, enum state state)
{
	const struct sockaddr_in6 any = { .sin6_family = d->claim.domain };
	int saved = errno;
	permit_reuse(d->fd, &d->claim);
	if (real.bind(d->fd, (const void *)&any, d->claim.domain == AF_INET ? sizeof(struct sockaddr_in) : sizeof any) == 0)
		claim_chosen(d, state);
	errno = saved;
}

bool claim_before(struct decision *d, const struct question *question, struct sockaddr_storage *to, uint32_t *to_length)
{
	verdict_begin(&d->verdict);
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
	if (d->call == CALL_BIND && session.profile->family->bound) {
		d->slot->options = session.profile->family->bound(session.profile, &d->claim, d->verdict.error);
		claim_publish(d->fd, d->slot);
	}
	decide_explain(d, d->verdict.error);
	errno = d->verdict.error;
	return -1;
}

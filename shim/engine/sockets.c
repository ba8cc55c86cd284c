/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "sockets.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "../host/ask.h"
#include "../host/permit.h"
#include "../host/raw.h"
#include "claim.h"
#include "engine.h"
#include "log.h"
#include "session.h"
#include "unseen.h"

static struct slot slots[SLOT_COUNT];
static _Atomic unsigned highest; /* one more than the highest number ever cached: bounds close_range() */

static struct slot *entry(int fd)
{
	return fd >= 0 && fd < SLOT_COUNT ? &slots[fd] : NULL;
}

/* Duplicates go by one slot, the lowest of theirs: what a call changes, all of them know. */
static SELDOM struct slot *first_of(struct slot *slot)
{
	struct slot *first = slots;
	while (first != slot && (!first->flags || first->cookie != slot->cookie))
		first++;
	return first;
}

struct slot *slot_of(int fd)
{
	struct slot *slot = entry(fd);
	return slot_used(slot) && slot->options & OPTION_SHARED ? first_of(slot) : slot;
}

static void cache(int fd, const struct slot *value)
{
	struct slot *slot = entry(fd);
	if (!slot)
		return;
	*slot = *value;
	unsigned seen = highest;
	while (seen <= (unsigned)fd && !atomic_compare_exchange_weak(&highest, &seen, (unsigned)fd + 1))
		;
}

void slot_fresh(int fd)
{
	struct slot *slot = entry(fd);
	if (slot_used(slot))
		slot->flags = 0;
}

int socket_protocol(int type, int protocol)
{
	type &= ~(SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (type == SOCK_STREAM && (protocol == 0 || protocol == IPPROTO_TCP))
		return IPPROTO_TCP;
	if (type == SOCK_DGRAM && (protocol == 0 || protocol == IPPROTO_UDP))
		return IPPROTO_UDP;
	return -1;
}

static bool is_tracked(int domain, int protocol)
{
	return (domain == AF_INET || domain == AF_INET6) && (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP);
}

/* The pid, and whether mark_new() has asked, on a page that the kernel empties in a fork child (MADV_WIPEONFORK,
 * Linux >= 4.14), but not in a vfork child, which has its parent's memory. */
static uint32_t *pid_page(void)
{
	static _Atomic(uint32_t *) page;
	uint32_t *mine = page;
	if (!mine) {
		mine = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (mine == MAP_FAILED || madvise(mine, 4096, MADV_WIPEONFORK) < 0)
			return NULL;
		page = mine;
	}
	if (*mine == 0)
		*mine = (uint32_t)raw_call(SYS_getpid, 0);
	return mine;
}

/* What the system gives a new socket; IPV6_V6ONLY is the one that the host must have as well. */
static uint32_t fresh_options(int fd, int domain, int protocol)
{
	if (session.as_host || !session.profile->family->fresh)
		return 0;
	uint32_t options = session.profile->family->fresh(session.profile, (uint8_t)domain, protocol == IPPROTO_TCP ? PROTOCOL_TCP : PROTOCOL_UDP);
	if (domain == AF_INET6 && options & OPTION_V6ONLY)
		tell_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	return options;
}

static void set_reuseaddr(int fd)
{
	int saved = errno;
	engine_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	errno = saved;
}

static _Atomic bool moved; /* not all sockets of this process are of session.registry.netns */

/* The namespace of the first socket is session.registry.netns; those of others are marked. */
static uint32_t mark_elsewhere(int fd)
{
	uint64_t netns = ask_netns(fd);
	if (!session.registry.netns)
		session.registry.netns = netns;
	if (netns == session.registry.netns)
		return 0;
	moved = true;
	return SLOT_ELSEWHERE;
}

/* The first new socket of each process is asked, for clone() may have moved it; and each one after unshare() and
 * setns(), which move one thread only. */
static uint32_t mark_new(int fd)
{
	uint32_t *page = pid_page();
	if (!moved && (!page || page[1]))
		return 0;
	if (page)
		page[1] = true;
	return mark_elsewhere(fd);
}

/* A socket that came from elsewhere need not be of the namespace this process is in. */
static uint32_t mark_known(int fd)
{
	if (!session.registry.netns)
		session.registry.netns = ask_own_netns();
	return mark_elsewhere(fd);
}

void slots_moved(void)
{
	moved = true;
}

void slot_enter(int fd, const struct slot *slot)
{
	if (!moved)
		return;
	uint64_t netns = slot->flags & SLOT_ELSEWHERE ? ask_netns(fd) : session.registry.netns;
	registry_about(netns);
	ask_about(netns);
}

void slot_socket(int fd, int domain, int protocol)
{
	if (fd < 0 || !is_tracked(domain, protocol)) {
		slot_fresh(fd);
		return;
	}
	cache(fd, &(struct slot){ .domain = (uint8_t)domain,
				  .cookie = session.mirror ? 0 : ask_cookie(fd),
				  .options = session.options | fresh_options(fd, domain, protocol),
				  .protocol = protocol == IPPROTO_TCP ? PROTOCOL_TCP : PROTOCOL_UDP,
				  .flags = SLOT_SOCKET | mark_new(fd) });
	if (session.reuseaddr == REUSEADDR_ON)
		set_reuseaddr(fd);
}

/* The slot of duplicates goes; the next of theirs takes its place. */
static SELDOM void hand_over(const struct slot *slot)
{
	struct slot *end = slots + highest;
	for (struct slot *next = slots; next < end; next++)
		if (next != slot && next->flags && next->cookie == slot->cookie) {
			*next = *slot;
			break;
		}
}

/* A vfork child closes its own descriptors; and what was set on a socket without a port, or that it is dead, is nowhere but
 * here. */
static bool is_not_ours(const struct slot *slot)
{
	bool set = slot->options || slot->flags & SLOT_DEAD, only_here = !session.mirror && !slot->record && set;
	return (only_here || slot->options & OPTION_SHARED) && in_vfork_child();
}

void slot_drop(int fd)
{
	struct slot *slot = entry(fd), *shared = slot_of(fd);
	if (!slot_used(slot) || is_not_ours(shared))
		return;
	if (session.log)
		log_let_go(fd, shared);
	if (shared->record)
		registry_let_go(&session.registry, shared->record);
	if (shared == slot && slot->options & OPTION_SHARED)
		hand_over(slot);
	slot->flags = 0;
}

void slot_drop_range(unsigned first, unsigned last)
{
	unsigned end = highest;
	for (unsigned fd = first; fd < end && fd <= last; fd++)
		slot_drop((int)fd);
}

void slot_copy(int from, int to)
{
	struct slot own, *source = slot_of(from), *target = entry(to);
	if (from == to || (!slot_used(source) && !slot_used(target)) || in_vfork_child())
		return;
	slot_drop(to);
	source = slot_of(from);
	if (!slot_used(source))
		return;
	if (!slot_cookie(from, source) && !slot_refresh(from, &own, &source))
		return;
	if (!(source->options & OPTION_SHARED)) {
		struct holder holder;
		source->options |= OPTION_SHARED;
		if (source->record && registry_get(&session.registry, source->record, &holder))
			registry_update(&session.registry, source->record, holder.state, holder.options | OPTION_SHARED);
	}
	cache(to, source);
}

/* Bound without being asked its cookie, it is known by its place. */
static SELDOM bool name_record(int fd, const struct slot *slot, uint64_t cookie)
{
	struct holder record, now;
	if (!registry_get(&session.registry, slot->record, &record))
		return false;
	now = record;
	if (ask_name(fd, &now) != 0 || now.port != record.port || memcmp(now.address, record.address, sizeof now.address))
		return false;
	registry_tell_cookie(&session.registry, slot->record, cookie);
	return true;
}

uint64_t slot_cookie(int fd, struct slot *slot)
{
	if (slot->cookie)
		return slot->cookie;
	uint64_t cookie = ask_cookie(fd);
	if (slot->record && !name_record(fd, slot, cookie))
		return 0;
	return slot->cookie = cookie;
}

bool slot_fits(int fd, struct slot *slot)
{
	return slot_cookie(fd, slot) == ask_cookie(fd);
}

static uint32_t v6only_option(int fd, int domain)
{
	return domain == AF_INET6 && ask_option(fd, IPPROTO_IPV6, IPV6_V6ONLY) > 0 ? OPTION_V6ONLY : 0;
}

struct slot *slot_accepted(int fd, const struct slot *listener, struct slot *own)
{
	struct slot *slot = entry(fd);
	*own = (struct slot){ .domain = listener->domain, .protocol = listener->protocol, .cookie = ask_cookie(fd),
			      .options = session.options | v6only_option(fd, listener->domain),
			      .flags = SLOT_SOCKET | SLOT_DEVICE | SLOT_CONNECTED | (listener->flags & SLOT_ELSEWHERE) };
	slot_enter(fd, own);
	if (!slot || in_vfork_child())
		return own;
	cache(fd, own);
	return slot;
}

/* A connection that is over looks as if it had never been, but something was received once. */
static bool was_connected(int fd, const struct slot *slot)
{
	const struct holder tcp = { .protocol = slot->protocol };
	return claim_over(CALL_ACCEPT, fd, &tcp) != CLAIM_NOT_OVER && ask_option(fd, SOL_SOCKET, SO_INCOMING_CPU) >= 0;
}

/* A permissive host keeps none of the program's options but this; an accepted socket has its listener's. */
static void virtual_state(int fd, struct slot *slot, struct holder *name)
{
	if (ask_connected(fd) || (!slot->record && name->port && was_connected(fd, slot)))
		slot->flags |= SLOT_CONNECTED;
	if (slot->record)
		return;
	slot->options |= v6only_option(fd, slot->domain);
	if (!(slot->flags & SLOT_CONNECTED) || slot->protocol != PROTOCOL_TCP)
		return;
	unseen_options(name);
	if (name->options & OPTION_CHILD)
		slot->options |= name->options;
}

/* What the kernel knows of a descriptor that the cache does not. */
static bool from_kernel(int fd, struct slot *slot)
{
	int domain = ask_option(fd, SOL_SOCKET, SO_DOMAIN);
	int protocol = socket_protocol(ask_option(fd, SOL_SOCKET, SO_TYPE), ask_option(fd, SOL_SOCKET, SO_PROTOCOL));
	struct holder name = { .domain = (uint8_t)domain };
	memset(slot, 0, sizeof *slot);
	if (!is_tracked(domain, protocol))
		return false;
	slot->domain = (uint8_t)domain;
	slot->protocol = protocol == IPPROTO_TCP ? PROTOCOL_TCP : PROTOCOL_UDP;
	slot->flags = SLOT_SOCKET | SLOT_DEVICE | SLOT_MET | mark_known(fd);
	slot_enter(fd, slot);
	slot->cookie = ask_cookie(fd);
	slot->options = session.options;
	if (session.mirror && ask_option(fd, SOL_SOCKET, SO_REUSEADDR) > 0)
		slot->options |= OPTION_REUSEADDR;
	if (session.mirror && ask_option(fd, SOL_SOCKET, SO_REUSEPORT) > 0)
		slot->options |= OPTION_REUSEPORT;
	name.protocol = slot->protocol;
	if (ask_name(fd, &name) == 0 && name.port != 0) {
		struct holder holder;
		name.cookie = slot->cookie;
		name.state = ask_state(fd);
		slot->record = registry_find(&session.registry, claim_bucket(slot->protocol, name.port), &name, &holder);
		if (slot->record)
			slot->options = holder.options;
	}
	if (!session.mirror)
		virtual_state(fd, slot, &name);
	return true;
}

bool slot_refresh(int fd, struct slot *own, struct slot **found)
{
	struct slot *slot = entry(fd);
	if (!from_kernel(fd, own)) {
		slot_fresh(fd);
		return false;
	}
	*found = own;
	if (slot && !in_vfork_child()) {
		cache(fd, own);
		*found = slot;
	}
	return true;
}

bool slot_identify(int fd, struct slot *own, struct slot **found)
{
	struct slot *slot = slot_of(fd);
	/* A mirrored host answers rightly whatever the number is now, unless it is taken for a duplicate; else the profile would. */
	if (!slot_used(slot) || ((!session.mirror || slot->options & OPTION_SHARED) && slot->cookie != ask_cookie(fd)))
		return slot_refresh(fd, own, found);
	slot_enter(fd, slot);
	*found = slot;
	return true;
}

void slot_replace(int fd, struct slot *slot)
{
	uint64_t before = slot->cookie, now;
	permit_replace(fd, slot->options & OPTION_V6ONLY);
	now = ask_cookie(fd);
	for (int other = 0; slot->options & OPTION_SHARED && other < (int)highest; other++) {
		if (!slots[other].flags || slots[other].cookie != before)
			continue;
		if (ask_cookie(other) == before)
			permit_duplicate(fd, other);
		slots[other].cookie = now;
	}
	slot->cookie = now;
}

uint32_t own_pid(void)
{
	uint32_t *page = pid_page();
	return page ? *page : (uint32_t)raw_call(SYS_getpid, 0);
}

bool in_vfork_child(void)
{
	return own_pid() != (uint32_t)raw_call(SYS_getpid, 0);
}

/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "world.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

#define BUCKETS 1024
#define LOOPBACK_INDEX 1
#define SOMAXCONN_WORLD 4096 /* net.core.somaxconn, Linux 5.4 and later; no scenario queues as many */

struct message {
	struct message *next;
	size_t length;
	char text[];
};

/* A multicast group a socket joined. */
struct group {
	struct group *next;
	struct in_addr address;
};

/* One end of a connection, whatever the family: IPv4 as a mapped address. */
struct end {
	uint8_t address[16];
	uint16_t port;
};

struct node {
	struct node *next, **link;               /* of all sockets, newest first */
	struct node *bucket_next, **bucket_link; /* bucket_link is NULL: has no port */
	struct bucket *bucket;
	struct holder holder;  /* state is the socket's, too */
	uint8_t bound[16];     /* the address it took its port with */
	unsigned references;   /* descriptors; 0: an orphan or a remnant */
	struct end remote;     /* STATE_CONNECTED, and of remnants */
	struct node *other;    /* the end that is here; NULL: gone */
	struct node *listener; /* of a child nobody accepted yet */
	struct node *queue;    /* of a listener, oldest first */
	struct node *queue_next;
	unsigned queued, room;
	struct message *inbox;
	struct group *groups;
	bool fin_sent, fin_received, closed_first, read_shut;
	bool apart;            /* both ways were shut when the other side acknowledged that it would send no more */
	bool deaf, mute;       /* shut down without a connection */
	bool balanced;         /* had SO_REUSEPORT_LB when it was bound */
	bool turns_away;       /* a listener that was shut down */
	bool throws_away;      /* SO_LINGER, 0 seconds */
	bool is_over;          /* connected to nobody */
	int error;             /* SO_ERROR */
	uint64_t expires;      /* 0: never */
};

struct anchor {
	struct anchor *next;
	struct holder holder;
};

struct bucket {
	struct bucket *next;
	uint32_t number;
	struct node *nodes;
	struct anchor *anchors;
	uint32_t memory_flags;
	struct holder memory_source;
	bool has_source;
};

struct world {
	const struct profile *profile;
	bool loopback_alias;
	uint32_t options; /* of a new socket */
	struct bucket *buckets[BUCKETS];
	struct node *nodes;
	struct node **descriptors, **processes;
	size_t descriptor_count, process_count;
	uint64_t now, order, cookie;
	uint32_t uid, start;
	uint16_t choice; /* 0: none */
	struct verdict verdict;
};

static int fail(int error)
{
	errno = error;
	return -1;
}

static int take_error(struct node *node)
{
	int error = node->error;

	node->error = 0;
	return fail(error);
}

/* ---- buckets ---- */

static struct bucket *bucket_of(struct world *world, enum protocol protocol, uint16_t port)
{
	uint32_t number = world->profile->family->bucket(world->profile, protocol, port);
	struct bucket **place = &world->buckets[number % BUCKETS];

	for (; *place; place = &(*place)->next)
		if ((*place)->number == number)
			return *place;
	*place = must(calloc(1, sizeof **place));
	(*place)->number = number;
	return *place;
}

static void unlink_node(struct node *node)
{
	*node->bucket_link = node->bucket_next;
	if (node->bucket_next)
		node->bucket_next->bucket_link = node->bucket_link;
}

/* Of several that could receive the first in the list does.  That is the newest one, but Linux has IPv6 sockets with
 * SO_REUSEPORT last (include/net/sock.h sk_add_node_rcu(), since 4.5). */
static void link_node(struct node *node, struct bucket *bucket, bool last)
{
	struct node **place = &bucket->nodes;

	while (last && *place)
		place = &(*place)->bucket_next;
	node->bucket = bucket;
	node->bucket_next = *place;
	node->bucket_link = place;
	if (*place)
		(*place)->bucket_link = &node->bucket_next;
	*place = node;
}

/* The port is given back.  What it remembers ends with its last owner. */
static void let_go(struct node *node)
{
	if (!node->bucket_link)
		return;
	unlink_node(node);
	if (!node->bucket->nodes) {
		node->bucket->memory_flags = 0;
		node->bucket->has_source = false;
	}
	node->bucket = NULL;
	node->bucket_link = NULL;
}

/* The port is the socket's from now on, with the address, options and state of the claim. */
static void hold(struct world *world, struct node *node, const struct holder *claim)
{
	struct bucket *bucket = bucket_of(world, claim->protocol, claim->port);

	let_go(node);
	node->holder = *claim;
	node->holder.order = ++world->order;
	memcpy(node->bound, claim->address, sizeof node->bound);
	node->balanced = claim->options & OPTION_REUSEPORT_LB;
	link_node(node, bucket, claim->options & OPTION_TAIL);
}

/* The address stays where nobody looks but getsockname(). */
static void unbind(struct node *node)
{
	let_go(node);
	node->holder.state = STATE_UNBOUND;
	node->holder.options &= ~(OPTION_AUTOBOUND | OPTION_CLIENT);
}

static void forget_name(struct holder *holder)
{
	holder->port = 0;
	memset(holder->address, 0, sizeof holder->address);
}

static void leave_anchor(struct world *world, struct bucket *bucket, const struct holder *claim)
{
	struct anchor *anchor;

	if (!world->profile->family->anchors(world->profile, claim))
		return;
	anchor = must(calloc(1, sizeof *anchor));
	anchor->holder = *claim;
	anchor->holder.state = STATE_ANCHOR;
	anchor->holder.order = ++world->order;
	anchor->next = bucket->anchors;
	bucket->anchors = anchor;
}

/* ---- asking the rules ---- */

/* What others see of a socket: if its connection is over, nothing but the port. */
static struct holder seen(const struct world *world, const struct node *node)
{
	struct holder holder = node->holder;

	if (world->profile->family->asks(world->profile) & ASKS_BOUND(holder.protocol))
		memcpy(holder.address, node->bound, sizeof holder.address);
	if (node->is_over && !node->listener && holder.state == STATE_CONNECTED)
		holder.state = STATE_BOUND;
	if (holder.state == STATE_CONNECTED && (node->fin_sent || node->fin_received))
		holder.options |= OPTION_ENDS;
	return holder;
}

/* True: the claim may be.  What the port remembers then follows. */
static bool judge(struct world *world, const struct node *node, enum call call, const struct holder *claim, bool automatic)
{
	struct bucket *bucket = bucket_of(world, claim->protocol, claim->port);
	struct memory memory = { bucket->memory_flags, bucket->has_source ? &bucket->memory_source : NULL };
	struct judgement judgement;

	judge_begin(&judgement, world->profile, call, claim, &memory);
	judgement.automatic = automatic;
	judgement.caller = world->uid;
	for (const struct node *other = bucket->nodes; other; other = other->bucket_next) {
		struct holder holder = seen(world, other);

		if (other != node)
			judge_holder(&judgement, &holder);
	}
	for (const struct anchor *anchor = bucket->anchors; anchor; anchor = anchor->next)
		judge_holder(&judgement, &anchor->holder);
	judge_end(&judgement, &world->verdict);
	if (world->verdict.error)
		return false;
	if (world->verdict.memory == MEMORY_KEEP)
		return true;
	bucket->memory_flags = world->verdict.memory == MEMORY_FORGET ? 0 : world->verdict.memory_flags;
	if (world->verdict.memory == MEMORY_FLAGS)
		return true;
	bucket->has_source = world->verdict.memory == MEMORY_CLAIM;
	bucket->memory_source = *claim;
	bucket->memory_source.state = STATE_BOUND;
	return true;
}

/* A connection that is over may have given its port back: it can be bound again, but stays connected.  There is
 * nothing to shut down. */
static enum state state_for(const struct node *node, enum call call)
{
	bool about_port = call == CALL_BIND || call == CALL_SETSOCKOPT || call == CALL_SHUTDOWN;

	if (!node->is_over || !about_port || node->holder.state == STATE_DEAD)
		return (enum state)node->holder.state;
	return node->bucket_link ? STATE_BOUND : STATE_UNBOUND;
}

static uint8_t shut_of(const struct node *node)
{
	bool apart = node->apart || (node->fin_sent && node->fin_received);

	return (node->fin_sent || node->mute ? SHUT_OUT : 0) | (node->read_shut || node->fin_received ? SHUT_IN : 0) | (apart ? SHUT_APART : 0);
}

static struct question question_of(const struct world *world, const struct node *node, enum call call)
{
	return (struct question){
		.call = call, .profile = world->profile, .domain = node->holder.domain, .protocol = node->holder.protocol,
		.state = state_for(node, call), .uid = world->uid,
		.options = node->holder.options | (node->fin_sent ? OPTION_ENDS : 0),
		.alone = true, .loopback_alias = world->loopback_alias, .ifindex = node->holder.ifindex,
		.self = node->bucket_link ? &node->holder : NULL, .shut = shut_of(node),
	};
}

/* True: the answer is final. */
static bool before(struct world *world, const struct question *question, struct sockaddr_storage *to, uint32_t *to_length)
{
	world->verdict = (struct verdict){ .error = 0 };
	*to_length = 0;
	return world->profile->family->before(question, &world->verdict, to, to_length);
}

/* The same for a call whose address nobody reads in another way. */
static bool before_plain(struct world *world, const struct question *question)
{
	struct sockaddr_storage unused;
	uint32_t unused_length;

	return before(world, question, &unused, &unused_length);
}

static bool tell_event(struct world *world, const struct question *question, enum event what)
{
	world->verdict = (struct verdict){ .error = 0 };
	world->profile->family->event(question, what, &world->verdict);
	return world->verdict.error == 0;
}

static bool event(struct world *world, const struct node *node, enum call call, enum event what)
{
	struct question question = question_of(world, node, call);

	return tell_event(world, &question, what);
}

/* ---- addresses ---- */

static bool is_mapped(const uint8_t *address)
{
	static const uint8_t prefix[12] = { [10] = 0xff, 0xff };

	return !memcmp(address, prefix, sizeof prefix);
}

/* The wildcard of IPv6 is ::, that of IPv4 0.0.0.0 or, on an IPv6 socket, ::ffff:0.0.0.0. */
static bool is_wildcard(const struct holder *holder)
{
	static const uint8_t any[4];

	if (address_is_any(holder))
		return true;
	return holder->domain == AF_INET6 && is_mapped(holder->address) && !memcmp(holder->address + 12, any, 4);
}

static struct end end_of(uint8_t domain, const uint8_t *address, uint16_t port)
{
	struct end end = { { [10] = 0xff, 0xff }, port };

	if (domain == AF_INET)
		memcpy(end.address + 12, address, 4);
	else
		memcpy(end.address, address, 16);
	return end;
}

static struct end local_end(const struct node *node)
{
	return end_of(node->holder.domain, node->holder.address, node->holder.port);
}

static bool same_end(const struct end *a, const struct end *b)
{
	return a->port == b->port && !memcmp(a->address, b->address, sizeof a->address);
}

/* As a socket of that domain has it. */
static void set_address(struct holder *holder, const uint8_t *address)
{
	memset(holder->address, 0, sizeof holder->address);
	if (holder->domain == AF_INET)
		memcpy(holder->address, address + 12, 4);
	else
		memcpy(holder->address, address, 16);
}

/* What the socket reads out of a sockaddr that its family accepted; short ones are zeros at the end. */
static void parse(uint8_t domain, const void *given, uint32_t length, uint8_t address[16], uint16_t *port, uint32_t *scope)
{
	struct sockaddr_in in = { .sin_port = 0 };
	struct sockaddr_in6 in6 = { .sin6_port = 0 };

	memset(address, 0, 16);
	*scope = 0;
	if (domain == AF_INET) {
		memcpy(&in, given, length < sizeof in ? length : sizeof in);
		memcpy(address, &in.sin_addr, 4);
		*port = ntohs(in.sin_port);
		return;
	}
	memcpy(&in6, given, length < sizeof in6 ? length : sizeof in6);
	memcpy(address, &in6.sin6_addr, 16);
	*port = ntohs(in6.sin6_port);
	*scope = in6.sin6_scope_id;
}

static int tell_address(uint8_t domain, const uint8_t *address, uint16_t port, struct sockaddr_storage *to)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

	memset(to, 0, sizeof *to);
	memcpy(&in.sin_addr, address, 4);
	memcpy(&in6.sin6_addr, address, domain == AF_INET6 ? 16 : 4);
	if (domain == AF_INET)
		memcpy(to, &in, sizeof in);
	else
		memcpy(to, &in6, sizeof in6);
	return 0;
}

/* ---- sockets ---- */

static struct node *new_node(struct world *world, uint8_t domain, enum protocol protocol)
{
	const struct family *family = world->profile->family;
	struct node *node = must(calloc(1, sizeof *node));

	node->holder = (struct holder){
		.cookie = ++world->cookie, .uid = world->uid, .domain = domain, .protocol = (uint8_t)protocol, .fd = -1,
		.options = world->options | (family->fresh ? family->fresh(world->profile, domain, protocol) : 0),
	};
	node->next = world->nodes;
	node->link = &world->nodes;
	if (world->nodes)
		world->nodes->link = &node->next;
	world->nodes = node;
	return node;
}

static void drop_inbox(struct node *node)
{
	while (node->inbox) {
		struct message *message = node->inbox;

		node->inbox = message->next;
		free(message);
	}
}

static void leave_groups(struct node *node)
{
	while (node->groups) {
		struct group *group = node->groups;

		node->groups = group->next;
		free(group);
	}
}

/* The ends of a connection do not know each other any more. */
static void part(struct node *node)
{
	if (node->other)
		node->other->other = NULL;
	node->other = NULL;
}

static void destroy(struct node *node)
{
	let_go(node);
	drop_inbox(node);
	leave_groups(node);
	part(node);
	*node->link = node->next;
	if (node->next)
		node->next->link = node->link;
	free(node);
}

/* -1: EBADF; else the lowest free number, as everywhere. */
static int open_descriptor(struct world *world, struct node *node)
{
	size_t fd = 0;

	while (fd < world->descriptor_count && world->descriptors[fd])
		fd++;
	if (fd == world->descriptor_count)
		world->descriptors = grow(world->descriptors, world->descriptor_count++, sizeof *world->descriptors);
	world->descriptors[fd] = node;
	node->references++;
	return (int)fd;
}

static struct node *find(struct world *world, int fd)
{
	world->verdict = (struct verdict){ .error = 0 };
	if (fd < 0 || (size_t)fd >= world->descriptor_count || !world->descriptors[fd])
		return fail(EBADF), NULL;
	return world->descriptors[fd];
}

int world_socket(struct world *world, int domain, int type)
{
	enum protocol protocol = (type & 0xff) == SOCK_DGRAM ? PROTOCOL_UDP : PROTOCOL_TCP;
	struct question question = {
		.call = CALL_SOCKET, .profile = world->profile, .domain = (uint8_t)domain, .protocol = (uint8_t)protocol,
		.argument = type, .uid = world->uid, .alone = true, .loopback_alias = world->loopback_alias,
	};

	if (before_plain(world, &question) && world->verdict.error)
		return fail(world->verdict.error);
	return open_descriptor(world, new_node(world, (uint8_t)domain, protocol));
}

/* ---- the ends of a connection ---- */

static void take_from_queue(struct node *child)
{
	struct node **place = &child->listener->queue;

	while (*place != child)
		place = &(*place)->queue_next;
	*place = child->queue_next;
	child->listener->queued--;
	child->listener = NULL;
}

static void kill_socket(struct node *node)
{
	let_go(node);
	node->holder.state = STATE_DEAD;
}

/* The system took something away, by a verdict's flags. */
static void apply_flags(struct world *world, struct node *node)
{
	if (world->verdict.flags & VERDICT_KILLS)
		kill_socket(node);
	else if (world->verdict.flags & VERDICT_UNBINDS)
		unbind(node);
	if ((world->verdict.flags & (VERDICT_UNBINDS | VERDICT_NAMES | VERDICT_KILLS)) == VERDICT_UNBINDS)
		forget_name(&node->holder);
}

/* Nothing will be sent or received any more. */
static void end_connection(struct world *world, struct node *node)
{
	struct verdict verdict = world->verdict;

	part(node);
	node->is_over = node->fin_sent = node->read_shut = true;
	event(world, node, CALL_CLOSE, EVENT_OVER);
	if (world->verdict.flags & VERDICT_KILLS && !node->listener)
		kill_socket(node);
	else if (world->verdict.flags & VERDICT_UNBINDS)
		let_go(node);
	world->verdict = verdict;
}

static bool ends_as_linux(const struct world *world)
{
	return world->profile->family->asks(world->profile) & ENDS_AS_LINUX;
}

static bool ends_as_bsd(const struct world *world)
{
	return world->profile->family->asks(world->profile) & ENDS_AS_BSD;
}

static void receive_reset(struct world *world, struct node *node)
{
	node->error = node->fin_received && ends_as_linux(world) ? EPIPE : ECONNRESET;
	if (node->references || node->listener)
		end_connection(world, node);
	else
		destroy(node);
}

static void throw_away(struct world *world, struct node *node)
{
	struct node *other = node->other;

	part(node);
	if (other && other != node)
		receive_reset(world, other);
	destroy(node);
}

/* The connection of a socket that nobody has open any more.  True: something of it stays. */
static bool leave_remnant(struct world *world, struct node *node)
{
	uint32_t milliseconds = 0;
	bool waits = !node->fin_received;
	enum state state;

	node->holder.state = waits ? STATE_CONNECTED : STATE_TIME_WAIT;
	state = world->profile->family->released(world->profile, &node->holder, node->closed_first, &milliseconds);
	/* Until the other side closes, somebody must know of the connection, though nobody has its port. */
	if (state == STATE_UNBOUND) {
		let_go(node);
		return waits;
	}
	node->holder.state = state;
	node->expires = milliseconds ? world->now + milliseconds : 0;
	return true;
}

static void settle(struct world *world, struct node *node)
{
	if (!leave_remnant(world, node))
		destroy(node);
}

/* It closed first and now the other side has: does the system keep the connection for a while? */
static bool waits(const struct world *world, const struct node *node)
{
	struct holder ended = node->holder;
	uint32_t milliseconds;

	ended.state = STATE_TIME_WAIT;
	return world->profile->family->released(world->profile, &ended, true, &milliseconds) != STATE_UNBOUND;
}

/* net/ipv4/tcp_minisocks.c tcp_time_wait(): the connection waits without its socket. */
static void make_remnant(struct world *world, const struct node *node, const struct end *to)
{
	struct node *remnant = new_node(world, node->holder.domain, PROTOCOL_TCP);

	hold(world, remnant, &node->holder);
	remnant->remote = *to;
	remnant->fin_received = remnant->closed_first = true;
	settle(world, remnant);
}

/* The socket is closed, whoever has it open. */
static void part_from_remnant(struct world *world, struct node *node)
{
	make_remnant(world, node, &node->remote);
	node->closed_first = false;
	end_connection(world, node);
}

static void send_fin(struct world *world, struct node *node)
{
	struct node *other = node->other;

	if (node->fin_sent)
		return;
	node->fin_sent = true;
	node->apart = node->read_shut;
	node->closed_first = !node->fin_received;
	if (!other)
		return;
	other->fin_received = true;
	if (!other->references && !other->listener && other != node)
		settle(world, other);
	else if (other->closed_first && !waits(world, other))
		end_connection(world, other);
	else if (other->closed_first && ends_as_linux(world))
		part_from_remnant(world, other);
	/* The one that closed first waits, this one need not. */
	if (other != node && node->references && node->fin_received && !node->closed_first)
		end_connection(world, node);
}

static void close_connection(struct world *world, struct node *node)
{
	if (!node->other && !node->fin_received) {
		destroy(node);
	} else if (node->throws_away || (node->inbox && !ends_as_bsd(world))) {
		throw_away(world, node);
	} else {
		send_fin(world, node);
		settle(world, node);
	}
}

static void reset_queue(struct world *world, struct node *listener)
{
	while (listener->queue) {
		struct node *child = listener->queue;

		take_from_queue(child);
		throw_away(world, child);
	}
}

/* The last descriptor is gone. */
static void release(struct world *world, struct node *node)
{
	reset_queue(world, node);
	if (node->holder.protocol == PROTOCOL_TCP && node->holder.state == STATE_CONNECTED)
		close_connection(world, node);
	else
		destroy(node);
}

static void drop(struct world *world, struct node *node)
{
	if (--node->references == 0)
		release(world, node);
}

int world_close(struct world *world, int fd)
{
	struct node *node = find(world, fd);

	if (!node)
		return -1;
	world->descriptors[fd] = NULL;
	drop(world, node);
	return 0;
}

int world_dup(struct world *world, int fd)
{
	struct node *node = find(world, fd);
	struct question question;

	if (!node)
		return -1;
	question = question_of(world, node, CALL_DUP);
	if (before_plain(world, &question) && world->verdict.error)
		return fail(world->verdict.error);
	return open_descriptor(world, node);
}

int world_dup2(struct world *world, int fd, int target)
{
	struct node *node = find(world, fd), *before = find(world, target);

	if (!node || !before)
		return fail(EBADF);
	if (fd == target)
		return target;
	node->references++;
	world->descriptors[target] = node;
	drop(world, before);
	return target;
}

int world_fork(struct world *world, int fd)
{
	struct node *node = find(world, fd);

	if (!node)
		return -1;
	world->processes = grow(world->processes, world->process_count, sizeof *world->processes);
	world->processes[world->process_count] = node;
	node->references++;
	return (int)world->process_count++;
}

int world_exit(struct world *world, int process)
{
	struct node *node;

	if (process < 0 || (size_t)process >= world->process_count || !world->processes[process])
		return fail(ESRCH);
	node = world->processes[process];
	world->processes[process] = NULL;
	drop(world, node);
	return 0;
}

/* ---- bind and listen ---- */

static bool tuple_event(struct world *world, struct node *node, const struct holder *claim, const struct end *to);

/* A port for the claim; to: the connection it is for, or NULL. */
static bool may_choose(struct world *world, struct node *node, enum call call, const struct holder *claim, const struct end *to)
{
	return (!to || tuple_event(world, node, claim, to)) && judge(world, node, call, claim, true);
}

static bool choose_port(struct world *world, struct node *node, enum call call, struct holder *claim, const struct end *to)
{
	const struct family *family = world->profile->family;
	uint32_t start = world->start++ * UINT32_C(2654435761) >> 4;

	claim->options |= OPTION_AUTOBOUND | (call == CALL_CONNECT ? OPTION_CLIENT : 0);
	claim->port = world->choice;
	world->choice = 0;
	if (claim->port && may_choose(world, node, call, claim, to))
		return true;
	for (uint32_t attempt = 0;; attempt++) {
		claim->port = family->port(world->profile, call, claim, start, attempt);
		if (!claim->port) {
			event(world, node, call, EVENT_NO_PORT);
			return false;
		}
		if (may_choose(world, node, call, claim, to))
			return true;
	}
}

static void bind_node(struct world *world, struct node *node, const struct holder *claim)
{
	hold(world, node, claim);
	node->holder.state = node->is_over ? STATE_CONNECTED : STATE_BOUND;
}

/* The same by bind() itself, which alone leaves an anchor. */
static void bind_as_asked(struct world *world, struct node *node, const struct holder *claim)
{
	bind_node(world, node, claim);
	leave_anchor(world, bucket_of(world, PROTOCOL_UDP, 0), &node->holder);
}

static int refuse_bind(struct world *world, struct node *node, const struct holder *claim)
{
	int error = world->verdict.error;

	if (world->verdict.flags & VERDICT_BINDS)
		bind_as_asked(world, node, claim);
	else if (world->verdict.flags & VERDICT_NAMES)
		memcpy(node->holder.address, claim->address, sizeof claim->address);
	else if (error == EADDRINUSE && ends_as_linux(world)) /* inet_reset_saddr() */
		memset(node->holder.address, 0, sizeof node->holder.address);
	apply_flags(world, node);
	return fail(error);
}

/* The verdict is final, but with port 0 one must still be found.  True: it is a success. */
static bool bind_unasked(struct world *world, struct node *node, struct holder *claim)
{
	struct verdict verdict = world->verdict;

	if (!claim->port && (!verdict.error || verdict.flags & VERDICT_BINDS) && !choose_port(world, node, CALL_BIND, claim, NULL))
		return false;
	world->verdict = verdict;
	return !verdict.error;
}

static bool keeps_address(const struct world *world)
{
	return world->profile->family->asks(world->profile) & KEEPS_ADDRESS;
}

/* A claim of the wildcard, which is judged: where that writes no address, the one of a refused bind() stays. */
static void keep_address(const struct world *world, const struct node *node, struct holder *claim)
{
	if (keeps_address(world) && node->holder.state == STATE_UNBOUND && is_wildcard(claim) && !is_wildcard(&node->holder))
		memcpy(claim->address, node->holder.address, sizeof claim->address);
}

int world_bind(struct world *world, int fd, const struct sockaddr *given, socklen_t length)
{
	struct node *node = find(world, fd);
	const struct family *family = world->profile->family;
	struct sockaddr_storage copy = { .ss_family = AF_UNSPEC }, to;
	uint32_t to_length;
	struct question question;
	struct holder claim;
	bool final, good;

	if (!node)
		return -1;
	memcpy(&copy, given, length < sizeof copy ? length : sizeof copy);
	question = question_of(world, node, CALL_BIND);
	question.address = (const uint8_t *)&copy;
	question.length = length;
	final = before(world, &question, &to, &to_length);
	claim = node->holder;
	parse(claim.domain, to_length ? &to : &copy, to_length ? to_length : length, claim.address, &claim.port, &claim.scope);
	claim.state = STATE_BOUND;
	if (final)
		good = bind_unasked(world, node, &claim);
	else if (claim.port)
		good = judge(world, node, CALL_BIND, &claim, false);
	else
		good = choose_port(world, node, CALL_BIND, &claim, NULL);
	if (family->bound)
		claim.options = family->bound(world->profile, &claim, world->verdict.error);
	node->holder.options = good || family->bound ? claim.options : node->holder.options;
	if (!good)
		return refuse_bind(world, node, &claim);
	keep_address(world, node, &claim);
	bind_as_asked(world, node, &claim);
	return 0;
}

static int refuse_listen(struct world *world, struct node *node)
{
	int error = world->verdict.error;

	apply_flags(world, node);
	return fail(error);
}

/* On Linux the address that bind() gave a socket stays when its port is given back (SOCK_BINDADDR_LOCK). */
static void forget_port(const struct world *world, struct holder *claim)
{
	if (ends_as_linux(world))
		claim->port = 0;
	else
		forget_name(claim);
}

/* A port for a socket that has none, and any address if it has none of its own. */
static bool bind_any(struct world *world, struct node *node, enum call call)
{
	struct holder claim = node->holder;

	forget_port(world, &claim);
	claim.state = STATE_BOUND;
	if (!choose_port(world, node, call, &claim, NULL))
		return false;
	keep_address(world, node, &claim);
	bind_node(world, node, &claim);
	return true;
}

/* A refused connect() or send() took a port before it looked at the address. */
static void bind_all_the_same(struct world *world, struct node *node)
{
	struct verdict verdict = world->verdict;

	if (verdict.flags & VERDICT_BINDS && node->holder.state == STATE_UNBOUND)
		bind_any(world, node, CALL_CONNECT);
	world->verdict = verdict;
}

/* Linux lists a listener when it begins to listen, others when it is bound. */
static void begin_to_listen(const struct world *world, struct node *node)
{
	bool last = node->holder.domain == AF_INET6 && node->holder.options & OPTION_REUSEPORT;
	uint32_t receiver = world->profile->trait[trait_receiver];

	node->holder.state = STATE_LISTENING;
	if (receiver != receiver_last_listening && receiver != receiver_last_reuseport)
		return;
	unlink_node(node);
	link_node(node, node->bucket, last);
}

/* Without a port, where others may listen as well. */
static bool listen_nowhere(struct world *world, struct node *node)
{
	struct holder claim = node->holder;

	forget_name(&claim);
	if (!judge(world, node, CALL_LISTEN, &claim, false))
		return false;
	hold(world, node, &claim);
	return true;
}

/* net/ipv4/tcp_ipv4.c tcp_v4_conn_request(), sk_acceptq_is_full(), if the system does not say. */
static unsigned room_for(const struct world *world, int backlog)
{
	const struct family *family = world->profile->family;

	if (family->room)
		return family->room(world->profile, backlog);
	return 1 + (backlog < 0 || backlog > SOMAXCONN_WORLD ? SOMAXCONN_WORLD : (unsigned)backlog);
}

int world_listen(struct world *world, int fd, int backlog)
{
	struct node *node = find(world, fd);
	struct question question;

	if (!node)
		return -1;
	question = question_of(world, node, CALL_LISTEN);
	question.argument = backlog;
	question.queued = node->queued;
	if (before_plain(world, &question)) {
		if (world->verdict.error)
			return refuse_listen(world, node);
		node->turns_away = false;
		if (!(world->verdict.flags & VERDICT_LISTENS))
			return 0;
		if (node->holder.state == STATE_UNBOUND && !listen_nowhere(world, node))
			return refuse_listen(world, node);
	} else if ((node->holder.state == STATE_UNBOUND && !bind_any(world, node, CALL_LISTEN)) ||
		   !judge(world, node, CALL_LISTEN, &node->holder, false)) {
		return refuse_listen(world, node);
	}
	if (node->holder.state != STATE_LISTENING)
		begin_to_listen(world, node);
	node->room = room_for(world, backlog);
	return 0;
}

/* ---- who is meant ---- */

/* 0: not meant; exact beats wildcard, and an IPv4 socket one of IPv6. */
static unsigned match(const struct holder *holder, const struct end *to)
{
	struct end own = end_of(holder->domain, holder->address, holder->port);
	unsigned family = holder->domain == AF_INET;
	bool mapped = is_mapped(to->address);

	if (holder->port != to->port || (holder->ifindex && holder->ifindex != LOOPBACK_INDEX))
		return 0;
	if (same_end(&own, to))
		return 3 + family;
	if (holder->domain == AF_INET6 && address_is_any(holder))
		return !(mapped && (holder->options & OPTION_V6ONLY));
	return is_wildcard(holder) && mapped ? 1 + family : 0;
}

static bool is_connection_of(const struct node *node, const struct end *local, const struct end *remote)
{
	struct end own = local_end(node);

	return node->bucket_link && !node->is_over && (node->holder.state == STATE_CONNECTED || node->holder.state == STATE_TIME_WAIT) &&
	       same_end(&own, local) && same_end(&node->remote, remote);
}

static struct node *find_connection(struct world *world, enum protocol protocol, const struct end *local, const struct end *remote)
{
	struct node *node = bucket_of(world, protocol, local->port)->nodes;

	while (node && (node->holder.protocol != protocol || !is_connection_of(node, local, remote)))
		node = node->bucket_next;
	return node;
}

/* SO_REUSEPORT_LB: a group comes before single sockets; a socket for both stacks is in none. */
static unsigned rank_of(const struct world *world, const struct node *node, const struct end *to)
{
	const struct holder *holder = &node->holder;
	bool both = holder->domain == AF_INET6 && address_is_any(holder) && !(holder->options & OPTION_V6ONLY);
	unsigned rank = match(holder, to);

	if (rank && holder->domain == AF_INET && world->profile->trait[trait_receiver] == receiver_ipv4_first)
		rank += 8;
	return rank && node->balanced && !both ? rank + 8 : rank;
}

/* The socket in `state` a segment to that end goes to; of equals the first in the list, or the last.  Where the first one
 * with SO_REUSEPORT ends the search, a better address that comes later is not looked for.  Of a listener: maybe one that
 * does not listen. */
static struct node *find_receiver(struct world *world, enum protocol protocol, enum state state, const struct end *to)
{
	uint32_t receiver = world->profile->trait[trait_receiver];
	bool deaf = world->profile->family->asks(world->profile) & ASKS_DEAF;
	struct node *best = NULL;
	unsigned best_rank = 0;

	for (struct node *node = bucket_of(world, protocol, to->port)->nodes; node; node = node->bucket_next) {
		bool eldest = receiver == receiver_eldest_wildcard && is_wildcard(&node->holder);
		unsigned rank = rank_of(world, node, to);

		if (node->holder.protocol != protocol || !(node->holder.state == state || (deaf && node->holder.state == STATE_BOUND)))
			continue;
		if (!rank || rank < best_rank || (rank == best_rank && !eldest))
			continue;
		best = node;
		best_rank = rank;
		if (receiver == receiver_last_reuseport && node->holder.options & OPTION_REUSEPORT)
			break;
	}
	return best;
}

/* ---- connect ---- */

/* Of the connection that one bound to a device has, nobody else hears (inet_bound_dev_eq(), Linux 6.18). */
static bool is_out_of_sight(const struct holder *holder, const struct holder *claim)
{
	return holder->ifindex && holder->ifindex != claim->ifindex;
}

/* False: the connection from claim to `to` cannot be, there is one already. */
static bool tuple_event(struct world *world, struct node *node, const struct holder *claim, const struct end *to)
{
	struct end from = end_of(claim->domain, claim->address, claim->port);
	struct node *twin = find_connection(world, claim->protocol, &from, to);
	struct question question;

	if (!twin || is_out_of_sight(&twin->holder, claim) ||
	    (keeps_address(world) && claim->protocol == PROTOCOL_UDP && memcmp(twin->bound, node->bound, sizeof node->bound)))
		return true;
	if (twin == node && (claim->protocol == PROTOCOL_TCP || event(world, node, CALL_CONNECT, EVENT_AGAIN)))
		return true;
	if (twin == node)
		return let_go(node), false;
	/* Linux: FIN_WAIT_1, as long as the other side's acknowledgement is delayed; it is no TIME_WAIT before. */
	if (twin->holder.state == STATE_CONNECTED || (ends_as_linux(world) && !twin->fin_received)) {
		question = question_of(world, node, CALL_CONNECT);
		question.self = &twin->holder;
		return tell_event(world, &question, EVENT_TUPLE_TAKEN);
	}
	if (!event(world, node, CALL_CONNECT, EVENT_TUPLE_REMNANT))
		return false;
	destroy(twin);
	return true;
}

static void join(struct node *node, struct node *other)
{
	part(node);
	node->other = other;
	other->other = node;
	other->remote = local_end(node);
	node->remote = local_end(other);
	node->holder.state = other->holder.state = STATE_CONNECTED;
	node->fin_sent = node->fin_received = node->closed_first = node->read_shut = node->apart = node->is_over = false;
}

/* The connection as its listener has it: a socket of its own, which nobody accepted yet. */
static void make_child(struct world *world, struct node *listener, struct node *client, const struct end *to)
{
	struct node *child = new_node(world, listener->holder.domain, PROTOCOL_TCP);
	struct holder claim = child->holder;
	struct node **last = &listener->queue;

	claim.options = world->profile->family->inherited(world->profile, listener->holder.options) | OPTION_CHILD | OPTION_ORPHAN;
	claim.uid = listener->holder.uid;
	claim.ifindex = listener->holder.ifindex;
	claim.port = to->port;
	set_address(&claim, to->address);
	hold(world, child, &claim);
	child->listener = listener;
	while (*last)
		last = &(*last)->queue_next;
	*last = child;
	listener->queued++;
	join(client, child);
}

/* A SYN arrives.  False: world->verdict tells why it came to nothing. */
static bool arrive(struct world *world, struct node *client, const struct end *to)
{
	struct end from = local_end(client);
	struct node *receiver = find_receiver(world, PROTOCOL_TCP, STATE_LISTENING, to);
	struct node *remnant = find_connection(world, PROTOCOL_TCP, to, &from);

	/* A new SYN ends a TIME_WAIT: it is taken by a listener, or answered so that the client's reset ends it. */
	if (remnant && remnant->holder.state == STATE_TIME_WAIT)
		destroy(remnant);
	if (same_end(&from, to)) {
		if (event(world, client, CALL_CONNECT, EVENT_SELF))
			return join(client, client), true;
		if (ends_as_linux(world))
			make_remnant(world, client, to);
		return false;
	}
	if (!receiver || receiver->turns_away)
		return event(world, client, CALL_CONNECT, find_receiver(world, PROTOCOL_TCP, STATE_BOUND, to) ? EVENT_UNLISTENED : EVENT_REFUSED);
	if (receiver->holder.state != STATE_LISTENING)
		return event(world, client, CALL_CONNECT, EVENT_UNLISTENED);
	if (receiver->queued >= receiver->room)
		return event(world, client, CALL_CONNECT, EVENT_FULL);
	make_child(world, receiver, client, to);
	return true;
}

/* Gives the socket an address and a port of its own where it has none. */
static bool find_source(struct world *world, struct node *node, const struct end *to, uint32_t flags, struct holder *claim)
{
	const struct family *family = world->profile->family;
	struct end target = *to;

	if (claim->state == STATE_UNBOUND && !keeps_address(world))
		forget_port(world, claim);
	if (claim->protocol == PROTOCOL_UDP && node->bucket_link && keeps_address(world))
		memcpy(claim->address, node->bound, sizeof claim->address);
	if (is_wildcard(claim) || flags & VERDICT_MOVES) {
		set_address(claim, target.address);
		if (family->source)
			family->source(world->profile, claim, claim->domain == AF_INET ? target.address + 12 : target.address, claim->address);
	}
	if (claim->port)
		return tuple_event(world, node, claim, to);
	return choose_port(world, node, CALL_CONNECT, claim, to);
}

/* connect() has written another over it. */
static void restore_address(struct node *node, bool forgets)
{
	static const uint8_t any[16];

	memcpy(node->holder.address, forgets ? any : node->bound, sizeof any);
}

static void stop_trying(struct node *node)
{
	node->holder.options &= ~OPTION_TRIES;
	restore_address(node, node->holder.options & OPTION_CLIENT);
	node->error = ECONNRESET;
}

static int refuse_connect(struct world *world, struct node *node, uint32_t flags)
{
	int error = world->verdict.error;

	world->verdict.flags |= flags;
	apply_flags(world, node);
	return fail(error);
}

/* Nobody has answered: the socket has its two ends, and whoever called it gives up. */
static int keep_trying(struct world *world, struct node *node, const struct end *to)
{
	node->remote = *to;
	node->holder.state = STATE_CONNECTED;
	node->holder.options |= OPTION_TRIES;
	return fail(world->verdict.error);
}

/* The address that connect() wrote goes again, but where the system leaves it; was: the socket before. */
static void not_connected(struct world *world, struct node *node, struct holder *was)
{
	uint32_t flags = world->verdict.flags;

	if (!(flags & VERDICT_KILLS && flags & VERDICT_NAMES))
		memcpy(node->holder.address, was->address, sizeof was->address);
	was->state = STATE_DEAD;
	if (was->port && flags & VERDICT_KILLS)
		leave_anchor(world, node->bucket, was);
}

static int connect_to(struct world *world, struct node *node, const struct end *to, uint32_t flags)
{
	struct holder claim = node->holder, was = node->holder;
	bool ipv6 = claim.domain == AF_INET6 && claim.state == STATE_BOUND && !address_is_any(&claim);

	if (ipv6 && !(flags & (VERDICT_TRIES | VERDICT_CROSSES)) && is_mapped(claim.address) != is_mapped(to->address))
		return fail(EAFNOSUPPORT);
	if (!find_source(world, node, to, flags, &claim))
		return refuse_connect(world, node, flags & ~VERDICT_TRIES);
	if (flags & VERDICT_MOVES)
		memcpy(was.address, claim.address, sizeof was.address);
	claim.state = STATE_BOUND;
	if (node->bucket_link) {
		memcpy(node->holder.address, claim.address, sizeof claim.address);
	} else if (was.state != STATE_DEAD) { /* that has a name, but no endpoint any more */
		hold(world, node, &claim);
		if (claim.protocol == PROTOCOL_UDP)
			memset(node->bound, 0, sizeof node->bound);
	}
	node->holder.state = STATE_BOUND;
	if (claim.protocol == PROTOCOL_UDP) {
		node->remote = *to;
		node->holder.state = STATE_CONNECTED;
	} else if (flags & VERDICT_TRIES ? !event(world, node, CALL_CONNECT, EVENT_FULL) : !arrive(world, node, to)) {
		if (world->verdict.flags & VERDICT_TRIES)
			return keep_trying(world, node, to);
		node->remote = *to;
		not_connected(world, node, &was);
		node->deaf = node->mute = false;
		return refuse_connect(world, node, flags);
	}
	was.state = STATE_CONNECTED;
	if (was.port)
		leave_anchor(world, node->bucket, &was);
	return 0;
}

/* udp_disconnect() */
static void disconnect(const struct world *world, struct node *node)
{
	if (node->holder.state != STATE_CONNECTED)
		return;
	node->holder.state = STATE_BOUND;
	restore_address(node, world->profile->family->asks(world->profile) & FORGETS_BOUND);
}

#define CONNECT_FLAGS (VERDICT_UNBINDS | VERDICT_KILLS | VERDICT_TRIES | VERDICT_CROSSES | VERDICT_MOVES)

int world_connect(struct world *world, int fd, const struct sockaddr *given, socklen_t length)
{
	struct node *node = find(world, fd);
	struct sockaddr_storage copy = { .ss_family = AF_UNSPEC }, to;
	uint32_t to_length, scope;
	struct question question;
	uint8_t address[16];
	struct end end;
	uint16_t port;

	if (!node)
		return -1;
	memcpy(&copy, given, length < sizeof copy ? length : sizeof copy);
	if (node->holder.protocol == PROTOCOL_UDP && ends_as_bsd(world))
		disconnect(world, node);
	question = question_of(world, node, CALL_CONNECT);
	question.address = (const uint8_t *)&copy;
	question.length = length;
	question.self = &node->holder;
	if (before(world, &question, &to, &to_length)) {
		if (!world->verdict.error)
			return 0;
		if (world->verdict.error == ECONNABORTED && node->error) /* what aborted it is told first */
			return take_error(node);
		bind_all_the_same(world, node);
		return refuse_connect(world, node, 0);
	}
	parse(node->holder.domain, to_length ? &to : &copy, to_length ? to_length : length, address, &port, &scope);
	end = end_of(node->holder.domain, address, port);
	return connect_to(world, node, &end, world->verdict.flags & CONNECT_FLAGS);
}

int world_accept(struct world *world, int fd)
{
	struct node *node = find(world, fd), *child;
	struct question question;

	if (!node)
		return -1;
	question = question_of(world, node, CALL_ACCEPT);
	question.address = (const uint8_t *)&question;
	if (before_plain(world, &question) && world->verdict.error)
		return fail(world->verdict.error);
	if (node->error)
		return take_error(node);
	child = node->queue;
	if (!child)
		return fail(node->turns_away ? EINVAL : EAGAIN);
	take_from_queue(child);
	child->holder.options &= ~OPTION_ORPHAN;
	if (ends_as_linux(world))
		child->holder.uid = world->uid; /* sock_graft() */
	if (child->is_over && world->profile->family->asks(world->profile) & ABORTS_ACCEPT)
		return destroy(child), fail(ECONNABORTED);
	if (child->is_over && ends_as_bsd(world))
		kill_socket(child);
	return open_descriptor(world, child);
}

static void stop_sending(struct world *world, struct node *node)
{
	if (node->holder.protocol == PROTOCOL_TCP)
		send_fin(world, node);
	else
		node->fin_sent = true;
}

/* A socket that ends, but remembers what it was. */
static void end_listener(struct node *node, int how)
{
	node->holder.options |= OPTION_LISTENED;
	node->read_shut = how != SHUT_WR;
}

static void stop_receiving(struct world *world, struct node *node)
{
	node->read_shut = true;
	if (ends_as_bsd(world))
		drop_inbox(node);
}

int world_shutdown(struct world *world, int fd, int how)
{
	struct node *node = find(world, fd);
	struct question question;
	bool final;
	int error;

	if (!node)
		return -1;
	question = question_of(world, node, CALL_SHUTDOWN);
	question.argument = how;
	final = before_plain(world, &question);
	error = world->verdict.error;
	if (world->verdict.flags & (VERDICT_UNLISTENS | VERDICT_UNBINDS | VERDICT_KILLS | VERDICT_DEAFENS))
		reset_queue(world, node);
	if (world->verdict.flags & VERDICT_KILLS && node->holder.state == STATE_LISTENING)
		end_listener(node, how);
	if (world->verdict.flags & (VERDICT_UNLISTENS | VERDICT_UNBINDS) && node->holder.options & OPTION_TRIES)
		stop_trying(node);
	if (world->verdict.flags & VERDICT_DEAFENS)
		node->turns_away = true;
	if (world->verdict.flags & VERDICT_UNLISTENS)
		node->holder.state = STATE_BOUND;
	if (world->verdict.flags & VERDICT_INTERRUPTS)
		node->error = ECONNABORTED;
	if (!final && how != SHUT_WR)
		stop_receiving(world, node);
	if (!final && how != SHUT_RD && (node->holder.state == STATE_CONNECTED || node->holder.protocol == PROTOCOL_UDP))
		stop_sending(world, node);
	if (final && error == ENOTCONN && ends_as_linux(world)) {
		node->deaf |= how != SHUT_WR;
		node->mute |= how != SHUT_RD;
	}
	apply_flags(world, node);
	return error ? fail(error) : 0;
}

/* ---- names and options ---- */

/* What connect() writes into a UDP socket where it leaves the address alone is of the world's own making. */
static const uint8_t *name_of(const struct world *world, const struct node *node)
{
	bool left_alone = world->profile->family->asks(world->profile) & ASKS_BOUND(PROTOCOL_UDP);

	return left_alone && node->holder.protocol == PROTOCOL_UDP && node->bucket_link ? node->bound : node->holder.address;
}

int world_getsockname(struct world *world, int fd, struct sockaddr_storage *to)
{
	struct node *node = find(world, fd);
	struct sockaddr_storage name, shown;
	struct question question;
	uint32_t shown_length;

	if (!node)
		return -1;
	question = question_of(world, node, CALL_NAME);
	tell_address(node->holder.domain, name_of(world, node), node->holder.port, &name);
	question.address = (const uint8_t *)&name;
	question.length = node->holder.domain == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	if (before(world, &question, &shown, &shown_length) && world->verdict.error)
		return fail(world->verdict.error);
	*to = shown_length ? shown : name;
	return 0;
}

int world_getpeername(struct world *world, int fd, struct sockaddr_storage *to)
{
	struct node *node = find(world, fd);
	struct question question;

	if (!node)
		return -1;
	question = question_of(world, node, CALL_PEER);
	if (before_plain(world, &question) && world->verdict.error)
		return fail(world->verdict.error);
	if (node->holder.state != STATE_CONNECTED || node->is_over || node->holder.options & OPTION_TRIES || (node->closed_first && node->fin_received))
		return fail(ENOTCONN);
	return tell_address(node->holder.domain, node->remote.address + (node->holder.domain == AF_INET ? 12 : 0), node->remote.port, to);
}

static struct option_question option_question_of(const struct world *world, const struct node *node, enum call call, int level, int name)
{
	return (struct option_question){
		.call = call, .profile = world->profile, .domain = node->holder.domain, .protocol = node->holder.protocol,
		.state = state_for(node, call), .options = node->holder.options, .level = level, .name = name, .alone = true,
		.shut = shut_of(node),
	};
}

static bool answered(struct world *world, const struct option_question *question, struct option_answer *answer)
{
	*answer = (struct option_answer){ .passes = true };
	world->profile->family->option(question, answer);
	if (answer->passes)
		return false;
	world->verdict = (struct verdict){ .error = answer->error, .flags = answer->flags, .rule = answer->rule };
	return true;
}

static int set_linger(struct node *node, const void *value, socklen_t length)
{
	struct linger linger;

	if (length < sizeof linger)
		return fail(EINVAL);
	memcpy(&linger, value, sizeof linger);
	node->throws_away = linger.l_onoff && !linger.l_linger;
	return 0;
}

/* The machine's only interface. */
static int set_device(struct node *node, const char *name, socklen_t length)
{
	bool none = !length || !*name;

	if (!none && (strnlen(name, length) != 2 || memcmp(name, "lo", 2)))
		return fail(ENODEV);
	node->holder.ifindex = none ? 0 : LOOPBACK_INDEX;
	return 0;
}

static bool is_member(const struct node *node, const void *group)
{
	for (const struct group *joined = node->groups; joined; joined = joined->next)
		if (!memcmp(&joined->address, group, sizeof joined->address))
			return true;
	return false;
}

static int join_group(struct node *node, const void *value, socklen_t length)
{
	struct ip_mreq given;
	struct group *group;

	if (length < sizeof given)
		return fail(EINVAL);
	memcpy(&given, value, sizeof given);
	if (is_member(node, &given.imr_multiaddr))
		return fail(EADDRINUSE);
	group = must(malloc(sizeof *group));
	*group = (struct group){ node->groups, given.imr_multiaddr };
	node->groups = group;
	return 0;
}

int world_setsockopt(struct world *world, int fd, int level, int name, const void *value, socklen_t length)
{
	struct node *node = find(world, fd);
	struct option_question question;
	struct option_answer answer;

	if (!node)
		return -1;
	question = option_question_of(world, node, CALL_SETSOCKOPT, level, name);
	question.value = value;
	question.length = length;
	if (answered(world, &question, &answer)) {
		if (answer.error)
			return fail(answer.error);
		node->holder.options = answer.options;
		return 0;
	}
	if (level == SOL_SOCKET && name == SO_LINGER)
		return set_linger(node, value, length);
	if (level == SOL_SOCKET && name == SO_BINDTODEVICE)
		return set_device(node, value, length);
	if (level == IPPROTO_IP && name == IP_ADD_MEMBERSHIP)
		return join_group(node, value, length);
	return fail(ENOPROTOOPT);
}

int world_getsockopt(struct world *world, int fd, int level, int name, void *value, socklen_t *length)
{
	struct node *node = find(world, fd);
	struct option_question question;
	struct option_answer answer;

	if (!node)
		return -1;
	question = option_question_of(world, node, CALL_GETSOCKOPT, level, name);
	question.length = *length;
	if (answered(world, &question, &answer)) {
		if (answer.error)
			return fail(answer.error);
		memcpy(value, answer.value, answer.length);
		*length = answer.length ? answer.length : *length;
		return 0;
	}
	if (level != SOL_SOCKET || name != SO_ERROR)
		return fail(ENOPROTOOPT);
	*length = *length < sizeof node->error ? *length : (socklen_t)sizeof node->error;
	memcpy(value, &node->error, *length);
	node->error = 0;
	return 0;
}

/* ---- data ---- */

static void deliver(struct node *to, const void *text, size_t length)
{
	struct message *message = must(malloc(sizeof *message + length));
	struct message **last = &to->inbox;

	message->next = NULL;
	message->length = length;
	memcpy(message->text, text, length);
	while (*last)
		last = &(*last)->next;
	*last = message;
}

static void deliver_stream(const struct world *world, struct node *to, const void *text, size_t length)
{
	if (!(to->read_shut && ends_as_bsd(world)))
		deliver(to, text, length);
}

static ssize_t send_stream(struct world *world, struct node *node, const void *text, size_t length)
{
	struct node *other = node->other;

	if (node->error)
		return take_error(node);
	if (node->holder.state != STATE_CONNECTED || node->holder.options & OPTION_TRIES)
		return fail(node->holder.state == STATE_DEAD ? EPIPE : ENOTCONN);
	if (node->fin_sent || node->mute || !other)
		return fail(EPIPE);
	if (other->references || other->listener)
		deliver_stream(world, other, text, length);
	else
		throw_away(world, other); /* nobody will read it */
	return (ssize_t)length;
}

static bool is_multicast(const struct end *to)
{
	return is_mapped(to->address) ? (to->address[12] & 0xf0) == 224 : to->address[0] == 0xff;
}

static bool anybody_joined(const struct world *world, const void *group)
{
	for (const struct node *node = world->nodes; node; node = node->next)
		if (is_member(node, group))
			return true;
	return false;
}

/* Every socket of the port that is bound to all addresses or to the group, once somebody has joined it; an IPv6 socket
 * must have done so itself (net/ipv4/igmp.c ip_mc_sf_allow(), 6.18). */
static void deliver_to_all(struct world *world, const struct end *to, const void *text, size_t length)
{
	const uint8_t *group = to->address + 12;

	if (!anybody_joined(world, group))
		return;
	for (struct node *node = bucket_of(world, PROTOCOL_UDP, to->port)->nodes; node; node = node->bucket_next)
		if (node->holder.protocol == PROTOCOL_UDP && node->holder.state == STATE_BOUND && match(&node->holder, to) &&
		    (node->holder.domain == AF_INET || is_member(node, group)))
			deliver(node, text, length);
}

static void send_to(struct world *world, struct node *node, const struct end *to, const void *text, size_t length)
{
	struct end from = local_end(node);
	struct node *receiver;

	if (is_multicast(to)) {
		deliver_to_all(world, to, text, length);
		return;
	}
	if (is_wildcard(&node->holder)) {
		struct holder source = node->holder;

		set_address(&source, to->address);
		from = end_of(source.domain, source.address, source.port);
	}
	receiver = find_connection(world, PROTOCOL_UDP, to, &from);
	if (!receiver)
		receiver = find_receiver(world, PROTOCOL_UDP, STATE_BOUND, to);
	if (receiver)
		deliver(receiver, text, length);
	else if (node->holder.state == STATE_CONNECTED && same_end(to, &node->remote) && !event(world, node, CALL_SEND, EVENT_REFUSED))
		node->error = ECONNREFUSED;
}

static ssize_t send_datagram(struct world *world, struct node *node, const void *text, size_t length, const struct end *to)
{
	if (node->error)
		return take_error(node);
	if (!to && node->holder.state != STATE_CONNECTED)
		return fail(EDESTADDRREQ);
	if (node->holder.state == STATE_UNBOUND && !bind_any(world, node, CALL_CONNECT))
		return fail(world->verdict.error);
	if (node->fin_sent || node->mute)
		return fail(EPIPE);
	send_to(world, node, to ? to : &node->remote, text, length);
	return (ssize_t)length;
}

ssize_t world_send(struct world *world, int fd, const void *text, size_t length, const struct sockaddr *given, socklen_t given_length)
{
	struct node *node = find(world, fd);
	struct sockaddr_storage copy = { .ss_family = AF_UNSPEC }, to;
	uint32_t to_length, scope;
	struct question question;
	uint8_t address[16];
	struct holder self;
	uint16_t port;
	struct end end;

	if (!node)
		return -1;
	if (node->error && node->holder.protocol == PROTOCOL_TCP && ends_as_linux(world))
		return take_error(node);
	question = question_of(world, node, CALL_SEND);
	if (given) {
		memcpy(&copy, given, given_length < sizeof copy ? given_length : sizeof copy);
		question.address = (const uint8_t *)&copy;
		question.length = given_length;
	}
	self = seen(world, node);
	question.self = node->bucket_link ? &self : NULL;
	if (before(world, &question, &to, &to_length)) {
		bind_all_the_same(world, node);
		return world->verdict.error ? fail(world->verdict.error) : (ssize_t)length;
	}
	if (node->holder.protocol == PROTOCOL_TCP)
		return send_stream(world, node, text, length);
	if (!given)
		return send_datagram(world, node, text, length, NULL);
	parse(node->holder.domain, to_length ? &to : &copy, to_length ? to_length : given_length, address, &port, &scope);
	end = end_of(node->holder.domain, address, port);
	return send_datagram(world, node, text, length, &end);
}

/* A stream has no messages: as many bytes as there are. */
static size_t read_inbox(struct node *node, char *text, size_t size)
{
	size_t length = 0;

	while (node->inbox && length < size) {
		struct message *message = node->inbox;
		size_t part = message->length < size - length ? message->length : size - length;

		memcpy(text + length, message->text, part);
		length += part;
		if (part < message->length && node->holder.protocol == PROTOCOL_TCP) {
			memmove(message->text, message->text + part, message->length -= part);
			break;
		}
		node->inbox = message->next;
		free(message);
		if (node->holder.protocol == PROTOCOL_UDP)
			break;
	}
	return length;
}

ssize_t world_recv(struct world *world, int fd, void *text, size_t size)
{
	struct node *node = find(world, fd);
	struct question question;
	bool stream, final;

	if (!node)
		return -1;
	question = question_of(world, node, CALL_RECEIVE);
	final = before_plain(world, &question);
	if (world->verdict.error)
		return fail(world->verdict.error);
	stream = node->holder.protocol == PROTOCOL_TCP;
	if (!stream && node->error && ends_as_linux(world))
		return take_error(node);
	if (node->inbox)
		return (ssize_t)read_inbox(node, text, size);
	if (node->error)
		return take_error(node);
	if (final || node->read_shut || node->deaf || node->fin_received)
		return 0;
	return fail(stream && node->holder.state != STATE_CONNECTED ? ENOTCONN : EAGAIN);
}

/* ---- the machine ---- */

int world_seteuid(struct world *world, uint32_t uid)
{
	struct question question = { .call = CALL_SETEUID, .profile = world->profile, .uid = world->uid, .alone = true };

	if (before_plain(world, &question) && world->verdict.error)
		return fail(world->verdict.error);
	world->uid = uid;
	return 0;
}

void world_sleep(struct world *world, uint64_t milliseconds)
{
	struct node *next;

	world->now += milliseconds;
	for (struct node *node = world->nodes; node; node = next) {
		next = node->next;
		if (node->expires && node->expires <= world->now)
			destroy(node);
	}
}

void world_choose(struct world *world, uint16_t port)
{
	world->choice = port;
}

const struct verdict *world_verdict(const struct world *world)
{
	return &world->verdict;
}

void world_each(const struct world *world, bool (*function)(void *, const struct holder *), void *context)
{
	for (const struct node *node = world->nodes; node; node = node->next)
		if (node->bucket_link && !function(context, &node->holder))
			return;
}

struct world *world_new(const struct profile *profile, bool loopback_alias, uint32_t options)
{
	struct world *world = must(calloc(1, sizeof *world));

	world->profile = profile;
	world->loopback_alias = loopback_alias;
	world->options = options;
	return world;
}

static void free_bucket(struct bucket *bucket)
{
	while (bucket->anchors) {
		struct anchor *anchor = bucket->anchors;

		bucket->anchors = anchor->next;
		free(anchor);
	}
	free(bucket);
}

void world_free(struct world *world)
{
	if (!world)
		return;
	while (world->nodes)
		destroy(world->nodes);
	for (size_t i = 0; i < BUCKETS; i++)
		while (world->buckets[i]) {
			struct bucket *bucket = world->buckets[i];

			world->buckets[i] = bucket->next;
			free_bucket(bucket);
		}
	free(world->descriptors);
	free(world->processes);
	free(world);
}

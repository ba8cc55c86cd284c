/* SPDX-License-Identifier: MIT */
/*
 * The model of linux-6.18 against the kernel this runs on: random sequences of socket calls on one
 * port are made for real, in a network namespace of our own, while the rules judge a table of the
 * same sockets.  Every answer of bind() and listen() must be the same.
 *
 *	fuzz-model [SEED [COUNT [PROFILE]]]
 *
 * With a PROFILE it is that one's rules, whatever the kernel calls itself (user-mode-linux, a virtual machine).
 * A sequence that differs is played again on fresh ports; if it differs each time, it is shortened as
 * far as it still does and printed.
 */
#define _GNU_SOURCE
#include "shim/rules/rules.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <unistd.h>

#define SOCKETS 6
#define CROWD 12   /* more than the ten sockets up to which UDP asks them all */
#define PAIRS 4
#define REMNANTS 32
#define OPERATIONS 48
#define FIRST_PORT 1024
#define LAST_PORT 32767 /* below the ephemeral ports of our own clients */
#define OTHER_UID 65534

enum action {
	SOCKET, BIND, LISTEN, SET_REUSEADDR, SET_REUSEPORT, SET_V6ONLY, DEVICE, GROUP, UID, DUP, CLOSE,
	SHUTDOWN, CONNECT, CHILD_REUSEADDR, CHILD_REUSEPORT, END_PAIR, UDP_CONNECT,
	CROWD_BIND, ACTION_COUNT
};

static const char *const action_names[] = {
	"socket", "bind", "listen", "reuseaddr", "reuseport", "v6only", "device", "group", "uid", "dup", "close",
	"shutdown", "connect", "child-reuseaddr", "child-reuseport", "end-pair", "udp-connect",
	"crowd-bind"
};

/* How often each is drawn. */
static const unsigned weights[] = { 8, 26, 20, 6, 6, 2, 2, 1, 2, 1, 4, 3, 16, 3, 3, 12, 5, 3 };

struct operation {
	enum action action;
	unsigned which; /* socket or pair */
	unsigned value;
};

static const char *const addresses[2][8] = {
	{ "0.0.0.0", "127.0.0.1", "127.0.0.2", "0.0.0.0", "127.0.0.1", "127.0.0.2", "127.0.0.1", "127.0.0.6" },
	{ "::", "::1", "::ffff:0.0.0.0", "::ffff:127.0.0.1", "::ffff:127.0.0.2", "::", "::1", "::ffff:127.0.0.6" },
};

static const struct { int domain, type; const char *name; } kinds[] = {
	{ AF_INET, SOCK_STREAM, "tcp4" }, { AF_INET6, SOCK_STREAM, "tcp6" },
	{ AF_INET, SOCK_DGRAM, "udp4" }, { AF_INET6, SOCK_DGRAM, "udp6" },
};

struct endpoint {
	int fd;   /* -1: none */
	int copy; /* from dup, -1: none */
	struct holder holder; /* state STATE_UNBOUND: has no port */
};

struct pair {
	struct endpoint child, client; /* client.holder.port 0: an ephemeral port, no business of ours */
};

struct world {
	uint16_t port;
	uint32_t uid;
	uint64_t order;
	struct endpoint sockets[SOCKETS], crowd[CROWD];
	struct pair pairs[PAIRS];
	struct holder remnants[REMNANTS];
	unsigned remnant_count;
	struct memory memory;
	struct holder source;
	bool trace;
};

static const struct profile *profile;
static bool can_switch_uid;
static unsigned devices[3]; /* none, lo, another one or 0 */
static unsigned long binds, listens, refusals, connections, remnants;
static const struct rule *rules_met[64];
static unsigned rules_met_count;

/* ---- random numbers: splitmix64 ---- */

static uint64_t random_state;

static unsigned draw(unsigned limit)
{
	uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (unsigned)((z ^ z >> 31) >> 33) % limit;
}

static enum action draw_action(void)
{
	unsigned total = 0, number;

	for (unsigned i = 0; i < ACTION_COUNT; i++)
		total += weights[i];
	number = draw(total);
	for (unsigned i = 0;; i++) {
		if (number < weights[i])
			return i;
		number -= weights[i];
	}
}

/* First a few sockets, half of them with both options, then anything. */
static unsigned draw_sequence(struct operation *sequence)
{
	unsigned sockets = 2 + draw(SOCKETS - 1), count = 3 * sockets + 6 + draw(OPERATIONS - 3 * SOCKETS - 5);
	unsigned kind = draw(4); /* 0, 1: TCP; 2: UDP; 3: any */

	for (unsigned i = 0; i < count; i++) {
		struct operation *operation = &sequence[i];
		enum action action = i >= 3 * sockets ? draw_action() : i % 3 == 0 ? SOCKET : i % 3 == 1 ? SET_REUSEADDR : SET_REUSEPORT;

		*operation = (struct operation){ action, i < 3 * sockets ? i / 3 : draw(sockets), draw(64) };
		if (action == SOCKET && kind < 3)
			operation->value = (kind == 2 ? 2 : 0) | draw(2);
	}
	return count;
}

/* ---- the private network ---- */

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return written;
}

static bool loopback_up(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool up = fd >= 0 && !ioctl(fd, SIOCSIFFLAGS, &request);

	if (fd >= 0)
		close(fd);
	return up;
}

static bool own_user_namespace(void)
{
	char map[32];

	snprintf(map, sizeof map, "0 %u 1", geteuid());
	return !unshare(CLONE_NEWUSER) && write_text("/proc/self/uid_map", map);
}

static bool fresh_network(void)
{
	if (unshare(CLONE_NEWNET) || !loopback_up())
		return false;
	/* A machine of little memory would soon keep no more remnants, and free their ports at once. */
	write_text("/proc/sys/net/ipv4/tcp_max_tw_buckets", "1000000");
	/* Of a second device only the number matters. */
	if (system("ip link add other type dummy 2>/dev/null || ip link add other type veth peer name rest 2>/dev/null"))
		fprintf(stderr, "# no second device\n");
	devices[1] = if_nametoindex("lo");
	devices[2] = if_nametoindex("other");
	return true;
}

static bool start_network(void)
{
	if (geteuid() == 0 && fresh_network()) {
		can_switch_uid = !seteuid(OTHER_UID) && !seteuid(0);
		return true;
	}
	return own_user_namespace() && fresh_network();
}

/* ---- the table ---- */

static void visit(struct judgement *judgement, const struct endpoint *endpoint, const struct holder *self)
{
	if (&endpoint->holder != self && endpoint->fd >= 0 && endpoint->holder.state != STATE_UNBOUND && endpoint->holder.port)
		judge_holder(judgement, &endpoint->holder);
}

/* All holders of the protocol, in an order that has nothing to do with their binds. */
static void judge(struct world *world, enum call call, const struct holder *claim, const struct holder *self, struct verdict *verdict)
{
	struct judgement judgement;
	bool tcp = claim->protocol == PROTOCOL_TCP;

	judge_begin(&judgement, profile, call, claim, tcp ? &world->memory : NULL);
	for (unsigned i = 0; i < world->remnant_count; i++)
		judge_holder(&judgement, &world->remnants[i]);
	for (unsigned i = 0; i < SOCKETS; i++)
		visit(&judgement, &world->sockets[(i * 5 + world->port) % SOCKETS], self);
	for (unsigned i = 0; i < CROWD; i++)
		visit(&judgement, &world->crowd[i], self);
	for (unsigned i = 0; i < PAIRS; i++) {
		visit(&judgement, &world->pairs[i].child, self);
		visit(&judgement, &world->pairs[i].client, self);
	}
	judge_end(&judgement, verdict);
}

static void remember(struct world *world, const struct holder *claim, const struct verdict *verdict)
{
	if (claim->protocol == PROTOCOL_UDP || verdict->memory == MEMORY_KEEP)
		return;
	if (verdict->memory == MEMORY_FLAGS) {
		world->memory.flags = verdict->memory_flags;
		return;
	}
	world->source = *claim;
	world->memory = (struct memory){ 0, NULL };
	if (verdict->memory == MEMORY_CLAIM)
		world->memory = (struct memory){ verdict->memory_flags, &world->source };
}

static bool is_tcp_owner(const struct endpoint *endpoint)
{
	return endpoint->fd >= 0 && endpoint->holder.port && endpoint->holder.state != STATE_UNBOUND && endpoint->holder.protocol == PROTOCOL_TCP;
}

/* The kernel's bucket dies with the last owner. */
static void forget_if_empty(struct world *world)
{
	unsigned owners = world->remnant_count;

	for (unsigned i = 0; i < SOCKETS; i++)
		owners += is_tcp_owner(&world->sockets[i]);
	for (unsigned i = 0; i < PAIRS; i++)
		owners += is_tcp_owner(&world->pairs[i].child) + is_tcp_owner(&world->pairs[i].client);
	if (!owners)
		world->memory = (struct memory){ 0, NULL };
}

static void meet(const struct rule *rule)
{
	for (unsigned i = 0; i < rules_met_count; i++)
		if (rules_met[i] == rule)
			return;
	if (rules_met_count < 64)
		rules_met[rules_met_count++] = rule;
}

/* True if the kernel and the model differ. */
static bool differs(struct world *world, enum call call, int real, const struct verdict *verdict)
{
	*(call == CALL_BIND ? &binds : &listens) += 1;
	refusals += real == EADDRINUSE;
	meet(verdict->rule);
	if (world->trace) {
		printf(" -> kernel %s", real ? strerror(real) : "ok");
		if (verdict->error == real)
			printf(" (%s)", verdict->rule->id);
		else
			printf(", model %s (%s)", verdict->error ? strerror(verdict->error) : "ok", verdict->rule->id);
	}
	return real != verdict->error;
}

/* ---- the operations ---- */

static bool is_mapped(const struct holder *holder)
{
	struct in6_addr address;

	memcpy(&address, holder->address, sizeof address);
	return holder->domain == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address);
}

static bool is_mapped_any(const struct holder *holder)
{
	return is_mapped(holder) && !memcmp(holder->address + 12, "\0\0\0", 4);
}

static bool is_specific6(const struct holder *holder)
{
	return holder->domain == AF_INET6 && !is_mapped(holder) && !address_is_any(holder);
}

static socklen_t to_sockaddr(const struct holder *holder, struct sockaddr_storage *storage)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(holder->port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(holder->port) };

	if (holder->domain == AF_INET) {
		memcpy(&in.sin_addr, holder->address, 4);
		memcpy(storage, &in, sizeof in);
		return sizeof in;
	}
	memcpy(&in6.sin6_addr, holder->address, 16);
	memcpy(storage, &in6, sizeof in6);
	return sizeof in6;
}

/* connect() makes a wildcard address a concrete one. */
static void read_name(struct endpoint *endpoint)
{
	struct sockaddr_storage storage;
	socklen_t length = sizeof storage;

	getsockname(endpoint->fd, (struct sockaddr *)&storage, &length);
	if (endpoint->holder.domain == AF_INET)
		memcpy(endpoint->holder.address, &((struct sockaddr_in *)&storage)->sin_addr, 4);
	else
		memcpy(endpoint->holder.address, &((struct sockaddr_in6 *)&storage)->sin6_addr, 16);
}

static void print_address(const struct holder *holder)
{
	char text[INET6_ADDRSTRLEN];

	printf(" %s", inet_ntop(holder->domain, holder->address, text, sizeof text));
}

static void close_endpoint(struct endpoint *endpoint)
{
	if (endpoint->fd >= 0)
		close(endpoint->fd);
	if (endpoint->copy >= 0)
		close(endpoint->copy);
	*endpoint = (struct endpoint){ .fd = -1, .copy = -1 };
}

static void do_socket(struct world *world, struct endpoint *endpoint, unsigned value)
{
	unsigned kind = value % 4;

	close_endpoint(endpoint);
	forget_if_empty(world);
	endpoint->fd = socket(kinds[kind].domain, kinds[kind].type | SOCK_CLOEXEC, 0);
	endpoint->holder = (struct holder){
		.domain = kinds[kind].domain, .uid = world->uid, .fd = endpoint->fd,
		.protocol = kinds[kind].type == SOCK_STREAM ? PROTOCOL_TCP : PROTOCOL_UDP,
	};
	if (world->trace)
		printf(" %s", kinds[kind].name);
}

static void set_option(struct endpoint *endpoint, int level, int name, uint32_t option, int value)
{
	if (setsockopt(endpoint->fd, level, name, &value, sizeof value))
		return;
	endpoint->holder.options = value ? endpoint->holder.options | option : endpoint->holder.options & ~option;
}

/* What the arguments alone lead to; the rules leave that to the host. */
static int argument_error(const struct endpoint *endpoint, const struct holder *claim)
{
	if (endpoint->holder.state != STATE_UNBOUND)
		return EINVAL;
	if (is_mapped(claim) && (claim->options & OPTION_V6ONLY))
		return EINVAL;
	/* ::1 belongs to lo; an IPv4 address may be that of another device. */
	return is_specific6(claim) && claim->ifindex && claim->ifindex != devices[1] ? EADDRNOTAVAIL : 0;
}

static void bound(struct world *world, struct endpoint *endpoint, const struct holder *claim)
{
	endpoint->holder = *claim;
	endpoint->holder.order = ++world->order;
	if (is_specific6(claim))
		endpoint->holder.options |= OPTION_V6ONLY;
	if (claim->protocol == PROTOCOL_UDP && claim->domain == AF_INET6 && (claim->options & OPTION_REUSEPORT))
		endpoint->holder.options |= OPTION_TAIL;
}

static bool do_bind(struct world *world, struct endpoint *endpoint, const char *text)
{
	static const struct rule arguments = { "arguments", "", NULL, "" };
	struct holder claim = endpoint->holder;
	struct sockaddr_storage storage;
	struct verdict verdict = { .rule = &arguments };
	socklen_t length;
	int real;

	claim.port = world->port;
	claim.state = STATE_BOUND;
	inet_pton(claim.domain, text, claim.address);
	if (world->trace)
		print_address(&claim);
	verdict.error = argument_error(endpoint, &claim);
	if (!verdict.error)
		judge(world, CALL_BIND, &claim, &endpoint->holder, &verdict);
	length = to_sockaddr(&claim, &storage);
	real = bind(endpoint->fd, (struct sockaddr *)&storage, length) ? errno : 0;
	if (differs(world, CALL_BIND, real, &verdict))
		return true;
	if (!real) {
		bound(world, endpoint, &claim);
		remember(world, &endpoint->holder, &verdict);
	}
	return false;
}

static bool do_listen(struct world *world, struct endpoint *endpoint)
{
	struct holder claim = endpoint->holder;
	struct verdict verdict;
	int real;

	if (claim.protocol != PROTOCOL_TCP || claim.state != STATE_BOUND)
		return false;
	claim.state = STATE_LISTENING;
	judge(world, CALL_LISTEN, &claim, &endpoint->holder, &verdict);
	real = listen(endpoint->fd, 8) ? errno : 0;
	if (differs(world, CALL_LISTEN, real, &verdict))
		return true;
	if (!real) {
		endpoint->holder.state = STATE_LISTENING;
		remember(world, &claim, &verdict);
	}
	return false;
}

static void do_device(struct endpoint *endpoint, unsigned value)
{
	unsigned index = devices[value % 3];
	char name[IF_NAMESIZE] = "";

	if (index && !if_indextoname(index, name))
		return;
	if (!setsockopt(endpoint->fd, SOL_SOCKET, SO_BINDTODEVICE, name, strlen(name)))
		endpoint->holder.ifindex = index;
}

/* Only a socket that is in no table yet gets a group of its own (net/core/sock_reuseport.c reuseport_attach_prog()). */
static void do_group(struct endpoint *endpoint)
{
	struct sock_filter code = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = { 1, &code };
	bool unhashed = endpoint->holder.state == STATE_UNBOUND ||
		(endpoint->holder.protocol == PROTOCOL_TCP && endpoint->holder.state == STATE_BOUND);

	if (!setsockopt(endpoint->fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) && unhashed)
		endpoint->holder.options |= OPTION_GROUP;
}

static void do_uid(struct world *world, unsigned value)
{
	uint32_t uid = value % 2 ? OTHER_UID : 0;

	if (can_switch_uid && !seteuid(0) && !seteuid(uid))
		world->uid = uid;
}

static void do_dup(struct endpoint *endpoint)
{
	if (endpoint->copy < 0)
		endpoint->copy = fcntl(endpoint->fd, F_DUPFD_CLOEXEC, 0);
}

static void do_close(struct world *world, struct endpoint *endpoint)
{
	if (endpoint->copy >= 0) {
		close(endpoint->fd);
		endpoint->fd = endpoint->copy;
		endpoint->copy = -1;
		return;
	}
	close_endpoint(endpoint);
	forget_if_empty(world);
}

/* A listener is a bound socket again, and has left its group. */
static void do_shutdown(struct endpoint *endpoint)
{
	if (endpoint->holder.state != STATE_LISTENING || shutdown(endpoint->fd, SHUT_RD))
		return;
	endpoint->holder.state = STATE_BOUND;
	endpoint->holder.options &= ~OPTION_GROUP;
}

/* Which listener got the connection? */
static bool find_child(struct world *world, struct pair *pair)
{
	for (unsigned i = 0; i < SOCKETS; i++) {
		struct endpoint *listener = &world->sockets[i];
		int flags;

		if (listener->fd < 0 || listener->holder.state != STATE_LISTENING)
			continue;
		flags = fcntl(listener->fd, F_GETFL);
		fcntl(listener->fd, F_SETFL, flags | O_NONBLOCK);
		pair->child.fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
		fcntl(listener->fd, F_SETFL, flags);
		if (pair->child.fd < 0)
			continue;
		pair->child.holder = listener->holder;
		pair->child.holder.state = STATE_CONNECTED;
		pair->child.holder.uid = world->uid;
		pair->child.holder.order = ++world->order;
		read_name(&pair->child);
		return true;
	}
	return false;
}

static void connect_pair(struct world *world, struct pair *pair, const struct holder *to)
{
	const struct timeval patience = { .tv_usec = 20000 };
	struct sockaddr_storage storage;
	socklen_t length = to_sockaddr(to, &storage);

	/* A listener of a group may have moved to a device that leads nowhere. */
	setsockopt(pair->client.fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	if (connect(pair->client.fd, (struct sockaddr *)&storage, length) || !find_child(world, pair)) {
		close_endpoint(&pair->client);
		forget_if_empty(world);
		return;
	}
	pair->client.holder.state = STATE_CONNECTED;
	read_name(&pair->client);
	connections++;
}

/* A client at the port itself must have another address than it connects to, or it would meet itself; and
 * one four-tuple is used once, or it would replace the remnant of an earlier one. */
static bool may_connect_from(const struct world *world, const struct endpoint *client, const struct holder *to)
{
	if (client->fd < 0 || client->copy >= 0 || client->holder.state != STATE_BOUND || client->holder.protocol != PROTOCOL_TCP)
		return false;
	if (client->holder.domain != to->domain || is_specific6(to) || address_is_any(&client->holder) || is_mapped_any(&client->holder))
		return false;
	if (!memcmp(client->holder.address, to->address, 16))
		return false;
	for (unsigned i = 0; i < PAIRS; i++)
		if (world->pairs[i].client.fd >= 0 && world->pairs[i].client.holder.port)
			return false;
	return !world->remnant_count;
}

/* Where a client of this listener goes. */
static void target(const struct holder *listener, unsigned value, struct holder *to)
{
	static const char *const near[2][4] = { { "127.0.0.1", "127.0.0.2", "127.0.0.1", "127.0.0.6" },
		{ "::1", "::ffff:127.0.0.1", "::ffff:127.0.0.2", "::1" } };

	*to = (struct holder){ .domain = listener->domain, .port = listener->port };
	memcpy(to->address, listener->address, sizeof to->address);
	if (address_is_any(to))
		inet_pton(to->domain, near[to->domain == AF_INET6][value % 4], to->address);
	else if (is_mapped_any(to))
		inet_pton(AF_INET6, near[1][1 + value % 2], to->address);
}

static struct endpoint *find_listener(struct world *world, unsigned from)
{
	for (unsigned i = 0; i < SOCKETS; i++) {
		struct endpoint *endpoint = &world->sockets[(from + i) % SOCKETS];

		if (endpoint->fd >= 0 && endpoint->holder.state == STATE_LISTENING)
			return endpoint;
	}
	return NULL;
}

static struct endpoint *find_client(struct world *world, const struct holder *to)
{
	for (unsigned i = 0; i < SOCKETS; i++)
		if (may_connect_from(world, &world->sockets[i], to))
			return &world->sockets[i];
	return NULL;
}

static struct pair *find_pair(struct world *world, unsigned from, bool used)
{
	for (unsigned i = 0; i < PAIRS; i++) {
		struct pair *pair = &world->pairs[(from + i) % PAIRS];

		if ((pair->client.fd >= 0) == used)
			return pair;
	}
	return NULL;
}

static void do_connect(struct world *world, const struct operation *operation)
{
	struct pair *pair = find_pair(world, 0, false);
	struct endpoint *listener = find_listener(world, operation->which), *client;
	struct holder to;

	if (!pair || !listener)
		return;
	target(&listener->holder, operation->value, &to);
	if (world->trace)
		print_address(&to);
	client = operation->value & 4 ? find_client(world, &to) : NULL;
	if (client) {
		pair->client = *client;
		*client = (struct endpoint){ .fd = -1, .copy = -1 };
		if (world->trace)
			printf(" from the port");
	} else {
		pair->client.fd = socket(to.domain, SOCK_STREAM | SOCK_CLOEXEC, 0);
		pair->client.holder = (struct holder){ .domain = to.domain };
	}
	connect_pair(world, pair, &to);
}

/* A wildcard becomes the concrete address, as for TCP; the socket keeps the port. */
static void do_udp_connect(struct endpoint *endpoint, unsigned value)
{
	struct holder to = { .domain = endpoint->holder.domain, .port = 9 };
	struct sockaddr_storage storage;
	socklen_t length;

	if (endpoint->holder.protocol != PROTOCOL_UDP || endpoint->holder.state != STATE_BOUND)
		return;
	inet_pton(to.domain, to.domain == AF_INET ? "127.0.0.1" : value & 1 ? "::1" : "::ffff:127.0.0.1", to.address);
	length = to_sockaddr(&to, &storage);
	if (!connect(endpoint->fd, (struct sockaddr *)&storage, length)) {
		endpoint->holder.state = STATE_CONNECTED;
		read_name(endpoint);
	}
}

/* The end that closes first leaves a remnant with the options it had then. */
static void do_end_pair(struct world *world, struct pair *pair, bool child_first)
{
	struct endpoint *first, *second;

	if (!pair)
		return;
	first = child_first ? &pair->child : &pair->client;
	second = child_first ? &pair->client : &pair->child;
	if (first->holder.port && world->remnant_count < REMNANTS) {
		world->remnants[world->remnant_count] = first->holder;
		world->remnants[world->remnant_count++].state = STATE_TIME_WAIT;
		remnants++;
	}
	close_endpoint(first);
	close_endpoint(second);
	forget_if_empty(world);
}

static bool is_udp_connected(const struct world *world)
{
	for (unsigned i = 0; i < SOCKETS; i++)
		if (world->sockets[i].holder.protocol == PROTOCOL_UDP && world->sockets[i].holder.state == STATE_CONNECTED)
			return true;
	return false;
}

/* Not together with connected sockets: they change their place in the queue (shim/rules/linux.c udp_refuser()). */
static bool do_crowd(struct world *world, unsigned value)
{
	unsigned count = CROWD - value % 8;

	if (is_udp_connected(world))
		return false;
	for (unsigned i = 0; i < count; i++) {
		struct endpoint *endpoint = &world->crowd[i];
		char text[32];

		if (endpoint->fd >= 0)
			continue;
		snprintf(text, sizeof text, "127.0.0.%u", i % 2 ? 20 + i : i % 4 ? 1 : 20);
		do_socket(world, endpoint, 2);
		set_option(endpoint, SOL_SOCKET, SO_REUSEADDR, OPTION_REUSEADDR, value & 8 || i % 2 == 0);
		set_option(endpoint, SOL_SOCKET, SO_REUSEPORT, OPTION_REUSEPORT, (value & 16) != 0);
		if (do_bind(world, endpoint, text))
			return true;
		set_option(endpoint, SOL_SOCKET, SO_REUSEADDR, OPTION_REUSEADDR, (value & 32) != 0);
	}
	return false;
}

static bool on_child(struct world *world, const struct operation *operation)
{
	struct pair *pair = find_pair(world, operation->which, true);
	bool reuseport = operation->action == CHILD_REUSEPORT;

	if (pair)
		set_option(&pair->child, SOL_SOCKET, reuseport ? SO_REUSEPORT : SO_REUSEADDR,
			reuseport ? OPTION_REUSEPORT : OPTION_REUSEADDR, operation->value & 1);
	return false;
}

/* Operations that need an open socket.  True if the answers differ. */
static bool on_socket(struct world *world, struct endpoint *endpoint, const struct operation *operation)
{
	int on = operation->value & 1;

	if (endpoint->fd < 0)
		return false;
	switch (operation->action) {
	case BIND:
		if (endpoint->holder.state != STATE_UNBOUND && operation->value >= 8)
			return false; /* EINVAL is dull */
		return do_bind(world, endpoint, addresses[endpoint->holder.domain == AF_INET6][operation->value % 8]);
	case LISTEN: return do_listen(world, endpoint);
	/* More often set than not, or hardly anything would be shared. */
	case SET_REUSEADDR: set_option(endpoint, SOL_SOCKET, SO_REUSEADDR, OPTION_REUSEADDR, operation->value % 4 != 0); break;
	case SET_REUSEPORT: set_option(endpoint, SOL_SOCKET, SO_REUSEPORT, OPTION_REUSEPORT, operation->value % 4 != 0); break;
	case SET_V6ONLY: set_option(endpoint, IPPROTO_IPV6, IPV6_V6ONLY, OPTION_V6ONLY, on); break;
	case DEVICE: do_device(endpoint, operation->value); break;
	case GROUP: do_group(endpoint); break;
	case DUP: do_dup(endpoint); break;
	case CLOSE: do_close(world, endpoint); break;
	case SHUTDOWN: do_shutdown(endpoint); break;
	case UDP_CONNECT:
		if (world->crowd[0].fd < 0)
			do_udp_connect(endpoint, operation->value);
		break;
	default: break;
	}
	return false;
}

static bool play_one(struct world *world, const struct operation *operation)
{
	switch (operation->action) {
	case SOCKET: do_socket(world, &world->sockets[operation->which], operation->value); return false;
	case UID: do_uid(world, operation->value); return false;
	case CONNECT: do_connect(world, operation); return false;
	case CHILD_REUSEADDR:
	case CHILD_REUSEPORT: return on_child(world, operation);
	case END_PAIR: do_end_pair(world, find_pair(world, operation->which, true), operation->value & 3); return false;
	case CROWD_BIND: return do_crowd(world, operation->value);
	default: return on_socket(world, &world->sockets[operation->which], operation);
	}
}

/* ---- sequences ---- */

/* Every sequence has a port of its own; when all have been used, a new network. */
static uint16_t fresh_port(void)
{
	static unsigned next = FIRST_PORT;

	if (next > LAST_PORT) {
		next = FIRST_PORT;
		if (!fresh_network())
			abort();
	}
	return next++;
}

static void empty(struct world *world)
{
	for (unsigned i = 0; i < SOCKETS; i++)
		close_endpoint(&world->sockets[i]);
	for (unsigned i = 0; i < CROWD; i++)
		close_endpoint(&world->crowd[i]);
	for (unsigned i = 0; i < PAIRS; i++) {
		close_endpoint(&world->pairs[i].client);
		close_endpoint(&world->pairs[i].child);
	}
}

static bool play(const struct operation *sequence, unsigned count, bool trace)
{
	static struct world world;
	struct endpoint none = { .fd = -1, .copy = -1 };
	bool different = false;

	world = (struct world){ .port = fresh_port(), .trace = trace };
	for (unsigned i = 0; i < SOCKETS; i++)
		world.sockets[i] = none;
	for (unsigned i = 0; i < CROWD; i++)
		world.crowd[i] = none;
	for (unsigned i = 0; i < PAIRS; i++)
		world.pairs[i] = (struct pair){ none, none };
	for (unsigned i = 0; i < count && !different; i++) {
		if (trace)
			printf("# %-15s %u", action_names[sequence[i].action], sequence[i].which);
		different = play_one(&world, &sequence[i]);
		if (trace)
			printf(" [%u]\n", sequence[i].value);
	}
	empty(&world);
	if (can_switch_uid && seteuid(0))
		abort();
	return different;
}

static bool differs_each_time(const struct operation *sequence, unsigned count)
{
	return play(sequence, count, false) && play(sequence, count, false) && play(sequence, count, false);
}

/* Leaves out runs of operations, long ones first, as long as it still differs. */
static unsigned shorten(struct operation *sequence, unsigned count)
{
	for (unsigned run = count / 2; run; run /= 2)
		for (unsigned at = 0; at + run <= count;) {
			struct operation shorter[OPERATIONS];

			memcpy(shorter, sequence, at * sizeof *sequence);
			memcpy(shorter + at, sequence + at + run, (count - at - run) * sizeof *sequence);
			if (!differs_each_time(shorter, count - run)) {
				at++;
				continue;
			}
			count -= run;
			memcpy(sequence, shorter, count * sizeof *sequence);
		}
	return count;
}

/* False: the sequence differs, and it is on stdout. */
static bool check_one(unsigned *passing)
{
	struct operation sequence[OPERATIONS];
	unsigned count = draw_sequence(sequence);

	if (!play(sequence, count, false))
		return true;
	if (!differs_each_time(sequence, count)) {
		++*passing;
		return true;
	}
	count = shorten(sequence, count);
	count = shorten(sequence, count);
	play(sequence, count, true);
	return false;
}

static bool is_6_18(void)
{
	struct utsname name;

	return !uname(&name) && !strncmp(name.release, "6.18.", 5);
}

int main(int argc, char **argv)
{
	unsigned long seed = argc > 1 ? strtoul(argv[1], NULL, 0) : 1;
	unsigned long count = argc > 2 ? strtoul(argv[2], NULL, 0) : 3000;
	unsigned passing = 0;
	bool agree = true;

	profile = profile_find(argc > 3 ? argv[3] : "linux-6.18");
	if (!profile || (argc <= 3 && !is_6_18()) || !start_network()) {
		printf("1..0 # SKIP needs Linux 6.18 and a network namespace\n");
		return 0;
	}
	random_state = seed;
	printf("1..1\n");
	for (unsigned long i = 0; i < count && agree; i++)
		agree = check_one(&passing);
	printf("# seed %lu: %lu sequences, %lu binds, %lu listens, %lu refused, %lu connections, %lu in TIME_WAIT;"
		" %u differed once but not again\n", seed, count, binds, listens, refusals, connections, remnants, passing);
	for (unsigned i = 0; i < rules_met_count; i++)
		printf("# met %s\n", rules_met[i]->id);
	printf("%sok 1 - the model and the kernel agree\n", agree ? "" : "not ");
	return !agree;
}

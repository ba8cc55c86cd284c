/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "holding.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "print_json.h"
#include "shim/rules/family.h"

/* As shim/engine/unseen.c has them. */
#define HOST_TIME_WAIT 60000 /* include/net/tcp.h TCP_TIMEWAIT_LEN */
#define TICK 10              /* the host's timers are that exact */

/* ---- putting together ---- */

static struct holding *add(struct holdings *holdings)
{
	holdings->all = grow(holdings->all, holdings->count, sizeof(*holdings->all));
	holdings->all[holdings->count] = (struct holding){ .origin = ORIGIN_REGISTERED };
	return &holdings->all[holdings->count++];
}

static enum evidence evidence_without_kernel(const struct holding *holding, const struct kernel *kernel, bool doubtful)
{
	bool asked = kernel->known && holding->netns == kernel->netns;

	if (holder_is_memory(holding->holder.state))
		return EVIDENCE_MEMORY;
	if (asked && (holding->holder.protocol == PROTOCOL_UDP || diag_complete()))
		return EVIDENCE_GONE;
	return doubtful || !holding->owner_alive ? EVIDENCE_DOUBTFUL : EVIDENCE_OWNER;
}

/* The kernel's facts replace the registry's; who bound it and how stays. */
static void correct(struct holding *holding, const struct diag_socket *socket)
{
	struct holder *holder = &holding->holder;

	memcpy(holder->address, socket->holder.address, sizeof(holder->address));
	if (holder->state != STATE_DEAD)
		holder->state = socket->holder.state;
	holder->ifindex = socket->holder.ifindex;
	if (socket->holder.state != STATE_TIME_WAIT)
		holder->uid = socket->holder.uid;
	holding->inode = socket->inode;
	holding->timer_ms = socket->timer_ms;
	holding->half_closed = socket->half_closed;
	holding->evidence = EVIDENCE_KERNEL;
}

/* A connection that was closed: what it leaves is a remnant since then. */
static void end(struct holder *closed)
{
	closed->state = STATE_TIME_WAIT;
	closed->cookie = closed->order;
}

static void add_records(struct holdings *holdings, struct registry *registry, const struct kernel *kernel)
{
	struct scan scan = { 0 };
	struct holder holder;
	uint64_t netns;
	bool doubtful;

	while (registry_scan(registry, &scan, &holder, &doubtful, &netns)) {
		struct holding *holding = add(holdings);
		const struct diag_socket *socket = holder_is_memory(holder.state) || netns != kernel->netns ? NULL : kernel_find(kernel, holder.cookie);

		if (holder.state == STATE_ENDED && !socket)
			end(&holder);
		holding->holder = holder;
		holding->netns = netns;
		holding->owner_alive = registry_owner_alive(registry, holder.reference);
		if (socket)
			correct(holding, socket);
		else
			holding->evidence = evidence_without_kernel(holding, kernel, doubtful);
	}
	holdings->registered = holdings->count;
}

static int compare(uint64_t one, uint64_t other)
{
	return (one > other) - (one < other);
}

static int by_port(const struct holder *one, const struct holder *other)
{
	int order = compare(one->protocol, other->protocol);

	return order ? order : compare(one->port, other->port);
}

static int by_place(const void *left, const void *right)
{
	const struct holder *one = &((const struct holding *)left)->holder, *other = &((const struct holding *)right)->holder;
	int order = by_port(one, other);

	if (!order)
		order = compare(one->order, other->order);
	return order ? order : compare(one->cookie, other->cookie);
}

static void sort(struct holding *all, size_t count)
{
	if (count)
		qsort(all, count, sizeof(*all), by_place);
}

/* The first record of the port; holdings->registered where there is none. */
static size_t first_on(const struct holdings *holdings, const struct holder *place)
{
	size_t first = 0, end = holdings->registered;

	while (first < end) {
		size_t middle = (first + end) / 2;

		if (by_port(&holdings->all[middle].holder, place) < 0)
			first = middle + 1;
		else
			end = middle;
	}
	return first < holdings->registered && by_port(&holdings->all[first].holder, place) == 0 ? first : holdings->registered;
}

bool holdings_has_port(const struct holdings *holdings, uint8_t protocol, uint16_t port)
{
	const struct holder place = { .protocol = protocol, .port = port };

	for (size_t i = first_on(holdings, &place); i < holdings->registered && by_port(&holdings->all[i].holder, &place) == 0; i++)
		if (holdings->all[i].netns == holdings->netns)
			return true;
	return false;
}

static const struct holder *listener_of(const struct holdings *holdings, const struct kernel *kernel, const struct holder *child)
{
	const struct holder *found = NULL;
	bool exact = false;

	for (size_t i = first_on(holdings, child); !exact && i < holdings->registered && by_port(&holdings->all[i].holder, child) == 0; i++) {
		const struct holder *holder = &holdings->all[i].holder;

		if (holdings->all[i].netns == kernel->netns && holder_accepts(holder, child, &exact) && (!found || exact))
			found = holder;
	}
	return found;
}

static void add_unseen(struct holdings *holdings, const struct kernel *kernel, const struct diag_socket *socket)
{
	struct holding *holding = add(holdings);
	const struct holder *listener;

	holding->holder = socket->holder;
	holding->netns = kernel->netns;
	correct(holding, socket);
	holding->origin = ORIGIN_OUTSIDE;
	if (socket->holder.protocol != PROTOCOL_TCP || socket->holder.state == STATE_BOUND || socket->holder.state == STATE_LISTENING)
		return;
	listener = listener_of(holdings, kernel, &socket->holder);
	holding->origin = listener ? ORIGIN_ACCEPTED : ORIGIN_CLIENT;
	if (listener) {
		holding->holder.options = listener->options;
		holding->holder.uid = listener->uid;
	}
}

static int by_number(const void *left, const void *right)
{
	return compare(*(const uint64_t *)left, *(const uint64_t *)right);
}

/* The cookies of the sockets that have a record. */
static uint64_t *cookies_of(const struct holdings *holdings)
{
	uint64_t *cookies = must(calloc(holdings->registered + 1, sizeof(*cookies)));

	for (size_t i = 0; i < holdings->registered; i++)
		if (holdings->all[i].evidence == EVIDENCE_KERNEL)
			cookies[i] = holdings->all[i].holder.cookie;
	qsort(cookies, holdings->registered, sizeof(*cookies), by_number);
	return cookies;
}

/* The record of a socket that was bound without being asked its cookie. */
static struct holding *unnamed(const struct holdings *holdings, const struct diag_socket *socket)
{
	const struct holder *place = &socket->holder;

	for (size_t i = first_on(holdings, place); i < holdings->registered && by_port(&holdings->all[i].holder, place) == 0; i++)
		if (!holdings->all[i].holder.cookie && holdings->all[i].netns == holdings->netns && registry_is(&holdings->all[i].holder, place))
			return &holdings->all[i];
	return NULL;
}

static void add_socket(struct holdings *holdings, const struct kernel *kernel, const struct diag_socket *socket)
{
	struct holding *record = unnamed(holdings, socket);

	if (!record) {
		add_unseen(holdings, kernel, socket);
		return;
	}
	record->holder.cookie = socket->holder.cookie;
	correct(record, socket);
}

void holdings_read(struct holdings *holdings, struct registry *registry, const struct profile *profile, const struct kernel *kernel)
{
	uint64_t *cookies;

	*holdings = (struct holdings){ .family = profile ? profile->family : NULL, .netns = kernel->netns, .registry = registry };
	holdings->own_time = registry_time_wait(registry, &holdings->time_wait);
	add_records(holdings, registry, kernel);
	sort(holdings->all, holdings->registered);
	cookies = cookies_of(holdings);
	for (size_t i = 0; i < kernel->count; i++) {
		const uint64_t cookie = kernel->sockets[i].holder.cookie;

		if (kernel->sockets[i].holder.port && !bsearch(&cookie, cookies, holdings->registered, sizeof(*cookies), by_number))
			add_socket(holdings, kernel, &kernel->sockets[i]);
	}
	free(cookies);
	sort(holdings->all + holdings->registered, holdings->count - holdings->registered);
}

void holdings_free(struct holdings *holdings)
{
	free(holdings->all);
	*holdings = (struct holdings){ .count = 0 };
}

/* ---- as a system sees it ---- */

/* How long ago the connection ended: by the host's timer, or as the registry has it. */
static uint64_t age_of(const struct holding *holding)
{
	if (holding->evidence == EVIDENCE_MEMORY)
		return process_now() > holding->holder.cookie ? process_now() - holding->holder.cookie : 0;
	return holding->timer_ms < HOST_TIME_WAIT ? HOST_TIME_WAIT - holding->timer_ms : 0;
}

/* Ended before `fakebind expire`? */
static bool is_expired(const struct holdings *holdings, const struct holder *remnant, uint64_t age)
{
	uint64_t expired = registry_expired(holdings->registry, remnant->port); /* a TCP port is its bucket on every system */

	return expired && process_now() - age <= expired + TICK;
}

/* What is left of a remnant; STATE_UNBOUND: nothing. */
static uint8_t state_left(const struct holdings *holdings, const struct holding *holding, const struct profile *profile, uint32_t *left_ms)
{
	struct holder ended = holding->holder;
	uint32_t natural = 0;
	uint64_t age = age_of(holding), length;
	uint8_t state;

	if (holding->half_closed)
		ended.state = STATE_CONNECTED;
	state = profile->family->released(profile, &ended, true, &natural);
	length = time_wait_length(holdings->time_wait, natural);
	if ((natural && age >= length) || is_expired(holdings, &ended, age))
		return STATE_UNBOUND;
	/* While the host has its own, that one counts: a reset ends it, and the record is not told. */
	if (natural && holding->evidence == EVIDENCE_MEMORY && age < HOST_TIME_WAIT)
		return STATE_UNBOUND;
	*left_ms = natural ? (uint32_t)(length - age) : 0;
	return state;
}

struct holder holding_as(const struct holdings *holdings, const struct holding *holding, const struct profile *profile, uint32_t *left_ms)
{
	struct holder holder = holding->holder;

	*left_ms = 0;
	if (holdings->family != profile->family)
		holder.options &= ~OPTION_OWN; /* they mean something else there */
	if (holding->origin == ORIGIN_ACCEPTED)
		holder.options = profile->family->inherited(profile, holder.options) | OPTION_CHILD;
	else if (holding->origin == ORIGIN_CLIENT)
		holder.options |= OPTION_CLIENT | OPTION_AUTOBOUND;
	if (holder.state == STATE_TIME_WAIT)
		holder.state = state_left(holdings, holding, profile, left_ms);
	return holder;
}

bool holding_stands(const struct holdings *holdings, const struct holding *holding, const struct profile *profile)
{
	struct holder holder = holding->holder;
	uint32_t left;

	if (holding->origin != ORIGIN_REGISTERED && !holdings_has_port(holdings, holder.protocol, holder.port))
		return false;
	if (holding->evidence == EVIDENCE_GONE || holder.state == STATE_DEAD || holder.state == STATE_ENDED || holder.state == STATE_ANCHOR)
		return false;
	if (profile)
		holder = holding_as(holdings, holding, profile, &left);
	return holder.state != STATE_UNBOUND;
}

/* ---- in words ---- */

const char *address_text(const struct holder *holder, char text[ADDRESS_TEXT])
{
	char address[INET6_ADDRSTRLEN] = "?", device[IF_NAMESIZE + 1] = "";
	bool ipv6 = holder->domain == AF_INET6;

	inet_ntop(holder->domain, holder->address, address, sizeof(address));
	if (holder->ifindex) {
		device[0] = '%';
		if (!if_indextoname(holder->ifindex, device + 1))
			snprintf(device, sizeof(device), "%%%u", holder->ifindex);
	}
	snprintf(text, ADDRESS_TEXT, "%s%s%s%s:%u", ipv6 ? "[" : "", address, ipv6 ? "]" : "", device, holder->port);
	return text;
}

static const struct {
	uint32_t bit;
	const char *name;
} option_names[] = {
	{ OPTION_REUSEADDR, "reuseaddr" }, { OPTION_REUSEPORT, "reuseport" }, { OPTION_REUSEPORT_LB, "reuseport_lb" },
	{ OPTION_EXCLUSIVE, "exclusive" }, { OPTION_V6ONLY, "v6only" },
};

static bool has_option(uint32_t options, uint8_t domain, size_t index)
{
	return options & option_names[index].bit && (option_names[index].bit != OPTION_V6ONLY || domain == AF_INET6);
}

#define OPTION_NAMES (sizeof(option_names) / sizeof(*option_names))

const char *options_text(uint32_t options, uint8_t domain, char text[OPTIONS_TEXT])
{
	size_t used = 0;

	*text = '\0';
	for (size_t i = 0; i < OPTION_NAMES; i++)
		if (has_option(options, domain, i))
			used += (size_t)snprintf(text + used, OPTIONS_TEXT - used, "%s%s", used ? "," : "", option_names[i].name);
	return text;
}

struct json_object *options_json(uint32_t options, uint8_t domain)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < OPTION_NAMES; i++)
		if (has_option(options, domain, i))
			json_object_array_add(array, json_object_new_string(option_names[i].name));
	return array;
}

const char *state_text(uint8_t state)
{
	static const char *const names[] = {
		[STATE_UNBOUND] = "over", [STATE_BOUND] = "bound", [STATE_LISTENING] = "listening", [STATE_CONNECTED] = "connected",
		[STATE_TIME_WAIT] = "time-wait", [STATE_ANCHOR] = "anchor", [STATE_DEAD] = "remembered",
		[STATE_ENDED] = "ended",
	};

	return state < sizeof(names) / sizeof(*names) ? names[state] : "?"; /* a damaged registry may hold any number */
}

const char *protocol_text(uint8_t protocol)
{
	return protocol == PROTOCOL_TCP ? "tcp" : "udp";
}

static void print_program(FILE *out, uint32_t pid)
{
	char name[PROGRAM_NAME];

	fprintf(out, "%s[%u]", program_name(pid, name), pid);
}

void print_owners(FILE *out, const struct holding *holding, const struct openers *openers)
{
	size_t count;
	const struct opener *all = openers_of(openers, holding->inode, &count);

	for (size_t i = 0; i < count; i++) {
		if (i && all[i].pid == all[i - 1].pid) {
			fprintf(out, ",%d", all[i].fd);
			continue;
		}
		fputs(i ? ", " : "", out);
		print_program(out, all[i].pid);
		fprintf(out, " fd %d", all[i].fd);
	}
	if (count)
		return;
	if (!holding->owner_alive || holder_is_memory(holding->holder.state) || !holding->holder.pid) {
		fputs("-", out);
		return;
	}
	print_program(out, holding->holder.pid);
	if (holding->holder.fd >= 0)
		fprintf(out, " fd %d", holding->holder.fd);
}

static struct json_object *process_json(uint32_t pid, int fd)
{
	struct json_object *object = json_object_new_object();
	char name[PROGRAM_NAME];

	json_add_text(object, "program", program_name(pid, name));
	json_object_object_add(object, "pid", json_object_new_int64(pid));
	json_object_object_add(object, "fd", fd < 0 ? NULL : json_object_new_int(fd));
	return object;
}

static struct json_object *openers_json(const struct holding *holding, const struct openers *openers)
{
	struct json_object *array = json_object_new_array();
	size_t count;
	const struct opener *all = openers_of(openers, holding->inode, &count);

	for (size_t i = 0; i < count; i++)
		json_object_array_add(array, process_json(all[i].pid, all[i].fd));
	return array;
}

struct json_object *holding_json(const struct holding *holding, const struct holder *holder, const struct openers *openers)
{
	static const char *const origins[] = { "registered", "accepted", "client", "outside" };
	static const char *const evidences[] = { "kernel", "owner", "doubtful", "gone", "memory" };
	struct json_object *object = json_object_new_object();
	char address[INET6_ADDRSTRLEN] = "";
	bool owned = holding->owner_alive && holder->pid && !holder_is_memory(holder->state);

	inet_ntop(holder->domain, holder->address, address, sizeof(address));
	json_add_text(object, "protocol", protocol_text(holder->protocol));
	json_add_text(object, "address", address);
	json_object_object_add(object, "port", json_object_new_int(holder->port));
	json_add_text(object, "state", state_text(holder->state));
	json_object_object_add(object, "options", options_json(holder->options, holder->domain));
	json_object_object_add(object, "uid", json_object_new_int64(holder->uid));
	json_add_text(object, "origin", origins[holding->origin]);
	json_add_text(object, "evidence", evidences[holding->evidence]);
	json_object_object_add(object, "owner", owned ? process_json(holder->pid, holder->fd) : NULL);
	json_object_object_add(object, "open_in", openers_json(holding, openers));
	return object;
}

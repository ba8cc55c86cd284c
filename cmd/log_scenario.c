/* SPDX-License-Identifier: MIT */
/*
 * A log has what the programs did, not all that happened: processes that ended, children that have a socket,
 * clients and servers on other machines.  What is missing is told from what is there:
 *
 *  - A close() counts when nothing is heard of the socket any more; else somebody else had it open.
 *  - A bind() tells which sockets were on its port.  One that is not among them has been closed just before.
 *  - An accept() without a connect() in the log has a client from outside, which closes after its server unless the
 *    log says otherwise.
 *  - A connect() to where nobody in the log listens goes to another machine and is left out.
 */
#define _GNU_SOURCE
#include "log_scenario.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

#define NOBODY SIZE_MAX

struct party {
	size_t last;  /* line that mentions it last */
	int64_t port; /* that it has, by the log; 0: none */
	bool made, gone, listens, tries, is_outside, is_udp, is_ipv6;
	size_t guest; /* number of the client from outside, NOBODY: none */
};

struct named {
	uint64_t cookie;
	size_t party;
};

struct translation {
	const struct log_list *log;
	struct log_scenario *to;
	FILE *file;
	struct named *names; /* sorted by cookie */
	size_t name_count;
	struct party *parties;
	size_t party_count;
	size_t *partner;     /* of a line with accept or connect: the other's line, or NOBODY */
	bool *done;          /* connects that came before their turn */
	struct in6_addr *own; /* addresses of the host */
	size_t own_count;
	size_t guests, temporaries;
	double slept;        /* the machine's time, by the log */
	int64_t uid;
};

static bool is_call(const struct log_line *line, const char *call)
{
	return !strcmp(line->call, call);
}

/* A connect() that has only begun has done all that matters here. */
static bool succeeded(const struct log_line *line)
{
	return !log_failed(line) || !strcmp(line->result, "EINPROGRESS");
}

/* ---- who is who ---- */

static int by_cookie(const void *left, const void *right)
{
	const struct named *one = left, *other = right;

	return (one->cookie > other->cookie) - (one->cookie < other->cookie);
}

static size_t party_of(const struct translation *t, int64_t cookie)
{
	struct named key = { .cookie = (uint64_t)cookie };
	const struct named *found = cookie == LOG_NONE ? NULL : bsearch(&key, t->names, t->name_count, sizeof(key), by_cookie);

	return found ? found->party : NOBODY;
}

static void collect(struct translation *t, int64_t cookie)
{
	if (cookie != LOG_NONE)
		t->names[t->name_count++].cookie = (uint64_t)cookie;
}

/* A new kernel socket in the old one's place is the same to the program. */
static bool is_replacement(const struct log_line *line)
{
	return line->new_socket != LOG_NONE && !is_call(line, "accept") && !is_call(line, "dup");
}

static void name_parties(struct translation *t)
{
	const struct log_list *log = t->log;
	size_t kept = 0;

	t->names = must(calloc(2 * log->count + 1, sizeof(*t->names)));
	for (size_t i = 0; i < log->count; i++) {
		collect(t, log->lines[i].socket);
		collect(t, log->lines[i].new_socket);
	}
	qsort(t->names, t->name_count, sizeof(*t->names), by_cookie);
	for (size_t i = 0; i < t->name_count; i++)
		if (!kept || t->names[kept - 1].cookie != t->names[i].cookie) {
			t->names[kept] = t->names[i];
			t->names[kept].party = kept;
			kept++;
		}
	t->name_count = t->party_count = kept;
	t->parties = must(calloc(kept + 1, sizeof(*t->parties)));
	for (size_t i = 0; i < kept; i++)
		t->parties[i].guest = NOBODY;
	for (size_t i = 0; i < log->count; i++)
		if (is_replacement(&log->lines[i])) {
			struct named key = { .cookie = (uint64_t)log->lines[i].new_socket };
			struct named *name = bsearch(&key, t->names, t->name_count, sizeof(key), by_cookie);
			size_t was = party_of(t, log->lines[i].socket);

			if (was != NOBODY)
				name->party = was;
		}
}

static void hear(struct translation *t, int64_t cookie, size_t line)
{
	size_t party = party_of(t, cookie);

	if (party != NOBODY)
		t->parties[party].last = line;
}

static void hear_last(struct translation *t)
{
	for (size_t i = 0; i < t->log->count; i++) {
		const struct log_line *line = &t->log->lines[i];

		hear(t, line->socket, i);
		hear(t, line->new_socket, i);
		for (size_t j = 0; line->present && j < json_object_array_length(line->present); j++)
			hear(t, json_object_get_int64(json_object_array_get_idx(line->present, j)), i);
	}
}

static bool is_client_of(const struct log_line *connect, const struct log_line *accept)
{
	return is_call(connect, "connect") && succeeded(connect) && !strcmp(connect->protocol, "tcp") && accept->port != LOG_NONE &&
	       connect->local_port == accept->port;
}

/* The nearest line, earlier or later: each process writes its own when it gets to it. */
static size_t find_client(const struct translation *t, size_t accept)
{
	const struct log_line *lines = t->log->lines;

	for (size_t away = 1; away <= t->log->count; away++) {
		if (away <= accept && t->partner[accept - away] == NOBODY && is_client_of(&lines[accept - away], &lines[accept]))
			return accept - away;
		if (accept + away < t->log->count && t->partner[accept + away] == NOBODY && is_client_of(&lines[accept + away], &lines[accept]))
			return accept + away;
	}
	return NOBODY;
}

static void find_clients(struct translation *t)
{
	t->partner = must(calloc(t->log->count + 1, sizeof(*t->partner)));
	t->done = must(calloc(t->log->count + 1, sizeof(*t->done)));
	for (size_t i = 0; i < t->log->count; i++)
		t->partner[i] = NOBODY;
	for (size_t i = 0; i < t->log->count; i++)
		if (is_call(&t->log->lines[i], "accept") && !log_failed(&t->log->lines[i])) {
			t->partner[i] = find_client(t, i);
			if (t->partner[i] != NOBODY)
				t->partner[t->partner[i]] = i;
		}
}

/* ---- addresses ---- */

static void parse_address(const char *text, struct in6_addr *to)
{
	struct in_addr ipv4;

	*to = (struct in6_addr){ .s6_addr = { [10] = 0xff, 0xff } };
	if (inet_pton(AF_INET, text, &ipv4) == 1)
		memcpy(&to->s6_addr[12], &ipv4, 4);
	else
		inet_pton(AF_INET6, text, to);
}

/* Such as the machine in memory has, or no machine. */
static bool is_common(const struct in6_addr *address)
{
	uint8_t first = address->s6_addr[12];

	if (!IN6_IS_ADDR_V4MAPPED(address))
		return IN6_IS_ADDR_UNSPECIFIED(address) || IN6_IS_ADDR_LOOPBACK(address) || IN6_IS_ADDR_MULTICAST(address);
	return first == 0 || first == 127 || first >= 224;
}

static size_t find_own(const struct translation *t, const struct in6_addr *address)
{
	for (size_t i = 0; i < t->own_count; i++)
		if (IN6_ARE_ADDR_EQUAL(&t->own[i], address))
			return i;
	return NOBODY;
}

/* Addresses of the host are those that something was bound to. */
static void find_own_addresses(struct translation *t)
{
	struct in6_addr address;

	t->own = must(calloc(t->log->count + 1, sizeof(*t->own)));
	for (size_t i = 0; i < t->log->count; i++) {
		const struct log_line *line = &t->log->lines[i];

		if (!is_call(line, "bind") || !line->address || (log_failed(line) && strcmp(line->result, "EADDRINUSE")))
			continue;
		parse_address(line->address, &address);
		if (!is_common(&address) && find_own(t, &address) == NOBODY)
			t->own[t->own_count++] = address;
	}
}

/* The line's address for a machine that has loopback addresses alone; local: somebody there is meant. */
static void put_address(struct translation *t, const struct log_line *line, bool local, int64_t port)
{
	struct in6_addr address;
	char text[INET6_ADDRSTRLEN];
	bool brackets = strchr(line->address, ':');
	size_t own;

	parse_address(line->address, &address);
	own = find_own(t, &address);
	snprintf(text, sizeof(text), "%s", line->address);
	if (own != NOBODY || (local && !is_common(&address))) {
		const char *mapped = brackets && IN6_IS_ADDR_V4MAPPED(&address) ? "::ffff:" : "";

		if (brackets && !*mapped)
			snprintf(text, sizeof(text), "::1");
		else if (own == NOBODY)
			snprintf(text, sizeof(text), "%s127.0.0.1", mapped);
		else
			snprintf(text, sizeof(text), "%s127.1.%d.%d", mapped, (int)(own >> 8 & 255), (int)(own & 255) + 1);
		t->to->loopback_alias |= own != NOBODY && !(brackets && !*mapped);
	}
	fprintf(t->file, "%s%s%s:%d", brackets ? "[" : "", text, brackets ? "]" : "", (int)port);
}

/* ---- steps ---- */

/* One line of the scenario has been begun by the caller. */
static void end_step(struct translation *t, size_t line)
{
	if (line == NOT_RECORDED)
		fputc('\n', t->file);
	else
		fprintf(t->file, " # %u\n", t->log->lines[line].number);
	t->to->line = grow(t->to->line, t->to->step_count, sizeof(*t->to->line));
	t->to->line[t->to->step_count++] = line;
}

static void step(struct translation *t, size_t line, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void step(struct translation *t, size_t line, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfprintf(t->file, format, arguments);
	va_end(arguments);
	end_step(t, line);
}

static const char *kind_of(const struct party *party)
{
	return party->is_udp ? party->is_ipv6 ? "udp6" : "udp4" : party->is_ipv6 ? "tcp6" : "tcp4";
}

static void describe(struct party *party, const struct log_line *line)
{
	party->is_udp = !strcmp(line->protocol, "udp");
	party->is_ipv6 = !strcmp(line->domain, "ipv6");
	party->made = true;
}

/* A socket that was there before the log, or came from elsewhere. */
static void make_found(struct translation *t, size_t number, const struct log_line *line)
{
	struct party *party = &t->parties[number];

	if (party->made)
		return;
	describe(party, line);
	step(t, NOT_RECORDED, "socket s%zu %s", number, kind_of(party));
	for (size_t i = 0; i < json_object_array_length(line->options); i++)
		step(t, NOT_RECORDED, "set s%zu %.20s 1", number, json_object_get_string(json_object_array_get_idx(line->options, i)));
}

static void close_party(struct translation *t, size_t number, size_t line, bool after_peer)
{
	struct party *party = &t->parties[number];

	if (party->guest != NOBODY && after_peer)
		step(t, NOT_RECORDED, "close guest%zu", party->guest);
	step(t, line, "close s%zu", number);
	if (party->guest != NOBODY && !after_peer)
		step(t, NOT_RECORDED, "close guest%zu", party->guest);
	party->gone = true;
	party->port = 0;
	party->listens = false;
}

static bool is_present(const struct translation *t, const struct log_line *line, size_t party)
{
	for (size_t i = 0; i < json_object_array_length(line->present); i++)
		if (party_of(t, json_object_get_int64(json_object_array_get_idx(line->present, i))) == party)
			return true;
	return false;
}

/* Who was on the port and is not any more has been closed by nobody's call. */
static void close_absent(struct translation *t, const struct log_line *line, size_t self)
{
	bool udp = !strcmp(line->protocol, "udp");

	for (size_t i = 0; line->present && line->local_port != LOG_NONE && i < t->party_count; i++) {
		struct party *party = &t->parties[i];

		if (i != self && party->made && !party->gone && party->is_udp == udp && party->port == line->local_port && !is_present(t, line, i))
			close_party(t, i, NOT_RECORDED, false);
	}
}

static void translate_socket(struct translation *t, size_t number, size_t self)
{
	const struct log_line *line = &t->log->lines[number];
	struct party temporary = { .port = 0 };

	if (self != NOBODY && !t->parties[self].made) {
		describe(&t->parties[self], line);
		step(t, number, "socket s%zu %s", self, kind_of(&t->parties[self]));
		return;
	}
	describe(&temporary, line);
	step(t, number, "socket temporary%zu %s", t->temporaries, kind_of(&temporary));
	step(t, NOT_RECORDED, "close temporary%zu", t->temporaries++);
}

static void translate_option(struct translation *t, size_t number, size_t self)
{
	static const char *const plain[] = { "reuseaddr", "reuseport", "v6only", "reuseport_lb", "exclusive", NULL };
	const struct log_line *line = &t->log->lines[number];
	bool get = is_call(line, "getsockopt");

	for (const char *const *word = plain; line->option && *word; word++)
		if (!strcmp(*word, line->option) && (get || line->argument != LOG_NONE)) {
			if (get)
				step(t, number, "get s%zu %s", self, *word);
			else
				step(t, number, "set s%zu %s %d", self, *word, (int)line->argument);
			return;
		}
	if (!get && line->option && !strcmp(line->option, "linger") && line->argument >= 0)
		step(t, number, "linger s%zu %d", self, (int)line->argument);
	else if (!get && line->option && !strcmp(line->option, "device") && line->word && !strcmp(line->word, "lo"))
		step(t, number, "device s%zu lo", self);
	else
		t->to->left_out++;
}

static void choose(struct translation *t, const struct log_line *line)
{
	if (line->local_port != LOG_NONE && line->local_port)
		step(t, NOT_RECORDED, "choose %d", (int)line->local_port);
}

static void translate_bind(struct translation *t, size_t number, size_t self)
{
	const struct log_line *line = &t->log->lines[number];
	int64_t usual;

	close_absent(t, line, self);
	if (!line->address) {
		t->to->left_out++;
		return;
	}
	if (line->port == 0 && !log_failed(line))
		choose(t, line);
	usual = strchr(line->address, ':') ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
	fprintf(t->file, "bind s%zu ", self);
	put_address(t, line, false, line->port);
	if (line->argument != LOG_NONE && line->argument != usual)
		fprintf(t->file, " %d", (int)line->argument);
	end_step(t, number);
	if (!log_failed(line) && line->local_port != LOG_NONE)
		t->parties[self].port = line->local_port;
}

static void translate_listen(struct translation *t, size_t number, size_t self)
{
	const struct log_line *line = &t->log->lines[number];
	struct party *party = &t->parties[self];

	if (!party->port && !log_failed(line))
		choose(t, line);
	step(t, number, "listen s%zu %d", self, (int)line->argument);
	if (log_failed(line))
		return;
	party->listens = true;
	if (line->local_port != LOG_NONE)
		party->port = line->local_port;
}

static bool is_listened_to(const struct translation *t, int64_t port)
{
	for (size_t i = 0; i < t->party_count; i++)
		if (t->parties[i].listens && t->parties[i].port == port)
			return true;
	return false;
}

static void translate_connect(struct translation *t, size_t number, size_t self)
{
	const struct log_line *line = &t->log->lines[number];
	struct party *party = &t->parties[self];
	bool here;

	if (t->done[number])
		return;
	t->done[number] = true;
	/* A socket may also meet itself. */
	here = t->partner[number] != NOBODY ||
	       (line->address && succeeded(line) && (is_listened_to(t, line->port) || line->port == line->local_port));
	/* Asking how far a connect() is, and talking to other machines. */
	if (!line->address || party->tries || (!here && !party->is_udp && succeeded(line))) {
		t->to->left_out++;
		party->is_outside |= !here && line->address && succeeded(line);
		party->tries |= !strcmp(line->result, "EINPROGRESS");
		return;
	}
	if (!party->port && succeeded(line))
		choose(t, line);
	fprintf(t->file, "connect s%zu ", self);
	put_address(t, line, here, line->port);
	end_step(t, number);
	party->tries = !strcmp(line->result, "EINPROGRESS");
	if (succeeded(line) && line->local_port != LOG_NONE)
		party->port = line->local_port;
}

/* Somebody on another machine, as far as this one can tell. */
static void invite(struct translation *t, const struct log_line *line, size_t listener, size_t child)
{
	bool ipv6 = line->address && strchr(line->address, ':') && strncmp(line->address, "::ffff:", 7);
	size_t guest = t->guests++;

	step(t, NOT_RECORDED, "socket guest%zu %s", guest, ipv6 ? "tcp6" : "tcp4");
	step(t, NOT_RECORDED, "connect guest%zu %s:%d", guest, ipv6 ? "[::1]" : "127.0.0.1", (int)t->parties[listener].port);
	t->parties[child].guest = guest;
}

static void translate_accept(struct translation *t, size_t number, size_t self)
{
	const struct log_line *line = &t->log->lines[number];
	size_t child = party_of(t, line->new_socket), client = t->partner[number];

	if (log_failed(line)) {
		step(t, number, "accept s%zu temporary%zu", self, t->temporaries++);
		return;
	}
	if (child == NOBODY || t->parties[child].made) {
		t->to->left_out++;
		return;
	}
	if (client == NOBODY) {
		invite(t, line, self, child);
	} else {
		size_t other = party_of(t, t->log->lines[client].socket);

		make_found(t, other, &t->log->lines[client]);
		translate_connect(t, client, other);
	}
	step(t, number, "accept s%zu s%zu", self, child);
	describe(&t->parties[child], line);
	t->parties[child].port = t->parties[self].port;
}

static void translate_shutdown(struct translation *t, size_t number, size_t self)
{
	static const char *const hows[] = { "rd", "wr", "rdwr" };
	int64_t how = t->log->lines[number].argument;

	if (how >= 0 && how <= 2)
		step(t, number, "shutdown s%zu %s", self, hows[how]);
	else
		t->to->left_out++;
}

static void translate_dup(struct translation *t, size_t number, size_t self)
{
	step(t, number, "dup s%zu temporary%zu", self, t->temporaries);
	step(t, NOT_RECORDED, "close temporary%zu", t->temporaries++);
}

/* Time that has passed, and another user. */
static void set_scene(struct translation *t, const struct log_line *line)
{
	double passed = line->time - t->slept;

	if (passed >= 0.01) {
		step(t, NOT_RECORDED, "sleep %.0f", passed > 1e6 ? 1e9 : passed * 1e3);
		t->slept = line->time;
	}
	if (line->uid != t->uid)
		step(t, NOT_RECORDED, "uid %d", (int)line->uid);
	t->uid = line->uid;
}

static const struct {
	const char *call;
	void (*translate)(struct translation *, size_t number, size_t self);
} calls[] = {
	{ "setsockopt", translate_option }, { "getsockopt", translate_option }, { "bind", translate_bind },
	{ "listen", translate_listen }, { "connect", translate_connect }, { "accept", translate_accept },
	{ "shutdown", translate_shutdown }, { "dup", translate_dup },
};

static void translate_line(struct translation *t, size_t number)
{
	const struct log_line *line = &t->log->lines[number];
	size_t self = party_of(t, line->socket);

	set_scene(t, line);
	if (is_call(line, "socket")) {
		translate_socket(t, number, self);
		return;
	}
	/* The machine in memory would have to know a connection that it has not. */
	if (self == NOBODY || t->parties[self].gone || (t->parties[self].is_outside && !is_call(line, "close"))) {
		t->to->left_out++;
		return;
	}
	make_found(t, self, line);
	if (is_call(line, "close") && t->parties[self].last == number)
		close_party(t, self, number, line->word != NULL);
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		if (is_call(line, calls[i].call))
			calls[i].translate(t, number, self);
}

void log_to_scenario(const struct log_list *log, struct log_scenario *to)
{
	struct translation t = { .log = log, .to = to };
	struct scenario_error error;
	size_t length;

	*to = (struct log_scenario){ .text = NULL };
	t.file = must(open_memstream(&to->text, &length));
	t.slept = log->count ? log->lines[0].time : 0;
	name_parties(&t);
	hear_last(&t);
	find_clients(&t);
	find_own_addresses(&t);
	fputs("# From a log; after # its line.\nscenario log\n", t.file);
	for (size_t i = 0; i < log->count; i++)
		translate_line(&t, i);
	if (fclose(t.file) || !scenario_parse(&to->list, to->text, length, &error)) {
		complain("the log's scenario, line %u: %s: expected %s", error.line, error.word, error.expected);
		exit(EXIT_OURS);
	}
	free(t.names);
	free(t.parties);
	free(t.partner);
	free(t.done);
	free(t.own);
}

void log_scenario_free(struct log_scenario *scenario)
{
	scenario_list_free(&scenario->list);
	free(scenario->text);
	free(scenario->line);
}

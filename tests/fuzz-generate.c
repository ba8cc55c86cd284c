/* SPDX-License-Identifier: MIT */
#include "fuzz-generate.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define SOCKETS 26 /* a ... z */
#define OPEN_MAX_SOCKETS 7

/* What the generator asked for, not what succeeded: it never sees an answer. */
struct thing {
	bool open, stream, six, listens, connected, reuseport, forked;
	int port;         /* P0 ..., -1: none */
	char address[24]; /* as bound */
};

struct generator {
	struct sequence *sequence;
	uint64_t random;
	struct thing things[SOCKETS];
	int count;
	bool other_user;
	int reuseaddr, reuseport; /* percent of this sequence's sockets that set it: like meets like */
};

/* splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014 */
static uint64_t next(struct generator *g)
{
	uint64_t z = (g->random += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static int below(struct generator *g, int limit)
{
	return (int)(next(g) % (uint64_t)limit);
}

static bool percent(struct generator *g, int chance)
{
	return below(g, 100) < chance;
}

__attribute__((format(printf, 2, 3))) static void say(struct generator *g, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(g->sequence->lines[g->sequence->count++], SEQUENCE_WIDTH, format, arguments);
	va_end(arguments);
}

static char name(int i)
{
	return (char)('a' + i);
}

/* ---- choosing ---- */

struct weighted {
	const char *word;
	int weight; /* a list ends with weight 0 */
};

static const char *choose(struct generator *g, const struct weighted *list)
{
	int total = 0, pick;

	for (const struct weighted *w = list; w->weight; w++)
		total += w->weight;
	for (pick = below(g, total); pick >= list->weight; list++)
		pick -= list->weight;
	return list->word;
}

/* An open thing, -1 if there is none. */
static int any_open(struct generator *g)
{
	int start = g->count ? below(g, g->count) : 0;

	for (int i = 0; i < g->count; i++)
		if (g->things[(start + i) % g->count].open)
			return (start + i) % g->count;
	return -1;
}

static int open_count(const struct generator *g)
{
	int open = 0;

	for (int i = 0; i < g->count; i++)
		open += g->things[i].open;
	return open;
}

static bool room(const struct generator *g)
{
	return g->count + 3 <= SOCKETS && open_count(g) < OPEN_MAX_SOCKETS;
}

/* Which of several SO_REUSEPORT listeners gets a connection is a matter of chance. */
static bool chancy(const struct generator *g, int port)
{
	int members = 0;

	for (int i = 0; i < g->count; i++)
		members += g->things[i].listens && g->things[i].reuseport && (g->things[i].port == port || g->things[i].port < 0);
	return members > 1;
}

static const struct weighted addresses4[] = {
	{ "0.0.0.0", 36 }, { "127.0.0.1", 36 }, { "127.0.0.2", 16 }, { "203.0.113.7", 2 }, { "255.255.255.255", 1 },
	{ "224.0.0.251", 1 }, { "[::1]", 2 }, { "[::]", 1 }, { NULL, 0 }
};

static const struct weighted addresses6[] = {
	{ "[::]", 34 }, { "[::1]", 26 }, { "[::ffff:127.0.0.1]", 16 }, { "[::ffff:0.0.0.0]", 9 }, { "[::ffff:127.0.0.2]", 6 },
	{ "[2001:db8::1]", 2 }, { "[ff02::fb]", 1 }, { "127.0.0.1", 2 }, { "0.0.0.0", 1 }, { NULL, 0 }
};

static const struct weighted lengths[] = {
	{ "0", 1 }, { "1", 1 }, { "2", 2 }, { "8", 2 }, { "15", 1 }, { "16", 2 }, { "24", 2 }, { "27", 1 }, { "128", 1 }, { NULL, 0 }
};

static int some_port(struct generator *g)
{
	return percent(g, 75) ? 0 : percent(g, 85) ? 1 : 2;
}

/* ---- actions ---- */

static void set_option(struct generator *g, int i)
{
	struct thing *thing = &g->things[i];
	int which = below(g, thing->six ? 5 : 4);
	int value = percent(g, 70);

	if (which < 2) {
		say(g, "set %c reuseaddr %d", name(i), value);
	} else if (which < 4) {
		say(g, "set %c reuseport %d", name(i), value);
		thing->reuseport |= value;
	} else {
		say(g, "set %c v6only %d", name(i), value);
	}
}

static int new_socket(struct generator *g, bool stream, bool six)
{
	int i = g->count++;

	g->things[i] = (struct thing){ .open = true, .stream = stream, .six = six, .port = -1 };
	say(g, "socket %c %s%c", name(i), stream ? "tcp" : "udp", six ? '6' : '4');
	if (six && percent(g, 30))
		say(g, "set %c v6only 1", name(i));
	if (percent(g, g->reuseaddr))
		say(g, "set %c reuseaddr 1", name(i));
	if (percent(g, g->reuseport)) {
		say(g, "set %c reuseport 1", name(i));
		g->things[i].reuseport = true;
	}
	if (percent(g, 3))
		say(g, "device %c lo", name(i));
	return i;
}

static void bind_thing(struct generator *g, int i)
{
	struct thing *thing = &g->things[i];
	const char *address = choose(g, thing->six ? addresses6 : addresses4);
	int port = some_port(g);

	if (g->other_user && percent(g, 15)) {
		say(g, "bind %c %s:81", name(i), address);
		return;
	}
	if (percent(g, 4)) {
		say(g, "bind %c %s:0", name(i), address);
		return;
	}
	if (percent(g, 3)) {
		say(g, "bind %c %s:P%d %s", name(i), address, port, choose(g, lengths));
		return;
	}
	say(g, "bind %c %s:P%d", name(i), address, port);
	if (thing->port < 0) {
		thing->port = port;
		snprintf(thing->address, sizeof(thing->address), "%s", address);
	}
}

static void listen_thing(struct generator *g, int i)
{
	if (percent(g, 20))
		say(g, "listen %c 1", name(i));
	else
		say(g, "listen %c", name(i));
	g->things[i].listens = g->things[i].stream;
}

static void add_socket(struct generator *g)
{
	bool stream = percent(g, 70);
	int i = new_socket(g, stream, percent(g, 40));

	if (percent(g, 90))
		bind_thing(g, i);
	if (percent(g, stream ? 55 : 2))
		listen_thing(g, i);
}

static const char *reachable(const struct thing *thing)
{
	if (!strcmp(thing->address, "0.0.0.0") || !*thing->address)
		return "127.0.0.1";
	if (!strcmp(thing->address, "[::]"))
		return "[::1]";
	if (!strcmp(thing->address, "[::ffff:0.0.0.0]"))
		return "[::ffff:127.0.0.1]";
	return thing->address;
}

static int any_listener(struct generator *g)
{
	int i = any_open(g);

	for (int tries = 0; i >= 0 && tries < g->count; tries++, i = (i + 1) % g->count)
		if (g->things[i].open && g->things[i].listens && g->things[i].port >= 0 && !chancy(g, g->things[i].port))
			return i;
	return -1;
}

static void close_thing(struct generator *g, int i)
{
	if (g->things[i].connected && percent(g, 10))
		say(g, "linger %c 0", name(i));
	say(g, "close %c", name(i));
	/* The other end takes notice. */
	if (g->things[i].connected || g->things[i].listens)
		say(g, "sleep 1");
	g->things[i].open = false;
	g->things[i].listens = g->things[i].listens && g->things[i].forked;
}

static void connect_thing(struct generator *g, int i, const struct thing *to)
{
	say(g, "connect %c %s:P%d", name(i), reachable(to), to->port);
	g->things[i].connected = true;
}

static int accept_thing(struct generator *g, int listener)
{
	int i = g->count++;

	g->things[i] = g->things[listener];
	g->things[i].listens = false;
	g->things[i].connected = true;
	say(g, "accept %c %c", name(listener), name(i));
	return i;
}

/* A client, an accepted socket, and often the remnant of one of them. */
static void converse(struct generator *g, int listener)
{
	int client = new_socket(g, true, g->things[listener].six);
	int accepted;

	if (percent(g, 25))
		bind_thing(g, client);
	connect_thing(g, client, &g->things[listener]);
	if (percent(g, 10))
		return;
	accepted = accept_thing(g, listener);
	if (percent(g, 30))
		return;
	close_thing(g, percent(g, 65) ? accepted : client);
}

static void connect_any(struct generator *g, int i)
{
	int listener = any_listener(g);
	struct thing nobody = { .port = some_port(g) };

	if (listener >= 0)
		connect_thing(g, i, &g->things[listener]);
	else if (!chancy(g, nobody.port))
		connect_thing(g, i, &nobody);
}

static void duplicate(struct generator *g, int i)
{
	int other = any_open(g);

	if (percent(g, 60)) {
		g->things[g->count] = g->things[i];
		say(g, "dup %c %c", name(i), name(g->count++));
		return;
	}
	say(g, "dup2 %c %c", name(i), name(other));
	g->things[other] = g->things[i];
}

static void change_user(struct generator *g)
{
	g->other_user = !g->other_user;
	say(g, "uid %d", g->other_user ? 65534 : 0);
}

static void fork_thing(struct generator *g, int i)
{
	say(g, "fork %c", name(i));
	g->things[i].forked = true;
}

/* The child may be all that holds a socket which was closed here. */
static void kill_some(struct generator *g)
{
	int start = below(g, g->count), i;

	for (int tries = 0; tries < g->count; tries++) {
		i = (start + tries) % g->count;
		if (!g->things[i].forked)
			continue;
		say(g, "kill %c", name(i));
		g->things[i].forked = false;
		g->things[i].listens = g->things[i].listens && g->things[i].open;
		return;
	}
}

static void look(struct generator *g, int i)
{
	static const struct weighted looks[] = {
		{ "name %c", 5 }, { "peer %c", 1 }, { "get %c reuseaddr", 2 }, { "get %c reuseport", 2 },
		{ "get %c error", 1 }, { NULL, 0 }
	};
	const char *what = choose(g, looks);
	const char *socket = strchr(what, '%');

	say(g, "%.*s%c%s", (int)(socket - what), what, name(i), socket + 2);
}

static void shut(struct generator *g, int i)
{
	static const struct weighted hows[] = { { "rd", 1 }, { "wr", 1 }, { "rdwr", 2 }, { NULL, 0 } };

	say(g, "shutdown %c %s", name(i), choose(g, hows));
}

static void act(struct generator *g)
{
	int i = any_open(g), listener = any_listener(g);
	int dice = below(g, 100);

	if (i < 0 || (dice < 34 && room(g)))
		add_socket(g);
	else if (dice < 43)
		set_option(g, i);
	else if (dice < 49 && (g->things[i].port < 0 || percent(g, 30)))
		bind_thing(g, i);
	else if (dice < 61 && (g->things[i].stream || percent(g, 10)))
		listen_thing(g, i);
	else if (dice < 70 && listener >= 0 && room(g))
		converse(g, listener);
	else if (dice < 73)
		connect_any(g, i);
	else if (dice < 83)
		close_thing(g, i);
	else if (dice < 85)
		shut(g, i);
	else if (dice < 88 && room(g))
		duplicate(g, i);
	else if (dice < 90)
		fork_thing(g, i);
	else if (dice < 94)
		kill_some(g);
	else if (dice < 95)
		change_user(g);
	else
		look(g, i);
}

/* A server that had a client: remnants need a plot. */
static void open_server(struct generator *g)
{
	int listener = new_socket(g, true, percent(g, 35));

	bind_thing(g, listener);
	listen_thing(g, listener);
	if (any_listener(g) == listener)
		converse(g, listener);
	if (percent(g, 60))
		close_thing(g, listener);
}

/* Several sockets for one port, which listen only when all are bound. */
static void open_crowd(struct generator *g)
{
	bool stream = percent(g, 75);
	int members = 2 + below(g, 2);

	for (int i = 0; i < members; i++)
		bind_thing(g, new_socket(g, stream, percent(g, 35)));
	for (int i = 0; stream && i < members; i++)
		if (percent(g, 70))
			listen_thing(g, i);
}

void generate(struct sequence *sequence, uint64_t seed, uint64_t number)
{
	static const int chances[] = { 5, 35, 90 };
	struct generator g = { .sequence = sequence, .random = seed * 0x9e3779b97f4a7c15u ^ number };
	size_t length;

	/* An action adds a dozen lines at most: SEQUENCE_LINES is never reached. */
	sequence->count = 0;
	g.reuseaddr = chances[below(&g, 3)];
	g.reuseport = chances[below(&g, 3)];
	length = 8 + (size_t)below(&g, 24);
	if (percent(&g, 40))
		open_server(&g);
	else if (percent(&g, 50))
		open_crowd(&g);
	while (sequence->count < length && g.count + 3 <= SOCKETS)
		act(&g);
}

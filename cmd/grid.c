/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "grid.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct place {
	char letter;
	bool ipv6, v6only;
	const char *address;
};

static const struct place places[] = {
	{ 'w', false, false, "0.0.0.0" },
	{ 'l', false, false, "127.0.0.1" },
	{ 'W', true, false, "[::]" },
	{ 'V', true, true, "[::]" },
	{ 'L', true, false, "[::1]" },
	{ 'm', true, false, "[::ffff:127.0.0.1]" },
};

#define PLACES (sizeof(places) / sizeof(*places))

enum what { WHAT_BOUND, WHAT_LISTENING, WHAT_CONNECTED, WHAT_CLOSED, WHAT_TIMEWAIT, WHAT_USER, WHAT_COUNT };

static const char *const whats[] = { "bound", "listening", "connected", "closed", "timewait", "user" };

struct socket_plan {
	const struct place *place;
	unsigned reuseaddr, reuseport;
};

static void write_socket(FILE *file, const char *protocol, const char *name, const struct socket_plan *plan)
{
	fprintf(file, "socket %s %s%d\n", name, protocol, plan->place->ipv6 ? 6 : 4);
	if (plan->place->ipv6)
		fprintf(file, "set %s v6only %d\n", name, plan->place->v6only);
	if (plan->reuseaddr)
		fprintf(file, "set %s reuseaddr 1\n", name);
	if (plan->reuseport)
		fprintf(file, "set %s reuseport 1\n", name);
	fprintf(file, "bind %s %s:P0\n", name, plan->place->address);
}

/* A listener gets a connection, and both or one of its sockets are closed. */
static void write_connection(FILE *file, enum what what, const struct socket_plan *a)
{
	bool ipv6 = a->place->letter == 'V' || a->place->letter == 'L';

	fprintf(file, "socket c tcp%d\nconnect c %s:P0\naccept a s\n", ipv6 ? 6 : 4, ipv6 ? "[::1]" : "127.0.0.1");
	if (what == WHAT_TIMEWAIT)
		fputs("close s\nclose c\n", file);
	if (what != WHAT_CONNECTED)
		fputs("close a\n", file);
}

static void write_pair(FILE *file, bool tcp, enum what what, const struct socket_plan *a, const struct socket_plan *b)
{
	const char *protocol = tcp ? "tcp" : "udp";

	fprintf(file, "scenario %s--%c%u%u--%c%u%u--%s\n", protocol, a->place->letter, a->reuseaddr, a->reuseport,
		b->place->letter, b->reuseaddr, b->reuseport, whats[what]);
	if (what == WHAT_USER)
		fputs("uid 1001\n", file);
	write_socket(file, protocol, "a", a);
	if (what != WHAT_BOUND && what != WHAT_USER)
		fputs("listen a\n", file);
	if (what >= WHAT_CONNECTED && what <= WHAT_TIMEWAIT)
		write_connection(file, what, a);
	if (what == WHAT_USER)
		fputs("uid 1002\n", file);
	write_socket(file, protocol, "b", b);
	if (tcp)
		fputs("listen b\n", file);
}

/* Which of them exist: a UDP socket is bound, and no more; connections are IPv4 or IPv6 on both sides. */
static bool makes_sense(bool tcp, enum what what, const struct socket_plan *a, const struct socket_plan *b)
{
	if (!tcp)
		return what == WHAT_BOUND || what == WHAT_USER;
	return what == WHAT_BOUND || what == WHAT_LISTENING || a->place->ipv6 == b->place->ipv6;
}

static struct socket_plan plan_of(size_t number)
{
	return (struct socket_plan){ &places[number / 4], number / 2 % 2, number % 2 };
}

static void write_all(FILE *file)
{
	for (int tcp = 1; tcp >= 0; tcp--)
		for (int what = 0; what < WHAT_COUNT; what++)
			for (size_t pair = 0; pair < PLACES * 4 * PLACES * 4; pair++) {
				struct socket_plan a = plan_of(pair / (PLACES * 4)), b = plan_of(pair % (PLACES * 4));

				if (makes_sense(tcp, (enum what)what, &a, &b))
					write_pair(file, tcp, (enum what)what, &a, &b);
			}
}

bool grid_scenarios(struct scenario_list *list)
{
	struct scenario_error error;
	char *text = NULL;
	size_t length = 0;
	FILE *file = open_memstream(&text, &length);
	bool good = file != NULL;

	if (good) {
		write_all(file);
		good = fclose(file) == 0 && scenario_parse(list, text, length, &error);
	}
	free(text);
	return good;
}

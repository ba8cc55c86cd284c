/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "grid.h"

#include <stdlib.h>
#include <string.h>

const struct grid_place grid_places[GRID_PLACES] = {
	{ 'w', false, false, "0.0.0.0" },
	{ 'l', false, false, "127.0.0.1" },
	{ 'W', true, false, "[::]" },
	{ 'V', true, true, "[::]" },
	{ 'L', true, false, "[::1]" },
	{ 'm', true, false, "[::ffff:127.0.0.1]" },
};

const char *const grid_states[GRID_STATES] = { "bound", "listening", "connected", "closed", "timewait" };

static const char *const option_names[] = { "reuseaddr", "reuseport", "exclusive", "reuseport_lb" };

static void write_socket(FILE *file, const char *protocol, const char *name, const struct grid_socket *socket)
{
	fprintf(file, "socket %s %s%d\n", name, protocol, socket->place->ipv6 ? 6 : 4);
	if (socket->place->ipv6)
		fprintf(file, "set %s v6only %d\n", name, socket->place->v6only);
	for (unsigned i = 0; i < sizeof(option_names) / sizeof(*option_names); i++)
		if (socket->options >> i & 1)
			fprintf(file, "set %s %s 1\n", name, option_names[i]);
	fprintf(file, "bind %s %s:P0\n", name, socket->place->address);
}

/* A listener gets a connection, and both or one of its sockets are closed. */
static void write_connection(FILE *file, const struct grid_pair *pair)
{
	bool ipv6 = pair->a.place->letter == 'V' || pair->a.place->letter == 'L';

	fprintf(file, "socket c tcp%d\nconnect c %s:P0\naccept a s\n", ipv6 ? 6 : 4, ipv6 ? "[::1]" : "127.0.0.1");
	if (pair->state == GRID_TIMEWAIT)
		fputs("close s\nclose c\n", file);
	if (pair->state != GRID_CONNECTED)
		fputs("close a\n", file);
}

static void write_name(FILE *file, const struct grid_socket *socket)
{
	fprintf(file, "--%c%d%d%s%s", socket->place->letter, !!(socket->options & GRID_REUSEADDR), !!(socket->options & GRID_REUSEPORT),
		socket->options & GRID_EXCLUSIVE ? "x" : "", socket->options & GRID_REUSEPORT_LB ? "b" : "");
}

void grid_write(FILE *file, const struct grid_pair *pair)
{
	const char *protocol = pair->tcp ? "tcp" : "udp";

	fprintf(file, "scenario %s", protocol);
	write_name(file, &pair->a);
	write_name(file, &pair->b);
	if (pair->state != GRID_BOUND || !pair->other_user)
		fprintf(file, "--%s", grid_states[pair->state]);
	fputs(pair->other_user ? "--user\nuid 1001\n" : "\n", file);
	write_socket(file, protocol, "a", &pair->a);
	if (pair->state != GRID_BOUND)
		fputs("listen a\n", file);
	if (pair->state >= GRID_CONNECTED)
		write_connection(file, pair);
	if (pair->other_user)
		fputs("uid 1002\n", file);
	write_socket(file, protocol, "b", &pair->b);
	if (pair->tcp)
		fputs("listen b\n", file);
}

bool grid_prepares(const struct scenario *scenario, const struct step *step)
{
	return !grid_is_optional(step) && strcmp(scenario->names[step->socket], "b");
}

bool grid_is_optional(const struct step *step)
{
	return step->operation == OPERATION_SET || step->operation == OPERATION_UID;
}

/* ---- what compare tries ---- */

static struct grid_socket socket_of(size_t number)
{
	static const unsigned options[GRID_OPTIONS] = { 0, GRID_REUSEPORT, GRID_REUSEADDR, GRID_REUSEADDR | GRID_REUSEPORT };

	return (struct grid_socket){ &grid_places[number / GRID_OPTIONS], options[number % GRID_OPTIONS] };
}

static void write_pairs(FILE *file, bool tcp, enum grid_state state, bool other_user, bool any_family)
{
	for (size_t number = 0; number < GRID_SOCKETS * GRID_SOCKETS; number++) {
		struct grid_pair pair = { tcp, state, other_user, socket_of(number / GRID_SOCKETS), socket_of(number % GRID_SOCKETS) };

		if (any_family || pair.a.place->ipv6 == pair.b.place->ipv6)
			grid_write(file, &pair);
	}
}

static void write_all(FILE *file)
{
	for (int tcp = 1; tcp >= 0; tcp--) {
		int states = tcp ? GRID_STATES : GRID_UDP_STATES;

		for (int state = 0; state < states; state++)
			write_pairs(file, tcp, (enum grid_state)state, false, state <= GRID_LISTENING);
		write_pairs(file, tcp, GRID_BOUND, true, !tcp);
	}
}

/* What was written to file becomes scenarios. */
static bool parse_written(struct scenario_list *list, FILE *file, char **text, size_t *length)
{
	struct scenario_error error;
	bool good = fclose(file) == 0 && scenario_parse(list, *text, *length, &error);

	free(*text);
	return good;
}

bool grid_pairs(struct scenario_list *list, bool tcp, enum grid_state state, bool other_user)
{
	char *text = NULL;
	size_t length = 0;
	FILE *file = open_memstream(&text, &length);

	if (!file)
		return false;
	write_pairs(file, tcp, state, other_user, true);
	return parse_written(list, file, &text, &length);
}

bool grid_scenarios(struct scenario_list *list)
{
	char *text = NULL;
	size_t length = 0;
	FILE *file = open_memstream(&text, &length);

	if (!file)
		return false;
	write_all(file);
	return parse_written(list, file, &text, &length);
}

/* SPDX-License-Identifier: MIT */
/* fakebind sessions: which machines there are.  fakebind end: one is switched off. */
#define _GNU_SOURCE
#include "cmd.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "colour.h"
#include "print_json.h"
#include "sessions.h"
#include "terminal.h"

static const char help[] =
	"Usage: fakebind sessions [--json]\n"
	"       fakebind end NAME [--force]\n"
	"\n"
	"Lists the runs and sessions of this user; ends one: what it remembers is\n"
	"forgotten.  Without a NAME both list them.\n"
	"\n"
	"  -f, --force           although programs of it run: they go on together, later\n"
	"                        ones begin anew\n"
	"      --json            for programs\n"
	"  -h, --help            show this text\n"
	"\n"
	"One ends by itself when no program of it runs and its connections have left\n"
	"nothing behind (TIME_WAIT): the next start of any program under fakebind removes\n"
	"it.\n";

/* ---- the list ---- */

struct line {
	const char *name;
	char system[REGISTRY_SYSTEM_MAX];
	uint32_t programs[8];
	size_t program_count, sockets;
};

static struct line line_of(const struct session_file *session)
{
	struct line line = { .name = session->name };
	const struct profile *profile;
	struct registry registry;
	struct registry_usage usage;

	line.program_count = session_programs(session, line.programs, sizeof(line.programs) / sizeof(*line.programs));
	if (session_open(session, &registry, 0, line.system, &profile) != REGISTRY_OK) {
		strcpy(line.system, "?");
		return line;
	}
	registry_usage(&registry, &usage);
	line.sockets = usage.records_live;
	registry_close(&registry);
	return line;
}

static size_t named(const struct line *line)
{
	const size_t most = sizeof(line->programs) / sizeof(*line->programs);

	return line->program_count < most ? line->program_count : most;
}

static void print_lines(const struct line *lines, size_t count)
{
	int name_width = (int)strlen("SESSION"), system_width = (int)strlen("SYSTEM");
	const bool colours = terminal_colours();
	char name[PROGRAM_NAME];

	for (size_t i = 0; i < count; i++) {
		if ((int)strlen(lines[i].name) > name_width)
			name_width = (int)strlen(lines[i].name);
		if ((int)strlen(lines[i].system) > system_width)
			system_width = (int)strlen(lines[i].system);
	}
	printf("%s%-*s  %-*s  RECORDS  PROGRAMS%s\n", colour_on(colours, COLOUR_TITLE), name_width, "SESSION", system_width, "SYSTEM",
	       colour_off(colours));
	for (size_t i = 0; i < count; i++) {
		printf("%-*s  %-*s  %7zu  ", name_width, lines[i].name, system_width, lines[i].system, lines[i].sockets);
		for (size_t j = 0; j < named(&lines[i]); j++)
			printf("%s%s[%u]", j ? ", " : "", program_name(lines[i].programs[j], name), lines[i].programs[j]);
		if (named(&lines[i]) < lines[i].program_count)
			printf(", %zu more", lines[i].program_count - named(&lines[i]));
		puts(lines[i].program_count ? "" : "-");
	}
}

static void print_json(const struct line *lines, size_t count)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < count; i++) {
		struct json_object *object = json_object_new_object(), *pids = json_object_new_array();

		for (size_t j = 0; j < named(&lines[i]); j++)
			json_object_array_add(pids, json_object_new_int64(lines[i].programs[j]));
		json_add_text(object, "session", lines[i].name);
		json_add_text(object, "system", lines[i].system);
		json_object_object_add(object, "records", json_object_new_int64((int64_t)lines[i].sockets));
		json_object_object_add(object, "programs", json_object_new_int64((int64_t)lines[i].program_count));
		json_object_object_add(object, "pids", pids);
		json_object_array_add(array, object);
	}
	json_print(array);
}

static int list_sessions(bool json)
{
	struct session_list list;
	struct line *lines;

	if (!sessions_read(&list))
		return 1;
	lines = calloc(list.count + 1, sizeof(*lines));
	for (size_t i = 0; lines && i < list.count; i++)
		lines[i] = line_of(&list.files[i]);
	if (lines && json)
		print_json(lines, list.count);
	else if (lines && list.count)
		print_lines(lines, list.count);
	else if (lines)
		puts("no session: nothing runs under fakebind");
	free(lines);
	sessions_free(&list);
	return finish_output();
}

/* ---- the end ---- */

static void refuse(const struct session_file *session, const uint32_t *pids, size_t count)
{
	char name[PROGRAM_NAME];

	fprintf(stderr, "fakebind: session %s: %zu program%s of it still run%s:", session->name, count, count == 1 ? "" : "s", count == 1 ? "s" : "");
	for (size_t i = 0; i < count && i < 8; i++)
		fprintf(stderr, " %s[%u]", program_name(pids[i], name), pids[i]);
	fprintf(stderr, "%s; end %s first, or use --force\n", count > 8 ? " ..." : "", count == 1 ? "it" : "them");
}

/* Programs that /proc does not show (another pid namespace) may have told the registry of themselves. */
static bool others_live(const struct session_file *session)
{
	const struct profile *profile;
	char system[REGISTRY_SYSTEM_MAX];
	struct registry registry;
	bool alive;

	if (session_open(session, &registry, 0, system, &profile) != REGISTRY_OK)
		return false;
	alive = registry_any_process_alive(&registry);
	registry_close(&registry);
	if (alive)
		complain("session %s: programs of it may still run, in another pid namespace; --force ends it all the same", session->name);
	return alive;
}

static int end(const char *name, bool force)
{
	struct session_file session;
	uint32_t pids[8];
	size_t count;

	if (!session_find(name, &session))
		return EXIT_OURS;
	count = session_programs(&session, pids, sizeof(pids) / sizeof(*pids));
	if (count && !force) {
		refuse(&session, pids, count);
		return 1;
	}
	if (!force && others_live(&session))
		return 1;
	if (unlink(session.path) && errno != ENOENT) {
		complain("%s: %s", session.path, strerror(errno));
		return 1;
	}
	return 0;
}

static int parse(int argc, char **argv, bool *force, bool *json)
{
	static const struct option options[] = {
		{ "force", no_argument, NULL, 'f' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int letter;

	while ((letter = getopt_long(argc, argv, "fh", options, NULL)) != -1) {
		*force |= letter == 'f';
		*json |= letter == 'j';
		if (letter != 'f' && letter != 'j')
			return help_or_misuse(letter, help);
	}
	return GO_ON;
}

int sessions_main(int argc, char **argv)
{
	bool force = false, json = false;
	int result = parse(argc, argv, &force, &json);

	if (result != GO_ON)
		return result;
	if (force || optind < argc) {
		complain("sessions takes no %s", force ? "--force" : "argument; to end one: fakebind end NAME");
		return misuse();
	}
	return list_sessions(json);
}

int end_main(int argc, char **argv)
{
	bool force = false, json = false;
	int result = parse(argc, argv, &force, &json);

	if (result != GO_ON)
		return result;
	if (optind == argc && !force)
		return list_sessions(json);
	if (optind + 1 != argc || json) {
		complain("end takes the name of one session; fakebind sessions lists them");
		return misuse();
	}
	return end(argv[optind], force);
}

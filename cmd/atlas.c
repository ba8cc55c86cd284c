/* SPDX-License-Identifier: MIT */
/* fakebind atlas: what every system answers to every pair of sockets, as one page to look at. */
#define _GNU_SOURCE
#include "config.h"

#include "atlas.h"
#include "cmd.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "grid.h"
#include "play_model.h"
#include "print_json.h"
#include "profile_text.h"
#include "systems.h"

/* In the order in which the page offers them. */
static const struct {
	const char *code;
	const char *label;
	unsigned options;
} option_sets[] = {
	{ "none", "no option", 0 },
	{ "a", "SO_REUSEADDR", GRID_REUSEADDR },
	{ "p", "SO_REUSEPORT", GRID_REUSEPORT },
	{ "ap", "SO_REUSEADDR and SO_REUSEPORT", GRID_REUSEADDR | GRID_REUSEPORT },
	{ "x", "SO_EXCLUSIVEADDRUSE", GRID_EXCLUSIVE },
	{ "lb", "SO_REUSEPORT_LB", GRID_REUSEPORT_LB },
};

#define OPTION_SETS (sizeof(option_sets) / sizeof(*option_sets))
#define SOCKETS (GRID_PLACES * OPTION_SETS)
#define NOTES_MAX 16 /* no scenario of the grid has as many steps worth a note: options, users, bind, listen */

/* JSON values that are told once and then called by their number. */
struct pool {
	struct json_object *list, *numbers;
};

/* A step that says something: it failed, or it is what is asked about. */
struct note {
	const struct step *step;
	char answer[32];
	const struct rule *rule;
};

struct atlas {
	struct systems systems;
	const char *output; /* NULL: standard output */
	struct scenario_list list;
	struct model_player model;
	struct note notes[NOTES_MAX];
	size_t note_count;
	struct pool rules, outcomes, rows;
};

static const char help[] =
	"Usage: fakebind atlas [OPTION]...\n"
	"\n"
	"Writes an atlas of the systems, one HTML page that needs no network: for any two\n"
	"of them which sockets can share a port, where they differ, and by which rules.\n"
	"\n"
	"  -o, --os NAME|FILE     only these; may be repeated, or a list with commas\n"
	"                         (default: all of them)\n"
	"      --output FILE      write it there, not on standard output\n"
	"  -h, --help             show this text\n";

/* ---- JSON ---- */

static struct json_object *text_or_null(const char *text)
{
	return text ? json_object_new_string(text) : NULL;
}

static struct json_object *texts(size_t count, ...)
{
	struct json_object *array = json_object_new_array();
	va_list arguments;

	va_start(arguments, count);
	for (size_t i = 0; i < count; i++)
		json_object_array_add(array, text_or_null(va_arg(arguments, const char *)));
	va_end(arguments);
	return array;
}

static struct pool pool_new(void)
{
	return (struct pool){ json_object_new_array(), json_object_new_object() };
}

/* The number of key; -1 if it has none yet. */
static int pool_find(const struct pool *pool, const char *key)
{
	struct json_object *number;

	return json_object_object_get_ex(pool->numbers, key, &number) ? json_object_get_int(number) : -1;
}

static int pool_add(struct pool *pool, const char *key, struct json_object *value)
{
	int number = (int)json_object_array_length(pool->list);

	json_object_array_add(pool->list, value);
	json_object_object_add(pool->numbers, key, json_object_new_int(number));
	return number;
}

/* ---- the answers ---- */

static bool is_decided(const struct atlas *atlas)
{
	const struct note *last;

	if (!atlas->note_count)
		return false;
	last = &atlas->notes[atlas->note_count - 1];
	return atlas->note_count == NOTES_MAX || (strcmp(last->answer, "ok") && !grid_is_optional(last->step));
}

static void take_answer(void *context, const struct scenario *scenario, const struct step *step, const char *answer)
{
	struct atlas *atlas = context;
	bool asked = !grid_prepares(scenario, step) && (step->operation == OPERATION_BIND || step->operation == OPERATION_LISTEN);
	struct note *note = &atlas->notes[atlas->note_count];

	if (is_decided(atlas) || (!strcmp(answer, "ok") && !asked))
		return;
	atlas->note_count++;
	note->step = step;
	snprintf(note->answer, sizeof(note->answer), "%s", answer);
	note->rule = atlas->model.verdict->rule;
}

/* "bind b", "set b reuseport": enough to find it among the steps of a scenario. */
static int step_length(const struct step *step)
{
	int length = (int)strcspn(step->line, " ");

	for (int words = step->operation == OPERATION_SET ? 2 : 1; words; words--)
		length += 1 + (int)strcspn(step->line + length + 1, " ");
	return length;
}

static struct json_object *rule_number(struct atlas *atlas, const struct rule *rule)
{
	char *key = NULL;
	int number;

	if (!rule)
		return NULL;
	if (asprintf(&key, "%s\n%s\n%s\n%s", rule->id, rule->because, rule->remedy, rule->source) < 0)
		must(NULL);
	number = pool_find(&atlas->rules, key);
	if (number < 0)
		number = pool_add(&atlas->rules, key, texts(4, rule->id, rule->because, rule->remedy, rule->source));
	free(key);
	return json_object_new_int(number);
}

static struct json_object *outcome_json(struct atlas *atlas)
{
	struct json_object *array = json_object_new_array();

	for (const struct note *note = atlas->notes; note < atlas->notes + atlas->note_count; note++) {
		struct json_object *entry = json_object_new_array();

		json_object_array_add(entry, json_object_new_string_len(note->step->line, step_length(note->step)));
		json_object_array_add(entry, json_object_new_string(note->answer));
		json_object_array_add(entry, rule_number(atlas, note->rule));
		json_object_array_add(array, entry);
	}
	return array;
}

static int outcome_of(struct atlas *atlas, const struct scenario *scenario)
{
	char key[NOTES_MAX * 96];
	size_t length = 0;
	int number;

	atlas->note_count = 0;
	play_model(&atlas->model, scenario, take_answer, atlas);
	key[0] = 0;
	for (const struct note *note = atlas->notes; note < atlas->notes + atlas->note_count; note++)
		length += (size_t)snprintf(key + length, sizeof(key) - length, "%.*s %s %p\n", step_length(note->step),
					   note->step->line, note->answer, (const void *)note->rule);
	number = pool_find(&atlas->outcomes, key);
	return number >= 0 ? number : pool_add(&atlas->outcomes, key, outcome_json(atlas));
}

/* One first socket, every second one: many systems agree on many rows. */
static int row_of(struct atlas *atlas, const struct scenario *scenarios)
{
	struct json_object *row = json_object_new_array();
	const char *key;
	int number;

	for (size_t i = 0; i < SOCKETS; i++)
		json_object_array_add(row, json_object_new_int(outcome_of(atlas, &scenarios[i])));
	key = json_object_to_json_string_ext(row, JSON_C_TO_STRING_PLAIN);
	number = pool_find(&atlas->rows, key);
	if (number < 0)
		return pool_add(&atlas->rows, key, row);
	json_object_put(row);
	return number;
}

static struct json_object *system_json(struct atlas *atlas, const struct profile *profile)
{
	struct json_object *object = json_object_new_object(), *rows = json_object_new_array();

	atlas->model = (struct model_player){ .profile = profile };
	for (size_t i = 0; i < atlas->list.count; i += SOCKETS)
		json_object_array_add(rows, json_object_new_int(row_of(atlas, &atlas->list.scenarios[i])));
	json_add_text(object, "name", profile->name);
	json_add_text(object, "title", profile->title);
	json_add_text(object, "family", profile->family->name);
	json_add_text(object, "tier", tier_names[profile->tier]);
	json_add_text(object, "sources", profile->sources);
	json_object_object_add(object, "rows", rows);
	return object;
}

/* ---- the questions ---- */

static struct grid_socket socket_of(size_t number)
{
	return (struct grid_socket){ &grid_places[number % GRID_PLACES], option_sets[number / GRID_PLACES].options };
}

/* The order is the page's: protocol, state, user, first socket, second socket; of a socket its options, its address. */
static void write_scenarios(FILE *file)
{
	for (int tcp = 1; tcp >= 0; tcp--)
		for (int state = 0; state < (tcp ? GRID_STATES : GRID_UDP_STATES); state++)
			for (int other_user = 0; other_user <= 1; other_user++)
				for (size_t number = 0; number < SOCKETS * SOCKETS; number++)
					grid_write(file, &(struct grid_pair){ tcp, (enum grid_state)state, other_user,
									     socket_of(number / SOCKETS), socket_of(number % SOCKETS) });
}

static void add_questions(struct json_object *object)
{
	struct json_object *places = json_object_new_array(), *options = json_object_new_array(), *states = json_object_new_array();

	for (size_t i = 0; i < GRID_PLACES; i++) {
		char letter[2] = { grid_places[i].letter };

		json_object_array_add(places, texts(3, letter, grid_places[i].address, grid_places[i].v6only ? "v6only" : NULL));
	}
	for (size_t i = 0; i < OPTION_SETS; i++)
		json_object_array_add(options, texts(2, option_sets[i].code, option_sets[i].label));
	for (size_t i = 0; i < GRID_STATES; i++)
		json_object_array_add(states, json_object_new_string(grid_states[i]));
	json_object_object_add(object, "places", places);
	json_object_object_add(object, "options", options);
	json_object_object_add(object, "states", states);
}

static struct json_object *atlas_json(struct atlas *atlas)
{
	struct json_object *object = json_object_new_object(), *systems = json_object_new_array();

	for (size_t i = 0; i < atlas->systems.count; i++)
		json_object_array_add(systems, system_json(atlas, atlas->systems.profiles[i]));
	json_add_text(object, "version", PACKAGE_VERSION);
	add_questions(object);
	json_object_object_add(object, "systems", systems);
	json_object_object_add(object, "rules", json_object_get(atlas->rules.list));
	json_object_object_add(object, "outcomes", json_object_get(atlas->outcomes.list));
	json_object_object_add(object, "rows", json_object_get(atlas->rows.list));
	return object;
}

/* ---- the page ---- */

static void write_lines(FILE *file, const char *const *lines)
{
	for (; *lines; lines++)
		fputs(*lines, file);
}

/* A `<' is part of a text, and must not end the element that the data is in. */
static void write_data(FILE *file, const char *json)
{
	for (; *json; json++)
		if (*json == '<')
			fputs("\\u003c", file);
		else
			putc(*json, file);
	putc('\n', file);
}

static void write_page(FILE *file, const char *json)
{
	write_lines(file, atlas_before);
	write_data(file, json);
	write_lines(file, atlas_after);
}

/* A page cut short is worse than none. */
static int write_file(const char *path, const char *json)
{
	FILE *file = fopen(path, "we");
	bool good;

	if (!file) {
		complain("cannot write %s: %s", path, strerror(errno));
		return 1;
	}
	write_page(file, json);
	good = !ferror(file);
	good &= fclose(file) == 0;
	if (good)
		return 0;
	complain("cannot write %s: %s", path, strerror(errno));
	remove(path);
	return 1;
}

static bool read_scenarios(struct scenario_list *list)
{
	struct scenario_error error;
	char *text = NULL;
	size_t length = 0;
	FILE *file = must(open_memstream(&text, &length));
	bool good;

	write_scenarios(file);
	good = fclose(file) == 0 && scenario_parse(list, text, length, &error);
	free(text);
	return good;
}

static int write_atlas(struct atlas *atlas)
{
	struct json_object *object;
	const char *json;
	int result = 0;

	if (!read_scenarios(&atlas->list))
		must(NULL);
	object = atlas_json(atlas);
	json = must((void *)json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	if (atlas->output)
		result = write_file(atlas->output, json);
	else
		write_page(stdout, json);
	json_object_put(object);
	return result ? result : finish_output();
}

/* ---- what is wanted ---- */

#define OUTPUT 256
/* An exit status, or GO_ON. */
static int parse(int argc, char **argv, struct atlas *atlas)
{
	static const struct option options[] = {
		{ "os", required_argument, NULL, 'o' },
		{ "output", required_argument, NULL, OUTPUT },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int letter;

	while ((letter = getopt_long(argc, argv, "o:h", options, NULL)) != -1) {
		switch (letter) {
		case 'o':
			if (!systems_add(&atlas->systems, optarg))
				return EXIT_OURS;
			break;
		case OUTPUT:
			atlas->output = optarg;
			break;
		default:
			return help_or_misuse(letter, help);
		}
	}
	if (optind < argc) {
		complain("atlas takes no argument: %s", argv[optind]);
		return misuse();
	}
	systems_once(&atlas->systems);
	if (!atlas->output && isatty(STDOUT_FILENO)) {
		complain("the atlas is for a browser, not for a terminal: --output FILE");
		return misuse();
	}
	return GO_ON;
}

static void pool_free(struct pool *pool)
{
	json_object_put(pool->list);
	json_object_put(pool->numbers);
}

int atlas_main(int argc, char **argv)
{
	struct atlas atlas = { .rules = pool_new(), .outcomes = pool_new(), .rows = pool_new() };
	int result = parse(argc, argv, &atlas);

	if (result == GO_ON && !atlas.systems.count)
		systems_add_all(&atlas.systems);
	if (result == GO_ON)
		result = write_atlas(&atlas);
	systems_free(&atlas.systems);
	scenario_list_free(&atlas.list);
	pool_free(&atlas.rules);
	pool_free(&atlas.outcomes);
	pool_free(&atlas.rows);
	return result;
}

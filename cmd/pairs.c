/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "pairs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "colour.h"
#include "grid.h"
#include "play_model.h"
#include "print_json.h"
#include "terminal.h"

#define PAIRS (GRID_SOCKETS * GRID_SOCKETS)
#define LABEL 15        /* "[::] v6only ap", a blank */
#define WIDTH_UNKNOWN 80

struct verdict_word {
	char answer[32]; /* "ok"; "n/a": the first socket cannot be */
	bool at_listen;
	const struct rule *rule;
};

/* One protocol and state. */
struct section {
	bool tcp;
	enum grid_state state;
	bool other_user;
	const char *title;
};

static const struct section sections[] = {
	{ true, GRID_BOUND, false, "TCP, the first socket is bound" },
	{ true, GRID_LISTENING, false, "TCP, the first socket listens" },
	{ true, GRID_CONNECTED, false, "TCP, the first socket listens and has a connection" },
	{ true, GRID_CLOSED, false, "TCP, the first socket is closed, its connection is not" },
	{ true, GRID_TIMEWAIT, false, "TCP, the first socket is closed, its connection in TIME_WAIT" },
	{ true, GRID_BOUND, true, "TCP, the first socket is bound, the second another user's" },
	{ false, GRID_BOUND, false, "UDP, the first socket is bound" },
	{ false, GRID_BOUND, true, "UDP, the first socket is bound, the second another user's" },
};

struct table {
	const struct pairs_wish *wish;
	const struct section *section;
	struct scenario_list list;
	struct verdict_word *verdicts; /* of the section: wish->systems.count for each pair */
	struct verdict_word *playing;
	struct model_player model;
	size_t differing, columns;
	bool colour;
};

/* ---- verdicts ---- */

static bool is_ok(const struct verdict_word *word)
{
	return !strcmp(word->answer, "ok");
}

/* The first failure counts; else it is bind() that is asked about. */
static void take_answer(void *context, const struct scenario *scenario, const struct step *step, const char *answer)
{
	struct table *table = context;
	struct verdict_word *word = table->playing;
	bool prepares = grid_prepares(scenario, step);

	if (grid_is_optional(step) || !is_ok(word))
		return;
	if (!prepares && step->operation == OPERATION_BIND)
		word->rule = table->model.verdict->rule;
	if (!strcmp(answer, "ok"))
		return;
	snprintf(word->answer, sizeof(word->answer), "%s", prepares ? "n/a" : answer);
	word->at_listen = !prepares && step->operation == OPERATION_LISTEN;
	word->rule = table->model.verdict->rule;
}

static void play_section(struct table *table)
{
	const struct pairs_wish *wish = table->wish;

	for (size_t pair = 0; pair < PAIRS; pair++)
		for (size_t i = 0; i < wish->systems.count; i++) {
			table->playing = &table->verdicts[pair * wish->systems.count + i];
			*table->playing = (struct verdict_word){ .answer = "ok" };
			table->model = (struct model_player){ .profile = wish->systems.profiles[i], .loopback_alias = wish->loopback_alias };
			play_model(&table->model, &table->list.scenarios[pair], take_answer, table);
		}
}

static const struct verdict_word *verdict_at(const struct table *table, size_t pair, size_t system)
{
	return &table->verdicts[pair * table->wish->systems.count + system];
}

static bool same(const struct verdict_word *a, const struct verdict_word *b)
{
	return !strcmp(a->answer, b->answer) && a->at_listen == b->at_listen;
}

static bool differs(const struct table *table, size_t pair)
{
	for (size_t i = 1; i < table->wish->systems.count; i++)
		if (!same(verdict_at(table, pair, 0), verdict_at(table, pair, i)))
			return true;
	return false;
}

static bool row_differs(const struct table *table, size_t row)
{
	for (size_t column = 0; column < GRID_SOCKETS; column++)
		if (differs(table, row * GRID_SOCKETS + column))
			return true;
	return false;
}

/* ---- the table ---- */

static const struct {
	const char *answer;
	char letter;
} letters[] = {
	{ "ok", '.' }, { "n/a", '-' }, { "EADDRINUSE", 'U' }, { "EACCES", 'A' }, { "EPERM", 'P' }, { "EINVAL", 'V' },
	{ "EADDRNOTAVAIL", 'N' }, { "EAFNOSUPPORT", 'F' }, { "EPROTONOSUPPORT", 'S' },
};

#define OTHER_LETTER 'E'

static char letter_of(const struct verdict_word *word)
{
	char letter = OTHER_LETTER;

	for (size_t i = 0; i < sizeof(letters) / sizeof(*letters); i++)
		if (!strcmp(word->answer, letters[i].answer))
			letter = letters[i].letter;
	return word->at_listen ? (char)(letter + 'a' - 'A') : letter;
}

static const char *place_name(const struct grid_place *place)
{
	if (place->letter == 'm')
		return "mapped";
	return place->v6only ? "[::] v6only" : place->address;
}

static const char *const option_names[GRID_OPTIONS] = { "--", "-p", "a-", "ap" };

static int cell_width(const struct table *table)
{
	return table->wish->systems.count < 2 ? 2 : (int)table->wish->systems.count;
}

static int group_width(const struct table *table)
{
	return GRID_OPTIONS * (cell_width(table) + 1);
}

/* How many addresses fit side by side; 0: not even one. */
static size_t groups_that_fit(const struct table *table)
{
	size_t groups = table->columns < LABEL ? 0 : (table->columns - LABEL) / ((size_t)group_width(table) + 1);

	return groups < GRID_PLACES ? groups : GRID_PLACES;
}

/* Where all agree, one letter says it. */
static void print_cell(const struct table *table, size_t pair)
{
	bool unlike = differs(table, pair);
	size_t count = unlike ? table->wish->systems.count : 1;

	for (size_t i = 0; i < count; i++) {
		const struct verdict_word *word = verdict_at(table, pair, i);

		fputs(colour_on(table->colour, !unlike ? COLOUR_FAINT : is_ok(word) ? COLOUR_GOOD : COLOUR_BAD), stdout);
		putchar(letter_of(word));
		fputs(colour_off(table->colour), stdout);
	}
	printf("%*s", cell_width(table) + 1 - (int)count, "");
}

static void print_heading(const struct table *table, size_t first, size_t end)
{
	printf("%-*s", LABEL, "first, second:");
	for (size_t place = first; place < end; place++)
		printf("%-*s", group_width(table) + (place + 1 < end), place_name(&grid_places[place]));
	printf("\n%*s", LABEL, "");
	for (size_t place = first; place < end; place++) {
		for (size_t i = 0; i < GRID_OPTIONS; i++)
			printf("%-*s", cell_width(table) + 1, option_names[i]);
		putchar(place + 1 < end ? ' ' : '\n');
	}
}

static void print_row(const struct table *table, size_t row, size_t first, size_t end)
{
	printf("%-*s%s ", LABEL - 3, place_name(&grid_places[row / GRID_OPTIONS]), option_names[row % GRID_OPTIONS]);
	for (size_t place = first; place < end; place++) {
		for (size_t i = 0; i < GRID_OPTIONS; i++)
			print_cell(table, row * GRID_SOCKETS + place * GRID_OPTIONS + i);
		putchar(place + 1 < end ? ' ' : '\n');
	}
}

static size_t shown_rows(const struct table *table)
{
	size_t count = 0;

	for (size_t row = 0; row < GRID_SOCKETS; row++)
		count += table->wish->all || row_differs(table, row);
	return count;
}

/* As many addresses as fit side by side, the others below. */
static void print_table(const struct table *table, size_t groups)
{
	size_t rows = shown_rows(table);

	if (!rows) {
		printf("%s: no difference\n\n", table->section->title);
		return;
	}
	printf("%s\n", table->section->title);
	for (size_t first = 0; first < GRID_PLACES; first += groups) {
		size_t end = first + groups < GRID_PLACES ? first + groups : GRID_PLACES;

		print_heading(table, first, end);
		for (size_t row = 0; row < GRID_SOCKETS; row++)
			if (table->wish->all || row_differs(table, row))
				print_row(table, row, first, end);
	}
	if (rows < GRID_SOCKETS)
		printf("left out: %zu rows in which all agree (--all shows them)\n", GRID_SOCKETS - rows);
	putchar('\n');
}

static void print_legend(const struct table *table)
{
	printf("A cell is the verdict of");
	for (size_t i = 0; i < table->wish->systems.count; i++)
		printf("%s %s", i ? "," : "", table->wish->systems.profiles[i]->name);
	puts(", or one letter if all agree:");
	puts("  . ok, U EADDRINUSE, A EACCES, P EPERM, V EINVAL, N EADDRNOTAVAIL,");
	puts("  F EAFNOSUPPORT, S EPROTONOSUPPORT, E another error; a small letter: of listen();");
	puts("  - there is no such first socket.  Options: a SO_REUSEADDR, p SO_REUSEPORT.");
	puts("  mapped is [::ffff:127.0.0.1].\n");
}

/* ---- the list, if no table fits ---- */

/* The systems of one verdict, in lines of the terminal's width. */
static void print_systems(const struct table *table, size_t pair, size_t first)
{
	const struct verdict_word *word = verdict_at(table, pair, first);
	size_t at = (size_t)printf("  %s%s:", word->answer, word->at_listen ? " at listen" : "");

	for (size_t i = first; i < table->wish->systems.count; i++) {
		const char *name = table->wish->systems.profiles[i]->name;

		if (!same(word, verdict_at(table, pair, i)))
			continue;
		if (at + 1 + strlen(name) > table->columns)
			at = (size_t)printf("\n     ") - 1;
		at += (size_t)printf(" %s", name);
	}
	putchar('\n');
}

static bool is_first_of_kind(const struct table *table, size_t pair, size_t system)
{
	for (size_t i = 0; i < system; i++)
		if (same(verdict_at(table, pair, i), verdict_at(table, pair, system)))
			return false;
	return true;
}

static void print_pair(const struct table *table, size_t pair)
{
	size_t a = pair / GRID_SOCKETS, b = pair % GRID_SOCKETS;

	printf("%s: %s %s, then %s %s\n", table->section->title, place_name(&grid_places[a / GRID_OPTIONS]), option_names[a % GRID_OPTIONS],
	       place_name(&grid_places[b / GRID_OPTIONS]), option_names[b % GRID_OPTIONS]);
	for (size_t i = 0; i < table->wish->systems.count; i++)
		if (is_first_of_kind(table, pair, i))
			print_systems(table, pair, i);
}

/* ---- for programs ---- */

static void print_tsv(const struct table *table, size_t pair)
{
	fputs(table->list.scenarios[pair].name, stdout);
	for (size_t i = 0; i < table->wish->systems.count; i++) {
		const struct verdict_word *word = verdict_at(table, pair, i);

		printf("\t%s%s", word->answer, word->at_listen ? " at listen" : "");
	}
	putchar('\n');
}

static void print_tsv_heading(const struct table *table)
{
	fputs("pair", stdout);
	for (size_t i = 0; i < table->wish->systems.count; i++)
		printf("\t%s", table->wish->systems.profiles[i]->name);
	putchar('\n');
}

static struct json_object *verdict_json(const struct table *table, size_t pair, size_t system)
{
	const struct verdict_word *word = verdict_at(table, pair, system);
	struct json_object *object = json_object_new_object();

	json_add_text(object, "system", table->wish->systems.profiles[system]->name);
	json_add_text(object, "answer", word->answer);
	if (word->at_listen)
		json_add_text(object, "at", "listen");
	if (word->rule) {
		json_add_text(object, "rule", word->rule->id);
		json_add_text(object, "because", word->rule->because);
	}
	return object;
}

static void print_json(const struct table *table, size_t pair)
{
	struct json_object *object = json_object_new_object(), *answers = json_object_new_array();

	json_add_text(object, "pair", table->list.scenarios[pair].name);
	json_object_object_add(object, "differs", json_object_new_boolean(differs(table, pair)));
	for (size_t i = 0; i < table->wish->systems.count; i++)
		json_object_array_add(answers, verdict_json(table, pair, i));
	json_object_object_add(object, "answers", answers);
	json_print_line(object);
}

/* ---- all of it ---- */

static void print_pairs(const struct table *table)
{
	for (size_t pair = 0; pair < PAIRS; pair++) {
		if (!table->wish->all && !differs(table, pair))
			continue;
		if (table->wish->output == OUTPUT_TSV)
			print_tsv(table, pair);
		else if (table->wish->output == OUTPUT_JSON)
			print_json(table, pair);
		else
			print_pair(table, pair);
	}
}

static void show_section(struct table *table)
{
	const struct section *section = table->section;
	size_t groups = table->wish->output == OUTPUT_HUMAN ? groups_that_fit(table) : 0;

	if (!grid_pairs(&table->list, section->tcp, section->state, section->other_user))
		must(NULL);
	play_section(table);
	for (size_t pair = 0; pair < PAIRS; pair++)
		table->differing += differs(table, pair);
	if (groups)
		print_table(table, groups);
	else
		print_pairs(table);
	scenario_list_free(&table->list);
	table->list = (struct scenario_list){ .count = 0 };
}

static void open_output(const struct table *table)
{
	if (table->wish->output == OUTPUT_TSV)
		print_tsv_heading(table);
	if (table->wish->output != OUTPUT_HUMAN)
		return;
	if (groups_that_fit(table))
		print_legend(table);
	else
		printf("A table of %zu systems needs %d columns, not %zu: here is a list.\n"
		       "Options: a SO_REUSEADDR, p SO_REUSEPORT; mapped is [::ffff:127.0.0.1].\n\n",
		       table->wish->systems.count, LABEL + group_width(table) + 1, table->columns);
}

int pairs_show(const struct pairs_wish *wish)
{
	const size_t count = sizeof(sections) / sizeof(*sections);
	const unsigned width = terminal_width();
	struct table table = {
		.wish = wish, .columns = width ? width : WIDTH_UNKNOWN, .colour = terminal_colours(),
		.verdicts = must(calloc(PAIRS * wish->systems.count, sizeof(*table.verdicts))),
	};

	open_output(&table);
	for (size_t i = 0; i < count; i++) {
		table.section = &sections[i];
		show_section(&table);
	}
	if (wish->output == OUTPUT_HUMAN)
		printf("%zu systems: %zu pairs, %zu differ\n", wish->systems.count, count * PAIRS, table.differing);
	free(table.verdicts);
	return finish_output() || table.differing;
}

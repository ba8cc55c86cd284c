/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "matrix.h"

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

struct matrix {
	const struct matrix_wish *wish;
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
	struct matrix *matrix = context;
	struct verdict_word *word = matrix->playing;
	bool prepares = grid_prepares(scenario, step);

	if (grid_is_optional(step) || !is_ok(word))
		return;
	if (!prepares && step->operation == OPERATION_BIND)
		word->rule = matrix->model.verdict->rule;
	if (!strcmp(answer, "ok"))
		return;
	snprintf(word->answer, sizeof(word->answer), "%s", prepares ? "n/a" : answer);
	word->at_listen = !prepares && step->operation == OPERATION_LISTEN;
	word->rule = matrix->model.verdict->rule;
}

static void play_section(struct matrix *matrix)
{
	const struct matrix_wish *wish = matrix->wish;

	for (size_t pair = 0; pair < PAIRS; pair++)
		for (size_t i = 0; i < wish->systems.count; i++) {
			matrix->playing = &matrix->verdicts[pair * wish->systems.count + i];
			*matrix->playing = (struct verdict_word){ .answer = "ok" };
			matrix->model = (struct model_player){ .profile = wish->systems.profiles[i], .loopback_alias = wish->loopback_alias };
			play_model(&matrix->model, &matrix->list.scenarios[pair], take_answer, matrix);
		}
}

static const struct verdict_word *verdict_at(const struct matrix *matrix, size_t pair, size_t system)
{
	return &matrix->verdicts[pair * matrix->wish->systems.count + system];
}

static bool same(const struct verdict_word *a, const struct verdict_word *b)
{
	return !strcmp(a->answer, b->answer) && a->at_listen == b->at_listen;
}

static bool differs(const struct matrix *matrix, size_t pair)
{
	for (size_t i = 1; i < matrix->wish->systems.count; i++)
		if (!same(verdict_at(matrix, pair, 0), verdict_at(matrix, pair, i)))
			return true;
	return false;
}

static bool row_differs(const struct matrix *matrix, size_t row)
{
	for (size_t column = 0; column < GRID_SOCKETS; column++)
		if (differs(matrix, row * GRID_SOCKETS + column))
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

static int cell_width(const struct matrix *matrix)
{
	return matrix->wish->systems.count < 2 ? 2 : (int)matrix->wish->systems.count;
}

static int group_width(const struct matrix *matrix)
{
	return GRID_OPTIONS * (cell_width(matrix) + 1);
}

/* How many addresses fit side by side; 0: not even one. */
static size_t groups_that_fit(const struct matrix *matrix)
{
	size_t groups = matrix->columns < LABEL ? 0 : (matrix->columns - LABEL) / ((size_t)group_width(matrix) + 1);

	return groups < GRID_PLACES ? groups : GRID_PLACES;
}

/* Where all agree, one letter says it. */
static void print_cell(const struct matrix *matrix, size_t pair)
{
	bool unlike = differs(matrix, pair);
	size_t count = unlike ? matrix->wish->systems.count : 1;

	for (size_t i = 0; i < count; i++) {
		const struct verdict_word *word = verdict_at(matrix, pair, i);

		fputs(colour_on(matrix->colour, !unlike ? COLOUR_FAINT : is_ok(word) ? COLOUR_GOOD : COLOUR_BAD), stdout);
		putchar(letter_of(word));
		fputs(colour_off(matrix->colour), stdout);
	}
	printf("%*s", cell_width(matrix) + 1 - (int)count, "");
}

static void print_heading(const struct matrix *matrix, size_t first, size_t end)
{
	printf("%-*s", LABEL, "first, second:");
	for (size_t place = first; place < end; place++)
		printf("%-*s", group_width(matrix) + (place + 1 < end), place_name(&grid_places[place]));
	printf("\n%*s", LABEL, "");
	for (size_t place = first; place < end; place++) {
		for (size_t i = 0; i < GRID_OPTIONS; i++)
			printf("%-*s", cell_width(matrix) + 1, option_names[i]);
		putchar(place + 1 < end ? ' ' : '\n');
	}
}

static void print_row(const struct matrix *matrix, size_t row, size_t first, size_t end)
{
	printf("%-*s%s ", LABEL - 3, place_name(&grid_places[row / GRID_OPTIONS]), option_names[row % GRID_OPTIONS]);
	for (size_t place = first; place < end; place++) {
		for (size_t i = 0; i < GRID_OPTIONS; i++)
			print_cell(matrix, row * GRID_SOCKETS + place * GRID_OPTIONS + i);
		putchar(place + 1 < end ? ' ' : '\n');
	}
}

static size_t shown_rows(const struct matrix *matrix)
{
	size_t count = 0;

	for (size_t row = 0; row < GRID_SOCKETS; row++)
		count += matrix->wish->all || row_differs(matrix, row);
	return count;
}

/* As many addresses as fit side by side, the others below. */
static void print_table(const struct matrix *matrix, size_t groups)
{
	size_t rows = shown_rows(matrix);

	if (!rows) {
		printf("%s: no difference\n\n", matrix->section->title);
		return;
	}
	printf("%s\n", matrix->section->title);
	for (size_t first = 0; first < GRID_PLACES; first += groups) {
		size_t end = first + groups < GRID_PLACES ? first + groups : GRID_PLACES;

		print_heading(matrix, first, end);
		for (size_t row = 0; row < GRID_SOCKETS; row++)
			if (matrix->wish->all || row_differs(matrix, row))
				print_row(matrix, row, first, end);
	}
	if (rows < GRID_SOCKETS)
		printf("left out: %zu rows in which all agree (--all shows them)\n", GRID_SOCKETS - rows);
	putchar('\n');
}

static void print_legend(const struct matrix *matrix)
{
	printf("A cell is the verdict of");
	for (size_t i = 0; i < matrix->wish->systems.count; i++)
		printf("%s %s", i ? "," : "", matrix->wish->systems.profiles[i]->name);
	puts(", or one letter if all agree:");
	puts("  . ok, U EADDRINUSE, A EACCES, P EPERM, V EINVAL, N EADDRNOTAVAIL,");
	puts("  F EAFNOSUPPORT, S EPROTONOSUPPORT, E another error; a small letter: of listen();");
	puts("  - there is no such first socket.  Options: a SO_REUSEADDR, p SO_REUSEPORT.");
	puts("  mapped is [::ffff:127.0.0.1].\n");
}

/* ---- the list, if no table fits ---- */

/* The systems of one verdict, in lines of the terminal's width. */
static void print_systems(const struct matrix *matrix, size_t pair, size_t first)
{
	const struct verdict_word *word = verdict_at(matrix, pair, first);
	size_t at = (size_t)printf("  %s%s:", word->answer, word->at_listen ? " at listen" : "");

	for (size_t i = first; i < matrix->wish->systems.count; i++) {
		const char *name = matrix->wish->systems.profiles[i]->name;

		if (!same(word, verdict_at(matrix, pair, i)))
			continue;
		if (at + 1 + strlen(name) > matrix->columns)
			at = (size_t)printf("\n     ") - 1;
		at += (size_t)printf(" %s", name);
	}
	putchar('\n');
}

static bool is_first_of_kind(const struct matrix *matrix, size_t pair, size_t system)
{
	for (size_t i = 0; i < system; i++)
		if (same(verdict_at(matrix, pair, i), verdict_at(matrix, pair, system)))
			return false;
	return true;
}

static void print_pair(const struct matrix *matrix, size_t pair)
{
	size_t a = pair / GRID_SOCKETS, b = pair % GRID_SOCKETS;

	printf("%s: %s %s, then %s %s\n", matrix->section->title, place_name(&grid_places[a / GRID_OPTIONS]), option_names[a % GRID_OPTIONS],
	       place_name(&grid_places[b / GRID_OPTIONS]), option_names[b % GRID_OPTIONS]);
	for (size_t i = 0; i < matrix->wish->systems.count; i++)
		if (is_first_of_kind(matrix, pair, i))
			print_systems(matrix, pair, i);
}

/* ---- for programs ---- */

static void print_tsv(const struct matrix *matrix, size_t pair)
{
	fputs(matrix->list.scenarios[pair].name, stdout);
	for (size_t i = 0; i < matrix->wish->systems.count; i++) {
		const struct verdict_word *word = verdict_at(matrix, pair, i);

		printf("\t%s%s", word->answer, word->at_listen ? " at listen" : "");
	}
	putchar('\n');
}

static void print_tsv_heading(const struct matrix *matrix)
{
	fputs("pair", stdout);
	for (size_t i = 0; i < matrix->wish->systems.count; i++)
		printf("\t%s", matrix->wish->systems.profiles[i]->name);
	putchar('\n');
}

static struct json_object *verdict_json(const struct matrix *matrix, size_t pair, size_t system)
{
	const struct verdict_word *word = verdict_at(matrix, pair, system);
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "system", json_object_new_string(matrix->wish->systems.profiles[system]->name));
	json_object_object_add(object, "answer", json_object_new_string(word->answer));
	if (word->at_listen)
		json_object_object_add(object, "at", json_object_new_string("listen"));
	if (word->rule) {
		json_object_object_add(object, "rule", json_object_new_string(word->rule->id));
		json_object_object_add(object, "because", word->rule->because ? json_object_new_string(word->rule->because) : NULL);
	}
	return object;
}

static void print_json(const struct matrix *matrix, size_t pair)
{
	struct json_object *object = json_object_new_object(), *answers = json_object_new_array();

	json_object_object_add(object, "pair", json_object_new_string(matrix->list.scenarios[pair].name));
	json_object_object_add(object, "differs", json_object_new_boolean(differs(matrix, pair)));
	for (size_t i = 0; i < matrix->wish->systems.count; i++)
		json_object_array_add(answers, verdict_json(matrix, pair, i));
	json_object_object_add(object, "answers", answers);
	json_print_line(object);
}

/* ---- all of it ---- */

static void print_pairs(const struct matrix *matrix)
{
	for (size_t pair = 0; pair < PAIRS; pair++) {
		if (!matrix->wish->all && !differs(matrix, pair))
			continue;
		if (matrix->wish->output == OUTPUT_TSV)
			print_tsv(matrix, pair);
		else if (matrix->wish->output == OUTPUT_JSON)
			print_json(matrix, pair);
		else
			print_pair(matrix, pair);
	}
}

static void show_section(struct matrix *matrix)
{
	const struct section *section = matrix->section;
	size_t groups = matrix->wish->output == OUTPUT_HUMAN ? groups_that_fit(matrix) : 0;

	if (!grid_pairs(&matrix->list, section->tcp, section->state, section->other_user))
		must(NULL);
	play_section(matrix);
	for (size_t pair = 0; pair < PAIRS; pair++)
		matrix->differing += differs(matrix, pair);
	if (groups)
		print_table(matrix, groups);
	else
		print_pairs(matrix);
	scenario_list_free(&matrix->list);
	matrix->list = (struct scenario_list){ .count = 0 };
}

static void open_output(const struct matrix *matrix)
{
	if (matrix->wish->output == OUTPUT_TSV)
		print_tsv_heading(matrix);
	if (matrix->wish->output != OUTPUT_HUMAN)
		return;
	if (groups_that_fit(matrix))
		print_legend(matrix);
	else
		printf("A table of %zu systems needs %d columns, not %zu: here is a list.\n"
		       "Options: a SO_REUSEADDR, p SO_REUSEPORT; mapped is [::ffff:127.0.0.1].\n\n",
		       matrix->wish->systems.count, LABEL + group_width(matrix) + 1, matrix->columns);
}

int matrix_show(const struct matrix_wish *wish)
{
	const size_t count = sizeof(sections) / sizeof(*sections);
	const unsigned width = terminal_width();
	struct matrix matrix = {
		.wish = wish, .columns = width ? width : WIDTH_UNKNOWN, .colour = terminal_colours(),
		.verdicts = must(calloc(PAIRS * wish->systems.count, sizeof(*matrix.verdicts))),
	};

	open_output(&matrix);
	for (size_t i = 0; i < count; i++) {
		matrix.section = &sections[i];
		show_section(&matrix);
	}
	if (wish->output == OUTPUT_HUMAN)
		printf("%zu systems: %zu pairs, %zu differ\n", wish->systems.count, count * PAIRS, matrix.differing);
	free(matrix.verdicts);
	return finish_output() || matrix.differing;
}

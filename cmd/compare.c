/* SPDX-License-Identifier: MIT */
/* fakebind compare: where two systems differ, and by which rules. */
#define _GNU_SOURCE
#include "cmd.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grid.h"
#include "pairs.h"
#include "play_model.h"
#include "playing.h"
#include "print_json.h"

struct reply {
	char answer[ANSWER_MAX];
	const struct rule *rule;
};

/* A way to differ: the same operation, answers and rules. */
struct cause {
	char *key;
	size_t count, first; /* scenarios; the first of them */
};

struct comparison {
	struct model_player model[2];
	struct scenario_list list;
	struct reply *replies[2]; /* of the scenario being played */
	int side;
	enum output output;
	bool all;
	struct cause *causes;
	size_t cause_count;
	size_t differing;
};

static const char help[] =
	"Usage: fakebind compare --os A --os B [OPTION]... [FILE]...\n"
	"       fakebind compare --matrix {--os NAME... | --all} [OPTION]...\n"
	"\n"
	"Shows where two systems differ, and by which rules.  Without a FILE (scenarios,\n"
	"`-' for standard input) it tries every pair of sockets on one port: protocol,\n"
	"addresses, options, listening, connected, closed, of another user.  With\n"
	"--matrix, or for more than two systems, these pairs are a table: first sockets\n"
	"down, second ones across, in each cell the verdicts of the systems.\n"
	"\n"
	"  -o, --os NAME|FILE     a system; may be repeated, or a list with commas\n"
	"  -m, --matrix           the table of pairs, or a list on a narrow terminal\n"
	"  -a, --all              every differing scenario, not one for each cause; of a\n"
	"                         matrix also where the systems agree; without --os every\n"
	"                         system there is\n"
	"      --loopback-alias   127.0.0.2 and its like exist (systems other than Linux)\n"
	"  -f, --format FORMAT    human (the default), tsv or json: every differing step,\n"
	"                         or pair\n"
	"      --json             the same as --format json\n"
	"  -h, --help             show this text\n"
	"\n"
	"The exit status is 0 if there is no difference, 1 if there is one, 125 after an\n"
	"error.\n";

/* ---- playing ---- */

static void take_answer(void *context, const struct scenario *scenario, const struct step *step, const char *answer)
{
	struct comparison *comparison = context;
	struct reply *reply = &comparison->replies[comparison->side][step - scenario->steps];

	snprintf(reply->answer, sizeof(reply->answer), "%s", answer);
	reply->rule = comparison->model[comparison->side].verdict->rule;
}

static const char *rule_id(const struct comparison *comparison, int side, size_t step)
{
	const struct rule *rule = comparison->replies[side][step].rule;

	return rule ? rule->id : "-";
}

static const char *because(const struct comparison *comparison, int side, size_t step)
{
	const struct rule *rule = comparison->replies[side][step].rule;

	return rule && rule->because ? rule->because : "";
}

static const char *name_of(const struct comparison *comparison, int side)
{
	return comparison->model[side].profile->name;
}

static bool step_differs(const struct comparison *comparison, size_t step)
{
	return strcmp(comparison->replies[0][step].answer, comparison->replies[1][step].answer);
}

/* The number of steps if none does. */
static size_t first_difference(const struct comparison *comparison, const struct scenario *scenario)
{
	size_t step = 0;

	while (step < scenario->step_count && !step_differs(comparison, step))
		step++;
	return step;
}

static void play_both(struct comparison *comparison, const struct scenario *scenario)
{
	for (int side = 0; side < 2; side++) {
		comparison->replies[side] = must(realloc(comparison->replies[side], (scenario->step_count + 1) * sizeof(**comparison->replies)));
		comparison->side = side;
		play_model(&comparison->model[side], scenario, take_answer, comparison);
	}
}

/* ---- causes ---- */

static void note_cause(struct comparison *comparison, size_t number, size_t step)
{
	const struct scenario *scenario = &comparison->list.scenarios[number];
	char *key = NULL;

	if (asprintf(&key, "%.*s\t%s\t%s\t%s\t%s", (int)strcspn(scenario->steps[step].line, " "), scenario->steps[step].line,
		     comparison->replies[0][step].answer, rule_id(comparison, 0, step),
		     comparison->replies[1][step].answer, rule_id(comparison, 1, step)) < 0)
		must(NULL);
	for (size_t i = 0; i < comparison->cause_count; i++)
		if (!strcmp(comparison->causes[i].key, key)) {
			comparison->causes[i].count++;
			free(key);
			return;
		}
	comparison->causes = grow(comparison->causes, comparison->cause_count, sizeof(*comparison->causes));
	comparison->causes[comparison->cause_count++] = (struct cause){ key, 1, number };
}

static int by_count(const void *a, const void *b)
{
	const struct cause *one = a, *other = b;

	if (one->count != other->count)
		return one->count < other->count ? 1 : -1;
	return one->first < other->first ? -1 : 1;
}

/* ---- output ---- */

static void show_side(const struct comparison *comparison, int side, size_t step)
{
	printf("      %s: %s", name_of(comparison, side), comparison->replies[side][step].answer);
	if (comparison->replies[side][step].rule)
		printf(" (%s: %s)", rule_id(comparison, side, step), because(comparison, side, step));
	putchar('\n');
}

static void show_scenario(const struct comparison *comparison, const struct scenario *scenario)
{
	printf("scenario %s\n", scenario->name);
	for (size_t i = 0; i < scenario->step_count; i++) {
		if (!step_differs(comparison, i)) {
			printf("    %-32s %s\n", scenario->steps[i].line, comparison->replies[0][i].answer);
			continue;
		}
		printf("  * %s\n", scenario->steps[i].line);
		show_side(comparison, 0, i);
		show_side(comparison, 1, i);
	}
}

static void show_causes(struct comparison *comparison)
{
	if (comparison->cause_count)
		qsort(comparison->causes, comparison->cause_count, sizeof(*comparison->causes), by_count);
	for (size_t i = 0; i < comparison->cause_count; i++) {
		const struct cause *cause = &comparison->causes[i];
		const struct scenario *scenario = &comparison->list.scenarios[cause->first];

		play_both(comparison, scenario);
		printf("%zu %s, such as ", cause->count, cause->count == 1 ? "scenario" : "scenarios");
		show_scenario(comparison, scenario);
		putchar('\n');
	}
}

static void print_tsv(const struct comparison *comparison, const struct scenario *scenario, size_t step)
{
	printf("%s\t%zu\t%s\t%s\t%s\t%s\t%s\n", scenario->name, step + 1, scenario->steps[step].line,
	       comparison->replies[0][step].answer, rule_id(comparison, 0, step),
	       comparison->replies[1][step].answer, rule_id(comparison, 1, step));
}

static struct json_object *side_json(const struct comparison *comparison, int side, size_t step)
{
	struct json_object *object = json_object_new_object();

	json_add_text(object, "system", name_of(comparison, side));
	json_add_text(object, "answer", comparison->replies[side][step].answer);
	if (comparison->replies[side][step].rule) {
		json_add_text(object, "rule", rule_id(comparison, side, step));
		json_add_text(object, "because", because(comparison, side, step));
	}
	return object;
}

static void print_json(const struct comparison *comparison, const struct scenario *scenario, size_t step)
{
	struct json_object *object = json_object_new_object(), *sides = json_object_new_array();

	json_add_text(object, "scenario", scenario->name);
	json_object_object_add(object, "step", json_object_new_int64((int64_t)step + 1));
	json_add_text(object, "operation", scenario->steps[step].line);
	json_object_array_add(sides, side_json(comparison, 0, step));
	json_object_array_add(sides, side_json(comparison, 1, step));
	json_object_object_add(object, "answers", sides);
	json_print_line(object);
}

static void report(struct comparison *comparison, size_t number, size_t first)
{
	const struct scenario *scenario = &comparison->list.scenarios[number];

	if (comparison->output == OUTPUT_HUMAN) {
		if (comparison->all)
			show_scenario(comparison, scenario);
		else
			note_cause(comparison, number, first);
		return;
	}
	for (size_t step = first; step < scenario->step_count; step++) {
		if (!step_differs(comparison, step))
			continue;
		if (comparison->output == OUTPUT_TSV)
			print_tsv(comparison, scenario, step);
		else
			print_json(comparison, scenario, step);
	}
}

static int compare(struct comparison *comparison)
{
	for (size_t i = 0; i < comparison->list.count; i++) {
		const struct scenario *scenario = &comparison->list.scenarios[i];
		size_t first;

		play_both(comparison, scenario);
		first = first_difference(comparison, scenario);
		if (first == scenario->step_count)
			continue;
		comparison->differing++;
		report(comparison, i, first);
	}
	if (comparison->output == OUTPUT_HUMAN) {
		show_causes(comparison);
		printf("%s and %s: %zu scenarios, %zu differ\n", name_of(comparison, 0), name_of(comparison, 1),
		       comparison->list.count, comparison->differing);
	}
	return finish_output() || comparison->differing;
}

/* ---- what is wanted ---- */

enum { ALIAS = 256, JSON };
struct wish {
	struct pairs_wish matrix; /* what both forms share, too */
	bool is_matrix;
};

/* An exit status, or GO_ON. */
static int parse(int argc, char **argv, struct wish *wish)
{
	static const struct option options[] = {
		{ "os", required_argument, NULL, 'o' },
		{ "matrix", no_argument, NULL, 'm' },
		{ "all", no_argument, NULL, 'a' },
		{ "loopback-alias", no_argument, NULL, ALIAS },
		{ "format", required_argument, NULL, 'f' },
		{ "json", no_argument, NULL, JSON },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int letter;

	while ((letter = getopt_long(argc, argv, "o:maf:h", options, NULL)) != -1) {
		switch (letter) {
		case 'o':
			if (!systems_add(&wish->matrix.systems, optarg))
				return EXIT_OURS;
			break;
		case 'm':
			wish->is_matrix = true;
			break;
		case 'a':
			wish->matrix.all = true;
			break;
		case ALIAS:
			wish->matrix.loopback_alias = true;
			break;
		case 'f':
			if (!output_parse(optarg, &wish->matrix.output))
				return EXIT_OURS;
			break;
		case JSON:
			wish->matrix.output = OUTPUT_JSON;
			break;
		default:
			return help_or_misuse(letter, help);
		}
	}
	return GO_ON;
}

static int check(struct wish *wish, char **paths)
{
	/* --all without a system is about the systems, not about what is shown of them. */
	if (wish->matrix.all && !wish->matrix.systems.count) {
		systems_add_all(&wish->matrix.systems);
		wish->matrix.all = false;
	}
	wish->is_matrix |= wish->matrix.systems.count > 2;
	if (wish->matrix.systems.count < 2) {
		complain("two systems are needed: --os A --os B");
		return misuse();
	}
	if (wish->is_matrix && *paths) {
		complain("%s: a matrix, and more than two systems, are for the pairs alone, not for scenarios", *paths);
		return misuse();
	}
	return GO_ON;
}

static int compare_two(const struct pairs_wish *wish, char **paths)
{
	struct comparison comparison = { .output = wish->output, .all = wish->all };
	int result = EXIT_OURS;

	for (int side = 0; side < 2; side++)
		comparison.model[side] = (struct model_player){ .profile = wish->systems.profiles[side], .loopback_alias = wish->loopback_alias };
	if (!*paths && !grid_scenarios(&comparison.list))
		must(NULL);
	if (*paths && !scenarios_read(&comparison.list, paths))
		goto cleanup;
	if (comparison.list.count)
		result = compare(&comparison);
	else
		complain("no scenario to compare");
cleanup:
	for (size_t i = 0; i < comparison.cause_count; i++)
		free(comparison.causes[i].key);
	free(comparison.causes);
	free(comparison.replies[0]);
	free(comparison.replies[1]);
	scenario_list_free(&comparison.list);
	return result;
}

int compare_main(int argc, char **argv)
{
	struct wish wish = { .matrix.output = OUTPUT_HUMAN };
	int result = parse(argc, argv, &wish);

	if (result == GO_ON)
		result = check(&wish, argv + optind);
	if (result == GO_ON)
		result = wish.is_matrix ? pairs_show(&wish.matrix) : compare_two(&wish.matrix, argv + optind);
	systems_free(&wish.matrix.systems);
	return result;
}

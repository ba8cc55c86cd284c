/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "truth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

/* ---- the index: FNV-1a, open addressing ---- */

static size_t *place_of(const struct truth *truth, const char *name)
{
	uint64_t hash = UINT64_C(14695981039346656037);
	size_t at;

	for (const char *c = name; *c; c++)
		hash = (hash ^ (unsigned char)*c) * UINT64_C(1099511628211);
	at = (size_t)(hash % truth->index_size);
	while (truth->index[at] && strcmp(truth->scenarios[truth->index[at] - 1].name, name))
		at = (at + 1) % truth->index_size;
	return &truth->index[at];
}

const struct recorded_scenario *truth_find(const struct truth *truth, const char *name)
{
	size_t number = truth->index_size ? *place_of(truth, name) : 0;

	return number ? &truth->scenarios[number - 1] : NULL;
}

/* ---- reading ---- */

/* Cuts the line into its four words.  The answer's are the rest, tabs or not. */
static bool cut(char *line, char *words[4])
{
	for (int i = 0; i < 4; i++) {
		words[i] = line;
		if (i == 3)
			return true;
		line = strchr(line, '\t');
		if (!line)
			return false;
		*line++ = '\0';
	}
	return false;
}

static bool is_step(const char *word, size_t step)
{
	char *end;

	return strtoul(word, &end, 10) == step && *word && !*end;
}

static size_t count_lines(const char *text)
{
	size_t lines = 1;

	while ((text = strchr(text, '\n'))) {
		text++;
		lines++;
	}
	return lines;
}

static struct recorded_scenario *current(struct truth *truth, const char *name, struct recorded *step)
{
	struct recorded_scenario *last = truth->count ? &truth->scenarios[truth->count - 1] : NULL;

	if (last && !strcmp(last->name, name))
		return last;
	truth->scenarios[truth->count] = (struct recorded_scenario){ name, step, 0 };
	return &truth->scenarios[truth->count++];
}

static bool build_index(struct truth *truth, const char *path)
{
	truth->index_size = 2 * truth->count + 1;
	truth->index = must(calloc(truth->index_size, sizeof(*truth->index)));
	for (size_t i = 0; i < truth->count; i++) {
		size_t *place = place_of(truth, truth->scenarios[i].name);

		if (*place) {
			complain("%s: scenario %s is there twice", path, truth->scenarios[i].name);
			return false;
		}
		*place = i + 1;
	}
	return true;
}

bool truth_parse(struct truth *truth, char *text, size_t length, const char *path)
{
	size_t lines = count_lines(text), number = 0, steps = 0;
	char *words[4], *end = text + length;

	*truth = (struct truth){ .text = text };
	truth->scenarios = must(calloc(lines, sizeof(*truth->scenarios)));
	truth->steps = must(calloc(lines, sizeof(*truth->steps)));
	for (char *line = text, *next; line < end; line = next) {
		struct recorded_scenario *scenario;

		next = strchrnul(line, '\n');
		*next++ = '\0';
		number++;
		if (!*line)
			continue;
		if (!cut(line, words)) {
			complain("%s:%zu: expected SCENARIO, STEP, OPERATION and ANSWER with tabs between", path, number);
			return false;
		}
		scenario = current(truth, words[0], &truth->steps[steps]);
		if (!is_step(words[1], scenario->step_count + 1)) {
			complain("%s:%zu: %s: expected step %zu of %s", path, number, words[1], scenario->step_count + 1, words[0]);
			return false;
		}
		truth->steps[steps++] = (struct recorded){ words[2], words[3] };
		scenario->step_count++;
	}
	return build_index(truth, path);
}

void truth_free(struct truth *truth)
{
	free(truth->text);
	free(truth->scenarios);
	free(truth->steps);
	free(truth->index);
	*truth = (struct truth){ .text = NULL };
}

bool truth_looks_like(const char *text)
{
	size_t line, name;

	text += strspn(text, "\n");
	line = strcspn(text, "\n");
	name = strcspn(text, "\t\n");
	return name < line && name && text[name + 1] == '1' && text[name + 2] == '\t';
}

bool truth_to_scenarios(const struct truth *truth, struct scenario_list *list, const char *path)
{
	struct scenario_error error;
	char *text = NULL;
	size_t length = 0;
	FILE *file = must(open_memstream(&text, &length));
	bool good;

	for (size_t i = 0; i < truth->count; i++) {
		fprintf(file, "scenario %s\n", truth->scenarios[i].name);
		for (size_t j = 0; j < truth->scenarios[i].step_count; j++)
			fprintf(file, "%s\n", truth->scenarios[i].steps[j].operation);
	}
	fclose(file);
	good = scenario_parse(list, must(text), length, &error);
	if (!good)
		complain("%s: scenario %s: %s: expected %s", path, list->count ? list->scenarios[list->count - 1].name : "?",
			 *error.word ? error.word : "end of line", error.expected);
	free(text);
	return good;
}

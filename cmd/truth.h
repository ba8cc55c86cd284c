/* SPDX-License-Identifier: MIT */
/*
 * Recorded answers: SCENARIO <tab> STEP <tab> OPERATION <tab> ANSWER, a line for each step, steps counted from 1;
 * the steps of a scenario stand together.
 */
#ifndef FAKEBIND_TRUTH_H
#define FAKEBIND_TRUTH_H

#include "scenario.h"

struct recorded {
	const char *operation, *answer;
};

struct recorded_scenario {
	const char *name;
	struct recorded *steps;
	size_t step_count;
};

struct truth {
	char *text; /* all the words point in here */
	struct recorded_scenario *scenarios;
	size_t count;
	struct recorded *steps;
	size_t *index; /* by the hash of the name: its number and 1; 0: empty */
	size_t index_size;
};

/* The text becomes the truth's.  False after an error on stderr; path is for that alone. */
bool truth_parse(struct truth *, char *text, size_t length, const char *path);
void truth_free(struct truth *);
/* NULL: there is none of that name. */
const struct recorded_scenario *truth_find(const struct truth *, const char *name);
/* Do the first words look like recorded answers? */
bool truth_looks_like(const char *text);
/* Appends its scenarios to the list, to be played again.  False after an error on stderr. */
bool truth_to_scenarios(const struct truth *, struct scenario_list *, const char *path);

#endif

/* SPDX-License-Identifier: MIT */
/* What `fakebind play' and `fakebind compare' share. */
#ifndef FAKEBIND_PLAYING_H
#define FAKEBIND_PLAYING_H

#include "scenario.h"

enum output { OUTPUT_HUMAN, OUTPUT_TSV, OUTPUT_JSON };

/* False after an error that lists the words there are. */
bool output_parse(const char *word, enum output *);
/* Appends the scenarios of files up to a NULL: texts or recorded answers, `-' for standard input, plain or .xz.
 * False after an error. */
bool scenarios_read(struct scenario_list *, char **paths);

/* --set of machines in memory: options of every new socket.  False after an error. */
bool set_parse(const char *word, uint32_t *options);

#endif

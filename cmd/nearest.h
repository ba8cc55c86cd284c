/* SPDX-License-Identifier: MIT */
/* For error messages: which of the right words was meant? */
#ifndef FAKEBIND_NEAREST_H
#define FAKEBIND_NEAREST_H

#include <stddef.h>

#define FARTHEST 63 /* what is beyond of a long word is not compared */

/* Levenshtein's distance: single letters added, dropped or changed. */
unsigned word_distance(const char *from, const char *to);
/* count must not be 0. */
const char *nearest_word(const char *word, const char *const *words, size_t count);

#endif

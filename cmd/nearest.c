/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "nearest.h"

#include <string.h>

unsigned word_distance(const char *from, const char *to)
{
	unsigned row[FARTHEST + 1];
	size_t from_length = strnlen(from, FARTHEST), to_length = strnlen(to, FARTHEST);

	for (size_t j = 0; j <= to_length; j++)
		row[j] = j;
	for (size_t i = 0; i < from_length; i++) {
		unsigned diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < to_length; j++) {
			unsigned best = diagonal + (from[i] != to[j]);

			if (best > row[j] + 1)
				best = row[j] + 1;
			if (best > row[j + 1] + 1)
				best = row[j + 1] + 1;
			diagonal = row[j + 1];
			row[j + 1] = best;
		}
	}
	return row[to_length];
}

const char *nearest_word(const char *word, const char *const *words, size_t count)
{
	size_t best = 0;

	for (size_t i = 1; i < count; i++)
		if (word_distance(word, words[i]) < word_distance(word, words[best]))
			best = i;
	return words[best];
}

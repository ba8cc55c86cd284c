/* SPDX-License-Identifier: MIT */
/* Random sequences of socket operations, in the scenario language, that meet conflicts often. */
#ifndef FAKEBIND_FUZZ_GENERATE_H
#define FAKEBIND_FUZZ_GENERATE_H

#include <stddef.h>
#include <stdint.h>

#define SEQUENCE_LINES 64
#define SEQUENCE_WIDTH 48

struct sequence {
	size_t count;
	char lines[SEQUENCE_LINES][SEQUENCE_WIDTH];
};

/* The same seed and number give the same sequence, everywhere. */
void generate(struct sequence *, uint64_t seed, uint64_t number);

#endif

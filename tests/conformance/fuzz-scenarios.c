/* SPDX-License-Identifier: MIT */
/* fuzz-scenarios SEED FIRST COUNT: random scenarios, named fuzz/NUMBER.  Nothing in them waits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../fuzz-generate.h"

static void print(const struct sequence *sequence, uint64_t number)
{
	printf("scenario fuzz/%llu\n", (unsigned long long)number);
	for (size_t i = 0; i < sequence->count; i++)
		if (strncmp(sequence->lines[i], "sleep ", 6))
			puts(sequence->lines[i]);
}

int main(int argc, char **argv)
{
	static struct sequence sequence;
	uint64_t seed, first, count;

	if (argc != 4) {
		fputs("usage: fuzz-scenarios SEED FIRST COUNT\n", stderr);
		return 2;
	}
	seed = strtoull(argv[1], NULL, 10);
	first = strtoull(argv[2], NULL, 10);
	count = strtoull(argv[3], NULL, 10);
	for (uint64_t i = first; i < first + count; i++) {
		generate(&sequence, seed, i);
		print(&sequence, i);
	}
	return fflush(stdout) ? 1 : 0;
}

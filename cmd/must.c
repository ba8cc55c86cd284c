/* SPDX-License-Identifier: MIT */
#include "cmd.h"

#include <stdio.h>
#include <stdlib.h>

void *must(void *memory)
{
	if (!memory) {
		fputs("fakebind: no memory\n", stderr);
		exit(EXIT_OURS);
	}
	return memory;
}

void *grow(void *array, size_t count, size_t size)
{
	return count & (count - 1) ? array : must(realloc(array, (count ? 2 * count : 1) * size));
}

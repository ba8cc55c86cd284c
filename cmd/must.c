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

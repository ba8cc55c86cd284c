/* SPDX-License-Identifier: MIT */
#include "colour.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool colour_wanted(int fd)
{
	const char *never = getenv("NO_COLOR"), *terminal = getenv("TERM");

	return isatty(fd) && !(never && *never) && terminal && strcmp(terminal, "dumb");
}

const char *colour_on(bool wanted, enum colour colour)
{
	static const char *const escapes[] = { [COLOUR_GOOD] = "\033[32m", [COLOUR_BAD] = "\033[31m", [COLOUR_FAINT] = "\033[2m" };

	return wanted ? escapes[colour] : "";
}

const char *colour_off(bool wanted)
{
	return wanted ? "\033[0m" : "";
}

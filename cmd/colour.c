/* SPDX-License-Identifier: MIT */
#include "colour.h"

const char *colour_on(bool wanted, enum colour colour)
{
	static const char *const escapes[] = {
		[COLOUR_GOOD] = "\033[32m", [COLOUR_NOTE] = "\033[33m", [COLOUR_BAD] = "\033[31m", [COLOUR_FAINT] = "\033[2m",
		[COLOUR_TITLE] = "\033[1m",
	};

	return wanted ? escapes[colour] : "";
}

const char *colour_off(bool wanted)
{
	return wanted ? "\033[0m" : "";
}

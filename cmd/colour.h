/* SPDX-License-Identifier: MIT */
#ifndef FAKEBIND_COLOUR_H
#define FAKEBIND_COLOUR_H

#include <stdbool.h>

enum colour { COLOUR_GOOD, COLOUR_NOTE, COLOUR_BAD, COLOUR_FAINT, COLOUR_TITLE };

/* The escape that begins a colour, or ends all; "" if none are wanted (terminal_colours()). */
const char *colour_on(bool wanted, enum colour);
const char *colour_off(bool wanted);

#endif

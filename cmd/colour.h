/* SPDX-License-Identifier: MIT */
#ifndef FAKEBIND_COLOUR_H
#define FAKEBIND_COLOUR_H

#include <stdbool.h>

enum colour { COLOUR_GOOD, COLOUR_BAD, COLOUR_FAINT };

/* May what is printed there have colours?  Only a terminal's, and not against the user's will (NO_COLOR, TERM=dumb). */
bool colour_wanted(int fd);
/* The escape that begins a colour, or ends all; "" if none are wanted. */
const char *colour_on(bool wanted, enum colour);
const char *colour_off(bool wanted);

#endif

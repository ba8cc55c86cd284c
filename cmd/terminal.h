/* SPDX-License-Identifier: MIT */
#ifndef FAKEBIND_TERMINAL_H
#define FAKEBIND_TERMINAL_H

#include <stdbool.h>

/* Is stdout a terminal?  Then its size, else 0. */
bool terminal_size(unsigned *columns, unsigned *rows);
/* Colours only there, and only for who does not mind (NO_COLOR, TERM=dumb). */
bool terminal_colours(void);

#endif

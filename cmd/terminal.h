/* SPDX-License-Identifier: MIT */
#ifndef FAKEBIND_TERMINAL_H
#define FAKEBIND_TERMINAL_H

#include <stdbool.h>

/* Is stdout a terminal?  Then its size, else 0. */
bool terminal_size(unsigned *columns, unsigned *rows);
/* How wide a table may be: COLUMNS, which is for scripts, else as a terminal has it; 0: as wide as it likes. */
unsigned terminal_width(void);
/* Can its cursor be sent about? */
bool terminal_moves(int fd);
/* Colours only there, and only for who does not mind (NO_COLOR, TERM=dumb). */
bool terminal_colours(void);

#endif

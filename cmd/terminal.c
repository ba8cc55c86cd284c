/* SPDX-License-Identifier: MIT */
#include "terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

bool terminal_size(unsigned *columns, unsigned *rows)
{
	struct winsize size;

	*columns = *rows = 0;
	if (!isatty(STDOUT_FILENO))
		return false;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
		*columns = size.ws_col;
		*rows = size.ws_row;
	}
	return true;
}

unsigned terminal_width(void)
{
	const char *given = getenv("COLUMNS");
	unsigned columns, rows;

	if (given && atoi(given) > 0)
		return (unsigned)atoi(given);
	terminal_size(&columns, &rows);
	return columns;
}

bool terminal_moves(int fd)
{
	const char *terminal = getenv("TERM");

	return isatty(fd) && terminal && strcmp(terminal, "dumb");
}

bool terminal_colours(void)
{
	const char *refused = getenv("NO_COLOR");

	return terminal_moves(STDOUT_FILENO) && !(refused && *refused);
}

/* SPDX-License-Identifier: MIT */
/* Every pair of sockets as a table: first sockets down, second ones across, the verdicts of several systems in a cell. */
#ifndef FAKEBIND_PAIRS_H
#define FAKEBIND_PAIRS_H

#include "playing.h"
#include "systems.h"

struct pairs_wish {
	struct systems systems;
	bool loopback_alias;
	bool all; /* also where all systems agree */
	enum output output;
};

/* An exit status: 1 if two systems differ. */
int pairs_show(const struct pairs_wish *);

#endif

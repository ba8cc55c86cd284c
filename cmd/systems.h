/* SPDX-License-Identifier: MIT */
/* Several systems on a command line. */
#ifndef FAKEBIND_SYSTEMS_H
#define FAKEBIND_SYSTEMS_H

#include "shim/rules/rules.h"

struct systems {
	const struct profile **profiles;
	char **words; /* as --os has them */
	size_t count;
};

/* The value of one --os: names or files with commas between.  False after an error. */
bool systems_add(struct systems *, const char *names);
void systems_add_all(struct systems *);
/* Leaves each there once. */
void systems_once(struct systems *);
void systems_free(struct systems *);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Profiles as text, read at run time: doc/fakebind-profiles.7 describes the format, scripts/mkprofiles.awk
 * compiles the same into fakebind.
 */
#ifndef FAKEBIND_PROFILE_TEXT_H
#define FAKEBIND_PROFILE_TEXT_H

#include "shim/rules/rules.h"

/* By the names of enum tier. */
extern const char *const tier_names[];
#define TIER_COUNT 3

/* Does the user mean a file?  With a slash, or by the end of its name. */
bool profile_is_file(const char *name);
/* NULL after an error on stderr, FILE:LINE: ...  The profile is kept until the process ends. */
const struct profile *profile_read(const char *path);

#endif

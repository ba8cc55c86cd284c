/* SPDX-License-Identifier: MIT */
/* Where the registries of a user live: XDG_RUNTIME_DIR/fakebind, or /dev/shm/fakebind-UID. */
#ifndef FAKEBIND_PLACE_H
#define FAKEBIND_PLACE_H

#include <stddef.h>

/* Makes the directory (0700) if it is not there and checks that it is ours alone.  runtime: the value of
 * XDG_RUNTIME_DIR or NULL.  buffer gets the path.  NULL on success, else what is wrong with it. */
const char *place_directory(const char *runtime, char *buffer, size_t size);

#endif

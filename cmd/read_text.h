/* SPDX-License-Identifier: MIT */
#ifndef FAKEBIND_READ_TEXT_H
#define FAKEBIND_READ_TEXT_H

#include <stddef.h>

/* The whole of a file, `-' is standard input, decompressed if it is .xz, with a NUL after it; to be freed.
 * NULL after an error on stderr. */
char *read_text(const char *path, size_t *length);

#endif

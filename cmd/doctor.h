/* SPDX-License-Identifier: MIT */
#ifndef FAKEBIND_DOCTOR_H
#define FAKEBIND_DOCTOR_H

#include <link.h>
#include <stdbool.h>
#include <stddef.h>

#include "image.h"

enum level {
	LEVEL_FINE,
	LEVEL_NOTE, /* cannot be told, or has an effect that one should know */
	LEVEL_LEAK  /* something passes fakebind by */
};

struct finding {
	enum level level;
	const char *check; /* one word */
	char *text;
	const char *advice; /* NULL: nothing to do */
};

struct report {
	struct finding *findings;
	size_t count;
};

void report_add(struct report *, enum level, const char *check, const char *advice, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

/* What a program or library does beside the C library; is_program: it is what the user wants to run. */
void doctor_image(struct report *, const struct image *, const ElfW(Ehdr) *, bool is_program);

#endif

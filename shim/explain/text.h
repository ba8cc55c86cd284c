/* SPDX-License-Identifier: MIT */
/* Words into a buffer, without stdio or allocation; what does not fit is cut. */
#ifndef FAKEBIND_TEXT_H
#define FAKEBIND_TEXT_H

#include <stdint.h>

struct text {
	char *at, *end;
};

void put(struct text *, const char *words);
void put_number(struct text *, uint64_t);

#endif

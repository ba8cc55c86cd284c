/* SPDX-License-Identifier: MIT */
#include "rules.h"

#include <stdlib.h>
#include <string.h>

#define DAY 86400000

static double unit_of(const char *text)
{
	static const struct { char name[3]; uint32_t milliseconds; } units[] = {
		{ "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 },
	};

	for (size_t i = 0; i < sizeof units / sizeof *units; i++)
		if (!strcmp(text, units[i].name))
			return units[i].milliseconds;
	return -1;
}

bool time_wait_parse(const char *text, struct time_wait *wait)
{
	bool scaled = *text == 'x';
	const char *digits = text + scaled;
	char *end;
	double value;

	*wait = (struct time_wait){ 0 };
	if (!strcmp(text, "off"))
		return true;
	value = strtod(digits, &end);
	if (end == digits || end != digits + strspn(digits, "0123456789.")) /* it takes more than such numbers */
		return false;
	value *= scaled ? *end ? -1 : 1000000 : unit_of(end);
	if (!(value >= 0) || value > (scaled ? 1e9 : DAY))
		return false;
	*(scaled ? &wait->scale : &wait->fixed) = (uint32_t)value;
	return true;
}

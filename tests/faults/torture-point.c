/* SPDX-License-Identifier: MIT */
/* In a library of its own (registry.am): TORTURE_POINT=POINT:DELAY kills the process there, the time after DELAY. */
#include "../../shim/host/raw.h"
#include "../../shim/registry/internal.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static int armed = -1, delay;

__attribute__((constructor)) static void arm(void)
{
	const char *value = getenv("TORTURE_POINT");

	if (value && sscanf(value, "%d:%d", &armed, &delay) != 2)
		armed = -1;
}

void registry_point(enum registry_point point)
{
	if (armed == (int)point && delay-- <= 0)
		raw_call(SYS_kill, raw_call(SYS_getpid, 0), SIGKILL);
}

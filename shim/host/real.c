/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "real.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <sys/syscall.h>

#include "raw.h"

#define HOOK(returns, name, parameters, arguments) \
	static returns early_##name parameters \
	{ \
		real_resolve(); \
		return real.name arguments; \
	}
#include "../interpose/hooks.def"
#undef HOOK

static int early_fcntl(int fd, int command, ...)
{
	__builtin_va_list list;
	__builtin_va_start(list, command);
	void *argument = __builtin_va_arg(list, void *);
	__builtin_va_end(list);
	real_resolve();
	return real.fcntl(fd, command, argument);
}

static long early_syscall(long number, ...)
{
	__builtin_va_list list;
	long a[6];
	__builtin_va_start(list, number);
	for (int i = 0; i < 6; i++)
		a[i] = __builtin_va_arg(list, long);
	__builtin_va_end(list);
	real_resolve();
	return real.syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

struct real real = {
#define HOOK(returns, name, parameters, arguments) .name = early_##name,
#include "../interpose/hooks.def"
#undef HOOK
	.fcntl = early_fcntl,
	.syscall = early_syscall,
};

/* A libc without these two (musl; glibc < 2.34) has programs that do not call them, but we export them. */
static int kernel_close_range(unsigned first, unsigned last, int flags)
{
	long result = raw_call(SYS_close_range, (long)first, (long)last, flags);
	if (result >= 0)
		return 0;
	errno = (int)-result;
	return -1;
}

static void kernel_closefrom(int first)
{
	kernel_close_range(first < 0 ? 0 : (unsigned)first, UINT_MAX, 0);
}

static void *next(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

/* Storing through void ** is the way POSIX gives for dlsym() and functions. */
#define RESOLVE(name) \
	do { \
		void *found = next(#name); \
		if (found) \
			*(void **)&real.name = found; \
	} while (0)

void real_resolve(void)
{
	int saved = errno;
	real.close_range = kernel_close_range;
	real.closefrom = kernel_closefrom;
#define HOOK(returns, name, parameters, arguments) RESOLVE(name);
#include "../interpose/hooks.def"
#undef HOOK
	RESOLVE(fcntl);
	RESOLVE(syscall);
	errno = saved;
}

/* SPDX-License-Identifier: MIT */
/* The doors.  No logic here: hooks.def is the list, shim/engine the rooms behind. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../engine/engine.h"
#include "../engine/log.h"
#include "../engine/session.h"
#include "../host/ask.h"
#include "../host/real.h"

#define EXPORT __attribute__((visibility("default")))

#define ROOM(name) (session.log ? log_##name : engine_##name)

#define HOOK(returns, name, parameters, arguments) \
	EXPORT returns name parameters; \
	EXPORT returns name parameters { return ROOM(name) arguments; }
#include "hooks.def"
#undef HOOK

static int duplicate(int fd, int command, void *argument)
{
	int result = real.fcntl(fd, command, argument);
	if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
		engine_duplicated(fd, result);
	return result;
}

/* Whatever the third argument is, it travels as a pointer-sized value. */
#define FCNTL(name) \
	EXPORT int name(int fd, int command, ...); \
	EXPORT int name(int fd, int command, ...) \
	{ \
		va_list list; \
		va_start(list, command); \
		void *argument = va_arg(list, void *); \
		va_end(list); \
		return duplicate(fd, command, argument); \
	}
#undef fcntl
FCNTL(fcntl)
#undef fcntl64
FCNTL(fcntl64)

EXPORT long syscall(long number, ...)
{
	long a[6];
	va_list list;
	va_start(list, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	switch (number) {
	case SYS_socket: return ROOM(socket)((int)a[0], (int)a[1], (int)a[2]);
	case SYS_bind: return ROOM(bind)((int)a[0], (void *)a[1], (socklen_t)a[2]);
	case SYS_listen: return ROOM(listen)((int)a[0], (int)a[1]);
	case SYS_connect: return ROOM(connect)((int)a[0], (void *)a[1], (socklen_t)a[2]);
#ifdef SYS_accept
	case SYS_accept: return ROOM(accept)((int)a[0], (void *)a[1], (void *)a[2]);
#endif
	case SYS_accept4: return ROOM(accept4)((int)a[0], (void *)a[1], (void *)a[2], (int)a[3]);
	case SYS_setsockopt: return ROOM(setsockopt)((int)a[0], (int)a[1], (int)a[2], (void *)a[3], (socklen_t)a[4]);
	case SYS_getsockopt: return ROOM(getsockopt)((int)a[0], (int)a[1], (int)a[2], (void *)a[3], (void *)a[4]);
	case SYS_shutdown: return ROOM(shutdown)((int)a[0], (int)a[1]);
	case SYS_close: return ROOM(close)((int)a[0]);
	case SYS_close_range: return ROOM(close_range)((unsigned)a[0], (unsigned)a[1], (int)a[2]);
	case SYS_dup: return ROOM(dup)((int)a[0]);
#ifdef SYS_dup2
	case SYS_dup2: return ROOM(dup2)((int)a[0], (int)a[1]);
#endif
	case SYS_dup3: return ROOM(dup3)((int)a[0], (int)a[1], (int)a[2]);
	case SYS_unshare: return ROOM(unshare)((int)a[0]);
	case SYS_setns: return ROOM(setns)((int)a[0], (int)a[1]);
	case SYS_fcntl: return duplicate((int)a[0], (int)a[1], (void *)a[2]);
	default: return real.syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	}
}

__attribute__((constructor)) static void start(int argc, char **argv, char **environment)
{
	(void)argc;
	(void)argv;
	real_resolve();
	ask_start(environment);
	session_start();
}

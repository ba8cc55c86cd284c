/* SPDX-License-Identifier: MIT */
/*
 * The libc underneath.  Usable at any time: a pointer that is not resolved yet resolves all of
 * them on its first call, which only happens before the library's constructor ran.
 */
#ifndef FAKEBIND_REAL_H
#define FAKEBIND_REAL_H

#include <sys/socket.h>

struct real {
#define HOOK(returns, name, parameters, arguments) returns (*name) parameters;
#include "../interpose/hooks.def"
#undef HOOK
	int (*fcntl)(int fd, int command, ...);
	long (*syscall)(long number, ...);
};

extern struct real real;

void real_resolve(void);

#endif

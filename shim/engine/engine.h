/* SPDX-License-Identifier: MIT */
/*
 * The socket calls under a profile: each takes what the program gave, makes a claim or a question of it,
 * has it judged, and calls the host.  Same results and errno as the libc call; errno is untouched on
 * success.  Async-signal-safe.
 */
#ifndef FAKEBIND_ENGINE_H
#define FAKEBIND_ENGINE_H

#include <sys/socket.h>

#define HOOK(returns, name, parameters, arguments) returns engine_##name parameters;
#include "../interpose/hooks.def"
#undef HOOK

/* After a successful fcntl(F_DUPFD...) or any other call that made `made` out of `fd`. */
void engine_duplicated(int fd, int made);

#endif

/* SPDX-License-Identifier: MIT */
/* FAKEBIND_LOG: every call that decides who has a port, a line each; doc/fakebind-log.5. */
#ifndef FAKEBIND_LOG_H
#define FAKEBIND_LOG_H

#include "../explain/explain.h"
#include "engine.h"
#include "sockets.h"

/* The engine's calls, and a line about them. */
#define HOOK(returns, name, parameters, arguments) returns log_##name parameters;
#include "../interpose/hooks.def"
#undef HOOK

/* These have their lines from log_let_go() and log_duplicated(). */
#define log_close engine_close
#define log_close_range engine_close_range
#define log_closefrom engine_closefrom
#define log_dup engine_dup
#define log_dup2 engine_dup2
#define log_dup3 engine_dup3
/* No line: no socket of this process is another one after them. */
#define log_unshare engine_unshare
#define log_setns engine_setns

/* Calls are appended to that file from now on.  False after a line on stderr. */
bool log_start(const char *path);
/* Why the call that is being logged is answered so. */
void log_why(const struct explanation *);
/* Before a descriptor is closed. */
void log_let_go(int fd, const struct slot *);
void log_duplicated(int fd, int made);

#endif

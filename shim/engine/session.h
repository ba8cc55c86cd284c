/* SPDX-License-Identifier: MIT */
/* What this process runs under: the profile, the registry, and how much is to be said. */
#ifndef FAKEBIND_SESSION_H
#define FAKEBIND_SESSION_H

#include "../registry/registry.h"
#include "../rules/rules.h"

/* SO_REUSEADDR of every socket: the program's own, or as the user says. */
enum reuseaddr { REUSEADDR_KEEP, REUSEADDR_OFF, REUSEADDR_ON };

enum explain_level { EXPLAIN_NOTHING, EXPLAIN_REFUSALS, EXPLAIN_ALL };

struct session {
	const struct profile *profile; /* NULL: every call passes untouched */
	struct registry registry;
	enum explain_level explain;
	bool log; /* every call that matters goes to FAKEBIND_LOG */
	uint64_t stderr_inode;
	uint16_t stderr_mode;
	uint32_t asks;     /* what its rules ask for: ASKS_* */
	bool mirror;       /* trait host = mirror, and not own_time, for which the host must leave forgiving remnants */
	bool as_host;      /* mirror, and arguments and options are those of the host, too */
	bool beyond_host;  /* mirror, but it may allow what the host refuses */
	bool stricter;     /* it may refuse where nothing overlaps */
	bool any_address;  /* trait foreign_address = bound */
	bool loopback_alias; /* FAKEBIND_LOOPBACK_ALIAS */
	uint32_t options;         /* of every new socket: FAKEBIND_SET */
	enum reuseaddr reuseaddr; /* FAKEBIND_SET */
	bool own_time;       /* FAKEBIND_TIME_WAIT is set: */
	struct time_wait time_wait;
	bool remembers;      /* accept() and connect() leave a record of what they connect: unseen_remembers() */
};

extern struct session session;

/* Reads FAKEBIND_* and maps the registry.  On bad values: one line on stderr, and calls pass. */
void session_start(void);

/* One write to a descriptor, with no SIGPIPE: as the system call returns. */
long write_quietly(int fd, const char *line, size_t length);
/* To the stderr this process was started with or has made by dup2(), if that is still its descriptor 2;
 * to nothing that took its place.  Async-signal-safe, errno untouched. */
void session_write(const char *line, size_t length);
/* Descriptor 2 as it is now is meant to be stderr. */
void session_stderr(void);

/* One line on stderr, without stdio or allocation; safe in a signal handler.  Ends in NULL. */
void session_say(const char *first, ...);

#endif

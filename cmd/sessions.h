/* SPDX-License-Identifier: MIT */
/* The registries of this user: one a run, one a named session. */
#ifndef FAKEBIND_SESSIONS_H
#define FAKEBIND_SESSIONS_H

#include <limits.h>

#include "kernel.h"
#include "shim/registry/registry.h"

#define RUN_PREFIX "run-"
#define SESSION_PREFIX "session-"
#define SESSION_NAME 64 /* longest */

struct session_file {
	char name[NAME_MAX + 1]; /* of a named session that name, else the file's */
	char path[PATH_MAX];
};

struct session_list {
	struct session_file *files; /* by name */
	size_t count;
};

bool session_name_valid(const char *);

/* Where they are; false after an error that says why there is no such place. */
bool sessions_directory(char *directory, size_t size);
/* False after an error: there is no such place. */
bool sessions_read(struct session_list *);
void sessions_read_in(struct session_list *, const char *directory);
void sessions_free(struct session_list *);
/* The one of that name; false after an error that names those there are. */
bool session_find(const char *name, struct session_file *);
/* The one this process runs in; false if in none. */
bool session_of_ours(struct session_file *);

/* A copy of its registry, and the profile (NULL: of a file, or of another version, *system is its name). */
enum registry_error session_open(const struct session_file *, struct registry *, uint64_t netns, char system[REGISTRY_SYSTEM_MAX],
				 const struct profile **);

/* The programs that have it in use: their number; the first `room` of them. */
size_t session_programs(const struct session_file *, uint32_t *pids, size_t room);

/* Removes those that are over: no program uses them, and of their sockets nothing is left in the kernel, in the
 * registry no remnant.  Files made or joined in the last seconds stay: their program may not have started yet. */
void sessions_sweep(const char *directory);

#endif

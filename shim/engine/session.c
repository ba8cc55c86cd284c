/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "session.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "../host/ask.h"
#include "../host/place.h"
#include "../host/raw.h"
#include "../host/real.h"
#include "sockets.h"

struct session session;

void session_say(const char *first, ...)
{
	char line[1024];
	size_t used = 0;
	va_list list;
	va_start(list, first);
	for (const char *part = first; part; part = va_arg(list, const char *)) {
		size_t length = strlen(part);
		if (length > sizeof line - 1 - used)
			length = sizeof line - 1 - used;
		memcpy(line + used, part, length);
		used += length;
	}
	va_end(list);
	line[used++] = '\n';
	raw_call(SYS_write, 2, (long)line, (long)used);
}

static bool read_explain(void)
{
	const char *value = secure_getenv("FAKEBIND_EXPLAIN");
	if (!value || !*value || !strcmp(value, "0"))
		session.explain = EXPLAIN_NOTHING;
	else if (!strcmp(value, "1"))
		session.explain = EXPLAIN_REFUSALS;
	else if (!strcmp(value, "all"))
		session.explain = EXPLAIN_ALL;
	else {
		session_say("fakebind: FAKEBIND_EXPLAIN=", value, ": expected 0, 1 or all; nothing will be explained", NULL);
		return false;
	}
	return true;
}

/* The registry's file: FAKEBIND_REGISTRY, or one for each user and system. */
static const char *registry_path(const char *system, char *buffer, size_t size)
{
	const char *path = secure_getenv("FAKEBIND_REGISTRY");
	if (path && *path) {
		if (path[0] == '/')
			return path;
		session_say("fakebind: FAKEBIND_REGISTRY=", path, ": expected an absolute path; calls pass to the host", NULL);
		return NULL;
	}
	const char *problem = place_directory(secure_getenv("XDG_RUNTIME_DIR"), buffer, size);
	if (problem) {
		session_say("fakebind: ", buffer, ": ", problem, "; calls pass to the host", NULL);
		return NULL;
	}
	if (strlen(buffer) + strlen("/default-") + strlen(system) >= size)
		return NULL;
	return strcat(strcat(buffer, "/default-"), system);
}

void session_start(void)
{
	char buffer[4096];
	const char *name = secure_getenv("FAKEBIND_OS");
	if (!name || !*name)
		return;
	const struct profile *profile = profile_find(name);
	if (!profile) {
		session_say("fakebind: FAKEBIND_OS=", name, ": no such system (fakebind profiles lists them); calls pass to the host", NULL);
		return;
	}
	read_explain();
	const char *path = registry_path(profile->name, buffer, sizeof buffer);
	if (!path)
		return;
	int saved = errno;
	enum registry_error error = registry_open(&session.registry, path, profile->name, ask_netns());
	errno = saved;
	if (error != REGISTRY_OK) {
		session_say("fakebind: ", path, ": ", registry_error_text(error), "; calls pass to the host", NULL);
		return;
	}
	session.mirror = profile->trait[trait_host] == host_mirror;
	session.any_address = profile->trait[trait_foreign_address] == foreign_address_bound;
	session.profile = profile;
}

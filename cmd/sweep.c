/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "cmd.h"

#include "shim/registry/registry.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The registry of a run that has not had the time yet to start its program. */
#define YOUNG 10

/* run-PID-RANDOM.SYSTEM: the process that became the command, and what registry_open() must be told. */
static bool is_over(const char *path, const char *name, time_t made)
{
	struct registry registry;
	bool alive;
	char *end;
	const char *system = strchr(name, '.');
	long pid = strtol(name + strlen(RUN_PREFIX), &end, 10);

	if (!system || *end != '-' || pid <= 0 || time(NULL) - made < YOUNG)
		return false;
	if (kill(pid, 0) == 0 || errno != ESRCH)
		return false;
	if (registry_open(&registry, path, system + 1, 0) != REGISTRY_OK)
		return false;
	alive = registry_any_process_alive(&registry);
	registry_close(&registry);
	return !alive;
}

void sweep_runs(const char *directory)
{
	DIR *stream = opendir(directory);
	struct dirent *entry;
	struct stat status;
	char path[4096];

	if (!stream)
		return;
	while ((entry = readdir(stream))) {
		if (strncmp(entry->d_name, RUN_PREFIX, strlen(RUN_PREFIX)))
			continue;
		if (fstatat(dirfd(stream), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) || !S_ISREG(status.st_mode))
			continue;
		if ((size_t)snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name) >= sizeof(path))
			continue;
		if (is_over(path, entry->d_name, status.st_mtime))
			unlink(path);
	}
	closedir(stream);
}

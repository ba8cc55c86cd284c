/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "place.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Others can make any name in /dev/shm before we do, and in a user namespace ours may be that of an outer user. */
#define CANDIDATES 100

static const char *check(const char *path, bool *others)
{
	struct stat status;
	*others = false;
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return strerror(errno);
	if (lstat(path, &status) < 0)
		return "cannot be looked at";
	*others = status.st_uid != geteuid();
	if (*others)
		return "belongs to another user";
	if (!S_ISDIR(status.st_mode))
		return "expected a directory";
	if (status.st_mode & 077)
		return "expected mode 0700";
	return NULL;
}

/* Whoever can rename what is in it could put another directory in place of the one that was checked. */
static bool is_private(const char *runtime)
{
	struct stat status;
	return runtime[0] == '/' && !stat(runtime, &status) && status.st_uid == geteuid() && !(status.st_mode & 022);
}

const char *place_directory(const char *runtime, char *buffer, size_t size)
{
	const char *problem = "path too long";
	int saved = errno;
	bool others;
	if (runtime && is_private(runtime) && (size_t)snprintf(buffer, size, "%s/fakebind", runtime) < size)
		problem = check(buffer, &others);
	/* A runtime directory that is gone or not ours (su, sudo) is no reason to stop. */
	for (unsigned number = 0; problem && number < CANDIDATES; number++) {
		int length = snprintf(buffer, size, number ? "/dev/shm/fakebind-%u-%u" : "/dev/shm/fakebind-%u", (unsigned)geteuid(), number);
		if (length < 0 || (size_t)length >= size)
			return "path too long";
		problem = check(buffer, &others);
		if (!others)
			break;
	}
	errno = saved;
	return problem;
}

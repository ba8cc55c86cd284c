/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "place.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *check(const char *path)
{
	struct stat status;
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return strerror(errno);
	if (lstat(path, &status) < 0)
		return "cannot be looked at";
	if (!S_ISDIR(status.st_mode))
		return "expected a directory";
	if (status.st_uid != geteuid())
		return "belongs to another user";
	if (status.st_mode & 077)
		return "expected mode 0700";
	return NULL;
}

const char *place_directory(const char *runtime, char *buffer, size_t size)
{
	int saved = errno, length;
	if (runtime && runtime[0] == '/')
		length = snprintf(buffer, size, "%s/fakebind", runtime);
	else
		length = snprintf(buffer, size, "/dev/shm/fakebind-%u", (unsigned)geteuid());
	if (length < 0 || (size_t)length >= size)
		return "path too long";
	const char *problem = check(buffer);
	/* A runtime directory that is gone or not ours (su, sudo) is no reason to stop. */
	if (problem && runtime)
		return place_directory(NULL, buffer, size);
	errno = saved;
	return problem;
}

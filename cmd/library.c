/* SPDX-License-Identifier: MIT */
/* The library that is preloaded: where it is, and whether it is of our version. */
#define _GNU_SOURCE
#include "config.h"

#include "cmd.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Where make leaves it, seen from a fakebind that was not installed. */
static bool built_library(char *path, size_t size)
{
	ssize_t length = readlink("/proc/self/exe", path, size - 1);
	char *slash;

	if (length <= 0)
		return false;
	path[length] = '\0';
	slash = strrchr(path, '/');
	snprintf(slash, size - (size_t)(slash - path), "/.libs/libfakebind.so");
	return access(path, R_OK) == 0;
}

bool library_find(char *path, size_t size)
{
	const char *given = getenv("FAKEBIND_LIBRARY");
	char version[LIBRARY_VERSION];

	if (given && *given)
		snprintf(path, size, "%s", given);
	else if (!built_library(path, size))
		snprintf(path, size, "%s/libfakebind.so", PKGLIBDIR);
	if (path[0] != '/' || strpbrk(path, ": ")) {
		complain("the library %s cannot be preloaded: its path must begin with / and have no colon or space", path);
		return false;
	}
	if (!target_is_library(path, version))
		return false;
	if (strcmp(version, PACKAGE_VERSION)) {
		complain("the library %s is of version %s, this fakebind of %s: they must be of one version", path,
			 *version ? version : "unknown", PACKAGE_VERSION);
		return false;
	}
	return true;
}

int show_version(void)
{
	char command[PATH_MAX], library[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", command, sizeof(command) - 1);
	bool good = library_find(library, sizeof(library));

	command[length > 0 ? length : 0] = '\0';
	printf("%s\n  command  %s  %s\n", PACKAGE_STRING, PACKAGE_VERSION, command);
	if (good)
		printf("  library  %s  %s\n", PACKAGE_VERSION, library);
	return finish_output() ? 1 : good ? 0 : EXIT_OURS;
}

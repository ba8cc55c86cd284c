/* SPDX-License-Identifier: MIT */
/*
 * Will the preloaded library reach this program?  A static, setuid or foreign program would run as if
 * fakebind were not there, and its user would take the host's answers for the other system's.
 */
#define _GNU_SOURCE
#include "cmd.h"

#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Like the kernel's limit on scripts that are interpreters of scripts (fs/exec.c exec_binprm, 6.18). */
#define SCRIPT_DEPTH 5

/* ---- where it is ---- */

static bool can_run(const char *path)
{
	struct stat status;

	if (stat(path, &status) || faccessat(AT_FDCWD, path, X_OK, AT_EACCESS))
		return false;
	if (S_ISREG(status.st_mode))
		return true;
	errno = EACCES;
	return false;
}

/* The next PATH entry with the command behind it; false if that is too long. */
static bool join(char *path, size_t size, const char *entry, size_t length, const char *command)
{
	if (length == 0) { /* an empty entry is the current directory */
		entry = ".";
		length = 1;
	}
	return (size_t)snprintf(path, size, "%.*s/%s", (int)length, entry, command) < size;
}

int target_resolve(const char *command, char *path, size_t size)
{
	const char *entry = getenv("PATH");
	int error = ENOENT;

	if (!*command)
		return cannot_run("''", ENOENT);
	if (strchr(command, '/')) {
		if ((size_t)snprintf(path, size, "%s", command) >= size)
			return cannot_run(command, ENAMETOOLONG);
		return can_run(path) ? 0 : cannot_run(command, errno);
	}
	for (entry = entry ? entry : "/bin:/usr/bin";; entry++) {
		size_t length = strcspn(entry, ":");

		if (join(path, size, entry, length, command)) {
			if (can_run(path))
				return 0;
			if (errno != ENOENT && errno != ENOTDIR)
				error = errno;
		}
		entry += length;
		if (!*entry)
			return cannot_run(command, error);
	}
}

/* ---- what it is ---- */

static bool needs_asan(const struct image *image)
{
	const char *name;

	for (size_t index = 0; (name = image_needed(image, &index));)
		if (strstr(name, "libasan.so") || strstr(name, "libclang_rt.asan"))
			return true;
	return false;
}

/* Would the kernel start it with other rights than ours?  Then the dynamic loader ignores LD_PRELOAD. */
static bool gains_rights(const struct image *image)
{
	struct statvfs mount;
	struct stat status;

	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		return false;
	if (fstatvfs(image->fd, &mount) == 0 && mount.f_flag & ST_NOSUID)
		return false;
	if (fstat(image->fd, &status))
		return false;
	if (status.st_mode & S_ISUID && status.st_uid != getuid())
		return true;
	if (status.st_mode & S_ISGID && status.st_mode & S_IXGRP && status.st_gid != getgid())
		return true;
	return getuid() != 0 && fgetxattr(image->fd, "security.capability", NULL, 0) > 0;
}

bool target_is_out_of_reach(const struct image *image, const ElfW(Ehdr) *header, char why[TARGET_WHY])
{
	const char *what = NULL;

	if (image_bits(header) != image_our_bits())
		return snprintf(why, TARGET_WHY,
			"is a %d-bit program, this fakebind is for %d bits and its library cannot be loaded there: build one for it (./configure CC='gcc -m%d')",
			image_bits(header), image_our_bits(), image_bits(header)) > 0;
	if (!image_is_our_machine(header))
		what = "is a program for another processor: fakebind's library cannot be loaded there";
	else if (!image_interpreter(image))
		what = "is statically linked: no dynamic loader runs, so fakebind's library cannot be loaded there";
	else if (gains_rights(image))
		what = "is setuid, setgid or has file capabilities: the dynamic loader ignores LD_PRELOAD for it";
	snprintf(why, TARGET_WHY, "%s", what ? what : "");
	return what != NULL;
}

static int inspect_elf(const struct image *image, const ElfW(Ehdr) *header, struct target *target)
{
	char why[TARGET_WHY];

	if (target_is_out_of_reach(image, header, why)) {
		complain("%s %s", image->name, why);
		return EXIT_OURS;
	}
	target->asan = needs_asan(image);
	return 0;
}

void target_interpreter(const struct image *script, char *path, size_t size, char *argument)
{
	const char *line = (const char *)script->bytes;
	const char *end = line + (script->size < 256 ? script->size : 256);

	snprintf(path, size, "/bin/sh");
	*argument = '\0';
	if (script->size < 2 || memcmp(line, "#!", 2))
		return;
	for (line += 2; line < end && (*line == ' ' || *line == '\t'); line++)
		;
	snprintf(path, size, "%.*s", (int)strnlen(line, end - line), line);
	path[strcspn(path, "\n")] = '\0';
	snprintf(argument, size, "%s", path + strcspn(path, " \t"));
	path[strcspn(path, " \t")] = '\0';
}

static int inspect(const char *path, struct target *target, int depth)
{
	const ElfW(Ehdr) *header;
	char interpreter[256], argument[256];
	struct image image;
	int result;

	if (depth > SCRIPT_DEPTH)
		return cannot_run(path, ELOOP);
	if (!image_open(&image, path)) {
		if (errno != EACCES)
			return cannot_run(path, errno);
		complain("%s cannot be read, so it cannot be told whether fakebind's library would be loaded into it", path);
		return EXIT_OURS;
	}
	header = image_elf(&image);
	if (header) {
		result = inspect_elf(&image, header, target);
	} else {
		target_interpreter(&image, interpreter, sizeof(interpreter), argument);
		result = inspect(interpreter, target, depth + 1);
	}
	image_close(&image);
	return result;
}

int target_inspect(const char *command, struct target *target)
{
	int result;

	memset(target, 0, sizeof(*target));
	result = target_resolve(command, target->path, sizeof(target->path));
	return result ? result : inspect(target->path, target, 0);
}

/* The library has it as what(1) would find it: shim/engine/session.c. */
static void find_version(const struct image *image, char version[LIBRARY_VERSION])
{
	static const char mark[] = "@(#)fakebind ";
	const char *found = memmem(image->bytes, image->size, mark, sizeof(mark) - 1);
	const char *end = (const char *)image->bytes + image->size;

	*version = '\0';
	if (!found)
		return;
	found += sizeof(mark) - 1;
	snprintf(version, LIBRARY_VERSION, "%.*s", (int)strnlen(found, (size_t)(end - found)), found);
	for (char *at = version; *at; at++)
		if (*at < ' ' || *at >= 0x7f)
			*at = '?';
}

bool target_is_library(const char *path, char version[LIBRARY_VERSION])
{
	const ElfW(Ehdr) *header;
	struct image image;
	bool fits;

	if (!image_open(&image, path)) {
		complain("cannot read the library %s: %s", path, strerror(errno));
		return false;
	}
	header = image_elf(&image);
	fits = header && header->e_type == ET_DYN && image_bits(header) == image_our_bits() &&
	       image_is_our_machine(header);
	if (!fits)
		complain("%s is not a %d-bit shared library for this processor", path, image_our_bits());
	find_version(&image, version);
	image_close(&image);
	return fits;
}

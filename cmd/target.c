/* SPDX-License-Identifier: MIT */
/*
 * Will the preloaded library reach this program?  A static, setuid or foreign program would run as if
 * fakebind were not there, and its user would take the host's answers for the other system's.
 */
#define _GNU_SOURCE
#include "cmd.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Like the kernel's limit on scripts that are interpreters of scripts (fs/exec.c exec_binprm, 6.18). */
#define SCRIPT_DEPTH 5

/* Our own headers: the linker's name for where they begin. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

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

static int resolve(const char *command, char *path, size_t size)
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

struct image {
	const char *name;
	int fd;
	const unsigned char *bytes;
	size_t size;
};

static bool image_open(struct image *image, const char *name)
{
	struct stat status;
	void *bytes;

	image->name = name;
	image->fd = open(name, O_RDONLY | O_CLOEXEC);
	if (image->fd < 0)
		return false;
	if (fstat(image->fd, &status) == 0 && status.st_size > 0) {
		bytes = mmap(NULL, status.st_size, PROT_READ, MAP_PRIVATE, image->fd, 0);
		if (bytes != MAP_FAILED) {
			image->bytes = bytes;
			image->size = status.st_size;
			return true;
		}
	}
	image->bytes = NULL; /* an empty file is an empty script */
	image->size = 0;
	return true;
}

static void image_close(struct image *image)
{
	if (image->bytes)
		munmap((void *)image->bytes, image->size);
	close(image->fd);
}

/* NULL unless all of it is in the file. */
static const void *at(const struct image *image, uint64_t offset, uint64_t length)
{
	if (offset > image->size || length > image->size - offset)
		return NULL;
	return image->bytes + offset;
}

static const char *string_at(const struct image *image, uint64_t offset)
{
	if (offset >= image->size || !memchr(image->bytes + offset, 0, image->size - offset))
		return NULL;
	return (const char *)image->bytes + offset;
}

/* The headers of one kind, beginning at *index; NULL at the end. */
static const ElfW(Phdr) *segment(const struct image *image, unsigned type, unsigned *index)
{
	const ElfW(Ehdr) *header = at(image, 0, sizeof(*header));
	const ElfW(Phdr) *one;

	if (header->e_phentsize != sizeof(*one))
		return NULL;
	while (*index < header->e_phnum) {
		one = at(image, header->e_phoff + (uint64_t)(*index)++ * sizeof(*one), sizeof(*one));
		if (one && one->p_type == type)
			return one;
	}
	return NULL;
}

/* Where in the file an address of the program comes from. */
static uint64_t offset_of(const struct image *image, uint64_t address)
{
	const ElfW(Phdr) *load;
	unsigned index = 0;

	while ((load = segment(image, PT_LOAD, &index)))
		if (address - load->p_vaddr < load->p_filesz)
			return load->p_offset + (address - load->p_vaddr);
	return image->size;
}

static bool needs_asan(const struct image *image)
{
	const ElfW(Phdr) *dynamic = segment(image, PT_DYNAMIC, &(unsigned){ 0 });
	const ElfW(Dyn) *entries = dynamic ? at(image, dynamic->p_offset, dynamic->p_filesz) : NULL;
	size_t count = entries ? dynamic->p_filesz / sizeof(*entries) : 0;
	uint64_t strings = image->size;

	for (size_t i = 0; i < count; i++)
		if (entries[i].d_tag == DT_STRTAB)
			strings = offset_of(image, entries[i].d_un.d_ptr);
	for (size_t i = 0; i < count; i++) {
		const char *name;

		if (entries[i].d_tag != DT_NEEDED)
			continue;
		name = string_at(image, strings + entries[i].d_un.d_val);
		if (name && (strstr(name, "libasan.so") || strstr(name, "libclang_rt.asan")))
			return true;
	}
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

static int refuse(const struct image *image, const char *why)
{
	complain("%s %s", image->name, why);
	return EXIT_OURS;
}

static int bits(const ElfW(Ehdr) *header)
{
	return header->e_ident[EI_CLASS] == ELFCLASS64 ? 64 : 32;
}

static const ElfW(Ehdr) *elf_header(const struct image *image)
{
	const ElfW(Ehdr) *header = at(image, 0, sizeof(*header));

	return header && !memcmp(header->e_ident, ELFMAG, SELFMAG) ? header : NULL;
}

static int inspect_elf(const struct image *image, const ElfW(Ehdr) *header, struct target *target)
{
	if (bits(header) != bits(&__ehdr_start)) {
		complain("%s is a %d-bit program, this fakebind is for %d bits and its library cannot be loaded there: build one for it (./configure CC='gcc -m%d')",
			 image->name, bits(header), bits(&__ehdr_start), bits(header));
		return EXIT_OURS;
	}
	if (header->e_machine != __ehdr_start.e_machine)
		return refuse(image, "is a program for another processor: fakebind's library cannot be loaded there");
	if (!segment(image, PT_INTERP, &(unsigned){ 0 }))
		return refuse(image, "is statically linked: no dynamic loader runs, so fakebind's library cannot be loaded there");
	if (gains_rights(image))
		return refuse(image, "is setuid, setgid or has file capabilities: the dynamic loader ignores LD_PRELOAD for it");
	target->asan = needs_asan(image);
	return 0;
}

/* The interpreter of a script: what a #! line names, else /bin/sh, as execvp(3) has it. */
static void interpreter_of(const struct image *script, char *path, size_t size)
{
	const char *line = (const char *)script->bytes;
	const char *end = line + (script->size < 256 ? script->size : 256);

	snprintf(path, size, "/bin/sh");
	if (script->size < 2 || memcmp(line, "#!", 2))
		return;
	for (line += 2; line < end && (*line == ' ' || *line == '\t'); line++)
		;
	snprintf(path, size, "%.*s", (int)strnlen(line, end - line), line);
	path[strcspn(path, " \t\n")] = '\0';
}

static int inspect(const char *path, struct target *target, int depth)
{
	const ElfW(Ehdr) *header;
	char interpreter[256];
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
	header = elf_header(&image);
	if (header) {
		result = inspect_elf(&image, header, target);
	} else {
		interpreter_of(&image, interpreter, sizeof(interpreter));
		result = inspect(interpreter, target, depth + 1);
	}
	image_close(&image);
	return result;
}

int target_inspect(const char *command, struct target *target)
{
	int result;

	memset(target, 0, sizeof(*target));
	result = resolve(command, target->path, sizeof(target->path));
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
	header = elf_header(&image);
	fits = header && header->e_type == ET_DYN && bits(header) == bits(&__ehdr_start) &&
	       header->e_machine == __ehdr_start.e_machine;
	if (!fits)
		complain("%s is not a %d-bit shared library for this processor", path, bits(&__ehdr_start));
	find_version(&image, version);
	image_close(&image);
	return fits;
}

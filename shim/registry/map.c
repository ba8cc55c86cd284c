/* SPDX-License-Identifier: MIT */
/* The registry file: creating, checking, mapping, and giving it memory. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "internal.h"
#include "../host/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif
#define RENAME_NEW 1 /* RENAME_NOREPLACE, Linux 3.15 */

struct populated populated;

/* A second registry in one process (tests) starts to ask anew, and so does the first when it is used again. */
static void ask_anew(const struct layout *map)
{
	populated.map = NULL;
	for (size_t i = 0; i < sizeof populated.unit; i++)
		atomic_store(&populated.unit[i], false);
	populated.map = map;
}

bool map_populate(struct layout *map, size_t offset)
{
	size_t unit = offset / UNIT;
	uintptr_t start = (uintptr_t)map + unit * UNIT;
	uint32_t bit = 1u << unit % 32;
	long error;

	start &= ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1); /* a page may be larger than a unit */
	do
		error = raw_call(SYS_madvise, (long)start, UNIT, MADV_POPULATE_WRITE);
	while (error == -EINTR);
	/* Before Linux 5.14 the creator gave the whole file its memory. */
	if (error && !((error == -EINVAL || error == -ENOSYS) && atomic_load(&map->header.present[unit / 32]) & bit))
		return false;
	if (populated.map != map)
		ask_anew(map);
	atomic_store(&populated.unit[unit], true);
	atomic_fetch_or(&map->header.present[unit / 32], bit);
	return true;
}

static enum registry_error failed(long error)
{
	switch (-error) {
	case ENOSPC:
	case ENOMEM:
	case EDQUOT:
	case EFBIG:
		return REGISTRY_FULL;
	case EACCES:
	case EPERM:
		return REGISTRY_OWNER;
	case ELOOP:
	case EISDIR:
	case ENXIO:
		return REGISTRY_FOREIGN;
	}
	errno = (int)-error;
	return REGISTRY_SYSTEM;
}

/* Before Linux 5.14 units cannot be had one by one without a descriptor: the whole file gets its memory now. */
static long reserve(long fd, struct header *header)
{
	void *probe = mmap(NULL, UNIT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long error;

	if (probe == MAP_FAILED)
		return -ENOMEM;
	error = raw_call(SYS_madvise, (long)probe, UNIT, MADV_POPULATE_WRITE);
	munmap(probe, UNIT);
	if (error != -EINVAL && error != -ENOSYS)
		return error;
	if (fallocate((int)fd, 0, 0, sizeof(struct layout)))
		return -errno;
	memset(header->present, 0xff, sizeof header->present);
	return 0;
}

/* Growing a file beyond the limit is not only refused, it is SIGXFSZ. */
static bool may_grow(void)
{
	uint64_t limit[2];

	return raw_call(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, (long)limit) || limit[0] >= sizeof(struct layout);
}

static long prepare(long fd, const char *system)
{
	struct header header = {
		.magic = LAYOUT_MAGIC, .version = LAYOUT_VERSION, .size = sizeof(struct layout),
		.next_record = 1, .next_process = 1, .present = { 1 },
	};
	long result;

	strncpy(header.system, system, LAYOUT_SYSTEM - 1);
	if (!may_grow())
		return -EFBIG;
	/* The program's umask must not matter. */
	if ((result = raw_call(SYS_fchmod, fd, 0600)) || (result = raw_call(SYS_ftruncate, fd, sizeof(struct layout))))
		return result;
	if ((result = reserve(fd, &header)))
		return result;
	result = raw_call(SYS_write, fd, (long)&header, sizeof header);
	return result < 0 ? result : result == sizeof header ? 0 : -ENOSPC;
}

/* A file is made under a name of the calling thread and published whole; nobody ever sees half of one. */
static long create(const char *path, const char *system)
{
	char temporary[4096];
	size_t length = strlen(path);
	long fd, result, task = raw_call(SYS_gettid, 0);

	if (length + 16 > sizeof temporary)
		return -ENAMETOOLONG;
	memcpy(temporary, path, length);
	temporary[length++] = '.';
	do
		temporary[length++] = (char)('0' + task % 10);
	while (task /= 10);
	temporary[length] = '\0';

	fd = raw_call(SYS_openat, AT_FDCWD, (long)temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -EEXIST) { /* left behind by a task of the same number that was killed here */
		raw_call(SYS_unlinkat, AT_FDCWD, (long)temporary, 0);
		return -EEXIST;
	}
	if (fd < 0)
		return fd;
	result = prepare(fd, system);
	raw_call(SYS_close, fd);
	if (!result)
		result = raw_call(SYS_renameat2, AT_FDCWD, (long)temporary, AT_FDCWD, (long)path, RENAME_NEW);
	if (result)
		raw_call(SYS_unlinkat, AT_FDCWD, (long)temporary, 0);
	return result;
}

/* system NULL: any. */
static enum registry_error check(long fd, const char *system)
{
	struct raw_statx file;
	struct header header;
	long result = raw_call(SYS_statx, fd, (long)"", AT_EMPTY_PATH, RAW_STATX_BASIC, (long)&file);

	if (result)
		return failed(result);
	if (!S_ISREG(file.mode) || file.nlink != 1 || file.size != sizeof(struct layout))
		return REGISTRY_FOREIGN;
	if (file.uid != (uint32_t)raw_call(SYS_geteuid, 0) || file.mode & (S_IWGRP | S_IWOTH))
		return REGISTRY_OWNER;
	result = raw_call(SYS_read, fd, (long)&header, sizeof header);
	if (result < 0)
		return failed(result);
	if (result != sizeof header || header.magic != LAYOUT_MAGIC || header.version != LAYOUT_VERSION ||
	    header.size != sizeof(struct layout))
		return REGISTRY_FOREIGN;
	if (system && strncmp(header.system, system, LAYOUT_SYSTEM))
		return REGISTRY_PROFILE;
	return REGISTRY_OK;
}

static enum registry_error map_file(struct registry *registry, long fd, const char *system, int sharing)
{
	enum registry_error error = check(fd, system);
	void *map;

	if (error)
		return error;
	map = mmap(NULL, sizeof(struct layout), PROT_READ | PROT_WRITE, sharing, (int)fd, 0);
	if (map == MAP_FAILED)
		return failed(-errno);
	ask_anew(map);
	registry->map = map;
	return REGISTRY_OK;
}

static enum registry_error open_or_create(struct registry *registry, const char *path, const char *system)
{
	long fd, result = -EAGAIN;

	for (int tries = 0; tries < 16; tries++) {
		fd = raw_call(SYS_openat, AT_FDCWD, (long)path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
		if (fd >= 0) {
			enum registry_error error = map_file(registry, fd, system, MAP_SHARED);
			raw_call(SYS_close, fd);
			return error;
		}
		if (fd != -ENOENT || !system)
			return failed(fd);
		/* -EEXIST: another was quicker.  -ENOENT: another thread of this number, elsewhere, removed ours. */
		result = create(path, system);
		if (result && result != -EEXIST && result != -ENOENT)
			return failed(result);
	}
	return failed(result ? result : -EAGAIN);
}

enum registry_error registry_open(struct registry *registry, const char *path, const char *system, uint64_t netns)
{
	int saved = errno;
	enum registry_error error;

	registry->map = NULL;
	registry->netns = netns;
	if (system && strlen(system) >= LAYOUT_SYSTEM)
		return REGISTRY_PROFILE;
	error = open_or_create(registry, path, system);
	if (error != REGISTRY_SYSTEM)
		errno = saved;
	return error;
}

/* A private mapping: what is looked at is copied, page by page, and nothing is ever written to the file. */
enum registry_error registry_read(struct registry *registry, const char *path, uint64_t netns, char system[LAYOUT_SYSTEM])
{
	long fd = raw_call(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
	enum registry_error error;

	*registry = (struct registry){ .netns = netns };
	if (fd < 0)
		return failed(fd);
	error = map_file(registry, fd, NULL, MAP_PRIVATE);
	raw_call(SYS_close, fd);
	if (error)
		return error;
	memcpy(system, registry->map->header.system, LAYOUT_SYSTEM - 1);
	system[LAYOUT_SYSTEM - 1] = '\0';
	return REGISTRY_OK;
}

void registry_close(struct registry *registry)
{
	int saved = errno;

	if (!registry->map)
		return;
	process_forget(registry->map);
	munmap(registry->map, sizeof(struct layout));
	registry->map = NULL;
	errno = saved;
}

const char *registry_error_text(enum registry_error error)
{
	switch (error) {
	case REGISTRY_OK: return "no error";
	case REGISTRY_SYSTEM: return strerror(errno);
	case REGISTRY_FOREIGN: return "not a registry file of this version";
	case REGISTRY_OWNER: return "belongs to another user, or others may write it";
	case REGISTRY_PROFILE: return "made for another system";
	case REGISTRY_FULL: return "no room to create it";
	}
	return "unknown error";
}

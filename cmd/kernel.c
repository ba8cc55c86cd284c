/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "kernel.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cmd.h"
#include "shim/host/ask.h"

/* ---- sockets ---- */

static bool take(void *context, const struct diag_socket *socket)
{
	struct kernel *kernel = context;

	kernel->sockets = grow(kernel->sockets, kernel->count, sizeof(*kernel->sockets));
	kernel->sockets[kernel->count++] = *socket;
	return true;
}

static int by_cookie(const void *left, const void *right)
{
	const struct diag_socket *one = left, *other = right;

	return (one->holder.cookie > other->holder.cookie) - (one->holder.cookie < other->holder.cookie);
}

void kernel_read(struct kernel *kernel)
{
	*kernel = (struct kernel){ .netns = ask_own_netns() };
	kernel->known = diag_dump(PROTOCOL_TCP, 0, DIAG_ALL, take, kernel) >= 0 && diag_dump(PROTOCOL_UDP, 0, DIAG_ALL, take, kernel) >= 0;
	if (kernel->count)
		qsort(kernel->sockets, kernel->count, sizeof(*kernel->sockets), by_cookie);
}

void kernel_free(struct kernel *kernel)
{
	free(kernel->sockets);
	*kernel = (struct kernel){ .known = false };
}

const struct diag_socket *kernel_find(const struct kernel *kernel, uint64_t cookie)
{
	struct diag_socket wanted = { .holder.cookie = cookie };

	if (!kernel->count || !cookie)
		return NULL;
	return bsearch(&wanted, kernel->sockets, kernel->count, sizeof(wanted), by_cookie);
}

/* ---- processes ---- */

/* The next entry of a directory that is a number; -1 at the end. */
static long next_number(DIR *directory)
{
	struct dirent *entry;
	char *end;

	while ((entry = readdir(directory))) {
		long number = strtol(entry->d_name, &end, 10);

		if (*entry->d_name >= '0' && *entry->d_name <= '9' && !*end)
			return number;
	}
	return -1;
}

static void read_descriptors(struct openers *openers, long pid)
{
	char path[64], target[64];
	unsigned long inode;
	DIR *directory;
	long fd;

	snprintf(path, sizeof(path), "/proc/%ld/fd", pid);
	directory = opendir(path);
	if (!directory)
		return;
	while ((fd = next_number(directory)) >= 0) {
		ssize_t length;

		snprintf(path, sizeof(path), "%ld", fd);
		length = readlinkat(dirfd(directory), path, target, sizeof(target) - 1);
		target[length > 0 ? length : 0] = '\0';
		if (sscanf(target, "socket:[%lu]", &inode) != 1)
			continue;
		openers->all = grow(openers->all, openers->count, sizeof(*openers->all));
		openers->all[openers->count++] = (struct opener){ inode, (uint32_t)pid, (int)fd };
	}
	closedir(directory);
}

static int by_inode(const void *left, const void *right)
{
	const struct opener *one = left, *other = right;

	if (one->inode != other->inode)
		return one->inode > other->inode ? 1 : -1;
	if (one->pid != other->pid)
		return one->pid > other->pid ? 1 : -1;
	return one->fd - other->fd;
}

void openers_read(struct openers *openers)
{
	DIR *proc = opendir("/proc");
	long pid;

	*openers = (struct openers){ .count = 0 };
	if (!proc)
		return;
	while ((pid = next_number(proc)) >= 0)
		read_descriptors(openers, pid);
	closedir(proc);
	if (openers->count)
		qsort(openers->all, openers->count, sizeof(*openers->all), by_inode);
}

void openers_free(struct openers *openers)
{
	free(openers->all);
	*openers = (struct openers){ .count = 0 };
}

const struct opener *openers_of(const struct openers *openers, uint64_t inode, size_t *count)
{
	size_t first = 0, end = openers->count;

	while (first < end) {
		size_t middle = (first + end) / 2;

		if (openers->all[middle].inode < inode)
			first = middle + 1;
		else
			end = middle;
	}
	for (*count = 0; inode && first + *count < openers->count && openers->all[first + *count].inode == inode; ++*count)
		;
	return *count ? openers->all + first : NULL;
}

/* A line of /proc/PID/maps: addresses, rights, offset, device, inode; `s' is shared. */
static bool shares(long pid, dev_t device, ino_t inode)
{
	char path[64], *line = NULL, rights[8];
	unsigned major_number, minor_number;
	unsigned long number;
	size_t room = 0;
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%ld/maps", pid);
	file = fopen(path, "re");
	if (!file)
		return false;
	while (!found && getline(&line, &room, file) >= 0)
		found = sscanf(line, "%*s %7s %*s %x:%x %lu", rights, &major_number, &minor_number, &number) == 4 &&
			rights[3] == 's' && number == inode && makedev(major_number, minor_number) == device;
	free(line);
	fclose(file);
	return found;
}

size_t processes_sharing(dev_t device, ino_t inode, uint32_t *pids, size_t room)
{
	DIR *proc = opendir("/proc");
	size_t count = 0;
	long pid;

	if (!proc)
		return 0;
	while ((pid = next_number(proc)) >= 0) {
		if (pid == getpid() || !shares(pid, device, inode))
			continue;
		if (count < room)
			pids[count] = (uint32_t)pid;
		count++;
	}
	closedir(proc);
	return count;
}

const char *program_name(uint32_t pid, char name[PROGRAM_NAME])
{
	if (!pid || !ask_program(pid, name))
		*name = '\0';
	for (char *at = name; *at; at++)
		if (*at < ' ' || *at >= 0x7f)
			*at = '?';
	return name;
}

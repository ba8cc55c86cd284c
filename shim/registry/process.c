/* SPDX-License-Identifier: MIT */
/*
 * Who is who: the table of processes, and whether one is still alive.
 *
 * The caller's own id is kept in a page that the kernel empties in a fork child (MADV_WIPEONFORK), so that a
 * bind needs no getpid().  A vfork child shares the page and goes by its parent's id: that can only make
 * a dead holder look alive, or a living claim look dead (it was killed, its parent lives; or the other
 * way round), and both are settled by asking the kernel for the socket.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "internal.h"
#include "../host/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18 /* Linux 4.14 */
#endif

#define KCMP_VM 1 /* include/uapi/linux/kcmp.h, Linux 3.5 */
#define TASK_EXITING 0x4u /* PF_EXITING of include/linux/sched.h, since 2.6; shown in /proc/PID/stat */

struct self {
	_Atomic(struct layout *) map; /* what the owner id belongs to */
	word32 owner, pid, space;
	word32 unsure; /* compare the pid each time: the page may be another process's */
};

static _Atomic(struct self *) self_page;

uint64_t process_now(void)
{
	struct { long seconds, nanoseconds; } now = { 0, 0 };

	raw_call(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&now);
	return (uint64_t)now.seconds * 1000 + (uint64_t)now.nanoseconds / 1000000;
}

struct stat_line {
	uint32_t pid, flags, threads;
	uint64_t tick;
	char state;
};

static const char *number(const char *at, uint64_t *value)
{
	while (*at == ' ')
		at++;
	for (*value = 0; *at >= '0' && *at <= '9'; at++)
		*value = *value * 10 + (uint64_t)(*at - '0');
	return at;
}

static const char *skip_fields(const char *at, int count)
{
	while (count-- && *at) {
		while (*at == ' ')
			at++;
		while (*at && *at != ' ')
			at++;
	}
	return at;
}

/* man 5 proc: pid (comm) state, flags is field 9, num_threads 20, starttime 22.  comm may hold anything. */
static bool parse_stat(const char *text, struct stat_line *line)
{
	const char *at = strrchr(text, ')');
	uint64_t value;

	if (!at || at[1] != ' ' || !at[2])
		return false;
	number(text, &value);
	line->pid = (uint32_t)value;
	line->state = at[2];
	at = number(skip_fields(at + 3, 5), &value);
	line->flags = (uint32_t)value;
	at = number(skip_fields(at, 10), &value);
	line->threads = (uint32_t)value;
	at = number(skip_fields(at, 1), &line->tick);
	return *at == ' ';
}

/* 0, -EINVAL or what the kernel said. */
static long read_stat(const char *path, struct stat_line *line)
{
	char text[512];
	long fd = raw_call(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0), length;

	if (fd < 0)
		return fd;
	length = raw_call(SYS_read, fd, (long)text, sizeof text - 1);
	raw_call(SYS_close, fd);
	if (length < 0)
		return length;
	text[length] = '\0';
	return parse_stat(text, line) ? 0 : -EINVAL;
}

static uint64_t inode_of(const char *path)
{
	struct raw_statx file;

	return raw_call(SYS_statx, AT_FDCWD, (long)path, 0, RAW_STATX_BASIC, (long)&file) ? 0 : file.ino;
}

/* Pids compare only within one pid namespace, start ticks only within one time namespace (5.6; none before).
 * 0: not known, as when /proc shows another namespace.  thread-self (3.17) because the main thread may have ended. */
static uint32_t own_space(uint32_t *tick)
{
	struct stat_line line;
	uint64_t pids = inode_of("/proc/thread-self/ns/pid"), times = inode_of("/proc/thread-self/ns/time");

	*tick = 0;
	if (!pids || read_stat("/proc/self/stat", &line) || line.pid != (uint32_t)raw_call(SYS_getpid, 0))
		return 0;
	*tick = (uint32_t)line.tick;
	return 1 + (uint32_t)((pids * 31 + times) % 255);
}

/* As it was when this process first asked: a daemon may chroot away from /proc later. */
static uint32_t known_space(void)
{
	struct self *self = atomic_load(&self_page);
	uint32_t tick;

	if (self && atomic_load(&self->pid) == (uint32_t)raw_call(SYS_getpid, 0))
		return atomic_load(&self->space);
	return own_space(&tick);
}

static bool entry_at(struct layout *map, uint32_t number, uint64_t *entry)
{
	if (number == 0 || number >= PROCESSES ||
	    !map_present(map, offsetof(struct layout, process) + number * sizeof(word64)))
		return false;
	*entry = atomic_load(&map->process[number]);
	return true;
}

/* A thread group's leader may be a zombie while other threads go on: then it is counted among several. */
static bool has_ended(const struct stat_line *line)
{
	return (line->state == 'Z' || line->state == 'X' || line->flags & TASK_EXITING) && line->threads <= 1;
}

static void stat_path(char path[24], uint32_t pid)
{
	char digits[10];
	int count = 0;

	do
		digits[count++] = (char)('0' + pid % 10);
	while (pid /= 10);
	memcpy(path, "/proc/", 6);
	path += 6;
	while (count)
		*path++ = digits[--count];
	memcpy(path, "/stat", 6);
}

static bool entry_gone(uint64_t entry, uint32_t space)
{
	char path[24];
	struct stat_line line;

	if (!process_pid(entry) || !space || process_space(entry) != space)
		return false;
	stat_path(path, process_pid(entry));
	if (read_stat(path, &line)) /* no proof: there may be no /proc here, or it may hide other users' processes */
		return raw_call(SYS_kill, process_pid(entry), 0) == -ESRCH;
	return (line.tick & 0x3ffffff) != process_tick(entry) || has_ended(&line);
}

bool process_gone(struct layout *map, uint32_t owner)
{
	struct self *self = atomic_load(&self_page);
	uint64_t entry;

	if (self && atomic_load(&self->map) == map && atomic_load(&self->owner) == owner)
		return false;
	if (!entry_at(map, owner_number(owner), &entry))
		return false;
	/* The number was given away again, or the program was replaced by execve(). */
	if (process_generation(entry) != owner_generation(owner))
		return true;
	return entry_gone(entry, known_space());
}

static uint32_t count_processes(struct layout *map)
{
	uint32_t next = atomic_load(&map->header.next_process);

	return next < PROCESSES ? next : PROCESSES;
}

/* An earlier program of this very process, before execve(): its claims are nobody's now. */
static uint32_t take_old_entry(struct layout *map, uint64_t mine)
{
	uint32_t end = process_space(mine) ? count_processes(map) : 0;

	for (uint32_t number = 1; number < end; number++) {
		uint64_t entry;

		if (!entry_at(map, number, &entry) || process_pid(entry) != process_pid(mine) ||
		    process_tick(entry) != process_tick(mine) || process_space(entry) != process_space(mine))
			continue;
		if (atomic_compare_exchange_strong(&map->process[number], &entry,
		        process_make(process_pid(mine), process_tick(mine), process_generation(entry) + 1, process_space(mine))))
			return number;
	}
	return 0;
}

static uint32_t take_new_entry(struct layout *map, uint64_t mine)
{
	while (atomic_load(&map->header.next_process) < PROCESSES) {
		uint32_t number = atomic_fetch_add(&map->header.next_process, 1);
		uint64_t none = 0;

		if (number == 0 || number >= PROCESSES)
			continue;
		if (!map_need(map, offsetof(struct layout, process) + number * sizeof(word64)))
			return 0;
		if (atomic_compare_exchange_strong(&map->process[number], &none, mine))
			return number;
	}
	return 0;
}

/* All numbers were handed out: look for one whose process is gone, some at a time. */
static uint32_t take_dead_entry(struct layout *map, uint64_t mine, uint32_t space)
{
	for (int tries = 0; tries < 1024; tries++) {
		uint32_t number = atomic_fetch_add(&map->header.sweep_process, 1) % PROCESSES;
		uint64_t entry;

		if (!entry_at(map, number, &entry) || (entry && !entry_gone(entry, space)))
			continue;
		if (atomic_compare_exchange_strong(&map->process[number], &entry,
		        process_make(process_pid(mine), process_tick(mine), process_generation(entry) + 1, process_space(mine))))
			return number;
	}
	return 0;
}

static struct self *own_page(void)
{
	struct self *page = atomic_load(&self_page), *none = NULL;

	if (page)
		return page;
	page = mmap(NULL, UNIT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return NULL;
	if (raw_call(SYS_madvise, (long)page, UNIT, MADV_WIPEONFORK))
		atomic_store(&page->unsure, true);
	if (atomic_compare_exchange_strong(&self_page, &none, page))
		return page;
	munmap(page, UNIT);
	return none;
}

/* 0: the memory is also the parent's (vfork), 1: it is not, negative: not known. */
static long has_own_memory(uint32_t pid)
{
	long parent = raw_call(SYS_getppid, 0);
	long order = parent ? raw_call(SYS_kcmp, pid, parent, KCMP_VM, 0, 0) : -ESRCH;

	return order > 0 ? 1 : order;
}

static SELDOM uint32_t enrol(struct layout *map, uint32_t *pid)
{
	uint32_t tick, space = own_space(&tick), number, owner;
	struct self *self = own_page();
	uint64_t mine, entry;
	long own_memory;

	*pid = (uint32_t)raw_call(SYS_getpid, 0);
	own_memory = has_own_memory(*pid);
	if (own_memory == 0)
		self = NULL;
	else if (own_memory < 0 && self)
		atomic_store(&self->unsure, true);
	mine = process_make(*pid, tick, 0, space);
	if (!(number = take_old_entry(map, mine)) && !(number = take_new_entry(map, mine)) &&
	    !(number = take_dead_entry(map, mine, space)))
		return 0;
	/* Two threads may be here at once and bump one generation twice: what the table says counts. */
	do {
		if (!entry_at(map, number, &entry))
			return 0;
		owner = owner_make(number, process_generation(entry));
		if (!self)
			break;
		atomic_store(&self->map, NULL);
		atomic_store(&self->pid, *pid);
		atomic_store(&self->space, space);
		atomic_store(&self->owner, owner);
		atomic_store(&self->map, map);
	} while (atomic_load(&map->process[number]) != entry);
	return owner;
}

uint32_t process_self(struct layout *map, uint32_t *pid)
{
	struct self *self = atomic_load_explicit(&self_page, memory_order_acquire);
	int saved = errno;
	uint32_t owner;

	if (likely(self) && likely(atomic_load_explicit(&self->map, memory_order_acquire) == map)) {
		owner = atomic_load_explicit(&self->owner, memory_order_relaxed);
		*pid = atomic_load_explicit(&self->pid, memory_order_relaxed);
		if (!atomic_load_explicit(&self->unsure, memory_order_relaxed) || *pid == (uint32_t)raw_call(SYS_getpid, 0))
			return owner;
	}
	owner = enrol(map, pid);
	errno = saved;
	return owner;
}

void process_forget(struct layout *map)
{
	struct self *self = atomic_load(&self_page);

	if (self && atomic_load(&self->map) == map)
		atomic_store(&self->map, NULL);
}

bool registry_any_process_alive(struct registry *registry)
{
	struct layout *map = registry->map;
	uint32_t space, end;
	uint64_t entry;

	if (!map)
		return false;
	space = known_space();
	end = count_processes(map);
	for (uint32_t number = 1; number < end; number++)
		if (entry_at(map, number, &entry) && entry && !entry_gone(entry, space) &&
		    !(process_pid(entry) == (uint32_t)raw_call(SYS_getpid, 0) && process_space(entry) == space))
			return true;
	return false;
}

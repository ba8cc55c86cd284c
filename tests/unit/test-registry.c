/* SPDX-License-Identifier: MIT */
/* The registry: what one thread can see of it.  Killing and racing is tests/faults/torture-registry. */
#define _GNU_SOURCE
#include "../../shim/registry/internal.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SYSTEM "linux-6.18"
#define NETNS 77
#define PORT 8080

static struct registry registry;
static char folder[64], path[128];

static void make_folder(void)
{
	strcpy(folder, "/dev/shm/test-registry.XXXXXX");
	cr_assert(ne(ptr, mkdtemp(folder), NULL));
	snprintf(path, sizeof path, "%s/registry", folder);
}

static void setup(void)
{
	make_folder();
	cr_assert(eq(int, registry_open(&registry, path, SYSTEM, NETNS), REGISTRY_OK));
}

static void teardown(void)
{
	registry_close(&registry);
	unlink(path);
	rmdir(folder);
}

TestSuite(registry, .init = setup, .fini = teardown, .timeout = 30);
TestSuite(file, .init = make_folder, .fini = teardown, .timeout = 30);

static struct holder holder(uint64_t cookie)
{
	return (struct holder){
		.cookie = cookie, .address = { 127, 0, 0, 1 }, .uid = 1000, .options = OPTION_REUSEADDR, .port = PORT,
		.domain = AF_INET, .protocol = PROTOCOL_TCP, .state = STATE_BOUND, .fd = 5,
	};
}

static reference bind_one(uint32_t bucket, uint64_t cookie, enum memory_change change, uint32_t flags)
{
	struct holder claim = holder(cookie);
	struct turn turn;

	registry_claim(&registry, bucket, &claim, &turn);
	return registry_commit(&registry, &turn, &claim, change, flags);
}

static int count(uint32_t bucket, uint32_t skip)
{
	struct cursor cursor;
	struct holder found;
	bool doubtful;
	int holders = 0;

	registry_first(&registry, bucket, skip, &cursor);
	while (registry_next(&registry, &cursor, &found, &doubtful))
		holders++;
	return holders;
}

static bool doubtful(uint32_t bucket, reference reference)
{
	struct cursor cursor;
	struct holder found;
	bool result = false;

	registry_first(&registry, bucket, 0, &cursor);
	while (registry_next(&registry, &cursor, &found, &result))
		if (found.reference == reference)
			return result;
	cr_fatal("no such holder");
}

/* Runs a part in a child and gives back its exit code, or 128 + the signal that ended it. */
static int in_child(int (*part)(void))
{
	int status;
	pid_t child = fork();

	if (!child)
		_exit(part());
	cr_assert(eq(int, waitpid(child, &status, 0), child));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- words ---- */

Test(words, fields_do_not_touch_each_other)
{
	uint64_t word = word_make(0xfffff, 0, 5, 0, PHASE_LIVE);

	cr_assert(eq(u32, word_generation(word), 0xfffff));
	cr_assert(eq(u32, word_owner(word), 0));
	cr_assert(eq(u32, word_state(word), 5));
	cr_assert(eq(u32, word_options(word), 0));
	cr_assert(eq(int, word_phase(word), PHASE_LIVE));
	cr_assert(not(word & (WORD_DOUBTFUL | WORD_JUDGED)));
	word = word_make(0x100001, 0xffffff, 0, 0xff, PHASE_FREE) | WORD_DOUBTFUL;
	cr_assert(eq(u32, word_generation(word), 1));
	cr_assert(eq(u32, word_owner(word), 0xffffff));
	cr_assert(eq(u32, word_state(word), 0));
	cr_assert(eq(u32, word_options(word), 0xff));

	word = turn_make(0x100003, 0xabcdef, 0xfffff);
	cr_assert(eq(u32, turn_sequence(word), 3));
	cr_assert(eq(u32, turn_owner(word), 0xabcdef));
	cr_assert(eq(u32, turn_record(word), 0xfffff));

	word = family_make(0xfffffff, 0x12, 0x34, 0x56789);
	cr_assert(eq(u32, family_sequence(word), 0xfffffff));
	cr_assert(eq(u32, family_options(word), 0x12));
	cr_assert(eq(u32, family_flags(word), 0x34));
	cr_assert(eq(u32, family_record(word), 0x56789));

	word = process_make(4194303, 0x3ffffff, 0xff, 0x12);
	cr_assert(eq(u32, process_pid(word), 4194303));
	cr_assert(eq(u32, process_tick(word), 0x3ffffff));
	cr_assert(eq(u32, process_generation(word), 0xff));
	cr_assert(eq(u32, process_space(word), 0x12));
	cr_assert(eq(u32, owner_number(owner_make(0xabcd, 0xef)), 0xabcd));
	cr_assert(eq(u32, owner_generation(owner_make(0xabcd, 0xef)), 0xef));
}

/* ---- the file ---- */

Test(file, made_private_and_opened_again)
{
	struct registry again;
	struct stat stat;
	mode_t mask = umask(0777);

	errno = 99;
	cr_assert(eq(int, registry_open(&registry, path, SYSTEM, NETNS), REGISTRY_OK));
	umask(mask);
	cr_assert(eq(int, registry_open(&again, path, SYSTEM, NETNS), REGISTRY_OK));
	cr_assert(eq(int, errno, 99));
	cr_assert(ne(ptr, registry.map, again.map));
	cr_assert(eq(int, lstat(path, &stat), 0));
	cr_assert(eq(u32, stat.st_mode, S_IFREG | 0600));
	cr_assert(eq(u64, stat.st_size, sizeof(struct layout)));
	cr_assert(lt(u64, stat.st_blocks * 512, UNIT + 1), "the file must be sparse");
	registry_close(&again);
	registry_close(&again);
}

static int open_error(void)
{
	struct registry other;
	enum registry_error error = registry_open(&other, path, SYSTEM, NETNS);

	cr_assert(eq(ptr, other.map, error ? NULL : other.map));
	registry_close(&other);
	return error;
}

static void spoil(off_t offset, const void *bytes, size_t length)
{
	int fd = open(path, O_RDWR);

	cr_assert(eq(int, pwrite(fd, bytes, length, offset), length));
	close(fd);
}

Test(file, foreign_ones_are_refused)
{
	uint64_t magic = LAYOUT_MAGIC + 1, good = LAYOUT_MAGIC;
	uint32_t version = LAYOUT_VERSION + 1, right = LAYOUT_VERSION, size = 1;
	char link[160];

	cr_assert(eq(int, open_error(), REGISTRY_OK));
	spoil(0, &magic, sizeof magic);
	cr_assert(eq(int, open_error(), REGISTRY_FOREIGN));
	spoil(0, &good, sizeof good);
	spoil(8, &version, sizeof version);
	cr_assert(eq(int, open_error(), REGISTRY_FOREIGN));
	spoil(8, &right, sizeof right);
	cr_assert(eq(int, open_error(), REGISTRY_OK));
	spoil(12, &size, sizeof size);
	cr_assert(eq(int, open_error(), REGISTRY_FOREIGN));
	size = sizeof(struct layout);
	spoil(12, &size, sizeof size);
	cr_assert(eq(int, open_error(), REGISTRY_OK));

	cr_assert(eq(int, truncate(path, sizeof(struct layout) - 1), 0));
	cr_assert(eq(int, open_error(), REGISTRY_FOREIGN));
	cr_assert(eq(int, truncate(path, sizeof(struct layout) + 1), 0));
	cr_assert(eq(int, open_error(), REGISTRY_FOREIGN));
	cr_assert(eq(int, truncate(path, 0), 0));
	cr_assert(eq(int, open_error(), REGISTRY_FOREIGN));
	unlink(path);

	cr_assert(eq(int, open_error(), REGISTRY_OK));
	snprintf(link, sizeof link, "%s.link", path);
	cr_assert(eq(int, symlink(path, link), 0));
	cr_assert(eq(int, rename(link, path), 0));
	cr_assert(eq(int, open_error(), REGISTRY_FOREIGN), "a symbolic link");
	unlink(path);

	cr_assert(eq(int, open_error(), REGISTRY_OK));
	cr_assert(eq(int, symlink("/dev/null", link), 0));
	unlink(link);
	cr_assert(eq(int, linkat(AT_FDCWD, path, AT_FDCWD, link, 0), 0));
	cr_assert(eq(int, open_error(), REGISTRY_FOREIGN), "a second hard link");
	unlink(link);
	unlink(path);

	cr_assert(eq(int, mkfifo(path, 0600), 0));
	cr_assert(eq(int, open_error(), REGISTRY_FOREIGN), "a FIFO");
	unlink(path);
	cr_assert(eq(int, mkdir(path, 0700), 0));
	cr_assert(eq(int, open_error(), REGISTRY_FOREIGN), "a directory");
	rmdir(path);
}

Test(file, errors_of_the_system_are_told)
{
	snprintf(path, sizeof path, "%s/missing/registry", folder);
	cr_assert(eq(int, open_error(), REGISTRY_SYSTEM));
	cr_assert(eq(int, errno, ENOENT));
}

static int open_as_nobody(void)
{
	return chmod(folder, 0755) || chmod(path, 0644) || setresuid(65534, 65534, 65534) ? 99 : open_error();
}

Test(file, of_others_are_refused)
{
	cr_assert(eq(int, open_error(), REGISTRY_OK));
	chmod(path, 0620);
	cr_assert(eq(int, open_error(), REGISTRY_OWNER));
	chmod(path, 0602);
	cr_assert(eq(int, open_error(), REGISTRY_OWNER));
	chmod(path, 0644);
	cr_assert(eq(int, open_error(), REGISTRY_OK));
	if (geteuid())
		cr_skip("changing the user needs root");
	cr_assert(eq(int, in_child(open_as_nobody), REGISTRY_OWNER));
	cr_assert(eq(int, chown(path, 65534, 65534), 0));
	cr_assert(eq(int, open_error(), REGISTRY_OWNER));
}

Test(file, of_another_system_is_refused)
{
	struct registry other;
	char name[LAYOUT_SYSTEM + 1];

	cr_assert(eq(int, open_error(), REGISTRY_OK));
	cr_assert(eq(int, registry_open(&other, path, "starry", NETNS), REGISTRY_PROFILE));
	cr_assert(eq(int, registry_open(&other, path, "linux-6.1", NETNS), REGISTRY_PROFILE));
	memset(name, 'x', LAYOUT_SYSTEM);
	name[LAYOUT_SYSTEM] = '\0';
	cr_assert(eq(int, registry_open(&other, path, name, NETNS), REGISTRY_PROFILE));
}

static int open_under_limit(void)
{
	struct rlimit limit = { 1 << 20, 1 << 20 };

	return setrlimit(RLIMIT_FSIZE, &limit) ? 99 : open_error();
}

Test(file, size_limit_is_no_signal)
{
	cr_assert(eq(int, in_child(open_under_limit), REGISTRY_FULL));
	cr_assert(eq(int, access(path, F_OK), -1), "nothing must be left behind");
}

static int open_once(void)
{
	return open_error();
}

Test(file, a_crowd_creates_one)
{
	struct stat stat;
	pid_t child[8];
	int status;

	for (int round = 0; round < 50; round++) {
		for (int i = 0; i < 8; i++)
			if (!(child[i] = fork()))
				_exit(open_once());
		for (int i = 0; i < 8; i++) {
			waitpid(child[i], &status, 0);
			cr_assert(eq(int, status, 0));
		}
		cr_assert(eq(int, lstat(path, &stat), 0));
		unlink(path);
		cr_assert(eq(int, rmdir(folder), 0), "a temporary file was left");
		cr_assert(eq(int, mkdir(folder, 0700), 0));
	}
}

/* A file system of 24 KiB: the header fits, what is needed later does not. */
static int claim_on_full(void)
{
	struct holder claim = holder(1), found;
	struct turn turn;
	struct scan scan = { 0 };
	struct memory memory;
	uint64_t netns;
	bool in_doubt;

	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", folder, "tmpfs", 0, "size=24k,mode=700"))
		return 77;
	if (registry_open(&registry, path, SYSTEM, NETNS))
		return 1;
	registry_claim(&registry, PORT, &claim, &turn);
	if (turn.state != TURN_NONE || registry_commit(&registry, &turn, &claim, MEMORY_KEEP, 0))
		return 2;
	registry_anchor(&registry, PORT, &claim);
	registry_memory(&registry, PORT, &memory, &found);
	if (count(PORT, 0) || memory.source || registry_scan(&registry, &scan, &found, &in_doubt, &netns))
		return 3;
	if (registry_any_process_alive(&registry) || registry_get(&registry, 1 << 20 | 1, &found))
		return 4;
	if (!mount("none", folder, "tmpfs", MS_REMOUNT, "size=1m,mode=700")) {
		registry_claim(&registry, PORT, &claim, &turn);
		if (turn.state != TURN_TAKEN)
			return 5;
	}
	return 0;
}

static int create_on_full(void)
{
	char filler[160];
	int fd;

	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", folder, "tmpfs", 0, "size=16k,mode=700"))
		return 77;
	snprintf(filler, sizeof filler, "%s/filler", folder);
	fd = open(filler, O_RDWR | O_CREAT, 0600);
	while (write(fd, folder, 1) == 1)
		;
	if (registry_open(&registry, path, SYSTEM, NETNS) != REGISTRY_FULL)
		return 1;
	return access(path, F_OK) ? 0 : 2;
}

Test(file, full_file_system_is_no_signal)
{
	int created = in_child(create_on_full), claimed = in_child(claim_on_full);

	if (created == 77)
		cr_skip("no mount namespace allowed here");
	cr_assert(eq(int, created, 0));
	cr_assert(eq(int, claimed, 0));
}

/* ---- claims ---- */

Test(registry, claim_is_no_holder_until_committed)
{
	struct holder claim = holder(42), found;
	struct cursor cursor;
	struct turn turn;
	reference reference;
	bool in_doubt = true;

	errno = 99;
	registry_claim(&registry, PORT, &claim, &turn);
	cr_assert(eq(int, turn.state, TURN_TAKEN));
	cr_assert(registry_turn_stands(&registry, &turn));
	cr_assert(eq(int, count(PORT, turn.record), 0));
	claim.address[3] = 9; /* what the kernel made of it */
	reference = registry_commit(&registry, &turn, &claim, MEMORY_KEEP, 0);
	cr_assert(ne(u64, reference, 0));
	cr_assert(eq(int, turn.state, TURN_NONE));
	cr_assert(eq(int, errno, 99));

	registry_first(&registry, PORT, 0, &cursor);
	cr_assert(registry_next(&registry, &cursor, &found, &in_doubt));
	cr_assert(not(in_doubt));
	cr_assert(eq(u64, found.cookie, 42));
	cr_assert(eq(u8, found.address[3], 9));
	cr_assert(eq(u32, found.uid, 1000));
	cr_assert(eq(u32, found.options, OPTION_REUSEADDR));
	cr_assert(eq(u16, found.port, PORT));
	cr_assert(eq(u8, found.domain, AF_INET));
	cr_assert(eq(u8, found.protocol, PROTOCOL_TCP));
	cr_assert(eq(u8, found.state, STATE_BOUND));
	cr_assert(eq(u32, found.pid, (uint32_t)getpid()));
	cr_assert(eq(i32, found.fd, 5));
	cr_assert(eq(u64, found.reference, reference));
	cr_assert(not(registry_next(&registry, &cursor, &found, &in_doubt)));
	cr_assert(eq(int, count(PORT, reference_record(reference)), 0), "the own record is skipped");
	cr_assert(eq(int, count(PORT + 1, 0), 0));
	cr_assert(eq(u64, registry_find(&registry, PORT, &(struct holder){ .cookie = 42 }, &found), reference));
	cr_assert(eq(u64, registry_find(&registry, PORT, &(struct holder){ .cookie = 43 }, &found), 0));
}

Test(registry, abandoned_claim_leaves_nothing)
{
	struct holder claim = holder(1);
	struct registry_usage usage;
	struct turn turn;

	for (int i = 0; i < 3; i++) {
		registry_claim(&registry, PORT, &claim, &turn);
		cr_assert(eq(int, turn.state, TURN_TAKEN));
		registry_abandon(&registry, &turn);
		cr_assert(eq(int, turn.state, TURN_NONE));
		cr_assert(eq(int, count(PORT, 0), 0));
	}
	registry_usage(&registry, &usage);
	cr_assert(eq(u32, usage.records_used, 1), "the record is used again");
	cr_assert(eq(u32, usage.records_live, 0));
	cr_assert(eq(u32, usage.processes, 1));
}

Test(registry, without_a_file_nothing_happens)
{
	struct registry none = { NULL, NETNS };
	struct holder claim = holder(1);
	struct turn turn;

	registry_claim(&none, PORT, &claim, &turn);
	cr_assert(eq(int, turn.state, TURN_NONE));
	cr_assert(not(registry_turn_stands(&none, &turn)));
	cr_assert(not(registry_commit(&none, &turn, &claim, MEMORY_KEEP, 0)));
	registry_abandon(&none, &turn);
	registry_forget(&none, &turn);
	cr_assert(not(registry_get(&none, 1 << 20 | 1, &claim)));
	registry_claim(&registry, BUCKETS, &claim, &turn);
	cr_assert(eq(int, turn.state, TURN_NONE));
}

Test(registry, holders_of_other_namespaces_are_hidden)
{
	struct registry other = { registry.map, NETNS + 1 };
	struct scan scan = { 0 };
	struct holder found;
	struct memory memory;
	uint64_t netns;
	bool in_doubt;

	bind_one(PORT, 1, MEMORY_CLAIM, 3);
	other.netns = NETNS;
	cr_assert(ne(u64, registry_find(&other, PORT, &(struct holder){ .cookie = 1 }, &found), 0));
	other.netns = NETNS + 1;
	cr_assert(eq(u64, registry_find(&other, PORT, &(struct holder){ .cookie = 1 }, &found), 0));
	registry_memory(&other, PORT, &memory, &found);
	cr_assert(eq(u32, memory.flags, 0));
	cr_assert(registry_scan(&other, &scan, &found, &in_doubt, &netns));
	cr_assert(eq(u64, netns, NETNS));

	registry_about(NETNS);
	cr_assert(ne(u64, registry_find(&other, PORT, &(struct holder){ .cookie = 1 }, &found), 0));
	bind_one(PORT, 2, MEMORY_CLAIM, 3);
	registry_about(NETNS + 1);
	cr_assert(eq(u64, registry_find(&registry, PORT, &(struct holder){ .cookie = 1 }, &found), 0));
	bind_one(PORT, 3, MEMORY_KEEP, 0);
	registry_about(0);
	cr_assert(ne(u64, registry_find(&registry, PORT, &(struct holder){ .cookie = 2 }, &found), 0));
	cr_assert(eq(u64, registry_find(&registry, PORT, &(struct holder){ .cookie = 3 }, &found), 0));
}

Test(registry, order_is_that_of_the_binds)
{
	struct holder first, second;
	reference a = bind_one(PORT, 1, MEMORY_KEEP, 0), b = bind_one(PORT, 2, MEMORY_KEEP, 0);

	cr_assert(registry_get(&registry, a, &first));
	cr_assert(registry_get(&registry, b, &second));
	cr_assert(lt(u64, first.order, second.order));
	registry_remove(&registry, a);
	a = bind_one(PORT, 3, MEMORY_KEEP, 0);
	cr_assert(registry_get(&registry, a, &first));
	cr_assert(gt(u64, first.order, second.order));
}

Test(registry, state_options_and_doubt_change_in_place)
{
	reference reference = bind_one(PORT, 1, MEMORY_KEEP, 0);
	struct holder found;

	cr_assert(registry_update(&registry, reference, STATE_LISTENING, OPTION_REUSEPORT));
	cr_assert(registry_get(&registry, reference, &found));
	cr_assert(eq(u8, found.state, STATE_LISTENING));
	cr_assert(eq(u32, found.options, OPTION_REUSEPORT));
	cr_assert(not(doubtful(PORT, reference)));
	registry_let_go(&registry, reference);
	cr_assert(doubtful(PORT, reference));
	cr_assert(registry_update(&registry, reference, STATE_BOUND, 0));
	cr_assert(doubtful(PORT, reference), "an update does not clear the doubt");
	registry_confirm(&registry, reference);
	cr_assert(not(doubtful(PORT, reference)));
	cr_assert(registry_remove(&registry, reference));
	cr_assert(eq(int, count(PORT, 0), 0));
}

Test(registry, alone_on_its_port)
{
	reference reference = bind_one(PORT, 1, MEMORY_KEEP, 0), other;
	uint32_t remembered;
	struct holder found;

	cr_assert(registry_alone(&registry, reference, &remembered));
	cr_assert(eq(u32, remembered, 0));
	other = bind_one(PORT, 2, MEMORY_KEEP, 0);
	cr_assert(not(registry_alone(&registry, reference, &remembered)));
	registry_let_go(&registry, other);
	cr_assert(not(registry_alone(&registry, reference, &remembered)), "a doubtful holder may be there");
	registry_turn_into(&registry, other, STATE_DEAD);
	cr_assert(registry_alone(&registry, reference, &remembered), "what is kept for its children is none");
	cr_assert(registry_remove(&registry, other));
	cr_assert(registry_alone(&registry, reference, &remembered));
	cr_assert(registry_turn_into(&registry, reference, STATE_LISTENING));
	cr_assert(registry_get(&registry, reference, &found));
	cr_assert(eq(u8, found.state, STATE_LISTENING));
	cr_assert(not(registry_alone(&registry, reference, &remembered)), "it listens already");
	cr_assert(registry_remove(&registry, reference));
	cr_assert(not(registry_alone(&registry, reference, &remembered)));
	reference = bind_one(PORT, 3, MEMORY_CLAIM, 1);
	cr_assert(registry_alone(&registry, reference, &remembered));
	cr_assert(eq(u32, remembered, 1));
}

Test(registry, a_state_is_committed_with_what_the_port_remembers)
{
	reference bound = bind_one(PORT, 1, MEMORY_CLAIM, 5), listening;
	struct holder found, source;
	struct memory memory;
	struct turn turn;

	registry_retake(&registry, bound, &turn);
	cr_assert(eq(int, turn.state, TURN_TAKEN));
	listening = registry_commit_state(&registry, &turn, STATE_LISTENING, MEMORY_CLAIM, 2);
	cr_assert(eq(u64, listening, bound));
	cr_assert(registry_get(&registry, listening, &found));
	cr_assert(eq(u8, found.state, STATE_LISTENING));
	registry_memory(&registry, PORT, &memory, &source);
	cr_assert(eq(u32, memory.flags, 2));
	cr_assert(eq(u64, source.reference, bound));
	registry_retake(&registry, bound, &turn);
	cr_assert(eq(int, turn.state, TURN_TAKEN), "the turn was given back");
	registry_abandon(&registry, &turn);
}

Test(registry, an_old_reference_is_of_no_use)
{
	reference old = bind_one(PORT, 1, MEMORY_KEEP, 0), new;
	struct holder found;
	struct turn turn;

	registry_remove(&registry, old);
	new = bind_one(PORT, 2, MEMORY_KEEP, 0);
	cr_assert(eq(u32, reference_record(old), reference_record(new)));
	cr_assert(not(registry_get(&registry, old, &found)));
	cr_assert(not(registry_update(&registry, old, STATE_LISTENING, 0)));
	registry_let_go(&registry, old);
	cr_assert(not(doubtful(PORT, new)));
	cr_assert(registry_remove(&registry, old));
	registry_retake(&registry, old, &turn);
	cr_assert(eq(int, turn.state, TURN_NONE));
	cr_assert(not(registry_owner_alive(&registry, old)));
	cr_assert(registry_owner_alive(&registry, new));
	cr_assert(eq(int, count(PORT, 0), 1));
}

Test(registry, listen_retakes_the_turn)
{
	reference reference = bind_one(PORT, 1, MEMORY_KEEP, 0), after;
	struct holder found;
	struct turn turn;

	registry_retake(&registry, reference, &turn);
	cr_assert(eq(int, turn.state, TURN_TAKEN));
	cr_assert(eq(int, count(PORT, turn.record), 0));
	cr_assert(eq(int, count(PORT, 0), 1), "it goes on being a holder meanwhile");
	registry_abandon(&registry, &turn);
	cr_assert(registry_get(&registry, reference, &found));
	cr_assert(eq(u8, found.state, STATE_BOUND));

	registry_retake(&registry, reference, &turn);
	found.state = STATE_LISTENING;
	after = registry_commit(&registry, &turn, &found, MEMORY_KEEP, 0);
	cr_assert(eq(u64, after, reference));
	cr_assert(registry_get(&registry, after, &found));
	cr_assert(eq(u8, found.state, STATE_LISTENING));
}

Test(registry, another_address_is_another_record)
{
	reference reference = bind_one(PORT, 1, MEMORY_CLAIM, 1), after;
	struct holder found, changed;
	struct memory memory;
	struct turn turn;
	uint64_t order;

	registry_get(&registry, reference, &changed);
	order = changed.order;
	registry_retake(&registry, reference, &turn);
	changed.uid = 4711;
	changed.state = STATE_LISTENING;
	after = registry_commit(&registry, &turn, &changed, MEMORY_KEEP, 0);
	cr_assert(ne(u64, after, reference));
	cr_assert(not(registry_get(&registry, reference, &found)));
	cr_assert(registry_get(&registry, after, &found));
	cr_assert(eq(u32, found.uid, 4711));
	cr_assert(eq(u64, found.order, order));
	cr_assert(eq(int, count(PORT, 0), 1));
	registry_memory(&registry, PORT, &memory, &found);
	cr_assert(eq(u32, memory.source->uid, 1000), "the memory keeps what was claimed then");
}

/* ---- memory of a port ---- */

Test(registry, memory_flags_change_and_the_source_stays)
{
	reference first = bind_one(PORT, 1, MEMORY_CLAIM, 5);
	struct memory memory;
	struct holder source;

	bind_one(PORT, 2, MEMORY_FLAGS, 1);
	registry_memory(&registry, PORT, &memory, &source);
	cr_assert(eq(u32, memory.flags, 1));
	cr_assert(eq(u64, source.cookie, 1));
	registry_remove(&registry, first);
	bind_one(PORT, 3, MEMORY_FLAGS, 9);
	registry_memory(&registry, PORT, &memory, &source);
	cr_assert(eq(u32, memory.flags, 9));
	cr_assert(eq(u64, source.cookie, 1));
}

Test(registry, memory_outlives_its_source)
{
	reference first = bind_one(PORT, 1, MEMORY_CLAIM, 0xa5), second;
	struct memory memory;
	struct holder source;
	struct turn turn;

	registry_memory(&registry, PORT, &memory, &source);
	cr_assert(eq(u32, memory.flags, 0xa5));
	cr_assert(eq(ptr, (void *)memory.source, &source));
	cr_assert(eq(u64, source.cookie, 1));

	registry_update(&registry, first, STATE_LISTENING, 0);
	registry_remove(&registry, first);
	second = bind_one(PORT, 2, MEMORY_KEEP, 0);
	cr_assert(ne(u32, reference_record(second), reference_record(first)), "the source must not be used again");
	registry_memory(&registry, PORT, &memory, &source);
	cr_assert(eq(u64, source.cookie, 1));
	cr_assert(eq(u32, source.options, OPTION_REUSEADDR), "as it was then");
	cr_assert(eq(u8, source.state, STATE_BOUND));

	bind_one(PORT, 3, MEMORY_FORGET, 0);
	registry_memory(&registry, PORT, &memory, &source);
	cr_assert(eq(u32, memory.flags, 0));
	cr_assert(eq(ptr, (void *)memory.source, NULL));
	cr_assert(eq(u32, reference_record(bind_one(PORT, 4, MEMORY_CLAIM, 7)), reference_record(first)), "now it may");

	source = holder(5);
	registry_claim(&registry, PORT, &source, &turn);
	registry_forget(&registry, &turn);
	registry_memory(&registry, PORT, &memory, &source);
	cr_assert(eq(ptr, (void *)memory.source, NULL));
	registry_abandon(&registry, &turn);
}

Test(registry, memory_is_redone_before_its_owner_is_removed)
{
	reference first = bind_one(PORT, 1, MEMORY_CLAIM, 1);
	struct bucket *bucket = bucket_at(registry.map, PORT);
	uint64_t before = atomic_load(&bucket->family);
	struct memory memory;
	struct holder source;
	reference second = bind_one(PORT, 2, MEMORY_CLAIM, 2);

	/* As if the second had been killed between its commit and its change of the memory. */
	atomic_store(&bucket->family, before);
	cr_assert(registry_remove(&registry, second));
	registry_memory(&registry, PORT, &memory, &source);
	cr_assert(eq(u32, memory.flags, 2));
	cr_assert(eq(u64, source.cookie, 2));
	/* But not when the memory has changed since. */
	registry_remove(&registry, first);
	registry_memory(&registry, PORT, &memory, &source);
	cr_assert(eq(u32, memory.flags, 2));
}

Test(registry, anchors_are_kept_once_and_never_doubted)
{
	struct holder anchor = holder(0);

	anchor.state = STATE_ANCHOR;
	registry_anchor(&registry, PORT, &anchor);
	registry_anchor(&registry, PORT, &anchor);
	cr_assert(eq(int, count(PORT, 0), 1));
	anchor.address[0] = 10;
	registry_anchor(&registry, PORT, &anchor);
	cr_assert(eq(int, count(PORT, 0), 2));
}

/* ---- interrupted, killed, taken over ---- */

Test(registry, handler_sees_the_claim_it_interrupted)
{
	struct holder claim = holder(1), inner = holder(2), found;
	struct turn outer, nested;
	struct cursor cursor;
	reference granted;
	bool in_doubt = true;

	registry_claim(&registry, PORT, &claim, &outer);
	{
		/* The handler's frame is below the one it interrupted. */
		struct turn *deeper = __builtin_alloca(sizeof *deeper);

		registry_claim(&registry, PORT, &inner, deeper);
		cr_assert(eq(int, deeper->state, TURN_NESTED));
		registry_first(&registry, PORT, deeper->record, &cursor);
		cr_assert(registry_next(&registry, &cursor, &found, &in_doubt));
		cr_assert(eq(u64, found.cookie, 1));
		cr_assert(not(in_doubt));
		cr_assert(not(registry_remove(&registry, found.reference)), "a claim being decided stays");
		registry_abandon(&registry, deeper);
		cr_assert(registry_turn_stands(&registry, &outer));
		cr_assert(eq(int, count(PORT, outer.record), 0));

		registry_claim(&registry, PORT, &inner, deeper);
		granted = registry_commit(&registry, deeper, &inner, MEMORY_KEEP, 0);
		cr_assert(ne(u64, granted, 0));
		registry_claim(&registry, PORT + 1, &inner, deeper);
		cr_assert(eq(int, deeper->state, TURN_TAKEN), "another bucket is free");
		registry_abandon(&registry, deeper);
	}
	cr_assert(not(registry_turn_stands(&registry, &outer)), "it judged without the handler's holder");
	registry_abandon(&registry, &outer);
	registry_claim(&registry, PORT, &claim, &nested);
	cr_assert(eq(int, nested.state, TURN_TAKEN));
	cr_assert(eq(int, count(PORT, nested.record), 1));
	registry_abandon(&registry, &nested);
}

static __attribute__((noinline)) void claim_and_leave(uint64_t cookie)
{
	struct holder claim = holder(cookie);
	struct turn turn;

	registry_claim(&registry, PORT, &claim, &turn);
}

static __attribute__((noinline)) void claim_below(struct turn *turn, char *space)
{
	struct holder claim = holder(2);

	space[0] = 1;
	registry_claim(&registry, PORT, &claim, turn);
}

/* A handler left the claim by longjmp: it is taken over and stays a doubtful holder. */
Test(registry, abandoned_frame_is_taken_over)
{
	struct turn turn;
	struct cursor cursor;
	struct holder found;
	bool in_doubt = false;
	char space[64];

	claim_and_leave(1);
	claim_below(&turn, space);
	cr_assert(eq(int, turn.state, TURN_TAKEN));
	registry_first(&registry, PORT, turn.record, &cursor);
	cr_assert(registry_next(&registry, &cursor, &found, &in_doubt));
	cr_assert(eq(u64, found.cookie, 1));
	cr_assert(in_doubt);
	cr_assert(not(registry_remove(&registry, found.reference)), "its owner lives and may call the kernel yet");
	usleep(1100000);
	cr_assert(registry_remove(&registry, found.reference));
	cr_assert(eq(int, count(PORT, turn.record), 0));
	registry_abandon(&registry, &turn);
}

static int die_with_the_turn(void)
{
	claim_and_leave(1);
	return 0;
}

Test(registry, dead_owner_leaves_a_doubtful_holder)
{
	struct holder claim = holder(2), found;
	struct cursor cursor;
	struct turn turn;
	bool in_doubt = false;

	cr_assert(eq(int, in_child(die_with_the_turn), 0));
	registry_claim(&registry, PORT, &claim, &turn);
	cr_assert(eq(int, turn.state, TURN_TAKEN));
	registry_first(&registry, PORT, turn.record, &cursor);
	cr_assert(registry_next(&registry, &cursor, &found, &in_doubt));
	cr_assert(in_doubt);
	cr_assert(eq(u32, found.options, OPTION_REUSEADDR), "its bind may have happened, with the options it had");
	cr_assert(not(registry_owner_alive(&registry, found.reference)));
	cr_assert(registry_remove(&registry, found.reference), "no living process can bind it any more");
	registry_abandon(&registry, &turn);
}

static void *claim_and_end(void *unused)
{
	claim_and_leave(2);
	return unused;
}

/* The claim is judged although its owner lives: both results are "there is a holder". */
Test(registry, judged_owner_commits_all_the_same)
{
	struct holder claim = holder(1);
	struct memory memory;
	struct turn turn;
	reference reference;
	pthread_t thread;

	registry_claim(&registry, PORT, &claim, &turn);
	pthread_create(&thread, NULL, claim_and_end, NULL);
	pthread_join(thread, NULL);
	cr_assert(eq(int, count(PORT, 0), 1), "the other thread took over");
	cr_assert(not(registry_turn_stands(&registry, &turn)));
	reference = registry_commit(&registry, &turn, &claim, MEMORY_CLAIM, 9);
	cr_assert(ne(u64, reference, 0));
	cr_assert(not(doubtful(PORT, reference)));
	registry_memory(&registry, PORT, &memory, &claim);
	cr_assert(eq(u32, memory.flags, 9));
}

static void *claim_and_abandon(void *unused)
{
	struct holder claim = holder(3);
	struct turn turn;

	registry_claim(&registry, PORT, &claim, &turn);
	registry_abandon(&registry, &turn);
	return unused;
}

/* Nobody believes in the claim any more, and its record was another's: the bind is a fact all the same. */
Test(registry, late_owner_is_entered_again)
{
	struct holder claim = holder(1), found;
	struct turn turn;
	pthread_t thread;
	reference taken = 0;

	registry_claim(&registry, PORT, &claim, &turn);
	pthread_create(&thread, NULL, claim_and_end, NULL);
	pthread_join(thread, NULL);
	for (int tries = 0; tries < 300 && (taken = registry_find(&registry, PORT, &(struct holder){ .cookie = 1 }, &found)); tries++) {
		registry_remove(&registry, taken); /* in earnest after a second */
		usleep(10000);
	}
	cr_assert(eq(u64, taken, 0));
	for (int others = 0; others < 3; others++) {
		pthread_create(&thread, NULL, claim_and_abandon, NULL);
		pthread_join(thread, NULL);
	}
	cr_assert(ne(u64, registry_commit(&registry, &turn, &claim, MEMORY_CLAIM, 9), 0));
	cr_assert(ne(u64, registry_find(&registry, PORT, &(struct holder){ .cookie = 1 }, &found), 0));
}

static int bind_in_child(void)
{
	return bind_one(PORT, 1, MEMORY_KEEP, 0) ? 0 : 1;
}

static int own_entry(void)
{
	uint32_t pid, owner = process_self(registry.map, &pid);

	return pid == (uint32_t)getpid() && owner_number(owner) == 2 ? 0 : 1;
}

Test(registry, fork_child_is_another_process)
{
	struct holder found;
	reference reference;

	bind_one(PORT + 1, 9, MEMORY_KEEP, 0);
	cr_assert(eq(int, in_child(own_entry), 0));
	cr_assert(eq(int, in_child(bind_in_child), 0));
	cr_assert(not(registry_any_process_alive(&registry)), "all others are dead");
	reference = registry_find(&registry, PORT, &(struct holder){ .cookie = 1 }, &found);
	cr_assert(ne(u64, reference, 0));
	cr_assert(ne(u32, found.pid, (uint32_t)getpid()));
	cr_assert(not(registry_owner_alive(&registry, reference)));
}

static int bind_in_vfork_child_first(void)
{
	uint32_t pid;
	int status;
	pid_t child = vfork();

	if (!child)
		_exit(bind_one(PORT, 1, MEMORY_KEEP, 0) ? 0 : 1);
	waitpid(child, &status, 0);
	process_self(registry.map, &pid);
	return status ? 1 : pid == (uint32_t)getpid() ? 0 : 2;
}

Test(registry, vfork_child_does_not_name_its_parent)
{
	cr_assert(eq(int, in_child(bind_in_vfork_child_first), 0));
}

static void *bind_later(void *done)
{
	usleep(50000);
	*(reference *)done = bind_one(PORT, 1, MEMORY_KEEP, 0);
	for (;;)
		pause();
	return NULL;
}

static int leave_by_thread(void)
{
	static reference bound;
	pthread_t thread;

	alarm(10);
	pthread_create(&thread, NULL, bind_later, &bound);
	syscall(SYS_exit, 0);
	return 1;
}

/* The main thread ended, another goes on: /proc calls the process a zombie. */
Test(registry, zombie_leader_with_threads_is_alive)
{
	reference reference = 0;
	struct holder found;
	pid_t child = fork();

	if (!child)
		_exit(leave_by_thread());
	for (int i = 0; i < 100 && !reference; i++) {
		usleep(10000);
		reference = registry_find(&registry, PORT, &(struct holder){ .cookie = 1 }, &found);
	}
	cr_assert(ne(u64, reference, 0));
	cr_assert(registry_owner_alive(&registry, reference));
	cr_assert(registry_any_process_alive(&registry));
	kill(child, SIGKILL);
	for (int i = 0; i < 200 && registry_owner_alive(&registry, reference); i++)
		usleep(10000);
	cr_assert(not(registry_owner_alive(&registry, reference)), "a zombie not yet waited for is dead");
	waitpid(child, NULL, 0);
	cr_assert(not(registry_owner_alive(&registry, reference)));
}

Test(registry, execve_makes_a_new_generation)
{
	uint32_t pid, before = process_self(registry.map, &pid), after;

	process_forget(registry.map);
	after = process_self(registry.map, &pid);
	cr_assert(eq(u32, owner_number(after), owner_number(before)));
	cr_assert(eq(u32, owner_generation(after), owner_generation(before) + 1));
	cr_assert(process_gone(registry.map, before));
	cr_assert(not(process_gone(registry.map, after)));
}

Test(registry, process_numbers_are_used_again)
{
	uint32_t pid;

	cr_assert(eq(int, in_child(own_entry), 1)); /* takes number 1 and dies */
	atomic_store(&registry.map->header.next_process, PROCESSES);
	cr_assert(eq(u32, owner_number(process_self(registry.map, &pid)), 1));
}

/* ---- exhaustion ---- */

Test(registry, lost_records_are_found_when_the_pool_is_empty)
{
	struct holder claim = holder(1);
	uint64_t word;
	struct turn turn;
	uint32_t owner, pid;

	bind_one(PORT, 1, MEMORY_KEEP, 0);
	owner = process_self(registry.map, &pid);
	/* Number 2 was handed out to somebody who is dead; number 1 is in a chain. */
	atomic_store(&registry.map->record[2].word, word_make(1, owner ^ 1 << 16, 0, 0, PHASE_CLAIM));
	atomic_store(&registry.map->header.next_record, RECORDS);
	atomic_store(&registry.map->header.sweep_record, 0);
	word = atomic_load(&registry.map->record[1].word);
	registry_claim(&registry, PORT + 1, &claim, &turn);
	cr_assert(eq(int, turn.state, TURN_TAKEN));
	cr_assert(eq(u32, turn.record, 2));
	cr_assert(eq(u64, atomic_load(&registry.map->record[1].word), word));
	registry_commit(&registry, &turn, &claim, MEMORY_KEEP, 0);
	for (uint32_t number = 3; number < UNIT / sizeof(struct record); number++) /* the rest of the unit is in other hands */
		atomic_store(&registry.map->record[number].word, word_make(1, owner, 0, 0, PHASE_CLAIM));
	registry_claim(&registry, PORT + 2, &claim, &turn);
	cr_assert(eq(int, turn.state, TURN_NONE));
}

/* ---- damage: never a crash, never without end ---- */

static int use_everything(void)
{
	struct holder claim = holder(7), found;
	struct registry_usage usage;
	struct memory memory;
	struct scan scan = { 0 };
	struct turn turn;
	uint64_t netns;
	bool in_doubt;
	reference reference;

	alarm(20);
	count(PORT, 0);
	registry_memory(&registry, PORT, &memory, &found);
	registry_usage(&registry, &usage);
	while (registry_scan(&registry, &scan, &found, &in_doubt, &netns))
		registry_owner_alive(&registry, found.reference);
	registry_any_process_alive(&registry);
	registry_anchor(&registry, PORT, &claim);
	registry_claim(&registry, PORT, &claim, &turn);
	registry_forget(&registry, &turn);
	reference = registry_commit(&registry, &turn, &claim, MEMORY_CLAIM, 1);
	registry_find(&registry, PORT, &(struct holder){ .cookie = 1 }, &found);
	registry_find(&registry, PORT, &(struct holder){ .cookie = 99 }, &found);
	for (int record = 1; record < 5; record++) {
		for (int generation = 0; generation < 4; generation++) {
			uint64_t guess = (uint64_t)generation << 20 | record;

			registry_get(&registry, guess, &found);
			registry_retake(&registry, guess, &turn);
			registry_abandon(&registry, &turn);
			registry_remove(&registry, guess);
		}
	}
	registry_remove(&registry, reference);
	registry_get(&registry, ~0ull, &found);
	registry_retake(&registry, ~0ull, &turn);
	return 0;
}

static const uint64_t bad[] = { 0, 1, 2, 3, 4, 0xfffff, RECORDS, RECORDS - 1, 0x80000000, 0xffffffff, ~0ull, 0x123456789abcdef0 };

static void damage64(word64 *field)
{
	uint64_t good = atomic_load(field);

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		atomic_store(field, bad[i]);
		cr_assert(eq(int, in_child(use_everything), 0));
		atomic_store(field, good ^ bad[i]);
		cr_assert(eq(int, in_child(use_everything), 0));
		atomic_store(field, good);
	}
}

static void damage32(word32 *field)
{
	uint32_t good = atomic_load(field);

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		atomic_store(field, (uint32_t)bad[i]);
		cr_assert(eq(int, in_child(use_everything), 0));
		atomic_store(field, good);
	}
}

static void three_holders(void)
{
	for (int i = 1; i <= 3; i++)
		bind_one(PORT, (uint64_t)i, MEMORY_CLAIM, 1);
}

Test(registry, damaged_words, .timeout = 300)
{
	struct bucket *bucket;

	three_holders();
	bucket = bucket_at(registry.map, PORT);
	damage64(&bucket->turn);
	damage64(&bucket->family);
	damage64(&registry.map->record[2].word);
	damage64(&registry.map->record[2].family_after);
	damage64(&registry.map->process[1]);
}

Test(registry, damaged_numbers, .timeout = 300)
{
	three_holders();
	damage32(&bucket_at(registry.map, PORT)->head);
	damage32(&registry.map->record[2].next);
	damage32(&registry.map->record[2].bucket);
	damage32(&registry.map->header.next_record);
	damage32(&registry.map->header.next_process);
	damage32(&registry.map->header.sweep_record);
	damage32(&registry.map->header.sweep_process);
}

Test(registry, chain_with_a_loop_ends)
{
	three_holders();
	atomic_store(&registry.map->record[1].next, 3);
	cr_assert(le(int, count(PORT, 0), 4));
	atomic_store(&registry.map->header.next_record, RECORDS - 1);
	cr_assert(eq(int, in_child(use_everything), 0));
}

Test(registry, chain_of_another_bucket_is_not_followed)
{
	three_holders();
	bind_one(PORT + 1, 1, MEMORY_KEEP, 0);
	atomic_store(&registry.map->record[1].next, 4);
	cr_assert(eq(int, count(PORT, 0), 3));
}

/* ---- not a test of truth: what it costs ---- */

Test(registry, cost)
{
	struct holder claim = holder(1);
	struct timespec start, end;
	const int rounds = 300000;
	struct turn turn;
	double ns;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (int i = 0; i < rounds; i++) {
		reference reference;

		registry_claim(&registry, PORT, &claim, &turn);
		reference = registry_commit(&registry, &turn, &claim, MEMORY_CLAIM, 1);
		registry_let_go(&registry, reference);
		registry_remove(&registry, reference);
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	ns = ((double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec)) / rounds;
	cr_log_info("claim + commit + let_go + remove: %.0f ns", ns);
	cr_assert(lt(dbl, ns, 20000));
}

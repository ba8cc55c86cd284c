/* SPDX-License-Identifier: MIT */
/*
 * Bytes of the registry change while it is in use:  mutate-registry [MUTATIONS [SEED]]
 *
 * One process uses a few buckets and changes bytes before each call, and at the registry's points in the middle of one.
 * Every seed gives the same changes.  No call may crash, touch what is beside the mapping (nothing is there), come
 * back with a number that is out of range, or not come back.  Every so often the registry is as new.
 */
#define _GNU_SOURCE
#include "../../shim/registry/internal.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#define FIRST_BUCKET 5000u
#define USED_BUCKETS 3u
#define USED_RECORDS 48u
#define USED_PROCESSES 8u
#define LIFE 64 /* mutations before it is as new */
#define REOPEN 50 /* lives before it is opened again */
#define TICK 10 /* s of CPU time in which a call has to end */

static struct registry registry;
static struct {
	struct header header;
	word64 process[USED_PROCESSES];
	struct bucket bucket[USED_BUCKETS];
	struct record record[USED_RECORDS];
} fresh;
static uint64_t state;
static unsigned long mutations, wanted, foreign, answers;
static volatile unsigned long calls;
static bool between; /* calls: nobody changes anything then */

static uint32_t random_below(uint32_t limit)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 16) % limit;
}

/* Some place of what is in use.  A turn that was given to somebody costs 20 ms of waiting: seldom. */
static size_t some_place(void)
{
	const size_t bucket = offsetof(struct layout, bucket) + (FIRST_BUCKET + random_below(USED_BUCKETS)) * sizeof(struct bucket);
	const size_t record = offsetof(struct layout, record) + random_below(USED_RECORDS) * sizeof(struct record);

	switch (random_below(16)) {
	case 0:
	case 1:
		return random_below(sizeof(struct header));
	case 2:
		return offsetof(struct layout, process) + random_below(sizeof fresh.process);
	case 3:
	case 4:
	case 5:
		return bucket + random_below(sizeof(struct bucket));
	case 6:
		return bucket + offsetof(struct bucket, head);
	case 7:
	case 8:
		return record + offsetof(struct record, next);
	case 9:
		return record;
	case 10:
		return random_below(sizeof(struct layout) / 4) * 4;
	default:
		return record + random_below(sizeof(struct record));
	}
}

static bool is_turn(size_t place)
{
	size_t bucket = place - offsetof(struct layout, bucket);

	return place >= offsetof(struct layout, bucket) && place < offsetof(struct layout, record) &&
	       bucket % sizeof(struct bucket) < sizeof(word64);
}

static void mutate(void)
{
	size_t place = some_place();
	unsigned char *byte = (unsigned char *)registry.map + place;
	uint32_t small = random_below(USED_RECORDS);

	mutations++;
	if (is_turn(place) && random_below(16))
		return;
	switch (random_below(4)) {
	case 0:
		*byte = (unsigned char)random_below(256);
		break;
	case 1: /* a number that could be one: chains that meet, and loops */
		memcpy((char *)registry.map + place / 4 * 4, &small, sizeof small);
		break;
	default:
		*byte ^= (unsigned char)(1 << random_below(8));
	}
}

void registry_point(enum registry_point point)
{
	(void)point;
	if (!between && random_below(16) == 0)
		mutate();
}

static void expect(bool holds, const char *what)
{
	answers++;
	if (holds)
		return;
	printf("not ok 1 - after %lu mutations: %s\n", mutations, what);
	exit(1);
}

static void expect_holder(const struct holder *holder)
{
	expect(reference_record(holder->reference) > 0 && reference_record(holder->reference) < RECORDS, "a holder's number");
}

static reference last;

static void walk(uint32_t bucket, uint32_t skip)
{
	struct cursor cursor;
	struct holder holder;
	bool doubtful;
	uint32_t seen = 0;

	registry_first(&registry, bucket, skip, &cursor);
	while (registry_next(&registry, &cursor, &holder, &doubtful)) {
		expect_holder(&holder);
		expect(++seen <= RECORDS, "a walk's length");
		if (seen < 4 && random_below(4) == 0)
			registry_remove(&registry, holder.reference);
	}
}

static void claim(uint32_t bucket)
{
	struct holder claim = { .cookie = mutations + 1, .port = (uint16_t)bucket, .domain = 2, .state = STATE_BOUND, .fd = -1 };
	struct turn turn;
	reference reference;

	registry_claim(&registry, bucket, &claim, &turn);
	if (turn.state == TURN_NONE)
		return;
	expect(turn.record > 0 && turn.record < RECORDS, "a claim's number");
	mutate();
	walk(bucket, turn.record);
	if (random_below(8) == 0)
		registry_forget(&registry, &turn);
	if (random_below(4) == 0 || !registry_turn_stands(&registry, &turn)) {
		registry_abandon(&registry, &turn);
		return;
	}
	claim.address[0] = (uint8_t)random_below(2);
	reference = registry_commit(&registry, &turn, &claim, (enum memory_change)random_below(4), random_below(256));
	expect(reference_record(reference) < RECORDS, "a reference");
	last = reference ? reference : last;
}

static void look(uint32_t bucket)
{
	struct holder holder, source;
	struct memory memory;
	reference reference = registry_find(&registry, bucket, &(struct holder){ .cookie = mutations }, &holder);

	if (reference)
		expect_holder(&holder);
	if (registry_get(&registry, last, &holder))
		expect_holder(&holder);
	registry_memory(&registry, bucket, &memory, &source);
	expect(!memory.source || memory.source == &source, "a memory's source");
	registry_owner_alive(&registry, last);
}

static void change(uint32_t bucket)
{
	struct holder anchor = { .port = (uint16_t)bucket, .domain = 2, .state = STATE_ANCHOR, .fd = -1, .options = mutations & 0xff };
	struct turn turn;

	registry_update(&registry, last, (enum state)random_below(16), random_below(1 << 20));
	registry_let_go(&registry, last);
	registry_confirm(&registry, last);
	registry_retake(&registry, last, &turn);
	if (turn.state != TURN_NONE)
		registry_commit(&registry, &turn, &anchor, (enum memory_change)random_below(4), 0);
	if (random_below(8) == 0)
		registry_anchor(&registry, bucket, &anchor);
	registry_remove(&registry, last);
}

static void look_at_all(void)
{
	struct scan scan = { random_below(2) ? 0 : (uint32_t)state };
	struct registry_usage usage;
	struct holder holder;
	bool doubtful;
	uint64_t netns;

	while (registry_scan(&registry, &scan, &holder, &doubtful, &netns))
		expect_holder(&holder);
	registry_usage(&registry, &usage);
	expect(usage.records_live <= RECORDS && usage.records_used < RECORDS && usage.processes < PROCESSES, "the usage");
	registry_any_process_alive(&registry);
}

static void call_something(void)
{
	uint32_t bucket = FIRST_BUCKET + random_below(USED_BUCKETS), what = random_below(256);

	if (what == 0)
		look_at_all();
	else if (what < 40)
		look(bucket);
	else if (what < 80)
		change(bucket);
	else
		claim(bucket);
}

/* The mapping moves to where nothing is on either side. */
static void fence_in(void)
{
	const size_t gap = 16 << 20;
	char *room = mmap(NULL, sizeof(struct layout) + 2 * gap, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (room == MAP_FAILED ||
	    mremap(registry.map, sizeof(struct layout), sizeof(struct layout), MREMAP_MAYMOVE | MREMAP_FIXED, room + gap) == MAP_FAILED) {
		perror("mutate-registry");
		exit(2);
	}
	registry.map = (struct layout *)(room + gap);
}

static void unfence(void)
{
	const size_t gap = 16 << 20;
	char *room = (char *)registry.map - gap;

	registry_close(&registry);
	munmap(room, sizeof(struct layout) + 2 * gap);
}

/* Not ours any more, or used as it is. */
static void open_again(const char *path)
{
	unfence();
	if (registry_open(&registry, path, "mutated", 1)) {
		foreign++;
		unlink(path);
		if (registry_open(&registry, path, "mutated", 1)) {
			perror(path);
			exit(2);
		}
	}
	fence_in();
}

static void remember(void)
{
	struct holder claim = { .domain = 2, .state = STATE_BOUND, .fd = -1 };

	for (uint32_t i = 0; i < USED_RECORDS; i++) {
		struct turn turn;

		claim.cookie = i + 1;
		claim.port = (uint16_t)(FIRST_BUCKET + i % USED_BUCKETS);
		registry_claim(&registry, claim.port, &claim, &turn);
		registry_commit(&registry, &turn, &claim, MEMORY_CLAIM, i);
	}
	memcpy(&fresh.header, &registry.map->header, sizeof fresh.header);
	memcpy(fresh.process, registry.map->process, sizeof fresh.process);
	memcpy(fresh.bucket, registry.map->bucket + FIRST_BUCKET, sizeof fresh.bucket);
	memcpy(fresh.record, registry.map->record, sizeof fresh.record);
}

static void renew(void)
{
	memcpy(&registry.map->header, &fresh.header, sizeof fresh.header);
	memcpy(registry.map->process, fresh.process, sizeof fresh.process);
	memcpy(registry.map->bucket + FIRST_BUCKET, fresh.bucket, sizeof fresh.bucket);
	memcpy(registry.map->record, fresh.record, sizeof fresh.record);
}

static void tick(int signal)
{
	static unsigned long before = -1ul;

	(void)signal;
	if (calls == before) {
		static const char text[] = "not ok 1 - a call does not come back\n";

		_exit(write(1, text, sizeof text - 1) > 0 ? 1 : 2);
	}
	before = calls;
}

static void run(const char *path)
{
	for (unsigned long life = 1; mutations < wanted; life++) {
		unsigned long end = mutations + LIFE;

		between = true;
		if (life % REOPEN == 0)
			open_again(path);
		renew();
		between = false;
		while (mutations < end) {
			for (uint32_t count = 1 + random_below(4); count; count--)
				mutate();
			call_something();
			calls++;
		}
	}
}

int main(int argc, char **argv)
{
	const struct itimerval often = { { TICK, 0 }, { TICK, 0 } };
	char folder[] = "/dev/shm/mutate-registry.XXXXXX", path[64];

	wanted = argc > 1 ? strtoul(argv[1], NULL, 0) : 100000;
	state = argc > 2 ? strtoull(argv[2], NULL, 0) : 20261122;
	if (!wanted || !state || !mkdtemp(folder)) {
		fprintf(stderr, "usage: mutate-registry [MUTATIONS [SEED]]\n");
		return 2;
	}
	snprintf(path, sizeof path, "%s/registry", folder);
	between = true;
	if (registry_open(&registry, path, "mutated", 1)) {
		perror(path);
		return 2;
	}
	fence_in();
	remember();
	signal(SIGVTALRM, tick);
	setitimer(ITIMER_VIRTUAL, &often, NULL);
	printf("1..1\n");
	fflush(stdout);
	run(path);
	unlink(path);
	rmdir(folder);
	printf("# %lu mutations, %lu calls, %lu answers looked at, %lu times no registry any more\n", mutations, calls, answers, foreign);
	printf("ok 1 - no change of the registry harms who uses it\n");
	return 0;
}

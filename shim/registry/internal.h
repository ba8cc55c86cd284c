/* SPDX-License-Identifier: MIT */
/* What the registry's own files share. */
#ifndef FAKEBIND_REGISTRY_INTERNAL_H
#define FAKEBIND_REGISTRY_INTERNAL_H

#include "layout.h"
#include "registry.h"
#include "../seldom.h"

#define likely(x) __builtin_expect(!!(x), 1)

/* Places where tests/faults/torture-registry kills the process. */
#ifdef REGISTRY_FAULTS
enum registry_point {
	POINT_CLAIMED, POINT_NUMBERED, POINT_LINKED, POINT_TURN, POINT_AFTER, POINT_LIVE, POINT_FAMILY, POINT_BACK,
	POINT_JUDGED, POINT_FOLDED, POINT_MOVED, POINTS
};
void registry_point(enum registry_point);
#else
#define registry_point(point) ((void)0)
#endif

extern _Thread_local __attribute__((tls_model("initial-exec"))) uint64_t registry_netns; /* registry_about() */

static inline uint64_t netns_of(const struct registry *registry)
{
	return registry_netns ? registry_netns : registry->netns;
}

/* map.c: is there memory behind a unit?  Touching a hole of a full file system would be SIGBUS, even to read, and
 * the file may lie; so each process asks the kernel once for each unit and believes only that. */
extern struct populated {
	const struct layout *map;
	atomic_bool unit[LAYOUT_UNITS];
} populated;
SELDOM bool map_populate(struct layout *, size_t offset);

static inline bool map_populated(const struct layout *map, size_t unit)
{
	return likely(populated.map == map && atomic_load_explicit(&populated.unit[unit], memory_order_acquire));
}

/* Has anybody used it? */
static inline bool map_present(struct layout *map, size_t offset)
{
	size_t unit = offset / UNIT;

	if (map_populated(map, unit))
		return true;
	return atomic_load_explicit(&map->header.present[unit / 32], memory_order_acquire) >> unit % 32 & 1 && map_populate(map, offset);
}

static inline bool map_need(struct layout *map, size_t offset)
{
	return map_populated(map, offset / UNIT) || map_populate(map, offset);
}

/* NULL for a number that is out of range or was never used: numbers come from the file. */
static inline struct record *record_at(struct layout *map, uint32_t number)
{
	if (number == 0 || number >= RECORDS || !map_present(map, offsetof(struct layout, record) + number * sizeof(struct record)))
		return NULL;
	return &map->record[number];
}

static inline struct bucket *bucket_at(struct layout *map, uint32_t number)
{
	if (!map || number >= BUCKETS || !map_present(map, offsetof(struct layout, bucket) + number * sizeof(struct bucket)))
		return NULL;
	return &map->bucket[number];
}

/* process.c */
/* The caller's owner id, registering it if need be; 0: no room. */
uint32_t process_self(struct layout *, uint32_t *pid);
void process_forget(struct layout *);
/* True only with proof. */
SELDOM bool process_gone(struct layout *, uint32_t owner);

/* table.c */
/* A record of the bucket in state claim, owned by the caller; 0: no room.  It has the options already, for those who
 * take it over. */
uint32_t table_claim(struct layout *, uint32_t bucket, uint32_t owner, uint32_t options, uint64_t *word);
void table_fill(struct record *, const struct holder *, uint64_t netns, uint32_t pid);
/* Does the record still hold what cannot be changed in place? */
bool table_holds(struct record *, const struct holder *);
/* Redoes the change of the bucket's memory that a record announced, unless it was done. */
void table_fold(struct bucket *, uint32_t number, struct record *);
bool table_free(struct record *, uint64_t word);

/* turn.c */
/* Is the record a claim of this very thread, interrupted by the caller, that decides by this turn? */
bool turn_interrupted(uint32_t bucket, uint64_t turn, uint32_t record);

#endif

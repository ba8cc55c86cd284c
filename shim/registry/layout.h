/* SPDX-License-Identifier: MIT */
/*
 * The registry file.  Programs of 32 and 64 bit and of any libc share it, so: fixed-width fields,
 * numbers instead of pointers, offsets asserted.  Change anything and LAYOUT_VERSION must change.
 *
 * All that may change while others look is one 64-bit word, changed by compare-and-swap.
 */
#ifndef FAKEBIND_LAYOUT_H
#define FAKEBIND_LAYOUT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "registry.h"

#define LAYOUT_MAGIC 0x646e6962656b6166ull /* "fakebind" */
#define LAYOUT_VERSION 3u
#define LAYOUT_SYSTEM REGISTRY_SYSTEM_MAX /* name of the profile, with its end */

#define PROCESSES 65536u /* number 0 is nobody */
#define BUCKETS 131072u
#define RECORDS 262144u /* number 0 is no record */

/* The file is sparse and gets its memory a unit at a time. */
#define UNIT 16384u

_Static_assert(__atomic_always_lock_free(8, NULL), "a libatomic lock would not be shared between processes");

/* i386 would align 64-bit words to 4. */
typedef _Atomic(uint64_t) word64 __attribute__((aligned(8)));
typedef _Atomic(uint32_t) word32;

struct header {
	uint64_t magic;
	uint32_t version, size;
	char system[LAYOUT_SYSTEM];
	word32 next_record, next_process;   /* first number never handed out */
	word32 sweep_record, sweep_process; /* where the search for lost ones goes on */
	word32 present[96];                 /* a bit a unit: it has memory, touching it cannot fail */
	word64 expired, expired_port;       /* when remnants were last declared over, monotonic ms: all; those of any one port */
	word64 time_wait;                   /* how long they last, plus 1: fixed 32 | scale 32; 0: as the system has it */
};

struct bucket {
	word64 turn;
	word64 family; /* what the port remembers */
	word64 ticket; /* order of the holders */
	word32 head;   /* chain of records; it only grows, at the head */
	word32 expired; /* when its remnants were declared over: ms, low half, never after expired_port; 0: not yet */
};

struct record {
	word64 word;
	word64 cookie;       /* of a remnant: when the connection ended, monotonic ms */
	word64 netns;
	word64 ticket;
	word64 family_after; /* the bucket's family word once this commit is through; 0: not changed */
	word64 judged;       /* when its turn was taken over, or STATE_ENDED: when it ended; monotonic ms */
	word32 next;         /* never changes once the record is in a chain */
	word32 bucket;       /* plus 1; 0: in no chain yet */
	/* From here the fields of one generation: written while the record is a claim, then constant. */
	word32 address[4];
	word32 scope, ifindex, uid, kind; /* kind: port 16 | domain 8 | protocol 8 */
	word32 fd, pid;
	word32 options; /* those above the eight of the word */
	uint32_t spare[7];
};

struct layout {
	struct header header;
	uint8_t spare[UNIT - sizeof(struct header)];
	word64 process[PROCESSES];
	struct bucket bucket[BUCKETS];
	struct record record[RECORDS];
};

#define LAYOUT_UNITS (sizeof(struct layout) / UNIT)

#define AT(type, field, offset) _Static_assert(offsetof(struct type, field) == (offset), #type "." #field)
AT(header, magic, 0);
AT(header, version, 8);
AT(header, size, 12);
AT(header, system, 16);
AT(header, next_record, 80);
AT(header, next_process, 84);
AT(header, sweep_record, 88);
AT(header, sweep_process, 92);
AT(header, present, 96);
AT(header, expired, 480);
AT(header, expired_port, 488);
AT(header, time_wait, 496);
AT(bucket, turn, 0);
AT(bucket, family, 8);
AT(bucket, ticket, 16);
AT(bucket, head, 24);
AT(bucket, expired, 28);
AT(record, word, 0);
AT(record, cookie, 8);
AT(record, netns, 16);
AT(record, ticket, 24);
AT(record, family_after, 32);
AT(record, judged, 40);
AT(record, next, 48);
AT(record, bucket, 52);
AT(record, address, 56);
AT(record, scope, 72);
AT(record, ifindex, 76);
AT(record, uid, 80);
AT(record, kind, 84);
AT(record, fd, 88);
AT(record, pid, 92);
AT(record, options, 96);
AT(layout, header, 0);
AT(layout, process, 0x4000);
AT(layout, bucket, 0x84000);
AT(layout, record, 0x484000);
#undef AT
_Static_assert(sizeof(struct header) == 504, "header");
_Static_assert(sizeof(struct bucket) == 32, "bucket");
_Static_assert(sizeof(struct record) == 128, "record");
_Static_assert(sizeof(struct layout) == REGISTRY_FILE_SIZE, "layout");
_Static_assert(sizeof(struct layout) % UNIT == 0 && LAYOUT_UNITS <= 96 * 32, "every unit has a bit");

/* ---- the words ---- */

static inline uint64_t bits(uint64_t word, unsigned int shift, unsigned int width)
{
	return word >> shift & ((1ull << width) - 1);
}

/* A record: generation 20 | owner 24 | doubtful, judged, spare 2 | state 4 | options 8 | phase 4.
 * An owner is a process number 16 | generation 8. */
enum phase { PHASE_FREE, PHASE_CLAIM, PHASE_LIVE };

#define WORD_DOUBTFUL (1ull << 19)
#define WORD_JUDGED (1ull << 18) /* its turn was taken over: the owner may not have called the kernel yet */

static inline uint64_t word_make(uint64_t generation, uint64_t owner, uint64_t state, uint64_t options, enum phase phase)
{
	return (generation & 0xfffff) << 44 | owner << 20 | (state & 0xf) << 12 | (options & 0xff) << 4 | phase;
}

static inline enum phase word_phase(uint64_t word) { return (enum phase)bits(word, 0, 4); }
static inline uint32_t word_options(uint64_t word) { return (uint32_t)bits(word, 4, 8); }
static inline uint8_t word_state(uint64_t word) { return (uint8_t)bits(word, 12, 4); }
static inline uint32_t word_owner(uint64_t word) { return (uint32_t)bits(word, 20, 24); }
static inline uint32_t word_generation(uint64_t word) { return (uint32_t)bits(word, 44, 20); }

/* A turn: sequence 20 | owner 24 | record 20. */
static inline uint64_t turn_make(uint64_t sequence, uint64_t owner, uint64_t record)
{
	return (sequence & 0xfffff) << 44 | owner << 20 | record;
}

static inline uint32_t turn_record(uint64_t turn) { return (uint32_t)bits(turn, 0, 20); }
static inline uint32_t turn_owner(uint64_t turn) { return (uint32_t)bits(turn, 20, 24); }
static inline uint32_t turn_sequence(uint64_t turn) { return (uint32_t)bits(turn, 44, 20); }

/* A family word: sequence 28 | options of the source then 8 | flags 8 | record of the source 20. */
static inline uint64_t family_make(uint64_t sequence, uint64_t options, uint64_t flags, uint64_t record)
{
	return (sequence & 0xfffffff) << 36 | (options & 0xff) << 28 | (flags & 0xff) << 20 | record;
}

static inline uint32_t family_record(uint64_t family) { return (uint32_t)bits(family, 0, 20); }
static inline uint32_t family_flags(uint64_t family) { return (uint32_t)bits(family, 20, 8); }
static inline uint32_t family_options(uint64_t family) { return (uint32_t)bits(family, 28, 8); }
static inline uint32_t family_sequence(uint64_t family) { return (uint32_t)bits(family, 36, 28); }

/* A process: pid 22 | start tick 26 | generation 8 | namespace 8 (0: liveness cannot be known). */
static inline uint64_t process_make(uint64_t pid, uint64_t tick, uint64_t generation, uint64_t space)
{
	return pid << 42 | (tick & 0x3ffffff) << 16 | (generation & 0xff) << 8 | (space & 0xff);
}

static inline uint32_t process_space(uint64_t process) { return (uint32_t)bits(process, 0, 8); }
static inline uint32_t process_generation(uint64_t process) { return (uint32_t)bits(process, 8, 8); }
static inline uint32_t process_tick(uint64_t process) { return (uint32_t)bits(process, 16, 26); }
static inline uint32_t process_pid(uint64_t process) { return (uint32_t)bits(process, 42, 22); }

static inline uint32_t owner_make(uint32_t number, uint32_t generation) { return generation << 16 | number; }
static inline uint32_t owner_number(uint32_t owner) { return owner & 0xffff; }
static inline uint32_t owner_generation(uint32_t owner) { return owner >> 16 & 0xff; }

/* A reference: generation 20 | record 20. */
static inline uint64_t reference_make(uint64_t word, uint32_t record) { return (uint64_t)word_generation(word) << 20 | record; }
static inline uint32_t reference_record(uint64_t reference) { return (uint32_t)bits(reference, 0, 20); }
static inline uint32_t reference_generation(uint64_t reference) { return (uint32_t)bits(reference, 20, 20); }

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Turns: who decides over a bucket.
 *
 * The turn word changes only by compare-and-swap on its exact old value, and every new value has the next
 * sequence number.  Whoever holds it may die, stop, or leave by longjmp: the next comer takes the
 * turn over and leaves a doubtful holder behind, never nothing.
 */
#include "internal.h"
#include "../host/raw.h"

#include <string.h>

#define SPINS 300
#define YIELDS 10
#define IMPATIENT 20 /* ms the same turn may stand before it is taken over */
#define PATIENCE 1000 /* ms before the bind goes on without the registry */
#define PATIENCE_NESTED 100

/* Claims of this thread that signal handlers interrupted, innermost last.  Values, no pointers: a longjmp or a
 * killed vfork child may leave entries behind. */
#define LEVELS 8
#define NESTED_TRUST 4 /* so often an outer claim is believed to go on; then it waits like a stranger's */

static _Thread_local __attribute__((tls_model("initial-exec"))) struct {
	word32 depth;
	struct level {
		word64 turn;
		_Atomic(uintptr_t) frame;
		word32 bucket, record, uses;
		atomic_bool overtaken; /* a nested claim was granted in the same bucket */
	} level[LEVELS];
} nest;

static struct level *find_level(uint32_t bucket, uint64_t turn)
{
	uint32_t depth = atomic_load_explicit(&nest.depth, memory_order_relaxed);

	while (depth-- > 0) {
		struct level *level = &nest.level[depth];

		if (atomic_load_explicit(&level->turn, memory_order_relaxed) == turn &&
		    atomic_load_explicit(&level->bucket, memory_order_relaxed) == bucket)
			return level;
	}
	return NULL;
}

bool turn_interrupted(uint32_t bucket, uint64_t turn, uint32_t record)
{
	for (uint32_t depth = 0; depth < atomic_load_explicit(&nest.depth, memory_order_relaxed); depth++) {
		struct level *level = &nest.level[depth];

		if (atomic_load_explicit(&level->turn, memory_order_relaxed) == turn &&
		    atomic_load_explicit(&level->bucket, memory_order_relaxed) == bucket &&
		    atomic_load_explicit(&level->record, memory_order_relaxed) == record)
			return true;
	}
	return false;
}

/* A nested claim was granted: those it interrupted judged without it. */
static SELDOM void overtake(const struct turn *turn)
{
	for (uint32_t depth = 0; depth < turn->level; depth++) {
		struct level *level = &nest.level[depth];

		if (atomic_load_explicit(&level->turn, memory_order_relaxed) == turn->word &&
		    atomic_load_explicit(&level->bucket, memory_order_relaxed) == turn->bucket)
			atomic_store_explicit(&level->overtaken, true, memory_order_relaxed);
	}
}

/* An entry whose frame is not outside ours was left by longjmp.  (With sigaltstack this may be a
 * wrong guess; then the outer claim is waited for and taken over like any other.) */
static void push(struct turn *turn)
{
	uint32_t depth = atomic_load_explicit(&nest.depth, memory_order_relaxed);
	struct level *level;

	while (depth && atomic_load_explicit(&nest.level[depth - 1].frame, memory_order_relaxed) <= (uintptr_t)turn)
		depth--;
	turn->level = depth;
	if (depth == LEVELS)
		return;
	/* First the depth: a handler that comes in between uses the entry above. */
	atomic_store_explicit(&nest.depth, depth + 1, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	level = &nest.level[depth];
	atomic_store_explicit(&level->turn, 0, memory_order_relaxed);
	atomic_store_explicit(&level->frame, (uintptr_t)turn, memory_order_relaxed);
	atomic_store_explicit(&level->bucket, turn->bucket, memory_order_relaxed);
	atomic_store_explicit(&level->record, turn->record, memory_order_relaxed);
	atomic_store_explicit(&level->uses, 0, memory_order_relaxed);
	atomic_store_explicit(&level->overtaken, false, memory_order_relaxed);
}

static void pop(struct turn *turn)
{
	if (turn->level < LEVELS)
		atomic_store_explicit(&nest.depth, turn->level, memory_order_relaxed);
	turn->state = TURN_NONE;
}

static void announce(const struct turn *turn, uint64_t word)
{
	if (turn->level < LEVELS)
		atomic_store_explicit(&nest.level[turn->level].turn, word, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
}

static void relax(void)
{
#if defined __x86_64__ || defined __i386__
	__builtin_ia32_pause();
#elif defined __aarch64__
	__asm__ volatile("yield");
#endif
}

static void nap(long microseconds)
{
	const struct { long seconds, nanoseconds; } time = { 0, microseconds * 1000 };

	raw_call(SYS_nanosleep, (long)&time, 0);
}

/* The claim that has the turn becomes a doubtful holder, what it announced is done, the turn is free. */
static SELDOM void take_over(struct layout *map, uint32_t number, uint64_t turn)
{
	struct bucket *bucket = bucket_at(map, number);
	struct record *record = record_at(map, turn_record(turn));

	if (record && atomic_load(&record->bucket) == number + 1) {
		uint64_t word = atomic_load(&record->word);

		if (word_phase(word) == PHASE_CLAIM && word_owner(word) == turn_owner(turn)) {
			atomic_store(&record->judged, process_now());
			atomic_compare_exchange_strong(&record->word, &word,
				(word & ~0xfull) | WORD_DOUBTFUL | WORD_JUDGED | PHASE_LIVE);
		}
		registry_point(POINT_JUDGED);
		table_fold(bucket, turn_record(turn), record);
	}
	registry_point(POINT_FOLDED);
	atomic_compare_exchange_strong(&bucket->turn, &turn, turn_make(turn_sequence(turn) + 1, 0, 0));
}

struct wait {
	uint64_t turn, since, start;
	uint32_t rounds;
};

/* False: waited long enough. */
static SELDOM bool wait_for_turn(struct layout *map, const struct turn *mine, uint64_t turn, struct wait *wait)
{
	uint64_t now;

	if (wait->rounds++ < SPINS) {
		relax();
		return true;
	}
	if (wait->rounds < SPINS + YIELDS) {
		raw_call(SYS_sched_yield, 0);
		return true;
	}
	now = process_now();
	if (!wait->start)
		wait->start = now;
	if (turn != wait->turn) {
		wait->turn = turn;
		wait->since = now;
	}
	if (process_gone(map, turn_owner(turn)) || now - wait->since >= IMPATIENT) {
		take_over(map, mine->bucket, turn);
		return true;
	}
	if (now - wait->start >= (mine->level ? PATIENCE_NESTED : PATIENCE))
		return false;
	nap(wait->rounds < SPINS + YIELDS + 50 ? 100 : 2000);
	return true;
}

static enum turn_state take(struct layout *map, struct bucket *bucket, uint32_t owner, struct turn *mine)
{
	struct wait wait = { 0 };
	struct level *level;

	do {
		uint64_t turn = atomic_load(&bucket->turn);

		if (turn_record(turn) == 0) {
			mine->word = turn_make(turn_sequence(turn) + 1, owner, mine->record);
			announce(mine, mine->word);
			if (atomic_compare_exchange_strong(&bucket->turn, &turn, mine->word))
				return TURN_TAKEN;
			announce(mine, 0);
			continue;
		}
		mine->word = turn;
		if ((level = find_level(mine->bucket, turn)) && atomic_fetch_add(&level->uses, 1) < NESTED_TRUST) {
			announce(mine, turn);
			return TURN_NESTED;
		}
	} while (wait_for_turn(map, mine, mine->word, &wait));
	return TURN_NONE;
}

static void give_back(struct bucket *bucket, const struct turn *turn)
{
	uint64_t word = turn->word;

	if (turn->state == TURN_TAKEN)
		atomic_compare_exchange_strong(&bucket->turn, &word, turn_make(turn_sequence(word) + 1, 0, 0));
}

/* Others may have found time to take the record away: before the turn it was only a claim nobody counted. */
static bool still_ours(struct record *record, const struct turn *turn)
{
	uint64_t word = atomic_load(&record->word);

	return word_generation(word) == word_generation(turn->claim) && word_phase(word) == word_phase(turn->claim);
}

static void begin(struct registry *registry, uint32_t owner, struct turn *turn)
{
	struct bucket *bucket = bucket_at(registry->map, turn->bucket);
	struct record *record = record_at(registry->map, turn->record);

	push(turn);
	registry_point(POINT_CLAIMED);
	turn->state = take(registry->map, bucket, owner, turn);
	registry_point(POINT_TURN);
	if (turn->state != TURN_NONE && still_ours(record, turn))
		return;
	give_back(bucket, turn);
	if (!turn->live)
		table_free(record, turn->claim);
	pop(turn);
}

void registry_claim(struct registry *registry, uint32_t bucket, const struct holder *claim, struct turn *turn)
{
	struct layout *map = registry->map;
	uint32_t owner, pid;

	*turn = (struct turn){ .state = TURN_NONE, .bucket = bucket };
	if (!map || bucket >= BUCKETS || !map_need(map, offsetof(struct layout, bucket) + bucket * sizeof(struct bucket)))
		return;
	if (!(owner = process_self(map, &pid)) || !(turn->record = table_claim(map, bucket, owner, claim->options, &turn->claim)))
		return;
	table_fill(record_at(map, turn->record), claim, netns_of(registry), pid);
	begin(registry, owner, turn);
}

void registry_retake(struct registry *registry, reference reference, struct turn *turn)
{
	struct layout *map = registry->map;
	struct record *record = map ? record_at(map, reference_record(reference)) : NULL;
	uint32_t owner, pid;

	*turn = (struct turn){ .state = TURN_NONE, .live = true };
	if (!record)
		return;
	turn->record = reference_record(reference);
	turn->claim = atomic_load(&record->word);
	turn->bucket = atomic_load(&record->bucket) - 1;
	if (word_phase(turn->claim) != PHASE_LIVE || word_generation(turn->claim) != reference_generation(reference) ||
	    !bucket_at(map, turn->bucket) || !(owner = process_self(map, &pid)))
		return;
	begin(registry, owner, turn);
}

bool registry_turn_stands(struct registry *registry, const struct turn *turn)
{
	struct bucket *bucket = bucket_at(registry->map, turn->bucket);

	if (turn->state == TURN_NONE || !bucket || atomic_load(&bucket->turn) != turn->word)
		return false;
	return turn->level >= LEVELS || !atomic_load_explicit(&nest.level[turn->level].overtaken, memory_order_relaxed);
}

/* Makes the record live.  Whatever others made of it in the meantime, as long as the generation is ours, the
 * bind is a fact. */
static bool settle(struct record *record, const struct turn *turn, uint64_t word)
{
	uint64_t seen = turn->claim, kept = turn->live ? WORD_DOUBTFUL : 0;

	for (int tries = 0; tries < 64; tries++) {
		if (atomic_compare_exchange_strong(&record->word, &seen, word | (seen & kept)))
			return true;
		if (word_generation(seen) != word_generation(word))
			return false;
	}
	return false;
}

static uint64_t next_family(uint64_t family, const struct turn *turn, enum memory_change change, uint32_t flags, uint32_t options)
{
	if (change == MEMORY_FORGET)
		return family_make(family_sequence(family) + 1, 0, 0, 0);
	if (change == MEMORY_FLAGS)
		return family_make(family_sequence(family) + 1, family_options(family), flags, family_record(family));
	return family_make(family_sequence(family) + 1, options, flags, turn->record);
}

/* A live record cannot change its address: another takes its place. */
static SELDOM void change_fields(struct registry *registry, struct turn *turn, const struct holder *as)
{
	struct record *record = record_at(registry->map, turn->record);
	uint64_t ticket = atomic_load(&record->ticket), claim;
	uint32_t pid = atomic_load(&record->pid), number;

	if (turn->live) {
		number = table_claim(registry->map, turn->bucket, turn_owner(turn->word), as->options, &claim);
		if (!number)
			return;
		turn->record = number;
		turn->claim = claim;
		turn->live = false;
		record = record_at(registry->map, number);
	}
	table_fill(record, as, netns_of(registry), pid);
	atomic_store(&record->ticket, ticket);
}

static reference commit(struct registry *registry, struct bucket *bucket, struct turn *turn, const struct holder *as,
                        enum memory_change change, uint32_t flags)
{
	struct record *record = record_at(registry->map, turn->record);
	uint64_t word = word_make(word_generation(turn->claim), word_owner(turn->claim), as->state, as->options, PHASE_LIVE);

	/* settle() publishes both. */
	if (!atomic_load(&record->ticket))
		atomic_store_explicit(&record->ticket, atomic_fetch_add(&bucket->ticket, 1) + 1, memory_order_release);
	if (change != MEMORY_KEEP)
		atomic_store_explicit(&record->family_after, next_family(atomic_load(&bucket->family), turn, change, flags, as->options),
				      memory_order_release);
	registry_point(POINT_AFTER);
	if (!settle(record, turn, word))
		return 0;
	registry_point(POINT_LIVE);
	if (change != MEMORY_KEEP)
		table_fold(bucket, turn->record, record);
	registry_point(POINT_FAMILY);
	return reference_make(word, turn->record);
}

/* Others took the claim for dead and its record away: it took longer than anybody waits.  But the bind is a fact. */
static SELDOM reference commit_late(struct registry *registry, struct bucket *bucket, const struct turn *turn, const struct holder *as)
{
	struct record *record;
	uint32_t owner, pid, number;
	uint64_t claim, word;

	if (!(owner = process_self(registry->map, &pid)) ||
	    !(number = table_claim(registry->map, turn->bucket, owner, as->options, &claim)))
		return 0;
	record = record_at(registry->map, number);
	table_fill(record, as, netns_of(registry), pid);
	atomic_store(&record->ticket, atomic_fetch_add(&bucket->ticket, 1) + 1);
	word = word_make(word_generation(claim), owner, as->state, as->options, PHASE_LIVE);
	return atomic_compare_exchange_strong(&record->word, &claim, word) ? reference_make(word, number) : 0;
}

static void hand_back(struct bucket *bucket, struct turn *turn)
{
	give_back(bucket, turn);
	registry_point(POINT_BACK);
	if (turn->state == TURN_NESTED)
		overtake(turn);
	pop(turn);
}

reference registry_commit(struct registry *registry, struct turn *turn, const struct holder *as, enum memory_change change,
                          uint32_t memory_flags)
{
	struct bucket *bucket = bucket_at(registry->map, turn->bucket);
	struct record *record = registry->map ? record_at(registry->map, turn->record) : NULL, *before = NULL;
	uint64_t claim = turn->claim;
	reference result;

	if (turn->state == TURN_NONE || !bucket || !record)
		return 0;
	if (!table_holds(record, as)) {
		if (turn->live)
			before = record;
		change_fields(registry, turn, as);
	}
	result = commit(registry, bucket, turn, as, change, memory_flags);
	if (!result && !turn->live)
		result = commit_late(registry, bucket, turn, as);
	registry_point(POINT_MOVED);
	if (before && !turn->live)
		table_free(before, claim);
	hand_back(bucket, turn);
	return result;
}

reference registry_commit_state(struct registry *registry, struct turn *turn, enum state state, enum memory_change change,
				uint32_t memory_flags)
{
	struct bucket *bucket = bucket_at(registry->map, turn->bucket);
	const struct holder as = { .state = state, .options = word_options(turn->claim) };
	reference result;

	if (turn->state == TURN_NONE || !bucket)
		return 0;
	result = commit(registry, bucket, turn, &as, change, memory_flags);
	hand_back(bucket, turn);
	return result;
}

void registry_abandon(struct registry *registry, struct turn *turn)
{
	struct bucket *bucket = bucket_at(registry->map, turn->bucket);
	struct record *record = registry->map ? record_at(registry->map, turn->record) : NULL;

	if (turn->state == TURN_NONE || !bucket || !record)
		return;
	/* In this order: a record that is used again must not be named by an old turn. */
	give_back(bucket, turn);
	if (!turn->live)
		table_free(record, turn->claim);
	pop(turn);
}

void registry_forget(struct registry *registry, struct turn *turn)
{
	struct bucket *bucket = bucket_at(registry->map, turn->bucket);
	uint64_t family;
	struct record *source;

	if (turn->state == TURN_NONE || !bucket)
		return;
	family = atomic_load(&bucket->family);
	source = record_at(registry->map, family_record(family));
	if (source && atomic_load(&source->netns) != netns_of(registry))
		return;
	atomic_compare_exchange_strong(&bucket->family, &family, family_make(family_sequence(family) + 1, 0, 0, 0));
}

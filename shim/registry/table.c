/* SPDX-License-Identifier: MIT */
/*
 * Records and chains.  A record stays in its bucket's chain for ever and is used again there, so walkers need no
 * protection.  Its fields are written while it is a claim; readers look at the word before and after.
 */
#include "internal.h"

#include <string.h>

#define DEAD_CLAIMS 64 /* looked at for one claim: liveness costs 3 us each */
#define SWEEP 64       /* records looked at for one claim when all numbers were handed out */
#define SWEEP_CHAIN 4096

_Thread_local uint64_t registry_netns;

void registry_about(uint64_t netns)
{
	registry_netns = netns;
}

static void put32(word32 *field, uint32_t value) { atomic_store_explicit(field, value, memory_order_release); }
static void put64(word64 *field, uint64_t value) { atomic_store_explicit(field, value, memory_order_release); }
static uint32_t get32(word32 *field) { return atomic_load_explicit(field, memory_order_acquire); }
static uint64_t get64(word64 *field) { return atomic_load_explicit(field, memory_order_acquire); }

static uint32_t count_records(struct layout *map)
{
	uint32_t next = atomic_load(&map->header.next_record);

	return next < RECORDS ? next : RECORDS;
}

/* The next record of a chain, NULL at its end or where it is damaged. */
static struct record *in_chain(struct layout *map, uint32_t bucket, uint32_t number)
{
	struct record *record = record_at(map, number);

	return record && get32(&record->bucket) == bucket + 1 ? record : NULL;
}

/* ---- claiming a record ---- */

/* mine: the claim's word, of no generation yet. */
static bool start_claim(struct record *record, uint64_t word, uint64_t mine, uint64_t *claim)
{
	*claim = mine | word_make(word_generation(word) + 1, 0, 0, 0, PHASE_FREE);
	return atomic_compare_exchange_strong(&record->word, &word, *claim);
}

/* What the bucket remembers must stay readable after its socket is gone. */
static bool is_source(struct bucket *bucket, uint32_t number)
{
	return family_record(atomic_load(&bucket->family)) == number;
}

static uint32_t claim_free(struct layout *map, uint32_t bucket, uint64_t mine, uint64_t *claim)
{
	struct bucket *home = &map->bucket[bucket];
	uint32_t number = get32(&home->head), steps = count_records(map);
	struct record *record;

	for (; steps-- && (record = in_chain(map, bucket, number)); number = get32(&record->next)) {
		uint64_t word = atomic_load(&record->word);

		if (word_phase(word) == PHASE_FREE && !is_source(home, number) && start_claim(record, word, mine, claim))
			return number;
	}
	return 0;
}

/* First the proof that the owner is dead, then the look at the turn: the other way round it might have taken it in between. */
static SELDOM uint32_t claim_dead(struct layout *map, uint32_t bucket, uint64_t mine, uint64_t *claim)
{
	struct bucket *home = &map->bucket[bucket];
	uint32_t number = get32(&home->head), steps = count_records(map), looks = DEAD_CLAIMS, alive = word_owner(mine);
	struct record *record;

	for (; steps-- && looks && (record = in_chain(map, bucket, number)); number = get32(&record->next)) {
		uint64_t word = atomic_load(&record->word);

		if (word_phase(word) != PHASE_CLAIM || word_owner(word) == alive)
			continue;
		looks--;
		if (!process_gone(map, word_owner(word)))
			alive = word_owner(word);
		else if (turn_record(atomic_load(&home->turn)) != number && start_claim(record, word, mine, claim))
			return number;
	}
	return 0;
}

/* True if unsure. */
static bool is_linked(struct layout *map, struct record *record)
{
	uint32_t number = get32(&record->bucket);
	struct bucket *home = bucket_at(map, number - 1);
	uint32_t at, steps = SWEEP_CHAIN;

	if (!number)
		return false;
	if (!home)
		return true;
	for (at = get32(&home->head); at && steps--; at = get32(&map->record[at].next)) {
		if (!record_at(map, at) || &map->record[at] == record)
			return true;
	}
	return at != 0;
}

/* Numbers lost by processes that were killed before they put the record in a chain. */
static SELDOM uint32_t claim_lost(struct layout *map, uint64_t mine, uint64_t *claim)
{
	for (int tries = 0; tries < SWEEP; tries++) {
		uint32_t number = atomic_fetch_add(&map->header.sweep_record, 1) % RECORDS;
		struct record *record = record_at(map, number);
		uint64_t word = record ? atomic_load(&record->word) : 0;

		if (!record || word_phase(word) == PHASE_LIVE || (word_owner(word) && !process_gone(map, word_owner(word))))
			continue;
		if (!is_linked(map, record) && start_claim(record, word, mine, claim))
			return number;
	}
	return 0;
}

static SELDOM uint32_t claim_new(struct layout *map, uint64_t mine, uint64_t *claim)
{
	while (atomic_load(&map->header.next_record) < RECORDS) {
		uint32_t number = atomic_fetch_add(&map->header.next_record, 1);

		if (number == 0 || number >= RECORDS)
			continue;
		if (!map_need(map, offsetof(struct layout, record) + number * sizeof(struct record)))
			return 0;
		registry_point(POINT_NUMBERED);
		if (start_claim(&map->record[number], 0, mine, claim))
			return number;
	}
	return claim_lost(map, mine, claim);
}

static SELDOM void link_record(struct layout *map, uint32_t bucket, uint32_t number)
{
	struct bucket *home = &map->bucket[bucket];
	struct record *record = &map->record[number];
	uint32_t head = atomic_load(&home->head);

	put32(&record->bucket, bucket + 1);
	do
		put32(&record->next, head);
	while (!atomic_compare_exchange_weak(&home->head, &head, number));
}

uint32_t table_claim(struct layout *map, uint32_t bucket, uint32_t owner, uint32_t options, uint64_t *claim)
{
	uint64_t mine = word_make(0, owner, 0, options, PHASE_CLAIM);
	uint32_t number;

	if ((number = claim_free(map, bucket, mine, claim)) || (number = claim_dead(map, bucket, mine, claim)))
		return number;
	if ((number = claim_new(map, mine, claim))) {
		link_record(map, bucket, number);
		registry_point(POINT_LINKED);
	}
	return number;
}

/* ---- the fields ---- */

static uint32_t kind_of(const struct holder *holder)
{
	return (uint32_t)holder->port << 16 | (uint32_t)holder->domain << 8 | holder->protocol;
}

void table_fill(struct record *record, const struct holder *holder, uint64_t netns, uint32_t pid)
{
	uint32_t address[4];

	memcpy(address, holder->address, sizeof address);
	for (int i = 0; i < 4; i++)
		put32(&record->address[i], address[i]);
	put64(&record->cookie, holder->cookie);
	put64(&record->netns, netns);
	put64(&record->ticket, 0);
	put64(&record->family_after, 0);
	put32(&record->scope, holder->scope);
	put32(&record->ifindex, holder->ifindex);
	put32(&record->uid, holder->uid);
	put32(&record->kind, kind_of(holder));
	put32(&record->fd, (uint32_t)holder->fd);
	put32(&record->pid, pid);
	put32(&record->options, holder->options & ~0xffu);
}

static void read_address(struct record *record, uint8_t bytes[16])
{
	uint32_t address[4];

	for (int i = 0; i < 4; i++)
		address[i] = get32(&record->address[i]);
	memcpy(bytes, address, sizeof address);
}

bool table_holds(struct record *record, const struct holder *holder)
{
	uint8_t address[16];

	read_address(record, address);
	return !memcmp(address, holder->address, sizeof address) && (!holder->cookie || get64(&record->cookie) == holder->cookie) &&
	       get32(&record->scope) == holder->scope && get32(&record->ifindex) == holder->ifindex &&
	       get32(&record->uid) == holder->uid && get32(&record->kind) == kind_of(holder) &&
	       !((get32(&record->options) ^ holder->options) & OPTION_OWN);
}

/* False if the record changed hands meanwhile. */
static bool read_fields(struct record *record, uint32_t number, uint64_t word, struct holder *holder, uint64_t *netns)
{
	uint32_t kind = get32(&record->kind);

	read_address(record, holder->address);
	holder->cookie = get64(&record->cookie);
	holder->order = get64(word_state(word) == STATE_ENDED ? &record->judged : &record->ticket);
	holder->scope = get32(&record->scope);
	holder->ifindex = get32(&record->ifindex);
	holder->uid = get32(&record->uid);
	holder->options = word_options(word) | (get32(&record->options) & ~0xffu);
	holder->port = (uint16_t)(kind >> 16);
	holder->domain = (uint8_t)(kind >> 8);
	holder->protocol = (uint8_t)kind;
	holder->state = word_state(word);
	holder->pid = get32(&record->pid);
	holder->fd = (int32_t)get32(&record->fd);
	holder->reference = reference_make(word, number);
	*netns = get64(&record->netns);
	return word_generation(get64(&record->word)) == word_generation(word);
}

static bool is_doubtful(uint64_t word)
{
	return word & (WORD_DOUBTFUL | WORD_JUDGED) && !holder_is_memory(word_state(word));
}

/* ---- changes of one word ---- */

/* The record, its word and that it is live; NULL if the reference is of the past. */
static struct record *find_live(struct registry *registry, reference reference, uint64_t *word)
{
	struct record *record = registry->map ? record_at(registry->map, reference_record(reference)) : NULL;

	if (!record)
		return NULL;
	*word = atomic_load(&record->word);
	return word_phase(*word) == PHASE_LIVE && word_generation(*word) == reference_generation(reference) ? record : NULL;
}

/* Clears and sets bits of a live record's word.  Only its own few owners compete: a handful of tries is plenty. */
static bool change(struct registry *registry, reference reference, uint64_t clear, uint64_t set)
{
	struct record *record;
	uint64_t word;

	for (int tries = 0; tries < 64 && (record = find_live(registry, reference, &word)); tries++)
		if (atomic_compare_exchange_weak(&record->word, &word, (word & ~clear) | set))
			return true;
	return false;
}

bool registry_update(struct registry *registry, reference reference, enum state state, uint32_t options)
{
	return change(registry, reference, word_make(0, 0, 0xf, 0xff, PHASE_FREE),
	              word_make(0, 0, state, options, PHASE_FREE));
}

bool registry_turn_into(struct registry *registry, reference reference, enum state state)
{
	return change(registry, reference, word_make(0, 0, 0xf, 0, PHASE_FREE), word_make(0, 0, state, 0, PHASE_FREE));
}

void registry_end(struct registry *registry, reference reference, uint64_t when)
{
	uint64_t word;
	struct record *record = find_live(registry, reference, &word);

	if (!record)
		return;
	put64(&record->judged, when);
	registry_turn_into(registry, reference, STATE_ENDED);
}

/* Taken back should the record have changed hands meanwhile: its new holder is asked for in its turn. */
void registry_tell_user(struct registry *registry, reference reference, uint32_t uid)
{
	uint64_t word;
	uint32_t unknown = UID_UNKNOWN;
	struct record *record = find_live(registry, reference, &word);

	if (record && atomic_compare_exchange_strong(&record->uid, &unknown, uid) &&
	    word_generation(atomic_load(&record->word)) != reference_generation(reference))
		atomic_compare_exchange_strong(&record->uid, &uid, UID_UNKNOWN);
}

void registry_tell_cookie(struct registry *registry, reference reference, uint64_t cookie)
{
	uint64_t word, unknown = 0;
	struct record *record = find_live(registry, reference, &word);

	if (record && atomic_compare_exchange_strong(&record->cookie, &unknown, cookie) &&
	    word_generation(atomic_load(&record->word)) != reference_generation(reference))
		atomic_compare_exchange_strong(&record->cookie, &cookie, 0);
}

void registry_let_go(struct registry *registry, reference reference)
{
	change(registry, reference, 0, WORD_DOUBTFUL);
}

void registry_confirm(struct registry *registry, reference reference)
{
	change(registry, reference, WORD_DOUBTFUL | WORD_JUDGED, 0);
}

bool table_free(struct record *record, uint64_t word)
{
	uint64_t seen = atomic_load(&record->word);

	for (int tries = 0; tries < 64 && word_generation(seen) == word_generation(word); tries++)
		if (atomic_compare_exchange_weak(&record->word, &seen, word_make(word_generation(word), 0, 0, 0, PHASE_FREE)))
			return true;
	return false;
}

void table_fold(struct bucket *bucket, uint32_t number, struct record *record)
{
	uint64_t word = atomic_load(&record->word), after = atomic_load(&record->family_after);
	uint64_t family = atomic_load(&bucket->family);

	if (!after || word_phase(word) == PHASE_FREE || atomic_load(&record->word) != word)
		return;
	if (family_record(after) && family_record(after) != number && family_record(after) != family_record(family))
		return;
	if (((family_sequence(family) + 1) & 0xfffffff) == family_sequence(after))
		atomic_compare_exchange_strong(&bucket->family, &family, after);
}

/* The owner of a claim that was taken over may be alive and about to call the kernel. */
static bool may_still_bind(struct registry *registry, struct record *record, uint64_t word)
{
	return word & WORD_JUDGED && !process_gone(registry->map, word_owner(word)) &&
	       process_now() - atomic_load(&record->judged) < 1000;
}

bool registry_remove(struct registry *registry, reference reference)
{
	struct record *record = registry->map ? record_at(registry->map, reference_record(reference)) : NULL;
	uint64_t word = record ? atomic_load(&record->word) : 0;
	struct bucket *bucket;

	if (!record || word_phase(word) == PHASE_FREE || word_generation(word) != reference_generation(reference))
		return true;
	if (word_phase(word) != PHASE_LIVE || may_still_bind(registry, record, word))
		return false;
	bucket = bucket_at(registry->map, get32(&record->bucket) - 1);
	if (bucket)
		table_fold(bucket, reference_record(reference), record);
	return table_free(record, word);
}

bool registry_owner_alive(struct registry *registry, reference reference)
{
	uint64_t word;
	struct record *record = find_live(registry, reference, &word);

	return record && !process_gone(registry->map, word_owner(word));
}

/* ---- looking ---- */

void registry_first(struct registry *registry, uint32_t bucket, uint32_t skip_record, struct cursor *cursor)
{
	struct bucket *home = bucket_at(registry->map, bucket);

	*cursor = (struct cursor){ .bucket = bucket, .skip = skip_record };
	if (!home)
		return;
	cursor->record = get32(&home->head);
	cursor->steps = count_records(registry->map);
}

/* Live records are holders, and so are the claims that the caller, a signal handler, interrupted. */
static bool is_holder(struct registry *registry, uint32_t bucket, uint32_t number, uint64_t word)
{
	return word_phase(word) == PHASE_LIVE ||
	       (word_phase(word) == PHASE_CLAIM &&
	        turn_interrupted(bucket, atomic_load(&registry->map->bucket[bucket].turn), number));
}

/* Tries again while the record changes hands. */
static bool show(struct registry *registry, uint32_t bucket, uint32_t number, struct holder *holder, uint64_t *seen)
{
	struct record *record = &registry->map->record[number];

	for (int tries = 0; tries < 3; tries++) {
		uint64_t word = get64(&record->word), netns;

		if (!is_holder(registry, bucket, number, word))
			return false;
		*seen = word;
		if (read_fields(record, number, word, holder, &netns))
			return netns == netns_of(registry);
	}
	return false;
}

bool registry_next(struct registry *registry, struct cursor *cursor, struct holder *holder, bool *doubtful)
{
	struct record *record;
	uint64_t word;

	while (registry->map && cursor->steps && (record = in_chain(registry->map, cursor->bucket, cursor->record))) {
		uint32_t number = cursor->record;

		cursor->steps--;
		cursor->record = get32(&record->next);
		if (number != cursor->skip && show(registry, cursor->bucket, number, holder, &word)) {
			*doubtful = is_doubtful(word);
			return true;
		}
	}
	cursor->record = 0;
	return false;
}

bool registry_get(struct registry *registry, reference reference, struct holder *holder)
{
	uint64_t word, netns;
	struct record *record = find_live(registry, reference, &word);

	return record && read_fields(record, reference_record(reference), word, holder, &netns);
}

/* A socket is bound without its cookie only where it has the bucket for itself; connect() asks for it.  So what is at its
 * place and no connection is that one; what a listener accepted may have lost its connection. */
bool registry_is(const struct holder *record, const struct holder *socket)
{
	bool bound = record->state == STATE_BOUND && socket->state == STATE_BOUND;
	bool listens = (record->state == STATE_BOUND || record->state == STATE_LISTENING) && socket->state == STATE_LISTENING;

	if (record->cookie || holder_is_memory(record->state))
		return record->cookie == socket->cookie && !holder_is_memory(record->state);
	return (bound || listens) && record->domain == socket->domain && record->protocol == socket->protocol &&
	       record->port == socket->port && !memcmp(record->address, socket->address, sizeof record->address);
}

reference registry_find(struct registry *registry, uint32_t bucket, const struct holder *socket, struct holder *holder)
{
	struct holder unnamed = { .reference = 0 };
	struct cursor cursor;
	bool doubtful, unsure = false;

	registry_first(registry, bucket, 0, &cursor);
	while (registry_next(registry, &cursor, holder, &doubtful)) {
		if (!registry_is(holder, socket))
			continue;
		if (holder->cookie)
			return holder->reference;
		unnamed = *holder;
		unsure = doubtful || !registry_owner_alive(registry, holder->reference);
	}
	if (!unnamed.reference)
		return 0;
	*holder = unnamed;
	holder->cookie = socket->cookie;
	if (!unsure) /* else another may have come to its place since */
		registry_tell_cookie(registry, holder->reference, socket->cookie);
	return holder->reference;
}

void registry_memory(struct registry *registry, uint32_t bucket, struct memory *memory, struct holder *source)
{
	struct bucket *home = bucket_at(registry->map, bucket);
	uint64_t family, netns, word;
	struct record *record;

	*memory = (struct memory){ 0 };
	if (!home)
		return;
	family = atomic_load(&home->family);
	if (!family_record(family) || !(record = in_chain(registry->map, bucket, family_record(family))))
		return;
	word = get64(&record->word);
	if (!read_fields(record, family_record(family), word, source, &netns) || netns != netns_of(registry))
		return;
	source->state = STATE_BOUND;
	source->options = family_options(family);
	memory->flags = family_flags(family);
	memory->source = source;
}

/* Of the others' records only those that are no holders. */
static bool is_none(uint64_t word)
{
	return word_phase(word) == PHASE_FREE || (word_phase(word) == PHASE_LIVE && word_state(word) == STATE_DEAD);
}

bool registry_alone(struct registry *registry, reference reference, uint32_t *remembered)
{
	uint32_t number, own = reference_record(reference), steps;
	uint64_t word;
	struct record *record = find_live(registry, reference, &word);
	struct bucket *home = record ? bucket_at(registry->map, get32(&record->bucket) - 1) : NULL;

	if (!home || word_state(word) != STATE_BOUND)
		return false;
	*remembered = family_flags(atomic_load(&home->family));
	steps = count_records(registry->map);
	for (number = get32(&home->head); number; number = get32(&record->next)) {
		if (!steps-- || !(record = record_at(registry->map, number)))
			return false;
		if (number != own && !is_none(get64(&record->word)))
			return false;
	}
	return true;
}

static bool same_address(const struct holder *a, const struct holder *b)
{
	return !memcmp(a->address, b->address, sizeof a->address) && a->scope == b->scope && a->domain == b->domain &&
	       a->protocol == b->protocol && a->port == b->port;
}

/* The record of what is no socket: such a one is there once.  A remnant's time is brought up to date. */
static bool is_kept(struct registry *registry, uint32_t bucket, const struct holder *kept)
{
	struct cursor cursor;
	struct holder holder;
	bool doubtful;

	registry_first(registry, bucket, 0, &cursor);
	while (registry_next(registry, &cursor, &holder, &doubtful)) {
		if (holder.state != kept->state || !same_address(&holder, kept))
			continue;
		if (kept->state == STATE_ANCHOR)
			return true;
		if (holder.options != kept->options)
			continue;
		if (holder.cookie < kept->cookie)
			put64(&registry->map->record[reference_record(holder.reference)].cookie, kept->cookie);
		return true;
	}
	return false;
}

reference registry_keep(struct registry *registry, uint32_t bucket, const struct holder *kept)
{
	struct layout *map = registry->map;
	uint32_t owner, pid, number;
	uint64_t claim, word;

	if (!map || bucket >= BUCKETS || !map_need(map, offsetof(struct layout, bucket) + bucket * sizeof(struct bucket)))
		return 0;
	if (holder_is_memory(kept->state) && is_kept(registry, bucket, kept))
		return 0;
	if (!(owner = process_self(map, &pid)) || !(number = table_claim(map, bucket, owner, kept->options, &claim)))
		return 0;
	table_fill(&map->record[number], kept, netns_of(registry), pid);
	put64(&map->record[number].ticket, atomic_fetch_add(&map->bucket[bucket].ticket, 1) + 1);
	word = word_make(word_generation(claim), owner, kept->state, kept->options, PHASE_LIVE);
	return atomic_compare_exchange_strong(&map->record[number].word, &claim, word) ? reference_make(word, number) : 0;
}

void registry_anchor(struct registry *registry, uint32_t bucket, const struct holder *claim)
{
	struct holder anchor = *claim;

	anchor.state = STATE_ANCHOR;
	registry_keep(registry, bucket, &anchor);
}

bool registry_expire(struct registry *registry, uint32_t bucket)
{
	struct layout *map = registry->map;
	uint64_t now = process_now(), last;

	if (bucket == EVERY_BUCKET) {
		atomic_store(&map->header.expired, now);
		return true;
	}
	if (!map_need(map, offsetof(struct layout, bucket) + bucket * sizeof(struct bucket)))
		return false;
	while ((last = atomic_load(&map->header.expired_port)) < now)
		atomic_compare_exchange_strong(&map->header.expired_port, &last, now);
	atomic_store(&map->bucket[bucket].expired, (uint32_t)now ? (uint32_t)now : 1);
	return true;
}

uint64_t registry_expired(struct registry *registry, uint32_t bucket)
{
	uint64_t all = registry->map ? atomic_load(&registry->map->header.expired) : 0;
	uint64_t last = registry->map ? atomic_load(&registry->map->header.expired_port) : 0, port = 0;
	struct bucket *home = last ? bucket_at(registry->map, bucket) : NULL;
	uint32_t low = home ? atomic_load(&home->expired) : 0;

	if (low)
		port = last - (uint32_t)((uint32_t)last - low);
	return all > port ? all : port;
}

void registry_set_time_wait(struct registry *registry, struct time_wait wait)
{
	atomic_store(&registry->map->header.time_wait, ((uint64_t)wait.fixed << 32 | wait.scale) + 1);
}

bool registry_time_wait(struct registry *registry, struct time_wait *wait)
{
	uint64_t word = registry->map ? atomic_load(&registry->map->header.time_wait) : 0;

	*wait = word ? (struct time_wait){ (uint32_t)((word - 1) >> 32), (uint32_t)(word - 1) } : TIME_WAIT_NATURAL;
	return word != 0;
}

bool registry_scan(struct registry *registry, struct scan *scan, struct holder *holder, bool *doubtful, uint64_t *netns)
{
	uint32_t end = registry->map ? count_records(registry->map) : 0;

	while (++scan->record < end) {
		struct record *record = record_at(registry->map, scan->record);
		uint64_t word = record ? get64(&record->word) : 0;

		if (word_phase(word) != PHASE_LIVE || !read_fields(record, scan->record, word, holder, netns))
			continue;
		*doubtful = is_doubtful(word);
		return true;
	}
	return false;
}

void registry_usage(struct registry *registry, struct registry_usage *usage)
{
	uint32_t end = registry->map ? count_records(registry->map) : 0, processes;

	*usage = (struct registry_usage){ .records_total = RECORDS - 1 };
	if (!end)
		return;
	usage->records_used = end - 1;
	for (uint32_t number = 1; number < end; number++) {
		struct record *record = record_at(registry->map, number);

		usage->records_live += record && word_phase(get64(&record->word)) == PHASE_LIVE;
	}
	processes = atomic_load(&registry->map->header.next_process);
	usage->processes = processes - 1 < PROCESSES - 1 ? processes - 1 : PROCESSES - 1;
}

/* SPDX-License-Identifier: MIT */
/*
 * The shared-memory table of bound sockets: which claims stand, in all processes of a session.
 *
 * Protocol: claims with a turn, no mutex.  A bind writes its own record first, takes the bucket's
 * turn with one compare-and-swap, judges and calls the kernel while it has the turn, commits with
 * one compare-and-swap on its own record and gives the turn back.  Death at any instruction leaves
 * at worst a claim that the next comer turns into a *doubtful* holder.  doc/INTERNALS has the proof
 * sketch.  Nothing here allocates, blocks signals or waits without a bound; errno is preserved.
 */
#ifndef FAKEBIND_REGISTRY_H
#define FAKEBIND_REGISTRY_H

#include "../rules/rules.h"

/* A record's number and its generation: a reference to a record that was recycled since is noticed.
 * 0 refers to nothing. */
typedef uint64_t reference;

struct registry {
	struct layout *map; /* NULL: not open */
	uint64_t netns;     /* of this process's sockets, or as registry_about() says */
};

enum registry_error {
	REGISTRY_OK,
	REGISTRY_SYSTEM,  /* errno tells */
	REGISTRY_FOREIGN, /* wrong magic, version, size, type or link count: not ours */
	REGISTRY_OWNER,   /* belongs to another user, or others may write it */
	REGISTRY_PROFILE, /* made for another system under test */
	REGISTRY_FULL     /* no room to create it (ENOSPC, ENOMEM) */
};

/* Maps the file, creating it (0600, O_NOFOLLOW) if it is not there.  system: name of the profile, at most
 * 63 bytes; a registry serves one; NULL: whichever it is, and it must be there.  Keeps no descriptor.  Async-signal-safe. */
enum registry_error registry_open(struct registry *, const char *path, const char *system, uint64_t netns);
/* A copy of a file that is there, as it is now, for looking only; system gets whose it is. */
#define REGISTRY_SYSTEM_MAX 64
enum registry_error registry_read(struct registry *, const char *path, uint64_t netns, char system[REGISTRY_SYSTEM_MAX]);
#define REGISTRY_FILE_SIZE 0x2484000 /* of this version */
void registry_close(struct registry *);
/* From now on this thread's calls are about a socket of that network namespace; 0: of registry.netns.  Holders of other
 * namespaces are never shown. */
void registry_about(uint64_t netns);
/* Right after the call: REGISTRY_SYSTEM is what errno says. */
const char *registry_error_text(enum registry_error);

/* ---- deciding ---- */

enum turn_state {
	TURN_NONE,   /* no registry, table full, or nobody gave way for 1 s: go on without */
	TURN_TAKEN,  /* nobody else decides over this bucket until commit or abandon */
	TURN_NESTED  /* this thread's own interrupted claim has the turn: go on, that claim is shown as a holder */
};

struct turn {
	enum turn_state state;
	uint32_t bucket, record;
	uint64_t claim; /* the record's word while it is a claim (or as it was, for an own live record) */
	uint64_t word;  /* the bucket's turn word */
	bool live;      /* taken for a record that is live already */
	uint32_t level; /* among the interrupted claims of this thread */
};

/* Writes a claim into `bucket` and waits for its turn. */
void registry_claim(struct registry *, uint32_t bucket, const struct holder *claim, struct turn *);
/* The same for a record that exists: a listen() or option change that must be judged. */
void registry_retake(struct registry *, reference, struct turn *);
/* The claim stands: `as` gives state, options, address, port and uid as they are now (bucket must not
 * change).  Returns its reference, 0 if the registry could not keep it. */
reference registry_commit(struct registry *, struct turn *, const struct holder *as, enum memory_change, uint32_t memory_flags);
/* The same of a retaken record of which only the state changes. */
reference registry_commit_state(struct registry *, struct turn *, enum state, enum memory_change, uint32_t memory_flags);
/* Ask just before the kernel call: false if others lost patience with this claim, or a claim of a signal handler
 * was granted in between.  Then abandon and claim anew. */
bool registry_turn_stands(struct registry *, const struct turn *);
/* The claim is refused, or the kernel refused it.  A retaken record stays as it was. */
void registry_abandon(struct registry *, struct turn *);

/* ---- holders ---- */

struct cursor {
	uint32_t bucket, record; /* 0: at the end */
	uint32_t steps;          /* left: bounds a damaged chain */
	uint32_t skip;           /* a record never shown: the caller's own */
};

/* All holders of a bucket but the turn's own record.  Order is not significant (holder.order is). */
void registry_first(struct registry *, uint32_t bucket, uint32_t skip_record, struct cursor *);
/* holder->reference names it; *doubtful: this holder's process let go of it or is dead (liveness is only
 * looked at by registry_owner_alive()). */
bool registry_next(struct registry *, struct cursor *, struct holder *, bool *doubtful);
/* False if there is no such record any more. */
bool registry_get(struct registry *, reference, struct holder *);
/* The live record of a socket that the kernel has, or 0.  Of one whose cookie nobody has asked, its place tells; it has
 * it from then on. */
reference registry_find(struct registry *, uint32_t bucket, const struct holder *socket, struct holder *);
bool registry_is(const struct holder *record, const struct holder *socket);
/* What the bucket remembers; *source is filled in and pointed to if the memory has one.  Its state is always
 * STATE_BOUND, its options are those of its commit. */
void registry_memory(struct registry *, uint32_t bucket, struct memory *, struct holder *source);
/* Is this a bound socket with its bucket for itself, in all network namespaces?  Then also what that remembers: flags. */
bool registry_alone(struct registry *, reference, uint32_t *remembered);
/* The port was found to have no owner at all: what it remembers is void.  Only with the turn. */
void registry_forget(struct registry *, struct turn *);

/* Changes of state and options of a live holder, one compare-and-swap.  False: no such record. */
bool registry_update(struct registry *, reference, enum state, uint32_t options);
/* The same of the state alone. */
bool registry_turn_into(struct registry *, reference, enum state);
/* A connection that is STATE_ENDED from now on; holder->order is `when` (monotonic ms) then. */
void registry_end(struct registry *, reference, uint64_t when);
/* Whose a holder is that was committed with UID_UNKNOWN. */
void registry_tell_user(struct registry *, reference, uint32_t uid);
/* The same of the cookie of one that was committed without (0). */
void registry_tell_cookie(struct registry *, reference, uint64_t cookie);
/* This process closed a descriptor of it: doubtful from now on. */
void registry_let_go(struct registry *, reference);
/* It was found alive after all, e.g. by its owner. */
void registry_confirm(struct registry *, reference);
/* The kernel does not know its cookie.  False: it stays, and counts: a claim still being decided, or one that was
 * taken over less than 1 s ago from a living process, whose bind may come yet. */
bool registry_remove(struct registry *, reference);
/* Is the program that bound it alive?  False only with proof that it ended or was replaced by execve(). */
bool registry_owner_alive(struct registry *, reference);
/* An address that stays taken until the registry is reset (STATE_ANCHOR); kept once per address. */
void registry_anchor(struct registry *, uint32_t bucket, const struct holder *);
/* What a connection left behind that ended at holder->cookie (STATE_TIME_WAIT): for addresses and options that
 * are the same only the last is kept (then 0 is returned).  Or a connection that is open (STATE_CONNECTED). */
reference registry_keep(struct registry *, uint32_t bucket, const struct holder *);

/* ---- remnants ---- */

#define EVERY_BUCKET UINT32_MAX
/* All that ended before now is over, on one port or on every one.  False: no room. */
bool registry_expire(struct registry *, uint32_t bucket);
/* When a port's remnants were last declared over; 0: never. */
uint64_t registry_expired(struct registry *, uint32_t bucket);
/* How long they last for the program that said so last; false: nobody has. */
void registry_set_time_wait(struct registry *, struct time_wait);
bool registry_time_wait(struct registry *, struct time_wait *);
/* The clock of these times: monotonic, ms. */
uint64_t process_now(void);

/* ---- processes ---- */

/* A process is registered by its first claim (again after fork; a vfork child goes by its parent's name), so
 * readers leave no trace.  Is any but the caller alive?  Also true if that cannot be known. */
bool registry_any_process_alive(struct registry *);

/* ---- reading everything, lock-free (fakebind ls, tests) ---- */

struct scan { uint32_t record; };
bool registry_scan(struct registry *, struct scan *, struct holder *, bool *doubtful, uint64_t *netns);
struct registry_usage { uint32_t records_used, records_live, records_total, processes; };
void registry_usage(struct registry *, struct registry_usage *);

#endif

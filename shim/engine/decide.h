/* SPDX-License-Identifier: MIT */
/* From a claim to a verdict: the rules over the registry's holders, with the kernel's word on anyone
 * who would be blamed.  A refusal is never given on the registry's word alone. */
#ifndef FAKEBIND_DECIDE_H
#define FAKEBIND_DECIDE_H

#include "../rules/rules.h"
#include "../seldom.h"
#include "session.h"
#include "sockets.h"

struct decision {
	enum call call;
	int fd;
	struct slot *slot;
	struct holder claim;
	uint32_t caller; /* of a bind to a reserved port: effective user; else 0 */
	uint32_t bucket;
	reference closed; /* a holder passed over, for this process closed it: the host knows whether others have it */
	bool closed_listener;
	bool met;     /* somebody has a record in the bucket */
	unsigned doubtful; /* how many of them are */
	bool apart;   /* stricter profiles: somebody's record is not covered by the claim, so what he left may not overlap it */
	bool decided; /* from the arguments alone */
	bool host_refused;
	bool unseen;  /* refused for somebody whom only the kernel knows */
	bool probe;   /* refused only if a doubtful holder is still there: a plain bind tells */
	bool unknown; /* the kernel does not tell whether a holder is still there */
	bool plain;   /* the host bound it with no option set: nobody overlaps */
	bool outside; /* refused by the host for somebody the registry does not know */
	bool strange; /* the holder's options are not known */
	struct turn turn;
	struct verdict verdict;
};

/* All but what is void until it is filled in: this is done for every bind. */
static inline void decision_begin(struct decision *d, enum call call, int fd)
{
	d->call = call;
	d->fd = fd;
	d->slot = NULL;
	d->claim = (struct holder){ 0 };
	d->closed = 0;
	d->bucket = d->doubtful = d->caller = 0;
	d->met = d->apart = d->decided = d->host_refused = d->unseen = d->probe = d->unknown = d->plain = d->outside = d->strange = false;
	d->turn.state = TURN_NONE;
	verdict_begin(&d->verdict);
}

/* Judges d->claim over the bucket, the turn being held (or given up); fills d->verdict.  Holders proven
 * gone are removed on the way. */
void decide(struct decision *d);

/* The same for a bind that can be tried: where only doubtful holders on the claim's own place stand against it,
 * the kernel is not asked for them.  Sets d->probe, and the verdict as if they were gone. */
void decide_bind(struct decision *d);

/* The host refused what the rules allowed.  Finds out who it was, as far as somebody wants to know. */
SELDOM void decide_host_refused(struct decision *d, int error);

/* The holder is gone.  A listener may have left sockets that have its options, and nothing else tells those of a permissive
 * host: of that one a record stays.  False: it was gone already. */
bool decide_forget(const struct holder *);

/* Does this process have that very socket open, by the descriptor it was bound with? */
SELDOM bool decide_is_own(const struct holder *);

/* The host allowed it: forget the records that this proves gone. */
void decide_sweep(struct decision *d);

/* Holders whose own options the host would not let overlap: those of this process are made permissive for the
 * moment, and then as they were.  errno is kept. */
SELDOM void decide_lend(const struct decision *d, bool permissive);

/* Says what was decided, if the user asked for it.  error: what the program sees. */
SELDOM void decide_say(struct decision *d, int error);
static inline void decide_explain(struct decision *d, int error)
{
	if (session.explain != EXPLAIN_NOTHING || session.log)
		decide_say(d, error);
}

#endif

/* SPDX-License-Identifier: MIT */
/* What a port remembers (struct memory) ends with its last owner, and nothing tells us when that was.  So a bind
 * that may have met an empty port or not leaves a memory in doubt, and the kernel is asked only when the two
 * would differ for somebody. */
#ifndef FAKEBIND_MEMORY_H
#define FAKEBIND_MEMORY_H

#include "decide.h"

#define MEMORY_DOUBTFUL 0x80u /* of the flags in the registry: the source may have met an empty port */

struct recollection {
	struct memory memory; /* if the source met others */
	struct holder source;
	bool doubtful;
	struct memory alone; /* if it met nobody; meant only if doubtful */
};

/* What the claim's port remembers. */
void memory_recall(const struct decision *, struct recollection *);

/* Do both verdicts come to the same, for this claim and for those after it? */
bool memory_same(const struct decision *, const struct verdict *, const struct memory *, const struct verdict *other,
		 const struct memory *others);

/* Did the source of a doubtful memory meet somebody?  The kernel is asked who is older than it. */
SELDOM bool memory_met_others(struct decision *, const struct recollection *);

/* The verdict is d->verdict if the port had an owner till now, and nobody is known who is.  True: it had none for
 * certain, and the memory is gone: judge again.  False: it makes no odds, or it stays in doubt. */
bool memory_is_void(struct decision *, const struct recollection *);

#endif

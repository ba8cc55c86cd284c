/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "decide.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "../explain/explain.h"
#include "../host/ask.h"
#include "../host/diag.h"
#include "../host/permit.h"
#include "../host/raw.h"
#include "claim.h"
#include "log.h"
#include "memory.h"
#include "session.h"
#include "unseen.h"

static const struct rule rule_host = {
	"host/refused", "the host refuses it", NULL, FOR_PEOPLE("the running kernel's own answer"),
};
static const struct rule rule_outside = {
	"host/held-outside", "that socket is not known to fakebind, and the host does not share it",
	"the other program also ran under fakebind, or let go of the port", FOR_PEOPLE("the running kernel's own answer"),
};
static const struct rule rule_disagree = {
	"host/disagree", "the host refuses what the rules allow", NULL, FOR_PEOPLE("the running kernel's own answer"),
};

/* ---- is the holder still there, and what is it now? ---- */

enum finding { FOUND_GONE, FOUND_THERE, FOUND_UNKNOWN };

/* The kernel's facts replace the registry's; who bound it and how stays. */
static void correct(struct holder *known, const struct holder *fact)
{
	if (!(session.asks & ASKS_BOUND(known->protocol)))
		memcpy(known->address, fact->address, sizeof known->address);
	known->state = fact->state;
	known->ifindex = fact->ifindex;
}

bool decide_is_own(const struct holder *holder)
{
	if (holder->fd < 0 || holder->pid != own_pid())
		return false;
	if (holder->cookie)
		return ask_cookie(holder->fd) == holder->cookie;
	struct slot *slot = slot_of(holder->fd);
	return slot_used(slot) && slot->record == holder->reference && slot_cookie(holder->fd, slot);
}

/* Through our own descriptor, if it is still the same socket: exact and cheap. */
static bool look_at_own(struct holder *holder)
{
	if (!decide_is_own(holder))
		return false;
	if (holder->protocol == PROTOCOL_TCP)
		holder->state = ask_state(holder->fd);
	if (session.mirror && !session.beyond_host) { /* there an option stays on when it is turned off */
		holder->options &= ~(OPTION_REUSEADDR | OPTION_REUSEPORT);
		holder->options |= permit_options(holder->fd);
	}
	struct holder name = *holder;
	return ask_name(holder->fd, &name) == 0 && name.port == holder->port && (correct(holder, &name), true);
}

struct search {
	const struct holder *holder;
	bool found;
	uint32_t inode;
	struct holder fact, peer;
};

static bool match(void *context, const struct diag_socket *socket)
{
	struct search *search = context;
	struct holder record;
	if (search->holder->cookie ? socket->holder.cookie != search->holder->cookie :
	    !registry_find(&session.registry, claim_bucket(socket->holder.protocol, socket->holder.port), &socket->holder, &record) ||
	    record.reference != search->holder->reference)
		return true;
	search->found = true;
	search->inode = socket->inode;
	search->fact = socket->holder;
	search->peer = socket->peer;
	search->fact.state = unseen_remains(socket);
	return false;
}

/* Its descriptor is open, and its connection in TIME_WAIT: two sockets of the host, but one of the system. */
static SELDOM bool waits(const struct holder *holder)
{
	struct search search = { .holder = holder };
	diag_dump(holder->protocol, holder->port, DIAG_ALL, match, &search);
	return search.found && unseen_twin(holder, &search.peer);
}

static SELDOM enum finding look(struct holder *holder)
{
	struct search search = { .holder = holder };
	if (holder->state == STATE_CONNECTED && decide_is_own(holder) &&
	    claim_over(CALL_CLOSE, holder->fd, holder) & (VERDICT_KILLS | VERDICT_UNBINDS))
		return waits(holder) ? FOUND_THERE : FOUND_GONE; /* the host keeps the port as long as somebody has it open */
	if (look_at_own(holder))
		return FOUND_THERE;
	if (holder->state == STATE_LISTENING)
		diag_dump(holder->protocol, holder->port, DIAG_LISTENING, match, &search);
	if (!search.found && diag_dump(holder->protocol, holder->port, DIAG_ALL, match, &search) < 0)
		return FOUND_UNKNOWN;
	if (search.found && search.fact.state == STATE_UNBOUND)
		return FOUND_GONE;
	if (search.found) {
		holder->cookie = search.fact.cookie;
		correct(holder, &search.fact);
		return FOUND_THERE;
	}
	/* An older kernel does not list what is only bound. */
	return holder->state == STATE_LISTENING || holder->protocol == PROTOCOL_UDP || diag_complete() ? FOUND_GONE : FOUND_UNKNOWN;
}

/* Whose it is was not asked when it was bound, for it met nobody. */
static SELDOM void learn_user(const struct decision *d, struct holder *holder)
{
	struct search search = { .holder = holder };
	if (decide_is_own(holder))
		holder->uid = ask_uid(holder->fd);
	else if (diag_dump(holder->protocol, holder->port, DIAG_ALL, match, &search) >= 0 && search.found)
		holder->uid = search.fact.uid;
	else
		holder->uid = d->claim.uid;
	registry_tell_user(&session.registry, holder->reference, holder->uid);
}

/* ---- judging ---- */

/* What was found out about blamed holders during one decision. */
#define FACTS 16
struct facts {
	unsigned gone, count;
	struct holder of[FACTS]; /* by reference */
};

static const struct holder *fact_of(const struct facts *facts, const struct holder *holder)
{
	for (unsigned i = 0; i < facts->count; i++)
		if (facts->of[i].reference == holder->reference)
			return &facts->of[i];
	return NULL;
}

/* What one walk over the bucket came by, beside the verdict. */
struct walk {
	struct recollection recollection;
	bool sure; /* there is a holder that nobody let go of */
	bool probe; /* d->probe passed somebody over */
};

/* Is whatever the holder may have left behind, its children included, at an address that the claim has too? */
static bool covers(const struct holder *claim, const struct holder *holder)
{
	if (claim->domain != holder->domain || claim->options & ~holder->options & OPTION_V6ONLY)
		return false;
	return address_is_any(claim) || !memcmp(claim->address, holder->address, sizeof claim->address);
}

/* Would a plain bind of the claim fail if this holder were there?  A profile that is stricter than the host also
 * minds what does not overlap. */
static bool is_proven_gone(const struct decision *d, const struct holder *holder)
{
	return !holder_is_memory(holder->state) && holder->protocol == d->claim.protocol && holder->port == d->claim.port &&
	       claim_overlaps_on_host(&d->claim, *holder) && (!session.stricter || covers(&d->claim, holder));
}

/* A mirrored host is not asked about what this very process closed: if a child still has it, the host refuses.
 * Our descriptor tells, and its number may be the claim's own by now. */
static bool closed_by_us(const struct decision *d, const struct holder *holder)
{
	if (d->closed == holder->reference && !d->host_refused)
		return true;
	if (!session.mirror || d->host_refused || holder->pid != own_pid() || holder->options & OPTION_SHARED || holder->fd < 0)
		return false;
	if (holder->cookie == 0) { /* alone when it was bound: of a number that is used again the slot is another's */
		const struct slot *slot = slot_of(holder->fd);
		return slot && (!slot->flags || slot->record != holder->reference);
	}
	return holder->fd == d->fd ? holder->cookie != d->claim.cookie : ask_cookie(holder->fd) != holder->cookie;
}

/* A mirrored host's children have their options themselves. */
static bool keeps_listeners(void)
{
	return !session.mirror || session.beyond_host;
}

static bool forget(reference gone, bool listener)
{
	if (keeps_listeners() && listener)
		return registry_turn_into(&session.registry, gone, STATE_DEAD);
	return registry_remove(&session.registry, gone);
}

bool decide_forget(const struct holder *gone)
{
	return forget(gone->reference, holder_listened(gone));
}

/* One is kept until the host has allowed the claim: if it refuses, that one is to be named. */
static void forget_closed(const struct decision *d)
{
	forget(d->closed, d->closed_listener);
}

/* By what the port remembers, and (by[1]) by what it would if that is in doubt. */
static void judge_holders(struct decision *d, const struct facts *facts, struct walk *walk, struct judgement by[2])
{
	struct holder holder;
	struct cursor cursor;
	bool doubtful;
	walk->sure = walk->probe = d->met = d->apart = false;
	d->doubtful = 0;
	registry_first(&session.registry, d->bucket, d->turn.record, &cursor);
	while (registry_next(&session.registry, &cursor, &holder, &doubtful)) {
		const struct holder *fact = fact_of(facts, &holder);
		d->apart |= session.stricter && !covers(&d->claim, &holder);
		if (doubtful && closed_by_us(d, &holder)) {
			if (d->closed && d->closed != holder.reference)
				forget_closed(d);
			d->closed = holder.reference;
			d->closed_listener = holder_listened(&holder);
			continue;
		}
		d->met = true;
		d->doubtful += doubtful;
		/* Remembered for its children only: forget().  Or what this socket was bound to before. */
		if (holder.state == STATE_DEAD || holder.reference == d->slot->record)
			continue;
		if (holder.state == STATE_ENDED || (holder.state == STATE_TIME_WAIT && !unseen_stands(&holder)))
			continue;
		walk->sure |= fact || !doubtful;
		if (d->probe && doubtful && !fact && is_proven_gone(d, &holder)) {
			walk->probe = true;
			continue;
		}
		claim_meets(d);
		if (holder.uid == UID_UNKNOWN)
			learn_user(d, &holder);
		for (int i = 0; i <= walk->recollection.doubtful; i++) {
			by[i].claim.uid = d->claim.uid;
			judge_holder(&by[i], fact ? fact : &holder);
		}
	}
}

static void judge_bucket(struct decision *d, const struct facts *facts, struct walk *walk)
{
	struct recollection *r = &walk->recollection;
	struct judgement by[2];
	struct verdict other;
	memory_recall(d, r);
	judge_begin(&by[0], session.profile, d->call, &d->claim, &r->memory);
	if (r->doubtful)
		judge_begin(&by[1], session.profile, d->call, &d->claim, &r->alone);
	by[0].caller = by[1].caller = d->caller;
	judge_holders(d, facts, walk, by);
	judge_end(&by[0], &d->verdict);
	if (!r->doubtful)
		return;
	judge_end(&by[1], &other);
	if (memory_same(d, &d->verdict, &r->memory, &other, &r->alone) || memory_met_others(d, r))
		return;
	d->verdict = other;
	r->memory = r->alone;
}

static bool forgot(struct decision *d, const struct walk *walk)
{
	return !walk->sure && memory_is_void(d, &walk->recollection);
}

#define TOLERATED 16 /* doubtful records of a bucket before the kernel is asked about all of them */
#define GONE 4       /* holders found gone in one decision before all are asked for at once */

static bool confirm(void *bucket, const struct diag_socket *socket)
{
	struct holder record;
	reference known = registry_find(&session.registry, *(uint32_t *)bucket, &socket->holder, &record);
	if (known)
		registry_confirm(&session.registry, known);
	return true;
}

static bool has_the_port(const struct decision *d, const struct holder *holder)
{
	return !holder_is_memory(holder->state) && holder->protocol == d->claim.protocol && holder->port == d->claim.port;
}

static SELDOM void doubt_all(struct decision *d)
{
	struct holder holder;
	struct cursor cursor;
	bool doubtful;
	registry_first(&session.registry, d->bucket, d->turn.record, &cursor);
	while (registry_next(&session.registry, &cursor, &holder, &doubtful))
		if (has_the_port(d, &holder))
			registry_let_go(&session.registry, holder.reference);
}

/* Removes what nobody has open any more: all that is doubtful still after the kernel named those it has. */
static SELDOM void reap(struct decision *d)
{
	struct holder holder;
	struct cursor cursor;
	bool doubtful;
	if (d->claim.protocol == PROTOCOL_TCP && !diag_complete())
		return;
	if (diag_dump(d->claim.protocol, d->claim.port, DIAG_ALL, confirm, &d->bucket) < 0)
		return;
	registry_first(&session.registry, d->bucket, d->turn.record, &cursor);
	while (registry_next(&session.registry, &cursor, &holder, &doubtful))
		if (doubtful && has_the_port(d, &holder))
			registry_remove(&session.registry, holder.reference);
}

/* Known by its place alone, and not held by its owner for certain: who is there now may have come by another way, with
 * other options.  The host has those. */
static SELDOM bool may_be_another(const struct decision *d, const struct holder *holder)
{
	if (!session.as_host || d->closed || d->host_refused || holder->cookie || decide_is_own(holder))
		return false;
	if (!registry_owner_alive(&session.registry, holder->reference))
		registry_let_go(&session.registry, holder->reference);
	else if (!d->doubtful)
		return false;
	return true;
}

/* Looks for the holder that would be blamed.  True: something is new, judge again. */
static bool look_at_blamed(struct decision *d, struct facts *facts)
{
	const struct verdict *verdict = &d->verdict;
	if (verdict->error == 0 || !verdict->blamed || holder_is_memory(verdict->holder.state))
		return false;
	if (fact_of(facts, &verdict->holder) || facts->count == FACTS)
		return false;
	struct holder holder = verdict->holder;
	if (may_be_another(d, &holder)) {
		d->closed = holder.reference;
		d->closed_listener = holder_listened(&holder);
		return true;
	}
	switch (look(&holder)) {
	case FOUND_GONE:
		if (!decide_forget(&holder))
			return false;
		if (++facts->gone == GONE) {
			doubt_all(d);
			reap(d);
		}
		return facts->gone <= 2 * GONE;
	case FOUND_THERE:
		facts->of[facts->count++] = holder;
		return true;
	default: /* a plain bind can tell */
		registry_let_go(&session.registry, holder.reference);
		d->unknown = true;
		return false;
	}
}

void decide(struct decision *d)
{
	struct facts facts;
	struct walk walk;
	facts.gone = facts.count = 0;
	do
		judge_bucket(d, &facts, &walk);
	while (look_at_blamed(d, &facts) || forgot(d, &walk));
}

/* Nobody has the port any more, on any address: no record of it is worth a question, but of a connection that is over for
 * the host alone. */
static SELDOM void forget_all(struct decision *d)
{
	struct holder holder;
	struct cursor cursor;
	bool doubtful;
	if (!permit_port_is_free(d->claim.protocol, d->claim.port))
		return;
	registry_first(&session.registry, d->bucket, d->turn.record, &cursor);
	while (registry_next(&session.registry, &cursor, &holder, &doubtful))
		if (has_the_port(d, &holder) && !(holder.state == STATE_CONNECTED && decide_is_own(&holder)))
			registry_remove(&session.registry, holder.reference);
}

static void consider_probe(struct decision *d, const struct facts *none, struct walk *walk)
{
	if (!d->verdict.error || !d->verdict.blamed)
		return;
	d->probe = true;
	judge_bucket(d, none, walk);
	d->probe = d->verdict.error == 0;
}

/* A permissive host is asked by a plain bind first in any case: whoever that proves gone need not be judged. */
void decide_bind(struct decision *d)
{
	struct facts none;
	struct walk walk;
	none.gone = none.count = 0;
	d->probe = !session.mirror;
	judge_bucket(d, &none, &walk);
	d->probe &= walk.probe;
	if (d->verdict.error == 0 && !forgot(d, &walk))
		return;
	d->probe = false;
	if (session.mirror)
		consider_probe(d, &none, &walk);
	if (d->probe)
		return;
	if (d->verdict.error && session.stricter)
		forget_all(d);
	decide(d);
	if (d->unknown)
		consider_probe(d, &none, &walk);
}

/* ---- forgetting ---- */

void decide_sweep(struct decision *d)
{
	struct holder holder;
	struct cursor cursor;
	bool doubtful;
	unsigned left = 0;
	if (d->closed)
		forget_closed(d);
	if (!d->met || (!d->plain && d->doubtful <= TOLERATED))
		return;
	registry_first(&session.registry, d->bucket, d->turn.record, &cursor);
	while (registry_next(&session.registry, &cursor, &holder, &doubtful)) {
		if (holder_is_memory(holder.state) || holder.protocol != d->claim.protocol || holder.port != d->claim.port)
			continue;
		if (!d->plain || !claim_overlaps_on_host(&d->claim, holder))
			left += doubtful;
		else if (!keeps_listeners() || covers(&d->claim, &holder))
			registry_remove(&session.registry, holder.reference);
		else if (holder.state != STATE_DEAD) /* what it accepted may be elsewhere */
			decide_forget(&holder);
	}
	if (left > TOLERATED)
		reap(d);
}

/* ---- the host said no ---- */

struct suspects {
	const struct decision *d;
	bool any, known; /* known: the registry has the blamed socket as it is, so the rules allowed it */
	struct holder blame;
	uint32_t inode;
};

/* Whom to blame of several: a socket that somebody has open says more than a remnant. */
static bool is_better(const struct suspects *suspects, const struct holder *holder, bool known)
{
	if (!suspects->any || suspects->known != known)
		return !suspects->any || suspects->known;
	return holder->state < suspects->blame.state;
}

static bool suspect(void *context, const struct diag_socket *socket)
{
	struct suspects *suspects = context;
	const struct decision *d = suspects->d;
	struct holder holder = socket->holder, record;
	/* The host's own word for IPV6_V6ONLY: an accepted socket has not got it from an address. */
	if (holder.cookie == d->claim.cookie || !linux_overlaps(&d->claim, &holder))
		return true;
	bool known = registry_find(&session.registry, d->bucket, &holder, &record) != 0;
	if (known) {
		/* connect() moves a socket to another address, and no call of ours says so. */
		known = record.state == holder.state && !memcmp(record.address, holder.address, sizeof record.address);
		holder.options |= record.options;
		holder.pid = record.pid;
		holder.fd = record.fd;
	}
	if (is_better(suspects, &holder, known)) {
		suspects->blame = holder;
		suspects->inode = socket->inode;
		suspects->known = known;
	}
	suspects->any = true;
	return true;
}

void decide_host_refused(struct decision *d, int error)
{
	struct suspects suspects = { .d = d };
	struct verdict refused = { .rule = &rule_host };
	refused.error = session.profile->family->error(session.profile, d->call, error);
	d->verdict = refused;
	if (error != EADDRINUSE || (session.explain == EXPLAIN_NOTHING && !session.log))
		return;
	d->host_refused = true;
	claim_meets(d);
	if (d->closed && (decide(d), d->verdict.error))
		return;
	d->verdict = refused;
	if (diag_dump(d->claim.protocol, d->claim.port, DIAG_ALL, suspect, &suspects) < 0)
		return;
	if (!suspects.any)
		return;
	if (suspects.known) {
		d->verdict.rule = &rule_disagree;
		return;
	}
	struct holder *blame = &suspects.blame;
	bool registered = blame->pid != 0;
	if (!registered)
		blame->pid = ask_owner_of_inode(suspects.inode, 0, &blame->fd);
	d->verdict.blamed = true;
	d->verdict.holder = *blame;
	d->strange = !registered;
	if (!registered && (blame->state == STATE_BOUND || blame->state == STATE_LISTENING)) {
		d->outside = true;
		d->verdict.rule = &rule_outside;
		return;
	}
	/* A child or a remnant: the rules know its name. */
	struct judgement judgement;
	struct verdict verdict;
	judge_begin(&judgement, session.profile, d->call, &d->claim, NULL);
	judge_holder(&judgement, blame);
	judge_end(&judgement, &verdict);
	if (verdict.error)
		d->verdict.rule = verdict.rule;
}

void decide_lend(const struct decision *d, bool permissive)
{
	struct holder holder;
	struct cursor cursor;
	bool doubtful;
	int saved = errno;
	registry_first(&session.registry, d->bucket, d->turn.record, &cursor);
	while (registry_next(&session.registry, &cursor, &holder, &doubtful)) {
		if (!decide_is_own(&holder))
			continue;
		if (permissive)
			permit_reuse(holder.fd, &holder);
		else
			permit_exactly(holder.fd, holder.options);
	}
	errno = saved;
}

/* ---- saying it ---- */

/* The process that bound it has closed it or ended: whoever has the socket now is to be named. */
static SELDOM void find_heir(struct holder *holder)
{
	struct search search = { .holder = holder };
	diag_dump(holder->protocol, holder->port, DIAG_ALL, match, &search);
	uint32_t heir = ask_owner_of_inode(search.inode, holder->pid, &holder->fd);
	if (!heir)
		holder->fd = -1; /* on its way (SCM_RIGHTS), or /proc does not tell */
	if (heir || !registry_owner_alive(&session.registry, holder->reference))
		holder->pid = heir;
}

void decide_say(struct decision *d, int error)
{
	char line[1024];
	struct explanation e = {
		.profile = session.profile, .call = d->call, .fd = d->fd, .claim = &d->claim,
		.verdict = &d->verdict, .error = error, .outside = d->outside, .strange = d->strange,
	};
	bool said = session.explain == EXPLAIN_ALL || (error && session.explain == EXPLAIN_REFUSALS);
	if (!said && !session.log)
		return;
	e.pid = own_pid();
	ask_program(e.pid, e.program);
	if (d->verdict.blamed && !holder_is_memory(d->verdict.holder.state))
		find_heir(&d->verdict.holder);
	if (d->verdict.blamed && d->verdict.holder.pid)
		ask_program(d->verdict.holder.pid, e.holder_program);
	if (session.log)
		log_why(&e);
	if (!said)
		return;
	size_t length = explain_line(line, sizeof line, &e);
	session_write(line, length);
}

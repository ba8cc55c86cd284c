/* SPDX-License-Identifier: MIT */
/*
 * What a port remembers of the sockets that were bound to it, to let the next one in without asking them:
 * tb->fastreuse and tb->fastreuseport of net/ipv4/inet_connection_sock.c inet_csk_get_port(), sk_reuseport_match()
 * and inet_csk_update_fastreuse().  Every version has it in another shape, and each shape has its holes.
 *
 *	reuseaddr           2.6.24 to 3.8: fastreuse alone
 *	both_unless_unasked 3.9 to 4.10: fastreuseport too; who is let in unasked does not change them
 *	both_by_the_second  4.11 to 4.13: the test for the first socket is inverted, the family of the remembered
 *	                    address is never set, so that the IPv4 parts are compared, and as the next
 *	both_wide           4.14 to 5.8: a wildcard is covered by one remembered address
 *	both                5.9 to 6.7
 *	last_reuseport      6.8 on: no socket is ever the first, so fastreuse never becomes true: the address's list is
 *	                    linked before the port is found to be empty
 */
#include <sys/socket.h>

#include "linux.h"

/* memory.flags */
#define REUSEPORT 0x1u   /* fastreuseport, of memory.source's user ... */
#define ANY_ADDRESS 0x2u /* ... FASTREUSEPORT_ANY, else for its address alone */
#define REUSEADDR 0x4u   /* fastreuse */
#define BEGUN 0x8u       /* the port had a first socket */
#define LIST 0x10u       /* linux_remembers_list() */

/* listen() makes the socket a listener before it asks. */
static bool reuses(const struct judgement *judgement)
{
	return has(&judgement->claim, OPTION_REUSEADDR) && judgement->call != CALL_LISTEN;
}

bool linux_remembers_reuseaddr(const struct judgement *judgement)
{
	return (judgement->memory.flags & REUSEADDR) && reuses(judgement);
}

static bool covers(uint32_t kind, const struct holder *source, const struct holder *claim)
{
	if (kind == port_memory_both_by_the_second)
		return linux_stand_ins_meet(source, claim);
	return linux_addresses_meet(source, claim, kind == port_memory_both_wide);
}

/* sk_reuseport_match(): devices are not looked at. */
bool linux_remembers_reuseport(const struct judgement *judgement)
{
	const struct holder *claim = &judgement->claim, *source = judgement->memory.source;

	if (!(judgement->memory.flags & REUSEPORT) || !source || !has(claim, OPTION_REUSEPORT) || has(claim, OPTION_GROUP))
		return false;
	return claim->uid == source->uid &&
	       ((judgement->memory.flags & ANY_ADDRESS) || covers(judgement->profile->trait[trait_port_memory], source, claim));
}

bool linux_remembers_list(const struct judgement *judgement)
{
	return judgement->memory.flags & LIST;
}

static bool is_6_1(const struct profile *profile)
{
	return profile->trait[trait_address_lookup] == address_lookup_linux_6_1;
}

/* Does it matter who began a list of all addresses? */
static bool keeps_lists(const struct profile *profile)
{
	uint32_t lookup = profile->trait[trait_address_lookup];

	return is_6_1(profile) || lookup == address_lookup_linux_6_5 || lookup == address_lookup_linux_6_8;
}

/* LIST as the claim leaves it if it begins its list; KEPT: it is in none of those. */
#define KEPT UINT32_MAX
static uint32_t list_begun_by(const struct profile *profile, const struct holder *claim)
{
	bool any4 = linux_is_any4(claim);

	if (!keeps_lists(profile) || linux_is_specific(claim) || (is_6_1(profile) && !any4))
		return KEPT;
	return (is_6_1(profile) ? claim->domain == AF_INET : any4) ? 0 : LIST;
}

static void remember_claim(uint32_t flags, struct verdict *verdict)
{
	verdict->memory = MEMORY_CLAIM;
	verdict->memory_flags = flags;
}

static void remember_first(const struct judgement *judgement, struct verdict *verdict)
{
	uint32_t reuseaddr = reuses(judgement) ? REUSEADDR : 0;

	remember_claim(BEGUN | reuseaddr | (has(&judgement->claim, OPTION_REUSEPORT) ? REUSEPORT | ANY_ADDRESS : 0), verdict);
}

/* As linux_remember() has it of a bind() that is judged by nothing. */
uint32_t linux_first(const struct profile *profile, const struct holder *claim)
{
	bool reuseport = has(claim, OPTION_REUSEPORT), reuseaddr = has(claim, OPTION_REUSEADDR);
	uint32_t begun = list_begun_by(profile, claim), list = begun == KEPT ? 0 : begun;

	if (profile->trait[trait_port_rule] == port_rule_linux_1_2 || claim->protocol == PROTOCOL_UDP)
		return 0;
	switch (profile->trait[trait_port_memory]) {
	case port_memory_last_reuseport:
		return list | (reuseport ? REUSEPORT : 0);
	case port_memory_both_by_the_second:
		return list | BEGUN | (reuseport ? REUSEPORT : 0);
	default:
		return list | BEGUN | (reuseaddr ? REUSEADDR : 0) | (reuseport ? REUSEPORT | ANY_ADDRESS : 0);
	}
}

/* The claim takes away what it does not share; what is left of SO_REUSEPORT stays another's. */
static void remember_less(const struct judgement *judgement, bool keeps_reuseport, struct verdict *verdict)
{
	uint32_t flags = judgement->memory.flags | BEGUN;

	if (!reuses(judgement))
		flags &= ~REUSEADDR;
	if (!keeps_reuseport)
		flags &= ~(REUSEPORT | ANY_ADDRESS);
	remember_claim(flags, verdict);
	if (flags & REUSEPORT)
		verdict->memory = flags == judgement->memory.flags ? MEMORY_KEEP : MEMORY_FLAGS;
}

/* As linux_remember() has it of a listen() that nobody else is asked about: neither mark is left.  Who began the last list
 * of all addresses matters once there are two (6.5, 6.8); in 6.1 always. */
bool linux_listens(const struct profile *profile, uint32_t *flags)
{
	*flags = profile->trait[trait_port_memory] == port_memory_last_reuseport ? 0 : BEGUN;
	return !is_6_1(profile);
}

static void remember_later(const struct judgement *judgement, struct verdict *verdict)
{
	const struct holder *claim = &judgement->claim;
	uint32_t reuseaddr = reuses(judgement) ? judgement->memory.flags & REUSEADDR : 0;

	if (!has(claim, OPTION_REUSEPORT) || linux_remembers_reuseport(judgement))
		remember_less(judgement, has(claim, OPTION_REUSEPORT), verdict);
	else
		remember_claim(BEGUN | REUSEPORT | reuseaddr, verdict);
}

static void remember_last(const struct judgement *judgement, struct verdict *verdict)
{
	if (!has(&judgement->claim, OPTION_REUSEPORT))
		verdict->memory = MEMORY_FORGET;
	else if (!linux_remembers_reuseport(judgement))
		remember_claim(REUSEPORT, verdict);
}

/* The same user's SO_REUSEPORT: an attached program is not looked at here. */
static bool is_same_user(const struct judgement *judgement)
{
	const struct holder *claim = &judgement->claim, *source = judgement->memory.source;

	return has(claim, OPTION_REUSEPORT) && source && claim->uid == source->uid;
}

static void remember_options(const struct judgement *judgement, bool unasked, struct verdict *verdict)
{
	uint32_t kind = judgement->profile->trait[trait_port_memory];
	bool first = judgement->scratch < ONE_SOCKET && !judgement->memory.flags;

	if (first != (kind == port_memory_both_by_the_second))
		remember_first(judgement, verdict);
	else if (kind != port_memory_reuseaddr && kind != port_memory_both_unless_unasked)
		remember_later(judgement, verdict);
	else if (!unasked)
		remember_less(judgement, is_same_user(judgement), verdict);
}

/* inet_bind2_bucket_addr_match(), 6.1.176; inet_bhash2_addr_any_conflict(), 6.5 and 6.8 */
static void remember_list(const struct judgement *judgement, struct verdict *verdict)
{
	uint32_t before = judgement->memory.flags & LIST, after = list_begun_by(judgement->profile, &judgement->claim);
	uint32_t others = linux_is_any4(&judgement->claim) ? MEETS_ANY4 : MEETS_ANY6;

	if (after == KEPT || judgement->call != CALL_BIND || judgement->scratch & others)
		after = before;
	if (verdict->memory == MEMORY_KEEP && after != before) {
		verdict->memory = MEMORY_FLAGS;
		verdict->memory_flags = judgement->memory.flags;
	} else if (verdict->memory == MEMORY_FORGET && after) {
		remember_claim(0, verdict);
	}
	verdict->memory_flags = (verdict->memory_flags & ~LIST) | after;
}

void linux_remember(const struct judgement *judgement, bool unasked, struct verdict *verdict)
{
	if (judgement->profile->trait[trait_port_memory] == port_memory_last_reuseport)
		remember_last(judgement, verdict);
	else
		remember_options(judgement, unasked, verdict);
	if (keeps_lists(judgement->profile))
		remember_list(judgement, verdict);
}

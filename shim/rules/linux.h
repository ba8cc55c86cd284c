/* SPDX-License-Identifier: MIT */
/* What the files of the Linux family share. */
#ifndef FAKEBIND_RULES_LINUX_H
#define FAKEBIND_RULES_LINUX_H

#include "rules.h"

static inline bool has(const struct holder *holder, uint32_t option)
{
	return holder->options & option;
}

static inline bool is_1_2(const struct profile *profile)
{
	return profile->trait[trait_port_rule] == port_rule_linux_1_2;
}

/* ---- linux_address.c ---- */

/* Of an IPv4 socket, or an IPv4 address of an IPv6 socket. */
bool linux_is_mapped(const struct holder *);
/* Not 0.0.0.0, :: or ::ffff:0.0.0.0. */
bool linux_is_specific(const struct holder *);
/* inet_rcv_saddr_equal(): `wild` tells whether b's wildcard covers a; a's always covers b. */
bool linux_addresses_meet(const struct holder *a, const struct holder *b, bool wild);
/* The same of what IPv4 is told of them: 127.0.0.6 stands for any IPv6 address but ::, and no bind makes b v6only. */
bool linux_stand_ins_meet(const struct holder *a, const struct holder *b);
/* linux_overlaps(), as the profile's version sees it. */
bool linux_overlaps_as(const struct profile *, const struct holder *claim, const struct holder *other);

/* Where a TCP claim meets a holder when it goes through the sockets of the port. */
enum linux_list {
	LIST_NONE, /* nowhere */
	LIST_OWN,
	LIST_ANY4, /* among 0.0.0.0 and ::ffff:0.0.0.0; only of the two wildcard lists begun last is gone through */
	LIST_ANY6  /* among :: */
};
enum linux_list linux_lookup(const struct judgement *, const struct holder *);
/* 0.0.0.0 or ::ffff:0.0.0.0 */
bool linux_is_any4(const struct holder *);

/* judgement.scratch */
#define SHARES_REUSEADDR 0x1u
#define SHARES_REUSEPORT 0x2u
#define OVERRULED 0x4u /* UDP: somebody who objects was not the one to ask */
#define UNSEEN 0x8u    /* TCP: somebody who objects was not found */
#define MEETS_ANY4 0x10u
#define MEETS_ANY6 0x20u
#define ONE_SOCKET 0x100u /* the rest counts the sockets of the port, overlapping or not */

/* ---- linux_memory.c ---- */

/* Does what the port remembers of a SO_REUSEPORT claim cover this one? */
bool linux_remembers_reuseport(const struct judgement *);
/* The same of SO_REUSEADDR. */
bool linux_remembers_reuseaddr(const struct judgement *);
/* 6.1: was the list of 0.0.0.0 and ::ffff:0.0.0.0 begun by an IPv6 socket?  6.5, 6.8: was that of :: begun after it? */
bool linux_remembers_list(const struct judgement *);
/* What it remembers when the claim stands.  unasked: it was let in by what was remembered. */
void linux_remember(const struct judgement *, bool unasked, struct verdict *);
/* The flags of a bind that met nobody and nothing. */
uint32_t linux_first(const struct profile *, const struct holder *claim);
bool linux_listens(const struct profile *, uint32_t *flags);

/* ---- linux_version.c: what an old version says and the host does not ---- */

bool linux_before_version(const struct question *, struct verdict *, struct sockaddr_storage *to, uint32_t *to_length);
bool linux_option_version(const struct option_question *, struct option_answer *);

/* ---- linux_alone.c ---- */

bool linux_answer(struct verdict *, int error, const struct rule *);
bool linux_before_alone(const struct question *, struct verdict *, struct sockaddr_storage *to, uint32_t *to_length);
void linux_option_alone(const struct option_question *, struct option_answer *);
void linux_option_error(struct option_answer *, int error, const struct rule *);
uint32_t linux_bound(const struct profile *, const struct holder *claim, int error);
uint16_t linux_port(const struct profile *, enum call, const struct holder *claim, uint32_t start, uint32_t attempt);
void linux_source(const struct profile *, const struct holder *socket, const uint8_t *to, uint8_t *from);
void linux_event(const struct question *, enum event, struct verdict *);

/* ---- linux_1_2.c ---- */

bool linux_1_2_before(const struct question *, struct verdict *, struct sockaddr_storage *to, uint32_t *to_length);
void linux_1_2_option_alone(const struct option_question *, struct option_answer *);
void linux_1_2_holder(struct judgement *, const struct holder *);
void linux_1_2_end(const struct judgement *, struct verdict *);

/* A segment that meets a socket in TIME_WAIT (net/inet/tcp.c tcp_rcv(), 1.2.13). */
struct linux_1_2_segment {
	bool closed;        /* the program has closed that socket */
	bool syn, rst;
	bool listens;       /* a listener would take a SYN */
	uint32_t sequence;  /* of the segment */
	uint32_t received;  /* acked_seq of the old socket: what it expects next */
	uint32_t written;   /* write_seq of the old socket */
};

enum linux_1_2_fate {
	FATE_CHECKED, /* as any segment of an old connection */
	FATE_REBORN,  /* the old socket ends, the listener takes the SYN */
	FATE_DROPPED  /* the old socket ends, nobody answers */
};

enum linux_1_2_fate linux_1_2_time_wait(const struct linux_1_2_segment *, uint32_t *first_sequence);

/* ---- linux_3_6.c ---- */

struct linux_3_6_port {
	uint32_t owners;
	bool fastreuse;
	bool overlaps;  /* an owner has an overlapping address, whatever the options (relax is false) */
	bool conflicts; /* an owner refuses an explicit bind (relax is true) */
};

/* random: six numbers, one for each attempt.  -1: EADDRINUSE. */
int linux_3_6_choose_port(const struct linux_3_6_port *, uint32_t count, bool reuses, const uint32_t *random);

#endif

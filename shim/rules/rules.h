/* SPDX-License-Identifier: MIT */
/*
 * The model: what a system answers to bind(), listen(), connect(), accept() and to the socket
 * options, as pure functions over plain structs.  No system call, no lock, no global variable,
 * no allocation: everything a rule needs is an argument, everything it decides is a result.
 *
 * Words (doc/GLOSSARY): a *claim* is what a socket wants, a *holder* a socket that has a port,
 * a *verdict* the answer, with the *rule* that gave it and the holder to blame.
 */
#ifndef FAKEBIND_RULES_H
#define FAKEBIND_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum protocol { PROTOCOL_TCP, PROTOCOL_UDP };

/* Where a socket is in its life.  STATE_ANCHOR is no socket: an address that a system never forgets. */
enum state { STATE_UNBOUND, STATE_BOUND, STATE_LISTENING, STATE_CONNECTED, STATE_TIME_WAIT, STATE_ANCHOR };

enum call { CALL_SOCKET, CALL_BIND, CALL_LISTEN, CALL_CONNECT, CALL_ACCEPT, CALL_SHUTDOWN, CALL_CLOSE, CALL_SETSOCKOPT, CALL_GETSOCKOPT };

/* The program's own option values, as the system under test keeps them. */
#define OPTION_REUSEADDR 0x1u
#define OPTION_REUSEPORT 0x2u
#define OPTION_V6ONLY 0x4u
#define OPTION_GROUP 0x8u /* a reuseport group was attached before the bind (SO_ATTACH_REUSEPORT_*) */
#define OPTION_TAIL 0x10u /* set once, when it is bound: the system visits it last (Linux: UDP, AF_INET6, SO_REUSEPORT) */
#define OPTION_SHARED 0x20u /* no option: it was duplicated, so closing one descriptor proves nothing */

struct holder {
	uint64_t cookie;     /* SO_COOKIE of the kernel socket; 0: not known */
	uint64_t order;      /* when it was bound: greater is later */
	uint8_t address[16]; /* AF_INET: the first four bytes, network order; AF_INET6: all */
	uint32_t scope;      /* sin6_scope_id */
	uint32_t ifindex;    /* device the socket is bound to, 0: none */
	uint32_t uid;        /* of the socket (its creator's, unless changed by fchown) */
	uint32_t options;    /* OPTION_* */
	uint16_t port;       /* host byte order */
	uint8_t domain;      /* AF_INET or AF_INET6: the socket's, not the address's */
	uint8_t protocol;    /* enum protocol */
	uint8_t state;       /* enum state */
	/* For explanations; no rule reads these. */
	uint32_t pid;        /* process that bound it, 0: none or not known */
	int32_t fd;          /* its descriptor there, -1: not known */
	uint64_t reference;  /* the caller's own handle on this holder */
};

/* What a system remembers about a port beside its holders (Linux: fastreuse and its kin).  It lives
 * as long as the port has any owner. */
struct memory {
	uint32_t flags;              /* meaning is the family's; 0: nothing */
	const struct holder *source; /* the socket whose claim was remembered, as it was then; or NULL */
};

enum memory_change { MEMORY_KEEP, MEMORY_FORGET, MEMORY_CLAIM };

/* A rule is data: its id is stable and shown to users as PROFILE/ID. */
struct rule {
	const char *id;      /* "conflict/holder-listens" */
	const char *because; /* end of "refused because ...", about the holder if there is one */
	const char *remedy;  /* what would have allowed it, or NULL */
	const char *source;  /* kernel file, function and version, or document */
};

#define VERDICT_BINDS 0x1u   /* refused, but the socket is bound all the same */
#define VERDICT_UNBINDS 0x2u /* a failed connect takes the socket's address away */
#define VERDICT_HALTS 0x4u   /* the real system would halt here */

struct verdict {
	int error;               /* 0, or the errno the program sees */
	uint32_t flags;          /* VERDICT_* */
	const struct rule *rule; /* never NULL after judge_end() */
	bool blamed;             /* holder is filled in */
	struct holder holder;
	enum memory_change memory; /* when the call succeeds */
	uint32_t memory_flags;
};

/* Traits: what distinguishes the systems of one family.  All are words out of a fixed list or
 * numbers; traits.def is the one list of them. */
#define TRAIT_WORD(trait, word) trait##_##word,
#define TRAIT(trait, ...) enum trait_##trait { __VA_ARGS__ };
#define TRAIT_NUMBER(trait)
#include "traits.def"
#undef TRAIT
#undef TRAIT_NUMBER
#undef TRAIT_WORD

enum trait_index {
#define TRAIT(trait, ...) trait_##trait,
#define TRAIT_NUMBER(trait) trait_##trait,
#define TRAIT_WORD(trait, word)
#include "traits.def"
#undef TRAIT
#undef TRAIT_NUMBER
#undef TRAIT_WORD
	TRAIT_COUNT
};

enum tier { TIER_MEASURED, TIER_SOURCE, TIER_DOCUMENTED };

struct family;

struct profile {
	const char *name;
	const char *title;   /* one line for people */
	const char *sources; /* where the facts come from */
	const struct family *family;
	enum tier tier;
	uint32_t trait[TRAIT_COUNT];
};

/* One socket call before any holder is looked at. */
struct question {
	enum call call;
	const struct profile *profile;
	uint8_t domain, protocol, state; /* of the socket */
	uint32_t options;
	const uint8_t *address; /* bind, connect: the sockaddr as the program gave it, readable for length bytes */
	uint32_t length;        /* as the program gave it */
	int argument;           /* listen: backlog; shutdown: how; socket: type */
};

struct option_question {
	enum call call; /* CALL_SETSOCKOPT or CALL_GETSOCKOPT */
	const struct profile *profile;
	uint8_t domain, protocol, state;
	uint32_t options;
	int level, name;
	const void *value; /* set: readable for length bytes; else NULL */
	uint32_t length;   /* set: optlen; get: room in the program's buffer */
};

struct option_answer {
	bool passes; /* the host's own answer stands, nothing below counts */
	int error;
	uint32_t flags; /* VERDICT_HALTS */
	const struct rule *rule;
	uint32_t options; /* set: the options afterwards */
	uint8_t value[16]; /* get: what the program reads */
	uint32_t length;   /* get: bytes of it; 0: nothing is written, not even the length */
};

/* The fold over the holders of a port.  Rules see every holder once, in any order. */
struct judgement {
	const struct profile *profile;
	enum call call; /* CALL_BIND or CALL_LISTEN */
	struct holder claim;
	struct memory memory;
	uint32_t seen;      /* holders judged */
	bool refused;       /* a holder refuses (so far) */
	struct holder blame;
	const struct rule *rule;
	uint64_t decider;   /* family's scratch: rank of the holder that decides */
	uint64_t decider2;
	struct holder blame2;
	uint32_t scratch;
};

/* How the host is to be treated for a profile. */
enum host_policy {
	HOST_MIRROR,    /* the program's options are the host's: it enforces the same rule on what we cannot see */
	HOST_PERMISSIVE /* the host must allow what the profile allows: options are kept apart */
};

struct family {
	const char *name;
	/* The bucket that decides over a port: 0..65535 for TCP, 65536..131071 for UDP or shared by both. */
	uint32_t (*bucket)(const struct profile *, enum protocol, uint16_t port);
	/* Answer from the socket and the arguments alone.  True: *verdict is final (error or success without
	 * looking at holders); false: go on.  May rewrite a copy of the address via *to (16 or 28 bytes,
	 * *to_length set non-zero) where the system reads it in its own way. */
	bool (*before)(const struct question *, struct verdict *, struct sockaddr_storage *to, uint32_t *to_length);
	void (*holder)(struct judgement *, const struct holder *);
	void (*end)(struct judgement *, struct verdict *);
	void (*option)(const struct option_question *, struct option_answer *);
	/* What the program sees when the host answered a call with this errno. */
	int (*error)(const struct profile *, enum call, int host_errno);
	/* Addresses that stay taken after a bind for ever (until the registry is reset): does this claim leave one? */
	bool (*anchors)(const struct profile *, const struct holder *claim);
};

/* bind (explicit port) or listen of claim, against the holders given to judge_holder(), never including
 * the claim's own socket.  memory may be NULL. */
void judge_begin(struct judgement *, const struct profile *, enum call, const struct holder *claim, const struct memory *);
void judge_holder(struct judgement *, const struct holder *);
void judge_end(struct judgement *, struct verdict *);

/* Does binding `claim` touch the same device and an overlapping address as `other`, as Linux >= 3.6 sees it?
 * (net/ipv4/inet_connection_sock.c inet_rcv_saddr_equal, 6.18) */
bool linux_overlaps(const struct holder *claim, const struct holder *other);

bool address_is_any(const struct holder *);

/* NULL if there is none of that name (aliases are followed). */
const struct profile *profile_find(const char *name);
extern const struct profile profiles[];
extern const size_t profile_count;
extern const struct family family_linux, family_starry;

#endif

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
/* STATE_DEAD: the descriptor is open, but the system took the socket behind it away; holds nothing.  STATE_ENDED: of
 * a record only, a connection that was closed, kept for the options of what it leaves. */
enum state { STATE_UNBOUND, STATE_BOUND, STATE_LISTENING, STATE_CONNECTED, STATE_TIME_WAIT, STATE_ANCHOR, STATE_DEAD, STATE_ENDED };

enum call {
	CALL_SOCKET, CALL_BIND, CALL_LISTEN, CALL_CONNECT, CALL_ACCEPT, CALL_SHUTDOWN, CALL_CLOSE, CALL_SETSOCKOPT, CALL_GETSOCKOPT,
	CALL_NAME, CALL_PEER, CALL_SEND, CALL_RECEIVE, CALL_DUP, CALL_SETEUID /* asked of a family alone only */
};

/* The program's own option values, as the system under test keeps them. */
#define OPTION_REUSEADDR 0x1u
#define OPTION_REUSEPORT 0x2u
#define OPTION_V6ONLY 0x4u
#define OPTION_GROUP 0x8u /* a reuseport group was attached before the bind (SO_ATTACH_REUSEPORT_*) */
#define OPTION_TAIL 0x10u /* set once, when it is bound: the system visits it last (Linux: UDP, AF_INET6, SO_REUSEPORT) */
#define OPTION_LISTENED 0x10u /* of TCP: no listener any more, but what it accepted may be there */
#define OPTION_REUSEPORT_LB 0x40u /* FreeBSD */
#define OPTION_EXCLUSIVE 0x80u    /* SO_EXCLUSIVEADDRUSE, SO_EXCLBIND */
#define OPTION_CHILD 0x100u       /* accepted from a listener */
#define OPTION_CLIENT 0x200u      /* its port was chosen by its connect() */
#define OPTION_ORPHAN 0x400u      /* a child that nobody accepted yet */
#define OPTION_AUTOBOUND 0x800u   /* its port was chosen by the system, by whatever call */
#define OPTION_TRIES 0x1000u      /* alone only: STATE_CONNECTED, but no answer came yet */
#define OPTION_ENDS 0x2000u       /* of a connection: either side sends no more; of a UDP socket: it does not */
#define OPTION_OWN 0xffff0000u    /* the family's: left alone by everybody else */
#define OPTION_SHARED 0x20u /* no option: it was duplicated, so closing one descriptor proves nothing */

#define UID_UNKNOWN UINT32_MAX /* nobody has asked yet */

struct holder {
	uint64_t cookie;     /* SO_COOKIE of the kernel socket; 0: not known.  Of a remnant in the registry: when it ended */
	uint64_t order;      /* when it was bound: greater is later */
	uint8_t address[16]; /* AF_INET: the first four bytes, network order; AF_INET6: all */
	uint32_t scope;      /* sin6_scope_id */
	uint32_t ifindex;    /* device the socket is bound to, 0: none */
	uint32_t uid;        /* of the socket (its creator's, unless changed by fchown); no rule meets UID_UNKNOWN */
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

/* No socket that the kernel could be asked about. */
static inline bool holder_is_memory(uint8_t state)
{
	return state == STATE_ANCHOR || state == STATE_TIME_WAIT;
}

/* Somebody may have its options. */
static inline bool holder_listened(const struct holder *holder)
{
	return holder->state == STATE_LISTENING || (holder->protocol == PROTOCOL_TCP && holder->options & OPTION_LISTENED);
}

/* What a system remembers about a port beside its holders (Linux: fastreuse and its kin).  It lives
 * as long as the port has any owner. */
struct memory {
	uint32_t flags;              /* meaning is the family's; 0: nothing */
	const struct holder *source; /* the socket whose claim was remembered, as it was then; or NULL */
};

enum memory_change { MEMORY_KEEP, MEMORY_FORGET, MEMORY_CLAIM, MEMORY_FLAGS /* the source stays */ };

/* A rule is data: its id is stable and shown to users as PROFILE/ID. */
struct rule {
	const char *id;      /* "conflict/holder-listens" */
	const char *because; /* end of "refused because ...", about the holder if there is one */
	const char *remedy;  /* what would have allowed it, or NULL */
	const char *source;  /* kernel file, function and version, or document; NULL in the preloaded library */
};

#define VERDICT_BINDS 0x1u   /* refused, but the socket is bound all the same (connect: to a port the system chose) */
#define VERDICT_UNBINDS 0x2u /* a failed connect takes the socket's address away */
#define VERDICT_HALTS 0x4u   /* the real system would halt here */
#define VERDICT_LOCAL 0x80u  /* before(): if the address is one of the machine's, which the host knows; else EADDRNOTAVAIL */
/* Alone only: */
#define VERDICT_KILLS 0x8u      /* the socket is STATE_DEAD from now on */
#define VERDICT_LISTENS 0x10u   /* final, and the socket listens now, with the port it has or none */
#define VERDICT_UNLISTENS 0x20u /* shutdown: the listener is a bound socket again */
#define VERDICT_TRIES 0x100u    /* connect: nobody answers, and the socket goes on trying (OPTION_TRIES): it has its two ends */
#define VERDICT_CROSSES 0x400u  /* connect: whatever family the socket's own address is of */
#define VERDICT_DEAFENS 0x800u  /* shutdown: the listener refuses connections until it listens again */
#define VERDICT_MOVES 0x1000u   /* connect: the address it is sent from takes the place of the socket's own, for good */
/* getsockname() shows the address all the same: of a refused bind (with port 0), or beside VERDICT_UNBINDS; beside
 * VERDICT_KILLS that of the connect() that killed it. */
#define VERDICT_NAMES 0x40u
#define VERDICT_INTERRUPTS 0x200u /* shutdown: the listener's next accept() is ECONNABORTED */

struct verdict {
	int error;               /* 0, or the errno the program sees */
	uint32_t flags;          /* VERDICT_* */
	const struct rule *rule; /* never NULL after judge_end() */
	bool blamed;             /* holder is filled in */
	struct holder holder;
	enum memory_change memory; /* when the call succeeds */
	uint32_t memory_flags;
};

/* Success, and nothing said yet.  Of the holder only what says that it is nobody: this is done for every bind. */
static inline void verdict_begin(struct verdict *verdict)
{
	verdict->error = 0;
	verdict->flags = 0;
	verdict->rule = NULL;
	verdict->blamed = false;
	verdict->holder.order = verdict->holder.reference = 0;
	verdict->memory = MEMORY_KEEP;
	verdict->memory_flags = 0;
}

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

/* What traits.def says of a trait, for reading and showing profiles. */
struct trait {
	const char *name;
	const char *meaning;      /* one line for people */
	const char *const *words; /* NULL: a number */
	uint32_t word_count;
};

extern const struct trait trait_list[TRAIT_COUNT];  /* not in the preloaded library */
extern const uint8_t trait_words[TRAIT_COUNT];      /* how many words; 0: a number */
extern const uint32_t trait_fingerprint;            /* of all names and words */

/* The preloaded library is never alone and shows nobody a profile: what only the command needs is left out of it. */
#ifdef FAKEBIND_PRELOADED
#define IS_ALONE(question) ((void)(question), false)
#define ALONE_ONLY(function) (0 ? (function) : NULL)
#define FOR_PEOPLE(text) NULL
#define PEOPLE_ONLY(...)
#else
#define IS_ALONE(question) ((question)->alone)
#define ALONE_ONLY(function) (function)
#define FOR_PEOPLE(text) (text)
#define PEOPLE_ONLY(...) __VA_ARGS__
#endif

struct family;

struct profile {
	const char *name;
	const char *aliases; /* a blank between two; or NULL */
	const struct profile *base; /* or NULL */
	const struct family *family;
	enum tier tier;
	uint32_t trait[TRAIT_COUNT];
	/* The last ones: who is not compiled for the preloaded library alone sees the others where they are. */
	PEOPLE_ONLY(const char *title;)   /* one line */
	PEOPLE_ONLY(const char *sources;) /* where the facts come from */
	PEOPLE_ONLY(const char *limits;)  /* what cannot be imitated, a line each; or NULL */
};

/* What a socket cannot do any more. */
#define SHUT_OUT 0x1u   /* send */
#define SHUT_IN 0x2u    /* receive */
#define SHUT_APART 0x4u /* both, and its own end was acknowledged after that: no connection to a BSD (soisdisconnected()) */

/* One socket call before any holder is looked at. */
struct question {
	enum call call;
	const struct profile *profile;
	uint8_t domain, protocol, state; /* of the socket */
	uint32_t options;
	const uint8_t *address; /* bind, connect: the sockaddr as the program gave it, readable for length bytes */
	uint32_t length;        /* as the program gave it */
	int argument;           /* listen: backlog; shutdown: how; socket: type */
	uint32_t queued;        /* listen: connections that wait for accept() */
	uint32_t uid;           /* effective, of the caller; may be 0 but for ports that some system reserves */
	bool alone;             /* no host behind the rules (fakebind play): they must give every answer */
	bool loopback_alias;    /* 127.0.0.2 and its like were added to the loopback interface */
	uint32_t ifindex;       /* alone only: device the socket is bound to, 0: none */
	const struct holder *self; /* the socket as it is bound already, or NULL; but for bind() alone only */
	uint8_t shut;           /* alone only: SHUT_* */
};

struct option_question {
	enum call call; /* CALL_SETSOCKOPT or CALL_GETSOCKOPT */
	const struct profile *profile;
	uint8_t domain, protocol, state;
	uint32_t options;
	int level, name;
	const void *value; /* set: readable for length bytes; else NULL */
	uint32_t length;   /* set: optlen; get: room in the program's buffer */
	bool alone;        /* as in struct question */
	uint8_t shut;      /* alone: SHUT_* */
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

/* Sockets bound to all addresses, as Linux 6.5 to 6.8 keep them: in two lists by family. */
struct wildcard_list {
	bool met, refused;
	struct holder blame;
};

/* The best holder of a search so far. */
struct match {
	uint32_t cost; /* 0: none */
	struct holder holder;
};

/* The fold over the holders of a port.  Rules see every holder once, in any order. */
struct judgement {
	const struct profile *profile;
	enum call call; /* CALL_BIND or CALL_LISTEN; alone also CALL_CONNECT, then always automatic */
	bool automatic; /* set after judge_begin(): the system tries claim.port of its own accord */
	uint32_t caller; /* effective user, who need not be claim.uid, but is until it is set after judge_begin() */
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
	struct match found[4]; /* family's scratch */
	struct wildcard_list list[2];
};

/* How the host is to be treated for a profile. */
enum host_policy {
	HOST_MIRROR,    /* the program's options are the host's: it enforces the same rule on what we cannot see */
	HOST_PERMISSIVE /* the host must allow what the profile allows: options are kept apart */
};

/* What happens to a connect() (question.call, .protocol, .state and .options tell whose). */
enum event {
	EVENT_REFUSED,       /* nobody has that port */
	EVENT_UNLISTENED,    /* a socket has it that does not listen */
	EVENT_FULL,          /* the listener's queue is full */
	EVENT_TUPLE_TAKEN,   /* the same connection exists (alone, question.self: whose) */
	EVENT_TUPLE_REMNANT, /* it is in TIME_WAIT; no error: that one ends */
	EVENT_SELF,          /* the socket's own address; no error: it talks to itself */
	EVENT_AGAIN,         /* UDP: it is connected to that peer already; an error takes its port away, too */
	/* No connect: the other end threw the connection away, or both were shut down.  The socket stays connected, to
	 * nobody, with its port; VERDICT_UNBINDS: without it; VERDICT_KILLS. */
	EVENT_OVER,
	EVENT_NO_PORT        /* no port is left (also of bind and listen) */
};

/* What a family's rules ask for beside the registry's holders. */
#define ASKS_USER 0x1u   /* whose a socket is, whatever its options */
#define ASKS_UNSEEN 0x2u /* accepted sockets, clients and remnants, which no registry has */
#define ASKS_STATE 0x4u  /* a question's state, where the host keeps it: it must be asked */
#define ASKS_SOCKET 0x8u /* before() has answers to socket() */
/* Alone: a socket that closed first and has been answered is over at once, and what waits is something else; a reset
 * after the other side's end is EPIPE; shutdown() without a connection is refused, and counts; a datagram comes after an
 * error. */
#define ENDS_AS_LINUX 0x40u
/* The address that a socket of that protocol was bound to, whatever connect() has made of it. */
#define ASKS_BOUND(protocol) (0x10u << (protocol))
/* Alone: a SYN goes to the best match even if that does not listen. */
#define ASKS_DEAF 0x80u
/* before() has nothing to say when an IPv4 socket binds an IPv4 address and a port of 1024 or more. */
#define LEAVES_IPV4 0x100u
/* Alone: close() is no reset although something was not read; what was not, and what comes, is lost after a shutdown() of
 * that way; a datagram socket is disconnected before it is connected again. */
#define ENDS_AS_BSD 0x200u
/* And it has all addresses then, not the one it was bound to. */
#define FORGETS_BOUND 0x400u
/* accept() of a connection that was reset is ECONNABORTED, no socket that has ended. */
#define ABORTS_ACCEPT 0x800u
/* Alone: the address that a bind() wrote stays, even a refused one (VERDICT_NAMES), and a wildcard writes none: what is bound
 * to it later keeps that address, and connect() of a UDP socket seeks a source each time. */
#define KEEPS_ADDRESS 0x1000u

struct family {
	const char *name;
	uint32_t (*asks)(const struct profile *); /* ASKS_* */
	/* The bucket that decides over a port: 0..65535 for TCP, 65536..131071 for UDP or shared by both. */
	uint32_t (*bucket)(const struct profile *, enum protocol, uint16_t port);
	/* Answer from the socket and the arguments alone.  True: *verdict is final (error or success without
	 * looking at holders); false: go on.  May rewrite a copy of the address via *to (16 or 28 bytes,
	 * *to_length set non-zero) where the system reads it in its own way.  *verdict and *to_length come empty. */
	bool (*before)(const struct question *, struct verdict *, struct sockaddr_storage *to, uint32_t *to_length);
	void (*holder)(struct judgement *, const struct holder *);
	void (*end)(struct judgement *, struct verdict *);
	void (*option)(const struct option_question *, struct option_answer *);
	/* What the program sees when the host answered a call with this errno. */
	int (*error)(const struct profile *, enum call, int host_errno);
	/* Options that an accepted socket has from its listener. */
	uint32_t (*inherited)(const struct profile *, uint32_t listener_options);
	/* What is left of a connected socket after its last close: STATE_UNBOUND for nothing, STATE_TIME_WAIT for a
	 * remnant that lives *milliseconds (as a holder with the socket's address and options).  active: this side
	 * closed first.  holder->state: STATE_TIME_WAIT if the other side has closed too, else STATE_CONNECTED (a
	 * remnant in FIN_WAIT_2; 0 milliseconds: it waits for the other side for ever). */
	enum state (*released)(const struct profile *, const struct holder *, bool active, uint32_t *milliseconds);
	/* What a port remembers (memory.flags) of a bind that met nobody and nothing; NULL: ports remember nothing. */
	uint32_t (*first)(const struct profile *, const struct holder *claim);
	/* The same after the listen() of a TCP socket without SO_REUSEPORT that has the port for itself, and so is not refused.
	 * False or NULL: it must be judged. */
	bool (*listens)(const struct profile *, uint32_t *flags);
	/* Addresses that stay taken after a bind for ever (until the registry is reset): does this claim leave one? */
	bool (*anchors)(const struct profile *, const struct holder *claim);
	/* Alone only, see below; NULL where it says so. */
	uint32_t (*fresh)(const struct profile *, uint8_t domain, enum protocol);
	uint32_t (*bound)(const struct profile *, const struct holder *claim, int error);
	void (*source)(const struct profile *, const struct holder *socket, const uint8_t *to, uint8_t *from);
	uint16_t (*port)(const struct profile *, enum call, const struct holder *claim, uint32_t start, uint32_t attempt);
	unsigned (*room)(const struct profile *, int backlog);
	void (*event)(const struct question *, enum event, struct verdict *);
};

/*
 * ---- alone ----
 *
 * `fakebind play` and `fakebind compare` have no host behind the rules: a machine with nothing but a loopback
 * interface (127.0.0.1 and ::1), which knows what a connection is, who is in whose accept queue and who has a
 * port, and nothing of any system.  question.alone says so, and a family must then give every answer:
 *
 * before()  final is an answer, even without an error; not final goes on as every system does.
 *   SOCKET   argument is the type.  An error, or go on.
 *   BIND     every error of length, family, address (question.loopback_alias), privilege (uid) and state, in the
 *            system's order; *to where the address is read in another way.  Go on: the holders are asked, or
 *            ports are tried if it is 0.  Final without an error: bound, nobody asked.
 *   LISTEN   UDP, connected, backlog.  Final without an error: nothing happens (VERDICT_LISTENS: it listens).  Go
 *            on: a port is taken if there is none, then CALL_LISTEN is judged.
 *   CONNECT  errors of the address and the state.  *to for 0.0.0.0 and the like.  Go on: a port is taken if there
 *            is none, and what happens to the connection is an event().
 *   ACCEPT   not a listener.  Go on: the queue; empty is EAGAIN.
 *   SHUTDOWN argument is how.  Not connected, or a listener (VERDICT_UNLISTENS, _UNBINDS, _KILLS).  Go on: the
 *            connection's end is sent; an error beside that is told all the same.
 *   NAME, PEER, SEND, RECEIVE  where it is not what the machine does: the address; ENOTCONN; EPIPE, EDESTADDRREQ
 *            or the data; ENOTCONN or the data (final without an error: what there is, and then its end).
 *   DUP, SETEUID  where there is no such call.
 *   A socket of STATE_DEAD gets here too: all its answers are the family's.
 *   VERDICT_UNBINDS, if the call goes on and fails, takes the address away.
 * option()  everything.  passes: the machine's own answer, which it has for SO_ERROR (get), SO_LINGER,
 *   SO_BINDTODEVICE and IP_ADD_MEMBERSHIP (set); of any other it is ENOPROTOOPT.
 * fresh()   options of a new socket (V6ONLY where that is the default); NULL: none.
 * bound()   options after a bind() of claim, error or not; NULL: those of the claim.
 * source()  local address of a socket without one that connects to `to` (4 or 16 bytes); NULL: `to` itself.
 * port()    the attempt-th port tried for bind(0), listen() or connect(), 0 when all were; start: a random number,
 *   the same for all attempts, one more at the next call.  Each is judged (judgement.automatic), of connect() also
 *   whether the connection exists already; the first that is not refused is taken.
 * room()    how many connections wait for accept() before EVENT_FULL; NULL: one more than the backlog, as on Linux.
 * event()   what the program sees then; *verdict is zeroed before, and no error means that it makes no odds.
 * inherited(), released(), anchors(), end()'s VERDICT_BINDS as above.  A remnant keeps its options (OPTION_CHILD).
 */


/* bind (explicit port) or listen of claim, against the holders given to judge_holder(), never including
 * the claim's own socket.  memory may be NULL. */
void judge_begin(struct judgement *, const struct profile *, enum call, const struct holder *claim, const struct memory *);
void judge_holder(struct judgement *, const struct holder *);
void judge_end(struct judgement *, struct verdict *);

/* Does binding `claim` touch the same device and an overlapping address as `other`, as Linux >= 3.6 sees it?
 * (net/ipv4/inet_connection_sock.c inet_rcv_saddr_equal, 6.18) */
bool linux_overlaps(const struct holder *claim, const struct holder *other);

bool address_is_any(const struct holder *);

/* How long the remnants of connections live, if the user says so: `fixed` ms, or `scale` millionths of the system's own. */
struct time_wait {
	uint32_t fixed, scale;
};

#define TIME_WAIT_NATURAL ((struct time_wait){ 0, 1000000 })
#define TIME_WAIT_EXPECTED "off, a time up to a day (250ms, 2s, 5m, 1h) or a factor up to 1000 (x0.01)"

/* "off", a number with ms, s, m or h, or x and a number.  False: none of them, or too long. */
bool time_wait_parse(const char *text, struct time_wait *);
/* Of a remnant that has `natural` ms. */
static inline uint64_t time_wait_length(struct time_wait wait, uint32_t natural)
{
	return wait.fixed + (uint64_t)natural * wait.scale / 1000000;
}

/* NULL if there is none of that name (aliases are followed). */
const struct profile *profile_find(const char *name);
extern const struct profile profiles[];
extern const size_t profile_count;
extern const struct family *const families[];
extern const size_t family_count;

/* ---- a profile in one word (code.c): the value of FAKEBIND_OS ---- */

#define PROFILE_NAME 48                          /* longest name */
#define PROFILE_SYSTEM (PROFILE_NAME + 12)       /* room for a system, its end included */
#define PROFILE_CODE (128 + 11 * TRAIT_COUNT)    /* room for a code */

/* Up to PROFILE_NAME lower-case letters, digits, '.', '-' and '_', a letter or digit first. */
bool profile_name_valid(const char *name);
/* The name; for a profile that is not built in, NAME:FAMILY:FINGERPRINT:TRAIT,... with all traits as numbers and
 * the fingerprint of the list of traits. */
void profile_encode(const struct profile *, char code[PROFILE_CODE]);
/* The profile behind such a word that is no name; its strings are name and constants.  False: it is damaged, or of
 * another version. */
bool profile_decode(const char *code, struct profile *, char name[PROFILE_NAME + 1]);
/* What tells the profiles of registries apart: the name; if not built in, NAME#FINGERPRINT of family and traits. */
void profile_system(const struct profile *, char system[PROFILE_SYSTEM]);
extern const struct family family_linux, family_starry, family_bsd;
extern const struct family family_illumos, family_windows, family_lwip, family_gvisor, family_fuchsia, family_zephyr, family_nuttx;

#endif

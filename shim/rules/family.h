/* SPDX-License-Identifier: MIT */
/* Pieces that several families are made of; none of them knows a system. */
#ifndef FAKEBIND_FAMILY_H
#define FAKEBIND_FAMILY_H

#include "rules.h"

/* ---- answers ---- */

/* True, so that a rule can be the last words of a function. */
bool verdict_final(struct verdict *, int error, const struct rule *);
/* This holder refuses the claim; of several the eldest is blamed, in whatever order they are shown. */
void judgement_refuse(struct judgement *, const struct holder *, int error, const struct rule *);
/* The verdict of judgement_refuse(), or success by this rule. */
void judgement_close(const struct judgement *, struct verdict *, const struct rule *ok);

/* ---- holders and claims ---- */

/* ::ffff:a.b.c.d is an IPv4 address, and `::' without V6ONLY stands for both families. */
bool holder_is_ipv4(const struct holder *);
bool holder_is_dual(const struct holder *);
/* The wildcard of any family, ::ffff:0.0.0.0 included. */
bool holder_is_wild(const struct holder *);
bool holders_same_port(const struct holder *, const struct holder *);
/* They have a family in common. */
bool holders_same_family(const struct holder *, const struct holder *);
/* The addresses are equal, wildcards included, whatever else the wildcard stands for. */
bool holders_same_address(const struct holder *, const struct holder *);
/* One is a wildcard or both are the same. */
bool holders_addresses_meet(const struct holder *, const struct holder *);
/* Both of the above: some packet could be for either. */
bool holders_overlap(const struct holder *, const struct holder *);

/* Could `listener', alive or gone, have accepted `child'?  *exact: at the child's very address, which comes first. */
bool holder_accepts(const struct holder *listener, const struct holder *child, bool *exact);

/* ---- the address a program gave ---- */

struct given {
	uint16_t family; /* AF_UNSPEC: too short to tell */
	uint16_t port;   /* host byte order, 0 if the address is too short */
	bool whole;      /* an AF_INET or AF_INET6 address, and long enough */
	bool mapped;
	uint8_t ipv4[4]; /* of an AF_INET or a mapped address */
};

enum locality {
	LOCALITY_OWN,       /* or the wildcard */
	LOCALITY_LOOPBACK,  /* 127.0.0.2 and its like, and nobody added them */
	LOCALITY_MULTICAST,
	LOCALITY_BROADCAST, /* 255.255.255.255 */
	LOCALITY_FOREIGN,
	LOCALITY_UNKNOWN    /* the host knows */
};

struct given given_address(const struct question *);
bool given_is_any(const struct question *, const struct given *);
enum locality given_locality(const struct question *, const struct given *);
/* The same with the profile's trait `loopback': is the address one of the machine's?  An unknown one counts. */
bool given_is_own(const struct question *, const struct given *);
/* What a connect() is refused for: a TCP socket that listens or is connected (EISCONN), and what is wrong with the address: its
 * family, its length, an IPv4 one for an IPv6-only socket, or TCP to nobody's, which there is no route to. */
struct connect_rules {
	int listening, family, length, mapped;
	const struct rule *listens, *used, *malformed, *unreachable;
};
bool connect_denied(const struct question *, const struct given *, const struct connect_rules *, struct verdict *);
/* The same; what is not refused goes to the loopback address if it was meant for 0.0.0.0 or ::. */
bool connect_by_rules(const struct question *, const struct connect_rules *, struct verdict *, struct sockaddr_storage *to, uint32_t *to_length);
/* A connect() to 0.0.0.0 or :: goes to the loopback address. */
void given_to_loopback(const struct question *, const struct given *, struct sockaddr_storage *to, uint32_t *to_length);

/* ---- what happens to a connection ---- */

/* Systems that answer with one errno for each event, and TCP alone minds an existing connection. */
struct event_rules {
	int full, no_port;
	uint32_t over; /* VERDICT_* when it was refused, and when it is over */
	const struct rule *refused, *queue, *tuple, *port;
};
void event_by_rules(const struct question *, enum event, const struct event_rules *, struct verdict *);

/* ---- options ---- */

/* Numbers no Linux option has, beside those of fakebind.h. */
#define SOL_SOCKET_FOREIGN 0xffff /* SOL_SOCKET of illumos and Windows */
#define EXCLUSIVE_WINDOWS (~4)    /* SO_EXCLUSIVEADDRUSE of Windows itself */

/* An option that is one bit, or (bit 0) one that the system does not have. */
struct option_row {
	int level, name;
	uint32_t bit;
	int32_t shown;   /* what getsockopt() gives when it is on */
	bool unbound;    /* EINVAL once the socket has a port */
};

struct option_rules {
	const struct rule *ok, *unknown, *length, *late;
	bool counts_at_bind; /* what changes after the bind is shown to the program only */
};

/* The first row that fits; the last row has level -1.  Without one the host's answer passes. */
void option_by_rows(const struct option_question *, const struct option_row *, const struct option_rules *, struct option_answer *);

/* counts_at_bind: the options as the program sees them.  What differs is marked a half word higher. */
#define OPTIONS_SHOWN(options) ((options) ^ (options) >> 16)
#define OPTIONS_HIDDEN(options) ((options) | (options) << 16) /* they count, and are shown as off */

/* shutdown() of what is no connection: ENOTCONN, as far as the state leaves no doubt. */
bool shutdown_refused(const struct question *, const struct rule *, struct verdict *);
/* listen() by the socket's kind and state: EOPNOTSUPP of UDP, EINVAL of a connection, success where it listens already. */
bool listen_decided(const struct question *, const struct rule *udp, const struct rule *connected, const struct rule *again, struct verdict *);
/* accept() of what is no listener: EINVAL, EOPNOTSUPP of UDP, as far as the state leaves no doubt; an unbound descriptor may be an
 * inherited listener. */
bool accept_refused(const struct question *, const struct rule *, struct verdict *);

/* ---- functions of struct family ---- */

/* Of a system unlike the host: whose a socket is, whom no registry has, and
 * whether there may be one. */
uint32_t family_asks(const struct profile *);
uint32_t family_bucket(const struct profile *, enum protocol, uint16_t port);
int family_error(const struct profile *, enum call, int host_errno);
bool family_anchors(const struct profile *, const struct holder *claim);
/* By the trait v6only_default. */
uint32_t family_fresh(const struct profile *, uint8_t domain, enum protocol);
/* All of 127.0.0.0/8 is local, but 127.0.0.1 is the interface's address (Linux: the local table's preferred source;
 * gVisor pkg/tcpip/stack/addressable_endpoint_state.go AcquireOutgoingPrimaryAddress(); Windows by RFC 6724). */
void family_source(const struct profile *, const struct holder *socket, const uint8_t *to, uint8_t *from);
/* From port_first to port_last, from a random one upwards. */
uint16_t family_port(const struct profile *, enum call, const struct holder *claim, uint32_t start, uint32_t attempt);
/* Who closed first waits for the trait time_wait, in FIN_WAIT_2 as in TIME_WAIT. */
enum state family_released(const struct profile *, const struct holder *, bool active, uint32_t *milliseconds);

#endif

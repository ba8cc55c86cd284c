/* SPDX-License-Identifier: MIT */
/* Scenarios of two sockets on one port, in every combination that decides something. */
#ifndef FAKEBIND_GRID_H
#define FAKEBIND_GRID_H

#include <stdio.h>

#include "scenario.h"

/* The first socket, a, when the second, b, is bound. */
enum grid_state {
	GRID_BOUND,
	GRID_LISTENING,
	GRID_CONNECTED, /* it listens and has accepted a connection */
	GRID_CLOSED,    /* that listener is closed, the connection not */
	GRID_TIMEWAIT,  /* the accepted socket is closed, too */
	GRID_STATES
};

#define GRID_UDP_STATES 1 /* a UDP socket is bound, and no more */

#define GRID_REUSEADDR 0x1u
#define GRID_REUSEPORT 0x2u
#define GRID_EXCLUSIVE 0x4u
#define GRID_REUSEPORT_LB 0x8u

struct grid_place {
	char letter;
	bool ipv6, v6only;
	const char *address;
};

struct grid_socket {
	const struct grid_place *place;
	unsigned options; /* GRID_REUSEADDR ... */
};

struct grid_pair {
	bool tcp;
	enum grid_state state;
	bool other_user; /* b is another user's, neither is root's; else both are root's */
	struct grid_socket a, b;
};

#define GRID_PLACES 6
extern const struct grid_place grid_places[GRID_PLACES];
extern const char *const grid_states[GRID_STATES];

/*
 * Named PROTOCOL A B [STATE] [user], joined by `--'.  A is bound first, B after it; each is an address (w 0.0.0.0,
 * l 127.0.0.1, W [::], V [::] with IPV6_V6ONLY, L [::1], m [::ffff:127.0.0.1]), its SO_REUSEADDR and its
 * SO_REUSEPORT, 0 or 1, then x for an exclusive socket, b for SO_REUSEPORT_LB.  The steps of B are the last ones.
 */
void grid_write(FILE *, const struct grid_pair *);

/* The sockets that all systems understand: every place without options, with SO_REUSEPORT, SO_REUSEADDR and both. */
#define GRID_OPTIONS 4
#define GRID_SOCKETS (GRID_PLACES * GRID_OPTIONS)

/* Every pair of them, of a protocol and a state; the second socket changes fastest.  False after an error. */
bool grid_pairs(struct scenario_list *, bool tcp, enum grid_state, bool other_user);
/* The pairs that `fakebind compare' tries: connections are IPv4 or IPv6 on both sides. */
bool grid_scenarios(struct scenario_list *);

/* The step prepares what is asked about: the first socket and what became of it. */
bool grid_prepares(const struct scenario *, const struct step *);
/* A program goes on without an option or another user; nothing that follows any other failure says anything. */
bool grid_is_optional(const struct step *);

#endif

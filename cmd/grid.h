/* SPDX-License-Identifier: MIT */
/* Scenarios of two sockets on one port, in every combination that decides something. */
#ifndef FAKEBIND_GRID_H
#define FAKEBIND_GRID_H

#include "scenario.h"

/*
 * Named PROTOCOL A B [WHAT], joined by `--'.  A is bound first, B after it; each is an address (w 0.0.0.0,
 * l 127.0.0.1, W [::], V [::] with IPV6_V6ONLY, L [::1], m [::ffff:127.0.0.1]), its SO_REUSEADDR and its
 * SO_REUSEPORT, 0 or 1.  WHAT becomes of A before B is bound: `listening', `connected' (it listens and has
 * accepted a connection), `closed' (that listener is closed, the connection not), `timewait' (the accepted
 * socket is closed, too), and `user' (B belongs to another user, neither to root).
 */
bool grid_scenarios(struct scenario_list *);

#endif

/* SPDX-License-Identifier: MIT */
/* Holders that no registry has: accepted sockets, clients, and what connections leave behind. */
#ifndef FAKEBIND_UNSEEN_H
#define FAKEBIND_UNSEEN_H

#include "../host/diag.h"
#include "decide.h"

/* Judges d->claim by all that the kernel lists on its port: with the registry's word on options where it has one,
 * else what an accepted socket has from its listener.  False: the kernel could not be asked, and nothing changed. */
SELDOM bool unseen_decide(struct decision *d);

/* The options of a connected socket (local address and port in it) that the registry does not have. */
SELDOM void unseen_options(struct holder *);

/* What the system still has of a socket in the kernel's list: STATE_UNBOUND if its remnant is over. */
SELDOM enum state unseen_remains(const struct diag_socket *);

/* Makes it one that the registry has.  options: OPTION_CHILD or those of a client, beside the slot's; 0: the listener's. */
void unseen_record(int fd, struct slot *, uint32_t options);

/* Is the very connection in TIME_WAIT that would be made? */
SELDOM bool unseen_twin(const struct holder *from, const struct holder *to);

/*
 * Remnants that live longer than the host's, or accepted sockets that hold their port when their connection is over:
 * session.remembers.  The registry has the connections then, and what they left behind, as of the last look at the host's list.
 */
SELDOM bool unseen_remembers(void);
/* Does a remnant in the registry count?  While the host has remnants of its time, its own list tells. */
bool unseen_stands(const struct holder *remnant);
/* Looks.  This and unseen_closing(): only if session.remembers. */
void unseen_remember(enum protocol, uint16_t port);
/* An accepted descriptor; and before a connection's is closed: the port to look at afterwards, 0 for none. */
void unseen_accepted(int fd, const struct slot *listener);
uint16_t unseen_closing(int fd);

#endif

/* SPDX-License-Identifier: MIT */
/* Holders that no registry has: accepted sockets, clients, and what connections leave behind. */
#ifndef FAKEBIND_UNSEEN_H
#define FAKEBIND_UNSEEN_H

#include "decide.h"

/* Judges d->claim by all that the kernel lists on its port: with the registry's word on options where it has one,
 * else what an accepted socket has from its listener.  False: the kernel could not be asked, and nothing changed. */
bool unseen_decide(struct decision *d);

/* The options of a connected socket (local address and port in it) that the registry does not have. */
void unseen_options(struct holder *);

#endif

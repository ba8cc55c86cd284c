/* SPDX-License-Identifier: MIT */
/* Making the host allow what a profile allows, and asking it with nothing allowed. */
#ifndef FAKEBIND_PERMIT_H
#define FAKEBIND_PERMIT_H

#include <stdbool.h>
#include <sys/socket.h>

#include "../rules/rules.h"

/* Each takes the claim: its protocol, domain and the program's own options. */

/* bind() with the socket's own SO_REUSEADDR and SO_REUSEPORT taken off for the moment: it succeeds only
 * where nothing overlapping is bound at all, and gives argument errors in the kernel's order. */
int permit_plain_bind(int fd, const struct holder *, const struct sockaddr *, socklen_t);

/* bind() that only sockets from outside can refuse.  Plain first: that keeps the host from handing out
 * used ports for port 0, and a socket that meets nobody needs its options only afterwards.
 * any_address: addresses that are not this host's are bound too (IP_FREEBIND).
 * *plain: nothing overlapping was there.  The program's own options must not be set on the host. */
int permit_bind(int fd, const struct holder *, const struct sockaddr *, socklen_t, bool any_address, bool *plain);

/* Before an autobinding listen() or a connect(): later binds may overlap this one. */
void permit_reuse(int fd, const struct holder *);

/* Puts a new, unbound socket of the same kind in fd's place (this descriptor only; O_NONBLOCK and
 * FD_CLOEXEC are kept, other options are not). */
void permit_replace(int fd);

#endif

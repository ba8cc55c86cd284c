/* SPDX-License-Identifier: MIT */
/* Making the host allow what a profile allows, and asking it with nothing allowed. */
#ifndef FAKEBIND_PERMIT_H
#define FAKEBIND_PERMIT_H

#include <stdbool.h>
#include <sys/socket.h>

#include "../rules/rules.h"
#include "../seldom.h"

/* Each takes the claim: its protocol, domain and the program's own options. */

/* bind() with the socket's own SO_REUSEADDR and SO_REUSEPORT taken off for the moment: it succeeds only
 * where nothing overlapping is bound at all, and gives argument errors in the kernel's order. */
SELDOM int permit_plain_bind(int fd, const struct holder *, const struct sockaddr *, socklen_t);

/* Before a bind() or connect() that the profile allows: the host has no IPv4-mapped address where IPV6_V6ONLY is on. */
void permit_mapped(int fd, const struct holder *);

/* bind() with nothing permitted, but the socket gets SO_REUSEADDR when it succeeds (and SO_REUSEPORT if the program
 * asked for it: it may have plans for the group): that keeps the host from handing out used ports for port 0, and a
 * socket that meets nobody needs its options only afterwards.
 * any_address: addresses that are not this host's are bound too (IP_FREEBIND).  The program's own options must not
 * be set on the host.  0: nothing overlapping was there. */
int permit_first_bind(int fd, const struct holder *, const struct sockaddr *, socklen_t, bool any_address);

/* bind() that only sockets from outside can refuse.  afterwards: the options the host socket is to have then, or
 * PERMIT_KEEP for the permissive ones. */
#define PERMIT_KEEP UINT32_MAX
SELDOM int permit_bind(int fd, const struct holder *, const struct sockaddr *, socklen_t, uint32_t afterwards);

/* listen() that only sockets from outside can refuse.  SO_REUSEPORT lets others listen beside it.  Before listen() it
 * would begin a group (net/core/sock_reuseport.c reuseport_alloc()), which costs; if the program did not ask for one,
 * the second listener begins it (reuseport_add_sock()). */
int permit_listen(int fd, const struct holder *, int backlog);

/* SO_REUSEADDR and SO_REUSEPORT as in options, no others. */
SELDOM void permit_exactly(int fd, uint32_t options);
/* Which of these two the host's socket has. */
SELDOM uint32_t permit_options(int fd);

/* Before an autobinding listen() or a connect(): later binds may overlap this one. */
void permit_reuse(int fd, const struct holder *);

/* Has nobody at all this port, on any address?  False also where that cannot be known (EACCES). */
SELDOM bool permit_port_is_free(enum protocol, uint16_t port);

/* What the machine says to the claim's address, whoever has its port: EADDRNOTAVAIL if it is none of its own, EINVAL if no
 * such socket can have it, or 0. */
SELDOM int permit_address_error(const struct holder *);

/* Puts a new, unbound socket of the same kind in fd's place (this descriptor only; O_NONBLOCK and FD_CLOEXEC are kept,
 * other options are not).  v6only: the program's own, for a bind or the permission to connect has changed the host's. */
SELDOM void permit_replace(int fd, bool v6only);
/* Makes the one a duplicate of the other; FD_CLOEXEC stays. */
SELDOM void permit_duplicate(int fd, int onto);

#endif

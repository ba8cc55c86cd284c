/* SPDX-License-Identifier: MIT */
/*
 * sock_diag(7): the kernel's own list of who has a port.  It shows sockets of all processes and users,
 * children nobody accepted yet, remnants in TIME_WAIT and FIN_WAIT2 and, since Linux 6.8, TCP sockets
 * that are only bound (before that those are missing: diag_complete()).
 */
#ifndef FAKEBIND_DIAG_H
#define FAKEBIND_DIAG_H

#include "../rules/rules.h"
#include "../seldom.h"

struct diag_socket {
	struct holder holder; /* options: only OPTION_V6ONLY and OPTION_ENDS can be told */
	struct holder peer;   /* of a connection: domain, address and port */
	uint32_t inode;       /* 0: no descriptor (remnant, orphan, child not accepted yet) */
	uint32_t timer_ms;    /* TIME_WAIT: what is left of it */
	bool half_closed;     /* a remnant in FIN_WAIT2: the other side has not closed */
	bool closing;         /* it closed first and has no descriptor any more: a remnant soon */
};

enum diag_what { DIAG_LISTENING, DIAG_ALL };

/* Calls `each` for every owner of the port (0: of any) until it returns false.  0, or -errno: then nothing is known.
 * A dump is a walk, not a snapshot. */
SELDOM int diag_dump(enum protocol, uint16_t port, enum diag_what, bool (*each)(void *, const struct diag_socket *), void *context);

/* Does a dump show TCP sockets that are only bound?  (Linux >= 6.8) */
SELDOM bool diag_complete(void);

#endif

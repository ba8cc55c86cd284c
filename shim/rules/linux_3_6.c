/* SPDX-License-Identifier: MIT */
/*
 * How 3.6 chooses the port of bind(0): net/ipv4/inet_connection_sock.c inet_csk_get_port() with its rover,
 * smallest_size, relax and attempts.  A port that SO_REUSEADDR sockets have may be given out again once all are
 * taken.  The test that ends the search early when there are more sockets than ports (bsockets) changes nothing.
 */
#include "linux.h"

#define ATTEMPTS 5

/* From the random one on, upwards and around; the smallest of those that could be shared. */
static int pass(const struct linux_3_6_port *ports, uint32_t count, uint32_t rover, bool reuses, int *smallest)
{
	*smallest = -1;
	for (uint32_t i = 0; i < count; i++) {
		int at = (int)((rover + i) % count);

		if (!ports[at].owners || !ports[at].overlaps)
			return at;
		if (reuses && ports[at].fastreuse && (*smallest < 0 || ports[at].owners < ports[*smallest].owners))
			*smallest = at;
	}
	return -1;
}

int linux_3_6_choose_port(const struct linux_3_6_port *ports, uint32_t count, bool reuses, const uint32_t *random)
{
	for (int attempt = 0; attempt <= ATTEMPTS; attempt++) {
		int smallest, found = pass(ports, count, random[attempt] % count, reuses, &smallest);

		if (found >= 0)
			return found;
		if (smallest < 0)
			return -1;
		if (!ports[smallest].conflicts)
			return smallest;
	}
	return -1;
}

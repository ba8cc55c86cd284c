/* SPDX-License-Identifier: MIT */
/*
 * Two sockets on one address and port.  The first always sets SO_REUSEADDR, the second only with
 * --reuse: whose flag counts is what the systems disagree about.
 */
#include "seed.h"

static const char help[] = "multi-bind [--reuse | --no-reuse] [PORT]";

int main(int argc, char **argv)
{
	bool reuse = false;
	uint16_t port = SEED_PORT;

	for (char **arg = argv + 1; arg < argv + argc; arg++) {
		if (strcmp(*arg, "--reuse") == 0)
			reuse = true;
		else if (strcmp(*arg, "--no-reuse") == 0)
			reuse = false;
		else if (**arg == '-')
			usage(help);
		else
			port = parse_port(*arg);
	}

	int first = tcp_socket(true);
	tcp_bind(first, htonl(INADDR_LOOPBACK), port, "ERROR on binding first socket");

	int second = tcp_socket(reuse);
	tcp_bind(second, htonl(INADDR_LOOPBACK), port, "ERROR on binding second socket");

	printf("Both sockets bound successfully to port %d\n", port);
	close(second);
	close(first);
	return EXIT_SUCCESS;
}

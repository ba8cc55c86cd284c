/* SPDX-License-Identifier: MIT */
/*
 * The seed's echo server on 0.0.0.0: one message a client.  It closes first, so that the TIME_WAIT
 * is on its own port.  With --once it ends after one client, as the seed's third program.
 */
#include "seed.h"

static const char help[] = "echo-server [--once] [--no-reuse] [PORT]";

static void echo(int connection)
{
	char data[1024];
	ssize_t got = recv(connection, data, sizeof(data), 0);

	if (got < 0)
		die("recv failed");
	send_all(connection, data, (size_t)got);
}

int main(int argc, char **argv)
{
	bool once = false, reuse = true;
	uint16_t port = SEED_PORT;

	for (char **arg = argv + 1; arg < argv + argc; arg++) {
		if (strcmp(*arg, "--once") == 0)
			once = true;
		else if (strcmp(*arg, "--no-reuse") == 0)
			reuse = false;
		else if (**arg == '-')
			usage(help);
		else
			port = parse_port(*arg);
	}

	int listener = tcp_socket(reuse);
	tcp_bind(listener, htonl(INADDR_ANY), port, "bind failed");
	if (listen(listener, BACKLOG) != 0)
		die("listen failed");
	printf("Echo server on port %d\n", port);
	fflush(stdout);

	do {
		int connection = tcp_accept(listener);

		echo(connection);
		close(connection);
	} while (!once);
	close(listener);
	return EXIT_SUCCESS;
}

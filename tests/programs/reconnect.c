/* SPDX-License-Identifier: MIT */
/*
 * A server that is restarted: serve one client until it ends, close the listener, bind the same
 * address again.  The connection is left open on purpose, as in the seed: on Linux it is this
 * CLOSE_WAIT socket, not a TIME_WAIT one, that refuses a second socket without SO_REUSEADDR.
 */
#include "seed.h"

static const char help[] = "reconnect [--reuse | --no-reuse] [PORT]";

static int open_numbered(int number, bool reuse, uint16_t port)
{
	char complaint[32];
	int fd = tcp_socket(reuse);

	snprintf(complaint, sizeof(complaint), "Bind failed for socket %d", number);
	tcp_bind(fd, htonl(INADDR_LOOPBACK), port, complaint);
	printf("Socket %d bound successfully to port %d\n", number, port);
	return fd;
}

static void close_numbered(int number, int fd)
{
	close(fd);
	printf("Socket %d closed\n", number);
}

/* Without the line ends a telnet sends. */
static void print_message(int connection)
{
	char message[256];
	size_t length = receive_all(connection, message, sizeof(message));

	while (length > 0 && (message[length - 1] == '\n' || message[length - 1] == '\r'))
		length--;
	printf("Message from client: %.*s\n", (int)length, message);
}

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

	int first = open_numbered(1, true, port);
	if (listen(first, BACKLOG) != 0)
		die("listen failed");
	print_message(tcp_accept(first));
	close_numbered(1, first);

	int second = open_numbered(2, reuse, port);
	close(second);
	return EXIT_SUCCESS;
}

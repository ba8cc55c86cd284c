/* SPDX-License-Identifier: MIT */
/*
 * Sends one message, prints what comes back.  By default it connects to 0.0.0.0, as the seed's
 * client did (it never set sin_addr): Linux takes that for the loopback address, Starry does not.
 */
#include "seed.h"

static const char help[] = "echo-client [ADDRESS [PORT]]";
static const char message[] = "Hello from the client";

static void connect_to(int fd, const char *address, uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };

	if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
		usage(help);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
		die("ERROR connecting");
}

int main(int argc, char **argv)
{
	const char *address = argc > 1 ? argv[1] : "0.0.0.0";
	uint16_t port = argc > 2 ? parse_port(argv[2]) : SEED_PORT;
	char reply[256];

	if (argc > 3)
		usage(help);

	int fd = tcp_socket(false);
	connect_to(fd, address, port);
	send_all(fd, message, strlen(message));
	/* Not before the server closes: the TIME_WAIT is to be the server's. */
	printf("Reply from server: %.*s\n", (int)receive_all(fd, reply, sizeof(reply)), reply);
	close(fd);
	return EXIT_SUCCESS;
}

/* SPDX-License-Identifier: MIT */
/*
 * What the seed's programs share.  They are the programs of the request that fakebind grew from
 * (Starry-OS/Starry issue 9), written anew; the lines they print are part of what is tested.
 */
#ifndef SEED_H
#define SEED_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SEED_PORT = 12345, BACKLOG = 5 };

static inline _Noreturn void die(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

static inline _Noreturn void usage(const char *text)
{
	fprintf(stderr, "usage: %s\n", text);
	exit(2);
}

static inline uint16_t parse_port(const char *text)
{
	char *end;
	unsigned long port = strtoul(text, &end, 10);

	if (*text == '\0' || *end != '\0' || port == 0 || port > UINT16_MAX) {
		fprintf(stderr, "not a port: %s\n", text);
		exit(2);
	}
	return (uint16_t)port;
}

static inline int tcp_socket(bool reuse)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0)
		die("socket failed");
	if (reuse && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)) != 0)
		die("setsockopt failed");
	return fd;
}

static inline void tcp_bind(int fd, in_addr_t address, uint16_t port, const char *complaint)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = address,
	};

	if (bind(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
		die(complaint);
}

static inline int tcp_accept(int fd)
{
	struct sockaddr_in peer;
	socklen_t length = sizeof(peer); /* Starry's accept() refuses a null address */
	int connection = accept(fd, (struct sockaddr *)&peer, &length);

	if (connection < 0)
		die("accept failed");
	return connection;
}

static inline void send_all(int fd, const char *data, size_t length)
{
	while (length > 0) {
		ssize_t sent = send(fd, data, length, MSG_NOSIGNAL);

		if (sent < 0)
			die("send failed");
		data += sent;
		length -= (size_t)sent;
	}
}

/* Everything up to the other side's end, at most size bytes. */
static inline size_t receive_all(int fd, char *data, size_t size)
{
	size_t length = 0;
	ssize_t got;

	do {
		got = recv(fd, data + length, size - length, 0);
		if (got < 0)
			die("recv failed");
		length += (size_t)got;
	} while (got > 0 && length < size);
	return length;
}

#endif

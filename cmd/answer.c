/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "answer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "errno_name.h"
#include "include/fakebind.h"

socklen_t endpoint_sockaddr(const struct endpoint *where, unsigned first_port, struct sockaddr_storage *to)
{
	uint16_t port = htons((uint16_t)(where->own ? first_port + where->port : where->port));
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = port };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = port };

	memset(to, 0, sizeof(*to));
	if (where->family == AF_INET) {
		memcpy(&in.sin_addr, where->address, sizeof(in.sin_addr));
		memcpy(to, &in, sizeof(in));
		return sizeof(in);
	}
	memcpy(&in6.sin6_addr, where->address, sizeof(in6.sin6_addr));
	memcpy(to, &in6, sizeof(in6));
	return sizeof(in6);
}

static void format_port(unsigned port, unsigned first_port, char *text, size_t size)
{
	if (!port)
		snprintf(text, size, "0");
	else if (port >= first_port && port < first_port + SCENARIO_PORTS)
		snprintf(text, size, "P%u", port - first_port);
	else
		snprintf(text, size, "eph");
}

void answer_address(char answer[ANSWER_MAX], const struct sockaddr_storage *from, unsigned first_port)
{
	char address[INET6_ADDRSTRLEN] = "?";
	char port[16];
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	if (from->ss_family == AF_INET) {
		memcpy(&in, from, sizeof(in));
		inet_ntop(AF_INET, &in.sin_addr, address, sizeof(address));
		format_port(ntohs(in.sin_port), first_port, port, sizeof(port));
		snprintf(answer, ANSWER_MAX, "%s:%s", address, port);
		return;
	}
	memcpy(&in6, from, sizeof(in6));
	inet_ntop(AF_INET6, &in6.sin6_addr, address, sizeof(address));
	format_port(ntohs(in6.sin6_port), first_port, port, sizeof(port));
	snprintf(answer, ANSWER_MAX, "[%s]:%s", address, port);
}

void answer_errno(char answer[ANSWER_MAX], int error)
{
	snprintf(answer, ANSWER_MAX, "%s", errno_name(error));
}

void kind_numbers(enum socket_kind kind, int *domain, int *type)
{
	*domain = kind == SOCKET_TCP6 || kind == SOCKET_UDP6 ? AF_INET6 : AF_INET;
	*type = kind == SOCKET_TCP4 || kind == SOCKET_TCP6 ? SOCK_STREAM : SOCK_DGRAM;
}

void option_numbers(enum socket_option option, int *level, int *name)
{
	static const int names[] = {
		[SOCKET_REUSEADDR] = SO_REUSEADDR, [SOCKET_REUSEPORT] = SO_REUSEPORT, [SOCKET_V6ONLY] = IPV6_V6ONLY,
		[SOCKET_ERROR] = SO_ERROR, [SOCKET_REUSEPORT_LB] = FAKEBIND_SO_REUSEPORT_LB,
		[SOCKET_EXCLUSIVE] = FAKEBIND_SO_EXCLUSIVE,
	};

	*level = option == SOCKET_V6ONLY ? IPPROTO_IPV6 : SOL_SOCKET;
	*name = names[option];
}

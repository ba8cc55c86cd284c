/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "play_real.h"

#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shim/host/raw.h"

#define FIRST_PORT 10000

void real_player_init(struct real_player *player)
{
	FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "r");

	/* The kernel's default (net/ipv4/af_inet.c inet_init_net, 6.18). */
	*player = (struct real_player){ RECORDED_WAITS, FIRST_PORT, 32768, 60999 };
	if (!file)
		return;
	if (fscanf(file, "%u %u", &player->ephemeral_first, &player->ephemeral_last) != 2) {
		player->ephemeral_first = 32768;
		player->ephemeral_last = 60999;
	}
	fclose(file);
}

/* Nothing at all has the port, TIME_WAIT included.  A preloaded library must not take these binds for the
 * scenario's. */
static bool port_free(int type, uint16_t port)
{
	struct sockaddr_in6 any6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(port) };
	long fd = raw_call(SYS_socket, AF_INET6, type);
	long result;

	if (fd >= 0) {
		result = raw_call(SYS_bind, fd, (long)&any6, sizeof(any6));
	} else {
		fd = raw_call(SYS_socket, AF_INET, type);
		result = raw_call(SYS_bind, fd, (long)&any, sizeof(any));
	}
	raw_call(SYS_close, fd);
	return !result;
}

static bool block_free(const struct real_player *player, unsigned first, unsigned count)
{
	if (first + SCENARIO_PORTS > player->ephemeral_first && first <= player->ephemeral_last)
		return false;
	for (unsigned i = 0; i < count; i++)
		if (!port_free(SOCK_STREAM, (uint16_t)(first + i)) || !port_free(SOCK_DGRAM, (uint16_t)(first + i)))
			return false;
	return true;
}

/* 0: all are taken. */
static unsigned take_block(struct real_player *player, unsigned count)
{
	for (unsigned tries = 0; tries < (65536 - FIRST_PORT) / SCENARIO_PORTS; tries++) {
		unsigned first = player->next;

		player->next += SCENARIO_PORTS;
		if (player->next + SCENARIO_PORTS > 65536)
			player->next = FIRST_PORT;
		if (block_free(player, first, count))
			return first;
	}
	return 0;
}

bool play_real(struct real_player *player, const struct scenario *scenario, answer_function *answer, void *context)
{
	uid_t uid = geteuid();
	struct stage stage = { .scenario = scenario, .waits = player->waits, .first_port = take_block(player, scenario->ports) };
	bool restored;

	if (!stage.first_port)
		return false;
	stage_open(&stage);
	stage_play(&stage, answer, context);
	restored = seteuid(uid) == 0;
	stage_close(&stage);
	return restored;
}

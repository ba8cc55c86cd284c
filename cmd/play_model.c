/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "play_model.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "world.h"

#define FIRST_PORT 10001 /* P0; no multiple of a hash table's size */

struct process {
	size_t socket;
	int number; /* -1: killed */
};

struct stage {
	struct world *world;
	int *fds; /* by name; -1: none */
	struct process *processes;
	size_t process_count;
	char answer[ANSWER_MAX];
};

static void answer_result(struct stage *stage, int result)
{
	answer_errno(stage->answer, result < 0 ? errno : 0);
}

static void set_socket(struct stage *stage, size_t name, int fd)
{
	if (stage->fds[name] >= 0)
		world_close(stage->world, stage->fds[name]);
	stage->fds[name] = fd;
}

/* The socket a call gave gets its name; after a failure the name stays what it was. */
static void answer_socket(struct stage *stage, size_t name, int fd)
{
	answer_result(stage, fd);
	if (fd >= 0)
		set_socket(stage, name, fd);
}

static void play_socket(struct stage *stage, const struct step *step)
{
	int domain, type;

	kind_numbers(step->kind, &domain, &type);
	set_socket(stage, step->socket, -1);
	answer_socket(stage, step->socket, world_socket(stage->world, domain, type));
}

static void play_set(struct stage *stage, const struct step *step, int fd)
{
	int level, name;

	option_numbers(step->option, &level, &name);
	answer_result(stage, world_setsockopt(stage->world, fd, level, name, &step->number, sizeof step->number));
}

static void play_get(struct stage *stage, const struct step *step, int fd)
{
	int level, name, value = 0;
	socklen_t length = sizeof value;

	option_numbers(step->option, &level, &name);
	if (world_getsockopt(stage->world, fd, level, name, &value, &length) < 0)
		answer_errno(stage->answer, errno);
	else if (step->option == SOCKET_ERROR && value)
		answer_errno(stage->answer, value);
	else
		snprintf(stage->answer, sizeof stage->answer, "%d", value);
}

static void play_bind(struct stage *stage, const struct step *step, int fd)
{
	struct sockaddr_storage address;
	socklen_t length = endpoint_sockaddr(&step->where, FIRST_PORT, &address);

	if (step->has_number)
		length = (socklen_t)step->number;
	answer_result(stage, world_bind(stage->world, fd, (struct sockaddr *)&address, length));
}

static void play_connect(struct stage *stage, const struct step *step, int fd)
{
	struct sockaddr_storage address;
	socklen_t length = endpoint_sockaddr(&step->where, FIRST_PORT, &address);
	int result = world_connect(stage->world, fd, (struct sockaddr *)&address, length);

	answer_result(stage, result);
	if (result < 0 && errno == ETIMEDOUT)
		world_sleep(stage->world, CONNECT_MS);
}

static void play_accept(struct stage *stage, const struct step *step, int fd)
{
	int made = world_accept(stage->world, fd);

	if (made < 0 && errno == EAGAIN)
		world_sleep(stage->world, ACCEPT_MS);
	answer_socket(stage, step->other, made);
}

static void play_close(struct stage *stage, const struct step *step, int fd)
{
	answer_result(stage, world_close(stage->world, fd));
	stage->fds[step->socket] = -1;
}

static void play_dup2(struct stage *stage, const struct step *step, int fd)
{
	/* A closed T has no descriptor to be put over. */
	if (stage->fds[step->other] < 0)
		answer_errno(stage->answer, EBADF);
	else
		answer_result(stage, world_dup2(stage->world, fd, stage->fds[step->other]));
}

static void play_name(struct stage *stage, int (*call)(struct world *, int, struct sockaddr_storage *), int fd)
{
	struct sockaddr_storage address;

	if (call(stage->world, fd, &address) < 0)
		answer_errno(stage->answer, errno);
	else
		answer_address(stage->answer, &address, FIRST_PORT);
}

static void play_send(struct stage *stage, const struct step *step, int fd)
{
	struct sockaddr_storage address;
	socklen_t length = endpoint_sockaddr(&step->where, FIRST_PORT, &address);
	const struct sockaddr *to = step->operation == OPERATION_SENDTO ? (struct sockaddr *)&address : NULL;

	answer_result(stage, world_send(stage->world, fd, step->text, strlen(step->text), to, to ? length : 0) < 0 ? -1 : 0);
}

static void play_recv(struct stage *stage, int fd)
{
	char text[ANSWER_MAX - sizeof "got:"];
	ssize_t length = world_recv(stage->world, fd, text, sizeof text);

	if (length >= 0) {
		snprintf(stage->answer, sizeof stage->answer, "got:%.*s", (int)length, text);
		return;
	}
	answer_errno(stage->answer, errno);
	if (errno == EAGAIN)
		world_sleep(stage->world, RECV_MS);
}

static void play_join(struct stage *stage, const struct step *step, int fd)
{
	struct ip_mreq membership;

	memcpy(&membership.imr_multiaddr, step->where.address, sizeof membership.imr_multiaddr);
	memcpy(&membership.imr_interface, step->interface.address, sizeof membership.imr_interface);
	answer_result(stage, world_setsockopt(stage->world, fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &membership, sizeof membership));
}

static void play_linger(struct stage *stage, const struct step *step, int fd)
{
	struct linger linger = { .l_onoff = 1, .l_linger = step->number };

	answer_result(stage, world_setsockopt(stage->world, fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
}

static void play_device(struct stage *stage, const struct step *step, int fd)
{
	answer_result(stage, world_setsockopt(stage->world, fd, SOL_SOCKET, SO_BINDTODEVICE, step->text, (socklen_t)strlen(step->text)));
}

static void play_fork(struct stage *stage, const struct step *step, int fd)
{
	int number = world_fork(stage->world, fd);

	answer_result(stage, number);
	if (number >= 0)
		stage->processes[stage->process_count++] = (struct process){ step->socket, number };
}

static void play_kill(struct stage *stage, const struct step *step)
{
	size_t i = stage->process_count;

	while (i && !(stage->processes[i - 1].number >= 0 && stage->processes[i - 1].socket == step->socket))
		i--;
	if (i) {
		world_exit(stage->world, stage->processes[i - 1].number);
		stage->processes[i - 1].number = -1;
	}
	answer_errno(stage->answer, i ? 0 : ESRCH);
}

static void play_step(struct stage *stage, const struct step *step)
{
	int fd = stage->fds[step->socket];

	answer_errno(stage->answer, 0);
	switch (step->operation) {
	case OPERATION_SOCKET:
		play_socket(stage, step);
		break;
	case OPERATION_SET:
		play_set(stage, step, fd);
		break;
	case OPERATION_GET:
		play_get(stage, step, fd);
		break;
	case OPERATION_BIND:
		play_bind(stage, step, fd);
		break;
	case OPERATION_LISTEN:
		answer_result(stage, world_listen(stage->world, fd, step->has_number ? step->number : DEFAULT_BACKLOG));
		break;
	case OPERATION_CONNECT:
		play_connect(stage, step, fd);
		break;
	case OPERATION_ACCEPT:
		play_accept(stage, step, fd);
		break;
	case OPERATION_CLOSE:
		play_close(stage, step, fd);
		break;
	case OPERATION_SHUTDOWN:
		answer_result(stage, world_shutdown(stage->world, fd, step->number));
		break;
	case OPERATION_DUP:
		answer_socket(stage, step->other, world_dup(stage->world, fd));
		break;
	case OPERATION_DUP2:
		play_dup2(stage, step, fd);
		break;
	case OPERATION_NAME:
		play_name(stage, world_getsockname, fd);
		break;
	case OPERATION_PEER:
		play_name(stage, world_getpeername, fd);
		break;
	case OPERATION_SEND:
	case OPERATION_SENDTO:
		play_send(stage, step, fd);
		break;
	case OPERATION_RECV:
		play_recv(stage, fd);
		break;
	case OPERATION_JOIN:
		play_join(stage, step, fd);
		break;
	case OPERATION_LINGER:
		play_linger(stage, step, fd);
		break;
	case OPERATION_DEVICE:
		play_device(stage, step, fd);
		break;
	case OPERATION_FORK:
		play_fork(stage, step, fd);
		break;
	case OPERATION_KILL:
		play_kill(stage, step);
		break;
	case OPERATION_UID:
		answer_result(stage, world_seteuid(stage->world, (uint32_t)step->number));
		break;
	case OPERATION_SLEEP:
		world_sleep(stage->world, (uint64_t)step->number);
		break;
	case OPERATION_CHOOSE:
		world_choose(stage->world, (uint16_t)step->number);
		break;
	}
}

void play_model(struct model_player *player, const struct scenario *scenario, answer_function *answer, void *context)
{
	/* One more than needed: "uid" and "sleep" look at no socket, but have index 0. */
	struct stage stage = {
		.world = world_new(player->profile, player->loopback_alias, player->options),
		.fds = must(calloc(scenario->name_count + 1, sizeof *stage.fds)),
		.processes = must(calloc(scenario->step_count + 1, sizeof *stage.processes)),
	};

	for (size_t i = 0; i <= scenario->name_count; i++)
		stage.fds[i] = -1;
	player->verdict = world_verdict(stage.world);
	for (size_t i = 0; i < scenario->step_count; i++) {
		play_step(&stage, &scenario->steps[i]);
		if (scenario->steps[i].operation != OPERATION_CHOOSE)
			world_choose(stage.world, 0);
		answer(context, scenario, &scenario->steps[i], stage.answer);
	}
	player->verdict = NULL;
	world_free(stage.world);
	free(stage.fds);
	free(stage.processes);
}

/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "play_real.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shim/host/raw.h"

#define FIRST_PORT 10000

struct child {
	size_t socket;
	pid_t pid; /* 0: killed */
};

struct stage {
	const struct real_player *player;
	const struct scenario *scenario;
	unsigned first_port; /* P0 */
	int *fds;            /* by name; -1: none */
	struct child *children;
	size_t child_count;
	char answer[ANSWER_MAX];
};

void real_player_init(struct real_player *player)
{
	FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "r");

	/* The kernel's default (net/ipv4/af_inet.c inet_init_net, 6.18). */
	*player = (struct real_player){ ACCEPT_MS, RECV_MS, CONNECT_MS, FIRST_PORT, 32768, 60999 };
	if (!file)
		return;
	if (fscanf(file, "%u %u", &player->ephemeral_first, &player->ephemeral_last) != 2) {
		player->ephemeral_first = 32768;
		player->ephemeral_last = 60999;
	}
	fclose(file);
}

/* ---- ports ---- */

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

/* ---- answers ---- */

static void answer_result(struct stage *stage, int result)
{
	answer_errno(stage->answer, result < 0 ? errno : 0);
}

static void set_socket(struct stage *stage, size_t name, int fd)
{
	if (stage->fds[name] >= 0)
		close(stage->fds[name]);
	stage->fds[name] = fd;
}

/* The socket a call gave gets its name; after a failure the name stays what it was. */
static void answer_socket(struct stage *stage, size_t name, int fd)
{
	answer_result(stage, fd);
	if (fd >= 0)
		set_socket(stage, name, fd);
}

/* ---- operations ---- */

static void wait_at_most(int fd, int option, int ms)
{
	struct timeval limit = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	setsockopt(fd, SOL_SOCKET, option, &limit, sizeof(limit));
}

static int make_socket(enum socket_kind kind)
{
	int domain, type;

	kind_numbers(kind, &domain, &type);
	return socket(domain, type, 0);
}

static void play_set(struct stage *stage, const struct step *step, int fd)
{
	int level, name;

	option_numbers(step->option, &level, &name);
	answer_result(stage, setsockopt(fd, level, name, &step->number, sizeof(step->number)));
}

static void play_get(struct stage *stage, const struct step *step, int fd)
{
	int level, name, value = 0;
	socklen_t length = sizeof(value);

	option_numbers(step->option, &level, &name);
	if (getsockopt(fd, level, name, &value, &length) < 0)
		answer_errno(stage->answer, errno);
	else if (step->option == SOCKET_ERROR && value)
		answer_errno(stage->answer, value);
	else
		snprintf(stage->answer, sizeof(stage->answer), "%d", value);
}

static void play_bind(struct stage *stage, const struct step *step, int fd)
{
	struct sockaddr_storage address;
	socklen_t length = endpoint_sockaddr(&step->where, stage->first_port, &address);

	if (step->has_number)
		length = (socklen_t)step->number;
	answer_result(stage, bind(fd, (struct sockaddr *)&address, length));
}

static void play_connect(struct stage *stage, const struct step *step, int fd)
{
	struct sockaddr_storage address;
	socklen_t length = endpoint_sockaddr(&step->where, stage->first_port, &address);
	int result;

	wait_at_most(fd, SO_SNDTIMEO, stage->player->connect_ms);
	result = connect(fd, (struct sockaddr *)&address, length);
	/* How a blocking connect tells that SO_SNDTIMEO passed. */
	if (result < 0 && errno == EINPROGRESS)
		errno = ETIMEDOUT;
	answer_result(stage, result);
}

static void play_accept(struct stage *stage, const struct step *step, int fd)
{
	wait_at_most(fd, SO_RCVTIMEO, stage->player->accept_ms);
	answer_socket(stage, step->other, accept(fd, NULL, NULL));
}

static void play_close(struct stage *stage, const struct step *step, int fd)
{
	answer_result(stage, close(fd));
	stage->fds[step->socket] = -1;
}

static void play_dup2(struct stage *stage, const struct step *step, int fd)
{
	/* A closed T has no descriptor to be put over. */
	if (stage->fds[step->other] < 0)
		answer_errno(stage->answer, EBADF);
	else
		answer_result(stage, dup2(fd, stage->fds[step->other]));
}

static void play_name(struct stage *stage, int (*call)(int, struct sockaddr *, socklen_t *), int fd)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);

	memset(&address, 0, sizeof(address));
	if (call(fd, (struct sockaddr *)&address, &length) < 0)
		answer_errno(stage->answer, errno);
	else
		answer_address(stage->answer, &address, stage->first_port);
}

static int call_getsockname(int fd, struct sockaddr *address, socklen_t *length)
{
	return getsockname(fd, address, length);
}

static int call_getpeername(int fd, struct sockaddr *address, socklen_t *length)
{
	return getpeername(fd, address, length);
}

static void play_sendto(struct stage *stage, const struct step *step, int fd)
{
	struct sockaddr_storage address;
	socklen_t length = endpoint_sockaddr(&step->where, stage->first_port, &address);
	ssize_t sent = sendto(fd, step->text, strlen(step->text), MSG_NOSIGNAL, (struct sockaddr *)&address, length);

	answer_result(stage, sent < 0 ? -1 : 0);
}

static void play_recv(struct stage *stage, int fd)
{
	char text[ANSWER_MAX - sizeof("got:")];
	ssize_t length;

	wait_at_most(fd, SO_RCVTIMEO, stage->player->recv_ms);
	length = recv(fd, text, sizeof(text), 0);
	if (length < 0)
		answer_errno(stage->answer, errno);
	else
		snprintf(stage->answer, sizeof(stage->answer), "got:%.*s", (int)length, text);
}

static void play_join(struct stage *stage, const struct step *step, int fd)
{
	struct ip_mreq membership;

	memcpy(&membership.imr_multiaddr, step->where.address, sizeof(membership.imr_multiaddr));
	memcpy(&membership.imr_interface, step->interface.address, sizeof(membership.imr_interface));
	answer_result(stage, setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &membership, sizeof(membership)));
}

static void play_linger(struct stage *stage, const struct step *step, int fd)
{
	struct linger linger = { .l_onoff = 1, .l_linger = step->number };

	answer_result(stage, setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
}

static void play_device(struct stage *stage, const struct step *step, int fd)
{
	answer_result(stage, setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, step->text, (socklen_t)strlen(step->text)));
}

/* The child: keeps one socket and waits to be killed. */
static void keep_open(const struct stage *stage, int kept, int ready)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (size_t i = 0; i < stage->scenario->name_count; i++)
		if (stage->fds[i] >= 0 && stage->fds[i] != kept)
			close(stage->fds[i]);
	close(ready);
	for (;;)
		pause();
}

static void play_fork(struct stage *stage, const struct step *step, int fd)
{
	int ready[2];
	char none;
	pid_t pid;

	if (fd < 0 || pipe(ready) < 0) {
		answer_errno(stage->answer, fd < 0 ? EBADF : errno);
		return;
	}
	pid = fork();
	if (!pid) {
		close(ready[0]);
		keep_open(stage, fd, ready[1]);
	}
	answer_result(stage, pid);
	close(ready[1]);
	/* End of file: the child has closed the other sockets. */
	if (read(ready[0], &none, 1) < 0)
		answer_errno(stage->answer, errno);
	if (pid > 0)
		stage->children[stage->child_count++] = (struct child){ step->socket, pid };
	close(ready[0]);
}

static void end_child(struct child *child)
{
	kill(child->pid, SIGKILL);
	waitpid(child->pid, NULL, 0);
	child->pid = 0;
}

static void play_kill(struct stage *stage, const struct step *step)
{
	size_t i = stage->child_count;

	while (i && !(stage->children[i - 1].pid && stage->children[i - 1].socket == step->socket))
		i--;
	if (i)
		end_child(&stage->children[i - 1]);
	answer_errno(stage->answer, i ? 0 : ESRCH);
}

static void play_sleep(struct stage *stage, const struct step *step)
{
	struct timespec pause = { step->number / 1000, step->number % 1000 * 1000000L };

	answer_result(stage, nanosleep(&pause, NULL));
}

static void play_step(struct stage *stage, const struct step *step)
{
	int fd = stage->fds[step->socket];

	switch (step->operation) {
	case OPERATION_SOCKET:
		set_socket(stage, step->socket, -1);
		answer_socket(stage, step->socket, make_socket(step->kind));
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
		answer_result(stage, listen(fd, step->has_number ? step->number : DEFAULT_BACKLOG));
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
		answer_result(stage, shutdown(fd, step->number));
		break;
	case OPERATION_DUP:
		answer_socket(stage, step->other, dup(fd));
		break;
	case OPERATION_DUP2:
		play_dup2(stage, step, fd);
		break;
	case OPERATION_NAME:
		play_name(stage, call_getsockname, fd);
		break;
	case OPERATION_PEER:
		play_name(stage, call_getpeername, fd);
		break;
	case OPERATION_SEND:
		answer_result(stage, send(fd, step->text, strlen(step->text), MSG_NOSIGNAL) < 0 ? -1 : 0);
		break;
	case OPERATION_SENDTO:
		play_sendto(stage, step, fd);
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
		/* One user cannot become another: by way of the first. */
		answer_result(stage, seteuid(getuid()) < 0 ? -1 : seteuid((uid_t)step->number));
		break;
	case OPERATION_SLEEP:
		play_sleep(stage, step);
		break;
	case OPERATION_CHOOSE:
		break;
	}
}

static bool open_stage(struct stage *stage, struct real_player *player, const struct scenario *scenario)
{
	*stage = (struct stage){ .player = player, .scenario = scenario };
	stage->first_port = take_block(player, scenario->ports);
	/* One more than needed: "uid" and "sleep" look at no socket, but have index 0. */
	stage->fds = malloc((scenario->name_count + 1) * sizeof(*stage->fds));
	stage->children = calloc(scenario->step_count + 1, sizeof(*stage->children));
	if (!stage->first_port || !stage->fds || !stage->children)
		return false;
	for (size_t i = 0; i <= scenario->name_count; i++)
		stage->fds[i] = -1;
	return true;
}

static void close_stage(struct stage *stage)
{
	for (size_t i = 0; i < stage->child_count; i++)
		if (stage->children[i].pid)
			end_child(&stage->children[i]);
	for (size_t i = 0; stage->fds && i < stage->scenario->name_count; i++)
		set_socket(stage, i, -1);
	free(stage->fds);
	free(stage->children);
}

bool play_real(struct real_player *player, const struct scenario *scenario, answer_function *answer, void *context)
{
	uid_t uid = geteuid();
	struct stage stage;
	bool opened = open_stage(&stage, player, scenario);

	for (size_t i = 0; opened && i < scenario->step_count; i++) {
		play_step(&stage, &scenario->steps[i]);
		answer(context, scenario, &scenario->steps[i], stage.answer);
	}
	if (opened && seteuid(uid) < 0)
		opened = false;
	close_stage(&stage);
	return opened;
}

/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "stage.h"

#include <arpa/inet.h>
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

#include "cmd.h"
#include "errno_name.h"
#include "include/fakebind.h"
#include "shim/host/raw.h"
#include "world.h"

#define DEFAULT_BACKLOG 16

struct process {
	size_t socket;
	int number; /* of world_fork(), or the process ID; -1: killed */
};

/* ---- words and numbers ---- */

/* P0 is first_port. */
static socklen_t endpoint_sockaddr(const struct endpoint *where, unsigned first_port, struct sockaddr_storage *to)
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

static void answer_address(char answer[ANSWER_MAX], const struct sockaddr_storage *from, unsigned first_port)
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

static void option_numbers(enum socket_option option, int *level, int *name)
{
	static const int names[] = {
		[SOCKET_REUSEADDR] = SO_REUSEADDR, [SOCKET_REUSEPORT] = SO_REUSEPORT, [SOCKET_V6ONLY] = IPV6_V6ONLY,
		[SOCKET_ERROR] = SO_ERROR, [SOCKET_REUSEPORT_LB] = FAKEBIND_SO_REUSEPORT_LB,
		[SOCKET_EXCLUSIVE] = FAKEBIND_SO_EXCLUSIVE,
	};

	*level = option == SOCKET_V6ONLY ? IPPROTO_IPV6 : SOL_SOCKET;
	*name = names[option];
}

/* ---- what several steps need ---- */

static int call_close(const struct stage *stage, int fd)
{
	return stage->world ? world_close(stage->world, fd) : close(fd);
}

static int call_setsockopt(const struct stage *stage, int fd, int level, int name, const void *value, size_t size)
{
	socklen_t length = (socklen_t)size;

	return stage->world ? world_setsockopt(stage->world, fd, level, name, value, length) : setsockopt(fd, level, name, value, length);
}

static void set_socket(struct stage *stage, size_t name, int fd)
{
	if (stage->fds[name] >= 0)
		call_close(stage, stage->fds[name]);
	stage->fds[name] = fd;
}

/* The socket a call gave gets its name; after a failure the name stays what it was. */
static int name_socket(struct stage *stage, size_t name, int fd)
{
	if (fd >= 0)
		set_socket(stage, name, fd);
	return fd;
}

/* By no call of the program under test: a system may have no such option. */
static void wait_at_most(const struct stage *stage, int fd, int option, int ms)
{
	struct timeval limit = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	if (!stage->world)
		raw_call(SYS_setsockopt, fd, SOL_SOCKET, option, (long)&limit, sizeof(limit));
}

/* A call in memory fails at once; this is the time a real one would have waited. */
static int waited(const struct stage *stage, int result, int error, int ms)
{
	if (stage->world && result < 0 && errno == error) {
		world_sleep(stage->world, (uint64_t)ms);
		errno = error;
	}
	return result;
}

/* ---- steps: -1 and errno as the calls have it; an answer that is not "ok" is written down ---- */

static int play_socket(struct stage *stage, const struct step *step, int fd)
{
	int domain = step->kind == SOCKET_TCP6 || step->kind == SOCKET_UDP6 ? AF_INET6 : AF_INET;
	int type = step->kind == SOCKET_TCP4 || step->kind == SOCKET_TCP6 ? SOCK_STREAM : SOCK_DGRAM;

	set_socket(stage, step->socket, -1);
	fd = stage->world ? world_socket(stage->world, domain, type) : socket(domain, type, 0);
	return name_socket(stage, step->socket, fd);
}

static int play_set(struct stage *stage, const struct step *step, int fd)
{
	int level, name;

	option_numbers(step->option, &level, &name);
	return call_setsockopt(stage, fd, level, name, &step->number, sizeof(step->number));
}

static int play_get(struct stage *stage, const struct step *step, int fd)
{
	int level, name, result, value = 0;
	socklen_t length = sizeof(value);

	option_numbers(step->option, &level, &name);
	result = stage->world ? world_getsockopt(stage->world, fd, level, name, &value, &length) : getsockopt(fd, level, name, &value, &length);
	if (result < 0)
		return -1;
	snprintf(stage->answer, sizeof(stage->answer), "%d", value);
	errno = value;
	return step->option == SOCKET_ERROR && value ? -1 : 0;
}

static int play_bind(struct stage *stage, const struct step *step, int fd)
{
	struct sockaddr_storage address;
	const struct sockaddr *to = (const struct sockaddr *)&address;
	socklen_t length = endpoint_sockaddr(&step->where, stage->first_port, &address);

	if (step->has_number)
		length = (socklen_t)step->number;
	return stage->world ? world_bind(stage->world, fd, to, length) : bind(fd, to, length);
}

static int play_listen(struct stage *stage, const struct step *step, int fd)
{
	int backlog = step->has_number ? step->number : DEFAULT_BACKLOG;

	return stage->world ? world_listen(stage->world, fd, backlog) : listen(fd, backlog);
}

static int play_connect(struct stage *stage, const struct step *step, int fd)
{
	struct sockaddr_storage address;
	const struct sockaddr *to = (const struct sockaddr *)&address;
	socklen_t length = endpoint_sockaddr(&step->where, stage->first_port, &address);
	int result;

	wait_at_most(stage, fd, SO_SNDTIMEO, stage->waits.connect);
	result = stage->world ? world_connect(stage->world, fd, to, length) : connect(fd, to, length);
	/* How a blocking connect tells that SO_SNDTIMEO passed. */
	if (!stage->world && result < 0 && errno == EINPROGRESS)
		errno = ETIMEDOUT;
	return waited(stage, result, ETIMEDOUT, stage->waits.connect);
}

static int play_accept(struct stage *stage, const struct step *step, int fd)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);

	/* With room for the peer's address: some systems ask for it. */
	wait_at_most(stage, fd, SO_RCVTIMEO, stage->waits.accept);
	fd = stage->world ? world_accept(stage->world, fd) : accept(fd, (struct sockaddr *)&address, &length);
	return name_socket(stage, step->other, waited(stage, fd, EAGAIN, stage->waits.accept));
}

static int play_close(struct stage *stage, const struct step *step, int fd)
{
	stage->fds[step->socket] = -1;
	return call_close(stage, fd);
}

static int play_shutdown(struct stage *stage, const struct step *step, int fd)
{
	return stage->world ? world_shutdown(stage->world, fd, step->number) : shutdown(fd, step->number);
}

static int play_dup(struct stage *stage, const struct step *step, int fd)
{
	return name_socket(stage, step->other, stage->world ? world_dup(stage->world, fd) : dup(fd));
}

static int play_dup2(struct stage *stage, const struct step *step, int fd)
{
	int target = stage->fds[step->other];

	/* A closed T has no descriptor to be put over. */
	if (target < 0) {
		errno = EBADF;
		return -1;
	}
	return stage->world ? world_dup2(stage->world, fd, target) : dup2(fd, target);
}

static int play_name(struct stage *stage, const struct step *step, int fd)
{
	struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
	socklen_t length = sizeof(address);
	bool peer = step->operation == OPERATION_PEER;
	int result;

	if (stage->world)
		result = (peer ? world_getpeername : world_getsockname)(stage->world, fd, &address);
	else if (peer)
		result = getpeername(fd, (struct sockaddr *)&address, &length);
	else
		result = getsockname(fd, (struct sockaddr *)&address, &length);
	if (!result)
		answer_address(stage->answer, &address, stage->first_port);
	return result;
}

static int play_send(struct stage *stage, const struct step *step, int fd)
{
	size_t size = strlen(step->text);
	ssize_t sent = stage->world ? world_send(stage->world, fd, step->text, size, NULL, 0) : send(fd, step->text, size, MSG_NOSIGNAL);

	return sent < 0 ? -1 : 0;
}

static int play_sendto(struct stage *stage, const struct step *step, int fd)
{
	struct sockaddr_storage address;
	const struct sockaddr *to = (const struct sockaddr *)&address;
	socklen_t length = endpoint_sockaddr(&step->where, stage->first_port, &address);
	size_t size = strlen(step->text);
	ssize_t sent;

	if (stage->world)
		sent = world_send(stage->world, fd, step->text, size, to, length);
	else
		sent = sendto(fd, step->text, size, MSG_NOSIGNAL, to, length);
	return sent < 0 ? -1 : 0;
}

static int play_recv(struct stage *stage, const struct step *step, int fd)
{
	char text[ANSWER_MAX - sizeof("got:")];
	ssize_t length;

	(void)step;
	wait_at_most(stage, fd, SO_RCVTIMEO, stage->waits.recv);
	length = stage->world ? world_recv(stage->world, fd, text, sizeof(text)) : recv(fd, text, sizeof(text), 0);
	if (length < 0)
		return waited(stage, -1, EAGAIN, stage->waits.recv);
	snprintf(stage->answer, sizeof(stage->answer), "got:%.*s", (int)length, text);
	return 0;
}

static int play_join(struct stage *stage, const struct step *step, int fd)
{
	struct ip_mreq membership;

	memcpy(&membership.imr_multiaddr, step->where.address, sizeof(membership.imr_multiaddr));
	memcpy(&membership.imr_interface, step->interface.address, sizeof(membership.imr_interface));
	return call_setsockopt(stage, fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &membership, sizeof(membership));
}

static int play_linger(struct stage *stage, const struct step *step, int fd)
{
	struct linger linger = { .l_onoff = 1, .l_linger = step->number };

	return call_setsockopt(stage, fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

static int play_device(struct stage *stage, const struct step *step, int fd)
{
	return call_setsockopt(stage, fd, SOL_SOCKET, SO_BINDTODEVICE, step->text, strlen(step->text));
}

/* The child: keeps one socket and waits to be killed. */
static _Noreturn void keep_open(const struct stage *stage, int kept, const int ready[2])
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (size_t i = 0; i < stage->scenario->name_count; i++)
		if (stage->fds[i] >= 0 && stage->fds[i] != kept)
			close(stage->fds[i]);
	close(ready[0]);
	close(ready[1]);
	for (;;)
		pause();
}

static pid_t fork_keeping(const struct stage *stage, int fd)
{
	int ready[2];
	char none;
	pid_t pid;

	if (fd < 0) {
		errno = EBADF;
		return -1;
	}
	if (pipe(ready) < 0)
		return -1;
	pid = fork();
	if (!pid)
		keep_open(stage, fd, ready);
	close(ready[1]);
	/* End of file: the child has closed the other sockets. */
	if (read(ready[0], &none, 1) < 0)
		pid = -1;
	close(ready[0]);
	return pid;
}

static int play_fork(struct stage *stage, const struct step *step, int fd)
{
	int number = stage->world ? world_fork(stage->world, fd) : fork_keeping(stage, fd);

	if (number >= 0)
		stage->processes[stage->process_count++] = (struct process){ step->socket, number };
	return number;
}

static void end_process(const struct stage *stage, struct process *process)
{
	if (stage->world) {
		world_exit(stage->world, process->number);
	} else {
		kill(process->number, SIGKILL);
		waitpid(process->number, NULL, 0);
	}
	process->number = -1;
}

static int play_kill(struct stage *stage, const struct step *step, int fd)
{
	(void)fd;
	for (size_t i = stage->process_count; i > 0; i--) {
		struct process *process = &stage->processes[i - 1];

		if (process->number >= 0 && process->socket == step->socket) {
			end_process(stage, process);
			return 0;
		}
	}
	errno = ESRCH;
	return -1;
}

static int play_uid(struct stage *stage, const struct step *step, int fd)
{
	uid_t uid = (uid_t)step->number;

	(void)fd;
	if (stage->world)
		return world_seteuid(stage->world, uid);
	/* One user cannot become another: by way of the first. */
	return seteuid(getuid()) < 0 ? -1 : seteuid(uid);
}

static int play_sleep(struct stage *stage, const struct step *step, int fd)
{
	struct timespec pause = { step->number / 1000, step->number % 1000 * 1000000L };

	(void)fd;
	if (!stage->world)
		return nanosleep(&pause, NULL);
	world_sleep(stage->world, (uint64_t)step->number);
	return 0;
}

static int play_choose(struct stage *stage, const struct step *step, int fd)
{
	(void)fd;
	if (stage->world)
		world_choose(stage->world, (uint16_t)step->number);
	return 0;
}

static int (*const play[])(struct stage *, const struct step *, int fd) = {
	[OPERATION_SOCKET] = play_socket,
	[OPERATION_SET] = play_set,
	[OPERATION_GET] = play_get,
	[OPERATION_BIND] = play_bind,
	[OPERATION_LISTEN] = play_listen,
	[OPERATION_CONNECT] = play_connect,
	[OPERATION_ACCEPT] = play_accept,
	[OPERATION_CLOSE] = play_close,
	[OPERATION_SHUTDOWN] = play_shutdown,
	[OPERATION_DUP] = play_dup,
	[OPERATION_DUP2] = play_dup2,
	[OPERATION_NAME] = play_name,
	[OPERATION_PEER] = play_name,
	[OPERATION_SEND] = play_send,
	[OPERATION_SENDTO] = play_sendto,
	[OPERATION_RECV] = play_recv,
	[OPERATION_JOIN] = play_join,
	[OPERATION_LINGER] = play_linger,
	[OPERATION_DEVICE] = play_device,
	[OPERATION_FORK] = play_fork,
	[OPERATION_KILL] = play_kill,
	[OPERATION_UID] = play_uid,
	[OPERATION_SLEEP] = play_sleep,
	[OPERATION_CHOOSE] = play_choose,
};

/* ---- the stage ---- */

void stage_open(struct stage *stage)
{
	/* One more than needed: "uid" and "sleep" look at no socket, but have index 0. */
	size_t count = stage->scenario->name_count + 1;

	stage->fds = must(malloc(count * sizeof(*stage->fds)));
	stage->processes = must(calloc(stage->scenario->step_count + 1, sizeof(*stage->processes)));
	for (size_t i = 0; i < count; i++)
		stage->fds[i] = -1;
}

static void play_step(struct stage *stage, const struct step *step)
{
	int result;

	strcpy(stage->answer, "ok");
	result = play[step->operation](stage, step, stage->fds[step->socket]);
	if (result < 0)
		snprintf(stage->answer, sizeof(stage->answer), "%s", errno_name(errno));
	if (stage->world && step->operation != OPERATION_CHOOSE)
		world_choose(stage->world, 0);
}

void stage_play(struct stage *stage, answer_function *answer, void *context)
{
	for (size_t i = 0; i < stage->scenario->step_count; i++) {
		const struct step *step = &stage->scenario->steps[i];

		play_step(stage, step);
		answer(context, stage->scenario, step, stage->answer);
	}
}

void stage_close(struct stage *stage)
{
	for (size_t i = 0; i < stage->process_count; i++)
		if (stage->processes[i].number >= 0)
			end_process(stage, &stage->processes[i]);
	for (size_t i = 0; i < stage->scenario->name_count; i++)
		set_socket(stage, i, -1);
	free(stage->fds);
	free(stage->processes);
}

/* SPDX-License-Identifier: MIT */
/*
 * Tortures the library with real sockets:  torture-sockets LIBRARY [KILLS [SEED]]
 *
 * Workers under linux-6.18 bind, listen, connect, accept, share and close at random, on a few ports.  They are killed at
 * random, some by themselves within the registry (torture-point.c).  Each round ends with some stopped wherever they
 * are: every bind must give then what it gives natively; and with all dead every port must be had by the first plain
 * bind, with nobody else's record left.  Wants a network of its own (torture-sockets.test).
 */
#define _GNU_SOURCE
#include "../../shim/registry/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define WORKERS 4
#define ROUND 50 /* kills */
#define FIRST_PORT 21000
#define PORTS 3
#define SOCKETS 6
#define HANG 10 /* s for a few calls */
#define ANSWERS (PORTS * 4 * 2 * 2)

static const struct kind { int domain, type; } kinds[] = {
	{ AF_INET, SOCK_STREAM }, { AF_INET6, SOCK_STREAM }, { AF_INET, SOCK_DGRAM }, { AF_INET6, SOCK_DGRAM }
};
static uint32_t seed;

static uint32_t random_below(uint32_t limit)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed % limit;
}

static int new_socket(const struct kind *kind)
{
	const struct linger reset = { 1, 0 }; /* no TIME_WAIT is left behind */
	int fd = socket(kind->domain, kind->type | SOCK_NONBLOCK, 0);

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	return fd;
}

static int call_with(int (*call)(int, const struct sockaddr *, socklen_t), int fd, const struct kind *kind, bool any, int port)
{
	const struct sockaddr_in v4 = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(any ? INADDR_ANY : INADDR_LOOPBACK)
	};
	const struct sockaddr_in6 v6 = {
		.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port), .sin6_addr = any ? in6addr_any : in6addr_loopback
	};

	return kind->domain == AF_INET ? call(fd, (const void *)&v4, sizeof v4) : call(fd, (const void *)&v6, sizeof v6);
}

/* ---- a worker ---- */

static int any_port(void) { return FIRST_PORT + (int)random_below(PORTS); }

static void start_socket(int *fd)
{
	const struct kind *kind = &kinds[random_below(COUNT(kinds))];
	const int on = 1;
	uint32_t options = random_below(8);

	*fd = new_socket(kind);
	if (options == 0)
		setsockopt(*fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
	if (options > 4)
		setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (random_below(5) == 0)
		call_with(connect, *fd, kind, false, any_port());
	else if (call_with(bind, *fd, kind, random_below(3) == 0, any_port()) == 0 && random_below(2))
		listen(*fd, 5);
}

static void use_socket(int *fd)
{
	int other;

	switch (random_below(8)) {
	case 0:
		other = accept(*fd, NULL, NULL);
		close(*fd);
		*fd = other;
		break;
	case 1:
		other = dup(*fd);
		close(*fd);
		*fd = other;
		break;
	case 2:
		if (fork() == 0) { /* it keeps what its parent has */
			usleep(random_below(3000));
			_exit(0);
		}
		break;
	case 3:
		listen(*fd, 5);
		break;
	default:
		close(*fd);
		*fd = -1;
	}
}

static _Noreturn void work(void)
{
	int fds[SOCKETS];

	memset(fds, -1, sizeof fds);
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int *fd = &fds[random_below(SOCKETS)];

		alarm(HANG);
		if (*fd < 0)
			start_socket(fd);
		else
			use_socket(fd);
	}
}

/* ---- asking ---- */

/* What each bind gives, and nobody has anything afterwards. */
static int probe(void)
{
	const int on = 1;

	for (int i = 0; i < ANSWERS; i++) {
		const struct kind *kind = &kinds[i / 4 % 4];
		int fd = new_socket(kind), error;

		if (i & 1)
			setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
		error = call_with(bind, fd, kind, i & 2, FIRST_PORT + i / 16) ? errno : 0;
		close(fd);
		if (write(1, &error, sizeof error) != sizeof error)
			return 1;
	}
	return 0;
}

/* Takes every port, plainly, and keeps it until the input ends. */
static int take_all(void)
{
	int refused = 0;
	char end;

	for (int i = 0; i < 2 * PORTS; i++)
		refused += call_with(bind, new_socket(&kinds[1 + 2 * (i & 1)]), &kinds[1], true, FIRST_PORT + i / 2) != 0;
	if (write(1, &refused, sizeof refused) != sizeof refused)
		return 1;
	return (int)read(0, &end, 1);
}

/* ---- the torturer ---- */

static const char *self, *library;
static char registry[64];
static pid_t worker[WORKERS];
static unsigned long killed, suicides, hangs, compared, refusals, waits, wrong, stuck, left;

/* Its output, and its input's other end in *input, if wanted. */
static pid_t start(const char *what, bool native, int *input, int *output)
{
	char number[16], preload[4096], file[128], point[64];
	char *argv[] = { (char *)self, (char *)what, number, NULL };
	char *environment[] = { preload, "FAKEBIND_OS=linux-6.18", file, point, NULL }, *bare[] = { NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int in[2] = { -1, -1 }, out[2] = { -1, -1 };
	pid_t pid;

	snprintf(number, sizeof number, "%u", random_below(1u << 30) + 1);
	snprintf(preload, sizeof preload, "LD_PRELOAD=%s", library);
	snprintf(file, sizeof file, "FAKEBIND_REGISTRY=%s", registry);
	snprintf(point, sizeof point, "TORTURE_POINT=%d:%d", !output && random_below(2) ? (int)random_below(POINTS) : -1, (int)random_below(30));
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
	if (output && (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))) {
		perror("pipe");
		exit(2);
	}
	if (output) {
		posix_spawn_file_actions_adddup2(&actions, in[0], 0);
		posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	}
	errno = posix_spawn(&pid, self, &actions, &attributes, argv, native ? bare : environment);
	if (errno) {
		perror(self);
		exit(2);
	}
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	close(in[0]);
	close(out[1]);
	if (output) {
		*input = in[1];
		*output = out[0];
	}
	return pid;
}

/* With all its children, which are ours then (PR_SET_CHILD_SUBREAPER). */
static void end(pid_t pid, bool children)
{
	int status;

	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		hangs++;
	while (children && kill(-pid, SIGKILL) == 0)
		waitpid(-pid, NULL, 0);
}

static bool killed_itself(pid_t pid)
{
	siginfo_t info = { 0 };

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

static void ask(bool native, int answers[ANSWERS])
{
	int input, output;
	pid_t pid = start("--probe", native, &input, &output);
	size_t got = 0, want = sizeof(int) * ANSWERS;
	ssize_t n;

	while (got < want && (n = read(output, (char *)answers + got, want - got)) > 0)
		got += (size_t)n;
	close(input);
	close(output);
	waitpid(pid, NULL, 0);
	if (got < want)
		wrong++;
}

/* How many answers differ.  The answer of a host that is not the same before and after is no answer. */
static unsigned long compare(bool aloud)
{
	int before[ANSWERS], faked[ANSWERS], after[ANSWERS];
	unsigned long differ = 0;

	ask(true, before);
	ask(false, faked);
	ask(true, after);
	for (int i = 0; i < ANSWERS; i++) {
		if (before[i] != after[i])
			continue;
		compared++;
		refusals += before[i] != 0;
		if (faked[i] == before[i])
			continue;
		differ++;
		if (aloud)
			printf("# port %d, kind %d, %s%s: %s, natively %s\n", FIRST_PORT + i / 16, i / 4 % 4, i & 2 ? "any address" : "loopback",
			       i & 1 ? ", SO_REUSEADDR" : "", strerror(faked[i]), strerror(before[i]));
	}
	return differ;
}

/* For a second (registry_remove()) a claim counts that was taken over from a living process: it was stopped just
 * before its bind. */
static void check_answers(void)
{
	if (!compare(false))
		return;
	waits++;
	usleep(1100000);
	wrong += compare(true);
}

/* (A port that the host chose for listen() is swept by who binds it next, not here.) */
static bool is_left(struct record *record, pid_t taker)
{
	uint32_t port = record->kind >> 16;

	return word_phase(record->word) == PHASE_LIVE && record->pid != (uint32_t)taker && port >= FIRST_PORT && port < FIRST_PORT + PORTS;
}

/* All are dead. */
static void check_nothing_left(void)
{
	int input, output, refused = -1, fd = open(registry, O_RDWR);
	pid_t pid = start("--take-all", false, &input, &output);
	struct layout *map = mmap(NULL, sizeof *map, PROT_READ, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED || read(output, &refused, sizeof refused) != sizeof refused) {
		perror(registry);
		exit(2);
	}
	stuck += (unsigned long)refused;
	for (uint32_t i = 1; i < map->header.next_record && i < RECORDS; i++)
		left += is_left(&map->record[i], pid);
	munmap(map, sizeof *map);
	close(fd);
	close(input);
	close(output);
	waitpid(pid, NULL, 0);
}

static void run_round(void)
{
	static pid_t ended[ROUND];
	static int count;

	for (int i = 0; i < WORKERS; i++)
		worker[i] = start("--work", false, NULL, NULL);
	for (count = 0; count < ROUND; count++) {
		uint32_t victim = random_below(WORKERS);

		usleep(random_below(4000));
		suicides += killed_itself(worker[victim]);
		end(worker[victim], false);
		ended[count] = worker[victim];
		worker[victim] = start("--work", false, NULL, NULL);
		killed++;
	}
	for (int i = 0; i < WORKERS; i++)
		kill(-worker[i], SIGSTOP);
	while (count--) /* children that went on */
		while (kill(-ended[count], SIGKILL) == 0)
			waitpid(-ended[count], NULL, 0);
	check_answers();
	for (int i = 0; i < WORKERS; i++)
		end(worker[i], true);
	check_answers();
	check_nothing_left();
}

int main(int argc, char **argv)
{
	char folder[] = "/dev/shm/torture-sockets.XXXXXX";
	unsigned long kills = argc > 2 ? strtoul(argv[2], NULL, 0) : 1000;
	bool failed;

	seed = argc > 2 && argv[1][0] == '-' ? (uint32_t)strtoul(argv[2], NULL, 0) : (uint32_t)getpid();
	if (argc == 3 && !strcmp(argv[1], "--work"))
		work();
	seed = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 0) : (uint32_t)getpid();
	if (argc == 3 && !strcmp(argv[1], "--probe"))
		return probe();
	if (argc == 3 && !strcmp(argv[1], "--take-all"))
		return take_all();
	if (argc < 2 || !kills || !seed || !mkdtemp(folder)) {
		fprintf(stderr, "usage: torture-sockets LIBRARY [KILLS [SEED]]\n");
		return 2;
	}
	self = argv[0];
	library = argv[1];
	snprintf(registry, sizeof registry, "%s/registry", folder);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	printf("# seed %u\n", seed);
	while (killed < kills)
		run_round();
	unlink(registry);
	rmdir(folder);
	failed = hangs || wrong || stuck || left || !suicides || !refusals;
	printf("# %lu killed, %lu had killed themselves; %lu binds compared, %lu refused, %lu times asked again; wrong %lu, stuck %lu, records left %lu, hangs %lu\n",
	       killed, suicides, compared, refusals, waits, wrong, stuck, left, hangs);
	printf("1..1\n%s 1 - under torture every bind gives what it gives natively\n", failed ? "not ok" : "ok");
	return failed;
}

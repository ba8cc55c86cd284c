/* SPDX-License-Identifier: MIT */
/*
 * What fakebind costs: each case runs in two processes at once, one native and one under the library,
 * which take turns batch by batch; the figure is the median of the ratios of neighbouring batches.
 * Usage: bench [PROFILE ...]   (default: one of each way to treat the host)
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner.h"
#include "shim/rules/rules.h"

/* The same program is a little faster or slower each time it is started: where its memory lies decides. */
#define STARTS 9
#define ROUNDS 27

static struct sockaddr_in place(int port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static void bind_cycle(int port)
{
	struct sockaddr_in address = place(port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EPERM)
		fail("bind");
	close(fd);
}

static void listen_cycle(int port)
{
	struct sockaddr_in address = place(port);
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 5) < 0)
		fail("bind and listen");
	close(fd);
}

static int listener = -1;
static bool resets; /* or connections end by FINs, where the system has no SO_LINGER: they cost the host more than a reset */

static void connect_cycle(int port)
{
	struct sockaddr_in address = place(port);
	struct linger reset = { 1, 0 };
	if (listener < 0) {
		int on = 1;
		listener = socket(AF_INET, SOCK_STREAM, 0);
		setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
		if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 5) < 0)
			fail("listener");
	}
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
		fail("connect");
	socklen_t length = sizeof address;
	int child = accept(listener, (struct sockaddr *)&address, &length);
	if (child < 0)
		fail("accept");
	if (resets)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	close(fd);
	close(child);
}

/* Only the close() calls are timed: the descriptors are made by a call that is not hooked. */
static double close_batch(int port)
{
	enum { DESCRIPTORS = 500, REPEATS = 7 };
	int fds[DESCRIPTORS];
	double spent = 0;
	(void)port;
	for (int n = 0; n < REPEATS; n++) {
		for (int i = 0; i < DESCRIPTORS; i++)
			fds[i] = eventfd(0, 0);
		double start = now();
		for (int i = 0; i < DESCRIPTORS; i++)
			close(fds[i]);
		spent += now() - start;
	}
	return spent / (DESCRIPTORS * REPEATS);
}

static const struct bench_case {
	const char *name;
	void (*cycle)(int port);
	int count;
	double goal, shared_goal; /* shared: profiles for which the host needs SO_REUSEPORT (host = permissive) */
} cases[] = {
	{ "socket+bind+close", bind_cycle, 1300, 1.15, 1.45 },
	{ "socket+REUSEADDR+bind+listen+close", listen_cycle, 1000, 1.10, 1.45 },
	{ "connect+accept cycle", connect_cycle, 170, 1.03, 1.45 },
	{ "close of an untracked fd", NULL, 0, 1.03, 1.03 },
};
#define CASES (sizeof cases / sizeof *cases)

static double cycle_batch(const struct bench_case *bench, int port)
{
	double start = now();
	for (int i = 0; i < bench->count; i++)
		bench->cycle(port);
	return (now() - start) / bench->count;
}

/* The measured process: a byte in, the nanoseconds of one batch out. */
static int serve(const struct bench_case *bench, int port)
{
	char go;
	while (read(0, &go, 1) == 1) {
		double spent = bench->cycle ? cycle_batch(bench, port) : close_batch(port);
		if (write(1, &spent, sizeof spent) != sizeof spent)
			return 1;
	}
	return 0;
}

static void report(const char *profile, const char *name, struct comparison found, double goal)
{
	printf("%-12s %-36s %9.0f ns %9.0f ns  %5.3fx  (goal %.2fx%s)\n", profile, name, found.a, found.b, found.ratio, goal,
	       found.ratio <= goal ? "" : ", missed");
}

static double goal_of(const struct bench_case *bench, const char *profile)
{
	const struct profile *known = profile_find(profile);
	return known && known->trait[trait_host] == host_mirror ? bench->goal : bench->shared_goal;
}

/* What the program gets under the profile, it is to do natively, too. */
static bool has_linger(const char *name)
{
	const struct linger reset = { 1, 0 };
	const struct profile *profile = profile_find(name);
	const struct option_question question = {
		.call = CALL_SETSOCKOPT, .profile = profile, .domain = AF_INET, .protocol = PROTOCOL_TCP, .state = STATE_CONNECTED,
		.level = SOL_SOCKET, .name = SO_LINGER, .value = &reset, .length = sizeof reset,
	};
	struct option_answer answer = { .passes = true };
	if (profile)
		profile->family->option(&question, &answer);
	return answer.passes;
}

static void measure(const char *self, const char *profile, const char *registry, size_t index)
{
	double native[STARTS], faked[STARTS], ratios[STARTS];
	char number[24], ports[2][16];
	char *argv[] = { (char *)self, "--serve", number, ports[0], has_linger(profile) ? "reset" : "fin", NULL };
	snprintf(number, sizeof number, "%zu", index);
	snprintf(ports[0], sizeof ports[0], "%zu", 20001 + index);
	snprintf(ports[1], sizeof ports[1], "%zu", 20101 + index);
	for (int start = 0; start < STARTS; start++) {
		argv[3] = ports[0];
		struct runner bare = runner_start(argv, NULL, NULL);
		argv[3] = ports[1];
		struct runner under = runner_start(argv, profile, registry);
		struct comparison found = runner_compare(bare, under, ROUNDS);
		native[start] = found.a;
		faked[start] = found.b;
		ratios[start] = found.ratio;
	}
	struct comparison typical = { median(native, STARTS), median(faked, STARTS), median(ratios, STARTS) };
	report(profile, cases[index].name, typical, goal_of(&cases[index], profile));
}

/* Starting a program: against a preload that does nothing. */
static double run_true(const char *library, const char *profile, const char *registry)
{
	char preload[4096], os[128], file[4096];
	char *environment[] = { preload, os, file, NULL };
	char *argv[] = { "true", NULL };
	pid_t pid;
	snprintf(preload, sizeof preload, "LD_PRELOAD=%s", library);
	snprintf(os, sizeof os, "FAKEBIND_OS=%s", profile);
	snprintf(file, sizeof file, "FAKEBIND_REGISTRY=%s", registry);
	double begin = now();
	errno = posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environment);
	if (errno)
		fail("/bin/true");
	waitpid(pid, NULL, 0);
	return now() - begin;
}

static void measure_start(const char *profile, const char *registry)
{
	enum { RUNS = 1001 };
	static double plain[RUNS], faked[RUNS], ratios[RUNS];
	for (int i = 0; i < RUNS; i++) {
		plain[i] = run_true(NOTHING, profile, registry);
		faked[i] = run_true(LIBRARY, profile, registry);
		ratios[i] = faked[i] / plain[i];
	}
	struct comparison found = { median(plain, RUNS), median(faked, RUNS), median(ratios, RUNS) };
	report(profile, "start of true (vs. empty preload)", found, 1.2);
}

int main(int argc, char **argv)
{
	static char *usual[] = { "linux-6.18", "linux-4.4", "freebsd-14", "starry" };
	char registry[] = "/dev/shm/fakebind-bench-XXXXXX";
	if (argc == 5 && !strcmp(argv[1], "--serve")) {
		resets = !strcmp(argv[4], "reset");
		return serve(&cases[strtoul(argv[2], NULL, 10) % CASES], atoi(argv[3]));
	}
	char **profiles = argc > 1 ? argv + 1 : usual;
	size_t count = argc > 1 ? (size_t)argc - 1 : sizeof usual / sizeof *usual;
	if (!mkdtemp(registry))
		fail(registry);
	printf("%-12s %-36s %12s %12s\n", "profile", "case", "native", "fakebind");
	for (size_t i = 0; i < count; i++) {
		char file[128];
		snprintf(file, sizeof file, "%s/%zu", registry, i);
		for (size_t index = 0; index < CASES; index++)
			measure(argv[0], profiles[i], file, index);
		measure_start(profiles[i], file);
		unlink(file);
	}
	rmdir(registry);
	return 0;
}

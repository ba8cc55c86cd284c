/* SPDX-License-Identifier: MIT */
/*
 * What fakebind costs: each case runs in two processes at once, one native and one under the library,
 * which take turns batch by batch; the figure is the median of the ratios of neighbouring batches.
 * Usage: bench [PROFILE ...]   (default: linux-6.18 starry)
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef LIBRARY
#error "LIBRARY is the path of the library to measure"
#endif
#define ROUNDS 81

extern char **environ;

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void fail(const char *what)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

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
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	close(fd);
	close(child);
}

/* Only the close() calls are timed: the descriptors are made by a call that is not hooked. */
static double close_batch(int port)
{
	enum { DESCRIPTORS = 500, REPEATS = 20 };
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
	double goal, shared_goal; /* shared: profiles for which the host needs SO_REUSEPORT */
} cases[] = {
	{ "socket+bind+close", bind_cycle, 4000, 1.15, 1.45 },
	{ "socket+REUSEADDR+bind+listen+close", listen_cycle, 3000, 1.10, 1.45 },
	{ "connect+accept cycle", connect_cycle, 500, 1.03, 1.45 },
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

struct runner { pid_t pid; int to, from; };

static struct runner start(const char *self, size_t index, const char *profile, const char *registry, int port)
{
	int in[2], out[2];
	char number[24], ports[16], preload[4096], os[128], file[4096];
	char *argv[] = { (char *)self, "--serve", number, ports, NULL };
	char *environment[] = { preload, os, file, NULL };
	char *bare[] = { NULL };
	struct runner runner;
	posix_spawn_file_actions_t actions;
	snprintf(number, sizeof number, "%zu", index);
	snprintf(ports, sizeof ports, "%d", port);
	snprintf(preload, sizeof preload, "LD_PRELOAD=%s", LIBRARY);
	snprintf(os, sizeof os, "FAKEBIND_OS=%s", profile ? profile : "");
	snprintf(file, sizeof file, "FAKEBIND_REGISTRY=%s", registry);
	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		fail("pipe");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in[0], 0);
	posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	errno = posix_spawn(&runner.pid, self, &actions, NULL, argv, profile ? environment : bare);
	if (errno)
		fail(self);
	posix_spawn_file_actions_destroy(&actions);
	close(in[0]);
	close(out[1]);
	runner.to = in[1];
	runner.from = out[0];
	return runner;
}

static double batch(const struct runner *runner)
{
	double spent;
	if (write(runner->to, "g", 1) != 1 || read(runner->from, &spent, sizeof spent) != sizeof spent) {
		fprintf(stderr, "bench: a measured process ended\n");
		exit(1);
	}
	return spent;
}

static void stop(struct runner *runner)
{
	close(runner->to);
	close(runner->from);
	waitpid(runner->pid, NULL, 0);
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
	qsort(values, count, sizeof *values, ascending);
	return values[count / 2];
}

static void report(const char *profile, const char *name, double *native, double *faked, double *ratios, size_t count, double goal)
{
	double ratio = median(ratios, count);
	printf("%-12s %-36s %9.0f ns %9.0f ns  %5.3fx  (goal %.2fx%s)\n", profile, name, median(native, count), median(faked, count),
	       ratio, goal, ratio <= goal ? "" : ", missed");
}

static void measure(const char *self, const char *profile, const char *registry, size_t index)
{
	double native[ROUNDS], faked[ROUNDS], ratios[ROUNDS];
	struct runner bare = start(self, index, NULL, registry, 20001 + (int)index);
	struct runner under = start(self, index, profile, registry, 20101 + (int)index);
	batch(&bare);
	batch(&under);
	for (int i = 0; i < ROUNDS; i++) {
		native[i] = batch(&bare);
		faked[i] = batch(&under);
		ratios[i] = faked[i] / native[i];
	}
	stop(&bare);
	stop(&under);
	report(profile, cases[index].name, native, faked, ratios, ROUNDS, strcmp(profile, "linux-6.18") ? cases[index].shared_goal : cases[index].goal);
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
	enum { STARTS = 1001 };
	static double plain[STARTS], faked[STARTS], ratios[STARTS];
	for (int i = 0; i < STARTS; i++) {
		plain[i] = run_true(NOTHING, profile, registry);
		faked[i] = run_true(LIBRARY, profile, registry);
		ratios[i] = faked[i] / plain[i];
	}
	report(profile, "start of true (vs. empty preload)", plain, faked, ratios, STARTS, 1.2);
}

int main(int argc, char **argv)
{
	static char *usual[] = { "linux-6.18", "starry" };
	char registry[] = "/dev/shm/fakebind-bench-XXXXXX";
	if (argc == 4 && !strcmp(argv[1], "--serve"))
		return serve(&cases[strtoul(argv[2], NULL, 10) % CASES], atoi(argv[3]));
	char **profiles = argc > 1 ? argv + 1 : usual;
	int count = argc > 1 ? argc - 1 : 2;
	if (!mkdtemp(registry))
		fail(registry);
	printf("%-12s %-36s %12s %12s\n", "profile", "case", "native", "fakebind");
	for (int i = 0; i < count; i++) {
		char file[128];
		snprintf(file, sizeof file, "%s/%d", registry, i);
		for (size_t index = 0; index < CASES; index++)
			measure(argv[0], profiles[i], file, index);
		measure_start(profiles[i], file);
		unlink(file);
	}
	rmdir(registry);
	return 0;
}

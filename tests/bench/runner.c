/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "runner.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

_Noreturn void fail(const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
	exit(1);
}

struct runner runner_start(char *const argv[], const char *os, const char *registry)
{
	int in[2], out[2];
	char preload[4096], system[128], file[4096];
	char *environment[] = { preload, system, file, NULL }, *bare[] = { NULL };
	struct runner runner;
	posix_spawn_file_actions_t actions;
	snprintf(preload, sizeof preload, "LD_PRELOAD=%s", LIBRARY);
	snprintf(system, sizeof system, "FAKEBIND_OS=%s", os ? os : "");
	snprintf(file, sizeof file, "FAKEBIND_REGISTRY=%s", registry ? registry : "");
	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		fail("pipe");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in[0], 0);
	posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	errno = posix_spawn(&runner.pid, argv[0], &actions, NULL, argv, os ? environment : bare);
	if (errno)
		fail(argv[0]);
	posix_spawn_file_actions_destroy(&actions);
	close(in[0]);
	close(out[1]);
	runner.to = in[1];
	runner.from = out[0];
	return runner;
}

void runner_stop(struct runner *runner)
{
	close(runner->to);
	close(runner->from);
	waitpid(runner->pid, NULL, 0);
}

static _Noreturn void ended(void)
{
	fprintf(stderr, "%s: a measured process ended\n", program_invocation_short_name);
	exit(1);
}

void runner_await(const struct runner *runner)
{
	char byte;
	if (read(runner->from, &byte, 1) != 1)
		ended();
}

void runner_go(const struct runner *runner)
{
	if (write(runner->to, "g", 1) != 1)
		ended();
}

double runner_result(const struct runner *runner)
{
	double spent;
	if (read(runner->from, &spent, sizeof spent) != sizeof spent)
		ended();
	return spent;
}

static double batch(const struct runner *runner)
{
	runner_go(runner);
	return runner_result(runner);
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

double median(double *values, int count)
{
	qsort(values, (size_t)count, sizeof *values, ascending);
	return values[count / 2];
}

struct comparison runner_compare(struct runner a, struct runner b, int rounds)
{
	double as[MOST_ROUNDS], bs[MOST_ROUNDS], ratios[MOST_ROUNDS];
	batch(&a); /* warm */
	batch(&b);
	for (int i = 0; i < rounds; i++) {
		as[i] = batch(&a);
		bs[i] = batch(&b);
		ratios[i] = bs[i] / as[i];
	}
	runner_stop(&a);
	runner_stop(&b);
	return (struct comparison){ median(as, rounds), median(bs, rounds), median(ratios, rounds) };
}

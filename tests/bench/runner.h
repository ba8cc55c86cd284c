/* SPDX-License-Identifier: MIT */
/* A measured process is a bench program again, native or under the library: a byte in, the nanoseconds of one batch out. */
#ifndef FAKEBIND_BENCH_RUNNER_H
#define FAKEBIND_BENCH_RUNNER_H

#include <sys/types.h>

#ifndef LIBRARY
#error "LIBRARY is the path of the library to measure"
#endif
#define MOST_ROUNDS 81

struct runner { pid_t pid; int to, from; };

/* ns */
double now(void);
/* Says what and errno, and ends the program. */
_Noreturn void fail(const char *what);

/* os: NULL for native.  registry: a file. */
struct runner runner_start(char *const argv[], const char *os, const char *registry);
void runner_stop(struct runner *);
/* Until it has written a byte of its own accord. */
void runner_await(const struct runner *);
void runner_go(const struct runner *);
double runner_result(const struct runner *);

/* The medians of both, and of what each of b's batches costs of a's; they take turns batch by batch, and are stopped then. */
struct comparison { double a, b, ratio; };
struct comparison runner_compare(struct runner a, struct runner b, int rounds);

/* Sorts them. */
double median(double *values, int count);

#endif

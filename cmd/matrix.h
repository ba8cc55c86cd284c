/* SPDX-License-Identifier: MIT */
/* What the files of `fakebind matrix' share: one command under several systems. */
#ifndef FAKEBIND_MATRIX_H
#define FAKEBIND_MATRIX_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "shim/rules/rules.h"

enum run_state { RUN_WAITING, RUN_RUNNING, RUN_ENDED };

struct run {
	const struct profile *profile;
	const char *system;      /* as --os has it */
	enum run_state state;
	pid_t pid;               /* and process group */
	double began, seconds;   /* took */
	double killed;           /* SIGTERM was sent then; 0: it was not */
	bool timed_out, interrupted;
	int status;              /* wait(2) */
	char output[PATH_MAX], log[PATH_MAX];
	size_t refusals;         /* found in the log */
	char refusal[1024];      /* the first, in words; "" */
};

enum report { REPORT_TABLE, REPORT_TAP, REPORT_JSON };

struct matrix {
	struct run *runs;
	size_t count;
	char **command;
	const char *directory, *junit;
	bool isolated;
	enum report report;
};

bool run_passed(const struct run *);
/* "passed", "exit 3", "SIGSEGV", "timed out", "interrupted", "not run" */
const char *run_result(const struct run *, char text[32]);

/* ---- runs_start.c ---- */

double matrix_now(void);
/* Can a process get a network of its own here?  Else *why says what is missing. */
bool isolation_works(const char **why);
/* Starts it as a process group of its own.  False after an error. */
bool run_start(struct run *, char **command, bool isolated);
/* All that is left of it. */
void run_kill(const struct run *, int signal);

/* ---- runs_report.c ---- */

/* From the run's log; the log of a program that was killed may end anywhere. */
void run_read_log(struct run *);
/* 0, or 125 after an error. */
int matrix_report(const struct matrix *);

#endif

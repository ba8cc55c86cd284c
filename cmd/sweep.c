/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "sessions.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "holding.h"

/* The registry of a run that has not had the time yet to start its program. */
#define YOUNG 10

/* run-PID-RANDOM.SYSTEM: the process that became the command. */
static bool starter_lives(const char *name)
{
	long pid = strncmp(name, RUN_PREFIX, strlen(RUN_PREFIX)) ? 0 : strtol(name + strlen(RUN_PREFIX), NULL, 10);

	return pid > 0 && (kill((pid_t)pid, 0) == 0 || errno != ESRCH);
}

/* A server may be about to restart, and its session be asked what its connections left behind.  What cannot be seen
 * from here (another network namespace) is as good as over: no program of it lives. */
static bool is_left(const struct holdings *holdings, const struct holding *holding, const struct profile *profile)
{
	bool ours = holding->origin == ORIGIN_REGISTERED || holding->origin == ORIGIN_ACCEPTED;

	return ours && (holding->evidence == EVIDENCE_KERNEL || (holding->evidence == EVIDENCE_MEMORY && profile)) &&
	       holding_stands(holdings, holding, profile);
}

static bool leaves_nothing(struct registry *registry, const struct profile *profile)
{
	struct holdings holdings;
	struct kernel kernel;
	bool nothing = true;

	kernel_read(&kernel);
	registry->netns = kernel.netns;
	holdings_read(&holdings, registry, profile, &kernel);
	for (size_t i = 0; i < holdings.count; i++)
		nothing &= !is_left(&holdings, &holdings.all[i], profile);
	holdings_free(&holdings);
	kernel_free(&kernel);
	return nothing;
}

static bool is_over(const struct session_file *session)
{
	const struct profile *profile;
	struct registry registry;
	enum registry_error error;
	struct stat status;
	char system[REGISTRY_SYSTEM_MAX];
	bool over;

	if (lstat(session->path, &status) || time(NULL) - status.st_mtime < YOUNG || starter_lives(session->name))
		return false;
	error = session_open(session, &registry, 0, system, &profile);
	/* The run of another version of fakebind: nobody else will ever read it. */
	if (error == REGISTRY_FOREIGN && S_ISREG(status.st_mode) && !strncmp(session->name, RUN_PREFIX, strlen(RUN_PREFIX)))
		return session_programs(session, NULL, 0) == 0;
	if (error != REGISTRY_OK)
		return false;
	over = !registry_any_process_alive(&registry) && session_programs(session, NULL, 0) == 0 && leaves_nothing(&registry, profile);
	registry_close(&registry);
	return over;
}

void sessions_sweep(const char *directory)
{
	struct session_list list;

	sessions_read_in(&list, directory);
	for (size_t i = 0; i < list.count; i++)
		if (is_over(&list.files[i]))
			unlink(list.files[i].path);
	sessions_free(&list);
}

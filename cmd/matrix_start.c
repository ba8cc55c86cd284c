/* SPDX-License-Identifier: MIT */
/* One run of a matrix: its process group and its network. */
#define _GNU_SOURCE
#include "matrix.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cmd.h"
#include "include/fakebind.h"

double matrix_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- a network of its own ---- */

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return good;
}

/* Users stay who they are: the namespace is only there for the network's. */
static bool map_user(uid_t uid, gid_t gid)
{
	char map[64];

	if (!write_file("/proc/self/setgroups", "deny") && errno != ENOENT)
		return false;
	snprintf(map, sizeof(map), "%u %u 1", uid, uid);
	if (!write_file("/proc/self/uid_map", map))
		return false;
	snprintf(map, sizeof(map), "%u %u 1", gid, gid);
	return write_file("/proc/self/gid_map", map);
}

static bool loopback_up(void)
{
	struct ifreq request = { .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool good;

	strcpy(request.ifr_name, "lo");
	good = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
	if (fd >= 0)
		close(fd);
	return good;
}

/* NULL, or what could not be done; errno tells why. */
static const char *isolate(void)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();

	if (unshare(CLONE_NEWNET) < 0) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
			return "user and network namespaces";
		if (!map_user(uid, gid))
			return "a user in a namespace";
	}
	return loopback_up() ? NULL : "a loopback interface in a namespace";
}

bool isolation_works(const char **why)
{
	int status;
	pid_t pid = fork();

	*why = "a process";
	if (pid < 0)
		return false;
	if (pid == 0) {
		const char *missing = isolate();

		_exit(!missing ? 0 : missing[0] == 'u' ? 1 : 2);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return false;
	*why = WEXITSTATUS(status) == 1 ? "no user and network namespaces" : "namespaces without rights over their network";
	return WEXITSTATUS(status) == 0;
}

/* ---- a process group ---- */

static void redirect(const char *path)
{
	int in = open("/dev/null", O_RDONLY), out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0666);

	if (in < 0 || out < 0)
		_exit(EXIT_OURS);
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	close(in);
	close(out);
}

static void unblock_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The child becomes the launcher, with nothing from an outer run. */
static void become(const struct run *run, char **command, bool isolated)
{
	char *arguments[] = { (char *)"run", (char *)"--os", (char *)run->system, (char *)"--log", (char *)run->log, (char *)"--", NULL };
	size_t own = sizeof(arguments) / sizeof(*arguments) - 1, count = 0;
	char **all;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	redirect(run->output);
	unblock_signals();
	unsetenv(FAKEBIND_ENV_REGISTRY);
	if (isolated && isolate()) {
		complain("no network of its own: %s", strerror(errno));
		_exit(EXIT_OURS);
	}
	while (command[count])
		count++;
	all = calloc(own + count + 1, sizeof(*all));
	if (!all)
		_exit(EXIT_OURS);
	memcpy(all, arguments, own * sizeof(*all));
	memcpy(all + own, command, count * sizeof(*all));
	execv("/proc/self/exe", all);
	_exit(cannot_run("/proc/self/exe", errno));
}

bool run_start(struct run *run, char **command, bool isolated)
{
	/* What an earlier matrix left must not look like this one's. */
	if (truncate(run->log, 0) < 0 && errno != ENOENT) {
		complain("%s: %s", run->log, strerror(errno));
		return false;
	}
	fflush(NULL);
	run->began = matrix_now();
	run->pid = fork();
	if (run->pid < 0) {
		complain("cannot start a process: %s", strerror(errno));
		return false;
	}
	if (run->pid == 0)
		become(run, command, isolated);
	setpgid(run->pid, run->pid); /* whoever is first */
	run->state = RUN_RUNNING;
	return true;
}

void run_kill(const struct run *run, int signal)
{
	kill(-run->pid, signal);
}

/* SPDX-License-Identifier: MIT */
/*
 * What programs of several users do, step by step; those with a colon, and secure, print a line:
 *   tcp:PORT, udp:PORT  a socket on 127.0.0.1, bound, and listening if it can
 *   reuse               SO_REUSEADDR for the sockets that follow
 *   secure              are we in secure-execution mode?
 *   name:TEXT           the program's name
 *   as:UID              setuid(), with the groups of nobody
 *   fork                the steps that follow are a child's; the parent waits for it, keeping its sockets
 *   wait                until standard input ends
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int reuse;

static int open_port(const char *port, int type)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };
	int fd = socket(AF_INET, type, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && (type == SOCK_DGRAM || listen(fd, 8) == 0))
		return 0;
	close(fd);
	return -1;
}

static int become(const char *uid)
{
	gid_t group = 65534;

	return setgroups(1, &group) || setgid(group) || setuid((uid_t)atoi(uid)) ? -1 : 0;
}

static int parent(void)
{
	int status;
	pid_t child = fork();

	if (child > 0)
		exit(waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 1);
	return child;
}

static int wait_for_end(void)
{
	char byte;

	while (read(0, &byte, 1) > 0)
		;
	return 0;
}

static int step(const char *what)
{
	const char *colon = strchr(what, ':'), *argument = colon ? colon + 1 : "";

	if (!strncmp(what, "tcp:", 4))
		return open_port(argument, SOCK_STREAM);
	if (!strncmp(what, "udp:", 4))
		return open_port(argument, SOCK_DGRAM);
	if (!strncmp(what, "as:", 3))
		return become(argument);
	if (!strncmp(what, "name:", 5))
		return prctl(PR_SET_NAME, argument);
	if (!strcmp(what, "reuse"))
		return reuse = 1, 0;
	if (!strcmp(what, "secure"))
		return getauxval(AT_SECURE) ? 0 : (errno = 0, -1);
	if (!strcmp(what, "fork"))
		return parent();
	return wait_for_end();
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		int result = step(argv[i]);

		if (strchr(argv[i], ':') || !strcmp(argv[i], "secure"))
			printf("%s\n", result ? errno ? strerror(errno) : "no" : "ok");
		fflush(stdout);
	}
	return 0;
}

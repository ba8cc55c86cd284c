/* SPDX-License-Identifier: MIT */
/*
 * Plays tests/unit/starry-matrix.txt on real sockets, natively or preloaded, each row in a process and on
 * ports of its own, and prints "ID<TAB>answers".
 *
 *	starry-matrix [-p PORT] [-e ADDRESS] [-c COLUMN] FILE [ID ...]
 *
 * PORT: the first used (16 a row; default: by process id); ADDRESS: "eth" (default: the first interface's
 * that is not the loopback; rows that need one are left out if there is none); COLUMN: compare with it,
 * print "<TAB>expected ANSWERS" behind what differs, and exit with 1.  77: nothing was played.
 */
#define _DEFAULT_SOURCE
#include "tests/unit/matrix.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROWS 64
#define PORTS 16 /* of a row */

struct stage {
	int fd[MATRIX_SOCKETS];
	in_port_t port;
	struct in_addr eth;
};

static struct sockaddr_in place(const struct stage *stage, enum matrix_host host, uint16_t offset)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((in_port_t)(stage->port + offset)) };

	switch (host) {
	case MATRIX_LO:
		address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		break;
	case MATRIX_ANY:
		address.sin_addr.s_addr = htonl(INADDR_ANY);
		break;
	case MATRIX_ETH:
		address.sin_addr = stage->eth;
		break;
	case MATRIX_FAR:
		address.sin_addr.s_addr = htonl(0xc0000207);
		break;
	}
	return address;
}

static int real_socket(void *context, int name, bool udp)
{
	struct stage *stage = context;

	stage->fd[name] = socket(AF_INET, udp ? SOCK_DGRAM : SOCK_STREAM, 0);
	return stage->fd[name] < 0 ? errno : 0;
}

static int real_set(void *context, int name, enum matrix_verb option, int value)
{
	struct stage *stage = context;

	return setsockopt(stage->fd[name], SOL_SOCKET, option == MATRIX_REUSEADDR ? SO_REUSEADDR : SO_REUSEPORT, &value, sizeof value) ? errno : 0;
}

static int real_bind(void *context, int name, enum matrix_host host, uint16_t offset)
{
	struct stage *stage = context;
	struct sockaddr_in address = place(stage, host, offset);

	return bind(stage->fd[name], (struct sockaddr *)&address, sizeof address) ? errno : 0;
}

static int real_listen(void *context, int name)
{
	struct stage *stage = context;

	return listen(stage->fd[name], 5) ? errno : 0;
}

static int real_connect(void *context, int name, enum matrix_host host, uint16_t offset)
{
	struct stage *stage = context;
	struct sockaddr_in address = place(stage, host, offset);

	return connect(stage->fd[name], (struct sockaddr *)&address, sizeof address) ? errno : 0;
}

/* With room for the peer's address: Starry insists. */
static int real_accept(void *context, int listener, int name)
{
	struct stage *stage = context;
	struct sockaddr_in peer;
	socklen_t length = sizeof peer;

	stage->fd[name] = accept(stage->fd[listener], (struct sockaddr *)&peer, &length);
	return stage->fd[name] < 0 ? errno : 0;
}

static int real_close(void *context, int name)
{
	struct stage *stage = context;

	return close(stage->fd[name]) ? errno : 0;
}

static const struct matrix_player real_player = {
	.socket = real_socket, .set = real_set, .bind = real_bind, .listen = real_listen,
	.connect = real_connect, .accept = real_accept, .close = real_close,
};

static void find_eth(struct in_addr *eth)
{
	struct ifaddrs *list;

	if (getifaddrs(&list))
		return;
	for (const struct ifaddrs *at = list; at && !eth->s_addr; at = at->ifa_next)
		if (at->ifa_addr && at->ifa_addr->sa_family == AF_INET && (at->ifa_flags & IFF_UP) && !(at->ifa_flags & IFF_LOOPBACK))
			*eth = ((const struct sockaddr_in *)at->ifa_addr)->sin_addr;
	freeifaddrs(list);
}

/* In a child: its end closes everything, and an answer that does not come ends it. */
static bool play(const struct matrix_row *row, struct stage *stage, char answers[MATRIX_ANSWERS])
{
	int channel[2], status;
	ssize_t length;

	if (pipe(channel))
		return false;
	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		alarm(10);
		matrix_play(row, &real_player, stage, answers);
		size_t all = strlen(answers);
		_exit(write(channel[1], answers, all) != (ssize_t)all);
	}
	close(channel[1]);
	length = read(channel[0], answers, MATRIX_ANSWERS - 1);
	close(channel[0]);
	answers[length > 0 ? length : 0] = 0;
	return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static bool wanted(const char *id, char *const *ids)
{
	for (char *const *at = ids; *at; at++)
		if (!strcmp(*at, id))
			return true;
	return !*ids;
}

/* True if the row answers as the column says. */
static bool report(const struct matrix_row *row, const char *answers, const char *column)
{
	const char *expected = column ? matrix_expected(row, column) : NULL;
	bool same = !column || (expected && !strcmp(expected, answers));

	printf("%s\t%s", row->id, answers);
	if (!same)
		printf("\texpected %s", expected ? expected : "nothing: no such column");
	putchar('\n');
	return same;
}

static int usage(void)
{
	fprintf(stderr, "usage: starry-matrix [-p PORT] [-e ADDRESS] [-c COLUMN] FILE [ID ...]\n");
	return 2;
}

int main(int argc, char **argv)
{
	static struct matrix_row rows[ROWS];
	struct stage stage = { .eth.s_addr = 0 };
	/* Below the ephemeral range, and another place each time: TIME_WAIT outlives a run. */
	long port = 10000 + getpid() % 20 * ROWS * PORTS % 20000;
	const char *column = NULL;
	bool right = true;
	size_t played = 0;
	int option;

	while ((option = getopt(argc, argv, "p:e:c:")) != -1)
		if (option == 'p')
			port = atol(optarg);
		else if (option == 'c')
			column = optarg;
		else if (option != 'e' || inet_aton(optarg, &stage.eth) == 0)
			return usage();
	if (optind == argc || port < 1 || port + ROWS * PORTS > 65535)
		return usage();
	if (!stage.eth.s_addr)
		find_eth(&stage.eth);
	size_t count = matrix_read(argv[optind], rows, ROWS);
	for (size_t i = 0; i < count; i++) {
		char answers[MATRIX_ANSWERS];
		stage.port = (in_port_t)(port + (long)i * PORTS);
		if (!wanted(rows[i].id, argv + optind + 1) || (rows[i].needs_eth && !stage.eth.s_addr))
			continue;
		if (!play(&rows[i], &stage, answers))
			strcpy(answers, "died");
		played++;
		right &= report(&rows[i], answers, column);
	}
	if (count && !played)
		return 77;
	return count && right ? 0 : 1;
}

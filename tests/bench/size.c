/* SPDX-License-Identifier: MIT */
/*
 * What fakebind costs when there is much of it:  size [HOLDERS [PROFILE]]   (default: 100000 linux-6.18)
 *
 * Each figure is a ratio within one run: measured processes take turns batch by batch, the ratio is the median of
 * neighbouring batches.  A measured process and a holder are this program again, native or under the library.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runner.h"

#define ROUNDS 41
#define HOLDERS_EACH 10000 /* sockets of one holding process */
#define FIRST_PORT 2000
#define PORTS 24000
#define FREE_PORT 30000
#define SHARED_PORT 30100
#define SPARE 32000 /* from a port to the one that takes its place */
#define MOST 8 /* processes at once */
#define REGISTERED 1000

static const char *self, *profile = "linux-6.18";

static int bind_to(uint32_t address, int port, bool share)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(address) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
	if (fd < 0)
		fail("socket");
	if (share)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)&to, sizeof to) == 0)
		return fd;
	close(fd);
	return -1;
}

/* ---- what a child does ---- */

static void ready(void)
{
	if (write(1, "r", 1) != 1)
		exit(1);
}

static void await_end(void)
{
	char end;
	while (read(0, &end, 1) > 0)
		;
}

/* Another takes the place of a port that somebody has on this machine. */
static void take(uint32_t address, int port)
{
	if (bind_to(address, port, false) < 0 && bind_to(address, port + SPARE, false) < 0)
		fail("bind");
}

static int hold(int first, int count)
{
	for (int i = first; i < first + count; i++)
		take(0x7f010001u + (uint32_t)(i / PORTS), FIRST_PORT + i % PORTS);
	ready();
	await_end();
	return 0;
}

/* A process each, all of them in the registry; and one whose holder's socket only a child has, and keeps. */
static int register_many(int count, int port)
{
	int taken = bind_to(INADDR_LOOPBACK, port, false);
	if (taken < 0 || listen(taken, 1) < 0)
		fail("register: bind");
	for (int i = 0; i < count; i++) {
		pid_t child = fork();
		if (child < 0)
			fail("fork");
		if (child == 0) {
			if (i)
				close(taken);
			take(0x7f020001u, FIRST_PORT + i);
			await_end();
			_exit(0);
		}
	}
	close(taken);
	ready();
	await_end();
	return 0;
}

/* A byte in, the nanoseconds of one cycle out.  shared: that many hold the port already, by SO_REUSEPORT. */
static int measured(int port, int count, int shared, bool refused)
{
	char go;
	for (int i = 0; i < shared; i++)
		if (bind_to(INADDR_LOOPBACK, port, true) < 0)
			fail("share: bind");
	while (read(0, &go, 1) == 1) {
		double start = now(), spent;
		for (int i = 0; i < count; i++) {
			int fd = bind_to(INADDR_LOOPBACK, port, shared > 0);
			/* Linux 6.18 itself refuses about one in a million while other processes bind other ports. */
			if (fd < 0 && !refused)
				fd = bind_to(INADDR_LOOPBACK, port, shared > 0);
			if ((fd < 0) != refused)
				fail("measured: bind");
			if (fd >= 0)
				close(fd);
		}
		spent = (now() - start) / count;
		if (write(1, &spent, sizeof spent) != sizeof spent)
			return 1;
	}
	return 0;
}

static int child(char **argv)
{
	int number[4] = { 0 };
	for (int i = 0; i < 4 && argv[2 + i]; i++)
		number[i] = atoi(argv[2 + i]);
	if (!strcmp(argv[1], "--hold"))
		return hold(number[0], number[1]);
	if (!strcmp(argv[1], "--register"))
		return register_many(number[0], number[1]);
	return measured(number[0], number[1], number[2], number[3]);
}

/* ---- starting them ---- */

/* registry: NULL for native. */
static struct runner start(const char *registry, const char *what, int a, int b, int c, int d)
{
	char numbers[4][16];
	char *argv[] = { (char *)self, (char *)what, numbers[0], numbers[1], numbers[2], numbers[3], NULL };
	snprintf(numbers[0], sizeof numbers[0], "%d", a);
	snprintf(numbers[1], sizeof numbers[1], "%d", b);
	snprintf(numbers[2], sizeof numbers[2], "%d", c);
	snprintf(numbers[3], sizeof numbers[3], "%d", d);
	return runner_start(argv, registry ? profile : NULL, registry);
}

static struct comparison compare(struct runner a, struct runner b)
{
	return runner_compare(a, b, ROUNDS);
}

static const char *met(bool met) { return met ? "" : ", missed"; }

/* ---- the measurements ---- */

static void measure_holders(const char *few, const char *many, int count)
{
	struct runner holder[64];
	struct stat file;
	int holders = 0;
	for (int first = 0; first < count; first += HOLDERS_EACH, holders++) {
		if (holders == 63)
			break;
		holder[holders] = start(many, "--hold", first, count - first < HOLDERS_EACH ? count - first : HOLDERS_EACH, 0, 0);
	}
	for (int i = 0; i < holders; i++)
		runner_await(&holder[i]);
	holder[holders] = start(few, "--hold", 5 * PORTS, 10, 0, 0);
	runner_await(&holder[holders++]);
	struct comparison found = compare(start(few, "--measured", FREE_PORT, 2000, 0, 0), start(many, "--measured", FREE_PORT + 1, 2000, 0, 0));
	printf("a bind beside 10 and %d holders: %.0f ns, %.0f ns  %.3fx (goal 1.05x%s)\n", count, found.a, found.b, found.ratio, met(found.ratio <= 1.05));
	if (stat(many, &file) == 0)
		printf("memory of the registry: %lld bytes a holder\n", (long long)file.st_blocks * 512 / count);
	for (int i = 0; i < holders; i++)
		runner_stop(&holder[i]);
}

static void measure_shared(const char *registry)
{
	static const int counts[] = { 1, 10, 100, 1000, 10000 };
	for (int i = 0; i < 5; i++) {
		int cycles = counts[i] < 1000 ? 500 : counts[i] < 10000 ? 50 : 5;
		struct comparison found = compare(start(NULL, "--measured", SHARED_PORT + i, cycles, counts[i], 0),
						  start(registry, "--measured", SHARED_PORT + 10 + i, cycles, counts[i], 0));
		printf("a bind to a port that %d share: native %.0f ns, fakebind %.0f ns  %.2fx\n", counts[i], found.a, found.b, found.ratio);
	}
}

/* Binds a nanosecond of `count` processes at once. */
static double rate(const struct runner *runner, int count)
{
	double start = now();
	for (int i = 0; i < count; i++)
		runner_go(&runner[i]);
	for (int i = 0; i < count; i++)
		runner_result(&runner[i]);
	return count / (now() - start);
}

static void measure_scaling(const char *registry)
{
	struct runner bare[MOST], under[MOST];
	for (int i = 0; i < MOST; i++) {
		bare[i] = start(NULL, "--measured", FREE_PORT + 10 + i, 2000, 0, 0);
		under[i] = start(registry, "--measured", FREE_PORT + 20 + i, 2000, 0, 0);
	}
	for (int count = 2; count <= MOST; count *= 4) {
		double ratios[ROUNDS], host[ROUNDS];
		for (int i = 0; i < ROUNDS; i++) {
			host[i] = rate(bare, count) / rate(bare, 1);
			ratios[i] = rate(under, count) / rate(under, 1) / host[i];
		}
		double ratio = median(ratios, ROUNDS);
		printf("%d processes, a port each: the host scales %.2fx, fakebind %.2fx of that (goal 0.90x%s)\n", count, median(host, ROUNDS), ratio, met(ratio >= 0.9));
	}
	for (int i = 0; i < MOST; i++) {
		runner_stop(&bare[i]);
		runner_stop(&under[i]);
	}
}

static void measure_refusal(const char *registry)
{
	struct runner many = start(registry, "--register", REGISTERED, FREE_PORT + 40, 0, 0);
	runner_await(&many);
	struct comparison found = compare(start(NULL, "--measured", FREE_PORT + 40, 20, 0, 1), start(registry, "--measured", FREE_PORT + 40, 20, 0, 1));
	printf("a refusal for a doubtful holder, %d processes: native %.1f us, fakebind %.1f us (goal 200 us%s)\n", REGISTERED, found.a / 1e3, found.b / 1e3,
	       met(found.b <= 200e3));
	runner_stop(&many);
}

int main(int argc, char **argv)
{
	char folder[] = "/dev/shm/fakebind-size-XXXXXX", few[64], many[64];
	struct rlimit files;
	if (argc > 1 && argv[1][0] == '-')
		return child(argv);
	int count = argc > 1 ? atoi(argv[1]) : 100000;
	if (argc > 2)
		profile = argv[2];
	self = argv[0];
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	if (count < 1 || files.rlim_cur < HOLDERS_EACH + 100) {
		fprintf(stderr, "usage: size [HOLDERS [PROFILE]], with %d descriptors for each process (ulimit -n)\n", HOLDERS_EACH + 100);
		return 1;
	}
	if (!mkdtemp(folder))
		fail(folder);
	snprintf(few, sizeof few, "%s/few", folder);
	snprintf(many, sizeof many, "%s/many", folder);
	setvbuf(stdout, NULL, _IOLBF, 0);
	measure_scaling(few);
	measure_refusal(few);
	measure_shared(few);
	measure_holders(few, many, count);
	unlink(few);
	unlink(many);
	rmdir(folder);
	return 0;
}

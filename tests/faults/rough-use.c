/* SPDX-License-Identifier: MIT */
/*
 * Good calls in bad circumstances; bad-input.test starts it under each system.
 *
 *	rough-use ordinary                a server's calls, one line each
 *	rough-use clean                   errno is kept and nothing is allocated in any call that succeeds
 *	rough-use threads|signals MS      many at once: threads, or a signal handler that binds too
 *	rough-use cancelled               threads are cancelled in accept() and in connect(); says whose cleanup ran
 *	rough-use files|memory            the ordinary calls, with no descriptor or no memory left
 *	rough-use various            two of every kind of socket meet on a port, under all options
 *	rough-use various-files|various-memory|various-table   the same with no descriptor, no memory or no file of the
 *	                             system's left
 *	rough-use fill FILE records|processes    leaves no free number of these in a registry
 *	rough-use precious FILE           the ordinary calls, with FILE where stderr was
 *	rough-use loop                    binds until SIGTERM; says how long the slowest call took
 *	rough-use damage FILE COUNT SEED  changes bytes of a registry in use
 *	rough-use misstate FILE           meets a holder in a state that does not exist
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shim/registry/layout.h"
#include "shim/rules/rules.h"

#define PORT 47200 /* below the ephemeral ports */
#define PORTS 3

/* ---- an allocator that counts ---- */

static atomic_int inside, allocations;

void *malloc(size_t size)
{
	static _Alignas(16) char arena[1 << 22];
	static atomic_size_t used;
	allocations += inside;
	size_t at = atomic_fetch_add(&used, (size + 15) & ~(size_t)15);
	return at + size <= sizeof arena ? arena + at : NULL;
}

void *calloc(size_t count, size_t size) { return malloc(count * size); }
void free(void *memory) { (void)memory; }

void *realloc(void *old, size_t size)
{
	char *new = malloc(size);
	for (size_t i = 0; new && old && i < size; i++)
		new[i] = ((char *)old)[i];
	return new;
}

/* ---- ordinary ---- */

static struct sockaddr_in address_of(int port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static int bind_port(int fd, int port)
{
	const struct sockaddr_in address = address_of(port);
	return bind(fd, (const void *)&address, sizeof address);
}

static int set(int fd, int option)
{
	const int one = 1;
	return setsockopt(fd, SOL_SOCKET, option, &one, sizeof one);
}

/* strerror() may need memory. */
#define SAY(call) \
	do { \
		errno = 0; \
		long result_ = (call); \
		dprintf(1, "%s = %ld, errno %d\n", #call, result_, errno); \
	} while (0)

static int ordinary(int a, int b, int named)
{
	const struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "\0rough-use" };
	SAY(bind_port(a, PORT));
	SAY(bind_port(a, PORT));
	SAY(listen(a, 5));
	SAY(bind_port(b, PORT));
	SAY(set(b, SO_REUSEADDR));
	SAY(bind_port(b, PORT));
	SAY(bind_port(b, PORT + 1));
	SAY(listen(b, 5));
	SAY(bind(named, (const void *)&name, sizeof name));
	SAY(listen(named, 5));
	SAY(shutdown(b, SHUT_RDWR));
	SAY(accept(b, NULL, NULL));
	SAY(close(a));
	SAY(close(b));
	SAY(close(named));
	dprintf(1, "end\n");
	return 0;
}

static int tcp(void) { return socket(AF_INET, SOCK_STREAM, 0); }
static int run_ordinary(void) { return ordinary(tcp(), tcp(), socket(AF_UNIX, SOCK_STREAM, 0)); }

static int files(void)
{
	int a = tcp(), b = tcp(), named = socket(AF_UNIX, SOCK_STREAM, 0);
	const struct rlimit limit = { 32, 32 };
	setrlimit(RLIMIT_NOFILE, &limit);
	while (dup(1) >= 0)
		;
	return ordinary(a, b, named);
}

static int memory(void)
{
	const struct rlimit limit = { 4096, 4096 };
	setrlimit(RLIMIT_AS, &limit);
	return run_ordinary();
}

/* ---- various ---- */

struct kind { int domain, type; };

static int bind_kind(int fd, struct kind kind, int port)
{
	const struct sockaddr_in v4 = address_of(port);
	const struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
	return kind.domain == AF_INET ? bind(fd, (const void *)&v4, sizeof v4) : bind(fd, (const void *)&v6, sizeof v6);
}

static void meet(struct kind first, struct kind second, const int fds[3], int option, int port)
{
	dprintf(1, "%d/%d %d/%d option %d\n", first.domain, first.type, second.domain, second.type, option);
	if (option) {
		SAY(set(fds[0], option));
		SAY(set(fds[1], option));
	}
	SAY(bind_kind(fds[0], first, port));
	SAY(bind_kind(fds[1], second, port));
	SAY(listen(fds[0], 5));
	SAY(listen(fds[1], 5));
	/* Only a child has it now. */
	pid_t keeper = fork();
	if (keeper == 0)
		for (;;)
			pause();
	SAY(close(fds[0]));
	SAY(bind_kind(fds[2], first, port));
	SAY(listen(fds[2], 5));
	kill(keeper, SIGKILL);
	waitpid(keeper, NULL, 0);
	SAY(bind_kind(fds[2], first, port));
	close(fds[1]);
	close(fds[2]);
}

/* The system's own table of files is full, as far as this process can tell. */
static void fill_file_table(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENFILE),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog filter = { sizeof code / sizeof *code, code };
	SAY(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	SAY(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter));
	SAY(socket(AF_INET, SOCK_STREAM, 0));
}

static int various(const struct rlimit *files, const struct rlimit *memory, bool full_table)
{
	static const struct kind kinds[] = { { AF_INET, SOCK_STREAM }, { AF_INET6, SOCK_STREAM }, { AF_INET, SOCK_DGRAM }, { AF_INET6, SOCK_DGRAM } };
	static const int options[] = { 0, SO_REUSEADDR, SO_REUSEPORT };
	enum { CASES = 4 * 4 * 3 };
	int fds[CASES][3], n = 0;
	for (n = 0; n < CASES; n++) {
		struct kind first = kinds[n / 12], second = kinds[n / 3 % 4];
		fds[n][0] = socket(first.domain, first.type, 0);
		fds[n][1] = socket(second.domain, second.type, 0);
		fds[n][2] = socket(first.domain, first.type, 0);
	}
	if (memory)
		setrlimit(RLIMIT_AS, memory);
	if (full_table)
		fill_file_table();
	for (n = 0; n < CASES; n++) {
		if (files) { /* what the last case closed */
			setrlimit(RLIMIT_NOFILE, files);
			while (dup(1) >= 0)
				;
		}
		meet(kinds[n / 12], kinds[n / 3 % 4], fds[n], options[n % 3], PORT + n);
	}
	dprintf(1, "end\n");
	return 0;
}

static int precious(const char *path)
{
	close(2);
	if (open(path, O_RDWR) != 2)
		return 2;
	return run_ordinary();
}

/* ---- clean ---- */

static int unclean;

#define CLEAN(call) \
	({ \
		errno = 12345; \
		inside = 1; \
		int result_ = (call); \
		inside = 0; \
		if (result_ >= 0 && errno != 12345) \
			unclean += dprintf(1, "%s = %d changes errno to %d\n", #call, result_, errno) > 0; \
		if (allocations) \
			unclean += dprintf(1, "%s allocates\n", #call) > 0; \
		allocations = 0; \
		result_; \
	})

static void clean_socket(int domain, int type, int port)
{
	int value;
	socklen_t length = sizeof value;
	struct sockaddr_in6 address = { .sin6_family = (sa_family_t)domain, .sin6_port = htons((uint16_t)port) };
	int fd = CLEAN(socket(domain, type, 0)), other = CLEAN(socket(domain, type, 0));
	CLEAN(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)));
	CLEAN(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &(int){ 1 }, sizeof(int)));
	CLEAN(setsockopt(other, SOL_SOCKET, SO_REUSEPORT, &(int){ 1 }, sizeof(int)));
	CLEAN(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "", 0));
	CLEAN(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){ 1 }, sizeof(int)));
	CLEAN(setsockopt(fd, SOL_SOCKET, 9999, &(int){ 1 }, sizeof(int)));
	CLEAN(getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, &length));
	CLEAN(getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &length));
	CLEAN(shutdown(fd, SHUT_RDWR));
	CLEAN(bind(fd, (void *)&address, domain == AF_INET ? 16 : 28));
	CLEAN(bind(other, (void *)&address, domain == AF_INET ? 16 : 28));
	CLEAN(listen(fd, 4));
	CLEAN(listen(fd, 5));
	CLEAN(listen(other, 4));
	length = sizeof address;
	getsockname(fd, (void *)&address, &length);
	int client = CLEAN(socket(domain, type, 0));
	fcntl(fd, F_SETFL, O_NONBLOCK);
	fcntl(other, F_SETFL, O_NONBLOCK);
	fcntl(client, F_SETFL, O_NONBLOCK);
	CLEAN(connect(client, (void *)&address, length));
	CLEAN(close(CLEAN(accept(fd, NULL, NULL))));
	CLEAN(close(CLEAN(accept4(other, NULL, NULL, SOCK_CLOEXEC))));
	CLEAN(shutdown(client, SHUT_WR));
	int copy = CLEAN(dup(fd));
	CLEAN(dup2(fd, copy));
	CLEAN(dup3(fd, copy, O_CLOEXEC));
	CLEAN(close(CLEAN(fcntl(fd, F_DUPFD_CLOEXEC, 100))));
	CLEAN((int)syscall(SYS_listen, fd, 3));
	CLEAN(close_range((unsigned)copy, (unsigned)copy, 0));
	CLEAN(shutdown(fd, SHUT_RDWR));
	CLEAN(close(client));
	CLEAN(close(other));
	CLEAN(close(fd));
	CLEAN(close(fd)); /* fails, and must not allocate either */
}

static int clean(void)
{
	static const int domains[] = { AF_INET, AF_INET6 }, types[] = { SOCK_STREAM, SOCK_DGRAM };
	for (int i = 0; i < 4; i++) {
		clean_socket(domains[i / 2], types[i % 2], 0);
		clean_socket(domains[i / 2], types[i % 2], PORT + 100 + i); /* TIME_WAIT stays there */
	}
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0) {
		CLEAN(close(CLEAN(dup(pair[0]))));
		CLEAN(shutdown(pair[0], SHUT_RDWR));
	}
	inside = 1;
	closefrom(100);
	inside = 0;
	dprintf(1, allocations ? "closefrom allocates\nend\n" : "end\n");
	return unclean != 0;
}

/* ---- many at once ---- */

static atomic_bool stop;
static atomic_ulong binds;

static void cycle(unsigned turn)
{
	int fd = socket(AF_INET, turn & 16 ? SOCK_DGRAM : SOCK_STREAM, 0);
	if (turn & 1)
		set(fd, turn & 2 ? SO_REUSEADDR : SO_REUSEPORT);
	if (bind_port(fd, PORT + (int)(turn % PORTS)) == 0)
		binds++;
	if (turn & 4)
		listen(fd, 5);
	if (turn & 8)
		close(dup(fd));
	close(fd);
}

static void *cycles(void *argument)
{
	for (unsigned turn = (unsigned)(uintptr_t)argument; !stop; turn += 7)
		cycle(turn);
	return NULL;
}

/* Everything was closed: whatever the system, Linux would give the ports to anybody now. */
static int afterwards(void)
{
	int fds[PORTS];
	dprintf(1, "%lu binds\n", (unsigned long)binds);
	for (int i = 0; i < PORTS; i++) {
		fds[i] = tcp();
		dprintf(1, "port %d: %d\n", i, bind_port(fds[i], PORT + i));
	}
	for (int i = 0; i < PORTS; i++)
		close(fds[i]);
	dprintf(1, "end\n");
	return 0;
}

static int threads(int ms)
{
	pthread_t thread[10];
	for (uintptr_t i = 0; i < 10; i++)
		if (pthread_create(&thread[i], NULL, cycles, (void *)i))
			return 2;
	usleep((unsigned)ms * 1000);
	stop = true;
	for (int i = 0; i < 10; i++)
		pthread_join(thread[i], NULL);
	return afterwards();
}

static void on_alarm(int number)
{
	static unsigned turn;
	int saved = errno;
	(void)number;
	cycle(turn++);
	errno = saved;
}

static long now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int signals(int ms)
{
	const struct itimerval often = { { 0, 200 }, { 0, 200 } }, never = { 0 };
	const struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	long end = now_ms() + ms;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	for (unsigned turn = 0; now_ms() < end; turn++)
		cycle(turn);
	setitimer(ITIMER_REAL, &never, NULL);
	return afterwards();
}

/* ---- a damaged registry ---- */

static void on_term(int number)
{
	(void)number;
	stop = true;
}

static int loop(void)
{
	long slowest = 0;
	signal(SIGTERM, on_term);
	for (unsigned turn = (unsigned)getpid(); !stop; turn++) {
		long start = now_ms();
		cycle(turn);
		if (now_ms() - start > slowest)
			slowest = now_ms() - start;
	}
	dprintf(1, "%lu binds, slowest %ld ms\n", (unsigned long)binds, slowest);
	return 0;
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Somewhere in the parts that are in use. */
static size_t place(uint64_t random)
{
	const size_t ports = offsetof(struct layout, bucket) + PORT * sizeof(struct bucket);
	const size_t low = (size_t)(random >> 8);
	switch (random & 7) {
	case 0: return low % sizeof(struct header);
	case 1: return offsetof(struct layout, process) + low % 256;
	case 2:
	case 3: return ports + low % (PORTS * sizeof(struct bucket));
	default: return offsetof(struct layout, record) + low % (48 * sizeof(struct record));
	}
}

static void *map_registry(const char *path)
{
	int fd = open(path, O_RDWR);
	void *map = mmap(NULL, sizeof(struct layout), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd < 0 || map == MAP_FAILED)
		exit(2);
	return map;
}

static int misstate(const char *path)
{
	int first = socket(AF_INET, SOCK_DGRAM, 0), second = socket(AF_INET, SOCK_DGRAM, 0), found = 0;
	struct layout *map = map_registry(path);
	bind_port(first, PORT);
	for (int i = 1; i < 100; i++)
		if (word_phase(map->record[i].word) == PHASE_LIVE) {
			map->record[i].word |= word_make(0, 0, 0xf, 0, PHASE_FREE);
			found++;
		}
	dprintf(1, "%d found, second bind %d\n", found, bind_port(second, PORT));
	return 0;
}

/* Each is somebody's of whom nothing can be known. */
static int fill(const char *path, bool records)
{
	struct layout *map = map_registry(path);
	if (records) {
		for (uint32_t i = 1; i < RECORDS; i++)
			map->record[i].word = word_make(1, owner_make(1, 0), STATE_BOUND, 0, PHASE_LIVE);
		map->header.next_record = RECORDS;
	} else {
		for (uint32_t i = 1; i < PROCESSES; i++)
			map->process[i] = process_make(1, 0, 0, 0);
		map->header.next_process = PROCESSES;
	}
	memset((void *)map->header.present, 0xff, sizeof map->header.present);
	return 0;
}

static int damage(const char *path, int count, uint64_t seed)
{
	atomic_uchar *map = map_registry(path);
	while (count-- > 0) {
		uint64_t random = next_random(&seed);
		atomic_uchar *byte = &map[place(random)];
		if (random >> 62)
			*byte ^= (unsigned char)(1 << (random >> 59 & 7));
		else
			*byte = (unsigned char)(random >> 48);
		usleep(300);
	}
	return 0;
}

/* ---- pthread_cancel() ---- */

static int listener;

static void leave(const char *const *what)
{
	puts(*what);
	fflush(stdout);
}

static void *accepts(void *unused)
{
	__attribute__((cleanup(leave), unused)) const char *what = "accept";
	accept(listener, NULL, NULL);
	return unused;
}

/* The queue is full: nobody answers. */
static void *connects(void *unused)
{
	__attribute__((cleanup(leave), unused)) const char *what = "connect";
	struct sockaddr_in to = address_of(PORT);
	for (int i = 0; i < 5; i++)
		connect(socket(AF_INET, SOCK_STREAM | (i < 4 ? SOCK_NONBLOCK : 0), 0), (struct sockaddr *)&to, sizeof to);
	return unused;
}

static int cancelled(void)
{
	static void *(*const calls[])(void *) = { accepts, connects };
	struct sockaddr_in at = address_of(PORT);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&at, sizeof at) < 0 || listen(listener, 0) < 0)
		return 1;
	for (int i = 0; i < 2; i++) {
		pthread_t thread;
		pthread_create(&thread, NULL, calls[i], NULL);
		usleep(200000);
		pthread_cancel(thread);
		pthread_join(thread, NULL);
	}
	puts("end");
	return 0;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	int number = argc > 2 ? atoi(argv[2]) : 0;
	if (!strcmp(mode, "ordinary"))
		return run_ordinary();
	if (!strcmp(mode, "clean"))
		return clean();
	if (!strcmp(mode, "threads"))
		return threads(number);
	if (!strcmp(mode, "signals"))
		return signals(number);
	if (!strcmp(mode, "cancelled"))
		return cancelled();
	if (!strcmp(mode, "files"))
		return files();
	if (!strcmp(mode, "memory"))
		return memory();
	if (!strcmp(mode, "various"))
		return various(NULL, NULL, false);
	if (!strcmp(mode, "various-files"))
		return various(&(struct rlimit){ 200, 200 }, NULL, false);
	if (!strcmp(mode, "various-memory"))
		return various(NULL, &(struct rlimit){ 4096, 4096 }, false);
	if (!strcmp(mode, "various-table"))
		return various(NULL, NULL, true);
	if (!strcmp(mode, "fill") && argc == 4)
		return fill(argv[2], !strcmp(argv[3], "records"));
	if (!strcmp(mode, "precious") && argc == 3)
		return precious(argv[2]);
	if (!strcmp(mode, "loop"))
		return loop();
	if (!strcmp(mode, "misstate") && argc == 3)
		return misstate(argv[2]);
	if (!strcmp(mode, "damage") && argc == 5)
		return damage(argv[2], atoi(argv[3]), strtoull(argv[4], NULL, 0));
	return 2;
}

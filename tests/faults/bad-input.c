/* SPDX-License-Identifier: MIT */
/*
 * Makes bad calls and says what each gave, one line each: "socket call arguments<TAB>result error".
 * The first word names what the descriptor is, so that the lines of one kind can be compared alone.
 * Run it in an empty directory, in which it binds AF_UNIX sockets.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif
#ifndef SO_DETACH_REUSEPORT_BPF
#define SO_DETACH_REUSEPORT_BPF 68
#endif

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define PORT 47123 /* below the ephemeral ports */

static const char *subject;

static void say(long result, const char *call)
{
	int error = errno;
	printf("%s %s\t%ld %s\n", subject, call, result, result < 0 ? strerror(error) : "ok");
}

/* result is evaluated first, errno is its own. */
#define TRY(result, ...) \
	do { \
		char call[160]; \
		snprintf(call, sizeof call, __VA_ARGS__); \
		errno = 0; \
		say((result), call); \
	} while (0)

/* ---- descriptors ---- */

static int minus_one(void) { return -1; }
static int most_negative(void) { return INT_MIN; }
static int huge(void) { return INT_MAX; }
static int beyond_cache(void) { return 70000; }
static int file(void) { return open("file", O_RDWR | O_CREAT, 0600); }
static int path(void) { return open(".", O_PATH); }
static int epoll(void) { return epoll_create1(0); }
static int event(void) { return eventfd(0, 0); }
static int unix_stream(void) { return socket(AF_UNIX, SOCK_STREAM, 0); }
static int unix_datagram(void) { return socket(AF_UNIX, SOCK_DGRAM, 0); }
static int netlink(void) { return socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE); }
static int raw_tcp(void) { return socket(AF_INET, SOCK_RAW, IPPROTO_TCP); }
static int raw_udp6(void) { return socket(AF_INET6, SOCK_RAW, IPPROTO_UDP); }
static int udplite(void) { return socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE); }
static int sctp(void) { return socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP); }
static int tcp4(void) { return socket(AF_INET, SOCK_STREAM, 0); }
static int tcp6(void) { return socket(AF_INET6, SOCK_STREAM, IPPROTO_TCP); }
static int udp4(void) { return socket(AF_INET, SOCK_DGRAM, 0); }
static int udp6(void) { return socket(AF_INET6, SOCK_DGRAM, 0); }

static int closed(void)
{
	int fd = tcp4();
	close(fd);
	return fd;
}

static int pipe_end(void)
{
	int ends[2];
	if (pipe(ends) < 0)
		return -1;
	close(ends[1]);
	return ends[0];
}

/* libc closes the socket with no call that a preloaded library could see; then the number is another's. */
static int stale_unix(void)
{
	int pair[2], fd = tcp4();
	FILE *stream = fdopen(fd, "r+");
	if (!stream)
		return -1;
	fclose(stream);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		return -1;
	close(pair[1]);
	return pair[0];
}

static int stale_file(void)
{
	int fd = udp4();
	FILE *stream = fdopen(fd, "r+");
	if (!stream)
		return -1;
	fclose(stream);
	return file();
}

static const struct subject {
	const char *name;
	int (*make)(void);
} subjects[] = {
	{ "none-minus-one", minus_one }, { "none-negative", most_negative }, { "none-huge", huge },
	{ "none-beyond-cache", beyond_cache }, { "none-closed", closed }, { "file", file }, { "file-path", path },
	{ "file-pipe", pipe_end }, { "file-epoll", epoll }, { "file-event", event }, { "file-stale", stale_file },
	{ "unix-stream", unix_stream }, { "unix-datagram", unix_datagram }, { "unix-stale", stale_unix },
	{ "netlink", netlink }, { "raw-tcp", raw_tcp }, { "raw-udp6", raw_udp6 },
	{ "udplite", udplite }, { "sctp", sctp }, { "tcp4", tcp4 }, { "tcp6", tcp6 }, { "udp4", udp4 }, { "udp6", udp6 },
};

static void done(int fd)
{
	if (fd > 2)
		close(fd);
}

/* ---- memory ---- */

/* Two pages that can be used, one that is not mapped, one without permissions, and one to be read only. */
static char *pages;
static size_t page;

static char *unmapped(void) { return pages + 2 * page; }
static char *forbidden(void) { return pages + 3 * page; }
static char *read_only(void) { return pages + 4 * page; }

/* The last n bytes before the page that is not mapped. */
static void *last(size_t n) { return unmapped() - n; }

static void map_pages(void)
{
	page = (size_t)sysconf(_SC_PAGESIZE);
	/* Where no mmap() goes by itself: the hole must stay one. */
	pages = mmap((void *)0x20000000, 5 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (pages == MAP_FAILED || mprotect(forbidden(), page, PROT_NONE) || mprotect(read_only(), page, PROT_READ) ||
	    munmap(unmapped(), page)) {
		perror("bad-input: mmap");
		exit(2);
	}
}

/* ---- addresses ---- */

static const socklen_t lengths[] = { 0, 1, 2, 3, 8, 15, 16, 17, 24, 27, 28, 29, 110, 127, 128, 129, (socklen_t)-1, INT_MAX };

struct address {
	const char *name;
	const void *at;
};

static size_t make_addresses(struct address *list)
{
	static char good[4][256]; /* readable as long as any length that could be taken */
	struct sockaddr_in *v4 = (void *)good[0];
	struct sockaddr_in6 *v6 = (void *)good[1];
	struct sockaddr_un *named = (void *)good[2], *abstract = (void *)good[3];
	size_t n = 0;
	*v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	*v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(PORT), .sin6_addr = in6addr_loopback };
	*named = (struct sockaddr_un){ .sun_family = AF_UNIX, .sun_path = "name-that-is-a-socket" };
	*abstract = (struct sockaddr_un){ .sun_family = AF_UNIX, .sun_path = "\0bad-input" };
	memcpy(last(8), v4, 8);
	list[n++] = (struct address){ "NULL", NULL };
	list[n++] = (struct address){ "one", (void *)1 };
	list[n++] = (struct address){ "kernel", (void *)-4096L };
	list[n++] = (struct address){ "top", (void *)-1L };
	list[n++] = (struct address){ "unmapped", unmapped() };
	list[n++] = (struct address){ "forbidden", forbidden() };
	list[n++] = (struct address){ "straddling", last(8) };
	list[n++] = (struct address){ "zeros", pages };
	list[n++] = (struct address){ "ipv4", v4 };
	list[n++] = (struct address){ "ipv6", v6 };
	list[n++] = (struct address){ "name", named };
	list[n++] = (struct address){ "abstract", abstract };
	return n;
}

/* A connect() that would wait or go out on a network is none of our business here. */
static bool worth_connecting(const struct address *address, socklen_t length)
{
	return strcmp(subject, "sctp") && (length < 8 || strcmp(address->name, "zeros"));
}

static void try_addresses(int (*make)(void))
{
	struct address list[16];
	size_t count = make_addresses(list);
	for (size_t i = 0; i < count; i++)
		for (size_t l = 0; l < COUNT(lengths); l++) {
			int fd = make();
			TRY(bind(fd, list[i].at, lengths[l]), "bind %s length %d", list[i].name, (int)lengths[l]);
			TRY(bind(fd, list[i].at, lengths[l]), "bind again");
			done(fd);
			if (!worth_connecting(&list[i], lengths[l]))
				continue;
			fd = make();
			TRY(connect(fd, list[i].at, lengths[l]), "connect %s length %d", list[i].name, (int)lengths[l]);
			done(fd);
		}
}

/* ---- listen, accept, shutdown ---- */

static void try_accept(int fd, const char *when)
{
	const socklen_t rooms[] = { 0, 1, 16, (socklen_t)-1 };
	char address[256];
	socklen_t room = sizeof address;
	TRY(accept(fd, NULL, NULL), "accept %s", when);
	TRY(accept(fd, (void *)address, NULL), "accept %s no length", when);
	TRY(accept(fd, NULL, &room), "accept %s no address", when);
	TRY(accept(fd, (void *)unmapped(), (void *)unmapped()), "accept %s unmapped", when);
	TRY(accept4(fd, (void *)forbidden(), &room, 0), "accept4 %s forbidden", when);
	TRY(accept4(fd, NULL, NULL, -1), "accept4 %s all flags", when);
	for (size_t i = 0; i < COUNT(rooms); i++) {
		room = rooms[i];
		TRY(accept(fd, (void *)address, &room), "accept %s room %d", when, (int)rooms[i]);
	}
}

/* A connection waits: the result is a descriptor, or the connection is lost. */
static void try_accept_waiting(int (*make)(void), int domain)
{
	struct sockaddr_storage name;
	socklen_t length = sizeof name;
	const struct sockaddr_storage any = { .ss_family = (sa_family_t)domain };
	int fd = make(), client = make();
	socklen_t size = domain == AF_UNIX ? 2 : domain == AF_INET ? 16 : 28;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (bind(fd, (const void *)&any, size) < 0 || listen(fd, 8) < 0 || getsockname(fd, (void *)&name, &length) < 0)
		printf("%s cannot listen\t%s\n", subject, strerror(errno));
	else {
		TRY(connect(client, (void *)&name, length), "connect");
		TRY(accept(fd, (void *)unmapped(), (void *)unmapped()), "accept a connection to nowhere");
		done(client);
		client = make();
		TRY(connect(client, (void *)&name, length), "connect once more");
		length = 3;
		int got = -1;
		TRY(got = accept(fd, (void *)&name, &length), "accept a connection with little room");
		done(got);
	}
	done(client);
	done(fd);
}

static void try_listen(int (*make)(void))
{
	static const int backlogs[] = { 0, -1, 1, INT_MAX, INT_MIN };
	static const int how[] = { -1, 0, 1, 2, 3, 99 };
	for (size_t i = 0; i < COUNT(backlogs); i++) {
		int fd = make();
		if (i == 0)
			try_accept(fd, "early");
		TRY(listen(fd, backlogs[i]), "listen %d", backlogs[i]);
		TRY(listen(fd, backlogs[i]), "listen %d again", backlogs[i]);
		if (i == 0 && strncmp(subject, "file", 4)) {
			fcntl(fd, F_SETFL, O_NONBLOCK);
			try_accept(fd, "late");
		}
		done(fd);
	}
	for (size_t i = 0; i < COUNT(how); i++) {
		int fd = make();
		TRY(shutdown(fd, how[i]), "shutdown %d", how[i]);
		listen(fd, 1);
		TRY(shutdown(fd, how[i]), "shutdown %d while listening", how[i]);
		done(fd);
	}
}

/* ---- options ---- */

struct option {
	const char *name;
	int level, number;
};

static const struct option options[] = {
	{ "SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR }, { "SO_REUSEPORT", SOL_SOCKET, SO_REUSEPORT },
	{ "SO_BINDTODEVICE", SOL_SOCKET, SO_BINDTODEVICE }, { "SO_BINDTOIFINDEX", SOL_SOCKET, SO_BINDTOIFINDEX },
	{ "SO_ATTACH_REUSEPORT_CBPF", SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF },
	{ "SO_ATTACH_REUSEPORT_EBPF", SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF },
	{ "SO_DETACH_REUSEPORT_BPF", SOL_SOCKET, SO_DETACH_REUSEPORT_BPF },
	{ "IPV6_V6ONLY", IPPROTO_IPV6, IPV6_V6ONLY }, { "unknown", SOL_SOCKET, 9999 }, { "no-level", -1, SO_REUSEADDR },
};
static const socklen_t sizes[] = { 0, 1, 3, 4, 5, 8, 16, 17, 256, 257, (socklen_t)-1, INT_MAX };

static void try_set(int fd, const struct option *option)
{
	static int one[128] = { 1 };
	memset(last(8), 0, 8);
	*(int *)last(8) = *(int *)last(4) = 1;
	const struct address values[] = {
		{ "NULL", NULL }, { "one", (void *)1 }, { "top", (void *)-1L }, { "unmapped", unmapped() },
		{ "forbidden", forbidden() }, { "straddling", last(2) }, { "last four bytes", last(4) },
		{ "unaligned", last(6) }, { "good", one },
	};
	for (size_t v = 0; v < COUNT(values); v++)
		for (size_t s = 0; s < COUNT(sizes); s++)
			TRY(setsockopt(fd, option->level, option->number, values[v].at, sizes[s]),
				"setsockopt %s %s size %d", option->name, values[v].name, (int)sizes[s]);
}

static void try_get_into(int fd, const struct option *option, const char *name, void *value, socklen_t *length, socklen_t size)
{
	char call[128];
	*length = size;
	snprintf(call, sizeof call, "getsockopt %s %s size %d", option->name, name, (int)size);
	errno = 0;
	say(getsockopt(fd, option->level, option->number, value, length), call);
	printf("%s %s gives length\t%d\n", subject, call, (int)*length);
}

static void try_get(int fd, const struct option *option)
{
	static int value[128];
	socklen_t length;
	for (size_t s = 0; s < COUNT(sizes); s++) {
		memset(value, 0x55, sizeof value);
		try_get_into(fd, option, "good", value, &length, sizes[s]);
		printf("%s value\t%x %x\n", subject, value[0], value[1]);
		try_get_into(fd, option, "NULL", NULL, &length, sizes[s]);
		try_get_into(fd, option, "unmapped", unmapped(), &length, sizes[s]);
		try_get_into(fd, option, "read-only", read_only(), &length, sizes[s]);
		try_get_into(fd, option, "straddling", last(2), &length, sizes[s]);
		try_get_into(fd, option, "length at the end", value, last(sizeof length), sizes[s]);
	}
	TRY(getsockopt(fd, option->level, option->number, value, NULL), "getsockopt %s no length", option->name);
	TRY(getsockopt(fd, option->level, option->number, value, (void *)unmapped()), "getsockopt %s length unmapped", option->name);
	TRY(getsockopt(fd, option->level, option->number, value, (void *)read_only()), "getsockopt %s length read-only", option->name);
	TRY(getsockopt(fd, option->level, option->number, value, last(2)), "getsockopt %s length straddling", option->name);
}

static void try_device(int (*make)(void))
{
	static const struct { const char *name; socklen_t size; } devices[] = {
		{ "lo", 0 }, { "lo", 1 }, { "lo", 2 }, { "lo", 3 }, { "lo\0junk", 7 }, { "", 1 }, { "no-such-device", 15 },
		{ "fifteen-letters", 15 }, { "sixteen-letters-", 16 }, { "sixteen-letters-and-more", 24 }, { "../../etc", 9 },
	};
	static const int indexes[] = { -1, 0, 1, 999999, INT_MIN };
	for (size_t i = 0; i < COUNT(devices); i++) {
		int fd = make();
		/* Not terminated: what follows cannot be read. */
		memcpy(last(devices[i].size), devices[i].name, devices[i].size);
		TRY(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, last(devices[i].size), devices[i].size),
			"SO_BINDTODEVICE %s size %d", devices[i].name, (int)devices[i].size);
		try_get(fd, &options[2]);
		done(fd);
	}
	for (size_t i = 0; i < COUNT(indexes); i++) {
		int fd = make();
		TRY(setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &indexes[i], sizeof indexes[i]), "SO_BINDTOIFINDEX %d", indexes[i]);
		done(fd);
	}
}

static void try_programs(int (*make)(void))
{
	struct sock_filter accept_all = BPF_STMT(BPF_RET | BPF_K, 0), jump = BPF_JUMP(BPF_JMP | BPF_JA, 1000, 0, 0),
			   nonsense = { 0xffff, 0, 0, 0 };
	struct { const char *name; struct sock_fprog program; } programs[] = {
		{ "empty", { 0, &accept_all } }, { "nowhere", { 1, NULL } }, { "unmapped", { 1, (void *)unmapped() } },
		{ "too long", { 65535, &accept_all } }, { "jumps out", { 1, &jump } }, { "nonsense", { 1, &nonsense } },
		{ "good", { 1, &accept_all } },
	};
	for (size_t i = 0; i < COUNT(programs); i++) {
		int fd = make();
		TRY(setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &programs[i].program, sizeof programs[i].program), "program %s", programs[i].name);
		TRY(setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &programs[i].program, 4), "program %s cut", programs[i].name);
		done(fd);
	}
}

static void try_options(int (*make)(void))
{
	for (size_t i = 0; i < COUNT(options); i++) {
		int fd = make();
		try_set(fd, &options[i]);
		try_get(fd, &options[i]);
		done(fd);
	}
	try_device(make);
	try_programs(make);
}

/* ---- copies and ends of descriptors ---- */

static void copied(long made, const char *call)
{
	say(made, call);
	if (made > 2)
		close((int)made);
}

static void try_descriptors(int (*make)(void))
{
	int fd = make();
	errno = 0;
	copied(dup(fd), "dup");
	copied(dup2(fd, -1), "dup2 onto -1");
	copied(dup2(fd, INT_MAX), "dup2 onto INT_MAX");
	copied(dup2(fd, 300), "dup2 onto 300");
	TRY(dup2(fd, fd), "dup2 onto itself");
	copied(dup3(fd, fd, 0), "dup3 onto itself");
	copied(dup3(fd, 300, -1), "dup3 all flags");
	copied(dup3(fd, 300, O_CLOEXEC), "dup3 O_CLOEXEC");
	copied(fcntl(fd, F_DUPFD, -1), "F_DUPFD -1");
	copied(fcntl(fd, F_DUPFD, INT_MAX), "F_DUPFD INT_MAX");
	copied(fcntl(fd, F_DUPFD_CLOEXEC, 200), "F_DUPFD_CLOEXEC 200");
	TRY(fcntl(fd, 99999), "fcntl 99999");
	TRY(fcntl(fd, F_GETFD), "F_GETFD");
	TRY(fcntl(fd, F_GETLK, unmapped()), "F_GETLK unmapped");
	TRY(close_range((unsigned)fd, (unsigned)fd, -1), "close_range all flags");
	TRY(close_range(10, 5, 0), "close_range backwards");
	TRY(listen(fd, 1), "listen after a bad close_range");
	TRY(close(fd), "close");
	TRY(close(fd), "close again");
	if (fd > 2)
		TRY(close_range((unsigned)fd, (unsigned)fd, 0), "close_range");
	TRY(listen(fd, 1), "listen after close");
	TRY(bind(fd, (void *)&(struct sockaddr_in){ .sin_family = AF_INET }, 16), "bind after close");
}

static void try_syscalls(int (*make)(void))
{
	int fd = make(), one = 1;
	TRY(syscall(SYS_bind, fd, unmapped(), 16), "SYS_bind unmapped");
	TRY(syscall(SYS_bind, fd, pages, -1), "SYS_bind length -1");
	TRY(syscall(SYS_connect, fd, NULL, 16), "SYS_connect NULL");
	TRY(syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_REUSEADDR, NULL, 4), "SYS_setsockopt NULL");
	TRY(syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_REUSEADDR, &one, 4), "SYS_setsockopt");
	TRY(syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_REUSEADDR, &one, NULL), "SYS_getsockopt no length");
	TRY(syscall(SYS_accept4, fd, NULL, NULL, -1), "SYS_accept4 all flags");
	TRY(syscall(SYS_listen, fd, -1), "SYS_listen -1");
	TRY(syscall(SYS_shutdown, fd, 99), "SYS_shutdown 99");
	TRY(syscall(SYS_fcntl, fd, 99999, -1), "SYS_fcntl 99999");
	copied(syscall(SYS_dup3, fd, -1, 0), "SYS_dup3 onto -1");
	TRY(syscall(SYS_close, fd), "SYS_close");
	TRY(syscall(SYS_close, fd), "SYS_close again");
	TRY(syscall(-1), "no such system call");
	TRY(syscall(LONG_MAX, 1, 2, 3, 4, 5, 6), "nor this one");
}

/* Who closes all its descriptors can only tell by its exit status. */
static void try_close_all(void)
{
	int status = 0;
	fflush(stdout);
	if (fork() == 0) {
		tcp4();
		closefrom(-1);
		_exit(tcp4() == 0 && bind(0, NULL, 0) < 0 ? 0 : 1);
	}
	wait(&status);
	printf("none closefrom -1\t%d\n", status);
	if (fork() == 0) {
		closefrom(INT_MAX);
		close_range(0, UINT_MAX, 0);
		_exit(fcntl(0, F_GETFD) < 0 ? 0 : 1);
	}
	wait(&status);
	printf("none close_range all\t%d\n", status);
}

static void try_sockets(void)
{
	static const int arguments[][3] = {
		{ -1, SOCK_STREAM, 0 }, { 9999, SOCK_STREAM, 0 }, { 256 + AF_INET, SOCK_STREAM, 0 }, { AF_INET, -1, 0 },
		{ AF_INET, 0, 0 }, { AF_INET, 9, 0 }, { AF_INET, SOCK_STREAM | 0x40000000, 0 }, { AF_INET, SOCK_STREAM, -1 },
		{ AF_INET, SOCK_STREAM, 9999 }, { AF_INET, SOCK_STREAM, IPPROTO_UDP }, { AF_INET6, SOCK_DGRAM, IPPROTO_TCP },
		{ AF_INET, SOCK_RAW, 0 }, { AF_INET, SOCK_SEQPACKET, IPPROTO_TCP }, { AF_UNSPEC, SOCK_STREAM, 0 },
		{ AF_UNIX, SOCK_STREAM, 77 }, { AF_NETLINK, SOCK_RAW, 999 },
	};
	for (size_t i = 0; i < COUNT(arguments); i++) {
		const int *a = arguments[i];
		bool internet = a[0] == AF_INET || a[0] == AF_INET6;
		subject = internet ? "tcp" : "none";
		int fd = -1;
		TRY(fd = socket(a[0], a[1], a[2]), "socket %d %d %d", a[0], a[1], a[2]);
		done(fd);
	}
}

static int domain_of(const char *name)
{
	return strstr(name, "unix-stream") ? AF_UNIX : strstr(name, "tcp4") ? AF_INET : strstr(name, "tcp6") ? AF_INET6 : 0;
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 1 << 16);
	signal(SIGPIPE, SIG_DFL);
	map_pages();
	try_sockets();
	for (size_t i = 0; i < COUNT(subjects); i++) {
		int (*make)(void) = subjects[i].make;
		subject = subjects[i].name;
		try_addresses(make);
		try_listen(make);
		if (domain_of(subject))
			try_accept_waiting(make, domain_of(subject));
		try_options(make);
		try_descriptors(make);
		try_syscalls(make);
	}
	try_close_all();
	puts("end");
	return 0;
}

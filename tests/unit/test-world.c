/* SPDX-License-Identifier: MIT */
/* The machine of sockets in memory: who has a port, and for how long.  The system is Linux 6.18, unless a test says
 * otherwise; what single rules answer is tested elsewhere. */
#include "cmd/world.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#define PORT 8080

static struct world *world;

static void boot(const char *system)
{
	world_free(world);
	world = world_new(profile_find(system), false, 0);
}

static void set_up(void)
{
	boot("linux-6.18");
}

static void tear_down(void)
{
	world_free(world);
	world = NULL;
}

TestSuite(world, .init = set_up, .fini = tear_down);

/* ---- shorthand ---- */

static struct sockaddr_in at(const char *address, uint16_t port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };

	inet_pton(AF_INET, address, &in.sin_addr);
	return in;
}

/* 0, or the errno. */
static int result(int returned)
{
	return returned < 0 ? errno : 0;
}

static int do_bind(int fd, const char *address, uint16_t port)
{
	struct sockaddr_in in = at(address, port);

	return result(world_bind(world, fd, (struct sockaddr *)&in, sizeof in));
}

static int do_connect(int fd, const char *address, uint16_t port)
{
	struct sockaddr_in in = at(address, port);

	return result(world_connect(world, fd, (struct sockaddr *)&in, sizeof in));
}

static int tcp(void)
{
	return world_socket(world, AF_INET, SOCK_STREAM);
}

static int udp(void)
{
	return world_socket(world, AF_INET, SOCK_DGRAM);
}

static int set(int fd, int name)
{
	int on = 1;

	return result(world_setsockopt(world, fd, SOL_SOCKET, name, &on, sizeof on));
}

static int listener(const char *address)
{
	int fd = tcp();

	cr_assert(eq(int, do_bind(fd, address, PORT), 0));
	cr_assert(eq(int, result(world_listen(world, fd, 5)), 0));
	return fd;
}

static int client(void)
{
	int fd = tcp();

	cr_assert(eq(int, do_connect(fd, "127.0.0.1", PORT), 0));
	return fd;
}

/* Would a new socket without options get the port? */
static int port_is_taken(const char *address)
{
	int fd = tcp(), error = do_bind(fd, address, PORT);

	world_close(world, fd);
	return error;
}

static struct sockaddr_in name_of(int fd)
{
	struct sockaddr_storage storage;
	struct sockaddr_in in;

	cr_assert(eq(int, world_getsockname(world, fd, &storage), 0));
	memcpy(&in, &storage, sizeof in);
	return in;
}

static bool count_one(void *count, const struct holder *holder)
{
	(void)holder;
	++*(unsigned *)count;
	return true;
}

static unsigned holders(void)
{
	unsigned count = 0;

	world_each(world, count_one, &count);
	return count;
}

/* ---- descriptors ---- */

Test(world, a_port_is_free_after_the_last_close)
{
	int fd = tcp(), copy;

	cr_expect(eq(int, do_bind(fd, "127.0.0.1", PORT), 0));
	copy = world_dup(world, fd);
	world_close(world, fd);
	cr_expect(eq(int, port_is_taken("127.0.0.1"), EADDRINUSE));
	world_close(world, copy);
	cr_expect(eq(int, port_is_taken("127.0.0.1"), 0));
	cr_expect(eq(int, result(world_close(world, copy)), EBADF));
}

Test(world, dup2_closes_what_was_there)
{
	int fd = tcp(), other = tcp();

	do_bind(fd, "127.0.0.1", PORT);
	cr_expect(eq(int, world_dup2(world, other, fd), fd));
	cr_expect(eq(int, port_is_taken("127.0.0.1"), 0));
	cr_expect(eq(int, world_dup2(world, fd, fd), fd));
	cr_expect(eq(int, do_bind(fd, "127.0.0.1", PORT), 0));
	cr_expect(eq(int, do_bind(other, "127.0.0.1", PORT), EINVAL));
}

Test(world, a_process_keeps_its_socket)
{
	int fd = tcp(), process;

	do_bind(fd, "127.0.0.1", PORT);
	process = world_fork(world, fd);
	world_close(world, fd);
	cr_expect(eq(int, port_is_taken("127.0.0.1"), EADDRINUSE));
	cr_expect(eq(int, result(world_exit(world, process)), 0));
	cr_expect(eq(int, port_is_taken("127.0.0.1"), 0));
	cr_expect(eq(int, result(world_exit(world, process)), ESRCH));
}

/* ---- connections ---- */

Test(world, a_child_holds_the_port_of_its_listener)
{
	int l = listener("0.0.0.0"), c = client(), s = world_accept(world, l);

	cr_assert(ge(int, s, 0));
	world_close(world, l);
	cr_expect(eq(int, port_is_taken("0.0.0.0"), EADDRINUSE));
	cr_expect(eq(int, port_is_taken("127.0.0.2"), 0));
	world_close(world, c);
	world_close(world, s);
	cr_expect(eq(int, port_is_taken("0.0.0.0"), 0));
}

Test(world, who_closes_first_leaves_time_wait)
{
	int l = listener("127.0.0.1"), c = client(), s = world_accept(world, l);

	world_close(world, s);
	world_close(world, c);
	world_close(world, l);
	cr_expect(eq(int, port_is_taken("127.0.0.1"), EADDRINUSE));
	world_sleep(world, 59999);
	cr_expect(eq(int, port_is_taken("127.0.0.1"), EADDRINUSE));
	world_sleep(world, 1);
	cr_expect(eq(int, port_is_taken("127.0.0.1"), 0));
	cr_expect(eq(uint, holders(), 0u));
}

Test(world, the_wait_begins_when_the_other_side_closes)
{
	int l = listener("127.0.0.1"), c = client(), s = world_accept(world, l);

	world_close(world, l);
	world_close(world, s);
	world_sleep(world, 50000);
	world_close(world, c);
	world_sleep(world, 50000);
	cr_expect(eq(int, port_is_taken("127.0.0.1"), EADDRINUSE));
	world_sleep(world, 10000);
	cr_expect(eq(int, port_is_taken("127.0.0.1"), 0));
}

Test(world, shutdown_counts_as_closing_first)
{
	int l = listener("127.0.0.1"), c = client(), s = world_accept(world, l);

	cr_expect(eq(int, result(world_shutdown(world, s, SHUT_WR)), 0));
	world_close(world, l);
	world_close(world, c);
	world_close(world, s);
	cr_expect(eq(int, port_is_taken("127.0.0.1"), EADDRINUSE));
}

Test(world, a_reset_leaves_nothing)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };
	int l = listener("127.0.0.1"), c = client(), s = world_accept(world, l), error = 0;
	socklen_t length = sizeof error;

	world_setsockopt(world, s, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
	world_close(world, l);
	world_close(world, s);
	cr_expect(eq(int, port_is_taken("127.0.0.1"), 0));
	cr_expect(eq(int, result(world_listen(world, c, 1)), EINVAL));
	cr_expect(eq(int, world_getsockopt(world, c, SOL_SOCKET, SO_ERROR, &error, &length), 0));
	cr_expect(eq(int, error, ECONNRESET));
}

Test(world, unread_data_is_a_reset)
{
	int l = listener("127.0.0.1"), c = client(), s = world_accept(world, l);

	cr_expect(eq(int, (int)world_send(world, c, "x", 1, NULL, 0), 1));
	world_close(world, l);
	world_close(world, s);
	cr_expect(eq(int, port_is_taken("127.0.0.1"), 0));
	cr_expect(eq(int, result((int)world_send(world, c, "x", 1, NULL, 0)), ECONNRESET));
}

Test(world, closing_a_listener_resets_whom_nobody_accepted)
{
	int l = listener("127.0.0.1"), c = client(), error = 0;
	socklen_t length = sizeof error;

	world_close(world, l);
	world_getsockopt(world, c, SOL_SOCKET, SO_ERROR, &error, &length);
	cr_expect(eq(int, error, ECONNRESET));
	cr_expect(eq(int, port_is_taken("127.0.0.1"), 0));
	cr_expect(eq(uint, holders(), 0u));
}

Test(world, a_queue_is_bounded_and_in_order)
{
	int l = tcp(), first, second;
	char text[4] = "";

	do_bind(l, "127.0.0.1", PORT);
	world_listen(world, l, 1);
	first = client();
	second = client();
	cr_expect(eq(int, do_connect(tcp(), "127.0.0.1", PORT), ETIMEDOUT));
	world_send(world, first, "one", 3, NULL, 0);
	world_send(world, second, "two", 3, NULL, 0);
	cr_expect(eq(int, (int)world_recv(world, world_accept(world, l), text, 3), 3));
	cr_expect(eq(str, text, "one"));
	cr_expect(ge(int, world_accept(world, l), 0));
	cr_expect(eq(int, result(world_accept(world, l)), EAGAIN));
}

Test(world, a_stream_has_no_messages)
{
	int l = listener("127.0.0.1"), c = client(), s = world_accept(world, l);
	char text[8] = "";

	world_send(world, c, "abc", 3, NULL, 0);
	world_send(world, c, "def", 3, NULL, 0);
	cr_expect(eq(int, (int)world_recv(world, s, text, 4), 4));
	cr_expect(eq(str, text, "abcd"));
	cr_expect(eq(int, (int)world_recv(world, s, text, 4), 2));
	world_close(world, c);
	cr_expect(eq(int, (int)world_recv(world, s, text, 4), 0));
}

Test(world, a_refused_connect_gives_the_port_back)
{
	int c = tcp();

	cr_expect(eq(int, do_connect(c, "127.0.0.1", PORT), ECONNREFUSED));
	cr_expect(eq(uint, holders(), 0u));
	cr_expect(eq(int, do_bind(c, "127.0.0.1", PORT + 1), 0));
	cr_expect(eq(int, do_connect(c, "127.0.0.1", PORT), ECONNREFUSED));
	cr_expect(eq(uint, holders(), 1u));
}

Test(world, the_same_connection_cannot_be_twice)
{
	int a = tcp(), b = tcp();

	listener("127.0.0.1");
	set(a, SO_REUSEADDR);
	set(b, SO_REUSEADDR);
	do_bind(a, "127.0.0.1", PORT + 1);
	do_bind(b, "127.0.0.1", PORT + 1);
	cr_expect(eq(int, do_connect(a, "127.0.0.1", PORT), 0));
	cr_expect(eq(int, do_connect(b, "127.0.0.1", PORT), EADDRNOTAVAIL));
}

Test(world, a_socket_can_talk_to_itself)
{
	int fd = tcp();
	char text[4] = "";

	do_bind(fd, "127.0.0.1", PORT);
	cr_expect(eq(int, do_connect(fd, "127.0.0.1", PORT), 0));
	world_send(world, fd, "me", 2, NULL, 0);
	cr_expect(eq(int, (int)world_recv(world, fd, text, 4), 2));
	world_close(world, fd);
}

/* ---- ports the system chooses ---- */

Test(world, automatic_ports_run_out)
{
	enum { FIRST = 32768, LAST = 60999, LEFT = 100 };
	unsigned given = 0;
	int error = 0;

	for (uint16_t port = FIRST; port <= LAST - LEFT; port++)
		cr_assert(eq(int, do_bind(tcp(), "127.0.0.1", port), 0));
	while (!error) {
		error = do_bind(tcp(), "127.0.0.1", 0);
		given += !error;
	}
	cr_expect(eq(int, error, EADDRINUSE));
	cr_expect(eq(uint, given, (unsigned)LEFT));
	cr_expect(eq(int, do_connect(tcp(), "127.0.0.1", PORT), EADDRNOTAVAIL));
	cr_expect(eq(int, result(world_listen(world, tcp(), 1)), EADDRINUSE));
	cr_expect(eq(int, do_bind(udp(), "127.0.0.1", 0), 0));
}

Test(world, an_automatic_listener_lets_go_by_shutdown)
{
	int fd = tcp();
	struct sockaddr_in name;

	cr_assert(eq(int, result(world_listen(world, fd, 1)), 0));
	name = name_of(fd);
	cr_expect(eq(int, result(world_shutdown(world, fd, SHUT_RDWR)), 0));
	cr_expect(eq(uint, holders(), 0u));
	cr_expect(eq(int, name_of(fd).sin_port, name.sin_port));
}

/* ---- UDP ---- */

Test(world, connect_narrows_a_wildcard)
{
	int fd = udp(), other = udp();
	struct in_addr loopback = { htonl(INADDR_LOOPBACK) };

	do_bind(fd, "0.0.0.0", PORT);
	cr_expect(eq(int, do_bind(other, "127.0.0.2", PORT), EADDRINUSE));
	cr_expect(eq(int, do_connect(fd, "127.0.0.1", PORT + 1), 0));
	cr_expect(eq(int, name_of(fd).sin_addr.s_addr, loopback.s_addr));
	cr_expect(eq(int, do_bind(other, "127.0.0.2", PORT), 0));
}

Test(world, a_datagram_goes_to_the_nearest)
{
	int any = udp(), exact = udp(), from = udp();
	struct sockaddr_in to = at("127.0.0.1", PORT);
	char text[4] = "";

	set(any, SO_REUSEADDR);
	set(exact, SO_REUSEADDR);
	do_bind(exact, "127.0.0.1", PORT);
	do_bind(any, "0.0.0.0", PORT);
	world_send(world, from, "hi", 2, (struct sockaddr *)&to, sizeof to);
	cr_expect(eq(int, result((int)world_recv(world, any, text, 4)), EAGAIN));
	cr_expect(eq(int, (int)world_recv(world, exact, text, 4), 2));
	world_close(world, exact);
	world_send(world, from, "ho", 2, (struct sockaddr *)&to, sizeof to);
	cr_expect(eq(int, (int)world_recv(world, any, text, 4), 2));
}

/* ---- what a port remembers ---- */

Test(world, a_port_forgets_with_its_last_owner)
{
	int a = tcp(), b = tcp(), off = 0;

	/* 4.19 remembers the first owner's SO_REUSEADDR, whatever becomes of it. */
	boot("linux-4.19");
	a = tcp();
	b = tcp();
	set(a, SO_REUSEADDR);
	set(b, SO_REUSEADDR);
	do_bind(a, "127.0.0.1", PORT);
	world_setsockopt(world, a, SOL_SOCKET, SO_REUSEADDR, &off, sizeof off);
	cr_expect(eq(int, do_bind(b, "127.0.0.1", PORT), 0));
	world_close(world, a);
	world_close(world, b);
	a = tcp();
	b = tcp();
	set(b, SO_REUSEADDR);
	do_bind(a, "127.0.0.1", PORT);
	cr_expect(eq(int, do_bind(b, "127.0.0.1", PORT), EADDRINUSE));
}

/* ---- other systems' ways ---- */

Test(world, a_refused_connect_can_end_a_socket)
{
	int c;

	boot("freebsd-13");
	c = tcp();
	do_bind(c, "127.0.0.1", PORT + 1);
	cr_expect(eq(int, do_connect(c, "127.0.0.1", PORT), ECONNREFUSED));
	cr_expect(eq(uint, holders(), 0u));
	cr_expect(eq(int, do_bind(c, "127.0.0.1", PORT), EINVAL));
	cr_expect(eq(int, result(world_listen(world, c, 1)), EINVAL));
	cr_expect(eq(long, world_recv(world, c, &(char){ 0 }, 1), 0));
}

static void boot_with_two(const char *system, int option, int *a, int *b)
{
	boot(system);
	*a = tcp();
	*b = tcp();
	set(*a, option);
	set(*b, option);
}

/* in_pcblookup_hash(): of two wildcards the last bound, or the eldest; and it need not listen. */
Test(world, a_wildcard_receives_first_or_last)
{
	static const struct { const char *system; bool eldest; } cases[] = {
		{ "freebsd-9", true }, { "freebsd-13", true }, { "freebsd-14", false }, { "netbsd-7", false }, { "macos-11", true },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int a, b;

		boot_with_two(cases[i].system, SO_REUSEPORT, &a, &b);
		do_bind(a, "0.0.0.0", PORT);
		do_bind(b, "0.0.0.0", PORT);
		world_listen(world, a, 5);
		world_listen(world, b, 5);
		client();
		cr_expect(ge(int, world_accept(world, cases[i].eldest ? a : b), 0));
		cr_expect(eq(int, result(world_accept(world, cases[i].eldest ? b : a)), EAGAIN));
	}
}

Test(world, an_ipv4_wildcard_is_before_a_mapped_one)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(PORT) };
	int a, b, off = 0;

	boot("freebsd-14");
	inet_pton(AF_INET6, "::ffff:0.0.0.0", &any.sin6_addr);
	a = tcp(), b = world_socket(world, AF_INET6, SOCK_STREAM);
	world_setsockopt(world, b, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
	set(a, SO_REUSEPORT);
	set(b, SO_REUSEPORT);
	do_bind(a, "0.0.0.0", PORT);
	cr_expect(eq(int, result(world_bind(world, b, (struct sockaddr *)&any, sizeof any)), 0));
	world_listen(world, a, 5);
	world_listen(world, b, 5);
	client();
	cr_expect(ge(int, world_accept(world, a), 0));
}

Test(world, a_socket_that_does_not_listen_is_in_front)
{
	static const struct { const char *system; int error; } cases[] = {
		{ "freebsd-13", ECONNREFUSED }, { "netbsd-7", ETIMEDOUT }, { "macos-11", ETIMEDOUT }, { "dragonfly", 0 }, { "linux-6.18", 0 },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int a, b;

		boot_with_two(cases[i].system, SO_REUSEADDR, &a, &b);
		do_bind(b, "127.0.0.1", PORT);
		do_bind(a, "0.0.0.0", PORT);
		world_listen(world, a, 5);
		cr_expect(eq(int, do_connect(tcp(), "127.0.0.1", PORT), cases[i].error));
	}
}

/* An unanswered SYN leaves the socket with both its ends: who has a reuse option does not meet it. */
Test(world, an_unanswered_connect_goes_on)
{
	int server, c, d;

	boot("netbsd-7");
	server = tcp(), c = tcp(), d = tcp();
	do_bind(server, "127.0.0.1", PORT);
	do_bind(c, "127.0.0.1", PORT + 1);
	cr_expect(eq(int, do_connect(c, "127.0.0.1", PORT), ETIMEDOUT));
	cr_expect(eq(int, do_connect(c, "127.0.0.1", PORT), EALREADY));
	cr_expect(eq(int, result(world_listen(world, c, 1)), EINVAL));
	cr_expect(eq(int, do_bind(d, "127.0.0.1", PORT + 1), EADDRINUSE));
	set(d, SO_REUSEADDR);
	cr_expect(eq(int, do_bind(d, "127.0.0.1", PORT + 1), 0));
	cr_expect(eq(int, result(world_shutdown(world, c, SHUT_WR)), 0));
	cr_expect(eq(int, do_bind(c, "127.0.0.1", PORT + 2), EINVAL));
	cr_expect(eq(uint, holders(), 2u));
}

/* tcp_connect() binds before it looks where to. */
Test(world, a_connect_to_nowhere_can_bind)
{
	static const struct { const char *system; int error; } cases[] = {
		{ "4.4bsd", EINVAL }, { "freebsd-9", EINVAL }, { "freebsd-13", 0 }, { "netbsd-7", EINVAL }, { "openbsd", 0 }, { "macos-11", EINVAL },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int c;

		boot(cases[i].system);
		c = tcp();
		cr_expect(eq(int, do_connect(c, "127.0.0.1", 0), EADDRNOTAVAIL));
		cr_expect(eq(int, do_bind(c, "127.0.0.1", PORT), cases[i].error));
	}
}

/* in6_pcbconnect(), NetBSD: EINVAL, and tcp_connect() had bound it before. */
Test(world, the_stacks_do_not_mix_in_a_connect)
{
	struct sockaddr_in6 own = { .sin6_family = AF_INET6, .sin6_port = htons(PORT + 1), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in6 mapped = { .sin6_family = AF_INET6, .sin6_port = htons(PORT) };
	static const struct { const char *system; int error, then; } cases[] = {
		{ "netbsd-7", EINVAL, EINVAL }, { "freebsd-13", EAFNOSUPPORT, 0 }, { "macos-11", EAFNOSUPPORT, 0 },
	};

	inet_pton(AF_INET6, "::ffff:127.0.0.1", &mapped.sin6_addr);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int c, only, on = 1, off = 0;

		boot(cases[i].system);
		c = world_socket(world, AF_INET6, SOCK_STREAM);
		only = world_socket(world, AF_INET6, SOCK_STREAM);
		world_setsockopt(world, c, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
		world_setsockopt(world, only, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
		world_bind(world, c, (struct sockaddr *)&own, sizeof own);
		cr_expect(eq(int, result(world_connect(world, c, (struct sockaddr *)&mapped, sizeof mapped)), cases[i].error));
		cr_expect(eq(int, result(world_connect(world, only, (struct sockaddr *)&mapped, sizeof mapped)), EINVAL));
		own.sin6_port = htons(PORT + 2);
		cr_expect(eq(int, result(world_bind(world, only, (struct sockaddr *)&own, sizeof own)), cases[i].then));
		own.sin6_port = htons(PORT + 1);
	}
}

Test(world, a_listener_that_was_shut_down_says_so_once)
{
	int l;

	boot("freebsd-13");
	l = listener("127.0.0.1");
	world_shutdown(world, l, SHUT_RDWR);
	client();
	cr_expect(eq(int, result(world_accept(world, l)), ECONNABORTED));
	cr_expect(ge(int, world_accept(world, l), 0));
}

Test(world, an_address_can_stay_for_ever)
{
	int fd;

	boot("starry");
	fd = tcp();
	cr_expect(eq(int, do_bind(fd, "127.0.0.1", PORT), EPERM)); /* and is bound all the same */
	cr_expect(eq(int, result(world_listen(world, fd, 1)), 0));
	world_close(world, fd);
	fd = udp();
	cr_expect(eq(int, do_bind(fd, "127.0.0.1", PORT), EPERM));
	cr_expect(eq(str, (char *)world_verdict(world)->rule->id, "bind/anchor"));
}

Test(world, a_socket_can_be_exclusive_from_the_start)
{
	int a, b;

	world_free(world);
	world = world_new(profile_find("illumos"), false, OPTION_EXCLUSIVE);
	a = tcp();
	b = tcp();
	set(b, SO_REUSEADDR);
	do_bind(a, "0.0.0.0", PORT);
	cr_expect(eq(int, do_bind(b, "127.0.0.1", PORT), EADDRINUSE));
}

Test(world, an_alias_is_an_address_when_it_was_added)
{
	boot("freebsd-13");
	cr_expect(eq(int, do_bind(tcp(), "127.0.0.2", PORT), EADDRNOTAVAIL));
	world_free(world);
	world = world_new(profile_find("freebsd-13"), true, 0);
	cr_expect(eq(int, do_bind(tcp(), "127.0.0.2", PORT), 0));
}

/* The connection from a new client is in the queue of fd. */
static bool receives(int fd)
{
	client();
	return world_accept(world, fd) >= 0;
}

static int sharing_listener(const char *address)
{
	int fd = tcp();

	set(fd, SO_REUSEPORT);
	cr_assert(eq(int, do_bind(fd, address, PORT), 0));
	cr_assert(eq(int, result(world_listen(world, fd, 5)), 0));
	return fd;
}

/* Measured: truth/linux-*, deliver-tcp-reuseport-l1-w and -w-l1. */
Test(world, a_better_address_receives_and_in_4_9_to_4_19_the_last_with_reuseport)
{
	static const struct { const char *system; bool last; } systems[] = {
		{ "linux-4.4", false }, { "linux-4.9", true }, { "linux-4.12", true }, { "linux-4.19", true }, { "linux-5.2", false }, { "linux-6.18", false },
	};

	for (size_t i = 0; i < sizeof systems / sizeof *systems; i++) {
		int one, all;

		boot(systems[i].system);
		one = sharing_listener("127.0.0.1");
		all = sharing_listener("0.0.0.0");
		cr_expect(eq(int, receives(systems[i].last ? all : one), true), "%s", systems[i].system);
		world_close(world, one);
		cr_expect(eq(int, receives(all), true), "%s", systems[i].system);
		one = sharing_listener("127.0.0.1");
		cr_expect(eq(int, receives(one), true), "%s", systems[i].system);
	}
}

/* net/ipv4/inet_hashtables.c __inet_hash(): a listener is listed when it begins to listen. */
Test(world, what_counts_is_when_a_listener_began)
{
	int one, all;

	boot("linux-4.19");
	one = tcp();
	set(one, SO_REUSEPORT);
	do_bind(one, "127.0.0.1", PORT);
	all = sharing_listener("0.0.0.0");
	cr_expect(eq(int, receives(all), true));
	world_listen(world, one, 5);
	cr_expect(eq(int, receives(one), true));
	world_listen(world, all, 5); /* again: nothing but the backlog changes */
	cr_expect(eq(int, receives(one), true));
}

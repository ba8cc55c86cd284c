/* SPDX-License-Identifier: MIT */
/*
 * The rules of the BSDs and macOS, case by case.  The recorded answers of the real stacks are held against the
 * same rules by tests/conformance; here stand the rules one at a time, the systems that no recording covers, and
 * what only a source says (named with the case).
 */
#include "tests/unit/judge.h"

#include <fakebind.h>
#include <stdio.h>

#define LB OPTION_REUSEPORT_LB
#define V6 OPTION_V6ONLY
#define IN_USE EADDRINUSE

enum { LITE2, FREEBSD9, FREEBSD13, FREEBSD14, FREEBSD15, DRAGONFLY, NETBSD7, NETBSD10, OPENBSD, MACOS11, MACOS15, SYSTEMS };

static const char *const systems[SYSTEMS] = {
	"4.4bsd", "freebsd-9", "freebsd-13", "freebsd-14", "freebsd-15", "dragonfly", "netbsd-7", "netbsd-10", "openbsd", "macos-11", "macos-15",
};

static const struct profile *system_of(unsigned index)
{
	return profile_of(systems[index]);
}

static struct port port_on(unsigned system)
{
	return port_of(systems[system]);
}

static int try_bind(const struct port *port, struct holder claim)
{
	return judge(port, CALL_BIND, &claim, NULL).error;
}

static const char *rule_of(const struct port *port, struct holder claim)
{
	struct verdict verdict = judge(port, CALL_BIND, &claim, NULL);

	cr_assert_eq(verdict.blamed, verdict.error == IN_USE);
	return verdict.rule->id;
}

/* b, after a. */
static int second(unsigned system, struct holder a, struct holder b)
{
	struct port port = port_on(system);

	put(&port, a);
	return try_bind(&port, b);
}

/* ---- pairs ---- */

struct row {
	char protocol[8], a[32], b[32], listens[4], verdict[16], listen[4];
	unsigned a_reuseaddr, a_reuseport, b_reuseaddr, b_reuseport;
};

static struct holder from_row(const struct row *row, const char *address, unsigned reuseaddr, unsigned reuseport)
{
	return socket_at(strcmp(row->protocol, "udp") ? PROTOCOL_TCP : PROTOCOL_UDP, strcmp(address, "any") ? address : "0.0.0.0",
		     (reuseaddr ? R : 0) | (reuseport ? RP : 0));
}

static void hold_against(const struct row *row, unsigned system)
{
	struct port port = port_on(system);
	struct holder a = from_row(row, row->a, row->a_reuseaddr, row->a_reuseport);
	struct holder b = from_row(row, row->b, row->b_reuseaddr, row->b_reuseport);

	put(&port, in_state(a, !strcmp(row->listens, "1") ? STATE_LISTENING : STATE_BOUND));
	cr_expect_eq(try_bind(&port, b), strcmp(row->verdict, "ok") ? IN_USE : 0, "%s: %s %s %u%u%s %s %u%u", systems[system], row->protocol, row->a,
		     row->a_reuseaddr, row->a_reuseport, row->listens, row->b, row->b_reuseaddr, row->b_reuseport);
	if (strcmp(row->listen, "-"))
		cr_expect_eq(judge(&port, CALL_LISTEN, &b, NULL).error, strcmp(row->listen, "ok") ? IN_USE : 0);
}

Test(bsd, every_pair)
{
	FILE *file = fopen(BSD_PAIRS, "r");
	char line[256];
	unsigned rows = 0;

	cr_assert_not_null(file);
	while (fgets(line, sizeof line, file)) {
		struct row row;

		if (*line == '#')
			continue;
		cr_assert_eq(sscanf(line, "%7s %31s %u %u %3s %31s %u %u %15s %3s", row.protocol, row.a, &row.a_reuseaddr, &row.a_reuseport,
				    row.listens, row.b, &row.b_reuseaddr, &row.b_reuseport, row.verdict, row.listen), 10);
		for (unsigned system = 0; system < SYSTEMS; system++)
			hold_against(&row, system);
		rows++;
	}
	fclose(file);
	cr_assert_eq(rows, 432);
}

Test(bsd, reasons)
{
	struct port port = port_on(FREEBSD13);

	cr_expect_str_eq(rule_of(&port, tcp("127.0.0.1", 0)), "ok/free");
	put(&port, tcp("127.0.0.1", R));
	cr_expect_str_eq(rule_of(&port, tcp("0.0.0.0", 0)), "conflict/no-reuse");
	cr_expect_str_eq(rule_of(&port, tcp("0.0.0.0", R)), "ok/reuse");
	cr_expect_str_eq(rule_of(&port, tcp("127.0.0.1", R)), "conflict/same-address");
	cr_expect_str_eq(rule_of(&port, tcp("127.0.0.1", RP)), "conflict/holder-no-reuseport");
	cr_expect_str_eq(rule_of(&port, tcp("127.0.0.1", LB)), "conflict/reuseport-lb");
	cr_expect_str_eq(rule_of(&port, udp("127.0.0.1", 0)), "ok/free");
	port.holders[0].options = RP;
	cr_expect_str_eq(rule_of(&port, tcp("127.0.0.1", RP)), "ok/reuseport");
	port.holders[0].options = LB;
	cr_expect_str_eq(rule_of(&port, tcp("127.0.0.1", LB)), "ok/reuseport-lb");
	cr_expect_str_eq(rule_of(&port, tcp("127.0.0.1", RP)), "conflict/reuseport-lb");
	port.holders[0].state = STATE_CONNECTED;
	cr_expect_str_eq(rule_of(&port, tcp("0.0.0.0", 0)), "conflict/connection");
	cr_expect_str_eq(rule_of(&port, tcp("127.0.0.1", R)), "ok/reuse");
	port.holders[0].state = STATE_TIME_WAIT;
	cr_expect_str_eq(rule_of(&port, tcp("0.0.0.0", 0)), "conflict/time-wait");
}

/* Of several duplicates the latest is asked (in_pcblookup_local(): the list's head). */
Test(bsd, latest_decides)
{
	for (unsigned system = 0; system < SYSTEMS; system++) {
		struct port port = port_on(system);

		put(&port, tcp("127.0.0.1", 0)); /* had SO_REUSEPORT when the second came */
		put(&port, tcp("127.0.0.1", RP));
		cr_expect_eq(try_bind(&port, tcp("127.0.0.1", RP)), 0);
		put(&port, tcp("127.0.0.1", R));
		cr_expect_eq(try_bind(&port, tcp("127.0.0.1", RP)), IN_USE, "%s", systems[system]);
	}
}

/* SO_REUSEPORT_LB is FreeBSD's, from 12 on; elsewhere the bit means nothing. */
Test(bsd, reuseport_lb)
{
	for (unsigned system = 0; system < SYSTEMS; system++) {
		bool known = system == FREEBSD13 || system == FREEBSD14 || system == FREEBSD15;

		cr_expect_eq(second(system, tcp("0.0.0.0", LB), tcp("0.0.0.0", LB)), known ? 0 : IN_USE, "%s", systems[system]);
		cr_expect_eq(second(system, tcp("0.0.0.0", 0), tcp("127.0.0.1", LB)), known ? 0 : IN_USE, "%s", systems[system]);
		cr_expect_eq(second(system, tcp("0.0.0.0", LB), tcp("0.0.0.0", RP)), IN_USE);
		cr_expect_eq(second(system, tcp("0.0.0.0", RP), tcp("0.0.0.0", LB)), IN_USE);
	}
}

/* ---- connections ---- */

Test(bsd, remnants_and_children)
{
	static const enum state states[] = { STATE_CONNECTED, STATE_TIME_WAIT };

	for (unsigned system = 0; system < SYSTEMS; system++)
		for (unsigned i = 0; i < 2; i++) {
			struct holder client = in_state(tcp("127.0.0.1", 0), states[i]), child = client;
			bool free = system == DRAGONFLY || system == NETBSD7 || system == NETBSD10;

			child.options = OPTION_CHILD;
			cr_expect_eq(second(system, client, tcp("0.0.0.0", 0)), IN_USE, "%s", systems[system]);
			cr_expect_eq(second(system, client, tcp("127.0.0.1", R)), 0, "%s", systems[system]);
			cr_expect_eq(second(system, client, tcp("127.0.0.1", RP)), 0, "%s", systems[system]);
			cr_expect_eq(second(system, child, tcp("127.0.0.1", 0)), free ? 0 : IN_USE, "%s", systems[system]);
			cr_expect_eq(second(system, child, tcp("0.0.0.0", 0)), free ? 0 : IN_USE, "%s", systems[system]);
			cr_expect_eq(second(system, child, tcp("0.0.0.0", R)), 0, "%s", systems[system]);
		}
}

/* syn_cache_get(), NetBSD 7.99.34: in no list, for no search and of neither family. */
Test(bsd, netbsd_children)
{
	cr_expect_eq(second(NETBSD7, in_state(tcp("::1", OPTION_CHILD | V6), STATE_CONNECTED), tcp("::1", V6)), 0);
	cr_expect_eq(second(NETBSD7, of_user(in_state(tcp("127.0.0.1", OPTION_CHILD), STATE_CONNECTED), 1001), of_user(tcp("127.0.0.1", R), 1002)), 0);
}

/* DragonFly: the listener is asked before its children, and IPv6 knows no excuse (netinet6/in6_pcb.c). */
Test(bsd, dragonfly_children)
{
	struct port port = port_on(DRAGONFLY);

	put(&port, in_state(tcp("0.0.0.0", 0), STATE_LISTENING));
	put(&port, in_state(tcp("127.0.0.1", OPTION_CHILD), STATE_CONNECTED));
	cr_expect_str_eq(rule_of(&port, tcp("127.0.0.1", 0)), "conflict/no-reuse");
	cr_expect_eq(second(DRAGONFLY, in_state(tcp("::1", OPTION_CHILD | V6), STATE_CONNECTED), tcp("::1", V6)), IN_USE);
}

/* A connected UDP socket is no more in the way than a TCP one. */
Test(bsd, connected_udp)
{
	for (unsigned system = 0; system < SYSTEMS; system++) {
		struct holder connected = in_state(udp("127.0.0.1", 0), STATE_CONNECTED);

		cr_expect_eq(second(system, connected, udp("127.0.0.1", R)), 0);
		cr_expect_eq(second(system, connected, udp("0.0.0.0", 0)), IN_USE);
	}
}

/* ---- users ---- */

struct user_case {
	struct holder a, b;
	const char *answers; /* by system: '.' ok, 'X' refused */
};

static void play_users(const struct user_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++)
		for (unsigned system = 0; system < SYSTEMS; system++) {
			int error = second(system, of_user(cases[i].a, 1001), of_user(cases[i].b, 1002));

			cr_expect_eq(error, cases[i].answers[system] == 'X' ? IN_USE : 0, "case %zu, %s", i, systems[system]);
			cr_expect_eq(second(system, of_user(cases[i].a, 1001), of_user(cases[i].b, 1001)), 0, "case %zu, %s", i, systems[system]);
			cr_expect_eq(second(system, of_user(cases[i].a, 1001), of_user(cases[i].b, 0)), 0, "case %zu, %s", i, systems[system]);
		}
}

/* in_pcbbind(): FreeBSD 9.3, 13.0, 1400507, main; DragonFly 5.9; NetBSD 7.99.34; OpenBSD 2025; xnu-7195.141.2. */
Test(bsd, other_user)
{
	const struct user_case cases[] = {
		/* 4.4, FreeBSD 9, 13, 14, 15, DragonFly, NetBSD 7, 10, OpenBSD, macOS 11, 15 */
		{ tcp("0.0.0.0", RP), tcp("0.0.0.0", RP), "..XXXX..X.." },
		{ tcp("127.0.0.1", RP), tcp("127.0.0.1", RP), ".XXXXXXXXXX" },
		{ tcp("0.0.0.0", R), tcp("127.0.0.1", R), ".XXXXXXXXXX" },
		{ udp("0.0.0.0", RP), udp("0.0.0.0", RP), "..XXXX..X.." },
		{ in_state(tcp("127.0.0.1", 0), STATE_CONNECTED), tcp("0.0.0.0", R), ".....XXXXXX" },
		{ in_state(tcp("127.0.0.1", 0), STATE_TIME_WAIT), tcp("0.0.0.0", R), ".....XXXXXX" },
		{ in_state(udp("127.0.0.1", 0), STATE_CONNECTED), udp("0.0.0.0", R), ".XXXXXXXXXX" },
		{ udp("224.0.0.5", RP), udp("224.0.0.5", RP), "..........." },
	};

	play_users(cases, sizeof cases / sizeof *cases);
}

/* Two wildcards that cannot share anyway: macOS does not even ask whose they are. */
Test(bsd, other_user_reason)
{
	struct port netbsd = port_on(NETBSD7), macos = port_on(MACOS11);

	put(&netbsd, of_user(tcp("0.0.0.0", 0), 1001));
	put(&macos, of_user(tcp("0.0.0.0", 0), 1001));
	cr_expect_str_eq(rule_of(&netbsd, of_user(tcp("0.0.0.0", R), 1002)), "conflict/other-user");
	cr_expect_str_eq(rule_of(&macos, of_user(tcp("0.0.0.0", R), 1002)), "conflict/same-address");
}

Test(bsd, other_user_lb)
{
	struct holder a = of_user(tcp("0.0.0.0", LB), 1001), b = of_user(tcp("0.0.0.0", LB), 1002);

	cr_expect_eq(second(FREEBSD13, a, b), 0);
	cr_expect_eq(second(FREEBSD14, a, b), 0);
	cr_expect_eq(second(FREEBSD15, a, b), IN_USE);
	a.options |= RP;
	cr_expect_eq(second(FREEBSD13, a, b), IN_USE);
}

/* netinet6/in6_pcb.c in6_pcbbind(): NetBSD never asks; [::] asks IPv4 too where it stands for both. */
Test(bsd, other_user_ipv6)
{
	const struct user_case cases[] = {
		{ tcp("::1", RP | V6), tcp("::1", RP | V6), ".XXXXX..XXX" },
		{ tcp("::", RP | V6), tcp("::", RP | V6), "..XXXX..X.." },
		{ tcp("127.0.0.1", 0), tcp("::", R), ".XXXX....XX" },
		{ tcp("127.0.0.1", RP), tcp("::", R), ".XXXX......" },
	};

	play_users(cases, sizeof cases / sizeof *cases);
}

/* ---- multicast ---- */

Test(bsd, multicast)
{
	static const struct { uint32_t a, b; const char *answers; } cases[] = {
		{ 0, 0, "XXXXXXXXXXX" },
		{ R, R, "..........." },
		{ RP, RP, "..........." },
		{ RP, R, "..........." },
		{ R, RP, "X....X...XX" },
		{ 0, R | RP, "XXXXXXXXXXX" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (unsigned system = 0; system < SYSTEMS; system++)
			cr_expect_eq(second(system, udp("224.0.0.5", cases[i].a), udp("224.0.0.5", cases[i].b)),
				     cases[i].answers[system] == 'X' ? IN_USE : 0, "case %zu, %s", i, systems[system]);
}

/* ---- IPv4 and IPv6 ---- */

static const char *const stacks[] = { "0.0.0.0", "127.0.0.1", "::", "::", "::1", "::ffff:0.0.0.0", "::ffff:127.0.0.1" };
#define STACKS 7
#define V6ONLY_ROW 3

static struct holder stack(unsigned index, uint32_t options)
{
	return tcp(stacks[index], options | (index == V6ONLY_ROW ? V6 : 0));
}

/* Row bound first, column second, as measured (pairs-tcp46). */
static void play_stacks(unsigned system, uint32_t options, const char *const *expected)
{
	for (unsigned row = 0; row < STACKS; row++)
		for (unsigned column = 0; column < STACKS; column++)
			cr_expect_eq(second(system, stack(row, 0), stack(column, options)), expected[row][column] == 'X' ? IN_USE : 0,
				     "%s: %s then %s", systems[system], stacks[row], stacks[column]);
}

Test(bsd, stacks_searched)
{
	static const char *const plain[] = { "XX...XX", "XXX..XX", "XXXXX.X", "..XXX..", "..XXX..", "XXX...X", "XXX..XX" };
	static const char *const reuse[] = { "X....X.", ".X....X", "X.XX...", "..XX...", "....X..", "X.X....", ".X....X" };
	static const unsigned alike[] = { FREEBSD9, FREEBSD13, FREEBSD14, FREEBSD15, MACOS11, MACOS15 };

	for (size_t i = 0; i < sizeof alike / sizeof *alike; i++) {
		play_stacks(alike[i], 0, plain);
		play_stacks(alike[i], R, reuse);
	}
}

Test(bsd, stacks_mapped)
{
	static const char *const plain[] = { "XX...XX", "XX...XX", "XXXXXXX", "..XXX..", "..XXX..", "XX...XX", "XX...XX" };
	static const char *const reuse[] = { "X....X.", ".X....X", "..XX...", "..XX...", "....X..", "X....X.", ".X....X" };

	play_stacks(NETBSD7, 0, plain);
	play_stacks(NETBSD7, R, reuse);
	play_stacks(NETBSD10, 0, plain);
}

/* Neither mapped addresses nor sockets for both get as far. */
Test(bsd, stacks_apart)
{
	for (unsigned system = 0; system < SYSTEMS; system++) {
		if (system != OPENBSD && system != DRAGONFLY)
			continue;
		cr_expect_eq(second(system, tcp("0.0.0.0", 0), tcp("::", V6)), 0);
		cr_expect_eq(second(system, tcp("::", V6), tcp("127.0.0.1", 0)), 0);
		cr_expect_eq(second(system, tcp("::", V6), tcp("::1", V6)), IN_USE);
	}
}

/* A second bind() of a socket moves it to other searches, though it is EINVAL (tcp6_usr_bind(), xnu-7195.141.2). */
Test(bsd, macos_marks)
{
	for (unsigned system = MACOS11; system <= MACOS15; system++) {
		struct port port = port_on(system);
		struct holder again = tcp("::1", 0);

		put(&port, tcp("::ffff:127.0.0.1", 0));
		cr_expect_eq(try_bind(&port, tcp("127.0.0.1", 0)), IN_USE);
		port.holders[0].options = port.profile->family->bound(port.profile, &again, EINVAL);
		cr_expect_eq(try_bind(&port, tcp("127.0.0.1", 0)), 0);
		cr_expect_eq(try_bind(&port, tcp("::7f00:1", V6)), IN_USE, "IPv6 sees it without its prefix");
		port.holders[0].state = STATE_CONNECTED;
		cr_expect_eq(try_bind(&port, tcp("127.0.0.1", 0)), IN_USE, "connect() sets it anew");
		cr_expect_eq(port.profile->family->bound(port.profile, &again, EAFNOSUPPORT), 0, "the family is tested before");
	}
}

Test(bsd, marks_are_of_macos_only)
{
	for (unsigned system = 0; system < MACOS11; system++) {
		const struct profile *profile = system_of(system);
		struct holder claim = tcp("::", 0);

		cr_expect_eq(profile->family->bound(profile, &claim, 0), 0, "%s", systems[system]);
	}
}

/* ---- arguments ---- */

struct given {
	uint8_t domain, protocol, state;
	uint32_t options, uid, length;
	const char *address;
	uint16_t port;
	bool host, alias, waits;
	int how;
};

static struct verdict ask(unsigned system, enum call call, const struct given *given, struct sockaddr_storage *to)
{
	struct sockaddr_storage copy = { .ss_family = strchr(given->address, ':') ? AF_INET6 : AF_INET };
	struct sockaddr_in *ipv4 = (struct sockaddr_in *)&copy;
	struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)&copy;
	uint32_t exact = copy.ss_family == AF_INET ? sizeof *ipv4 : sizeof *ipv6, to_length = 0;
	struct question question = {
		.call = call, .profile = system_of(system), .domain = given->domain, .protocol = given->protocol, .state = given->state,
		.options = given->options, .address = (const uint8_t *)&copy, .length = given->length ? given->length : exact,
		.argument = given->how, .uid = given->uid, .alone = !given->host, .loopback_alias = given->alias,
	};
	struct verdict verdict = { .error = 0 };
	bool final;

	ipv4->sin_port = htons(given->port);
	inet_pton(copy.ss_family, given->address, copy.ss_family == AF_INET ? (void *)&ipv4->sin_addr : (void *)&ipv6->sin6_addr);
	final = question.profile->family->before(&question, &verdict, to, &to_length);
	if (!to_length)
		*to = copy;
	cr_assert_eq(final && verdict.error, verdict.rule && verdict.error);
	return verdict;
}

#define TCP4 .domain = AF_INET, .protocol = PROTOCOL_TCP
#define UDP4 .domain = AF_INET, .protocol = PROTOCOL_UDP
#define TCP6 .domain = AF_INET6, .protocol = PROTOCOL_TCP
#define UDP6 .domain = AF_INET6, .protocol = PROTOCOL_UDP
#define NOFAMILY EAFNOSUPPORT
#define FOREIGN EADDRNOTAVAIL

/* tcp_usr_bind(): what was ended is found out before the address is read, or after. */
Test(bsd, bind_of_what_has_ended)
{
	static const struct { struct given given; int error[SYSTEMS]; } cases[] = {
		{ { TCP4, .address = "127.0.0.1", .port = 8080, .state = STATE_DEAD },
		  { EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL } },
		{ { TCP4, .address = "224.0.0.251", .port = 8080, .state = STATE_DEAD },
		  { EINVAL, NOFAMILY, NOFAMILY, NOFAMILY, NOFAMILY, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL } },
		{ { TCP4, .address = "::1", .port = 8080, .state = STATE_DEAD },
		  { EINVAL, EINVAL, EINVAL, NOFAMILY, NOFAMILY, EINVAL, NOFAMILY, NOFAMILY, EINVAL, EINVAL, EINVAL } },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (unsigned system = 0; system < SYSTEMS; system++) {
			struct sockaddr_storage to;

			cr_expect_eq(ask(system, CALL_BIND, &cases[i].given, &to).error, cases[i].error[system], "case %zu, %s", i, systems[system]);
		}
}

/* The order of the tests, and their errno (netinet/in_pcb.c, tcp_usrreq.c, udp_usrreq.c; the errors that FreeBSD
 * 13.0, NetBSD 7.99.34 and xnu-7195.141.2 gave are those of the recorded answers). */
Test(bsd, bind_errors)
{
	static const struct { struct given given; int error[SYSTEMS]; } cases[] = {
		{ { TCP4, .address = "127.0.0.1", .port = 1 }, { 0 } },
		{ { TCP4, .address = "127.0.0.1", .port = 8080, .length = 8 },
		  { EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL } },
		{ { TCP4, .address = "127.0.0.1", .port = 8080, .length = 28 },
		  { EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL } },
		{ { TCP4, .address = "127.0.0.1", .port = 8080, .length = 1 },
		  { EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EDOM, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL } },
		{ { TCP4, .address = "127.0.0.1", .port = 8080, .length = 300 },
		  { EINVAL, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, EINVAL, EINVAL, EINVAL, ENAMETOOLONG, ENAMETOOLONG } },
		{ { TCP4, .address = "::1", .port = 8080 },
		  { EINVAL, EINVAL, EINVAL, NOFAMILY, NOFAMILY, EINVAL, NOFAMILY, NOFAMILY, NOFAMILY, NOFAMILY, NOFAMILY } },
		{ { UDP4, .address = "::1", .port = 8080 },
		  { EINVAL, EINVAL, EINVAL, NOFAMILY, NOFAMILY, EINVAL, NOFAMILY, NOFAMILY, NOFAMILY, EINVAL, EINVAL } },
		{ { TCP4, .address = "::1", .port = 8080, .length = 16 },
		  { 0, 0, 0, NOFAMILY, NOFAMILY, 0, NOFAMILY, NOFAMILY, NOFAMILY, NOFAMILY, NOFAMILY } },
		{ { TCP4, .address = "127.0.0.1", .port = 80, .uid = 1000 },
		  { EACCES, EACCES, EACCES, EACCES, EACCES, EPERM, EACCES, EACCES, 0, EACCES, EACCES } },
		{ { TCP4, .address = "0.0.0.0", .port = 80, .uid = 1000 },
		  { EACCES, EACCES, EACCES, EACCES, EACCES, EPERM, EACCES, EACCES, 0, 0, 0 } },
		{ { UDP4, .address = "127.0.0.1", .port = 1024, .uid = 1000 }, { 0 } },
		{ { UDP4, .address = "127.0.0.1", .uid = 1000 }, { 0 } },
		{ { TCP4, .address = "127.0.0.2", .port = 80, .uid = 1000 },
		  { FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN } },
		{ { TCP4, .address = "127.0.0.2", .port = 8080, .alias = true }, { 0 } },
		{ { TCP4, .address = "127.0.0.2", .port = 8080, .host = true },
		  { FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN } },
		{ { TCP4, .address = "203.0.113.7", .port = 8080 },
		  { FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN } },
		{ { TCP4, .address = "203.0.113.7", .port = 8080, .host = true }, { 0 } },
		{ { TCP4, .address = "203.0.113.7", .port = 80, .uid = 1000, .state = STATE_BOUND },
		  { EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL } },
		{ { TCP4, .address = "224.0.0.251", .port = 8080 },
		  { 0, NOFAMILY, NOFAMILY, NOFAMILY, NOFAMILY, NOFAMILY, 0, 0, 0, NOFAMILY, NOFAMILY } },
		{ { TCP4, .address = "224.0.0.251", .port = 8080, .state = STATE_BOUND },
		  { EINVAL, NOFAMILY, NOFAMILY, NOFAMILY, NOFAMILY, NOFAMILY, EINVAL, EINVAL, EINVAL, NOFAMILY, NOFAMILY } },
		{ { UDP4, .address = "224.0.0.251", .port = 8080 }, { 0 } },
		{ { TCP4, .address = "255.255.255.255", .port = 8080 },
		  { FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, NOFAMILY } },
		{ { UDP4, .address = "255.255.255.255", .port = 8080, .host = true },
		  { FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, 0, FOREIGN, FOREIGN } },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (unsigned system = 0; system < SYSTEMS; system++) {
			struct sockaddr_storage to;

			cr_expect_eq(ask(system, CALL_BIND, &cases[i].given, &to).error, cases[i].error[system], "case %zu, %s", i, systems[system]);
			cr_expect(cases[i].error[system] || to.ss_family == AF_INET, "case %zu, %s", i, systems[system]);
		}
}

Test(bsd, bind_errors_ipv6)
{
	static const struct { struct given given; int error[SYSTEMS]; } cases[] = {
		{ { TCP6, .address = "::1", .port = 8080, .options = V6 }, { 0 } },
		{ { TCP6, .address = "::1", .port = 8080, .options = V6, .length = 24 },
		  { 0, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL } },
		{ { TCP6, .address = "127.0.0.1", .port = 8080 },
		  { 0, EINVAL, EINVAL, NOFAMILY, NOFAMILY, EINVAL, NOFAMILY, NOFAMILY, NOFAMILY, NOFAMILY, NOFAMILY } },
		{ { UDP6, .address = "127.0.0.1", .port = 8080 },
		  { 0, EINVAL, EINVAL, NOFAMILY, NOFAMILY, EINVAL, NOFAMILY, NOFAMILY, NOFAMILY, EINVAL, EINVAL } },
		{ { UDP6, .address = "127.0.0.1", .port = 8080, .length = 28 },
		  { 0, NOFAMILY, NOFAMILY, NOFAMILY, NOFAMILY, NOFAMILY, NOFAMILY, NOFAMILY, NOFAMILY, NOFAMILY, NOFAMILY } },
		{ { TCP6, .address = "::ffff:127.0.0.1", .port = 8080, .options = V6 },
		  { 0, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, EINVAL, EINVAL, FOREIGN, FOREIGN, FOREIGN } },
		{ { TCP6, .address = "::ffff:224.0.0.5", .port = 8080 },
		  { 0, NOFAMILY, NOFAMILY, NOFAMILY, NOFAMILY, 0, 0, 0, 0, 0, 0 } },
		{ { TCP6, .address = "::ffff:224.0.0.5", .port = 8080, .options = V6 },
		  { 0, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, EINVAL, EINVAL, FOREIGN, FOREIGN, FOREIGN } },
		{ { TCP6, .address = "ff02::1", .port = 8080, .options = V6 },
		  { 0, NOFAMILY, NOFAMILY, NOFAMILY, NOFAMILY, NOFAMILY, 0, 0, 0, NOFAMILY, NOFAMILY } },
		{ { TCP6, .address = "::", .port = 83, .uid = 1000, .options = V6 },
		  { 0, EACCES, EACCES, EACCES, EACCES, EACCES, EACCES, EACCES, 0, 0, 0 } },
		{ { TCP6, .address = "::1", .port = 84, .uid = 1000, .options = V6 },
		  { 0, EACCES, EACCES, EACCES, EACCES, EACCES, EACCES, EACCES, 0, EACCES, EACCES } },
		{ { TCP6, .address = "2001:db8::1", .port = 8080, .options = V6 },
		  { 0, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN } },
		{ { TCP6, .address = "::ffff:127.0.0.2", .port = 8080 },
		  { 0, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN } },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (unsigned system = 1; system < SYSTEMS; system++) { /* 4.4BSD has no IPv6 */
			struct sockaddr_storage to;

			cr_expect_eq(ask(system, CALL_BIND, &cases[i].given, &to).error, cases[i].error[system], "case %zu, %s", i, systems[system]);
		}
}

Test(bsd, no_ipv6)
{
	const struct given given = { TCP6, .address = "::" };
	struct sockaddr_storage to;

	for (unsigned system = 0; system < SYSTEMS; system++)
		cr_expect_eq(ask(system, CALL_SOCKET, &given, &to).error, system == LITE2 ? EPROTONOSUPPORT : 0);
}

/* in_pcbbind_locked(): a conflict first. */
Test(bsd, openbsd_privilege_is_last)
{
	struct port port = port_on(OPENBSD);
	struct holder claim = of_user(tcp("127.0.0.1", 0), 1000), holder = claim;

	claim.port = holder.port = 80;
	cr_expect_eq(try_bind(&port, claim), EACCES);
	put(&port, holder);
	cr_expect_eq(try_bind(&port, claim), IN_USE);
}

/* And it is the caller's. */
Test(bsd, openbsd_privilege_is_of_the_caller)
{
	static const struct { uint32_t creator, caller; int error; } cases[] = { { 0, 1000, EACCES }, { 1000, 0, 0 } };
	struct holder claim = tcp("127.0.0.1", 0);

	claim.port = 80;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct judgement judgement;
		struct verdict verdict;

		claim.uid = cases[i].creator;
		judge_begin(&judgement, system_of(OPENBSD), CALL_BIND, &claim, NULL);
		judgement.caller = cases[i].caller;
		judge_end(&judgement, &verdict);
		cr_expect_eq(verdict.error, cases[i].error);
	}
}

/* A family that is not looked at is read as IPv4: the flow label of an IPv6 address is its address. */
Test(bsd, strange_family_is_read_as_ipv4)
{
	const struct given given = { TCP4, .address = "::1", .port = 8080, .length = 16 };
	struct sockaddr_storage to;
	struct sockaddr_in *ipv4 = (struct sockaddr_in *)&to;

	cr_expect_eq(ask(FREEBSD13, CALL_BIND, &given, &to).error, 0);
	cr_expect_eq(ipv4->sin_family, AF_INET);
	cr_expect_eq(ipv4->sin_port, htons(8080));
	cr_expect_eq(ipv4->sin_addr.s_addr, htonl(INADDR_ANY));
}

Test(bsd, calls_in_a_wrong_state)
{
	static const struct { enum call call; struct given given; int error[SYSTEMS]; } cases[] = {
		{ CALL_LISTEN, { UDP4, .address = "0.0.0.0" },
		  { EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP } },
		{ CALL_LISTEN, { TCP4, .address = "0.0.0.0", .state = STATE_CONNECTED },
		  { 0, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL } },
		{ CALL_LISTEN, { TCP4, .address = "0.0.0.0", .state = STATE_LISTENING }, { 0 } },
		{ CALL_LISTEN, { TCP4, .address = "0.0.0.0", .state = STATE_DEAD },
		  { EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL } },
		{ CALL_CONNECT, { TCP4, .address = "127.0.0.1", .port = 80, .state = STATE_LISTENING },
		  { EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP } },
		{ CALL_CONNECT, { TCP4, .address = "127.0.0.1", .port = 80, .state = STATE_CONNECTED },
		  { EISCONN, EISCONN, EISCONN, EISCONN, EISCONN, EISCONN, EISCONN, EISCONN, EISCONN, EISCONN, EISCONN } },
		{ CALL_CONNECT, { TCP4, .address = "127.0.0.1", .port = 80, .state = STATE_DEAD },
		  { EINVAL, ECONNREFUSED, ECONNREFUSED, ECONNREFUSED, ECONNREFUSED, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL } },
		{ CALL_CONNECT, { TCP4, .address = "127.0.0.1" },
		  { FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN, FOREIGN } },
		{ CALL_CONNECT, { TCP4, .address = "0.0.0.0", .port = 80 }, { [FREEBSD15] = ENETUNREACH, [OPENBSD] = EINVAL } },
		{ CALL_CONNECT, { TCP4, .address = "224.0.0.5", .port = 80 },
		  { ENETUNREACH, NOFAMILY, NOFAMILY, NOFAMILY, NOFAMILY, NOFAMILY, FOREIGN, FOREIGN, EINVAL, NOFAMILY, NOFAMILY } },
		{ CALL_CONNECT, { TCP4, .address = "203.0.113.7", .port = 80 },
		  { ENETUNREACH, ENETUNREACH, ENETUNREACH, ENETUNREACH, ENETUNREACH, ENETUNREACH, FOREIGN, FOREIGN, FOREIGN, ENETUNREACH, ENETUNREACH } },
		{ CALL_CONNECT, { TCP6, .address = "::ffff:127.0.0.1", .port = 80, .options = V6 },
		  { EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, FOREIGN, EINVAL, EINVAL, FOREIGN, EINVAL, EINVAL } },
		{ CALL_NAME, { TCP4, .address = "0.0.0.0", .state = STATE_DEAD },
		  { EINVAL, 0, 0, 0, 0, EINVAL, EINVAL, EINVAL, EINVAL, 0, 0 } },
		{ CALL_SHUTDOWN, { TCP4, .address = "0.0.0.0", .state = STATE_LISTENING },
		  { [FREEBSD14] = ENOTCONN, [FREEBSD15] = ENOTCONN, [MACOS11] = ENOTCONN, [MACOS15] = ENOTCONN } },
		{ CALL_SHUTDOWN, { TCP4, .address = "0.0.0.0", .state = STATE_DEAD, .how = SHUT_RDWR },
		  { EINVAL, ECONNRESET, 0, ENOTCONN, ENOTCONN, EINVAL, EINVAL, EINVAL, EINVAL, ENOTCONN, ENOTCONN } },
		{ CALL_SHUTDOWN, { TCP4, .address = "0.0.0.0", .state = STATE_DEAD, .how = SHUT_RD },
		  { [FREEBSD14] = ENOTCONN, [FREEBSD15] = ENOTCONN, [MACOS11] = ENOTCONN, [MACOS15] = ENOTCONN } },
		{ CALL_CONNECT, { TCP4, .address = "255.255.255.255", .port = 80 },
		  { ENETUNREACH, ENETUNREACH, EACCES, EACCES, EACCES, ENETUNREACH, FOREIGN, FOREIGN, EINVAL, ENETUNREACH, ENETUNREACH } },
		{ CALL_CONNECT, { TCP4, .address = "127.0.0.1", .port = 80, .state = STATE_CONNECTED, .options = OPTION_TRIES },
		  { EALREADY, EALREADY, EALREADY, EALREADY, EALREADY, EALREADY, EALREADY, EALREADY, EALREADY, EALREADY, EALREADY } },
		{ CALL_CONNECT, { TCP4, .address = "::1", .port = 80 },
		  { EINVAL, EINVAL, EINVAL, NOFAMILY, NOFAMILY, EINVAL, NOFAMILY, NOFAMILY, NOFAMILY, NOFAMILY, NOFAMILY } },
		{ CALL_CONNECT, { UDP4, .address = "::1", .port = 80 },
		  { EINVAL, EINVAL, EINVAL, NOFAMILY, NOFAMILY, EINVAL, NOFAMILY, NOFAMILY, NOFAMILY, EINVAL, EINVAL } },
		{ CALL_CONNECT, { TCP4, .address = "::1", .port = 80, .length = 16 },
		  { NOFAMILY, NOFAMILY, NOFAMILY, NOFAMILY, NOFAMILY, NOFAMILY, NOFAMILY, NOFAMILY, NOFAMILY, NOFAMILY, NOFAMILY } },
		{ CALL_ACCEPT, { UDP4, .address = "0.0.0.0", .state = STATE_BOUND },
		  { EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EOPNOTSUPP, EOPNOTSUPP, EINVAL, EOPNOTSUPP, EOPNOTSUPP } },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (unsigned system = 0; system < SYSTEMS; system++) {
			struct sockaddr_storage to;

			cr_expect_eq(ask(system, cases[i].call, &cases[i].given, &to).error, cases[i].error[system], "case %zu, %s", i, systems[system]);
		}
}

/* soshutdown(), tcp_usrclosed(): measured on FreeBSD 13.0, NetBSD 7.99.34 and macOS 11, read for the others. */
Test(bsd, shutdown_of_a_listener)
{
	static const char ends[SYSTEMS + 1] = "XX...XXXX..";
	struct given given = { TCP4, .address = "0.0.0.0", .state = STATE_LISTENING };
	struct sockaddr_storage to;

	for (unsigned system = 0; system < SYSTEMS; system++) {
		bool freebsd = system >= FREEBSD13 && system <= FREEBSD15;
		bool says = system == FREEBSD14 || system == FREEBSD15 || system == MACOS11 || system == MACOS15;
		uint32_t interrupts = freebsd ? VERDICT_INTERRUPTS : 0;

		given.state = STATE_LISTENING;
		given.how = SHUT_RDWR;
		cr_expect_eq(ask(system, CALL_SHUTDOWN, &given, &to).flags, ends[system] == 'X' ? VERDICT_KILLS : interrupts, "%s", systems[system]);
		given.how = SHUT_RD;
		cr_expect_eq(ask(system, CALL_SHUTDOWN, &given, &to).flags, interrupts, "%s", systems[system]);
		given.state = STATE_BOUND;
		cr_expect_eq(ask(system, CALL_SHUTDOWN, &given, &to).error, says ? ENOTCONN : 0, "%s", systems[system]);
	}
}

Test(bsd, macos_shows_what_is_seen)
{
	static const struct { uint32_t marks; const char *address, *shown; } cases[] = {
		{ 0x10000, "::ffff:127.0.0.1", "::ffff:127.0.0.1" },
		{ 0x20000, "::ffff:127.0.0.1", "::127.0.0.1" },
		{ 0x30000, "::ffff:127.0.0.1", "::127.0.0.1" },
		{ 0x30000, "::", "::" },
		{ 0x20000, "::1", "::1" },
		{ 0x10000, "::1", "::ffff:0.0.0.1" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct given given = { TCP6, .address = cases[i].address, .state = STATE_BOUND, .options = cases[i].marks };
		struct sockaddr_storage to;
		char text[INET6_ADDRSTRLEN];

		cr_expect_eq(ask(MACOS11, CALL_NAME, &given, &to).error, 0);
		inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&to)->sin6_addr, text, sizeof text);
		cr_expect_str_eq(text, cases[i].shown, "case %zu", i);
	}
}

/* ---- what becomes of a connect() ---- */

static struct verdict happens(unsigned system, enum event event)
{
	struct question question = { .call = CALL_CONNECT, .profile = system_of(system), .domain = AF_INET, .protocol = PROTOCOL_TCP, .alone = true };
	struct verdict verdict = { .error = 0 };

	question.profile->family->event(&question, event, &verdict);
	return verdict;
}

Test(bsd, connect_events)
{
	for (unsigned system = 0; system < SYSTEMS; system++) {
		bool answers = system == FREEBSD9 || system == FREEBSD13 || system == FREEBSD14 || system == FREEBSD15 || system == DRAGONFLY;
		struct verdict unlistened = happens(system, EVENT_UNLISTENED);

		cr_expect_eq(happens(system, EVENT_REFUSED).error, ECONNREFUSED);
		cr_expect_eq(happens(system, EVENT_REFUSED).flags, VERDICT_KILLS);
		cr_expect_eq(happens(system, EVENT_TUPLE_TAKEN).error, EADDRINUSE);
		cr_expect_eq(unlistened.error, answers ? ECONNREFUSED : ETIMEDOUT, "%s", systems[system]);
		cr_expect_eq(unlistened.flags, answers ? VERDICT_KILLS : VERDICT_TRIES, "%s", systems[system]);
		cr_expect_eq(happens(system, EVENT_SELF).error, system == MACOS11 || system == MACOS15 ? EINVAL : 0, "%s", systems[system]);
	}
}

Test(bsd, no_port_left)
{
	for (unsigned system = 0; system < SYSTEMS; system++) {
		bool netbsd = system == NETBSD7 || system == NETBSD10;
		struct verdict verdict = happens(system, EVENT_NO_PORT);

		cr_expect_eq(verdict.error, system == LITE2 ? FAKEBIND_EHALT : netbsd ? EAGAIN : EADDRNOTAVAIL, "%s", systems[system]);
		cr_expect_eq(verdict.flags, system == LITE2 ? VERDICT_HALTS : 0, "%s", systems[system]);
	}
}

static uint32_t lives(unsigned system, const char *address, enum state state)
{
	struct holder holder = in_state(tcp(address, 0), state);
	const struct profile *profile = system_of(system);
	uint32_t milliseconds;

	cr_expect_eq(profile->family->released(profile, &holder, false, &milliseconds), STATE_UNBOUND);
	cr_expect_eq(profile->family->released(profile, &holder, true, &milliseconds), milliseconds ? STATE_TIME_WAIT : STATE_UNBOUND);
	return milliseconds;
}

/* FreeBSD 13.0 61 s and NetBSD 7.99.34 2 to 3 s, measured; the others read: MSL in netinet/tcp_timer.h. */
Test(bsd, time_wait)
{
	static const uint32_t remote[SYSTEMS] = { 60, 60, 60, 60, 60, 60, 60, 60, 60, 30, 30 };
	static const uint32_t local[SYSTEMS] = { 60, 60, 60, 0, 0, 60, 2, 2, 60, 30, 30 };

	for (unsigned system = 0; system < SYSTEMS; system++) {
		cr_expect_eq(lives(system, "192.0.2.1", STATE_TIME_WAIT), remote[system] * 1000, "%s", systems[system]);
		cr_expect_eq(lives(system, "127.0.0.1", STATE_TIME_WAIT), local[system] * 1000, "%s", systems[system]);
		cr_expect_eq(lives(system, "::1", STATE_TIME_WAIT), local[system] * 1000, "%s", systems[system]);
		cr_expect_gt(lives(system, "127.0.0.1", STATE_CONNECTED), 70000, "FIN_WAIT_2, %s", systems[system]);
	}
}

/* ---- options ---- */

static struct option_answer option_of(unsigned system, uint8_t domain, enum call call, uint32_t options, int level, int name, int value, enum state state)
{
	struct option_question question = {
		.call = call, .profile = system_of(system), .domain = domain, .protocol = PROTOCOL_TCP, .state = state, .options = options,
		.level = level, .name = name, .value = call == CALL_SETSOCKOPT ? &value : NULL, .length = sizeof value, .alone = true,
	};
	struct option_answer answer;

	question.profile->family->option(&question, &answer);
	return answer;
}

static struct option_answer option(unsigned system, enum call call, uint32_t options, int level, int name, int value, enum state state)
{
	return option_of(system, AF_INET6, call, options, level, name, value, state);
}

static int get(unsigned system, uint32_t options, int level, int name)
{
	struct option_answer answer = option(system, CALL_GETSOCKOPT, options, level, name, 0, STATE_UNBOUND);
	int value;

	cr_assert_eq(answer.error, 0);
	cr_assert_eq(answer.length, sizeof value);
	memcpy(&value, answer.value, sizeof value);
	return value;
}

Test(bsd, option_values)
{
	for (unsigned system = 0; system < SYSTEMS; system++) {
		bool one = system == NETBSD7 || system == NETBSD10;

		cr_expect_eq(get(system, R | RP, SOL_SOCKET, SO_REUSEADDR), one ? 1 : 4, "%s", systems[system]);
		cr_expect_eq(get(system, R | RP, SOL_SOCKET, SO_REUSEPORT), one ? 1 : 512, "%s", systems[system]);
		cr_expect_eq(get(system, 0, SOL_SOCKET, SO_REUSEPORT), 0);
		cr_expect_eq(get(system, V6, IPPROTO_IPV6, IPV6_V6ONLY), 1);
		cr_expect_eq(option(system, CALL_SETSOCKOPT, 0, SOL_SOCKET, SO_REUSEADDR, -1, STATE_BOUND).options, R);
		cr_expect_eq(option(system, CALL_SETSOCKOPT, R | RP, SOL_SOCKET, SO_REUSEPORT, 0, STATE_BOUND).options, R);
	}
	cr_expect_eq(get(FREEBSD13, LB, SOL_SOCKET, FAKEBIND_SO_REUSEPORT_LB), 65536);
	cr_expect_eq(option(FREEBSD14, CALL_SETSOCKOPT, 0, SOL_SOCKET, FAKEBIND_SO_REUSEPORT_LB, 1, STATE_UNBOUND).options, LB);
	cr_expect_eq(option(NETBSD10, CALL_SETSOCKOPT, 0, SOL_SOCKET, FAKEBIND_SO_REUSEPORT_LB, 1, STATE_UNBOUND).error, ENOPROTOOPT);
	cr_expect_eq(option(DRAGONFLY, CALL_GETSOCKOPT, 0, SOL_SOCKET, FAKEBIND_SO_REUSEPORT_LB, 0, STATE_UNBOUND).error, ENOPROTOOPT);
}

/* sosetoptlock(), xnu-7195.141.2 */
Test(bsd, options_of_what_has_ended)
{
	for (unsigned system = 0; system < SYSTEMS; system++) {
		bool macos = system == MACOS11 || system == MACOS15;

		cr_expect_eq(option(system, CALL_SETSOCKOPT, 0, SOL_SOCKET, SO_REUSEADDR, 1, STATE_DEAD).error, macos ? EINVAL : 0, "%s", systems[system]);
		cr_expect_eq(option(system, CALL_GETSOCKOPT, 0, SOL_SOCKET, SO_REUSEADDR, 0, STATE_DEAD).error, 0, "%s", systems[system]);
	}
}

Test(bsd, v6only)
{
	for (unsigned system = 1; system < SYSTEMS; system++) {
		const struct profile *profile = system_of(system);
		int off = option(system, CALL_SETSOCKOPT, V6, IPPROTO_IPV6, IPV6_V6ONLY, 0, STATE_UNBOUND).error;
		bool macos = system == MACOS11 || system == MACOS15;

		cr_expect_eq(profile->family->fresh(profile, AF_INET6, PROTOCOL_TCP), macos ? 0 : V6, "%s", systems[system]);
		cr_expect_eq(profile->family->fresh(profile, AF_INET, PROTOCOL_TCP), 0);
		cr_expect_eq(off, system == OPENBSD ? EINVAL : system == DRAGONFLY ? EOPNOTSUPP : 0, "%s", systems[system]);
	}
	cr_expect_eq(option(FREEBSD13, CALL_SETSOCKOPT, V6, IPPROTO_IPV6, IPV6_V6ONLY, 1, STATE_BOUND).error, EINVAL);
	cr_expect_eq(option(OPENBSD, CALL_SETSOCKOPT, V6, IPPROTO_IPV6, IPV6_V6ONLY, 1, STATE_BOUND).error, 0);
}

/* ip_ctloutput() */
Test(bsd, v6only_of_ipv4)
{
	for (unsigned system = 0; system < SYSTEMS; system++) {
		bool netbsd = system == NETBSD7 || system == NETBSD10;

		cr_expect_eq(option_of(system, AF_INET, CALL_SETSOCKOPT, 0, IPPROTO_IPV6, IPV6_V6ONLY, 1, STATE_UNBOUND).error,
			     netbsd ? ENOPROTOOPT : EINVAL, "%s", systems[system]);
	}
}

/* solisten_clone(), FreeBSD 14: the reuse options are not handed on. */
Test(bsd, children_options)
{
	for (unsigned system = 0; system < SYSTEMS; system++) {
		const struct profile *profile = system_of(system);
		bool none = system == FREEBSD14 || system == FREEBSD15;

		cr_expect_eq(profile->family->inherited(profile, R | RP | V6), none ? V6 : R | RP | V6, "%s", systems[system]);
	}
}

/* ---- automatic ports ---- */

Test(bsd, port_ranges)
{
	static const uint16_t first[SYSTEMS] = { 1024, 10000, 10000, 10000, 10000, 1024, 49152, 49152, 1024, 49152, 49152 };
	static const uint16_t last[SYSTEMS] = { 5000, 65535, 65535, 65535, 65535, 5000, 65535, 65535, 49151, 65535, 65535 };
	struct holder claim = tcp("0.0.0.0", 0);

	for (unsigned system = 0; system < SYSTEMS; system++) {
		const struct profile *profile = system_of(system);
		uint32_t count = (uint32_t)last[system] - first[system] + 1;

		for (uint32_t attempt = 0; attempt < count; attempt++) {
			uint16_t port = profile->family->port(profile, CALL_BIND, &claim, 12345, attempt);

			cr_assert(port >= first[system] && port <= last[system], "%s", systems[system]);
		}
		cr_expect_eq(profile->family->port(profile, CALL_BIND, &claim, 12345, count), 0);
	}
	for (unsigned system = 0; system < SYSTEMS; system++) {
		const struct profile *profile = system_of(system);
		bool down = system == NETBSD7 || system == NETBSD10;

		cr_expect_eq(profile->family->port(profile, CALL_BIND, &claim, 0, 1), down ? last[system] - 1 : first[system] + 1, "%s", systems[system]);
	}
}

/* What bind(0) and connect() leave alone. */
Test(bsd, automatic_ports)
{
	struct holder plain = tcp("127.0.0.1", 0), reuse = tcp("127.0.0.1", R);

	for (unsigned system = 0; system < SYSTEMS; system++) {
		bool unused = system == NETBSD7 || system == NETBSD10 || system == MACOS11 || system == MACOS15;
		bool peer = system == FREEBSD13 || system == FREEBSD14 || system == FREEBSD15 || system == DRAGONFLY || system == OPENBSD;
		struct port port = port_on(system);

		port.automatic = true;
		put(&port, tcp("0.0.0.0", RP));
		cr_expect_eq(judge(&port, CALL_BIND, &plain, NULL).error, IN_USE);
		cr_expect_eq(judge(&port, CALL_BIND, &reuse, NULL).error, unused ? IN_USE : 0, "%s", systems[system]);
		port.holders[0] = in_state(tcp("127.0.0.1", 0), STATE_CONNECTED);
		cr_expect_eq(judge(&port, CALL_CONNECT, &plain, NULL).error, peer ? 0 : IN_USE, "%s", systems[system]);
	}
}

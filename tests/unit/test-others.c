/* SPDX-License-Identifier: MIT */
/*
 * illumos, Windows, Cygwin, lwIP, gVisor, Fuchsia, Zephyr and NuttX: every pair of two sockets with every mixture
 * of options (others-pairs.tsv.xz), and by single questions what the pairs do not reach.
 */
#include "tests/unit/judge.h"

#include <fakebind.h>
#include <stdio.h>

/* ---- a socket, made as a program makes it ---- */

static int option(const struct profile *profile, struct holder *socket, int level, int name, int value)
{
	struct option_answer answer;
	const struct option_question question = {
		.call = CALL_SETSOCKOPT, .profile = profile, .domain = socket->domain, .protocol = socket->protocol,
		.state = socket->state, .options = socket->options, .level = level, .name = name,
		.value = &value, .length = sizeof value, .alone = true,
	};

	profile->family->option(&question, &answer);
	if (!answer.passes && !answer.error)
		socket->options = answer.options;
	return answer.passes ? 0 : answer.error;
}

static int shown(const struct profile *profile, const struct holder *socket, int level, int name)
{
	struct option_answer answer;
	const struct option_question question = {
		.call = CALL_GETSOCKOPT, .profile = profile, .domain = socket->domain, .protocol = socket->protocol,
		.state = socket->state, .options = socket->options, .level = level, .name = name, .length = sizeof(int), .alone = true,
	};
	int value = 0;

	profile->family->option(&question, &answer);
	if (answer.error)
		return -answer.error;
	memcpy(&value, answer.value, answer.length);
	return value;
}

static int reuseaddr(const struct profile *profile, struct holder *socket, int value)
{
	return option(profile, socket, SOL_SOCKET, SO_REUSEADDR, value);
}

static int exclusive(const struct profile *profile, struct holder *socket, int value)
{
	return option(profile, socket, SOL_SOCKET, FAKEBIND_SO_EXCLUSIVE, value);
}

static struct holder fresh(const struct profile *profile, enum protocol protocol, const char *address)
{
	static uint64_t order;
	struct holder socket = in_state(socket_at(protocol, address, 0), STATE_UNBOUND);

	socket.order = ++order;
	socket.options = profile->family->fresh(profile, socket.domain, protocol);
	return socket;
}

static struct holder fresh_tcp(const char *profile, const char *address)
{
	return fresh(profile_of(profile), PROTOCOL_TCP, address);
}

/* ---- questions ---- */

struct asked {
	struct verdict verdict;
	struct sockaddr_storage to;
	uint32_t to_length;
	bool final;
};

static struct asked ask_length(const struct profile *profile, enum call call, const struct holder *socket, uint32_t uid, uint32_t length)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(socket->port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(socket->port) };
	struct asked asked = { .final = false };
	struct question question = {
		.call = call, .profile = profile, .domain = socket->domain, .protocol = socket->protocol, .state = socket->state,
		.options = socket->options, .uid = uid, .length = length, .alone = true, .loopback_alias = true,
		.self = socket->state == STATE_BOUND ? socket : NULL,
	};

	memcpy(&in.sin_addr, socket->address, 4);
	memcpy(&in6.sin6_addr, socket->address, 16);
	question.address = socket->domain == AF_INET ? (const uint8_t *)&in : (const uint8_t *)&in6;
	asked.final = profile->family->before(&question, &asked.verdict, &asked.to, &asked.to_length);
	return asked;
}

static struct asked ask(const struct profile *profile, enum call call, const struct holder *socket)
{
	return ask_length(profile, call, socket, 0, socket->domain == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
}

static int beside(const struct profile *profile, enum call call, const struct holder *claim, const struct holder *holder)
{
	struct asked asked = ask(profile, call, claim);
	struct verdict verdict = asked.final ? asked.verdict : judge_pair(profile, call, claim, holder);

	cr_assert(asked.final || !verdict.error || verdict.blamed);
	return verdict.error;
}

static int bind_beside(const struct profile *profile, const struct holder *claim, const struct holder *holder)
{
	return beside(profile, CALL_BIND, claim, holder);
}

static int listen_beside(const struct profile *profile, const struct holder *claim, const struct holder *holder)
{
	return beside(profile, CALL_LISTEN, claim, holder);
}

/* ---- all pairs ---- */

struct pair {
	char system[16], protocol[4], a[16], b[16], verdict[16], listen[16];
	int a_reuseaddr, a_reuseport, a_exclusive, a_listening, b_reuseaddr, b_reuseport, b_exclusive;
};

static const char *word(int error)
{
	return error == 0 ? "ok" : error == EADDRINUSE ? "EADDRINUSE" : error == EACCES ? "EACCES" : strerror(error);
}

static struct holder made(const struct profile *profile, const struct pair *pair, const char *address, int reuse, int reuseport, int excl)
{
	struct holder socket = fresh(profile, strcmp(pair->protocol, "udp") ? PROTOCOL_TCP : PROTOCOL_UDP, address);

	if (reuse)
		cr_assert_eq(reuseaddr(profile, &socket, 1), 0);
	if (reuseport)
		cr_assert_eq(option(profile, &socket, SOL_SOCKET, SO_REUSEPORT, 1), 0);
	if (excl)
		cr_assert_eq(exclusive(profile, &socket, 1), 0);
	return socket;
}

static bool pair_holds(const struct pair *pair)
{
	const struct profile *profile = profile_of(pair->system);
	struct holder a = made(profile, pair, pair->a, pair->a_reuseaddr, pair->a_reuseport, pair->a_exclusive);
	struct holder b = made(profile, pair, pair->b, pair->b_reuseaddr, pair->b_reuseport, pair->b_exclusive);
	int error;

	cr_expect_eq(bind_beside(profile, &a, NULL), 0);
	a.state = pair->a_listening ? STATE_LISTENING : STATE_BOUND;
	error = bind_beside(profile, &b, &a);
	if (strcmp(word(error), pair->verdict))
		return false;
	if (error || !strcmp(pair->listen, "-"))
		return true;
	b.state = STATE_BOUND;
	return !strcmp(word(listen_beside(profile, &b, &a)), pair->listen);
}

Test(others, every_pair)
{
	FILE *rows = popen("xz -dc " OTHERS_PAIRS, "r");
	struct pair pair;
	char line[256];
	unsigned count = 0;

	cr_assert_not_null(rows);
	cr_assert_not_null(fgets(line, sizeof line, rows));
	while (fgets(line, sizeof line, rows)) {
		cr_assert_eq(sscanf(line, "%15s %3s %15s %d %d %d %d %15s %d %d %d %15s", pair.system, pair.protocol, pair.a,
			&pair.a_reuseaddr, &pair.a_reuseport, &pair.a_exclusive, &pair.a_listening, pair.b,
			&pair.b_reuseaddr, &pair.b_reuseport, &pair.b_exclusive, pair.verdict), 12, "%s", line);
		cr_assert_eq(sscanf(strrchr(line, '\t'), "%15s", pair.listen), 1);
		cr_expect(pair_holds(&pair), "%s", line);
		count++;
	}
	pclose(rows);
	cr_expect_eq(count, 2277);
}

/* ---- profiles ---- */

Test(others, names)
{
	const struct { const char *name, *same; enum tier tier; } known[] = {
		{ "illumos", "solaris-10", TIER_SOURCE }, { "windows", "windows-2003", TIER_DOCUMENTED },
		{ "windows-xp", "windows-xp", TIER_DOCUMENTED }, { "cygwin", "cygwin", TIER_DOCUMENTED },
		{ "lwip", "lwip-2.2.1", TIER_MEASURED }, { "lwip-noreuse", "lwip-noreuse", TIER_MEASURED },
		{ "lwip-rxtoall", "lwip-rxtoall", TIER_MEASURED }, { "gvisor", "gvisor-2026", TIER_MEASURED },
		{ "gvisor-2022", "gvisor-2022", TIER_MEASURED }, { "fuchsia", "fuchsia-ns3", TIER_SOURCE },
		{ "zephyr", "zephyr", TIER_SOURCE }, { "nuttx", "nuttx", TIER_SOURCE },
	};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		cr_expect_eq(profile_of(known[i].name), profile_of(known[i].same));
		cr_expect_eq(profile_of(known[i].name)->tier, known[i].tier, "%s", known[i].name);
		cr_expect_eq(profile_of(known[i].name)->trait[trait_host], host_permissive);
	}
}

static void expect_ports(const char *name, uint16_t first, uint16_t last)
{
	const struct profile *profile = profile_of(name);
	struct holder claim = fresh(profile, PROTOCOL_UDP, "127.0.0.1");
	uint32_t count = last - first + 1u;
	uint16_t lowest = 65535, highest = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint16_t port = profile->family->port(profile, CALL_BIND, &claim, 12345, i);

		lowest = port < lowest ? port : lowest;
		highest = port > highest ? port : highest;
	}
	cr_expect(lowest == first && highest == last, "%s: %u to %u", name, lowest, highest);
	cr_expect_eq(profile->family->port(profile, CALL_BIND, &claim, 12345, count), 0);
}

Test(others, automatic_ports)
{
	expect_ports("illumos", 32768, 65535);
	expect_ports("windows", 49152, 65535);
	expect_ports("windows-xp", 1025, 5000);
	expect_ports("lwip", 49152, 65535);
	expect_ports("gvisor", 16000, 65535);
	expect_ports("fuchsia", 49152, 65535);
	expect_ports("zephyr", 32768, 65535);
	expect_ports("nuttx", 4096, 31999);
}

static int no_port(const char *name, enum call call, enum protocol protocol)
{
	struct question question = { .call = call, .profile = profile_of(name), .protocol = (uint8_t)protocol };
	struct verdict verdict = { .error = 0 };

	question.profile->family->event(&question, EVENT_NO_PORT, &verdict);
	return verdict.error;
}

Test(others, no_port_left)
{
	cr_expect_eq(no_port("illumos", CALL_BIND, PROTOCOL_TCP), EADDRNOTAVAIL);
	cr_expect_eq(no_port("lwip", CALL_BIND, PROTOCOL_TCP), ENOBUFS);
	cr_expect_eq(no_port("lwip", CALL_BIND, PROTOCOL_UDP), EADDRINUSE);
	cr_expect_eq(no_port("gvisor", CALL_BIND, PROTOCOL_TCP), EADDRINUSE);
	cr_expect_eq(no_port("gvisor", CALL_CONNECT, PROTOCOL_TCP), EADDRNOTAVAIL);
	cr_expect_eq(no_port("gvisor", CALL_CONNECT, PROTOCOL_UDP), EAGAIN);
	cr_expect_eq(no_port("fuchsia", CALL_BIND, PROTOCOL_TCP), EADDRNOTAVAIL);
}

/* ---- sockets that listen or are connected ---- */

static int in_state_error(const char *name, enum call call, enum protocol protocol, enum state state)
{
	const struct profile *profile = profile_of(name);
	struct holder socket = in_state(fresh(profile, protocol, "127.0.0.1"), state);
	struct asked asked = ask(profile, call, &socket);

	return asked.final ? asked.verdict.error : -1;
}

Test(others, calls_of_used_sockets)
{
	static const char *const names[] = { "illumos", "fuchsia", "windows", "gvisor" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		cr_expect_eq(in_state_error(names[i], CALL_CONNECT, PROTOCOL_TCP, STATE_LISTENING), i ? EINVAL : EOPNOTSUPP, "%s", names[i]);
		cr_expect_eq(in_state_error(names[i], CALL_CONNECT, PROTOCOL_TCP, STATE_CONNECTED), EISCONN, "%s", names[i]);
		cr_expect_eq(in_state_error(names[i], CALL_CONNECT, PROTOCOL_TCP, STATE_BOUND), -1, "%s", names[i]);
		cr_expect_eq(in_state_error(names[i], CALL_CONNECT, PROTOCOL_UDP, STATE_CONNECTED), -1, "%s", names[i]);
		cr_expect_eq(in_state_error(names[i], CALL_LISTEN, PROTOCOL_TCP, STATE_CONNECTED), i == 2 ? EISCONN : EINVAL, "%s", names[i]);
		cr_expect_eq(in_state_error(names[i], CALL_LISTEN, PROTOCOL_TCP, STATE_LISTENING), 0, "%s", names[i]);
		cr_expect_eq(in_state_error(names[i], CALL_LISTEN, PROTOCOL_UDP, STATE_BOUND), EOPNOTSUPP, "%s", names[i]);
		cr_expect_eq(in_state_error(names[i], CALL_ACCEPT, PROTOCOL_TCP, STATE_BOUND), EINVAL, "%s", names[i]);
		cr_expect_eq(in_state_error(names[i], CALL_ACCEPT, PROTOCOL_UDP, STATE_BOUND), EOPNOTSUPP, "%s", names[i]);
		cr_expect_eq(in_state_error(names[i], CALL_ACCEPT, PROTOCOL_TCP, STATE_LISTENING), -1, "%s", names[i]);
	}
}

/* ---- illumos ---- */

Test(illumos, option_values)
{
	const struct profile *profile = profile_of("illumos");
	struct holder a = fresh_tcp("illumos", "0.0.0.0");

	cr_expect_eq(reuseaddr(profile, &a, 7), 0);
	cr_expect_eq(shown(profile, &a, SOL_SOCKET, SO_REUSEADDR), 4);
	cr_expect_eq(exclusive(profile, &a, 1), 0);
	cr_expect_eq(shown(profile, &a, SOL_SOCKET, FAKEBIND_SO_EXCLUSIVE), 0x1015);
	cr_expect_eq(exclusive(profile, &a, 0), 0);
	cr_expect_eq(shown(profile, &a, SOL_SOCKET, FAKEBIND_SO_EXCLUSIVE), 0);
	cr_expect_eq(option(profile, &a, SOL_SOCKET, SO_REUSEPORT, 1), ENOPROTOOPT);
}

/* TCP: EINVAL for a second bind comes first; UDP: address and privilege come before it. */
Test(illumos, order_of_checks)
{
	const struct profile *profile = profile_of("illumos");
	struct holder a = fresh_tcp("illumos", "203.0.113.7");
	struct holder b = fresh(profile, PROTOCOL_UDP, "203.0.113.7");

	a.state = b.state = STATE_BOUND;
	cr_expect_eq(ask(profile, CALL_BIND, &a).verdict.error, EINVAL);
	cr_expect_eq(ask(profile, CALL_BIND, &b).verdict.error, EADDRNOTAVAIL);
	b = fresh(profile, PROTOCOL_UDP, "127.0.0.1");
	b.state = STATE_BOUND;
	b.port = 2049;
	cr_expect_eq(ask_length(profile, CALL_BIND, &b, 1000, sizeof(struct sockaddr_in)).verdict.error, EACCES);
	cr_expect_eq(ask(profile, CALL_BIND, &b).verdict.error, EINVAL);
	cr_expect_eq(ask_length(profile, CALL_BIND, &b, 0, 8).verdict.error, EINVAL);
}

Test(illumos, families_meet_only_exclusively)
{
	const struct profile *profile = profile_of("illumos");
	struct holder a = fresh_tcp("illumos", "::"), b = fresh_tcp("illumos", "0.0.0.0");

	a.state = STATE_LISTENING;
	cr_expect_eq(bind_beside(profile, &b, &a), 0);
	cr_expect_eq(exclusive(profile, &a, 1), 0, "options are read as they are now");
	cr_expect_eq(bind_beside(profile, &b, &a), EADDRINUSE);
	reuseaddr(profile, &b, 1);
	cr_expect_eq(bind_beside(profile, &b, &a), EADDRINUSE);
}

Test(illumos, time_wait_and_children)
{
	const struct profile *profile = profile_of("illumos");
	struct holder a = fresh_tcp("illumos", "127.0.0.1"), b = fresh_tcp("illumos", "0.0.0.0");

	exclusive(profile, &a, 1);
	cr_expect_eq(profile->family->inherited(profile, a.options) & OPTION_EXCLUSIVE, 0);
	a.state = STATE_TIME_WAIT;
	cr_expect_eq(bind_beside(profile, &b, &a), EADDRINUSE);
	reuseaddr(profile, &b, 1);
	cr_expect_eq(bind_beside(profile, &b, &a), 0, "past ESTABLISHED it excludes no more");
	a.state = STATE_CONNECTED;
	cr_expect_eq(bind_beside(profile, &b, &a), EADDRINUSE);
	a.options |= OPTION_ENDS;
	cr_expect_eq(bind_beside(profile, &b, &a), 0, "nor in CLOSE_WAIT or FIN_WAIT");
}

/* What counts is conn_bound_addr_v6, which no accepted socket has. */
Test(illumos, accepted_sockets_have_all_addresses)
{
	const struct profile *profile = profile_of("illumos");
	struct holder a = fresh_tcp("illumos", "127.0.0.1"), b = fresh_tcp("illumos", "127.0.0.2");

	a.state = STATE_CONNECTED;
	cr_expect_eq(bind_beside(profile, &b, &a), 0);
	a.options |= OPTION_CHILD;
	cr_expect_eq(bind_beside(profile, &b, &a), EADDRINUSE);
	reuseaddr(profile, &b, 1);
	cr_expect_eq(bind_beside(profile, &b, &a), 0);
}

Test(illumos, exclusive_by_default)
{
	struct profile profile = *profile_of("illumos");
	struct holder a = fresh_tcp("illumos", "0.0.0.0"), b = fresh_tcp("illumos", "127.0.0.1");

	profile.trait[trait_exclusive_default] = exclusive_default_always;
	a.state = STATE_BOUND;
	reuseaddr(&profile, &b, 1);
	cr_expect_eq(bind_beside(&profile, &b, &a), EADDRINUSE);
	profile.trait[trait_exclusive_default] = exclusive_default_unless_reuseaddr;
	reuseaddr(&profile, &a, 1);
	cr_expect_eq(bind_beside(&profile, &b, &a), 0);
}

/* ---- Windows ---- */

Test(windows, reuse_and_exclusive)
{
	const struct profile *profile = profile_of("windows");
	struct holder a = fresh_tcp("windows", "0.0.0.0"), b = fresh_tcp("windows", "0.0.0.0");

	reuseaddr(profile, &a, 1);
	cr_expect_eq(exclusive(profile, &a, 1), EINVAL);
	cr_expect_eq(exclusive(profile, &b, 1), 0);
	cr_expect_eq(reuseaddr(profile, &b, 1), EINVAL);
	cr_expect_eq(exclusive(profile, &b, 0), 0);
	cr_expect_eq(reuseaddr(profile, &b, 1), 0);
	cr_expect_eq(shown(profile, &b, SOL_SOCKET, ~4), 0, "its own number is known, too");
}

static int windows_dual(const char *a_address, bool a_exclusive, const char *b_address, bool b_exclusive)
{
	const struct profile *profile = profile_of("windows");
	struct holder a = fresh_tcp("windows", a_address), b = fresh_tcp("windows", b_address);

	a.options &= ~OPTION_V6ONLY;
	b.options &= ~OPTION_V6ONLY;
	exclusive(profile, &a, a_exclusive);
	exclusive(profile, &b, b_exclusive);
	a.state = STATE_LISTENING;
	return bind_beside(profile, &b, &a);
}

/* What test_reuseaddr asserts with IPV6_V6ONLY off. */
Test(windows, dual_stack)
{
	cr_expect_neq(profile_of("windows")->family->fresh(profile_of("windows"), AF_INET6, PROTOCOL_TCP) & OPTION_V6ONLY, 0);
	cr_expect_eq(windows_dual("::", false, "0.0.0.0", false), 0);
	cr_expect_eq(windows_dual("::", false, "0.0.0.0", true), 0);
	cr_expect_eq(windows_dual("::", true, "0.0.0.0", false), EACCES);
	cr_expect_eq(windows_dual("::", true, "127.0.0.1", false), EACCES);
	cr_expect_eq(windows_dual("127.0.0.1", false, "::", true), EADDRINUSE);
	cr_expect_eq(windows_dual("::1", false, "0.0.0.0", true), 0);
	cr_expect_eq(windows_dual("::ffff:0.0.0.0", false, "0.0.0.0", false), EADDRINUSE);
}

Test(windows, accounts)
{
	const struct profile *profile = profile_of("windows");
	struct holder a = fresh_tcp("windows", "0.0.0.0"), b = fresh_tcp("windows", "127.0.0.1");

	a.state = STATE_BOUND;
	b.uid = 1000;
	cr_expect_eq(bind_beside(profile, &b, &a), EACCES);
	reuseaddr(profile, &b, 1);
	cr_expect_eq(bind_beside(profile, &b, &a), EACCES);
	a = fresh_tcp("windows", "0.0.0.0");
	reuseaddr(profile, &a, 1);
	a.state = STATE_BOUND;
	cr_expect_eq(bind_beside(profile, &b, &a), 0);
	reuseaddr(profile, &b, 0);
	cr_expect_eq(bind_beside(profile, &b, &a), EACCES);
}

Test(windows, options_count_as_they_were_at_the_bind)
{
	const struct profile *profile = profile_of("windows");
	struct holder a = fresh_tcp("windows", "127.0.0.1"), b = fresh_tcp("windows", "127.0.0.1");

	a.state = STATE_BOUND;
	reuseaddr(profile, &a, 1);
	reuseaddr(profile, &b, 1);
	cr_expect_eq(shown(profile, &a, SOL_SOCKET, SO_REUSEADDR), 1);
	cr_expect_eq(bind_beside(profile, &b, &a), EACCES);
}

Test(windows, time_wait_and_children)
{
	struct profile profile = *profile_of("windows");
	struct holder a = fresh_tcp("windows", "127.0.0.1"), b = fresh_tcp("windows", "127.0.0.1");

	a.state = STATE_TIME_WAIT;
	cr_expect_eq(bind_beside(&profile, &b, &a), 0);
	a.state = STATE_CONNECTED;
	a.options = OPTION_CHILD;
	exclusive(&profile, &b, 1);
	cr_expect_eq(bind_beside(&profile, &b, &a), 0);
	profile.trait[trait_exclusive_children] = exclusive_children_block;
	cr_expect_eq(bind_beside(&profile, &b, &a), EADDRINUSE);
}

Test(windows, listen)
{
	struct holder a = fresh_tcp("windows", "0.0.0.0");

	cr_expect_eq(ask(profile_of("windows"), CALL_LISTEN, &a).verdict.error, EINVAL);
	cr_expect_not(ask(profile_of("cygwin"), CALL_LISTEN, &a).final);
	a.state = STATE_CONNECTED;
	cr_expect_eq(ask(profile_of("windows"), CALL_LISTEN, &a).verdict.error, EISCONN);
	a.state = STATE_BOUND;
	cr_expect_eq(ask_length(profile_of("windows"), CALL_BIND, &a, 0, 8).verdict.error, EFAULT);
	cr_expect_eq(ask(profile_of("windows"), CALL_BIND, &a).verdict.error, EINVAL);
}

/* ---- lwIP: src/core/tcp.c, src/api/sockets.c ---- */

Test(lwip, arguments)
{
	const struct profile *profile = profile_of("lwip");
	struct holder a = fresh_tcp("lwip", "203.0.113.7"), b = fresh_tcp("lwip", "::1");

	cr_expect_not(ask(profile, CALL_BIND, &a).final, "no address is foreign");
	cr_expect_eq(ask_length(profile, CALL_BIND, &a, 0, 8).verdict.error, EIO);
	cr_expect_eq(ask_length(profile, CALL_BIND, &a, 0, 0).verdict.error, EINVAL);
	cr_expect_eq(ask_length(profile, CALL_BIND, &b, 0, 16).verdict.error, 0);
	cr_expect_eq(reuseaddr(profile, &a, 1), 0);
	cr_expect_eq(shown(profile, &a, SOL_SOCKET, SO_REUSEADDR), 4);
	cr_expect_eq(reuseaddr(profile_of("lwip-noreuse"), &a, 1), ENOPROTOOPT);
}

Test(lwip, unbound_listener_and_shutdown)
{
	const struct profile *profile = profile_of("lwip");
	struct holder a = fresh_tcp("lwip", "0.0.0.0");
	struct asked asked = ask(profile, CALL_LISTEN, &a);

	cr_expect(asked.final && asked.verdict.error == 0 && asked.verdict.flags == VERDICT_LISTENS);
	a.state = STATE_DEAD;
	cr_expect_eq(ask(profile, CALL_LISTEN, &a).verdict.error, ENOTCONN);
	cr_expect_eq(ask(profile, CALL_BIND, &a).verdict.error, EINVAL);
}

Test(lwip, second_bind_meets_itself)
{
	const struct profile *profile = profile_of("lwip");
	struct holder a = fresh_tcp("lwip", "127.0.0.1");

	a.state = STATE_BOUND;
	cr_expect_eq(ask(profile, CALL_BIND, &a).verdict.error, EADDRINUSE);
	reuseaddr(profile, &a, 1);
	cr_expect_not(ask(profile, CALL_BIND, &a).final);
	a = fresh(profile, PROTOCOL_UDP, "127.0.0.1");
	a.state = STATE_BOUND;
	cr_expect_not(ask(profile, CALL_BIND, &a).final);
}

Test(lwip, last_port)
{
	const struct profile *profile = profile_of("lwip");
	struct holder a = fresh_tcp("lwip", "0.0.0.0");

	for (uint32_t i = 0; i < 16384; i++)
		cr_assert_neq(profile->family->port(profile, CALL_BIND, &a, 0, i), 65535);
}

Test(lwip, time_wait_asks_the_new_socket_only)
{
	const struct profile *profile = profile_of("lwip");
	struct holder a = fresh_tcp("lwip", "127.0.0.1"), b = fresh_tcp("lwip", "127.0.0.1");

	a.state = STATE_TIME_WAIT;
	cr_expect_eq(bind_beside(profile, &b, &a), EADDRINUSE);
	reuseaddr(profile, &b, 1);
	cr_expect_eq(bind_beside(profile, &b, &a), 0);
	cr_expect_eq(bind_beside(profile_of("lwip-noreuse"), &b, &a), EADDRINUSE);
	a.state = STATE_CONNECTED;
	cr_expect_eq(bind_beside(profile, &b, &a), EADDRINUSE);
}

/* ---- gVisor: pkg/tcpip/ports ---- */

Test(gvisor, options_count_as_they_were_at_the_bind)
{
	const struct profile *profile = profile_of("gvisor-2022");
	struct holder a = fresh_tcp("gvisor-2022", "0.0.0.0"), b = fresh_tcp("gvisor-2022", "127.0.0.1");

	a.state = STATE_BOUND;
	reuseaddr(profile, &a, 1);
	reuseaddr(profile, &b, 1);
	cr_expect_eq(shown(profile, &a, SOL_SOCKET, SO_REUSEADDR), 1);
	cr_expect_eq(bind_beside(profile, &b, &a), EADDRINUSE);
	a = fresh_tcp("gvisor-2022", "0.0.0.0");
	reuseaddr(profile, &a, 1);
	a.state = STATE_LISTENING;
	reuseaddr(profile, &a, 0);
	cr_expect_eq(shown(profile, &a, SOL_SOCKET, SO_REUSEADDR), 0);
	cr_expect_eq(bind_beside(profile, &b, &a), 0);
}

Test(gvisor, children)
{
	const struct profile *profile = profile_of("gvisor-2022");
	struct holder a = fresh_tcp("gvisor-2022", "127.0.0.1"), b = fresh_tcp("gvisor-2022", "127.0.0.1");

	reuseaddr(profile, &a, 1);
	a.options = profile->family->inherited(profile, a.options) | OPTION_CHILD;
	a.state = STATE_TIME_WAIT;
	cr_expect_eq(shown(profile, &a, SOL_SOCKET, SO_REUSEADDR), 0);
	cr_expect_eq(bind_beside(profile, &b, &a), EADDRINUSE);
	option(profile, &b, SOL_SOCKET, SO_REUSEPORT, 1);
	cr_expect_eq(bind_beside(profile, &b, &a), 0, "its own SO_REUSEPORT is not asked for");
	b = fresh_tcp("gvisor-2022", "0.0.0.0");
	reuseaddr(profile, &b, 1);
	cr_expect_eq(bind_beside(profile, &b, &a), 0);
}

/* A TCP client that did not bind holds its port for its peer; a UDP one for everybody. */
Test(gvisor, clients)
{
	const struct profile *profile = profile_of("gvisor-2022");

	for (enum protocol protocol = PROTOCOL_TCP; protocol <= PROTOCOL_UDP; protocol++) {
		struct holder a = fresh(profile, protocol, "127.0.0.1"), b = fresh(profile, protocol, "127.0.0.1");

		a.options |= OPTION_CLIENT;
		a.state = STATE_CONNECTED;
		option(profile, &b, SOL_SOCKET, SO_REUSEPORT, 1);
		cr_expect_eq(bind_beside(profile, &b, &a), protocol == PROTOCOL_TCP ? 0 : EADDRINUSE);
	}
}

/* A socket that was bound to the wildcard keeps that reserved when it connects. */
Test(gvisor, reservation_stays_a_wildcard)
{
	const struct profile *profile = profile_of("gvisor-2022");
	struct holder a = fresh_tcp("gvisor-2022", "0.0.0.0"), b = fresh_tcp("gvisor-2022", "127.0.0.2"), connected = fresh_tcp("gvisor-2022", "127.0.0.1");

	connected.options = profile->family->bound(profile, &a, 0);
	connected.state = STATE_CONNECTED;
	cr_expect_eq(bind_beside(profile, &b, &connected), EADDRINUSE);
	connected.options = a.options;
	cr_expect_eq(bind_beside(profile, &b, &connected), 0);
}

Test(gvisor, failures_leave_traces)
{
	const struct profile *profile = profile_of("gvisor-2022");
	struct holder a = fresh_tcp("gvisor-2022", "127.0.0.1"), b = fresh_tcp("gvisor-2022", "127.0.0.1");

	a.state = STATE_BOUND;
	cr_expect_eq(judge_pair(profile, CALL_BIND, &b, &a).flags, VERDICT_NAMES);
	a.state = STATE_LISTENING;
	b.state = STATE_BOUND;
	cr_expect_eq(judge_pair(profile, CALL_LISTEN, &b, &a).flags, VERDICT_KILLS);
	b.state = STATE_DEAD;
	cr_expect_eq(ask(profile, CALL_LISTEN, &b).verdict.error, EINVAL);
}

Test(gvisor, errors_by_year)
{
	struct question question = { .call = CALL_CONNECT, .profile = profile_of("gvisor-2022") };
	struct verdict verdict = { .error = 0 };
	struct holder a = fresh_tcp("gvisor-2022", "::ffff:127.0.0.1");

	question.profile->family->event(&question, EVENT_TUPLE_TAKEN, &verdict);
	cr_expect_eq(verdict.error, EADDRINUSE);
	question.profile = profile_of("gvisor");
	question.profile->family->event(&question, EVENT_TUPLE_TAKEN, &verdict);
	cr_expect_eq(verdict.error, EADDRNOTAVAIL);
	option(question.profile, &a, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	cr_expect_eq(ask(question.profile, CALL_BIND, &a).verdict.error, EHOSTUNREACH);
	question.call = CALL_LISTEN;
	question.state = STATE_LISTENING;
	question.argument = 1;
	question.queued = 2;
	question.profile->family->before(&question, &verdict, NULL, NULL);
	cr_expect_eq(verdict.error, 0);
	question.queued = 3;
	question.profile->family->before(&question, &verdict, NULL, NULL);
	cr_expect_eq(verdict.error, EINVAL);
}

/* ---- the rest ---- */

/* core/tcp/src/socket.rs: a listener below is no obstacle to bind(), one above is. */
Test(fuchsia, asymmetry)
{
	const struct profile *profile = profile_of("fuchsia");
	struct holder wild = fresh_tcp("fuchsia", "0.0.0.0"), one = fresh_tcp("fuchsia", "127.0.0.1");

	reuseaddr(profile, &wild, 1);
	reuseaddr(profile, &one, 1);
	one.state = STATE_LISTENING;
	cr_expect_eq(bind_beside(profile, &wild, &one), 0);
	wild.state = STATE_BOUND;
	cr_expect_eq(listen_beside(profile, &wild, &one), EADDRINUSE);
	one.state = STATE_UNBOUND;
	wild.state = STATE_LISTENING;
	cr_expect_eq(bind_beside(profile, &one, &wild), EADDRINUSE);
	cr_expect_eq(option(profile, &one, SOL_SOCKET, SO_REUSEPORT, 1), ENOPROTOOPT);
}

Test(zephyr, refusals)
{
	const struct profile *profile = profile_of("zephyr");
	struct holder a = fresh_tcp("zephyr", "203.0.113.7"), b = fresh_tcp("zephyr", "127.0.0.1");

	cr_expect_eq(ask(profile, CALL_BIND, &a).verdict.error, ENOENT);
	a.state = STATE_BOUND;
	cr_expect_eq(ask(profile, CALL_BIND, &a).verdict.error, ENOENT, "a bound TCP socket has no connection handler");
	a.state = STATE_LISTENING;
	cr_expect_eq(ask(profile, CALL_BIND, &a).verdict.error, EISCONN);
	a.state = STATE_CONNECTED;
	cr_expect_eq(ask(profile, CALL_BIND, &a).verdict.error, EISCONN);
	a = fresh(profile, PROTOCOL_UDP, "203.0.113.7");
	a.state = STATE_BOUND;
	cr_expect_eq(ask(profile, CALL_BIND, &a).verdict.error, EISCONN);
	a = fresh_tcp("zephyr", "127.0.0.1");
	a.state = STATE_TIME_WAIT;
	cr_expect_eq(bind_beside(profile, &b, &a), EADDRINUSE);
	reuseaddr(profile, &b, 1);
	cr_expect_eq(bind_beside(profile, &b, &a), 0);
}

Test(nuttx, tcp_has_no_option)
{
	const struct profile *profile = profile_of("nuttx");
	struct holder a = fresh_tcp("nuttx", "127.0.0.1"), b = fresh_tcp("nuttx", "127.0.0.1"), wild = fresh_tcp("nuttx", "0.0.0.0");

	reuseaddr(profile, &a, 1);
	reuseaddr(profile, &b, 1);
	a.state = STATE_TIME_WAIT;
	cr_expect_eq(bind_beside(profile, &b, &a), EADDRINUSE);
	cr_expect_eq(bind_beside(profile, &wild, &a), 0);
}

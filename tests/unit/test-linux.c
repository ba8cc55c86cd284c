/* SPDX-License-Identifier: MIT */
/*
 * The Linux rules, case by case.  Answers are those of a running 6.18.44 unless a case names a source;
 * tests/fuzz-model compares the same rules with the running kernel.
 */
#include "tests/unit/judge.h"

#define LINUX .profile = profile_of("linux-6.18")

static const char *bind_at(struct port *port, struct holder claim)
{
	struct verdict verdict = judge_bind(port, claim);

	cr_assert(verdict.error == 0 || verdict.error == EADDRINUSE);
	cr_assert_eq(verdict.error != 0, verdict.blamed);
	return verdict.rule->id;
}

static const char *listen_at(struct port *port, unsigned which)
{
	return judge_listen(port, which).rule->id;
}

/* ---- addresses ---- */

/* net/ipv4/inet_connection_sock.c inet_rcv_saddr_equal(), 6.18: row bound second, column first. */
Test(linux_addresses, overlap)
{
	static const char *const address[] = { "0.0.0.0", "127.0.0.1", "::", "::1", "::ffff:0.0.0.0", "::ffff:127.0.0.1", "::" };
	static const char *const expected[] = {
		"XXX.XX.",
		"XXX.XX.",
		"XXXXXXX",
		"..XX..X",
		"XXX.XX.",
		"XXX.XX.",
		"..XX..X",
	};

	for (unsigned row = 0; row < 7; row++)
		for (unsigned column = 0; column < 7; column++) {
			struct holder a = tcp(address[row], row == 6 ? OPTION_V6ONLY : 0);
			struct holder b = tcp(address[column], column == 6 ? OPTION_V6ONLY : 0);

			cr_expect_eq(linux_overlaps(&a, &b), expected[row][column] == 'X', "row %u column %u", row, column);
		}
}

Test(linux_addresses, specific_addresses_do_not_meet)
{
	struct holder a = tcp("127.0.0.1", 0), b = tcp("127.0.0.2", 0), c = tcp("::ffff:127.0.0.2", 0);

	cr_expect_not(linux_overlaps(&a, &b));
	cr_expect_not(linux_overlaps(&a, &c));
	cr_expect(linux_overlaps(&b, &c));
}

Test(linux_addresses, devices)
{
	struct holder none = tcp("0.0.0.0", 0), one = none, two = none;

	one.ifindex = 1;
	two.ifindex = 2;
	cr_expect(linux_overlaps(&none, &one));
	cr_expect(linux_overlaps(&one, &none));
	cr_expect(linux_overlaps(&one, &one));
	cr_expect_not(linux_overlaps(&one, &two));
}

/* An accepted child of a dual-stack listener is not v6only, and stands in the IPv4 tables as 127.0.0.6:
 * a wildcard meets it, the address itself asks another chain (net/ipv6/tcp_ipv6.c tcp_v6_syn_recv_sock()). */
Test(linux_addresses, child_of_dual_stack_listener)
{
	struct port port = { LINUX, .holders = { in_state(tcp("::1", 0), STATE_CONNECTED) }, .count = 1 };

	cr_expect_str_eq(bind_at(&port, tcp("127.0.0.1", 0)), "ok/free");
	port.count = 1;
	cr_expect_str_eq(bind_at(&port, tcp("127.0.0.6", 0)), "ok/free");
	port.count = 1;
	cr_expect_str_eq(bind_at(&port, tcp("0.0.0.0", 0)), "conflict/no-reuseaddr");
	port.holders[0].options = OPTION_V6ONLY;
	cr_expect_str_eq(bind_at(&port, tcp("0.0.0.0", 0)), "ok/free");
}

/* ---- pairs ---- */

/* inet_bind_conflict(), 6.18: holder's state and options, claim's options, same user or not. */
Test(linux_tcp, pairs)
{
	for (unsigned bits = 0; bits < 64; bits++) {
		uint32_t first = bits & 3, second = bits >> 2 & 3;
		bool listens = bits & 16, other = bits & 32;
		struct port port = { LINUX, .count = 1 };
		bool shares = (first & second & R && !listens) || (first & second & RP && !other);

		port.holders[0] = in_state(tcp("127.0.0.1", first), listens ? STATE_LISTENING : STATE_BOUND);
		cr_expect_eq(!strncmp(bind_at(&port, of_user(tcp("0.0.0.0", second), other)), "ok/", 3), shares, "case %u", bits);
	}
}

Test(linux_tcp, reasons)
{
	struct port port = { LINUX, .holders = { in_state(tcp("0.0.0.0", R), STATE_LISTENING) }, .count = 1 };

	cr_expect_str_eq(bind_at(&port, tcp("127.0.0.1", R)), "conflict/holder-listens");
	port.holders[0] = tcp("0.0.0.0", 0);
	cr_expect_str_eq(bind_at(&port, tcp("127.0.0.1", 0)), "conflict/no-reuseaddr");
	cr_expect_str_eq(bind_at(&port, tcp("127.0.0.1", R)), "conflict/holder-no-reuseaddr");
	port.holders[0] = in_state(tcp("0.0.0.0", RP), STATE_LISTENING);
	cr_expect_str_eq(bind_at(&port, of_user(tcp("127.0.0.1", RP), 7)), "conflict/other-user");
	cr_expect_str_eq(bind_at(&port, tcp("127.0.0.1", RP | OPTION_GROUP)), "conflict/reuseport-group");
	cr_expect_str_eq(bind_at(&port, tcp("127.0.0.1", RP)), "ok/reuseport");
}

/* A listener is named before others, and the later of two. */
Test(linux_tcp, blame)
{
	struct port port = { LINUX, .holders = { tcp("127.0.0.1", 0), in_state(tcp("127.0.0.2", 0), STATE_LISTENING), tcp("127.0.0.3", 0) }, .count = 3 };
	struct holder claim = tcp("0.0.0.0", 0);

	for (unsigned i = 0; i < 3; i++)
		port.holders[i].order = i + 1;
	cr_expect_eq(judge(&port, CALL_BIND, &claim, NULL).holder.order, 2);
	port.holders[1].state = STATE_BOUND;
	cr_expect_eq(judge(&port, CALL_BIND, &claim, NULL).holder.order, 3);
}

Test(linux_tcp, other_ports_and_protocols)
{
	struct port port = { LINUX, .holders = { tcp("0.0.0.0", 0), udp("0.0.0.0", 0) }, .count = 2 };

	port.holders[0].port++;
	cr_expect_str_eq(bind_at(&port, tcp("0.0.0.0", 0)), "ok/free");
}

/* ---- listen ---- */

Test(linux_listen, first_of_two_wins)
{
	struct port port = port_of("linux-6.18");

	bind_at(&port, tcp("127.0.0.1", R));
	bind_at(&port, tcp("127.0.0.1", R));
	cr_expect_str_eq(listen_at(&port, 0), "ok/reuseaddr");
	cr_expect_str_eq(listen_at(&port, 1), "listen/holder-listens");
}

Test(linux_listen, reuseport)
{
	struct port port = port_of("linux-6.18");

	bind_at(&port, tcp("127.0.0.1", RP));
	bind_at(&port, tcp("127.0.0.1", RP));
	cr_expect_str_eq(listen_at(&port, 0), "ok/reuseport");
	cr_expect_str_eq(listen_at(&port, 1), "ok/reuseport");
}

/* ---- options changed after the bind: inet_csk_update_fastreuse(), 6.18 ---- */

Test(linux_memory, reuseaddr_is_never_remembered)
{
	struct port port = port_of("linux-6.18");

	bind_at(&port, tcp("127.0.0.1", R));
	port.holders[0].options = 0;
	cr_expect_str_eq(bind_at(&port, tcp("127.0.0.1", R)), "conflict/holder-no-reuseaddr");
}

Test(linux_memory, reuseport_is_remembered_for_the_address)
{
	struct port port = port_of("linux-6.18");

	bind_at(&port, tcp("127.0.0.1", RP));
	port.holders[0].options = 0;
	cr_expect_str_eq(bind_at(&port, of_user(tcp("127.0.0.1", RP), 7)), "conflict/no-reuseaddr");
	cr_expect_str_eq(bind_at(&port, tcp("0.0.0.0", RP)), "conflict/no-reuseaddr");
	cr_expect_str_eq(bind_at(&port, tcp("127.0.0.1", RP | OPTION_GROUP)), "conflict/no-reuseaddr");
	cr_expect_str_eq(bind_at(&port, tcp("127.0.0.1", RP)), "ok/reuseport-remembered");
}

Test(linux_memory, wildcard_covers_an_address)
{
	struct port port = port_of("linux-6.18");

	bind_at(&port, tcp("0.0.0.0", RP));
	port.holders[0].options = 0;
	cr_expect_str_eq(bind_at(&port, tcp("127.0.0.1", RP)), "ok/reuseport-remembered");
	/* and stays what is remembered */
	cr_expect_str_eq(bind_at(&port, tcp("127.0.0.2", RP)), "ok/reuseport-remembered");
}

Test(linux_memory, a_bind_without_reuseport_ends_it)
{
	struct port port = port_of("linux-6.18");

	bind_at(&port, tcp("127.0.0.1", RP));
	bind_at(&port, tcp("127.0.0.2", 0));
	port.holders[0].options = 0;
	cr_expect_str_eq(bind_at(&port, tcp("127.0.0.1", RP)), "conflict/no-reuseaddr");
}

Test(linux_memory, options_set_late)
{
	struct port port = port_of("linux-6.18");

	bind_at(&port, tcp("127.0.0.1", 0));
	port.holders[0].options = R;
	cr_expect_str_eq(bind_at(&port, tcp("127.0.0.1", R)), "ok/reuseaddr");

	port.count = 1;
	port.holders[0] = in_state(tcp("127.0.0.1", 0), STATE_LISTENING);
	port.holders[0].options = R;
	cr_expect_str_eq(bind_at(&port, tcp("127.0.0.1", R)), "conflict/holder-listens");
}

Test(linux_memory, listen_after_an_option_was_cleared)
{
	struct port port = port_of("linux-6.18");

	bind_at(&port, tcp("127.0.0.1", R));
	bind_at(&port, tcp("127.0.0.1", R));
	port.holders[0].options = 0;
	cr_expect_str_eq(listen_at(&port, 0), "listen/no-reuseaddr");

	port = port_of("linux-6.18");
	bind_at(&port, tcp("127.0.0.1", RP));
	bind_at(&port, tcp("127.0.0.1", RP));
	port.holders[1].options = 0;
	cr_expect_str_eq(listen_at(&port, 0), "ok/reuseport-remembered");

	port = port_of("linux-6.18");
	bind_at(&port, tcp("127.0.0.1", RP));
	bind_at(&port, tcp("127.0.0.1", RP));
	port.holders[0].options = 0;
	cr_expect_str_eq(listen_at(&port, 0), "listen/no-reuseaddr");
}

/* tools/testing/selftests/net/reuseaddr_conflict.c, 6.18 */
Test(linux_memory, reuseaddr_conflict)
{
	struct port port = port_of("linux-6.18");

	bind_at(&port, tcp("127.0.0.1", R));
	listen_at(&port, 0);
	cr_expect_str_eq(bind_at(&port, tcp("::", R | OPTION_V6ONLY)), "ok/free");
	cr_expect_str_eq(bind_at(&port, tcp("0.0.0.0", R)), "conflict/holder-listens");
}

/* ---- TIME_WAIT and children ---- */

static const char *after_close(uint32_t listener, struct holder claim)
{
	struct port port = { LINUX, .holders = { in_state(tcp("127.0.0.1", listener), STATE_TIME_WAIT) }, .count = 1 };

	return bind_at(&port, claim);
}

Test(linux_time_wait, options_of_the_closed_socket)
{
	cr_expect_str_eq(after_close(0, tcp("0.0.0.0", 0)), "conflict/time-wait");
	cr_expect_str_eq(after_close(0, tcp("127.0.0.1", R)), "conflict/holder-time-wait");
	cr_expect_str_eq(after_close(0, tcp("127.0.0.2", 0)), "ok/free");
	cr_expect_str_eq(after_close(R, tcp("127.0.0.1", 0)), "conflict/time-wait");
	cr_expect_str_eq(after_close(R, tcp("0.0.0.0", R)), "ok/reuseaddr");
	cr_expect_str_eq(after_close(R, tcp("0.0.0.0", RP)), "conflict/time-wait");
	cr_expect_str_eq(after_close(RP, tcp("0.0.0.0", R)), "conflict/holder-time-wait");
	cr_expect_str_eq(after_close(RP, tcp("0.0.0.0", RP)), "ok/reuseport");
	cr_expect_str_eq(after_close(RP, of_user(tcp("0.0.0.0", RP), 7)), "ok/reuseport");
}

Test(linux_time_wait, listen_over_a_remnant)
{
	struct port port = { LINUX, .holders = { in_state(tcp("127.0.0.1", R), STATE_TIME_WAIT) }, .count = 1 };

	bind_at(&port, tcp("0.0.0.0", R));
	cr_expect_str_eq(listen_at(&port, 1), "ok/reuseaddr");
}

Test(linux_time_wait, live_child)
{
	struct port port = { LINUX, .holders = { in_state(tcp("127.0.0.1", R), STATE_CONNECTED) }, .count = 1 };

	cr_expect_str_eq(bind_at(&port, tcp("0.0.0.0", 0)), "conflict/no-reuseaddr");
	cr_expect_str_eq(bind_at(&port, of_user(tcp("0.0.0.0", R), 7)), "ok/reuseaddr");
}

/* ---- UDP: net/ipv4/udp.c udp_lib_lport_inuse(), 6.18 ---- */

Test(linux_udp, needs_an_option_on_both)
{
	for (unsigned bits = 0; bits < 32; bits++) {
		uint32_t first = bits & 3, second = bits >> 2 & 3;
		bool other = bits & 16;
		struct port port = { LINUX, .holders = { udp("127.0.0.1", first) }, .count = 1 };
		bool shares = first & second & R || (first & second & RP && !other);

		cr_expect_eq(!strncmp(bind_at(&port, of_user(udp("0.0.0.0", second), other)), "ok/", 3), shares, "case %u", bits);
	}
}

Test(linux_udp, newest_decides)
{
	struct port port = port_of("linux-6.18");

	bind_at(&port, udp("127.0.0.1", 0));
	bind_at(&port, udp("127.0.0.2", RP));
	cr_expect_str_eq(bind_at(&port, udp("0.0.0.0", RP)), "ok/first-udp-owner");

	port.count = 0;
	bind_at(&port, udp("127.0.0.2", RP));
	bind_at(&port, udp("127.0.0.1", 0));
	cr_expect_str_eq(bind_at(&port, udp("0.0.0.0", RP)), "conflict/no-reuseaddr");
}

Test(linux_udp, reuseaddr_pairs_are_passed_over)
{
	struct port port = port_of("linux-6.18");

	bind_at(&port, udp("127.0.0.1", 0));
	bind_at(&port, udp("127.0.0.2", R));
	cr_expect_str_eq(bind_at(&port, udp("0.0.0.0", R)), "conflict/holder-no-reuseaddr");
}

/* include/net/sock.h sk_add_node_rcu(), 6.18 */
Test(linux_udp, ipv6_with_reuseport_comes_last)
{
	struct port port = port_of("linux-6.18");

	bind_at(&port, udp("127.0.0.1", 0));
	bind_at(&port, udp("::1", RP));
	cr_expect_str_eq(bind_at(&port, udp("::", RP)), "conflict/no-reuseaddr");

	port.count = 0;
	bind_at(&port, udp("127.0.0.2", RP));
	bind_at(&port, udp("::1", RP));
	port.holders[1].options &= ~RP;
	cr_expect_str_eq(bind_at(&port, udp("::", RP)), "ok/first-udp-owner");
}

/* udp_lib_get_port(), 6.18: above ten sockets a claim to one address asks two of them. */
Test(linux_udp, crowded)
{
	struct port port = port_of("linux-6.18");

	bind_at(&port, udp("0.0.0.0", R | RP));
	bind_at(&port, udp("127.0.0.1", R | RP));
	for (unsigned i = 2; i < 9; i++)
		port.holders[port.count++] = udp("127.0.0.9", 0);
	port.holders[0].options = 0;
	cr_expect_str_eq(bind_at(&port, udp("127.0.0.1", RP)), "ok/first-udp-owner");
	cr_assert_eq(port.count, 10);
	cr_expect_str_eq(bind_at(&port, udp("127.0.0.1", RP)), "ok/first-udp-owner");
	cr_expect_str_eq(bind_at(&port, udp("127.0.0.1", RP)), "conflict/no-reuseaddr");
	/* a claim to all asks the newest as before */
	cr_expect_str_eq(bind_at(&port, udp("0.0.0.0", RP)), "ok/first-udp-owner");
}

/* ---- the family ---- */

Test(linux_family, profile)
{
	const struct profile *profile = profile_find("linux");

	cr_assert_not_null(profile);
	cr_expect_eq(profile, profile_find("linux-6.18"));
	cr_expect_eq(profile->family, &family_linux);
	cr_expect_eq(profile->trait[trait_host], host_mirror);
	cr_expect_null(profile_find("linux-0.99"));
	cr_expect_eq(family_linux.bucket(profile, PROTOCOL_TCP, 80), 80);
	cr_expect_eq(family_linux.bucket(profile, PROTOCOL_UDP, 80), 65536 + 80);
	cr_expect_eq(family_linux.error(profile, CALL_BIND, EACCES), EACCES);
}

Test(linux_family, the_host_judges_arguments_and_options)
{
	struct question question = { .call = CALL_BIND, .profile = profile_find("linux"), .length = 1 };
	struct option_question option = { .call = CALL_SETSOCKOPT, .profile = question.profile };
	struct option_answer answer = { .passes = false };
	struct sockaddr_storage to;
	struct verdict verdict;
	uint32_t length = 0;

	cr_expect_not(family_linux.before(&question, &verdict, &to, &length));
	family_linux.option(&option, &answer);
	cr_expect(answer.passes);
}

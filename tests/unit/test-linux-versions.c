/* SPDX-License-Identifier: MIT */
/*
 * What sets the Linux versions apart, case by case.  A case names the source it was read in; "measured" is an
 * answer of a running kernel.  The recorded scenarios are played by tests/conformance.
 */
#include "shim/rules/linux.h"
#include "tests/unit/judge.h"

#include <stdio.h>

#define V6ONLY OPTION_V6ONLY
#define OK 0
#define INUSE EADDRINUSE
#define COUNT(array) (sizeof(array) / sizeof *(array))

static int bind_at(struct port *port, struct holder claim)
{
	return judge_bind(port, claim).error;
}

static int listen_at(struct port *port, unsigned which)
{
	return judge_listen(port, which).error;
}

static const char *rule_at(const struct port *port, struct holder claim)
{
	return judge(port, CALL_BIND, &claim, NULL).rule->id;
}

/* ---- every combination of two and three TCP/IPv4 sockets ---- */

static struct holder combined(const struct profile *profile, unsigned address, unsigned options, uint32_t uid)
{
	static const char *const text[] = { "0.0.0.0", "127.0.0.1", "127.0.0.2" };
	bool known = profile->trait[trait_so_reuseport] == so_reuseport_known;

	return of_user(tcp(text[address], known ? options : options & R), uid);
}

static unsigned bind_and_listen(struct port *port, struct holder claim, bool listens)
{
	if (bind_at(port, claim))
		return 1;
	return listens && listen_at(port, port->count - 1) ? 2 : 0;
}

struct pair_case {
	unsigned first, second, options;
	bool other_user, listens;
};

static unsigned play_pair(const struct profile *profile, const struct pair_case *c)
{
	struct port port = { .profile = profile };
	unsigned result = bind_and_listen(&port, combined(profile, c->first, c->options & 3, 0), c->listens);

	result |= bind_and_listen(&port, combined(profile, c->second, c->options >> 2, c->other_user), true) << 2;
	return result | (!c->listens && listen_at(&port, 0)) << 4;
}

static unsigned pair_differences(const char *name)
{
	const struct profile *old = profile_find(name), *new = profile_find("linux-6.18");
	unsigned differences = 0;

	cr_assert_not_null(old, "%s", name);
	for (unsigned n = 0; n < 2 * 3 * 16 * 4; n++) {
		struct pair_case c = { n % 2, n / 2 % 3, n / 6 % 16, n / 96 % 2, n / 192 };

		differences += play_pair(old, &c) != play_pair(new, &c);
	}
	return differences;
}

struct triple_case {
	unsigned address[3], options, users, listens;
};

static unsigned play_triple(const struct profile *profile, const struct triple_case *c)
{
	struct port port = { .profile = profile };
	unsigned result = 0;

	for (unsigned i = 0; i < 3; i++) {
		uint32_t uid = i && (c->users >> (i - 1) & 1);
		struct holder claim = combined(profile, c->address[i], c->options >> 2 * i & 3, uid);

		result |= bind_and_listen(&port, claim, i == 2 || c->listens >> i & 1) << 2 * i;
	}
	return result;
}

/* 127.0.0.2 never comes before 127.0.0.1: the two are alike. */
static bool is_twin(const unsigned address[3])
{
	for (unsigned i = 0; i < 3; i++)
		if (address[i])
			return address[i] == 2;
	return false;
}

static unsigned triple_differences(const char *name, unsigned *played)
{
	const struct profile *old = profile_find(name), *new = profile_find("linux-6.18");
	unsigned differences = 0;

	cr_assert_not_null(old, "%s", name);
	*played = 0;
	for (unsigned n = 0; n < 27 * 64 * 16; n++) {
		struct triple_case c = { { n % 3, n / 3 % 3, n / 9 % 3 }, n / 27 % 64, n / 1728 % 4, n / 6912 };

		if (is_twin(c.address))
			continue;
		*played += 1;
		differences += play_triple(old, &c) != play_triple(new, &c);
	}
	return differences;
}

/* The counts are those of an independent restatement of the rules of each kernel's source. */
Test(linux_versions, enumeration_of_two_sockets)
{
	static const struct { const char *name; unsigned differences; } expected[] = {
		{ "linux-1.2.13", 156 }, { "linux-2.6.24", 40 }, { "linux-2.6.32", 40 }, { "linux-3.6", 40 }, { "linux-3.9", 15 },
		{ "linux-4.4", 15 }, { "linux-4.9", 15 }, { "linux-4.10", 15 }, { "linux-4.12", 0 }, { "linux-4.15", 0 },
		{ "linux-4.19", 0 }, { "linux-5.2", 0 }, { "linux-5.4", 0 }, { "linux-5.7", 0 }, { "linux-5.15", 0 },
		{ "linux-6.1.0", 0 }, { "linux-6.1", 0 }, { "linux-6.5", 0 }, { "linux-6.8", 0 }, { "linux-6.12", 0 },
	};

	for (size_t i = 0; i < COUNT(expected); i++)
		cr_expect_eq(pair_differences(expected[i].name), expected[i].differences, "%s", expected[i].name);
}

Test(linux_versions, enumeration_of_three_sockets)
{
	static const struct { const char *name; unsigned differences; } expected[] = {
		{ "linux-3.9", 1032 }, { "linux-4.10", 1032 }, { "linux-4.12", 417 }, { "linux-4.15", 96 }, { "linux-5.4", 96 },
		{ "linux-5.7", 0 }, { "linux-6.5", 0 }, { "linux-6.8", 0 },
	};
	unsigned played;

	for (size_t i = 0; i < COUNT(expected); i++) {
		cr_expect_eq(triple_differences(expected[i].name, &played), expected[i].differences, "%s", expected[i].name);
		cr_expect_eq(played, 14336);
	}
}

/* ---- what a port remembers ---- */

static const char *const eras[] = { "linux-3.6", "linux-3.9", "linux-4.10", "linux-4.12", "linux-4.15", "linux-5.15", "linux-6.1", "linux-6.8", "linux-6.18" };
#define ERAS COUNT(eras)

/* Two sockets; the first changes its option after its bind.  0 stands for a version without SO_REUSEPORT as well. */
static int changed(const char *profile, const char *second, uint32_t option, uint32_t before, uint32_t after)
{
	struct port port = port_of(profile);

	bind_at(&port, tcp("127.0.0.1", before));
	port.holders[0].options = after;
	return bind_at(&port, tcp(second, option));
}

/* Seed 001 tells fastreuse and fastreuseport as in 4.6 to 4.9: set by the first socket, kept while all have the
 * option, and asked before any socket is (net/ipv4/inet_connection_sock.c inet_csk_get_port(), 4.9). */
Test(linux_memory, seed_001_option_taken_back_after_the_bind)
{
	static const int reuseaddr[ERAS] = { OK, OK, OK, INUSE, OK, OK, OK, INUSE, INUSE };
	static const int wildcard[ERAS] = { INUSE, OK, OK, OK, OK, OK, OK, INUSE, INUSE };

	for (size_t i = 0; i < ERAS; i++) {
		cr_expect_eq(changed(eras[i], "127.0.0.1", R, R, 0), reuseaddr[i], "%s", eras[i]);
		cr_expect_eq(changed(eras[i], "127.0.0.1", R, 0, R), OK, "%s", eras[i]);
		if (i == 0)
			continue;
		cr_expect_eq(changed(eras[i], "127.0.0.1", RP, RP, 0), OK, "%s", eras[i]);
		cr_expect_eq(changed(eras[i], "0.0.0.0", RP, RP, 0), wildcard[i], "%s", eras[i]);
	}
}

Test(linux_memory, seed_001_a_socket_without_the_option_ends_it)
{
	struct port port = port_of("linux-4.9");

	cr_expect_eq(bind_at(&port, tcp("127.0.0.1", R)), OK);
	cr_expect_eq(bind_at(&port, tcp("127.0.0.2", 0)), OK);
	port.holders[0].options = 0;
	cr_expect_eq(bind_at(&port, tcp("127.0.0.1", R)), INUSE);
}

/* family->first() tells it without judging. */
Test(linux_memory, first_is_what_a_bind_alone_leaves)
{
	static const char *const addresses[] = { "0.0.0.0", "127.0.0.1", "::", "::1", "::ffff:0.0.0.0", "::ffff:127.0.0.1" };
	static const uint32_t options[] = { 0, R, RP, R | RP, V6ONLY, R | RP | V6ONLY };

	for (size_t i = 0; i < profile_count; i++)
		for (unsigned n = 0; n < 2 * COUNT(addresses) * COUNT(options); n++) {
			const char *address = addresses[n / 2 % COUNT(addresses)];
			struct holder claim = socket_at(n % 2 ? PROTOCOL_TCP : PROTOCOL_UDP, address, options[n / 2 / COUNT(addresses)]);
			struct judgement judgement;
			struct verdict verdict;

			if (profiles[i].family != &family_linux)
				continue;
			judge_begin(&judgement, &profiles[i], CALL_BIND, &claim, NULL);
			judge_end(&judgement, &verdict);
			cr_expect_eq(profiles[i].family->first(&profiles[i], &claim), verdict.memory == MEMORY_FORGET ? 0 : verdict.memory_flags,
				     "%s %s %#x", profiles[i].name, address, claim.options);
		}
}

/* family->listens() tells it without judging, whatever the port remembers. */
Test(linux_memory, listens_is_what_a_listen_alone_leaves)
{
	for (size_t i = 0; i < profile_count; i++)
		for (uint32_t flags = 0; flags < 32; flags++) {
			const struct profile *profile = &profiles[i];
			struct holder claim = tcp("127.0.0.1", flags % 2 ? R : 0), source = claim;
			struct memory memory = { .flags = flags, .source = &source };
			struct judgement judgement;
			struct verdict verdict;
			uint32_t after;

			if (profile->family != &family_linux || !profile->family->listens(profile, &after))
				continue;
			/* Where a port remembers anything, it does so since its first bind(). */
			if (after && !(flags & after))
				continue;
			if (profile->trait[trait_port_rule] == port_rule_linux_1_2 || flags & 16)
				continue;
			judge_begin(&judgement, profile, CALL_LISTEN, &claim, &memory);
			judge_end(&judgement, &verdict);
			cr_expect_eq(verdict.error, 0);
			cr_expect_eq(after, verdict.memory == MEMORY_FORGET ? 0 : verdict.memory == MEMORY_KEEP ? flags : verdict.memory_flags,
				     "%s %#x", profile->name, flags);
		}
}

/* The first word of each trait is the present Linux's: that is how a session knows that the host has its rules. */
Test(linux_versions, a_present_linux_has_all_defaults)
{
	const struct profile *present = profile_of("linux-6.18");

	for (size_t i = 0; i < TRAIT_COUNT; i++)
		cr_expect_eq(present->trait[i], 0u, "%s", trait_list[i].name);
}

/* listen() asks again, and ends what was remembered (all versions from 2.6.24 on). */
Test(linux_memory, listen_asks_again)
{
	for (size_t i = 0; i < ERAS; i++) {
		struct port port = port_of(eras[i]);

		cr_expect_eq(bind_at(&port, tcp("0.0.0.0", R)), OK);
		cr_expect_eq(bind_at(&port, tcp("0.0.0.0", R)), OK);
		cr_expect_eq(listen_at(&port, 0), OK);
		cr_expect_eq(listen_at(&port, 1), INUSE, "%s", eras[i]);
		cr_expect_eq(bind_at(&port, tcp("0.0.0.0", R)), INUSE, "%s", eras[i]);
	}
}

/* Measured on 3.9.6, 4.4.155, 4.9.154 and 4.10.17: listen() gets past by SO_REUSEPORT and leaves SO_REUSEADDR. */
Test(linux_memory, listener_with_both_options_lets_reuseaddr_bind)
{
	static const int expected[ERAS] = { INUSE, OK, OK, INUSE, INUSE, INUSE, INUSE, INUSE, INUSE };

	for (size_t i = 1; i < ERAS; i++) {
		struct port port = port_of(eras[i]);

		bind_at(&port, tcp("127.0.0.1", R | RP));
		cr_expect_eq(listen_at(&port, 0), OK);
		cr_expect_eq(bind_at(&port, of_user(tcp("127.0.0.1", R), 7)), expected[i], "%s", eras[i]);
		if (!expected[i])
			cr_expect_eq(listen_at(&port, 1), INUSE, "%s", eras[i]);
	}
}

/* net/ipv4/inet_connection_sock.c, 3.9 to 4.10: a socket let in unasked changes nothing. */
Test(linux_memory, let_in_unasked_past_one_without_the_option)
{
	static const uint32_t second[] = { R, RP }, third[] = { RP, R };

	for (unsigned i = 0; i < 2; i++) {
		struct port old = port_of("linux-3.9"), new = port_of("linux-5.15");

		for (unsigned n = 0; n < 2; n++) {
			cr_expect_eq(bind_at(&old, tcp("127.0.0.1", n ? second[i] : R | RP)), OK);
			cr_expect_eq(bind_at(&new, tcp("127.0.0.1", n ? second[i] : R | RP)), OK);
		}
		cr_expect_eq(bind_at(&old, tcp("127.0.0.1", third[i])), OK);
		cr_expect_eq(bind_at(&new, tcp("127.0.0.1", third[i])), INUSE);
	}
}

/* tools/testing/selftests/net/reuseaddr_conflict.c: the third bind must fail, and passed in 4.11 to 4.13. */
Test(linux_memory, reuseaddr_conflict)
{
	for (size_t i = 0; i < ERAS; i++) {
		struct port port = port_of(eras[i]);

		cr_expect_eq(bind_at(&port, tcp("127.0.0.1", R)), OK);
		cr_expect_eq(listen_at(&port, 0), OK);
		cr_expect_eq(bind_at(&port, tcp("::", R | V6ONLY)), OK);
		cr_expect_eq(bind_at(&port, tcp("0.0.0.0", R)), strcmp(eras[i], "linux-4.12") ? INUSE : OK, "%s", eras[i]);
	}
}

/* sk_reuseport_match(), 4.11 to 4.13: tb->fast_sk_family was never set, and a bind made the socket v6only when it was
 * over.  The first socket has changed its option, so that whoever is asked for an answer refuses. */
Test(linux_memory, stand_ins_of_ipv6_addresses)
{
	static const char *const systems[] = { "linux-4.10", "linux-4.12", "linux-4.15" };
	static const char *const next[] = { "::1", "::" };

	for (size_t i = 0; i < COUNT(systems) * COUNT(next) * 2; i++) {
		const char *system = systems[i % 3], *address = next[i / 3 % 2];
		uint32_t v6only = i / 6 ? V6ONLY : 0;
		struct port port = port_of(system);

		cr_expect_eq(bind_at(&port, tcp("::1", RP)), OK);
		port.holders[0].options &= ~RP;
		cr_expect_eq(bind_at(&port, tcp(address, RP | v6only)), v6only && i % 3 == 1 ? INUSE : OK, "%s %s %u", system, address, v6only);
	}
}

/* sk_reuseport_match(), 4.11 to 5.8: a wildcard is covered by the one address that is remembered. */
Test(linux_memory, wildcard_covered_by_one_address)
{
	static const int expected[ERAS] = { INUSE, INUSE, INUSE, OK, OK, INUSE, INUSE, INUSE, INUSE };

	for (size_t i = 1; i < ERAS; i++) {
		struct port port = port_of(eras[i]);

		cr_expect_eq(bind_at(&port, tcp("127.0.0.1", 0)), OK);
		cr_expect_eq(bind_at(&port, tcp("127.0.0.2", RP)), OK);
		cr_expect_eq(bind_at(&port, tcp("0.0.0.0", RP)), expected[i], "%s", eras[i]);
	}
}

/* SO_REUSEADDR ends, SO_REUSEPORT of the first address stays: inet_csk_update_fastreuse(), 5.15. */
Test(linux_memory, half_of_it_stays)
{
	struct port port = port_of("linux-5.15");

	bind_at(&port, tcp("127.0.0.2", 0));
	bind_at(&port, tcp("127.0.0.1", RP));
	port.holders[1].options = 0;
	cr_expect_eq(bind_at(&port, tcp("127.0.0.1", R | RP)), OK);
	cr_expect_eq(bind_at(&port, tcp("127.0.0.1", R)), INUSE);
	cr_expect_eq(bind_at(&port, tcp("127.0.0.1", RP)), OK);
	cr_expect_eq(bind_at(&port, of_user(tcp("127.0.0.1", RP), 1)), INUSE);
	cr_expect_eq(bind_at(&port, tcp("0.0.0.0", RP)), INUSE);
}

/* ---- which sockets a bind finds ---- */

static int meet(const char *profile, const char *first, uint32_t first_options, const char *second, uint32_t second_options)
{
	struct port port = port_of(profile);

	cr_assert_eq(bind_at(&port, tcp(first, first_options)), OK);
	return bind_at(&port, tcp(second, second_options));
}

/* Measured on 6.1.176 and 6.1.192, and right in the other order. */
Test(linux_lookup, mapped_wildcard_in_6_1)
{
	cr_expect_eq(meet("linux-6.1", "::ffff:0.0.0.0", 0, "::ffff:127.0.0.1", 0), OK);
	cr_expect_eq(meet("linux-6.1", "::ffff:127.0.0.1", 0, "::ffff:0.0.0.0", 0), INUSE);
	cr_expect_eq(meet("linux-6.1", "::ffff:0.0.0.0", 0, "127.0.0.1", 0), INUSE);
	cr_expect_eq(meet("linux-5.15", "::ffff:0.0.0.0", 0, "::ffff:127.0.0.1", 0), INUSE);
	cr_expect_eq(meet("linux-6.8", "::ffff:0.0.0.0", 0, "::ffff:127.0.0.1", 0), INUSE);
}

/* inet_bind2_bucket_addr_match(), measured on 6.1.176: the first socket of the list gives it its family, also after it left. */
Test(linux_lookup, mapped_wildcard_behind_another_in_6_1)
{
	static const char *const first[] = { "0.0.0.0", "::ffff:0.0.0.0" };

	for (unsigned i = 0; i < 2; i++) {
		struct port port = port_of("linux-6.1");

		bind_at(&port, tcp(first[i], R));
		bind_at(&port, tcp(first[!i], R));
		cr_expect_eq(bind_at(&port, tcp("::ffff:127.0.0.1", 0)), i ? OK : INUSE);
		port.holders[0] = port.holders[1];
		port.count = 1;
		cr_expect_eq(bind_at(&port, tcp("::ffff:127.0.0.2", 0)), i ? OK : INUSE);
	}
}

/* Measured on 6.8.1. */
Test(linux_lookup, v6only_wildcard_in_6_8)
{
	cr_expect_eq(meet("linux-6.8", "::", V6ONLY, "::ffff:127.0.0.1", 0), INUSE);
	cr_expect_eq(meet("linux-6.8", "::", V6ONLY | R, "::ffff:127.0.0.1", R), OK);
	cr_expect_eq(meet("linux-6.8", "::", V6ONLY, "127.0.0.1", 0), OK);
	cr_expect_eq(meet("linux-6.8", "::ffff:127.0.0.1", 0, "::", V6ONLY), OK);
	cr_expect_eq(meet("linux-6.12", "::", V6ONLY, "::ffff:127.0.0.1", 0), OK);
	cr_expect_eq(meet("linux-6.5", "::", V6ONLY, "::ffff:127.0.0.1", 0), OK);
}

/* net/ipv4/inet_connection_sock.c inet_bhash2_addr_any_conflict(), 6.5 and 6.8: the first list that fits, no other. */
Test(linux_lookup, one_wildcard_list_hides_the_other)
{
	static const struct { const char *name; int hidden, mapped; } expected[] = {
		{ "linux-5.15", INUSE, INUSE }, { "linux-6.1", INUSE, INUSE }, { "linux-6.5", OK, INUSE }, { "linux-6.8", OK, INUSE }, { "linux-6.12", INUSE, INUSE },
	};

	for (size_t i = 0; i < COUNT(expected); i++) {
		struct port port = port_of(expected[i].name), reverse = port_of(expected[i].name);

		bind_at(&port, tcp("0.0.0.0", 0));
		bind_at(&port, tcp("::", V6ONLY));
		cr_expect_eq(bind_at(&port, tcp("127.0.0.1", 0)), expected[i].hidden, "%s", expected[i].name);
		bind_at(&reverse, tcp("::", V6ONLY));
		bind_at(&reverse, tcp("0.0.0.0", 0));
		cr_expect_eq(bind_at(&reverse, tcp("127.0.0.1", 0)), INUSE, "%s", expected[i].name);
		cr_expect_eq(bind_at(&reverse, tcp("::ffff:127.0.0.1", 0)), expected[i].mapped, "%s", expected[i].name);
	}
}

/* A list stands where it was begun, whoever is left in it. */
Test(linux_lookup, a_list_outlives_its_first_socket)
{
	static const char *const names[] = { "linux-6.5", "linux-6.8" };

	for (size_t i = 0; i < COUNT(names); i++) {
		struct port port = port_of(names[i]);

		bind_at(&port, tcp("0.0.0.0", R));
		bind_at(&port, tcp("::", V6ONLY | R));
		bind_at(&port, tcp("0.0.0.0", R));
		port.holders[0] = port.holders[--port.count];
		cr_expect_eq(bind_at(&port, tcp("127.0.0.1", 0)), OK, "%s", names[i]);
		port.count = 0;
		bind_at(&port, tcp("::", V6ONLY | R));
		bind_at(&port, tcp("0.0.0.0", R));
		cr_expect_eq(bind_at(&port, tcp("127.0.0.1", 0)), INUSE, "%s", names[i]);
	}
}

/* tools/testing/selftests/net/bind_timewait.c: 6.1.0 had no TIME_WAIT in the lists by address. */
Test(linux_lookup, time_wait_in_6_1_0)
{
	static const char *const names[] = { "linux-6.1.0", "linux-6.5", "linux-6.1" };

	for (size_t i = 0; i < COUNT(names); i++) {
		struct port port = port_of(names[i]);

		port.holders[port.count++] = tcp("127.0.0.1", 0);
		port.holders[0].state = STATE_TIME_WAIT;
		cr_expect_str_eq(rule_at(&port, tcp("0.0.0.0", 0)), "conflict/time-wait", "%s", names[i]);
		cr_expect_str_eq(rule_at(&port, tcp("127.0.0.1", 0)), i ? "conflict/time-wait" : "ok/not-found", "%s", names[i]);
	}
}

/* tools/testing/selftests/net/bind_wildcard.c; containers/podman issue 17719. */
Test(linux_lookup, dual_stack_wildcard_in_6_1_0)
{
	cr_expect_eq(meet("linux-6.1.0", "::", 0, "127.0.0.1", 0), OK);
	cr_expect_eq(meet("linux-6.1.0", "127.0.0.1", 0, "::", 0), INUSE);
	cr_expect_eq(meet("linux-6.1.0", "::", 0, "0.0.0.0", 0), INUSE);
	cr_expect_eq(meet("linux-6.1.0", "::", 0, "::1", 0), INUSE);
	cr_expect_eq(meet("linux-6.5", "::", 0, "127.0.0.1", 0), INUSE);
}

/* inet_bind2_bucket_match(), 6.1.0 to 6.5: an IPv4 socket does not find an IPv6 one with its address. */
Test(linux_lookup, mapped_address_until_6_5)
{
	cr_expect_eq(meet("linux-6.1.0", "::ffff:127.0.0.1", 0, "127.0.0.1", 0), OK);
	cr_expect_eq(meet("linux-6.5", "::ffff:127.0.0.1", 0, "127.0.0.1", 0), OK);
	cr_expect_eq(meet("linux-6.5", "127.0.0.1", 0, "::ffff:127.0.0.1", 0), INUSE);
	cr_expect_eq(meet("linux-6.1", "::ffff:127.0.0.1", 0, "127.0.0.1", 0), INUSE);
	cr_expect_eq(meet("linux-6.8", "::ffff:127.0.0.1", 0, "127.0.0.1", 0), INUSE);
}

/* net/ipv6/addrconf.c ipv6_rcv_saddr_equal() and net/ipv4/inet_connection_sock.c inet_csk_bind_conflict(), 2.6.24. */
Test(linux_lookup, ipv6_in_2_6_24)
{
	cr_expect_eq(meet("linux-2.6.24", "::1", 0, "0.0.0.0", 0), INUSE);
	cr_expect_eq(meet("linux-2.6.24", "0.0.0.0", 0, "::1", 0), INUSE);
	cr_expect_eq(meet("linux-2.6.24", "::1", V6ONLY, "0.0.0.0", 0), OK);
	cr_expect_eq(meet("linux-2.6.24", "0.0.0.0", 0, "::1", V6ONLY), OK);
	cr_expect_eq(meet("linux-2.6.24", "127.0.0.1", 0, "::1", 0), OK);
	cr_expect_eq(meet("linux-2.6.24", "127.0.0.1", 0, "::ffff:127.0.0.1", 0), INUSE);
	cr_expect_eq(meet("linux-2.6.24", "::", V6ONLY, "::ffff:127.0.0.1", 0), INUSE);
	cr_expect_eq(meet("linux-2.6.32", "::1", 0, "0.0.0.0", 0), OK);
	cr_expect_eq(meet("linux-2.6.32", "0.0.0.0", 0, "::1", 0), OK);
}

/* net/core/sock.c sock_i_uid(): a child without a file counts as root's; 6.18 keeps the creator's. */
Test(linux_users, child_that_nobody_accepted)
{
	static const char *const names[] = { "linux-6.8", "linux-6.18" };

	for (unsigned i = 0; i < 2; i++) {
		struct port port = port_of(names[i]);

		port.holders[0] = of_user(tcp("127.0.0.1", RP | OPTION_CHILD | OPTION_ORPHAN), 7);
		port.holders[0].state = STATE_CONNECTED;
		port.count = 1;
		cr_expect_str_eq(rule_at(&port, of_user(tcp("127.0.0.1", RP), 7)), i ? "ok/reuseport" : "conflict/other-user");
		port.memory = (struct memory){ 0, NULL };
		cr_expect_str_eq(rule_at(&port, of_user(tcp("127.0.0.1", RP), 0)), i ? "conflict/other-user" : "ok/reuseport");
	}
}

/* ---- UDP ---- */

/* udp_lib_lport_inuse(): all are asked in 3.9 to 4.10, the first overlapping one in 4.12 and later (measured: 6.18). */
Test(linux_udp, who_is_asked)
{
	static const char *const names[] = { "linux-4.10", "linux-4.12" };

	for (unsigned i = 0; i < 2; i++) {
		struct port port = port_of(names[i]), reverse = port;

		bind_at(&port, udp("127.0.0.1", 0));
		bind_at(&port, udp("127.0.0.2", RP));
		cr_expect_eq(bind_at(&port, udp("0.0.0.0", RP)), i ? OK : INUSE, "%s", names[i]);
		bind_at(&reverse, udp("127.0.0.2", RP));
		bind_at(&reverse, udp("127.0.0.1", 0));
		cr_expect_eq(bind_at(&reverse, udp("0.0.0.0", RP)), INUSE, "%s", names[i]);
	}
}

/* udp_lib_get_port(), 3.6 to 6.8: with more than ten sockets a wildcard asks wildcards only.  Measured: 6.1.176 and
 * 6.18 ask all. */
Test(linux_udp, crowded_port)
{
	static const struct { const char *name; int expected; } cases[] = {
		{ "linux-2.6.32", INUSE }, { "linux-3.6", OK }, { "linux-4.10", OK }, { "linux-5.15", OK }, { "linux-6.1", INUSE }, { "linux-6.8", OK }, { "linux-6.18", INUSE },
	};
	char address[16];

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct port port = port_of(cases[i].name);

		for (int n = 1; n <= 11; n++) {
			snprintf(address, sizeof address, "127.0.0.%d", n);
			cr_assert_eq(bind_at(&port, udp(address, 0)), OK);
			cr_expect(n > 10 || judge(&port, CALL_BIND, &(struct holder){ .protocol = PROTOCOL_UDP, .domain = AF_INET, .port = PORT }, NULL).error);
		}
		cr_expect_eq(bind_at(&port, udp("0.0.0.0", 0)), cases[i].expected, "%s", cases[i].name);
		cr_expect_eq(bind_at(&port, udp("0.0.0.0", 0)), INUSE, "%s", cases[i].name);
		cr_expect_eq(bind_at(&port, udp("127.0.0.1", 0)), INUSE, "%s", cases[i].name);
	}
}

/* ---- 1.2.13 ---- */

/* net/inet/af_inet.c inet_bind(), 1.2.13: port-wide without SO_REUSEADDR, one address with it.  TCP and UDP alike. */
Test(linux_1_2, port_wide)
{
	struct port port = port_of("linux-1.2.13"), datagrams = port;

	bind_at(&port, tcp("127.0.0.1", 0));
	cr_expect_str_eq(rule_at(&port, tcp("127.0.0.2", 0)), "conflict/port-used");
	cr_expect_str_eq(rule_at(&port, tcp("127.0.0.1", R)), "conflict/same-address");
	cr_expect_str_eq(rule_at(&port, tcp("0.0.0.0", R)), "ok/reuseaddr");
	port.holders[0].options = R;
	cr_expect_str_eq(rule_at(&port, tcp("127.0.0.1", R)), "ok/reuseaddr");
	port.holders[0].state = STATE_LISTENING;
	cr_expect_str_eq(rule_at(&port, tcp("127.0.0.1", R)), "conflict/same-address-listens");
	cr_expect_str_eq(rule_at(&port, tcp("127.0.0.2", R)), "ok/reuseaddr");
	cr_expect_eq(judge(&port, CALL_BIND, &(struct holder){ .domain = AF_INET, .port = PORT + 1 }, NULL).error, OK);
	bind_at(&datagrams, udp("127.0.0.1", 0));
	cr_expect_eq(bind_at(&datagrams, udp("127.0.0.2", 0)), INUSE);
	cr_expect_eq(bind_at(&datagrams, udp("0.0.0.0", R)), OK);
}

/* The address is stored before the port is looked for. */
Test(linux_1_2, refused_bind_leaves_the_address)
{
	struct port port = port_of("linux-1.2.13");
	struct holder claim = tcp("127.0.0.2", 0);

	bind_at(&port, tcp("127.0.0.1", 0));
	cr_expect_eq(judge(&port, CALL_BIND, &claim, NULL).flags, VERDICT_NAMES);
}

static struct verdict ask(const char *profile, struct question question, const struct sockaddr_in *address, struct sockaddr_storage *to)
{
	struct verdict verdict = { .error = 0 };
	uint32_t length = 0;

	question.profile = profile_find(profile);
	question.alone = true;
	question.address = (const uint8_t *)address;
	if (!question.length)
		question.length = sizeof *address;
	question.profile->family->before(&question, &verdict, to, &length);
	return verdict;
}

static struct sockaddr_in address_of(const char *text, uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };

	cr_assert_eq(inet_pton(AF_INET, text, &address.sin_addr), 1);
	return address;
}

Test(linux_1_2, arguments)
{
	const struct question bind4 = { .call = CALL_BIND, .domain = AF_INET, .uid = 7 };
	struct question q = bind4;
	struct sockaddr_in far = address_of("203.0.113.7", 80), all = address_of("255.255.255.255", 8080), own = address_of("127.0.0.1", 8080);
	struct sockaddr_storage to;

	cr_expect_eq(ask("linux-1.2.13", q, &far, &to).error, EACCES, "the port is looked at before the address");
	cr_expect_eq(ask("linux-6.18", q, &far, &to).error, EADDRNOTAVAIL);
	cr_expect_eq(ask("linux-1.2.13", q, &all, &to).error, EADDRNOTAVAIL);
	cr_expect_eq(ask("linux-6.18", q, &all, &to).error, OK);
	q.state = STATE_BOUND;
	cr_expect_eq(ask("linux-1.2.13", q, &own, &to).error, EINVAL);
	q.state = STATE_CONNECTED;
	cr_expect_eq(ask("linux-1.2.13", q, &own, &to).error, EIO);
	cr_expect_eq(ask("linux-6.18", q, &own, &to).error, EINVAL);
	q.length = 8;
	cr_expect_eq(ask("linux-1.2.13", q, &own, &to).error, EIO, "the state is looked at before the length");
	q = bind4;
	own.sin_family = AF_INET6;
	cr_expect_eq(ask("linux-1.2.13", q, &own, &to).error, OK);
	cr_expect_eq(((struct sockaddr_in *)&to)->sin_family, AF_INET);
	q = (struct question){ .call = CALL_SOCKET, .domain = AF_INET6 };
	cr_expect_eq(ask("linux-1.2.13", q, &own, &to).error, EINVAL);
}

Test(linux_1_2, listen_never_asks)
{
	struct port port = port_of("linux-1.2.13");
	struct question q = { .call = CALL_LISTEN, .domain = AF_INET, .protocol = PROTOCOL_UDP, .state = STATE_BOUND };
	struct sockaddr_in address = address_of("0.0.0.0", 0);
	struct sockaddr_storage to;

	bind_at(&port, tcp("127.0.0.1", R));
	bind_at(&port, tcp("127.0.0.1", R));
	cr_expect_eq(listen_at(&port, 0), OK);
	cr_expect_eq(listen_at(&port, 1), OK);
	cr_expect_eq(ask("linux-1.2.13", q, &address, &to).error, OK);
	cr_expect_eq(ask("linux-1.2.13", q, &address, &to).flags, VERDICT_LISTENS);
	cr_expect_eq(ask("linux-6.18", q, &address, &to).error, EOPNOTSUPP);
}

/* Seed 002, the "BSD hack" of tcp_rcv() (net/inet/tcp.c, 1.2.13).  Against what its heading says, SO_REUSEADDR is not asked. */
Test(linux_1_2, seed_002_time_wait_and_a_new_syn)
{
	const struct linux_1_2_segment syn = { true, true, false, true, 1001, 1000, 5000 };
	struct linux_1_2_segment s = syn;
	uint32_t first = 0;

	cr_expect_eq(linux_1_2_time_wait(&s, &first), FATE_REBORN);
	cr_expect_eq(first, 133000);
	s.listens = false;
	cr_expect_eq(linux_1_2_time_wait(&s, &first), FATE_DROPPED);
	s = syn, s.sequence = 1000;
	cr_expect_eq(linux_1_2_time_wait(&s, &first), FATE_CHECKED, "no newer than what was received");
	s = syn, s.sequence = 5, s.received = 0xfffffff0;
	cr_expect_eq(linux_1_2_time_wait(&s, &first), FATE_REBORN, "sequence numbers wrap");
	s = syn, s.rst = true;
	cr_expect_eq(linux_1_2_time_wait(&s, &first), FATE_CHECKED);
	s = syn, s.syn = false;
	cr_expect_eq(linux_1_2_time_wait(&s, &first), FATE_CHECKED);
	s = syn, s.closed = false;
	cr_expect_eq(linux_1_2_time_wait(&s, &first), FATE_CHECKED, "the program has not closed it");
}

/* ---- arguments and options of other versions ---- */

Test(linux_arguments, address_of_another_family)
{
	const struct question q = { .call = CALL_BIND, .domain = AF_INET };
	struct sockaddr_in six = address_of("127.0.0.1", 8080), none = address_of("0.0.0.0", 8080);
	struct sockaddr_storage to;

	six.sin_family = AF_INET6;
	none.sin_family = AF_UNSPEC;
	cr_expect_eq(ask("linux-2.6.24", q, &six, &to).error, OK);
	cr_expect_eq(ask("linux-2.6.32", q, &six, &to).error, EINVAL);
	cr_expect_eq(ask("linux-2.6.32", q, &none, &to).error, EINVAL);
	cr_expect_eq(ask("linux-3.6", q, &six, &to).error, EAFNOSUPPORT);
	cr_expect_eq(ask("linux-3.6", q, &none, &to).error, OK);
}

/* Seed 003: inet_bind() of 3.6 looks at length, family, address, privilege and state, in this order. */
Test(linux_arguments, seed_003_order_of_bind)
{
	struct question q = { .call = CALL_BIND, .domain = AF_INET, .uid = 7, .state = STATE_BOUND, .length = 15 };
	struct sockaddr_in address = address_of("203.0.113.7", 80);
	struct sockaddr_storage to;

	cr_expect_eq(ask("linux-3.6", q, &address, &to).error, EINVAL);
	q.length = 16;
	address.sin_family = AF_INET6;
	cr_expect_eq(ask("linux-3.6", q, &address, &to).error, EAFNOSUPPORT);
	address = address_of("203.0.113.7", 8080);
	cr_expect_eq(ask("linux-3.6", q, &address, &to).error, EADDRNOTAVAIL);
	address = address_of("127.0.0.1", 80);
	cr_expect_eq(ask("linux-3.6", q, &address, &to).error, EACCES);
	address = address_of("127.0.0.1", 8080);
	cr_expect_eq(ask("linux-3.6", q, &address, &to).error, EINVAL);
}

static int option_error(const char *profile, enum call call, int name)
{
	struct option_question question = { .call = call, .profile = profile_find(profile), .domain = AF_INET, .level = SOL_SOCKET, .name = name, .length = 4 };
	struct option_answer answer;

	question.profile->family->option(&question, &answer);
	return answer.passes ? 0 : answer.error;
}

Test(linux_arguments, options_of_later_versions)
{
	static const enum call calls[] = { CALL_SETSOCKOPT, CALL_GETSOCKOPT };

	for (unsigned i = 0; i < 2; i++) {
		cr_expect_eq(option_error("linux-1.2.13", calls[i], SO_REUSEPORT), ENOPROTOOPT);
		cr_expect_eq(option_error("linux-3.6", calls[i], SO_REUSEPORT), ENOPROTOOPT);
		cr_expect_eq(option_error("linux-3.6", calls[i], SO_REUSEADDR), 0);
		cr_expect_eq(option_error("linux-3.9", calls[i], SO_REUSEPORT), 0);
	}
	cr_expect_eq(option_error("linux-4.4", CALL_SETSOCKOPT, SO_ATTACH_REUSEPORT_CBPF), ENOPROTOOPT);
	cr_expect_eq(option_error("linux-4.9", CALL_SETSOCKOPT, SO_ATTACH_REUSEPORT_CBPF), 0);
}

/* ---- automatic ports ---- */

/* Seed 003, inet_csk_get_port() of 3.6: relax, smallest_size and attempts. */
Test(linux_ports, seed_003_choice_of_3_6)
{
	static const uint32_t at_0[6], random[6] = { 0, 0, 2, 0, 0, 0 };
	struct linux_3_6_port ports[4] = { { 1, true, true, false }, { 0, false, false, false }, { 1, true, true, false }, { 3, true, true, false } };

	cr_expect_eq(linux_3_6_choose_port(ports, 4, true, at_0), 1, "a port that nobody has");
	ports[1] = (struct linux_3_6_port){ 1, false, false, false };
	cr_expect_eq(linux_3_6_choose_port(ports, 4, false, at_0), 1, "owners that do not overlap");
	ports[1] = (struct linux_3_6_port){ 2, true, true, false };
	cr_expect_eq(linux_3_6_choose_port(ports, 4, true, at_0), 0, "the fewest owners, when all ports are taken");
	cr_expect_eq(linux_3_6_choose_port(ports, 4, false, at_0), -1, "not without SO_REUSEADDR");
	ports[0].conflicts = true;
	cr_expect_eq(linux_3_6_choose_port(ports, 4, true, at_0), -1, "the same port every time");
	cr_expect_eq(linux_3_6_choose_port(ports, 4, true, random), 2, "an attempt that starts elsewhere");
	ports[2].fastreuse = false;
	cr_expect_eq(linux_3_6_choose_port(ports, 4, true, random), -1);
}

static uint16_t port_number(const char *profile, enum call call, uint32_t options, uint32_t start, uint32_t attempt)
{
	struct holder claim = tcp("127.0.0.1", options);

	return linux_port(profile_find(profile), call, &claim, start, attempt);
}

Test(linux_ports, order)
{
	cr_expect_eq(port_number("linux-1.2.13", CALL_BIND, 0, 0, 0), 1026);
	cr_expect_eq(port_number("linux-1.2.13", CALL_BIND, 0, 0, 1), 1027);
	cr_expect_eq(port_number("linux-3.9", CALL_BIND, 0, 28232, 0), 61000);
	cr_expect_eq(port_number("linux-3.9", CALL_BIND, 0, 28232, 1), 32768);
	for (uint32_t start = 0; start < 99; start++) {
		cr_expect_lt(port_number("linux-4.4", CALL_BIND, R, start * 997, 0), 32768 + 14116);
		cr_expect_eq(port_number("linux-4.9", CALL_BIND, 0, start, 0) % 2, 1);
		cr_expect_eq(port_number("linux-4.9", CALL_CONNECT, 0, start, 0) % 2, 0);
	}
}

/* Each port of the range once. */
Test(linux_ports, every_port_once)
{
	static const char *const names[] = { "linux-3.9", "linux-4.4", "linux-4.9" };
	static bool seen[65536];

	for (unsigned n = 0; n < 6; n++) {
		uint32_t count = 0;
		uint16_t port;

		memset(seen, 0, sizeof seen);
		for (uint32_t i = 0; (port = port_number(names[n / 2], CALL_BIND, n % 2, 12345, i)); i++) {
			cr_assert_not(seen[port], "%s %u", names[n / 2], port);
			seen[port] = true;
			count++;
		}
		cr_expect_eq(count, n / 2 ? 28232 : 28233, "%s", names[n / 2]);
	}
}

/* ---- how the host is treated ---- */

Test(linux_versions, host)
{
	static const struct { const char *name; bool beyond, stricter; } expected[] = {
		{ "linux-1.2.13", true, true }, { "linux-2.6.24", true, true }, { "linux-2.6.32", true, false }, { "linux-5.15", true, false },
		{ "linux-6.8", true, true }, { "linux-6.12", false, false }, { "linux", false, false },
	};

	for (size_t i = 0; i < COUNT(expected); i++) {
		const uint32_t *trait = profile_find(expected[i].name)->trait;

		cr_expect_eq(trait[trait_beyond_host] == beyond_host_yes, expected[i].beyond, "%s", expected[i].name);
		cr_expect_eq(trait[trait_stricter_than_host] == stricter_than_host_yes, expected[i].stricter, "%s", expected[i].name);
	}
}

Test(linux_versions, names)
{
	static const char *const names[] = {
		"linux-1.2.13", "linux-2.6.24", "linux-2.6.32.69", "linux-3.6.0", "linux-3.9.6", "linux-4.4.155", "linux-4.9.154", "linux-4.10.17",
		"linux-4.12.0", "linux-4.15", "linux-4.19.0", "linux-5.2.1", "linux-5.4", "linux-5.7.14", "linux-5.15.100", "linux-6.1.0",
		"linux-6.1.176", "linux-6.5", "linux-6.8.1", "linux-6.12.117", "linux-6.18", "linux",
	};

	for (size_t i = 0; i < COUNT(names); i++)
		cr_expect_not_null(profile_find(names[i]), "%s", names[i]);
}

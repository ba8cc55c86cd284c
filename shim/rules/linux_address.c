/* SPDX-License-Identifier: MIT */
/*
 * Which addresses overlap, and which sockets a TCP bind goes through to find out.  Up to 6.0 it went through all
 * sockets of the port.  Since 6.1 a bind to one address looks up the lists of that address and of the wildcards, and
 * each version up to 6.8 missed some (net/ipv4/inet_hashtables.c inet_bind2_bucket_match_addr_any(),
 * inet_bind2_bucket_addr_match(), inet_connection_sock.c inet_use_bhash2_on_bind(), inet_bhash2_addr_any_conflict()).
 */
#include "linux.h"

#include <netinet/in.h>
#include <string.h>

bool linux_is_mapped(const struct holder *holder)
{
	static const uint8_t prefix[12] = { [10] = 0xff, 0xff };

	return holder->domain == AF_INET || !memcmp(holder->address, prefix, sizeof prefix);
}

/* sk_rcv_saddr, which an IPv6 socket has too: its own IPv4 part, or LOOPBACK4_IPV6 (net/ipv6/af_inet6.c,
 * include/net/ipv6.h, 2.6.24 to 6.18) */
static uint32_t address4(const struct holder *holder)
{
	uint32_t address;

	if (holder->domain == AF_INET6 && address_is_any(holder))
		return 0;
	if (!linux_is_mapped(holder))
		return htonl(0x7f000006);
	memcpy(&address, holder->address + (holder->domain == AF_INET ? 0 : 12), 4);
	return address;
}

bool linux_is_specific(const struct holder *holder)
{
	return address4(holder);
}

/* A bind to one IPv6 address makes the socket v6only (net/ipv6/af_inet6.c __inet6_bind(), 6.18).  The
 * children of a wildcard listener have one address as well, and keep the listener's option. */
static bool is_v6only(const struct holder *holder)
{
	if (holder->domain == AF_INET)
		return false;
	if (has(holder, OPTION_V6ONLY))
		return true;
	return holder->state < STATE_CONNECTED && !linux_is_mapped(holder) && !address_is_any(holder);
}

bool linux_addresses_meet(const struct holder *a, const struct holder *b, bool wild)
{
	bool any_a = address_is_any(a), any_b = address_is_any(b);

	if (a->domain == AF_INET || (linux_is_mapped(a) && linux_is_mapped(b))) {
		uint32_t a4 = address4(a), b4 = address4(b);

		return !is_v6only(b) && (a4 == b4 || !a4 || (wild && !b4));
	}
	if (any_b && b->domain == AF_INET6 && (wild || any_a) && !(is_v6only(b) && linux_is_mapped(a)))
		return true;
	if (any_a && !(is_v6only(a) && linux_is_mapped(b)))
		return true;
	return b->domain == AF_INET6 && !memcmp(a->address, b->address, 16);
}

bool linux_stand_ins_meet(const struct holder *a, const struct holder *b)
{
	uint32_t a4 = address4(a), b4 = address4(b);

	return !has(b, OPTION_V6ONLY) && (!a4 || !b4 || a4 == b4);
}

/* inet_csk_bind_conflict() and net/ipv6/addrconf.c ipv6_rcv_saddr_equal(), 2.6.24.  A bind does not make a socket
 * v6only there, so the IPv4 stand-in of an IPv6 address counts. */
static bool addresses_met_2_6_24(const struct holder *a, const struct holder *b)
{
	bool equal4 = linux_stand_ins_meet(a, b);

	if (a->domain == AF_INET)
		return equal4;
	if (!address4(b) && !has(a, OPTION_V6ONLY))
		return true;
	if (b->domain == AF_INET6 && address_is_any(b) && !(has(b, OPTION_V6ONLY) && linux_is_mapped(a)))
		return true;
	if (address_is_any(a) && !(has(a, OPTION_V6ONLY) && linux_is_mapped(b)))
		return true;
	if (b->domain == AF_INET6 && !memcmp(a->address, b->address, 16))
		return true;
	return linux_is_mapped(a) && equal4;
}

static bool same_device(const struct holder *claim, const struct holder *other)
{
	return !claim->ifindex || !other->ifindex || claim->ifindex == other->ifindex;
}

bool linux_overlaps(const struct holder *claim, const struct holder *other)
{
	return same_device(claim, other) && linux_addresses_meet(claim, other, true);
}

bool linux_overlaps_as(const struct profile *profile, const struct holder *claim, const struct holder *other)
{
	if (profile->trait[trait_ipv6_rules] == ipv6_rules_linux_2_6_24)
		return same_device(claim, other) && addresses_met_2_6_24(claim, other);
	return linux_overlaps(claim, other);
}

/* ---- lookup by address ---- */

static bool is_any6(const struct holder *holder)
{
	return holder->domain == AF_INET6 && address_is_any(holder);
}

/* IPv4 sockets see IPv4 sockets, IPv6 ones IPv6 ones; TIME_WAIT was in no list (6.1.0). */
static bool is_found_6_1_0(const struct holder *claim, const struct holder *holder)
{
	return claim->domain == holder->domain && holder->state != STATE_TIME_WAIT;
}

/* IPv4 sockets see ::, but no IPv4 address of an IPv6 socket (6.5). */
static bool is_found_6_5(const struct holder *claim, const struct holder *holder)
{
	return claim->domain == holder->domain || (claim->domain == AF_INET && is_any6(holder));
}

/* 127.0.0.6 does not meet the IPv6 sockets it stands for. */
static bool is_found(const struct holder *claim, const struct holder *holder)
{
	return !linux_is_specific(holder) || linux_is_mapped(claim) == linux_is_mapped(holder);
}

/* The first wildcard list that fits was the only one gone through (6.5, 6.8). */
static enum linux_list first_list(const struct holder *claim, const struct holder *holder)
{
	if (linux_is_specific(holder) || !linux_is_mapped(claim))
		return LIST_OWN;
	return is_any6(holder) ? LIST_ANY6 : LIST_ANY4;
}

bool linux_is_any4(const struct holder *holder)
{
	return !linux_is_specific(holder) && !is_any6(holder);
}

/* 0.0.0.0 and ::ffff:0.0.0.0 share a list, which has the family of the socket that began it; a mapped address does
 * not find it if that is IPv6 (6.1.176). */
static bool is_hidden_6_1(const struct judgement *judgement, const struct holder *holder)
{
	return judgement->claim.domain == AF_INET6 && linux_is_any4(holder) && linux_remembers_list(judgement);
}

enum linux_list linux_lookup(const struct judgement *judgement, const struct holder *holder)
{
	const struct holder *claim = &judgement->claim;
	uint32_t lookup = judgement->profile->trait[trait_address_lookup];
	bool mapped6 = claim->domain == AF_INET6 && linux_is_mapped(claim);

	if (lookup == address_lookup_all_sockets || !linux_is_specific(claim))
		return LIST_OWN;
	switch (lookup) {
	case address_lookup_linux_6_1_0:
		return mapped6 || is_found_6_1_0(claim, holder) ? LIST_OWN : LIST_NONE;
	case address_lookup_linux_6_5:
		if (mapped6)
			return LIST_OWN;
		return is_found_6_5(claim, holder) ? first_list(claim, holder) : LIST_NONE;
	case address_lookup_linux_6_1:
		return is_found(claim, holder) && !is_hidden_6_1(judgement, holder) ? LIST_OWN : LIST_NONE;
	case address_lookup_linux_6_8:
		return is_found(claim, holder) ? first_list(claim, holder) : LIST_NONE;
	default:
		return is_found(claim, holder) ? LIST_OWN : LIST_NONE;
	}
}

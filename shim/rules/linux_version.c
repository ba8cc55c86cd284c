/* SPDX-License-Identifier: MIT */
/* What a version says of bind()'s arguments that newer ones do not, and options it does not have yet. */
#include "linux.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

static const struct rule address_family = { "address/family", "the address is of another family than the socket", NULL,
	FOR_PEOPLE("net/ipv4/af_inet.c inet_bind(), net/ipv6/af_inet6.c inet6_bind(), 2.6.32.69") };
static const struct rule address_mapped = { "address/mapped", "that IPv4 address is none of a single interface",
	"it were bound by an IPv4 socket", FOR_PEOPLE("net/ipv6/af_inet6.c inet6_bind(), 2.6.24") };
static const struct rule address_multicast = { "address/multicast", "a TCP socket binds no IPv6 multicast address", NULL,
	FOR_PEOPLE("net/ipv6/af_inet6.c inet6_bind(), 2.6.24 and 6.18") };
static const struct rule bind_privileged = { "bind/privileged", "ports below 1024 are for root", "the port were 1024 or higher",
	FOR_PEOPLE("net/ipv4/af_inet.c inet_bind(), net/ipv6/af_inet6.c inet6_bind(), before 4.11") };
static const struct rule option_later = { "option/later", "this version does not have that option yet", NULL,
	FOR_PEOPLE("net/core/sock.c sock_setsockopt(): SO_REUSEPORT since 3.9, SO_ATTACH_REUSEPORT_* since 4.5") };

/* With a length that is too short nothing else is looked at. */
static bool is_short(const struct question *question)
{
	return question->length < (question->domain == AF_INET ? sizeof(struct sockaddr_in) : 24 /* SIN6_LEN_RFC2133 */);
}

static bool is_of_family(const struct question *question)
{
	sa_family_t family;

	memcpy(&family, question->address, sizeof family);
	return family == question->domain;
}

/* 2.6.24 wants a local address in the strict sense: RTN_LOCAL. */
static bool is_mapped_oddity(const struct question *question)
{
	static const uint8_t prefix[12] = { [10] = 0xff, 0xff };
	const uint8_t *address = question->address + 8, *part = address + 12;

	if (question->domain != AF_INET6 || memcmp(address, prefix, sizeof prefix))
		return false;
	return part[0] == 0 || part[0] >= 224;
}

static bool is_privileged(const struct question *question)
{
	uint32_t port = (uint32_t)question->address[2] << 8 | question->address[3];

	return port && port < 1024 && question->uid;
}

/* The bytes are read as an address of the socket's family, whatever they say they are. */
static void read_anyway(const struct question *question, struct sockaddr_storage *to, uint32_t *to_length)
{
	sa_family_t family = question->domain;
	uint32_t room = question->domain == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);

	*to_length = question->length < room ? question->length : room;
	memset(to, 0, sizeof *to);
	memcpy(to, question->address, *to_length);
	memcpy(to, &family, sizeof family);
}

/* Only the host knows whether an IPv4 address is local, which comes before privilege; of an IPv6 one it comes after. */
static bool bind_own_family(const struct question *question, struct verdict *verdict)
{
	const uint32_t *trait = question->profile->trait;
	bool ipv4 = question->domain == AF_INET;

	if (!ipv4 && question->protocol == PROTOCOL_TCP && question->address[8] == 0xff)
		return linux_answer(verdict, EINVAL, &address_multicast);
	verdict->flags = ipv4 ? VERDICT_LOCAL : 0;
	if (is_privileged(question) && !(ipv4 && IS_ALONE(question)) && trait[trait_low_port] == low_port_capability)
		return linux_answer(verdict, EACCES, &bind_privileged);
	if (question->state == STATE_UNBOUND && is_mapped_oddity(question) && trait[trait_ipv6_rules] == ipv6_rules_linux_2_6_24)
		return linux_answer(verdict, EADDRNOTAVAIL, &address_mapped);
	return false;
}

bool linux_before_version(const struct question *question, struct verdict *verdict, struct sockaddr_storage *to, uint32_t *to_length)
{
	uint32_t foreign = question->profile->trait[trait_foreign_family];

	if (question->call != CALL_BIND || is_short(question))
		return false;
	if (is_of_family(question) || foreign == foreign_family_unread) {
		if (!is_of_family(question))
			read_anyway(question, to, to_length);
		return bind_own_family(question, verdict);
	}
	return foreign == foreign_family_einval && linux_answer(verdict, EINVAL, &address_family);
}

static bool is_unknown(const struct option_question *question)
{
	const uint32_t *trait = question->profile->trait;

	if (question->level != SOL_SOCKET)
		return false;
	if (question->name == SO_REUSEPORT)
		return trait[trait_so_reuseport] == so_reuseport_unknown;
	if (question->name == SO_ATTACH_REUSEPORT_CBPF || question->name == SO_ATTACH_REUSEPORT_EBPF)
		return trait[trait_reuseport_program] == reuseport_program_unknown;
	return false;
}

bool linux_option_version(const struct option_question *question, struct option_answer *answer)
{
	if (!is_unknown(question))
		return false;
	linux_option_error(answer, ENOPROTOOPT, &option_later);
	return true;
}

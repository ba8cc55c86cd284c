/* SPDX-License-Identifier: MIT */
#include "family.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

static const uint8_t zero[16];
static const uint8_t mapped_prefix[12] = { [10] = 0xff, [11] = 0xff };

/* ---- answers ---- */

bool verdict_final(struct verdict *verdict, int error, const struct rule *rule)
{
	verdict->error = error;
	verdict->rule = rule;
	return true;
}

/* judgement.decider is the errno. */
void judgement_refuse(struct judgement *judgement, const struct holder *holder, int error, const struct rule *rule)
{
	if (judgement->refused && judgement->blame.order <= holder->order)
		return;
	judgement->refused = true;
	judgement->blame = *holder;
	judgement->decider = (uint64_t)error;
	judgement->rule = rule;
}

void judgement_close(const struct judgement *judgement, struct verdict *verdict, const struct rule *ok)
{
	if (!judgement->refused) {
		verdict->rule = ok;
		return;
	}
	verdict->error = (int)judgement->decider;
	verdict->rule = judgement->rule;
	verdict->blamed = true;
	verdict->holder = judgement->blame;
}

/* ---- holders and claims ---- */

static bool is_mapped(const struct holder *holder)
{
	return holder->domain == AF_INET6 && !memcmp(holder->address, mapped_prefix, sizeof mapped_prefix);
}

static const uint8_t *ipv4_of(const struct holder *holder)
{
	return holder->address + (holder->domain == AF_INET ? 0 : 12);
}

bool holder_is_ipv4(const struct holder *holder)
{
	return holder->domain == AF_INET || is_mapped(holder);
}

bool holder_is_dual(const struct holder *holder)
{
	return holder->domain == AF_INET6 && address_is_any(holder) && !(holder->options & OPTION_V6ONLY);
}

bool holder_is_wild(const struct holder *holder)
{
	return holder_is_ipv4(holder) ? !memcmp(ipv4_of(holder), zero, 4) : address_is_any(holder);
}

bool holders_same_port(const struct holder *a, const struct holder *b)
{
	return a->protocol == b->protocol && a->port == b->port;
}

bool holders_same_family(const struct holder *a, const struct holder *b)
{
	return holder_is_dual(a) || holder_is_dual(b) || holder_is_ipv4(a) == holder_is_ipv4(b);
}

bool holders_same_address(const struct holder *a, const struct holder *b)
{
	if (holder_is_wild(a) || holder_is_wild(b))
		return holder_is_wild(a) && holder_is_wild(b);
	if (holder_is_ipv4(a) != holder_is_ipv4(b))
		return false;
	return holder_is_ipv4(a) ? !memcmp(ipv4_of(a), ipv4_of(b), 4) : !memcmp(a->address, b->address, 16);
}

bool holders_addresses_meet(const struct holder *a, const struct holder *b)
{
	return holder_is_wild(a) || holder_is_wild(b) || holders_same_address(a, b);
}

bool holders_overlap(const struct holder *a, const struct holder *b)
{
	return holders_same_family(a, b) && holders_addresses_meet(a, b);
}

bool holder_accepts(const struct holder *listener, const struct holder *child, bool *exact)
{
	bool listened = holder_listened(listener) || listener->state == STATE_DEAD;
	bool port = listened && listener->domain == child->domain && holders_same_port(listener, child);

	*exact = port && holders_same_address(listener, child);
	return *exact || (port && holder_is_wild(listener));
}

/* ---- the address a program gave ---- */

struct given given_address(const struct question *question)
{
	struct given given = { .family = AF_UNSPEC };
	sa_family_t family;
	uint16_t port;

	if (!question->address || question->length < sizeof family)
		return given;
	memcpy(&family, question->address, sizeof family);
	given.family = family;
	if (family == AF_INET)
		given.whole = question->length >= sizeof(struct sockaddr_in);
	else if (family == AF_INET6)
		given.whole = question->length >= sizeof(struct sockaddr_in6);
	if (!given.whole)
		return given;
	memcpy(&port, question->address + 2, sizeof port);
	given.port = ntohs(port);
	if (family == AF_INET) {
		memcpy(given.ipv4, question->address + 4, 4);
	} else {
		given.mapped = !memcmp(question->address + 8, mapped_prefix, sizeof mapped_prefix);
		memcpy(given.ipv4, question->address + 20, 4);
	}
	return given;
}

bool given_is_any(const struct question *question, const struct given *given)
{
	if (given->family == AF_INET || given->mapped)
		return !memcmp(given->ipv4, zero, 4);
	return !memcmp(question->address + 8, zero, 16);
}

static enum locality ipv4_locality(const struct question *question, const uint8_t *ipv4)
{
	static const uint8_t loopback[4] = { 127, 0, 0, 1 }, broadcast[4] = { 255, 255, 255, 255 };

	if (!memcmp(ipv4, loopback, 4))
		return LOCALITY_OWN;
	if (ipv4[0] == 127)
		return question->loopback_alias ? LOCALITY_OWN : LOCALITY_LOOPBACK;
	if (ipv4[0] >> 4 == 14)
		return LOCALITY_MULTICAST;
	if (!memcmp(ipv4, broadcast, 4))
		return LOCALITY_BROADCAST;
	return IS_ALONE(question) ? LOCALITY_FOREIGN : LOCALITY_UNKNOWN;
}

enum locality given_locality(const struct question *question, const struct given *given)
{
	if (given_is_any(question, given))
		return LOCALITY_OWN;
	if (given->family == AF_INET || given->mapped)
		return ipv4_locality(question, given->ipv4);
	if (!memcmp(question->address + 8, &in6addr_loopback, 16))
		return LOCALITY_OWN;
	if (question->address[8] == 0xff)
		return LOCALITY_MULTICAST;
	return IS_ALONE(question) ? LOCALITY_FOREIGN : LOCALITY_UNKNOWN;
}

bool given_is_own(const struct question *question, const struct given *given)
{
	switch (given_locality(question, given)) {
	case LOCALITY_OWN:
	case LOCALITY_UNKNOWN:
		return true;
	case LOCALITY_LOOPBACK:
		return question->profile->trait[trait_loopback] == loopback_whole;
	default:
		return false;
	}
}

bool connect_denied(const struct question *question, const struct given *given, const struct connect_rules *rules, struct verdict *verdict)
{
	bool tcp = question->protocol == PROTOCOL_TCP;

	if (tcp && question->state == STATE_LISTENING)
		return verdict_final(verdict, rules->listening, rules->listens);
	if (tcp && question->state == STATE_CONNECTED)
		return verdict_final(verdict, EISCONN, rules->used);
	if (!question->address || given->family == AF_UNSPEC)
		return false;
	if (given->family != question->domain)
		return verdict_final(verdict, rules->family, rules->malformed);
	if (!given->whole)
		return verdict_final(verdict, rules->length, rules->malformed);
	if (given->mapped && question->options & OPTION_V6ONLY)
		return verdict_final(verdict, rules->mapped, rules->unreachable);
	return tcp && !given_is_own(question, given) && verdict_final(verdict, ENETUNREACH, rules->unreachable);
}

void given_to_loopback(const struct question *question, const struct given *given, struct sockaddr_storage *to, uint32_t *to_length)
{
	static const uint8_t loopback[4] = { 127, 0, 0, 1 };
	uint8_t *bytes = (uint8_t *)to;

	if (!given->whole || !given_is_any(question, given))
		return;
	*to_length = given->family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	memset(to, 0, sizeof *to);
	memcpy(to, question->address, *to_length);
	if (given->family == AF_INET)
		memcpy(bytes + 4, loopback, 4);
	else if (given->mapped)
		memcpy(bytes + 20, loopback, 4);
	else
		memcpy(bytes + 8, &in6addr_loopback, 16);
}

bool connect_by_rules(const struct question *question, const struct connect_rules *rules, struct verdict *verdict,
		      struct sockaddr_storage *to, uint32_t *to_length)
{
	struct given given = given_address(question);

	if (connect_denied(question, &given, rules, verdict))
		return true;
	given_to_loopback(question, &given, to, to_length);
	return false;
}

/* ---- what happens to a connection ---- */

void event_by_rules(const struct question *question, enum event event, const struct event_rules *rules, struct verdict *verdict)
{
	switch (event) {
	case EVENT_REFUSED:
	case EVENT_UNLISTENED:
		verdict_final(verdict, ECONNREFUSED, rules->refused);
		verdict->flags = rules->over;
		break;
	case EVENT_FULL:
		verdict_final(verdict, rules->full, rules->queue);
		break;
	case EVENT_TUPLE_TAKEN:
	case EVENT_TUPLE_REMNANT:
		if (question->protocol == PROTOCOL_TCP)
			verdict_final(verdict, EADDRINUSE, rules->tuple);
		break;
	case EVENT_NO_PORT:
		verdict_final(verdict, rules->no_port, rules->port);
		break;
	case EVENT_OVER:
		verdict->flags = rules->over;
		break;
	case EVENT_SELF:
	case EVENT_AGAIN:
		break;
	}
}

/* ---- options ---- */

static const struct option_row *row_of(const struct option_question *question, const struct option_row *row)
{
	for (; row->level != -1; row++)
		if (row->level == question->level && row->name == question->name)
			return row;
	return NULL;
}

static void option_refuse(struct option_answer *answer, int error, const struct rule *rule)
{
	answer->error = error;
	answer->rule = rule;
}

static uint32_t changed(const struct option_question *question, const struct option_row *row, const struct option_rules *rules, bool on)
{
	uint32_t options = question->options, bit = row->bit;

	if (rules->counts_at_bind && question->state != STATE_UNBOUND) {
		bit <<= 16;
		on ^= (options & row->bit) != 0;
	}
	return on ? options | bit : options & ~bit;
}

static void set_bit(const struct option_question *question, const struct option_row *row, const struct option_rules *rules,
		    struct option_answer *answer)
{
	int32_t value;

	if (!question->value || question->length < sizeof value) {
		option_refuse(answer, EINVAL, rules->length);
		return;
	}
	if (row->unbound && question->state != STATE_UNBOUND) {
		option_refuse(answer, EINVAL, rules->late);
		return;
	}
	memcpy(&value, question->value, sizeof value);
	answer->options = changed(question, row, rules, value != 0);
}

static void get_bit(const struct option_question *question, const struct option_row *row, const struct option_rules *rules,
		    struct option_answer *answer)
{
	uint32_t options = rules->counts_at_bind ? OPTIONS_SHOWN(question->options) : question->options;
	int32_t value = options & row->bit ? row->shown : 0;

	answer->length = question->length < sizeof value ? question->length : sizeof value;
	memcpy(answer->value, &value, answer->length);
}

void option_by_rows(const struct option_question *question, const struct option_row *rows, const struct option_rules *rules,
		    struct option_answer *answer)
{
	const struct option_row *row = row_of(question, rows);

	*answer = (struct option_answer){ .passes = !row, .options = question->options, .rule = rules->ok };
	if (!row)
		return;
	if (!row->bit)
		option_refuse(answer, ENOPROTOOPT, rules->unknown);
	else if (question->call == CALL_SETSOCKOPT)
		set_bit(question, row, rules, answer);
	else
		get_bit(question, row, rules, answer);
}

bool listen_decided(const struct question *question, const struct rule *udp, const struct rule *connected, const struct rule *again,
		    struct verdict *verdict)
{
	if (question->protocol == PROTOCOL_UDP)
		return verdict_final(verdict, EOPNOTSUPP, udp);
	if (question->state == STATE_CONNECTED)
		return verdict_final(verdict, EINVAL, connected);
	return question->state == STATE_LISTENING && verdict_final(verdict, 0, again);
}

bool accept_refused(const struct question *question, const struct rule *rule, struct verdict *verdict)
{
	bool sure = question->state != STATE_LISTENING && (IS_ALONE(question) || question->state != STATE_UNBOUND);

	return sure && verdict_final(verdict, question->protocol == PROTOCOL_UDP ? EOPNOTSUPP : EINVAL, rule);
}

bool shutdown_refused(const struct question *question, const struct rule *rule, struct verdict *verdict)
{
	bool sure = IS_ALONE(question) || question->state == STATE_LISTENING;

	return sure && question->state != STATE_CONNECTED && verdict_final(verdict, ENOTCONN, rule);
}

/* ---- functions of struct family ---- */

uint32_t family_asks(const struct profile *profile)
{
	(void)profile;
	return ASKS_USER | ASKS_UNSEEN | ASKS_SOCKET;
}

uint32_t family_bucket(const struct profile *profile, enum protocol protocol, uint16_t port)
{
	(void)profile;
	return port + (protocol == PROTOCOL_UDP ? 65536u : 0);
}

void family_source(const struct profile *profile, const struct holder *socket, const uint8_t *to, uint8_t *from)
{
	static const uint8_t loopback[4] = { 127, 0, 0, 1 };

	(void)profile;
	memcpy(from, to, socket->domain == AF_INET ? 4 : 16);
	if (socket->domain == AF_INET)
		memcpy(from, loopback, 4);
	else if (to[10] == 0xff)
		memcpy(from + 12, loopback, 4);
}

int family_error(const struct profile *profile, enum call call, int host_errno)
{
	(void)profile, (void)call;
	return host_errno;
}

bool family_anchors(const struct profile *profile, const struct holder *claim)
{
	(void)profile, (void)claim;
	return false;
}

uint32_t family_fresh(const struct profile *profile, uint8_t domain, enum protocol protocol)
{
	(void)protocol;
	return domain == AF_INET6 && profile->trait[trait_v6only_default] != v6only_default_off ? OPTION_V6ONLY : 0;
}

uint16_t family_port(const struct profile *profile, enum call call, const struct holder *claim, uint32_t start, uint32_t attempt)
{
	uint32_t first = profile->trait[trait_port_first], count = profile->trait[trait_port_last] + 1 - first;

	(void)call, (void)claim;
	return attempt < count ? (uint16_t)(first + (start + attempt) % count) : 0;
}

enum state family_released(const struct profile *profile, const struct holder *holder, bool active, uint32_t *milliseconds)
{
	(void)holder;
	*milliseconds = profile->trait[trait_time_wait];
	return active ? STATE_TIME_WAIT : STATE_UNBOUND;
}

/* SPDX-License-Identifier: MIT */
/* Sockets of one port, made by hand and judged by the rules of a profile. */
#ifndef FAKEBIND_TEST_JUDGE_H
#define FAKEBIND_TEST_JUDGE_H

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "shim/rules/rules.h"

#define R OPTION_REUSEADDR
#define RP OPTION_REUSEPORT
#define PORT 20000
#define ROOM 16

static inline const struct profile *profile_of(const char *name)
{
	const struct profile *profile = profile_find(name);

	cr_assert_not_null(profile, "no profile %s", name);
	return profile;
}

/* ---- sockets ---- */

static inline struct holder socket_at(enum protocol protocol, const char *address, uint32_t options)
{
	struct holder holder = { .protocol = (uint8_t)protocol, .port = PORT, .options = options, .state = STATE_BOUND };

	holder.domain = strchr(address, ':') ? AF_INET6 : AF_INET;
	cr_assert_eq(inet_pton(holder.domain, address, holder.address), 1);
	return holder;
}

static inline struct holder tcp(const char *address, uint32_t options)
{
	return socket_at(PROTOCOL_TCP, address, options);
}

static inline struct holder udp(const char *address, uint32_t options)
{
	return socket_at(PROTOCOL_UDP, address, options);
}

static inline struct holder in_state(struct holder holder, enum state state)
{
	holder.state = (uint8_t)state;
	return holder;
}

static inline struct holder of_user(struct holder holder, uint32_t uid)
{
	holder.uid = uid;
	return holder;
}

/* ---- a port ---- */

/* Its sockets in the order of their binds, and what it remembers. */
struct port {
	const struct profile *profile;
	struct holder holders[ROOM];
	unsigned count;
	struct memory memory;
	struct holder source;
	bool automatic; /* the system chose it */
};

static inline struct port port_of(const char *profile)
{
	return (struct port){ .profile = profile_of(profile) };
}

static inline void put(struct port *port, struct holder holder)
{
	cr_assert_lt(port->count, ROOM);
	holder.order = port->count + 1;
	port->holders[port->count++] = holder;
}

/* Judges against all holders but `self`, forwards and backwards: the order of asking must not matter. */
static inline struct verdict judge(const struct port *port, enum call call, const struct holder *claim, const struct holder *self)
{
	struct verdict verdict[2];

	for (int backwards = 0; backwards < 2; backwards++) {
		struct judgement judgement;

		judge_begin(&judgement, port->profile, call, claim, &port->memory);
		judgement.automatic = port->automatic;
		for (unsigned i = 0; i < port->count; i++) {
			const struct holder *holder = &port->holders[backwards ? port->count - 1 - i : i];

			if (holder != self)
				judge_holder(&judgement, holder);
		}
		judge_end(&judgement, &verdict[backwards]);
	}
	cr_assert_not_null(verdict[0].rule);
	cr_assert_eq(verdict[0].rule, verdict[1].rule);
	cr_assert_eq(verdict[0].error, verdict[1].error);
	cr_assert_eq(verdict[0].holder.order, verdict[1].holder.order);
	return verdict[0];
}

/* A claim beside one holder, or none (NULL). */
static inline struct verdict judge_pair(const struct profile *profile, enum call call, const struct holder *claim, const struct holder *holder)
{
	struct port port = { .profile = profile };

	if (holder)
		port.holders[port.count++] = *holder;
	return judge(&port, call, claim, NULL);
}

static inline void remember(struct port *port, const struct holder *claim, const struct verdict *verdict)
{
	switch (verdict->memory) {
	case MEMORY_KEEP:
		break;
	case MEMORY_FORGET:
		port->memory = (struct memory){ 0, NULL };
		break;
	case MEMORY_CLAIM:
		port->source = *claim;
		port->memory = (struct memory){ verdict->memory_flags, &port->source };
		break;
	case MEMORY_FLAGS:
		port->memory.flags = verdict->memory_flags;
		break;
	}
}

/* bind() and, of a socket that is there, listen(): what they change stays. */
static inline struct verdict judge_bind(struct port *port, struct holder claim)
{
	struct verdict verdict = judge(port, CALL_BIND, &claim, NULL);

	if (!verdict.error) {
		remember(port, &claim, &verdict);
		if (port->profile->family->bound)
			claim.options = port->profile->family->bound(port->profile, &claim, 0);
		put(port, claim);
	}
	return verdict;
}

static inline struct verdict judge_listen(struct port *port, unsigned which)
{
	struct holder claim = in_state(port->holders[which], STATE_LISTENING);
	struct verdict verdict = judge(port, CALL_LISTEN, &claim, &port->holders[which]);

	if (!verdict.error) {
		remember(port, &claim, &verdict);
		port->holders[which].state = STATE_LISTENING;
	}
	return verdict;
}

#endif

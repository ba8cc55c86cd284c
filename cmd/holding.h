/* SPDX-License-Identifier: MIT */
/* Who holds what: the registry's word and the kernel's, put together. */
#ifndef FAKEBIND_HOLDING_H
#define FAKEBIND_HOLDING_H

#include <json.h>
#include <netinet/in.h>
#include <stdio.h>

#include "kernel.h"
#include "shim/registry/registry.h"

/* Where we know it from. */
enum origin {
	ORIGIN_REGISTERED, /* it has a record */
	ORIGIN_ACCEPTED,   /* by a listener that has one, or had */
	ORIGIN_CLIENT,     /* connected, and nobody's child */
	ORIGIN_OUTSIDE     /* bound or listening without a record */
};

/* What speaks for its being there still. */
enum evidence {
	EVIDENCE_KERNEL,   /* sock_diag has its cookie */
	EVIDENCE_OWNER,    /* the kernel cannot tell, but its owner is alive and did not close it */
	EVIDENCE_DOUBTFUL, /* nor is that known */
	EVIDENCE_GONE,     /* sock_diag has not */
	EVIDENCE_MEMORY    /* no socket: what the system remembers of one */
};

struct holding {
	struct holder holder; /* as the kernel has it, if it does; options of an accepted one: its listener's */
	enum origin origin;
	enum evidence evidence;
	uint64_t netns;
	uint64_t inode;      /* 0: nobody has it open */
	uint32_t timer_ms;   /* of a remnant in the kernel */
	bool half_closed;
	bool owner_alive;    /* who bound it */
};

struct holdings {
	struct holding *all; /* by protocol, port, order; the registered ones first */
	size_t count, registered;
	const struct family *family; /* whose options they are; NULL: not known */
	uint64_t netns;              /* the caller's */
	struct registry *registry;
	struct time_wait time_wait;  /* how long remnants last, */
	bool own_time;               /* as the user has it */
};

/* All records, and all sockets of the kernel that have none. */
void holdings_read(struct holdings *, struct registry *, const struct profile *, const struct kernel *);
void holdings_free(struct holdings *);
/* Is there a record on this port, of the caller's network namespace? */
bool holdings_has_port(const struct holdings *, uint8_t protocol, uint16_t port);

/* As this system sees it: its options, and of a remnant its state (STATE_UNBOUND: over) and what is left of it. */
struct holder holding_as(const struct holdings *, const struct holding *, const struct profile *, uint32_t *left_ms);
/* Does it hold its address under this profile?  (NULL: that cannot be known of a remnant.) */
bool holding_stands(const struct holdings *, const struct holding *, const struct profile *);

/* ---- in words ---- */

#define ADDRESS_TEXT (INET6_ADDRSTRLEN + 32)
#define OPTIONS_TEXT 96
const char *address_text(const struct holder *, char text[ADDRESS_TEXT]);
const char *options_text(uint32_t options, uint8_t domain, char text[OPTIONS_TEXT]); /* "" if there is none */
const char *state_text(uint8_t state);
const char *protocol_text(uint8_t protocol);
/* "python3[123] fd 3,4, nginx[124] fd 5": who has it open, else who bound it. */
void print_owners(FILE *, const struct holding *, const struct openers *);
struct json_object *holding_json(const struct holding *, const struct holder *, const struct openers *);
struct json_object *options_json(uint32_t options, uint8_t domain);

#endif

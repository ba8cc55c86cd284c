/* SPDX-License-Identifier: MIT */
/*
 * What this process knows of its descriptors: a cache, never the truth.  libc closes descriptors
 * behind our back (fclose), programs make raw system calls, others arrive by SCM_RIGHTS; so an empty
 * slot means "ask the kernel", and a full one is verified by cookie wherever it could refuse a call.
 */
#ifndef FAKEBIND_SOCKETS_H
#define FAKEBIND_SOCKETS_H

#include "../registry/registry.h"
#include "../seldom.h"

#define SLOT_COUNT 65536 /* higher descriptors always ask the kernel */

#define SLOT_SOCKET 0x1u   /* a TCP or UDP socket over IPv4 or IPv6 */
#define SLOT_DEVICE 0x2u   /* a device option was set: ask before a bind */
#define SLOT_AUTOBOUND 0x4u /* listen() chose its port */
#define SLOT_CONNECTED 0x8u /* kept for permissive profiles only */
#define SLOT_DEAD 0x10u     /* the system has ended it: STATE_DEAD */
#define SLOT_ELSEWHERE 0x20u /* of another network namespace than session.registry.netns */
#define SLOT_ACCEPTS 0x40u  /* a listener that has accepted something */
#define SLOT_MET 0x80u      /* not seen from socket() on, or connect() was called: it may be connected */

struct slot {
	uint64_t cookie;  /* 0: not asked yet; nor has the record it then */
	reference record; /* 0: not bound, as far as we know */
	uint32_t options; /* OPTION_* as the program set them */
	uint8_t domain, protocol, flags, spare;
};

/* Of duplicates the one slot that they share.  NULL for descriptors the cache has no room for. */
struct slot *slot_of(int fd);
static inline bool slot_used(const struct slot *slot) { return slot && slot->flags; }

/* IPPROTO_TCP, IPPROTO_UDP, or -1: a raw socket has IPPROTO_TCP too, and no ports. */
int socket_protocol(int type, int protocol);

/* A new descriptor: forget what an older one of this number was. */
void slot_fresh(int fd);
void slot_socket(int fd, int domain, int protocol);
/* The same of one that accept() made: what the kernel would say of it is known.  The slot, or own where there is none. */
struct slot *slot_accepted(int fd, const struct slot *listener, struct slot *own);
/* This process lets go of a descriptor (before the kernel call). */
void slot_drop(int fd);
void slot_drop_range(unsigned first, unsigned last);
SELDOM void slot_copy(int from, int to);

/* The socket behind fd: from the cache, else from the kernel.  False: not a TCP or UDP socket.
 * The result may be `own` (when the cache has no place) or the slot itself. */
bool slot_identify(int fd, struct slot *own, struct slot **found);
/* The registry and the host are asked about this socket from now on; slot_identify() does it. */
void slot_enter(int fd, const struct slot *);
/* Puts a new socket in the place of this one, behind all descriptors that this process made of it. */
SELDOM void slot_replace(int fd, struct slot *slot);
/* Which socket the slot is about; 0: none that the descriptor could be. */
uint64_t slot_cookie(int fd, struct slot *);
/* Is the descriptor still that socket? */
bool slot_fits(int fd, struct slot *);
/* Throw away what is cached and ask again. */
bool slot_refresh(int fd, struct slot *own, struct slot **found);

/* This process; in a vfork child its parent.  No system call after the first. */
uint32_t own_pid(void);

/* unshare() or setns() was called: new sockets may be of another network namespace than those before. */
void slots_moved(void);

/* A vfork child shares our memory but not our descriptors. */
bool in_vfork_child(void);

#endif

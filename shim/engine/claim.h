/* SPDX-License-Identifier: MIT */
/* From the arguments of a call to a claim or a question. */
#ifndef FAKEBIND_CLAIM_H
#define FAKEBIND_CLAIM_H

#include "decide.h"

/* The sockaddr a program passes, or as much of it as any has, copied once.  False: unreadable, and the host's own
 * error is right. */
bool claim_copy(const struct sockaddr *, socklen_t, struct sockaddr_storage *);

/* Everything about the socket but its address and its user: options, device; its cookie as far as it is known. */
void claim_socket(struct decision *, enum call, int fd, struct slot *);

/* Its user, where a rule may ask whose it is: UID_UNKNOWN until it meets somebody, for then only most rules ask.  The cookie
 * of a mirrored host's socket is not asked before either. */
void claim_user(struct decision *, bool reserved_port);
void claim_meets(struct decision *);

/* The other end threw the connection away, or both ended it: what the system makes of it, VERDICT_KILLS or _UNBINDS. */
#define CLAIM_NOT_OVER 0x80000000u
uint32_t claim_over(enum call, int fd, const struct holder *);
/* The same of one that is over. */
uint32_t claim_when_over(enum call, const struct holder *);

/* The options of a socket that is bound change, for everyone who is judged after this. */
void claim_publish(int fd, struct slot *);

/* What state the socket is in, as far as the rules of a profile ask for it; else STATE_UNBOUND. */
enum state claim_state(enum call, int fd, struct slot *);

/* What a call does to the socket beside its answer: VERDICT_UNBINDS, VERDICT_KILLS. */
SELDOM void claim_apply(struct decision *, uint32_t flags);

/* What is to be asked of the profile; the caller adds the arguments. */
struct question claim_question(const struct decision *);

/* The host has chosen a port for the socket: it holds that from now on. */
void claim_chosen(struct decision *, enum state);
/* The same for a call that the host does without a port.  errno is kept. */
void claim_choose(struct decision *, enum state);

/* The profile's answer from the arguments alone.  True: d->verdict is final. */
bool claim_before(struct decision *, const struct question *, struct sockaddr_storage *to, uint32_t *to_length);

/* Is the holder in the claim's way there?  Its IPV6_V6ONLY may not be the host's, which sets that itself. */
SELDOM bool claim_overlaps_on_host(const struct holder *claim, struct holder);

uint32_t claim_bucket(enum protocol, uint16_t port);

/* What this profile calls an error of the host. */
int claim_error(enum call, int host_errno);

/* The result of a host call as this profile gives it: its errno, or success where the host has none (then
 * errno is still the host's: shutdown() and setsockopt() put theirs back). */
int claim_host_answer(enum call, int result);

/* An address that stays taken for ever, if this claim leaves one. */
void claim_anchor(const struct holder *, uint32_t bucket);

/* Fails the call: says why if asked, sets errno, returns -1. */
int refuse(struct decision *);

#endif

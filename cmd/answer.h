/* SPDX-License-Identifier: MIT */
/* What the players of scenarios share: from the words of a step to the arguments of a call, and back. */
#ifndef FAKEBIND_ANSWER_H
#define FAKEBIND_ANSWER_H

#include <sys/socket.h>

#include "scenario.h"

#define ANSWER_MAX 256

/* answer: "ok", an errno's name, a value, got:TEXT or an address.  Valid during the call only. */
typedef void answer_function(void *context, const struct scenario *, const struct step *, const char *answer);

/* How long a waiting call waits; every recorded answer was made with these. */
#define ACCEPT_MS 200
#define RECV_MS 40
#define CONNECT_MS 800
#define DEFAULT_BACKLOG 16

/* P0 is first_port. */
socklen_t endpoint_sockaddr(const struct endpoint *, unsigned first_port, struct sockaddr_storage *);
void answer_address(char answer[ANSWER_MAX], const struct sockaddr_storage *, unsigned first_port);
void answer_errno(char answer[ANSWER_MAX], int error);

void kind_numbers(enum socket_kind, int *domain, int *type);
void option_numbers(enum socket_option, int *level, int *name);

#endif

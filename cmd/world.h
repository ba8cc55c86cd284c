/* SPDX-License-Identifier: MIT */
/*
 * A machine in memory: sockets, connections and who has which port, with nothing but a loopback interface and
 * its own time.  It makes no system call.  What it answers comes from a profile's rules, asked `alone` (rules.h).
 *
 * The calls are those of libc: -1 and errno, or what libc returns.  Descriptors are the machine's own.  Nothing
 * waits: where a real call would, it fails with EAGAIN at once (connect to a full or silent port: with the errno
 * the family gives).
 */
#ifndef FAKEBIND_WORLD_H
#define FAKEBIND_WORLD_H

#include <sys/socket.h>

#include "shim/rules/rules.h"

struct world;

/* Just booted, the user is root.  loopback_alias: 127.0.0.2 and its like are addresses of the interface.
 * options: of every new socket, beside those the system gives it (OPTION_EXCLUSIVE). */
struct world *world_new(const struct profile *, bool loopback_alias, uint32_t options);
void world_free(struct world *);

/* What the rules said of the last call; rule is NULL if none had a say. */
const struct verdict *world_verdict(const struct world *);

int world_socket(struct world *, int domain, int type);
int world_bind(struct world *, int fd, const struct sockaddr *, socklen_t);
int world_listen(struct world *, int fd, int backlog);
int world_connect(struct world *, int fd, const struct sockaddr *, socklen_t);
int world_accept(struct world *, int fd);
int world_close(struct world *, int fd);
int world_shutdown(struct world *, int fd, int how);
int world_dup(struct world *, int fd);
int world_dup2(struct world *, int fd, int target);
int world_setsockopt(struct world *, int fd, int level, int name, const void *, socklen_t);
int world_getsockopt(struct world *, int fd, int level, int name, void *, socklen_t *);
int world_getsockname(struct world *, int fd, struct sockaddr_storage *);
int world_getpeername(struct world *, int fd, struct sockaddr_storage *);
/* to: NULL for send(). */
ssize_t world_send(struct world *, int fd, const void *, size_t, const struct sockaddr *to, socklen_t);
ssize_t world_recv(struct world *, int fd, void *, size_t);
int world_seteuid(struct world *, uint32_t uid);
void world_sleep(struct world *, uint64_t milliseconds);
/* The port to be tried first when the system chooses one, the next time; 0: none. */
void world_choose(struct world *, uint16_t port);

/* Another process has the socket of fd open: a number for world_exit(), which ends that process. */
int world_fork(struct world *, int fd);
int world_exit(struct world *, int process);

/* Every socket that has a port, remnants too, newest first: until the function returns false. */
void world_each(const struct world *, bool (*)(void *context, const struct holder *), void *context);

#endif

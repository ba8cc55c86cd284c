/* SPDX-License-Identifier: MIT */
/* Short questions to the kernel about one descriptor, by raw system calls: no cancellation point, no
 * interposed symbol, errno untouched.  Negative results are -errno. */
#ifndef FAKEBIND_ASK_H
#define FAKEBIND_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "../rules/rules.h"
#include "../seldom.h"

#ifndef SO_BINDTOIFINDEX /* Linux >= 5.7 */
#define SO_BINDTOIFINDEX 62
#endif

/* SO_COOKIE (net/core/sock_diag.c, Linux >= 4.12): never reused while the kernel runs; 0 on failure. */
uint64_t ask_cookie(int fd);
/* An int option, or -errno (which no option we ask for can be). */
int ask_option(int fd, int level, int name);
int tell_option(int fd, int level, int name, int value);
/* Local address, port and scope into holder; 0 or -errno. */
int ask_name(int fd, struct holder *holder);
bool ask_connected(int fd);
/* STATE_LISTENING, _CONNECTED or, for all else, _BOUND. */
uint8_t ask_state(int fd);
/* st_uid of the socket: its creator's effective uid, or what fchown made of it. */
uint32_t ask_uid(int fd);
/* Is a connection thrown away when it is closed: SO_LINGER of 0 seconds? */
bool ask_resets(int fd);
/* Connections that wait for the listener's accept(); 0 if it is none. */
uint32_t ask_queued(int fd);
/* The effective user. */
uint32_t ask_caller(void);
/* Can `length` bytes at address be read?  Asked without touching them. */
bool ask_readable(const void *address, size_t length);
/* Writes to the program's memory; false where it cannot be written. */
SELDOM bool tell_memory(void *to, const void *from, size_t length);
/* Name of a running program (at most 15 bytes); false if /proc does not tell. */
SELDOM bool ask_program(uint32_t pid, char name[16]);
/* Who has a descriptor of the socket with this inode: pid (0: nobody found) and its fd there.  First whether the
 * likely one still has it as *fd. */
SELDOM uint32_t ask_owner_of_inode(uint32_t inode, uint32_t likely, int *fd);
/* The network namespace a socket was made in (SO_NETNS_COOKIE, Linux >= 5.14; before, the one this thread is in);
 * 0: not known. */
SELDOM uint64_t ask_netns(int fd);
/* That of a socket that this thread would make now; 0: not known. */
SELDOM uint64_t ask_own_netns(void);
/* From now on this thread asks about sockets of that namespace; 0: of its own. */
void ask_about(uint64_t netns);
/* A socket to ask with, close-on-exec; -EXDEV: it would be in another namespace, and tell of that. */
SELDOM long ask_socket(int domain, int type, int protocol);
/* Where the main thread's stack ends; called once, from the constructor. */
void ask_start(char **environment);

/* Takes an address apart the way bind() of this domain reads it; false: too short or of another family. */
bool address_parse(uint8_t domain, const struct sockaddr_storage *, socklen_t length, struct holder *);

#endif

/* SPDX-License-Identifier: MIT */
/* What the kernel knows at one moment: all sockets of this network namespace, and who has them open. */
#ifndef FAKEBIND_KERNEL_H
#define FAKEBIND_KERNEL_H

#include <sys/types.h>

#include "shim/host/diag.h"

struct kernel {
	bool known; /* it answered */
	uint64_t netns;
	struct diag_socket *sockets; /* by cookie */
	size_t count;
};

struct opener {
	uint64_t inode;
	uint32_t pid;
	int fd;
};

struct openers {
	struct opener *all; /* by inode, pid, descriptor */
	size_t count;
};

void kernel_read(struct kernel *);
void kernel_free(struct kernel *);
/* NULL: it has no such socket. */
const struct diag_socket *kernel_find(const struct kernel *, uint64_t cookie);

/* As far as this user may look into /proc/PID/fd. */
void openers_read(struct openers *);
void openers_free(struct openers *);
const struct opener *openers_of(const struct openers *, uint64_t inode, size_t *count);

/* The processes that have this file mapped to share it, other than the caller: their number; the first `room` of them. */
size_t processes_sharing(dev_t, ino_t, uint32_t *pids, size_t room);

/* The program's name, fit for a terminal; "" if it is gone. */
#define PROGRAM_NAME 16
const char *program_name(uint32_t pid, char name[PROGRAM_NAME]);

#endif

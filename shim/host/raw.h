/* SPDX-License-Identifier: MIT */
/*
 * System calls that no preloaded library can see, ours included: the library hooks close, dup, fcntl
 * and syscall(), and must not meet its own hooks.  errno is never touched: the result is the
 * kernel's own, -errno for a failure.  No cancellation point.
 *
 *	raw_call(SYS_close, fd)    pointers are cast to long; missing arguments are 0
 */
#ifndef FAKEBIND_RAW_H
#define FAKEBIND_RAW_H

#include <stdint.h>
#include <sys/syscall.h>

#define raw_call(number, ...) raw_syscall((number), (const long[6]){ __VA_ARGS__ })

#if defined __x86_64__ && !defined __ILP32__

static inline long raw_syscall(long number, const long a[6])
{
	register long r10 __asm__("r10") = a[3];
	register long r8 __asm__("r8") = a[4];
	register long r9 __asm__("r9") = a[5];
	long result;

	__asm__ volatile("syscall"
	                 : "=a"(result)
	                 : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
	                 : "rcx", "r11", "memory");
	return result;
}

#elif defined __i386__

/* The sixth argument goes into ebp, which no constraint can name: fetch it, and the number, through eax. */
static inline long raw_syscall(long number, const long a[6])
{
	const long ends[2] = { number, a[5] };
	long result;

	__asm__ volatile("pushl %%ebp\n\t"
	                 "movl 4(%%eax), %%ebp\n\t"
	                 "movl (%%eax), %%eax\n\t"
	                 "int $0x80\n\t"
	                 "popl %%ebp"
	                 : "=a"(result)
	                 : "a"(ends), "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(a[4])
	                 : "memory");
	return result;
}

#elif defined __aarch64__

static inline long raw_syscall(long number, const long a[6])
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a[0];
	register long x1 __asm__("x1") = a[1];
	register long x2 __asm__("x2") = a[2];
	register long x3 __asm__("x3") = a[3];
	register long x4 __asm__("x4") = a[4];
	register long x5 __asm__("x5") = a[5];

	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
}

#else
#error "raw.h: write raw_syscall for this machine"
#endif

/* struct statx of include/uapi/linux/stat.h (4.11), the same on every machine; unlike struct stat. */
struct raw_statx {
	uint32_t mask, blksize;
	uint64_t attributes;
	uint32_t nlink, uid, gid;
	uint16_t mode, spare;
	uint64_t ino, size, blocks, attributes_mask;
	uint64_t rest[24];
};

_Static_assert(sizeof(struct raw_statx) == 256, "the kernel writes 256 bytes");

#define RAW_STATX_BASIC 0x7ffu

#endif

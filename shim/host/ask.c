/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "ask.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "raw.h"

#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

static int get(int fd, int level, int name, void *value, socklen_t length)
{
	return (int)raw_call(SYS_getsockopt, fd, level, name, (long)value, (long)&length);
}

uint64_t ask_cookie(int fd)
{
	uint64_t cookie = 0;
	return get(fd, SOL_SOCKET, SO_COOKIE, &cookie, sizeof cookie) < 0 ? 0 : cookie;
}

int ask_option(int fd, int level, int name)
{
	int value = 0;
	int result = get(fd, level, name, &value, sizeof value);
	return result < 0 ? result : value;
}

int tell_option(int fd, int level, int name, int value)
{
	return (int)raw_call(SYS_setsockopt, fd, level, name, (long)&value, sizeof value);
}

bool address_parse(uint8_t domain, const struct sockaddr_storage *from, socklen_t length, struct holder *to)
{
	memset(to->address, 0, sizeof to->address);
	to->scope = 0;
	if (length > sizeof *from)
		return false;
	if (domain == AF_INET) {
		const struct sockaddr_in *v4 = (const void *)from;
		if (length < sizeof *v4)
			return false;
		/* AF_UNSPEC with INADDR_ANY is taken for AF_INET (net/ipv4/af_inet.c __inet_bind, Linux >= 3.2). */
		if (v4->sin_family != AF_INET && (v4->sin_family != AF_UNSPEC || v4->sin_addr.s_addr != htonl(INADDR_ANY)))
			return false;
		memcpy(to->address, &v4->sin_addr, 4);
		to->port = ntohs(v4->sin_port);
		return true;
	}
	/* 24 bytes are enough: RFC 2133 addresses had no scope (net/ipv6/af_inet6.c inet6_bind, SIN6_LEN_RFC2133). */
	const struct sockaddr_in6 *v6 = (const void *)from;
	if (length < 24 || v6->sin6_family != AF_INET6)
		return false;
	memcpy(to->address, &v6->sin6_addr, 16);
	to->port = ntohs(v6->sin6_port);
	if (length >= sizeof *v6)
		to->scope = v6->sin6_scope_id;
	return true;
}

int ask_name(int fd, struct holder *holder)
{
	struct sockaddr_storage name;
	socklen_t length = sizeof name;
	int result = (int)raw_call(SYS_getsockname, fd, (long)&name, (long)&length);
	if (result < 0)
		return result;
	return address_parse(holder->domain, &name, length, holder) ? 0 : -EAFNOSUPPORT;
}

bool ask_connected(int fd)
{
	struct sockaddr_storage name;
	socklen_t length = sizeof name;
	return raw_call(SYS_getpeername, fd, (long)&name, (long)&length) == 0;
}

uint8_t ask_state(int fd)
{
	if (ask_option(fd, SOL_SOCKET, SO_ACCEPTCONN) > 0)
		return STATE_LISTENING;
	return ask_connected(fd) ? STATE_CONNECTED : STATE_BOUND;
}

bool ask_resets(int fd)
{
	struct linger linger = { 0 };
	return get(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) == 0 && linger.l_onoff && linger.l_linger == 0;
}

uint32_t ask_queued(int fd)
{
	struct tcp_info info = { 0 };
	get(fd, IPPROTO_TCP, TCP_INFO, &info, sizeof info);
	return info.tcpi_unacked; /* net/ipv4/tcp.c tcp_get_info() */
}

uint32_t ask_uid(int fd)
{
	struct raw_statx status;
	long result = raw_call(SYS_statx, fd, (long)"", AT_EMPTY_PATH, RAW_STATX_BASIC, (long)&status);
	return result < 0 ? 0 : status.uid;
}

uint32_t ask_caller(void)
{
	return (uint32_t)raw_call(SYS_geteuid, 0);
}

uint64_t ask_netns(int fd)
{
	uint64_t cookie = 0;
	struct raw_statx status;
	if (get(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, sizeof cookie) == 0)
		return cookie;
	long result = raw_call(SYS_statx, AT_FDCWD, (long)"/proc/thread-self/ns/net", 0, RAW_STATX_BASIC, (long)&status);
	return result < 0 ? 0 : status.ino;
}

uint64_t ask_own_netns(void)
{
	long fd = raw_call(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC);
	uint64_t netns = fd < 0 ? 0 : ask_netns((int)fd);
	if (fd >= 0)
		raw_call(SYS_close, fd);
	return netns;
}

static _Thread_local __attribute__((tls_model("initial-exec"))) uint64_t wanted;

void ask_about(uint64_t netns)
{
	wanted = netns;
}

long ask_socket(int domain, int type, int protocol)
{
	long fd = raw_call(SYS_socket, domain, type | SOCK_CLOEXEC, protocol);
	if (fd < 0 || !wanted || ask_netns((int)fd) == wanted)
		return fd;
	raw_call(SYS_close, fd);
	return -EXDEV;
}

static uintptr_t stack_end;

void ask_start(char **environment)
{
	stack_end = (uintptr_t)environment;
}

/* Of the page that address lies on. */
static bool probe(uintptr_t address)
{
	/* rt_sigprocmask copies the set before it looks at `how` (kernel/signal.c, all versions): an
	 * impossible `how` makes it a test for eight readable bytes that changes nothing. */
	return raw_call(SYS_rt_sigprocmask, -1, (long)(address & ~7ul), 0, 8) != -EFAULT;
}

bool ask_readable(const void *address, size_t length)
{
	const uintptr_t page = 4096, main_stack = 8u << 20;
	uintptr_t first = (uintptr_t)address, here = (uintptr_t)&page;
	if (length == 0 || first > UINTPTR_MAX - length)
		return false;
	/* Between our frame and the end of the main thread's stack everything is mapped. */
	if (here < first && first + length <= stack_end && stack_end - here < main_stack)
		return true;
	if (first < page) /* and probe() would take a NULL for no set at all */
		return false;
	/* No caller asks for more than a page: the last byte, and the first if it lies on another page. */
	uintptr_t last = first + length - 1;
	return probe(last) && (first / page == last / page || probe(first));
}

static char *put_number(char *at, uint32_t number)
{
	char digits[10];
	int n = 0;
	do
		digits[n++] = (char)('0' + number % 10);
	while ((number /= 10) != 0);
	while (n)
		*at++ = digits[--n];
	*at = 0;
	return at;
}

bool ask_program(uint32_t pid, char name[16])
{
	char path[32];
	strcpy(put_number(stpcpy(path, "/proc/"), pid), "/comm");
	long fd = raw_call(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	long n = raw_call(SYS_read, fd, (long)name, 15);
	raw_call(SYS_close, fd);
	if (n <= 0)
		return false;
	name[n] = 0;
	if (name[n - 1] == '\n')
		name[n - 1] = 0;
	return true;
}

static uint32_t number_of(const char *digits)
{
	uint32_t value = 0;
	if (!*digits)
		return UINT32_MAX;
	for (; *digits; digits++) {
		if (*digits < '0' || *digits > '9')
			return UINT32_MAX;
		value = value * 10 + (uint32_t)(*digits - '0');
	}
	return value;
}

struct entry { /* struct linux_dirent64 */
	uint64_t inode;
	int64_t offset;
	uint16_t length;
	uint8_t type;
	char name[];
};

/* The numbers among a directory's entries, in order; false once there are no more. */
struct listing {
	long fd, filled, at;
	_Alignas(8) char buffer[2048];
};

static bool listing_open(struct listing *list, const char *path)
{
	list->fd = raw_call(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	list->filled = list->at = 0;
	return list->fd >= 0;
}

static bool listing_next(struct listing *list, uint32_t *number)
{
	for (;;) {
		if (list->at >= list->filled) {
			list->at = 0;
			list->filled = raw_call(SYS_getdents64, list->fd, (long)list->buffer, sizeof list->buffer);
			if (list->filled <= 0)
				return false;
		}
		const struct entry *entry = (const void *)(list->buffer + list->at);
		list->at += entry->length;
		*number = number_of(entry->name);
		if (*number != UINT32_MAX)
			return true;
	}
}

static void listing_close(struct listing *list)
{
	raw_call(SYS_close, list->fd);
}

static bool link_is(const char *directory, uint32_t name, const char *wanted)
{
	char path[48], target[40];
	put_number(stpcpy(stpcpy(path, directory), "/"), name);
	long n = raw_call(SYS_readlinkat, AT_FDCWD, (long)path, (long)target, sizeof target - 1);
	if (n < 0)
		return false;
	target[n] = 0;
	return strcmp(target, wanted) == 0;
}

uint32_t ask_owner_of_inode(uint32_t inode, uint32_t likely, int *fd)
{
	char wanted[32], directory[32];
	struct listing processes, descriptors;
	uint32_t pid, number;
	strcpy(put_number(stpcpy(wanted, "socket:["), inode), "]");
	strcpy(put_number(stpcpy(directory, "/proc/"), likely), "/fd");
	if (likely && link_is(directory, (uint32_t)*fd, wanted))
		return likely;
	if (inode == 0 || !listing_open(&processes, "/proc"))
		return 0;
	while (listing_next(&processes, &pid)) {
		strcpy(put_number(stpcpy(directory, "/proc/"), pid), "/fd");
		if (!listing_open(&descriptors, directory))
			continue;
		bool found = false;
		while (!found && listing_next(&descriptors, &number))
			found = link_is(directory, number, wanted);
		listing_close(&descriptors);
		if (found) {
			listing_close(&processes);
			*fd = (int)number;
			return pid;
		}
	}
	listing_close(&processes);
	return 0;
}

bool tell_memory(void *to, const void *from, size_t length)
{
	struct iovec local = { (void *)from, length }, remote = { to, length };
	long self = raw_call(SYS_getpid, 0);
	return raw_call(SYS_process_vm_writev, self, (long)&local, 1, (long)&remote, 1) == (long)length;
}

/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "permit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/syscall.h>

#include "ask.h"
#include "raw.h"
#include "real.h"

#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif

static void set_both(int fd, uint32_t options)
{
	tell_option(fd, SOL_SOCKET, SO_REUSEADDR, (options & OPTION_REUSEADDR) != 0);
	tell_option(fd, SOL_SOCKET, SO_REUSEPORT, (options & OPTION_REUSEPORT) != 0);
}

int permit_plain_bind(int fd, const struct holder *claim, const struct sockaddr *address, socklen_t length)
{
	uint32_t options = claim->options & (OPTION_REUSEADDR | OPTION_REUSEPORT);
	if (options)
		set_both(fd, 0);
	int result = real.bind(fd, address, length);
	if (options)
		set_both(fd, options);
	return result;
}

void permit_reuse(int fd, const struct holder *claim)
{
	tell_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	/* Two TCP listeners on one place need SO_REUSEPORT on both, the first before its listen().  UDP
	 * sockets share by SO_REUSEADDR alone, and then the last one bound gets all, not a hash of them. */
	if (claim->protocol == PROTOCOL_TCP)
		tell_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
}

int permit_bind(int fd, const struct holder *claim, const struct sockaddr *address, socklen_t length, bool any_address, bool *plain)
{
	int result = real.bind(fd, address, length);
	if (result < 0 && errno == EADDRNOTAVAIL && any_address) {
		tell_option(fd, claim->domain == AF_INET ? IPPROTO_IP : IPPROTO_IPV6, claim->domain == AF_INET ? IP_FREEBIND : IPV6_FREEBIND, 1);
		result = real.bind(fd, address, length);
	}
	*plain = result == 0;
	if (result < 0 && errno != EADDRINUSE)
		return result;
	permit_reuse(fd, claim);
	if (result < 0)
		result = real.bind(fd, address, length);
	if (result < 0)
		set_both(fd, 0);
	return result;
}

void permit_replace(int fd)
{
	long status = raw_call(SYS_fcntl, fd, F_GETFL), flags = raw_call(SYS_fcntl, fd, F_GETFD);
	int domain = ask_option(fd, SOL_SOCKET, SO_DOMAIN), type = ask_option(fd, SOL_SOCKET, SO_TYPE);
	if (status < 0 || flags < 0 || domain < 0 || type < 0)
		return;
	long fresh = raw_call(SYS_socket, domain, type | (status & O_NONBLOCK ? SOCK_NONBLOCK : 0), 0);
	if (fresh < 0)
		return;
	raw_call(SYS_dup3, fresh, fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0);
	raw_call(SYS_close, fresh);
}

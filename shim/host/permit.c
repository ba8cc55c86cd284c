/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "permit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/syscall.h>

#include "ask.h"
#include "raw.h"
#include "real.h"

#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif

void permit_exactly(int fd, uint32_t options)
{
	tell_option(fd, SOL_SOCKET, SO_REUSEADDR, (options & OPTION_REUSEADDR) != 0);
	tell_option(fd, SOL_SOCKET, SO_REUSEPORT, (options & OPTION_REUSEPORT) != 0);
}

uint32_t permit_options(int fd)
{
	return (ask_option(fd, SOL_SOCKET, SO_REUSEADDR) > 0 ? OPTION_REUSEADDR : 0) |
	       (ask_option(fd, SOL_SOCKET, SO_REUSEPORT) > 0 ? OPTION_REUSEPORT : 0);
}

int permit_plain_bind(int fd, const struct holder *claim, const struct sockaddr *address, socklen_t length)
{
	uint32_t options = claim->options & (OPTION_REUSEADDR | OPTION_REUSEPORT);
	if (options)
		permit_exactly(fd, 0);
	int result = real.bind(fd, address, length);
	if (options)
		permit_exactly(fd, options);
	return result;
}

void permit_reuse(int fd, const struct holder *claim)
{
	tell_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	/* Two TCP listeners on one place need SO_REUSEPORT on both.  UDP sockets share by SO_REUSEADDR alone, and then
	 * the last one bound gets all, not a hash of them. */
	if (claim->protocol == PROTOCOL_TCP)
		tell_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
}

void permit_mapped(int fd, const struct holder *claim)
{
	struct in6_addr address;
	memcpy(&address, claim->address, sizeof address);
	if (claim->domain == AF_INET6 && claim->options & OPTION_V6ONLY && IN6_IS_ADDR_V4MAPPED(&address))
		tell_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
}

int permit_first_bind(int fd, const struct holder *claim, const struct sockaddr *address, socklen_t length, bool any_address)
{
	permit_mapped(fd, claim);
	int result = real.bind(fd, address, length);
	if (result < 0 && errno == EADDRNOTAVAIL && any_address) {
		tell_option(fd, claim->domain == AF_INET ? IPPROTO_IP : IPPROTO_IPV6, claim->domain == AF_INET ? IP_FREEBIND : IPV6_FREEBIND, 1);
		result = real.bind(fd, address, length);
	}
	if (result == 0 && claim->options & OPTION_REUSEPORT)
		permit_reuse(fd, claim);
	else if (result == 0)
		tell_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	return result;
}

int permit_listen(int fd, const struct holder *claim, int backlog)
{
	bool grouped = claim->options & OPTION_REUSEPORT;
	if (grouped)
		tell_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	int result = real.listen(fd, backlog);
	if (grouped || (result < 0 && errno != EADDRINUSE))
		return result;
	tell_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	return result == 0 ? 0 : real.listen(fd, backlog);
}

int permit_bind(int fd, const struct holder *claim, const struct sockaddr *address, socklen_t length, uint32_t afterwards)
{
	permit_reuse(fd, claim);
	int result = real.bind(fd, address, length);
	if (result < 0 || afterwards != PERMIT_KEEP)
		permit_exactly(fd, afterwards == PERMIT_KEEP ? 0 : afterwards);
	return result;
}

bool permit_port_is_free(enum protocol protocol, uint16_t port)
{
	struct sockaddr_in6 any6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in any4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	int type = protocol == PROTOCOL_TCP ? SOCK_STREAM : SOCK_DGRAM;
	long fd = ask_socket(AF_INET6, type, 0), result;
	if (fd >= 0) {
		tell_option((int)fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
		result = raw_call(SYS_bind, fd, (long)&any6, sizeof any6);
	} else { /* a kernel without IPv6 */
		fd = ask_socket(AF_INET, type, 0);
		result = fd < 0 ? fd : raw_call(SYS_bind, fd, (long)&any4, sizeof any4);
	}
	if (fd >= 0)
		raw_call(SYS_close, fd);
	return result == 0;
}

int permit_address_error(const struct holder *claim)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_scope_id = claim->scope };
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	bool ipv4 = claim->domain == AF_INET;
	memcpy(ipv4 ? (void *)&v4.sin_addr : (void *)&v6.sin6_addr, claim->address, ipv4 ? 4 : 16);
	long fd = ask_socket(claim->domain, claim->protocol == PROTOCOL_TCP ? SOCK_STREAM : SOCK_DGRAM, 0);
	if (fd < 0)
		return 0;
	if (claim->ifindex)
		tell_option((int)fd, SOL_SOCKET, SO_BINDTOIFINDEX, (int)claim->ifindex);
	if (!ipv4)
		tell_option((int)fd, IPPROTO_IPV6, IPV6_V6ONLY, (claim->options & OPTION_V6ONLY) != 0);
	long result = raw_call(SYS_bind, fd, ipv4 ? (long)&v4 : (long)&v6, ipv4 ? sizeof v4 : sizeof v6);
	raw_call(SYS_close, fd);
	return (int)-result;
}

void permit_duplicate(int fd, int onto)
{
	raw_call(SYS_dup3, fd, onto, raw_call(SYS_fcntl, onto, F_GETFD) & FD_CLOEXEC ? O_CLOEXEC : 0);
}

void permit_replace(int fd, bool v6only)
{
	long status = raw_call(SYS_fcntl, fd, F_GETFL);
	int domain = ask_option(fd, SOL_SOCKET, SO_DOMAIN), type = ask_option(fd, SOL_SOCKET, SO_TYPE);
	if (status < 0 || domain < 0 || type < 0)
		return;
	long fresh = ask_socket(domain, type | (status & O_NONBLOCK ? SOCK_NONBLOCK : 0), 0);
	if (fresh < 0)
		return;
	if (domain == AF_INET6)
		tell_option((int)fresh, IPPROTO_IPV6, IPV6_V6ONLY, v6only);
	permit_duplicate((int)fresh, fd);
	raw_call(SYS_close, fresh);
}

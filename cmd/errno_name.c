/* SPDX-License-Identifier: MIT */
#include "errno_name.h"

#include <errno.h>
#include <stddef.h>

#define NAME(error) { error, #error }

static const struct {
	int error;
	const char *name;
} names[] = {
	NAME(EACCES), NAME(EADDRINUSE), NAME(EADDRNOTAVAIL), NAME(EAFNOSUPPORT), NAME(EAGAIN), NAME(EALREADY),
	NAME(EBADF), NAME(EBUSY), NAME(ECONNABORTED), NAME(ECONNREFUSED), NAME(ECONNRESET), NAME(EDESTADDRREQ),
	NAME(EEXIST), NAME(EFAULT), NAME(EHOSTUNREACH), NAME(EINPROGRESS), NAME(EINTR), NAME(EINVAL), NAME(EIO),
	NAME(EISCONN), NAME(EMFILE), NAME(EMSGSIZE), NAME(ENETDOWN), NAME(ENETUNREACH), NAME(ENFILE), NAME(ENOBUFS),
	NAME(ENODEV), NAME(ENOENT), NAME(ENOMEM), NAME(ENOPROTOOPT), NAME(ENOSYS), NAME(ENOTCONN), NAME(ENOTSOCK),
	NAME(ENXIO), NAME(EOPNOTSUPP), NAME(EPERM), NAME(EPIPE), NAME(EPROTO), NAME(EPROTONOSUPPORT),
	NAME(EPROTOTYPE), NAME(ESHUTDOWN), NAME(ESOCKTNOSUPPORT), NAME(ESRCH), NAME(ETIMEDOUT), NAME(ECHILD)
};

const char *errno_name(int error)
{
	if (!error)
		return "ok";
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].error == error)
			return names[i].name;
	return "errno";
}

/* SPDX-License-Identifier: MIT */
#include "errno_name.h"

#include <errno.h>
#include <stddef.h>

#define ERRNO(name) { name, #name },

static const struct {
	int error;
	const char *name;
} names[] = {
#include "shim/explain/errno.def"
	ERRNO(EBUSY) ERRNO(EDESTADDRREQ) ERRNO(EDOM) ERRNO(EEXIST) ERRNO(EIO) ERRNO(EMSGSIZE) ERRNO(ENAMETOOLONG)
	ERRNO(ENETDOWN) ERRNO(ENFILE) ERRNO(ENOBUFS) ERRNO(ENOENT) ERRNO(ENOMEM) ERRNO(ENOSYS) ERRNO(EPROTO)
	ERRNO(EPROTOTYPE) ERRNO(ESHUTDOWN) ERRNO(ESRCH) ERRNO(ECHILD)
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

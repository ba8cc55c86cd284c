/* SPDX-License-Identifier: MIT */
#ifndef FAKEBIND_ERRNO_NAME_H
#define FAKEBIND_ERRNO_NAME_H

/* "EADDRINUSE" for EADDRINUSE, "ok" for 0; "errno" for one that no socket call is known to give.
 * (strerrorname_np is glibc's alone.) */
const char *errno_name(int error);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * fakebind: the names a program, a test or a shell may use.
 *
 * Environment read by libfakebind.so when a program starts (never in secure-execution mode, ld.so(8)):
 */
#ifndef FAKEBIND_H
#define FAKEBIND_H

/* The system under test, one of `fakebind profiles`.  Not set or empty: every call passes untouched.
 * Unknown: one warning on stderr, and every call passes.  For a profile out of a file the launcher writes
 * NAME:FAMILY:FINGERPRINT:NUMBER,... which only the same version of fakebind reads. */
#define FAKEBIND_ENV_OS "FAKEBIND_OS"

/* Absolute path of the registry shared by the programs of one run; made if it is not there (0600).  Not set:
 * one for each user and system, in $XDG_RUNTIME_DIR/fakebind or /dev/shm/fakebind-UID (fakebind-UID-1 and so on where
 * that is another user's, as in a user namespace). */
#define FAKEBIND_ENV_REGISTRY "FAKEBIND_REGISTRY"

/* "1": one line on stderr for each refusal; "all": for each decision; "0" or not set: silence. */
#define FAKEBIND_ENV_EXPLAIN "FAKEBIND_EXPLAIN"

/* Absolute path of a file to which every call that decides who has a port is appended, a line of JSON each:
 * fakebind-log(5). */
#define FAKEBIND_ENV_LOG "FAKEBIND_LOG"

/* "1": the machine's loopback interface has 127.0.0.2 and its like, as if somebody had added them.  Systems other
 * than Linux have 127.0.0.1 alone. */
#define FAKEBIND_ENV_LOOPBACK_ALIAS "FAKEBIND_LOOPBACK_ALIAS"

/* Words with commas between them, the last of a kind counts:
 * "exclusive" (or "exclusive=1"): every new socket has SO_EXCLUSIVEADDRUSE (Windows), SO_EXCLBIND (illumos) set;
 * systems without it take no notice.  "exclusive=0" is as if not set.
 * "reuseaddr=1": every new socket has SO_REUSEADDR on, and turning it off succeeds without effect; "reuseaddr=0":
 * turning it on succeeds without effect; "reuseaddr=keep": as the program says. */
#define FAKEBIND_ENV_SET "FAKEBIND_SET"

/* Names of programs with commas between them: only they are meant, or all but they; others pass untouched.  A
 * program goes by the name of its file (/proc/PID/exe, so python3.11, not python3) and by that of its process
 * (/proc/PID/comm; a script's own). */
#define FAKEBIND_ENV_ONLY "FAKEBIND_ONLY"
#define FAKEBIND_ENV_SKIP "FAKEBIND_SKIP"
/* How long connections stay in TIME_WAIT or FIN_WAIT_2 after their last close(), where the system under test has
 * such remnants: "off", a time up to a day ("250ms", "2s", "5m", "1h") or a factor up to 1000 ("x0.01") of the
 * system's own.  Not set: as the system has it. */
#define FAKEBIND_ENV_TIME_WAIT "FAKEBIND_TIME_WAIT"

/* What a call fails with where the system under test would halt (kernel panic): ENOTRECOVERABLE, which no
 * profile uses for anything else.  The explanation says so. */
#define FAKEBIND_EHALT ENOTRECOVERABLE

/* Options of other systems, for setsockopt(fd, SOL_SOCKET, ...); ENOPROTOOPT where the system under test has
 * none of that name.  No Linux option has these numbers. */
#define FAKEBIND_SO_REUSEPORT_LB 0x10000 /* FreeBSD 12: SO_REUSEPORT_LB */
#define FAKEBIND_SO_EXCLUSIVE 0x1015     /* illumos: SO_EXCLBIND; Windows: SO_EXCLUSIVEADDRUSE */

#endif

/* SPDX-License-Identifier: MIT */
/*
 * fakebind: the names a program, a test or a shell may use.
 *
 * Environment read by libfakebind.so when a program starts (never in secure-execution mode, ld.so(8)):
 */
#ifndef FAKEBIND_H
#define FAKEBIND_H

/* The system under test, one of `fakebind profiles`.  Not set or empty: every call passes untouched.
 * Unknown: one warning on stderr, and every call passes. */
#define FAKEBIND_ENV_OS "FAKEBIND_OS"

/* Absolute path of the registry shared by the programs of one run; made if it is not there (0600).  Not set:
 * one for each user and system, in $XDG_RUNTIME_DIR/fakebind or /dev/shm/fakebind-UID. */
#define FAKEBIND_ENV_REGISTRY "FAKEBIND_REGISTRY"

/* "1": one line on stderr for each refusal; "all": for each decision; "0" or not set: silence. */
#define FAKEBIND_ENV_EXPLAIN "FAKEBIND_EXPLAIN"

/* What a call fails with where the system under test would halt (kernel panic): ENOTRECOVERABLE, which no
 * profile uses for anything else.  The explanation says so. */
#define FAKEBIND_EHALT ENOTRECOVERABLE

#endif

/* SPDX-License-Identifier: MIT */
/* Functions that a bind() seldom comes to: the compiler makes them small, puts them out of the way, and takes the
 * branches that lead to them for unlikely. */
#ifndef FAKEBIND_SELDOM_H
#define FAKEBIND_SELDOM_H

#define SELDOM __attribute__((cold))

#endif

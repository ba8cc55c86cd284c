/* SPDX-License-Identifier: MIT */
/* A preload that does nothing: what the start of a program under any preload costs. */
int fakebind_bench_nothing(void);
int fakebind_bench_nothing(void)
{
	return 0;
}

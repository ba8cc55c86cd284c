/* SPDX-License-Identifier: MIT */
/* Preloaded before the library: mappings that it asks for are refused. */
#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

__attribute__((visibility("default"))) void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
	(void)address, (void)length, (void)protection, (void)flags, (void)fd, (void)offset;
	errno = ENOMEM;
	return MAP_FAILED;
}

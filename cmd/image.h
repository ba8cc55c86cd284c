/* SPDX-License-Identifier: MIT */
/* A program or library as a file: what its ELF headers say.  Nothing in it is believed before it is checked. */
#ifndef FAKEBIND_IMAGE_H
#define FAKEBIND_IMAGE_H

#include <link.h>
#include <stdbool.h>
#include <stddef.h>

struct image {
	const char *name;
	int fd;
	const unsigned char *bytes;
	size_t size;
};

/* False: errno says why. */
bool image_open(struct image *, const char *name);
void image_close(struct image *);

/* NULL: no ELF file.  It may be of another word size: look at image_bits() first. */
const ElfW(Ehdr) *image_elf(const struct image *);
int image_bits(const ElfW(Ehdr) *);
/* 64 or 32: those of fakebind itself. */
int image_our_bits(void);
bool image_is_our_machine(const ElfW(Ehdr) *);

/* These are for images of our word size.  Each gives the next one from *index on; NULL at the end. */
const ElfW(Phdr) *image_segment(const struct image *, unsigned type, unsigned *index);
const char *image_section(const struct image *, unsigned *index);
const char *image_needed(const struct image *, size_t *index);
const char *image_symbol(const struct image *, size_t *index, bool *defined);

/* The dynamic loader it asks for; NULL: none. */
const char *image_interpreter(const struct image *);

#endif

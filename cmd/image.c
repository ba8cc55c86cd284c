/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "image.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Our own headers: the linker's name for where they begin. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

bool image_open(struct image *image, const char *name)
{
	struct stat status;
	void *bytes;

	image->name = name;
	image->fd = open(name, O_RDONLY | O_CLOEXEC);
	if (image->fd < 0)
		return false;
	if (fstat(image->fd, &status) == 0 && status.st_size > 0) {
		bytes = mmap(NULL, status.st_size, PROT_READ, MAP_PRIVATE, image->fd, 0);
		if (bytes != MAP_FAILED) {
			image->bytes = bytes;
			image->size = status.st_size;
			return true;
		}
	}
	image->bytes = NULL; /* an empty file is an empty script */
	image->size = 0;
	return true;
}

void image_close(struct image *image)
{
	if (image->bytes)
		munmap((void *)image->bytes, image->size);
	close(image->fd);
}

/* NULL unless all of it is in the file. */
static const void *at(const struct image *image, uint64_t offset, uint64_t length)
{
	if (offset > image->size || length > image->size - offset)
		return NULL;
	return image->bytes + offset;
}

static const char *string_at(const struct image *image, uint64_t offset)
{
	if (offset >= image->size || !memchr(image->bytes + offset, 0, image->size - offset))
		return NULL;
	return (const char *)image->bytes + offset;
}

const ElfW(Phdr) *image_segment(const struct image *image, unsigned type, unsigned *index)
{
	const ElfW(Ehdr) *header = at(image, 0, sizeof(*header));
	const ElfW(Phdr) *one;

	if (header->e_phentsize != sizeof(*one))
		return NULL;
	while (*index < header->e_phnum) {
		one = at(image, header->e_phoff + (uint64_t)(*index)++ * sizeof(*one), sizeof(*one));
		if (one && one->p_type == type)
			return one;
	}
	return NULL;
}

/* Where in the file an address of the program comes from. */
static uint64_t offset_of(const struct image *image, uint64_t address)
{
	const ElfW(Phdr) *load;
	unsigned index = 0;

	while ((load = image_segment(image, PT_LOAD, &index)))
		if (address - load->p_vaddr < load->p_filesz)
			return load->p_offset + (address - load->p_vaddr);
	return image->size;
}

const ElfW(Ehdr) *image_elf(const struct image *image)
{
	const ElfW(Ehdr) *header = at(image, 0, sizeof(*header));

	return header && !memcmp(header->e_ident, ELFMAG, SELFMAG) ? header : NULL;
}

int image_bits(const ElfW(Ehdr) *header)
{
	return header->e_ident[EI_CLASS] == ELFCLASS64 ? 64 : 32;
}

int image_our_bits(void)
{
	return image_bits(&__ehdr_start);
}

bool image_is_our_machine(const ElfW(Ehdr) *header)
{
	return header->e_machine == __ehdr_start.e_machine;
}

const char *image_interpreter(const struct image *image)
{
	const ElfW(Phdr) *found = image_segment(image, PT_INTERP, &(unsigned){ 0 });

	return found ? string_at(image, found->p_offset) : NULL;
}

/* ---- sections ---- */

static const ElfW(Shdr) *section(const struct image *image, unsigned index)
{
	const ElfW(Ehdr) *header = at(image, 0, sizeof(*header));

	if (header->e_shentsize != sizeof(ElfW(Shdr)) || index >= header->e_shnum)
		return NULL;
	return at(image, header->e_shoff + (uint64_t)index * sizeof(ElfW(Shdr)), sizeof(ElfW(Shdr)));
}

const char *image_section(const struct image *image, unsigned *index)
{
	const ElfW(Ehdr) *header = at(image, 0, sizeof(*header));
	const ElfW(Shdr) *names = section(image, header->e_shstrndx), *one;

	while (names && (one = section(image, (*index)++))) {
		const char *name = string_at(image, names->sh_offset + one->sh_name);

		if (name)
			return name;
	}
	return NULL;
}

/* ---- what the dynamic loader reads ---- */

static const ElfW(Dyn) *dynamic_entries(const struct image *image, size_t *count)
{
	const ElfW(Phdr) *dynamic = image_segment(image, PT_DYNAMIC, &(unsigned){ 0 });
	const ElfW(Dyn) *entries = dynamic ? at(image, dynamic->p_offset, dynamic->p_filesz) : NULL;

	*count = entries ? dynamic->p_filesz / sizeof(*entries) : 0;
	return entries;
}

const char *image_needed(const struct image *image, size_t *index)
{
	size_t count;
	const ElfW(Dyn) *entries = dynamic_entries(image, &count);
	uint64_t strings = image->size;

	for (size_t i = 0; i < count; i++)
		if (entries[i].d_tag == DT_STRTAB)
			strings = offset_of(image, entries[i].d_un.d_ptr);
	while (*index < count) {
		const ElfW(Dyn) *entry = &entries[(*index)++];
		const char *name = entry->d_tag == DT_NEEDED ? string_at(image, strings + entry->d_un.d_val) : NULL;

		if (name)
			return name;
	}
	return NULL;
}

static const ElfW(Shdr) *symbol_table(const struct image *image)
{
	const ElfW(Shdr) *one;

	for (unsigned i = 0; (one = section(image, i)); i++)
		if (one->sh_type == SHT_DYNSYM)
			return one;
	return NULL;
}

const char *image_symbol(const struct image *image, size_t *index, bool *defined)
{
	const ElfW(Shdr) *table = symbol_table(image), *strings = table ? section(image, table->sh_link) : NULL;
	size_t count = strings ? table->sh_size / sizeof(ElfW(Sym)) : 0;

	while (*index < count) {
		const ElfW(Sym) *symbol = at(image, table->sh_offset + (*index)++ * sizeof(*symbol), sizeof(*symbol));
		const char *name = symbol && symbol->st_name ? string_at(image, strings->sh_offset + symbol->st_name) : NULL;

		if (!name)
			continue;
		*defined = symbol->st_shndx != SHN_UNDEF;
		return name;
	}
	return NULL;
}

/* SPDX-License-Identifier: MIT */
/* What can be told from a program's or library's file, without running it. */
#define _GNU_SOURCE
#include "doctor.h"

#include <elf.h>
#include <string.h>
#include <sys/syscall.h>

#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425
#endif

/* ---- names ---- */

/* Symbols that tell of something; a name that ends in * stands for all that begin so. */
static const struct sign {
	const char *name;
	bool defined; /* by this image; else it asks for it */
	enum level level;
	const char *check, *finding, *advice;
} signs[] = {
	{ "io_uring_queue_init*", false, LEVEL_LEAK, "io_uring", "uses io_uring (liburing)",
	  "sockets bound by the ring pass by: turn io_uring off in the program, or with sysctl kernel.io_uring_disabled=2" },
	{ "seccomp_load", false, LEVEL_LEAK, "seccomp", "installs a seccomp filter (libseccomp)",
	  "allow openat, read, statx, madvise, kcmp, kill and netlink sockets in it, or turn it off: a refused call is a wrong answer or an end" },
	{ "prctl", false, LEVEL_NOTE, "seccomp", "calls prctl(), which can install a seccomp filter",
	  "if the program has a sandbox, turn it off for the test" },
	{ "dlmopen", false, LEVEL_LEAK, "namespaces", "loads libraries into link namespaces of their own (dlmopen)",
	  "what is bound by those passes by" },
	{ "__asan_init", true, LEVEL_NOTE, "sanitizer", "has AddressSanitizer linked in", NULL },
	{ "__tsan_init", true, LEVEL_NOTE, "sanitizer", "has ThreadSanitizer linked in", NULL },
	{ "__msan_init", true, LEVEL_NOTE, "sanitizer", "has MemorySanitizer linked in", NULL },
};

#define SIGNS (sizeof(signs) / sizeof(*signs))

static bool matches(const char *pattern, const char *name)
{
	size_t length = strlen(pattern);

	return pattern[length - 1] == '*' ? !strncmp(pattern, name, length - 1) : !strcmp(pattern, name);
}

static bool is_sanitizer_runtime(const char *name)
{
	return !strncmp(name, "__tsan_init", 11) || !strncmp(name, "__asan_init", 11) || !strncmp(name, "__msan_init", 11);
}

/* A program's own definition is found before that of any library, preloaded or not. */
static const char *own_definition(const struct image *image)
{
	static const char *const calls[] = { "bind", "listen", "socket", "setsockopt", "connect" };
	const char *name, *found = NULL;
	bool defined;

	for (size_t index = 0; (name = image_symbol(image, &index, &defined));) {
		if (defined && is_sanitizer_runtime(name))
			return NULL; /* it calls the next one, which is ours */
		for (size_t i = 0; defined && i < sizeof(calls) / sizeof(*calls); i++)
			if (!strcmp(name, calls[i]))
				found = calls[i];
	}
	return found;
}

static void check_symbols(struct report *report, const struct image *image, bool is_program)
{
	bool seen[SIGNS] = { false }, defined;
	const char *name;

	for (size_t index = 0; (name = image_symbol(image, &index, &defined));)
		for (size_t i = 0; i < SIGNS; i++)
			if (!seen[i] && defined == signs[i].defined && matches(signs[i].name, name)) {
				/* Libraries that could, but that the program may never ask to. */
				if (!is_program && signs[i].level == LEVEL_NOTE)
					continue;
				seen[i] = true;
				report_add(report, signs[i].level, signs[i].check, signs[i].advice, "%s %s", image->name, signs[i].finding);
			}
	name = is_program ? own_definition(image) : NULL;
	if (name)
		report_add(report, LEVEL_LEAK, "symbols", "build it without its own, or rename that",
			   "%s defines %s() itself, which is taken before fakebind's", image->name, name);
}

static void check_needed(struct report *report, const struct image *image)
{
	const char *name;

	for (size_t index = 0; (name = image_needed(image, &index));)
		if (strstr(name, "libasan.so") || strstr(name, "libclang_rt.asan"))
			report_add(report, LEVEL_FINE, "sanitizer", NULL,
				   "%s has the shared AddressSanitizer: fakebind sets ASAN_OPTIONS=verify_asan_link_order=0 for it", image->name);
}

/* ---- Go ---- */

static bool is_go(const struct image *image)
{
	const char *name;

	for (unsigned index = 0; (name = image_section(image, &index));)
		if (!strcmp(name, ".note.go.buildid") || !strcmp(name, ".gopclntab") || !strcmp(name, ".go.buildinfo"))
			return true;
	return false;
}

/* ---- system calls in the code ---- */

static const struct raw_call {
	unsigned number;
	const char *check, *name;
} raw_calls[] = {
	{ SYS_bind, "raw-calls", "bind" },
	{ SYS_listen, "raw-calls", "listen" },
	{ SYS_socket, "raw-calls", "socket" },
	{ SYS_io_uring_setup, "io_uring", "io_uring_setup" },
};

#define RAW_CALLS (sizeof(raw_calls) / sizeof(*raw_calls))
#define BEFORE 24 /* bytes, in which a compiler loads the number of the call that it makes */

#ifdef __x86_64__

static bool is_call(const unsigned char *code)
{
	return code[0] == 0x0f && code[1] == 0x05; /* syscall */
}

static bool loads(const unsigned char *code, unsigned number)
{
	return code[0] == 0xb8 && !memcmp(code + 1, &number, 4); /* mov $number, %eax */
}

static bool passes(const unsigned char *code, unsigned number)
{
	return code[0] == 0xbf && !memcmp(code + 1, &number, 4); /* mov $number, %edi */
}

#elif defined(__aarch64__)

static uint32_t word_at(const unsigned char *code)
{
	return (uint32_t)code[0] | (uint32_t)code[1] << 8 | (uint32_t)code[2] << 16 | (uint32_t)code[3] << 24;
}

static bool is_call(const unsigned char *code)
{
	return word_at(code) == 0xd4000001; /* svc #0 */
}

static bool loads(const unsigned char *code, unsigned number)
{
	return (word_at(code) & ~0x80000000u) == (0x52800008 | number << 5); /* mov w8 or x8, #number */
}

static bool passes(const unsigned char *code, unsigned number)
{
	return (word_at(code) & ~0x80000000u) == (0x52800000 | number << 5); /* mov w0 or x0, #number */
}

#else

static bool is_call(const unsigned char *code) { (void)code; return false; }
static bool loads(const unsigned char *code, unsigned number) { (void)code; (void)number; return false; }
static bool passes(const unsigned char *code, unsigned number) { (void)code; (void)number; return false; }

#endif

static bool imports(const struct image *image, const char *wanted)
{
	const char *name;
	bool defined;

	for (size_t index = 0; (name = image_symbol(image, &index, &defined));)
		if (!defined && !strcmp(name, wanted))
			return true;
	return false;
}

/* The calls of the table that a piece of code makes itself, a bit each. */
static unsigned find_calls(const unsigned char *code, size_t size)
{
	unsigned found = 0;

	for (size_t at = BEFORE; at + 4 <= size; at++)
		for (size_t back = 4; is_call(code + at) && back <= BEFORE; back++)
			for (size_t i = 0; i < RAW_CALLS; i++)
				if (loads(code + at - back, raw_calls[i].number))
					found |= 1u << i;
	return found;
}

static bool passes_ring(const unsigned char *code, size_t size)
{
	for (size_t at = 0; at + 5 <= size; at++)
		if (passes(code + at, SYS_io_uring_setup))
			return true;
	return false;
}

static void check_code(struct report *report, const struct image *image)
{
	bool by_syscall = imports(image, "syscall"), ring = false;
	unsigned index = 0, found = 0;
	const ElfW(Phdr) *load;

	while ((load = image_segment(image, PT_LOAD, &index))) {
		const unsigned char *code = image->bytes + load->p_offset;

		if (!(load->p_flags & PF_X) || load->p_offset > image->size || load->p_filesz > image->size - load->p_offset)
			continue;
		found |= find_calls(code, load->p_filesz);
		ring |= by_syscall && passes_ring(code, load->p_filesz);
	}
	if (ring)
		report_add(report, LEVEL_NOTE, "io_uring", "if it binds by the ring: sysctl kernel.io_uring_disabled=2",
			   "%s can set up an io_uring by syscall()", image->name);
	for (size_t i = 0; i < RAW_CALLS; i++)
		if (found & 1u << i)
			report_add(report, LEVEL_LEAK, raw_calls[i].check, "make the call through the C library (Rust's rustix: its libc backend)",
				   "%s makes the system call %s without the C library", image->name, raw_calls[i].name);
}

void doctor_image(struct report *report, const struct image *image, const ElfW(Ehdr) *header, bool is_program)
{
	if (image_bits(header) != image_our_bits() || !image_is_our_machine(header))
		return;
	if (is_go(image))
		report_add(report, LEVEL_LEAK, "go", "none for the standard library's net package: it makes its system calls itself, with cgo or without",
			   "%s is a Go program", image->name);
	else
		check_code(report, image);
	check_symbols(report, image, is_program);
	check_needed(report, image);
}

/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "config.h"

#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "../host/ask.h"
#include "../host/place.h"
#include "../host/raw.h"
#include "../host/real.h"
#include "log.h"
#include "sockets.h"
#include "unseen.h"

struct session session;

/* The launcher looks for this in the file (cmd/library.c), as what(1) would. */
static const char what[] = "@(#)fakebind " PACKAGE_VERSION;

/* Writing to a closed pipe must not end the program: this thread's SIGPIPE is held back and taken away. */
long write_quietly(int fd, const char *line, size_t length)
{
	const uint64_t pipe = 1ull << (SIGPIPE - 1);
	const long now[2] = { 0, 0 };
	uint64_t before = 0, pending = 0;
	raw_call(SYS_rt_sigpending, (long)&pending, sizeof pending);
	raw_call(SYS_rt_sigprocmask, SIG_BLOCK, (long)&pipe, (long)&before, sizeof pipe);
	long written = raw_call(SYS_write, fd, (long)line, (long)length);
	if (written == -EPIPE && !(pending & pipe))
		raw_call(SYS_rt_sigtimedwait, (long)&pipe, 0, (long)now, sizeof pipe);
	raw_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, sizeof before);
	return written;
}

void session_write(const char *line, size_t length)
{
	struct raw_statx file;
	/* A program that closed its stderr may have a socket or a database there now. */
	if (raw_call(SYS_statx, 2, (long)"", AT_EMPTY_PATH, RAW_STATX_BASIC, (long)&file) == 0 &&
	    file.ino == session.stderr_inode && file.mode == session.stderr_mode)
		write_quietly(2, line, length);
}

void session_stderr(void)
{
	struct raw_statx file = { 0 };
	raw_call(SYS_statx, 2, (long)"", AT_EMPTY_PATH, RAW_STATX_BASIC, (long)&file);
	session.stderr_inode = file.ino;
	session.stderr_mode = file.mode;
}

/* What comes from outside goes to a terminal, and must leave room for what is said about it. */
static size_t copy_printable(char *to, const char *from)
{
	size_t length = 0;
	for (; from[length] && length < 300; length++)
		to[length] = from[length] >= ' ' && from[length] < 0x7f ? from[length] : '?';
	return length;
}

void session_say(const char *first, ...)
{
	char line[1024];
	size_t used = 0;
	va_list list;
	va_start(list, first);
	for (const char *part = first; part && used < sizeof line - 301; part = va_arg(list, const char *))
		used += copy_printable(line + used, part);
	va_end(list);
	line[used++] = '\n';
	session_write(line, used);
}

static bool read_explain(void)
{
	const char *value = secure_getenv("FAKEBIND_EXPLAIN");
	if (!value || !*value || !strcmp(value, "0"))
		session.explain = EXPLAIN_NOTHING;
	else if (!strcmp(value, "1"))
		session.explain = EXPLAIN_REFUSALS;
	else if (!strcmp(value, "all"))
		session.explain = EXPLAIN_ALL;
	else {
		session_say("fakebind: FAKEBIND_EXPLAIN=", value, ": expected 0, 1 or all; nothing will be explained", NULL);
		return false;
	}
	return true;
}

static bool is_one_of(const char *value, const char *first, const char *second)
{
	return value && (!strcmp(value, first) || !strcmp(value, second));
}

/* One word of FAKEBIND_SET, up to a comma.  False: there is none such. */
static bool read_word(const char *word, size_t length)
{
	static const struct {
		char word[16];
		uint8_t exclusive, reuseaddr; /* one more than what it becomes, 0: it stays */
	} words[] = {
		{ "exclusive", 2, 0 }, { "exclusive=1", 2, 0 }, { "exclusive=0", 1, 0 },
		{ "reuseaddr=keep", 0, REUSEADDR_KEEP + 1 }, { "reuseaddr=0", 0, REUSEADDR_OFF + 1 },
		{ "reuseaddr=1", 0, REUSEADDR_ON + 1 },
	};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (strnlen(words[i].word, sizeof words[i].word) != length || memcmp(words[i].word, word, length))
			continue;
		if (words[i].exclusive)
			session.options = words[i].exclusive > 1 ? OPTION_EXCLUSIVE : 0;
		if (words[i].reuseaddr)
			session.reuseaddr = words[i].reuseaddr - 1;
		return true;
	}
	return length == 0;
}

static bool read_set(const char *list)
{
	for (size_t length; *list; list += length + (list[length] == ',')) {
		length = strcspn(list, ",");
		if (!read_word(list, length))
			return false;
	}
	return true;
}

static bool read_time_wait(void)
{
	const char *value = secure_getenv("FAKEBIND_TIME_WAIT");
	session.time_wait = TIME_WAIT_NATURAL;
	session.own_time = value && *value;
	if (!session.own_time || time_wait_parse(value, &session.time_wait))
		return true;
	session_say("fakebind: FAKEBIND_TIME_WAIT=", value, ": expected " TIME_WAIT_EXPECTED "; calls pass to the host", NULL);
	return false;
}

/* What the user says about the machine and its programs.  False: it cannot be understood. */
static bool read_settings(void)
{
	const char *alias = secure_getenv("FAKEBIND_LOOPBACK_ALIAS"), *set = secure_getenv("FAKEBIND_SET");
	session.loopback_alias = is_one_of(alias, "1", "1");
	if (alias && !session.loopback_alias && !is_one_of(alias, "", "0")) {
		session_say("fakebind: FAKEBIND_LOOPBACK_ALIAS=", alias, ": expected 0 or 1; calls pass to the host", NULL);
		return false;
	}
	if (set && !read_set(set)) {
		session_say("fakebind: FAKEBIND_SET=", set, ": expected exclusive=0|1 or reuseaddr=0|1|keep, commas between them; "
			    "calls pass to the host", NULL);
		return false;
	}
	return read_time_wait();
}

/* Is this program in the list, by its file or by the name of the process (of a script, its own)? */
static bool is_listed(const char *list)
{
	char file[4096], name[16] = "";
	long end = raw_call(SYS_readlinkat, AT_FDCWD, (long)"/proc/self/exe", (long)file, sizeof file - 1);
	file[end > 0 ? end : 0] = 0;
	const char *slash = strrchr(file, '/'), *base = slash ? slash + 1 : file;
	ask_program((uint32_t)raw_call(SYS_getpid, 0), name);
	for (size_t length; *list; list += length + (list[length] == ',')) {
		length = strcspn(list, ",");
		size_t shown = length < sizeof name ? length : sizeof name - 1; /* the kernel cuts it */
		if (length && ((strlen(base) == length && !memcmp(base, list, length)) || (strlen(name) == shown && !memcmp(name, list, shown))))
			return true;
	}
	return false;
}

/* FAKEBIND_ONLY, FAKEBIND_SKIP: is it this program that the user means? */
static bool is_meant(void)
{
	const char *only = secure_getenv("FAKEBIND_ONLY"), *skip = secure_getenv("FAKEBIND_SKIP");
	return (!only || !*only || is_listed(only)) && (!skip || !is_listed(skip));
}

/* FAKEBIND_OS: a name, or a profile that the launcher read from a file and wrote in one word. */
static const struct profile *chosen_profile(const char *value)
{
	static struct profile given;
	static char given_name[PROFILE_NAME + 1];
	const char *why = ": no such system (fakebind profiles lists them); calls pass to the host";
	const struct profile *profile = profile_find(value);
	if (profile)
		return profile;
	if (strchr(value, '/'))
		why = ": files are read by `fakebind --os` alone; calls pass to the host";
	else if (strchr(value, ':')) {
		if (profile_decode(value, &given, given_name))
			return &given;
		why = ": damaged, or made by another version of fakebind; calls pass to the host";
	}
	session_say(what + 4, ": FAKEBIND_OS=", value, why, NULL);
	return NULL;
}

/* The registry's file: FAKEBIND_REGISTRY, or one for each user and system. */
static const char *registry_path(const char *system, char *buffer, size_t size)
{
	const char *path = secure_getenv("FAKEBIND_REGISTRY");
	if (path && *path) {
		if (path[0] == '/')
			return path;
		session_say("fakebind: FAKEBIND_REGISTRY=", path, ": expected an absolute path; calls pass to the host", NULL);
		return NULL;
	}
	const char *problem = place_directory(secure_getenv("XDG_RUNTIME_DIR"), buffer, size);
	if (problem) {
		session_say("fakebind: ", buffer, ": ", problem, "; calls pass to the host", NULL);
		return NULL;
	}
	if (strlen(buffer) + strlen("/default-") + strlen(system) >= size) {
		session_say("fakebind: ", buffer, ": path too long; calls pass to the host", NULL);
		return NULL;
	}
	return strcat(strcat(buffer, "/default-"), system);
}

/* The defaults of all traits are those of a present Linux. */
static bool is_as_host(const struct profile *profile)
{
	for (size_t i = 0; i < TRAIT_COUNT; i++)
		if (profile->trait[i])
			return false;
	return true;
}

void session_start(void)
{
	char buffer[4096], system[PROFILE_SYSTEM];
	const char *name = secure_getenv("FAKEBIND_OS"), *log = secure_getenv("FAKEBIND_LOG");
	if (!name || !*name || !is_meant())
		return;
	session_stderr();
	const struct profile *profile = chosen_profile(name);
	if (!profile || !read_settings())
		return;
	read_explain();
	profile_system(profile, system);
	const char *path = registry_path(system, buffer, sizeof buffer);
	if (!path)
		return;
	int saved = errno;
	enum registry_error error = registry_open(&session.registry, path, system, 0);
	const char *text = registry_error_text(error);
	errno = saved;
	if (error != REGISTRY_OK) {
		session_say("fakebind: ", path, ": ", text, "; calls pass to the host", NULL);
		return;
	}
	if (session.own_time)
		registry_set_time_wait(&session.registry, session.time_wait);
	session.asks = profile->family->asks(profile);
	session.mirror = !session.own_time && profile->trait[trait_host] == host_mirror;
	session.as_host = session.mirror && is_as_host(profile);
	session.beyond_host = profile->trait[trait_beyond_host] == beyond_host_yes;
	session.stricter = profile->trait[trait_stricter_than_host] == stricter_than_host_yes;
	session.any_address = profile->trait[trait_foreign_address] == foreign_address_bound;
	session.profile = profile;
	session.remembers = unseen_remembers();
	session.log = log && *log && log_start(log);
}

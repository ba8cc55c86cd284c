/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>

#include "../explain/record.h"
#include "../host/ask.h"
#include "../host/diag.h"
#include "../host/raw.h"
#include "claim.h"
#include "fakebind.h"
#include "session.h"

/* ---- the file ---- */

#define HIGH 900 /* above what programs count on, below what select() can take */

static char path[4096];
static char program[16];
static _Atomic int file = -1;
static uint64_t inode, device;
static atomic_bool warned;

static void warn(long error)
{
	char number[16];
	if (!atomic_exchange(&warned, true))
		session_say("fakebind: ", path, ": ", explain_errno((int)-error, number), ": the log is not complete", NULL);
}

static bool look_at(int fd, struct raw_statx *status)
{
	return raw_call(SYS_statx, fd, (long)"", AT_EMPTY_PATH, RAW_STATX_BASIC, (long)status) == 0;
}

#define RAW_STATX_DEVICE 9 /* in raw_statx.rest */

/* The number may be something else of the program's by now, and the file may have been removed. */
static bool is_ours(int fd)
{
	struct raw_statx status;
	return fd >= 0 && look_at(fd, &status) && status.ino == inode && status.rest[RAW_STATX_DEVICE] == device && status.nlink;
}

static int open_file(void)
{
	const int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	struct raw_statx status;
	int stale = file;
	if (is_ours(stale))
		return stale;
	long fd = raw_call(SYS_openat, AT_FDCWD, (long)path, flags, 0666);
	if (fd < 0)
		return warn(fd), -1;
	long high = raw_call(SYS_fcntl, fd, F_DUPFD_CLOEXEC, HIGH);
	if (high >= 0) {
		raw_call(SYS_close, fd);
		fd = high;
	}
	if (look_at((int)fd, &status)) {
		inode = status.ino;
		device = status.rest[RAW_STATX_DEVICE];
	}
	if (!atomic_compare_exchange_strong(&file, &stale, (int)fd)) { /* another thread was faster */
		raw_call(SYS_close, fd);
		return stale;
	}
	return (int)fd;
}

static void write_record(struct record *record)
{
	char line[RECORD_LINE];
	clock_gettime(CLOCK_REALTIME, &record->time);
	record->pid = own_pid();
	record->uid = ask_caller();
	record->program = program;
	record->system = session.profile->name;
	long length = (long)record_line(line, sizeof line, record);
	int fd = open_file();
	if (fd < 0)
		return;
	long written = write_quietly(fd, line, length);
	if (written != length)
		warn(written < 0 ? written : -ENOSPC);
}

bool log_start(const char *given)
{
	if (given[0] != '/' || strlen(given) >= sizeof path) {
		session_say("fakebind: FAKEBIND_LOG=", given, ": expected an absolute path; no log is written", NULL);
		return false;
	}
	strcpy(path, given);
	ask_program(own_pid(), program);
	return open_file() >= 0;
}

/* ---- one call ---- */

struct note {
	struct note *outer; /* interrupted by a signal handler */
	struct record record;
	struct explanation why;
	struct verdict verdict;
};

static _Thread_local __attribute__((tls_model("initial-exec"))) struct note *current;

static void see_socket(struct holder *socket, int fd, const struct slot *slot)
{
	socket->cookie = slot->cookie ? slot->cookie : ask_cookie(fd);
	socket->domain = slot->domain;
	socket->protocol = slot->protocol;
	socket->options = slot->options;
	if (slot->domain == AF_INET6 && ask_option(fd, IPPROTO_IPV6, IPV6_V6ONLY) > 0)
		socket->options |= OPTION_V6ONLY;
}

static bool find_socket(struct holder *socket, int fd)
{
	struct slot own, *slot;
	if (!slot_identify(fd, &own, &slot))
		return false;
	see_socket(socket, fd, slot);
	slot->cookie = socket->cookie;
	return true;
}

static void prepare(struct note *note, const char *call, int fd)
{
	struct record *record = &note->record;
	note->outer = current;
	note->why.verdict = NULL;
	memset(record, 0, offsetof(struct record, present));
	record->call = call;
	record->fd = fd;
	record->new_fd = record->present_count = -1;
}

/* False: it is no socket of ours, so there is no line. */
static bool begin(struct note *note, const char *call, int fd)
{
	prepare(note, call, fd);
	if (!find_socket(&note->record.socket, fd))
		return false;
	current = note;
	return true;
}

void log_why(const struct explanation *why)
{
	struct note *note = current;
	if (!note)
		return;
	note->why = *why;
	note->verdict = *why->verdict;
	note->why.verdict = &note->verdict;
	note->record.why = &note->why;
}

static int end(struct note *note, int result)
{
	struct record *record = &note->record;
	int saved = errno;
	current = note->outer;
	record->error = result < 0 ? saved : 0;
	write_record(record);
	errno = saved;
	return result;
}

/* What became of the socket: its port, and whether another took its place (permit_replace()). */
static void look_again(struct record *record)
{
	struct holder now = { .domain = record->socket.domain };
	uint64_t cookie = record->socket.cookie;
	if (!find_socket(&record->socket, record->fd))
		return;
	if (record->socket.cookie != cookie)
		record->new_socket = record->socket.cookie;
	record->socket.cookie = cookie;
	if (ask_name(record->fd, &now) == 0)
		record->local_port = now.port;
}

/* An address as its own family reads it. */
static void see_address(struct record *record, const struct sockaddr *given, socklen_t length)
{
	struct sockaddr_storage copy;
	struct holder address = { .domain = AF_INET };
	record->has_argument = true;
	record->argument = (int)length;
	if (!claim_copy(given, length, &copy))
		return;
	if (copy.ss_family == AF_INET6)
		address.domain = AF_INET6;
	if (address_parse(address.domain, &copy, length, &address))
		record->address = address;
}

/* ---- the others on the port ---- */

static bool is_present(void *context, const struct diag_socket *socket)
{
	struct record *record = context;
	uint64_t cookie = socket->holder.cookie;
	if (!socket->inode || cookie == record->socket.cookie || cookie == record->new_socket)
		return true;
	if (record->present_count == RECORD_PRESENT)
		return record->present_count = -1, false;
	record->present[record->present_count++] = cookie;
	return true;
}

/* Has anybody of this session had the port?  Only then it is worth the kernel's walk over all its connections. */
static bool was_taken(const struct record *record)
{
	struct holder holder;
	struct cursor cursor;
	bool doubtful;
	registry_first(&session.registry, claim_bucket((enum protocol)record->socket.protocol, record->address.port), 0, &cursor);
	return record->address.port && registry_next(&session.registry, &cursor, &holder, &doubtful);
}

/* A process that ends says nothing: who meets its port tells that its sockets are gone. */
static void see_others(struct record *record)
{
	if (record->local_port == 0)
		record->local_port = record->address.port;
	if (record->socket.protocol == PROTOCOL_TCP && !diag_complete())
		return;
	record->present_count = 0;
	if (diag_dump((enum protocol)record->socket.protocol, record->local_port, DIAG_ALL, is_present, record) < 0)
		record->present_count = -1;
}

/* ---- the calls ---- */

int log_socket(int domain, int type, int protocol)
{
	struct note note;
	int kind = socket_protocol(type, protocol);
	if ((domain != AF_INET && domain != AF_INET6) || kind < 0)
		return engine_socket(domain, type, protocol);
	prepare(&note, "socket", -1);
	current = &note;
	int fd = engine_socket(domain, type, protocol);
	note.record.fd = fd;
	if (fd < 0 || !find_socket(&note.record.socket, fd)) {
		note.record.socket.domain = (uint8_t)domain;
		note.record.socket.protocol = kind == IPPROTO_UDP ? PROTOCOL_UDP : PROTOCOL_TCP;
	}
	return end(&note, fd);
}

int log_bind(int fd, const struct sockaddr *address, socklen_t length)
{
	struct note note;
	if (!begin(&note, "bind", fd))
		return engine_bind(fd, address, length);
	see_address(&note.record, address, length);
	bool meets = was_taken(&note.record);
	int result = engine_bind(fd, address, length), saved = errno;
	look_again(&note.record);
	if (meets)
		see_others(&note.record);
	errno = saved;
	return end(&note, result);
}

int log_listen(int fd, int backlog)
{
	struct note note;
	if (!begin(&note, "listen", fd))
		return engine_listen(fd, backlog);
	note.record.has_argument = true;
	note.record.argument = backlog;
	int result = engine_listen(fd, backlog), saved = errno;
	look_again(&note.record);
	errno = saved;
	return end(&note, result);
}

int log_connect(int fd, const struct sockaddr *address, socklen_t length)
{
	struct note note;
	if (!begin(&note, "connect", fd))
		return engine_connect(fd, address, length);
	see_address(&note.record, address, length);
	int result = engine_connect(fd, address, length), saved = errno;
	look_again(&note.record);
	errno = saved;
	return end(&note, result);
}

static void see_peer(struct record *record)
{
	struct sockaddr_storage peer;
	socklen_t length = sizeof peer;
	struct holder made = { 0 };
	if (!find_socket(&made, record->new_fd))
		return;
	record->new_socket = made.cookie;
	if (raw_call(SYS_getpeername, record->new_fd, (long)&peer, (long)&length) == 0)
		see_address(record, (struct sockaddr *)&peer, length);
	record->has_argument = false;
}

static int accepted(struct note *note, int made)
{
	int saved = errno;
	if (made < 0 && (saved == EAGAIN || saved == EINTR)) {
		current = note->outer;
		return made;
	}
	note->record.new_fd = made;
	if (made >= 0)
		see_peer(&note->record);
	errno = saved;
	return end(note, made);
}

int log_accept(int fd, struct sockaddr *address, socklen_t *length)
{
	struct note note;
	if (!begin(&note, "accept", fd))
		return engine_accept(fd, address, length);
	return accepted(&note, engine_accept(fd, address, length));
}

int log_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	struct note note;
	if (!begin(&note, "accept", fd))
		return engine_accept4(fd, address, length, flags);
	return accepted(&note, engine_accept4(fd, address, length, flags));
}

/* ---- options ---- */

static const struct option {
	int level, name;
	char word[14];
} options[] = {
	{ SOL_SOCKET, SO_REUSEADDR, "reuseaddr" },
	{ SOL_SOCKET, SO_REUSEPORT, "reuseport" },
	{ IPPROTO_IPV6, IPV6_V6ONLY, "v6only" },
	{ SOL_SOCKET, FAKEBIND_SO_REUSEPORT_LB, "reuseport_lb" },
	{ SOL_SOCKET, FAKEBIND_SO_EXCLUSIVE, "exclusive" },
	{ SOL_SOCKET, SO_LINGER, "linger" },
	{ SOL_SOCKET, SO_BINDTODEVICE, "device" },
	{ SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, "group_cbpf" },
	{ SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, "group_ebpf" },
};

static const struct option *option_of(int level, int name)
{
	for (size_t i = 0; i < sizeof options / sizeof *options; i++)
		if (options[i].level == level && options[i].name == name)
			return &options[i];
	return NULL;
}

#define OFF (-1) /* of SO_LINGER */

static void see_value(struct note *note, const struct option *option, const void *value, socklen_t length, char device[16])
{
	struct record *record = &note->record;
	int numbers[2] = { 0, 0 };
	if (option->name == SO_BINDTODEVICE) {
		memset(device, 0, 16);
		if (length == 0 || ask_readable(value, length))
			memcpy(device, value, length < 15 ? length : 15);
		record->word = device;
	} else if (option->name != SO_ATTACH_REUSEPORT_CBPF && option->name != SO_ATTACH_REUSEPORT_EBPF &&
		   length >= sizeof *numbers && ask_readable(value, length < sizeof numbers ? sizeof *numbers : sizeof numbers)) {
		memcpy(numbers, value, length < sizeof numbers ? sizeof *numbers : sizeof numbers);
		record->has_argument = true;
		record->argument = option->name != SO_LINGER ? numbers[0] : numbers[0] ? numbers[1] : OFF;
	}
	record->option = option->word;
}

int log_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
	struct note note;
	char device[16];
	const struct option *option = option_of(level, name);
	if (!option || !begin(&note, "setsockopt", fd))
		return engine_setsockopt(fd, level, name, value, length);
	see_value(&note, option, value, length, device);
	int result = engine_setsockopt(fd, level, name, value, length), saved = errno;
	look_again(&note.record);
	note.record.local_port = 0;
	errno = saved;
	return end(&note, result);
}

int log_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
	struct note note;
	char device[16];
	const struct option *option = option_of(level, name);
	if (!option || !begin(&note, "getsockopt", fd))
		return engine_getsockopt(fd, level, name, value, length);
	int result = engine_getsockopt(fd, level, name, value, length);
	see_value(&note, option, value, result < 0 ? 0 : *length, device);
	return end(&note, result);
}

int log_shutdown(int fd, int how)
{
	struct note note;
	if (!begin(&note, "shutdown", fd))
		return engine_shutdown(fd, how);
	note.record.has_argument = true;
	note.record.argument = how;
	return end(&note, engine_shutdown(fd, how));
}

void log_let_go(int fd, const struct slot *slot)
{
	struct record record = { .call = "close", .fd = fd, .new_fd = -1, .present_count = -1 };
	if (slot->cookie && slot->cookie != ask_cookie(fd)) /* dup2() has put another in its place */
		record.socket = (struct holder){ .cookie = slot->cookie, .domain = slot->domain, .protocol = slot->protocol, .options = slot->options };
	else
		see_socket(&record.socket, fd, slot);
	if (slot->protocol == PROTOCOL_TCP && (ask_option(fd, IPPROTO_TCP, TCP_INFO) & 0xff) == TCP_CLOSE_WAIT)
		record.word = "after-peer";
	write_record(&record);
}

void log_duplicated(int fd, int made)
{
	struct record record = { .call = "dup", .fd = fd, .new_fd = made, .present_count = -1 };
	if (!find_socket(&record.socket, fd))
		return;
	record.new_socket = record.socket.cookie;
	write_record(&record);
}

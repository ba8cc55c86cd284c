/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "explain.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "text.h"

void put(struct text *text, const char *words)
{
	while (*words && text->at < text->end)
		*text->at++ = *words++;
}

void put_number(struct text *text, uint64_t number)
{
	char digits[21], *at = digits + sizeof digits - 1;
	*at = 0;
	do
		*--at = (char)('0' + number % 10);
	while ((number /= 10) != 0);
	put(text, at);
}

static void put_address(struct text *text, const struct holder *holder)
{
	char address[INET6_ADDRSTRLEN] = "?";
	inet_ntop(holder->domain, holder->address, address, sizeof address);
	put(text, holder->domain == AF_INET6 ? "[" : "");
	put(text, address);
	put(text, holder->domain == AF_INET6 ? "]:" : ":");
	put_number(text, holder->port);
}

/* A program's name comes from outside and goes to a terminal. */
static void put_program(struct text *text, const char *name, uint32_t pid)
{
	if (!*name)
		put(text, "pid ");
	for (; *name && text->at < text->end; name++)
		*text->at++ = *name >= ' ' && *name < 0x7f ? *name : '?';
	if (text->at[-1] != ' ')
		put(text, "[");
	bool bracket = text->at[-1] == '[';
	put_number(text, pid);
	put(text, bracket ? "]" : "");
}

const char *explain_errno(int error, char buffer[16])
{
#define ERRNO(name) { name, #name },
	static const struct { int number; const char *name; } names[] = {
#include "errno.def"
	};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (names[i].number == error)
			return names[i].name;
	struct text text = { buffer, buffer + 15 };
	put(&text, "errno ");
	put_number(&text, (uint32_t)error);
	*text.at = 0;
	return buffer;
}

const char *explain_call(enum call call)
{
	static const char *const names[] = {
		[CALL_SOCKET] = "socket", [CALL_BIND] = "bind", [CALL_LISTEN] = "listen", [CALL_CONNECT] = "connect",
		[CALL_ACCEPT] = "accept", [CALL_SHUTDOWN] = "shutdown", [CALL_CLOSE] = "close",
		[CALL_SETSOCKOPT] = "setsockopt", [CALL_GETSOCKOPT] = "getsockopt",
	};
	return names[call];
}

static void put_claim(struct text *text, const struct explanation *e)
{
	const struct holder *claim = e->claim;
	put(text, explain_call(e->call));
	put(text, "(");
	if (e->fd >= 0)
		put_number(text, (uint32_t)e->fd);
	if (claim->domain) {
		put(text, ", ");
		put_address(text, claim);
		put(text, claim->protocol == PROTOCOL_TCP ? " tcp" : " udp");
		put(text, claim->options & OPTION_REUSEADDR ? " reuseaddr" : "");
		put(text, claim->options & OPTION_REUSEPORT ? " reuseport" : "");
		put(text, claim->options & OPTION_V6ONLY && claim->domain == AF_INET6 ? " v6only" : "");
	}
	put(text, ")");
}

static void put_options(struct text *text, uint32_t options)
{
	bool address = options & OPTION_REUSEADDR, port = options & OPTION_REUSEPORT;
	if (address && port)
		put(text, " with SO_REUSEADDR and SO_REUSEPORT");
	else if (address)
		put(text, " with SO_REUSEADDR");
	else if (port)
		put(text, " with SO_REUSEPORT, without SO_REUSEADDR");
	else
		put(text, " without SO_REUSEADDR");
}

static void put_holder(struct text *text, const struct explanation *e)
{
	static const char *const doing[] = {
		[STATE_UNBOUND] = " has ", [STATE_BOUND] = " is bound to ", [STATE_LISTENING] = " listens on ",
		[STATE_CONNECTED] = " has a connection on ", [STATE_TIME_WAIT] = "a closed connection waits (TIME_WAIT) on ",
		[STATE_ANCHOR] = "an earlier bind still holds ",
	};
	const struct holder *holder = &e->verdict->holder;
	bool somebody = holder->state != STATE_TIME_WAIT && holder->state != STATE_ANCHOR;
	if (e->outside)
		put(text, "held outside fakebind by ");
	if (somebody && holder->pid) {
		put_program(text, e->holder_program, holder->pid);
		if (holder->fd >= 0) {
			put(text, " fd ");
			put_number(text, (uint32_t)holder->fd);
		}
	} else if (somebody) {
		put(text, "an unknown process");
	}
	/* A damaged registry may hold any number. */
	put(text, doing[holder->state < sizeof doing / sizeof *doing ? holder->state : STATE_UNBOUND]);
	put_address(text, holder);
	if (!e->strange && somebody)
		put_options(text, holder->options);
}

size_t explain_line(char *buffer, size_t size, const struct explanation *e)
{
	char number[16];
	struct text text = { buffer, buffer + size - 1 };
	const struct verdict *verdict = e->verdict;
	const struct rule *rule = verdict->rule;
	put(&text, "fakebind: ");
	put_program(&text, e->program, e->pid);
	put(&text, ": ");
	put_claim(&text, e);
	put(&text, e->error ? " = " : " = ok, allowed by ");
	if (e->error) {
		put(&text, explain_errno(e->error, number));
		put(&text, ", refused by ");
	}
	put(&text, e->profile->name);
	put(&text, "/");
	put(&text, rule->id);
	if (verdict->blamed) {
		put(&text, ": ");
		put_holder(&text, e);
	}
	if (rule->because) {
		put(&text, verdict->blamed ? "; " : ": ");
		put(&text, rule->because);
	}
	if (verdict->flags & VERDICT_HALTS)
		put(&text, "; the real system would halt here");
	if (verdict->flags & VERDICT_BINDS && e->error)
		put(&text, "; the socket is bound all the same");
	if (e->error && rule->remedy) {
		put(&text, "; allowed if ");
		put(&text, rule->remedy);
	}
	*text.at++ = '\n';
	return (size_t)(text.at - buffer);
}

/* SPDX-License-Identifier: MIT */
/* A call as one line of JSON.  Names and meaning of the fields are for ever: doc/fakebind-log.5. */
#define _GNU_SOURCE
#include "record.h"

#include <arpa/inet.h>
#include <string.h>

#include "text.h"

/* Anything but printable ASCII is escaped, byte by byte: a program's name may be no UTF-8. */
static void put_string(struct text *text, const char *words)
{
	put(text, "\"");
	for (; *words && text->at < text->end; words++) {
		uint8_t byte = (uint8_t)*words;
		char escape[] = { '\\', 'u', '0', '0', "0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 15], 0 };
		if (byte >= ' ' && byte < 0x7f && byte != '"' && byte != '\\')
			escape[0] = *words, escape[1] = 0;
		put(text, escape);
	}
	put(text, "\"");
}

/* A comma, unless it is the first of its object. */
static void put_key(struct text *text, const char *key)
{
	put(text, text->at[-1] == '{' ? "\"" : ",\"");
	put(text, key);
	put(text, "\":");
}

static void field_number(struct text *text, const char *key, int64_t number)
{
	put_key(text, key);
	put(text, number < 0 ? "-" : "");
	put_number(text, number < 0 ? -(uint64_t)number : (uint64_t)number);
}

static void field_string(struct text *text, const char *key, const char *words)
{
	if (!words)
		return;
	put_key(text, key);
	put_string(text, words);
}

static void field_address(struct text *text, const struct holder *where)
{
	char address[INET6_ADDRSTRLEN] = "";
	inet_ntop(where->domain, where->address, address, sizeof address);
	field_string(text, "address", address);
	field_number(text, "port", where->port);
	if (where->scope)
		field_number(text, "scope", where->scope);
}

static void field_options(struct text *text, uint32_t options)
{
	static const struct { uint32_t option; char word[14]; } words[] = {
		{ OPTION_REUSEADDR, "reuseaddr" }, { OPTION_REUSEPORT, "reuseport" }, { OPTION_V6ONLY, "v6only" },
		{ OPTION_REUSEPORT_LB, "reuseport_lb" }, { OPTION_EXCLUSIVE, "exclusive" },
	};
	const char *between = "";
	put_key(text, "options");
	put(text, "[");
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (options & words[i].option) {
			put(text, between);
			put_string(text, words[i].word);
			between = ",";
		}
	put(text, "]");
}

static const char *state_word(uint8_t state)
{
	static const char words[][10] = { "unbound", "bound", "listening", "connected", "time-wait", "anchor", "dead" };
	return words[state < sizeof words / sizeof *words ? state : STATE_UNBOUND];
}

static void field_holder(struct text *text, const struct explanation *why)
{
	const struct holder *holder = &why->verdict->holder;
	put_key(text, "holder");
	put(text, "{");
	if (holder->pid) {
		field_number(text, "pid", holder->pid);
		field_string(text, "program", why->holder_program);
	}
	if (holder->fd >= 0)
		field_number(text, "fd", holder->fd);
	field_number(text, "socket", (int64_t)holder->cookie);
	field_address(text, holder);
	field_string(text, "state", state_word(holder->state));
	if (!why->strange)
		field_options(text, holder->options);
	field_string(text, "evidence", why->outside ? "host" : why->strange ? "kernel" : "registry");
	put(text, "}");
}

static void fields_why(struct text *text, const struct explanation *why)
{
	const struct verdict *verdict = why->verdict;
	if (!verdict->rule)
		return;
	put_key(text, "rule");
	put(text, "\"");
	put(text, why->profile->name);
	put(text, "/");
	put(text, verdict->rule->id);
	put(text, "\"");
	field_string(text, "because", verdict->rule->because);
	if (why->error)
		field_string(text, "remedy", verdict->rule->remedy);
	if (verdict->blamed)
		field_holder(text, why);
}

static void fields_socket(struct text *text, const struct record *record)
{
	const struct holder *socket = &record->socket;
	field_number(text, "fd", record->fd);
	if (socket->cookie)
		field_number(text, "socket", (int64_t)socket->cookie);
	field_string(text, "protocol", socket->protocol == PROTOCOL_TCP ? "tcp" : "udp");
	field_string(text, "domain", socket->domain == AF_INET ? "ipv4" : "ipv6");
	field_options(text, socket->options);
	if (record->new_fd >= 0)
		field_number(text, "new_fd", record->new_fd);
	if (record->new_socket)
		field_number(text, "new_socket", (int64_t)record->new_socket);
}

static void field_time(struct text *text, const struct timespec *time)
{
	char fraction[] = ".000000";
	uint32_t microseconds = (uint32_t)time->tv_nsec / 1000;
	for (char *at = fraction + 6; microseconds; microseconds /= 10)
		*at-- = (char)('0' + microseconds % 10);
	field_number(text, "time", time->tv_sec);
	put(text, fraction);
}

static void field_argument(struct text *text, const struct record *record)
{
	field_string(text, "option", record->option);
	if (record->has_argument)
		field_number(text, "argument", record->argument);
	field_string(text, "argument", record->word);
}

/* All of it or nothing: from a part, a socket that is left out would be taken for gone. */
static void field_present(struct text *text, const struct record *record)
{
	char *before = text->at;
	if (record->present_count < 0)
		return;
	put_key(text, "present");
	put(text, "[");
	for (int i = 0; i < record->present_count; i++) {
		put(text, i ? "," : "");
		put_number(text, record->present[i]);
	}
	if (text->end - text->at < 4)
		text->at = before;
	else
		put(text, "]");
}

size_t record_line(char *buffer, size_t size, const struct record *record)
{
	char number[16];
	struct text text = { buffer, buffer + size - 3 };
	put(&text, "{\"v\":1");
	field_time(&text, &record->time);
	field_number(&text, "pid", record->pid);
	field_number(&text, "uid", record->uid);
	field_string(&text, "program", record->program);
	field_string(&text, "system", record->system);
	field_string(&text, "call", record->call);
	if (record->socket.domain)
		fields_socket(&text, record);
	if (record->address.domain)
		field_address(&text, &record->address);
	if (record->local_port)
		field_number(&text, "local_port", record->local_port);
	field_argument(&text, record);
	field_string(&text, "result", record->error ? explain_errno(record->error, number) : "ok");
	if (record->why)
		fields_why(&text, record->why);
	field_present(&text, record);
	text.end = buffer + size;
	put(&text, "}\n");
	return (size_t)(text.at - buffer);
}

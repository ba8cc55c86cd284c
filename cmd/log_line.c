/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "log_line.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "read_text.h"

/* ---- one line ---- */


static const struct field {
	const char *key;
	enum json_type type;
	bool required;
	size_t offset;
} fields[] = {
	{ "time", json_type_double, true, offsetof(struct log_line, time) },
	{ "pid", json_type_int, true, offsetof(struct log_line, pid) },
	{ "uid", json_type_int, true, offsetof(struct log_line, uid) },
	{ "program", json_type_string, true, offsetof(struct log_line, program) },
	{ "system", json_type_string, true, offsetof(struct log_line, system) },
	{ "call", json_type_string, true, offsetof(struct log_line, call) },
	{ "fd", json_type_int, true, offsetof(struct log_line, fd) },
	{ "protocol", json_type_string, true, offsetof(struct log_line, protocol) },
	{ "domain", json_type_string, true, offsetof(struct log_line, domain) },
	{ "result", json_type_string, true, offsetof(struct log_line, result) },
	{ "options", json_type_array, true, offsetof(struct log_line, options) },
	{ "socket", json_type_int, false, offsetof(struct log_line, socket) },
	{ "new_fd", json_type_int, false, offsetof(struct log_line, new_fd) },
	{ "new_socket", json_type_int, false, offsetof(struct log_line, new_socket) },
	{ "address", json_type_string, false, offsetof(struct log_line, address) },
	{ "port", json_type_int, false, offsetof(struct log_line, port) },
	{ "scope", json_type_int, false, offsetof(struct log_line, scope) },
	{ "local_port", json_type_int, false, offsetof(struct log_line, local_port) },
	{ "option", json_type_string, false, offsetof(struct log_line, option) },
	{ "rule", json_type_string, false, offsetof(struct log_line, rule) },
	{ "because", json_type_string, false, offsetof(struct log_line, because) },
	{ "remedy", json_type_string, false, offsetof(struct log_line, remedy) },
	{ "holder", json_type_object, false, offsetof(struct log_line, holder) },
	{ "present", json_type_array, false, offsetof(struct log_line, present) },
};

static const char *const calls[] = {
	"socket", "bind", "listen", "connect", "accept", "close", "shutdown", "dup", "setsockopt", "getsockopt", NULL
};
static const char *const protocols[] = { "tcp", "udp", NULL };
static const char *const domains[] = { "ipv4", "ipv6", NULL };

static void take_value(struct log_line *line, const struct field *field, struct json_object *value)
{
	void *place = (char *)line + field->offset;

	if (field->type == json_type_int)
		*(int64_t *)place = value ? json_object_get_int64(value) : LOG_NONE;
	else if (field->type == json_type_double)
		*(double *)place = json_object_get_double(value);
	else if (field->type == json_type_string)
		*(const char **)place = json_object_get_string(value);
	else
		*(struct json_object **)place = value;
}

static bool take_field(struct log_line *line, const struct field *field, char wrong[160])
{
	struct json_object *value = NULL;
	bool there = json_object_object_get_ex(line->object, field->key, &value);
	bool number = field->type == json_type_double && json_object_is_type(value, json_type_int);

	if ((!there && field->required) || (there && !number && !json_object_is_type(value, field->type))) {
		snprintf(wrong, 160, "%s: expected %s", field->key,
			 field->type == json_type_double ? "a number" : json_type_to_name(field->type));
		return false;
	}
	take_value(line, field, value);
	return true;
}

static bool is_one_of(const char *key, const char *word, const char *const *words, char wrong[160])
{
	for (const char *const *each = words; *each; each++)
		if (!strcmp(*each, word))
			return true;
	snprintf(wrong, 160, "%s: %.32s: expected", key, word);
	for (; *words; words++)
		snprintf(wrong + strlen(wrong), 160 - strlen(wrong), " %s", *words);
	return false;
}

static bool is_port(int64_t number)
{
	return number == LOG_NONE || (number >= 0 && number <= 65535);
}

static bool are_numbers(struct json_object *array)
{
	for (size_t i = 0; array && i < json_object_array_length(array); i++)
		if (!json_object_is_type(json_object_array_get_idx(array, i), json_type_int))
			return false;
	return true;
}

/* Each field alone is right; are its values? */
static bool check(struct log_line *line, char wrong[160])
{
	struct json_object *version, *argument = NULL;
	uint8_t address[16];

	if (!json_object_object_get_ex(line->object, "v", &version) || json_object_get_int64(version) != LOG_VERSION) {
		snprintf(wrong, 160, "v: expected %d, the version of this format", LOG_VERSION);
		return false;
	}
	line->argument = LOG_NONE;
	if (json_object_object_get_ex(line->object, "argument", &argument)) {
		line->word = json_object_is_type(argument, json_type_string) ? json_object_get_string(argument) : NULL;
		line->argument = line->word ? LOG_NONE : json_object_get_int64(argument);
	}
	if (line->address && inet_pton(strchr(line->address, ':') ? AF_INET6 : AF_INET, line->address, address) != 1) {
		snprintf(wrong, 160, "address: %.50s: expected an IPv4 or IPv6 address", line->address);
		return false;
	}
	if (!is_port(line->port) || !is_port(line->local_port) || (line->address && line->port == LOG_NONE)) {
		snprintf(wrong, 160, "port: expected 0 to 65535");
		return false;
	}
	if (!are_numbers(line->present)) {
		snprintf(wrong, 160, "present: expected numbers of sockets");
		return false;
	}
	return is_one_of("call", line->call, calls, wrong) && is_one_of("protocol", line->protocol, protocols, wrong) &&
	       is_one_of("domain", line->domain, domains, wrong);
}

bool log_parse(struct log_line *line, const char *text, size_t length, char wrong[160])
{
	struct json_tokener *tokener = json_tokener_new();
	bool good;

	*line = (struct log_line){ .object = tokener ? json_tokener_parse_ex(tokener, text, (int)length) : NULL };
	good = line->object && json_object_is_type(line->object, json_type_object) && json_tokener_get_parse_end(tokener) == length;
	if (!good)
		snprintf(wrong, 160, "expected a JSON object and nothing else");
	json_tokener_free(tokener);
	for (size_t i = 0; good && i < sizeof(fields) / sizeof(*fields); i++)
		good = take_field(line, &fields[i], wrong);
	if (good && check(line, wrong))
		return true;
	log_line_free(line);
	return false;
}

void log_line_free(struct log_line *line)
{
	json_object_put(line->object);
	line->object = NULL;
}

/* ---- in words ---- */

bool log_failed(const struct log_line *line)
{
	return strcmp(line->result, "ok") != 0;
}

bool log_refused(const struct log_line *line)
{
	return log_failed(line) && (line->rule || (strcmp(line->call, "connect") && strcmp(line->call, "accept")));
}

static void add(char *text, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void add(char *text, size_t size, const char *format, ...)
{
	size_t used = strlen(text);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text + used, size - used, format, arguments);
	va_end(arguments);
}

static void add_address(char *text, size_t size, const char *address, int64_t port)
{
	bool brackets = strchr(address, ':');

	add(text, size, "%s%s%s:%d", brackets ? "[" : "", address, brackets ? "]" : "", (int)port);
}

/* Words of a program go to a terminal. */
static void add_clean(char *text, size_t size, const char *word)
{
	for (; *word; word++)
		add(text, size, "%c", *word >= ' ' && *word < 0x7f ? *word : '?');
}

static void add_options(char *text, size_t size, struct json_object *options)
{
	for (size_t i = 0; options && i < json_object_array_length(options); i++) {
		add(text, size, " ");
		add_clean(text, size, json_object_get_string(json_object_array_get_idx(options, i)));
	}
}

void log_call(const struct log_line *line, char *text, size_t size)
{
	*text = '\0';
	add(text, size, "%s(", line->call);
	if (line->fd >= 0)
		add(text, size, "%d", (int)line->fd);
	if (line->address && strcmp(line->call, "accept")) {
		add(text, size, ", ");
		add_address(text, size, line->address, line->port);
	}
	if (line->option) {
		add(text, size, ", ");
		add_clean(text, size, line->option);
	}
	if (line->argument != LOG_NONE && !line->address)
		add(text, size, ", %d", (int)line->argument);
	if (line->word) {
		add(text, size, ", ");
		add_clean(text, size, line->word);
	}
	add(text, size, "%s%s %s", line->fd >= 0 ? ", " : "", line->protocol, line->domain);
	add_options(text, size, line->options);
	add(text, size, ")");
}

static const char *word_of(struct json_object *object, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(object, key, &value) ? json_object_get_string(value) : NULL;
}

static void add_holder(char *text, size_t size, struct json_object *holder)
{
	const char *program = word_of(holder, "program"), *pid = word_of(holder, "pid"), *address = word_of(holder, "address");
	const char *port = word_of(holder, "port"), *state = word_of(holder, "state");

	if (pid) {
		add_clean(text, size, program && *program ? program : "pid");
		add(text, size, "[%d] ", atoi(pid));
	}
	add_clean(text, size, state ? state : "bound");
	add(text, size, " on ");
	add_address(text, size, address ? address : "?", port ? atoi(port) : 0);
}

void log_reason(const struct log_line *line, char *text, size_t size)
{
	*text = '\0';
	if (!line->rule)
		return;
	add_clean(text, size, line->rule);
	if (line->holder) {
		add(text, size, ": ");
		add_holder(text, size, line->holder);
	}
	if (line->because) {
		add(text, size, line->holder ? "; " : ": ");
		add_clean(text, size, line->because);
	}
	if (line->remedy) {
		add(text, size, "; allowed if ");
		add_clean(text, size, line->remedy);
	}
}

/* ---- all lines ---- */

static void take_line(struct log_list *list, const char *path, unsigned number, const char *text, size_t length)
{
	struct log_line line;
	char wrong[160];

	if (!log_parse(&line, text, length, wrong)) {
		complain("%s:%u: %s", path, number, wrong);
		list->wrong++;
		return;
	}
	line.number = number;
	list->lines = grow(list->lines, list->count, sizeof(*list->lines));
	list->lines[list->count++] = line;
}

bool log_read(struct log_list *list, const char *path)
{
	size_t length;
	char *text = read_text(path, &length);
	unsigned number = 1;

	*list = (struct log_list){ NULL, 0, 0 };
	if (!text)
		return false;
	for (char *at = text, *end = text + length; at < end; number++) {
		char *stop = memchr(at, '\n', (size_t)(end - at));
		size_t size = (size_t)((stop ? stop : end) - at);

		take_line(list, path, number, at, size);
		at += size + 1;
	}
	free(text);
	return true;
}

void log_list_free(struct log_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		log_line_free(&list->lines[i]);
	free(list->lines);
	*list = (struct log_list){ NULL, 0, 0 };
}

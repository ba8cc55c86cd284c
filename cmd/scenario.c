/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "scenario.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "cmd.h"

/* Arguments of an operation, one letter each; those after '?' may be missing. */
#define ARGUMENT_SOCKET 's'
#define ARGUMENT_NEW 'n'
#define ARGUMENT_OTHER 't'
#define ARGUMENT_KIND 'k'
#define ARGUMENT_OPTION 'o'
#define ARGUMENT_ENDPOINT 'e'
#define ARGUMENT_GROUP 'g'
#define ARGUMENT_INTERFACE 'i'
#define ARGUMENT_NUMBER 'N'
#define ARGUMENT_HOW 'h'
#define ARGUMENT_TEXT 'x'
#define ARGUMENT_CREATED 'c'

struct word_value {
	const char *word;
	int value;
};

static const struct operation_form {
	const char *word;
	enum operation operation;
	const char *arguments;
} operations[] = {
	{ "socket", OPERATION_SOCKET, "ck" },
	{ "set", OPERATION_SET, "soN" },
	{ "get", OPERATION_GET, "so" },
	{ "bind", OPERATION_BIND, "se?N" },
	{ "listen", OPERATION_LISTEN, "s?N" },
	{ "connect", OPERATION_CONNECT, "se" },
	{ "accept", OPERATION_ACCEPT, "sn" },
	{ "close", OPERATION_CLOSE, "s" },
	{ "shutdown", OPERATION_SHUTDOWN, "sh" },
	{ "dup", OPERATION_DUP, "sn" },
	{ "dup2", OPERATION_DUP2, "st" },
	{ "name", OPERATION_NAME, "s" },
	{ "peer", OPERATION_PEER, "s" },
	{ "send", OPERATION_SEND, "sx" },
	{ "sendto", OPERATION_SENDTO, "sex" },
	{ "recv", OPERATION_RECV, "s" },
	{ "join", OPERATION_JOIN, "sg?i" },
	{ "linger", OPERATION_LINGER, "sN" },
	{ "device", OPERATION_DEVICE, "sx" },
	{ "fork", OPERATION_FORK, "s" },
	{ "kill", OPERATION_KILL, "s" },
	{ "uid", OPERATION_UID, "N" },
	{ "sleep", OPERATION_SLEEP, "N" },
	{ "choose", OPERATION_CHOOSE, "N" },
	{ NULL, 0, NULL }
};

static const struct word_value kinds[] = {
	{ "tcp4", SOCKET_TCP4 }, { "tcp6", SOCKET_TCP6 }, { "udp4", SOCKET_UDP4 }, { "udp6", SOCKET_UDP6 }, { NULL, 0 }
};

static const struct word_value options[] = {
	{ "reuseaddr", SOCKET_REUSEADDR }, { "reuseport", SOCKET_REUSEPORT }, { "v6only", SOCKET_V6ONLY },
	{ "error", SOCKET_ERROR }, { "reuseport_lb", SOCKET_REUSEPORT_LB }, { "exclusive", SOCKET_EXCLUSIVE }, { NULL, 0 }
};

static const struct word_value hows[] = { { "rd", SHUT_RD }, { "wr", SHUT_WR }, { "rdwr", SHUT_RDWR }, { NULL, 0 } };

struct parser {
	struct scenario_list *list;
	struct scenario_error *error;
	char *cursor; /* rest of the current line */
};

static char *copy(const char *text, size_t length)
{
	char *result = must(malloc(length + 1));

	memcpy(result, text, length);
	result[length] = '\0';
	return result;
}

static bool expected(struct parser *parser, const char *word, const char *what)
{
	snprintf(parser->error->word, sizeof(parser->error->word), "%s", word ? word : "");
	snprintf(parser->error->expected, sizeof(parser->error->expected), "%s", what);
	return false;
}

static char *next_word(struct parser *parser)
{
	return strtok_r(NULL, " \t\r", &parser->cursor);
}

/* A word out of a list; the message names the whole list. */
static bool parse_word(struct parser *parser, const char *word, const struct word_value *values, int *value)
{
	char all[96] = "";

	for (; values->word; values++) {
		if (word && !strcmp(word, values->word)) {
			*value = values->value;
			return true;
		}
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", *all ? " " : "", values->word);
	}
	return expected(parser, word, all);
}

static bool parse_number(struct parser *parser, const char *word, int *number)
{
	char *end;
	long value;

	errno = 0;
	value = word ? strtol(word, &end, 10) : 0;
	if (!word || !*word || *end || errno || value < INT_MIN || value > INT_MAX)
		return expected(parser, word, "a number");
	*number = (int)value;
	return true;
}

static bool parse_address(const char *text, struct endpoint *where)
{
	where->family = strchr(text, ':') ? AF_INET6 : AF_INET;
	return inet_pton(where->family, text, where->address) == 1;
}

static bool parse_port(const char *text, struct scenario *scenario, struct endpoint *where)
{
	char *end;
	unsigned long port;

	where->own = *text == 'P';
	text += where->own;
	if (*text < '0' || *text > '9')
		return false;
	port = strtoul(text, &end, 10);
	if (*end || port > (where->own ? SCENARIO_PORTS - 1 : 65535))
		return false;
	where->port = (uint16_t)port;
	if (where->own && port >= scenario->ports)
		scenario->ports = (unsigned)port + 1;
	return true;
}

static bool parse_endpoint(struct parser *parser, const char *word, struct scenario *scenario, struct endpoint *where)
{
	static const char what[] = "an address such as 127.0.0.1:P0 or [::1]:P0 (P0 to P9, or 0 to 65535)";
	char address[INET6_ADDRSTRLEN];
	const char *colon = word ? strrchr(word, ':') : NULL;
	size_t length = colon ? (size_t)(colon - word) : 0;
	bool brackets = length > 2 && word[0] == '[' && word[length - 1] == ']';

	if (!length || length - 2 * brackets >= sizeof(address))
		return expected(parser, word, what);
	snprintf(address, sizeof(address), "%.*s", (int)(length - 2 * brackets), word + brackets);
	if (!parse_address(address, where) || brackets != (where->family == AF_INET6) || !parse_port(colon + 1, scenario, where))
		return expected(parser, word, what);
	return true;
}

static bool find_name(const struct scenario *scenario, const char *word, size_t *index)
{
	for (*index = 0; *index < scenario->name_count; ++*index)
		if (!strcmp(scenario->names[*index], word))
			return true;
	return false;
}

static bool parse_known_socket(struct parser *parser, const char *word, const struct scenario *scenario, size_t *index)
{
	if (!word || !find_name(scenario, word, index))
		return expected(parser, word, "a socket made before by socket, accept or dup");
	return true;
}

static bool parse_new_socket(struct parser *parser, const char *word, struct scenario *scenario, size_t *index)
{
	if (!word)
		return expected(parser, word, "a name for the new socket");
	if (find_name(scenario, word, index))
		return true;
	scenario->names = grow(scenario->names, scenario->name_count, sizeof(*scenario->names));
	scenario->names[scenario->name_count++] = copy(word, strlen(word));
	return true;
}

static bool parse_text(struct parser *parser, const char *word, struct step *step)
{
	if (!word)
		return expected(parser, word, "a word of text");
	step->text = copy(word, strlen(word));
	return true;
}

static bool parse_multicast(struct parser *parser, const char *word, struct endpoint *where)
{
	if (!word || !parse_address(word, where) || where->family != AF_INET)
		return expected(parser, word, "an IPv4 address");
	return true;
}

static bool parse_argument(struct parser *parser, char argument, const char *word, struct scenario *scenario, struct step *step)
{
	int value = 0;
	bool good;

	switch (argument) {
	case ARGUMENT_SOCKET:
		return parse_known_socket(parser, word, scenario, &step->socket);
	case ARGUMENT_CREATED:
		return parse_new_socket(parser, word, scenario, &step->socket);
	case ARGUMENT_NEW:
		return parse_new_socket(parser, word, scenario, &step->other);
	case ARGUMENT_OTHER:
		return parse_known_socket(parser, word, scenario, &step->other);
	case ARGUMENT_KIND:
		good = parse_word(parser, word, kinds, &value);
		step->kind = (enum socket_kind)value;
		return good;
	case ARGUMENT_OPTION:
		good = parse_word(parser, word, options, &value);
		step->option = (enum socket_option)value;
		return good;
	case ARGUMENT_HOW:
		return parse_word(parser, word, hows, &step->number);
	case ARGUMENT_ENDPOINT:
		return parse_endpoint(parser, word, scenario, &step->where);
	case ARGUMENT_GROUP:
		return parse_multicast(parser, word, &step->where);
	case ARGUMENT_INTERFACE:
		return parse_multicast(parser, word, &step->interface);
	case ARGUMENT_TEXT:
		return parse_text(parser, word, step);
	default: /* ARGUMENT_NUMBER */
		step->has_number = true;
		return parse_number(parser, word, &step->number);
	}
}

static bool parse_arguments(struct parser *parser, const char *arguments, struct scenario *scenario, struct step *step)
{
	bool optional = false;
	char *word;

	for (; *arguments; arguments++) {
		if (*arguments == '?') {
			optional = true;
			continue;
		}
		word = next_word(parser);
		if (!word && optional)
			return true;
		if (!parse_argument(parser, *arguments, word, scenario, step))
			return false;
	}
	word = next_word(parser);
	return word ? expected(parser, word, "the end of the line") : true;
}

static const struct operation_form *find_operation(const char *word)
{
	const struct operation_form *form = operations;

	while (form->word && strcmp(form->word, word))
		form++;
	return form->word ? form : NULL;
}

/* The line with one blank between its words, as answers quote it. */
static char *tidy(const char *line)
{
	char *result = copy(line, strlen(line));
	char *to = result;

	for (const char *from = line; *from;) {
		size_t length = strcspn(from, " \t\r");

		if (length && to != result)
			*to++ = ' ';
		memcpy(to, from, length);
		to += length;
		from += length;
		from += strspn(from, " \t\r");
	}
	*to = '\0';
	return result;
}

static bool parse_step(struct parser *parser, const char *word, char *line)
{
	struct scenario *scenario = parser->list->count ? &parser->list->scenarios[parser->list->count - 1] : NULL;
	const struct operation_form *form = find_operation(word);
	struct step *step;

	if (!form) {
		free(line);
		return expected(parser, word, "scenario or an operation (socket, set, get, bind, listen, ...)");
	}
	if (!scenario) {
		free(line);
		return expected(parser, word, "scenario NAME first");
	}
	scenario->steps = grow(scenario->steps, scenario->step_count, sizeof(*scenario->steps));
	step = &scenario->steps[scenario->step_count++];
	*step = (struct step){ .operation = form->operation, .line = line, .line_number = parser->error->line };
	step->interface.family = AF_INET;
	memcpy(step->interface.address, (uint8_t[]){ 127, 0, 0, 1 }, 4);
	return parse_arguments(parser, form->arguments, scenario, step);
}

static bool open_scenario(struct parser *parser)
{
	struct scenario_list *list = parser->list;
	char *name = next_word(parser);
	char *more = name ? next_word(parser) : NULL;

	if (!name)
		return expected(parser, name, "a name for the scenario");
	if (more)
		return expected(parser, more, "the end of the line");
	list->scenarios = grow(list->scenarios, list->count, sizeof(*list->scenarios));
	list->scenarios[list->count++] = (struct scenario){ .name = copy(name, strlen(name)) };
	return true;
}

static bool parse_line(struct parser *parser, char *line)
{
	char *tidied, *word;

	line[strcspn(line, "#")] = '\0';
	tidied = tidy(line);
	word = strtok_r(line, " \t\r", &parser->cursor);
	if (word && strcmp(word, "scenario"))
		return parse_step(parser, word, tidied);
	free(tidied);
	return word ? open_scenario(parser) : true;
}

bool scenario_parse(struct scenario_list *list, const char *text, size_t length, struct scenario_error *error)
{
	struct parser parser = { .list = list, .error = error };
	const char *end = text + length;
	bool good = true;

	for (error->line = 1; good && text < end; error->line++) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));
		size_t size = (size_t)((stop ? stop : end) - text);
		char *line = copy(text, size);

		good = parse_line(&parser, line);
		free(line);
		if (!good)
			return false;
		text += size + 1;
	}
	return true;
}

static void scenario_free(struct scenario *scenario)
{
	for (size_t i = 0; i < scenario->step_count; i++) {
		free(scenario->steps[i].text);
		free(scenario->steps[i].line);
	}
	for (size_t i = 0; i < scenario->name_count; i++)
		free(scenario->names[i]);
	free(scenario->steps);
	free(scenario->names);
	free(scenario->name);
}

void scenario_list_free(struct scenario_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		scenario_free(&list->scenarios[i]);
	free(list->scenarios);
	*list = (struct scenario_list){ NULL, 0 };
}

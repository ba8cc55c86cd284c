/* SPDX-License-Identifier: MIT */
/* A line that the library wrote to FAKEBIND_LOG: fakebind-log(5). */
#ifndef FAKEBIND_LOG_LINE_H
#define FAKEBIND_LOG_LINE_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_VERSION 1
#define LOG_LINE_MAX 4096 /* what the library writes is no longer */

/* Words are NULL and numbers LOG_NONE where the line has none. */
#define LOG_NONE INT64_MIN

struct log_line {
	struct json_object *object; /* the words are its own */
	unsigned number;
	double time;
	int64_t pid, uid, fd, new_fd, socket, new_socket, port, local_port, scope, argument;
	const char *program, *system, *call, *result, *protocol, *domain, *address, *option;
	const char *word; /* argument, if it is one */
	const char *rule, *because, *remedy;
	struct json_object *options, *holder, *present;
};

/* False: *wrong says what was expected where. */
bool log_parse(struct log_line *, const char *text, size_t length, char wrong[160]);
void log_line_free(struct log_line *);

bool log_failed(const struct log_line *);
/* Did the rules, or the host in their place, refuse it?  (Nobody listening is no refusal.) */
bool log_refused(const struct log_line *);
/* bind(3, 127.0.0.1:80 tcp reuseaddr) */
void log_call(const struct log_line *, char *text, size_t size);
/* "held by ...; because; allowed if ...": why a call was answered so, "" if nothing is known. */
void log_reason(const struct log_line *, char *text, size_t size);

struct log_list {
	struct log_line *lines;
	size_t count;
	unsigned wrong; /* lines that could not be read: a complaint each */
};

/* `-': standard input.  False if there is no such file. */
bool log_read(struct log_list *, const char *path);
void log_list_free(struct log_list *);

#endif

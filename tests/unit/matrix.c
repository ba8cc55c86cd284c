/* SPDX-License-Identifier: MIT */
#include "matrix.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *trim(char *text)
{
	char *end = text + strlen(text);

	while (isspace((unsigned char)*text))
		text++;
	while (end > text && isspace((unsigned char)end[-1]))
		end--;
	*end = 0;
	return text;
}

static bool read_name(const char *text, int *socket)
{
	*socket = text[0] - 'a';
	return *socket >= 0 && *socket < MATRIX_SOCKETS;
}

/* "=tcp", "=udp" or "=a.accept" */
static bool read_origin(const char *text, struct matrix_step *step)
{
	if (!strcmp(text, "=tcp"))
		step->verb = MATRIX_TCP;
	else if (!strcmp(text, "=udp"))
		step->verb = MATRIX_UDP;
	else if (read_name(text + 1, &step->listener) && !strcmp(text + 2, ".accept"))
		step->verb = MATRIX_ACCEPT;
	else
		return false;
	return true;
}

/* "lo:P" or "lo:P+1" */
static bool read_place(const char *text, struct matrix_step *step)
{
	static const char *const hosts[] = { "lo", "any", "eth", "far" };
	char host[4];
	int end = 0;
	unsigned offset = 0;

	if (sscanf(text, "%3[a-z]:P%n", host, &end) != 1 || !end)
		return false;
	if (text[end] && (sscanf(text + end, "+%1u%n", &offset, &end) != 1 || strlen(strchr(text, '+')) != (size_t)end))
		return false;
	step->offset = (uint16_t)offset;
	for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
		if (!strcmp(host, hosts[i])) {
			step->host = (enum matrix_host)i;
			return true;
		}
	return false;
}

/* ".bind PLACE" and the like */
static bool read_call(const char *text, struct matrix_step *step)
{
	static const struct { const char *start; enum matrix_verb verb; } calls[] = {
		{ ".set reuseaddr ", MATRIX_REUSEADDR }, { ".set reuseport ", MATRIX_REUSEPORT }, { ".bind ", MATRIX_BIND },
		{ ".connect ", MATRIX_CONNECT }, { ".listen", MATRIX_LISTEN }, { ".close", MATRIX_CLOSE },
	};

	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
		size_t length = strlen(calls[i].start);
		if (strncmp(text, calls[i].start, length))
			continue;
		step->verb = calls[i].verb;
		text += length;
		if (step->verb == MATRIX_BIND || step->verb == MATRIX_CONNECT)
			return read_place(text, step);
		if (step->verb == MATRIX_LISTEN || step->verb == MATRIX_CLOSE)
			return !*text;
		step->value = text[0] - '0';
		return (step->value == 0 || step->value == 1) && !text[1];
	}
	return false;
}

static bool read_steps(char *text, struct matrix_row *row)
{
	for (char *word, *rest = NULL; (word = strtok_r(text, ";", &rest)); text = NULL) {
		struct matrix_step step = { .verb = MATRIX_CLOSE };
		word = trim(word);
		if (row->step_count == MATRIX_STEPS || !read_name(word, &step.socket))
			return false;
		if (!(word[1] == '=' ? read_origin(word + 1, &step) : read_call(word + 1, &step)))
			return false;
		row->needs_eth |= step.host == MATRIX_ETH;
		row->steps[row->step_count++] = step;
	}
	return row->step_count > 0;
}

static bool read_columns(char *text, struct matrix_row *row)
{
	for (char *word, *rest = NULL; (word = strtok_r(text, " \t", &rest)); text = NULL) {
		if (row->column_count == MATRIX_COLUMNS)
			return false;
		struct matrix_column *column = &row->columns[row->column_count++];
		if (sscanf(word, "%31[^=]=%127s", column->name, column->answers) != 2)
			return false;
	}
	return row->column_count > 0;
}

static bool read_row(char *line, struct matrix_row *row)
{
	char *rest = NULL, *id = strtok_r(line, "|", &rest), *steps = strtok_r(NULL, "|", &rest), *columns = strtok_r(NULL, "|", &rest);

	*row = (struct matrix_row){ .step_count = 0 };
	if (!columns || strtok_r(NULL, "|", &rest))
		return false;
	id = trim(id);
	if (!*id || strlen(id) >= sizeof row->id)
		return false;
	strcpy(row->id, id);
	return read_steps(steps, row) && read_columns(trim(columns), row);
}

size_t matrix_read(const char *path, struct matrix_row *rows, size_t room)
{
	char line[1024];
	size_t count = 0;
	unsigned number = 0;
	FILE *file = fopen(path, "r");

	if (!file) {
		perror(path);
		return 0;
	}
	while (fgets(line, sizeof line, file)) {
		char *text = trim(line);
		number++;
		if (!*text || *text == '#')
			continue;
		if (count == room || !read_row(text, &rows[count])) {
			fprintf(stderr, "%s:%u: cannot be read\n", path, number);
			count = 0;
			break;
		}
		count++;
	}
	fclose(file);
	return count;
}

static const char *find_column(const struct matrix_row *row, const char *name, size_t length)
{
	for (size_t i = 0; i < row->column_count; i++)
		if (strlen(row->columns[i].name) == length && !memcmp(row->columns[i].name, name, length))
			return row->columns[i].answers;
	return NULL;
}

const char *matrix_expected(const struct matrix_row *row, const char *column)
{
	const char *found = find_column(row, column, strlen(column));

	return found ? found : find_column(row, column, strcspn(column, "/"));
}

static const char *error_name(int error, char buffer[16])
{
	static const struct { int error; const char *name; } names[] = {
		{ 0, "0" }, { EPERM, "EPERM" }, { EINVAL, "EINVAL" }, { ENXIO, "ENXIO" }, { EACCES, "EACCES" }, { EFAULT, "EFAULT" },
		{ EADDRINUSE, "EADDRINUSE" }, { EADDRNOTAVAIL, "EADDRNOTAVAIL" }, { ECONNREFUSED, "ECONNREFUSED" },
		{ EOPNOTSUPP, "EOPNOTSUPP" }, { EISCONN, "EISCONN" }, { ENOTRECOVERABLE, "ENOTRECOVERABLE" }, { ETIMEDOUT, "ETIMEDOUT" },
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (names[i].error == error)
			return names[i].name;
	snprintf(buffer, 16, "errno%d", error);
	return buffer;
}

static int play_step(const struct matrix_step *step, const struct matrix_player *player, void *context)
{
	switch (step->verb) {
	case MATRIX_TCP:
	case MATRIX_UDP:
		return player->socket(context, step->socket, step->verb == MATRIX_UDP);
	case MATRIX_REUSEADDR:
	case MATRIX_REUSEPORT:
		player->set(context, step->socket, step->verb, step->value);
		return 0;
	case MATRIX_BIND:
		return player->bind(context, step->socket, step->host, step->offset);
	case MATRIX_LISTEN:
		return player->listen(context, step->socket);
	case MATRIX_CONNECT:
		return player->connect(context, step->socket, step->host, step->offset);
	case MATRIX_ACCEPT:
		return player->accept(context, step->listener, step->socket);
	case MATRIX_CLOSE:
		return player->close(context, step->socket);
	}
	return EINVAL;
}

void matrix_play(const struct matrix_row *row, const struct matrix_player *player, void *context, char answers[MATRIX_ANSWERS])
{
	bool connected = true;
	char buffer[16];
	int used = 0;

	answers[0] = 0;
	for (size_t i = 0; i < row->step_count; i++) {
		const struct matrix_step *step = &row->steps[i];
		bool answered = step->verb == MATRIX_BIND || step->verb == MATRIX_LISTEN || step->verb == MATRIX_CONNECT;
		if (step->verb == MATRIX_ACCEPT && !connected)
			continue;
		int error = play_step(step, player, context);
		if (step->verb == MATRIX_CONNECT)
			connected = !error;
		if (answered || error)
			used += snprintf(answers + used, (size_t)(MATRIX_ANSWERS - used), "%s%s%s", used ? "," : "",
					 error_name(error, buffer), answered ? "" : "!");
		if (error && !answered)
			return;
	}
}

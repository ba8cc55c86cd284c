/* SPDX-License-Identifier: MIT */
/* fakebind log: what --log wrote, for people. */
#define _GNU_SOURCE
#include "cmd.h"

#include <errno.h>
#include <fnmatch.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "colour.h"
#include "log_line.h"
#include "terminal.h"

struct view {
	bool refused, json, follow, colours;
	int64_t port; /* LOG_NONE: all */
	const char *program;
	const char *path;
	unsigned wrong;
};

static const char help[] =
	"Usage: fakebind log [OPTION]... FILE\n"
	"\n"
	"Shows what `fakebind --log FILE` wrote (fakebind-log(5)): a line for each call,\n"
	"and why it was refused.  FILE `-' is standard input.\n"
	"\n"
	"  -r, --refused         only what was refused\n"
	"  -p, --port PORT       only calls about this port\n"
	"  -P, --program NAME    only this program's; a pattern\n"
	"  -f, --follow          wait for more, until interrupted\n"
	"      --json            the lines as they are, if they are right\n"
	"  -h, --help            show this text\n"
	"\n"
	"The exit status is 0; 1 if a line cannot be read (the others are shown); 125\n"
	"after an error.\n";

static bool is_wanted(const struct view *view, const struct log_line *line)
{
	if (view->refused && !log_refused(line))
		return false;
	if (view->port != LOG_NONE && line->port != view->port && line->local_port != view->port)
		return false;
	return !view->program || !fnmatch(view->program, line->program, 0);
}

static void print_time(const struct view *view, double when)
{
	time_t seconds = (time_t)when;
	struct tm tm;
	char text[16] = "?";

	if (localtime_r(&seconds, &tm))
		strftime(text, sizeof(text), "%H:%M:%S", &tm);
	printf("%s%s.%06d%s ", colour_on(view->colours, COLOUR_FAINT), text, (int)((when - (double)seconds) * 1e6),
	       colour_off(view->colours));
}

static void print_clean(const char *word)
{
	for (; *word; word++)
		putchar(*word >= ' ' && *word < 0x7f ? *word : '?');
}

static void print_outcome(const struct log_line *line)
{
	if (line->new_fd != LOG_NONE && !log_failed(line))
		printf(", %d", (int)line->new_fd);
	if (line->address && !strcmp(line->call, "accept"))
		printf(" from %s port %d", line->address, (int)line->port);
	if (line->port == 0 && line->local_port != LOG_NONE)
		printf(", port %d", (int)line->local_port);
}

static void print_line(const struct view *view, const struct log_line *line)
{
	char text[1024];
	bool failed = log_failed(line);

	print_time(view, line->time);
	print_clean(line->program);
	log_call(line, text, sizeof(text));
	printf("[%d] %s = %s", (int)line->pid, text, colour_on(view->colours, failed ? COLOUR_BAD : COLOUR_GOOD));
	print_clean(line->result);
	printf("%s", colour_off(view->colours));
	print_outcome(line);
	log_reason(line, text, sizeof(text));
	if (failed && *text)
		printf("\n    %s", text);
	putchar('\n');
}

static void show(struct view *view, const char *text, size_t length, unsigned number)
{
	struct log_line line;
	char wrong[160];

	if (!log_parse(&line, text, length, wrong)) {
		fflush(stdout); /* in its place among the others */
		complain("%s:%u: %s", view->path, number, wrong);
		view->wrong++;
		return;
	}
	if (is_wanted(view, &line) && view->json)
		printf("%.*s\n", (int)length, text);
	else if (is_wanted(view, &line))
		print_line(view, &line);
	log_line_free(&line);
}

#define PAUSE_US 100000 /* between two looks at the end of a file */

/* The rest of a line that was cut by the end of the file; false at the end of it all. */
static bool wait_for_more(const struct view *view, FILE *file)
{
	if (!view->follow || fflush(stdout) || ferror(stdout))
		return false;
	clearerr(file);
	usleep(PAUSE_US);
	return true;
}

static bool show_all(struct view *view, FILE *file)
{
	char *part = NULL, *line = NULL;
	size_t room = 0, length = 0;
	unsigned number = 0;
	ssize_t got;

	while ((got = getline(&part, &room, file)) > 0 || wait_for_more(view, file)) {
		if (got <= 0)
			continue;
		line = realloc(line, length + (size_t)got);
		if (!line)
			break;
		memcpy(line + length, part, (size_t)got);
		length += (size_t)got;
		if (line[length - 1] != '\n')
			continue;
		show(view, line, length - 1, ++number);
		length = 0;
	}
	if (length && line)
		show(view, line, length, ++number);
	free(part);
	free(line);
	return !ferror(file);
}

static bool parse_port(const char *word, int64_t *port)
{
	char *end;

	*port = strtol(word, &end, 10);
	if (*word && !*end && *port >= 0 && *port <= 65535)
		return true;
	complain("--port %s: expected 0 to 65535", word);
	return false;
}

enum { JSON = 256 };

static int parse(int argc, char **argv, struct view *view)
{
	static const struct option options[] = {
		{ "refused", no_argument, NULL, 'r' },
		{ "port", required_argument, NULL, 'p' },
		{ "program", required_argument, NULL, 'P' },
		{ "follow", no_argument, NULL, 'f' },
		{ "json", no_argument, NULL, JSON },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int letter;

	while ((letter = getopt_long(argc, argv, "rp:P:fh", options, NULL)) != -1) {
		switch (letter) {
		case 'r':
			view->refused = true;
			break;
		case 'p':
			if (!parse_port(optarg, &view->port))
				return EXIT_OURS;
			break;
		case 'P':
			view->program = optarg;
			break;
		case 'f':
			view->follow = true;
			break;
		case JSON:
			view->json = true;
			break;
		default:
			return help_or_misuse(letter, help);
		}
	}
	if (optind + 1 != argc) {
		complain("expected one log");
		return misuse();
	}
	view->path = argv[optind];
	return GO_ON;
}

int log_main(int argc, char **argv)
{
	struct view view = { .port = LOG_NONE, .colours = terminal_colours() };
	int result = parse(argc, argv, &view);
	FILE *file;

	if (result != GO_ON)
		return result;
	file = strcmp(view.path, "-") ? fopen(view.path, "r") : stdin;
	if (!file || !show_all(&view, file)) {
		complain("%s: %s", view.path, strerror(errno));
		return EXIT_OURS;
	}
	if (file != stdin)
		fclose(file);
	return finish_output() || view.wrong;
}

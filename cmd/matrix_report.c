/* SPDX-License-Identifier: MIT */
/* What a matrix found: for people, as TAP, JSON and JUnit. */
#define _GNU_SOURCE
#include "matrix.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd.h"
#include "colour.h"
#include "log_line.h"
#include "print_json.h"
#include "terminal.h"

bool run_passed(const struct run *run)
{
	return run->state == RUN_ENDED && !run->timed_out && !run->interrupted && WIFEXITED(run->status) && WEXITSTATUS(run->status) == 0;
}

const char *run_result(const struct run *run, char text[32])
{
	if (run->state == RUN_WAITING)
		return "not run";
	if (run->interrupted)
		return "interrupted";
	if (run->timed_out)
		return "timed out";
	if (run_passed(run))
		return "passed";
	if (WIFEXITED(run->status))
		snprintf(text, 32, "exit %d", WEXITSTATUS(run->status));
	else
		snprintf(text, 32, "signal %d", WTERMSIG(run->status));
	return text;
}

static void take_refusal(struct run *run, const char *text, size_t length)
{
	struct log_line line;
	char wrong[160], reason[sizeof(run->refusal) / 2], call[sizeof(run->refusal) / 4];

	if (!log_parse(&line, text, length, wrong))
		return;
	if (log_refused(&line) && !run->refusals++) {
		log_call(&line, call, sizeof(call));
		log_reason(&line, reason, sizeof(reason));
		snprintf(run->refusal, sizeof(run->refusal), "%.15s[%d] %s = %.31s%s%s", line.program, (int)line.pid, call, line.result,
			 *reason ? ", " : "", reason);
	}
	log_line_free(&line);
}

void run_read_log(struct run *run)
{
	FILE *file = fopen(run->log, "r");
	char *line = NULL;
	size_t room = 0;
	ssize_t length;

	while (file && (length = getline(&line, &room, file)) > 0)
		take_refusal(run, line, (size_t)length - (line[length - 1] == '\n'));
	free(line);
	if (file)
		fclose(file);
}

/* ---- for people ---- */

static void print_table(const struct matrix *matrix)
{
	bool colours = terminal_colours();
	int width = (int)strlen("SYSTEM");
	size_t passed = 0;
	char text[32];

	for (size_t i = 0; i < matrix->count; i++)
		if (width < (int)strlen(matrix->runs[i].profile->name))
			width = (int)strlen(matrix->runs[i].profile->name);
	printf("%s%-*s  %-11s  %8s  %8s%s\n", colour_on(colours, COLOUR_TITLE), width, "SYSTEM", "RESULT", "SECONDS", "REFUSALS",
	       colour_off(colours));
	for (size_t i = 0; i < matrix->count; i++) {
		const struct run *run = &matrix->runs[i];

		passed += run_passed(run);
		printf("%-*s  %s%-11s%s  %8.2f  %8zu\n", width, run->profile->name,
		       colour_on(colours, run_passed(run) ? COLOUR_GOOD : COLOUR_BAD), run_result(run, text), colour_off(colours),
		       run->seconds, run->refusals);
		if (*run->refusal)
			printf("    %s%s%s\n", colour_on(colours, COLOUR_FAINT), run->refusal, colour_off(colours));
	}
	printf("%zu of %zu passed; the output and log of each are in %s\n", passed, matrix->count, matrix->directory);
}

/* ---- for programs ---- */

static void print_tap(const struct matrix *matrix)
{
	char text[32];

	printf("1..%zu\n", matrix->count);
	for (size_t i = 0; i < matrix->count; i++) {
		const struct run *run = &matrix->runs[i];

		printf("%sok %zu - %s\n", run_passed(run) ? "" : "not ", i + 1, run->profile->name);
		if (!run_passed(run))
			printf("# %s\n", run_result(run, text));
		if (*run->refusal)
			printf("# %s\n", run->refusal);
	}
}

static struct json_object *describe_run(const struct run *run)
{
	struct json_object *object = json_object_new_object();
	char text[32];

	json_add_text(object, "os", run->profile->name);
	json_object_object_add(object, "passed", json_object_new_boolean(run_passed(run)));
	json_add_text(object, "result", run_result(run, text));
	if (run->state == RUN_ENDED && WIFEXITED(run->status))
		json_object_object_add(object, "exit_status", json_object_new_int(WEXITSTATUS(run->status)));
	if (run->state == RUN_ENDED && WIFSIGNALED(run->status))
		json_object_object_add(object, "signal", json_object_new_int(WTERMSIG(run->status)));
	json_object_object_add(object, "seconds", json_object_new_double_s(run->seconds, (snprintf(text, sizeof(text), "%.3f", run->seconds), text)));
	json_object_object_add(object, "refusals", json_object_new_int64((int64_t)run->refusals));
	if (*run->refusal)
		json_add_text(object, "first_refusal", run->refusal);
	json_add_text(object, "output", run->output);
	json_add_text(object, "log", run->log);
	return object;
}

static void print_json(const struct matrix *matrix)
{
	struct json_object *object = json_object_new_object(), *command = json_object_new_array(), *runs = json_object_new_array();

	for (char **word = matrix->command; *word; word++)
		json_object_array_add(command, json_object_new_string(*word));
	for (size_t i = 0; i < matrix->count; i++)
		json_object_array_add(runs, describe_run(&matrix->runs[i]));
	json_object_object_add(object, "command", command);
	json_object_object_add(object, "isolated", json_object_new_boolean(matrix->isolated));
	json_object_object_add(object, "runs", runs);
	json_print(object);
}

/* ---- JUnit ---- */

/* Bytes of the UTF-8 character at text that XML may have, 0: none. */
static size_t character(const unsigned char *text, size_t left)
{
	size_t length = *text < 0x80 ? 1 : *text >= 0xc2 && *text < 0xe0 ? 2 : *text >= 0xe0 && *text < 0xf0 ? 3 : *text >= 0xf0 && *text < 0xf5 ? 4 : 0;

	if (length == 1)
		return *text >= ' ' || *text == '\n' || *text == '\t';
	if (length > left)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong, surrogates and noncharacters. */
	if (*text == 0xe0 || *text == 0xf0)
		return text[1] >= (*text == 0xe0 ? 0xa0 : 0x90) ? length : 0;
	if ((*text == 0xed && text[1] >= 0xa0) || (*text == 0xf4 && text[1] >= 0x90) || (*text == 0xef && text[1] == 0xbf && text[2] >= 0xbe))
		return 0;
	return length;
}

static void xml_text(FILE *file, const char *text, size_t length)
{
	for (const unsigned char *at = (const unsigned char *)text; length;) {
		size_t size = character(at, length);

		if (*at == '<')
			fputs("&lt;", file);
		else if (*at == '>')
			fputs("&gt;", file);
		else if (*at == '&')
			fputs("&amp;", file);
		else if (*at == '"')
			fputs("&quot;", file);
		else if (size)
			fwrite(at, 1, size, file);
		else
			fputc('?', file);
		at += size ? size : 1;
		length -= size ? size : 1;
	}
}

#define KEPT 65536 /* of the end of an output */

static void xml_output(FILE *to, const char *path)
{
	static char text[KEPT];
	FILE *file = fopen(path, "r");
	size_t length;

	if (!file)
		return;
	if (fseek(file, -(long)sizeof(text), SEEK_END) < 0)
		rewind(file);
	length = fread(text, 1, sizeof(text), file);
	fclose(file);
	fputs("      <system-out>", to);
	xml_text(to, text, length);
	fputs("</system-out>\n", to);
}

static void write_case(FILE *file, const struct run *run)
{
	char text[32];

	fputs("    <testcase classname=\"fakebind\" name=\"", file);
	xml_text(file, run->profile->name, strlen(run->profile->name));
	fprintf(file, "\" time=\"%.3f\">\n", run->seconds);
	if (run->state == RUN_WAITING) {
		fputs("      <skipped message=\"not run\"/>\n", file);
	} else if (!run_passed(run)) {
		fprintf(file, "      <failure message=\"%s\">", run_result(run, text));
		xml_text(file, run->refusal, strlen(run->refusal));
		fputs("</failure>\n", file);
	}
	if (run->state != RUN_WAITING)
		xml_output(file, run->output);
	fputs("    </testcase>\n", file);
}

static void write_suite(FILE *file, const struct matrix *matrix)
{
	size_t failures = 0, skipped = 0;
	double seconds = 0;

	for (size_t i = 0; i < matrix->count; i++) {
		skipped += matrix->runs[i].state == RUN_WAITING;
		failures += matrix->runs[i].state != RUN_WAITING && !run_passed(&matrix->runs[i]);
		seconds += matrix->runs[i].seconds;
	}
	fprintf(file, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n"
		"  <testsuite name=\"fakebind matrix\" tests=\"%zu\" failures=\"%zu\" errors=\"0\" skipped=\"%zu\" time=\"%.3f\">\n",
		matrix->count, failures, skipped, seconds);
	for (size_t i = 0; i < matrix->count; i++)
		write_case(file, &matrix->runs[i]);
	fputs("  </testsuite>\n</testsuites>\n", file);
}

static bool write_junit(const struct matrix *matrix)
{
	FILE *file = fopen(matrix->junit, "w");
	bool good = file != NULL;

	if (good) {
		write_suite(file, matrix);
		good = !ferror(file);
		good = fclose(file) == 0 && good;
	}
	if (!good)
		complain("--junit %s: %s", matrix->junit, strerror(errno));
	return good;
}

int matrix_report(const struct matrix *matrix)
{
	if (matrix->report == REPORT_TAP)
		print_tap(matrix);
	else if (matrix->report == REPORT_JSON)
		print_json(matrix);
	else
		print_table(matrix);
	return finish_output() || (matrix->junit && !write_junit(matrix));
}

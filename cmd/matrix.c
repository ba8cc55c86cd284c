/* SPDX-License-Identifier: MIT */
/* fakebind matrix: one command under several systems, side by side. */
#define _GNU_SOURCE
#include "matrix.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cmd.h"
#include "print_json.h"
#include "systems.h"
#include "terminal.h"

struct request {
	struct systems systems;
	struct matrix matrix;
	long jobs, timeout; /* 0: not given, none */
	bool shared;        /* --no-isolate */
	bool list;
};

static const char help[] =
	"Usage: fakebind matrix --os NAME... [OPTION]... [--] COMMAND [ARGUMENT]...\n"
	"       fakebind matrix --all [OPTION]... [--] COMMAND [ARGUMENT]...\n"
	"       fakebind matrix --list-json [--os NAME...]\n"
	"\n"
	"Runs COMMAND, e.g. a test suite, once under each system, and shows where it\n"
	"passes, where not, and what was refused.  Each run has a network of its own, so\n"
	"they never meet; root is not needed for that.\n"
	"\n"
	"  -o, --os NAME|FILE     a system; may be repeated, or a list with commas\n"
	"  -a, --all              every system that fakebind has\n"
	"  -j, --jobs N           this many at the same time (default: one a processor)\n"
	"  -t, --timeout S        end a run that takes longer than S seconds\n"
	"  -d, --output DIR       the output and log of each run go there (default:\n"
	"                         fakebind-matrix)\n"
	"      --no-isolate       on this machine's own network, one after the other\n"
	"      --junit FILE       write a JUnit report as well\n"
	"      --tap              print TAP instead of a table\n"
	"      --json             print JSON instead of a table\n"
	"      --list-json        print the systems as the matrix of a CI system, and run\n"
	"                         nothing\n"
	"  -h, --help             show this text\n"
	"\n"
	"The exit status is 0 if all passed, 1 if one did not, 125 after an error, 128\n"
	"and the signal's number if interrupted.\n";

/* ---- while they run ---- */

struct progress {
	bool terminal;
	size_t lines; /* on the terminal, to be drawn over */
};

static void erase(struct progress *progress)
{
	if (progress->lines)
		fprintf(stderr, "\033[%zuA\033[J", progress->lines);
	progress->lines = 0;
}

static void draw(struct progress *progress, const struct matrix *matrix, double now)
{
	if (!progress->terminal)
		return;
	erase(progress);
	for (size_t i = 0; i < matrix->count; i++)
		if (matrix->runs[i].state == RUN_RUNNING) {
			fprintf(stderr, "%s: running for %.0f s\n", matrix->runs[i].profile->name, now - matrix->runs[i].began);
			progress->lines++;
		}
}

static void say_ended(struct progress *progress, const struct run *run)
{
	char text[32];

	erase(progress);
	fprintf(stderr, "%s: %s after %.1f s\n", run->profile->name, run_result(run, text), run->seconds);
}

/* ---- running ---- */

#define MERCY 2.0 /* seconds between SIGTERM and SIGKILL */

struct crew {
	struct matrix *matrix;
	struct progress progress;
	size_t running;
	long jobs;
	double timeout; /* 0: none */
	int interrupted; /* signal */
};

static bool start_some(struct crew *crew)
{
	struct matrix *matrix = crew->matrix;

	for (size_t i = 0; i < matrix->count && crew->running < (size_t)crew->jobs && !crew->interrupted; i++) {
		if (matrix->runs[i].state != RUN_WAITING)
			continue;
		if (!run_start(&matrix->runs[i], matrix->command, matrix->isolated))
			return false;
		crew->running++;
	}
	return true;
}

static struct run *run_of(struct matrix *matrix, pid_t pid)
{
	for (size_t i = 0; i < matrix->count; i++)
		if (matrix->runs[i].state == RUN_RUNNING && matrix->runs[i].pid == pid)
			return &matrix->runs[i];
	return NULL;
}

static void collect_ended(struct crew *crew, double now)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct run *run = run_of(crew->matrix, pid);

		if (!run)
			continue;
		run_kill(run, SIGKILL); /* what it left behind */
		run->status = status;
		run->seconds = now - run->began;
		run->state = RUN_ENDED;
		run_read_log(run);
		crew->running--;
		say_ended(&crew->progress, run);
	}
}

static void end_run(struct run *run, double now)
{
	if (!run->killed) {
		run->killed = now;
		run_kill(run, SIGTERM);
		run_kill(run, SIGCONT);
	} else if (now - run->killed > MERCY) {
		run_kill(run, SIGKILL);
	}
}

static void end_overdue(struct crew *crew, double now)
{
	for (size_t i = 0; i < crew->matrix->count; i++) {
		struct run *run = &crew->matrix->runs[i];

		if (run->state != RUN_RUNNING)
			continue;
		run->timed_out |= crew->timeout > 0 && now - run->began > crew->timeout && !run->interrupted;
		run->interrupted |= crew->interrupted && !run->timed_out;
		if (run->timed_out || run->interrupted)
			end_run(run, now);
	}
}

static bool run_all(struct crew *crew)
{
	const struct timespec pause = { 0, 200 * 1000 * 1000 };
	bool good = true;
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	while ((good = good && start_some(crew)), crew->running) {
		int got = sigtimedwait(&signals, NULL, &pause);
		double now = matrix_now();

		if (got > 0 && got != SIGCHLD)
			crew->interrupted = got;
		if (!good && !crew->interrupted)
			crew->interrupted = SIGTERM;
		collect_ended(crew, now);
		end_overdue(crew, now);
		draw(&crew->progress, crew->matrix, now);
	}
	erase(&crew->progress);
	return good;
}

/* ---- what is wanted ---- */

static bool parse_number(const char *option, const char *word, long *number)
{
	char *end;

	*number = strtol(word, &end, 10);
	if (*word && !*end && *number > 0 && *number <= 1000000)
		return true;
	complain("%s %s: expected a number above 0", option, word);
	return false;
}

enum { NO_ISOLATE = 256, JUNIT, TAP, JSON, LIST_JSON };

static int parse(int argc, char **argv, struct request *request)
{
	static const struct option options[] = {
		{ "os", required_argument, NULL, 'o' },
		{ "all", no_argument, NULL, 'a' },
		{ "jobs", required_argument, NULL, 'j' },
		{ "timeout", required_argument, NULL, 't' },
		{ "output", required_argument, NULL, 'd' },
		{ "no-isolate", no_argument, NULL, NO_ISOLATE },
		{ "junit", required_argument, NULL, JUNIT },
		{ "tap", no_argument, NULL, TAP },
		{ "json", no_argument, NULL, JSON },
		{ "list-json", no_argument, NULL, LIST_JSON },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int letter;

	while ((letter = getopt_long(argc, argv, "+o:aj:t:d:h", options, NULL)) != -1) {
		switch (letter) {
		case 'o':
			if (!systems_add(&request->systems, optarg))
				return EXIT_OURS;
			break;
		case 'a':
			systems_add_all(&request->systems);
			break;
		case 'j':
			if (!parse_number("--jobs", optarg, &request->jobs))
				return EXIT_OURS;
			break;
		case 't':
			if (!parse_number("--timeout", optarg, &request->timeout))
				return EXIT_OURS;
			break;
		case 'd':
			request->matrix.directory = optarg;
			break;
		case NO_ISOLATE:
			request->shared = true;
			break;
		case JUNIT:
			request->matrix.junit = optarg;
			break;
		case TAP:
			request->matrix.report = REPORT_TAP;
			break;
		case JSON:
			request->matrix.report = REPORT_JSON;
			break;
		case LIST_JSON:
			request->list = true;
			break;
		default:
			return help_or_misuse(letter, help);
		}
	}
	systems_once(&request->systems);
	request->matrix.command = argv + optind;
	if (!request->list && !request->systems.count) {
		complain("no systems given: --os NAME,... of `fakebind profiles`, or --all");
		return misuse();
	}
	if (!request->list && !argv[optind]) {
		complain("no command given");
		return misuse();
	}
	return GO_ON;
}

static int list_systems(struct systems *systems)
{
	struct json_object *object = json_object_new_object(), *include = json_object_new_array();

	if (!systems->count)
		systems_add_all(systems);
	for (size_t i = 0; i < systems->count; i++) {
		struct json_object *one = json_object_new_object();

		json_add_text(one, "os", systems->words[i]);
		json_object_array_add(include, one);
	}
	json_object_object_add(object, "include", include);
	json_print_line(object);
	return finish_output();
}

/* ---- before they run ---- */

/* Absolute paths: the command may go anywhere. */
static bool name_files(struct run *run, const char *directory)
{
	size_t size = sizeof(run->output);

	return (size_t)snprintf(run->output, size, "%s/%s.out", directory, run->profile->name) < size &&
	       (size_t)snprintf(run->log, size, "%s/%s.log", directory, run->profile->name) < size;
}

static bool make_runs(struct request *request)
{
	struct matrix *matrix = &request->matrix;
	char directory[PATH_MAX];

	matrix->count = request->systems.count;
	matrix->runs = calloc(matrix->count, sizeof(*matrix->runs));
	if (!matrix->runs || (mkdir(matrix->directory, 0777) < 0 && errno != EEXIST) || !realpath(matrix->directory, directory) ||
	    access(directory, W_OK)) {
		complain("--output %s: %s", matrix->directory, strerror(errno));
		return false;
	}
	for (size_t i = 0; i < matrix->count; i++) {
		matrix->runs[i].profile = request->systems.profiles[i];
		matrix->runs[i].system = request->systems.words[i];
		if (!name_files(&matrix->runs[i], directory)) {
			complain("--output %s: path too long", matrix->directory);
			return false;
		}
	}
	return true;
}

static void choose_isolation(struct request *request)
{
	const char *why = "--no-isolate";

	request->matrix.isolated = !request->shared && isolation_works(&why);
	if (!request->jobs)
		request->jobs = sysconf(_SC_NPROCESSORS_ONLN);
	if (request->matrix.isolated)
		return;
	complain("%s: the runs share this machine's ports with all its programs, so there is one at a time", why);
	request->jobs = 1;
}

static int run_matrix(struct request *request)
{
	static struct target target;
	struct crew crew = { .matrix = &request->matrix, .timeout = (double)request->timeout, .progress.terminal = terminal_moves(STDERR_FILENO) };
	int result = target_inspect(request->matrix.command[0], &target);
	bool passed = true, good;

	if (result)
		return result;
	if (!make_runs(request))
		return EXIT_OURS;
	choose_isolation(request);
	crew.jobs = request->jobs;
	good = run_all(&crew);
	result = matrix_report(&request->matrix);
	for (size_t i = 0; i < request->matrix.count; i++)
		passed &= run_passed(&request->matrix.runs[i]);
	if (!good)
		return EXIT_OURS;
	if (crew.interrupted)
		return 128 + crew.interrupted;
	return result || !passed;
}

int matrix_main(int argc, char **argv)
{
	struct request request = { .matrix.directory = "fakebind-matrix" };
	int result = parse(argc, argv, &request);

	if (result == GO_ON)
		result = request.list ? list_systems(&request.systems) : run_matrix(&request);
	free(request.matrix.runs);
	systems_free(&request.systems);
	return result;
}

/* SPDX-License-Identifier: MIT */
/* The launcher: looks at everything that can be wrong first, then becomes the command. */
#define _GNU_SOURCE
#include "cmd.h"

#include "fakebind.h"
#include "sessions.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

struct request {
	const struct profile *profile;
	const char *explain; /* value of FAKEBIND_EXPLAIN, NULL: leave it */
	const char *session;
	const char *log;     /* NULL: none */
	/* Values of FAKEBIND_SET, _ONLY and _SKIP, words with commas between them; NULL: leave it. */
	char *set, *only, *skip;
	const char *time_wait; /* value of FAKEBIND_TIME_WAIT, NULL: leave it */
	bool loopback_alias;
	bool shell;          /* the command is the user's shell */
	char **command;
	char system[PROFILE_SYSTEM]; /* whose registry it is */
};

static const char shell_help[] =
	"Usage: fakebind shell --os NAME|FILE [OPTION]...\n"
	"\n"
	"Starts your $SHELL (else /bin/sh): what you run in it runs under the system and\n"
	"shares its ports.  The prompt of bash, zsh and dash shows which; `exit` leaves\n"
	"it.  The options are those of `fakebind --help`; with --session NAME several\n"
	"shells are on one machine.  The exit status is the shell's.\n";

/* ---- what is wanted ---- */

static bool is_setting(const char *text)
{
	static const char *const settings[] = {
		"exclusive", "exclusive=0", "exclusive=1", "reuseaddr=0", "reuseaddr=1", "reuseaddr=keep",
	};
	bool known = false;

	for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++)
		known |= !strcmp(text, settings[i]);
	if (!known)
		complain("--set %s: expected exclusive, exclusive=0 or =1, reuseaddr=0, =1 or =keep", text);
	return known;
}

static bool is_program(const char *option, const char *name)
{
	bool good = *name && !strpbrk(name, ",/");

	if (!good)
		complain("--%s %s: expected the name of a program, without its directory", option, name);
	return good;
}

/* One word more, after a comma. */
static void add_word(char **words, const char *word)
{
	char *joined;

	if (asprintf(&joined, "%s%s%s", *words ? *words : "", *words ? "," : "", word) < 0)
		must(NULL);
	free(*words);
	*words = joined;
}

static int check(struct request *request, const char *system)
{
	if (!system) {
		complain("no system given: --os NAME, one of `fakebind profiles`");
		return misuse();
	}
	request->profile = profile_or_complain(system);
	if (!request->profile)
		return EXIT_OURS;
	profile_system(request->profile, request->system);
	if (request->explain && strcmp(request->explain, "1") && strcmp(request->explain, "all")) {
		complain("--explain=%s: expected --explain or --explain=all", request->explain);
		return EXIT_OURS;
	}
	if (request->session && !session_name_valid(request->session)) {
		complain("--session %s: expected up to 64 letters, digits, dots, dashes or underscores", request->session);
		return EXIT_OURS;
	}
	if (request->shell && *request->command) {
		complain("shell starts your $SHELL; to run %s: fakebind --os %s -- %s", *request->command, request->profile->name, *request->command);
		return EXIT_OURS;
	}
	if (request->time_wait && !time_wait_parse(request->time_wait, &(struct time_wait){ 0 })) {
		complain("--time-wait %s: expected " TIME_WAIT_EXPECTED, request->time_wait);
		return EXIT_OURS;
	}
	if (!request->shell && !*request->command) {
		complain("no command given");
		return misuse();
	}
	return GO_ON;
}

/* An exit status, or GO_ON. */
static int parse(int argc, char **argv, struct request *request)
{
	static const struct option options[] = {
		{ "os", required_argument, NULL, 'o' },
		{ "explain", optional_argument, NULL, 'e' },
		{ "log", required_argument, NULL, 'L' },
		{ "session", required_argument, NULL, 's' },
		{ "set", required_argument, NULL, 'S' },
		{ "only", required_argument, NULL, 'O' },
		{ "skip", required_argument, NULL, 'K' },
		{ "time-wait", required_argument, NULL, 't' },
		{ "loopback-alias", no_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const char *system = NULL;
	int letter;

	/* "+": what follows the command's name is the command's. */
	while ((letter = getopt_long(argc, argv, "+o:e::L:s:h", options, NULL)) != -1) {
		switch (letter) {
		case 'o':
			system = optarg;
			break;
		case 'e':
			request->explain = optarg ? optarg : "1";
			break;
		case 'L':
			request->log = optarg;
			break;
		case 's':
			request->session = optarg;
			break;
		case 'S':
			if (!is_setting(optarg))
				return EXIT_OURS;
			add_word(&request->set, optarg);
			break;
		case 'O':
			if (!is_program("only", optarg))
				return EXIT_OURS;
			add_word(&request->only, optarg);
			break;
		case 'K':
			if (!is_program("skip", optarg))
				return EXIT_OURS;
			add_word(&request->skip, optarg);
			break;
		case 't':
			request->time_wait = optarg;
			break;
		case 'l':
			request->loopback_alias = true;
			break;
		default:
			return help_or_misuse(letter, request->shell ? shell_help : usage);
		}
	}
	request->command = argv + optind;
	return check(request, system);
}

/* ---- the registry ---- */

/* A run inside a run of the same system shares its ports. */
static bool is_nested(const struct request *request)
{
	const char *value = getenv(FAKEBIND_ENV_OS), *registry = getenv(FAKEBIND_ENV_REGISTRY);
	const struct profile *outer = value ? profile_find(value) : NULL;
	char name[PROFILE_NAME + 1], system[PROFILE_SYSTEM];
	struct profile given;

	if (!registry || !*registry || !value)
		return false;
	if (!outer && profile_decode(value, &given, name))
		outer = &given;
	if (!outer)
		return false;
	profile_system(outer, system);
	return !strcmp(system, request->system);
}

static bool join_session(const char *path, const struct request *request)
{
	const char *name = request->session;
	struct registry registry;
	enum registry_error error = registry_open(&registry, path, request->system, 0);

	if (error == REGISTRY_OK) {
		registry_close(&registry);
		utimensat(AT_FDCWD, path, NULL, 0); /* from now on it is young again: cmd/sweep.c */
		return true;
	}
	if (error == REGISTRY_PROFILE)
		complain("session %s is one of another system than %s: choose another name, or end it: fakebind end %s",
			 name, request->profile->name, name);
	else
		complain("session %s: %s: %s", name, path, registry_error_text(error));
	return false;
}

static bool choose_registry(const struct request *request, char *path, size_t size)
{
	char directory[PATH_MAX / 2];
	unsigned random;

	if (!sessions_directory(directory, sizeof(directory)))
		return false;
	if (request->session) {
		snprintf(path, size, "%s/" SESSION_PREFIX "%s", directory, request->session);
		if (!join_session(path, request))
			return false;
	}
	sessions_sweep(directory);
	if (request->session)
		return true;
	if (is_nested(request)) {
		snprintf(path, size, "%s", getenv(FAKEBIND_ENV_REGISTRY));
		return true;
	}
	if (getrandom(&random, sizeof(random), 0) != sizeof(random)) {
		complain("no random number: %s", strerror(errno));
		return false;
	}
	snprintf(path, size, "%s/" RUN_PREFIX "%d-%08x.%s", directory, getpid(), random, request->system);
	return true;
}

/* ---- the log ---- */

/* The library is given an absolute path, and the user is told at once if it cannot be written. */
static bool set_log(const char *log)
{
	char path[PATH_MAX];
	int fd = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);

	if (fd < 0 || !realpath(log, path)) {
		complain("--log %s: %s", log, strerror(errno));
		return false;
	}
	close(fd);
	return setenv(FAKEBIND_ENV_LOG, path, 1) == 0;
}

/* ---- the environment ---- */

/* Sets name to value, then, if it has a value already, a colon and that. */
static bool prepend(const char *name, const char *value)
{
	const char *rest = getenv(name);
	char *joined = NULL;
	bool done;

	if (!rest || !*rest)
		return setenv(name, value, 1) == 0;
	done = asprintf(&joined, "%s:%s", value, rest) >= 0 && setenv(name, joined, 1) == 0;
	free(joined);
	return done;
}

static bool set_environment(const struct request *request, const struct target *target, const char *library, const char *registry)
{
	char code[PROFILE_CODE];

	/* gcc's AddressSanitizer wants to be the first library.  Putting it first in LD_PRELOAD would also load
	 * it into every program the command starts, and fail those that leak. */
	if (target->asan && !prepend("ASAN_OPTIONS", "verify_asan_link_order=0"))
		return false;
	if (request->explain && setenv(FAKEBIND_ENV_EXPLAIN, request->explain, 1))
		return false;
	if (request->set && setenv(FAKEBIND_ENV_SET, request->set, 1))
		return false;
	if (request->only && setenv(FAKEBIND_ENV_ONLY, request->only, 1))
		return false;
	if (request->skip && setenv(FAKEBIND_ENV_SKIP, request->skip, 1))
		return false;
	if (request->time_wait && setenv(FAKEBIND_ENV_TIME_WAIT, request->time_wait, 1))
		return false;
	if (request->loopback_alias && setenv(FAKEBIND_ENV_LOOPBACK_ALIAS, "1", 1))
		return false;
	profile_encode(request->profile, code);
	return prepend("LD_PRELOAD", library) && setenv(FAKEBIND_ENV_OS, code, 1) == 0 &&
	       setenv(FAKEBIND_ENV_REGISTRY, registry, 1) == 0;
}

static int launch(int argc, char **argv, bool shell)
{
	struct request request = { .shell = shell };
	static struct target target;
	char library[PATH_MAX], registry[PATH_MAX];
	int result = parse(argc, argv, &request);

	if (result != GO_ON)
		return result;
	if (shell && !(request.command = shell_command(request.profile->name, request.session)))
		return EXIT_OURS;
	result = target_inspect(request.command[0], &target);
	if (result)
		return result;
	if (!library_find(library, sizeof(library)) || !choose_registry(&request, registry, sizeof(registry)))
		return EXIT_OURS;
	if (request.log && !set_log(request.log))
		return EXIT_OURS;
	if (!set_environment(&request, &target, library, registry)) {
		complain("no memory for the environment");
		return EXIT_OURS;
	}
	execvp(target.path, request.command);
	return cannot_run(request.command[0], errno);
}

int run_main(int argc, char **argv)
{
	return launch(argc, argv, false);
}

int shell_main(int argc, char **argv)
{
	return launch(argc, argv, true);
}

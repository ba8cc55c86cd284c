/* SPDX-License-Identifier: MIT */
/* The launcher: looks at everything that can be wrong first, then becomes the command. */
#define _GNU_SOURCE
#include "cmd.h"

#include "fakebind.h"
#include "shim/host/place.h"
#include "shim/registry/registry.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

struct request {
	const struct profile *profile;
	const char *explain; /* value of FAKEBIND_EXPLAIN, NULL: leave it */
	const char *session;
	const char *set;     /* value of FAKEBIND_SET, NULL: leave it */
	bool loopback_alias;
	char **command;
	char system[PROFILE_SYSTEM]; /* whose registry it is */
};

/* ---- what is wanted ---- */

static int misuse(void)
{
	complain("try `fakebind --help`");
	return EXIT_OURS;
}

static bool is_session_name(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

	return *name && strlen(name) <= 64 && strspn(name, letters) == strlen(name);
}

static bool is_setting(const char *text)
{
	return !strcmp(text, "exclusive") || !strcmp(text, "exclusive=0") || !strcmp(text, "exclusive=1");
}

static int parse(int argc, char **argv, struct request *request)
{
	static const struct option options[] = {
		{ "os", required_argument, NULL, 'o' },
		{ "explain", optional_argument, NULL, 'e' },
		{ "session", required_argument, NULL, 's' },
		{ "set", required_argument, NULL, 'S' },
		{ "loopback-alias", no_argument, NULL, 'l' },
		{ NULL, 0, NULL, 0 },
	};
	const char *system = NULL;
	int letter;

	/* "+": what follows the command's name is the command's. */
	while ((letter = getopt_long(argc, argv, "+o:e::s:", options, NULL)) != -1) {
		switch (letter) {
		case 'o':
			system = optarg;
			break;
		case 'e':
			request->explain = optarg ? optarg : "1";
			break;
		case 's':
			request->session = optarg;
			break;
		case 'S':
			request->set = optarg;
			break;
		case 'l':
			request->loopback_alias = true;
			break;
		default:
			return misuse();
		}
	}
	request->command = argv + optind;
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
	if (request->session && !is_session_name(request->session)) {
		complain("--session %s: expected up to 64 letters, digits, dots, dashes or underscores", request->session);
		return EXIT_OURS;
	}
	if (request->set && !is_setting(request->set)) {
		complain("--set %s: expected exclusive, exclusive=0 or exclusive=1", request->set);
		return EXIT_OURS;
	}
	if (!*request->command) {
		complain("no command given");
		return misuse();
	}
	return 0;
}

/* ---- the library ---- */

/* Where make leaves it, seen from a fakebind that was not installed. */
static bool built_library(char *path, size_t size)
{
	ssize_t length = readlink("/proc/self/exe", path, size - 1);
	char *slash;

	if (length <= 0)
		return false;
	path[length] = '\0';
	slash = strrchr(path, '/');
	snprintf(slash, size - (slash - path), "/.libs/libfakebind.so");
	return access(path, R_OK) == 0;
}

static bool find_library(char *path, size_t size)
{
	const char *given = getenv("FAKEBIND_LIBRARY");

	if (given && *given)
		snprintf(path, size, "%s", given);
	else if (!built_library(path, size))
		snprintf(path, size, "%s/libfakebind.so", PKGLIBDIR);
	if (path[0] != '/' || strpbrk(path, ": ")) {
		complain("the library %s cannot be preloaded: its path must begin with / and have no colon or space", path);
		return false;
	}
	return target_is_library(path);
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
		return true;
	}
	if (error == REGISTRY_PROFILE)
		complain("session %s is one of another system than %s: choose another name, or remove %s once its programs have ended",
			 name, request->profile->name, path);
	else
		complain("session %s: %s: %s", name, path, error == REGISTRY_SYSTEM ? strerror(errno) : registry_error_text(error));
	return false;
}

static bool choose_registry(const struct request *request, char *path, size_t size)
{
	char directory[PATH_MAX / 2];
	const char *problem = place_directory(getenv("XDG_RUNTIME_DIR"), directory, sizeof(directory));
	unsigned random;

	if (problem) {
		complain("%s: %s", directory, problem);
		return false;
	}
	sweep_runs(directory);
	if (request->session) {
		snprintf(path, size, "%s/session-%s", directory, request->session);
		return join_session(path, request);
	}
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
	if (request->loopback_alias && setenv(FAKEBIND_ENV_LOOPBACK_ALIAS, "1", 1))
		return false;
	profile_encode(request->profile, code);
	return prepend("LD_PRELOAD", library) && setenv(FAKEBIND_ENV_OS, code, 1) == 0 &&
	       setenv(FAKEBIND_ENV_REGISTRY, registry, 1) == 0;
}

int run_main(int argc, char **argv)
{
	struct request request = { 0 };
	static struct target target;
	char library[PATH_MAX], registry[PATH_MAX];
	int result = parse(argc, argv, &request);

	if (result == 0)
		result = target_inspect(request.command[0], &target);
	if (result)
		return result;
	if (!find_library(library, sizeof(library)) || !choose_registry(&request, registry, sizeof(registry)))
		return EXIT_OURS;
	if (!set_environment(&request, &target, library, registry)) {
		complain("no memory for the environment");
		return EXIT_OURS;
	}
	execvp(target.path, request.command);
	return cannot_run(request.command[0], errno);
}

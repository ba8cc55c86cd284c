/* SPDX-License-Identifier: MIT */
/* Ends TIME_WAIT now: all that connections left behind before this instant is over. */
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

static const char usage[] =
	"Usage: fakebind expire [PORT] [--session NAME]\n"
	"\n"
	"What TCP connections have left behind up to now (TIME_WAIT, FIN_WAIT_2) is over, on\n"
	"PORT or on every port.  Connections that are open, and their listeners, stay.\n"
	"\n"
	"  -s, --session NAME    of this session (default: the one this command runs in)\n"
	"  -h, --help            show this text\n"
	"\n"
	"On a Linux profile the host lets a bind over a remnant only if the socket that left it\n"
	"had SO_REUSEADDR, unless the session was started with --time-wait (x1 is enough).\n";

struct wish {
	const char *session;
	uint32_t port; /* EVERY_BUCKET: all; the bucket of a TCP port is its number on every system */
};

static bool read_port(const char *text, uint32_t *port)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	*port = (uint32_t)number;
	if (*text >= '0' && *text <= '9' && !*end && number >= 1 && number <= 65535)
		return true;
	complain("expire: %s: expected a port, 1 to 65535", text);
	return false;
}

static bool find_registry(const struct wish *wish, char *path, size_t size)
{
	const char *ours = getenv(FAKEBIND_ENV_REGISTRY), *problem;
	char directory[PATH_MAX / 2];

	if (!wish->session && (!ours || !*ours)) {
		complain("expire: this is no session: --session NAME says which one is meant");
		return false;
	}
	if (!wish->session) {
		snprintf(path, size, "%s", ours);
		return true;
	}
	problem = place_directory(getenv("XDG_RUNTIME_DIR"), directory, sizeof(directory));
	if (problem)
		complain("%s: %s", directory, problem);
	else if (strchr(wish->session, '/') || strlen(wish->session) > NAME_MAX)
		complain("expire: %s: expected the name of a session", wish->session);
	else
		snprintf(path, size, "%s/session-%s", directory, wish->session);
	return !problem && !strchr(wish->session, '/') && strlen(wish->session) <= NAME_MAX;
}

static int expire(const struct wish *wish)
{
	struct registry registry;
	char path[PATH_MAX];
	enum registry_error error;
	bool done;

	if (!find_registry(wish, path, sizeof(path)))
		return EXIT_OURS;
	error = registry_open(&registry, path, NULL, 0);
	if (error != REGISTRY_OK) {
		complain("expire: %s: %s", path, error != REGISTRY_SYSTEM ? registry_error_text(error) :
			 errno == ENOENT ? "there is no such session" : strerror(errno));
		return EXIT_OURS;
	}
	done = registry_expire(&registry, wish->port);
	registry_close(&registry);
	if (!done)
		complain("expire: %s: no room", path);
	return done ? 0 : EXIT_OURS;
}

int expire_main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "session", required_argument, NULL, 's' }, { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 },
	};
	struct wish wish = { .port = EVERY_BUCKET };
	int letter;

	while ((letter = getopt_long(argc, argv, "s:h", options, NULL)) != -1) {
		switch (letter) {
		case 's':
			wish.session = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return finish_output();
		default:
			return EXIT_OURS;
		}
	}
	if (argc > optind + 1) {
		complain("expire: one port at most; %s is too much (try `fakebind expire --help`)", argv[optind + 1]);
		return EXIT_OURS;
	}
	if (argc > optind && !read_port(argv[optind], &wish.port))
		return EXIT_OURS;
	return expire(&wish);
}

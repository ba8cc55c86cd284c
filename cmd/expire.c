/* SPDX-License-Identifier: MIT */
/* Ends TIME_WAIT now: all that connections left behind before this instant is over. */
#include "cmd.h"

#include "sessions.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
	"Usage: fakebind expire [PORT] [--session NAME]\n"
	"\n"
	"What TCP connections have left behind up to now (TIME_WAIT, FIN_WAIT_2) is over,\n"
	"on PORT or on every port.  Connections that are open, and their listeners, stay.\n"
	"\n"
	"  -s, --session NAME    of this session (default: the one this command runs in)\n"
	"  -h, --help            show this text\n"
	"\n"
	"On a Linux profile the host lets a bind over a remnant only if the socket that\n"
	"left it had SO_REUSEADDR, unless the session was started with --time-wait (x1 is\n"
	"enough).\n";

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
	complain("%s: expected a port, 1 to 65535", text);
	return false;
}

static bool find_session(const char *name, struct session_file *session)
{
	if (name)
		return session_find(name, session);
	if (session_of_ours(session))
		return true;
	complain("this is no session: --session NAME says which one is meant (fakebind sessions lists them)");
	return false;
}

static int expire(const struct wish *wish)
{
	struct registry registry;
	struct session_file session;
	enum registry_error error;
	bool done;

	if (!find_session(wish->session, &session))
		return EXIT_OURS;
	error = registry_open(&registry, session.path, NULL, 0);
	if (error != REGISTRY_OK) {
		complain("%s: %s", session.path, registry_error_text(error));
		return EXIT_OURS;
	}
	done = registry_expire(&registry, wish->port);
	registry_close(&registry);
	if (!done)
		complain("%s: no room", session.path);
	return done ? 0 : 1;
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
		default:
			return help_or_misuse(letter, help);
		}
	}
	if (argc > optind + 1) {
		complain("one port at most; %s is too much", argv[optind + 1]);
		return misuse();
	}
	if (argc > optind && !read_port(argv[optind], &wish.port))
		return EXIT_OURS;
	return expire(&wish);
}

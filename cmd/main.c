/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "cmd.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
	"Usage: fakebind --os NAME|FILE [OPTION]... [--] COMMAND [ARGUMENT]...\n"
	"       fakebind profiles [show NAME|FILE] [--json]\n"
	"       fakebind play --os NAME [OPTION]... FILE...\n"
	"       fakebind compare --os A --os B [OPTION]... [FILE]...\n"
	"       fakebind atlas [--os NAME]... [--output FILE]\n"
	"\n"
	"Runs an unmodified COMMAND so that bind, listen, SO_REUSEADDR, SO_REUSEPORT and\n"
	"TIME_WAIT behave as on another system.\n"
	"\n"
	"  -o, --os NAME|FILE    the system, one of `fakebind profiles`, or a text like them\n"
	"                        (a file: with a slash, or ending in .conf)\n"
	"  -e, --explain[=all]   say on stderr why a call is refused (all: every decision)\n"
	"  -s, --session NAME    share ports with the other runs of this session\n"
	"      --set exclusive   new sockets are exclusive (Windows, illumos); =0: they are not\n"
	"      --loopback-alias  127.0.0.2 and its like exist (systems other than Linux)\n"
	"  -h, --help            show this text\n"
	"  -V, --version         show the version\n"
	"\n"
	"The exit status is COMMAND's; 125 if fakebind refuses or fails, 126 if COMMAND cannot\n"
	"be run, 127 if it is not found.\n";

static const struct command {
	const char *name;
	int (*main)(int argc, char **argv);
} commands[] = {
	{ "atlas", atlas_main },
	{ "compare", compare_main },
	{ "play", play_main },
	{ "profiles", profiles_main },
	{ "run", run_main },
};

void complain(const char *format, ...)
{
	va_list arguments;

	fputs("fakebind: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

int cannot_run(const char *command, int error)
{
	complain("cannot run %s: %s", command, strerror(error));
	return error == ENOENT || error == ENOTDIR ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
}

int finish_output(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	complain("cannot write to standard output");
	return 1;
}

static bool is(const char *argument, const char *brief, const char *full)
{
	return !strcmp(argument, brief) || !strcmp(argument, full);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fputs(usage, stderr);
		return EXIT_OURS;
	}
	if (is(argv[1], "-h", "--help")) {
		fputs(usage, stdout);
		return finish_output();
	}
	if (is(argv[1], "-V", "--version")) {
		puts(PACKAGE_STRING);
		return finish_output();
	}
	if (argv[1][0] == '-')
		return run_main(argc, argv);
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].main(argc - 1, argv + 1);
	complain("no such subcommand: %s (to run a program: fakebind --os NAME -- %s)", argv[1], argv[1]);
	return EXIT_OURS;
}

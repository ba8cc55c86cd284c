/* SPDX-License-Identifier: MIT */
#include "cmd.h"
#include "nearest.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>

const char usage[] =
	"Usage: fakebind --os NAME|FILE [OPTION]... [--] COMMAND [ARGUMENT]...\n"
	"       fakebind profiles [show NAME|FILE] [--json]\n"
	"       fakebind play --os NAME [OPTION]... FILE...\n"
	"       fakebind compare --os A --os B [OPTION]... [FILE]...\n"
	"       fakebind atlas [--os NAME]... [--output FILE]\n"
	"       fakebind shell --os NAME|FILE [OPTION]...\n"
	"       fakebind ls [--session NAME] [--all] [--watch] [--json]\n"
	"       fakebind why [ADDRESS:]PORT [--as OPTIONS] [--os NAME]... [--json]\n"
	"       fakebind sessions [--json]\n"
	"       fakebind end NAME [--force]\n"
	"       fakebind expire [PORT] [--session NAME]\n"
	"       fakebind doctor [--json] [--] COMMAND [ARGUMENT]...\n"
	"       fakebind log [OPTION]... FILE\n"
	"       fakebind replay LOG --os NAME... [OPTION]...\n"
	"       fakebind matrix --os NAME... [OPTION]... [--] COMMAND [ARGUMENT]...\n"
	"       fakebind help [SUBCOMMAND]\n"
	"\n"
	"Runs an unmodified COMMAND so that bind, listen, SO_REUSEADDR, SO_REUSEPORT and\n"
	"TIME_WAIT behave as on another system.\n"
	"\n"
	"  -o, --os NAME|FILE    the system, one of `fakebind profiles`, or a text like\n"
	"                        them (a file: with a slash, or ending in .conf)\n"
	"  -e, --explain[=all]   say on stderr why a call is refused (all: each decision)\n"
	"  -L, --log FILE        append every call that decides who has a port to FILE\n"
	"  -s, --session NAME    share ports with the other runs of this session\n"
	"      --set WHAT        of every socket, may be repeated: exclusive (Windows,\n"
	"                        illumos); reuseaddr=1 or =0, whatever the program asks\n"
	"      --only PROGRAM    for programs of this name alone, may be repeated\n"
	"      --skip PROGRAM    not for programs of this name, may be repeated\n"
	"      --time-wait TIME  how long connections stay in TIME_WAIT: 250ms, 2s, 5m,\n"
	"                        x0.01 of the system's own time, or off\n"
	"      --loopback-alias  127.0.0.2 and its like exist (systems other than Linux)\n"
	"  -h, --help            show this text\n"
	"  -V, --version         show which command and which library this is\n"
	"\n"
	"The exit status is COMMAND's; 125 if fakebind refuses or fails, 126 if COMMAND\n"
	"cannot be run, 127 if it is not found.\n";

static const struct command {
	const char *name;
	int (*main)(int argc, char **argv);
} commands[] = {
	{ "atlas", atlas_main },
	{ "compare", compare_main },
	{ "doctor", doctor_main },
	{ "end", end_main },
	{ "expire", expire_main },
	{ "log", log_main },
	{ "ls", ls_main },
	{ "matrix", matrix_main },
	{ "play", play_main },
	{ "profiles", profiles_main },
	{ "replay", replay_main },
	{ "run", run_main },
	{ "sessions", sessions_main },
	{ "shell", shell_main },
	{ "why", why_main },
};

#define COMMANDS (sizeof(commands) / sizeof(*commands))

void complain(const char *format, ...)
{
	va_list arguments;

	fputs("fakebind: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

/* "fakebind", or "fakebind SUBCOMMAND". */
static char called[32] = "fakebind";

int misuse(void)
{
	complain("try `%s --help`", called);
	return EXIT_OURS;
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

int help_or_misuse(int letter, const char *help)
{
	if (letter != 'h')
		return misuse();
	fputs(help, stdout);
	return finish_output();
}

static bool is(const char *argument, const char *brief, const char *full)
{
	return !strcmp(argument, brief) || !strcmp(argument, full);
}

static int no_such_command(const char *word)
{
	const char *names[COMMANDS], *nearest;

	for (size_t i = 0; i < COMMANDS; i++)
		names[i] = commands[i].name;
	nearest = nearest_word(word, names, COMMANDS);
	if (word_distance(word, nearest) <= strlen(word) / 2)
		complain("no such subcommand: %s; did you mean %s? (to run a program: fakebind --os NAME -- %s)", word, nearest, word);
	else
		complain("no such subcommand: %s (to run a program: fakebind --os NAME -- %s)", word, word);
	return misuse();
}

/* argv[0], which getopt_long(3) puts before its errors, becomes what the user called. */
static int run_command(int argc, char **argv)
{
	for (size_t i = 0; i < COMMANDS; i++) {
		if (strcmp(argv[0], commands[i].name))
			continue;
		snprintf(called, sizeof(called), "fakebind %s", argv[0]);
		argv[0] = called;
		return commands[i].main(argc, argv);
	}
	return no_such_command(argv[0]);
}

static int help_main(char **argv)
{
	char option[] = "--help", *asks[] = { argv[1], option, NULL };

	return argv[1] && *argv[1] != '-' ? run_command(2, asks) : help_or_misuse('h', usage);
}

int main(int argc, char **argv)
{
	/* It runs whatever it is told to, with the library it is told to. */
	if (getauxval(AT_SECURE)) {
		complain("refuses to be setuid, setgid or to have file capabilities");
		return EXIT_OURS;
	}
	if (argc < 2) {
		fputs(usage, stderr);
		return EXIT_OURS;
	}
	if (is(argv[1], "-h", "--help"))
		return help_or_misuse('h', usage);
	if (is(argv[1], "-V", "--version"))
		return show_version();
	if (!strcmp(argv[1], "help"))
		return help_main(argv + 1);
	if (argv[1][0] != '-')
		return run_command(argc - 1, argv + 1);
	argv[0] = called;
	return run_main(argc, argv);
}

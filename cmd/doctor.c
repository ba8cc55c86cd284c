/* SPDX-License-Identifier: MIT */
/* fakebind doctor: does fakebind reach this command, and what would pass it by? */
#define _GNU_SOURCE
#include "cmd.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/netlink.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "colour.h"
#include "doctor.h"
#include "fakebind.h"
#include "print_json.h"
#include "shim/host/place.h"
#include "terminal.h"

#define PATH_SIZE 4096
#define DEPTH 8 /* wrappers and scripts of wrappers */

static const char help[] =
	"Usage: fakebind doctor [--json] [--] COMMAND [ARGUMENT]...\n"
	"\n"
	"Can fakebind reach this program, what would pass it by, and what helps?  Nothing\n"
	"is run but the program's dynamic loader, which is asked what it would load.\n"
	"\n"
	"      --json            for programs\n"
	"  -h, --help            show this text\n"
	"\n"
	"The exit status is 0 if nothing was found, 1 if something would pass fakebind\n"
	"by, 125 after an error.\n";

static const char *const level_names[] = { "fine", "note", "leak" };

void report_add(struct report *report, enum level level, const char *check, const char *advice, const char *format, ...)
{
	struct finding finding = { level, check, NULL, advice };
	va_list arguments;

	va_start(arguments, format);
	if (vasprintf(&finding.text, format, arguments) < 0)
		must(NULL);
	va_end(arguments);
	report->findings = grow(report->findings, report->count, sizeof(*report->findings));
	report->findings[report->count++] = finding;
}

/* ---- this machine ---- */

static void check_kernel(struct report *report)
{
	unsigned major = 0, minor = 0;
	struct utsname name;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (fd < 0)
		report_add(report, LEVEL_NOTE, "kernel", "allow netlink sockets: a seccomp filter of the container, or CONFIG_INET_DIAG",
			   "sock_diag cannot be used here (%s): the owner of a port stays unknown", strerror(errno));
	else
		close(fd);
	uname(&name);
	if (sscanf(name.release, "%u.%u", &major, &minor) == 2 && (major < 6 || (major == 6 && minor < 8)))
		report_add(report, LEVEL_NOTE, "kernel", NULL, "Linux %s does not list TCP sockets that are only bound: a dead one is believed longer", name.release);
}

static bool check_machine(struct report *report, char *library)
{
	char directory[PATH_SIZE / 2];
	const char *problem;

	if (!library_find(library, PATH_SIZE))
		return false;
	problem = place_directory(getenv("XDG_RUNTIME_DIR"), directory, sizeof(directory));
	if (problem)
		report_add(report, LEVEL_LEAK, "registry", "XDG_RUNTIME_DIR=DIRECTORY: one of yours that nobody else may write", "%s: %s", directory, problem);
	check_kernel(report);
	return true;
}

/* ---- what the dynamic loader would load ---- */

static void check_library(struct report *report, const char *path)
{
	const ElfW(Ehdr) *header;
	struct image image;

	if (!image_open(&image, path))
		return;
	header = image_elf(&image);
	if (header)
		doctor_image(report, &image, header, false);
	image_close(&image);
}

/* The C library and the loader make the system calls that everybody else goes to them for. */
static bool is_libc(const char *path)
{
	const char *name = strrchr(path, '/') + 1;

	return !strncmp(name, "libc.", 5) || !strncmp(name, "ld-", 3) || !strncmp(name, "libpthread.", 11) || !strncmp(name, "libc-", 5);
}

/* One line of the list: "NAME => /PATH (0x...)" or "/PATH (0x...)". */
static void read_line(struct report *report, char *line, const char *library, bool *loaded)
{
	char *path = strchr(line, '/'), *arrow = strstr(line, "=> /");

	if (arrow)
		path = arrow + 3;
	if (!path)
		return;
	path[strcspn(path, " \n")] = '\0';
	if (!strcmp(path, library))
		*loaded = true;
	else if (!is_libc(path))
		check_library(report, path);
}

static FILE *ask_loader(const char *loader, const char *program, const char *library, pid_t *pid)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		return NULL;
	*pid = fork();
	if (*pid == 0) {
		dup2(ends[1], 1);
		dup2(ends[1], 2);
		setenv("LD_PRELOAD", library, 1);
		unsetenv(FAKEBIND_ENV_OS);
		execl(loader, loader, "--list", program, (char *)NULL);
		_exit(EXIT_NOT_FOUND);
	}
	close(ends[1]);
	if (*pid > 0)
		return fdopen(ends[0], "r");
	close(ends[0]);
	return NULL;
}

static void check_loading(struct report *report, const struct image *image, const char *library)
{
	const char *loader = image_interpreter(image);
	char *line = NULL, last[200] = "";
	size_t size = 0;
	bool loaded = false;
	pid_t pid;
	FILE *list = ask_loader(loader, image->name, library, &pid);

	while (list && getline(&line, &size, list) > 0) {
		snprintf(last, sizeof(last), "%.*s", (int)strcspn(line, "\n"), line);
		read_line(report, line, library, &loaded);
	}
	free(line);
	if (list) {
		fclose(list);
		waitpid(pid, NULL, 0);
	}
	if (loaded)
		report_add(report, LEVEL_FINE, "loading", NULL, "%s loads the library into %s", loader, image->name);
	else
		report_add(report, LEVEL_LEAK, "loading", "build fakebind for the C library of the program", "%s does not load the library into %s: %s", loader, image->name, last);
	if (strstr(loader, "/ld-musl"))
		report_add(report, LEVEL_NOTE, "libc", "if it misbehaves, build fakebind with musl-gcc", "%s uses musl", image->name);
}

/* ---- the command ---- */

static const struct wrapper {
	const char *names;
	bool inside;       /* the command that it starts is still reached */
	const char *finding, *advice;
} wrappers[] = {
	{ " env nice nohup timeout setsid stdbuf taskset chrt ionice time xargs catchsegv faketime ", true, NULL, NULL },
	{ " sudo su doas pkexec runuser login ", false, "starts its command with other rights and a clean environment", "put it before fakebind: sudo fakebind --os NAME -- COMMAND" },
	{ " setpriv gosu su-exec chpst start-stop-daemon ", false, "may start its command as another user, who cannot open this user's registry",
	  "put it before fakebind: gosu USER fakebind --os NAME -- COMMAND" },
	{ " systemd-run systemctl service docker podman nerdctl kubectl ssh machinectl flatpak snap at batch crontab tmux screen initctl ", false,
	  "has somebody else start the command, with another environment", "start fakebind inside: docker run ... fakebind --os NAME -- COMMAND" },
	{ " chroot bwrap unshare nsenter systemd-nspawn firejail fakechroot ", false,
	  "changes what the command sees: the library and the registry may not be there", "start fakebind inside: chroot DIRECTORY fakebind --os NAME -- COMMAND" },
	{ " gdb strace ltrace valgrind rr perf ", true, NULL, NULL },
};

/* names: between blanks. */
static bool is_one_of(const char *names, const char *path)
{
	const char *slash = strrchr(path, '/');
	char name[PATH_SIZE];

	snprintf(name, sizeof(name), " %s ", slash ? slash + 1 : path);
	return strstr(names, name) != NULL;
}

static const struct wrapper *find_wrapper(const char *path)
{
	for (size_t i = 0; i < sizeof(wrappers) / sizeof(*wrappers); i++)
		if (is_one_of(wrappers[i].names, path))
			return &wrappers[i];
	return NULL;
}

/* As target_resolve(), but for words that may be no commands at all. */
static bool is_program(const char *word, char *path)
{
	const char *entry = getenv("PATH");
	struct stat status;

	if (strchr(word, '/'))
		return snprintf(path, PATH_SIZE, "%s", word) < PATH_SIZE && !access(path, X_OK) && !stat(path, &status) && S_ISREG(status.st_mode);
	for (entry = entry ? entry : "/bin:/usr/bin"; *entry; entry += strcspn(entry, ":"), entry += *entry == ':') {
		int length = (int)strcspn(entry, ":");

		if (length && snprintf(path, PATH_SIZE, "%.*s/%s", length, entry, word) < PATH_SIZE && !access(path, X_OK) && !stat(path, &status) &&
		    S_ISREG(status.st_mode))
			return true;
	}
	return false;
}

static void check_command(struct report *, const char *path, char **arguments, const char *library, int depth);

/* The command behind a wrapper: the first word that is no option, setting or number, and can be run. */
static void check_wrapped(struct report *report, char **arguments, const char *library, int depth)
{
	char path[PATH_SIZE];

	for (; *arguments; arguments++) {
		if (!strcmp(*arguments, "-i") || !strcmp(*arguments, "--ignore-environment") || !strcmp(*arguments, "-"))
			report_add(report, LEVEL_LEAK, "wrapper", "leave that out, or start fakebind behind it", "env %s takes fakebind out of the environment", *arguments);
		if (**arguments != '-' && !strchr(*arguments, '=') && !isdigit((unsigned char)**arguments) && is_program(*arguments, path)) {
			check_command(report, path, arguments + 1, library, depth + 1);
			return;
		}
	}
}

/* ---- scripts ---- */

/* A command that a script names: only what cannot be reached is told. */
static void check_mentioned(struct report *report, const char *script, const char *path)
{
	const struct wrapper *wrapper = find_wrapper(path);
	const ElfW(Ehdr) *header;
	char why[TARGET_WHY];
	struct image image;

	if (wrapper) {
		if (!wrapper->inside)
			report_add(report, LEVEL_LEAK, "script", wrapper->advice, "%s calls %s, which %s", script, path, wrapper->finding);
		return;
	}
	if (!image_open(&image, path))
		return;
	header = image_elf(&image);
	if (header && target_is_out_of_reach(&image, header, why))
		report_add(report, LEVEL_LEAK, "script", "link it dynamically, or run it without its rights", "%s calls %s, which %s", script, path, why);
	image_close(&image);
}

/* A word with a slash is looked for where we are, and beside the script. */
static void check_word(struct report *report, const char *script, const char *word, bool first)
{
	char path[PATH_SIZE], beside[PATH_SIZE];
	const char *slash = strrchr(script, '/');

	if (!*word || (!first && !strchr(word, '/')))
		return;
	if (is_program(word, path))
		check_mentioned(report, script, path);
	else if (word[0] != '/' && strchr(word, '/') && slash &&
		 snprintf(beside, sizeof(beside), "%.*s/%s", (int)(slash - script), script, word) < PATH_SIZE && is_program(beside, path))
		check_mentioned(report, script, path);
}

/* Not a shell's grammar: words, and whether each may be a command's name. */
static void check_script(struct report *report, const struct image *image)
{
	static const char ends[] = " \t\r\n;|&()<>`\"'";
	const char *at = (const char *)image->bytes, *end = at + image->size;
	bool first = true;
	char word[PATH_SIZE];

	while (at < end) {
		size_t length = 0;

		while (at + length < end && at[length] && !strchr(ends, at[length]))
			length++;
		if (*at == '#' && first) {
			while (at < end && *at != '\n')
				at++;
			continue;
		}
		if (length == 0) {
			first = *at == '\0' || (first && isspace((unsigned char)*at)) || strchr("\n;|&(`", *at);
			at++;
			continue;
		}
		snprintf(word, sizeof(word), "%.*s", (int)length, at);
		check_word(report, image->name, word, first);
		first = !strcmp(word, "exec") || !strcmp(word, "then") || !strcmp(word, "do") || !strcmp(word, "else");
		at += length;
	}
}

static void check_interpreter(struct report *report, const struct image *image, const char *library, int depth)
{
	static const char shells[] = " sh bash dash ash ksh zsh ";
	char interpreter[256], argument[256], path[PATH_SIZE], *arguments[] = { argument, NULL };

	target_interpreter(image, interpreter, sizeof(interpreter), argument);
	memmove(argument, argument + strspn(argument, " \t"), strlen(argument + strspn(argument, " \t")) + 1);
	argument[strcspn(argument, " \t")] = '\0';
	if (!is_program(interpreter, path))
		report_add(report, LEVEL_LEAK, "script", "correct its first line", "%s is a script of %s, which cannot be run", image->name, interpreter);
	else
		check_command(report, path, *argument ? arguments : arguments + 1, library, depth + 1);
	if (is_one_of(shells, interpreter) || is_one_of(shells, argument)) /* #!/usr/bin/env bash */
		check_script(report, image);
}

/* ---- one program ---- */

static void check_elf(struct report *report, const struct image *image, const ElfW(Ehdr) *header, const char *library)
{
	char why[TARGET_WHY];

	if (target_is_out_of_reach(image, header, why))
		report_add(report, LEVEL_LEAK, "program", "fakebind refuses to run it: another build, or without its rights", "%s %s", image->name, why);
	else
		check_loading(report, image, library);
	doctor_image(report, image, header, true);
}

static void check_command(struct report *report, const char *path, char **arguments, const char *library, int depth)
{
	const struct wrapper *wrapper = find_wrapper(path);
	const ElfW(Ehdr) *header;
	struct image image;

	if (wrapper && !wrapper->inside)
		report_add(report, LEVEL_LEAK, "wrapper", wrapper->advice, "%s %s", path, wrapper->finding);
	if (depth > DEPTH || !image_open(&image, path)) {
		report_add(report, LEVEL_LEAK, "program", "make it readable", "%s cannot be read: %s", path, depth > DEPTH ? strerror(ELOOP) : strerror(errno));
		return;
	}
	header = image_elf(&image);
	if (header)
		check_elf(report, &image, header, library);
	else
		check_interpreter(report, &image, library, depth);
	image_close(&image);
	if (wrapper)
		check_wrapped(report, arguments, library, depth);
}

/* ---- what is told ---- */

static bool leaks(const struct report *report)
{
	for (size_t i = 0; i < report->count; i++)
		if (report->findings[i].level == LEVEL_LEAK)
			return true;
	return false;
}

static void print_table(const struct report *report)
{
	static const enum colour colours[] = { COLOUR_GOOD, COLOUR_NOTE, COLOUR_BAD };
	bool wanted = terminal_colours();

	for (size_t i = 0; i < report->count; i++) {
		const struct finding *finding = &report->findings[i];

		printf("%s%-4s%s  %-10s  %s\n", colour_on(wanted, colours[finding->level]), level_names[finding->level], colour_off(wanted),
		       finding->check, finding->text);
		if (finding->advice)
			printf("%16s  advice: %s\n", "", finding->advice);
	}
	puts(leaks(report) ? "Something would pass fakebind by." : "Nothing was found that would pass fakebind by.");
}

static void print_json(const struct report *report, const char *path)
{
	struct json_object *object = json_object_new_object(), *array = json_object_new_array();

	for (size_t i = 0; i < report->count; i++) {
		const struct finding *finding = &report->findings[i];
		struct json_object *one = json_object_new_object();

		json_add_text(one, "level", level_names[finding->level]);
		json_add_text(one, "check", finding->check);
		json_add_text(one, "finding", finding->text);
		json_add_text(one, "advice", finding->advice);
		json_object_array_add(array, one);
	}
	json_add_text(object, "command", path);
	json_object_object_add(object, "leaks", json_object_new_boolean(leaks(report)));
	json_object_object_add(object, "findings", array);
	json_print(object);
}

static int examine(char **command, bool json)
{
	char path[PATH_SIZE], library[PATH_SIZE];
	struct report report = { 0 };
	int result = EXIT_OURS;

	if (target_resolve(*command, path, sizeof(path)) == 0 && check_machine(&report, library)) {
		check_command(&report, path, command + 1, library, 0);
		if (json)
			print_json(&report, path);
		else
			print_table(&report);
		result = finish_output() || leaks(&report);
	}
	for (size_t i = 0; i < report.count; i++)
		free(report.findings[i].text);
	free(report.findings);
	return result;
}

int doctor_main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	bool json = false;
	int letter;

	while ((letter = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
		if (letter != 'j')
			return help_or_misuse(letter, help);
		json = true;
	}
	if (!argv[optind]) {
		complain("no command given");
		return misuse();
	}
	return examine(argv + optind, json);
}

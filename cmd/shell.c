/* SPDX-License-Identifier: MIT */
/* fakebind shell: the user's own shell, with a mark in its prompt. */
#define _GNU_SOURCE
#include "cmd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What bash reads in place of ~/.bashrc.  The descriptor is the shell's alone. */
static const char bash_start[] =
	"[ -r ~/.bashrc ] && . ~/.bashrc\n"
	"PS1=\"($FAKEBIND_SHELL) $PS1\"\n"
	"exec %d<&-\n";

/* zsh reads .zshenv of ZDOTDIR before all else; the mark is put in front when everything of the user's was read. */
static const char zsh_start[] =
	"command rm -rf \"$ZDOTDIR\"\n"
	"if [[ -n $FAKEBIND_ZDOTDIR ]]; then ZDOTDIR=$FAKEBIND_ZDOTDIR; else unset ZDOTDIR; fi\n"
	"unset FAKEBIND_ZDOTDIR\n"
	"[[ -r ${ZDOTDIR:-$HOME}/.zshenv ]] && . ${ZDOTDIR:-$HOME}/.zshenv\n"
	"fakebind_mark() { PS1=\"($FAKEBIND_SHELL) $PS1\"; precmd_functions=(${precmd_functions:#fakebind_mark}) }\n"
	"precmd_functions+=(fakebind_mark)\n";

static const char *user_shell(void)
{
	const char *shell = getenv("SHELL");

	return shell && *shell ? shell : "/bin/sh";
}

static bool is_shell(const char *shell, const char *name)
{
	const char *slash = strrchr(shell, '/');

	return !strcmp(slash ? slash + 1 : shell, name);
}

static bool mark_bash(char **command)
{
	static char path[32];
	int fd = memfd_create("fakebind-shell", 0);

	if (fd < 0 || dprintf(fd, bash_start, fd) < 0)
		return false;
	snprintf(path, sizeof(path), "/dev/fd/%d", fd);
	command[1] = "--rcfile";
	command[2] = path;
	return true;
}

static bool mark_zsh(void)
{
	const char *before = getenv("ZDOTDIR");
	char directory[] = "/tmp/fakebind-shell-XXXXXX", path[64];
	FILE *file;
	bool done;

	if (!mkdtemp(directory))
		return false;
	snprintf(path, sizeof(path), "%s/.zshenv", directory);
	file = fopen(path, "wxe");
	done = file && fputs(zsh_start, file) >= 0;
	done = file && fclose(file) == 0 && done;
	return done && setenv("FAKEBIND_ZDOTDIR", before ? before : "", 1) == 0 && setenv("ZDOTDIR", directory, 1) == 0;
}

/* Others take their prompt from the environment, as dash does, or stay as they are. */
static bool mark(char **command, const char *mark)
{
	char prompt[192];

	if (setenv("FAKEBIND_SHELL", mark, 1))
		return false;
	if (is_shell(command[0], "bash"))
		return mark_bash(command);
	if (is_shell(command[0], "zsh"))
		return mark_zsh();
	snprintf(prompt, sizeof(prompt), "(%s) %c ", mark, geteuid() ? '$' : '#');
	return setenv("PS1", prompt, 1) == 0;
}

char **shell_command(const char *system, const char *session)
{
	static char *command[5], where[160];

	snprintf(where, sizeof(where), "%s%s%s", system, session ? " " : "", session ? session : "");
	command[0] = (char *)user_shell();
	if (!isatty(STDIN_FILENO))
		return command;
	if (!mark(command, where)) {
		complain("cannot prepare %s: %s", command[0], strerror(errno));
		return NULL;
	}
	command[command[1] ? 3 : 1] = "-i";
	fprintf(stderr, "fakebind: what you start in this shell runs under %s%s%s; leave it with `exit`\n", system,
		session ? ", session " : "", session ? session : "");
	return command;
}

/* SPDX-License-Identifier: MIT */
/* What the files of the `fakebind` command share.  One subcommand is one file with an x_main(). */
#ifndef FAKEBIND_CMD_H
#define FAKEBIND_CMD_H

#include <link.h>

#include "shim/rules/rules.h"

/* Exit statuses of the launcher itself, as env(1) has them; every other one is the program's. */
#define EXIT_OURS 125       /* fakebind could not do its part, or refuses to */
#define EXIT_CANNOT_RUN 126 /* the program is there but cannot be run */
#define EXIT_NOT_FOUND 127

int atlas_main(int argc, char **argv);
int run_main(int argc, char **argv);
int profiles_main(int argc, char **argv);
int play_main(int argc, char **argv);
int compare_main(int argc, char **argv);
int doctor_main(int argc, char **argv);
int end_main(int argc, char **argv);
int ls_main(int argc, char **argv);
int sessions_main(int argc, char **argv);
int shell_main(int argc, char **argv);
int why_main(int argc, char **argv);
int expire_main(int argc, char **argv);
int log_main(int argc, char **argv);
int replay_main(int argc, char **argv);
int matrix_main(int argc, char **argv);

/* "fakebind: ..." on stderr. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The exit status of a wrong command line, after a line that says where the right ones are. */
int misuse(void);
/* What an option of every subcommand ends with: --help's text on stdout, or the exit status of a wrong one. */
int help_or_misuse(int letter, const char *help);
#define GO_ON (-1) /* of what reads a command line: it is no exit status yet */
extern const char usage[]; /* fakebind --help */
/* Says so; returns the exit status for this errno. */
int cannot_run(const char *command, int error);
/* 1 after an error if stdout could not be written, else 0: a list cut short must not look whole. */
int finish_output(void);

/* The profile of that name or in that file; else NULL, after an error: for a name one that offers the nearest. */
const struct profile *profile_or_complain(const char *name);

/* ---- target.c: what is going to run ---- */

struct target {
	char path[4096]; /* what to exec */
	bool asan;       /* needs the shared AddressSanitizer runtime */
};

/* Looks command up as execvp(3) does and reads its ELF headers, through #! lines.  0: the library will
 * reach it; else an exit status, after an error that says why not. */
int target_inspect(const char *command, struct target *);
/* What execvp(3) would run for command; 0, or an exit status after an error. */
int target_resolve(const char *command, char *path, size_t size);
/* The interpreter of a script and its argument, both of that size: what a #! line names, else /bin/sh, as execvp(3) has it. */
struct image;
void target_interpreter(const struct image *script, char *path, size_t size, char *argument);
#define TARGET_WHY 256
/* Can the library not be loaded into this program?  why: "is ...: ...". */
bool target_is_out_of_reach(const struct image *, const ElfW(Ehdr) *, char why[TARGET_WHY]);
/* Can path be preloaded into such programs?  False after an error that says why not.  version: "" if it has none. */
#define LIBRARY_VERSION 64
bool target_is_library(const char *path, char version[LIBRARY_VERSION]);

/* ---- must.c ---- */

/* Ends with an error if there was no memory. */
void *must(void *memory);
/* Room for one more in an array of count that grew one by one, doubled at every power of two. */
void *grow(void *array, size_t count, size_t size);

/* ---- library.c ---- */

/* The library to preload; false after an error: it is not there, does not fit, or is of another version. */
bool library_find(char *path, size_t size);
/* fakebind --version */
int show_version(void);

/* ---- shell.c ---- */

/* What starts the user's shell with a prompt that shows where it is; NULL after an error. */
char **shell_command(const char *system, const char *session);

#endif

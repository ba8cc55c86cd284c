/* SPDX-License-Identifier: MIT */
/*
 * fuzz-host SEED COUNT [--library PATH] [--os NAME] [--jobs N]      (default: the built library, linux-6.18, 4)
 *
 * Plays random sequences of socket operations twice, natively and under the library, and compares the
 * answers step by step.  A sequence that differs is played three more times; if it differs every time
 * it is made as small as it will get and printed as a scenario, with both answers in comments.  With
 * --os host both players are native: that measures the noise.  The same SEED gives the same sequences.
 *
 * The players are this program, started again with --player in a network namespace of their own; only
 * one of them is preloaded, the driver never is.  Exit status: 0 no difference, 1 differences, or the rules allowed
 * what the host refused ("disagree"), 2 trouble.
 */
#define _GNU_SOURCE
#include "../cmd/play_real.h"
#include "fuzz-generate.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define JOBS_MAX 64
#define PATIENCE_MS 5000         /* a player that says nothing for so long hangs */
#define NAMESPACE_SEQUENCES 1500 /* then a new namespace: ten ports each, most in TIME_WAIT */
#define REPEATS 3
#define SHOWN 5                  /* differences and disagreements shown by each job */
#define TEXT_MAX (SEQUENCE_LINES * SEQUENCE_WIDTH + 64)
#define ANSWERS_MAX (SEQUENCE_LINES * (SEQUENCE_WIDTH + ANSWER_MAX))

struct settings {
	uint64_t seed, count;
	const char *library, *os;
	unsigned jobs;
};

struct totals {
	uint64_t sequences, steps, differences, repeated, disagreements;
};

struct player {
	bool preloaded;
	pid_t pid; /* 0: not running */
	FILE *to;
	int from;
	unsigned played;
};

struct job {
	const struct settings *settings;
	struct player native, library;
	char directory[PATH_MAX]; /* registry, stderr of the preloaded player */
	int said;                 /* that stderr */
	struct totals totals;
	FILE *report;             /* printed when all jobs are done */
};

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(2);
}

/* ---- the player: reads scenarios that end in a line ".", writes answers that end in a line "." ---- */

static void write_answer(void *context, const struct scenario *scenario, const struct step *step, const char *answer)
{
	(void)context;
	(void)scenario;
	(void)step;
	puts(answer);
}

static void play_text(struct real_player *player, const char *text, size_t length)
{
	struct scenario_list list = { NULL, 0 };
	struct scenario_error error;

	if (!scenario_parse(&list, text, length, &error))
		printf("%u: %s: expected %s\n", error.line, error.word, error.expected);
	else if (!play_real(player, &list.scenarios[0], write_answer, NULL))
		puts("no ports");
	puts(".");
	scenario_list_free(&list);
}

static int player_main(void)
{
	struct real_player player;
	char text[TEXT_MAX];
	size_t length = 0;

	setvbuf(stdout, NULL, _IOLBF, 0); /* the answers before a crash are not lost */
	real_player_init(&player);
	player.waits = (struct waits){ .accept = 10, .recv = 10, .connect = 100 };
	while (fgets(text + length, (int)(sizeof(text) - length), stdin)) {
		if (strcmp(text + length, ".\n")) {
			length += strlen(text + length);
			continue;
		}
		play_text(&player, text, length);
		length = 0;
	}
	return 0;
}

/* ---- starting players ---- */

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	if (!file || fputs(text, file) < 0 || fclose(file))
		die(path);
}

static void loopback_up(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo) < 0)
		die("fuzz-host: bringing up lo");
	close(fd);
}

static void enter_private_network(void)
{
	char users[32], groups[32];

	snprintf(users, sizeof(users), "0 %u 1", (unsigned)getuid());
	snprintf(groups, sizeof(groups), "0 %u 1", (unsigned)getgid());
	if (unshare(CLONE_NEWNET) < 0) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
			die("fuzz-host: no network namespace: unshare");
		write_file("/proc/self/setgroups", "deny");
		write_file("/proc/self/uid_map", users);
		write_file("/proc/self/gid_map", groups);
	}
	loopback_up();
}

static void preload(const struct job *job)
{
	char registry[sizeof(job->directory) + 16];

	snprintf(registry, sizeof(registry), "%s/registry", job->directory);
	unlink(registry);
	if (setenv("LD_PRELOAD", job->settings->library, 1) < 0 || setenv("FAKEBIND_OS", job->settings->os, 1) < 0 ||
	    setenv("FAKEBIND_REGISTRY", registry, 1) < 0 || setenv("FAKEBIND_EXPLAIN", "all", 1) < 0)
		die("fuzz-host: environment");
	if (ftruncate(job->said, 0) < 0 || dup2(job->said, STDERR_FILENO) < 0)
		die("fuzz-host: stderr of the player");
}

static _Noreturn void become_player(const struct job *job, bool preloaded, int in, int out)
{
	char *arguments[] = { "fuzz-host", "--player", NULL };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	enter_private_network();
	if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0)
		die("fuzz-host: dup2");
	if (preloaded)
		preload(job);
	execv("/proc/self/exe", arguments);
	die("fuzz-host: /proc/self/exe");
}

static void start_player(struct job *job, struct player *player)
{
	int in[2], out[2];

	fflush(NULL);
	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		die("fuzz-host: pipe");
	player->pid = fork();
	if (player->pid < 0)
		die("fuzz-host: fork");
	if (!player->pid)
		become_player(job, player->preloaded, in[0], out[1]);
	close(in[0]);
	close(out[1]);
	player->to = fdopen(in[1], "w");
	player->from = out[0];
	player->played = 0;
	if (!player->to)
		die("fuzz-host: fdopen");
}

/* Returns how it ended, as of waitpid(). */
static int end_player(struct player *player)
{
	int status = 0;

	fclose(player->to);
	close(player->from);
	waitpid(player->pid, &status, 0);
	player->pid = 0;
	return status;
}

static void stop_player(struct player *player)
{
	if (!player->pid)
		return;
	kill(player->pid, SIGKILL);
	end_player(player);
}

/* ---- playing a sequence ---- */

struct answers {
	size_t length;
	char text[ANSWERS_MAX];
};

static size_t sequence_text(const struct sequence *sequence, char *text, size_t size)
{
	size_t length = (size_t)snprintf(text, size, "scenario fuzz\n");

	for (size_t i = 0; i < sequence->count; i++)
		length += (size_t)snprintf(text + length, size - length, "%s\n", sequence->lines[i]);
	return length;
}

static void ask(struct job *job, struct player *player, const char *text)
{
	if (player->played == NAMESPACE_SEQUENCES)
		stop_player(player);
	if (!player->pid)
		start_player(job, player);
	player->played++;
	fprintf(player->to, "%s.\n", text);
	fflush(player->to); /* a dead player is noticed by what it does not answer */
}

static bool complete(const struct answers *answers)
{
	return answers->length >= 2 && !strcmp(answers->text + answers->length - 2, ".\n") &&
		(answers->length == 2 || answers->text[answers->length - 3] == '\n');
}

/* The room that is kept free for this is 64 bytes. */
static void append_end(struct answers *answers, const char *how, int number)
{
	answers->length += (size_t)sprintf(answers->text + answers->length, "(%s %d)\n.\n", how, number);
}

static void append_death(struct answers *answers, int status)
{
	if (WIFSIGNALED(status))
		append_end(answers, "killed by signal", WTERMSIG(status));
	else
		append_end(answers, "exited with status", WEXITSTATUS(status));
}

/* What the player answers, and how it ended if it did not answer everything. */
static void hear(struct player *player, struct answers *answers)
{
	struct pollfd wait = { .fd = player->from, .events = POLLIN };
	ssize_t size;

	answers->length = 0;
	answers->text[0] = '\0';
	while (!complete(answers)) {
		if (poll(&wait, 1, PATIENCE_MS) == 0) {
			append_end(answers, "silent for this many ms:", PATIENCE_MS);
			stop_player(player);
			return;
		}
		size = read(player->from, answers->text + answers->length, sizeof(answers->text) - 64 - answers->length);
		if (size <= 0) {
			append_death(answers, end_player(player));
			return;
		}
		answers->length += (size_t)size;
		answers->text[answers->length] = '\0';
	}
}

/* Plays it on both; true if the answers differ. */
static bool differs(struct job *job, const struct sequence *sequence, struct answers *native, struct answers *library)
{
	char text[TEXT_MAX];

	sequence_text(sequence, text, sizeof(text));
	ask(job, &job->native, text);
	ask(job, &job->library, text);
	hear(&job->native, native);
	hear(&job->library, library);
	return strcmp(native->text, library->text) != 0;
}

static bool differs_always(struct job *job, const struct sequence *sequence, int times)
{
	static struct answers native, library;

	while (times && differs(job, sequence, &native, &library))
		times--;
	return !times;
}

/* An orphan in FIN_WAIT2 becomes a TIME_WAIT remnant at the kernel's next timer tick (net/ipv4/tcp_input.c
 * tcp_rcv_state_process(), TCP_FIN_WAIT1), and a connect() to its four-tuple is answered otherwise before than
 * after: what differs must differ when both sides had the time. */
#define SETTLE "sleep 10"

static bool leaves_a_remnant(const char *line)
{
	return !strncmp(line, "close ", 6) || !strncmp(line, "shutdown ", 9) || !strncmp(line, "kill ", 5) || !strncmp(line, "dup2 ", 5);
}

static void settle(const struct sequence *sequence, struct sequence *settled)
{
	settled->count = 0;
	for (size_t i = 0; i < sequence->count; i++) {
		strcpy(settled->lines[settled->count++], sequence->lines[i]);
		if (leaves_a_remnant(sequence->lines[i]) && settled->count + sequence->count - i <= SEQUENCE_LINES)
			strcpy(settled->lines[settled->count++], SETTLE);
	}
}

/* ---- shrinking ---- */

static bool valid(const struct sequence *sequence)
{
	struct scenario_list list = { NULL, 0 };
	struct scenario_error error;
	char text[TEXT_MAX];
	bool good = scenario_parse(&list, text, sequence_text(sequence, text, sizeof(text)), &error);

	scenario_list_free(&list);
	return good;
}

static bool mentions(const char *line, char socket)
{
	const char *word = strchr(line, ' ');

	for (; word; word = strchr(word + 1, ' '))
		if (word[1] == socket && (word[2] == ' ' || !word[2]))
			return true;
	return false;
}

/* Takes the candidate if it differs, too. */
static bool accept_smaller(struct job *job, struct sequence *sequence, const struct sequence *candidate)
{
	if (candidate->count == sequence->count || !valid(candidate) || !differs_always(job, candidate, 2))
		return false;
	*sequence = *candidate;
	return true;
}

static void drop_socket(struct job *job, struct sequence *sequence, char socket)
{
	struct sequence candidate = { .count = 0 };

	for (size_t i = 0; i < sequence->count; i++)
		if (!mentions(sequence->lines[i], socket))
			strcpy(candidate.lines[candidate.count++], sequence->lines[i]);
	accept_smaller(job, sequence, &candidate);
}

static bool drop_line(struct job *job, struct sequence *sequence, size_t line)
{
	struct sequence candidate = { .count = 0 };
	bool keep = !strcmp(sequence->lines[line], SETTLE) && line && leaves_a_remnant(sequence->lines[line - 1]);

	for (size_t i = 0; i < sequence->count && !keep; i++)
		if (i != line)
			strcpy(candidate.lines[candidate.count++], sequence->lines[i]);
	return !keep && accept_smaller(job, sequence, &candidate);
}

static void shrink(struct job *job, struct sequence *sequence)
{
	size_t before;

	do {
		before = sequence->count;
		for (char socket = 'a'; socket <= 'z'; socket++)
			drop_socket(job, sequence, socket);
		for (size_t i = sequence->count; i; i--)
			drop_line(job, sequence, i - 1);
	} while (sequence->count < before);
}

/* ---- reporting ---- */

/* The sequence as a scenario; where the answers differ, both are in a comment. */
static void print_scenario(struct job *job, const struct sequence *sequence, uint64_t number, struct answers *native, struct answers *library)
{
	char *left, *right;
	const char *a = strtok_r(native->text, "\n", &left);
	const char *b = strtok_r(library->text, "\n", &right);

	fprintf(job->report, "scenario fuzz-%llu-%llu\n", (unsigned long long)job->settings->seed, (unsigned long long)number);
	for (size_t i = 0; i < sequence->count; i++) {
		a = a ? a : ".";
		b = b ? b : ".";
		if (strcmp(a, b))
			fprintf(job->report, "%-32s # native: %s, library: %s\n", sequence->lines[i], a, b);
		else
			fprintf(job->report, "%-32s # %s\n", sequence->lines[i], a);
		a = strtok_r(NULL, "\n", &left);
		b = strtok_r(NULL, "\n", &right);
	}
	fputc('\n', job->report);
}

static void report_difference(struct job *job, struct sequence *sequence, uint64_t number)
{
	static struct answers native, library;

	if (job->totals.differences++ >= SHOWN)
		return;
	shrink(job, sequence);
	differs(job, sequence, &native, &library);
	print_scenario(job, sequence, number, &native, &library);
}

/* Did the preloaded player say since last asked that host and model disagree?  Then in what words. */
static bool disagreed(struct job *job, off_t *seen, char words[1024])
{
	char line[1024];
	bool found = false;
	FILE *said = fdopen(dup(job->said), "r");

	if (!said)
		die("fuzz-host: stderr of the player");
	if (lseek(job->said, 0, SEEK_END) < *seen)
		*seen = 0; /* another player since then */
	fseeko(said, *seen, SEEK_SET);
	while (fgets(line, sizeof(line), said))
		if (strstr(line, "disagree") && !found) {
			found = true;
			strcpy(words, line);
		}
	*seen = ftello(said);
	fclose(said);
	return found;
}

/* The rules allowed what the host refused, and the library gave the host's answer: an error of the rules all the
 * same, if it comes again when both sides had the time. */
static void check_disagreement(struct job *job, off_t *seen, const struct sequence *sequence, uint64_t number)
{
	static struct answers native, library;
	struct sequence settled;
	char words[1024];

	if (!disagreed(job, seen, words))
		return;
	settle(sequence, &settled);
	differs(job, &settled, &native, &library);
	if (!disagreed(job, seen, words) || job->totals.disagreements++ >= SHOWN)
		return;
	fprintf(job->report, "# %s", words);
	print_scenario(job, &settled, number, &native, &library);
}

static void run_sequence(struct job *job, uint64_t number, off_t *seen)
{
	static struct answers native, library;
	struct sequence sequence, settled;
	bool different;

	generate(&sequence, job->settings->seed, number);
	different = differs(job, &sequence, &native, &library);
	job->totals.sequences++;
	job->totals.steps += sequence.count;
	check_disagreement(job, seen, &sequence, number);
	if (!different)
		return;
	job->totals.repeated++;
	settle(&sequence, &settled);
	if (differs_always(job, &settled, REPEATS))
		report_difference(job, &settled, number);
}

/* ---- jobs ---- */

static void open_job(struct job *job)
{
	const char *temporary = getenv("TMPDIR");
	char path[sizeof(job->directory) + 16];

	snprintf(job->directory, sizeof(job->directory), "%s/fuzz-host.XXXXXX", temporary ? temporary : "/tmp");
	if (!mkdtemp(job->directory)) /* also if TMPDIR was too long */
		die(job->directory);
	snprintf(path, sizeof(path), "%s/stderr", job->directory);
	job->said = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (job->said < 0)
		die(path);
}

static void close_job(struct job *job)
{
	static const char *const files[] = { "registry", "stderr" };
	char path[sizeof(job->directory) + 16];

	stop_player(&job->native);
	stop_player(&job->library);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", job->directory, files[i]);
		unlink(path);
	}
	if (rmdir(job->directory) < 0)
		perror(job->directory);
}

static void print_report(FILE *report)
{
	int c;

	rewind(report);
	while ((c = getc(report)) != EOF)
		putchar(c);
	fclose(report);
}

static _Noreturn void run_job(const struct settings *settings, unsigned which, FILE *report, int totals)
{
	struct job job = { .settings = settings, .report = report, .library.preloaded = settings->library != NULL };
	off_t seen = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	open_job(&job);
	for (uint64_t number = which; number < settings->count; number += settings->jobs)
		run_sequence(&job, number, &seen);
	close_job(&job);
	if (fflush(report) || write(totals, &job.totals, sizeof(job.totals)) != sizeof(job.totals))
		die("fuzz-host: pipe");
	exit(0);
}

static void add(struct totals *sum, const struct totals *part)
{
	sum->sequences += part->sequences;
	sum->steps += part->steps;
	sum->differences += part->differences;
	sum->repeated += part->repeated;
	sum->disagreements += part->disagreements;
}

/* False: a job gave up. */
static bool run_jobs(const struct settings *settings, struct totals *sum)
{
	FILE *reports[JOBS_MAX];
	struct totals part;
	unsigned reported = 0;
	int results[2];

	if (pipe2(results, O_CLOEXEC) < 0)
		die("fuzz-host: pipe");
	for (unsigned i = 0; i < settings->jobs; i++) {
		pid_t pid;

		reports[i] = tmpfile();
		pid = reports[i] ? fork() : -1;
		if (pid < 0)
			die("fuzz-host: starting a job");
		if (!pid)
			run_job(settings, i, reports[i], results[1]);
	}
	close(results[1]);
	while (read(results[0], &part, sizeof(part)) == sizeof(part)) {
		add(sum, &part);
		reported++;
	}
	while (wait(NULL) > 0)
		;
	for (unsigned i = 0; i < settings->jobs; i++)
		print_report(reports[i]);
	return reported == settings->jobs;
}

static void print_totals(const struct settings *settings, const struct totals *sum)
{
	if (sum->differences > (uint64_t)SHOWN * settings->jobs || sum->disagreements > (uint64_t)SHOWN * settings->jobs)
		printf("(a job shows %d differences and %d disagreements at most)\n", SHOWN, SHOWN);
	if (sum->disagreements)
		printf("%llu times host and model disagreed\n", (unsigned long long)sum->disagreements);
	printf("%llu sequences, %llu steps, %llu differences, %llu repeated\n", (unsigned long long)sum->sequences,
	       (unsigned long long)sum->steps, (unsigned long long)sum->differences, (unsigned long long)sum->repeated);
}

/* ---- arguments ---- */

static _Noreturn void usage(void)
{
	fputs("usage: fuzz-host SEED COUNT [--library PATH] [--os NAME] [--jobs N]\n", stderr);
	exit(2);
}

static uint64_t number_argument(const char *text)
{
	char *end;
	unsigned long long number;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-')
		usage();
	return number;
}

static const char *library_argument(const char *path)
{
	char *absolute = realpath(path, NULL);

	if (!absolute)
		die(path);
	return absolute;
}

/* The library of the build tree this program was built in. */
static const char *built_library(void)
{
	char path[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);

	path[length < 0 ? 0 : length] = '\0';
	for (int up = 0; up < 2; up++) {
		char *slash = strrchr(path, '/');
		if (slash)
			*slash = '\0';
	}
	strncat(path, "/.libs/libfakebind.so", sizeof(path) - strlen(path) - 1);
	return library_argument(path);
}

static void read_arguments(int argc, char **argv, struct settings *settings)
{
	if (argc < 3 || argc % 2 == 0)
		usage();
	*settings = (struct settings){ number_argument(argv[1]), number_argument(argv[2]), NULL, "linux-6.18", 4 };
	for (int i = 3; i < argc; i += 2) {
		if (!strcmp(argv[i], "--library"))
			settings->library = library_argument(argv[i + 1]);
		else if (!strcmp(argv[i], "--os"))
			settings->os = argv[i + 1];
		else if (!strcmp(argv[i], "--jobs"))
			settings->jobs = (unsigned)number_argument(argv[i + 1]);
		else
			usage();
	}
	if (!settings->jobs || settings->jobs > JOBS_MAX)
		usage();
	if (!strcmp(settings->os, "host"))
		settings->library = NULL;
	else if (!settings->library)
		settings->library = built_library();
}

int main(int argc, char **argv)
{
	struct settings settings;
	struct totals sum = { 0 };

	if (argc == 2 && !strcmp(argv[1], "--player"))
		return player_main();
	read_arguments(argc, argv, &settings);
	signal(SIGPIPE, SIG_IGN);
	if (!run_jobs(&settings, &sum)) {
		fputs("fuzz-host: a job gave up\n", stderr);
		return 2;
	}
	print_totals(&settings, &sum);
	return sum.differences || sum.disagreements ? 1 : 0;
}

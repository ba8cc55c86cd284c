/* SPDX-License-Identifier: MIT */
/* play-real FILE... [--only PATTERN]...: plays scenarios on real sockets and writes their answers,
 * NAME <tab> STEP <tab> OPERATION <tab> ANSWER. */
#include "../../cmd/play_real.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

static void print_answer(void *context, const struct scenario *scenario, const struct step *step, const char *answer)
{
	(void)context;
	printf("%s\t%zu\t%s\t%s\n", scenario->name, (size_t)(step - scenario->steps) + 1, step->line, answer);
}

static bool wanted(const char *name, char **patterns, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(patterns[i], name) || !fnmatch(patterns[i], name, 0))
			return true;
	return !count;
}

static int play_all(const struct scenario_list *list, char **patterns, size_t count)
{
	struct real_player player;

	real_player_init(&player);
	for (size_t i = 0; i < list->count; i++) {
		if (!wanted(list->scenarios[i].name, patterns, count))
			continue;
		if (!play_real(&player, &list->scenarios[i], print_answer, NULL)) {
			fprintf(stderr, "play-real: %s: cannot be played: no free ports, or the user cannot be restored\n",
				list->scenarios[i].name);
			return 1;
		}
	}
	if (fflush(stdout) || ferror(stdout)) {
		perror("play-real: stdout");
		return 1;
	}
	return 0;
}

static int usage(void)
{
	fputs("usage: play-real FILE... [--only PATTERN]...\n", stderr);
	return 2;
}

int main(int argc, char **argv)
{
	struct scenario_list list = { NULL, 0 };
	size_t patterns = 0;
	bool good = true;
	int result = 1;

	/* The patterns move to the front of argv, where they have been read already. */
	for (int i = 1; good && i < argc; i++) {
		if (!strcmp(argv[i], "--only") && i + 1 < argc)
			argv[patterns++] = argv[++i];
		else if (argv[i][0] == '-')
			return usage();
		else
			good = scenario_read_file(&list, argv[i]);
	}
	if (good && !list.count)
		return usage();
	if (good)
		result = play_all(&list, argv, patterns);
	scenario_list_free(&list);
	return result;
}

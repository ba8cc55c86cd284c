/* SPDX-License-Identifier: MIT */
/* fakebind play: scenarios answered by the rules alone, or on real sockets; held against recorded answers. */
#define _GNU_SOURCE
#include "cmd.h"

#include <errno.h>
#include <fnmatch.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "play_model.h"
#include "play_real.h"
#include "playing.h"
#include "print_json.h"
#include "read_text.h"
#include "sessions.h"
#include "truth.h"

struct session {
	const struct profile *profile; /* NULL: the host itself */
	const char *system;            /* its name */
	enum output output;
	bool explain, real, on_sockets;
	char **patterns;
	size_t pattern_count;
	const char *truth_path;
	struct truth truth;
	struct scenario_list list;
	struct model_player model;
	struct real_player sockets;
	/* of the scenario being played */
	const struct recorded_scenario *recorded;
	struct json_object *steps;
	bool differs;
	size_t steps_played, scenarios_played, steps_differing, scenarios_differing;
};

static const char help[] =
	"Usage: fakebind play --os NAME|FILE [OPTION]... FILE...\n"
	"       fakebind play --os NAME|FILE --truth ANSWERS [OPTION]... [FILE]...\n"
	"\n"
	"Plays scenarios of socket operations by the rules alone: no socket is made,\n"
	"nothing waits.  FILE is a text of scenarios or recorded answers, `-' for\n"
	"standard input, plain or .xz.\n"
	"\n"
	"  -o, --os NAME|FILE     the system; with --real the default is the host itself\n"
	"  -t, --truth ANSWERS    show the steps that differ from these recorded answers;\n"
	"                         without a FILE their own operations are played again\n"
	"      --only PATTERN     these scenarios alone; may be repeated\n"
	"      --set exclusive    every new socket is exclusive (Windows, illumos)\n"
	"      --loopback-alias   127.0.0.2 and its like exist (systems other than Linux)\n"
	"  -f, --format FORMAT    human (the default), tsv or json\n"
	"      --json             the same as --format json\n"
	"  -e, --explain          with the rule of every answer\n"
	"  -r, --real             play on real sockets, under the preloaded library\n"
	"  -h, --help             show this text\n"
	"\n"
	"The exit status is 0; 1 if a step differs from the recorded answers; 125 after\n"
	"an error.\n";

/* ---- one step ---- */

static const char *expected_answer(const struct session *session, const struct scenario *scenario, const struct step *step)
{
	size_t number = (size_t)(step - scenario->steps);

	if (!session->recorded || number >= session->recorded->step_count)
		return "no such step";
	if (strcmp(session->recorded->steps[number].operation, step->line))
		return "another operation";
	return session->recorded->steps[number].answer;
}

static const struct rule *rule_of(const struct session *session)
{
	return session->explain && session->model.verdict ? session->model.verdict->rule : NULL;
}

static void print_rule(const struct session *session, bool because)
{
	const struct rule *rule = rule_of(session);

	if (!rule)
		return;
	printf("\t%s/%s", session->system, rule->id);
	if (because && rule->because)
		printf(": %s", rule->because);
}

static void open_human(struct session *session, const struct scenario *scenario)
{
	if (!session->truth_path || !session->differs)
		printf("scenario %s\n", scenario->name);
}

static void step_human(struct session *session, const struct scenario *scenario, const struct step *step, const char *answer, const char *expected)
{
	if (session->truth_path && !expected)
		return;
	if (session->truth_path)
		open_human(session, scenario);
	if (expected)
		printf("  step %zu: %s: expected %s, got %s", (size_t)(step - scenario->steps) + 1, step->line, expected, answer);
	else
		printf("  %-32s %s", step->line, answer);
	print_rule(session, true);
	putchar('\n');
}

static void step_tsv(struct session *session, const struct scenario *scenario, const struct step *step, const char *answer, const char *expected)
{
	if (session->truth_path && !expected)
		return;
	printf("%s\t%zu\t%s\t%s", scenario->name, (size_t)(step - scenario->steps) + 1, step->line, answer);
	if (expected)
		printf("\t%s", expected);
	print_rule(session, false);
	putchar('\n');
}

static void step_json(struct session *session, const struct scenario *scenario, const struct step *step, const char *answer, const char *expected)
{
	struct json_object *object = json_object_new_object();
	const struct rule *rule = rule_of(session);
	char id[128];

	json_object_object_add(object, "step", json_object_new_int64(step - scenario->steps + 1));
	json_add_text_if_any(object, "operation", step->line);
	json_add_text_if_any(object, "answer", answer);
	json_add_text_if_any(object, "expected", expected);
	if (rule) {
		snprintf(id, sizeof(id), "%s/%s", session->system, rule->id);
		json_add_text_if_any(object, "rule", id);
		json_add_text_if_any(object, "because", rule->because);
	}
	json_object_array_add(session->steps, object);
}

static void take_answer(void *context, const struct scenario *scenario, const struct step *step, const char *answer)
{
	struct session *session = context;
	const char *expected = session->truth_path ? expected_answer(session, scenario, step) : NULL;

	if (expected && !strcmp(expected, answer))
		expected = NULL;
	session->steps_played++;
	if (session->output == OUTPUT_JSON)
		step_json(session, scenario, step, answer, expected);
	else if (session->output == OUTPUT_TSV)
		step_tsv(session, scenario, step, answer, expected);
	else
		step_human(session, scenario, step, answer, expected);
	session->steps_differing += expected != NULL;
	session->differs |= expected != NULL;
}

/* ---- one scenario ---- */

static void close_json(struct session *session, const struct scenario *scenario)
{
	struct json_object *object = json_object_new_object();

	json_add_text_if_any(object, "scenario", scenario->name);
	json_add_text_if_any(object, "system", session->system);
	json_object_object_add(object, "steps", session->steps);
	if (!session->truth_path || session->differs)
		json_print_line(object);
}

/* An address that a system keeps until it is started anew is no matter of the next scenario. */
static void forget_anchors(void)
{
	struct session_file file;
	struct registry registry;
	struct scan scan = { 0 };
	struct holder holder;
	uint64_t netns;
	bool doubtful;

	if (!session_of_ours(&file) || registry_open(&registry, file.path, NULL, 0) != REGISTRY_OK)
		return;
	while (registry_scan(&registry, &scan, &holder, &doubtful, &netns))
		if (holder.state == STATE_ANCHOR)
			registry_remove(&registry, holder.reference);
	registry_close(&registry);
}

static bool play_one(struct session *session, const struct scenario *scenario)
{
	bool played = true;

	session->differs = false;
	session->recorded = session->truth_path ? truth_find(&session->truth, scenario->name) : NULL;
	if (session->output == OUTPUT_JSON)
		session->steps = json_object_new_array();
	else if (session->output == OUTPUT_HUMAN && !session->truth_path)
		open_human(session, scenario);
	if (session->on_sockets) {
		played = play_real(&session->sockets, scenario, take_answer, session);
		forget_anchors();
	} else {
		play_model(&session->model, scenario, take_answer, session);
	}
	if (session->output == OUTPUT_JSON)
		close_json(session, scenario);
	session->scenarios_played++;
	session->scenarios_differing += session->differs;
	if (!played)
		complain("%s cannot be played: no ten free ports in a row, or the user cannot be restored", scenario->name);
	return played;
}

static bool is_wanted(const struct session *session, const char *name)
{
	for (size_t i = 0; i < session->pattern_count; i++)
		if (!strcmp(session->patterns[i], name) || !fnmatch(session->patterns[i], name, 0))
			return true;
	return !session->pattern_count;
}

static int play_all(struct session *session)
{
	for (size_t i = 0; i < session->list.count; i++)
		if (is_wanted(session, session->list.scenarios[i].name) && !play_one(session, &session->list.scenarios[i]))
			return EXIT_OURS;
	if (!session->scenarios_played) {
		complain("no scenario to play");
		return EXIT_OURS;
	}
	if (session->truth_path && session->output == OUTPUT_HUMAN)
		printf("%s: %zu steps of %zu scenarios, %zu steps of %zu scenarios differ\n", session->system,
		       session->steps_played, session->scenarios_played, session->steps_differing, session->scenarios_differing);
	return finish_output() || session->scenarios_differing;
}

/* ---- what is to be played ---- */

static bool read_truth(struct session *session)
{
	size_t length;
	char *text = read_text(session->truth_path, &length);

	return text && truth_parse(&session->truth, text, length, session->truth_path);
}

/* Becomes the launcher of a fakebind that plays on its own sockets. */
static int play_under_library(const struct session *session, int argc, char **argv)
{
	char self[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char **arguments = calloc((size_t)argc + 12, sizeof(*arguments));
	int count = 0;

	if (length < 0 || !arguments) {
		complain("cannot start itself: %s", strerror(errno));
		return EXIT_OURS;
	}
	self[length] = '\0';
	arguments[count++] = (char *)"run";
	arguments[count++] = (char *)"--os";
	arguments[count++] = (char *)session->profile->name;
	if (session->explain)
		arguments[count++] = (char *)"--explain=all";
	if (session->model.loopback_alias)
		arguments[count++] = (char *)"--loopback-alias";
	if (session->model.options) {
		arguments[count++] = (char *)"--set";
		arguments[count++] = (char *)"exclusive";
	}
	arguments[count++] = (char *)"--";
	arguments[count++] = self;
	arguments[count++] = (char *)"play";
	arguments[count++] = (char *)"--on-sockets";
	for (int i = 1; i < argc; i++)
		arguments[count++] = argv[i];
	optind = 0;
	return run_main(count, arguments);
}

enum { ONLY = 256, SET, ALIAS, JSON, ON_SOCKETS };

/* An exit status, or GO_ON. */
static int parse(int argc, char **argv, struct session *session)
{
	static const struct option options[] = {
		{ "os", required_argument, NULL, 'o' },
		{ "truth", required_argument, NULL, 't' },
		{ "only", required_argument, NULL, ONLY },
		{ "set", required_argument, NULL, SET },
		{ "loopback-alias", no_argument, NULL, ALIAS },
		{ "format", required_argument, NULL, 'f' },
		{ "json", no_argument, NULL, JSON },
		{ "explain", no_argument, NULL, 'e' },
		{ "real", no_argument, NULL, 'r' },
		{ "on-sockets", no_argument, NULL, ON_SOCKETS }, /* what --real starts */
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const char *system = NULL;
	int letter;

	while ((letter = getopt_long(argc, argv, "o:t:f:erh", options, NULL)) != -1) {
		switch (letter) {
		case 'o':
			system = optarg;
			break;
		case 't':
			session->truth_path = optarg;
			break;
		case ONLY:
			session->patterns[session->pattern_count++] = optarg;
			break;
		case SET:
			if (!set_parse(optarg, &session->model.options))
				return EXIT_OURS;
			break;
		case ALIAS:
			session->model.loopback_alias = true;
			break;
		case 'f':
			if (!output_parse(optarg, &session->output))
				return EXIT_OURS;
			break;
		case JSON:
			session->output = OUTPUT_JSON;
			break;
		case 'e':
			session->explain = true;
			break;
		case 'r':
			session->real = true;
			break;
		case ON_SOCKETS:
			session->on_sockets = true;
			break;
		default:
			return help_or_misuse(letter, help);
		}
	}
	if (!system && !session->real) {
		complain("no system given: --os NAME, one of `fakebind profiles`, or --real for the host itself");
		return misuse();
	}
	if (optind == argc && !session->truth_path) {
		complain("no scenarios given");
		return misuse();
	}
	session->profile = system ? profile_or_complain(system) : NULL;
	return system && !session->profile ? EXIT_OURS : GO_ON;
}

static int play(struct session *session, char **paths)
{
	if (session->truth_path && !read_truth(session))
		return EXIT_OURS;
	if (*paths ? !scenarios_read(&session->list, paths) : !truth_to_scenarios(&session->truth, &session->list, session->truth_path))
		return EXIT_OURS;
	return play_all(session);
}

int play_main(int argc, char **argv)
{
	struct session session = { .output = OUTPUT_HUMAN };
	int result;

	session.patterns = calloc((size_t)argc, sizeof(*session.patterns));
	result = session.patterns ? parse(argc, argv, &session) : EXIT_OURS;
	session.system = session.profile ? session.profile->name : "host";
	session.model.profile = session.profile;
	real_player_init(&session.sockets);
	if (result == GO_ON && session.real && session.profile && !session.on_sockets) {
		result = play_under_library(&session, argc, argv);
	} else if (result == GO_ON) {
		session.on_sockets |= session.real;
		result = play(&session, argv + optind);
	}
	scenario_list_free(&session.list);
	truth_free(&session.truth);
	free(session.patterns);
	return result;
}

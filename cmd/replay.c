/* SPDX-License-Identifier: MIT */
/* fakebind replay: what the calls of a log would have met on other systems, by the rules alone. */
#define _GNU_SOURCE
#include "cmd.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "colour.h"
#include "log_scenario.h"
#include "play_model.h"
#include "playing.h"
#include "print_json.h"
#include "systems.h"
#include "terminal.h"

struct first {
	const struct log_line *line; /* NULL: there is no difference */
	const char *operation;
	char answer[ANSWER_MAX];
	const struct rule *rule;
};

struct replay {
	struct systems systems;
	bool json, scenario, colours, loopback_alias;
	uint32_t options; /* of every new socket */
	const char *path;
	struct log_list log;
	struct log_scenario calls;
	/* of the system that is being played */
	size_t compared, differing;
	struct first first;
};

static const char help[] =
	"Usage: fakebind replay LOG --os NAME... [OPTION]...\n"
	"       fakebind replay LOG --all [OPTION]...\n"
	"       fakebind replay LOG --scenario\n"
	"\n"
	"What the calls in a log (`fakebind --os NAME --log LOG -- COMMAND`) would have\n"
	"met on other systems, by the rules alone: for each system how many calls are\n"
	"answered differently, the first of them, and why.\n"
	"\n"
	"  -o, --os NAME|FILE     a system; may be repeated, or a list with commas\n"
	"  -a, --all              every system that fakebind has\n"
	"      --scenario         print the calls as a scenario, for `fakebind play`\n"
	"      --set exclusive    every new socket is exclusive (Windows, illumos)\n"
	"      --loopback-alias   127.0.0.2 and its like exist (systems other than Linux)\n"
	"      --json             an object a line for each system\n"
	"  -h, --help             show this text\n"
	"\n"
	"The exit status is 0 if no call differs, 1 if one does, 125 after an error.\n";

/* ---- one system ---- */

/* What a machine where nothing waits would have answered. */
static void recorded_answer(const struct log_line *line, char answer[ANSWER_MAX])
{
	if (!strcmp(line->result, "EINPROGRESS"))
		snprintf(answer, ANSWER_MAX, "ok");
	else if (!strcmp(line->call, "getsockopt") && !log_failed(line) && line->argument != LOG_NONE)
		snprintf(answer, ANSWER_MAX, "%d", (int)line->argument);
	else
		snprintf(answer, ANSWER_MAX, "%s", line->result);
}

struct play {
	struct replay *replay;
	const struct model_player *model;
};

static void take_answer(void *context, const struct scenario *scenario, const struct step *step, const char *answer)
{
	struct play *play = context;
	struct replay *replay = play->replay;
	size_t number = replay->calls.line[step - scenario->steps];
	char recorded[ANSWER_MAX];

	if (number == NOT_RECORDED)
		return;
	replay->compared++;
	recorded_answer(&replay->log.lines[number], recorded);
	if (!strcmp(recorded, answer) || replay->differing++)
		return;
	replay->first = (struct first){ .line = &replay->log.lines[number], .operation = step->line, .rule = play->model->verdict->rule };
	snprintf(replay->first.answer, sizeof(replay->first.answer), "%s", answer);
}

static void play(struct replay *replay, const struct profile *profile)
{
	struct model_player model = {
		.profile = profile, .options = replay->options,
		.loopback_alias = replay->loopback_alias || replay->calls.loopback_alias,
	};
	struct play context = { replay, &model };

	replay->compared = replay->differing = 0;
	replay->first = (struct first){ NULL, NULL, "", NULL };
	play_model(&model, replay->calls.list.scenarios, take_answer, &context);
}

/* ---- telling ---- */

static void tell_human(const struct replay *replay, const struct profile *profile, int width)
{
	const struct first *first = &replay->first;
	char call[512];

	printf("%-*s  ", width, profile->name);
	if (!first->line) {
		printf("%sno difference%s in %zu calls\n", colour_on(replay->colours, COLOUR_GOOD), colour_off(replay->colours), replay->compared);
		return;
	}
	log_call(first->line, call, sizeof(call));
	printf("%s%zu of %zu calls differ%s; the first, line %u: %s[%d] %s = %s, was %s\n", colour_on(replay->colours, COLOUR_BAD),
	       replay->differing, replay->compared, colour_off(replay->colours), first->line->number, first->line->program,
	       (int)first->line->pid, call, first->answer, first->line->result);
	if (!first->rule)
		return;
	printf("%*s  %s/%s", width, "", profile->name, first->rule->id);
	if (first->rule->because)
		printf(": %s", first->rule->because);
	if (first->rule->remedy && strcmp(first->answer, "ok"))
		printf("; allowed if %s", first->rule->remedy);
	putchar('\n');
}

static struct json_object *describe_first(const struct first *first, const struct profile *profile)
{
	struct json_object *object = json_object_new_object();
	char rule[128];

	json_object_object_add(object, "line", json_object_new_int64(first->line->number));
	json_object_object_add(object, "pid", json_object_new_int64(first->line->pid));
	json_add_text_if_any(object, "program", first->line->program);
	json_add_text_if_any(object, "call", first->line->call);
	json_add_text_if_any(object, "operation", first->operation);
	json_add_text_if_any(object, "recorded", first->line->result);
	json_add_text_if_any(object, "answer", first->answer);
	if (first->rule) {
		snprintf(rule, sizeof(rule), "%s/%s", profile->name, first->rule->id);
		json_add_text_if_any(object, "rule", rule);
		json_add_text_if_any(object, "because", first->rule->because);
		json_add_text_if_any(object, "remedy", strcmp(first->answer, "ok") ? first->rule->remedy : NULL);
	}
	return object;
}

static void tell_json(const struct replay *replay, const struct profile *profile)
{
	struct json_object *object = json_object_new_object();

	json_add_text_if_any(object, "system", profile->name);
	json_object_object_add(object, "calls", json_object_new_int64((int64_t)replay->compared));
	json_object_object_add(object, "differing", json_object_new_int64((int64_t)replay->differing));
	json_object_object_add(object, "left_out", json_object_new_int64((int64_t)replay->calls.left_out));
	if (replay->first.line)
		json_object_object_add(object, "first", describe_first(&replay->first, profile));
	json_print_line(object);
}

static int replay_all(struct replay *replay)
{
	size_t systems_differing = 0;
	int width = 0;

	for (size_t i = 0; i < replay->systems.count; i++)
		if (width < (int)strlen(replay->systems.profiles[i]->name))
			width = (int)strlen(replay->systems.profiles[i]->name);
	for (size_t i = 0; i < replay->systems.count; i++) {
		play(replay, replay->systems.profiles[i]);
		systems_differing += replay->differing != 0;
		if (replay->json)
			tell_json(replay, replay->systems.profiles[i]);
		else
			tell_human(replay, replay->systems.profiles[i], width);
	}
	if (!replay->json && replay->calls.left_out)
		printf("(%zu lines are not replayed: other machines, options that no rule asks for, repeated questions)\n", replay->calls.left_out);
	return finish_output() || systems_differing;
}

/* ---- what is wanted ---- */

enum { SET = 256, ALIAS, JSON, SCENARIO };

static int parse(int argc, char **argv, struct replay *replay)
{
	static const struct option options[] = {
		{ "os", required_argument, NULL, 'o' },
		{ "all", no_argument, NULL, 'a' },
		{ "scenario", no_argument, NULL, SCENARIO },
		{ "set", required_argument, NULL, SET },
		{ "loopback-alias", no_argument, NULL, ALIAS },
		{ "json", no_argument, NULL, JSON },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int letter;

	while ((letter = getopt_long(argc, argv, "o:ah", options, NULL)) != -1) {
		switch (letter) {
		case 'o':
			if (!systems_add(&replay->systems, optarg))
				return EXIT_OURS;
			break;
		case 'a':
			systems_add_all(&replay->systems);
			break;
		case SET:
			if (!set_parse(optarg, &replay->options))
				return EXIT_OURS;
			break;
		case ALIAS:
			replay->loopback_alias = true;
			break;
		case JSON:
			replay->json = true;
			break;
		case SCENARIO:
			replay->scenario = true;
			break;
		default:
			return help_or_misuse(letter, help);
		}
	}
	if (optind + 1 != argc) {
		complain("expected one log");
		return misuse();
	}
	if (!replay->systems.count && !replay->scenario) {
		complain("no system given: --os NAME, one of `fakebind profiles`, --all or --scenario");
		return misuse();
	}
	systems_once(&replay->systems);
	replay->path = argv[optind];
	return GO_ON;
}

static int replay_log(struct replay *replay)
{
	int result;

	if (!log_read(&replay->log, replay->path))
		return EXIT_OURS;
	if (replay->log.wrong) /* a sequence with holes would be another one */
		return EXIT_OURS;
	log_to_scenario(&replay->log, &replay->calls);
	if (replay->scenario) {
		fputs(replay->calls.text, stdout);
		result = finish_output();
	} else {
		result = replay_all(replay);
	}
	log_scenario_free(&replay->calls);
	return result;
}

int replay_main(int argc, char **argv)
{
	struct replay replay = { .colours = terminal_colours() };
	int result = parse(argc, argv, &replay);

	if (result == GO_ON)
		result = replay_log(&replay);
	log_list_free(&replay.log);
	systems_free(&replay.systems);
	return result;
}

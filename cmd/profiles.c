/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "cmd.h"

#include "colour.h"
#include "nearest.h"
#include "print_json.h"
#include "profile_text.h"
#include "terminal.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- one, by name ---- */

#define OFFERED 6 /* of the known systems, for one that is not */

/* A part of the name is as good as the name. */
static unsigned distance(const char *word, const struct profile *profile)
{
	return strstr(profile->name, word) ? 0 : word_distance(word, profile->name);
}

static void no_such_system(const char *name)
{
	unsigned offered = 0;

	fprintf(stderr, "fakebind: unknown system: %s; known, nearest first:", name);
	for (unsigned at = 0; at <= FARTHEST; at++)
		for (size_t i = 0; i < profile_count && offered < OFFERED; i++)
			if (distance(name, &profiles[i]) == at) {
				fprintf(stderr, " %s", profiles[i].name);
				offered++;
			}
	fputs(" ... (fakebind profiles lists all)\n", stderr);
}

const struct profile *profile_or_complain(const char *name)
{
	const struct profile *found = profile_is_file(name) ? profile_read(name) : profile_find(name);

	if (!found && !profile_is_file(name))
		no_such_system(name);
	return found;
}

/* ---- the parts of texts: between blanks, and lines ---- */

static struct json_object *split(const char *text, const char *between)
{
	struct json_object *array = json_object_new_array();

	while (text && *text) {
		size_t length = strcspn(text, between);

		json_object_array_add(array, json_object_new_string_len(text, (int)length));
		text += length;
		text += strspn(text, between);
	}
	return array;
}

/* ---- the list ---- */

/* Families together, and within them linux-4.9 before linux-4.10. */
static int by_family(const void *left, const void *right)
{
	const struct profile *one = *(const struct profile *const *)left, *other = *(const struct profile *const *)right;
	int order = strcmp(one->family->name, other->family->name);

	return order ? order : strverscmp(one->name, other->name);
}

static const struct profile **sorted(void)
{
	const struct profile **list = must(calloc(profile_count, sizeof(*list)));

	for (size_t i = 0; i < profile_count; i++)
		list[i] = &profiles[i];
	qsort(list, profile_count, sizeof(*list), by_family);
	return list;
}

static int wider(int width, const char *text)
{
	int length = (int)strlen(text);

	return length > width ? length : width;
}

static void print_list(const struct profile **list)
{
	int name = 0, family = (int)strlen("FAMILY");
	const bool colours = terminal_colours();

	for (size_t i = 0; i < profile_count; i++) {
		name = wider(name, list[i]->name);
		family = wider(family, list[i]->family->name);
	}
	printf("%s%-*s  %-10s  %-*s  %s%s\n", colour_on(colours, COLOUR_TITLE), name, "NAME", "EVIDENCE", family, "FAMILY", "SYSTEM",
	       colour_off(colours));
	for (size_t i = 0; i < profile_count; i++)
		printf("%-*s  %-10s  %-*s  %s\n", name, list[i]->name, tier_names[list[i]->tier], family,
		       list[i]->family->name, list[i]->title);
}

/* ---- JSON ---- */

static struct json_object *describe(const struct profile *profile)
{
	struct json_object *object = json_object_new_object();

	json_add_text(object, "name", profile->name);
	json_add_text(object, "title", profile->title);
	json_add_text(object, "family", profile->family->name);
	json_add_text(object, "evidence", tier_names[profile->tier]);
	json_add_text(object, "sources", profile->sources);
	json_add_text(object, "base", profile->base ? profile->base->name : NULL);
	json_object_object_add(object, "aliases", split(profile->aliases, " "));
	json_object_object_add(object, "limits", split(profile->limits, "\n"));
	return object;
}

static struct json_object *trait_value(const struct trait *trait, uint32_t value)
{
	return trait->words ? json_object_new_string(trait->words[value]) : json_object_new_int64(value);
}

static struct json_object *describe_trait(const struct profile *profile, size_t index)
{
	struct json_object *object = json_object_new_object();
	const struct trait *trait = &trait_list[index];
	uint32_t value = profile->trait[index];

	json_add_text(object, "name", trait->name);
	json_object_object_add(object, "value", trait_value(trait, value));
	json_object_object_add(object, "default", trait_value(trait, 0));
	json_object_object_add(object, "is_default", json_object_new_boolean(value == 0));
	if (profile->base)
		json_object_object_add(object, "base", trait_value(trait, profile->base->trait[index]));
	json_object_object_add(object, "words", json_object_new_array());
	for (size_t i = 0; i < trait->word_count; i++)
		json_object_array_add(json_object_object_get(object, "words"), json_object_new_string(trait->words[i]));
	json_add_text(object, "meaning", trait->meaning);
	return object;
}

static void print_list_json(const struct profile **list)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < profile_count; i++)
		json_object_array_add(array, describe(list[i]));
	json_print(array);
}

static void show_json(const struct profile *profile)
{
	struct json_object *object = describe(profile), *traits = json_object_new_array();

	for (size_t i = 0; i < TRAIT_COUNT; i++)
		json_object_array_add(traits, describe_trait(profile, i));
	json_object_object_add(object, "traits", traits);
	json_print(object);
}

/* ---- one, for people ---- */

static int trait_width(const struct trait *trait, uint32_t value)
{
	char number[16];

	if (!trait->words)
		return snprintf(number, sizeof(number), "%u", value);
	return (int)strlen(trait->words[value]);
}

static void show_trait(const struct profile *profile, size_t index, int name_width, int value_width)
{
	const struct trait *trait = &trait_list[index];
	uint32_t value = profile->trait[index];
	char differs = value ? '*' : ' ', changed = profile->base && profile->base->trait[index] != value ? '+' : ' ';

	printf("%c%c %-*s = ", differs, changed, name_width, trait->name);
	if (trait->words)
		printf("%-*s", value_width, trait->words[value]);
	else
		printf("%-*u", value_width, value);
	printf("  %s\n", trait->meaning);
}

/* Does any system of the family have it otherwise than by default? */
static bool matters(const struct profile *profile, size_t index)
{
	bool found = profile->trait[index] != 0;

	for (size_t i = 0; i < profile_count; i++)
		found |= profiles[i].family == profile->family && profiles[i].trait[index];
	return found;
}

static void show_traits(const struct profile *profile)
{
	int name_width = 0, value_width = 0;

	for (size_t i = 0; i < TRAIT_COUNT; i++) {
		int width = trait_width(&trait_list[i], profile->trait[i]);

		name_width = wider(name_width, trait_list[i].name);
		value_width = width > value_width ? width : value_width;
	}
	printf("\ntraits (* not the default%s)\n", profile->base ? ", + not as in the base" : "");
	for (size_t i = 0; i < TRAIT_COUNT; i++)
		if (matters(profile, i))
			show_trait(profile, i, name_width, value_width);
	puts("\ntraits that no system of this family sets");
	for (size_t i = 0; i < TRAIT_COUNT; i++)
		if (!matters(profile, i))
			show_trait(profile, i, name_width, value_width);
}

static void show_limits(const char *limits)
{
	puts("\nnot imitated on this host (and doc/LIMITATIONS.md, which is for every system)");
	if (!limits)
		puts("   nothing is known");
	while (limits && *limits) {
		int length = (int)strcspn(limits, "\n");

		printf("   - %.*s\n", length, limits);
		limits += length + (limits[length] == '\n');
	}
}

static void show(const struct profile *profile)
{
	printf("name      %s\n", profile->name);
	printf("title     %s\n", profile->title);
	printf("evidence  %s\n", tier_names[profile->tier]);
	printf("family    %s\n", profile->family->name);
	printf("base      %s\n", profile->base ? profile->base->name : "-");
	printf("aliases   %s\n", profile->aliases ? profile->aliases : "-");
	printf("sources   %s\n", profile->sources);
	show_traits(profile);
	show_limits(profile->limits);
}

/* ---- the command ---- */

static int list_all(bool json)
{
	const struct profile **list = sorted();

	if (json)
		print_list_json(list);
	else
		print_list(list);
	free(list);
	return finish_output();
}

static int show_one(const char *name, bool json)
{
	const struct profile *profile = profile_or_complain(name);

	if (!profile)
		return EXIT_OURS;
	if (json)
		show_json(profile);
	else
		show(profile);
	return finish_output();
}

static const char help[] =
	"Usage: fakebind profiles [--json]\n"
	"       fakebind profiles show NAME|FILE [--json]\n"
	"\n"
	"Lists the systems, each with its evidence, or shows all that is known of one.\n"
	"\n"
	"      --json            for programs\n"
	"  -h, --help            show this text\n";

int profiles_main(int argc, char **argv)
{
	static const struct option options[] = { { "json", no_argument, NULL, 'j' }, { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };
	bool json = false;
	int letter;

	while ((letter = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (letter != 'j')
			return help_or_misuse(letter, help);
		json = true;
	}
	if (argc == optind)
		return list_all(json);
	if (argc == optind + 2 && !strcmp(argv[optind], "show"))
		return show_one(argv[optind + 1], json);
	complain("expected nothing, or show NAME");
	return misuse();
}

/* SPDX-License-Identifier: MIT */
#include "cmd.h"

#include <stdio.h>
#include <string.h>

static const char *const tiers[] = {
	[TIER_MEASURED] = "measured",
	[TIER_SOURCE] = "source",
	[TIER_DOCUMENTED] = "documented",
};

#define TRAIT_WORD(trait, word) #word,
#define TRAIT_NUMBER(trait)
#define TRAIT(trait, ...) static const char *const trait##_words[] = { __VA_ARGS__ };
#include "shim/rules/traits.def"
#undef TRAIT
#undef TRAIT_NUMBER

static const struct {
	const char *name;
	const char *const *words; /* NULL: a number */
} traits[TRAIT_COUNT] = {
#define TRAIT(trait, ...) [trait_##trait] = { #trait, trait##_words },
#define TRAIT_NUMBER(trait) [trait_##trait] = { #trait, NULL },
#include "shim/rules/traits.def"
#undef TRAIT
#undef TRAIT_NUMBER
#undef TRAIT_WORD
};

/* ---- an unknown name ---- */

#define LONGEST_COMPARED 63

/* Levenshtein's distance: single letters added, dropped or changed. */
static unsigned distance(const char *from, const char *to)
{
	unsigned row[LONGEST_COMPARED + 1];
	size_t from_length = strnlen(from, LONGEST_COMPARED), to_length = strnlen(to, LONGEST_COMPARED);

	for (size_t j = 0; j <= to_length; j++)
		row[j] = j;
	for (size_t i = 0; i < from_length; i++) {
		unsigned diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < to_length; j++) {
			unsigned best = diagonal + (from[i] != to[j]);

			if (best > row[j] + 1)
				best = row[j] + 1;
			if (best > row[j + 1] + 1)
				best = row[j + 1] + 1;
			diagonal = row[j + 1];
			row[j + 1] = best;
		}
	}
	return row[to_length];
}

const struct profile *profile_or_complain(const char *name)
{
	const struct profile *found = profile_find(name);

	if (found)
		return found;
	fprintf(stderr, "fakebind: unknown system: %s; known, nearest first:", name);
	for (unsigned at = 0; at <= LONGEST_COMPARED; at++)
		for (size_t i = 0; i < profile_count; i++)
			if (distance(name, profiles[i].name) == at)
				fprintf(stderr, " %s", profiles[i].name);
	fputc('\n', stderr);
	return NULL;
}

/* ---- the lists ---- */

static void list(void)
{
	size_t width = 0;

	for (size_t i = 0; i < profile_count; i++)
		if (strlen(profiles[i].name) > width)
			width = strlen(profiles[i].name);
	printf("%-*s  %-10s  %s\n", (int)width, "NAME", "EVIDENCE", "SYSTEM");
	for (size_t i = 0; i < profile_count; i++)
		printf("%-*s  %-10s  %s\n", (int)width, profiles[i].name, tiers[profiles[i].tier], profiles[i].title);
}

static void print_json_string(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			printf("\\%c", *text);
		else if ((unsigned char)*text < ' ')
			printf("\\u%04x", *text);
		else
			putchar(*text);
	}
	putchar('"');
}

static void print_json_member(const char *name, const char *text, const char *end)
{
	printf("\"%s\": ", name);
	print_json_string(text);
	fputs(end, stdout);
}

static void list_json(void)
{
	fputs("[", stdout);
	for (size_t i = 0; i < profile_count; i++) {
		fputs(i ? ",\n {" : "\n {", stdout);
		print_json_member("name", profiles[i].name, ", ");
		print_json_member("title", profiles[i].title, ", ");
		print_json_member("family", profiles[i].family->name, ", ");
		print_json_member("evidence", tiers[profiles[i].tier], ", ");
		print_json_member("sources", profiles[i].sources, "}");
	}
	fputs("\n]\n", stdout);
}

static void show(const struct profile *profile)
{
	printf("name      %s\n", profile->name);
	printf("title     %s\n", profile->title);
	printf("family    %s\n", profile->family->name);
	printf("evidence  %s\n", tiers[profile->tier]);
	printf("sources   %s\n", profile->sources);
	for (size_t i = 0; i < TRAIT_COUNT; i++) {
		if (traits[i].words)
			printf("trait     %s = %s\n", traits[i].name, traits[i].words[profile->trait[i]]);
		else
			printf("trait     %s = %u\n", traits[i].name, profile->trait[i]);
	}
}

int profiles_main(int argc, char **argv)
{
	if (argc == 1) {
		list();
	} else if (argc == 2 && !strcmp(argv[1], "--json")) {
		list_json();
	} else if (argc == 3 && !strcmp(argv[1], "show")) {
		const struct profile *profile = profile_or_complain(argv[2]);

		if (!profile)
			return 1;
		show(profile);
	} else {
		complain("usage: fakebind profiles [--json | show NAME]");
		return 1;
	}
	return finish_output();
}

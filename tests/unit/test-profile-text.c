/* SPDX-License-Identifier: MIT */
/*
 * Profiles are read twice: by scripts/mkprofiles.awk when fakebind is built, and by cmd/profile_text.c.  Both
 * must find the same in a text; and what the launcher writes in one word the library must read.
 */
#include "cmd/cmd.h"
#include "cmd/nearest.h"
#include "cmd/profile_text.h"

#include <criterion/criterion.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char complaint[8192];

void complain(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(complaint, sizeof(complaint), format, arguments);
	va_end(arguments);
}

/* ---- the texts of the built-in ones ---- */

static void same_text(const char *where, const char *read, const char *built_in)
{
	cr_assert_eq(!read, !built_in, "%s: %s, %s", where, read, built_in);
	if (read)
		cr_assert_str_eq(read, built_in, "%s: %s", where, read);
}

static void same_profile(const char *file, const struct profile *read)
{
	const struct profile *built_in;

	cr_assert(read, "%s", complaint);
	built_in = profile_find(read->name);
	cr_assert(built_in, "%s: %s", file, read->name);
	same_text(file, read->name, built_in->name);
	same_text(file, read->title, built_in->title);
	same_text(file, read->sources, built_in->sources);
	same_text(file, read->aliases, built_in->aliases);
	same_text(file, read->limits, built_in->limits);
	same_text(file, read->base ? read->base->name : NULL, built_in->base ? built_in->base->name : NULL);
	cr_assert_eq(read->family, built_in->family, "%s", file);
	cr_assert_eq(read->tier, built_in->tier, "%s", file);
	for (size_t i = 0; i < TRAIT_COUNT; i++)
		cr_assert_eq(read->trait[i], built_in->trait[i], "%s: %s is %u, not %u", file, trait_list[i].name,
			     read->trait[i], built_in->trait[i]);
}

Test(profile_text, reads_what_was_compiled)
{
	const char *top = getenv("top_srcdir");
	char pattern[4096];
	glob_t found;

	snprintf(pattern, sizeof(pattern), "%s/profiles/*.conf", top ? top : ".");
	cr_assert_eq(glob(pattern, 0, NULL, &found), 0, "%s", pattern);
	for (size_t i = 0; i < found.gl_pathc; i++)
		same_profile(found.gl_pathv[i], profile_read(found.gl_pathv[i]));
	cr_assert_eq(found.gl_pathc, profile_count, "%zu texts, %zu profiles: is one missing in shim/rules/rules.am?",
		     found.gl_pathc, profile_count);
	globfree(&found);
}

Test(profile_text, every_trait_says_what_it_means)
{
	for (size_t i = 0; i < TRAIT_COUNT; i++)
		cr_expect(trait_list[i].meaning[0], "%s: traits.def has no comment above it", trait_list[i].name);
}

/* A family is asked for by the name in its struct, and declared by the name of its variable. */
Test(profile_text, families_have_the_names_of_their_variables)
{
	for (size_t i = 0; i < profile_count; i++) {
		bool found = false;

		for (size_t j = 0; j < family_count; j++)
			found |= families[j] == profiles[i].family;
		cr_assert(found, "%s", profiles[i].name);
	}
	for (size_t i = 0; i < family_count; i++)
		for (size_t j = 0; j < i; j++)
			cr_assert_str_neq(families[i]->name, families[j]->name);
}

/* ---- texts of all lengths ---- */

/* Words of every length up to beyond inih's buffer, at every place in it. */
Test(profile_text, long_lines)
{
	char path[] = "/tmp/fakebind-text-XXXXXX", title[4000];
	int fd = mkstemp(path);

	cr_assert(fd >= 0);
	close(fd);
	for (size_t word = 1; word < 60; word++) {
		FILE *file = fopen(path, "w");
		const struct profile *read;
		size_t length = 0;

		for (unsigned i = 0; length + word + 1 < sizeof(title); i++) {
			/* What would be a comment at the beginning of a line must not get there. */
			memset(title + length, i % 3 ? 'x' : '#', word);
			length += word;
			title[length++] = ' ';
		}
		title[--length] = '\0';
		fprintf(file, "[profile]\nname = long\ntitle = %s\nbase = starry\n", title);
		fclose(file);
		read = profile_read(path);
		cr_assert(read, "%s", complaint);
		cr_assert_str_eq(read->title, title);
	}
	unlink(path);
}

/* ---- one word ---- */

static struct profile changed(const struct profile *base)
{
	struct profile profile = *base;

	profile.name = "mine";
	for (size_t i = 0; i < TRAIT_COUNT; i++)
		profile.trait[i] = trait_list[i].words ? trait_list[i].word_count - 1 : UINT32_MAX;
	return profile;
}

Test(profile_code, comes_back_as_it_was)
{
	for (size_t i = 0; i < profile_count; i++) {
		char code[PROFILE_CODE], name[PROFILE_NAME + 1], system[PROFILE_SYSTEM], again[PROFILE_SYSTEM];
		struct profile profile = changed(&profiles[i]), read;

		profile_encode(&profile, code);
		cr_assert(profile_decode(code, &read, name), "%s", code);
		cr_assert_str_eq(read.name, "mine");
		cr_assert_eq(read.family, profile.family);
		cr_assert_eq(memcmp(read.trait, profile.trait, sizeof(read.trait)), 0);
		profile_system(&profile, system);
		profile_system(&read, again);
		cr_assert_str_eq(system, again);
	}
}

Test(profile_code, of_a_built_in_one_is_its_name)
{
	char code[PROFILE_CODE], system[PROFILE_SYSTEM];

	profile_encode(&profiles[0], code);
	profile_system(&profiles[0], system);
	cr_assert_str_eq(code, profiles[0].name);
	cr_assert_str_eq(system, profiles[0].name);
}

Test(profile_code, other_traits_are_another_system)
{
	struct profile one = changed(&profiles[0]), other = one;
	char left[PROFILE_SYSTEM], right[PROFILE_SYSTEM];

	profile_system(&one, left);
	for (size_t i = 0; i < TRAIT_COUNT; i++) {
		other.trait[i] ^= 1;
		profile_system(&other, right);
		cr_assert_str_neq(left, right, "%s", trait_list[i].name);
		other.trait[i] ^= 1;
	}
}

static bool reads(const char *code)
{
	char name[PROFILE_NAME + 1];
	struct profile profile;

	return profile_decode(code, &profile, name);
}

Test(profile_code, damage_is_noticed)
{
	struct profile profile = changed(&profiles[0]);
	char code[PROFILE_CODE + 1], damaged[PROFILE_CODE + 1];
	size_t length;

	profile_encode(&profile, code);
	length = strlen(code);
	for (size_t i = 0; i < length; i++) { /* too short, and with a strange byte */
		size_t cut = i;

		memcpy(damaged, code, sizeof(damaged));
		damaged[cut] = '\0';
		/* Of the last number a digit may be missing. */
		cr_assert(!reads(damaged) || i > length - 11, "%s", damaged);
		damaged[cut] = '/';
		cr_assert(!reads(damaged), "%s", damaged);
	}
	strcpy(code + length, ",");
	cr_assert(!reads(code));
}

Test(profile_code, numbers_beyond_the_words_are_noticed)
{
	for (size_t i = 0; i < TRAIT_COUNT; i++) {
		struct profile profile = changed(&profiles[0]);
		char code[PROFILE_CODE];

		if (!trait_list[i].words)
			continue;
		profile.trait[i] = trait_list[i].word_count;
		profile_encode(&profile, code);
		cr_assert(!reads(code), "%s", trait_list[i].name);
	}
}

Test(profile_code, strange_ones_are_none)
{
	static const char *const strange[] = {
		"", ":", "::", "mine", "mine:", "mine:starry", "mine:starry:", "mine:starry:1:0", "../x:starry:1:0", "Mine:starry:1:0",
		"mine:nosuch:1:0", "mine:starry:99999999999999999999:0", "mine:starry:-1:0",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:starry:1:0",
	};

	for (size_t i = 0; i < sizeof(strange) / sizeof(*strange); i++)
		cr_assert(!reads(strange[i]), "%s", strange[i]);
}

/* ---- the nearest ---- */

Test(nearest, counts_letters)
{
	static const char *const words[] = { "unchecked", "endpoint", "port_table" };

	cr_assert_eq(word_distance("", ""), 0);
	cr_assert_eq(word_distance("", "abc"), 3);
	cr_assert_eq(word_distance("kitten", "sitting"), 3);
	cr_assert_str_eq(nearest_word("unchekced", words, 3), "unchecked");
	cr_assert_str_eq(nearest_word("porttable", words, 3), "port_table");
}

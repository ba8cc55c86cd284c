/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "systems.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

static void add(struct systems *systems, const struct profile *profile, const char *word)
{
	systems->profiles = grow(systems->profiles, systems->count, sizeof(*systems->profiles));
	systems->words = grow(systems->words, systems->count, sizeof(*systems->words));
	systems->words[systems->count] = must(strdup(word));
	systems->profiles[systems->count++] = profile;
}

bool systems_add(struct systems *systems, const char *names)
{
	char *copy = strdup(names), *rest = copy, *name;
	bool good = copy != NULL;

	while (good && (name = strsep(&rest, ","))) {
		const struct profile *profile = profile_or_complain(name);

		good = profile != NULL;
		if (good)
			add(systems, profile, name);
	}
	free(copy);
	return good;
}

void systems_add_all(struct systems *systems)
{
	for (size_t i = 0; i < profile_count; i++)
		add(systems, &profiles[i], profiles[i].name);
}

static bool has(const struct systems *systems, const struct profile *profile)
{
	for (size_t i = 0; i < systems->count; i++)
		if (systems->profiles[i] == profile)
			return true;
	return false;
}

void systems_once(struct systems *systems)
{
	struct systems given = *systems;

	*systems = (struct systems){ NULL, NULL, 0 };
	for (size_t i = 0; i < given.count; i++)
		if (!has(systems, given.profiles[i]))
			add(systems, given.profiles[i], given.words[i]);
	systems_free(&given);
}

void systems_free(struct systems *systems)
{
	for (size_t i = 0; i < systems->count; i++)
		free(systems->words[i]);
	free(systems->words);
	free(systems->profiles);
	*systems = (struct systems){ NULL, NULL, 0 };
}

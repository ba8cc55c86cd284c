/* SPDX-License-Identifier: MIT */
/* A profile in one word, so that one that is not built in can be handed to the programs of a run. */
#include "rules.h"

#include <string.h>

static const char name_letters[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";

bool profile_name_valid(const char *name)
{
	size_t length = strlen(name);

	return length > 0 && length <= PROFILE_NAME && strspn(name, name_letters) == length &&
	       name[0] != '.' && name[0] != '_' && name[0] != '-';
}

static bool is_among(const char *words, const char *name)
{
	size_t length = strlen(name);

	for (const char *at = words; at && profile_name_valid(name); at = strchr(at, ' ')) {
		at += *at == ' ';
		if (!strncmp(at, name, length) && (at[length] == ' ' || !at[length]))
			return true;
	}
	return false;
}

const struct profile *profile_find(const char *name)
{
	for (size_t i = 0; i < profile_count; i++)
		if (!strcmp(profiles[i].name, name) || is_among(profiles[i].aliases, name))
			return &profiles[i];
	return NULL;
}

/* ---- fingerprints: FNV-1a ---- */

static uint32_t mix_byte(uint32_t hash, uint8_t byte)
{
	return (hash ^ byte) * 16777619u;
}

static uint32_t mix_text(uint32_t hash, const char *text)
{
	while (*text)
		hash = mix_byte(hash, (uint8_t)*text++);
	return mix_byte(hash, 0);
}

static uint32_t profile_fingerprint(const struct profile *profile)
{
	uint32_t hash = mix_text(2166136261u, profile->family->name);

	for (size_t i = 0; i < TRAIT_COUNT; i++)
		for (unsigned shift = 0; shift < 32; shift += 8)
			hash = mix_byte(hash, (uint8_t)(profile->trait[i] >> shift));
	return hash;
}

/* ---- writing ---- */

static char *put_text(char *to, const char *text)
{
	size_t length = strlen(text);

	memcpy(to, text, length + 1);
	return to + length;
}

static char *put_number(char *to, uint32_t number)
{
	char digits[11];
	size_t at = sizeof digits - 1;

	digits[at] = '\0';
	do
		digits[--at] = (char)('0' + number % 10);
	while (number /= 10);
	return put_text(to, digits + at);
}

void profile_system(const struct profile *profile, char system[PROFILE_SYSTEM])
{
	char *to = put_text(system, profile->name);

	if (profile_find(profile->name) != profile)
		put_number(put_text(to, "#"), profile_fingerprint(profile));
}

void profile_encode(const struct profile *profile, char code[PROFILE_CODE])
{
	char *to = put_text(code, profile->name);

	if (profile_find(profile->name) == profile)
		return;
	to = put_text(put_text(to, ":"), profile->family->name);
	to = put_number(put_text(to, ":"), trait_fingerprint);
	for (size_t i = 0; i < TRAIT_COUNT; i++)
		to = put_number(put_text(to, i ? "," : ":"), profile->trait[i]);
}

/* ---- reading ---- */

static bool take_mark(const char **at, char mark)
{
	if (**at != mark)
		return false;
	++*at;
	return true;
}

static bool take_number(const char **at, uint32_t *number)
{
	uint64_t value = 0;
	const char *digit = *at;

	for (; *digit >= '0' && *digit <= '9' && value <= UINT32_MAX; digit++)
		value = value * 10 + (uint64_t)(*digit - '0');
	if (digit == *at || value > UINT32_MAX)
		return false;
	*at = digit;
	*number = (uint32_t)value;
	return true;
}

static const struct family *take_family(const char **at)
{
	size_t length = strcspn(*at, ":");

	for (size_t i = 0; i < family_count; i++)
		if (strlen(families[i]->name) == length && !memcmp(families[i]->name, *at, length)) {
			*at += length;
			return families[i];
		}
	return NULL;
}

static bool take_traits(const char **at, uint32_t *values)
{
	for (size_t i = 0; i < TRAIT_COUNT; i++) {
		if (!take_mark(at, i ? ',' : ':') || !take_number(at, &values[i]))
			return false;
		if (trait_words[i] && values[i] >= trait_words[i])
			return false;
	}
	return **at == '\0';
}

bool profile_decode(const char *code, struct profile *profile, char name[PROFILE_NAME + 1])
{
	size_t length = strcspn(code, ":");
	uint32_t fingerprint;

	*profile = (struct profile){ .name = name, PEOPLE_ONLY(.title = "", .sources = "",) .tier = TIER_DOCUMENTED };
	if (length > PROFILE_NAME)
		return false;
	memcpy(name, code, length);
	name[length] = '\0';
	code += length;
	if (!profile_name_valid(name) || !take_mark(&code, ':'))
		return false;
	profile->family = take_family(&code);
	if (!profile->family || !take_mark(&code, ':'))
		return false;
	return take_number(&code, &fingerprint) && fingerprint == trait_fingerprint && take_traits(&code, profile->trait);
}

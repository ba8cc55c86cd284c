/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "profile_text.h"

#include "cmd.h"
#include "nearest.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LONGEST_LINE 4095
#define COUNT(array) (sizeof(array) / sizeof(*(array)))

enum key { KEY_NAME, KEY_TITLE, KEY_FAMILY, KEY_TIER, KEY_SOURCES, KEY_BASE, KEY_ALIAS, KEY_LIMITS, KEY_COUNT };

static const char *const key_names[KEY_COUNT] = { "name", "title", "family", "tier", "sources", "base", "alias", "limits" };
static const char *const section_names[] = { "[profile]", "[traits]" };
const char *const tier_names[] = { "measured", "source", "documented" };
_Static_assert(COUNT(tier_names) == TIER_COUNT && TIER_DOCUMENTED == TIER_COUNT - 1, "a name for each tier");

struct text {
	const char *file;
	const struct text *derived; /* the text that has this one as its base */
	dev_t device;
	ino_t inode;
	FILE *stream;
	bool failed;

	char line[LONGEST_LINE + 1];
	unsigned number;     /* of the line, from 1 */
	const char *rest;    /* what inih was not given of it yet */
	bool pending;        /* inih must make KEY = VALUE of it, and has not yet */
	unsigned section;    /* line of the section's name */
	enum key last;       /* key of the line; KEY_COUNT: a trait */

	char *values[KEY_COUNT];
	unsigned lines[KEY_COUNT]; /* where they are; 0: not given */
	unsigned trait_lines[TRAIT_COUNT];
	struct profile *profile;
};

/* ---- errors ---- */

/* The first one is said; false always. */
static bool fail(struct text *text, unsigned line, const char *format, ...)
{
	va_list arguments;
	char *message = NULL;

	if (text->failed)
		return false;
	text->failed = true;
	va_start(arguments, format);
	if (vasprintf(&message, format, arguments) >= 0)
		complain("%s:%u: %s", text->file, line, message);
	va_end(arguments);
	free(message);
	return false;
}

/* The same, with what is allowed instead of the word. */
static bool fail_word(struct text *text, unsigned line, const char *what, const char *word, const char *const *allowed, size_t count)
{
	char *list = NULL;
	size_t size;
	FILE *stream = open_memstream(&list, &size);

	if (!stream)
		return fail(text, line, "%s: %s", what, strerror(errno));
	for (size_t i = 0; i < count; i++)
		fprintf(stream, "%s%s", i ? ", " : "", allowed[i]);
	fclose(stream);
	fail(text, line, "%s: expected one of: %s; nearest: %s", what, list, nearest_word(word, allowed, count));
	free(list);
	return false;
}

static bool fail_value(struct text *text, const char *key, const char *value, const char *const *allowed, size_t count)
{
	char what[LONGEST_LINE + 1];

	snprintf(what, sizeof(what), "%s = %s", key, value);
	return fail_word(text, text->number, what, value, allowed, count);
}

static bool find(const char *word, const char *const *words, size_t count, size_t *found)
{
	for (*found = 0; *found < count; ++*found)
		if (!strcmp(word, words[*found]))
			return true;
	return false;
}

/* ---- lines, as inih asks for them ---- */

/* Bytes of the UTF-8 character (RFC 3629), 0: there is none, or it is a control character. */
static size_t character(const unsigned char *at)
{
	static const uint32_t smallest[] = { 0, 0, 0xa0, 0x800, 0x10000 };
	size_t length = at[0] < 0x80 ? 1 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
	uint32_t code = at[0] & (0x7fu >> length);

	if (length == 1)
		return at[0] == '\t' || (at[0] >= ' ' && at[0] != 0x7f);
	if (at[0] < 0xc0 || at[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < length; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (at[i] & 0x3f);
	}
	return code < smallest[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0 : length;
}

static bool is_text(struct text *text, size_t length)
{
	const unsigned char *line = (const unsigned char *)text->line;
	size_t at = 0, step;

	if (length && line[length - 1] == '\r')
		text->line[--length] = '\0';
	for (; at < length; at += step) {
		step = character(line + at);
		if (step == 0)
			return fail(text, text->number, "byte 0x%02x at column %zu: expected UTF-8 text", line[at], at + 1);
	}
	return true;
}

/* False at the end of the text, and after an error. */
static bool read_line(struct text *text)
{
	size_t length = 0;
	int letter;

	text->number++;
	while ((letter = getc(text->stream)) != EOF && letter != '\n') {
		if (length == LONGEST_LINE)
			return is_text(text, length) && fail(text, text->number, "the line is too long: expected at most %d bytes", LONGEST_LINE);
		text->line[length++] = (char)letter;
	}
	text->line[length] = '\0';
	if (ferror(text->stream))
		return fail(text, text->number, "cannot be read: %s", strerror(errno));
	return (letter != EOF || length) && is_text(text, length);
}

/* inih would take the end of a long comment for a value. */
static void drop_comment(char *line)
{
	if (*line == '#' || *line == ';')
		*line = '\0';
	while ((line = strchr(line, ';'))) {
		if (line[-1] == ' ' || line[-1] == '\t') {
			*line = '\0';
			return;
		}
		line++;
	}
}

static bool next_line(struct text *text)
{
	char *line, *end;

	if (text->pending)
		fail(text, text->number, "'%s': expected KEY = VALUE", text->line + strspn(text->line, " \t"));
	if (text->failed || !read_line(text))
		return false;
	line = text->line + strspn(text->line, " \t");
	drop_comment(line);
	end = line + strlen(line);
	while (end > line && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = '\0';
	text->rest = line;
	text->pending = *line && (*line != '[' || end[-1] != ']');
	if (*line == '[')
		text->section = text->number;
	return true;
}

/* Where a text that is too long for inih's buffer is parted: before a blank, so that it takes the rest for a line
 * that continues the one before; 0: nowhere.  A rest that begins with a comment's sign would be one. */
static size_t parting(const char *text, size_t first, size_t room)
{
	while (room > first && (text[room] != ' ' || strchr(" \t#;", text[room + 1])))
		room--;
	return room > first ? room : 0;
}

/* KEY = and the blanks after it cannot be parted. */
static size_t before_value(const char *text)
{
	size_t length = strcspn(text, "=:");

	return text[length] ? length + 1 + strspn(text + length + 1, " \t") : length;
}

static char *give_line(char *to, int size, void *user)
{
	struct text *text = user;
	size_t length;

	if (!*text->rest && !next_line(text))
		return NULL;
	length = strlen(text->rest);
	if (length > (size_t)size - 2)
		length = parting(text->rest, text->pending ? before_value(text->rest) : 0, (size_t)size - 2);
	if (length == 0 && *text->rest) {
		fail(text, text->number, "a word is too long: expected at most %d bytes", size - 2);
		return NULL;
	}
	memcpy(to, text->rest, length);
	strcpy(to + length, "\n");
	text->rest += length;
	return to;
}

/* ---- keys ---- */

static bool append(struct text *text, enum key key, const char *between, const char *value)
{
	char *joined, *before = text->values[key];

	if (asprintf(&joined, "%s%s%s", before ? before : "", before ? between : "", value) < 0)
		return fail(text, text->number, "no memory");
	free(before);
	text->values[key] = joined;
	return true;
}

static bool set_family(struct text *text, const char *value)
{
	const char *names[64];
	size_t found;

	for (found = 0; found < family_count && found < COUNT(names); found++)
		names[found] = families[found]->name;
	if (!find(value, names, found, &found))
		return fail_value(text, "family", value, names, found);
	text->profile->family = families[found];
	return true;
}

static bool set_tier(struct text *text, const char *value)
{
	size_t found;

	if (!find(value, tier_names, TIER_COUNT, &found))
		return fail_value(text, "tier", value, tier_names, TIER_COUNT);
	text->profile->tier = (enum tier)found;
	return true;
}

static bool check_value(struct text *text, enum key key, const char *value)
{
	switch (key) {
	case KEY_FAMILY:
		return set_family(text, value);
	case KEY_TIER:
		return set_tier(text, value);
	case KEY_NAME:
	case KEY_ALIAS:
		if (profile_name_valid(value))
			return true;
		return fail(text, text->number, "%s = %s: expected up to %d lower-case letters, digits, '.', '-' and '_', a letter or digit first",
			    key_names[key], value, PROFILE_NAME);
	default:
		return true;
	}
}

static bool profile_key(struct text *text, const char *name, const char *value)
{
	bool repeats;
	char what[LONGEST_LINE + 1];
	size_t key;

	snprintf(what, sizeof(what), "unknown key '%s' in [profile]", name);
	if (!find(name, key_names, KEY_COUNT, &key))
		return fail_word(text, text->number, what, name, key_names, KEY_COUNT);
	repeats = key == KEY_ALIAS || key == KEY_LIMITS;
	if (!repeats && text->lines[key])
		return fail(text, text->number, "'%s' is given twice, first in line %u", name, text->lines[key]);
	if (!*value)
		return fail(text, text->number, "'%s' has no value", name);
	text->lines[key] = text->number;
	text->last = (enum key)key;
	return check_value(text, text->last, value) && append(text, text->last, key == KEY_LIMITS ? "\n" : " ", value);
}

static bool read_number(struct text *text, const char *name, const char *value, uint32_t *number)
{
	size_t digits = strspn(value, "0123456789");
	unsigned long long result = strtoull(value, NULL, 10);

	if (!digits || value[digits] || result > UINT32_MAX)
		return fail(text, text->number, "%s = %s: expected a number from 0 to %u", name, value, UINT32_MAX);
	*number = (uint32_t)result;
	return true;
}

static bool trait_key(struct text *text, const char *name, const char *value)
{
	const char *names[TRAIT_COUNT];
	const struct trait *trait;
	char what[LONGEST_LINE + 1];
	size_t index, word;

	for (index = 0; index < TRAIT_COUNT; index++)
		names[index] = trait_list[index].name;
	snprintf(what, sizeof(what), "unknown trait '%s' in [traits]", name);
	if (!find(name, names, TRAIT_COUNT, &index))
		return fail_word(text, text->number, what, name, names, TRAIT_COUNT);
	trait = &trait_list[index];
	if (text->trait_lines[index])
		return fail(text, text->number, "'%s' is given twice, first in line %u", name, text->trait_lines[index]);
	text->trait_lines[index] = text->number;
	text->last = KEY_COUNT;
	if (!trait->words)
		return read_number(text, name, value, &text->profile->trait[index]);
	if (!find(value, trait->words, trait->word_count, &word))
		return fail_value(text, name, value, trait->words, trait->word_count);
	text->profile->trait[index] = (uint32_t)word;
	return true;
}

/* The rest of a line that was parted. */
static bool more(struct text *text, const char *value)
{
	if (text->last == KEY_TITLE || text->last == KEY_SOURCES || text->last == KEY_LIMITS)
		return append(text, text->last, " ", value);
	return fail(text, text->number, "the value is too long");
}

static int take_pair(void *user, const char *section, const char *key, const char *value)
{
	struct text *text = user;
	char name[64], what[96];

	if (text->failed)
		return 0;
	if (!text->pending)
		return more(text, value);
	text->pending = false;
	if (!strcmp(section, "profile"))
		return profile_key(text, key, value);
	if (!strcmp(section, "traits"))
		return trait_key(text, key, value);
	if (!text->section)
		return fail(text, text->number, "'%s' stands before any section: expected [profile] or [traits]", key);
	snprintf(name, sizeof(name), "[%s]", section);
	snprintf(what, sizeof(what), "unknown section %s", name);
	return fail_word(text, text->section, what, name, section_names, COUNT(section_names));
}

/* ---- the base ---- */

static const struct profile *read_text(const char *path, const struct text *derived);

static const struct profile *base_file(const struct text *text, const char *name)
{
	const struct profile *base;
	const char *slash = strrchr(text->file, '/');
	int directory = *name != '/' && slash ? (int)(slash + 1 - text->file) : 0;
	char *path;

	if (asprintf(&path, "%.*s%s", directory, text->file, name) < 0)
		return NULL;
	base = read_text(path, text);
	free(path);
	return base;
}

static const struct profile *base_built_in(struct text *text, const char *name)
{
	const struct profile *base = profile_find(name);
	const char **names = base ? NULL : calloc(profile_count, sizeof(*names));
	char what[LONGEST_LINE + 1];

	if (!names)
		return base;
	for (size_t i = 0; i < profile_count; i++)
		names[i] = profiles[i].name;
	snprintf(what, sizeof(what), "base = %s", name);
	fail_word(text, text->lines[KEY_BASE], what, name, names, profile_count);
	free(names);
	return NULL;
}

static bool inherit(struct text *text)
{
	const char *name = text->values[KEY_BASE];
	struct profile *profile = text->profile;
	const struct profile *base = profile_is_file(name) ? base_file(text, name) : base_built_in(text, name);

	if (!base)
		return false;
	if (profile->family && profile->family != base->family)
		return fail(text, text->lines[KEY_FAMILY], "family = %s: expected %s, as in the base, or no such line",
			    profile->family->name, base->family->name);
	profile->family = base->family;
	profile->base = base;
	for (size_t i = 0; i < TRAIT_COUNT; i++)
		if (!text->trait_lines[i])
			profile->trait[i] = base->trait[i];
	return true;
}

/* ---- the whole ---- */

/* mine for /path/mine.conf, unless that is no name. */
static char *name_of_file(const char *file)
{
	const char *slash = strrchr(file, '/');
	char *name = strdup(slash ? slash + 1 : file);
	size_t length = name ? strlen(name) : 0;

	if (length > 5 && !strcmp(name + length - 5, ".conf"))
		name[length - 5] = '\0';
	if (name && profile_name_valid(name))
		return name;
	free(name);
	return NULL;
}

static const char *changed_title(const char *title)
{
	char *changed;

	return asprintf(&changed, "%s, changed", title) < 0 ? title : changed;
}

/* With a base it is enough to say what differs.  The evidence is not taken over: it was for other traits. */
static void fill_in(struct text *text)
{
	struct profile *profile = text->profile;

	if (!profile->name)
		profile->name = name_of_file(text->file);
	if (!profile->title)
		profile->title = changed_title(profile->base->title);
	if (!text->lines[KEY_TIER])
		profile->tier = TIER_DOCUMENTED;
	if (!profile->sources)
		profile->sources = strdup(text->file);
}

static bool check_complete(struct text *text)
{
	static const enum key needed[] = { KEY_NAME, KEY_TITLE, KEY_TIER, KEY_SOURCES };
	const struct profile *profile = text->profile;

	if (!profile->family)
		return fail(text, 1, "'family' is missing: expected family = FAMILY, or base = NAME, in [profile]");
	if (profile->base)
		return profile->name || fail(text, 1, "'name' is missing, and the file's own is none");
	for (size_t i = 0; i < COUNT(needed); i++)
		if (!text->lines[needed[i]])
			return fail(text, 1, "'%s' is missing in [profile] (only with a base may it be left out)", key_names[needed[i]]);
	return true;
}

static bool complete(struct text *text)
{
	struct profile *profile = text->profile;
	char *own = text->values[KEY_LIMITS];

	if (text->values[KEY_BASE] && !inherit(text))
		return false;
	profile->name = text->values[KEY_NAME];
	profile->title = text->values[KEY_TITLE];
	profile->sources = text->values[KEY_SOURCES];
	profile->aliases = text->values[KEY_ALIAS];
	profile->limits = own ? own : profile->base ? profile->base->limits : NULL;
	if (own && profile->base && profile->base->limits) {
		if (asprintf(&own, "%s\n%s", profile->base->limits, own) < 0)
			return fail(text, 1, "no memory");
		profile->limits = own;
	}
	if (profile->base)
		fill_in(text);
	return check_complete(text);
}

static bool is_own_base(struct text *text)
{
	struct stat status;

	if (fstat(fileno(text->stream), &status))
		return false;
	text->device = status.st_dev;
	text->inode = status.st_ino;
	for (const struct text *other = text->derived; other; other = other->derived)
		if (other->device == text->device && other->inode == text->inode)
			return true;
	return false;
}

static bool parse(struct text *text)
{
	int result = ini_parse_stream(give_line, text, take_pair, text);

	if (result && !text->failed)
		return fail(text, result > 0 ? (unsigned)result : 1, "cannot be parsed");
	return !text->failed && complete(text);
}

/* FILE: WHY, or where FILE is asked for. */
static void complain_file(const char *path, const struct text *derived, const char *why)
{
	if (derived)
		complain("%s:%u: base = %s: %s", derived->file, derived->lines[KEY_BASE], derived->values[KEY_BASE], why);
	else
		complain("%s: %s", path, why);
}

static const struct profile *read_text(const char *path, const struct text *derived)
{
	struct profile *profile = calloc(1, sizeof(*profile));
	struct text *text = calloc(1, sizeof(*text));
	bool done = false;

	if (!profile || !text) {
		complain("no memory");
		return NULL;
	}
	*text = (struct text){ .file = path, .derived = derived, .rest = "", .profile = profile, .stream = fopen(path, "re") };
	if (!text->stream)
		complain_file(path, derived, strerror(errno));
	else if (is_own_base(text))
		complain_file(path, derived, "the base leads back to itself");
	else
		done = parse(text);
	if (text->stream)
		fclose(text->stream);
	free(text);
	return done ? profile : NULL;
}

const struct profile *profile_read(const char *path)
{
	return read_text(path, NULL);
}

bool profile_is_file(const char *name)
{
	size_t length = strlen(name);

	return strchr(name, '/') || (length > 5 && !strcmp(name + length - 5, ".conf"));
}

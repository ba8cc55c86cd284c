/* SPDX-License-Identifier: MIT */
#include "playing.h"

#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "read_text.h"
#include "truth.h"

bool output_parse(const char *word, enum output *output)
{
	static const char *const words[] = { [OUTPUT_HUMAN] = "human", [OUTPUT_TSV] = "tsv", [OUTPUT_JSON] = "json" };

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (!strcmp(word, words[i])) {
			*output = (enum output)i;
			return true;
		}
	complain("--format %s: expected human, tsv or json", word);
	return false;
}

static bool read_file(struct scenario_list *list, const char *path)
{
	struct scenario_error error;
	struct truth truth;
	size_t length;
	char *text = read_text(path, &length);
	bool good;

	if (!text)
		return false;
	if (truth_looks_like(text)) {
		good = truth_parse(&truth, text, length, path) && truth_to_scenarios(&truth, list, path);
		truth_free(&truth);
		return good;
	}
	good = scenario_parse(list, text, length, &error);
	if (!good)
		complain("%s:%u: %s: expected %s", path, error.line, *error.word ? error.word : "end of line", error.expected);
	free(text);
	return good;
}

bool scenarios_read(struct scenario_list *list, char **paths)
{
	for (; *paths; paths++)
		if (!read_file(list, *paths))
			return false;
	return true;
}

bool set_parse(const char *word, uint32_t *options)
{
	if (strcmp(word, "exclusive") && strcmp(word, "exclusive=0") && strcmp(word, "exclusive=1")) {
		complain("--set %s: expected exclusive, exclusive=0 or exclusive=1", word);
		return false;
	}
	*options = strcmp(word, "exclusive=0") ? OPTION_EXCLUSIVE : 0;
	return true;
}

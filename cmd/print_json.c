/* SPDX-License-Identifier: MIT */
#include "print_json.h"

#include <stdio.h>

void json_add_text(struct json_object *object, const char *key, const char *text)
{
	json_object_object_add(object, key, text ? json_object_new_string(text) : NULL);
}

void json_add_text_if_any(struct json_object *object, const char *key, const char *text)
{
	if (text)
		json_add_text(object, key, text);
}

static void print(struct json_object *object, int style)
{
	puts(json_object_to_json_string_ext(object, style | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(object);
}

void json_print(struct json_object *object)
{
	print(object, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED);
}

void json_print_line(struct json_object *object)
{
	print(object, JSON_C_TO_STRING_PLAIN);
}

/* SPDX-License-Identifier: MIT */
/* What subcommands print for programs. */
#ifndef FAKEBIND_PRINT_JSON_H
#define FAKEBIND_PRINT_JSON_H

#include <json-c/json.h>

/* NULL becomes null. */
void json_add_text(struct json_object *, const char *key, const char *text);
/* Only if there is a text. */
void json_add_text_if_any(struct json_object *, const char *key, const char *text);

/* To standard output, and frees it: one whole answer, or one line of many. */
void json_print(struct json_object *);
void json_print_line(struct json_object *);

#endif

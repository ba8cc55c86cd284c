/* SPDX-License-Identifier: MIT */
/* fakebind ls: who holds what.  It only looks: no file is written, no lock taken, no socket bound. */
#define _GNU_SOURCE
#include "cmd.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "colour.h"
#include "holding.h"
#include "print_json.h"
#include "sessions.h"
#include "terminal.h"

struct listing {
	bool json, all, watch;
	const char *session; /* NULL: the one we are in, else every one */
	struct kernel kernel;
	struct openers openers;
};

static const char help[] =
	"Usage: fakebind ls [OPTION]...\n"
	"\n"
	"Shows who holds which address: of the session this runs in, else of every run\n"
	"and session of this user.\n"
	"\n"
	"  -s, --session NAME    of this one (`fakebind sessions` lists them)\n"
	"  -a, --all             of every session, and also what is gone or over\n"
	"  -w, --watch           again each second, until Ctrl-C\n"
	"      --json            for programs\n"
	"  -h, --help            show this text\n"
	"\n"
	"EVIDENCE says how sure it is that the socket is there:\n"
	"  sock_diag     the kernel has it\n"
	"  owner alive   the kernel cannot tell, but the program that bound it runs and\n"
	"                did not close it\n"
	"  doubtful      the program has closed it or ended; another may have it open\n"
	"  gone          the kernel has it no more (--all)\n"
	"  memory        no socket: what the system keeps of one (TIME_WAIT; anchor: for\n"
	"                ever)\n"
	"  outside       a program that does not run under fakebind has it\n";

/* ---- rows ---- */

struct row {
	const struct holding *holding;
	struct holder holder; /* as the session's system sees it */
	uint32_t left_ms, least_ms;
	unsigned count;       /* remnants that are alike are one row */
};

struct table {
	struct row *rows;
	size_t count;
};

static bool is_shown(const struct listing *listing, const struct holdings *holdings, const struct holding *holding, const struct profile *profile)
{
	const struct holder *holder = &holding->holder;

	if (holding->origin != ORIGIN_REGISTERED && !holdings_has_port(holdings, holder->protocol, holder->port))
		return false;
	return listing->all || holder->state == STATE_ANCHOR || holding_stands(holdings, holding, profile);
}

static struct row as_row(const struct holdings *holdings, const struct holding *holding, const struct profile *profile)
{
	struct row row = { .holding = holding, .holder = holding->holder, .count = 1 };

	if (profile)
		row.holder = holding_as(holdings, holding, profile, &row.left_ms);
	row.least_ms = row.left_ms;
	return row;
}

static bool is_alike(const struct row *one, const struct row *other)
{
	const struct holder *a = &one->holder, *b = &other->holder;

	return one->holding->holder.state == STATE_TIME_WAIT && other->holding->holder.state == STATE_TIME_WAIT && a->state == b->state &&
	       a->protocol == b->protocol && a->port == b->port && a->domain == b->domain && a->options == b->options &&
	       !memcmp(a->address, b->address, sizeof(a->address)) && one->holding->evidence == other->holding->evidence;
}

static void add_row(struct table *table, const struct row *row)
{
	for (size_t i = table->count; i-- && table->rows[i].holder.port == row->holder.port;) {
		struct row *other = &table->rows[i];

		if (!is_alike(other, row))
			continue;
		other->count++;
		if (row->left_ms > other->left_ms)
			other->left_ms = row->left_ms;
		if (row->left_ms < other->least_ms)
			other->least_ms = row->left_ms;
		return;
	}
	table->rows[table->count++] = *row;
}

static void fill(struct table *table, const struct listing *listing, const struct holdings *holdings, const struct profile *profile)
{
	*table = (struct table){ .rows = calloc(holdings->count + 1, sizeof(*table->rows)) };
	for (size_t i = 0; table->rows && i < holdings->count; i++) {
		struct row row = as_row(holdings, &holdings->all[i], profile);

		if (is_shown(listing, holdings, &holdings->all[i], profile))
			add_row(table, &row);
	}
}

/* ---- for people ---- */

enum column { PROTOCOL, ADDRESS, STATE, OPTIONS, EVIDENCE, COLUMNS };
typedef char cell[128];

static const char *const titles[COLUMNS] = { "PROTO", "ADDRESS", "STATE", "OPTIONS", "EVIDENCE" };

static void write_state(const struct row *row, cell text)
{
	int used = snprintf(text, sizeof(cell), "%s", state_text(row->holder.state));

	if (row->left_ms && row->least_ms / 1000 != row->left_ms / 1000)
		used += snprintf(text + used, sizeof(cell) - (size_t)used, " %u-%us", row->least_ms / 1000, row->left_ms / 1000);
	else if (row->left_ms)
		used += snprintf(text + used, sizeof(cell) - (size_t)used, " %us", row->left_ms / 1000);
	if (row->count > 1)
		snprintf(text + used, sizeof(cell) - (size_t)used, " x%u", row->count);
}

static void write_evidence(const struct listing *listing, const struct holding *holding, cell text)
{
	static const char *const names[] = { "sock_diag", "owner alive", "doubtful", "gone", "memory" };

	snprintf(text, sizeof(cell), "%s%s", holding->origin == ORIGIN_OUTSIDE ? "outside" : names[holding->evidence],
		 holding->netns == listing->kernel.netns ? "" : ", other netns");
}

static void write_cells(const struct listing *listing, const struct row *row, cell cells[COLUMNS])
{
	char address[ADDRESS_TEXT], options[OPTIONS_TEXT];

	options_text(row->holder.options, row->holder.domain, options);
	snprintf(cells[PROTOCOL], sizeof(cell), "%s", protocol_text(row->holder.protocol));
	snprintf(cells[ADDRESS], sizeof(cell), "%s", address_text(&row->holder, address));
	write_state(row, cells[STATE]);
	snprintf(cells[OPTIONS], sizeof(cell), "%s", row->holding->origin == ORIGIN_OUTSIDE ? "?" : *options ? options : "-");
	write_evidence(listing, row->holding, cells[EVIDENCE]);
}

static void measure(const struct listing *listing, const struct table *table, int widths[COLUMNS])
{
	cell cells[COLUMNS];

	for (int column = 0; column < COLUMNS; column++)
		widths[column] = (int)strlen(titles[column]);
	for (size_t i = 0; i < table->count; i++) {
		write_cells(listing, &table->rows[i], cells);
		for (int column = 0; column < COLUMNS; column++)
			if ((int)strlen(cells[column]) > widths[column])
				widths[column] = (int)strlen(cells[column]);
	}
}

static void print_line(FILE *out, const int widths[COLUMNS], const char *const texts[COLUMNS])
{
	for (int column = 0; column < COLUMNS; column++)
		fprintf(out, "%-*s  ", widths[column], texts[column]);
}

/* Where the terminal is too narrow for them the owners get a line of their own. */
static void print_table(FILE *out, const struct listing *listing, const struct table *table)
{
	const bool colours = terminal_colours();
	int widths[COLUMNS], total = 0;
	const unsigned columns = terminal_width();
	bool narrow;
	cell cells[COLUMNS];

	measure(listing, table, widths);
	for (int column = 0; column < COLUMNS; column++)
		total += widths[column] + 2;
	narrow = columns && (unsigned)total + 24 > columns;
	fputs(colour_on(colours, COLOUR_TITLE), out);
	print_line(out, widths, titles);
	fprintf(out, "%s%s\n", narrow ? "" : "OWNER", colour_off(colours));
	for (size_t i = 0; i < table->count; i++) {
		const char *texts[COLUMNS];

		write_cells(listing, &table->rows[i], cells);
		for (int column = 0; column < COLUMNS; column++)
			texts[column] = cells[column];
		print_line(out, widths, texts);
		fputs(narrow ? "\n    " : "", out);
		print_owners(out, table->rows[i].holding, &listing->openers);
		fputc('\n', out);
	}
}

static void print_session(FILE *out, const struct listing *listing, const struct session_file *session, const char *system,
			  const struct table *table)
{
	size_t programs = session_programs(session, NULL, 0);

	fprintf(out, "%s (%s, %zu program%s)\n", session->name, system, programs, programs == 1 ? "" : "s");
	if (table->count)
		print_table(out, listing, table);
	else
		fputs("holds nothing\n", out);
}

/* ---- for programs ---- */

static struct json_object *session_json(const struct listing *listing, const struct session_file *session, const char *system,
					const struct holdings *holdings, const struct profile *profile)
{
	struct json_object *object = json_object_new_object(), *sockets = json_object_new_array();

	json_add_text(object, "session", session->name);
	json_add_text(object, "system", system);
	json_add_text(object, "registry", session->path);
	for (size_t i = 0; i < holdings->count; i++) {
		struct row row = as_row(holdings, &holdings->all[i], profile);
		struct json_object *socket;

		if (!is_shown(listing, holdings, &holdings->all[i], profile))
			continue;
		socket = holding_json(&holdings->all[i], &row.holder, &listing->openers);
		if (row.left_ms)
			json_object_object_add(socket, "left_ms", json_object_new_int64(row.left_ms));
		json_object_array_add(sockets, socket);
	}
	json_object_object_add(object, "sockets", sockets);
	return object;
}

/* ---- one look ---- */

/* False after an error. */
static bool look_at(const struct listing *listing, const struct session_file *session, FILE *out, struct json_object *array)
{
	char system[REGISTRY_SYSTEM_MAX];
	const struct profile *profile;
	struct registry registry;
	struct holdings holdings;
	struct table table;
	enum registry_error error = session_open(session, &registry, listing->kernel.netns, system, &profile);

	if (error == REGISTRY_SYSTEM && errno == ENOENT && !listing->session)
		return true; /* it ended just now */
	if (error != REGISTRY_OK) {
		complain("%s: %s", session->path, registry_error_text(error));
		return error == REGISTRY_FOREIGN && !listing->session; /* what an older fakebind left is no failure of this one */
	}
	holdings_read(&holdings, &registry, profile, &listing->kernel);
	if (array) {
		json_object_array_add(array, session_json(listing, session, system, &holdings, profile));
	} else {
		fill(&table, listing, &holdings, profile);
		print_session(out, listing, session, system, &table);
		free(table.rows);
	}
	holdings_free(&holdings);
	registry_close(&registry);
	return true;
}

static bool look_at_all(const struct listing *listing, FILE *out, struct json_object *array)
{
	struct session_list list;
	struct session_file one;
	bool good = true;

	if (listing->session)
		return session_find(listing->session, &one) && look_at(listing, &one, out, array);
	if (!listing->all && session_of_ours(&one))
		return look_at(listing, &one, out, array);
	if (!sessions_read(&list))
		return false;
	for (size_t i = 0; i < list.count; i++) {
		if (i && !array)
			fputc('\n', out);
		good &= look_at(listing, &list.files[i], out, array);
	}
	if (!list.count && !array)
		fputs("no session: nothing runs under fakebind\n", out);
	sessions_free(&list);
	return good;
}

static bool look(struct listing *listing, FILE *out)
{
	struct json_object *array = listing->json ? json_object_new_array() : NULL;
	bool good;

	kernel_read(&listing->kernel);
	openers_read(&listing->openers);
	good = look_at_all(listing, out, array);
	if (array)
		fprintf(out, "%s\n", json_object_to_json_string_ext(array, JSON_C_TO_STRING_NOSLASHESCAPE |
				(listing->watch ? JSON_C_TO_STRING_PLAIN : JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED)));
	json_object_put(array);
	openers_free(&listing->openers);
	kernel_free(&listing->kernel);
	return good;
}

/* ---- again and again ---- */

/* As much as fits, so that the next picture covers it; the cursor is left below, and nothing is to be put back when a
 * signal ends this. */
static void paint(const char *text, unsigned columns, unsigned rows)
{
	unsigned row = 0;

	fputs("\033[H", stdout);
	for (; *text && (!rows || row + 1 < rows); row++) {
		int length = (int)strcspn(text, "\n");
		bool has_colours = memchr(text, '\033', (size_t)length) != NULL;

		printf("%.*s\033[K\n", columns && length > (int)columns && !has_colours ? (int)columns : length, text);
		text += length + (text[length] == '\n');
	}
	fputs("\033[J", stdout);
}

static int watch(struct listing *listing)
{
	unsigned columns, rows;
	bool terminal = terminal_moves(STDOUT_FILENO) && !listing->json, good = true;

	if (terminal)
		fputs("\033[2J", stdout);
	while (good) {
		char *text = NULL;
		size_t length = 0;
		FILE *out = open_memstream(&text, &length);

		good = out && look(listing, out);
		if (out)
			fclose(out);
		terminal_size(&columns, &rows);
		if (good && terminal)
			paint(text, columns, rows);
		else if (good)
			printf("%s%s", text, listing->json ? "" : "\n");
		free(text);
		if (finish_output())
			return 1;
		if (good)
			sleep(1);
	}
	return 1;
}

int ls_main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "session", required_argument, NULL, 's' },
		{ "all", no_argument, NULL, 'a' },
		{ "watch", no_argument, NULL, 'w' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct listing listing = { 0 };
	int letter;
	bool good;

	while ((letter = getopt_long(argc, argv, "s:awh", options, NULL)) != -1) {
		switch (letter) {
		case 's': listing.session = optarg; break;
		case 'a': listing.all = true; break;
		case 'w': listing.watch = true; break;
		case 'j': listing.json = true; break;
		default:
			return help_or_misuse(letter, help);
		}
	}
	if (optind < argc) {
		complain("ls takes no argument: %s", argv[optind]);
		return misuse();
	}
	if (listing.watch)
		return watch(&listing);
	good = look(&listing, stdout);
	return finish_output() ? 1 : good ? 0 : EXIT_OURS;
}

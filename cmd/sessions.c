/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "sessions.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"
#include "include/fakebind.h"
#include "nearest.h"
#include "shim/host/place.h"

bool session_name_valid(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

	return *name && strlen(name) <= SESSION_NAME && strspn(name, letters) == strlen(name);
}

bool sessions_directory(char *directory, size_t size)
{
	const char *problem = place_directory(getenv("XDG_RUNTIME_DIR"), directory, size);

	if (problem)
		complain("%s: %s; XDG_RUNTIME_DIR=DIRECTORY names another place, a directory of yours that nobody else may write",
			 directory, problem);
	return problem == NULL;
}

/* ---- the list ---- */

static bool starts_with(const char *text, const char *start)
{
	return !strncmp(text, start, strlen(start));
}

/* Of a registry being made the file has a number more (shim/registry/map.c), and of another size it is none. */
static bool is_registry(int directory, const char *file)
{
	struct stat status;

	return (starts_with(file, RUN_PREFIX) || starts_with(file, SESSION_PREFIX) || starts_with(file, "default-")) &&
	       fstatat(directory, file, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode) &&
	       status.st_size == REGISTRY_FILE_SIZE;
}

static bool describe(const char *directory, const char *file, struct session_file *to)
{
	const char *name = starts_with(file, SESSION_PREFIX) ? file + strlen(SESSION_PREFIX) : file;

	snprintf(to->name, sizeof(to->name), "%s", name);
	return (size_t)snprintf(to->path, sizeof(to->path), "%s/%s", directory, file) < sizeof(to->path);
}

static int by_name(const void *left, const void *right)
{
	return strcmp(((const struct session_file *)left)->name, ((const struct session_file *)right)->name);
}

static void read_directory(struct session_list *list, const char *directory, DIR *stream)
{
	struct dirent *entry;

	while ((entry = readdir(stream))) {
		if (!is_registry(dirfd(stream), entry->d_name))
			continue;
		list->files = grow(list->files, list->count, sizeof(*list->files));
		list->count += describe(directory, entry->d_name, &list->files[list->count]);
	}
	if (list->count)
		qsort(list->files, list->count, sizeof(*list->files), by_name);
}

void sessions_read_in(struct session_list *list, const char *directory)
{
	DIR *stream = opendir(directory);

	*list = (struct session_list){ .count = 0 };
	if (!stream)
		return;
	read_directory(list, directory, stream);
	closedir(stream);
}

bool sessions_read(struct session_list *list)
{
	char directory[PATH_MAX / 2];

	*list = (struct session_list){ .count = 0 };
	if (!sessions_directory(directory, sizeof(directory)))
		return false;
	sessions_read_in(list, directory);
	return true;
}

void sessions_free(struct session_list *list)
{
	free(list->files);
	*list = (struct session_list){ .count = 0 };
}

/* ---- one ---- */

static void no_such_session(const char *name, const struct session_list *list)
{
	const char **names = calloc(list->count + 1, sizeof(*names));

	for (size_t i = 0; names && i < list->count; i++)
		names[i] = list->files[i].name;
	if (!names || !list->count)
		complain("no session %s: there is none now", name);
	else if (word_distance(name, nearest_word(name, names, list->count)) <= strlen(name) / 2)
		complain("no session %s; did you mean %s? (fakebind sessions lists all)", name, nearest_word(name, names, list->count));
	else
		complain("no session %s; fakebind sessions lists those there are", name);
	free(names);
}

bool session_find(const char *name, struct session_file *session)
{
	struct session_list list;
	bool found = false;

	if (!sessions_read(&list))
		return false;
	for (size_t i = 0; i < list.count && !found; i++) {
		found = !strcmp(list.files[i].name, name);
		if (found)
			*session = list.files[i];
	}
	if (!found)
		no_such_session(name, &list);
	sessions_free(&list);
	return found;
}

bool session_of_ours(struct session_file *session)
{
	const char *path = getenv(FAKEBIND_ENV_REGISTRY), *slash = path ? strrchr(path, '/') : NULL;

	if (!slash || *path != '/' || access(path, F_OK))
		return false;
	if (!describe("", slash + 1, session))
		return false;
	return (size_t)snprintf(session->path, sizeof(session->path), "%s", path) < sizeof(session->path);
}

enum registry_error session_open(const struct session_file *session, struct registry *registry, uint64_t netns,
				 char system[REGISTRY_SYSTEM_MAX], const struct profile **profile)
{
	enum registry_error error = registry_read(registry, session->path, netns, system);

	*profile = error == REGISTRY_OK ? profile_find(system) : NULL;
	if (*profile)
		return error;
	/* Of a file: NAME#FINGERPRINT.  Its letters go to a terminal. */
	for (size_t i = 0; error == REGISTRY_OK && system[i]; i++)
		if (system[i] < ' ' || system[i] >= 0x7f)
			system[i] = '?';
	return error;
}

size_t session_programs(const struct session_file *session, uint32_t *pids, size_t room)
{
	struct stat status;

	return lstat(session->path, &status) ? 0 : processes_sharing(status.st_dev, status.st_ino, pids, room);
}

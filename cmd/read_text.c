/* SPDX-License-Identifier: MIT */
#include "read_text.h"

#include <errno.h>
#include <lzma.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

#define CHUNK 65536
#define MEMORY_LIMIT (UINT64_C(256) << 20) /* what xz -9 needs, four times */

struct buffer {
	char *text;
	size_t length, room;
};

/* Room for at least one chunk and a NUL. */
static char *room(struct buffer *buffer)
{
	if (buffer->room - buffer->length <= CHUNK) {
		char *larger = realloc(buffer->text, buffer->room = 2 * buffer->room + 2 * CHUNK);

		if (!larger)
			free(buffer->text);
		buffer->text = larger;
	}
	return buffer->text ? buffer->text + buffer->length : NULL;
}

static bool read_all(FILE *file, struct buffer *buffer)
{
	size_t got = 1;

	while (got && room(buffer)) {
		got = fread(buffer->text + buffer->length, 1, CHUNK, file);
		buffer->length += got;
	}
	if (!buffer->text || ferror(file))
		return false;
	buffer->text[buffer->length] = '\0';
	return true;
}

static bool is_xz(const struct buffer *buffer)
{
	static const unsigned char magic[] = { 0xfd, '7', 'z', 'X', 'Z', 0 };

	return buffer->length >= sizeof(magic) && !memcmp(buffer->text, magic, sizeof(magic));
}

static bool decompress(const struct buffer *from, struct buffer *to)
{
	lzma_stream stream = LZMA_STREAM_INIT;
	lzma_ret result = lzma_stream_decoder(&stream, MEMORY_LIMIT, LZMA_CONCATENATED);

	stream.next_in = (const uint8_t *)from->text;
	stream.avail_in = from->length;
	while (result == LZMA_OK && room(to)) {
		stream.next_out = (uint8_t *)to->text + to->length;
		stream.avail_out = CHUNK;
		result = lzma_code(&stream, LZMA_FINISH);
		to->length += CHUNK - stream.avail_out;
	}
	lzma_end(&stream);
	if (!to->text || result != LZMA_STREAM_END)
		return false;
	to->text[to->length] = '\0';
	return true;
}

char *read_text(const char *path, size_t *length)
{
	bool standard = !strcmp(path, "-");
	FILE *file = standard ? stdin : fopen(path, "r");
	struct buffer raw = { NULL, 0, 0 }, plain = { NULL, 0, 0 };
	bool good = file && read_all(file, &raw);

	if (!good)
		complain("%s: %s", path, strerror(errno));
	if (file && !standard)
		fclose(file);
	if (good && is_xz(&raw)) {
		good = decompress(&raw, &plain);
		if (!good)
			complain("%s: damaged .xz file", path);
		free(raw.text);
		raw = plain;
	}
	if (!good) {
		free(raw.text);
		return NULL;
	}
	*length = raw.length;
	return raw.text;
}

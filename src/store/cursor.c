/* A cursor is the hex of phase, id and key. It is no secret and no right: a forged one only names
 * another place to start in the same tenant's list. Checked all the same, since it comes from
 * outside. */
#include "store/cursor.h"

#include "base/text.h"

#include <string.h>

#define KEY_AT (1 + UUID_LEN)
#define RAW_MAX (KEY_AT + STORE_NAME_SIZE - 1)

_Static_assert(2 * RAW_MAX < STORE_CURSOR_SIZE, "every cursor fits");

void
cursor_write(const struct cursor *cursor, char out[STORE_CURSOR_SIZE])
{
	uint8_t raw[RAW_MAX];
	size_t len = strlen(cursor->key);

	raw[0] = (uint8_t)cursor->phase;
	memcpy(raw + 1, cursor->id, UUID_LEN);
	memcpy(raw + KEY_AT, cursor->key, len);
	hex_encode(out, raw, KEY_AT + len);
}

int
cursor_read(const char *text, const char *phases, struct cursor *cursor_out, struct err *err)
{
	struct cursor cursor = {0};
	uint8_t raw[RAW_MAX];
	size_t len = strlen(text) / 2;

	if (len < KEY_AT || len > RAW_MAX || !hex_decode(raw, len, text))
		goto bad;
	cursor.phase = (char)raw[0];
	memcpy(cursor.id, raw + 1, UUID_LEN);
	memcpy(cursor.key, raw + KEY_AT, len - KEY_AT);
	if (raw[0] == '\0' || strchr(phases, cursor.phase) == NULL || !uuid_is_valid(cursor.id) ||
	    !text_is_printable(cursor.key, len - KEY_AT))
		goto bad;
	*cursor_out = cursor;
	return 0;
bad:
	return err_field(err, E_INPUT, "after", "is not the `next` of an earlier page");
}

int
cursor_begin(const char *after, char phase, size_t limit, struct cursor *cursor_out, struct err *err)
{
	const char phases[] = {phase, '\0'};

	if (limit < 1 || limit > CURSOR_PAGE_MAX)
		return err_field(err, E_INPUT, "limit", "must be from 1 to %d", CURSOR_PAGE_MAX);
	*cursor_out = (struct cursor){.phase = phase};
	return after != NULL ? cursor_read(after, phases, cursor_out, err) : 0;
}

void
cursor_end(const struct cursor *cursor, bool more, const char *name, const char *id, char next_out[STORE_CURSOR_SIZE])
{
	struct cursor at = {.phase = cursor->phase};

	next_out[0] = '\0';
	if (!more)
		return;
	(void)text_copy(at.key, sizeof at.key, name);
	(void)text_copy(at.id, sizeof at.id, id);
	cursor_write(&at, next_out);
}

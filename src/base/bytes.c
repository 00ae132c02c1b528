/* The counterpart of buf_u16 and its like. */
#include "base/bytes.h"

#include <string.h>

const uint8_t *
bytes_take(struct bytes *b, size_t len)
{
	const uint8_t *at = b->at;

	if (b->failed || len > b->len) {
		b->failed = true;
		return NULL;
	}
	if (len > 0) /* AT may be an empty buf's NULL */
		b->at += len;
	b->len -= len;
	return at;
}

static uint64_t
number(struct bytes *b, size_t len)
{
	const uint8_t *at = bytes_take(b, len);
	uint64_t v = 0;
	size_t i;

	for (i = 0; at != NULL && i < len; i++)
		v = v << 8 | at[i];
	return v;
}

uint8_t
bytes_u8(struct bytes *b)
{
	return (uint8_t)number(b, 1);
}

uint16_t
bytes_u16(struct bytes *b)
{
	return (uint16_t)number(b, 2);
}

uint32_t
bytes_u32(struct bytes *b)
{
	return (uint32_t)number(b, 4);
}

uint64_t
bytes_u64(struct bytes *b)
{
	return number(b, 8);
}

void
bytes_text(struct bytes *b, char *out, size_t size)
{
	size_t len = bytes_u16(b);
	const uint8_t *at = bytes_take(b, len);

	out[0] = '\0';
	if (at == NULL)
		return;
	if (len >= size || memchr(at, '\0', len) != NULL) {
		b->failed = true;
		return;
	}
	memcpy(out, at, len);
	out[len] = '\0';
}

bool
bytes_end(const struct bytes *b)
{
	return !b->failed && b->len == 0;
}

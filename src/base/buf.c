/* Growable bytes. Owns its memory; knows nothing of what is in it. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 256

static void
release(struct buf *b)
{
	if (b->wipe && b->data != NULL)
		explicit_bzero(b->data, b->cap);
	free(b->data);
}

void
buf_init_secret(struct buf *b)
{
	*b = (struct buf){.wipe = true};
}

void
buf_clear(struct buf *b)
{
	bool wipe = b->wipe;

	release(b);
	*b = (struct buf){.wipe = wipe};
}

void
buf_reset(struct buf *b)
{
	if (b->wipe && b->data != NULL)
		explicit_bzero(b->data, b->cap);
	b->len = 0;
	b->failed = false;
	if (b->data != NULL)
		b->data[0] = '\0';
}

/* Memory for CAP bytes, the NUL's among them. Never realloc: it would leave a copy of a secret behind. */
static bool
move(struct buf *b, size_t cap)
{
	uint8_t *data = malloc(cap);

	if (data == NULL) {
		b->failed = true;
		return false;
	}
	if (b->len > 0)
		memcpy(data, b->data, b->len);
	release(b);
	b->data = data;
	b->cap = cap;
	return true;
}

/* Can B hold LEN more bytes and the NUL; what does it NEED for that? */
static bool
fits(struct buf *b, size_t len, size_t *need)
{
	if (b->failed || len >= SIZE_MAX / 2 - b->len) {
		b->failed = true;
		return false;
	}
	*need = b->len + len + 1;
	return *need <= b->cap;
}

static bool
reserve(struct buf *b, size_t len)
{
	size_t need, cap;

	if (fits(b, len, &need))
		return true;
	if (b->failed)
		return false;
	cap = b->cap == 0 ? FIRST_CAP : b->cap;
	while (cap < need)
		cap *= 2;
	return move(b, cap);
}

void
buf_reserve(struct buf *b, size_t len)
{
	size_t need;

	if (!fits(b, len, &need) && !b->failed)
		(void)move(b, need);
}

uint8_t *
buf_extend(struct buf *b, size_t len)
{
	uint8_t *at;

	if (!reserve(b, len))
		return NULL;
	at = b->data + b->len;
	b->len += len;
	b->data[b->len] = '\0';
	return at;
}

void
buf_append(struct buf *b, const void *data, size_t len)
{
	uint8_t *at = buf_extend(b, len);

	if (at != NULL && len > 0)
		memcpy(at, data, len);
}

void
buf_byte(struct buf *b, uint8_t byte)
{
	buf_append(b, &byte, 1);
}

void
buf_text(struct buf *b, const char *text)
{
	buf_append(b, text, strlen(text));
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || !reserve(b, (size_t)n)) {
		b->failed = true;
		return;
	}
	va_start(ap, fmt);
	(void)vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

void
buf_u16(struct buf *b, uint16_t v)
{
	uint8_t raw[2] = {(uint8_t)(v >> 8), (uint8_t)v};

	buf_append(b, raw, sizeof raw);
}

void
buf_u32(struct buf *b, uint32_t v)
{
	buf_u16(b, (uint16_t)(v >> 16));
	buf_u16(b, (uint16_t)v);
}

void
buf_u64(struct buf *b, uint64_t v)
{
	buf_u32(b, (uint32_t)(v >> 32));
	buf_u32(b, (uint32_t)v);
}

void
buf_consume(struct buf *b, size_t len)
{
	if (len == 0)
		return;
	if (len > b->len)
		len = b->len;
	memmove(b->data, b->data + len, b->len - len + 1);
	b->len -= len;
}

void
buf_cut(struct buf *b, size_t len)
{
	if (len >= b->len)
		return;
	if (b->wipe)
		explicit_bzero(b->data + len, b->len - len);
	b->data[len] = '\0';
	b->len = len;
}

bool
buf_failed(const struct buf *b)
{
	return b->failed;
}

const char *
buf_str(const struct buf *b)
{
	return b->data == NULL ? "" : (const char *)b->data;
}

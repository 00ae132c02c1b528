/* A growable byte buffer with a sticky failure: append freely, then ask once with buf_failed().
 * Zero-initialise before use: struct buf b = {0}. */
#ifndef MUSTER_BASE_BUF_H
#define MUSTER_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *data; /* len bytes, and a NUL behind them that len does not count */
	size_t len;
	size_t cap;
	bool failed; /* an append ran out of memory; later appends do nothing */
	bool wipe;   /* set by buf_init_secret: old and freed memory is overwritten */
};

/* An empty buffer whose memory is overwritten whenever it moves or is freed. */
void buf_init_secret(struct buf *b);

/* Free the memory and make B empty and usable again. */
void buf_clear(struct buf *b);

/* Keep the memory, forget the content and the failure. */
void buf_reset(struct buf *b);

void buf_append(struct buf *b, const void *data, size_t len);
void buf_byte(struct buf *b, uint8_t byte);
void buf_text(struct buf *b, const char *text);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Big-endian integers, for frames and the signer's log. */
void buf_u16(struct buf *b, uint16_t v);
void buf_u32(struct buf *b, uint32_t v);
void buf_u64(struct buf *b, uint64_t v);

/* Have room for LEN more bytes, so that appending these moves nothing. */
void buf_reserve(struct buf *b, size_t len);

/* Room for LEN more bytes at the end, counted as content; NULL when out of memory. */
uint8_t *buf_extend(struct buf *b, size_t len);

/* Drop the first LEN bytes (at most all). */
void buf_consume(struct buf *b, size_t len);

/* Keep the first LEN bytes (at most all). */
void buf_cut(struct buf *b, size_t len);

bool buf_failed(const struct buf *b);

/* The content as a NUL-terminated string; "" for an empty buffer. Borrowed. */
const char *buf_str(const struct buf *b);

#endif

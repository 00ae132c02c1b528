/* Reading what buf.h's integers wrote: a cursor over borrowed bytes with a sticky failure. Read a whole
 * message, then ask once with bytes_end(). After a failure every value is 0 or NULL. */
#ifndef MUSTER_BASE_BYTES_H
#define MUSTER_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
	const uint8_t *at;
	size_t len; /* bytes left */
	bool failed;
};

uint8_t bytes_u8(struct bytes *b);
uint16_t bytes_u16(struct bytes *b);
uint32_t bytes_u32(struct bytes *b);
uint64_t bytes_u64(struct bytes *b);

/* LEN bytes, borrowed; NULL if there are fewer. */
const uint8_t *bytes_take(struct bytes *b, size_t len);

/* A text behind its u16 length into OUT of SIZE bytes, terminated. Fails if it does not fit or has a NUL in it. */
void bytes_text(struct bytes *b, char *out, size_t size);

/* True if all was there and nothing is left over. */
bool bytes_end(const struct bytes *b);

#endif

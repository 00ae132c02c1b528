/* Text from outside: checking, copying, hex, base64, UUIDs. No locale is ever consulted. */
#ifndef MUSTER_BASE_TEXT_H
#define MUSTER_BASE_TEXT_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UUID_LEN 36   /* 8-4-4-4-12 in lower case; char id[UUID_LEN + 1] */
#define UUID_BYTES 16 /* the same as it is kept where there are many */

/* Copy SRC into DST of SIZE bytes, always terminated. False if it did not fit (DST is then cut). */
bool text_copy(char *dst, size_t size, const char *src);

/* True if S is well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates). */
bool text_is_utf8(const char *s, size_t len);

/* True if S can be shown and stored as one line: UTF-8 without control characters (C0, C1, DEL),
 * line and paragraph separators, or bidirectional overrides and isolates. */
bool text_is_printable(const char *s, size_t len);

/* Append S to OUT so that it is safe in a log line or on a terminal: what text_is_printable would
 * refuse becomes \xNN. */
void text_escape(struct buf *out, const char *s, size_t len);

/* ASCII lower case copy of SRC, cut to SIZE - 1. Bytes above 127 stay as they are. */
void text_lower(char *dst, size_t size, const char *src);

/* Lower-case hex of LEN bytes into OUT, which holds 2 * LEN + 1. */
void hex_encode(char *out, const uint8_t *data, size_t len);

/* Decode exactly LEN bytes of hex (either case). False if TEXT is anything else. */
bool hex_decode(uint8_t *out, size_t len, const char *text);

/* Base64 with padding, unwrapped (RFC 4648, section 4), and base64url without padding (section 5). */
void base64_encode(struct buf *out, const uint8_t *data, size_t len);
void base64url_encode(struct buf *out, const uint8_t *data, size_t len);

/* Decode base64 with or without line breaks; padding required. E_INPUT, E_NOMEM. OUT is appended to. */
MUST_CHECK int base64_decode(struct buf *out, const char *text, size_t len, struct err *err);

/* Write a random UUIDv4 (RFC 9562) into OUT[UUID_LEN + 1]. */
MUST_CHECK int uuid_make(char *out, struct err *err);

/* True if S is a UUID in its canonical lower-case form. */
bool uuid_is_valid(const char *s);

/* Between that form and UUID_BYTES bytes. uuid_parse is false for what uuid_is_valid refuses. */
MUST_CHECK bool uuid_parse(uint8_t *out, const char *s);
void uuid_format(char *out, const uint8_t *raw);

/* Parse a duration such as 90d, 8h, 30m or 45s into seconds, > 0. False if it is not one. */
bool duration_parse(const char *text, int64_t *seconds_out);

/* Parse a decimal integer within [MIN, MAX]; the whole of TEXT. */
bool integer_parse(const char *text, int64_t min, int64_t max, int64_t *out);

#endif

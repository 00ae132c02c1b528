/* DER, as little of it as X.509 needs (X.690). Writer: append primitives, wrap what was written.
 * Reader: a cursor over borrowed bytes that accepts definite, minimal lengths only. */
#ifndef MUSTER_X509_DER_H
#define MUSTER_X509_DER_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum der_tag {
	DER_BOOLEAN = 0x01,
	DER_INTEGER = 0x02,
	DER_BIT_STRING = 0x03,
	DER_OCTET_STRING = 0x04,
	DER_NULL = 0x05,
	DER_OID = 0x06,
	DER_ENUMERATED = 0x0a,
	DER_UTF8_STRING = 0x0c,
	DER_PRINTABLE_STRING = 0x13,
	DER_IA5_STRING = 0x16,
	DER_UTC_TIME = 0x17,
	DER_GENERALIZED_TIME = 0x18,
	DER_SEQUENCE = 0x30,
	DER_SET = 0x31
};
#define DER_CONTEXT(n) (0xa0 | (n))	      /* constructed, context-specific */
#define DER_CONTEXT_PRIMITIVE(n) (0x80 | (n)) /* primitive, context-specific */
#define DER_TIME_MAX 253402300799LL	      /* 9999-12-31T23:59:59Z, the last that DER can say */

/* Append tag, length and value. */
void der_put(struct buf *out, unsigned tag, const void *value, size_t len);

/* Append the tag and length of a value of LEN bytes that is yet to come. */
void der_put_head(struct buf *out, unsigned tag, size_t len);

/* Everything appended since MARK (an earlier out->len) becomes the value of TAG. */
void der_wrap(struct buf *out, size_t mark, unsigned tag);

/* An unsigned big-endian number as INTEGER: leading zeros dropped, a zero put before a high bit. */
void der_put_unsigned(struct buf *out, const uint8_t *value, size_t len);
void der_put_int(struct buf *out, uint64_t value);

/* A BIT STRING of whole bytes. */
void der_put_bits(struct buf *out, const uint8_t *value, size_t len);

/* 1950 to 9999, else OUT fails: UTCTime until 2049, GeneralizedTime from 2050 (RFC 5280, section 4.1.2.5). */
void der_put_time(struct buf *out, int64_t when);

/* The same into OUT; returns how many bytes, 0 for a time that DER cannot say. */
#define DER_TIME_SIZE 17
size_t der_time_make(uint8_t out[DER_TIME_SIZE], int64_t when);
size_t der_time_len(int64_t when); /* that alone */

/* The same as GeneralizedTime, whatever the year: OCSP has no other (RFC 6960, section 4.2.1). */
void der_put_generalized_time(struct buf *out, int64_t when);

struct der {
	const uint8_t *at;
	size_t len; /* bytes left */
};

/* Take the next element; TAG must match. VALUE_OUT is its content. False, and nothing moved, if it does
 * not match, is cut short, or its length is not DER. */
bool der_get(struct der *d, unsigned tag, struct der *value_out);

/* The same, giving the whole element with tag and length. */
bool der_get_whole(struct der *d, unsigned tag, struct der *whole_out);

/* A non-negative INTEGER; VALUE_OUT is its big-endian magnitude without a leading zero (empty for 0). */
bool der_get_unsigned(struct der *d, struct der *value_out);

/* A BIT STRING of whole bytes. */
bool der_get_bits(struct der *d, struct der *value_out);

/* The tag of the next element, or -1 at the end. */
int der_peek(const struct der *d);

/* UTCTime or GeneralizedTime in the only forms RFC 5280 allows. */
bool der_get_time(struct der *d, int64_t *when_out);

/* True if D holds whole elements only, and so does every constructed one in it, at most DER_DEPTH_MAX deep, and object
 * identifiers are such: what nobody reads is then DER too. */
#define DER_DEPTH_MAX 16
bool der_is_sound(const struct der *d);

bool der_equal(const struct der *d, const void *value, size_t len);

#endif

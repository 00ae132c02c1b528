/* PEM (RFC 7468): one labelled base64 block. */
#ifndef MUSTER_X509_PEM_H
#define MUSTER_X509_PEM_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Append a block of 64-column lines. */
void pem_encode(struct buf *out, const char *label, const uint8_t *der, size_t len);

/* The same piece by piece; all but the last are of whole lines. */
#define PEM_LINE_BYTES 48
void pem_put_begin(struct buf *out, const char *label);
void pem_put_part(struct buf *out, const uint8_t *der, size_t len);
void pem_put_end(struct buf *out, const char *label);

/* The same into the caller's memory, for secrets: exactly pem_size bytes, no NUL. */
size_t pem_size(const char *label, size_t len);
void pem_write(char *out, const char *label, const uint8_t *der, size_t len);

/* Decode the one block labelled LABEL in TEXT and append its DER to OUT. Text before the block (as
 * `openssl req -text` writes) is skipped; a second block or anything but blanks behind it is E_INPUT. */
MUST_CHECK int pem_decode(
    const char *text, size_t len, const char *label, struct buf *out, struct err *err);

/* The next block labelled LABEL in *AT as DER in OUT, instead of what is there, and *AT behind it. Blocks of other kinds are
 * passed over. False at the end, and at a block that is none. */
bool pem_next_block(const char **at, const char *label, struct buf *out);

#endif

/* Secrets: locked memory that is never swapped or dumped and is wiped when freed, comparison in
 * constant time, and the digest under which a secret is stored. */
#ifndef MUSTER_BASE_SECRET_H
#define MUSTER_BASE_SECRET_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHA256_LEN 32

struct secret {
	uint8_t *data;
	size_t len;
};

/* Set up HEAP_BYTES (a power of two) of locked memory for secrets and for OpenSSL's private keys,
 * and make freed memory be overwritten. Once, before threads. E_SYS if it cannot be locked. */
MUST_CHECK int secret_heap_open(size_t heap_bytes, struct err *err);

/* LEN zeroed bytes of locked memory. Free with secret_clear. E_NOMEM. */
MUST_CHECK int secret_alloc(struct secret *s, size_t len, struct err *err);
void secret_clear(struct secret *s);

/* Equal? Time depends on LEN only. */
bool secret_equal(const void *a, const void *b, size_t len);

/* SHA-256 of LEN bytes into OUT[SHA256_LEN]. */
void sha256(uint8_t *out, const void *data, size_t len);

/* HMAC-SHA256 under KEY (RFC 2104) into OUT[SHA256_LEN]. E_SYS. */
MUST_CHECK int hmac_sha256(
    uint8_t *out, const void *key, size_t key_len, const void *data, size_t len, struct err *err);

/* The same of one digest under a key, both of SHA256_LEN bytes; it cannot fail. */
void hmac_sha256_digest(uint8_t *out, const uint8_t *key, const uint8_t *digest);

/* No core file, no ptrace by others: for every process that may hold a secret. E_SYS. */
MUST_CHECK int secret_process_protect(struct err *err);

#endif

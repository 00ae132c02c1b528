/* The roots that a home trusts: today's, and while devices may know no other, the one before it (`muster ca root rollover`). */
#ifndef MUSTER_CORE_ROOTS_H
#define MUSTER_CORE_ROOTS_H

#include "base/buf.h"
#include "base/err.h"
#include "base/secret.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ROOTS_MAX 2

/* Their certificates (PEM, today's first), and today's key as the one before has signed it, for who trusts that alone. */
#define ROOTS_FILE "ca/root.crt"
#define ROOTS_CROSS "ca/cross.crt"

struct roots {
	struct buf pem;		    /* ROOTS_FILE as it is */
	struct buf ders[ROOTS_MAX]; /* today's first */
	uint8_t key_hashes[ROOTS_MAX][SHA256_LEN];
	size_t n;
	struct buf cross; /* DER; empty if there is one root */
};

/* Read them from the home DIR. Clear OUT in any case. E_NOTFOUND, E_INPUT, E_SYS, E_NOMEM. */
MUST_CHECK int roots_read(const char *dir, struct roots *out, struct err *err);
void roots_clear(struct roots *roots);

/* Append the certificate of an issuing CA (DER) as PEM, and what leads from it to the root before today's, if it is below
 * today's. */
void roots_put_chain(const struct roots *roots, const struct buf *issuing, struct buf *pem_out);

/* Is a key with this digest (SHA-256 of its SubjectPublicKeyInfo) one of theirs? */
bool roots_have_key(const struct roots *roots, const uint8_t *hash);

#endif

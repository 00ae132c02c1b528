/* Making an issuing CA under the root: at init, and at each rollover. */
#ifndef MUSTER_CMD_ISSUINGCA_H
#define MUSTER_CMD_ISSUINGCA_H

#include "base/buf.h"
#include "base/err.h"
#include "x509/key.h"

#include <stdbool.h>
#include <stdint.h>

/* The kinds of key that a CA of ours may have: "ec-p256", "ec-p384" or "rsa-3072". */
#define ISSUINGCA_KINDS "ec-p256, ec-p384 or rsa-3072"
bool issuingca_kind_parse(const char *name, enum key_kind *kind_out);

/* A name that no other CA has: WHAT, and the first digits of the key's digest. */
#define ISSUINGCA_NAME_SIZE 64
void issuingca_name(char out[ISSUINGCA_NAME_SIZE], const char *what, const uint8_t *spki, size_t len);

struct issuingca {
	enum key_kind kind;
	const char *org, *country; /* NULL or "": none */
	int64_t now;
	const struct buf *root_der;
	struct key *root_key;
};

/* Make a key and have the root sign its certificate: for ten years, and no longer than the root's. Its name has the key's,
 * so that no two of a root have the same. Free the key with key_free. E_INPUT, E_SYS. */
MUST_CHECK int issuingca_make(
    const struct issuingca *wanted, struct key **key_out, struct buf *der_out, struct err *err);

#endif

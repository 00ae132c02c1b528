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

/* Checkpoints of the audit trail: what the signer says was its last row at a moment, as a CMS message (RFC 5652) that carries
 * its text and the certificates to verify it with, so that `openssl cms -verify` and the root are enough. */
#ifndef MUSTER_X509_CHECKPOINT_H
#define MUSTER_X509_CHECKPOINT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/secret.h"
#include "x509/key.h"

#include <stddef.h>
#include <stdint.h>

#define CHECKPOINT_TEXT_MAX 512
#define CHECKPOINT_CMS_MAX 32768
#define CHECKPOINT_PEM_LABEL "CMS"

struct checkpoint {
	uint64_t number; /* from 1, gapless; 0: there is none */
	int64_t seq;	 /* of the trail's last row, */
	uint8_t head[SHA256_LEN]; /* and its hash, which covers all rows before */
	int64_t at;
	uint8_t previous[SHA256_LEN]; /* digest of the checkpoint before; zero before the first */
};

/* Its text, a JSON object, into OUT[CHECKPOINT_TEXT_MAX]; returns its length. */
size_t checkpoint_text(char *out, const struct checkpoint *checkpoint);

/* SHA-256 of the text; zero of one that is none. */
void checkpoint_digest(uint8_t *out, const struct checkpoint *checkpoint);

/* Read exactly what checkpoint_text writes. E_INPUT. */
MUST_CHECK int checkpoint_parse(const void *text, size_t len, struct checkpoint *out, struct err *err);

/* Who signs: KEY is of the certificate DER, which ISSUER_DER has issued. */
struct checkpoint_signer {
	struct key *key;
	const struct buf *der, *issuer_der;
};

/* Append the CMS message (DER) that says CHECKPOINT. E_INPUT, E_SYS, E_NOMEM. */
MUST_CHECK int checkpoint_sign(const struct checkpoint *checkpoint, const struct checkpoint_signer *signer,
    struct buf *cms_out, struct err *err);

/* Verify a message (DER) under the certificates in ROOT_PEM, NUL-terminated, whatever the time is: what was signed in time
 * is evidence for good. E_INPUT: it is no such message, or not by the signer of an issuing CA. */
MUST_CHECK int checkpoint_verify(
    const void *cms, size_t len, const char *root_pem, struct checkpoint *out, struct err *err);

#endif

/* The OCSP responder of one issuing CA: a key that is made in this process and never leaves it, and a certificate for it
 * that the CA has signed for a few days, both made anew long before that is over. */
#ifndef MUSTER_SIGNER_RESPONDER_H
#define MUSTER_SIGNER_RESPONDER_H

#include "base/buf.h"
#include "base/err.h"
#include "signer/log.h"
#include "x509/cert.h"
#include "x509/key.h"
#include "x509/ocsp.h"

#include <stdint.h>

#define RESPONDER_VALIDITY_S (7 * 86400)
#define RESPONDER_RENEW_S (RESPONDER_VALIDITY_S / 2) /* left of it: then it is time for the next */

/* Zero-initialise before use. */
struct responder {
	struct ocsp_issuer ids;
	struct key *key; /* NULL: none yet */
	struct buf der;
	uint8_t key_hash[OCSP_KEY_HASH_LEN];
	int64_t not_before, not_after;
};

/* Have R ready to sign for ISSUER at NOW: make key and certificate, in LOG as every issuance, unless those it has are good
 * for a while yet. If that fails, those it has go on as long as they are valid. E_*. */
MUST_CHECK int responder_ready(struct responder *r, const struct cert_issuer *issuer, struct key *ca_key,
    struct signer_log *log, int64_t now, struct err *err);

/* Append to OUT the answer that NOW is right, until at most VALID_S later and never beyond the responder's own end. The
 * log has the last word: E_CONFLICT if one of SINGLES is to be good and the log does not know it as issued, or knows it
 * as revoked or held. *NEXT_UPDATE_OUT is when it ends. R is ready. E_INPUT, E_NOMEM, E_SYS. */
MUST_CHECK int responder_sign(struct responder *r, const struct signer_log *log, const struct ocsp_spec *wanted,
    int64_t now, int64_t valid_s, struct buf *out, int64_t *next_update_out, struct err *err);

void responder_clear(struct responder *r);

#endif

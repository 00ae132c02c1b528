/* The signer as witness of the audit trail: a key that is made in this process and never leaves it, a certificate for it that
 * the issuing CA has signed, and the memory, in the log, of what was signed last: a trail that has become shorter, or is
 * another one, is never signed. */
#ifndef MUSTER_SIGNER_WITNESS_H
#define MUSTER_SIGNER_WITNESS_H

#include "base/buf.h"
#include "base/err.h"
#include "signer/log.h"
#include "x509/cert.h"
#include "x509/checkpoint.h"
#include "x509/key.h"

#include <stdint.h>

/* Zero-initialise before use. */
struct witness {
	struct key *key; /* NULL: none yet */
	struct buf der, issuer_der;
	int64_t not_before, not_after;
};

/* The CA that certifies it. */
struct witness_issuer {
	const struct cert_issuer *issuer;
	const struct buf *der;
	struct key *key;
};

/* Append to CMS_OUT the signed checkpoint that the trail's row SEQ has the hash HEAD at NOW, in LOG before it leaves; with SEQ
 * 0, or the same as last time, what was signed last. *OUT is what it says. E_CONFLICT: it was seen longer, or with another
 * hash, before; E_NOTFOUND: nothing was signed yet; E_FULL, E_NOMEM, E_SYS. */
MUST_CHECK int witness_sign(struct witness *w, const struct witness_issuer *by, struct signer_log *log, int64_t seq,
    const uint8_t *head, int64_t now, struct checkpoint *out, struct buf *cms_out, struct err *err);

void witness_clear(struct witness *w);

#endif

/* What EST (RFC 7030) carries besides requests: certificates in a CMS message, and what a request should contain. */
#ifndef MUSTER_X509_ESTMSG_H
#define MUSTER_X509_ESTMSG_H

#include "base/buf.h"
#include "base/err.h"
#include "x509/key.h"

#include <stdbool.h>
#include <stddef.h>

/* Append the DER "certs-only" message (RFC 5652, SignedData without content and signers) of the N certificates CERTS, DER
 * each. */
void estmsg_put_certs(struct buf *out, const struct buf *const *certs, size_t n);

/* Append, as PEM blocks in their order, the certificates of such a message, DER or BER. E_INPUT: it is no such message, or
 * has no certificate or more than CHAIN_CERTS_MAX. */
MUST_CHECK int estmsg_get_certs(const void *data, size_t len, struct buf *pem_out, struct err *err);

/* Append the DER CsrAttrs (RFC 7030, section 4.5.2; RFC 9908) that ask for a key of KIND, signed as such keys are here, and
 * for a challengePassword. */
void estmsg_put_attrs(struct buf *out, enum key_kind kind, bool wants_challenge);

#endif

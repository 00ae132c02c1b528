/* The certificate authority as the api sees it: it asks the signer and believes nothing it has not
 * compared. */
#ifndef MUSTER_CORE_CA_H
#define MUSTER_CORE_CA_H

#include "base/buf.h"
#include "base/err.h"
#include "core/caller.h"
#include "core/core.h"
#include "core/shelf.h"
#include "store/certificate.h"

/* Have a certificate signed for SPKI, a key that was checked (csr_parse) or made here, and compare it byte for byte with
 * what was asked. Fills every field of
 * ROW_OUT but tenant and owner kind; clear it. E_INPUT, E_BUSY, E_SYS. */
MUST_CHECK int ca_issue(struct core *core, const struct profile *profile, const char *id,
    const uint8_t *spki, size_t spki_len, int64_t valid_s, const char *const *sans, size_t n_sans,
    struct store_certificate *row_out, struct err *err);

/* A certificate by its fingerprint (64 hex digits). E_NOTFOUND; E_INPUT for no fingerprint. */
MUST_CHECK int ca_certificate(struct core *core, const struct caller *caller,
    const char *fingerprint_hex, struct store_certificate *row_out, struct err *err);

/* The issuing CA of CERTIFICATE as PEM, borrowed; today's if it is nobody's. Behind it what leads to the root before, if that
 * is trusted still. */
const char *ca_chain_pem(const struct core *core, const struct store_certificate *certificate);

/* The certificates (DER, borrowed) of all CAs whose certificates may be in use: the issuing ones, today's first, then
 * the roots, before which stands today's as the one before has signed it. Returns how many. */
#define CA_ALL_MAX (ISSUERS_MAX + 1 + ROOTS_MAX)
size_t ca_all(const struct core *core, const struct buf *ders_out[CA_ALL_MAX]);

/* Is a key with this digest (SHA-256 of its SubjectPublicKeyInfo) that of a CA of ours, retired ones and roots too? */
bool ca_is_own_key(const struct core *core, const uint8_t *hash);

/* Which of core->issuers the CA of a certificate is, by what is written in it; -1: none. */
int ca_issuer_index(const struct core *core, const struct cert_info *info);

/* The number by which the store calls that CA; STORE_ISSUER_NONE. */
int64_t ca_issuer_number(const struct core *core, const struct cert_info *info);

/* Append the certificate (DER) of the issuing CA: ISSUER is "issuing" or the SKI in hex. E_NOTFOUND, E_NOMEM. */
MUST_CHECK int ca_issuer(struct core *core, const char *issuer, struct buf *der_out, struct err *err);

/* The latest list as shelf_get gives it. ISSUER is "issuing" or the SKI in hex, else E_NOTFOUND. */
MUST_CHECK int ca_crl(struct core *core, const char *issuer, enum shelf_kind kind, bool gzip, struct shelf_item *out,
    struct err *err);

/* What that list of the I-th of core->issuers says of itself. */
void ca_crl_info(struct core *core, size_t i, enum shelf_kind kind, struct crl_info *info_out);

#endif

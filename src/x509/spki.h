/* What the layer shares about keys beyond key.h. */
#ifndef MUSTER_X509_SPKI_H
#define MUSTER_X509_SPKI_H

#include "x509/alg.h"

/* spki_check, and the key itself; free with spki_close. Any thread. */
MUST_CHECK int spki_open(
    const uint8_t *spki, size_t len, enum key_kind *kind_out, EVP_PKEY **pkey_out, struct err *err);

/* Both halves of KEY. Borrowed. */
EVP_PKEY *key_pkey(const struct key *key);

/* KIND and PKEY as spki_open had them; NULL is harmless. Nobody uses it any more. */
void spki_close(enum key_kind kind, EVP_PKEY *pkey);

/* spki_verify by an open key of KIND and a hash of the caller's choice. */
MUST_CHECK int spki_verify_by(EVP_PKEY *pkey, enum key_kind kind, enum alg_hash hash,
    const void *data, size_t len, const uint8_t *sig, size_t sig_len, struct err *err);

#endif

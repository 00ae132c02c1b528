/* A short secret for whoever has one private key: RSAES-OAEP with SHA-256 (RFC 8017, section 7.1), as every toolkit reads it
 * (`openssl pkeyutl -decrypt -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256`). It does not say who sealed it. */
#ifndef MUSTER_X509_SEAL_H
#define MUSTER_X509_SEAL_H

#include "base/buf.h"
#include "base/err.h"
#include "x509/key.h"

#include <stddef.h>
#include <stdint.h>

#define SEAL_MAX 190 /* bytes that any such key can take: RSA-2048's */

/* Can one seal to this SubjectPublicKeyInfo? E_INPUT: it is no good key, or none of RSA. */
MUST_CHECK int seal_key_check(const uint8_t *spki, size_t len, struct err *err);

/* Append DATA, at most SEAL_MAX bytes, sealed to SPKI. E_INPUT, E_NOMEM, E_SYS. */
MUST_CHECK int seal_make(
    const uint8_t *spki, size_t spki_len, const void *data, size_t len, struct buf *sealed_out, struct err *err);

/* Append what is in SEALED to OUT, which is for secrets. E_INPUT: it was not sealed to KEY. */
MUST_CHECK int seal_open(const struct key *key, const void *sealed, size_t len, struct buf *out, struct err *err);

#endif

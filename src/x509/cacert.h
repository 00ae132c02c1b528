/* CA certificates: the root and the issuing CA. Used by local commands (init, rollover) only; the
 * running service has no way to make one. */
#ifndef MUSTER_X509_CACERT_H
#define MUSTER_X509_CACERT_H

#include "base/buf.h"
#include "base/err.h"
#include "x509/cert.h"
#include "x509/key.h"

struct cacert_spec {
	uint8_t serial[SERIAL_LEN];
	int64_t not_before, not_after;
	const char *country, *org; /* NULL or "" leaves the attribute out */
	const char *common_name;
};

/* Append a self-signed root: CA:TRUE critical, keyCertSign | cRLSign critical, SKI. E_INPUT, E_SYS. */
MUST_CHECK int cacert_make_root(
    const struct cacert_spec *spec, struct key *key, struct buf *der_out, struct err *err);

/* Append an issuing CA for the public key SPKI: CA:TRUE with pathlen 0, signed by the root. Its validity
 * must lie within the root's. E_INPUT, E_SYS. */
MUST_CHECK int cacert_make_issuing(const struct cacert_spec *spec, const uint8_t *spki, size_t spki_len,
    const uint8_t *root_der, size_t root_len, struct key *root_key, struct buf *der_out,
    struct err *err);

/* The same for another root's key and name, without a limit to the CAs below: whoever trusts this root alone trusts what is
 * below that one, too (RFC 4210, section 4.4: "new with old"). */
MUST_CHECK int cacert_make_cross(const struct cacert_spec *spec, const uint8_t *spki, size_t spki_len,
    const uint8_t *root_der, size_t root_len, struct key *root_key, struct buf *der_out,
    struct err *err);

#endif

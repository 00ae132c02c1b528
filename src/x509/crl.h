/* Certificate revocation lists (RFC 5280, section 5), built entry by entry so that a million entries need
 * no second copy. */
#ifndef MUSTER_X509_CRL_H
#define MUSTER_X509_CRL_H

#include "base/buf.h"
#include "base/err.h"
#include "x509/cert.h"
#include "x509/key.h"

#include <stdbool.h>
#include <stdint.h>

/* CRLReason (RFC 5280, section 5.3.1). 7 is unused there. */
enum crl_reason {
	REASON_UNSPECIFIED = 0,
	REASON_KEY_COMPROMISE = 1,
	REASON_CA_COMPROMISE = 2,
	REASON_AFFILIATION_CHANGED = 3,
	REASON_SUPERSEDED = 4,
	REASON_CESSATION_OF_OPERATION = 5,
	REASON_CERTIFICATE_HOLD = 6,
	REASON_REMOVE_FROM_CRL = 8,
	REASON_PRIVILEGE_WITHDRAWN = 9,
	REASON_AA_COMPROMISE = 10
};

bool reason_is_known(unsigned reason);

/* RFC 5280's names ("keyCompromise"). reason_name never returns NULL. */
const char *reason_name(enum crl_reason reason);
bool reason_parse(const char *name, enum crl_reason *reason_out);

struct crl_entry {
	uint8_t serial[SERIAL_LEN];
	int64_t revoked_at;
	enum crl_reason reason; /* REASON_UNSPECIFIED leaves the extension out, as RFC 5280 asks */
};

/* A list in the making. Zero-initialise, or crl_clear, before use. */
struct crl {
	struct buf entries;
	uint64_t n_entries;
};

void crl_add(struct crl *crl, const struct crl_entry *entry);
void crl_clear(struct crl *crl);

/* Build and sign the full CRL: version 2, CRL number and AKI; without entries revokedCertificates is
 * absent. Appends the DER to OUT. E_INPUT, E_NOMEM, E_SYS. */
MUST_CHECK int crl_sign(const struct crl *crl, const struct cert_issuer *issuer, uint64_t number,
    int64_t this_update, int64_t next_update, struct key *ca_key, struct buf *der_out, struct err *err);

struct crl_info {
	uint64_t number;
	int64_t this_update, next_update;
	uint64_t n_entries;
};

/* Read a DER CRL's fields; with ISSUER not NULL also verify its signature and issuer. E_INPUT. */
MUST_CHECK int crl_info_read(const uint8_t *der, size_t len, const struct cert_issuer *issuer,
    struct crl_info *out, struct err *err);

/* Does the list name SERIAL (SERIAL_LEN bytes, as cert_info_read right-aligns it)? E_INPUT if it is malformed. */
MUST_CHECK int crl_find(
    const uint8_t *der, size_t len, const uint8_t *serial, bool *listed_out, struct err *err);

#endif

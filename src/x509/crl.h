/* Certificate revocation lists (RFC 5280, section 5), complete ones and deltas. Who signs and who publishes are two: each
 * makes the same bytes from the same entries, so a signature is all that goes from one to the other, and the signer,
 * who digests entry by entry, holds no list. */
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

/* 32 bytes, for there may be a million. */
struct crl_entry {
	int64_t revoked_at;
	uint8_t serial[SERIAL_LEN];
	enum crl_reason reason; /* REASON_UNSPECIFIED leaves the extension out, as RFC 5280 asks */
};

/* All of a list but its entries. */
struct crl_spec {
	const struct cert_issuer *issuer;
	uint64_t number;
	uint64_t base; /* 0: a complete list; else this is a delta to the complete one of that number */
	int64_t this_update, next_update;
};

/* Append an entry. removeFromCRL stands in deltas only (RFC 5280, section 5.3.1): elsewhere its entry is as any other. */
void crl_entry_put(struct buf *out, const struct crl_entry *entry, bool is_delta);

/* How many bytes that are. */
size_t crl_entry_len(const struct crl_entry *entry, bool is_delta);

/* Sign a list whose entries, of ENTRIES_LEN bytes in all, are handed over piece by piece: version 2, AKI, CRL number, and
 * in a complete one freshestCRL (if the issuer has a delta_url), in a delta its indicator; no
 * issuingDistributionPoint, for each covers all of its issuer's certificates. E_INPUT for numbers and times that cannot
 * be, and for more or fewer bytes than were announced; E_NOMEM, E_SYS. */
struct crl_signing;
MUST_CHECK int crl_signing_new(
    const struct crl_spec *spec, size_t entries_len, struct crl_signing **signing_out, struct err *err);
MUST_CHECK int crl_signing_add(struct crl_signing *signing, const struct buf *entries, struct err *err);
MUST_CHECK int crl_signing_end(
    struct crl_signing *signing, struct key *ca_key, struct buf *sig_out, struct err *err);
void crl_signing_free(struct crl_signing *signing);

/* Append the whole list, without entries as one that has no revokedCertificates, if SIG is its issuer's signature; else
 * E_SYS. E_INPUT, E_NOMEM. */
MUST_CHECK int crl_join(const struct crl_spec *spec, const struct crl_entry *entries, size_t n, const uint8_t *sig,
    size_t sig_len, struct buf *der_out, struct err *err);

/* Both at once: sign the list and append it. */
MUST_CHECK int crl_sign(const struct crl_spec *spec, const struct crl_entry *entries, size_t n, struct key *ca_key,
    struct buf *der_out, struct err *err);

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

/* One issuing CA as the signer has it: certificate, key, and the responder that signs OCSP answers in its name. */
#ifndef MUSTER_SIGNER_AUTHORITY_H
#define MUSTER_SIGNER_AUTHORITY_H

#include "base/buf.h"
#include "base/err.h"
#include "signer/issuers.h"
#include "signer/responder.h"
#include "x509/cert.h"
#include "x509/key.h"

#include <stdbool.h>
#include <stdint.h>

/* Zero-initialise before use. */
struct authority {
	struct buf der;
	struct cert_issuer issuer;
	struct key *key;
	struct responder responder;
	/* The number that was given last, to a list of one kind; one of the other may have it, too. */
	struct {
		uint64_t number; /* 0: to none, or to both */
		bool is_delta;
		int64_t this_update;
	} pair;
};

/* Read the key that belongs to the certificate FILE, which is taken over, from its place in the home DIR. E_NOTFOUND,
 * E_INPUT: another key is there; E_SYS. Clear OUT in any case. */
MUST_CHECK int authority_open(
    const char *dir, struct issuer_file *file, const char *pki_url, struct authority *out, struct err *err);

/* Another public URL of the PKI pages; on failure the old one stays. E_INPUT. */
MUST_CHECK int authority_set_url(struct authority *authority, const char *pki_url, struct err *err);

/* The key of that certificate in PATH and no other: what another signed nobody could verify. E_NOTFOUND, E_INPUT, E_SYS. */
MUST_CHECK int authority_key_read(
    const char *path, const struct cert_issuer *issuer, struct key **key_out, struct err *err);

void authority_clear(struct authority *authority);

#endif

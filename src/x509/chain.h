/* Certificate chains as a TLS peer presents them, judged as the other side would (RFC 5280, section 6), to say
 * beforehand or afterwards why a handshake fails. */
#ifndef MUSTER_X509_CHAIN_H
#define MUSTER_X509_CHAIN_H

#include "base/buf.h"
#include "base/err.h"
#include "base/secret.h"

#include <stddef.h>
#include <stdint.h>

#define CHAIN_PEM_MAX 65536
#define CHAIN_CERTS_MAX 8

/* CHAIN_IDEVID: a manufacturer's certificate of a device, under whatever CA is trusted, be that one a root or not: CAs must
 * say that they are some, and no key or signature may be weaker than 112 bits. */
enum chain_use { CHAIN_SERVER, CHAIN_CLIENT, CHAIN_IDEVID, CHAIN_ANY };

struct chain_question {
	const char *pem; /* the leaf, then what leads up to the root; NUL-terminated */
	const char *root_pem; /* all that is trusted */
	enum chain_use use;
	const char *host; /* the DNS name or IP address that a server was called by; NULL: not asked */
	int64_t now;
};

/* Would the peer take it? 0, or E_INPUT: not certificates at all. E_GONE: one has expired. E_BUSY: one is not
 * valid yet. E_NOTFOUND: it does not lead up to the root. E_CONFLICT: another host's. E_DENIED: anything else. The
 * text says which certificate and what. */
MUST_CHECK int chain_check(const struct chain_question *question, struct err *err);

/* Append to OUT, as PEM, the roots in CERTS (PEM) that ROOT_PEM lacks and vouches for: a CA whose certificate leads up to it has
 * that name and key, and no limit to the CAs below (RFC 4210, section 4.4). E_INPUT: ROOT_PEM is none; E_NOMEM. */
MUST_CHECK int chain_new_roots(
    const char *certs, const char *root_pem, int64_t now, struct buf *out, struct err *err);

/* Append the DER of the first certificate in PEM. E_INPUT. */
MUST_CHECK int chain_leaf(const char *pem, struct buf *der_out, struct err *err);

/* A number for each name in PEM's certificates that issued one of them, by which those who may have done so are looked for:
 * equal names have the same number (RFC 5280, section 7.1), others hardly ever. At most CHAIN_CERTS_MAX. E_INPUT. */
MUST_CHECK int chain_issuers(const char *pem, int64_t issuers_out[CHAIN_CERTS_MAX], size_t *n_out, struct err *err);

/* A CA that may be trusted. */
struct chain_anchor {
	uint8_t fingerprint[SHA256_LEN]; /* of the certificate */
	uint8_t key_hash[SHA256_LEN];	 /* of its SubjectPublicKeyInfo */
	int64_t name;			 /* its own name's number, as chain_issuers tells it */
	int64_t not_after;
	char subject[256]; /* as people read it; "" if it is longer */
};

/* Read the one certificate in PEM, whose DER is appended to DER_OUT. E_INPUT says why it cannot be trusted at NOW. */
MUST_CHECK int chain_anchor_read(
    const char *pem, int64_t now, struct chain_anchor *out, struct buf *der_out, struct err *err);

#endif

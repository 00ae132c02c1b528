/* OCSP (RFC 6960, with the profile of RFC 5019 and the nonces of RFC 9654): a request read, an answer written and signed,
 * and, for whoever asks, an answer looked at. */
#ifndef MUSTER_X509_OCSP_H
#define MUSTER_X509_OCSP_H

#include "base/buf.h"
#include "base/err.h"
#include "x509/cert.h"
#include "x509/crl.h"
#include "x509/der.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OCSP_REQUEST_MAX 16384 /* bytes of a request that are looked at */
#define OCSP_IDS_MAX 64	       /* certificates in one request, whatever the configuration allows */
#define OCSP_NONCE_MAX 128     /* octets (RFC 9654, section 2.1) */
#define OCSP_KEY_HASH_LEN 20   /* SHA-1 of a public key, which names a responder */

/* With which digest a request names the issuer. */
enum ocsp_hash { OCSP_SHA1, OCSP_SHA256, OCSP_HASHES };

/* The whole answer when there is no status to tell (RFC 6960, section 4.2.1). */
enum ocsp_error { OCSP_MALFORMED = 1, OCSP_INTERNAL = 2, OCSP_TRY_LATER = 3, OCSP_UNAUTHORIZED = 6 };
void ocsp_error_put(struct buf *out, enum ocsp_error error);

/* The digests that name an issuer. */
struct ocsp_issuer {
	uint8_t name_hash[OCSP_HASHES][SHA256_LEN], key_hash[OCSP_HASHES][SHA256_LEN];
};

/* E_SYS, E_NOMEM. */
MUST_CHECK int ocsp_issuer_init(struct ocsp_issuer *out, const struct cert_issuer *issuer, struct err *err);

/* Of which certificate the status is asked, as the request says it. */
struct ocsp_id {
	enum ocsp_hash hash; /* OCSP_HASHES: one that we do not know, and so nobody's */
	struct der name_hash, key_hash;
	uint8_t serial[SERIAL_LEN]; /* right-aligned */
};

struct ocsp_request {
	size_t n;
	struct ocsp_id ids[OCSP_IDS_MAX];
	struct der nonce; /* empty: none */
};

/* Read a request; OUT borrows from DER. E_INPUT for anything but DER of the form, for a critical extension, for a nonce of
 * no octet or more than OCSP_NONCE_MAX; E_LIMIT for more than MAX certificates. */
MUST_CHECK int ocsp_request_read(
    const uint8_t *der, size_t len, size_t max, struct ocsp_request *out, struct err *err);

bool ocsp_id_is_of(const struct ocsp_id *id, const struct ocsp_issuer *issuer);

/* Append a request for one certificate, by SHA-1, which every responder knows, without a nonce. */
void ocsp_request_put(struct buf *out, const struct ocsp_issuer *issuer, const uint8_t *serial);

enum ocsp_status { OCSP_GOOD, OCSP_REVOKED, OCSP_UNKNOWN };

/* What an answer says of one certificate. */
struct ocsp_single {
	enum ocsp_hash hash;	    /* of the request */
	uint8_t serial[SERIAL_LEN]; /* right-aligned */
	enum ocsp_status status;
	int64_t revoked_at; /* of OCSP_REVOKED */
	enum crl_reason reason;
};

/* An answer about to be written; all borrowed. */
struct ocsp_spec {
	const struct ocsp_issuer *issuer;
	const uint8_t *responder_key_hash; /* OCSP_KEY_HASH_LEN bytes, of ocsp_key_hash */
	int64_t this_update, next_update;
	const struct ocsp_single *singles;
	size_t n;
	const uint8_t *nonce; /* to be echoed */
	size_t nonce_len;     /* 0: none */
};

/* The SHA-1 of a public key's bits into OUT[OCSP_KEY_HASH_LEN]. E_SYS. */
MUST_CHECK int ocsp_key_hash(uint8_t *out, const uint8_t *spki, size_t len, struct err *err);

/* Build and sign by the responder's KEY, and append the whole OCSPResponse with the responder's certificate in it.
 * E_INPUT, E_NOMEM, E_SYS. */
MUST_CHECK int ocsp_sign(const struct ocsp_spec *spec, struct key *key, const struct buf *responder_der,
    struct buf *out, struct err *err);

/* What an answer says. */
struct ocsp_info {
	enum ocsp_status status;
	int64_t this_update, next_update;
	int64_t responder_not_after;
};

/* Look at an answer as a client does, by OpenSSL's means and none of the above: signed by a responder of ISSUER_DER's
 * that is valid now, current, and about SERIAL. E_INPUT says what is wrong with it. */
MUST_CHECK int ocsp_verify(const uint8_t *der, size_t len, const struct buf *issuer_der, const uint8_t *serial,
    struct ocsp_info *out, struct err *err);

#endif

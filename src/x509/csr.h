/* Certification requests from devices (PKCS#10, RFC 2986). */
#ifndef MUSTER_X509_CSR_H
#define MUSTER_X509_CSR_H

#include "base/buf.h"
#include "base/err.h"
#include "x509/key.h"

#include <stddef.h>
#include <stdint.h>

#define CSR_CHALLENGE_SIZE 128 /* with NUL */
#define CSR_MAX 16384 /* bytes of DER or PEM */

/* What a request asks for. Only the key is ever taken from it: names and usages follow the profile and
 * what the operator asked for, so the subject is kept to be checked against the device's id alone. */
struct csr {
	enum key_kind kind;
	uint8_t spki[KEY_SPKI_MAX];
	size_t spki_len;
	char common_name[65];	      /* empty if it has none or an unprintable one */
	uint8_t subject[512];	      /* DER Name, for re-enrolment's comparison (RFC 7030, section 4.2.2) */
	size_t subject_len;
	char challenge[CSR_CHALLENGE_SIZE]; /* challengePassword (RFC 2985); empty if it has none, or one that is no such text */
	uint8_t sans[2048]; /* DER GeneralNames of a requested subjectAltName, or none */
	size_t sans_len;
};

/* Parse a request in PEM or DER and verify its self-signature (proof of possession). Strict: exactly one
 * request, DER, nothing behind it, at most CSR_MAX bytes, a key that spki_check takes, a signature by
 * SHA-256, SHA-384 or SHA-512. E_INPUT says what is wrong; E_LIMIT if too large. */
MUST_CHECK int csr_parse(const void *data, size_t len, struct csr *csr_out, struct err *err);

/* Append the DER request for KEY's public half under SUBJECT (DER Name), with CHALLENGE, if it is not "", as challengePassword
 * and no other attribute, signed by KEY. E_SYS. */
MUST_CHECK int csr_build(struct key *key, const uint8_t *subject, size_t subject_len, const char *challenge,
    struct buf *der_out, struct err *err);

#endif

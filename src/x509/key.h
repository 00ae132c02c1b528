/* Key pairs and public keys: which kinds Muster knows, making them, checking those that come from
 * outside, signing and verifying. Private numbers live in the locked heap of base/secret. */
#ifndef MUSTER_X509_KEY_H
#define MUSTER_X509_KEY_H

#include "base/buf.h"
#include "base/err.h"
#include "base/secret.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEY_SPKI_MAX 1024  /* bytes of DER SubjectPublicKeyInfo that are looked at (RSA-4096: 550) */
#define KEY_SIG_MAX 512	   /* bytes of a signature */
#define KEY_ID_LEN 20	   /* subject and authority key identifiers: RFC 7093, section 2, method 1 */

enum key_kind {
	KEY_NONE,
	KEY_EC_P256,
	KEY_EC_P384,
	KEY_RSA_2048,
	KEY_RSA_3072,
	KEY_RSA_4096,
	KEY_KINDS
};

struct key; /* a private key with its public half */

/* "ec-p256" and so on, as the API and the CLI write it; never NULL. */
const char *key_kind_name(enum key_kind kind);
bool key_kind_parse(const char *name, enum key_kind *kind_out);
bool key_kind_is_rsa(enum key_kind kind);

/* Make a key pair. RSA takes 50 to 250 ms: on a worker, never on an event loop. E_SYS, E_NOMEM. */
MUST_CHECK int key_generate(enum key_kind kind, struct key **key_out, struct err *err);

/* The same, but E_SYS within milliseconds once *STOP is true. */
MUST_CHECK int key_generate_unless(
    const atomic_bool *stop, enum key_kind kind, struct key **key_out, struct err *err);

/* Read an unencrypted private key, PEM. E_INPUT for anything else or an unknown kind. */
MUST_CHECK int key_from_pem(const void *pem, size_t len, struct key **key_out, struct err *err);

/* Write the private key as PKCS#8 PEM (RFC 5958) into locked memory; free with secret_clear. */
MUST_CHECK int key_to_pem(const struct key *key, struct secret *pem_out, struct err *err);

void key_free(struct key *key);

enum key_kind key_kind_of(const struct key *key);

/* The public half as DER SubjectPublicKeyInfo. Borrowed from KEY. */
const uint8_t *key_spki(const struct key *key, size_t *len_out);

/* Is that its public half? */
bool key_is_of(const struct key *key, const uint8_t *spki, size_t len);

/* Append the AlgorithmIdentifier with which a key of this kind signs: ecdsa-with-SHA256 (P-256),
 * ecdsa-with-SHA384 (P-384), sha256WithRSAEncryption (RSA). DER, as it stands in certificates. */
void key_sigalg(enum key_kind kind, struct buf *out);

/* Sign DATA with that algorithm; append the signature's bytes. A struct key keeps a signing context, so
 * one thread at a time. E_SYS. */
MUST_CHECK int key_sign(
    struct key *key, const void *data, size_t len, struct buf *sig_out, struct err *err);

/* The same for data that comes in pieces: made for keys of KIND, fed, and signed by one of them. E_SYS, E_NOMEM. */
struct key_digest;
MUST_CHECK int key_digest_new(enum key_kind kind, struct key_digest **digest_out, struct err *err);
MUST_CHECK int key_digest_add(struct key_digest *digest, const void *data, size_t len, struct err *err);
MUST_CHECK int key_digest_sign(struct key_digest *digest, struct key *key, struct buf *sig_out, struct err *err);
void key_digest_free(struct key_digest *digest);

/* The kind of a public key, by its form and size alone. E_INPUT says what is wrong with it. */
MUST_CHECK int spki_kind(const uint8_t *spki, size_t len, enum key_kind *kind_out, struct err *err);

/* Check a public key from outside: DER SubjectPublicKeyInfo, a known kind, named curve, point on the
 * curve and not at infinity, RSA modulus of exactly a known size and odd, exponent odd and >= 65537,
 * not a known-weak key. E_INPUT says what is wrong with it. */
MUST_CHECK int spki_check(
    const uint8_t *spki, size_t len, enum key_kind *kind_out, struct err *err);

/* Verify SIG over DATA by the checked public key SPKI with key_sigalg(kind). E_INPUT if it does not
 * verify. Any thread. */
MUST_CHECK int spki_verify(const uint8_t *spki, size_t spki_len, enum key_kind kind,
    const void *data, size_t len, const uint8_t *sig, size_t sig_len, struct err *err);

/* The key identifier of SPKI into OUT[KEY_ID_LEN]: the leftmost 160 bits of SHA-256 over the
 * subjectPublicKey BIT STRING's bits (RFC 7093). SPKI must be well formed. */
void spki_key_id(uint8_t *out, const uint8_t *spki, size_t len);

#endif

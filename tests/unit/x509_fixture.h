/* A CA made by OpenSSL, for tests that hold our certificates and lists against it. */
#ifndef MUSTER_TESTS_X509_FIXTURE_H
#define MUSTER_TESTS_X509_FIXTURE_H

#include "check.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

/* OpenSSL has macros of the names that cert.h's enum key_usage has, with other values. */
#undef KU_DIGITAL_SIGNATURE
#undef KU_KEY_ENCIPHERMENT
#undef KU_KEY_AGREEMENT

#include "x509/cert.h"
#include "x509/key.h"

#define FIXTURE_NOW 1767225600 /* 2026-01-01T00:00:00Z */
#define FIXTURE_YEAR 31536000
#define FIXTURE_PKI_URL "http://pki.example:8080"

struct fixture_ca {
	struct key *key;
	X509 *cert;
	struct cert_issuer issuer;
};

static inline EVP_PKEY *
fixture_pkey(const struct key *key)
{
	struct secret pem = {0};
	struct err err = {0};
	EVP_PKEY *pkey;
	BIO *bio;

	assert_ok(key_to_pem(key, &pem, &err));
	bio = BIO_new_mem_buf(pem.data, (int)pem.len);
	assert_non_null(pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL));
	BIO_free(bio);
	secret_clear(&pem);
	return pkey;
}

static inline void
fixture_ext(X509 *cert, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *ext;

	X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
	assert_non_null(ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value));
	assert_int_equal(X509_add_ext(cert, ext, -1), 1);
	X509_EXTENSION_free(ext);
}

/* The DER of CERT; free with OPENSSL_free. */
static inline uint8_t *
fixture_der(X509 *cert, size_t *len_out)
{
	uint8_t *der = NULL;
	int n = i2d_X509(cert, &der);

	assert_true(n > 0);
	*len_out = (size_t)n;
	return der;
}

/* A self-signed certificate by OpenSSL's means. SKI is "hash" for the usual 20 bytes, or NULL. */
static inline X509 *
fixture_cert(const struct key *key, const char *basic, const char *ski)
{
	EVP_PKEY *pkey = fixture_pkey(key);
	X509 *cert = X509_new();
	X509_NAME *name = X509_get_subject_name(cert);

	assert_int_equal(X509_set_version(cert, 2), 1);
	assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(cert), 77), 1);
	assert_non_null(ASN1_TIME_set(X509_getm_notBefore(cert), FIXTURE_NOW));
	assert_non_null(ASN1_TIME_set(X509_getm_notAfter(cert), FIXTURE_NOW + 10 * FIXTURE_YEAR));
	assert_int_equal(X509_NAME_add_entry_by_txt(
			     name, "CN", MBSTRING_UTF8, (const uint8_t *)"Test CA", -1, -1, 0),
	    1);
	assert_int_equal(X509_set_issuer_name(cert, name), 1);
	assert_int_equal(X509_set_pubkey(cert, pkey), 1);
	if (basic != NULL)
		fixture_ext(cert, NID_basic_constraints, basic);
	fixture_ext(cert, NID_key_usage, "critical,keyCertSign,cRLSign");
	if (ski != NULL)
		fixture_ext(cert, NID_subject_key_identifier, ski);
	assert_true(X509_sign(cert, pkey, EVP_sha256()) > 0);
	EVP_PKEY_free(pkey);
	return cert;
}

static inline void
fixture_ca_init(struct fixture_ca *ca, enum key_kind kind)
{
	struct err err = {0};
	uint8_t *der;
	size_t len;

	assert_ok(key_generate(kind, &ca->key, &err));
	ca->cert = fixture_cert(ca->key, "critical,CA:TRUE", "hash");
	der = fixture_der(ca->cert, &len);
	assert_ok(cert_issuer_init(&ca->issuer, der, len, FIXTURE_PKI_URL, &err));
	OPENSSL_free(der);
}

static inline void
fixture_ca_clear(struct fixture_ca *ca)
{
	key_free(ca->key);
	X509_free(ca->cert);
}

#endif

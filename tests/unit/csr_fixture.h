/* Certification requests of devices that make their own keys. */
#ifndef MUSTER_TESTS_CSR_FIXTURE_H
#define MUSTER_TESTS_CSR_FIXTURE_H

#include "check.h"

#include "base/buf.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

/* A request for KEY, in DER, of SUBJECT, or without one if that is NULL. */
static inline void
csr_make(EVP_PKEY *key, const X509_NAME *subject, struct buf *out)
{
	X509_REQ *req = X509_REQ_new();
	uint8_t *der = NULL;
	int len;

	assert_int_equal(X509_REQ_set_pubkey(req, key), 1);
	if (subject != NULL)
		assert_int_equal(X509_REQ_set_subject_name(req, subject), 1);
	assert_true(X509_REQ_sign(req, key, EVP_sha256()) > 0);
	assert_true((len = i2d_X509_REQ(req, &der)) > 0);
	buf_append(out, der, (size_t)len);
	OPENSSL_free(der);
	X509_REQ_free(req);
}

static inline void
csr_fresh(const X509_NAME *subject, struct buf *out)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");

	csr_make(key, subject, out);
	EVP_PKEY_free(key);
}

#endif

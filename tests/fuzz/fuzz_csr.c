/* Certification requests. What both we and OpenSSL accept, both read alike. No mutation keeps a
 * signature, so each request is also tried with the key exchanged for ours and signed anew: then
 * what is behind the check of the signature is reached. */
#include "base/buf.h"
#include "base/text.h"
#include "fuzz.h"
#include "x509/alg.h"
#include "x509/csr.h"
#include "x509/der.h"
#include "x509/pem.h"

#include <openssl/x509v3.h>

static void
check_spki(const struct csr *csr, X509_REQ *req)
{
	uint8_t *der = NULL;
	int n = i2d_X509_PUBKEY(X509_REQ_get_X509_PUBKEY(req), &der);

	FUZZ_ASSERT(n > 0 && (size_t)n == csr->spki_len);
	FUZZ_ASSERT(memcmp(der, csr->spki, csr->spki_len) == 0);
	OPENSSL_free(der);
}

/* OpenSSL also takes Microsoft's attribute for extensionRequest; we do not. */
static void
check_sans(const struct csr *csr, X509_REQ *req)
{
	STACK_OF(X509_EXTENSION) *exts = NULL;
	const ASN1_OCTET_STRING *value;
	int at = -1;

	if (X509_REQ_get_attr_by_NID(req, NID_ext_req, -1) >= 0)
		exts = X509_REQ_get_extensions(req);
	if (exts != NULL)
		at = X509v3_get_ext_by_NID(exts, NID_subject_alt_name, -1);
	FUZZ_ASSERT((at >= 0) == (csr->sans_len > 0));
	if (at >= 0) {
		value = X509_EXTENSION_get_data(X509v3_get_ext(exts, at));
		FUZZ_ASSERT((size_t)ASN1_STRING_length(value) == csr->sans_len);
		FUZZ_ASSERT(memcmp(ASN1_STRING_get0_data(value), csr->sans, csr->sans_len) == 0);
	}
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
}

static void
check_with_openssl(const struct csr *csr, const uint8_t *der, size_t len)
{
	const uint8_t *p = der, *name;
	X509_REQ *req = d2i_X509_REQ(NULL, &p, (long)len);
	size_t name_len;

	if (req == NULL)
		return;
	FUZZ_ASSERT(p == der + len);
	FUZZ_ASSERT(X509_REQ_get_version(req) == 0);
	FUZZ_ASSERT(X509_REQ_verify(req, X509_REQ_get0_pubkey(req)) == 1);
	FUZZ_ASSERT(X509_NAME_get0_der(X509_REQ_get_subject_name(req), &name, &name_len) == 1);
	FUZZ_ASSERT(name_len == csr->subject_len && memcmp(name, csr->subject, name_len) == 0);
	check_spki(csr, req);
	check_sans(csr, req);
	X509_REQ_free(req);
}

static void
check(const uint8_t *data, size_t len)
{
	struct buf der = {0};
	struct csr csr;

	if (csr_parse(data, len, &csr, NULL) != 0)
		return;
	FUZZ_ASSERT(len <= CSR_MAX && csr.kind > KEY_NONE && csr.kind < KEY_KINDS);
	FUZZ_ASSERT(csr.spki_len <= sizeof csr.spki && csr.subject_len <= sizeof csr.subject);
	FUZZ_ASSERT(csr.sans_len <= sizeof csr.sans);
	FUZZ_ASSERT(text_is_printable(csr.common_name, strlen(csr.common_name)));
	if (data[0] == DER_SEQUENCE)
		check_with_openssl(&csr, data, len);
	else if (pem_decode((const char *)data, len, "CERTIFICATE REQUEST", &der, NULL) == 0)
		check_with_openssl(&csr, der.data, der.len);
	buf_clear(&der);
}

static struct key *
our_key(void)
{
	static struct key *key;

	if (key == NULL)
		FUZZ_ASSERT(key_generate(KEY_EC_P256, &key, NULL) == 0);
	return key;
}

/* DATA's request with our key in the place of its own; false if the place cannot be found. */
static bool
resign(const uint8_t *data, size_t len, struct buf *out)
{
	struct der d = {data, len}, request, info, version, subject, spki;
	struct buf sig = {0};
	const uint8_t *ours;
	size_t ours_len, info_len;

	if (!der_get(&d, DER_SEQUENCE, &request) || !der_get(&request, DER_SEQUENCE, &info) ||
	    !der_get_whole(&info, DER_INTEGER, &version) ||
	    !der_get_whole(&info, DER_SEQUENCE, &subject) ||
	    !der_get_whole(&info, DER_SEQUENCE, &spki))
		return false;
	ours = key_spki(our_key(), &ours_len);
	buf_append(out, version.at, version.len);
	buf_append(out, subject.at, subject.len);
	buf_append(out, ours, ours_len);
	buf_append(out, info.at, info.len);
	der_wrap(out, 0, DER_SEQUENCE);
	info_len = out->len;
	FUZZ_ASSERT(key_sign(our_key(), out->data, info_len, &sig, NULL) == 0);
	alg_put(out, false, ALG_SHA256);
	der_put_bits(out, sig.data, sig.len);
	der_wrap(out, 0, DER_SEQUENCE);
	buf_clear(&sig);
	return !buf_failed(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct buf der = {0};

	check(data, len);
	if (resign(data, len, &der))
		check(der.data, der.len);
	buf_clear(&der);
	return 0;
}

#include "x509_fixture.h"

#include "x509/chain.h"
#include "x509/csr.h"
#include "x509/estmsg.h"
#include "x509/name.h"
#include "x509/pem.h"

static struct key *key;
static struct buf cert; /* DER */

static int
setup(void **state)
{
	X509 *x = X509_new();
	EVP_PKEY *pkey;
	struct err err = {0};
	uint8_t *at;
	int len;

	(void)state;
	assert_ok(key_generate(KEY_EC_P256, &key, &err));
	pkey = fixture_pkey(key);
	(void)X509_gmtime_adj(X509_getm_notBefore(x), 0);
	(void)X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	assert_int_equal(X509_set_pubkey(x, pkey), 1);
	assert_true(X509_sign(x, pkey, EVP_sha256()) > 0);
	len = i2d_X509(x, NULL);
	at = buf_extend(&cert, (size_t)len);
	(void)i2d_X509(x, &at);
	EVP_PKEY_free(pkey);
	X509_free(x);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	key_free(key);
	buf_clear(&cert);
	return 0;
}

static void
test_certificates_there_and_back(void **state)
{
	const struct buf *certs[CHAIN_CERTS_MAX + 1];
	struct buf der = {0}, pem = {0}, expected = {0};
	struct err err = {0};
	size_t i;

	(void)state;
	for (i = 0; i <= CHAIN_CERTS_MAX; i++)
		certs[i] = &cert;
	pem_encode(&expected, "CERTIFICATE", cert.data, cert.len);
	pem_encode(&expected, "CERTIFICATE", cert.data, cert.len);
	estmsg_put_certs(&der, certs, 2);
	assert_ok(estmsg_get_certs(der.data, der.len, &pem, &err));
	assert_string_equal(buf_str(&pem), buf_str(&expected));
	/* Cut anywhere, with something behind it, or a byte changed in its frame: refused, and nothing appended. */
	for (i = 0; i < der.len; i++)
		assert_int_equal(estmsg_get_certs(der.data, i, &pem, &err), E_INPUT);
	buf_byte(&der, 0);
	assert_int_equal(estmsg_get_certs(der.data, der.len, &pem, &err), E_INPUT);
	assert_int_equal(estmsg_get_certs(cert.data, cert.len, &pem, &err), E_INPUT);
	buf_reset(&der);
	estmsg_put_certs(&der, certs, CHAIN_CERTS_MAX + 1);
	assert_int_equal(estmsg_get_certs(der.data, der.len, &pem, &err), E_INPUT);
	buf_reset(&der);
	estmsg_put_certs(&der, certs, 0);
	assert_int_equal(estmsg_get_certs(der.data, der.len, &pem, &err), E_INPUT);
	assert_string_equal(buf_str(&pem), buf_str(&expected));
	buf_clear(&der);
	buf_clear(&pem);
	buf_clear(&expected);
}

/* What the agent asks with is what the service and OpenSSL read. */
static void
test_request(void **state)
{
	const enum key_kind kinds[] = {KEY_EC_P256, KEY_EC_P384, KEY_RSA_2048};
	const struct name name = {.org = "Plant", .common_name = "Pump \xc3\xbc"};
	struct buf subject = {0}, der = {0};
	struct err err = {0};
	char text[64];
	size_t i;

	(void)state;
	name_put(&subject, &name);
	name_text(subject.data, subject.len, text, sizeof text);
	assert_string_equal(text, "CN=Pump \xc3\xbc,O=Plant");
	name_text(subject.data, subject.len, text, 8);
	assert_string_equal(text, "");
	name_text(subject.data, subject.len - 1, text, sizeof text);
	assert_string_equal(text, "");
	for (i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		struct key *own = NULL;
		const uint8_t *at;
		struct csr csr;
		X509_REQ *req;
		EVP_PKEY *pkey;

		assert_ok(key_generate(kinds[i], &own, &err));
		buf_reset(&der);
		assert_ok(csr_build(own, subject.data, subject.len, i == 0 ? "" : "a nonce", &der, &err));
		assert_ok(csr_parse(der.data, der.len, &csr, &err));
		assert_string_equal(csr.common_name, "Pump \xc3\xbc");
		assert_int_equal(csr.kind, kinds[i]);
		assert_string_equal(csr.challenge, i == 0 ? "" : "a nonce");
		assert_int_equal(csr.sans_len, 0);
		at = der.data;
		assert_non_null(req = d2i_X509_REQ(NULL, &at, (long)der.len));
		pkey = fixture_pkey(own);
		assert_int_equal(X509_REQ_verify(req, pkey), 1);
		EVP_PKEY_free(pkey);
		X509_REQ_free(req);
		key_free(own);
	}
	buf_clear(&subject);
	buf_clear(&der);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_certificates_there_and_back), cmocka_unit_test(test_request)};

	return cmocka_run_group_tests(tests, setup, teardown);
}

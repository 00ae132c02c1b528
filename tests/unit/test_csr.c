#include "x509_fixture.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <stdio.h>

#include "x509/alg.h"
#include "x509/csr.h"
#include "x509/der.h"
#include "x509/pem.h"

#define ID "0b4fca8e-2a4c-4c7b-9d5e-7f3a1b2c3d4e"
#define LABEL "CERTIFICATE REQUEST"
#define HUGE (1024 * 1024)

static EVP_PKEY *p256, *other, *p384, *rsa;

static int
setup(void **state)
{
	(void)state;
	p256 = EVP_EC_gen("P-256");
	other = EVP_EC_gen("P-256");
	p384 = EVP_EC_gen("P-384");
	rsa = EVP_RSA_gen(2048);
	return p256 == NULL || other == NULL || p384 == NULL || rsa == NULL;
}

static int
teardown(void **state)
{
	(void)state;
	EVP_PKEY_free(p256);
	EVP_PKEY_free(other);
	EVP_PKEY_free(p384);
	EVP_PKEY_free(rsa);
	return 0;
}

/* Everything that an error must and must not do. */
static void
refuse(const void *data, size_t len, int code, const char *text)
{
	struct csr csr, untouched;
	struct err err = {0};
	uint8_t *copy = test_malloc(len + 1); /* so that ASan sees a read beyond it */

	memset(&csr, 0x77, sizeof csr);
	memcpy(&untouched, &csr, sizeof csr);
	if (len > 0)
		memcpy(copy + 1, data, len);
	assert_int_equal(csr_parse(copy + 1, len, &csr, &err), code);
	if (strstr(err.text, text) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", text, err.text);
	assert_string_equal(err.field, "");
	assert_memory_equal(&csr, &untouched, sizeof csr);
	test_free(copy);
}

static void
refuse_buf(struct buf *der, int code, const char *text)
{
	refuse(der->data, der->len, code, text);
	buf_clear(der);
}

/* A request by OpenSSL's means. EXTS are pairs of a NID and its value, up to a zero. */
struct wish {
	int nid;
	const char *value;
};

static X509_REQ *
request(EVP_PKEY *pkey, const char *common_name, const struct wish *wishes)
{
	STACK_OF(X509_EXTENSION) *exts = sk_X509_EXTENSION_new_null();
	X509_REQ *req = X509_REQ_new();
	X509_EXTENSION *ext;
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, NULL, NULL, req, NULL, 0);
	for (; wishes != NULL && wishes->nid != 0; wishes++) {
		ext = X509V3_EXT_conf_nid(NULL, &ctx, wishes->nid, wishes->value);
		assert_non_null(ext);
		assert_true(sk_X509_EXTENSION_push(exts, ext) > 0);
	}
	if (sk_X509_EXTENSION_num(exts) > 0)
		assert_int_equal(X509_REQ_add_extensions(req, exts), 1);
	if (common_name != NULL)
		assert_int_equal(X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(req), "CN",
				     MBSTRING_UTF8, (const uint8_t *)common_name, -1, -1, 0),
		    1);
	assert_int_equal(X509_REQ_set_pubkey(req, pkey), 1);
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	return req;
}

static void
encode(X509_REQ *req, struct buf *der_out)
{
	uint8_t *der = NULL;
	int n = i2d_X509_REQ(req, &der);

	assert_true(n > 0);
	buf_append(der_out, der, (size_t)n);
	OPENSSL_free(der);
}

/* Signed by SIGNER; MD as OpenSSL knows it, NULL for keys that bring their own. */
static struct buf
signed_request(EVP_PKEY *pkey, EVP_PKEY *signer, const char *md, const struct wish *wishes)
{
	X509_REQ *req = request(pkey, ID, wishes);
	struct buf der = {0};

	assert_true(X509_REQ_sign(req, signer, md != NULL ? EVP_get_digestbyname(md) : NULL) > 0);
	encode(req, &der);
	X509_REQ_free(req);
	return der;
}

static struct buf
plain(void)
{
	return signed_request(p256, p256, "SHA256", NULL);
}

/* A request by our own writer, soundly signed whatever is in it: what is refused is refused for its
 * form. The zero value is a good request. */
struct raw {
	uint64_t version;
	struct buf subject;    /* whole Name; an empty one if there is none */
	struct buf spki;       /* instead of the key's own */
	struct buf attributes; /* whole element [0] */
	bool rsa_sigalg;       /* with a key that is none */
};

static void
put_signature(struct buf *out, EVP_PKEY *pkey, const void *data, size_t len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t sig[KEY_SIG_MAX];
	size_t sig_len = sizeof sig;

	assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, pkey), 1);
	assert_int_equal(EVP_DigestSign(ctx, sig, &sig_len, data, len), 1);
	der_put_bits(out, sig, sig_len);
	EVP_MD_CTX_free(ctx);
}

static void
put_spki(struct buf *out, EVP_PKEY *pkey)
{
	uint8_t *der = NULL;
	int n = i2d_PUBKEY(pkey, &der);

	assert_true(n > 0);
	buf_append(out, der, (size_t)n);
	OPENSSL_free(der);
}

static struct buf
raw_request(EVP_PKEY *pkey, struct raw *raw)
{
	struct buf der = {0};
	size_t info_len;

	der_put_int(&der, raw->version);
	if (raw->subject.len > 0)
		buf_append(&der, raw->subject.data, raw->subject.len);
	else
		der_put(&der, DER_SEQUENCE, NULL, 0);
	if (raw->spki.len > 0)
		buf_append(&der, raw->spki.data, raw->spki.len);
	else
		put_spki(&der, pkey);
	buf_append(&der, raw->attributes.data, raw->attributes.len);
	der_wrap(&der, 0, DER_SEQUENCE);
	info_len = der.len;
	alg_put(&der, raw->rsa_sigalg || EVP_PKEY_is_a(pkey, "RSA"), ALG_SHA256);
	put_signature(&der, pkey, der.data, info_len);
	der_wrap(&der, 0, DER_SEQUENCE);
	assert_false(buf_failed(&der));
	buf_clear(&raw->subject);
	buf_clear(&raw->spki);
	buf_clear(&raw->attributes);
	return der;
}

static const uint8_t oid_extension_request[] = {
    0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e};
static const uint8_t oid_challenge[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x07};
static const uint8_t oid_san[] = {0x55, 0x1d, 0x11};
static const uint8_t oid_key_usage[] = {0x55, 0x1d, 0x0f};

/* An attribute of the one value VALUE, which is DER. */
static void
put_attribute(struct buf *out, const uint8_t *oid, size_t oid_len, const void *value, size_t len)
{
	size_t mark = out->len;

	der_put(out, DER_OID, oid, oid_len);
	der_put(out, DER_SET, value, len);
	der_wrap(out, mark, DER_SEQUENCE);
}

static void
put_extension(struct buf *out, const uint8_t *oid, const void *value, size_t len)
{
	size_t mark = out->len;

	der_put(out, DER_OID, oid, 3);
	der_put(out, DER_OCTET_STRING, value, len);
	der_wrap(out, mark, DER_SEQUENCE);
}

/* [0] with one extensionRequest of EXTS, the content of the list. */
static void
put_extension_request(struct buf *out, struct buf *exts)
{
	der_wrap(exts, 0, DER_SEQUENCE);
	put_attribute(
	    out, oid_extension_request, sizeof oid_extension_request, exts->data, exts->len);
	der_wrap(out, 0, DER_CONTEXT(0));
	buf_clear(exts);
}

/* A request whose one extension is a subjectAltName of VALUE. */
static struct buf
with_sans(const void *value, size_t len)
{
	struct raw raw = {0};
	struct buf exts = {0};

	put_extension(&exts, oid_san, value, len);
	put_extension_request(&raw.attributes, &exts);
	return raw_request(p256, &raw);
}

static void
check_fields(EVP_PKEY *pkey, const char *md, enum key_kind kind)
{
	static const struct wish wishes[] = {
	    {NID_subject_alt_name, "DNS:a.example,IP:192.0.2.1,URI:urn:x:y"}, {0, NULL}};
	struct buf der = signed_request(pkey, pkey, md, wishes), spki = {0};
	const uint8_t *at = der.data, *name;
	X509_REQ *req = d2i_X509_REQ(NULL, &at, (long)der.len);
	STACK_OF(X509_EXTENSION) *exts = X509_REQ_get_extensions(req);
	const ASN1_OCTET_STRING *san = X509_EXTENSION_get_data(sk_X509_EXTENSION_value(exts, 0));
	struct err err = {0};
	struct csr csr;
	size_t name_len;

	put_spki(&spki, pkey);
	assert_ok(csr_parse(der.data, der.len, &csr, &err));
	assert_int_equal(csr.kind, kind);
	assert_int_equal(csr.spki_len, spki.len);
	assert_memory_equal(csr.spki, spki.data, spki.len);
	assert_string_equal(csr.common_name, ID);
	assert_int_equal(X509_NAME_get0_der(X509_REQ_get_subject_name(req), &name, &name_len), 1);
	assert_int_equal(csr.subject_len, name_len);
	assert_memory_equal(csr.subject, name, name_len);
	assert_int_equal(csr.sans_len, ASN1_STRING_length(san));
	assert_memory_equal(csr.sans, ASN1_STRING_get0_data(san), csr.sans_len);
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	X509_REQ_free(req);
	buf_clear(&spki);
	buf_clear(&der);
}

static void
test_reads_what_openssl_reads(void **state)
{
	EVP_PKEY *rsa3072 = EVP_RSA_gen(3072);

	(void)state;
	check_fields(p256, "SHA256", KEY_EC_P256);
	check_fields(p256, "SHA512", KEY_EC_P256);
	check_fields(p384, "SHA384", KEY_EC_P384);
	check_fields(p384, "SHA256", KEY_EC_P384);
	check_fields(rsa, "SHA256", KEY_RSA_2048);
	check_fields(rsa, "SHA384", KEY_RSA_2048);
	check_fields(rsa3072, "SHA512", KEY_RSA_3072);
	EVP_PKEY_free(rsa3072);
}

static void
accept_text(const char *text, size_t len)
{
	struct err err = {0};
	struct csr csr;

	assert_ok(csr_parse(text, len, &csr, &err));
	assert_string_equal(csr.common_name, ID);
	assert_int_equal(csr.sans_len, 0);
}

static struct buf
pem_of(const struct buf *der, const char *label)
{
	struct buf pem = {0};

	pem_encode(&pem, label, der->data, der->len);
	return pem;
}

/* As `openssl req -text` and Windows write them. */
static void
test_pem(void **state)
{
	struct buf der = plain(), pem = pem_of(&der, LABEL), text = {0};
	size_t i;

	(void)state;
	accept_text(buf_str(&pem), pem.len);
	buf_text(&text, "Certificate Request:\n    Data:\n");
	buf_append(&text, pem.data, pem.len);
	buf_text(&text, "\n\r\n ");
	accept_text(buf_str(&text), text.len);
	buf_reset(&text);
	for (i = 0; i < pem.len; i++)
		buf_printf(&text, pem.data[i] == '\n' ? "\r\n" : "%c", pem.data[i]);
	accept_text(buf_str(&text), text.len);
	buf_clear(&pem);
	pem = pem_of(&der, "NEW CERTIFICATE REQUEST");
	accept_text(buf_str(&pem), pem.len);
	buf_clear(&text);
	buf_clear(&pem);
	buf_clear(&der);
}

/* D9 */
static void
test_refuses_two_pem_blocks(void **state)
{
	static const char *const labels[] = {LABEL, "NEW CERTIFICATE REQUEST", "CERTIFICATE"};
	struct buf der = plain(), pem, second;
	size_t i, k;

	(void)state;
	for (i = 0; i < 2; i++)
		for (k = 0; k < 3; k++) {
			pem = pem_of(&der, labels[i]);
			second = pem_of(&der, labels[k]);
			buf_append(&pem, second.data, second.len);
			refuse_buf(&pem, E_INPUT, i == k ? "send exactly one" : "PEM block");
			buf_clear(&second);
		}
	buf_clear(&der);
}

static void
test_refuses_other_pem(void **state)
{
	struct buf der = plain(), twice = {0}, pem;

	(void)state;
	pem = pem_of(&der, "CERTIFICATE");
	refuse_buf(&pem, E_INPUT, "not a CERTIFICATE REQUEST");
	pem = pem_of(&der, "PRIVATE KEY");
	refuse_buf(&pem, E_INPUT, "not a CERTIFICATE REQUEST");
	pem = pem_of(&der, LABEL);
	buf_text(&pem, "x");
	refuse_buf(&pem, E_INPUT, "send exactly one");
	buf_append(&twice, der.data, der.len);
	buf_append(&twice, der.data, der.len);
	pem = pem_of(&twice, LABEL); /* two requests in one block */
	refuse_buf(&pem, E_INPUT, "send exactly one");
	refuse("", 0, E_INPUT, "empty");
	refuse("\n", 1, E_INPUT, "not PEM");
	buf_text(&pem, "-----BEGIN " LABEL "-----\n");
	refuse(pem.data, pem.len, E_INPUT, "no line");
	buf_text(&pem, "-----END " LABEL "-----\n"); /* around nothing */
	refuse_buf(&pem, E_INPUT, "not DER");
	buf_clear(&twice);
	buf_clear(&der);
}

/* D8, D9: every part, in both forms. */
static void
test_refuses_truncated(void **state)
{
	struct buf der = plain(), pem = pem_of(&der, LABEL);
	size_t len;

	(void)state;
	for (len = 0; len < der.len; len++)
		refuse(der.data, len, E_INPUT, "");
	for (len = 0; len < pem.len - 1; len++) /* the last line needs no end */
		refuse(pem.data, len, E_INPUT, "");
	buf_clear(&pem);
	buf_clear(&der);
}

/* D1: no bit is out of the signature's sight. */
static void
test_refuses_every_flipped_bit(void **state)
{
	struct buf der = plain();
	size_t bit;

	(void)state;
	for (bit = 0; bit < 8 * der.len; bit++) {
		der.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		refuse(der.data, der.len, E_INPUT, "");
		der.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	buf_clear(&der);
}

/* D9 */
static void
test_refuses_trailing_data(void **state)
{
	struct buf der = plain();

	(void)state;
	buf_append(&der, "\0", 1);
	refuse(der.data, der.len, E_INPUT, "");
	buf_append(&der, "\0", 1); /* now an element of its own */
	refuse(der.data, der.len, E_INPUT, "send exactly one");
	buf_clear(&der);
}

/* D1 */
static void
test_refuses_bad_self_signature(void **state)
{
	struct raw raw = {0};
	struct buf der = signed_request(p256, other, "SHA256", NULL);

	(void)state;
	refuse_buf(&der, E_INPUT, "not signed by its own key");
	der = signed_request(rsa, p256, "SHA256", NULL);
	refuse_buf(&der, E_INPUT, "use RSA");
	der = signed_request(p256, rsa, "SHA256", NULL);
	refuse_buf(&der, E_INPUT, "use ECDSA");
	raw.rsa_sigalg = true;
	der = raw_request(p256, &raw);
	refuse_buf(&der, E_INPUT, "use ECDSA");
}

/* D10 */
static void
test_refuses_weak_hashes(void **state)
{
	struct buf der;

	(void)state;
	der = signed_request(rsa, rsa, "SHA1", NULL);
	refuse_buf(&der, E_INPUT, "SHA-1 are not taken: use RSA (PKCS #1 v1.5) with SHA-256");
	der = signed_request(rsa, rsa, "MD5", NULL);
	refuse_buf(&der, E_INPUT, "MD5 are not taken: use RSA (PKCS #1 v1.5) with SHA-256");
	der = signed_request(p256, p256, "SHA1", NULL);
	refuse_buf(&der, E_INPUT, "SHA-1 are not taken: use ECDSA with SHA-256");
	der = signed_request(p256, p256, "SHA224", NULL);
	refuse_buf(&der, E_INPUT, "SHA-224");
	der = signed_request(rsa, rsa, "SHA224", NULL);
	refuse_buf(&der, E_INPUT, "SHA-224");
	der = signed_request(p256, p256, "SHA3-256", NULL);
	refuse_buf(&der, E_INPUT, "the request's signature algorithm is not taken: use ECDSA");
}

static void
test_refuses_pss(void **state)
{
	X509_REQ *req = request(rsa, ID, NULL);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	struct buf der = {0};
	EVP_PKEY_CTX *pctx;

	(void)state;
	assert_int_equal(EVP_DigestSignInit(ctx, &pctx, EVP_sha256(), NULL, rsa), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING), 1);
	assert_true(X509_REQ_sign_ctx(req, ctx) > 0);
	encode(req, &der);
	refuse_buf(&der, E_INPUT, "RSASSA-PSS");
	EVP_MD_CTX_free(ctx);
	X509_REQ_free(req);
}

/* D2: whatever else is asked for is read over, and the certificate follows its specification. */
static void
test_ca_true_is_dropped(void **state)
{
	static const struct wish wishes[] = {{NID_basic_constraints, "critical,CA:TRUE"},
	    {NID_key_usage, "critical,keyCertSign,cRLSign"},
	    {NID_ext_key_usage, "anyExtendedKeyUsage"},
	    {NID_subject_alt_name, "DNS:victim.example,email:a@b.example"}, {0, NULL}};
	struct buf der = signed_request(p256, p256, "SHA256", wishes), tbs = {0}, cert = {0};
	struct fixture_ca ca;
	struct err err = {0};
	struct csr csr;
	struct cert_spec spec = {
	    .serial = {0x41},
	    .not_before = FIXTURE_NOW,
	    .not_after = FIXTURE_NOW + FIXTURE_YEAR,
	    .common_name = ID,
	    .spki = csr.spki,
	    .key_usage = KU_DIGITAL_SIGNATURE,
	    .ext_key_usage = EKU_CLIENT_AUTH,
	};
	const uint8_t *at;
	X509 *x;

	(void)state;
	fixture_ca_init(&ca, KEY_EC_P256);
	assert_ok(csr_parse(der.data, der.len, &csr, &err));
	assert_non_null(memmem(csr.sans, csr.sans_len, "victim.example", 14));
	spec.spki_len = csr.spki_len;
	assert_ok(cert_tbs_build(&spec, &ca.issuer, &tbs, &err));
	assert_ok(cert_sign(tbs.data, tbs.len, ca.key, &cert, &err));
	at = cert.data;
	assert_non_null(x = d2i_X509(NULL, &at, (long)cert.len));
	assert_int_equal(X509_check_ca(x), 0);
	assert_int_equal(X509_get_key_usage(x), X509v3_KU_DIGITAL_SIGNATURE);
	assert_int_equal(X509_get_extended_key_usage(x), XKU_SSL_CLIENT);
	assert_null(memmem(cert.data, cert.len, "victim.example", 14));
	X509_free(x);
	fixture_ca_clear(&ca);
	buf_clear(&cert);
	buf_clear(&tbs);
	buf_clear(&der);
}

static void
refuse_key(EVP_PKEY *pkey, const char *md, const char *text)
{
	struct buf der;

	assert_non_null(pkey);
	der = signed_request(pkey, pkey, md, NULL);
	refuse_buf(&der, E_INPUT, text);
	EVP_PKEY_free(pkey);
}

/* D4, the sizes. */
static void
test_refuses_rsa_sizes(void **state)
{
	(void)state;
	refuse_key(EVP_RSA_gen(512), "SHA256", "RSA keys of 512 bits");
	refuse_key(EVP_RSA_gen(1024), "SHA256", "RSA keys of 1024 bits");
	refuse_key(EVP_RSA_gen(2047), "SHA256", "RSA keys of 2047 bits");
}

/* D6 */
static void
test_refuses_other_algorithms(void **state)
{
	(void)state;
	refuse_key(EVP_EC_gen("P-224"), "SHA256", "P-224 is not taken: use P-256 or P-384");
	refuse_key(EVP_EC_gen("P-521"), "SHA512", "P-521");
	refuse_key(EVP_EC_gen("secp256k1"), "SHA256", "secp256k1");
	refuse_key(EVP_EC_gen("brainpoolP256r1"), "SHA256", "this curve is not taken");
	refuse_key(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), NULL, "Ed25519 keys are not taken");
}

static void
put_rsa(struct buf *out, size_t modulus_len, uint8_t last, uint64_t exponent)
{
	static uint8_t modulus[2048];
	size_t mark;

	memset(modulus, 0xa5, sizeof modulus);
	modulus[modulus_len - 1] = last;
	der_put(out, DER_OID, oid_rsa.bytes, oid_rsa.len);
	der_put(out, DER_NULL, NULL, 0);
	der_wrap(out, 0, DER_SEQUENCE);
	mark = out->len;
	buf_byte(out, 0);
	der_put_unsigned(out, modulus, modulus_len);
	der_put_int(out, exponent);
	der_wrap(out, mark + 1, DER_SEQUENCE);
	der_wrap(out, mark, DER_BIT_STRING);
	der_wrap(out, 0, DER_SEQUENCE);
}

/* D4: 16384 bits, even moduli, exponents of 1, 2 and 3. */
static void
test_refuses_rsa_forms(void **state)
{
	static const struct {
		size_t octets;
		uint8_t last;
		uint64_t exponent;
		const char *text;
	} keys[] = {{2048, 1, 65537, "larger than"}, {256, 2, 65537, "modulus is even"},
	    {256, 1, 1, "exponent"}, {256, 1, 2, "exponent"}, {256, 1, 3, "exponent"},
	    {256, 1, 65538, "exponent"}};
	struct buf der;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		struct raw raw = {0};

		put_rsa(&raw.spki, keys[i].octets, keys[i].last, keys[i].exponent);
		der = raw_request(rsa, &raw);
		refuse_buf(&der, E_INPUT, keys[i].text);
	}
}

static struct buf
with_point(uint8_t first, uint8_t flip, size_t len)
{
	struct raw raw = {0};

	put_spki(&raw.spki, p256);
	raw.spki.data[raw.spki.len - 65] = first;
	raw.spki.data[raw.spki.len - 1] ^= flip;
	if (len != 65) {
		raw.spki.len -= 65 - len;
		raw.spki.data[1] = (uint8_t)(raw.spki.len - 2);
		raw.spki.data[2 + 21 + 1] = (uint8_t)(len + 1);
	}
	return raw_request(p256, &raw);
}

/* D5 */
static void
test_refuses_points_and_parameters(void **state)
{
	EVP_PKEY *explicit = EVP_EC_gen("P-256");
	struct buf der;

	(void)state;
	der = with_point(4, 1, 65);
	refuse_buf(&der, E_INPUT, "not on its curve");
	der = with_point(0, 0, 1);
	refuse_buf(&der, E_INPUT, "at infinity");
	der = with_point(2, 0, 33);
	refuse_buf(&der, E_INPUT, "compressed");
	der = with_point(4, 0, 64);
	refuse_buf(&der, E_INPUT, "malformed");
	assert_int_equal(EVP_PKEY_set_utf8_string_param(explicit, "encoding", "explicit"), 1);
	refuse_key(explicit, "SHA256", "no explicit parameters");
}

/* D8: E_LIMIT before anything is looked at. */
static void
test_refuses_a_mebibyte(void **state)
{
	uint8_t *value = test_malloc(HUGE);
	struct raw raw = {0};
	struct buf exts = {0}, der, pem;

	(void)state;
	memset(value, 0, HUGE);
	put_extension(&exts, oid_key_usage, value, HUGE);
	put_extension_request(&raw.attributes, &exts);
	der = raw_request(p256, &raw);
	pem = pem_of(&der, LABEL);
	refuse_buf(&der, E_LIMIT, "larger than 16384 bytes");
	refuse_buf(&pem, E_LIMIT, "larger than 16384 bytes");
	memset(value, '\n', HUGE);
	refuse(value, HUGE, E_LIMIT, "larger than 16384 bytes");
	test_free(value);
}

/* One that is just not too large, and its sibling. RSA, whose signatures are all of one length. */
static void
test_largest_request(void **state)
{
	static uint8_t filler[CSR_MAX];
	struct err err = {0};
	size_t len = CSR_MAX - 1024, i;
	struct buf der, value;
	struct csr csr;

	(void)state;
	for (i = 0; i < 3; i++) {
		struct raw raw = {0};

		value = (struct buf){0};
		der_put(&value, DER_OCTET_STRING, filler, len);
		put_attribute(
		    &raw.attributes, oid_challenge, sizeof oid_challenge, value.data, value.len);
		der_wrap(&raw.attributes, 0, DER_CONTEXT(0));
		der = raw_request(rsa, &raw);
		buf_clear(&value);
		if (i == 2) {
			assert_int_equal(der.len, CSR_MAX + 1);
			refuse_buf(&der, E_LIMIT, "larger than");
			break;
		}
		assert_ok(csr_parse(der.data, der.len, &csr, &err));
		len += i == 0 ? CSR_MAX - der.len : 1;
		assert_true(i == 0 || der.len == CSR_MAX);
		buf_clear(&der);
	}
}

static struct buf
many_names(size_t n)
{
	struct buf names = {0}, der;
	char text[16];
	size_t i;

	for (i = 0; i < n; i++) {
		(void)snprintf(text, sizeof text, "n%05zu.example", i);
		der_put(&names, DER_CONTEXT_PRIMITIVE(2), text, strlen(text));
	}
	der_wrap(&names, 0, DER_SEQUENCE);
	der = with_sans(names.data, names.len);
	buf_clear(&names);
	return der;
}

/* D8 */
static void
test_many_names(void **state)
{
	struct err err = {0};
	struct buf der;
	struct csr csr;

	(void)state;
	der = many_names(100);
	assert_ok(csr_parse(der.data, der.len, &csr, &err));
	assert_int_equal(csr.sans_len, 100 * 16 + 4);
	buf_clear(&der);
	der = many_names(200);
	refuse_buf(&der, E_LIMIT, "subjectAltName is larger than 2048 bytes");
	der = many_names(10000);
	refuse_buf(&der, E_LIMIT, "larger than 16384 bytes");
}

static void
test_largest_names(void **state)
{
	static char uri[2048];
	struct buf names = {0}, der;
	struct err err = {0};
	struct csr csr;
	size_t extra;

	(void)state;
	memset(uri, 'u', sizeof uri);
	for (extra = 0; extra < 2; extra++) {
		buf_reset(&names);
		der_put(&names, DER_CONTEXT_PRIMITIVE(6), uri, sizeof csr.sans - 8 + extra);
		der_wrap(&names, 0, DER_SEQUENCE);
		der = with_sans(names.data, names.len);
		if (extra == 0) {
			assert_ok(csr_parse(der.data, der.len, &csr, &err));
			assert_int_equal(csr.sans_len, sizeof csr.sans);
			assert_memory_equal(csr.sans, names.data, names.len);
			buf_clear(&der);
		} else {
			refuse_buf(&der, E_LIMIT, "subjectAltName is larger");
		}
	}
	buf_clear(&names);
}

/* D8: the lengths that BER has and DER does not. */
static void
test_refuses_indefinite_and_long_lengths(void **state)
{
	struct buf der = plain(), ber = {0};
	struct raw raw = {0};

	(void)state;
	assert_int_equal(der.data[1], 0x81);
	buf_append(&ber, "\x30\x80", 2);
	buf_append(&ber, der.data + 3, der.len - 3);
	buf_append(&ber, "\0\0", 2);
	refuse_buf(&ber, E_INPUT, "not DER");
	buf_append(&ber, "\x30\x82\0", 3); /* one octet too many */
	buf_append(&ber, der.data + 2, der.len - 2);
	refuse_buf(&ber, E_INPUT, "not DER");
	put_attribute(&raw.attributes, oid_challenge, sizeof oid_challenge, "\x30\x80\x05\0\0\0",
	    6); /* where nobody reads */
	der_wrap(&raw.attributes, 0, DER_CONTEXT(0));
	ber = raw_request(p256, &raw);
	refuse_buf(&ber, E_INPUT, "not DER");
	buf_clear(&der);
}

static struct buf
nested(unsigned depth, bool in_extension)
{
	struct raw raw = {0};
	struct buf value = {0}, exts = {0};
	unsigned i;

	der_put(&value, DER_NULL, NULL, 0);
	for (i = 0; i < depth; i++)
		der_wrap(&value, 0, DER_SEQUENCE);
	if (in_extension) {
		put_extension(&exts, oid_key_usage, value.data, value.len);
		put_extension_request(&raw.attributes, &exts);
	} else {
		put_attribute(
		    &raw.attributes, oid_challenge, sizeof oid_challenge, value.data, value.len);
		der_wrap(&raw.attributes, 0, DER_CONTEXT(0));
	}
	buf_clear(&value);
	return raw_request(p256, &raw);
}

/* D8 */
static void
test_refuses_deep_nesting(void **state)
{
	struct err err = {0};
	struct buf der;
	struct csr csr;
	int in_extension;

	(void)state;
	for (in_extension = 0; in_extension < 2; in_extension++) {
		der = nested(5, in_extension);
		assert_ok(csr_parse(der.data, der.len, &csr, &err));
		buf_clear(&der);
		der = nested(DER_DEPTH_MAX + 2, in_extension);
		refuse_buf(&der, E_INPUT, in_extension ? "malformed" : "not DER");
		der = nested(3000, in_extension);
		refuse_buf(&der, E_INPUT, in_extension ? "malformed" : "not DER");
	}
}

static void
test_version(void **state)
{
	struct raw raw = {.version = 1};
	struct buf der = raw_request(p256, &raw);

	(void)state;
	refuse_buf(&der, E_INPUT, "malformed");
	raw.version = UINT64_MAX;
	der = raw_request(p256, &raw);
	refuse_buf(&der, E_INPUT, "malformed");
}

static void
test_attributes(void **state)
{
	static const char sans[] = "\x30\x03\x82\x01"
				   "a";
	struct err err = {0};
	struct raw raw = {0};
	struct buf exts = {0}, der;
	struct csr csr;

	(void)state;
	der = raw_request(p256, &raw); /* without any, as some devices do */
	assert_ok(csr_parse(der.data, der.len, &csr, &err));
	assert_int_equal(csr.sans_len, 0);
	buf_clear(&der);
	der_put(&raw.attributes, DER_CONTEXT(0), NULL, 0);
	der = raw_request(p256, &raw);
	assert_ok(csr_parse(der.data, der.len, &csr, &err));
	buf_clear(&der);

	put_extension(&exts, oid_san, sans, 5); /* an ignored one before, one behind */
	put_extension(&exts, oid_key_usage, "\x03\x02\x02\x04", 4);
	der_wrap(&exts, 0, DER_SEQUENCE);
	put_attribute(&raw.attributes, oid_challenge, sizeof oid_challenge, "\x0c\x03pwd", 5);
	put_attribute(&raw.attributes, oid_extension_request, sizeof oid_extension_request,
	    exts.data, exts.len);
	put_attribute(&raw.attributes, oid_challenge, sizeof oid_challenge, NULL, 0);
	der_wrap(&raw.attributes, 0, DER_CONTEXT(0));
	der = raw_request(p256, &raw);
	assert_ok(csr_parse(der.data, der.len, &csr, &err));
	assert_int_equal(csr.sans_len, 5);
	assert_memory_equal(csr.sans, sans, 5);
	buf_clear(&exts);
	buf_clear(&der);
}

static void
refuse_attributes(const char *content, size_t len, const char *text)
{
	struct raw raw = {0};
	struct buf der;

	der_put(&raw.attributes, DER_CONTEXT(0), content, len);
	der = raw_request(p256, &raw);
	refuse_buf(&der, E_INPUT, text);
}

static void
refuse_extension_request(const void *values, size_t len)
{
	struct raw raw = {0};
	struct buf der;

	put_attribute(
	    &raw.attributes, oid_extension_request, sizeof oid_extension_request, values, len);
	der_wrap(&raw.attributes, 0, DER_CONTEXT(0));
	der = raw_request(p256, &raw);
	refuse_buf(&der, E_INPUT, "malformed");
}

static void
test_refuses_attributes(void **state)
{
	static const uint8_t other_tag[] = {0xa1, 0};
	struct raw raw = {0};
	struct buf exts = {0}, der;
	int i;

	(void)state;
	refuse_attributes("\x05\0", 2, "attributes are malformed");
	refuse_attributes("\x30\0", 2, "attributes are malformed");
	refuse_attributes("\x30\x03\x06\x01\x2a", 5, "attributes are malformed");
	refuse_attributes("\x30\x05\x06\x01\x2a\x30\0", 7, "attributes are malformed");
	refuse_attributes("\x30\x07\x06\x01\x2a\x31\0\x05\0", 9, "attributes are malformed");
	refuse_extension_request(NULL, 0);		       /* no value */
	refuse_extension_request("\x30\0", 2);		       /* no extension */
	refuse_extension_request("\x05\0", 2);		       /* no list */
	refuse_extension_request("\x30\0\x30\0", 4);	       /* two values */
	refuse_extension_request("\x30\x04\x30\x02\x05\0", 6); /* no extension in the list */

	put_extension(&exts, oid_san, "\x30\x03\x82\x01z", 5);
	put_extension(&exts, oid_san, "\x30\x03\x82\x01z", 5);
	put_extension_request(&raw.attributes, &exts);
	der = raw_request(p256, &raw);
	refuse_buf(&der, E_INPUT, "extensions are malformed");

	put_extension(&exts, oid_san, "\x30\x03\x82\x01z", 5);
	der_wrap(&exts, 0, DER_SEQUENCE);
	for (i = 0; i < 2; i++)
		put_attribute(&raw.attributes, oid_extension_request, sizeof oid_extension_request,
		    exts.data, exts.len);
	der_wrap(&raw.attributes, 0, DER_CONTEXT(0));
	der = raw_request(p256, &raw);
	refuse_buf(&der, E_INPUT, "more than one list of extensions");
	buf_clear(&exts);

	buf_append(&raw.attributes, other_tag, sizeof other_tag);
	der = raw_request(p256, &raw);
	refuse_buf(&der, E_INPUT, "malformed");
	der_put(&raw.attributes, DER_CONTEXT(0), NULL, 0);
	der_put(&raw.attributes, DER_CONTEXT(0), NULL, 0);
	der = raw_request(p256, &raw);
	refuse_buf(&der, E_INPUT, "malformed");
}

/* D8: an extension's value is DER, too, even where it is not read. */
static void
test_refuses_extension_values(void **state)
{
	static const struct {
		const char *value;
		size_t len;
	} sans[] = {{"", 0}, {"\x30\0", 2}, {"\x05\0", 2}, {"\x30\x03\x82\x02z", 5},
	    {"\x30\x03\x82\x01z\0", 6}, {"\x30\x03\x82\x01z\x05\0", 7}, {"\x30\x03\x02\x01z", 5},
	    {"\x30\x03\x42\x01z", 5}, {"\x30\x03\x0c\x01z", 5}, {"\x30\x03\x89\x01z", 5},
	    {"\x30\x80\x82\x01z\0\0", 7}, {"\x30\x02\xa4\x80", 4}},
	  usages[] = {{"", 0}, {"\x03\x02\x02", 3}, {"\x05\0\x05\0", 4}, {"\x30\x80\0\0", 4}};
	struct buf exts = {0}, der;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof sans / sizeof sans[0]; i++) {
		der = with_sans(sans[i].value, sans[i].len);
		refuse_buf(&der, E_INPUT, "malformed");
	}
	for (i = 0; i < sizeof usages / sizeof usages[0]; i++) {
		struct raw raw = {0};

		put_extension(&exts, oid_key_usage, usages[i].value, usages[i].len);
		put_extension_request(&raw.attributes, &exts);
		der = raw_request(p256, &raw);
		refuse_buf(&der, E_INPUT, "extensions are malformed");
	}
}

static void
put_common_name(struct buf *out, unsigned tag, const void *text, size_t len)
{
	size_t mark = out->len;

	der_put(out, DER_OID, "\x55\x04\x03", 3);
	der_put(out, tag, text, len);
	der_wrap(out, mark, DER_SEQUENCE);
	der_wrap(out, mark, DER_SET);
}

/* What has no one printable common name has none here. */
static void
test_common_names(void **state)
{
	static char longest[66];
	static const struct {
		unsigned tag;
		const char *text;
		size_t len;
		unsigned times;
		const char *want;
	} names[] = {{DER_UTF8_STRING, "m\xc3\xbcller", 7, 1, "m\xc3\xbcller"},
	    {DER_PRINTABLE_STRING, "a", 1, 1, "a"}, {DER_UTF8_STRING, "a", 1, 2, ""},
	    {DER_UTF8_STRING, "a\0b", 3, 1, ""}, {DER_UTF8_STRING, "a\nb", 3, 1, ""},
	    {DER_UTF8_STRING, "\xff", 1, 1, ""}, {DER_UTF8_STRING, "", 0, 1, ""},
	    {0x1e, "\0a", 2, 1, ""}, {DER_UTF8_STRING, longest, 64, 1, longest},
	    {DER_UTF8_STRING, longest, 65, 1, ""}};
	struct err err = {0};
	struct buf der;
	struct csr csr;
	unsigned k;
	size_t i;

	(void)state;
	memset(longest, 'n', 65);
	for (i = 0; i < sizeof names / sizeof names[0]; i++) {
		struct raw raw = {0};

		for (k = 0; k < names[i].times; k++)
			put_common_name(&raw.subject, names[i].tag, names[i].text, names[i].len);
		der_wrap(&raw.subject, 0, DER_SEQUENCE);
		der = raw_request(p256, &raw);
		assert_ok(csr_parse(der.data, der.len, &csr, &err));
		assert_true(strncmp(csr.common_name, names[i].want, 64) == 0);
		assert_true(strlen(csr.common_name) ==
			    (names[i].want == longest ? 64 : strlen(names[i].want)));
		buf_clear(&der);
	}
}

static void
test_refuses_subjects(void **state)
{
	static const struct {
		const char *name;
		size_t len;
	} bad[] = {{"\x30\x02\x05\0", 4}, {"\x30\x02\x31\0", 4}, {"\x30\x04\x31\x02\x05\0", 6},
	    {"\x30\x06\x31\x04\x30\x02\x05\0", 8},
	    {"\x30\x09\x31\x07\x30\x05\x06\x03\x55\x04\x03", 11}, {"\x31\0", 2}};
	static char text[600];
	struct buf der;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct raw raw = {0};

		buf_append(&raw.subject, bad[i].name, bad[i].len);
		der = raw_request(p256, &raw);
		refuse_buf(&der, E_INPUT, "malformed");
	}
	for (i = 0; i < 1; i++) {
		struct raw raw = {0};

		memset(text, 'n', sizeof text);
		put_common_name(&raw.subject, DER_UTF8_STRING, text, sizeof text);
		der_wrap(&raw.subject, 0, DER_SEQUENCE);
		der = raw_request(p256, &raw);
		refuse_buf(&der, E_LIMIT, "subject is larger than 512 bytes");
	}
}

/* After everything above, refusals included: libssl reads this queue after each call. */
static void
test_leaves_no_openssl_errors(void **state)
{
	struct buf der;

	(void)state;
	der = signed_request(p256, other, "SHA256", NULL);
	ERR_clear_error();
	refuse_buf(&der, E_INPUT, "its own key");
	der = with_point(4, 1, 65);
	ERR_clear_error();
	refuse_buf(&der, E_INPUT, "curve");
	assert_int_equal(ERR_peek_error(), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_reads_what_openssl_reads),
	    cmocka_unit_test(test_pem),
	    cmocka_unit_test(test_refuses_two_pem_blocks),
	    cmocka_unit_test(test_refuses_other_pem),
	    cmocka_unit_test(test_refuses_truncated),
	    cmocka_unit_test(test_refuses_every_flipped_bit),
	    cmocka_unit_test(test_refuses_trailing_data),
	    cmocka_unit_test(test_refuses_bad_self_signature),
	    cmocka_unit_test(test_refuses_weak_hashes),
	    cmocka_unit_test(test_refuses_pss),
	    cmocka_unit_test(test_ca_true_is_dropped),
	    cmocka_unit_test(test_refuses_rsa_sizes),
	    cmocka_unit_test(test_refuses_other_algorithms),
	    cmocka_unit_test(test_refuses_rsa_forms),
	    cmocka_unit_test(test_refuses_points_and_parameters),
	    cmocka_unit_test(test_refuses_a_mebibyte),
	    cmocka_unit_test(test_largest_request),
	    cmocka_unit_test(test_many_names),
	    cmocka_unit_test(test_largest_names),
	    cmocka_unit_test(test_refuses_indefinite_and_long_lengths),
	    cmocka_unit_test(test_refuses_deep_nesting),
	    cmocka_unit_test(test_version),
	    cmocka_unit_test(test_attributes),
	    cmocka_unit_test(test_refuses_attributes),
	    cmocka_unit_test(test_refuses_extension_values),
	    cmocka_unit_test(test_common_names),
	    cmocka_unit_test(test_refuses_subjects),
	    cmocka_unit_test(test_leaves_no_openssl_errors),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

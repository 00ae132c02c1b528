/* OCSP held against OpenSSL: what its client asks is understood, what we answer it takes, and nothing else goes through. */
#include "x509_fixture.h"

#include "x509/ocsp.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <stdlib.h>

#define HOUR 3600

static struct fixture_ca ca, other;
static struct ocsp_issuer ids;
static struct key *responder;
static struct buf responder_der, ca_der;
static uint8_t key_hash[OCSP_KEY_HASH_LEN];
static int64_t now;

/* Serial number N as it is kept. */
static const uint8_t *
serial_of(unsigned n)
{
	static uint8_t serial[4][SERIAL_LEN];
	static unsigned turn;
	uint8_t *s = serial[turn++ % 4];

	memset(s, 0x5a, SERIAL_LEN);
	s[SERIAL_LEN - 1] = (uint8_t)n;
	s[SERIAL_LEN - 2] = (uint8_t)(n >> 8);
	return s;
}

static OCSP_CERTID *
id_of(const struct fixture_ca *by, const EVP_MD *md, const uint8_t *serial)
{
	BIGNUM *bn = BN_bin2bn(serial, SERIAL_LEN, NULL);
	ASN1_INTEGER *integer = BN_to_ASN1_INTEGER(bn, NULL);
	OCSP_CERTID *id =
	    OCSP_cert_id_new(md, X509_get_subject_name(by->cert), X509_get0_pubkey_bitstr(by->cert), integer);

	assert_non_null(id);
	ASN1_INTEGER_free(integer);
	BN_free(bn);
	return id;
}

/* A request by OpenSSL about N certificates from FIRST on. NONCE of that many octets; -1: none. */
static OCSP_REQUEST *
request_of(const struct fixture_ca *by, const EVP_MD *md, unsigned first, unsigned n, int nonce)
{
	OCSP_REQUEST *req = OCSP_REQUEST_new();
	uint8_t bytes[256];
	unsigned i;

	memset(bytes, 0x77, sizeof bytes);
	for (i = 0; i < n; i++)
		assert_non_null(OCSP_request_add0_id(req, id_of(by, md, serial_of(first + i))));
	if (nonce >= 0)
		assert_int_equal(OCSP_request_add1_nonce(req, bytes, nonce), 1);
	return req;
}

static void
request_der(OCSP_REQUEST *req, struct buf *out)
{
	uint8_t *der = NULL;
	int len = i2d_OCSP_REQUEST(req, &der);

	assert_true(len > 0);
	buf_reset(out);
	buf_append(out, der, (size_t)len);
	OPENSSL_free(der);
	OCSP_REQUEST_free(req);
}

static int
setup(void **state)
{
	struct cert_spec spec = {.common_name = "Muster OCSP", .key_usage = KU_DIGITAL_SIGNATURE,
	    .ext_key_usage = EKU_OCSP_SIGNING};
	struct buf tbs = {0};
	struct err err = {0};
	uint8_t *der;
	size_t len;

	(void)state;
	now = time(NULL);
	fixture_ca_init(&ca, KEY_EC_P384);
	fixture_ca_init(&other, KEY_EC_P256);
	der = fixture_der(ca.cert, &len);
	buf_append(&ca_der, der, len);
	OPENSSL_free(der);
	assert_ok(ocsp_issuer_init(&ids, &ca.issuer, &err));
	assert_ok(key_generate(KEY_EC_P256, &responder, &err));
	spec.spki = key_spki(responder, &spec.spki_len);
	spec.not_before = now - HOUR;
	spec.not_after = now + 24 * HOUR;
	assert_ok(cert_serial_make(spec.serial, &err));
	assert_ok(cert_tbs_build(&spec, &ca.issuer, &tbs, &err));
	assert_ok(cert_sign(tbs.data, tbs.len, ca.key, &responder_der, &err));
	assert_ok(ocsp_key_hash(key_hash, spec.spki, spec.spki_len, &err));
	buf_clear(&tbs);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	fixture_ca_clear(&ca);
	fixture_ca_clear(&other);
	key_free(responder);
	buf_clear(&responder_der);
	buf_clear(&ca_der);
	return 0;
}

/* ---- requests ------------------------------------------------------------------------------------------------ */

static void
test_reads_what_openssl_asks(void **state)
{
	const EVP_MD *const mds[OCSP_HASHES] = {EVP_sha1(), EVP_sha256()};
	static const unsigned counts[] = {1, 2, 5, OCSP_IDS_MAX};
	static const int nonces[] = {-1, 1, 16, 128};
	struct ocsp_request req;
	struct buf der = {0};
	struct err err = {0};
	size_t h, c, k, i;

	(void)state;
	for (h = 0; h < OCSP_HASHES; h++)
		for (c = 0; c < 4; c++)
			for (k = 0; k < 4; k++) {
				request_der(request_of(&ca, mds[h], 7, counts[c], nonces[k]), &der);
				assert_ok(ocsp_request_read(der.data, der.len, OCSP_IDS_MAX, &req, &err));
				assert_int_equal(req.n, counts[c]);
				assert_int_equal(req.nonce.len, nonces[k] < 0 ? 0 : nonces[k]);
				for (i = 0; i < req.n; i++) {
					assert_int_equal(req.ids[i].hash, h);
					assert_true(ocsp_id_is_of(&req.ids[i], &ids));
					assert_memory_equal(req.ids[i].serial, serial_of(7 + (unsigned)i), SERIAL_LEN);
				}
			}
	buf_clear(&der);
}

static void
test_our_request_is_one(void **state)
{
	struct buf ours = {0}, theirs = {0};

	(void)state;
	ocsp_request_put(&ours, &ids, serial_of(9));
	request_der(request_of(&ca, EVP_sha1(), 9, 1, -1), &theirs);
	assert_int_equal(ours.len, theirs.len);
	assert_memory_equal(ours.data, theirs.data, ours.len);
	buf_clear(&ours);
	buf_clear(&theirs);
}

/* A signature and a name are nothing to us; nor is an extension that is not critical. */
static void
test_reads_what_it_need_not_understand(void **state)
{
	OCSP_REQUEST *req = request_of(&ca, EVP_sha1(), 1, 1, 8);
	EVP_PKEY *pkey = fixture_pkey(ca.key);
	char basic[] = "basicOCSPResponse", *types[] = {basic, NULL};
	X509_EXTENSION *accept = OCSP_accept_responses_new(types);
	struct ocsp_request got;
	struct buf der = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(OCSP_request_set1_name(req, X509_get_subject_name(other.cert)), 1);
	assert_int_equal(OCSP_REQUEST_add_ext(req, accept, -1), 1);
	assert_int_equal(OCSP_request_sign(req, ca.cert, pkey, EVP_sha256(), NULL, 0), 1);
	X509_EXTENSION_free(accept);
	request_der(req, &der);
	assert_ok(ocsp_request_read(der.data, der.len, 1, &got, &err));
	assert_int_equal(got.n, 1);
	assert_int_equal(got.nonce.len, 8);
	EVP_PKEY_free(pkey);
	buf_clear(&der);
}

/* G1: the digests of another issuer, one that only half fits, and a digest that nobody here makes. */
static void
test_another_issuer(void **state)
{
	struct ocsp_request req;
	struct ocsp_id id;
	struct buf der = {0};
	struct err err = {0};

	(void)state;
	request_der(request_of(&other, EVP_sha1(), 1, 1, -1), &der);
	assert_ok(ocsp_request_read(der.data, der.len, 1, &req, &err));
	assert_false(ocsp_id_is_of(&req.ids[0], &ids));
	request_der(request_of(&ca, EVP_sha512(), 1, 1, -1), &der);
	assert_ok(ocsp_request_read(der.data, der.len, 1, &req, &err));
	assert_int_equal(req.ids[0].hash, OCSP_HASHES);
	assert_false(ocsp_id_is_of(&req.ids[0], &ids));
	request_der(request_of(&ca, EVP_sha1(), 1, 1, -1), &der);
	assert_ok(ocsp_request_read(der.data, der.len, 1, &req, &err));
	id = req.ids[0];
	id.key_hash.len--;
	assert_false(ocsp_id_is_of(&id, &ids));
	id = req.ids[0];
	id.name_hash = id.key_hash;
	assert_false(ocsp_id_is_of(&id, &ids));
	id = req.ids[0];
	id.hash = OCSP_SHA256;
	assert_false(ocsp_id_is_of(&id, &ids));
	buf_clear(&der);
}

/* G2: one certificate more than may be, and a thousand. */
static void
test_too_many(void **state)
{
	struct ocsp_request req;
	struct buf der = {0};
	struct err err = {0};

	(void)state;
	request_der(request_of(&ca, EVP_sha1(), 0, 6, -1), &der);
	assert_ok(ocsp_request_read(der.data, der.len, 6, &req, &err));
	assert_int_equal(ocsp_request_read(der.data, der.len, 5, &req, &err), E_LIMIT);
	request_der(request_of(&ca, EVP_sha1(), 0, OCSP_IDS_MAX + 1, -1), &der);
	assert_int_equal(ocsp_request_read(der.data, der.len, 100000, &req, &err), E_LIMIT);
	request_der(request_of(&ca, EVP_sha1(), 0, 1000, -1), &der);
	assert_int_equal(ocsp_request_read(der.data, der.len, OCSP_IDS_MAX, &req, &err), E_LIMIT);
	buf_clear(&der);
}

static int
read_request(const uint8_t *der, size_t len)
{
	uint8_t *copy = malloc(len + (len == 0)); /* ASan watches its end */
	struct ocsp_request req;
	struct err err = {0};
	int rc;

	assert_non_null(copy);
	memcpy(copy, der, len);
	rc = ocsp_request_read(copy, len, OCSP_IDS_MAX, &req, &err);
	free(copy);
	return rc;
}

/* G3: nothing that is cut, longer, or another form of the same. */
static void
test_malformed(void **state)
{
	struct buf der = {0}, longer = {0};
	size_t i;
	int bit;

	(void)state;
	request_der(request_of(&ca, EVP_sha1(), 1, 2, 16), &der);
	assert_int_equal(read_request(der.data, der.len), 0);
	for (i = 0; i < der.len; i++)
		assert_int_equal(read_request(der.data, i), E_INPUT);
	buf_append(&longer, der.data, der.len);
	buf_byte(&longer, 0);
	assert_int_equal(read_request(longer.data, longer.len), E_INPUT);
	for (i = 0; i < der.len; i++)
		for (bit = 0; bit < 8; bit++) { /* whatever it says, nothing is read that is not there */
			der.data[i] ^= (uint8_t)(1 << bit);
			(void)read_request(der.data, der.len);
			der.data[i] ^= (uint8_t)(1 << bit);
		}
	buf_clear(&der);
	buf_clear(&longer);
}

/* RFC 9654: a nonce has 1 to 128 octets and is there once. */
static void
test_nonces_that_are_none(void **state)
{
	uint8_t raw[] = {1, 2, 3};
	ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
	X509_EXTENSION *ext;
	OCSP_REQUEST *req;
	struct buf der = {0};

	(void)state;
	request_der(request_of(&ca, EVP_sha1(), 1, 1, 129), &der);
	assert_int_equal(read_request(der.data, der.len), E_INPUT);
	/* empty, and one without its own OCTET STRING */
	req = request_of(&ca, EVP_sha1(), 1, 1, -1);
	assert_int_equal(ASN1_OCTET_STRING_set(octets, (const uint8_t *)"\x04\x00", 2), 1);
	assert_non_null(ext = X509_EXTENSION_create_by_NID(NULL, NID_id_pkix_OCSP_Nonce, 0, octets));
	assert_int_equal(OCSP_REQUEST_add_ext(req, ext, -1), 1);
	X509_EXTENSION_free(ext);
	request_der(req, &der);
	assert_int_equal(read_request(der.data, der.len), E_INPUT);
	req = request_of(&ca, EVP_sha1(), 1, 1, -1);
	assert_int_equal(ASN1_OCTET_STRING_set(octets, raw, sizeof raw), 1);
	assert_non_null(ext = X509_EXTENSION_create_by_NID(NULL, NID_id_pkix_OCSP_Nonce, 0, octets));
	assert_int_equal(OCSP_REQUEST_add_ext(req, ext, -1), 1);
	request_der(req, &der);
	assert_int_equal(read_request(der.data, der.len), E_INPUT);
	/* two */
	req = request_of(&ca, EVP_sha1(), 1, 1, 16);
	assert_int_equal(OCSP_REQUEST_add_ext(req, ext, -1), 1);
	request_der(req, &der);
	assert_int_equal(read_request(der.data, der.len), E_INPUT);
	X509_EXTENSION_free(ext);
	ASN1_OCTET_STRING_free(octets);
	buf_clear(&der);
}

static void
expect_refused(const uint8_t *id, size_t id_len)
{
	struct buf der = {0};
	int i;

	buf_append(&der, id, id_len);
	for (i = 0; i < 5; i++)
		der_wrap(&der, 0, DER_SEQUENCE);
	assert_int_equal(read_request(der.data, der.len), E_INPUT);
	buf_clear(&der);
}

/* Serials that no certificate can have, a critical extension, an empty list, too many bytes. */
static void
test_refused(void **state)
{
	static const uint8_t negative[] = {0x30, 0x07, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x04, 0x01, 0xaa, 0x04, 0x01,
	    0xbb, 0x02, 0x01, 0x80};
	static const uint8_t padded[] = {0x30, 0x07, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x04, 0x01, 0xaa, 0x04, 0x01,
	    0xbb, 0x02, 0x02, 0x00, 0x01};
	static const uint8_t long_serial[] = {0x30, 0x07, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x04, 0x01, 0xaa, 0x04,
	    0x01, 0xbb, 0x02, 21, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
	OCSP_REQUEST *req = request_of(&ca, EVP_sha1(), 1, 1, -1);
	uint8_t *large = calloc(1, OCSP_REQUEST_MAX + 1);
	ASN1_IA5STRING *comment = ASN1_IA5STRING_new();
	struct ocsp_request got;
	struct buf der = {0};
	struct err err = {0};

	(void)state;
	expect_refused(negative, sizeof negative);
	expect_refused(padded, sizeof padded);
	expect_refused(long_serial, sizeof long_serial);
	assert_int_equal(OCSP_REQUEST_add1_ext_i2d(req, NID_netscape_comment, comment, 1, 0), 1);
	ASN1_IA5STRING_free(comment);
	request_der(req, &der);
	assert_int_equal(read_request(der.data, der.len), E_INPUT);
	request_der(request_of(&ca, EVP_sha1(), 1, 0, -1), &der);
	assert_int_equal(read_request(der.data, der.len), E_INPUT);
	assert_int_equal(ocsp_request_read(large, OCSP_REQUEST_MAX + 1, 1, &got, &err), E_LIMIT);
	free(large);
	buf_clear(&der);
}

/* ---- answers ------------------------------------------------------------------------------------------------- */

static struct ocsp_spec
spec_of(const struct ocsp_single *singles, size_t n)
{
	return (struct ocsp_spec){.issuer = &ids, .responder_key_hash = key_hash, .this_update = now,
	    .next_update = now + HOUR, .singles = singles, .n = n};
}

static struct ocsp_single
single_of(unsigned n, enum ocsp_status status, enum crl_reason reason)
{
	struct ocsp_single single = {.hash = n % 2 == 0 ? OCSP_SHA1 : OCSP_SHA256, .status = status, .reason = reason};

	memcpy(single.serial, serial_of(n), SERIAL_LEN);
	if (status == OCSP_REVOKED)
		single.revoked_at = now - 1000 - n;
	return single;
}

static OCSP_BASICRESP *
parse(const struct buf *der)
{
	const uint8_t *at = der->data;
	OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &at, (long)der->len);
	OCSP_BASICRESP *basic;
	uint8_t *again = NULL;
	int len;

	assert_non_null(response);
	assert_ptr_equal(at, der->data + der->len);
	assert_int_equal(OCSP_response_status(response), OCSP_RESPONSE_STATUS_SUCCESSFUL);
	assert_non_null(basic = OCSP_response_get1_basic(response));
	len = i2d_OCSP_RESPONSE(response, &again); /* DER is what it would have written */
	assert_int_equal(len, der->len);
	assert_memory_equal(again, der->data, der->len);
	OPENSSL_free(again);
	OCSP_RESPONSE_free(response);
	return basic;
}

static void
expect_single(OCSP_BASICRESP *basic, const struct ocsp_single *single)
{
	static const int statuses[] = {V_OCSP_CERTSTATUS_GOOD, V_OCSP_CERTSTATUS_REVOKED, V_OCSP_CERTSTATUS_UNKNOWN};
	OCSP_CERTID *id = id_of(&ca, single->hash == OCSP_SHA1 ? EVP_sha1() : EVP_sha256(), single->serial);
	ASN1_GENERALIZEDTIME *revoked, *from, *until;
	int status, reason;
	time_t at = (time_t)single->revoked_at;

	assert_int_equal(OCSP_resp_find_status(basic, id, &status, &reason, &revoked, &from, &until), 1);
	assert_int_equal(status, statuses[single->status]);
	at = (time_t)now;
	assert_int_equal(ASN1_TIME_cmp_time_t(from, at), 0);
	at = (time_t)(now + HOUR);
	assert_int_equal(ASN1_TIME_cmp_time_t(until, at), 0);
	if (single->status == OCSP_REVOKED) {
		at = (time_t)single->revoked_at;
		assert_int_equal(ASN1_TIME_cmp_time_t(revoked, at), 0);
		assert_int_equal(reason, single->reason == REASON_UNSPECIFIED ? -1 : (int)single->reason);
	}
	OCSP_CERTID_free(id);
}

static void
test_answers(void **state)
{
	const struct ocsp_single singles[] = {single_of(0, OCSP_GOOD, 0), single_of(1, OCSP_GOOD, 0),
	    single_of(2, OCSP_REVOKED, REASON_UNSPECIFIED), single_of(3, OCSP_REVOKED, REASON_KEY_COMPROMISE),
	    single_of(4, OCSP_REVOKED, REASON_CERTIFICATE_HOLD), single_of(5, OCSP_UNKNOWN, 0),
	    single_of(300, OCSP_UNKNOWN, 0)};
	const size_t n = sizeof singles / sizeof singles[0];
	X509_STORE *store = X509_STORE_new();
	OCSP_BASICRESP *basic;
	struct ocsp_spec spec;
	struct buf der = {0};
	struct err err = {0};
	size_t i;

	(void)state;
	assert_int_equal(X509_STORE_add_cert(store, ca.cert), 1);
	for (i = 0; i <= n; i++) { /* each alone, then all */
		buf_reset(&der);
		spec = i < n ? spec_of(&singles[i], 1) : spec_of(singles, n);
		assert_ok(ocsp_sign(&spec, responder, &responder_der, &der, &err));
		basic = parse(&der);
		assert_int_equal(OCSP_basic_verify(basic, NULL, store, 0), 1);
		assert_int_equal(OCSP_resp_count(basic), spec.n);
		if (i < n)
			expect_single(basic, &singles[i]);
		OCSP_BASICRESP_free(basic);
	}
	basic = parse(&der);
	for (i = 0; i < n; i++)
		expect_single(basic, &singles[i]);
	OCSP_BASICRESP_free(basic);
	X509_STORE_free(store);
	buf_clear(&der);
}

static void
test_nonce_is_echoed(void **state)
{
	static const int lens[] = {1, 16, 127, 128};
	const struct ocsp_single single = single_of(1, OCSP_GOOD, 0);
	struct ocsp_spec spec = spec_of(&single, 1);
	uint8_t nonce[OCSP_NONCE_MAX];
	OCSP_BASICRESP *basic;
	OCSP_REQUEST *req;
	struct buf der = {0};
	struct err err = {0};
	size_t i;

	(void)state;
	memset(nonce, 0x77, sizeof nonce);
	spec.nonce = nonce;
	for (i = 0; i < 4; i++) {
		buf_reset(&der);
		spec.nonce_len = (size_t)lens[i];
		assert_ok(ocsp_sign(&spec, responder, &responder_der, &der, &err));
		basic = parse(&der);
		req = request_of(&ca, EVP_sha256(), 1, 1, lens[i]);
		assert_int_equal(OCSP_check_nonce(req, basic), 1);
		OCSP_REQUEST_free(req);
		OCSP_BASICRESP_free(basic);
	}
	buf_clear(&der);
}

static void
test_refuses_specifications(void **state)
{
	struct ocsp_single single = single_of(2, OCSP_GOOD, 0);
	struct ocsp_spec spec = spec_of(&single, 1);
	struct buf der = {0};
	struct err err = {0};

	(void)state;
	buf_text(&der, "kept");
#define REFUSE(change) \
	do { \
		struct ocsp_single kept = single; \
		spec = spec_of(&single, 1); \
		change; \
		assert_int_equal(ocsp_sign(&spec, responder, &responder_der, &der, &err), E_INPUT); \
		single = kept; \
	} while (0)
	REFUSE(spec.n = 0);
	REFUSE(spec.n = OCSP_IDS_MAX + 1);
	REFUSE(spec.nonce_len = OCSP_NONCE_MAX + 1);
	REFUSE(spec.next_update = spec.this_update);
	REFUSE(spec.next_update = DER_TIME_MAX + 1);
	REFUSE(spec.this_update = -1);
	REFUSE(single.hash = OCSP_HASHES);
	REFUSE(single.status = OCSP_UNKNOWN + 1);
	REFUSE((single.status = OCSP_REVOKED, single.reason = (enum crl_reason)7));
#undef REFUSE
	assert_int_equal(der.len, 4);
	buf_clear(&der);
}

static void
test_errors(void **state)
{
	static const enum ocsp_error errors[] = {OCSP_MALFORMED, OCSP_INTERNAL, OCSP_TRY_LATER, OCSP_UNAUTHORIZED};
	OCSP_RESPONSE *response;
	struct buf der = {0};
	const uint8_t *at;
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++) {
		buf_reset(&der);
		ocsp_error_put(&der, errors[i]);
		at = der.data;
		assert_non_null(response = d2i_OCSP_RESPONSE(NULL, &at, (long)der.len));
		assert_int_equal(OCSP_response_status(response), errors[i]);
		OCSP_RESPONSE_free(response);
	}
	buf_clear(&der);
}

/* What doctor believes: not one of another issuer's, of another time, about another certificate, or with a bit turned. */
static void
test_verify(void **state)
{
	const struct ocsp_single single = single_of(2, OCSP_REVOKED, REASON_SUPERSEDED);
	struct ocsp_spec spec = spec_of(&single, 1);
	struct buf der = {0}, other_der = {0};
	struct ocsp_info info;
	struct err err = {0};
	uint8_t *raw;
	size_t len, i;

	(void)state;
	assert_ok(ocsp_sign(&spec, responder, &responder_der, &der, &err));
	assert_ok(ocsp_verify(der.data, der.len, &ca_der, single.serial, &info, &err));
	assert_int_equal(info.status, OCSP_REVOKED);
	assert_int_equal(info.this_update, now);
	assert_int_equal(info.next_update, now + HOUR);
	assert_int_equal(info.responder_not_after, now + 24 * HOUR);
	assert_int_equal(ocsp_verify(der.data, der.len, &ca_der, serial_of(4), &info, &err), E_INPUT);
	raw = fixture_der(other.cert, &len);
	buf_append(&other_der, raw, len);
	OPENSSL_free(raw);
	assert_int_equal(ocsp_verify(der.data, der.len, &other_der, single.serial, &info, &err), E_INPUT);
	for (i = 0; i < der.len; i += 7) {
		der.data[i] ^= 0x10;
		assert_true(ocsp_verify(der.data, der.len, &ca_der, single.serial, &info, &err) != 0 || i > 40);
		der.data[i] ^= 0x10;
	}
	spec.this_update = now - 3 * HOUR;
	spec.next_update = now - 2 * HOUR;
	buf_reset(&der);
	assert_ok(ocsp_sign(&spec, responder, &responder_der, &der, &err));
	assert_int_equal(ocsp_verify(der.data, der.len, &ca_der, single.serial, &info, &err), E_INPUT);
	buf_reset(&der);
	ocsp_error_put(&der, OCSP_TRY_LATER);
	assert_int_equal(ocsp_verify(der.data, der.len, &ca_der, single.serial, &info, &err), E_INPUT);
	assert_non_null(strstr(err.text, "trylater"));
	buf_clear(&der);
	buf_clear(&other_der);
}

/* libssl reads this queue after each call. */
static void
test_leaves_no_openssl_errors(void **state)
{
	struct ocsp_info info;

	(void)state;
	assert_int_equal(ocsp_verify((const uint8_t *)"0", 1, &ca_der, serial_of(4), &info, NULL), E_INPUT);
	assert_int_equal(ERR_peek_error(), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_reads_what_openssl_asks),
	    cmocka_unit_test(test_our_request_is_one),
	    cmocka_unit_test(test_reads_what_it_need_not_understand),
	    cmocka_unit_test(test_another_issuer),
	    cmocka_unit_test(test_too_many),
	    cmocka_unit_test(test_malformed),
	    cmocka_unit_test(test_nonces_that_are_none),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_answers),
	    cmocka_unit_test(test_nonce_is_echoed),
	    cmocka_unit_test(test_refuses_specifications),
	    cmocka_unit_test(test_errors),
	    cmocka_unit_test(test_verify),
	    cmocka_unit_test(test_leaves_no_openssl_errors),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

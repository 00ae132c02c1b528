#include "x509_fixture.h"

#include <openssl/err.h>

#include "x509/crl.h"
#include "x509/der.h"
#include "x509/ext.h"

#define NUMBER 0x1122334455667788U
#define NEXT (FIXTURE_NOW + 86400)
#define TIME_2050 2524608000LL /* 2050-01-01T00:00:00Z */
#define MANY 100000

static struct fixture_ca ca, ca384, ca_rsa;

static int
setup(void **state)
{
	(void)state;
	fixture_ca_init(&ca, KEY_EC_P256);
	fixture_ca_init(&ca384, KEY_EC_P384);
	fixture_ca_init(&ca_rsa, KEY_RSA_2048);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	fixture_ca_clear(&ca);
	fixture_ca_clear(&ca384);
	fixture_ca_clear(&ca_rsa);
	return 0;
}

static struct crl_entry
entry_of(uint8_t n, enum crl_reason reason)
{
	return (struct crl_entry){
	    .serial = {0x41, n}, .revoked_at = FIXTURE_NOW - 1000 + n, .reason = reason};
}

static void
sign(const struct crl *crl, const struct fixture_ca *by, struct buf *der_out)
{
	struct err err = {0};

	assert_ok(crl_sign(crl, &by->issuer, NUMBER, FIXTURE_NOW, NEXT, by->key, der_out, &err));
}

/* A list of one entry. */
static struct buf
plain(void)
{
	struct crl_entry entry = entry_of(1, REASON_KEY_COMPROMISE);
	struct buf der = {0};
	struct crl crl = {0};

	crl_add(&crl, &entry);
	sign(&crl, &ca, &der);
	crl_clear(&crl);
	return der;
}

static X509_CRL *
parse(const struct buf *der)
{
	const uint8_t *at = der->data;
	X509_CRL *crl = d2i_X509_CRL(NULL, &at, (long)der->len);

	assert_non_null(crl);
	assert_ptr_equal(at, der->data + der->len);
	return crl;
}

static void
refuse(const void *data, size_t len, const struct cert_issuer *issuer, const char *text)
{
	struct crl_info info, untouched;
	struct err err = {0};
	uint8_t *copy = test_malloc(len + 1); /* so that ASan sees a read beyond it */

	memset(&info, 0x77, sizeof info);
	memcpy(&untouched, &info, sizeof info);
	if (len > 0)
		memcpy(copy + 1, data, len);
	assert_int_equal(crl_info_read(copy + 1, len, issuer, &info, &err), E_INPUT);
	if (strstr(err.text, text) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", text, err.text);
	assert_memory_equal(&info, &untouched, sizeof info);
	test_free(copy);
}

static void
refuse_buf(struct buf *der, const struct cert_issuer *issuer, const char *text)
{
	refuse(der->data, der->len, issuer, text);
	buf_clear(der);
}

static void
check_extensions(X509_CRL *x, const struct fixture_ca *by)
{
	AUTHORITY_KEYID *akid;
	ASN1_INTEGER *number;
	uint64_t value;
	int critical;

	assert_int_equal(X509_CRL_get_ext_count(x), 2);
	akid = X509_CRL_get_ext_d2i(x, NID_authority_key_identifier, &critical, NULL);
	assert_non_null(akid);
	assert_int_equal(critical, 0);
	assert_int_equal(ASN1_OCTET_STRING_cmp(akid->keyid, X509_get0_subject_key_id(by->cert)), 0);
	assert_non_null(number = X509_CRL_get_ext_d2i(x, NID_crl_number, &critical, NULL));
	assert_int_equal(critical, 0);
	assert_int_equal(ASN1_INTEGER_get_uint64(&value, number), 1);
	assert_true(value == NUMBER);
	ASN1_INTEGER_free(number);
	AUTHORITY_KEYID_free(akid);
}

static void
check_entry(X509_REVOKED *revoked, const struct crl_entry *want)
{
	const ASN1_INTEGER *serial = X509_REVOKED_get0_serialNumber(revoked);
	ASN1_ENUMERATED *reason;
	int critical;

	assert_int_equal(ASN1_STRING_length(serial), SERIAL_LEN);
	assert_memory_equal(ASN1_STRING_get0_data(serial), want->serial, SERIAL_LEN);
	assert_int_equal(
	    ASN1_TIME_cmp_time_t(X509_REVOKED_get0_revocationDate(revoked), want->revoked_at), 0);
	if (want->reason == REASON_UNSPECIFIED) {
		assert_int_equal(X509_REVOKED_get_ext_count(revoked), 0);
		return;
	}
	assert_int_equal(X509_REVOKED_get_ext_count(revoked), 1);
	reason = X509_REVOKED_get_ext_d2i(revoked, NID_crl_reason, &critical, NULL);
	assert_non_null(reason);
	assert_int_equal(critical, 0);
	assert_int_equal(ASN1_ENUMERATED_get(reason), want->reason);
	ASN1_ENUMERATED_free(reason);
}

static const enum crl_reason listed[] = {REASON_UNSPECIFIED, REASON_KEY_COMPROMISE,
    REASON_CA_COMPROMISE, REASON_AFFILIATION_CHANGED, REASON_SUPERSEDED,
    REASON_CESSATION_OF_OPERATION, REASON_CERTIFICATE_HOLD, REASON_PRIVILEGE_WITHDRAWN,
    REASON_AA_COMPROMISE};
#define N_LISTED (sizeof listed / sizeof listed[0])

static void
check_list(const struct fixture_ca *by)
{
	EVP_PKEY *pkey = X509_get_pubkey(by->cert);
	struct buf der = {0};
	struct crl crl = {0};
	struct crl_entry entries[N_LISTED];
	struct crl_info info;
	struct err err = {0};
	X509_CRL *x;
	size_t i;

	for (i = 0; i < N_LISTED; i++) {
		entries[i] = entry_of((uint8_t)i, listed[i]);
		crl_add(&crl, &entries[i]);
	}
	sign(&crl, by, &der);
	x = parse(&der);
	assert_int_equal(X509_CRL_verify(x, pkey), 1);
	assert_int_equal(X509_CRL_get_version(x), 1);
	assert_int_equal(X509_NAME_cmp(X509_CRL_get_issuer(x), X509_get_subject_name(by->cert)), 0);
	assert_int_equal(ASN1_TIME_cmp_time_t(X509_CRL_get0_lastUpdate(x), FIXTURE_NOW), 0);
	assert_int_equal(ASN1_TIME_cmp_time_t(X509_CRL_get0_nextUpdate(x), NEXT), 0);
	check_extensions(x, by);
	assert_int_equal(sk_X509_REVOKED_num(X509_CRL_get_REVOKED(x)), N_LISTED);
	for (i = 0; i < N_LISTED; i++)
		check_entry(sk_X509_REVOKED_value(X509_CRL_get_REVOKED(x), (int)i), &entries[i]);

	assert_ok(crl_info_read(der.data, der.len, &by->issuer, &info, &err));
	assert_true(info.number == NUMBER && info.n_entries == N_LISTED);
	assert_true(info.this_update == FIXTURE_NOW && info.next_update == NEXT);
	X509_CRL_free(x);
	EVP_PKEY_free(pkey);
	crl_clear(&crl);
	buf_clear(&der);
}

static void
test_openssl_reads_what_we_sign(void **state)
{
	(void)state;
	check_list(&ca);
	check_list(&ca384);
	check_list(&ca_rsa);
}

static X509 *
leaf(const uint8_t *serial)
{
	struct cert_spec spec = {
	    .not_before = FIXTURE_NOW,
	    .not_after = FIXTURE_NOW + FIXTURE_YEAR,
	    .common_name = "device",
	    .key_usage = KU_DIGITAL_SIGNATURE,
	    .ext_key_usage = EKU_CLIENT_AUTH,
	};
	struct buf tbs = {0}, der = {0};
	struct err err = {0};
	const uint8_t *at;
	X509 *x;

	memcpy(spec.serial, serial, SERIAL_LEN);
	spec.spki = key_spki(ca384.key, &spec.spki_len);
	assert_ok(cert_tbs_build(&spec, &ca.issuer, &tbs, &err));
	assert_ok(cert_sign(tbs.data, tbs.len, ca.key, &der, &err));
	at = der.data;
	assert_non_null(x = d2i_X509(NULL, &at, (long)der.len));
	buf_clear(&tbs);
	buf_clear(&der);
	return x;
}

/* The verdict of a relying party that has our list. */
static int
verdict(const uint8_t *serial, X509_CRL *crl, int64_t now)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509 *cert = leaf(serial);
	int error;

	assert_int_equal(X509_STORE_add_cert(store, ca.cert), 1);
	assert_int_equal(X509_STORE_add_crl(store, crl), 1);
	assert_int_equal(X509_STORE_CTX_init(ctx, store, cert, NULL), 1);
	X509_STORE_CTX_set_time(ctx, 0, now);
	X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_X509_STRICT);
	(void)X509_verify_cert(ctx);
	error = X509_STORE_CTX_get_error(ctx);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	X509_free(cert);
	return error;
}

/* removeFromCRL and what is no reason at all have no place in a full list, but their entries do. */
static void
test_every_entry_is_revoked(void **state)
{
	static const enum crl_reason reasons[] = {REASON_KEY_COMPROMISE, REASON_CERTIFICATE_HOLD,
	    REASON_REMOVE_FROM_CRL, (enum crl_reason)7, (enum crl_reason)11, (enum crl_reason)256,
	    (enum crl_reason)264, (enum crl_reason) - 1};
	struct crl_entry entry, absent = entry_of(99, REASON_UNSPECIFIED);
	struct buf der = {0};
	struct crl crl = {0};
	X509_REVOKED *revoked;
	X509_CRL *x;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
		entry = entry_of((uint8_t)i, reasons[i]);
		crl_add(&crl, &entry);
	}
	sign(&crl, &ca, &der);
	x = parse(&der);
	for (i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
		entry = entry_of((uint8_t)i, reasons[i]);
		assert_int_equal(
		    verdict(entry.serial, x, FIXTURE_NOW + 1), X509_V_ERR_CERT_REVOKED);
		revoked = sk_X509_REVOKED_value(X509_CRL_get_REVOKED(x), (int)i);
		assert_int_equal(X509_REVOKED_get_ext_count(revoked), i < 2);
	}
	assert_int_equal(verdict(absent.serial, x, FIXTURE_NOW + 1), X509_V_OK);
	assert_int_equal(verdict(absent.serial, x, NEXT + 1), X509_V_ERR_CRL_HAS_EXPIRED);
	assert_int_equal(verdict(absent.serial, x, FIXTURE_NOW - 1), X509_V_ERR_CRL_NOT_YET_VALID);
	X509_CRL_free(x);
	crl_clear(&crl);
	buf_clear(&der);
}

/* G8: an empty list omits revokedCertificates; OpenSSL would not tell an empty SEQUENCE from that.
 */
static void
test_empty_list(void **state)
{
	struct der d, list, tbs, ignored;
	struct crl_entry any = entry_of(1, REASON_UNSPECIFIED);
	struct buf der = {0};
	struct crl crl = {0};
	struct crl_info info;
	struct err err = {0};
	int64_t when;
	X509_CRL *x;

	(void)state;
	sign(&crl, &ca, &der);
	x = parse(&der);
	assert_int_equal(verdict(any.serial, x, FIXTURE_NOW + 1), X509_V_OK);
	assert_ok(crl_info_read(der.data, der.len, &ca.issuer, &info, &err));
	assert_true(info.n_entries == 0 && info.number == NUMBER);
	d = (struct der){der.data, der.len};
	assert_true(der_get(&d, DER_SEQUENCE, &list) && der_get(&list, DER_SEQUENCE, &tbs) &&
		    der_get_unsigned(&tbs, &ignored) && der_get(&tbs, DER_SEQUENCE, &ignored) &&
		    der_get(&tbs, DER_SEQUENCE, &ignored) && der_get_time(&tbs, &when) &&
		    der_get_time(&tbs, &when));
	assert_int_equal(der_peek(&tbs), DER_CONTEXT(0));
	X509_CRL_free(x);
	buf_clear(&der);
}

static void
test_times_from_2050(void **state)
{
	struct crl_entry before = entry_of(1, 0), after = entry_of(2, 0);
	struct buf der = {0};
	struct crl crl = {0};
	struct crl_info info;
	struct err err = {0};
	X509_CRL *x;

	(void)state;
	before.revoked_at = TIME_2050 - 1;
	after.revoked_at = TIME_2050;
	crl_add(&crl, &before);
	crl_add(&crl, &after);
	assert_ok(crl_sign(&crl, &ca.issuer, 1, TIME_2050 - 1, TIME_2050, ca.key, &der, &err));
	x = parse(&der);
	assert_int_equal(ASN1_STRING_type(X509_CRL_get0_lastUpdate(x)), V_ASN1_UTCTIME);
	assert_int_equal(ASN1_STRING_type(X509_CRL_get0_nextUpdate(x)), V_ASN1_GENERALIZEDTIME);
	check_entry(sk_X509_REVOKED_value(X509_CRL_get_REVOKED(x), 0), &before);
	check_entry(sk_X509_REVOKED_value(X509_CRL_get_REVOKED(x), 1), &after);
	assert_ok(crl_info_read(der.data, der.len, &ca.issuer, &info, &err));
	assert_true(info.this_update == TIME_2050 - 1 && info.next_update == TIME_2050);
	X509_CRL_free(x);
	crl_clear(&crl);
	buf_clear(&der);
}

static void
test_numbers(void **state)
{
	static const uint64_t numbers[] = {0, 1, 127, 128, 255, 256, UINT64_MAX};
	struct buf der = {0};
	struct crl crl = {0};
	struct crl_info info;
	struct err err = {0};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
		buf_reset(&der);
		assert_ok(
		    crl_sign(&crl, &ca.issuer, numbers[i], FIXTURE_NOW, NEXT, ca.key, &der, &err));
		X509_CRL_free(parse(&der));
		assert_ok(crl_info_read(der.data, der.len, NULL, &info, &err));
		assert_true(info.number == numbers[i]);
	}
	buf_clear(&der);
}

/* Serial numbers that others issued are shorter. */
static void
test_short_serials(void **state)
{
	struct crl_entry entry = {.revoked_at = FIXTURE_NOW, .serial = {[SERIAL_LEN - 1] = 0x80}};
	struct buf der = {0};
	struct crl crl = {0};
	X509_REVOKED *revoked;
	struct crl_info info;
	struct err err = {0};
	uint64_t value;
	X509_CRL *x;

	(void)state;
	crl_add(&crl, &entry);
	sign(&crl, &ca, &der);
	x = parse(&der);
	revoked = sk_X509_REVOKED_value(X509_CRL_get_REVOKED(x), 0);
	assert_int_equal(
	    ASN1_INTEGER_get_uint64(&value, X509_REVOKED_get0_serialNumber(revoked)), 1);
	assert_true(value == 0x80);
	assert_ok(crl_info_read(der.data, der.len, &ca.issuer, &info, &err));
	X509_CRL_free(x);
	crl_clear(&crl);
	buf_clear(&der);
}

static void
test_many_entries(void **state)
{
	struct crl_entry entry = entry_of(0, REASON_CESSATION_OF_OPERATION);
	struct buf der = {0};
	struct crl crl = {0};
	struct crl_info info;
	struct err err = {0};
	X509_CRL *x;
	uint32_t i;

	(void)state;
	for (i = 0; i < MANY; i++) {
		memcpy(entry.serial + 4, &i, sizeof i);
		crl_add(&crl, &entry);
	}
	assert_true(crl.n_entries == MANY);
	buf_text(&der, "kept");
	sign(&crl, &ca, &der);
	assert_memory_equal(der.data, "kept", 4);
	buf_consume(&der, 4);
	assert_ok(crl_info_read(der.data, der.len, &ca.issuer, &info, &err));
	assert_true(info.n_entries == MANY);
	x = parse(&der);
	assert_int_equal(sk_X509_REVOKED_num(X509_CRL_get_REVOKED(x)), MANY);
	X509_CRL_free(x);
	der.data[der.len / 2] ^= 1; /* within an entry's serial number or date */
	assert_int_equal(crl_info_read(der.data, der.len, &ca.issuer, &info, &err), E_INPUT);
	crl_clear(&crl);
	assert_true(crl.n_entries == 0 && crl.entries.len == 0);
	buf_clear(&der);
}

static void
refuse_to_sign(
    const struct crl *crl, int64_t this_update, int64_t next_update, struct key *key, int code)
{
	struct buf der = {0};
	struct err err = {0};

	buf_text(&der, "kept");
	assert_int_equal(
	    crl_sign(crl, &ca.issuer, 1, this_update, next_update, key, &der, &err), code);
	assert_string_equal(buf_str(&der), "kept");
	assert_true(strlen(err.text) > 10);
	buf_clear(&der);
}

static void
test_refuses_to_sign(void **state)
{
	struct crl_entry never = entry_of(1, REASON_UNSPECIFIED);
	struct crl crl = {0};

	(void)state;
	refuse_to_sign(&crl, FIXTURE_NOW, FIXTURE_NOW, ca.key, E_INPUT);
	refuse_to_sign(&crl, FIXTURE_NOW, FIXTURE_NOW - 1, ca.key, E_INPUT);
	refuse_to_sign(&crl, -1, FIXTURE_NOW, ca.key, E_INPUT);
	refuse_to_sign(&crl, FIXTURE_NOW, 253402300800LL, ca.key, E_INPUT);
	refuse_to_sign(&crl, FIXTURE_NOW, INT64_MAX, ca.key, E_INPUT);
	refuse_to_sign(&crl, FIXTURE_NOW, NEXT, ca384.key, E_INPUT);
	refuse_to_sign(&crl, FIXTURE_NOW, NEXT, ca_rsa.key, E_INPUT);
	never.revoked_at = INT64_MAX; /* what cannot be encoded is never just missing */
	crl_add(&crl, &never);
	refuse_to_sign(&crl, FIXTURE_NOW, NEXT, ca.key, E_NOMEM);
	crl_clear(&crl);
}

static void
test_refuses_truncated_and_trailing(void **state)
{
	struct buf der = plain();
	size_t len;

	(void)state;
	for (len = 0; len < der.len; len++)
		refuse(der.data, len, NULL, "malformed");
	buf_byte(&der, 0);
	refuse(der.data, der.len, NULL, "malformed");
	buf_byte(&der, 0);
	refuse(der.data, der.len, NULL, "malformed");
	buf_clear(&der);
}

static void
test_refuses_every_flipped_bit(void **state)
{
	struct buf der = plain();
	size_t bit;

	(void)state;
	for (bit = 0; bit < 8 * der.len; bit++) {
		der.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		refuse(der.data, der.len, &ca.issuer, "");
		der.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	buf_clear(&der);
}

/* RFC 5280, section 5.1.1.2: the algorithm that is signed and the one that is not are the same. */
static void
test_refuses_two_algorithms(void **state)
{
	static const uint8_t sha256[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
	struct buf der = plain();
	uint8_t *inner, *outer;

	(void)state;
	assert_non_null(inner = memmem(der.data, der.len, sha256, sizeof sha256));
	outer = memmem(inner + 1, der.len - (size_t)(inner + 1 - der.data), sha256, sizeof sha256);
	assert_non_null(outer);
	outer[sizeof sha256 - 1] = 0x03; /* SHA-384 */
	refuse(der.data, der.len, NULL, "malformed");
	buf_clear(&der);
}

static void
test_refuses_other_issuers(void **state)
{
	struct fixture_ca imposter = ca;
	struct buf der = plain(), forged = {0};
	struct cert_issuer issuer = ca.issuer;
	struct crl_info info;
	struct crl crl = {0};
	struct err err = {0};

	(void)state;
	issuer.name[issuer.name_len - 1] ^= 1;
	refuse(der.data, der.len, &issuer, "another issuer's");
	/* Of the same name, as all of the fixture's are. */
	refuse(der.data, der.len, &ca384.issuer, "another algorithm");
	refuse(der.data, der.len, &ca_rsa.issuer, "another algorithm");
	assert_ok(key_generate(KEY_EC_P256, &imposter.key, &err));
	sign(&crl, &imposter, &forged);
	assert_ok(crl_info_read(forged.data, forged.len, NULL, &info, &err));
	refuse(forged.data, forged.len, &ca.issuer, "not its issuer's");
	key_free(imposter.key);
	buf_clear(&forged);
	buf_clear(&der);
}

/* A list by OpenSSL, as CHANGE made it. */
enum change {
	AS_OURS,
	NO_NUMBER,
	DELTA,
	UNKNOWN_CRITICAL,
	CRITICAL_IN_ENTRY,
	NO_EXTENSIONS,
	NO_NEXT_UPDATE,
	BY_SHA1,
	LONG_NUMBER,
	NEGATIVE_NUMBER
};

static void
add_number(X509_CRL *crl, int nid, const char *hex, int critical)
{
	ASN1_INTEGER *number = ASN1_INTEGER_new();
	BIGNUM *value = NULL;

	assert_true(BN_hex2bn(&value, hex) > 0);
	assert_non_null(BN_to_ASN1_INTEGER(value, number));
	assert_int_equal(X509_CRL_add1_ext_i2d(crl, nid, number, critical, 0), 1);
	BN_free(value);
	ASN1_INTEGER_free(number);
}

static void
add_revoked(X509_CRL *crl, bool critical)
{
	X509_REVOKED *revoked = X509_REVOKED_new();
	ASN1_ENUMERATED *reason = ASN1_ENUMERATED_new();
	ASN1_INTEGER *serial = ASN1_INTEGER_new();
	ASN1_TIME *at = ASN1_TIME_set(NULL, FIXTURE_NOW);

	assert_int_equal(ASN1_INTEGER_set(serial, 5), 1);
	assert_int_equal(ASN1_ENUMERATED_set(reason, REASON_SUPERSEDED), 1);
	assert_int_equal(X509_REVOKED_set_serialNumber(revoked, serial), 1);
	assert_int_equal(X509_REVOKED_set_revocationDate(revoked, at), 1);
	assert_int_equal(
	    X509_REVOKED_add1_ext_i2d(revoked, NID_crl_reason, reason, critical, 0), 1);
	assert_int_equal(X509_CRL_add0_revoked(crl, revoked), 1);
	ASN1_TIME_free(at);
	ASN1_INTEGER_free(serial);
	ASN1_ENUMERATED_free(reason);
}

static void
add_extensions(X509_CRL *crl, enum change change)
{
	ISSUING_DIST_POINT *point = ISSUING_DIST_POINT_new();

	if (change == DELTA)
		add_number(crl, NID_delta_crl, "01", 1);
	if (change == UNKNOWN_CRITICAL) {
		point->onlyuser = 1;
		assert_int_equal(
		    X509_CRL_add1_ext_i2d(crl, NID_issuing_distribution_point, point, 1, 0), 1);
	}
	if (change == NO_NUMBER) /* but another extension, so that there is a list */
		add_number(crl, NID_delta_crl, "01", 0);
	else if (change == LONG_NUMBER)
		add_number(crl, NID_crl_number, "010000000000000000", 0);
	else
		add_number(crl, NID_crl_number, change == NEGATIVE_NUMBER ? "-01" : "07", 0);
	ISSUING_DIST_POINT_free(point);
}

static struct buf
theirs(enum change change)
{
	EVP_PKEY *pkey = fixture_pkey(ca.key);
	ASN1_TIME *now = ASN1_TIME_set(NULL, FIXTURE_NOW), *next = ASN1_TIME_set(NULL, NEXT);
	X509_CRL *crl = X509_CRL_new();
	struct buf out = {0};
	uint8_t *der = NULL;
	int n;

	assert_int_equal(X509_CRL_set_version(crl, 1), 1);
	assert_int_equal(X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca.cert)), 1);
	assert_int_equal(X509_CRL_set1_lastUpdate(crl, now), 1);
	if (change != NO_NEXT_UPDATE)
		assert_int_equal(X509_CRL_set1_nextUpdate(crl, next), 1);
	add_revoked(crl, change == CRITICAL_IN_ENTRY);
	if (change != NO_EXTENSIONS)
		add_extensions(crl, change);
	assert_true(X509_CRL_sign(crl, pkey, change == BY_SHA1 ? EVP_sha1() : EVP_sha256()) > 0);
	n = i2d_X509_CRL(crl, &der);
	assert_true(n > 0);
	buf_append(&out, der, (size_t)n);
	OPENSSL_free(der);
	ASN1_TIME_free(now);
	ASN1_TIME_free(next);
	X509_CRL_free(crl);
	EVP_PKEY_free(pkey);
	return out;
}

/* D10 is one of them. Each is sound in OpenSSL's eyes and no full list of ours. */
static void
test_lists_by_openssl(void **state)
{
	static const struct {
		enum change change;
		const char *text;
	} bad[] = {{NO_NUMBER, "no number"}, {DELTA, "critical extension"},
	    {UNKNOWN_CRITICAL, "critical extension"}, {CRITICAL_IN_ENTRY, "malformed"},
	    {NO_EXTENSIONS, "malformed"}, {NO_NEXT_UPDATE, "malformed"}, {BY_SHA1, "malformed"},
	    {LONG_NUMBER, "number is malformed or beyond"},
	    {NEGATIVE_NUMBER, "number is malformed"}};
	struct crl_info info;
	struct err err = {0};
	struct buf der;
	size_t i;

	(void)state;
	der = theirs(AS_OURS);
	assert_ok(crl_info_read(der.data, der.len, &ca.issuer, &info, &err));
	assert_true(info.number == 7 && info.n_entries == 1);
	buf_clear(&der);
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		der = theirs(bad[i].change);
		refuse_buf(&der, NULL, bad[i].text);
	}
}

/* A list of the entries ENTRIES, by our own writer and soundly signed: what is refused is refused
 * for its form. */
static struct buf
with_entries(const char *entries, size_t len)
{
	struct crl crl = {.n_entries = 1};
	struct buf der = {0};

	buf_append(&crl.entries, entries, len);
	sign(&crl, &ca, &der);
	crl_clear(&crl);
	return der;
}

#define AT                                                                                         \
	"\x17\x0d"                                                                                 \
	"260101000000Z"
#define REASON(len, inner, value, n) "\x30" len "\x30" inner "\x06\x03\x55\x1d\x15\x04" n value

static void
test_entries(void **state)
{
	static const struct {
		const char *der;
		size_t len;
		bool good;
	} entries[] = {
	    {"\x30\x12\x02\x01\x05" AT, 20, true},
	    {"", 0, false}, /* G8: an empty SEQUENCE */
	    {"\x31\x12\x02\x01\x05" AT, 20, false},
	    {"\x30\x12\x02\x01\x85" AT, 20, false},   /* negative */
	    {"\x30\x12\x02\x01\0" AT, 20, false},     /* zero */
	    {"\x30\x11\x02\0" AT, 19, false},	      /* no number */
	    {"\x30\x13\x02\x02\0\x05" AT, 21, false}, /* a needless zero */
	    {"\x30\x03\x02\x01\x05", 5, false},	      /* no date */
	    {"\x30\x12\x02\x01\x05\x17\x0d"
	     "261301000000Z",
		20, false},
	    {"\x30\x14\x02\x01\x05" AT "\x30\0", 22, false}, /* no extension */
	    {"\x30\x14\x02\x01\x05" AT "\x05\0", 22, false}, /* not a list */
	    {"\x30\x12\x02\x01\x05" AT "\x05\0", 22, false}, /* not an entry behind it */
	    {"\x30\x80\x02\x01\x05" AT "\0\0", 22, false},   /* D8 */
	    {"\x30\x20\x02\x01\x05" AT REASON("\x0c", "\x0a", "\x0a\x01\x01", "\x03"), 34, true},
	    {"\x30\x20\x02\x01\x05" AT REASON("\x0c", "\x0a", "\x0a\x01\x07", "\x03"), 34, false},
	    {"\x30\x20\x02\x01\x05" AT REASON("\x0c", "\x0a", "\x02\x01\x01", "\x03"), 34, false},
	    {"\x30\x21\x02\x01\x05" AT REASON("\x0d", "\x0b", "\x0a\x02\0\x01", "\x04"), 35, false},
	};
	struct crl_info info;
	struct err err = {0};
	struct buf der;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof entries / sizeof entries[0]; i++) {
		der = with_entries(entries[i].der, entries[i].len);
		if (entries[i].good) {
			assert_ok(crl_info_read(der.data, der.len, &ca.issuer, &info, &err));
			assert_true(info.n_entries == 1);
			buf_clear(&der);
		} else {
			refuse_buf(&der, &ca.issuer, "malformed");
		}
	}
}

static void
test_serials_of_21_octets(void **state)
{
	struct buf entry = {0}, der;
	uint8_t serial[SERIAL_LEN + 1] = {0x41};

	(void)state;
	der_put_unsigned(&entry, serial, sizeof serial);
	der_put_time(&entry, FIXTURE_NOW);
	der_wrap(&entry, 0, DER_SEQUENCE);
	der = with_entries(buf_str(&entry), entry.len);
	refuse_buf(&der, &ca.issuer, "malformed");
	buf_clear(&entry);
}

static void
test_reason_names(void **state)
{
	static const char *const bad[] = {"", "keycompromise", "KeyCompromise", "keyCompromise ",
	    "key-compromise", "1", "7", "unused"};
	enum crl_reason reason = REASON_AA_COMPROMISE;
	size_t i;

	(void)state;
	for (i = 0; i < N_LISTED; i++) {
		assert_true(reason_parse(reason_name(listed[i]), &reason));
		assert_int_equal(reason, listed[i]);
	}
	assert_string_equal(reason_name(REASON_KEY_COMPROMISE), "keyCompromise");
	assert_string_equal(reason_name(REASON_CA_COMPROMISE), "cACompromise");
	assert_string_equal(reason_name(REASON_REMOVE_FROM_CRL), "removeFromCRL");
	assert_string_equal(reason_name((enum crl_reason)7), "unspecified");
	assert_string_equal(reason_name((enum crl_reason) - 1), "unspecified");
	reason = REASON_SUPERSEDED;
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(reason_parse(bad[i], &reason));
	assert_int_equal(reason, REASON_SUPERSEDED);
}

/* After refusals: libssl reads this queue after each call. */
static void
test_leaves_no_openssl_errors(void **state)
{
	struct buf der = plain();

	(void)state;
	ERR_clear_error();
	der.data[der.len - 1] ^= 1;
	refuse_buf(&der, &ca.issuer, "");
	assert_int_equal(ERR_peek_error(), 0);
}

static void
test_finds_serials(void **state)
{
	const struct crl_entry shorter = {.serial = {[SERIAL_LEN - 2] = 0x12, 0x34}, .revoked_at = FIXTURE_NOW};
	struct crl_entry entries[] = {entry_of(1, REASON_UNSPECIFIED), shorter, entry_of(2, REASON_KEY_COMPROMISE)};
	struct crl_entry absent = entry_of(3, REASON_UNSPECIFIED);
	struct buf der = {0}, none = {0};
	struct crl crl = {0};
	struct err err = {0};
	bool found;
	size_t i;

	(void)state;
	sign(&crl, &ca, &none);
	for (i = 0; i < 3; i++)
		crl_add(&crl, &entries[i]);
	sign(&crl, &ca, &der);
	for (i = 0; i < 3; i++) {
		found = false;
		assert_ok(crl_find(der.data, der.len, entries[i].serial, &found, &err));
		assert_true(found);
		assert_ok(crl_find(none.data, none.len, entries[i].serial, &found, &err));
		assert_false(found);
	}
	assert_ok(crl_find(der.data, der.len, absent.serial, &found, &err));
	assert_false(found);
	found = true;
	assert_int_equal(crl_find(der.data, der.len - 1, absent.serial, &found, &err), E_INPUT);
	assert_true(found); /* untouched */
	crl_clear(&crl);
	buf_clear(&der);
	buf_clear(&none);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_openssl_reads_what_we_sign),
	    cmocka_unit_test(test_every_entry_is_revoked),
	    cmocka_unit_test(test_empty_list),
	    cmocka_unit_test(test_times_from_2050),
	    cmocka_unit_test(test_numbers),
	    cmocka_unit_test(test_short_serials),
	    cmocka_unit_test(test_many_entries),
	    cmocka_unit_test(test_refuses_to_sign),
	    cmocka_unit_test(test_refuses_truncated_and_trailing),
	    cmocka_unit_test(test_refuses_every_flipped_bit),
	    cmocka_unit_test(test_refuses_two_algorithms),
	    cmocka_unit_test(test_refuses_other_issuers),
	    cmocka_unit_test(test_lists_by_openssl),
	    cmocka_unit_test(test_entries),
	    cmocka_unit_test(test_serials_of_21_octets),
	    cmocka_unit_test(test_reason_names),
	    cmocka_unit_test(test_leaves_no_openssl_errors),
	    cmocka_unit_test(test_finds_serials),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

#include "x509_fixture.h"

#include "x509/cacert.h"
#include "x509/crl.h"

#define KU_CA (X509v3_KU_KEY_CERT_SIGN | X509v3_KU_CRL_SIGN)

/* A root and an issuing CA below it, by our own means. */
struct pair {
	struct key *root_key, *issuing_key;
	struct buf root, issuing;
};

static struct pair cas;

static struct cacert_spec
root_spec(void)
{
	return (struct cacert_spec){
	    .serial = {0x41, 1},
	    .not_before = FIXTURE_NOW,
	    .not_after = FIXTURE_NOW + 20 * (int64_t)FIXTURE_YEAR,
	    .country = "CH",
	    .org = "Müller & \"Söhne\", AG",
	    .common_name = "Muster Root CA",
	};
}

static struct cacert_spec
issuing_spec(void)
{
	struct cacert_spec spec = root_spec();

	spec.serial[1] = 2;
	spec.not_after = FIXTURE_NOW + 10 * (int64_t)FIXTURE_YEAR;
	spec.common_name = "Muster Issuing CA";
	return spec;
}

static int
make_issuing(const struct cacert_spec *spec, struct buf *der_out, struct err *err)
{
	const uint8_t *spki;
	size_t len;

	spki = key_spki(cas.issuing_key, &len);
	return cacert_make_issuing(
	    spec, spki, len, cas.root.data, cas.root.len, cas.root_key, der_out, err);
}

static void
pair_make(struct pair *pair, enum key_kind root, enum key_kind issuing)
{
	struct cacert_spec spec = root_spec(), below = issuing_spec();
	struct err err = {0};
	const uint8_t *spki;
	size_t len;

	*pair = (struct pair){0};
	assert_ok(key_generate(root, &pair->root_key, &err));
	assert_ok(key_generate(issuing, &pair->issuing_key, &err));
	assert_ok(cacert_make_root(&spec, pair->root_key, &pair->root, &err));
	spki = key_spki(pair->issuing_key, &len);
	assert_ok(cacert_make_issuing(&below, spki, len, pair->root.data, pair->root.len,
	    pair->root_key, &pair->issuing, &err));
}

static void
pair_clear(struct pair *pair)
{
	key_free(pair->root_key);
	key_free(pair->issuing_key);
	buf_clear(&pair->root);
	buf_clear(&pair->issuing);
}

static int
setup(void **state)
{
	(void)state;
	pair_make(&cas, KEY_EC_P256, KEY_EC_P256);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	pair_clear(&cas);
	return 0;
}

static X509 *
parse(const struct buf *der)
{
	const uint8_t *at = der->data;
	X509 *cert = d2i_X509(NULL, &at, (long)der->len);

	assert_non_null(cert);
	assert_ptr_equal(at, der->data + der->len);
	return cert;
}

/* A device's certificate by the issuing CA. */
static X509 *
leaf(const struct pair *pair)
{
	struct cert_spec spec = {
	    .serial = {0x42},
	    .not_before = FIXTURE_NOW,
	    .not_after = FIXTURE_NOW + FIXTURE_YEAR,
	    .common_name = "device",
	    .key_usage = KU_DIGITAL_SIGNATURE,
	    .ext_key_usage = EKU_CLIENT_AUTH,
	};
	struct cert_issuer issuer;
	struct buf tbs = {0}, der = {0};
	struct err err = {0};
	X509 *cert;

	spec.spki = key_spki(pair->root_key, &spec.spki_len);
	assert_ok(cert_issuer_init(&issuer, pair->issuing.data, pair->issuing.len, NULL, &err));
	assert_ok(cert_tbs_build(&spec, &issuer, &tbs, &err));
	assert_ok(cert_sign(tbs.data, tbs.len, pair->issuing_key, &der, &err));
	cert = parse(&der);
	buf_clear(&tbs);
	buf_clear(&der);
	return cert;
}

/* CERT under the root, with those between. */
static int
verdict(X509 *cert, X509 *root, STACK_OF(X509) * between)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	int error;

	assert_int_equal(X509_STORE_add_cert(store, root), 1);
	assert_int_equal(X509_STORE_CTX_init(ctx, store, cert, between), 1);
	X509_STORE_CTX_set_time(ctx, 0, FIXTURE_NOW + 1000);
	X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_X509_STRICT | X509_V_FLAG_CHECK_SS_SIGNATURE);
	(void)X509_verify_cert(ctx);
	error = X509_STORE_CTX_get_error(ctx);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	return error;
}

static void
check_chain(enum key_kind root_kind, enum key_kind issuing_kind)
{
	STACK_OF(X509) *between = sk_X509_new_null();
	X509 *root, *issuing, *device;
	struct pair pair;

	pair_make(&pair, root_kind, issuing_kind);
	root = parse(&pair.root);
	issuing = parse(&pair.issuing);
	device = leaf(&pair);
	assert_int_equal(verdict(root, root, NULL), X509_V_OK);
	assert_int_equal(verdict(issuing, root, NULL), X509_V_OK);
	assert_int_not_equal(verdict(device, root, NULL), X509_V_OK);
	assert_true(sk_X509_push(between, issuing) > 0);
	assert_int_equal(verdict(device, root, between), X509_V_OK);
	sk_X509_free(between);
	X509_free(device);
	X509_free(issuing);
	X509_free(root);
	pair_clear(&pair);
}

static void
test_openssl_verifies_the_chain(void **state)
{
	(void)state;
	check_chain(KEY_EC_P256, KEY_EC_P256);
	check_chain(KEY_EC_P384, KEY_EC_P256);
	check_chain(KEY_RSA_2048, KEY_EC_P384);
	check_chain(KEY_EC_P256, KEY_RSA_2048);
}

static void
check_extensions(X509 *cert, long pathlen, int n)
{
	BASIC_CONSTRAINTS *basic;
	ASN1_BIT_STRING *usage;
	int critical;

	assert_int_equal(X509_get_version(cert), 2);
	assert_int_equal(X509_get_ext_count(cert), n);
	assert_non_null(basic = X509_get_ext_d2i(cert, NID_basic_constraints, &critical, NULL));
	assert_int_equal(critical, 1);
	assert_true(basic->ca != 0);
	assert_int_equal(X509_get_pathlen(cert), pathlen);
	assert_non_null(usage = X509_get_ext_d2i(cert, NID_key_usage, &critical, NULL));
	assert_int_equal(critical, 1);
	assert_int_equal(X509_get_key_usage(cert), KU_CA);
	assert_int_equal(X509_check_ca(cert), 1);
	assert_int_equal(X509_get_ext_by_NID(cert, NID_ext_key_usage, -1), -1);
	ASN1_BIT_STRING_free(usage);
	BASIC_CONSTRAINTS_free(basic);
}

static void
check_key_id(X509 *cert, const struct key *key)
{
	const ASN1_OCTET_STRING *id = X509_get0_subject_key_id(cert);
	uint8_t want[KEY_ID_LEN];
	const uint8_t *spki;
	size_t len;

	spki = key_spki(key, &len);
	spki_key_id(want, spki, len);
	assert_int_equal(ASN1_STRING_length(id), KEY_ID_LEN);
	assert_memory_equal(ASN1_STRING_get0_data(id), want, KEY_ID_LEN);
}

static void
check_fields(X509 *cert, const struct cacert_spec *spec)
{
	const char *const values[] = {spec->country, spec->org, spec->common_name};
	const X509_NAME *subject = X509_get_subject_name(cert);
	const ASN1_STRING *text;
	int i;

	assert_int_equal(ASN1_STRING_length(X509_get0_serialNumber(cert)), SERIAL_LEN);
	assert_memory_equal(
	    ASN1_STRING_get0_data(X509_get0_serialNumber(cert)), spec->serial, SERIAL_LEN);
	assert_int_equal(ASN1_TIME_cmp_time_t(X509_get0_notBefore(cert), spec->not_before), 0);
	assert_int_equal(ASN1_TIME_cmp_time_t(X509_get0_notAfter(cert), spec->not_after), 0);
	assert_int_equal(X509_NAME_entry_count(subject), 3);
	for (i = 0; i < 3; i++) {
		text = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i));
		assert_int_equal(ASN1_STRING_length(text), strlen(values[i]));
		assert_memory_equal(ASN1_STRING_get0_data(text), values[i], strlen(values[i]));
	}
}

static void
test_openssl_reads_the_fields(void **state)
{
	struct cacert_spec root_asked = root_spec(), issuing_asked = issuing_spec();
	X509 *root = parse(&cas.root), *issuing = parse(&cas.issuing);

	(void)state;
	check_fields(root, &root_asked);
	check_fields(issuing, &issuing_asked);
	check_extensions(root, -1, 3);
	check_extensions(issuing, 0, 4);
	check_key_id(root, cas.root_key);
	check_key_id(issuing, cas.issuing_key);
	assert_null(X509_get0_authority_key_id(root));
	assert_int_equal(ASN1_OCTET_STRING_cmp(
			     X509_get0_authority_key_id(issuing), X509_get0_subject_key_id(root)),
	    0);
	assert_int_equal(X509_NAME_cmp(X509_get_issuer_name(root), X509_get_subject_name(root)), 0);
	assert_int_equal(
	    X509_NAME_cmp(X509_get_issuer_name(issuing), X509_get_subject_name(root)), 0);
	X509_free(issuing);
	X509_free(root);
}

/* Another root's name and key below this one: a CA above issuing CAs. */
static void
test_cross(void **state)
{
	struct cacert_spec spec = issuing_spec();
	struct buf der = {0};
	struct err err = {0};
	const uint8_t *spki;
	size_t len;
	X509 *cert, *root = parse(&cas.root);

	(void)state;
	spki = key_spki(cas.issuing_key, &len);
	assert_ok(cacert_make_cross(&spec, spki, len, cas.root.data, cas.root.len, cas.root_key, &der, &err));
	cert = parse(&der);
	check_fields(cert, &spec);
	check_extensions(cert, -1, 4);
	check_key_id(cert, cas.issuing_key);
	assert_int_equal(X509_verify(cert, X509_get0_pubkey(root)), 1);
	assert_int_equal(X509_NAME_cmp(X509_get_issuer_name(cert), X509_get_subject_name(root)), 0);
	X509_free(cert);
	X509_free(root);
	/* Not longer than who signs it, and not its own key. */
	buf_reset(&der);
	spec.not_after = root_spec().not_after + 1;
	assert_int_equal(
	    cacert_make_cross(&spec, spki, len, cas.root.data, cas.root.len, cas.root_key, &der, &err), E_INPUT);
	spec = issuing_spec();
	spki = key_spki(cas.root_key, &len);
	assert_int_equal(
	    cacert_make_cross(&spec, spki, len, cas.root.data, cas.root.len, cas.root_key, &der, &err), E_INPUT);
	assert_int_equal(der.len, 0);
	buf_clear(&der);
}

/* Beyond 2049, as a root of today is valid. */
static void
test_validity_after_2050(void **state)
{
	struct cacert_spec spec = root_spec();
	struct buf der = {0};
	struct err err = {0};
	X509 *cert;

	(void)state;
	spec.not_after = 2524608000LL;
	assert_ok(cacert_make_root(&spec, cas.root_key, &der, &err));
	cert = parse(&der);
	assert_int_equal(ASN1_STRING_type(X509_get0_notBefore(cert)), V_ASN1_UTCTIME);
	assert_int_equal(ASN1_STRING_type(X509_get0_notAfter(cert)), V_ASN1_GENERALIZEDTIME);
	assert_int_equal(ASN1_TIME_cmp_time_t(X509_get0_notAfter(cert), spec.not_after), 0);
	X509_free(cert);
	buf_clear(&der);
}

/* What stands before in the buffer stays there. */
static void
test_appends(void **state)
{
	struct cacert_spec spec = issuing_spec();
	struct buf der = {0};
	struct err err = {0};

	(void)state;
	buf_text(&der, "kept");
	assert_ok(make_issuing(&spec, &der, &err));
	assert_memory_equal(der.data, "kept", 4);
	buf_consume(&der, 4);
	X509_free(parse(&der));
	buf_clear(&der);
}

static void
refused(int rc, const struct buf *der, const struct err *err)
{
	assert_int_equal(rc, E_INPUT);
	assert_int_equal(der->len, 0);
	assert_true(strlen(err->text) > 10);
}

/* The same fault in either certificate. */
#define REFUSE(change)                                                                             \
	do {                                                                                       \
		struct cacert_spec spec = root_spec();                                             \
		struct buf der = {0};                                                              \
		struct err err = {0};                                                              \
		change;                                                                            \
		refused(cacert_make_root(&spec, cas.root_key, &der, &err), &der, &err);            \
		spec = issuing_spec();                                                             \
		change;                                                                            \
		refused(make_issuing(&spec, &der, &err), &der, &err);                              \
		buf_clear(&der);                                                                   \
	} while (0)

static void
test_refuses_specifications(void **state)
{
	static char long_name[CERT_NAME_MAX + 2];

	(void)state;
	memset(long_name, 'a', CERT_NAME_MAX + 1);
	REFUSE(spec.serial[0] = 0);
	REFUSE(spec.serial[0] = 0x80);
	REFUSE(spec.not_after = spec.not_before - 1);
	REFUSE(spec.not_before = -1);
	REFUSE(spec.not_after = 253402300800LL);
	REFUSE(spec.not_after = INT64_MAX);
	REFUSE(spec.country = "ch");
	REFUSE(spec.country = "CHE");
	REFUSE(spec.org = long_name);
	REFUSE(spec.org = "two\nlines"); /* B1, B7 */
	REFUSE(spec.common_name = long_name);
	REFUSE(spec.common_name = "\xc0\x80");
	REFUSE(spec.common_name = "");
	REFUSE(spec.common_name = NULL);
}

static void
test_validity_within_the_roots(void **state)
{
	struct cacert_spec root = root_spec(), spec = issuing_spec();
	struct buf der = {0};
	struct err err = {0};

	(void)state;
	spec.not_before = root.not_before;
	spec.not_after = root.not_after;
	assert_ok(make_issuing(&spec, &der, &err));
	buf_reset(&der);
	spec.not_after = root.not_after + 1;
	refused(make_issuing(&spec, &der, &err), &der, &err);
	spec.not_after = root.not_after;
	spec.not_before = root.not_before - 1;
	refused(make_issuing(&spec, &der, &err), &der, &err);
	buf_clear(&der);
}

static void
refuse_below(const uint8_t *root, size_t root_len, struct key *root_key, const uint8_t *spki,
    size_t spki_len, const char *text)
{
	struct cacert_spec spec = issuing_spec();
	struct buf der = {0};
	struct err err = {0};

	refused(cacert_make_issuing(&spec, spki, spki_len, root, root_len, root_key, &der, &err),
	    &der, &err);
	if (strstr(err.text, text) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", text, err.text);
	buf_clear(&der);
}

static void
test_refuses_roots(void **state)
{
	struct buf der = {0};
	struct fixture_ca ca;
	struct key *other;
	struct err err = {0};
	const uint8_t *spki;
	uint8_t *not_ca;
	size_t spki_len, len;
	X509 *cert;

	(void)state;
	assert_ok(key_generate(KEY_EC_P256, &other, &err));
	spki = key_spki(other, &spki_len);
	for (len = 0; len < cas.root.len; len++)
		refuse_below(cas.root.data, len, cas.root_key, spki, spki_len, "the root's");
	buf_append(&der, cas.root.data, cas.root.len);
	buf_byte(&der, 0);
	refuse_below(der.data, der.len, cas.root_key, spki, spki_len, "malformed"); /* D9 */
	refuse_below(cas.root.data, cas.root.len, other, spki, spki_len, "not its certificate's");
	/* An issuing CA is no root: below its pathlen of 0 there is nothing. */
	refuse_below(
	    cas.issuing.data, cas.issuing.len, cas.issuing_key, spki, spki_len, "not a root's");
	fixture_ca_init(&ca, KEY_EC_P256);
	cert = fixture_cert(ca.key, "critical,CA:FALSE", "hash");
	not_ca = fixture_der(cert, &len);
	refuse_below(not_ca, len, ca.key, spki, spki_len, "not a CA's");
	OPENSSL_free(not_ca);
	X509_free(cert);
	fixture_ca_clear(&ca);
	buf_clear(&der);
	key_free(other);
}

/* D4, D5, D7 for the issuing CA's own key. */
static void
test_refuses_keys(void **state)
{
	EVP_PKEY *weak = EVP_RSA_gen(1024);
	uint8_t *der = NULL, off_curve[KEY_SPKI_MAX];
	const uint8_t *spki;
	size_t len;
	int n;

	(void)state;
	spki = key_spki(cas.root_key, &len);
	refuse_below(cas.root.data, cas.root.len, cas.root_key, spki, len, "the root's");
	spki = key_spki(cas.issuing_key, &len);
	refuse_below(cas.root.data, cas.root.len, cas.root_key, spki, len - 1, "malformed");
	refuse_below(cas.root.data, cas.root.len, cas.root_key, spki, 0, "malformed");
	memcpy(off_curve, spki, len);
	off_curve[len - 1] ^= 1;
	refuse_below(cas.root.data, cas.root.len, cas.root_key, off_curve, len, "curve");
	assert_true((n = i2d_PUBKEY(weak, &der)) > 0);
	refuse_below(cas.root.data, cas.root.len, cas.root_key, der, (size_t)n, "1024 bits");
	OPENSSL_free(der);
	EVP_PKEY_free(weak);
}

/* The issuing CA may do all that Muster asks of it. */
static void
test_issuing_signs_lists(void **state)
{
	struct crl_entry entry = {.serial = {0x42}, .revoked_at = FIXTURE_NOW};
	struct cert_issuer issuer;
	const struct crl_spec crl = {
	    .issuer = &issuer, .number = 1, .this_update = FIXTURE_NOW, .next_update = FIXTURE_NOW + 60};
	struct crl_info info;
	struct buf der = {0};
	struct err err = {0};

	(void)state;
	assert_ok(
	    cert_issuer_init(&issuer, cas.issuing.data, cas.issuing.len, FIXTURE_PKI_URL, &err));
	assert_ok(crl_sign(&crl, &entry, 1, cas.issuing_key, &der, &err));
	assert_ok(crl_info_read(der.data, der.len, &issuer, &info, &err));
	assert_true(info.n_entries == 1);
	buf_clear(&der);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_openssl_verifies_the_chain),
	    cmocka_unit_test(test_openssl_reads_the_fields),
	    cmocka_unit_test(test_cross),
	    cmocka_unit_test(test_validity_after_2050),
	    cmocka_unit_test(test_appends),
	    cmocka_unit_test(test_refuses_specifications),
	    cmocka_unit_test(test_validity_within_the_roots),
	    cmocka_unit_test(test_refuses_roots),
	    cmocka_unit_test(test_refuses_keys),
	    cmocka_unit_test(test_issuing_signs_lists),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

#include "x509_fixture.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <stdio.h>

#include "x509/der.h"

/* As X509_get_key_usage tells them. */
#define BIT_DIGITAL_SIGNATURE 0x80
#define BIT_KEY_ENCIPHERMENT 0x20
#define BIT_KEY_AGREEMENT 0x08

#define ID "0b4fca8e-2a4c-4c7b-9d5e-7f3a1b2c3d4e"
#define DNS_ID "DNS:" ID

static struct fixture_ca ca, ca384, ca_rsa;
static struct key *device;
static const char *const sans[] = {"DNS:Sensor.example", "IP:192.0.2.7", "IP:2001:db8::1",
    "URI:urn:dev:mac:0024befffe804ff1", "DNS:sensor.example", DNS_ID};

static int
setup(void **state)
{
	struct err err = {0};

	(void)state;
	fixture_ca_init(&ca, KEY_EC_P256);
	fixture_ca_init(&ca384, KEY_EC_P384);
	fixture_ca_init(&ca_rsa, KEY_RSA_2048);
	return key_generate(KEY_EC_P256, &device, &err);
}

static int
teardown(void **state)
{
	(void)state;
	fixture_ca_clear(&ca);
	fixture_ca_clear(&ca384);
	fixture_ca_clear(&ca_rsa);
	key_free(device);
	return 0;
}

static struct cert_spec
spec_of(const struct key *key)
{
	struct cert_spec spec = {
	    .serial = {0x41, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20},
	    .not_before = FIXTURE_NOW,
	    .not_after = FIXTURE_NOW + FIXTURE_YEAR,
	    .country = "CH",
	    .org = "Müller & \"Söhne\", AG",
	    .common_name = ID,
	    .sans = sans,
	    .n_sans = sizeof sans / sizeof sans[0],
	    .key_usage = KU_DIGITAL_SIGNATURE,
	    .ext_key_usage = EKU_CLIENT_AUTH,
	};

	spec.spki = key_spki(key, &spec.spki_len);
	return spec;
}

static void
issue(const struct cert_spec *spec, const struct fixture_ca *by, struct buf *der_out)
{
	struct buf tbs = {0};
	struct err err = {0};

	assert_ok(cert_tbs_build(spec, &by->issuer, &tbs, &err));
	assert_ok(cert_sign(tbs.data, tbs.len, by->key, der_out, &err));
	buf_clear(&tbs);
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

/* The whole chain as a relying party sees it. */
static int
verifies(X509 *leaf, X509 *anchor, int purpose)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	int ok;

	assert_int_equal(X509_STORE_add_cert(store, anchor), 1);
	assert_int_equal(X509_STORE_CTX_init(ctx, store, leaf, NULL), 1);
	X509_STORE_CTX_set_time(ctx, 0, FIXTURE_NOW + 1000);
	X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_X509_STRICT);
	assert_int_equal(X509_STORE_CTX_set_purpose(ctx, purpose), 1);
	ok = X509_verify_cert(ctx) == 1;
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	return ok;
}

static void
check_chain(const struct fixture_ca *by)
{
	struct cert_spec spec = spec_of(device);
	EVP_PKEY *pkey = X509_get_pubkey(by->cert);
	struct buf der = {0};
	struct err err = {0};
	X509 *cert;

	issue(&spec, by, &der);
	cert = parse(&der);
	assert_int_equal(X509_verify(cert, pkey), 1);
	assert_true(verifies(cert, by->cert, X509_PURPOSE_SSL_CLIENT));
	assert_false(verifies(cert, by->cert, X509_PURPOSE_SSL_SERVER));
	assert_ok(cert_matches(der.data, der.len, &spec, &by->issuer, &err));
	X509_free(cert);
	EVP_PKEY_free(pkey);
	buf_clear(&der);
}

static void
test_openssl_verifies_the_chain(void **state)
{
	(void)state;
	check_chain(&ca);
	check_chain(&ca384);
	check_chain(&ca_rsa);
}

static void
check_name(const GENERAL_NAMES *names, int i, int type, const void *value, size_t len)
{
	const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
	const ASN1_STRING *text = type == GEN_IPADD ? name->d.iPAddress : name->d.ia5;

	assert_int_equal(name->type, type);
	assert_int_equal(ASN1_STRING_length(text), len);
	assert_memory_equal(ASN1_STRING_get0_data(text), value, len);
}

static void
check_names(X509 *cert)
{
	int critical;
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, &critical, NULL);
	uint8_t ip[16];

	assert_non_null(names);
	assert_int_equal(critical, 0);
	/* the id first, then the others in order, each once, DNS in lower case */
	assert_int_equal(sk_GENERAL_NAME_num(names), 5);
	check_name(names, 0, GEN_DNS, ID, strlen(ID));
	check_name(names, 1, GEN_DNS, "sensor.example", 14);
	check_name(names, 2, GEN_IPADD, "\xc0\0\2\7", 4);
	assert_int_equal(inet_pton(AF_INET6, "2001:db8::1", ip), 1);
	check_name(names, 3, GEN_IPADD, ip, 16);
	check_name(names, 4, GEN_URI, "urn:dev:mac:0024befffe804ff1", 28);
	GENERAL_NAMES_free(names);
}

static void
check_crl_url(X509 *cert)
{
	STACK_OF(DIST_POINT) *points =
	    X509_get_ext_d2i(cert, NID_crl_distribution_points, NULL, NULL);
	const DIST_POINT *point;
	char url[CERT_URL_SIZE];

	assert_non_null(points);
	assert_int_equal(sk_DIST_POINT_num(points), 1);
	point = sk_DIST_POINT_value(points, 0);
	assert_int_equal(point->distpoint->type, 0);
	assert_int_equal(sk_GENERAL_NAME_num(point->distpoint->name.fullname), 1);
	(void)snprintf(url, sizeof url, FIXTURE_PKI_URL "/crl/%s.crl", ca.issuer.key_id_hex);
	check_name(point->distpoint->name.fullname, 0, GEN_URI, url, strlen(url));
	CRL_DIST_POINTS_free(points);
}

static void
check_access(const AUTHORITY_INFO_ACCESS *access, int i, int nid, const char *url)
{
	const ACCESS_DESCRIPTION *entry = sk_ACCESS_DESCRIPTION_value(access, i);

	assert_int_equal(OBJ_obj2nid(entry->method), nid);
	assert_int_equal(entry->location->type, GEN_URI);
	assert_int_equal(ASN1_STRING_length(entry->location->d.ia5), strlen(url));
	assert_memory_equal(ASN1_STRING_get0_data(entry->location->d.ia5), url, strlen(url));
}

static void
check_key_ids(X509 *cert)
{
	uint8_t want[KEY_ID_LEN];
	const uint8_t *spki;
	size_t len;

	spki = key_spki(device, &len);
	spki_key_id(want, spki, len);
	assert_int_equal(ASN1_STRING_length(X509_get0_subject_key_id(cert)), KEY_ID_LEN);
	assert_memory_equal(
	    ASN1_STRING_get0_data(X509_get0_subject_key_id(cert)), want, KEY_ID_LEN);
	assert_int_equal(ASN1_OCTET_STRING_cmp(
			     X509_get0_authority_key_id(cert), X509_get0_subject_key_id(ca.cert)),
	    0);
}

/* D2: the usages and names are those of the specification, in OpenSSL's eyes. */
static void
test_openssl_reads_the_extensions(void **state)
{
	char url[CERT_URL_SIZE];
	struct cert_spec spec = spec_of(device);
	struct fixture_ca with_ocsp = ca;
	AUTHORITY_INFO_ACCESS *access;
	struct buf der = {0};
	int critical;
	BASIC_CONSTRAINTS *basic;
	X509 *cert;

	(void)state;
	strcpy(with_ocsp.issuer.ocsp_url, "http://ocsp.example/ocsp");
	issue(&spec, &with_ocsp, &der);
	cert = parse(&der);
	assert_int_equal(X509_get_version(cert), 2);
	assert_int_equal(X509_get_ext_count(cert), 8);
	assert_non_null(basic = X509_get_ext_d2i(cert, NID_basic_constraints, &critical, NULL));
	assert_int_equal(critical, 1);
	assert_int_equal(basic->ca, 0);
	assert_null(basic->pathlen);
	assert_int_equal(X509_check_ca(cert), 0);
	assert_int_equal(X509_get_key_usage(cert), BIT_DIGITAL_SIGNATURE);
	assert_int_equal(X509_get_extended_key_usage(cert), XKU_SSL_CLIENT);
	check_names(cert);
	check_key_ids(cert);
	check_crl_url(cert);
	access = X509_get_ext_d2i(cert, NID_info_access, NULL, NULL);
	assert_non_null(access);
	assert_int_equal(sk_ACCESS_DESCRIPTION_num(access), 2);
	(void)snprintf(url, sizeof url, FIXTURE_PKI_URL "/ca/%s.crt", with_ocsp.issuer.key_id_hex);
	check_access(access, 0, NID_ad_ca_issuers, url);
	check_access(access, 1, NID_ad_OCSP, "http://ocsp.example/ocsp");
	AUTHORITY_INFO_ACCESS_free(access);
	BASIC_CONSTRAINTS_free(basic);
	X509_free(cert);
	buf_clear(&der);
}

/* B4: quotes, commas and umlauts are a value, not a syntax. */
static void
test_openssl_reads_the_fields(void **state)
{
	struct cert_spec spec = spec_of(device);
	static const struct {
		int nid, type;
	} attributes[] = {{NID_countryName, V_ASN1_PRINTABLESTRING},
	    {NID_organizationName, V_ASN1_UTF8STRING}, {NID_commonName, V_ASN1_UTF8STRING}};
	const char *const values[] = {spec.country, spec.org, spec.common_name};
	struct buf der = {0};
	X509_NAME_ENTRY *entry;
	X509 *cert;
	int i;

	(void)state;
	issue(&spec, &ca, &der);
	cert = parse(&der);
	assert_int_equal(ASN1_STRING_length(X509_get0_serialNumber(cert)), SERIAL_LEN);
	assert_memory_equal(
	    ASN1_STRING_get0_data(X509_get0_serialNumber(cert)), spec.serial, SERIAL_LEN);
	assert_int_equal(ASN1_TIME_cmp_time_t(X509_get0_notBefore(cert), spec.not_before), 0);
	assert_int_equal(ASN1_TIME_cmp_time_t(X509_get0_notAfter(cert), spec.not_after), 0);
	assert_int_equal(
	    X509_NAME_cmp(X509_get_issuer_name(cert), X509_get_subject_name(ca.cert)), 0);
	assert_int_equal(X509_NAME_entry_count(X509_get_subject_name(cert)), 3);
	for (i = 0; i < 3; i++) {
		entry = X509_NAME_get_entry(X509_get_subject_name(cert), i);
		assert_int_equal(OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry)), attributes[i].nid);
		assert_int_equal(
		    ASN1_STRING_type(X509_NAME_ENTRY_get_data(entry)), attributes[i].type);
		assert_int_equal(
		    ASN1_STRING_length(X509_NAME_ENTRY_get_data(entry)), strlen(values[i]));
		assert_memory_equal(ASN1_STRING_get0_data(X509_NAME_ENTRY_get_data(entry)),
		    values[i], strlen(values[i]));
	}
	X509_free(cert);
	buf_clear(&der);
}

static void
test_usages(void **state)
{
	static const struct {
		unsigned flags;
		uint32_t theirs;
	} usages[] = {{1, BIT_DIGITAL_SIGNATURE}, {2, BIT_KEY_ENCIPHERMENT}, {4, BIT_KEY_AGREEMENT},
	    {3, BIT_DIGITAL_SIGNATURE | BIT_KEY_ENCIPHERMENT},
	    {7, BIT_DIGITAL_SIGNATURE | BIT_KEY_ENCIPHERMENT | BIT_KEY_AGREEMENT}};
	static const int purposes[] = {NID_client_auth, NID_server_auth, NID_code_sign};
	struct cert_spec spec = spec_of(device);
	EXTENDED_KEY_USAGE *eku;
	struct buf der = {0};
	X509 *cert;
	size_t i;
	int k, n;

	(void)state;
	for (i = 0; i < 5; i++) {
		buf_reset(&der);
		spec.key_usage = usages[i].flags;
		spec.ext_key_usage = (unsigned)i + 1;
		issue(&spec, &ca, &der);
		cert = parse(&der);
		assert_int_equal(X509_get_key_usage(cert), usages[i].theirs);
		assert_non_null(eku = X509_get_ext_d2i(cert, NID_ext_key_usage, NULL, NULL));
		for (k = n = 0; k < 3; k++)
			if ((spec.ext_key_usage & 1U << k) != 0)
				assert_int_equal(
				    OBJ_obj2nid(sk_ASN1_OBJECT_value(eku, n++)), purposes[k]);
		assert_int_equal(sk_ASN1_OBJECT_num(eku), n);
		EXTENDED_KEY_USAGE_free(eku);
		X509_free(cert);
	}
	buf_clear(&der);
}

/* RFC 6960, section 4.2.2.2: who signs OCSP answers does nothing else, is not asked about, and says so. */
static void
test_responder(void **state)
{
	struct cert_spec spec = spec_of(device);
	struct buf der = {0};
	struct err err = {0};
	X509 *cert;

	(void)state;
	spec.ext_key_usage = EKU_OCSP_SIGNING;
	issue(&spec, &ca, &der);
	cert = parse(&der);
	assert_int_equal(X509_get_extended_key_usage(cert), XKU_OCSP_SIGN);
	assert_true(X509_get_ext_by_NID(cert, NID_id_pkix_OCSP_noCheck, -1) >= 0);
	assert_int_equal(X509_get_ext_by_NID(cert, NID_crl_distribution_points, -1), -1);
	assert_int_equal(X509_get_ext_by_NID(cert, NID_info_access, -1), -1);
	assert_true(verifies(cert, ca.cert, X509_PURPOSE_OCSP_HELPER));
	assert_false(verifies(cert, ca.cert, X509_PURPOSE_SSL_CLIENT));
	assert_ok(cert_matches(der.data, der.len, &spec, &ca.issuer, &err));
	X509_free(cert);
	buf_clear(&der);
}

/* The SAN that a common name becomes: dNSName, iPAddress, or nothing. */
static void
test_common_name_in_the_names(void **state)
{
	static const struct {
		const char *common_name;
		int type; /* -1: no extension at all */
	} cases[] = {{"host.example", GEN_DNS}, {"192.0.2.1", GEN_IPADD}, {"::1", GEN_IPADD},
	    {"A Back End", -1}, {"*.example", -1}, {"1.2.3.4.5", -1}, {"bad_name", -1}};
	struct cert_spec spec = spec_of(device);
	GENERAL_NAMES *names;
	struct buf der = {0};
	X509 *cert;
	size_t i;

	(void)state;
	spec.n_sans = 0;
	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		buf_reset(&der);
		spec.common_name = cases[i].common_name;
		issue(&spec, &ca, &der);
		cert = parse(&der);
		names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
		assert_int_equal(names == NULL, cases[i].type < 0);
		if (names != NULL) {
			assert_int_equal(sk_GENERAL_NAME_num(names), 1);
			assert_int_equal(sk_GENERAL_NAME_value(names, 0)->type, cases[i].type);
		}
		GENERAL_NAMES_free(names);
		X509_free(cert);
	}
	buf_clear(&der);
}

/* RFC 5280, section 4.2.1.6: an empty subject makes the names critical; neither is refused. */
static void
test_empty_subject(void **state)
{
	struct cert_spec spec = spec_of(device);
	struct buf der = {0}, tbs = {0};
	GENERAL_NAMES *names;
	int critical;
	X509 *cert;

	(void)state;
	spec.country = spec.org = "";
	spec.common_name = NULL;
	issue(&spec, &ca, &der);
	cert = parse(&der);
	assert_int_equal(X509_NAME_entry_count(X509_get_subject_name(cert)), 0);
	assert_non_null(names = X509_get_ext_d2i(cert, NID_subject_alt_name, &critical, NULL));
	assert_int_equal(critical, 1);
	spec.n_sans = 0;
	buf_text(&tbs, "kept");
	assert_int_equal(cert_tbs_build(&spec, &ca.issuer, &tbs, NULL), E_INPUT);
	assert_int_equal(tbs.len, 4);
	GENERAL_NAMES_free(names);
	X509_free(cert);
	buf_clear(&tbs);
	buf_clear(&der);
}

static void
test_deterministic(void **state)
{
	struct cert_spec spec = spec_of(device);
	struct buf a = {0}, b = {0};
	struct err err = {0};

	(void)state;
	buf_text(&b, "kept");
	assert_ok(cert_tbs_build(&spec, &ca.issuer, &a, &err));
	assert_ok(cert_tbs_build(&spec, &ca.issuer, &b, &err));
	assert_int_equal(b.len, 4 + a.len);
	assert_memory_equal(b.data + 4, a.data, a.len);
	buf_clear(&b);
	buf_clear(&a);
}

static void
refuse(const struct cert_spec *spec)
{
	struct buf tbs = {0};
	struct err err = {0};

	assert_int_equal(cert_tbs_build(spec, &ca.issuer, &tbs, &err), E_INPUT);
	assert_int_equal(tbs.len, 0);
	assert_true(strlen(err.text) > 10);
	buf_clear(&tbs);
}

#define REFUSE(change)                                                                             \
	do {                                                                                       \
		struct cert_spec spec = spec_of(device);                                           \
		change;                                                                            \
		refuse(&spec);                                                                     \
	} while (0)

static void
test_refuses_specifications(void **state)
{
	static const char *const bad_san[] = {"DNS:a b"};
	static const char *many[CERT_SANS_MAX + 1];
	static char long_name[CERT_NAME_MAX + 2];
	uint8_t spki[KEY_SPKI_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < CERT_SANS_MAX + 1; i++)
		many[i] = "DNS:a.example";
	memset(long_name, 'a', CERT_NAME_MAX + 1);
	REFUSE(spec.serial[0] = 0);
	REFUSE(spec.serial[0] = 0x80);
	REFUSE(spec.not_after = spec.not_before - 1);
	REFUSE(spec.not_after = ca.issuer.not_after + 1);
	REFUSE(spec.not_before = -1000000000);
	REFUSE(spec.key_usage = 0);
	REFUSE(spec.key_usage = 8);
	REFUSE(spec.ext_key_usage = 0);
	REFUSE(spec.ext_key_usage = 32);
	REFUSE(spec.ext_key_usage = EKU_OCSP_SIGNING | EKU_CLIENT_AUTH);
	REFUSE((spec.sans = bad_san, spec.n_sans = 1));
	REFUSE((spec.sans = many, spec.n_sans = CERT_SANS_MAX + 1));
	REFUSE(spec.country = "ch");
	REFUSE(spec.country = "CHE");
	REFUSE(spec.org = long_name);
	REFUSE(spec.common_name = long_name);
	REFUSE(spec.common_name = "two\nlines"); /* B1, B7 */
	REFUSE(spec.common_name = "\xc0\x80");
	REFUSE(spec.spki_len--);
	REFUSE(spec.spki_len = 0);
	memset(spki, 0, sizeof spki);
	REFUSE(spec.spki = spki);
}

static void
test_longest_names_fit(void **state)
{
	static char umlauts[2 * CERT_NAME_MAX + 1];
	struct cert_spec spec = spec_of(device);
	struct cert_info info;
	struct buf der = {0};
	struct err err = {0};
	size_t i;

	(void)state;
	for (i = 0; i < CERT_NAME_MAX; i++)
		memcpy(umlauts + 2 * i, "\xc3\xbc", 2);
	spec.org = umlauts;
	issue(&spec, &ca, &der);
	X509_free(parse(&der));
	assert_ok(cert_info_read(der.data, der.len, &info, &err));
	assert_string_equal(info.common_name, ID);
	buf_clear(&der);
}

static void
test_names_from_outside(void **state)
{
	static const char *const good[] = {"DNS:a", "DNS:a-b.example", "DNS:xn--mller-kva.example",
	    "DNS:3com.example", DNS_ID, "IP:10.0.0.1", "IP:::1", "IP:fe80::1", "URI:urn:a:b",
	    "URI:https://host/p?q#f", "URI:spiffe://td/x", "URI:a:%41", "URI:http://[::1]/"};
	static const char *const bad[] = {"", "a.example", "DNS:", "DNS:*.example", "DNS:*",
	    "DNS:a..b", "DNS:.a", "DNS:a.", "DNS:-a", "DNS:a-", "DNS:a-.b", "DNS:a_b", "DNS:a b",
	    "DNS:a\n", "DNS:m\xc3\xbcller", "DNS:10.0.0.1", "DNS:a.1", "dns:a", "IP:", "IP:1.2.3",
	    "IP:1.2.3.4/24", "IP:01.2.3.4", "IP:fe80::1%eth0", "IP:1.2.3.4 ", "URI:", "URI:a",
	    "URI:/a", "URI:a:", "URI:1a:b", "URI:a: b", "URI:a:%4", "URI:a:%zz", "URI:a:<b>",
	    "URI:http://", "URI:http:///x", "URI:a:\xc3\xbc", "URI:a:\x7f", "email:a@b.example",
	    "DNS:abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcd.example"};
	char longest[CERT_SAN_SIZE + 10] = "URI:a:";
	struct err err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof good / sizeof good[0]; i++) {
		err = (struct err){0};
		assert_ok(san_check(good[i], &err));
	}
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		err = (struct err){0};
		assert_int_equal(san_check(bad[i], &err), E_INPUT);
		assert_true(strlen(err.text) > 10);
	}
	memset(longest + 6, 'x', CERT_SAN_SIZE - 7);
	assert_ok(san_check(longest, &err));
	longest[CERT_SAN_SIZE - 1] = 'x';
	assert_int_equal(san_check(longest, &err), E_INPUT);
}

static void
test_serials(void **state)
{
	uint8_t a[SERIAL_LEN], b[SERIAL_LEN];
	struct err err = {0};
	int i;

	(void)state;
	for (i = 0; i < 200; i++) {
		assert_ok(cert_serial_make(a, &err));
		assert_ok(cert_serial_make(b, &err));
		assert_in_range(a[0], 1, 0x7f);
		assert_memory_not_equal(a, b, SERIAL_LEN);
	}
}

static void
mismatch(const struct buf *der, const struct cert_spec *spec, const struct cert_issuer *issuer)
{
	struct err err = {0};

	assert_int_equal(cert_matches(der->data, der->len, spec, issuer, &err), E_SYS);
	assert_true(strlen(err.text) > 10);
}

/* A certificate for anything but what was asked for, or by anyone but the issuer. */
static void
test_matches_nothing_else(void **state)
{
	struct cert_spec spec = spec_of(device), other;
	struct fixture_ca imposter = ca;
	struct err err = {0};
	struct buf der = {0};
	struct key *key;

	(void)state;
	issue(&spec, &ca, &der);
	assert_ok(cert_matches(der.data, der.len, &spec, &ca.issuer, &err));
	other = spec;
	other.serial[19] ^= 1;
	mismatch(&der, &other, &ca.issuer);
	other = spec;
	other.not_after++;
	mismatch(&der, &other, &ca.issuer);
	other = spec;
	other.common_name = "0b4fca8e-2a4c-4c7b-9d5e-7f3a1b2c3d4f";
	mismatch(&der, &other, &ca.issuer);
	other = spec;
	other.spki = key_spki(ca.key, &other.spki_len);
	mismatch(&der, &other, &ca.issuer);
	other = spec;
	other.n_sans--;
	other.sans++;
	mismatch(&der, &other, &ca.issuer);
	mismatch(&der, &spec, &ca384.issuer);
	assert_int_equal(cert_says(der.data, der.len, &spec, &ca384.issuer, &err), E_SYS);
	assert_int_equal(cert_says(der.data, der.len, &other, &ca.issuer, &err), E_SYS);

	assert_ok(key_generate(KEY_EC_P256, &key, &err)); /* the right bytes, the wrong key */
	imposter.key = key;
	buf_reset(&der);
	issue(&spec, &imposter, &der);
	mismatch(&der, &spec, &ca.issuer);
	assert_ok(cert_says(der.data, der.len, &spec, &ca.issuer, &err));
	key_free(key);
	imposter.key = ca_rsa.key;
	buf_reset(&der);
	issue(&spec, &imposter, &der);
	mismatch(&der, &spec, &ca.issuer);
	assert_int_equal(cert_says(der.data, der.len, &spec, &ca.issuer, &err), E_SYS); /* another algorithm */
	buf_clear(&der);
}

static void
test_matches_no_flipped_bit_and_no_part(void **state)
{
	struct cert_spec spec = spec_of(device);
	const ASN1_BIT_STRING *signature;
	struct buf der = {0};
	struct err err = {0};
	size_t bit, len, whole, signature_at;
	X509 *cert;

	(void)state;
	issue(&spec, &ca, &der);
	cert = parse(&der);
	X509_get0_signature(&signature, NULL, cert);
	signature_at = der.len - (size_t)ASN1_STRING_length(signature);
	X509_free(cert);
	for (bit = 0; bit < 8 * der.len; bit++) {
		der.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		mismatch(&der, &spec, &ca.issuer);
		assert_int_equal(cert_says(der.data, der.len, &spec, &ca.issuer, &err), bit / 8 < signature_at ? E_SYS : 0);
		der.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	whole = der.len;
	for (len = 0; len < whole; len++) {
		der.len = len;
		mismatch(&der, &spec, &ca.issuer);
	}
	der.len = whole;
	buf_byte(&der, 0);
	mismatch(&der, &spec, &ca.issuer);
	buf_clear(&der);
}

static void
test_info(void **state)
{
	struct cert_spec spec = spec_of(device);
	struct cert_info info;
	struct buf der = {0};
	struct err err = {0};
	uint8_t *ca_der;
	size_t len;

	(void)state;
	issue(&spec, &ca, &der);
	assert_ok(cert_info_read(der.data, der.len, &info, &err));
	assert_int_equal(info.serial_len, SERIAL_LEN);
	assert_memory_equal(info.serial, spec.serial, SERIAL_LEN);
	assert_true(info.not_before == spec.not_before && info.not_after == spec.not_after);
	assert_string_equal(info.common_name, ID);
	assert_int_equal(info.kind, KEY_EC_P256);
	assert_int_equal(info.spki_len, spec.spki_len);
	assert_memory_equal(info.spki, spec.spki, spec.spki_len);
	assert_int_equal(info.issuer_len, ca.issuer.name_len);
	assert_memory_equal(info.issuer, ca.issuer.name, ca.issuer.name_len);
	assert_false(info.is_ca);

	ca_der = fixture_der(ca_rsa.cert, &len);
	assert_ok(cert_info_read(ca_der, len, &info, &err));
	assert_true(info.is_ca);
	assert_int_equal(info.serial_len, 1);
	assert_int_equal(info.serial[SERIAL_LEN - 1], 77);
	assert_int_equal(info.serial[0], 0);
	assert_int_equal(info.kind, KEY_RSA_2048);
	assert_string_equal(info.common_name, "Test CA");
	OPENSSL_free(ca_der);
	buf_clear(&der);
}

/* D8, D9: parts, trailing data, and every flipped byte, which must at least not crash. */
static void
test_info_of_hostile_bytes(void **state)
{
	struct cert_spec spec = spec_of(device);
	struct cert_info info, untouched;
	struct buf der = {0};
	struct err err = {0};
	uint8_t *part;
	size_t len, i;
	unsigned bit;

	(void)state;
	memset(&info, 0x77, sizeof info);
	memcpy(&untouched, &info, sizeof info);
	issue(&spec, &ca, &der);
	for (len = 0; len < der.len; len++) {
		part = test_malloc(len + 1); /* so that ASan sees a read beyond the part */
		memcpy(part + 1, der.data, len);
		assert_int_equal(cert_info_read(part + 1, len, &info, &err), E_INPUT);
		assert_memory_equal(&info, &untouched, sizeof info);
		test_free(part);
	}
	for (i = 0; i < der.len; i++)
		for (bit = 0; bit < 8; bit++) {
			der.data[i] ^= (uint8_t)(1U << bit);
			(void)!cert_info_read(der.data, der.len, &info, &err);
			der.data[i] ^= (uint8_t)(1U << bit);
		}
	buf_byte(&der, 0);
	assert_int_equal(cert_info_read(der.data, der.len, &info, &err), E_INPUT);
	assert_non_null(buf_extend(&der, CERT_DER_MAX));
	assert_int_equal(cert_info_read(der.data, der.len, &info, &err), E_INPUT);
	buf_clear(&der);
}

static void
refuse_issuer(X509 *cert)
{
	struct cert_issuer issuer = {0};
	struct err err = {0};
	uint8_t *der;
	size_t len;

	der = fixture_der(cert, &len);
	assert_int_equal(cert_issuer_init(&issuer, der, len, NULL, &err), E_INPUT);
	assert_int_equal(issuer.name_len, 0);
	OPENSSL_free(der);
	X509_free(cert);
}

static void
test_issuer(void **state)
{
	static const char *const bad_urls[] = {
	    "http://h/", "ftp://h", "h:8080", "http://h h", "https://", "httpx"};
	char long_url[CERT_URL_SIZE] = "http://";
	struct cert_issuer issuer;
	struct err err = {0};
	uint8_t *der;
	size_t len, i;

	(void)state;
	der = fixture_der(ca.cert, &len);
	assert_ok(cert_issuer_init(&issuer, der, len, NULL, &err));
	assert_string_equal(issuer.crl_url, "");
	assert_string_equal(issuer.ca_url, "");
	assert_ok(cert_issuer_init(&issuer, der, len, "", &err));
	assert_string_equal(issuer.crl_url, "");
	assert_memory_equal(
	    issuer.key_id, ASN1_STRING_get0_data(X509_get0_subject_key_id(ca.cert)), KEY_ID_LEN);
	assert_true(issuer.not_before == FIXTURE_NOW);
	assert_int_equal(issuer.kind, KEY_EC_P256);
	for (i = 0; i < sizeof bad_urls / sizeof bad_urls[0]; i++)
		assert_int_equal(cert_issuer_init(&issuer, der, len, bad_urls[i], &err), E_INPUT);
	memset(long_url + 7, 'a', sizeof long_url - 8);
	assert_int_equal(cert_issuer_init(&issuer, der, len, long_url, &err), E_INPUT);
	assert_int_equal(cert_issuer_init(&issuer, der, len - 1, NULL, &err), E_INPUT);
	OPENSSL_free(der);
	refuse_issuer(fixture_cert(ca.key, NULL, "hash"));
	refuse_issuer(fixture_cert(ca.key, "critical,CA:FALSE", "hash"));
	refuse_issuer(fixture_cert(ca.key, "critical,CA:TRUE", NULL));
	refuse_issuer(fixture_cert(ca.key, "critical,CA:TRUE", "0102"));
}

/* Without URLs the certificate says nothing about where to look. */
static void
test_no_urls(void **state)
{
	struct cert_spec spec = spec_of(device);
	struct fixture_ca quiet = ca;
	struct buf der = {0};
	X509 *cert;

	(void)state;
	quiet.issuer.crl_url[0] = quiet.issuer.ca_url[0] = quiet.issuer.ocsp_url[0] = '\0';
	issue(&spec, &quiet, &der);
	cert = parse(&der);
	assert_int_equal(X509_get_ext_by_NID(cert, NID_crl_distribution_points, -1), -1);
	assert_int_equal(X509_get_ext_by_NID(cert, NID_info_access, -1), -1);
	assert_int_equal(X509_get_ext_count(cert), 6);
	X509_free(cert);
	buf_clear(&der);
}

/* After everything above, refusals included: libssl reads this queue after each call. */
static void
test_leaves_no_openssl_errors(void **state)
{
	struct cert_spec spec = spec_of(device);
	struct fixture_ca imposter = ca;
	struct buf der = {0};

	(void)state;
	ERR_clear_error();
	imposter.key = ca_rsa.key;
	issue(&spec, &imposter, &der);
	mismatch(&der, &spec, &ca.issuer);
	mismatch(&der, &spec, &ca_rsa.issuer);
	assert_int_equal(ERR_peek_error(), 0);
	buf_clear(&der);
}

static void
test_reads_names_back(void **state)
{
	static const char *const names[] = {"DNS:Muster.example", "IP:192.0.2.7", "URI:urn:x:1", "IP:2001:db8::1"};
	static const char *const want[] = {"DNS:localhost", "DNS:muster.example", "IP:192.0.2.7", "URI:urn:x:1", "IP:2001:db8::1"};
	char got[5][CERT_SAN_SIZE];
	struct cert_spec spec = spec_of(device);
	struct buf der = {0};
	struct err err = {0};
	size_t n = 99, i;

	(void)state;
	spec.common_name = "localhost";
	spec.sans = names;
	spec.n_sans = 4;
	issue(&spec, &ca, &der);
	assert_int_equal(cert_sans_read(der.data, der.len, got, 4, &n, &err), E_LIMIT);
	assert_int_equal(cert_sans_read(der.data, der.len - 1, got, 5, &n, &err), E_INPUT);
	assert_int_equal(n, 99);
	assert_ok(cert_sans_read(der.data, der.len, got, 5, &n, &err));
	assert_int_equal(n, 5);
	for (i = 0; i < n; i++)
		assert_string_equal(got[i], want[i]);
	buf_clear(&der);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_openssl_verifies_the_chain),
	    cmocka_unit_test(test_openssl_reads_the_extensions),
	    cmocka_unit_test(test_openssl_reads_the_fields),
	    cmocka_unit_test(test_usages),
	    cmocka_unit_test(test_responder),
	    cmocka_unit_test(test_common_name_in_the_names),
	    cmocka_unit_test(test_empty_subject),
	    cmocka_unit_test(test_deterministic),
	    cmocka_unit_test(test_refuses_specifications),
	    cmocka_unit_test(test_longest_names_fit),
	    cmocka_unit_test(test_names_from_outside),
	    cmocka_unit_test(test_serials),
	    cmocka_unit_test(test_matches_nothing_else),
	    cmocka_unit_test(test_matches_no_flipped_bit_and_no_part),
	    cmocka_unit_test(test_info),
	    cmocka_unit_test(test_info_of_hostile_bytes),
	    cmocka_unit_test(test_issuer),
	    cmocka_unit_test(test_no_urls),
	    cmocka_unit_test(test_reads_names_back),
	    cmocka_unit_test(test_leaves_no_openssl_errors),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

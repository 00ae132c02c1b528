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

/* What a list is made of. */
struct entries {
	struct crl_entry *list;
	size_t n;
};

static void
entries_add(struct entries *e, const struct crl_entry *entry)
{
	if ((e->n & (e->n - 1)) == 0) /* a power of two, or none yet: it is full */
		assert_non_null(e->list = realloc(e->list, (e->n > 0 ? 2 * e->n : 1) * sizeof e->list[0]));
	e->list[e->n++] = *entry;
}

static void
entries_clear(struct entries *e)
{
	free(e->list);
	*e = (struct entries){0};
}

static struct crl_spec
spec_of(const struct fixture_ca *by)
{
	return (struct crl_spec){
	    .issuer = &by->issuer, .number = NUMBER, .this_update = FIXTURE_NOW, .next_update = NEXT};
}

static void
sign(const struct entries *e, const struct fixture_ca *by, struct buf *der_out)
{
	struct crl_spec spec = spec_of(by);
	struct err err = {0};

	assert_ok(crl_sign(&spec, e->list, e->n, by->key, der_out, &err));
}

/* A list of one entry. */
static struct buf
plain(void)
{
	struct crl_entry entry = entry_of(1, REASON_KEY_COMPROMISE);
	struct buf der = {0};
	struct entries crl = {0};

	entries_add(&crl, &entry);
	sign(&crl, &ca, &der);
	entries_clear(&crl);
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

/* The one number in the extension NID. */
static uint64_t
number_in(X509_CRL *x, int nid, int want_critical)
{
	ASN1_INTEGER *number;
	uint64_t value;
	int critical;

	assert_non_null(number = X509_CRL_get_ext_d2i(x, nid, &critical, NULL));
	assert_int_equal(critical, want_critical);
	assert_int_equal(ASN1_INTEGER_get_uint64(&value, number), 1);
	ASN1_INTEGER_free(number);
	return value;
}

/* RFC 5280, section 5.2.6: a complete list says where its delta is, in the same form as a distribution point. */
static void
check_freshest(X509_CRL *x, const struct fixture_ca *by)
{
	int critical;
	CRL_DIST_POINTS *points = X509_CRL_get_ext_d2i(x, NID_freshest_crl, &critical, NULL);
	const GENERAL_NAME *name;
	const DIST_POINT *point;

	assert_non_null(points);
	assert_int_equal(critical, 0);
	assert_int_equal(sk_DIST_POINT_num(points), 1);
	point = sk_DIST_POINT_value(points, 0);
	assert_true(point->reasons == NULL && point->CRLissuer == NULL && point->distpoint->type == 0);
	assert_int_equal(sk_GENERAL_NAME_num(point->distpoint->name.fullname), 1);
	name = sk_GENERAL_NAME_value(point->distpoint->name.fullname, 0);
	assert_int_equal(name->type, GEN_URI);
	assert_string_equal(ASN1_STRING_get0_data(name->d.ia5), by->issuer.delta_url);
	CRL_DIST_POINTS_free(points);
}

static void
check_extensions(X509_CRL *x, const struct fixture_ca *by)
{
	AUTHORITY_KEYID *akid;
	int critical;

	assert_int_equal(X509_CRL_get_ext_count(x), 3);
	akid = X509_CRL_get_ext_d2i(x, NID_authority_key_identifier, &critical, NULL);
	assert_non_null(akid);
	assert_int_equal(critical, 0);
	assert_int_equal(ASN1_OCTET_STRING_cmp(akid->keyid, X509_get0_subject_key_id(by->cert)), 0);
	assert_true(number_in(x, NID_crl_number, 0) == NUMBER);
	check_freshest(x, by);
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
	struct entries crl = {0};
	struct crl_entry entries[N_LISTED];
	struct crl_info info;
	struct err err = {0};
	X509_CRL *x;
	size_t i;

	for (i = 0; i < N_LISTED; i++) {
		entries[i] = entry_of((uint8_t)i, listed[i]);
		entries_add(&crl, &entries[i]);
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
	entries_clear(&crl);
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
	struct entries crl = {0};
	X509_REVOKED *revoked;
	X509_CRL *x;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
		entry = entry_of((uint8_t)i, reasons[i]);
		entries_add(&crl, &entry);
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
	entries_clear(&crl);
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
	struct entries crl = {0};
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
	struct crl_spec spec = spec_of(&ca);
	struct buf der = {0};
	struct entries crl = {0};
	struct crl_info info;
	struct err err = {0};
	X509_CRL *x;

	(void)state;
	before.revoked_at = TIME_2050 - 1;
	after.revoked_at = TIME_2050;
	entries_add(&crl, &before);
	entries_add(&crl, &after);
	spec.this_update = TIME_2050 - 1;
	spec.next_update = TIME_2050;
	assert_ok(crl_sign(&spec, crl.list, crl.n, ca.key, &der, &err));
	x = parse(&der);
	assert_int_equal(ASN1_STRING_type(X509_CRL_get0_lastUpdate(x)), V_ASN1_UTCTIME);
	assert_int_equal(ASN1_STRING_type(X509_CRL_get0_nextUpdate(x)), V_ASN1_GENERALIZEDTIME);
	check_entry(sk_X509_REVOKED_value(X509_CRL_get_REVOKED(x), 0), &before);
	check_entry(sk_X509_REVOKED_value(X509_CRL_get_REVOKED(x), 1), &after);
	assert_ok(crl_info_read(der.data, der.len, &ca.issuer, &info, &err));
	assert_true(info.this_update == TIME_2050 - 1 && info.next_update == TIME_2050);
	X509_CRL_free(x);
	entries_clear(&crl);
	buf_clear(&der);
}

static void
test_numbers(void **state)
{
	static const uint64_t numbers[] = {0, 1, 127, 128, 255, 256, UINT64_MAX};
	struct crl_spec spec = spec_of(&ca);
	struct buf der = {0};
	struct crl_info info;
	struct err err = {0};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
		buf_reset(&der);
		spec.number = numbers[i];
		assert_ok(crl_sign(&spec, NULL, 0, ca.key, &der, &err));
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
	struct entries crl = {0};
	X509_REVOKED *revoked;
	struct crl_info info;
	struct err err = {0};
	uint64_t value;
	X509_CRL *x;

	(void)state;
	entries_add(&crl, &entry);
	sign(&crl, &ca, &der);
	x = parse(&der);
	revoked = sk_X509_REVOKED_value(X509_CRL_get_REVOKED(x), 0);
	assert_int_equal(
	    ASN1_INTEGER_get_uint64(&value, X509_REVOKED_get0_serialNumber(revoked)), 1);
	assert_true(value == 0x80);
	assert_ok(crl_info_read(der.data, der.len, &ca.issuer, &info, &err));
	X509_CRL_free(x);
	entries_clear(&crl);
	buf_clear(&der);
}

/* RFC 5280, sections 5.2.4 and 5.3.1: the indicator is critical, says which complete list, and entries may be taken back; a
 * reader of complete lists refuses it. */
static void
test_deltas(void **state)
{
	struct crl_entry revoked = entry_of(1, REASON_KEY_COMPROMISE), released = entry_of(2, REASON_REMOVE_FROM_CRL);
	struct crl_spec spec = spec_of(&ca);
	struct entries crl = {0};
	struct buf der = {0};
	struct err err = {0};
	X509_CRL *x;

	(void)state;
	spec.base = NUMBER - 7;
	entries_add(&crl, &revoked);
	entries_add(&crl, &released);
	assert_ok(crl_sign(&spec, crl.list, crl.n, ca.key, &der, &err));
	x = parse(&der);
	assert_int_equal(X509_CRL_get_ext_count(x), 3);
	assert_true(number_in(x, NID_crl_number, 0) == NUMBER);
	assert_true(number_in(x, NID_delta_crl, 1) == NUMBER - 7);
	assert_int_equal(X509_CRL_get_ext_by_NID(x, NID_issuing_distribution_point, -1), -1);
	check_entry(sk_X509_REVOKED_value(X509_CRL_get_REVOKED(x), 0), &revoked);
	check_entry(sk_X509_REVOKED_value(X509_CRL_get_REVOKED(x), 1), &released);
	X509_CRL_free(x);
	refuse(der.data, der.len, &ca.issuer, "critical extension");
	buf_reset(&der);
	assert_ok(crl_sign(&spec, NULL, 0, ca.key, &der, &err)); /* nothing has changed */
	x = parse(&der);
	assert_null(X509_CRL_get_REVOKED(x));
	X509_CRL_free(x);
	spec.base = NUMBER;
	assert_ok(crl_sign(&spec, NULL, 0, ca.key, &der, &err));
	spec.base = NUMBER + 1; /* to a list that is yet to come */
	assert_int_equal(crl_sign(&spec, NULL, 0, ca.key, &der, &err), E_INPUT);
	entries_clear(&crl);
	buf_clear(&der);
}

/* Whoever announces other bytes than come, or joins other entries than were signed, gets no list. */
static void
test_parts_that_do_not_fit(void **state)
{
	struct crl_entry entries[] = {entry_of(1, REASON_KEY_COMPROMISE), entry_of(2, REASON_UNSPECIFIED)};
	size_t len = crl_entry_len(&entries[0], false);
	struct crl_spec spec = spec_of(&ca), other = spec;
	struct crl_signing *signing = NULL;
	struct buf der = {0}, sig = {0}, list = {0};
	struct err err = {0};

	(void)state;
	crl_entry_put(&der, &entries[0], false);
	assert_int_equal(der.len, len);
	assert_ok(crl_signing_new(&spec, len - 1, &signing, &err));
	assert_int_equal(crl_signing_add(signing, &der, &err), E_INPUT);
	crl_signing_free(signing);
	assert_ok(crl_signing_new(&spec, len + 1, &signing, &err));
	assert_ok(crl_signing_add(signing, &der, &err));
	assert_int_equal(crl_signing_end(signing, ca.key, &sig, &err), E_INPUT);
	crl_signing_free(signing);
	assert_ok(crl_signing_new(&spec, len, &signing, &err));
	assert_ok(crl_signing_add(signing, &der, &err));
	assert_ok(crl_signing_end(signing, ca.key, &sig, &err));
	crl_signing_free(signing);
	assert_ok(crl_join(&spec, entries, 1, sig.data, sig.len, &list, &err));
	buf_reset(&list);
	other.number++;
	assert_int_equal(crl_join(&other, entries, 1, sig.data, sig.len, &list, &err), E_SYS);
	assert_int_equal(crl_join(&spec, entries, 2, sig.data, sig.len, &list, &err), E_SYS);
	assert_int_equal(crl_join(&spec, entries, 0, sig.data, sig.len, &list, &err), E_SYS);
	assert_int_equal(crl_join(&spec, entries + 1, 1, sig.data, sig.len, &list, &err), E_SYS);
	assert_int_equal(crl_join(&spec, entries, 1, sig.data, sig.len - 1, &list, &err), E_SYS);
	assert_int_equal(list.len, 0);
	crl_signing_free(NULL);
	buf_clear(&der);
	buf_clear(&sig);
	buf_clear(&list);
}

static void
test_many_entries(void **state)
{
	struct crl_entry entry = entry_of(0, REASON_CESSATION_OF_OPERATION);
	struct buf der = {0};
	struct entries crl = {0};
	struct crl_info info;
	struct err err = {0};
	X509_CRL *x;
	uint32_t i;

	(void)state;
	for (i = 0; i < MANY; i++) {
		memcpy(entry.serial + 4, &i, sizeof i);
		entries_add(&crl, &entry);
	}
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
	entries_clear(&crl);
	buf_clear(&der);
}

static void
refuse_to_sign(
    const struct entries *crl, int64_t this_update, int64_t next_update, struct key *key, int code)
{
	struct crl_spec spec = {
	    .issuer = &ca.issuer, .number = 1, .this_update = this_update, .next_update = next_update};
	struct buf der = {0};
	struct err err = {0};

	buf_text(&der, "kept");
	assert_int_equal(crl_sign(&spec, crl->list, crl->n, key, &der, &err), code);
	assert_string_equal(buf_str(&der), "kept");
	assert_true(strlen(err.text) > 10);
	buf_clear(&der);
}

static void
test_refuses_to_sign(void **state)
{
	struct crl_entry never = entry_of(1, REASON_UNSPECIFIED);
	struct entries crl = {0};

	(void)state;
	refuse_to_sign(&crl, FIXTURE_NOW, FIXTURE_NOW, ca.key, E_INPUT);
	refuse_to_sign(&crl, FIXTURE_NOW, FIXTURE_NOW - 1, ca.key, E_INPUT);
	refuse_to_sign(&crl, -1, FIXTURE_NOW, ca.key, E_INPUT);
	refuse_to_sign(&crl, FIXTURE_NOW, 253402300800LL, ca.key, E_INPUT);
	refuse_to_sign(&crl, FIXTURE_NOW, INT64_MAX, ca.key, E_INPUT);
	refuse_to_sign(&crl, FIXTURE_NOW, NEXT, ca384.key, E_INPUT);
	refuse_to_sign(&crl, FIXTURE_NOW, NEXT, ca_rsa.key, E_INPUT);
	never.revoked_at = INT64_MAX; /* what cannot be encoded is never just missing */
	entries_add(&crl, &never);
	refuse_to_sign(&crl, FIXTURE_NOW, NEXT, ca.key, E_NOMEM);
	entries_clear(&crl);
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
	struct entries crl = {0};
	struct err err = {0};
	const uint8_t *spki;

	(void)state;
	issuer.name[issuer.name_len - 1] ^= 1;
	refuse(der.data, der.len, &issuer, "another issuer's");
	/* Of the same name, as all of the fixture's are. */
	refuse(der.data, der.len, &ca384.issuer, "another algorithm");
	refuse(der.data, der.len, &ca_rsa.issuer, "another algorithm");
	assert_ok(key_generate(KEY_EC_P256, &imposter.key, &err));
	spki = key_spki(imposter.key, &imposter.issuer.spki_len);
	memcpy(imposter.issuer.spki, spki, imposter.issuer.spki_len);
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

/* A list of the entries ENTRIES, by our own DER writer and soundly signed: what is refused is refused
 * for its form. */
static struct buf
with_entries(const char *entries, size_t len)
{
	struct buf der = {0}, sig = {0};
	struct err err = {0};
	size_t mark;

	der_put_int(&der, 1);
	key_sigalg(KEY_EC_P256, &der);
	buf_append(&der, ca.issuer.name, ca.issuer.name_len);
	der_put_time(&der, FIXTURE_NOW);
	der_put_time(&der, NEXT);
	der_put(&der, DER_SEQUENCE, entries, len);
	mark = der.len;
	ext_put_authority_key_id(&der, ca.issuer.key_id);
	buf_append(&der, "\x30\x0a\x06\x03\x55\x1d\x14\x04\x03\x02\x01\x01", 12); /* cRLNumber */
	der_wrap(&der, mark, DER_SEQUENCE);
	der_wrap(&der, mark, DER_CONTEXT(0));
	der_wrap(&der, 0, DER_SEQUENCE);
	assert_ok(key_sign(ca.key, der.data, der.len, &sig, &err));
	key_sigalg(KEY_EC_P256, &der);
	der_put_bits(&der, sig.data, sig.len);
	der_wrap(&der, 0, DER_SEQUENCE);
	buf_clear(&sig);
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
	struct entries crl = {0};
	struct err err = {0};
	bool found;
	size_t i;

	(void)state;
	sign(&crl, &ca, &none);
	for (i = 0; i < 3; i++)
		entries_add(&crl, &entries[i]);
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
	entries_clear(&crl);
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
	    cmocka_unit_test(test_deltas),
	    cmocka_unit_test(test_parts_that_do_not_fit),
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

/* Who a manufacturer's certificate stands for, and what may come between that and the device. */
#include "core_fixture.h"
#include "csr_fixture.h"
#include "event_fixture.h"

#include "core/enrol.h"
#include "core/trust.h"
#include "core/vouch.h"
#include "store/db.h"
#include "store/tx.h"
#include "x509/pem.h"

#include <openssl/x509v3.h>

/* A manufacturer's CA. */
struct maker {
	EVP_PKEY *key;
	X509 *cert;
	struct buf pem;
};

static void
pem_of(X509 *cert, struct buf *out)
{
	uint8_t *der = NULL;
	int len = i2d_X509(cert, &der);

	assert_true(len > 0);
	pem_encode(out, "CERTIFICATE", der, (size_t)len);
	OPENSSL_free(der);
	assert_false(buf_failed(out));
}

static void
extension_add(X509 *cert, int nid, const char *value)
{
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	assert_non_null(ext);
	assert_int_equal(X509_add_ext(cert, ext, -1), 1);
	X509_EXTENSION_free(ext);
}

/* For KEY and a subject with one attribute, signed by ISSUER (NULL: by itself). */
static X509 *
cert_make(EVP_PKEY *key, const char *attribute, const char *value, const struct maker *issuer)
{
	X509 *cert = X509_new();
	X509_NAME *name = X509_get_subject_name(cert);

	assert_int_equal(X509_set_version(cert, 2), 1);
	assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(cert), 7), 1);
	assert_non_null(X509_gmtime_adj(X509_getm_notBefore(cert), -86400));
	assert_int_equal(ASN1_TIME_set_string(X509_getm_notAfter(cert), "99991231235959Z"), 1);
	assert_int_equal(X509_NAME_add_entry_by_txt(name, attribute, MBSTRING_ASC, (const uint8_t *)value, -1, -1, 0), 1);
	assert_int_equal(X509_set_issuer_name(cert, issuer != NULL ? X509_get_subject_name(issuer->cert) : name), 1);
	assert_int_equal(X509_set_pubkey(cert, key), 1);
	if (issuer == NULL) {
		extension_add(cert, NID_basic_constraints, "critical,CA:TRUE");
		extension_add(cert, NID_key_usage, "critical,keyCertSign");
	}
	assert_true(X509_sign(cert, issuer != NULL ? issuer->key : key, EVP_sha256()) > 0);
	return cert;
}

static void
maker_init(struct maker *m)
{
	m->key = EVP_EC_gen("P-256");
	m->cert = cert_make(m->key, "CN", "Acme", NULL);
	m->pem = (struct buf){0};
	pem_of(m->cert, &m->pem);
}

static void
maker_clear(struct maker *m)
{
	EVP_PKEY_free(m->key);
	X509_free(m->cert);
	buf_clear(&m->pem);
}

/* A device's certificate, PEM. */
static void
device_make(const struct maker *m, const char *serial, struct buf *out)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = cert_make(key, "serialNumber", serial, m);

	pem_of(cert, out);
	X509_free(cert);
	EVP_PKEY_free(key);
}

static void
anchor_add(struct fixture *f, const struct caller *caller, const struct maker *m, const char *name, bool any)
{
	const struct trust_request request = {
	    .name = name, .certificate = buf_str(&m->pem), .type = "pump", .any_serial = any};
	struct store_trust row;
	struct err err = {0};

	assert_ok(trust_add(f->core, caller, &request, &row, &err));
	store_trust_clear(&row);
}

static void
anchor_expect(struct fixture *f, const struct caller *caller, const char *name, const char *serial)
{
	struct err err = {0};
	size_t n;

	assert_ok(trust_expect(f->core, caller, name, &serial, 1, NULL, &n, &err));
}

static void
anchor_remove(struct fixture *f, const char *name)
{
	struct err err = {0};

	assert_ok(trust_remove(f->core, &f->caller, name, &err));
}

/* Enrol with a fresh key; the device's id goes to ID, if it has one. */
static int
enrol_fresh(struct fixture *f, const struct caller *caller, char id[UUID_LEN + 1], struct err *err)
{
	struct store_device device = {0};
	struct credential credential = {0};
	struct buf csr = {0};
	int rc;

	csr_fresh(NULL, &csr);
	rc = enrol_device(f->core, caller, csr.data, csr.len, NULL, &device, &credential, err);
	if (rc == 0 && id != NULL)
		memcpy(id, device.id, sizeof device.id);
	store_device_clear(&device);
	credential_clear(&credential);
	buf_clear(&csr);
	return rc;
}

static int64_t
count(struct fixture *f, const char *sql)
{
	struct store_tx *tx = NULL;
	struct db_rows rows;
	struct err err = {0};
	int64_t n = -1;

	assert_ok(store_read(f->core->store, &tx, &err));
	db_query(&rows, tx->db, sql, DB_NONE);
	if (db_next(&rows))
		n = db_col_int(&rows, 0);
	assert_ok(db_end(&rows, &err));
	store_rollback(&tx);
	return n;
}

static void
forget_all(struct fixture *f)
{
	struct store_tx *tx = NULL;
	struct err err = {0};

	assert_ok(store_begin(f->core->store, &tx, &err));
	assert_ok(db_exec(tx->db, "DELETE FROM idevid", DB_NONE, NULL, &err));
	assert_ok(store_commit(&tx, &err));
}

#define ACTIVE "SELECT count(*) FROM certificate WHERE owner_kind = 0 AND state = 0"
#define DEVICES "SELECT count(*) FROM device"

static void
tenant_add(struct fixture *f)
{
	struct store_tx *tx = NULL;
	struct err err = {0};

	assert_ok(store_begin(f->core->store, &tx, &err));
	assert_ok(db_exec(tx->db, "INSERT INTO tenant (id, name, created_at) VALUES (2, 'other', 0)", DB_NONE, NULL, &err));
	assert_ok(db_exec(tx->db,
	    "INSERT INTO policy (tenant_id, name, read, write, updated_at, sessions)"
	    " SELECT 2, name, read, write, updated_at, sessions FROM policy WHERE tenant_id = 1",
	    DB_NONE, NULL, &err));
	assert_ok(store_commit(&tx, &err));
}

/* F6, B9, H2: a certificate is for the tenant whose anchor expects it; where two do, for neither, however one says it. And an
 * anchor, its list and its devices are another tenant's nothing. */
static void
test_two_tenants(void **state)
{
	struct fixture *f = *state;
	const struct caller other = {.role = ROLE_ADMIN, .tenant_id = 2, .who = "uid:0"};
	const char *serial = "S-1";
	struct store_device device = {0};
	struct store_trust row;
	struct caller caller;
	char id[UUID_LEN + 1];
	struct buf first = {0}, second = {0};
	struct maker m;
	struct err err = {0};
	size_t n;

	tenant_add(f);
	maker_init(&m);
	device_make(&m, "S-1", &first);
	device_make(&m, "S-2", &second);
	anchor_add(f, &f->caller, &m, "acme", false);
	assert_int_equal(trust_get(f->core, &other, "acme", &row, &err), E_NOTFOUND);
	assert_int_equal(trust_expect(f->core, &other, "acme", &serial, 1, NULL, &n, &err), E_NOTFOUND);
	assert_int_equal(trust_unexpect(f->core, &other, "acme", &serial, 1, &n, &err), E_NOTFOUND);
	assert_int_equal(trust_forget(f->core, &other, "acme", serial, id, &err), E_NOTFOUND);
	assert_int_equal(trust_remove(f->core, &other, "acme", &err), E_NOTFOUND);
	assert_int_equal(trust_resume(f->core, &other, "acme", &row, &err), E_NOTFOUND);
	anchor_expect(f, &f->caller, "acme", "S-1");
	assert_ok(vouch_authenticate(f->core, buf_str(&first), &caller, &err));
	assert_int_equal(caller.tenant_id, STORE_TENANT_DEFAULT);
	assert_int_equal(caller.role, ROLE_ENROLLEE);
	/* Its name there is its own. */
	anchor_add(f, &other, &m, "acme", true);
	assert_int_equal(vouch_authenticate(f->core, buf_str(&first), &caller, &err), E_DENIED);
	assert_non_null(strstr(err.text, "more than one tenant"));
	assert_ok(vouch_authenticate(f->core, buf_str(&second), &caller, &err));
	assert_int_equal(caller.tenant_id, 2);
	assert_ok(enrol_fresh(f, &caller, id, &err));
	assert_ok(device_get(f->core, &other, id, &device, &err));
	store_device_clear(&device);
	assert_int_equal(device_get(f->core, &f->caller, id, &device, &err), E_NOTFOUND);
	/* A caller of the one tenant with the other's anchor does not exist, and would be nobody. */
	caller.tenant_id = STORE_TENANT_DEFAULT;
	assert_int_equal(enrol_fresh(f, &caller, NULL, &err), E_DENIED);
	anchor_remove(f, "acme");
	assert_ok(vouch_authenticate(f->core, buf_str(&first), &caller, &err));
	assert_int_equal(caller.tenant_id, 2);
	assert_ok(trust_remove(f->core, &other, "acme", &err));
	assert_int_equal(vouch_authenticate(f->core, buf_str(&first), &caller, &err), E_UNAUTH);
	maker_clear(&m);
	buf_clear(&first);
	buf_clear(&second);
}

/* F1: of two CAs that have one name, and are both trusted, the one that signed is the one that counts. */
static void
test_two_cas_of_one_name(void **state)
{
	struct fixture *f = *state;
	struct maker m[3];
	struct buf chain = {0};
	struct caller caller[2];
	struct err err = {0};
	size_t i;

	for (i = 0; i < 3; i++)
		maker_init(&m[i]);
	anchor_add(f, &f->caller, &m[0], "one", true);
	anchor_add(f, &f->caller, &m[1], "two", true);
	for (i = 0; i < 2; i++) {
		device_make(&m[i], "S-1", &chain);
		assert_ok(vouch_authenticate(f->core, buf_str(&chain), &caller[i], &err));
		assert_ok(enrol_fresh(f, &caller[i], NULL, &err)); /* each CA has its own S-1 */
		buf_reset(&chain);
	}
	assert_string_not_equal(caller[0].trust_id, caller[1].trust_id);
	device_make(&m[2], "S-1", &chain);
	assert_int_equal(vouch_authenticate(f->core, buf_str(&chain), &caller[0], &err), E_UNAUTH);
	anchor_remove(f, "one");
	anchor_remove(f, "two");
	buf_clear(&chain);
	for (i = 0; i < 3; i++)
		maker_clear(&m[i]);
}

/* F7: what was true when the certificate was looked at is looked at again. */
static void
test_what_has_changed_since(void **state)
{
	struct fixture *f = *state;
	const char *serial = "S-1";
	struct store_trust row;
	struct store_tx *tx = NULL;
	struct caller caller;
	struct buf chain = {0};
	struct maker m;
	struct err err = {0};
	int64_t active = count(f, ACTIVE), devices = count(f, DEVICES);
	size_t n;

	maker_init(&m);
	device_make(&m, serial, &chain);
	anchor_add(f, &f->caller, &m, "acme", false);
	anchor_expect(f, &f->caller, "acme", serial);
	assert_ok(vouch_authenticate(f->core, buf_str(&chain), &caller, &err));
	assert_ok(trust_unexpect(f->core, &f->caller, "acme", &serial, 1, &n, &err));
	assert_int_equal(enrol_fresh(f, &caller, NULL, &err), E_DENIED);
	anchor_expect(f, &f->caller, "acme", serial);
	assert_ok(store_begin(f->core->store, &tx, &err));
	assert_ok(store_trust_hold_all(tx, &err));
	assert_ok(store_commit(&tx, &err));
	assert_int_equal(enrol_fresh(f, &caller, NULL, &err), E_DENIED);
	assert_int_equal(vouch_authenticate(f->core, buf_str(&chain), &caller, &err), E_DENIED);
	assert_non_null(strstr(err.text, "muster trust resume"));
	assert_ok(trust_resume(f->core, &f->caller, "acme", &row, &err));
	assert_false(row.held);
	store_trust_clear(&row);
	anchor_remove(f, "acme");
	assert_int_equal(enrol_fresh(f, &caller, NULL, &err), E_DENIED);
	/* Another one of that name is another. */
	anchor_add(f, &f->caller, &m, "acme", true);
	assert_int_equal(enrol_fresh(f, &caller, NULL, &err), E_DENIED);
	assert_int_equal(count(f, ACTIVE), active);
	assert_int_equal(count(f, DEVICES), devices);
	anchor_remove(f, "acme");
	buf_clear(&chain);
	maker_clear(&m);
}

/* F7, F3: an anchor that is removed between any two steps of an enrolment has let the device in, or has not: then nothing that was
 * signed is good. The second time it is the renewal of the same device. */
static void
test_removed_in_between(void **state)
{
	struct fixture *f = *state;
	struct buf chain = {0};
	struct maker m;
	bool fired = true, refused = false;
	int left, again;

	maker_init(&m);
	event.f = f;
	event.thread = pthread_self();
	event.act = anchor_remove;
	f->core->now = event_now;
	for (again = 0; again < 2; again++) {
		for (left = 0, fired = true; fired; left++) {
			int64_t active = count(f, ACTIVE), devices;
			struct caller caller;
			struct err err = {0};
			int rc;

			buf_reset(&chain);
			device_make(&m, "S-1", &chain);
			anchor_add(f, &f->caller, &m, "acme", true);
			assert_ok(vouch_authenticate(f->core, buf_str(&chain), &caller, &err));
			if (again) {
				assert_ok(enrol_fresh(f, &caller, NULL, &err));
				active++;
			}
			devices = count(f, DEVICES);
			event.left = left;
			event.done = false;
			event.id = "acme";
			rc = enrol_fresh(f, &caller, NULL, &err);
			event.id = NULL;
			fired = event.done;
			refused |= rc != 0;
			assert_true(rc == 0 || (fired && rc == E_DENIED));
			assert_int_equal(count(f, ACTIVE), active + (rc == 0));
			assert_int_equal(count(f, DEVICES), devices + (rc == 0 && !again));
			if (!fired)
				anchor_remove(f, "acme");
			/* the next one is another device */
			forget_all(f);
		}
		assert_true(left >= 3 && refused);
	}
	f->core->now = clock_now;
	buf_clear(&chain);
	maker_clear(&m);
}

static struct caller second;
static int second_rc;

static void
enrol_too(struct fixture *f, const char *id)
{
	struct err err = {0};

	(void)id;
	second_rc = enrol_fresh(f, &second, NULL, &err);
}

/* F7: a device that asks twice at once, with two keys, is one device; what the loser was signed is revoked. */
static void
test_two_at_once(void **state)
{
	struct fixture *f = *state;
	struct buf chain = {0};
	struct maker m;
	bool fired = true, lost = false;
	char serial[16];
	int left;

	maker_init(&m);
	anchor_add(f, &f->caller, &m, "acme", true);
	event.f = f;
	event.thread = pthread_self();
	event.act = enrol_too;
	f->core->now = event_now;
	for (left = 0; fired; left++) {
		int64_t active = count(f, ACTIVE), devices = count(f, DEVICES);
		struct err err = {0};
		int rc;

		(void)snprintf(serial, sizeof serial, "S-%d", left);
		buf_reset(&chain);
		device_make(&m, serial, &chain);
		assert_ok(vouch_authenticate(f->core, buf_str(&chain), &second, &err));
		event.left = left;
		event.done = false;
		event.id = "";
		second_rc = 1;
		rc = enrol_fresh(f, &second, NULL, &err);
		event.id = NULL;
		fired = event.done;
		lost |= rc == E_CONFLICT;
		assert_true(rc == 0 || (fired && rc == E_CONFLICT && second_rc == 0));
		assert_int_equal(count(f, DEVICES), devices + 1);
		assert_int_equal(count(f, ACTIVE), active + (rc == 0) + (second_rc == 0));
	}
	assert_true(lost);
	anchor_remove(f, "acme");
	f->core->now = clock_now;
	buf_clear(&chain);
	maker_clear(&m);
}

/* Who did not come through vouch_authenticate is nobody here; nor is what is no certificate. */
static void
test_nobody(void **state)
{
	static const char *const chains[] = {"", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"};
	struct fixture *f = *state;
	struct caller caller = f->caller;
	struct err err = {0};
	size_t i;

	assert_int_equal(enrol_fresh(f, &caller, NULL, &err), E_DENIED);
	(void)text_copy(caller.who, sizeof caller.who, VOUCH_WHO "beef");
	assert_int_equal(enrol_fresh(f, &caller, NULL, &err), E_DENIED);
	for (i = 0; i < sizeof chains / sizeof chains[0]; i++)
		assert_int_equal(vouch_authenticate(f->core, chains[i], &caller, &err), E_UNAUTH);
}

/* B9: a tenant cannot take all the room that there is for anchors of one CA's name. */
static void
test_room_for_anchors(void **state)
{
	struct fixture *f = *state;
	const struct caller other = {.role = ROLE_ADMIN, .tenant_id = 2, .who = "uid:0"};
	struct trust_request request = {.type = "pump"};
	struct store_trust row = {0};
	char name[16];
	struct maker m;
	struct err err = {0};
	int i, rc;

	maker_init(&m);
	request.certificate = buf_str(&m.pem);
	request.name = name;
	for (i = 0; i <= TRUST_SAME_NAME_TENANT_MAX; i++) {
		(void)snprintf(name, sizeof name, "a%d", i);
		if (i < TRUST_SAME_NAME_TENANT_MAX)
			anchor_add(f, &other, &m, name, false);
		else
			assert_int_equal(trust_add(f->core, &other, &request, &row, &err), E_CONFLICT);
	}
	/* The installation's own has what is left, of which other tests have taken some. */
	for (i = 0, rc = 0; rc == 0; i++) {
		(void)snprintf(name, sizeof name, "a%d", i);
		if ((rc = trust_add(f->core, &f->caller, &request, &row, &err)) == 0)
			store_trust_clear(&row);
	}
	assert_int_equal(rc, E_CONFLICT);
	assert_in_range(i, TRUST_SAME_NAME_TENANT_MAX + 2, TRUST_SAME_NAME_MAX - TRUST_SAME_NAME_TENANT_MAX + 1);
	assert_string_equal(err.field, "certificate");
	maker_clear(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_nobody),
	    cmocka_unit_test(test_two_cas_of_one_name),
	    cmocka_unit_test(test_what_has_changed_since),
	    cmocka_unit_test(test_removed_in_between),
	    cmocka_unit_test(test_two_at_once),
	    cmocka_unit_test(test_two_tenants),
	    cmocka_unit_test(test_room_for_anchors), /* behind that: its tenant is there */
	};

	return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}

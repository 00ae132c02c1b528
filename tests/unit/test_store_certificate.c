/* Table `certificate`: lookups, states, the walk for the CRL. */
#include "store_fixture.h"

#include "store/issuer.h"

#define OWNER "00000001-0000-4000-8000-000000000000"

static void
insert(struct fixture *f, const struct store_certificate *c)
{
	struct store_tx *tx = NULL;
	struct err err = {0};

	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_certificate_insert(tx, c, &err));
	assert_ok(store_commit(&tx, &err));
}

static void
test_row_round_trip(void **state)
{
	struct fixture *f = *state;
	struct store_certificate c = fixture_certificate(1, OWNER), got = {0};
	struct store_tx *tx = NULL;
	struct err err = {0};

	insert(f, &c);
	assert_ok(store_read(f->store, &tx, &err));
	assert_ok(store_certificate_by_fingerprint(
	    tx, STORE_TENANT_DEFAULT, c.fingerprint, &got, &err));
	assert_memory_equal(got.serial, c.serial, sizeof c.serial);
	assert_memory_equal(got.spki_hash, c.spki_hash, sizeof c.spki_hash);
	assert_string_equal(got.owner_id, OWNER);
	assert_string_equal(got.key, "ec-p256");
	assert_string_equal(got.profile, "standard");
	assert_int_equal(got.not_before, 1000);
	assert_int_equal(got.not_after, 2000);
	assert_int_equal(got.state, CERTIFICATE_ACTIVE);
	assert_false(got.superseded);
	assert_int_equal(got.der_len, c.der_len);
	assert_memory_equal(got.der, c.der, c.der_len);
	store_certificate_clear(&got);
	assert_ok(store_certificate_by_serial(tx, c.serial, &got, &err));
	assert_memory_equal(got.fingerprint, c.fingerprint, SHA256_LEN);
	store_certificate_clear(&got);
	/* H2 */
	assert_int_equal(
	    store_certificate_by_fingerprint(tx, 2, c.fingerprint, &got, &err), E_NOTFOUND);
	c.serial[19] ^= 1;
	assert_int_equal(store_certificate_by_serial(tx, c.serial, &got, &err), E_NOTFOUND);
	assert_null(got.der);
	store_rollback(&tx);
}

static void
test_serial_and_fingerprint_are_unique(void **state)
{
	struct fixture *f = *state;
	struct store_certificate c = fixture_certificate(1, OWNER), d = fixture_certificate(2, OWNER);
	struct store_tx *tx = NULL;
	struct err err = {0};

	insert(f, &c);
	assert_ok(store_begin(f->store, &tx, &err));
	memcpy(d.serial, c.serial, sizeof d.serial);
	assert_int_equal(store_certificate_insert(tx, &d, &err), E_CONFLICT);
	d = fixture_certificate(2, OWNER);
	memcpy(d.fingerprint, c.fingerprint, sizeof d.fingerprint);
	assert_int_equal(store_certificate_insert(tx, &d, &err), E_CONFLICT);
	/* The same key again is for the caller to judge. */
	d = fixture_certificate(2, OWNER);
	memcpy(d.spki_hash, c.spki_hash, sizeof d.spki_hash);
	assert_ok(store_certificate_insert(tx, &d, &err));
	store_rollback(&tx);
}

/* D7 */
static void
test_key_owner(void **state)
{
	static const char other[] = "00000002-0000-4000-8000-000000000000";
	struct fixture *f = *state;
	struct store_certificate c = fixture_certificate(1, OWNER);
	char id[UUID_LEN + 1] = "untouched";
	enum store_owner_kind kind = OWNER_BROKER;
	struct store_tx *tx = NULL;
	struct err err = {0};

	assert_ok(store_read(f->store, &tx, &err));
	assert_int_equal(
	    store_certificate_key_owner(tx, c.spki_hash, &kind, id, &err), E_NOTFOUND);
	assert_string_equal(id, "untouched");
	store_rollback(&tx);
	c.owner_kind = OWNER_SERVICE;
	c.state = CERTIFICATE_REVOKED; /* a revoked one counts as well */
	insert(f, &c);
	c = fixture_certificate(2, other);
	memset(c.spki_hash, 0, sizeof c.spki_hash);
	c.spki_hash[0] = 1;
	insert(f, &c);
	assert_ok(store_read(f->store, &tx, &err));
	assert_ok(store_certificate_key_owner(tx, c.spki_hash, &kind, id, &err));
	assert_string_equal(id, OWNER); /* the first */
	assert_int_equal(kind, OWNER_SERVICE);
	store_rollback(&tx);
}

static void
test_owner(void **state)
{
	struct fixture *f = *state;
	struct store_certificate c = fixture_certificate(1, OWNER);
	enum store_owner_kind kind = OWNER_BROKER;
	struct store_tx *tx = NULL;
	struct err err = {0};
	int64_t tenant_id = 9;

	fixture_tamper(f, "INSERT INTO tenant (id, name, created_at) VALUES (2, 'other', 0)");
	c.owner_kind = OWNER_SERVICE;
	c.tenant_id = 2;
	insert(f, &c);
	assert_ok(store_read(f->store, &tx, &err));
	assert_int_equal(store_certificate_owner(tx, "nobody", &kind, &tenant_id, &err), E_NOTFOUND);
	assert_int_equal(tenant_id, 9);
	assert_ok(store_certificate_owner(tx, OWNER, &kind, &tenant_id, &err));
	assert_int_equal(kind, OWNER_SERVICE);
	assert_int_equal(tenant_id, 2);
	store_rollback(&tx);
}

static void
test_by_owner_newest_first(void **state)
{
	struct fixture *f = *state;
	struct store_certificate rows[3];
	struct store_tx *tx = NULL;
	struct err err = {0};
	unsigned i;
	size_t n = 0;

	for (i = 1; i <= 5; i++) {
		struct store_certificate c = fixture_certificate(i, OWNER);

		insert(f, &c);
	}
	assert_ok(store_read(f->store, &tx, &err));
	assert_ok(store_certificate_by_owner(tx, STORE_TENANT_DEFAULT, OWNER, rows, 3, &n, &err));
	assert_int_equal(n, 3);
	for (i = 0; i < 3; i++) {
		assert_int_equal(rows[i].serial[1], 5 - i);
		store_certificate_clear(&rows[i]);
	}
	assert_ok(store_certificate_by_owner(tx, 2, OWNER, rows, 3, &n, &err));
	assert_int_equal(n, 0);
	store_rollback(&tx);
}

static void
test_states(void **state)
{
	struct fixture *f = *state;
	struct store_certificate c = fixture_certificate(1, OWNER), got = {0};
	uint8_t next[STORE_SERIAL_LEN] = {0x41};
	struct store_tx *tx = NULL;
	struct err err = {0};

	insert(f, &c);
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_certificate_set_state(tx, c.serial, CERTIFICATE_HELD, 6, 1500, NULL, &err));
	assert_ok(store_certificate_set_state(tx, c.serial, CERTIFICATE_ACTIVE, 0, 0, NULL, &err));
	assert_ok(store_certificate_by_serial(tx, c.serial, &got, &err));
	assert_int_equal(got.state, CERTIFICATE_ACTIVE);
	assert_int_equal(got.revoked_at, 0);
	store_certificate_clear(&got);
	assert_ok(
	    store_certificate_set_state(tx, c.serial, CERTIFICATE_REVOKED, 4, 1600, next, &err));
	/* For good. */
	assert_int_equal(
	    store_certificate_set_state(tx, c.serial, CERTIFICATE_ACTIVE, 0, 0, NULL, &err),
	    E_CONFLICT);
	assert_int_equal(
	    store_certificate_set_state(tx, c.serial, CERTIFICATE_REVOKED, 1, 1700, NULL, &err),
	    E_CONFLICT);
	assert_ok(store_certificate_by_serial(tx, c.serial, &got, &err));
	assert_int_equal(got.state, CERTIFICATE_REVOKED);
	assert_int_equal(got.reason, 4);
	assert_int_equal(got.revoked_at, 1600);
	assert_true(got.superseded);
	assert_memory_equal(got.superseded_by, next, sizeof next);
	store_certificate_clear(&got);
	assert_int_equal(
	    store_certificate_set_state(tx, next, CERTIFICATE_REVOKED, 1, 1700, NULL, &err),
	    E_NOTFOUND);
	assert_ok(store_commit(&tx, &err));
}

static void
test_revoked_walk(void **state)
{
	struct fixture *f = *state;
	struct store_revoked *walk = NULL;
	struct store_revoked_row row;
	struct store_tx *tx = NULL;
	int64_t number;
	struct err err = {0};
	unsigned i, seen = 0;

	for (i = 1; i <= 60; i++) {
		struct store_certificate c = fixture_certificate(i, OWNER);

		c.state = (enum certificate_state)(i % 3);
		c.reason = (int)(i % 3);
		c.revoked_at = i % 3 == 0 ? 0 : 100 + i;
		c.not_after = 1000 + i;
		insert(f, &c);
	}
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_issuer_enter(tx, "6fa60beb5e40b39c1cda602dbb7eb591f7738fc3", &number, &err));
	assert_ok(store_commit(&tx, &err));
	assert_ok(store_read(f->store, &tx, &err));
	assert_ok(store_revoked_open(tx, STORE_ISSUER_ALL, 1031, &walk, &err));
	while (store_revoked_next(walk, &row)) {
		assert_true(row.serial[1] >= 31 && row.serial[1] % 3 != 0);
		assert_int_equal(row.revoked_at, 100 + row.serial[1]);
		assert_int_equal(row.reason, row.serial[1] % 3);
		seen++;
	}
	assert_ok(store_revoked_close(walk, &err));
	assert_int_equal(seen, 20);
	/* Left in the middle, and begun again. */
	assert_ok(store_revoked_open(tx, STORE_ISSUER_ALL, 0, &walk, &err));
	assert_true(store_revoked_next(walk, &row));
	assert_ok(store_revoked_close(walk, &err));
	assert_ok(store_revoked_open(tx, STORE_ISSUER_ALL, INT64_MAX, &walk, &err));
	assert_false(store_revoked_next(walk, &row));
	assert_ok(store_revoked_close(walk, &err));
	assert_int_equal(store_revoked_close(NULL, &err), 0);
	store_rollback(&tx);
}

/* The CRL's walk must read its index alone, whatever the number of certificates; so must the others find theirs. */
static void
test_plans(void **state)
{
	static const uint8_t some[SHA256_LEN];
	struct fixture *f = *state;
	struct store_certificate got = {0};
	struct store_revoked *walk = NULL;
	struct store_revoked_row row;
	enum store_owner_kind kind;
	struct store_tx *tx = NULL;
	struct err err = {0};
	char text[512], id[UUID_LEN + 1];
	int64_t issuer;
	size_t n;

	assert_ok(store_read(f->store, &tx, &err));
	for (issuer = STORE_ISSUER_ALL; issuer <= 0; issuer++) {
		assert_ok(store_revoked_open(tx, issuer, 0, &walk, &err));
		assert_false(store_revoked_next(walk, &row));
		assert_ok(store_revoked_close(walk, &err));
		fixture_plan(f, text, sizeof text);
		assert_non_null(strstr(text,
		    "SEARCH certificate USING COVERING INDEX certificate_revoked (issuer=? AND not_after>?); "));
	}
	assert_int_equal(store_certificate_key_owner(tx, some, &kind, id, &err), E_NOTFOUND);
	fixture_plan(f, text, sizeof text);
	assert_string_equal(
	    text, "SEARCH certificate USING INDEX certificate_spki (spki_hash=?); ");
	assert_ok(store_certificate_by_owner(tx, 1, OWNER, &got, 1, &n, &err));
	fixture_plan(f, text, sizeof text);
	assert_string_equal(
	    text, "SEARCH certificate USING INDEX certificate_owner (owner_id=?); ");
	assert_int_equal(store_certificate_by_serial(tx, some, &got, &err), E_NOTFOUND);
	fixture_plan(f, text, sizeof text);
	assert_non_null(strstr(text, "(serial=?)"));
	store_rollback(&tx);
}

#define case_of(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    case_of(test_row_round_trip),
	    case_of(test_serial_and_fingerprint_are_unique),
	    case_of(test_key_owner),
	    case_of(test_owner),
	    case_of(test_by_owner_newest_first),
	    case_of(test_states),
	    case_of(test_revoked_walk),
	    case_of(test_plans),
	};

	fixture_trace();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "store_fixture.h"

#include "store/idempotency.h"

static struct store_idempotency
row_make(unsigned n, int64_t expires_at)
{
	struct store_idempotency row = {.expires_at = expires_at};

	(void)snprintf(row.device_id, sizeof row.device_id, "%08x-0000-4000-8000-000000000000", n);
	memcpy(row.digest, &n, sizeof n);
	memcpy(row.serial, &n, sizeof n);
	return row;
}

static int
insert(struct fixture *f, const char *caller, const char *key, int64_t now,
    const struct store_idempotency *row)
{
	struct store_tx *tx = NULL;
	struct err err = {0};
	int rc;

	assert_ok(store_begin(f->store, &tx, &err));
	rc = store_idempotency_insert(tx, STORE_TENANT_DEFAULT, caller, key, now, row, &err);
	if (rc == 0)
		rc = store_commit(&tx, &err);
	store_rollback(&tx);
	return rc;
}

static int
find(struct fixture *f, int64_t tenant_id, const char *caller, const char *key, int64_t now,
    struct store_idempotency *row_out)
{
	struct store_tx *tx = NULL;
	struct err err = {0};
	int rc;

	assert_ok(store_read(f->store, &tx, &err));
	rc = store_idempotency_find(tx, tenant_id, caller, key, now, row_out, &err);
	store_rollback(&tx);
	return rc;
}

static void
test_found_until_it_expires(void **state)
{
	struct fixture *f = *state;
	struct store_idempotency row = row_make(7, 2000), found = {0};

	assert_int_equal(find(f, STORE_TENANT_DEFAULT, "a", "k", 1000, &found), E_NOTFOUND);
	assert_int_equal(insert(f, "a", "k", 1000, &row), 0);
	fixture_reopen(f);
	assert_int_equal(find(f, STORE_TENANT_DEFAULT, "a", "k", 1999, &found), 0);
	assert_memory_equal(found.digest, row.digest, sizeof row.digest);
	assert_memory_equal(found.serial, row.serial, sizeof row.serial);
	assert_string_equal(found.device_id, row.device_id);
	assert_int_equal(found.expires_at, 2000);
	assert_int_equal(find(f, STORE_TENANT_DEFAULT, "a", "k", 2000, &found), E_NOTFOUND);
}

/* B9: neither another tenant's nor another caller's key is this one, nor one that only looks like it. */
static void
test_keys_of_others(void **state)
{
	static const struct {
		int64_t tenant_id;
		const char *caller, *key;
	} others[] = {{2, "a", "k"}, {STORE_TENANT_DEFAULT, "b", "k"}, {STORE_TENANT_DEFAULT, "a", "K"},
	    {STORE_TENANT_DEFAULT, "a", "k "}, {STORE_TENANT_DEFAULT, "a", "k%"},
	    {STORE_TENANT_DEFAULT, "a", ""}, {STORE_TENANT_DEFAULT, "ak", ""}};
	struct fixture *f = *state;
	struct store_idempotency row = row_make(1, 2000), found = {0};
	size_t i;

	assert_int_equal(insert(f, "a", "k", 1000, &row), 0);
	for (i = 0; i < sizeof others / sizeof others[0]; i++)
		assert_int_equal(
		    find(f, others[i].tenant_id, others[i].caller, others[i].key, 1000, &found), E_NOTFOUND);
}

/* The second of two that raced is refused; what has expired, swept or not, is in nobody's way. */
static void
test_the_first_wins(void **state)
{
	struct fixture *f = *state;
	struct store_idempotency first = row_make(1, 2000), second = row_make(2, 3000), found = {0};

	assert_int_equal(insert(f, "a", "k", 1000, &first), 0);
	assert_int_equal(insert(f, "a", "k", 1999, &second), E_CONFLICT);
	assert_int_equal(find(f, STORE_TENANT_DEFAULT, "a", "k", 1999, &found), 0);
	assert_string_equal(found.device_id, first.device_id);
	assert_int_equal(insert(f, "a", "k", 2000, &second), 0);
	assert_int_equal(find(f, STORE_TENANT_DEFAULT, "a", "k", 2000, &found), 0);
	assert_string_equal(found.device_id, second.device_id);
	assert_memory_equal(found.digest, second.digest, sizeof second.digest);
	assert_int_equal(fixture_number(f, "SELECT count(*) FROM idempotency"), 1);
}

static void
test_expired_ones_go(void **state)
{
	struct fixture *f = *state;
	struct store_tx *tx = NULL;
	struct err err = {0};
	char key[16];
	unsigned i;
	size_t n = 99;

	for (i = 0; i < 5; i++) {
		struct store_idempotency row = row_make(i, 2000 + (int64_t)i);

		(void)snprintf(key, sizeof key, "k%u", i);
		assert_int_equal(insert(f, "a", key, 1000, &row), 0);
	}
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_idempotency_expire(tx, 1999, 10, &n, &err));
	assert_int_equal(n, 0);
	assert_ok(store_idempotency_expire(tx, 2003, 3, &n, &err));
	assert_int_equal(n, 3);
	assert_ok(store_idempotency_expire(tx, 2003, 3, &n, &err));
	assert_int_equal(n, 1);
	assert_ok(store_commit(&tx, &err));
	assert_int_equal(fixture_number(f, "SELECT count(*) FROM idempotency WHERE key = 'k4'"), 1);
	assert_int_equal(fixture_number(f, "SELECT count(*) FROM idempotency"), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_found_until_it_expires, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(test_keys_of_others, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(test_the_first_wins, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(test_expired_ones_go, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

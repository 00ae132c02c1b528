/* Table `issuer`, and what certificates and lists make of its numbers. */
#include "store_fixture.h"

#include "store/issuer.h"
#include "store/revocation.h"

#define FIRST "6fa60beb5e40b39c1cda602dbb7eb591f7738fc3"
#define SECOND "ccd09c431d0878938fd68e83819abf448dfadcfd"
#define OWNER "6fa459ea-ee8a-4ca4-894e-db77e160355e"

static void
test_numbers(void **state)
{
	struct fixture *f = *state;
	struct store_tx *tx = NULL;
	struct err err = {0};
	int64_t n = 7;

	assert_ok(store_begin(f->store, &tx, &err));
	assert_int_equal(store_issuer_find(tx, FIRST, &n, &err), E_NOTFOUND);
	assert_int_equal(n, 7);
	assert_ok(store_issuer_enter(tx, FIRST, &n, &err));
	assert_int_equal(n, 0); /* as certificates that were there before the table are its */
	assert_ok(store_issuer_enter(tx, SECOND, &n, &err));
	assert_int_equal(n, 1);
	assert_ok(store_issuer_enter(tx, FIRST, &n, &err));
	assert_int_equal(n, 0);
	assert_ok(store_issuer_find(tx, SECOND, &n, &err));
	assert_int_equal(n, 1);
	store_rollback(&tx);
}

static size_t
count(struct store_tx *tx, int64_t issuer)
{
	struct store_revoked *walk = NULL;
	struct store_revoked_row row;
	struct err err = {0};
	size_t n = 0;

	assert_ok(store_revoked_open(tx, issuer, 0, &walk, &err));
	while (store_revoked_next(walk, &row))
		n++;
	assert_ok(store_revoked_close(walk, &err));
	return n;
}

/* G4: what is revoked stands on the list of its own issuer, and of no other. */
static void
test_each_has_its_own(void **state)
{
	static const int64_t issuers[] = {0, 1, 1, STORE_ISSUER_NONE};
	struct fixture *f = *state;
	struct store_revocation rows[8];
	struct store_certificate c;
	struct store_status status;
	struct store_tx *tx = NULL;
	struct err err = {0};
	int64_t number;
	size_t i, n;

	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_issuer_enter(tx, FIRST, &number, &err));
	assert_ok(store_issuer_enter(tx, SECOND, &number, &err));
	for (i = 0; i < sizeof issuers / sizeof issuers[0]; i++) {
		c = fixture_certificate((unsigned)i, OWNER);
		c.issuer = issuers[i];
		assert_ok(store_certificate_insert(tx, &c, &err));
		assert_ok(store_certificate_set_state(tx, c.serial, CERTIFICATE_REVOKED, 1, 1000, NULL, &err));
		assert_ok(store_certificate_status(tx, c.serial, &status, &err));
		assert_int_equal(status.issuer, issuers[i]);
	}
	assert_int_equal(count(tx, 0), 1);
	assert_int_equal(count(tx, 1), 2);
	assert_int_equal(count(tx, STORE_ISSUER_ALL), 4);
	assert_ok(store_revocation_list(tx, 0, rows, 8, &n, &err));
	assert_int_equal(n, 4);
	for (i = 0; i < n; i++)
		assert_int_equal(rows[i].issuer, issuers[i]);
	store_rollback(&tx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_numbers, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(test_each_has_its_own, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

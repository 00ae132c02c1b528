#include "core_fixture.h"

#include "store/package.h"

#define OWNER "6fa459ea-ee8a-4ca4-894e-db77e160355e"
#define OTHER "6fa459ea-ee8a-4ca4-894e-db77e160355f"

/* A certificate of OWNER whose serial begins with N, in STATE. */
static void
certificate_add(struct store_tx *tx, uint8_t n, const char *owner, enum certificate_state state)
{
	uint8_t der[] = {0x30, 0};
	struct store_certificate row = {.serial = {n}, .tenant_id = STORE_TENANT_DEFAULT, .owner_kind = OWNER_DEVICE,
	    .fingerprint = {n}, .spki_hash = {n}, .key = "ec-p256", .profile = "short", .not_before = 1,
	    .not_after = 1LL << 40, .state = state, .der = der, .der_len = sizeof der};
	struct err err = {0};

	(void)snprintf(row.owner_id, sizeof row.owner_id, "%s", owner);
	row.reason = state == CERTIFICATE_HELD ? REASON_CERTIFICATE_HOLD :
	    state == CERTIFICATE_REVOKED       ? REASON_SUPERSEDED :
						 0;
	row.revoked_at = state == CERTIFICATE_ACTIVE ? 0 : 500;
	assert_ok(store_certificate_insert(tx, &row, &err));
}

static void
assert_certificate(struct store_tx *tx, uint8_t n, enum certificate_state state, int reason, int64_t at)
{
	uint8_t serial[SERIAL_LEN] = {n};
	struct store_certificate row = {0};
	struct err err = {0};

	assert_ok(store_certificate_by_serial(tx, serial, &row, &err));
	assert_int_equal(row.state, state);
	assert_int_equal(row.reason, reason);
	assert_int_equal(row.revoked_at, at);
	store_certificate_clear(&row);
}

/* One active, one held, one revoked certificate, and one of somebody else, in a transaction that is never kept. */
static struct store_tx *
begin(struct fixture *f)
{
	struct store_tx *tx = NULL;
	struct err err = {0};

	assert_ok(store_begin(f->core->store, &tx, &err));
	certificate_add(tx, 1, OWNER, CERTIFICATE_ACTIVE);
	certificate_add(tx, 2, OWNER, CERTIFICATE_HELD);
	certificate_add(tx, 3, OWNER, CERTIFICATE_REVOKED);
	certificate_add(tx, 4, OTHER, CERTIFICATE_ACTIVE);
	return tx;
}

static void
test_each_reason_moves_what_it_may(void **state)
{
	static const struct {
		enum crl_reason reason;
		size_t n;
		uint8_t first; /* the serial's first byte, where only one is moved */
		struct {
			enum certificate_state state;
			int reason;
			int64_t at;
		} after[2]; /* of the active one and of the held one */
	} cases[] = {
	    {REASON_KEY_COMPROMISE, 2, 0,
		{{CERTIFICATE_REVOKED, REASON_KEY_COMPROMISE, 1000}, {CERTIFICATE_REVOKED, REASON_KEY_COMPROMISE, 1000}}},
	    {REASON_UNSPECIFIED, 2, 0,
		{{CERTIFICATE_REVOKED, REASON_UNSPECIFIED, 1000}, {CERTIFICATE_REVOKED, REASON_UNSPECIFIED, 1000}}},
	    {REASON_CERTIFICATE_HOLD, 1, 1,
		{{CERTIFICATE_HELD, REASON_CERTIFICATE_HOLD, 1000}, {CERTIFICATE_HELD, REASON_CERTIFICATE_HOLD, 500}}},
	    {REASON_REMOVE_FROM_CRL, 1, 2, {{CERTIFICATE_ACTIVE, 0, 0}, {CERTIFICATE_ACTIVE, 0, 0}}},
	};
	struct fixture *f = *state;
	struct revocation out;
	struct err err = {0};
	size_t i;

	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct store_tx *tx = begin(f);

		assert_ok(revocation_apply(tx, STORE_TENANT_DEFAULT, OWNER, cases[i].reason, 1000, NULL, &out, &err));
		assert_int_equal(out.n, cases[i].n);
		assert_int_equal(out.reason, cases[i].reason);
		assert_int_equal(out.at, 1000);
		if (cases[i].n == 1)
			assert_int_equal(out.serials[0][0], cases[i].first);
		assert_certificate(
		    tx, 1, cases[i].after[0].state, cases[i].after[0].reason, cases[i].after[0].at);
		assert_certificate(
		    tx, 2, cases[i].after[1].state, cases[i].after[1].reason, cases[i].after[1].at);
		/* Neither a revoked one nor somebody else's is ever touched. */
		assert_certificate(tx, 3, CERTIFICATE_REVOKED, REASON_SUPERSEDED, 500);
		assert_certificate(tx, 4, CERTIFICATE_ACTIVE, 0, 0);
		store_rollback(&tx);
	}
}

/* The successor is spared; it is named in those it follows. */
static void
test_a_successor_is_spared(void **state)
{
	const uint8_t successor[SERIAL_LEN] = {5};
	struct fixture *f = *state;
	struct store_tx *tx = begin(f);
	struct store_certificate row = {0};
	struct revocation out;
	struct err err = {0};
	uint8_t serial[SERIAL_LEN] = {1};

	certificate_add(tx, 5, OWNER, CERTIFICATE_ACTIVE);
	assert_ok(revocation_apply(
	    tx, STORE_TENANT_DEFAULT, OWNER, REASON_SUPERSEDED, 1000, successor, &out, &err));
	assert_int_equal(out.n, 2);
	assert_certificate(tx, 5, CERTIFICATE_ACTIVE, 0, 0);
	assert_ok(store_certificate_by_serial(tx, serial, &row, &err));
	assert_true(row.superseded);
	assert_memory_equal(row.superseded_by, successor, SERIAL_LEN);
	store_certificate_clear(&row);
	store_rollback(&tx);
}

/* B9: another tenant's owner of the same id has nothing to revoke. */
static void
test_another_tenants(void **state)
{
	struct fixture *f = *state;
	struct store_tx *tx = begin(f);
	struct revocation out;
	struct err err = {0};

	assert_ok(revocation_apply(tx, 2, OWNER, REASON_KEY_COMPROMISE, 1000, NULL, &out, &err));
	assert_int_equal(out.n, 0);
	assert_certificate(tx, 1, CERTIFICATE_ACTIVE, 0, 0);
	store_rollback(&tx);
}

/* A device that has rotated more often than one revocation has room for: what is left is still its newest. */
static void
test_more_certificates_than_one_revocation_holds(void **state)
{
	struct fixture *f = *state;
	struct store_tx *tx = begin(f);
	struct revocation out;
	struct err err = {0};
	uint8_t n;

	for (n = 10; n < 10 + REVOCATION_MAX + 10; n++)
		certificate_add(tx, n, OWNER, CERTIFICATE_REVOKED);
	assert_ok(revocation_apply(tx, STORE_TENANT_DEFAULT, OWNER, REASON_KEY_COMPROMISE, 1000, NULL, &out, &err));
	assert_int_equal(out.n, 2);
	assert_certificate(tx, 1, CERTIFICATE_REVOKED, REASON_KEY_COMPROMISE, 1000);
	assert_certificate(tx, 2, CERTIFICATE_REVOKED, REASON_KEY_COMPROMISE, 1000);
	store_rollback(&tx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_each_reason_moves_what_it_may),
	    cmocka_unit_test(test_a_successor_is_spared),
	    cmocka_unit_test(test_another_tenants),
	    cmocka_unit_test(test_more_certificates_than_one_revocation_holds),
	};

	return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}

/* Table `audit`: the chain, and every way to break it (H6). */
#include "store_fixture.h"

#include "base/text.h"
#include "store/audit.h"

#define ROWS 8

static struct store_audit
row_of(unsigned n)
{
	return (struct store_audit){.tenant_id = n % 2 + 1,
	    .at = 1000 + n,
	    .actor = "operator:admin",
	    .action = n % 3 == 0 ? "device.register" : "device.revoke",
	    .target = n == 4 ? "" : "device:00000001-0000-4000-8000-000000000000",
	    .detail = n == 5 ? "" : "{\"reason\":\"keyCompromise\"}"};
}

static void
append(struct fixture *f, unsigned n)
{
	struct store_audit row = row_of(n);
	struct store_tx *tx = NULL;
	struct err err = {0};

	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_audit_append(tx, &row, &err));
	assert_ok(store_commit(&tx, &err));
}

static int
setup_rows(void **state)
{
	struct fixture *f;
	unsigned n;

	(void)fixture_setup(state);
	f = *state;
	for (n = 1; n <= ROWS; n++)
		append(f, n);
	return 0;
}

static int
verify(struct fixture *f, int64_t *rows_out, struct err *err)
{
	struct store_tx *tx = NULL;
	int rc;

	assert_int_equal(store_read(f->store, &tx, err), 0);
	rc = store_audit_verify(tx, rows_out, err);
	store_rollback(&tx);
	return rc;
}

static int
collect(void *ctx, const struct store_audit *row, struct err *err)
{
	struct store_audit want = row_of((unsigned)row->seq);
	int64_t *seen = ctx;

	assert_string_equal(row->actor, want.actor);
	assert_string_equal(row->action, want.action);
	assert_string_equal(row->target, want.target);
	assert_string_equal(row->detail, want.detail);
	assert_int_equal(row->at, want.at);
	assert_int_equal(row->tenant_id, want.tenant_id);
	seen[++seen[0]] = row->seq;
	return row->seq == 7 ? err_set(err, E_LIMIT, "enough") : 0;
}

static void
test_each(void **state)
{
	struct fixture *f = *state;
	int64_t seen[ROWS + 1] = {0};
	struct store_tx *tx = NULL;
	struct err err = {0};

	assert_ok(store_read(f->store, &tx, &err));
	assert_ok(store_audit_each(tx, 0, 2, 3, collect, seen, &err));
	assert_int_equal(seen[0], 3);
	assert_int_equal(seen[1], 3);
	assert_int_equal(seen[3], 5);
	seen[0] = 0;
	assert_ok(store_audit_each(tx, 1, 0, 99, collect, seen, &err)); /* the even ones */
	assert_int_equal(seen[0], 4);
	assert_int_equal(seen[4], 8);
	seen[0] = 0;
	assert_int_equal(store_audit_each(tx, 2, 0, 99, collect, seen, &err), E_LIMIT);
	assert_ok(store_audit_each(tx, 3, 0, 99, collect, seen, &err));
	assert_int_equal(seen[0], 4);
	store_rollback(&tx);
}

/* A rolled back row leaves the chain as it was, and its number is given again. */
static void
test_rollback_keeps_the_chain(void **state)
{
	struct fixture *f = *state;
	struct store_audit row = row_of(99);
	struct store_tx *tx = NULL;
	struct err err = {0};
	int64_t rows = 0;

	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_audit_append(tx, &row, &err));
	assert_ok(store_audit_append(tx, &row, &err));
	store_rollback(&tx);
	append(f, ROWS + 1);
	assert_ok(verify(f, &rows, &err));
	assert_int_equal(rows, ROWS + 1);
}

static void
test_empty_chain(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};
	int64_t rows = 99;

	assert_ok(verify(f, &rows, &err));
	assert_int_equal(rows, 0);
}

/* H6: behind the store's back, and what verify must then name. */
static void
test_every_tampering_is_detected(void **state)
{
	static const struct {
		const char *sql;
		const char *text;
	} cases[] = {
	    {"UPDATE audit SET actor = 'operator:bdmin' WHERE seq = 3", "row 3 was changed"},
	    {"UPDATE audit SET action = 'device.revokf' WHERE seq = 4", "row 4 was changed"},
	    {"UPDATE audit SET target = 'x' WHERE seq = 4", "row 4 was changed"},
	    {"UPDATE audit SET detail = ' ' WHERE seq = 5", "row 5 was changed"},
	    {"UPDATE audit SET detail = detail || char(0) || 'x' WHERE seq = 6", "row 6 was changed"},
	    {"UPDATE audit SET at = at + 1 WHERE seq = 1", "row 1 was changed"},
	    {"UPDATE audit SET tenant_id = 9 WHERE seq = 8", "row 8 was changed"},
	    {"UPDATE audit SET hash = zeroblob(32) WHERE seq = 2", "row 2 was changed"},
	    /* One byte moved from a field to the next: lengths are part of the hash. */
	    {"UPDATE audit SET actor = 'operator:admi', action = 'n' || action WHERE seq = 3",
		"row 3 was changed"},
	    {"DELETE FROM audit WHERE seq = 1", "row 1 is missing"},
	    {"DELETE FROM audit WHERE seq = 5", "row 5 is missing"},
	    /* Deleted, and the rest moved up. */
	    {"DELETE FROM audit WHERE seq = 5; UPDATE audit SET seq = seq - 1 WHERE seq > 5",
		"row 5 was changed"},
	    /* Two rows in each other's place, hashes and all. */
	    {"UPDATE audit SET seq = 100 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = 4;"
	     "UPDATE audit SET seq = 4 WHERE seq = 100",
		"row 3 was changed"},
	    /* The tail cut: one row, several, all. */
	    {"DELETE FROM audit WHERE seq = 8", "row 8 is missing"},
	    {"DELETE FROM audit WHERE seq > 2", "row 3 is missing"},
	    {"DELETE FROM audit", "row 1 is missing"},
	    {"INSERT INTO audit SELECT 9, tenant_id, at, actor, action, target, detail, hash"
	     " FROM audit WHERE seq = 8",
		"row 9 was changed"},
	    {"DELETE FROM setting WHERE name = 'audit_head'", "head is missing"},
	    {"UPDATE setting SET value = '8' WHERE name = 'audit_head'", "head is damaged"},
	    {"UPDATE setting SET value = '8 00' WHERE name = 'audit_head'", "head is damaged"},
	    {"UPDATE setting SET value = replace(value, '8 ', '7 ') WHERE name = 'audit_head'",
		"row 8 is not the one"},
	    {"UPDATE setting SET value = '8 ' || hex(zeroblob(32)) WHERE name = 'audit_head'",
		"row 8 is not the one"},
	};
	int64_t rows = 0;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct err err = {0};
		void *own = NULL;
		struct fixture *f;
		int rc;

		(void)setup_rows(&own);
		f = own;
		assert_ok(verify(f, &rows, &err));
		assert_int_equal(rows, ROWS);
		fixture_tamper(f, cases[i].sql);
		rc = verify(f, &rows, &err);
		if (rc != E_CONFLICT || strstr(err.text, cases[i].text) == NULL)
			fail_msg("%s: %d %s", cases[i].sql, rc, err.text);
		(void)fixture_teardown(&own);
	}
}

/* Nothing is appended to a chain whose head is gone or behind: changes stop. */
static void
test_append_refuses_a_broken_chain(void **state)
{
	static const char *const breaks[] = {
	    "UPDATE setting SET value = '3 ' || hex(zeroblob(32)) WHERE name = 'audit_head'",
	    "UPDATE setting SET value = 'nonsense' WHERE name = 'audit_head'",
	    "DELETE FROM setting WHERE name = 'audit_head'",
	};
	struct fixture *f = *state;
	struct store_audit row = row_of(1);
	size_t i;

	for (i = 0; i < sizeof breaks / sizeof breaks[0]; i++) {
		struct store_tx *tx = NULL;
		struct err err = {0};

		fixture_tamper(f, breaks[i]);
		assert_ok(store_begin(f->store, &tx, &err));
		assert_int_equal(store_audit_append(tx, &row, &err), E_SYS);
		assert_non_null(strstr(err.text, "muster audit verify"));
		store_rollback(&tx);
		assert_int_equal(fixture_number(f, "SELECT count(*) FROM audit"), ROWS);
	}
}

#define case_of(fn, setup) cmocka_unit_test_setup_teardown(fn, setup, fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    case_of(test_each, setup_rows),
	    case_of(test_rollback_keeps_the_chain, setup_rows),
	    case_of(test_empty_chain, fixture_setup),
	    cmocka_unit_test(test_every_tampering_is_detected),
	    case_of(test_append_refuses_a_broken_chain, setup_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Tables `change`, `crl` and `setting`. */
#include "store_fixture.h"

#include "store/change.h"
#include "store/crl.h"

static void
test_changes_are_gapless(void **state)
{
	struct fixture *f = *state;
	struct store_tx *tx = NULL;
	struct err err = {0};
	int64_t seq = 99;

	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_change_last(tx, &seq, &err));
	assert_int_equal(seq, 0);
	assert_ok(store_change_append(tx, 1, "device", "x", 5, &seq, &err));
	assert_int_equal(seq, 1);
	assert_ok(store_change_append(tx, 1, "policy", "y", 5, &seq, &err));
	assert_int_equal(seq, 2);
	assert_ok(store_commit(&tx, &err));
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_change_append(tx, 1, "service", "z", 5, &seq, &err));
	assert_int_equal(seq, 3);
	store_rollback(&tx);
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_change_append(tx, 1, "service", "z", 5, &seq, &err));
	assert_int_equal(seq, 3);
	assert_int_equal(store_change_append(tx, 1, "tenant", "z", 5, &seq, &err), E_SYS);
	assert_ok(store_change_last(tx, &seq, &err));
	assert_int_equal(seq, 3);
	assert_ok(store_commit(&tx, &err));
}

static void
append(struct fixture *f, int64_t at)
{
	struct store_tx *tx = NULL;
	struct err err = {0};
	int64_t seq;

	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_change_append(tx, 1, "device", "x", at, &seq, &err));
	assert_ok(store_commit(&tx, &err));
}

static void
test_changes_are_listed_in_order(void **state)
{
	struct fixture *f = *state;
	struct store_change rows[3];
	struct store_tx *tx = NULL;
	struct err err = {0};
	int64_t seq = 9;
	size_t n = 9;

	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_change_first(tx, &seq, &err));
	assert_int_equal(seq, 0);
	assert_ok(store_change_list(tx, 0, rows, 3, &n, &err));
	assert_int_equal(n, 0);
	assert_ok(store_change_append(tx, 1, "device", "a", 5, &seq, &err));
	assert_ok(store_change_append(tx, 7, "policy", "b", 5, &seq, &err));
	assert_ok(store_change_append(tx, 1, "service", "c", 5, &seq, &err));
	assert_ok(store_change_append(tx, 1, "service", "d", 5, &seq, &err));
	assert_ok(store_change_list(tx, 0, rows, 3, &n, &err));
	assert_int_equal(n, 3);
	assert_int_equal(rows[1].seq, 2);
	assert_int_equal(rows[1].tenant_id, 7);
	assert_string_equal(rows[1].kind, "policy");
	assert_string_equal(rows[1].id, "b");
	assert_ok(store_change_list(tx, 3, rows, 3, &n, &err));
	assert_int_equal(n, 1);
	assert_string_equal(rows[0].id, "d");
	assert_ok(store_change_list(tx, INT64_MAX, rows, 3, &n, &err));
	assert_int_equal(n, 0);
	assert_ok(store_commit(&tx, &err));
}

/* Only from the front, only what is old, never the newest: numbers must go on. */
static void
test_prune(void **state)
{
	static const int64_t at[] = {10, 20, 99, 30, 40, 50};
	struct fixture *f = *state;
	struct store_tx *tx = NULL;
	struct err err = {0};
	int64_t seq;
	size_t n = 9, i;

	for (i = 0; i < sizeof at / sizeof at[0]; i++)
		append(f, at[i]);
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_change_prune(tx, 10, 1, 100, &n, &err));
	assert_int_equal(n, 0);
	assert_ok(store_change_prune(tx, 45, 1, 1, &n, &err));
	assert_int_equal(n, 1);
	assert_ok(store_change_prune(tx, 45, 1, 100, &n, &err)); /* 99: the clock was set back */
	assert_int_equal(n, 1);
	assert_ok(store_change_first(tx, &seq, &err));
	assert_int_equal(seq, 3);
	assert_ok(store_change_prune(tx, 1000, 3, 100, &n, &err));
	assert_int_equal(n, 1);
	assert_ok(store_change_prune(tx, 1000, 1, 100, &n, &err));
	assert_int_equal(n, 2);
	assert_ok(store_change_prune(tx, 1000, 1, 100, &n, &err));
	assert_int_equal(n, 0);
	assert_ok(store_change_append(tx, 1, "device", "x", 5, &seq, &err));
	assert_int_equal(seq, 7);
	assert_ok(store_commit(&tx, &err));
}

static void
news(void *ctx)
{
	++*(int *)ctx;
}

/* Told when it is durable; and not of what was dropped, or is no change. */
static void
test_news(void **state)
{
	struct fixture *f = *state;
	struct store_tx *tx = NULL;
	struct err err = {0};
	int64_t seq;
	int n = 0;

	store_on_change(f->store, news, &n);
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_change_append(tx, 1, "device", "x", 5, &seq, &err));
	assert_int_equal(n, 0);
	assert_ok(store_commit(&tx, &err));
	assert_int_equal(n, 1);
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_setting_put(tx, "other", "1", &err));
	assert_ok(store_commit(&tx, &err));
	assert_int_equal(n, 1);
	store_on_change(f->store, NULL, NULL);
	append(f, 5);
	assert_int_equal(n, 1);
}

/* G6 */
static void
test_crl_number_never_goes_down(void **state)
{
	struct fixture *f = *state;
	struct store_crl crl = {.number = 5, .this_update = 100, .next_update = 200}, got = {0};
	struct buf der = {0};
	struct store_tx *tx = NULL;
	struct err err = {0};

	assert_ok(store_begin(f->store, &tx, &err));
	assert_int_equal(store_crl_get(tx, "aa", &got, &der, &err), E_NOTFOUND);
	assert_ok(store_crl_put(tx, "aa", &crl, "five", 4, &err));
	crl.number = 4;
	assert_int_equal(store_crl_put(tx, "aa", &crl, "four", 4, &err), E_CONFLICT);
	assert_ok(store_crl_put(tx, "bb", &crl, "other", 5, &err)); /* a number for each issuer */
	crl.number = 6;
	crl.next_update = 300;
	assert_ok(store_crl_put(tx, "aa", &crl, "six", 3, &err));
	buf_text(&der, ">");
	assert_ok(store_crl_get(tx, "aa", &got, &der, &err));
	assert_int_equal(got.number, 6);
	assert_int_equal(got.this_update, 100);
	assert_int_equal(got.next_update, 300);
	assert_string_equal(buf_str(&der), ">six");
	assert_ok(store_commit(&tx, &err));
	buf_clear(&der);
}

static void
test_settings(void **state)
{
	struct fixture *f = *state;
	struct buf value = {0};
	struct store_tx *tx = NULL;
	struct err err = {0};

	assert_ok(store_begin(f->store, &tx, &err));
	assert_int_equal(store_setting_get(tx, "epoch", &value, &err), E_NOTFOUND);
	assert_ok(store_setting_put(tx, "epoch", "one", &err));
	assert_ok(store_setting_put(tx, "epoch", "two", &err));
	assert_ok(store_setting_put(tx, "empty", "", &err));
	assert_ok(store_setting_get(tx, "epoch", &value, &err));
	assert_string_equal(buf_str(&value), "two");
	assert_ok(store_setting_get(tx, "empty", &value, &err));
	assert_string_equal(buf_str(&value), "two");
	store_rollback(&tx);
	buf_clear(&value);
}

#define case_of(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    case_of(test_changes_are_gapless),
	    case_of(test_changes_are_listed_in_order),
	    case_of(test_prune),
	    case_of(test_news),
	    case_of(test_crl_number_never_goes_down),
	    case_of(test_settings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

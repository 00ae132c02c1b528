#include "core_fixture.h"

#define REQUEST "0123456789abcdef0123456789abcdef"

static void
begin(struct fixture *f, struct store_tx **tx)
{
	struct err err = {0};

	*tx = NULL;
	assert_ok(store_begin(f->core->store, tx, &err));
}

struct kept {
	int n;
	char actor[64], action[64], target[128], detail[128];
};

static int
keep(void *ctx, const struct store_audit *row, struct err *err)
{
	struct kept *k = ctx;

	(void)err;
	k->n++;
	(void)snprintf(k->actor, sizeof k->actor, "%s", row->actor);
	(void)snprintf(k->action, sizeof k->action, "%s", row->action);
	(void)snprintf(k->target, sizeof k->target, "%s", row->target);
	(void)snprintf(k->detail, sizeof k->detail, "%s", row->detail);
	return 0;
}

/* B9: each tenant reads its own rows; the chain goes over all of them. */
static void
test_rows_are_the_tenants(void **state)
{
	struct fixture *f = *state;
	struct caller other = f->caller;
	struct kept mine = {0}, theirs = {0};
	struct store_audit_verdict before, after;
	struct store_tx *tx;
	struct err err = {0};

	assert_ok(audit_verify(f->core, 0, INT64_MAX, &before, &err));
	other.tenant_id = 2;
	begin(f, &tx);
	assert_ok(audit_write(tx, &other, 1000, "device.revoke", "device", "x", &err, "{\"n\":%d}", 7));
	assert_ok(audit_write(tx, &f->caller, 1001, "device.hold", "device", "y", &err, NULL));
	assert_ok(store_commit(&tx, &err));
	assert_ok(audit_each(f->core, &other, 0, 100, keep, &theirs, &err));
	assert_int_equal(theirs.n, 1);
	assert_string_equal(theirs.actor, "uid:0");
	assert_string_equal(theirs.action, "device.revoke");
	assert_string_equal(theirs.target, "device:x");
	assert_string_equal(theirs.detail, "{\"n\":7}");
	assert_ok(audit_each(f->core, &f->caller, 0, 100, keep, &mine, &err));
	assert_string_equal(mine.action, "device.hold");
	assert_string_equal(mine.detail, "");
	assert_ok(audit_verify(f->core, 0, INT64_MAX, &after, &err));
	assert_int_equal(after.rows, before.rows + 2);
}

/* Whatever a row tells besides, it names the request that did it. */
static void
test_a_row_names_its_request(void **state)
{
	static const struct {
		const char *detail, *kept;
	} cases[] = {{NULL, "{\"request\":\"" REQUEST "\"}"}, {"{}", "{\"request\":\"" REQUEST "\"}"},
	    {"{\"n\":7}", "{\"n\":7,\"request\":\"" REQUEST "\"}"}};
	struct fixture *f = *state;
	struct caller caller = f->caller;
	struct store_tx *tx;
	struct err err = {0};
	size_t i;

	(void)text_copy(caller.request, sizeof caller.request, REQUEST);
	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct kept kept = {0};

		begin(f, &tx);
		if (cases[i].detail == NULL)
			assert_ok(audit_write(tx, &caller, 1000, "a", "device", "x", &err, NULL));
		else
			assert_ok(audit_write(tx, &caller, 1000, "a", "device", "x", &err, "%s", cases[i].detail));
		assert_ok(store_commit(&tx, &err));
		assert_ok(audit_each(f->core, &caller, 0, 1000, keep, &kept, &err)); /* the last stays */
		assert_string_equal(kept.detail, cases[i].kept);
	}
}

/* What is rolled back was never audited, and a detail that does not fit stops what it tells of. */
static void
test_a_row_goes_with_its_transaction(void **state)
{
	struct fixture *f = *state;
	static char large[4096];
	struct store_audit_verdict before, after;
	struct store_tx *tx;
	struct err err = {0};

	assert_ok(audit_verify(f->core, 0, INT64_MAX, &before, &err));
	begin(f, &tx);
	assert_ok(audit_write(tx, &f->caller, 1, "a", "device", "x", &err, NULL));
	store_rollback(&tx);
	memset(large, 'x', sizeof large - 1);
	begin(f, &tx);
	assert_int_equal(audit_write(tx, &f->caller, 1, "a", "device", "x", &err, "{\"a\":\"%s\"}", large), E_SYS);
	assert_non_null(strstr(err.text, "too long"));
	store_rollback(&tx);
	assert_ok(audit_verify(f->core, 0, INT64_MAX, &after, &err));
	assert_int_equal(after.rows, before.rows);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows_are_the_tenants),
	    cmocka_unit_test(test_a_row_names_its_request),
	    cmocka_unit_test(test_a_row_goes_with_its_transaction),
	};

	return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}

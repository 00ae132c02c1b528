/* Tables `policy` and `operator`. */
#include "store_fixture.h"

#include "store/operator.h"
#include "store/policy.h"

static char some_read[] = "[\"devices/{id}/commands/#\"]";
static char some_write[] = "[\"devices/{id}/telemetry\"]", none[] = "[]";

static struct store_policy
policy_of(const char *name)
{
	struct store_policy p = {.tenant_id = STORE_TENANT_DEFAULT,
	    .read = some_read,
	    .write = some_write,
	    .updated_at = 1000};

	(void)snprintf(p.name, sizeof p.name, "%s", name);
	return p;
}

static void
test_put_inserts_and_replaces(void **state)
{
	struct fixture *f = *state;
	struct store_policy p = policy_of("plain"), got = {0};
	struct store_tx *tx = NULL;
	struct err err = {0};

	assert_ok(store_begin(f->store, &tx, &err));
	assert_int_equal(
	    store_policy_get(tx, STORE_TENANT_DEFAULT, "plain", &got, &err), E_NOTFOUND);
	assert_ok(store_policy_put(tx, &p, &err));
	assert_ok(store_policy_get(tx, STORE_TENANT_DEFAULT, "plain", &got, &err));
	assert_string_equal(got.read, some_read);
	assert_string_equal(got.write, some_write);
	assert_int_equal(got.sessions, 1);
	store_policy_clear(&got);
	p.sessions = 100;
	p.read = none;
	p.updated_at = 2000;
	assert_ok(store_policy_put(tx, &p, &err));
	assert_ok(store_policy_get(tx, STORE_TENANT_DEFAULT, "plain", &got, &err));
	assert_string_equal(got.read, none);
	assert_int_equal(got.updated_at, 2000);
	assert_int_equal(got.sessions, 100);
	store_policy_clear(&got);
	assert_int_equal(store_policy_get(tx, 2, "plain", &got, &err), E_NOTFOUND); /* B9 */
	store_rollback(&tx);
}

static void
test_remove_spares_what_is_used(void **state)
{
	struct fixture *f = *state;
	struct store_policy p = policy_of("used");
	struct store_device d = fixture_device(1, "d");
	struct store_tx *tx = NULL;
	struct err err = {0};
	char text[512];
	int status;

	(void)snprintf(d.policy, sizeof d.policy, "used");
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_policy_put(tx, &p, &err));
	assert_ok(store_device_insert(tx, &d, &err));
	assert_int_equal(store_policy_remove(tx, 2, "used", &err), E_NOTFOUND);
	for (status = 0; status < DEVICE_REVOKED; status++) {
		d.status = (enum device_status)status;
		assert_ok(store_device_update(tx, &d, &err));
		assert_int_equal(
		    store_policy_remove(tx, STORE_TENANT_DEFAULT, "used", &err), E_CONFLICT);
	}
	fixture_plan(f, text, sizeof text);
	assert_non_null(strstr(text, "device_policy (tenant_id=? AND policy=?)"));
	for (status = DEVICE_REVOKED; status <= DEVICE_ARCHIVED; status++) {
		d.status = (enum device_status)status;
		assert_ok(store_device_update(tx, &d, &err));
		assert_ok(store_policy_put(tx, &p, &err));
		assert_ok(store_policy_remove(tx, STORE_TENANT_DEFAULT, "used", &err));
	}
	assert_int_equal(
	    store_policy_remove(tx, STORE_TENANT_DEFAULT, "used", &err), E_NOTFOUND);
	assert_ok(store_commit(&tx, &err));
}

static int
collect(void *ctx, const struct store_policy *row, struct err *err)
{
	char *names = ctx;
	size_t len = strlen(names);

	(void)snprintf(names + len, 16 - len, "%c", row->name[0]);
	return row->name[0] == 'z' ? err_set(err, E_BUSY, "stop") : 0;
}

static void
test_each_in_order(void **state)
{
	static const char *const names[] = {"c", "a", "b"};
	struct fixture *f = *state;
	struct store_policy p;
	struct store_tx *tx = NULL;
	struct err err = {0};
	char seen[16] = "";
	size_t i;

	fixture_tamper(f, "INSERT INTO tenant (id, name, created_at) VALUES (2, 'other', 0)");
	assert_ok(store_begin(f->store, &tx, &err));
	for (i = 0; i < 3; i++) {
		p = policy_of(names[i]);
		assert_ok(store_policy_put(tx, &p, &err));
	}
	p.tenant_id = 2;
	assert_ok(store_policy_put(tx, &p, &err)); /* another "b" */
	assert_ok(store_policy_each(tx, STORE_TENANT_DEFAULT, collect, seen, &err));
	assert_string_equal(seen, "abc");
	seen[0] = '\0';
	assert_ok(store_policy_each(tx, 0, collect, seen, &err));
	assert_string_equal(seen, "abbc");
	p = policy_of("z");
	assert_ok(store_policy_put(tx, &p, &err));
	assert_int_equal(store_policy_each(tx, 0, collect, seen, &err), E_BUSY);
	store_rollback(&tx);
}

static struct store_operator
operator_of(unsigned n, const char *name)
{
	struct store_operator o = {
	    .tenant_id = STORE_TENANT_DEFAULT, .role = "admin", .created_at = 1000};

	(void)snprintf(o.id, sizeof o.id, "%08x-0000-4000-8000-000000000000", n);
	(void)snprintf(o.name, sizeof o.name, "%s", name);
	memcpy(o.token_hash, &n, sizeof n);
	return o;
}

static void
test_operator(void **state)
{
	struct fixture *f = *state;
	struct store_operator o = operator_of(1, "alice"), p = operator_of(2, "alice"), got = {0};
	struct store_tx *tx = NULL;
	struct err err = {0};

	fixture_tamper(f, "INSERT INTO tenant (id, name, created_at) VALUES (2, 'other', 0)");
	assert_ok(store_begin(f->store, &tx, &err));
	assert_int_equal(store_operator_by_token(tx, o.token_hash, &got, &err), E_NOTFOUND);
	assert_ok(store_operator_insert(tx, &o, &err));
	assert_ok(store_operator_by_token(tx, o.token_hash, &got, &err));
	assert_string_equal(got.id, o.id);
	assert_string_equal(got.name, "alice");
	assert_string_equal(got.role, "admin");
	assert_int_equal(got.tenant_id, STORE_TENANT_DEFAULT);
	assert_memory_equal(got.token_hash, o.token_hash, SHA256_LEN);
	assert_int_equal(store_operator_by_token(tx, p.token_hash, &got, &err), E_NOTFOUND);
	assert_int_equal(store_operator_insert(tx, &p, &err), E_CONFLICT);
	assert_string_equal(err.field, "name");
	p.tenant_id = 2;
	assert_ok(store_operator_insert(tx, &p, &err)); /* B9 */
	assert_ok(store_commit(&tx, &err));

	/* H3: a revoked one is nobody, and its name is free. */
	fixture_tamper(f, "UPDATE operator SET revoked_at = 1500 WHERE tenant_id = 1");
	assert_ok(store_begin(f->store, &tx, &err));
	assert_int_equal(store_operator_by_token(tx, o.token_hash, &got, &err), E_NOTFOUND);
	o = operator_of(3, "alice");
	assert_ok(store_operator_insert(tx, &o, &err));
	store_rollback(&tx);
}

#define case_of(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    case_of(test_put_inserts_and_replaces),
	    case_of(test_remove_spares_what_is_used),
	    case_of(test_each_in_order),
	    case_of(test_operator),
	};

	fixture_trace();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

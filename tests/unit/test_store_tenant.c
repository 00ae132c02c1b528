/* Table `tenant`, and the count of its devices. */
#include "store_fixture.h"

#include "store/operator.h"
#include "store/service.h"
#include "store/tenant.h"
#include "store/tx.h"

static int64_t
add(struct fixture *f, const char *name, int64_t quota)
{
	struct store_tenant row = {.quota = quota, .profiles = "[\"short\"]", .created_at = 1000};
	struct store_tx *tx = NULL;
	struct err err = {0};
	int64_t id = 0;

	(void)snprintf(row.name, sizeof row.name, "%s", name);
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_tenant_insert(tx, &row, &id, &err));
	assert_ok(store_commit(&tx, &err));
	return id;
}

static struct store_tenant
read_row(struct fixture *f, int64_t id)
{
	struct store_tenant row;
	struct store_tx *tx = NULL;
	struct err err = {0};

	assert_ok(store_read(f->store, &tx, &err));
	assert_ok(store_tenant_by_id(tx, id, &row, &err));
	store_rollback(&tx);
	return row;
}

static void
test_rows(void **state)
{
	struct fixture *f = *state;
	struct store_tenant row, same = {.name = "acme", .profiles = "[]"};
	char name[STORE_WORD_SIZE];
	struct store_tx *tx = NULL;
	struct err err = {0};
	int64_t id, none = 77;

	id = add(f, "acme", 5);
	assert_int_not_equal(id, STORE_TENANT_DEFAULT);
	row = read_row(f, id);
	assert_string_equal(row.name, "acme");
	assert_string_equal(row.profiles, "[\"short\"]");
	assert_int_equal(row.quota, 5);
	assert_int_equal(row.devices, 0);
	assert_ok(store_begin(f->store, &tx, &err));
	assert_int_equal(store_tenant_insert(tx, &same, &none, &err), E_CONFLICT);
	assert_string_equal(err.field, "name");
	assert_int_equal(none, 77);
	assert_int_equal(store_tenant_get(tx, "Acme", &row, &err), E_NOTFOUND);
	assert_int_equal(store_tenant_by_id(tx, 99, &row, &err), E_NOTFOUND);
	assert_ok(store_tenant_get(tx, "acme", &row, &err));
	row.quota = 0;
	(void)snprintf(row.profiles, sizeof row.profiles, "[]");
	assert_ok(store_tenant_update(tx, &row, &err));
	assert_ok(store_commit(&tx, &err));
	row = read_row(f, id);
	assert_int_equal(row.quota, 0);
	assert_string_equal(row.profiles, "[]");
	assert_ok(store_read(f->store, &tx, &err));
	assert_ok(store_tenant_name(tx, STORE_TENANT_DEFAULT, name, &err));
	assert_string_equal(name, "default");
	assert_int_equal(store_tenant_name(tx, 99, name, &err), E_NOTFOUND);
	store_rollback(&tx);
}

/* Each way into and out of the states that count, a rollback among them. */
static void
test_devices_are_counted(void **state)
{
	static const struct {
		enum device_status to;
		int64_t counted;
	} moves[] = {{DEVICE_ACTIVE, 2}, {DEVICE_SUSPENDED, 2}, {DEVICE_ACTIVE, 2}, {DEVICE_REVOKED, 1}, {DEVICE_REVOKED, 1},
	    {DEVICE_SUSPENDED, 2}, {DEVICE_REVOKED, 1}};
	struct fixture *f = *state;
	struct store_device one = fixture_device(1, "one"), two = fixture_device(2, "two"), three = fixture_device(3, "three");
	struct store_archived archived[4];
	struct store_tx *tx = NULL;
	struct err err = {0};
	int64_t id = add(f, "acme", 0);
	size_t i, n;

	one.tenant_id = two.tenant_id = id;
	one.status = DEVICE_PENDING;
	three.status = DEVICE_REVOKED;
	three.tenant_id = id;
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_device_insert(tx, &one, &err));
	assert_ok(store_device_insert(tx, &two, &err));
	assert_ok(store_commit(&tx, &err));
	assert_int_equal(read_row(f, id).devices, 2);
	for (i = 0; i < sizeof moves / sizeof moves[0]; i++) {
		one.status = moves[i].to;
		one.updated_at = 2000;
		assert_ok(store_begin(f->store, &tx, &err));
		assert_ok(store_device_update(tx, &one, &err));
		assert_ok(store_commit(&tx, &err));
		assert_int_equal(read_row(f, id).devices, moves[i].counted);
	}
	two.status = DEVICE_REVOKED;
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_device_update(tx, &two, &err));
	store_rollback(&tx);
	assert_int_equal(read_row(f, id).devices, 1);
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_device_archive(tx, 3000, 3000, archived, 4, &n, &err));
	assert_int_equal(n, 1);
	assert_ok(store_commit(&tx, &err));
	assert_int_equal(read_row(f, id).devices, 1);
	assert_int_equal(read_row(f, STORE_TENANT_DEFAULT).devices, 0); /* B9 */
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_device_insert(tx, &three, &err));
	two.tenant_id = STORE_TENANT_DEFAULT;
	two.status = DEVICE_ACTIVE;
	assert_int_equal(store_device_update(tx, &two, &err), E_NOTFOUND); /* H2: nobody's count is changed */
	assert_ok(store_commit(&tx, &err));
	assert_int_equal(read_row(f, id).devices, 1);
	assert_int_equal(read_row(f, STORE_TENANT_DEFAULT).devices, 0);
}

static int
remove_row(struct fixture *f, int64_t id, const char *what)
{
	struct store_tx *tx = NULL;
	struct err err = {0};
	int rc;

	assert_ok(store_begin(f->store, &tx, &err));
	if ((rc = store_tenant_remove(tx, id, 5000, &err)) == 0)
		assert_ok(store_commit(&tx, &err));
	else
		assert_non_null(strstr(err.text, what));
	store_rollback(&tx);
	return rc;
}

static void
script(struct fixture *f, const char *sql)
{
	struct store_tx *tx = NULL;
	struct err err = {0};

	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(db_exec(tx->db, sql, DB_NONE, NULL, &err));
	assert_ok(store_commit(&tx, &err));
}

static void
test_what_keeps_it(void **state)
{
	struct fixture *f = *state;
	struct store_device d = fixture_device(1, "d");
	struct store_service s = {.id = "00000002-0000-4000-8000-000000000000", .name = "s", .status = DEVICE_ACTIVE};
	struct store_operator o = {.id = "00000003-0000-4000-8000-000000000000", .name = "o", .role = "admin", .bound = true};
	char none[] = "[]", next[STORE_CURSOR_SIZE];
	struct store_tenant rows[4], row;
	struct store_tx *tx = NULL;
	struct err err = {0};
	int64_t id = add(f, "acme", 0), other = add(f, "other", 0);
	size_t n;

	d.tenant_id = s.tenant_id = o.tenant_id = id;
	s.read = s.write = none;
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_device_insert(tx, &d, &err));
	assert_ok(store_service_insert(tx, &s, &err));
	assert_ok(store_operator_insert(tx, &o, &err));
	assert_ok(store_commit(&tx, &err));
	assert_ok(remove_row(f, other, "")); /* of which nothing is */
	assert_int_equal(remove_row(f, id, "devices"), E_CONFLICT);
	d.status = DEVICE_REVOKED;
	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_device_update(tx, &d, &err));
	assert_ok(store_commit(&tx, &err));
	assert_int_equal(remove_row(f, id, "services"), E_CONFLICT);
	script(f, "UPDATE service SET status = 3");
	assert_int_equal(remove_row(f, id, "operators"), E_CONFLICT);
	script(f, "UPDATE operator SET revoked_at = 1");
	assert_ok(remove_row(f, id, ""));
	assert_ok(store_begin(f->store, &tx, &err));
	assert_int_equal(store_tenant_get(tx, "acme", &row, &err), E_NOTFOUND);
	assert_int_equal(store_tenant_by_id(tx, id, &row, &err), E_NOTFOUND);
	assert_ok(store_tenant_list(tx, 4, NULL, rows, &n, next, &err));
	assert_int_equal(n, 1);
	assert_string_equal(rows[0].name, "default");
	/* Its name is not given again. */
	row = (struct store_tenant){.name = "acme", .profiles = "[]"};
	assert_int_equal(store_tenant_insert(tx, &row, &id, &err), E_CONFLICT);
	store_rollback(&tx);
}

static void
test_pages(void **state)
{
	static const char *const names[] = {"a", "b", "c", "default", "e"};
	struct fixture *f = *state;
	char next[STORE_CURSOR_SIZE] = "";
	struct store_tenant rows[2];
	struct store_tx *tx = NULL;
	struct err err = {0};
	size_t n, i, seen = 0;

	for (i = 0; i < 5; i++)
		if (i != 3)
			(void)add(f, names[i], 0);
	assert_ok(store_read(f->store, &tx, &err));
	do {
		char after[STORE_CURSOR_SIZE];

		memcpy(after, next, sizeof after);
		assert_ok(store_tenant_list(tx, 2, after[0] != '\0' ? after : NULL, rows, &n, next, &err));
		for (i = 0; i < n; i++)
			assert_string_equal(rows[i].name, names[seen++]);
	} while (next[0] != '\0');
	assert_int_equal(seen, 5);
	assert_int_equal(store_tenant_list(tx, 2, "00", rows, &n, next, &err), E_INPUT);
	assert_int_equal(store_tenant_list(tx, 0, NULL, rows, &n, next, &err), E_INPUT);
	store_rollback(&tx);
}

/* B9: a name is one of each tenant's, and one of the installation's. */
static void
test_operators_are_bound_or_not(void **state)
{
	struct fixture *f = *state;
	struct store_operator o = {.name = "alice", .role = "admin"}, got, rows[4];
	int64_t acme = add(f, "acme", 0), zeta = add(f, "zeta", 0);
	const struct {
		int64_t tenant_id;
		bool bound;
		const char *tenant;
	} of[] = {{STORE_TENANT_DEFAULT, false, ""}, {STORE_TENANT_DEFAULT, true, "default"}, {acme, true, "acme"}, {zeta, true, "zeta"}};
	char next[STORE_CURSOR_SIZE];
	struct store_tx *tx = NULL;
	struct err err = {0};
	size_t i, k, n;

	assert_ok(store_begin(f->store, &tx, &err));
	for (i = 0; i < 4; i++) {
		(void)snprintf(o.id, sizeof o.id, "%08zx-0000-4000-8000-000000000000", i);
		o.token_hash[0] = (uint8_t)i;
		o.tenant_id = of[i].tenant_id;
		o.bound = of[i].bound;
		assert_ok(store_operator_insert(tx, &o, &err));
		o.id[7] = 'f';
		o.token_hash[0] = 99;
		assert_int_equal(store_operator_insert(tx, &o, &err), E_CONFLICT);
	}
	for (i = 0; i < 4; i++) {
		(void)snprintf(o.id, sizeof o.id, "%08zx-0000-4000-8000-000000000000", i);
		assert_ok(store_operator_get(tx, of[i].tenant_id, of[i].bound, "alice", &got, &err));
		assert_string_equal(got.id, o.id);
		assert_string_equal(got.tenant, of[i].tenant);
		assert_ok(store_operator_by_id(tx, o.id, &got, &err));
		assert_int_equal(got.bound, of[i].bound);
		assert_ok(store_operator_list(tx, of[i].tenant_id, of[i].bound, 4, NULL, rows, &n, next, &err));
		assert_int_equal(n, 1);
		for (k = 0; k < 4; k++)
			if (k != i) /* H2 */
				assert_int_equal(
				    store_operator_get(tx, of[k].tenant_id, of[k].bound, o.id, &got, &err), E_NOTFOUND);
	}
	store_rollback(&tx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_rows, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(test_devices_are_counted, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(test_what_keeps_it, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(test_pages, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(test_operators_are_bound_or_not, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

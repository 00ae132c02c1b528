/* Table `service`. */
#include "store_fixture.h"

#include "store/service.h"

static char some_read[] = "[\"devices/+/telemetry\"]", some_write[] = "[]";

static struct store_service
service_of(unsigned n, const char *name)
{
	struct store_service s = {.tenant_id = STORE_TENANT_DEFAULT,
	    .read = some_read,
	    .write = some_write,
	    .status = DEVICE_ACTIVE,
	    .created_at = 1000,
	    .updated_at = 1000};

	(void)snprintf(s.id, sizeof s.id, "%08x-0000-4000-8000-000000000000", n);
	(void)snprintf(s.name, sizeof s.name, "%s", name);
	return s;
}

static void
insert(struct fixture *f, const struct store_service *s)
{
	struct store_tx *tx = NULL;
	struct err err = {0};

	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_service_insert(tx, s, &err));
	assert_ok(store_commit(&tx, &err));
}

static void
test_row_by_id_and_by_name(void **state)
{
	struct fixture *f = *state;
	struct store_service s = service_of(1, "dashboard"), got = {0};
	struct store_tx *tx = NULL;
	struct err err = {0};

	insert(f, &s);
	assert_ok(store_read(f->store, &tx, &err));
	assert_ok(store_service_get(tx, STORE_TENANT_DEFAULT, s.id, &got, &err));
	assert_string_equal(got.name, "dashboard");
	assert_string_equal(got.read, some_read);
	assert_string_equal(got.write, some_write);
	assert_int_equal(got.status, DEVICE_ACTIVE);
	store_service_clear(&got);
	assert_ok(store_service_get(tx, STORE_TENANT_DEFAULT, "dashboard", &got, &err));
	assert_string_equal(got.id, s.id);
	store_service_clear(&got);
	/* H2 */
	assert_int_equal(store_service_get(tx, 2, s.id, &got, &err), E_NOTFOUND);
	assert_int_equal(store_service_get(tx, 2, "dashboard", &got, &err), E_NOTFOUND);
	assert_int_equal(
	    store_service_get(tx, STORE_TENANT_DEFAULT, "Dashboard", &got, &err), E_NOTFOUND);
	store_rollback(&tx);
}

static void
test_names_of_the_unrevoked_are_unique(void **state)
{
	struct fixture *f = *state;
	struct store_service s = service_of(1, "bridge"), t = service_of(2, "bridge"), got = {0};
	struct store_tx *tx = NULL;
	struct err err = {0};

	insert(f, &s);
	assert_ok(store_begin(f->store, &tx, &err));
	assert_int_equal(store_service_insert(tx, &t, &err), E_CONFLICT);
	assert_string_equal(err.field, "name");
	s.status = DEVICE_REVOKED;
	s.updated_at = 1500;
	assert_ok(store_service_update(tx, &s, &err));
	assert_ok(store_service_insert(tx, &t, &err));
	assert_ok(store_service_get(tx, STORE_TENANT_DEFAULT, "bridge", &got, &err));
	assert_string_equal(got.id, t.id);
	store_service_clear(&got);
	assert_ok(store_service_get(tx, STORE_TENANT_DEFAULT, s.id, &got, &err));
	assert_int_equal(got.status, DEVICE_REVOKED);
	assert_int_equal(got.updated_at, 1500);
	store_service_clear(&got);
	s.tenant_id = 2;
	assert_int_equal(store_service_update(tx, &s, &err), E_NOTFOUND);
	store_rollback(&tx);
}

static void
test_names_of_another_tenant(void **state) /* B9 */
{
	struct fixture *f = *state;
	struct store_service s = service_of(1, "same"), t = service_of(2, "same"), got = {0};
	struct store_tx *tx = NULL;
	struct err err = {0};

	fixture_tamper(f, "INSERT INTO tenant (id, name, created_at) VALUES (2, 'other', 0)");
	t.tenant_id = 2;
	insert(f, &s);
	insert(f, &t);
	assert_ok(store_read(f->store, &tx, &err));
	assert_ok(store_service_get(tx, 2, "same", &got, &err));
	assert_string_equal(got.id, t.id);
	store_service_clear(&got);
	store_rollback(&tx);
}

/* Somebody names a service like another one's id: the id wins. */
static void
test_name_like_an_id(void **state)
{
	struct fixture *f = *state;
	struct store_service s = service_of(1, "victim"), t = service_of(2, ""), got = {0};
	struct store_tx *tx = NULL;
	struct err err = {0};

	insert(f, &s);
	(void)snprintf(t.name, sizeof t.name, "%s", s.id);
	insert(f, &t);
	assert_ok(store_read(f->store, &tx, &err));
	assert_ok(store_service_get(tx, STORE_TENANT_DEFAULT, s.id, &got, &err));
	assert_string_equal(got.name, "victim");
	store_service_clear(&got);
	store_rollback(&tx);
}

static void
test_pages(void **state)
{
	static const char *const names[] = {"d", "b", "a", "e", "c"};
	struct fixture *f = *state;
	struct store_service rows[2];
	char next[STORE_CURSOR_SIZE], after[STORE_CURSOR_SIZE], text[512], seen[8] = "";
	struct store_tx *tx = NULL;
	struct err err = {0};
	unsigned i, pages = 0;
	size_t k, n, total = 0;

	for (i = 0; i < 5; i++) {
		struct store_service s = service_of(i, names[i]);

		insert(f, &s);
	}
	assert_ok(store_read(f->store, &tx, &err));
	after[0] = '\0';
	do {
		assert_ok(store_service_list(tx, STORE_TENANT_DEFAULT, 2,
		    after[0] == '\0' ? NULL : after, rows, &n, next, &err));
		for (k = 0; k < n; k++) {
			seen[total++] = rows[k].name[0];
			store_service_clear(&rows[k]);
		}
		memcpy(after, next, sizeof after);
		pages++;
	} while (next[0] != '\0');
	assert_string_equal(seen, "abcde");
	assert_int_equal(pages, 3);
	fixture_plan(f, text, sizeof text);
	assert_string_equal(text,
	    "SEARCH service USING INDEX service_name (tenant_id=? AND (name,id)>(?,?)); ");
	assert_int_equal(store_service_list(
			     tx, STORE_TENANT_DEFAULT, 2, "00", rows, &n, next, &err),
	    E_INPUT);
	assert_string_equal(err.field, "after");
	assert_int_equal(store_service_list(
			     tx, STORE_TENANT_DEFAULT, 0, NULL, rows, &n, next, &err),
	    E_INPUT);
	assert_ok(store_service_list(tx, 2, 2, NULL, rows, &n, next, &err));
	assert_int_equal(n, 0);
	store_rollback(&tx);
}

static int
count(void *ctx, const struct store_service *row, struct err *err)
{
	unsigned *n = ctx;

	assert_int_equal(row->status, DEVICE_ACTIVE);
	(*n)++;
	return row->id[7] == '4' ? err_set(err, E_BUSY, "stop") : 0;
}

static void
test_each_is_of_the_active(void **state)
{
	struct fixture *f = *state;
	struct store_tx *tx = NULL;
	struct err err = {0};
	unsigned i, n = 0;
	char name[8];

	for (i = 0; i < 4; i++) {
		struct store_service s;

		(void)snprintf(name, sizeof name, "s%u", i);
		s = service_of(i, name);
		if (i == 2)
			s.status = DEVICE_REVOKED;
		insert(f, &s);
	}
	assert_ok(store_read(f->store, &tx, &err));
	assert_ok(store_service_each(tx, count, &n, &err));
	assert_int_equal(n, 3);
	store_rollback(&tx);
	{
		struct store_service s = service_of(4, "s4");

		insert(f, &s);
	}
	assert_ok(store_read(f->store, &tx, &err));
	assert_int_equal(store_service_each(tx, count, &n, &err), E_BUSY);
	assert_string_equal(err.text, "stop");
	store_rollback(&tx);
}

#define case_of(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    case_of(test_row_by_id_and_by_name),
	    case_of(test_names_of_the_unrevoked_are_unique),
	    case_of(test_names_of_another_tenant),
	    case_of(test_name_like_an_id),
	    case_of(test_pages),
	    case_of(test_each_is_of_the_active),
	};

	fixture_trace();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

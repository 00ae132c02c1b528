/* Table `broker`, and when devices were seen. */
#include "store_fixture.h"

#include "store/broker.h"

static struct store_broker
broker_of(unsigned n, const char *name)
{
	struct store_broker b = {.tenant_id = STORE_TENANT_DEFAULT, .status = DEVICE_ACTIVE, .created_at = 1000};

	(void)snprintf(b.id, sizeof b.id, "%08x-0000-4000-8000-000000000000", n);
	(void)snprintf(b.name, sizeof b.name, "%s", name);
	return b;
}

static int
name_add(void *ctx, const struct store_broker *row, struct err *err)
{
	struct buf *names = ctx;

	(void)err;
	buf_printf(names, "%s ", row->name);
	return 0;
}

static void
test_rows(void **state)
{
	struct fixture *f = *state;
	struct store_broker one = broker_of(1, "one"), other = broker_of(2, "a"), again = broker_of(3, "one"), got;
	struct store_tx *tx = NULL;
	struct err err = {0};
	struct buf names = {0};

	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_broker_insert(tx, &one, &err));
	assert_ok(store_broker_insert(tx, &other, &err));
	assert_int_equal(store_broker_insert(tx, &again, &err), E_CONFLICT);
	assert_string_equal(err.field, "name");
	assert_ok(store_broker_get(tx, STORE_TENANT_DEFAULT, "one", &got, &err));
	assert_string_equal(got.id, one.id);
	assert_int_equal(got.seen_at, 0);
	/* H2 */
	assert_int_equal(store_broker_get(tx, 2, "one", &got, &err), E_NOTFOUND);
	assert_int_equal(store_broker_get(tx, 2, one.id, &got, &err), E_NOTFOUND);
	assert_ok(store_broker_each(tx, STORE_TENANT_DEFAULT, name_add, &names, &err));
	assert_string_equal(buf_str(&names), "a one ");
	buf_clear(&names);
	assert_ok(store_broker_set_status(tx, one.id, DEVICE_REVOKED, &err));
	assert_int_equal(store_broker_get(tx, STORE_TENANT_DEFAULT, "one", &got, &err), E_NOTFOUND);
	assert_ok(store_broker_get(tx, STORE_TENANT_DEFAULT, one.id, &got, &err));
	assert_int_equal(got.status, DEVICE_REVOKED);
	assert_ok(store_broker_insert(tx, &again, &err)); /* the name is free */
	assert_int_equal(store_broker_set_status(tx, "nobody", DEVICE_REVOKED, &err), E_NOTFOUND);
	assert_ok(store_commit(&tx, &err));
}

static void
test_report(void **state)
{
	struct fixture *f = *state;
	struct store_broker b = broker_of(1, "one"), got;
	struct store_tx *tx = NULL;
	struct err err = {0};

	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_broker_insert(tx, &b, &err));
	b.seen_at = 50;
	b.seq = 7;
	b.dropped = 3;
	(void)snprintf(b.address, sizeof b.address, "192.0.2.1");
	(void)snprintf(b.epoch, sizeof b.epoch, "00112233445566778899aabbccddeeff");
	assert_ok(store_broker_report(tx, &b, &err));
	b.seq = 9;
	assert_ok(store_broker_report(tx, &b, &err));
	assert_ok(store_broker_get(tx, STORE_TENANT_DEFAULT, "one", &got, &err));
	assert_int_equal(got.seq, 9);
	assert_int_equal(got.dropped, 6);
	assert_string_equal(got.address, "192.0.2.1");
	assert_string_equal(got.epoch, b.epoch);
	assert_int_equal(got.created_at, 1000);
	b = broker_of(9, "none");
	assert_int_equal(store_broker_report(tx, &b, &err), E_NOTFOUND);
	assert_ok(store_commit(&tx, &err));
}

static void
test_device_seen(void **state)
{
	struct fixture *f = *state;
	struct store_device device = {.tenant_id = STORE_TENANT_DEFAULT, .id = "0b9e4f1c-6f0e-4f4e-9b1a-3c8d2e7a5f60",
	    .name = "d", .type = "t", .policy = "default", .status = DEVICE_ACTIVE}, got = {0};
	struct store_tx *tx = NULL;
	struct err err = {0};

	assert_ok(store_begin(f->store, &tx, &err));
	assert_ok(store_device_insert(tx, &device, &err));
	assert_ok(store_device_seen(tx, device.id, 100, &err));
	assert_ok(store_device_seen(tx, device.id, 90, &err)); /* reports of two brokers may come in any order */
	assert_ok(store_device_seen(tx, "nobody", 100, &err));
	assert_ok(store_device_get(tx, STORE_TENANT_DEFAULT, device.id, &got, &err));
	assert_int_equal(got.last_seen, 100);
	assert_ok(store_device_update(tx, &got, &err)); /* leaves it alone */
	store_device_clear(&got);
	assert_ok(store_device_get(tx, STORE_TENANT_DEFAULT, device.id, &got, &err));
	assert_int_equal(got.last_seen, 100);
	store_device_clear(&got);
	assert_ok(store_commit(&tx, &err));
}

#define case_of(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    case_of(test_rows),
	    case_of(test_report),
	    case_of(test_device_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

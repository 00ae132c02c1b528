#include "core_fixture.h"

#include "core/policies.h"
#include "core/rights.h"
#include "core/service.h"
#include "core/tenant.h"

static int
always_good(const char *topic, struct err *err)
{
	(void)topic;
	(void)err;
	return 0;
}

/* B1: whatever the check lets through stays one text of the array. */
static void
test_topics_as_json(void **state)
{
	static const char *const topics[] = {"a/b", "x\",\"#", "\\", "K\xc3\xb6ln/+"};
	struct buf out = {0};
	struct err err = {0};

	(void)state;
	buf_text(&out, "before");
	assert_ok(rights_to_json("read", topics, 4, always_good, &out, &err));
	assert_string_equal(buf_str(&out), "before[\"a/b\",\"x\\\",\\\"#\",\"\\\\\",\"K\xc3\xb6ln/+\"]");
	buf_reset(&out);
	assert_ok(rights_to_json("read", NULL, 0, always_good, &out, &err));
	assert_string_equal(buf_str(&out), "[]");
	buf_reset(&out);
	assert_ok(rights_to_json("read", topics, 1, policy_filter_check, &out, &err));
	assert_int_equal(
	    rights_to_json("write", (const char *const[]){"a", "\xff"}, 2, policy_filter_check, &out, &err), E_INPUT);
	assert_string_equal(err.field, "write[1]");
	buf_clear(&out);
}

static void
test_a_device_gets_its_policys_topics(void **state)
{
	struct fixture *f = *state;
	struct store_device device = {.id = "6fa459ea-ee8a-4ca4-894e-db77e160355e", .tenant_id = STORE_TENANT_DEFAULT,
	    .type = "pump", .policy = "default"};
	struct buf write = {0}, read = {0};
	struct store_tx *tx = NULL;
	struct err err = {0};

	assert_ok(store_read(f->core->store, &tx, &err));
	assert_ok(rights_of_device(tx, &device, &write, &read, &err));
	assert_string_equal(buf_str(&write),
	    "[\"devices/6fa459ea-ee8a-4ca4-894e-db77e160355e/telemetry\","
	    "\"devices/6fa459ea-ee8a-4ca4-894e-db77e160355e/control/ack\"]");
	assert_non_null(strstr(buf_str(&read), "/commands/#"));
	(void)snprintf(device.policy, sizeof device.policy, "none");
	assert_int_equal(rights_of_device(tx, &device, &write, &read, &err), E_INPUT);
	assert_string_equal(err.field, "policy");
	/* Another tenant's policy of the same name is not this one's. B9 */
	(void)snprintf(device.policy, sizeof device.policy, "default");
	device.tenant_id = 2;
	assert_true(rights_of_device(tx, &device, &write, &read, &err) != 0);
	store_rollback(&tx);
	buf_clear(&write);
	buf_clear(&read);
}

static unsigned
acl_count(struct fixture *f, const char *text)
{
	struct buf acl = {0};
	struct err err = {0};
	const char *p;
	unsigned n = 0;

	assert_ok(rights_acl_build(f->core, &acl, &err));
	for (p = buf_str(&acl); (p = strstr(p, text)) != NULL; p++)
		n++;
	buf_clear(&acl);
	return n;
}

/* Whoever is not active is not in the file, and so has no rights. */
static void
test_the_file_names_who_is_active(void **state)
{
	static const char *const topics[] = {"devices/+/telemetry"};
	struct fixture *f = *state;
	const struct service_request request = {
	    .name = "backend", .read = topics, .n_read = 1, .credential = {.key = "ec-p256"}};
	struct store_device a, b, out = {0};
	struct store_service service = {0}, gone = {0};
	struct credential of_a, of_b, of_service = {0};
	char user[128];
	struct err err = {0};

	fixture_register(f, "a", &a, &of_a);
	fixture_register(f, "b", &b, &of_b);
	assert_ok(service_add(f->core, &f->caller, &request, &service, &of_service, &err));
	assert_int_equal(acl_count(f, "user "), 3);
	(void)snprintf(user, sizeof user, "user %s\ntopic read devices/+/telemetry\n", service.id);
	assert_int_equal(acl_count(f, user), 1);
	assert_ok(device_suspend(f->core, &f->caller, a.id, &out, &err));
	assert_int_equal(acl_count(f, "user "), 2);
	assert_int_equal(acl_count(f, a.id), 0);
	assert_ok(service_revoke(f->core, &f->caller, "backend", REASON_UNSPECIFIED, &gone, &err));
	assert_int_equal(acl_count(f, service.id), 0);
	assert_int_equal(acl_count(f, "user "), 1);
	store_device_clear(&a);
	store_device_clear(&b);
	store_device_clear(&out);
	store_service_clear(&service);
	store_service_clear(&gone);
	credential_clear(&of_a);
	credential_clear(&of_b);
	credential_clear(&of_service);
}

/* B9: in a tenant devices/+/ is the tenant's own devices; an ACL file names each. */
static void
test_own_devices_of_a_tenant(void **state)
{
	static const char *const read[] = {"acme/x", "devices/+/telemetry"}, *const write[] = {"devices/+/telemetry", "devices/+/c/#"};
	struct fixture *f = *state;
	const struct service_request request = {
	    .name = "backend", .read = read, .n_read = 2, .write = write, .n_write = 2, .credential = {.key = "ec-p256"}};
	const struct tenant_request none = {0};
	struct fixture of = *f;
	struct store_tenant acme;
	struct store_device mine, out = {0}, theirs;
	struct store_service service = {0};
	struct credential a, b, c = {0};
	struct caller bound;
	char text[512], long_filter[POLICY_TOPIC_MAX + 1];
	const char *one = long_filter;
	struct store_tx *tx = NULL;
	struct err err = {0};

	assert_ok(tenant_add(f->core, &f->caller, "acme", &none, &acme, &err));
	of.caller.tenant_id = acme.id;
	fixture_register(&of, "mine", &mine, &a);
	fixture_register(f, "theirs", &theirs, &b);
	assert_ok(service_add(f->core, &of.caller, &request, &service, &c, &err));
	(void)snprintf(text, sizeof text,
	    "user %s\ntopic read acme/x\ntopic write devices/%s/telemetry\ntopic write devices/%s/c/#\n"
	    "topic read devices/%s/telemetry\n",
	    service.id, mine.id, mine.id, mine.id);
	assert_int_equal(acl_count(f, text), 1);
	assert_int_equal(acl_count(f, "+"), 0);
	assert_int_equal(acl_count(f, theirs.id), 5); /* its own */
	assert_ok(device_suspend(f->core, &of.caller, mine.id, &out, &err));
	assert_int_equal(acl_count(f, mine.id), 0);
	/* Who may name it, and how long. */
	assert_ok(store_read(f->core->store, &tx, &err));
	assert_ok(rights_own_check(tx, &of.caller, "read", read, 2, false, &err));
	assert_int_equal(rights_own_check(tx, &of.caller, "read", read, 2, true, &err), E_DENIED);
	assert_string_equal(err.field, "read[1]");
	bound = f->caller;
	bound.is_bound = true;
	assert_int_equal(rights_own_check(tx, &bound, "read", read + 1, 1, false, &err), E_DENIED);
	assert_ok(rights_own_check(tx, &f->caller, "read", read + 1, 1, false, &err));
	(void)snprintf(long_filter, sizeof long_filter, "devices/+/%0*d", POLICY_TOPIC_MAX - 10 - UUID_LEN + 1, 0);
	assert_ok(rights_own_check(tx, &of.caller, "read", &one, 1, false, &err));
	(void)snprintf(long_filter, sizeof long_filter, "devices/+/%0*d", POLICY_TOPIC_MAX - 10 - UUID_LEN + 2, 0);
	assert_int_equal(rights_own_check(tx, &of.caller, "read", &one, 1, false, &err), E_INPUT);
	store_rollback(&tx);
	store_device_clear(&mine);
	store_device_clear(&theirs);
	store_device_clear(&out);
	store_service_clear(&service);
	credential_clear(&a);
	credential_clear(&b);
	credential_clear(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_topics_as_json),
	    cmocka_unit_test_setup_teardown(test_a_device_gets_its_policys_topics, fixture_open, fixture_close),
	    cmocka_unit_test_setup_teardown(test_own_devices_of_a_tenant, fixture_open, fixture_close),
	    cmocka_unit_test_setup_teardown(test_the_file_names_who_is_active, fixture_open, fixture_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

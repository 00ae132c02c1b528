/* Tenants as core has them: made, entered, full. */
#include "core_fixture.h"

#include "core/operator.h"
#include "core/policies.h"
#include "core/service.h"
#include "core/tenant.h"

static struct store_tenant
add(struct fixture *f, const char *name, int64_t quota)
{
	const struct tenant_request request = {.quota = quota};
	struct store_tenant row;
	struct err err = {0};

	assert_ok(tenant_add(f->core, &f->caller, name, &request, &row, &err));
	return row;
}

/* B2 */
static void
test_names(void **state)
{
	static const char *const bad[] = {"", "A", "1a", "-a", "a b", "a/b", "a.b", "a_b", "+", "#", "$SYS", "..", "{id}", "devices",
	    "a\nb", "abcdefghijklmnopqrstuvwxyzabcdefg"};
	struct fixture *f = *state;
	const struct tenant_request request = {.quota = -1};
	struct store_tenant row;
	struct err err = {0};
	size_t i;

	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		err.field[0] = '\0';
		assert_int_equal(tenant_add(f->core, &f->caller, bad[i], &request, &row, &err), E_INPUT);
		assert_string_equal(err.field, "name");
	}
	assert_int_equal(tenant_add(f->core, &f->caller, NULL, &request, &row, &err), E_INPUT);
	(void)add(f, "abcdefghijklmnopqrstuvwxyzabcdef", 0);
	assert_int_equal(fixture_audited(f, "tenant.add"), 1);
}

/* H1, H2: who is bound enters its own tenant, and hears the same of another as of none. */
static void
test_who_may_enter(void **state)
{
	struct fixture *f = *state;
	struct store_tenant acme = add(f, "acme", 0), row, rows[4];
	struct caller installation = f->caller, bound = f->caller;
	char next[STORE_CURSOR_SIZE], token[TOKEN_SIZE];
	struct err other = {0}, none = {0}, err = {0};
	struct caller caller;
	size_t n;

	bound.is_bound = true;
	bound.tenant_id = acme.id;
	assert_int_equal(tenant_enter(f->core, &bound, "default", &other), E_NOTFOUND);
	assert_int_equal(tenant_enter(f->core, &bound, "nosuch", &none), E_NOTFOUND);
	assert_string_equal(other.text, none.text);
	assert_int_equal(bound.tenant_id, acme.id);
	assert_ok(tenant_enter(f->core, &bound, "acme", &err));
	assert_ok(tenant_list(f->core, &bound, 4, NULL, rows, &n, next, &err));
	assert_int_equal(n, 1);
	assert_int_equal(rows[0].id, acme.id);
	assert_int_equal(tenant_get(f->core, &bound, "default", &row, &err), E_NOTFOUND);
	assert_ok(tenant_enter(f->core, &installation, "acme", &err));
	assert_int_equal(installation.tenant_id, acme.id);
	/* Whom they make is bound; and by the installation, only if it says where. */
	assert_ok(operator_create(f->core->store, &bound, "a", ROLE_ADMIN, 0, NULL, token, &err));
	assert_ok(operator_authenticate(f->core, token, &caller, &err));
	assert_true(caller.is_bound && caller.tenant_id == acme.id);
	assert_string_equal(caller.who, "operator:a@acme");
	assert_ok(operator_create(f->core->store, &installation, "b", ROLE_ADMIN, 0, NULL, token, &err));
	assert_ok(operator_authenticate(f->core, token, &caller, &err));
	assert_true(caller.is_bound && caller.tenant_id == acme.id);
	assert_ok(operator_create(f->core->store, &f->caller, "b", ROLE_ADMIN, 0, NULL, token, &err));
	assert_ok(operator_authenticate(f->core, token, &caller, &err));
	assert_true(!caller.is_bound && caller.tenant_id == STORE_TENANT_DEFAULT);
	assert_int_equal(operator_create(f->core->store, &bound, "c", ROLE_BROKER, 0, NULL, token, &err), E_INPUT);
}

/* What is in it: a policy of its own, room for so many devices, and none once it is removed. */
static void
test_quota_and_end(void **state)
{
	struct fixture *f = *state;
	struct store_tenant acme = add(f, "acme", 1);
	const struct tenant_request more = {.quota = 2};
	struct device_request request = {.name = "d", .type = "pump", .credential = {.key = "ec-p256"}};
	const char *topic = "acme/x";
	const struct service_request service = {
	    .name = "late", .read = &topic, .n_read = 1, .credential = {.key = "ec-p256", .profile = "constrained"}};
	struct credential credential = {0};
	struct store_device device = {0};
	struct store_service added = {0};
	struct store_policy policy = {0};
	struct store_tenant row;
	struct caller there = f->caller;
	char token[TOKEN_SIZE];
	struct err err = {0};

	assert_ok(tenant_enter(f->core, &there, "acme", &err));
	assert_ok(policies_get(f->core, &there, "default", &policy, &err));
	assert_int_equal(policy.tenant_id, acme.id);
	assert_non_null(strstr(policy.write, "devices/{id}/telemetry"));
	store_policy_clear(&policy);
	assert_ok(device_register(f->core, &there, &request, &device, &credential, &err));
	credential_clear(&credential);
	assert_int_equal(device_register(f->core, &there, &request, &device, &credential, &err), E_CONFLICT);
	request.pending = true;
	assert_int_equal(device_register(f->core, &there, &request, &device, &credential, &err), E_CONFLICT);
	request.pending = false;
	assert_int_equal(fixture_audited(f, "certificate.abandon"), 0); /* nothing was signed for it */
	assert_ok(tenant_update(f->core, &f->caller, "acme", &more, &row, &err));
	assert_int_equal(row.quota, 2);
	assert_int_equal(row.devices, 1);
	assert_int_equal(tenant_remove(f->core, &f->caller, "acme", &err), E_CONFLICT);
	assert_ok(device_revoke(f->core, &there, device.id, REASON_UNSPECIFIED, &device, &err));
	store_device_clear(&device);
	assert_ok(tenant_remove(f->core, &f->caller, "acme", &err));
	assert_int_equal(tenant_remove(f->core, &f->caller, "acme", &err), E_NOTFOUND);
	assert_int_equal(tenant_remove(f->core, &f->caller, "default", &err), E_CONFLICT);
	/* Whoever was still on the way in it. */
	assert_int_equal(device_register(f->core, &there, &request, &device, &credential, &err), E_NOTFOUND);
	assert_int_equal(service_add(f->core, &there, &service, &added, &credential, &err), E_NOTFOUND);
	assert_int_equal(operator_create(f->core->store, &there, "late", ROLE_ADMIN, 0, NULL, token, &err), E_NOTFOUND);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_names, fixture_open, fixture_close),
	    cmocka_unit_test_setup_teardown(test_who_may_enter, fixture_open, fixture_close),
	    cmocka_unit_test_setup_teardown(test_quota_and_end, fixture_open, fixture_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

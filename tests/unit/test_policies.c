#include "core_fixture.h"

#include "authz/policy.h"
#include "core/policies.h"

static int
set(struct fixture *f, const struct caller *caller, const char *name, const char *write, const char *read,
    struct err *err)
{
	struct policies_request request = {
	    .write = &write, .n_write = write != NULL, .read = &read, .n_read = read != NULL};
	struct store_policy row = {0};
	int rc = policies_set(f->core, caller, name, &request, &row, err);

	store_policy_clear(&row);
	return rc;
}

static bool
acl_has(struct fixture *f, const char *line)
{
	struct buf acl = {0};
	bool has;

	fixture_file(f, "broker/acl", &acl);
	has = strstr(buf_str(&acl), line) != NULL;
	buf_clear(&acl);
	return has;
}

/* When the call returns the broker's file has it; and again when topics are taken away. */
static void
test_setting_changes_the_rights_of_its_devices(void **state)
{
	struct fixture *f = *state;
	struct store_device device, now = {0};
	struct credential credential;
	char line[128];
	struct err err = {0};

	fixture_register(f, "subject", &device, &credential);
	assert_ok(set(f, &f->caller, "lab", "lab/{type}/{id}", NULL, &err));
	assert_ok(device_update(f->core, &f->caller, device.id, &(struct device_change){.policy = "lab"}, &now, &err));
	store_device_clear(&now);
	assert_ok(set(f, &f->caller, "lab", "lab/{type}/{id}/up", NULL, &err));
	(void)snprintf(line, sizeof line, "user %s\ntopic write lab/pump/%s/up\n", device.id, device.id);
	assert_true(acl_has(f, line));
	assert_ok(set(f, &f->caller, "lab", NULL, NULL, &err));
	assert_false(acl_has(f, "lab/pump"));
	assert_int_equal(fixture_audited(f, "policy.set"), 3);
	/* In use: it stays; free: it goes. */
	assert_int_equal(policies_remove(f->core, &f->caller, "lab", &err), E_CONFLICT);
	assert_ok(device_update(f->core, &f->caller, device.id, &(struct device_change){.policy = "default"}, &now, &err));
	assert_ok(policies_remove(f->core, &f->caller, "lab", &err));
	assert_int_equal(policies_remove(f->core, &f->caller, "lab", &err), E_NOTFOUND);
	store_device_clear(&now);
	store_device_clear(&device);
	credential_clear(&credential);
}

static void
test_what_is_refused_names_its_place(void **state)
{
	static const char *const names[] = {"", "a b", "..", "a\nb", "$SYS"};
	const char *many[POLICY_TEMPLATES_MAX + 1], *topics[] = {"good/{id}", "#"};
	struct fixture *f = *state;
	struct policies_request request = {.read = topics, .n_read = 2};
	struct store_policy row = {0};
	struct err err = {0};
	size_t i;

	assert_int_equal(policies_set(f->core, &f->caller, "wide", &request, &row, &err), E_INPUT);
	assert_string_equal(err.field, "read[1]");
	request = (struct policies_request){.write = topics, .n_write = 2};
	assert_int_equal(policies_set(f->core, &f->caller, "wide", &request, &row, &err), E_INPUT);
	assert_string_equal(err.field, "write[1]");
	for (i = 0; i < 2; i++) {
		request = (struct policies_request){.sessions = i == 0 ? -1 : 101};
		assert_int_equal(policies_set(f->core, &f->caller, "wide", &request, &row, &err), E_INPUT);
		assert_string_equal(err.field, "sessions");
	}
	for (i = 0; i <= POLICY_TEMPLATES_MAX; i++)
		many[i] = "a/{id}";
	request = (struct policies_request){.write = many, .n_write = POLICY_TEMPLATES_MAX + 1};
	assert_int_equal(policies_set(f->core, &f->caller, "wide", &request, &row, &err), E_INPUT);
	assert_string_equal(err.field, "write");
	for (i = 0; i < sizeof names / sizeof names[0]; i++) {
		assert_int_equal(set(f, &f->caller, names[i], "a/{id}", NULL, &err), E_INPUT);
		assert_string_equal(err.field, "name");
	}
	assert_int_equal(policies_get(f->core, &f->caller, "wide", &row, &err), E_NOTFOUND);
	assert_int_equal(policies_remove(f->core, &f->caller, "default", &err), E_CONFLICT);
}

/* A topic that is too long for one device must not keep all the others' rights from being published. */
static void
test_no_policy_stops_the_publication(void **state)
{
	struct fixture *f = *state;
	struct device_request request = {.name = "long", .credential = {.key = "ec-p256"}, .policy = "long"};
	char type[STORE_WORD_SIZE], tmpl[POLICY_TOPIC_MAX + 1];
	struct store_device device = {0}, other, gone = {0};
	struct credential credential = {0}, others;
	struct err err = {0};

	memset(type, 't', sizeof type - 1);
	type[sizeof type - 1] = '\0';
	request.type = type;
	assert_ok(set(f, &f->caller, "long", "a/{id}", NULL, &err));
	assert_ok(device_register(f->core, &f->caller, &request, &device, &credential, &err));
	fixture_register(f, "stolen", &other, &others);
	(void)snprintf(tmpl, sizeof tmpl, "%0200d/{type}/{id}", 1);
	assert_int_equal(set(f, &f->caller, "long", tmpl, NULL, &err), E_INPUT);
	assert_string_equal(err.field, "write[0]");
	assert_ok(device_revoke(f->core, &f->caller, other.id, REASON_KEY_COMPROMISE, &gone, &err));
	assert_true(acl_has(f, device.id));
	assert_false(acl_has(f, other.id));
	store_device_clear(&gone);
	store_device_clear(&device);
	store_device_clear(&other);
	credential_clear(&credential);
	credential_clear(&others);
}

static int
count(void *ctx, const struct store_policy *row, struct err *err)
{
	(void)row;
	(void)err;
	++*(int *)ctx;
	return 0;
}

/* B9 */
static void
test_another_tenants_policies(void **state)
{
	struct fixture *f = *state;
	struct caller other = f->caller;
	struct store_policy row = {0};
	struct err err = {0};
	int n = 0;

	other.tenant_id = 2;
	assert_ok(policies_get(f->core, &f->caller, "default", &row, &err));
	store_policy_clear(&row);
	assert_int_equal(policies_get(f->core, &other, "default", &row, &err), E_NOTFOUND);
	assert_ok(policies_each(f->core, &other, count, &n, &err));
	assert_int_equal(n, 0);
	assert_ok(policies_each(f->core, &f->caller, count, &n, &err));
	assert_true(n >= 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_setting_changes_the_rights_of_its_devices),
	    cmocka_unit_test(test_what_is_refused_names_its_place),
	    cmocka_unit_test(test_no_policy_stops_the_publication),
	    cmocka_unit_test(test_another_tenants_policies),
	};

	return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}

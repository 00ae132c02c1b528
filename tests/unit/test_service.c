#include "core_fixture.h"

#include "core/link.h"
#include "core/service.h"

static const char *const topics[] = {"devices/+/telemetry", "$share/g/x", "devices/+/commands"};

static int
add(struct fixture *f, const char *name, struct store_service *service, struct credential *credential, struct err *err)
{
	const struct service_request request = {.name = name, .read = topics, .n_read = 1, .write = topics + 2,
	    .n_write = 1, .credential = {.key = "ec-p256"}};

	memset(service, 0, sizeof *service);
	memset(credential, 0, sizeof *credential);
	return service_add(f->core, &f->caller, &request, service, credential, err);
}

static void
test_added_and_found(void **state)
{
	struct fixture *f = *state;
	struct store_service service, second, again = {0};
	struct caller other = f->caller;
	struct credential credential, none;
	struct err err = {0};

	assert_ok(add(f, "grafana", &service, &credential, &err));
	assert_true(credential.has_package);
	assert_int_equal(credential.certificate.owner_kind, OWNER_SERVICE);
	assert_string_equal(service.read, "[\"devices/+/telemetry\"]");
	assert_string_equal(service.write, "[\"devices/+/commands\"]");
	assert_ok(service_get(f->core, &f->caller, "grafana", &again, &err));
	assert_string_equal(again.id, service.id);
	store_service_clear(&again);
	assert_ok(service_get(f->core, &f->caller, service.id, &again, &err));
	store_service_clear(&again);
	/* The name is taken, and nothing was signed to find that out. */
	assert_int_equal(add(f, "grafana", &second, &none, &err), E_CONFLICT);
	assert_string_equal(err.field, "name");
	assert_int_equal(fixture_audited(f, "certificate.abandon"), 0);
	other.tenant_id = 2; /* B9, H2 */
	assert_int_equal(service_get(f->core, &other, service.id, &again, &err), E_NOTFOUND);
	assert_int_equal(service_get(f->core, &other, "grafana", &again, &err), E_NOTFOUND);
	assert_int_equal(service_revoke(f->core, &other, "grafana", REASON_UNSPECIFIED, &again, &err), E_NOTFOUND);
	store_service_clear(&service);
	credential_clear(&credential);
}

static void
test_bad_requests_name_the_field(void **state)
{
	static const struct {
		struct service_request request;
		const char *field;
	} cases[] = {
	    {{.read = topics, .n_read = 1}, "name"},
	    {{.name = "a b", .read = topics, .n_read = 1}, "name"},
	    {{.name = "..", .read = topics, .n_read = 1}, "name"},
	    /* found by id or name: none may pass for the other */
	    {{.name = "6fa459ea-ee8a-4ca4-894e-db77e160355e", .read = topics, .n_read = 1}, "name"},
	    {{.name = "n"}, "read"},
	    {{.name = "n", .read = topics, .n_read = 2}, "read[1]"},
	    {{.name = "n", .write = topics + 1, .n_write = 1}, "write[0]"},
	    {{.name = "n", .read = topics, .n_read = 1, .credential = {.key = "dsa"}}, "key"},
	};
	struct fixture *f = *state;
	struct store_service service = {0};
	struct credential credential = {0};
	size_t i;

	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct err err = {0};

		assert_int_equal(
		    service_add(f->core, &f->caller, &cases[i].request, &service, &credential, &err), E_INPUT);
		assert_string_equal(err.field, cases[i].field);
	}
}

/* A new certificate in, the old one out; a revoked one stays so, and its name is free again. */
static void
test_reissue_and_revocation(void **state)
{
	const struct credential_request request = {.key = "ec-p256"};
	struct fixture *f = *state;
	struct store_service service, now = {0}, heir;
	struct credential first, second = {0}, third;
	struct store_package package;
	struct err err = {0};
	int reason;

	assert_ok(add(f, "bridge", &service, &first, &err));
	assert_ok(service_reissue(f->core, &f->caller, "bridge", &request, &now, &second, &err));
	store_service_clear(&now);
	assert_int_equal(fixture_certificate_state(f, first.certificate.serial, &reason), CERTIFICATE_REVOKED);
	assert_int_equal(reason, REASON_SUPERSEDED);
	assert_int_equal(fixture_certificate_state(f, second.certificate.serial, NULL), CERTIFICATE_ACTIVE);
	assert_int_equal(link_look(f->core, fixture_token(&first), &(struct link_visitor){"192.0.2.1", NULL}, &package, &err), E_GONE);
	assert_int_equal(
	    service_revoke(f->core, &f->caller, "bridge", REASON_CERTIFICATE_HOLD, &now, &err), E_INPUT);
	assert_int_equal(
	    service_revoke(f->core, &f->caller, "bridge", REASON_REMOVE_FROM_CRL, &now, &err), E_INPUT);
	assert_ok(service_revoke(f->core, &f->caller, "bridge", REASON_KEY_COMPROMISE, &now, &err));
	store_service_clear(&now);
	assert_int_equal(fixture_certificate_state(f, second.certificate.serial, &reason), CERTIFICATE_REVOKED);
	assert_int_equal(reason, REASON_KEY_COMPROMISE);
	assert_int_equal(link_look(f->core, fixture_token(&second), &(struct link_visitor){"192.0.2.1", NULL}, &package, &err), E_GONE);
	assert_int_equal(
	    service_revoke(f->core, &f->caller, service.id, REASON_UNSPECIFIED, &now, &err), E_CONFLICT);
	assert_int_equal(
	    service_reissue(f->core, &f->caller, service.id, &request, &now, &second, &err), E_CONFLICT);
	assert_ok(add(f, "bridge", &heir, &third, &err));
	assert_string_not_equal(heir.id, service.id);
	store_service_clear(&service);
	store_service_clear(&heir);
	credential_clear(&first);
	credential_clear(&second);
	credential_clear(&third);
}

static void
test_pages(void **state)
{
	struct fixture *f = *state;
	struct store_service one, rows[2] = {0};
	char next[STORE_CURSOR_SIZE], last[STORE_CURSOR_SIZE];
	struct caller other = f->caller;
	struct credential credential;
	struct err err = {0};
	char name[STORE_WORD_SIZE];
	size_t n, i;

	for (i = 0; i < 3; i++) {
		(void)snprintf(name, sizeof name, "page-%zu", i);
		assert_ok(add(f, name, &one, &credential, &err));
		store_service_clear(&one);
		credential_clear(&credential);
	}
	other.tenant_id = 2;
	assert_ok(service_list(f->core, &other, 2, NULL, rows, &n, next, &err));
	assert_int_equal(n, 0);
	assert_ok(service_list(f->core, &f->caller, 2, NULL, rows, &n, next, &err));
	assert_int_equal(n, 2);
	assert_string_not_equal(next, "");
	(void)snprintf(name, sizeof name, "%s", rows[1].name);
	for (i = 0; i < n; i++)
		store_service_clear(&rows[i]);
	assert_ok(service_list(f->core, &f->caller, 2, next, rows, &n, last, &err));
	assert_true(n > 0 && strcmp(rows[0].name, name) > 0);
	for (i = 0; i < n; i++)
		store_service_clear(&rows[i]);
	assert_int_equal(service_list(f->core, &f->caller, 2, "nonsense", rows, &n, last, &err), E_INPUT);
	assert_string_equal(err.field, "after");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_added_and_found),
	    cmocka_unit_test(test_bad_requests_name_the_field),
	    cmocka_unit_test(test_reissue_and_revocation),
	    cmocka_unit_test(test_pages),
	};

	return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}

#include "core_fixture.h"

#include "core/ca.h"
#include "core/link.h"
#include "x509/crl.h"

#include <pthread.h>

static void
test_registration_and_reading(void **state)
{
	struct fixture *f = *state;
	struct store_device device, again = {0};
	struct credential credential;
	struct err err = {0};

	fixture_register(f, "Pumpe 1", &device, &credential);
	assert_int_equal(device.status, DEVICE_ACTIVE);
	assert_string_equal(device.policy, "default");
	assert_true(credential.has_package);
	assert_non_null(strstr(credential.url, "/d/"));
	assert_ok(device_get(f->core, &f->caller, device.id, &again, &err));
	assert_string_equal(again.name, "Pumpe 1");
	store_device_clear(&again);
	store_device_clear(&device);
	credential_clear(&credential);
}

/* B9, H2: another tenant's device is not there. */
static void
test_another_tenant_sees_nothing(void **state)
{
	struct fixture *f = *state;
	struct caller other = f->caller;
	struct store_device device, out = {0};
	struct credential credential;
	struct err err = {0};

	fixture_register(f, "mine", &device, &credential);
	other.tenant_id = 2;
	assert_int_equal(device_get(f->core, &other, device.id, &out, &err), E_NOTFOUND);
	assert_int_equal(device_revoke(f->core, &other, device.id, REASON_UNSPECIFIED, &out, &err), E_NOTFOUND);
	assert_int_equal(device_suspend(f->core, &other, device.id, &out, &err), E_NOTFOUND);
	assert_int_equal(device_update(f->core, &other, device.id, &(struct device_change){.name = "x"}, &out, &err), E_NOTFOUND);
	store_device_clear(&device);
	credential_clear(&credential);
}

static void
test_bad_requests_name_the_field(void **state)
{
	static const struct {
		struct device_request request;
		const char *field;
	} cases[] = {
	    {{.type = "t"}, "name"},
	    {{.name = "n"}, "type"},
	    {{.name = "n\n", .type = "t"}, "name"},
	    {{.name = "n", .type = "../t"}, "type"},
	    {{.name = "n", .type = "+"}, "type"},
	    {{.name = "n", .type = "t", .location = "\x1b"}, "location"},
	    {{.name = "n", .type = "t", .labels = "[]"}, "labels"},
	    {{.name = "n", .type = "t", .labels = "{\"a\":1}"}, "labels"},
	    {{.name = "n", .type = "t", .policy = "none"}, "policy"},
	    {{.name = "n", .type = "t", .credential = {.key = "dsa"}}, "key"},
	    {{.name = "n", .type = "t", .credential = {.profile = "none"}}, "profile"},
	    {{.name = "n", .type = "t", .credential = {.key = "ec-p256", .valid_s = 366 * 86400}}, "valid"},
	    {{.name = "n", .type = "t", .credential = {.key = "ec-p256", .link_ttl_s = 604801}}, "link_ttl_s"},
	    {{.name = "n", .type = "t", .credential = {.csr = "x", .csr_len = 1}}, "csr"},
	    {{.name = "n", .type = "t", .credential = {.csr = "x", .csr_len = 1, .key = "ec-p256"}}, "key"},
	};
	struct fixture *f = *state;
	struct credential credential = {0};
	struct store_device device = {0};
	size_t i;

	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct err err = {0};

		assert_int_equal(device_register(f->core, &f->caller, &cases[i].request, &device, &credential, &err), E_INPUT);
		assert_string_equal(err.field, cases[i].field);
	}
}

static void
test_life_and_death(void **state)
{
	struct fixture *f = *state;
	struct store_device device, now = {0};
	struct credential credential;
	struct buf before = {0}, after = {0};
	struct shelf_item item;
	struct crl_info info;
	struct err err = {0};
	int reason;

	fixture_register(f, "mortal", &device, &credential);
	assert_ok(device_suspend(f->core, &f->caller, device.id, &now, &err));
	assert_int_equal(now.status, DEVICE_SUSPENDED);
	assert_int_equal(fixture_certificate_state(f, credential.certificate.serial, &reason), CERTIFICATE_HELD);
	assert_int_equal(reason, REASON_CERTIFICATE_HOLD);
	assert_int_equal(device_suspend(f->core, &f->caller, device.id, &now, &err), E_CONFLICT);
	fixture_list(f->core, SHELF_COMPLETE, &before);
	store_device_clear(&now);
	assert_ok(device_resume(f->core, &f->caller, device.id, &now, &err));
	assert_int_equal(fixture_certificate_state(f, credential.certificate.serial, NULL), CERTIFICATE_ACTIVE);
	assert_int_equal(device_resume(f->core, &f->caller, device.id, &now, &err), E_CONFLICT);
	store_device_clear(&now);
	assert_ok(device_revoke(f->core, &f->caller, device.id, REASON_KEY_COMPROMISE, &now, &err));
	assert_int_equal(fixture_certificate_state(f, credential.certificate.serial, &reason), CERTIFICATE_REVOKED);
	assert_int_equal(reason, REASON_KEY_COMPROMISE);
	assert_int_equal(device_revoke(f->core, &f->caller, device.id, REASON_UNSPECIFIED, &now, &err), E_CONFLICT);
	assert_int_equal(device_resume(f->core, &f->caller, device.id, &now, &err), E_CONFLICT);
	/* The list is out when the call returns, with a higher number and the entry. */
	assert_ok(ca_crl(f->core, fixture_config(f->core)->issuer.key_id_hex, SHELF_COMPLETE, false, &item, &err));
	assert_true(shared_read(item.bytes, 0, SIZE_MAX, &after));
	shared_unref(item.bytes);
	assert_ok(crl_info_read(after.data, after.len, &fixture_config(f->core)->issuer, &info, &err));
	assert_int_equal(info.n_entries, 1);
	assert_int_equal(ca_crl(f->core, "00", SHELF_COMPLETE, false, &item, &err), E_NOTFOUND);
	buf_clear(&before);
	buf_clear(&after);
	store_device_clear(&now);
	store_device_clear(&device);
	credential_clear(&credential);
}

static void
test_reasons_that_do_not_revoke(void **state)
{
	struct fixture *f = *state;
	struct store_device device, out = {0};
	struct credential credential;
	struct err err = {0};

	fixture_register(f, "held", &device, &credential);
	assert_int_equal(device_revoke(f->core, &f->caller, device.id, REASON_CERTIFICATE_HOLD, &out, &err), E_INPUT);
	assert_int_equal(device_revoke(f->core, &f->caller, device.id, REASON_REMOVE_FROM_CRL, &out, &err), E_INPUT);
	store_device_clear(&device);
	credential_clear(&credential);
}

static void
test_reissue_supersedes(void **state)
{
	const struct credential_request request = {.key = "ec-p256"};
	struct fixture *f = *state;
	struct store_device device, now = {0};
	struct credential first, second = {0};
	struct store_package package;
	struct err err = {0};
	int reason;

	fixture_register(f, "again", &device, &first);
	assert_ok(device_reissue(f->core, &f->caller, device.id, &request, &now, &second, &err));
	assert_int_equal(fixture_certificate_state(f, first.certificate.serial, &reason), CERTIFICATE_REVOKED);
	assert_int_equal(reason, REASON_SUPERSEDED);
	assert_int_equal(fixture_certificate_state(f, second.certificate.serial, NULL), CERTIFICATE_ACTIVE);
	assert_int_equal(link_look(f->core, fixture_token(&first), &(struct link_visitor){"192.0.2.1", NULL}, &package, &err), E_GONE);
	assert_ok(link_look(f->core, fixture_token(&second), &(struct link_visitor){"192.0.2.1", NULL}, &package, &err));
	store_device_clear(&now);
	assert_ok(device_revoke(f->core, &f->caller, device.id, REASON_UNSPECIFIED, &now, &err));
	assert_int_equal(device_reissue(f->core, &f->caller, device.id, &request, &now, &second, &err), E_CONFLICT);
	assert_int_equal(link_look(f->core, fixture_token(&second), &(struct link_visitor){"192.0.2.1", NULL}, &package, &err), E_GONE);
	store_device_clear(&now);
	store_device_clear(&device);
	credential_clear(&first);
	credential_clear(&second);
}

struct waiting {
	struct fixture *f;
	struct store_device device;
	struct credential credential;
	struct err err;
	int rc;
};

static void *
register_one(void *arg)
{
	static const struct device_request request = {.name = "waits", .type = "t", .credential = {.key = "ec-p256"}};
	struct waiting *w = arg;

	w->rc = device_register(w->f->core, &w->f->caller, &request, &w->device, &w->credential, &w->err);
	return NULL;
}

/* I4: without a signer the service refuses and keeps nothing; while one is being started, calls wait for it. */
static void
test_the_signer_dies_and_returns(void **state)
{
	struct fixture *f = *state;
	struct waiting w = {.f = f};
	struct store_device_filter filter = {.status = -1, .search = "waits", .limit = 2};
	struct store_device rows[2] = {0};
	char next[STORE_CURSOR_SIZE];
	struct err err = {0};
	pthread_t thread;
	size_t n;

	fixture_signer_kill(&f->home);
	fixture_unlisten(&f->home);
	(void)register_one(&w);
	assert_int_equal(w.rc, E_BUSY);
	assert_ok(device_list(f->core, &f->caller, &filter, rows, &n, next, &err));
	assert_int_equal(n, 0);
	fixture_listen(&f->home);
	assert_int_equal(pthread_create(&thread, NULL, register_one, &w), 0);
	(void)usleep(20000);
	fixture_signer_start(&f->home);
	assert_int_equal(pthread_join(thread, NULL), 0);
	if (w.rc != 0)
		fail_msg("%s", w.err.text);
	assert_ok(device_list(f->core, &f->caller, &filter, rows, &n, next, &err));
	assert_int_equal(n, 1);
	store_device_clear(&rows[0]);
	store_device_clear(&w.device);
	credential_clear(&w.credential);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_registration_and_reading),
	    cmocka_unit_test(test_another_tenant_sees_nothing),
	    cmocka_unit_test(test_bad_requests_name_the_field),
	    cmocka_unit_test_setup_teardown(test_life_and_death, fixture_open, fixture_close),
	    cmocka_unit_test(test_reasons_that_do_not_revoke),
	    cmocka_unit_test(test_reissue_supersedes),
	    cmocka_unit_test(test_the_signer_dies_and_returns),
	};

	return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}

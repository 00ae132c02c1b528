/* Enrolment, and what may come between its steps. */
#include "core_fixture.h"
#include "csr_fixture.h"
#include "event_fixture.h"

#include "core/enrol.h"
#include "core/ratelimit.h"

/* A pending device and who has the token for it. */
static void
await(struct fixture *f, struct store_device *device, struct caller *enrollee)
{
	const struct device_request request = {.name = "awaited", .type = "pump", .pending = true};
	struct credential none = {0};
	struct store_enrol_token row;
	char token[TOKEN_SIZE];
	struct err err = {0};

	memset(device, 0, sizeof *device);
	assert_ok(device_register(f->core, &f->caller, &request, device, &none, &err));
	assert_ok(enrol_token_create(
	    f->core, &f->caller, &(struct enrol_token_request){.device_id = device->id}, &row, token, &err));
	assert_ok(enrol_authenticate(f->core, token, enrollee, &err));
}

/* Who has a token with which many pumps may enrol. */
static void
enrollee_make(struct fixture *f, struct caller *enrollee)
{
	struct store_enrol_token row;
	char token[TOKEN_SIZE];
	struct err err = {0};

	assert_ok(enrol_token_create(
	    f->core, &f->caller, &(struct enrol_token_request){.type = "pump", .uses = 9}, &row, token, &err));
	assert_ok(enrol_authenticate(f->core, token, enrollee, &err));
}

static void
request_make(struct buf *out)
{
	X509_NAME *name = X509_NAME_new();

	assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *)"Pump", -1, -1, 0), 1);
	csr_fresh(name, out);
	X509_NAME_free(name);
}

static void
give_another_place(struct fixture *f, const char *id)
{
	struct store_device device = {0};
	struct err err = {0};

	assert_ok(device_update(f->core, &f->caller, id,
	    &(struct device_change){.location = "hall 9", .labels = "{\"a\":\"b\"}"}, &device, &err));
	store_device_clear(&device);
}

/* What an operator changed of a pending device while it was enrolling stays changed: it was acknowledged. */
static void
test_an_update_in_between(void **state)
{
	struct fixture *f = *state;
	bool fired = true;
	int left;

	event.f = f;
	event.thread = pthread_self();
	event.act = give_another_place;
	f->core->now = event_now;
	for (left = 0; fired; left++) {
		struct store_device device, enrolled = {0}, now = {0};
		struct credential credential = {0};
		struct caller enrollee;
		struct buf csr = {0};
		struct err err = {0};

		await(f, &device, &enrollee);
		csr_fresh(NULL, &csr);
		event.left = left;
		event.done = false;
		event.id = device.id;
		assert_ok(enrol_device(f->core, &enrollee, csr.data, csr.len, NULL, &enrolled, &credential, &err));
		event.id = NULL;
		fired = event.done;
		assert_string_equal(enrolled.id, device.id);
		assert_int_equal(enrolled.status, DEVICE_ACTIVE);
		assert_ok(device_get(f->core, &f->caller, device.id, &now, &err));
		assert_int_equal(now.status, DEVICE_ACTIVE);
		assert_string_equal(now.location, fired ? "hall 9" : "");
		assert_string_equal(enrolled.location, now.location);
		if (fired)
			assert_string_equal(now.labels, "{\"a\":\"b\"}");
		store_device_clear(&device);
		store_device_clear(&enrolled);
		store_device_clear(&now);
		credential_clear(&credential);
		buf_clear(&csr);
	}
	assert_true(left >= 3);
	f->core->now = clock_now;
}

/* F7: who asked for a key to be made, and then for a certificate for the key of that same request, must not get the one that
 * is for the key that was made. */
static void
test_what_was_answered_for_another_key(void **state)
{
	struct fixture *f = *state;
	struct store_device device = {0};
	struct credential credential = {0};
	struct caller enrollee;
	struct buf csr = {0};
	struct err err = {0};

	enrollee_make(f, &enrollee);
	request_make(&csr);
	assert_ok(enrol_device_with_key(f->core, &enrollee, csr.data, csr.len, NULL, &device, &credential, &err));
	store_device_clear(&device);
	credential_clear(&credential);
	assert_int_equal(enrol_device(f->core, &enrollee, csr.data, csr.len, NULL, &device, &credential, &err), E_CONFLICT);
	assert_null(credential.certificate.der);
	buf_clear(&csr);
}

/* F5: a retry gets what the first one made, but not when that is revoked by now. */
static void
test_an_answer_that_is_revoked_by_now(void **state)
{
	const struct credential_request how = {.key = "ec-p256"};
	struct fixture *f = *state;
	struct store_device device = {0}, again = {0};
	struct credential first = {0}, second = {0};
	struct caller enrollee;
	struct buf csr = {0};
	struct err err = {0};

	enrollee_make(f, &enrollee);
	request_make(&csr);
	assert_ok(enrol_device(f->core, &enrollee, csr.data, csr.len, NULL, &device, &first, &err));
	assert_ok(enrol_device(f->core, &enrollee, csr.data, csr.len, NULL, &again, &second, &err));
	assert_string_equal(again.id, device.id);
	assert_memory_equal(second.certificate.serial, first.certificate.serial, SERIAL_LEN);
	store_device_clear(&again);
	credential_clear(&second);
	assert_ok(device_reissue(f->core, &f->caller, device.id, &how, &again, &second, &err));
	store_device_clear(&again);
	credential_clear(&second);
	assert_int_equal(enrol_device(f->core, &enrollee, csr.data, csr.len, NULL, &again, &second, &err), E_CONFLICT);
	assert_non_null(strstr(err.text, "revoked"));
	store_device_clear(&device);
	credential_clear(&first);
	buf_clear(&csr);
}

/* F8: what is no request costs an attempt, as over REST: to look at one costs more than to refuse it. */
static void
test_bad_requests_count(void **state)
{
	struct fixture *f = *state;
	struct settings *settings = &fixture_config(f->core)->settings;
	struct store_device device = {0};
	struct credential credential = {0};
	struct caller enrollee;
	struct err err = {0};

	enrollee_make(f, &enrollee);
	(void)text_copy(enrollee.from, sizeof enrollee.from, "192.0.2.9");
	ratelimit_set(f->core->limits[LIMIT_REGISTER], &(struct ratelimit_rates){.per_min = {[RATELIMIT_ADDRESS] = 2}});
	assert_int_equal(enrol_device(f->core, &enrollee, "x", 1, NULL, &device, &credential, &err), E_INPUT);
	assert_int_equal(enrol_device(f->core, &enrollee, "x", 1, NULL, &device, &credential, &err), E_INPUT);
	assert_int_equal(enrol_device(f->core, &enrollee, "x", 1, NULL, &device, &credential, &err), E_LIMIT);
	ratelimit_set(f->core->limits[LIMIT_REGISTER], &settings->limits[LIMIT_REGISTER]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_was_answered_for_another_key),
	    cmocka_unit_test(test_an_answer_that_is_revoked_by_now),
	    cmocka_unit_test(test_bad_requests_count),
	    cmocka_unit_test(test_an_update_in_between),
	};

	return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}

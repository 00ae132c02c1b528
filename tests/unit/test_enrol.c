/* Enrolment, and what may come between its steps. */
#include "core_fixture.h"
#include "csr_fixture.h"

#include "core/enrol.h"

#include <pthread.h>

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

static struct {
	struct fixture *f;
	pthread_t thread;
	const char *id;
	int left;
	bool done;
} event;

/* When the test's own thread looks at the clock, the next time but LEFT, an operator gives the device another place. */
static int64_t
event_now(void)
{
	struct store_device device = {0};
	struct err err = {0};

	if (event.id == NULL || !pthread_equal(pthread_self(), event.thread) || event.done || event.left-- > 0)
		return clock_now();
	event.done = true;
	assert_ok(device_update(event.f->core, &event.f->caller, event.id,
	    &(struct device_change){.location = "hall 9", .labels = "{\"a\":\"b\"}"}, &device, &err));
	store_device_clear(&device);
	return clock_now();
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_an_update_in_between),
	};

	return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}

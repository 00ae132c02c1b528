#include "core_fixture.h"

#include "core/idempotency.h"
#include "core/link.h"
#include "x509/crl.h"

#include <pthread.h>

static _Atomic int64_t time_added_s;

static int64_t
later(void)
{
	return clock_now() + time_added_s;
}

static struct device_request
request_make(const char *key, uint8_t body)
{
	struct device_request request = {
	    .name = "again", .type = "pump", .credential = {.key = "ec-p256"}, .idempotency = {.key = key}};

	memset(request.idempotency.digest, body, SHA256_LEN);
	return request;
}

struct made {
	struct store_device device;
	struct credential credential;
	struct err err;
	int rc;
};

static struct made
registered(struct fixture *f, const struct caller *caller, const char *key, uint8_t body)
{
	struct device_request request = request_make(key, body);
	struct made m = {0};

	m.rc = device_register(f->core, caller, &request, &m.device, &m.credential, &m.err);
	return m;
}

static void
made_clear(struct made *m)
{
	store_device_clear(&m->device);
	credential_clear(&m->credential);
}

static void
assert_same(const struct made *first, const struct made *again)
{
	if (again->rc != 0)
		fail_msg("%s", again->err.text);
	assert_string_equal(again->device.id, first->device.id);
	assert_memory_equal(
	    again->credential.certificate.serial, first->credential.certificate.serial, SERIAL_LEN);
	assert_int_equal(again->credential.certificate.der_len, first->credential.certificate.der_len);
	assert_memory_equal(again->credential.certificate.der, first->credential.certificate.der,
	    first->credential.certificate.der_len);
}

/* How many devices are there by the name that request_make gives? */
static size_t
count(struct fixture *f)
{
	struct store_device_filter filter = {.status = -1, .search = "again", .limit = 200};
	struct store_device rows[200] = {0};
	char next[STORE_CURSOR_SIZE];
	struct err err = {0};
	size_t n, i;

	assert_ok(device_list(f->core, &f->caller, &filter, rows, &n, next, &err));
	for (i = 0; i < n; i++)
		store_device_clear(&rows[i]);
	return n;
}

static void
test_again_is_the_same(void **state)
{
	struct fixture *f = *state;
	struct made first = registered(f, &f->caller, "k", 1), again;
	struct store_package package;
	struct err err = {0};

	assert_int_equal(first.rc, 0);
	assert_true(first.credential.has_package);
	again = registered(f, &f->caller, "k", 1);
	assert_same(&first, &again);
	assert_false(again.credential.has_package);
	assert_string_equal(again.credential.password, "");
	assert_string_equal(again.credential.url, "");
	assert_int_equal(count(f), 1);
	/* The link of the first answer is as good as before. */
	assert_ok(link_look(f->core, fixture_token(&first.credential), &(struct link_visitor){"192.0.2.1", NULL}, &package, &err));
	made_clear(&again);
	made_clear(&first);
}

/* It must not look as if it were still good. */
static void
test_again_after_a_revocation(void **state)
{
	struct fixture *f = *state;
	struct made first = registered(f, &f->caller, "k", 1), again;
	struct store_device revoked = {0};
	struct err err = {0};

	assert_ok(device_revoke(f->core, &f->caller, first.device.id, REASON_KEY_COMPROMISE, &revoked, &err));
	again = registered(f, &f->caller, "k", 1);
	assert_same(&first, &again);
	assert_int_equal(again.device.status, DEVICE_REVOKED);
	store_device_clear(&revoked);
	made_clear(&again);
	made_clear(&first);
}

static void
test_again_after_a_restart(void **state)
{
	struct fixture *f = *state;
	struct made first = registered(f, &f->caller, "k", 1), again;

	fixture_core_close(f);
	fixture_core_open(f);
	again = registered(f, &f->caller, "k", 1);
	assert_same(&first, &again);
	assert_int_equal(count(f), 1);
	made_clear(&again);
	made_clear(&first);
}

static void
test_another_request_with_the_key(void **state)
{
	struct fixture *f = *state;
	struct made first = registered(f, &f->caller, "k", 1), other = registered(f, &f->caller, "k", 2);

	assert_int_equal(other.rc, E_CONFLICT);
	assert_string_equal(other.err.field, IDEMPOTENCY_FIELD);
	assert_int_equal(count(f), 1);
	made_clear(&first);
}

/* Neither another operator nor another tenant learns of it, nor is in its way. */
static void
test_keys_of_others(void **state)
{
	struct fixture *f = *state;
	struct caller bob = f->caller;
	struct made first = registered(f, &f->caller, "k", 1), other;

	(void)snprintf(bob.who, sizeof bob.who, "operator:bob");
	other = registered(f, &bob, "k", 2);
	assert_int_equal(other.rc, 0);
	assert_string_not_equal(other.device.id, first.device.id);
	assert_true(other.credential.has_package);
	made_clear(&other);
	made_clear(&first);
}

static void
test_a_key_is_forgotten_after_a_day(void **state)
{
	struct fixture *f = *state;
	struct made first = registered(f, &f->caller, "k", 1), again;
	struct device_request request = request_make("k", 1);
	struct store_idempotency made;
	struct err err = {0};

	time_added_s = IDEMPOTENCY_TTL_S - 60;
	again = registered(f, &f->caller, "k", 1);
	assert_same(&first, &again);
	made_clear(&again);
	time_added_s = IDEMPOTENCY_TTL_S + 60;
	assert_int_equal(idempotency_find(f->core, &f->caller, &request.idempotency, &made, &err), E_NOTFOUND);
	time_added_s = 0;
	made_clear(&first);
}

/* What was refused has made nothing: the same key may bring a better request. */
static void
test_a_refusal_keeps_no_key(void **state)
{
	struct fixture *f = *state;
	struct device_request bad = request_make("k", 1);
	struct made m = {0};

	bad.policy = "none";
	assert_int_equal(device_register(f->core, &f->caller, &bad, &m.device, &m.credential, &m.err), E_INPUT);
	m = registered(f, &f->caller, "k", 2);
	assert_int_equal(m.rc, 0);
	made_clear(&m);
}

/* Signed, and then the process died: one device, and what was signed for nobody is revoked. */
static void
test_a_crash_after_signing(void **state)
{
	struct fixture *f = *state;
	struct credential_request request = {.key = "ec-p256"};
	struct credential_owner owner = {OWNER_DEVICE, "6b2f1c1e-5d0a-4a55-9d0c-0f6f6a1d2f3b", "again",
	    STORE_TENANT_DEFAULT, "[]", "[]"};
	struct credential lost = {0};
	struct err err = {0};
	struct made m;

	assert_ok(credential_make(f->core, &owner, &request, &lost, &err));
	fixture_core_close(f);
	fixture_core_open(f);
	m = registered(f, &f->caller, "k", 1);
	assert_int_equal(m.rc, 0);
	assert_int_equal(count(f), 1);
	assert_int_equal(fixture_certificate_state(f, lost.certificate.serial, NULL), CERTIFICATE_REVOKED);
	assert_int_equal(
	    fixture_certificate_state(f, m.credential.certificate.serial, NULL), CERTIFICATE_ACTIVE);
	credential_clear(&lost);
	made_clear(&m);
}

struct racer {
	struct fixture *f;
	pthread_t thread;
	uint8_t body;
	struct made made;
};

static void *
race(void *arg)
{
	struct racer *r = arg;

	r->made = registered(r->f, &r->f->caller, "k", r->body);
	return NULL;
}

static int
abandoned(void *ctx, const struct store_audit *row, struct err *err)
{
	(void)err;
	*(size_t *)ctx += strcmp(row->action, "certificate.abandon") == 0;
	return 0;
}

/* One device, one certificate: nothing was signed in vain. */
static void
test_equal_requests_at_once(void **state)
{
	struct racer racers[64] = {0};
	struct fixture *f = *state;
	struct store_tx *tx = NULL;
	struct err err = {0};
	size_t i, packages = 0, n_abandoned = 0;

	for (i = 0; i < 64; i++) {
		racers[i].f = f;
		assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
	}
	for (i = 0; i < 64; i++)
		assert_int_equal(pthread_join(racers[i].thread, NULL), 0);
	for (i = 0; i < 64; i++) {
		assert_same(&racers[0].made, &racers[i].made);
		packages += racers[i].made.credential.has_package;
	}
	assert_int_equal(packages, 1);
	assert_int_equal(count(f), 1);
	assert_ok(store_read(f->core->store, &tx, &err));
	assert_ok(store_audit_each(tx, 0, 0, 1000, abandoned, &n_abandoned, &err));
	store_rollback(&tx);
	assert_int_equal(n_abandoned, 0);
	for (i = 0; i < 64; i++)
		made_clear(&racers[i].made);
}

/* Of different requests under one key one is done, the others are told so. */
static void
test_different_requests_at_once(void **state)
{
	struct racer racers[16] = {0};
	struct fixture *f = *state;
	size_t i, done = 0, refused = 0;

	for (i = 0; i < 16; i++) {
		racers[i].f = f;
		racers[i].body = (uint8_t)i;
		assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
	}
	for (i = 0; i < 16; i++) {
		assert_int_equal(pthread_join(racers[i].thread, NULL), 0);
		done += racers[i].made.rc == 0;
		refused += racers[i].made.rc == E_CONFLICT;
		made_clear(&racers[i].made);
	}
	assert_int_equal(done, 1);
	assert_int_equal(refused, 15);
	assert_int_equal(count(f), 1);
}

/* A claim is for one key of one caller, and waits for no other. */
static void
test_claims(void **state)
{
	struct fixture *f = *state;
	struct caller bob = f->caller, elsewhere = f->caller;
	struct idempotency_claim claims[4];
	struct err err = {0};
	size_t i;

	(void)snprintf(bob.who, sizeof bob.who, "operator:bob");
	elsewhere.tenant_id = 2;
	assert_ok(idempotency_claim(f->core, &f->caller, "k", &claims[0], &err));
	assert_ok(idempotency_claim(f->core, &f->caller, "l", &claims[1], &err));
	assert_ok(idempotency_claim(f->core, &bob, "k", &claims[2], &err));
	assert_ok(idempotency_claim(f->core, &elsewhere, "k", &claims[3], &err));
	for (i = 0; i < 4; i++)
		idempotency_release(f->core, &claims[(i + 1) % 4]);
	assert_ok(idempotency_claim(f->core, &f->caller, "k", &claims[0], &err));
	idempotency_release(f->core, &claims[0]);
}

#define WITH_HOME(test) cmocka_unit_test_setup_teardown(test, fixture_open, fixture_close)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_HOME(test_again_is_the_same),
	    WITH_HOME(test_again_after_a_revocation),
	    WITH_HOME(test_again_after_a_restart),
	    WITH_HOME(test_another_request_with_the_key),
	    WITH_HOME(test_keys_of_others),
	    WITH_HOME(test_a_key_is_forgotten_after_a_day),
	    WITH_HOME(test_a_refusal_keeps_no_key),
	    WITH_HOME(test_a_crash_after_signing),
	    WITH_HOME(test_equal_requests_at_once),
	    WITH_HOME(test_different_requests_at_once),
	    WITH_HOME(test_claims),
	};

	fixture_clock = later;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

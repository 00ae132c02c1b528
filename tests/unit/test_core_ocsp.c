/* The status of certificates as core tells it, by a real signer and a real store. */
#include "core_fixture.h"

#include "core/ocsp.h"
#include "signer/client.h"
#include "x509/ocsp.h"

static struct ocsp_issuer ids;

static int
open_all(void **state)
{
	struct err err = {0};
	int rc = fixture_open(state);

	if (rc == 0)
		assert_ok(ocsp_issuer_init(&ids, &core_config(((struct fixture *)*state)->core)->issuer, &err));
	return rc;
}

/* Ask about SERIAL as a worker does, or as an event loop; the answer or OCSP error. */
static int
ask(struct fixture *f, const uint8_t *serial, bool may_block, struct ocspcache_answer *out, bool *must_block_out)
{
	struct buf request = {0};
	struct err err = {0};
	int rc;

	*out = (struct ocspcache_answer){.der = {0}};
	ocsp_request_put(&request, &ids, serial);
	rc = ocsp_answer(f->core, request.data, request.len, "192.0.2.1", may_block, out, must_block_out, &err);
	buf_clear(&request);
	return rc;
}

static enum ocsp_status
status_of(struct fixture *f, const uint8_t *serial)
{
	struct ocspcache_answer answer;
	struct ocsp_info info;
	struct err err = {0};
	bool must_block;

	assert_int_equal(ask(f, serial, true, &answer, &must_block), 0);
	assert_false(must_block);
	assert_ok(ocsp_verify(answer.der.data, answer.der.len, &f->core->issuers.all[0].der, serial, &info, &err));
	if (answer.next_update > 0)
		assert_int_equal(answer.next_update, info.next_update);
	buf_clear(&answer.der);
	return info.status;
}

static bool
is_in_memory(struct fixture *f, const uint8_t *serial)
{
	struct ocspcache_answer answer;
	bool must_block;

	assert_int_equal(ask(f, serial, false, &answer, &must_block), 0);
	assert_int_equal(answer.der.len == 0, must_block);
	buf_clear(&answer.der);
	return !must_block;
}

static enum ocsp_error
error_of(struct fixture *f, const uint8_t *serial)
{
	struct ocspcache_answer answer;
	enum ocsp_error error;
	bool must_block;

	assert_int_equal(ask(f, serial, true, &answer, &must_block), 0);
	assert_int_equal(answer.der.len, 5);
	assert_int_equal(answer.next_update, 0);
	error = (enum ocsp_error)answer.der.data[4];
	buf_clear(&answer.der);
	return error;
}

static void
test_loops_answer_from_memory_only(void **state)
{
	static const uint8_t never[SERIAL_LEN] = {0x41};
	struct fixture *f = *state;
	struct store_device device;
	struct credential credential;

	fixture_register(f, "a", &device, &credential);
	assert_false(is_in_memory(f, credential.certificate.serial));
	assert_int_equal(status_of(f, credential.certificate.serial), OCSP_GOOD);
	assert_true(is_in_memory(f, credential.certificate.serial));
	assert_int_equal(status_of(f, never), OCSP_UNKNOWN);
	assert_false(is_in_memory(f, never)); /* strangers make such up */
	credential_clear(&credential);
	store_device_clear(&device);
}

/* G4: from the acknowledgement on, and from memory too. */
static void
test_revoked_is_forgotten(void **state)
{
	struct fixture *f = *state;
	struct store_device device, after;
	struct credential credential;
	struct err err = {0};

	fixture_register(f, "a", &device, &credential);
	assert_int_equal(status_of(f, credential.certificate.serial), OCSP_GOOD);
	assert_ok(device_suspend(f->core, &f->caller, device.id, &after, &err));
	store_device_clear(&after);
	assert_false(is_in_memory(f, credential.certificate.serial));
	assert_int_equal(status_of(f, credential.certificate.serial), OCSP_REVOKED);
	assert_true(is_in_memory(f, credential.certificate.serial));
	assert_ok(device_resume(f->core, &f->caller, device.id, &after, &err));
	store_device_clear(&after);
	assert_int_equal(status_of(f, credential.certificate.serial), OCSP_GOOD);
	assert_ok(device_revoke(f->core, &f->caller, device.id, REASON_KEY_COMPROMISE, &after, &err));
	store_device_clear(&after);
	assert_int_equal(status_of(f, credential.certificate.serial), OCSP_REVOKED);
	credential_clear(&credential);
	store_device_clear(&device);
}

/* The signer's log has the last word: where it knows of a revocation and the store does not, nobody is told "good". */
static void
test_the_signer_disagrees(void **state)
{
	struct fixture *f = *state;
	struct store_device device;
	struct credential credential;
	struct err err = {0};

	fixture_register(f, "a", &device, &credential);
	assert_ok(signer_note_revocation(f->core->signer, credential.certificate.serial, REASON_KEY_COMPROMISE, clock_now(),
	    &err));
	assert_int_equal(error_of(f, credential.certificate.serial), OCSP_TRY_LATER);
	assert_false(is_in_memory(f, credential.certificate.serial));
	credential_clear(&credential);
	store_device_clear(&device);
}

static int64_t shift_s;

static int64_t
shifted_clock(void)
{
	return clock_now() + shift_s;
}

/* G5: without a signer what is in memory is good until its nextUpdate, and not a second longer; the rest is tryLater. */
static void
test_no_signer(void **state)
{
	struct fixture *f = *state;
	struct store_device device, other;
	struct credential credential, fresh;

	fixture_register(f, "a", &device, &credential);
	fixture_register(f, "b", &other, &fresh);
	assert_int_equal(status_of(f, credential.certificate.serial), OCSP_GOOD);
	fixture_signer_kill(&f->home);
	fixture_unlisten(&f->home); /* else calls wait for the next one */
	f->core->now = shifted_clock;
	assert_int_equal(error_of(f, fresh.certificate.serial), OCSP_TRY_LATER);
	assert_int_equal(status_of(f, credential.certificate.serial), OCSP_GOOD);
	shift_s = core_config(f->core)->settings.ocsp_validity_s - 10;
	assert_true(is_in_memory(f, credential.certificate.serial));
	shift_s = core_config(f->core)->settings.ocsp_validity_s;
	assert_false(is_in_memory(f, credential.certificate.serial));
	assert_int_equal(error_of(f, credential.certificate.serial), OCSP_TRY_LATER);
	shift_s = 0;
	fixture_listen(&f->home);
	fixture_signer_start(&f->home);
	assert_int_equal(status_of(f, fresh.certificate.serial), OCSP_GOOD);
	credential_clear(&credential);
	credential_clear(&fresh);
	store_device_clear(&device);
	store_device_clear(&other);
}

/* What is asked for when it is old is signed anew without anybody waiting for it. */
static void
test_signed_ahead(void **state)
{
	struct fixture *f = *state;
	struct ocspcache_answer answer, later;
	struct store_device device;
	struct credential credential;
	bool must_block;
	int tries;

	fixture_register(f, "a", &device, &credential);
	assert_int_equal(status_of(f, credential.certificate.serial), OCSP_GOOD);
	f->core->now = shifted_clock;
	shift_s = core_config(f->core)->settings.ocsp_validity_s / 2 + 1;
	assert_int_equal(ask(f, credential.certificate.serial, false, &answer, &must_block), 0);
	assert_false(must_block);
	shift_s = 0; /* the new one is of the signer's time */
	for (tries = 0; tries < 1000; tries++) {
		assert_int_equal(ask(f, credential.certificate.serial, false, &later, &must_block), 0);
		assert_false(must_block);
		if (strcmp(later.etag, answer.etag) != 0)
			break;
		buf_clear(&later.der);
		(void)usleep(10000);
	}
	assert_string_not_equal(later.etag, answer.etag);
	buf_clear(&answer.der);
	buf_clear(&later.der);
	credential_clear(&credential);
	store_device_clear(&device);
}

/* The service's own certificate: its answer is made without anybody waiting for it, and kept without anybody asking. */
static void
test_own_certificate(void **state)
{
	struct fixture *f = *state;
	struct store_device device;
	struct credential credential;
	struct buf first = {0}, later = {0};
	int tries;

	fixture_register(f, "a", &device, &credential); /* one like any other */
	for (tries = 0; tries < 1000 && !ocsp_staple(f->core, 0, credential.certificate.serial, &first); tries++)
		(void)usleep(10000);
	assert_true(first.len > 0);
	/* It grows old: who asks still has the old one, and then the new. */
	f->core->now = shifted_clock;
	shift_s = core_config(f->core)->settings.ocsp_validity_s / 2 + 1;
	for (tries = 0; tries < 1000; tries++) {
		buf_reset(&later);
		assert_true(ocsp_staple(f->core, 0, credential.certificate.serial, &later));
		if (later.len != first.len || memcmp(later.data, first.data, first.len) != 0)
			break;
		(void)usleep(10000);
	}
	assert_true(tries < 1000);
	/* And ends with nobody there to sign another: none is better than a stale one. */
	fixture_signer_kill(&f->home);
	fixture_unlisten(&f->home);
	shift_s = core_config(f->core)->settings.ocsp_validity_s + 60;
	buf_reset(&later);
	assert_false(ocsp_staple(f->core, 0, credential.certificate.serial, &later));
	assert_int_equal(later.len, 0);
	shift_s = 0;
	fixture_listen(&f->home);
	fixture_signer_start(&f->home);
	buf_clear(&first);
	buf_clear(&later);
	credential_clear(&credential);
	store_device_clear(&device);
}

int
main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, open_all, fixture_close)
	const struct CMUnitTest tests[] = {
	    TEST(test_loops_answer_from_memory_only),
	    TEST(test_revoked_is_forgotten),
	    TEST(test_the_signer_disagrees),
	    TEST(test_no_signer),
	    TEST(test_signed_ahead),
	    TEST(test_own_certificate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

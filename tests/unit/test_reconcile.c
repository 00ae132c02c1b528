/* Start-up's comparison, after the very crashes it is for: the signer's log ahead of the store, and behind it. */
#include "core_fixture.h"

#include "core/ca.h"
#include "core/reconcile.h"
#include "signer/client.h"
#include "x509/crl.h"
#include "x509/key.h"

#define ID "6fa459ea-ee8a-4ca4-894e-db77e160355e"

/* Signed and never recorded, as if the api had died in between. Returns what the certificate says. */
static struct cert_info
sign_unrecorded(struct fixture *f)
{
	struct signer_request request = {.profile = "constrained", .id = ID};
	struct cert_info info;
	struct key *key = NULL;
	struct buf der = {0};
	struct err err = {0};
	bool in_doubt;

	assert_ok(key_generate(KEY_EC_P256, &key, &err));
	request.spki = key_spki(key, &request.spki_len);
	assert_ok(signer_issue(f->core->signer, &request, &der, &in_doubt, &err));
	assert_false(in_doubt);
	assert_ok(cert_info_read(der.data, der.len, &info, &err));
	key_free(key);
	buf_clear(&der);
	return info;
}

static bool
is_stored(struct fixture *f, const uint8_t *serial)
{
	struct store_certificate row = {0};
	struct store_tx *tx = NULL;
	struct err err = {0};
	int rc;

	assert_ok(store_read(f->core->store, &tx, &err));
	rc = store_certificate_by_serial(tx, serial, &row, &err);
	store_rollback(&tx);
	store_certificate_clear(&row);
	assert_true(rc == 0 || rc == E_NOTFOUND);
	return rc == 0;
}

static uint64_t
crl_entries(struct fixture *f)
{
	struct buf der = {0};
	struct crl_info info;
	struct err err = {0};

	assert_ok(ca_crl(f->core, "issuing", &der, &err));
	assert_ok(crl_info_read(der.data, der.len, &f->core->issuer, &info, &err));
	buf_clear(&der);
	return info.n_entries;
}

static void
test_what_was_signed_and_not_recorded_is_revoked(void **state)
{
	struct fixture *f = *state;
	uint64_t before = crl_entries(f);
	struct cert_info info = sign_unrecorded(f);
	int reason;

	fixture_core_close(f);
	fixture_core_open(f);
	assert_int_equal(fixture_certificate_state(f, info.serial, &reason), CERTIFICATE_REVOKED);
	assert_int_equal(reason, REASON_CESSATION_OF_OPERATION);
	assert_int_equal(crl_entries(f), before + 1);
	/* And it stays so, without another row. */
	fixture_core_close(f);
	fixture_core_open(f);
	assert_int_equal(crl_entries(f), before + 1);
}

/* The log has a revocation that the store lost: a restored backup. */
static void
test_what_the_log_revoked_stays_revoked(void **state)
{
	struct fixture *f = *state;
	struct store_device device;
	struct credential credential;
	struct err err = {0};
	int reason;

	fixture_register(f, "restored", &device, &credential);
	assert_ok(signer_note_revocation(
	    f->core->signer, credential.certificate.serial, REASON_KEY_COMPROMISE, clock_now(), &err));
	assert_int_equal(fixture_certificate_state(f, credential.certificate.serial, NULL), CERTIFICATE_ACTIVE);
	fixture_core_close(f);
	fixture_core_open(f);
	assert_int_equal(fixture_certificate_state(f, credential.certificate.serial, &reason), CERTIFICATE_REVOKED);
	assert_int_equal(reason, REASON_KEY_COMPROMISE);
	store_device_clear(&device);
	credential_clear(&credential);
}

struct counted {
	const uint8_t *serial;
	int n;
};

static int
count_notes(void *ctx, const struct signer_log_row *row, struct err *err)
{
	struct counted *c = ctx;

	(void)err;
	c->n += row->kind == SIGNER_LOG_REVOKED && memcmp(row->serial, c->serial, SERIAL_LEN) == 0;
	return 0;
}

/* The store has a revocation that the log lacks: a crash between commit and note. */
static void
test_what_the_store_revoked_is_noted(void **state)
{
	struct fixture *f = *state;
	struct revocation revocation;
	struct store_device device;
	struct credential credential;
	struct store_tx *tx = NULL;
	struct counted counted = {0};
	struct err err = {0};

	fixture_register(f, "unnoted", &device, &credential);
	assert_ok(store_begin(f->core->store, &tx, &err));
	assert_ok(revocation_apply(tx, 1, device.id, REASON_UNSPECIFIED, clock_now(), NULL, &revocation, &err));
	assert_ok(store_commit(&tx, &err));
	fixture_core_close(f);
	fixture_core_open(f);
	counted.serial = credential.certificate.serial;
	assert_ok(signer_log_read(f->core->signer, 0, count_notes, &counted, &err));
	assert_int_equal(counted.n, 1);
	store_device_clear(&device);
	credential_clear(&credential);
}

/* The signer died between its log and its answer, and the api lives on: the caller has given up, so the certificate
 * is revoked. Another one, which its caller may be about to store, is left alone. */
static void
test_a_lost_answer_is_settled_while_serving(void **state)
{
	struct fixture *f = *state;
	struct cert_info lost = sign_unrecorded(f), under_way = sign_unrecorded(f);
	struct counted counted = {.serial = lost.serial};
	struct err err = {0};
	int reason;

	reconcile_suspect(f->core, ID, lost.spki, lost.spki_len);
	assert_ok(reconcile_suspects(f->core, &err));
	assert_int_equal(fixture_certificate_state(f, lost.serial, &reason), CERTIFICATE_REVOKED);
	assert_int_equal(reason, REASON_CESSATION_OF_OPERATION);
	assert_false(is_stored(f, under_way.serial));
	assert_ok(signer_log_read(f->core->signer, 0, count_notes, &counted, &err));
	assert_int_equal(counted.n, 1);
	/* Once is enough: nothing is suspect any more. */
	assert_ok(reconcile_suspects(f->core, &err));
	assert_false(is_stored(f, under_way.serial));
}

/* Without a signer the suspects stay, and are settled when it is back. */
static void
test_suspects_wait_for_the_signer(void **state)
{
	struct fixture *f = *state;
	struct cert_info lost = sign_unrecorded(f);
	struct err err = {0};

	fixture_signer_kill(&f->home);
	fixture_unlisten(&f->home); /* else the call waits for the next signer */
	reconcile_suspect(f->core, ID, lost.spki, lost.spki_len);
	assert_int_equal(reconcile_suspects(f->core, &err), E_BUSY);
	assert_false(is_stored(f, lost.serial));
	fixture_listen(&f->home);
	fixture_signer_start(&f->home);
	assert_ok(reconcile_suspects(f->core, &err));
	assert_int_equal(fixture_certificate_state(f, lost.serial, NULL), CERTIFICATE_REVOKED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_was_signed_and_not_recorded_is_revoked),
	    cmocka_unit_test(test_what_the_log_revoked_stays_revoked),
	    cmocka_unit_test(test_what_the_store_revoked_is_noted),
	    cmocka_unit_test(test_a_lost_answer_is_settled_while_serving),
	    cmocka_unit_test(test_suspects_wait_for_the_signer),
	};

	return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}

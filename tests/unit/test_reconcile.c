/* Start-up's comparison, after the very crashes it is for: the signer's log ahead of the store, and behind it. */
#include "core_fixture.h"

#include "core/ca.h"
#include "core/reconcile.h"
#include "signer/client.h"
#include "x509/crl.h"
#include "x509/key.h"

#define ID "6fa459ea-ee8a-4ca4-894e-db77e160355e"

/* Signed for ID and never recorded, as if the api had died in between. Returns what the certificate says. */
static struct cert_info
sign_unrecorded_for(struct fixture *f, const char *id)
{
	struct signer_request request = {.profile = "constrained", .id = id};
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

static struct cert_info
sign_unrecorded(struct fixture *f)
{
	return sign_unrecorded_for(f, ID);
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

	fixture_list(f->core, SHELF_COMPLETE, &der);
	assert_ok(crl_info_read(der.data, der.len, &fixture_config(f->core)->issuer, &info, &err));
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

/* ---- a restored home ------------------------------------------------------------------------------------------- */

static void
mark_restored(struct fixture *f)
{
	struct store_tx *tx = NULL;
	struct err err = {0};

	assert_ok(store_begin(f->core->store, &tx, &err));
	assert_ok(reconcile_restored(tx, &err));
	assert_ok(store_commit(&tx, &err));
}

static enum device_status
device_status(struct fixture *f, const char *id)
{
	struct store_device device = {0};
	enum device_status status;
	struct err err = {0};

	assert_ok(device_get(f->core, &f->caller, id, &device, &err));
	status = device.status;
	store_device_clear(&device);
	return status;
}

/* Issued after the backup to a device that the backup does not know: held, under a name that can be found, and the
 * operator's to decide. Once: the start after that is an ordinary one. */
static void
test_the_unknown_is_held_after_a_restore(void **state)
{
	static const char id[] = "11111111-2222-4333-8444-555555555555";
	struct fixture *f = *state;
	struct store_device device = {0};
	struct cert_info before = sign_unrecorded_for(f, id), later;
	struct err err = {0};
	int reason;

	mark_restored(f);
	fixture_core_close(f);
	fixture_core_open(f);
	assert_int_equal(fixture_certificate_state(f, before.serial, &reason), CERTIFICATE_HELD);
	assert_int_equal(reason, REASON_CERTIFICATE_HOLD);
	assert_int_equal(device_status(f, id), DEVICE_SUSPENDED);
	later = sign_unrecorded(f);
	fixture_core_close(f);
	fixture_core_open(f);
	assert_int_equal(fixture_certificate_state(f, before.serial, NULL), CERTIFICATE_HELD);
	assert_int_equal(fixture_certificate_state(f, later.serial, NULL), CERTIFICATE_REVOKED);
	assert_ok(device_resume(f->core, &f->caller, id, &device, &err));
	assert_int_equal(fixture_certificate_state(f, before.serial, NULL), CERTIFICATE_ACTIVE);
	store_device_clear(&device);
}

/* The same for a device that the backup knows: it is suspended with all that it has, unless it is revoked. */
static void
test_a_known_devices_unknown_certificate_is_held(void **state)
{
	struct fixture *f = *state;
	struct store_device known, lost, row = {0};
	struct credential known_has, lost_has;
	struct cert_info known_new, lost_new;
	struct err err = {0};

	fixture_register(f, "known", &known, &known_has);
	fixture_register(f, "lost", &lost, &lost_has);
	assert_ok(device_revoke(f->core, &f->caller, lost.id, REASON_UNSPECIFIED, &row, &err));
	store_device_clear(&row);
	known_new = sign_unrecorded_for(f, known.id);
	lost_new = sign_unrecorded_for(f, lost.id);
	mark_restored(f);
	fixture_core_close(f);
	fixture_core_open(f);
	assert_int_equal(device_status(f, known.id), DEVICE_SUSPENDED);
	assert_int_equal(fixture_certificate_state(f, known_new.serial, NULL), CERTIFICATE_HELD);
	assert_int_equal(fixture_certificate_state(f, known_has.certificate.serial, NULL), CERTIFICATE_HELD);
	assert_int_equal(device_status(f, lost.id), DEVICE_REVOKED);
	assert_int_equal(fixture_certificate_state(f, lost_new.serial, NULL), CERTIFICATE_REVOKED);
	store_device_clear(&known);
	store_device_clear(&lost);
	credential_clear(&known_has);
	credential_clear(&lost_has);
}

/* The log revoked what the backup calls active: the device goes with its last certificate, and at the log's time. */
static void
test_the_device_follows_its_certificates(void **state)
{
	struct fixture *f = *state;
	struct store_device revoked, held, rotated;
	struct credential revoked_has, held_has, rotated_has;
	struct cert_info rotated_new;
	struct store_certificate row = {0};
	struct store_tx *tx = NULL;
	int64_t at = clock_now() - 5;
	struct err err = {0};

	fixture_register(f, "revoked", &revoked, &revoked_has);
	fixture_register(f, "held", &held, &held_has);
	fixture_register(f, "rotated", &rotated, &rotated_has);
	assert_ok(signer_note_revocation(
	    f->core->signer, revoked_has.certificate.serial, REASON_KEY_COMPROMISE, at, &err));
	assert_ok(signer_note_revocation(
	    f->core->signer, held_has.certificate.serial, REASON_CERTIFICATE_HOLD, at, &err));
	rotated_new = sign_unrecorded_for(f, rotated.id);
	assert_ok(signer_note_revocation(
	    f->core->signer, rotated_has.certificate.serial, REASON_SUPERSEDED, at, &err));
	mark_restored(f);
	fixture_core_close(f);
	fixture_core_open(f);
	assert_int_equal(device_status(f, revoked.id), DEVICE_REVOKED);
	assert_int_equal(device_status(f, held.id), DEVICE_SUSPENDED);
	assert_int_equal(device_status(f, rotated.id), DEVICE_SUSPENDED);
	assert_int_equal(fixture_certificate_state(f, rotated_has.certificate.serial, NULL), CERTIFICATE_REVOKED);
	assert_int_equal(fixture_certificate_state(f, rotated_new.serial, NULL), CERTIFICATE_HELD);
	assert_ok(store_read(f->core->store, &tx, &err));
	assert_ok(store_certificate_by_serial(tx, revoked_has.certificate.serial, &row, &err));
	store_rollback(&tx);
	assert_int_equal(row.revoked_at, at);
	store_certificate_clear(&row);
	store_device_clear(&revoked);
	store_device_clear(&held);
	store_device_clear(&rotated);
	credential_clear(&revoked_has);
	credential_clear(&held_has);
	credential_clear(&rotated_has);
}

/* F4, I13: renewed after the backup, and resumed by the operator: the old certificate's time ends, as it would have. Where
 * the log says that the new one came to nothing, the old one is the device's only one, and stays. */
static void
test_a_renewal_after_the_backup(void **state)
{
	struct fixture *f = *state;
	struct store_device renewed, failed, row = {0};
	struct credential renewed_has, failed_has;
	struct cert_info renewed_new, failed_new;
	struct err err = {0};
	int i, reason = 0;

	fixture_register(f, "renewed", &renewed, &renewed_has);
	fixture_register(f, "failed", &failed, &failed_has);
	renewed_new = sign_unrecorded_for(f, renewed.id);
	failed_new = sign_unrecorded_for(f, failed.id);
	assert_ok(signer_note_revocation(
	    f->core->signer, failed_new.serial, REASON_CESSATION_OF_OPERATION, clock_now(), &err));
	mark_restored(f);
	fixture_core_close(f);
	fixture_core_open(f);
	fixture_config(f->core)->settings.rotation_overlap_s = 1;
	assert_ok(device_resume(f->core, &f->caller, failed.id, &row, &err));
	store_device_clear(&row);
	assert_ok(device_resume(f->core, &f->caller, renewed.id, &row, &err));
	store_device_clear(&row);
	for (i = 0; i < 100 && fixture_certificate_state(f, renewed_has.certificate.serial, &reason) != CERTIFICATE_REVOKED; i++)
		(void)usleep(100000);
	assert_int_equal(fixture_certificate_state(f, renewed_has.certificate.serial, &reason), CERTIFICATE_REVOKED);
	assert_int_equal(reason, REASON_SUPERSEDED);
	assert_int_equal(fixture_certificate_state(f, renewed_new.serial, NULL), CERTIFICATE_ACTIVE);
	assert_int_equal(fixture_certificate_state(f, failed_has.certificate.serial, NULL), CERTIFICATE_ACTIVE);
	assert_int_equal(fixture_certificate_state(f, failed_new.serial, NULL), CERTIFICATE_REVOKED);
	store_device_clear(&renewed);
	store_device_clear(&failed);
	credential_clear(&renewed_has);
	credential_clear(&failed_has);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_was_signed_and_not_recorded_is_revoked),
	    cmocka_unit_test(test_what_the_log_revoked_stays_revoked),
	    cmocka_unit_test(test_what_the_store_revoked_is_noted),
	    cmocka_unit_test(test_a_lost_answer_is_settled_while_serving),
	    cmocka_unit_test(test_the_unknown_is_held_after_a_restore),
	    cmocka_unit_test(test_a_known_devices_unknown_certificate_is_held),
	    cmocka_unit_test(test_the_device_follows_its_certificates),
	    cmocka_unit_test(test_a_renewal_after_the_backup),
	    /* Last: the signer it forks keeps the store's lock. */
	    cmocka_unit_test(test_suspects_wait_for_the_signer),
	};

	return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}

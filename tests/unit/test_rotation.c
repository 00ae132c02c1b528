/* Renewals, and what may come between their steps. */
#include "core_fixture.h"
#include "csr_fixture.h"
#include "event_fixture.h"

#include "core/rotation.h"

static void
revoke_device(struct fixture *f, const char *id)
{
	struct store_device device = {0};
	struct err err = {0};

	assert_ok(device_revoke(f->core, &f->caller, id, REASON_UNSPECIFIED, &device, &err));
	store_device_clear(&device);
}

/* DEVICE by its certificate, as from the network. */
static struct caller
device_caller(const struct store_device *device, const struct credential *credential)
{
	struct caller caller = {.role = ROLE_DEVICE, .tenant_id = device->tenant_id, .from = "192.0.2.1"};

	(void)snprintf(caller.who, sizeof caller.who, "device:%s", device->id);
	memcpy(caller.serial, credential->certificate.serial, sizeof caller.serial);
	return caller;
}

/* With KEY, for what is in HAS. */
static int
renew_key(struct fixture *f, const struct caller *caller, const struct credential *has, EVP_PKEY *key,
    struct credential *out, struct err *err)
{
	const uint8_t *der = has->certificate.der;
	X509 *cert = d2i_X509(NULL, &der, (long)has->certificate.der_len);
	struct store_device device = {0};
	struct buf csr = {0};
	int rc;

	assert_non_null(cert);
	csr_make(key, X509_get_subject_name(cert), &csr);
	*out = (struct credential){0};
	rc = rotation_renew(f->core, caller, csr.data, csr.len, NULL, &device, out, err);
	store_device_clear(&device);
	buf_clear(&csr);
	X509_free(cert);
	return rc;
}

static int
renew(struct fixture *f, const struct caller *caller, const struct credential *has, struct credential *out, struct err *err)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	int rc = renew_key(f, caller, has, key, out, err);

	EVP_PKEY_free(key);
	return rc;
}

struct abandoned {
	char target[64];
	int n, others;
};

static int
abandoned_row(void *ctx, const struct store_audit *row, struct err *err)
{
	struct abandoned *a = ctx;

	(void)err;
	if (strcmp(row->action, "certificate.abandon") == 0) {
		a->n += strcmp(row->target, a->target) == 0;
		a->others += strncmp(row->target, "device:", 7) != 0 || !uuid_is_valid(row->target + 7);
	}
	return 0;
}

/* F3: a revocation at each moment of a renewal that can be told apart. Whatever was signed meanwhile is revoked, and the
 * audit says whose it was. */
static void
test_a_revocation_in_between(void **state)
{
	struct fixture *f = *state;
	struct store_certificate rows[4];
	int left, signed_in_vain = 0, refused = 0;
	bool fired = true;
	size_t n;

	event.f = f;
	event.thread = pthread_self();
	event.act = revoke_device;
	f->core->now = event_now;
	for (left = 0; fired; left++) {
		struct abandoned abandoned = {0};
		struct credential has, renewed;
		struct store_device device;
		struct store_tx *tx = NULL;
		struct caller caller;
		struct err err = {0};
		int rc, abandons = 0;

		event.id = NULL;
		fixture_register(f, "raced", &device, &has);
		caller = device_caller(&device, &has);
		event.left = left;
		event.done = false;
		event.id = device.id;
		rc = renew(f, &caller, &has, &renewed, &err);
		fired = event.done;
		event.id = NULL;
		if (!fired)
			assert_ok(rc);
		else
			assert_int_equal(rc, E_CONFLICT);
		assert_ok(store_read(f->core->store, &tx, &err));
		assert_ok(store_certificate_by_owner(tx, device.tenant_id, device.id, rows, 4, &n, &err));
		store_rollback(&tx);
		while (n > 0) {
			abandons += rows[--n].reason == REASON_CESSATION_OF_OPERATION;
			assert_int_equal(rows[n].state, fired ? CERTIFICATE_REVOKED : CERTIFICATE_ACTIVE);
			store_certificate_clear(&rows[n]);
		}
		(void)snprintf(abandoned.target, sizeof abandoned.target, "device:%s", device.id);
		assert_ok(audit_each(f->core, &f->caller, 0, 100000, abandoned_row, &abandoned, &err));
		assert_int_equal(abandoned.n, abandons);
		assert_int_equal(abandoned.others, 0);
		signed_in_vain += abandons;
		refused += fired;
		credential_clear(&renewed);
		credential_clear(&has);
		store_device_clear(&device);
	}
	assert_true(refused >= 3);
	assert_true(signed_in_vain >= 1);
	f->core->now = clock_now;
}

/* F5: where a key may be used again, a renewal by the certificate that the last one made is a new one; by the one before, its
 * answer was lost. Else a certificate that lives for a day could not be renewed before it is over. */
static void
test_the_same_key_each_day(void **state)
{
	struct fixture *f = *state;
	struct profiles *profiles = &fixture_config(f->core)->profiles;
	struct credential first, second, again, third;
	EVP_PKEY *key = EVP_EC_gen("P-256");
	struct store_device device;
	struct caller caller;
	struct err err = {0};
	size_t i;

	for (i = 0; i < profiles->n; i++)
		profiles->list[i].reuse_key = true;
	fixture_register(f, "same key", &device, &first);
	caller = device_caller(&device, &first);
	assert_ok(renew_key(f, &caller, &first, key, &second, &err));
	assert_ok(renew_key(f, &caller, &first, key, &again, &err));
	assert_memory_equal(again.certificate.serial, second.certificate.serial, SERIAL_LEN);
	caller = device_caller(&device, &second);
	assert_ok(renew_key(f, &caller, &second, key, &third, &err));
	assert_memory_not_equal(third.certificate.serial, second.certificate.serial, SERIAL_LEN);
	for (i = 0; i < profiles->n; i++)
		profiles->list[i].reuse_key = false;
	credential_clear(&first);
	credential_clear(&second);
	credential_clear(&again);
	credential_clear(&third);
	store_device_clear(&device);
	EVP_PKEY_free(key);
}

/* A device that slept: one successor, whose answer it may ask for again; not another. */
static void
test_a_late_device(void **state)
{
	struct fixture *f = *state;
	struct credential first, second, again;
	EVP_PKEY *key = EVP_EC_gen("P-256");
	struct store_device device;
	struct caller caller;
	struct err err = {0};

	fixture_register(f, "late", &device, &first);
	caller = device_caller(&device, &first);
	caller.role = ROLE_LATE;
	assert_ok(renew_key(f, &caller, &first, key, &second, &err));
	assert_ok(renew_key(f, &caller, &first, key, &again, &err));
	assert_memory_equal(again.certificate.serial, second.certificate.serial, SERIAL_LEN);
	credential_clear(&again);
	assert_int_equal(renew(f, &caller, &first, &again, &err), E_CONFLICT);
	assert_non_null(strstr(err.text, "token"));
	caller.role = ROLE_DEVICE;
	assert_ok(renew(f, &caller, &first, &again, &err));
	credential_clear(&first);
	credential_clear(&second);
	credential_clear(&again);
	store_device_clear(&device);
	EVP_PKEY_free(key);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_the_same_key_each_day),
	    cmocka_unit_test(test_a_late_device),
	    cmocka_unit_test(test_a_revocation_in_between),
	};

	return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}

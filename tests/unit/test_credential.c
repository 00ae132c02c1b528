#include "core_fixture.h"
#include "csr_fixture.h"

#include "core/link.h"
#include "core/service.h"
#include "signer/profile.h"
#include "x509/key.h"

static int
register_csr(struct fixture *f, const struct buf *csr, struct store_device *device, struct credential *credential,
    struct err *err)
{
	const struct device_request request = {
	    .name = "own key", .type = "pump", .credential = {.csr = csr->data, .csr_len = csr->len}};

	memset(device, 0, sizeof *device);
	memset(credential, 0, sizeof *credential);
	return device_register(f->core, &f->caller, &request, device, credential, err);
}

/* Who brings a key gets a certificate for it, and no package: there is no secret to carry. */
static void
test_a_key_of_its_own(void **state)
{
	struct fixture *f = *state;
	struct store_device device;
	struct credential credential;
	struct buf csr = {0};
	struct err err = {0};

	csr_fresh(NULL, &csr);
	assert_ok(register_csr(f, &csr, &device, &credential, &err));
	assert_false(credential.has_package);
	assert_string_equal(credential.url, "");
	assert_string_equal(credential.password, "");
	assert_string_equal(credential.certificate.key, "ec-p256");
	assert_string_equal(credential.certificate.profile, "constrained"); /* `standard` takes RSA alone */
	store_device_clear(&device);
	credential_clear(&credential);
	buf_clear(&csr);
}

/* D7 */
static void
test_another_ones_key(void **state)
{
	static const char *const topics[] = {"a/b"};
	static const char *const ca_keys[] = {"ca/private/issuing.key", "ca/private/root.key"};
	struct fixture *f = *state;
	struct store_device device, second;
	struct credential credential, none;
	struct store_service service = {0};
	struct service_request request = {.name = "thief", .read = topics, .n_read = 1};
	struct buf csr = {0}, ca = {0}, pem = {0};
	struct err err = {0};
	EVP_PKEY *ca_key;
	size_t i;
	BIO *bio;

	csr_fresh(NULL, &csr);
	assert_ok(register_csr(f, &csr, &device, &credential, &err));
	assert_int_equal(register_csr(f, &csr, &second, &none, &err), E_CONFLICT);
	assert_string_equal(err.field, "csr");
	request.credential.csr = csr.data;
	request.credential.csr_len = csr.len;
	assert_int_equal(service_add(f->core, &f->caller, &request, &service, &none, &err), E_CONFLICT);
	assert_string_equal(err.field, "csr");
	/* And the CA's own. */
	for (i = 0; i < sizeof ca_keys / sizeof ca_keys[0]; i++) {
		fixture_file(f, ca_keys[i], &pem);
		bio = BIO_new_mem_buf(pem.data, (int)pem.len);
		assert_non_null(ca_key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL));
		csr_make(ca_key, NULL, &ca);
		assert_int_equal(register_csr(f, &ca, &second, &none, &err), E_CONFLICT);
		assert_non_null(strstr(err.text, "CA's own"));
		EVP_PKEY_free(ca_key);
		BIO_free(bio);
		buf_clear(&pem);
		buf_clear(&ca);
	}
	buf_clear(&csr);
	store_device_clear(&device);
	credential_clear(&credential);
}

/* The same key again for the same device: only where its profile says so. */
static void
test_the_same_key_again(void **state)
{
	struct fixture *f = *state;
	struct store_device device, now = {0};
	struct credential first, second = {0};
	struct credential_request request = {0};
	struct profile *profile = NULL;
	struct buf csr = {0};
	struct err err = {0};
	size_t i;

	csr_fresh(NULL, &csr);
	request.csr = csr.data;
	request.csr_len = csr.len;
	assert_ok(register_csr(f, &csr, &device, &first, &err));
	for (i = 0; i < fixture_config(f->core)->profiles.n; i++)
		if (strcmp(fixture_config(f->core)->profiles.list[i].name, first.certificate.profile) == 0)
			profile = &fixture_config(f->core)->profiles.list[i];
	assert_non_null(profile);
	assert_false(profile->reuse_key);
	assert_int_equal(device_reissue(f->core, &f->caller, device.id, &request, &now, &second, &err), E_CONFLICT);
	assert_int_equal(fixture_certificate_state(f, first.certificate.serial, NULL), CERTIFICATE_ACTIVE);
	profile->reuse_key = true;
	assert_ok(device_reissue(f->core, &f->caller, device.id, &request, &now, &second, &err));
	assert_int_equal(fixture_certificate_state(f, first.certificate.serial, NULL), CERTIFICATE_REVOKED);
	profile->reuse_key = false;
	store_device_clear(&now);
	store_device_clear(&device);
	credential_clear(&first);
	credential_clear(&second);
	buf_clear(&csr);
}

/* Two come with one key at once: both pass the first look, one is stored, and what was signed for the other is
 * recorded and revoked. */
static void
test_the_loser_of_a_race_is_revoked(void **state)
{
	const struct credential_owner a = {OWNER_DEVICE, "6fa459ea-ee8a-4ca4-894e-db77e160355e", "a",
	    STORE_TENANT_DEFAULT, "[]", "[]"};
	const struct credential_owner b = {OWNER_DEVICE, "6fa459ea-ee8a-4ca4-894e-db77e160355f", "b",
	    STORE_TENANT_DEFAULT, "[]", "[]"};
	struct fixture *f = *state;
	struct credential for_a = {0}, for_b = {0};
	struct credential_request request = {0};
	struct store_tx *tx = NULL;
	struct buf csr = {0};
	struct err err = {0};
	int reason;

	csr_fresh(NULL, &csr);
	request.csr = csr.data;
	request.csr_len = csr.len;
	assert_ok(credential_make(f->core, &a, &request, &for_a, &err));
	assert_ok(credential_make(f->core, &b, &request, &for_b, &err));
	assert_ok(store_begin(f->core->store, &tx, &err));
	assert_ok(credential_store(tx, &a, &for_a, clock_now(), &err));
	assert_ok(store_commit(&tx, &err));
	assert_ok(store_begin(f->core->store, &tx, &err));
	assert_int_equal(credential_store(tx, &b, &for_b, clock_now(), &err), E_CONFLICT);
	store_rollback(&tx);
	credential_abandon(f->core, &b, &for_b);
	assert_int_equal(fixture_certificate_state(f, for_a.certificate.serial, NULL), CERTIFICATE_ACTIVE);
	assert_int_equal(fixture_certificate_state(f, for_b.certificate.serial, &reason), CERTIFICATE_REVOKED);
	assert_int_equal(reason, REASON_CESSATION_OF_OPERATION);
	assert_int_equal(fixture_audited(f, "certificate.abandon"), 1);
	credential_clear(&for_a);
	credential_clear(&for_b);
	buf_clear(&csr);
}

static void
test_a_link_lives_as_long_as_asked(void **state)
{
	struct fixture *f = *state;
	struct device_request request = {.name = "n", .type = "t", .credential = {.key = "ec-p256"}};
	static const struct {
		int64_t asked, given;
	} cases[] = {{0, LINK_TTL_DEFAULT_S}, {1, 1}, {LINK_TTL_MAX_S, LINK_TTL_MAX_S}};
	struct store_device device;
	struct credential credential;
	struct err err = {0};
	size_t i;

	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		int64_t before = clock_now();

		request.credential.link_ttl_s = cases[i].asked;
		assert_ok(device_register(f->core, &f->caller, &request, &device, &credential, &err));
		assert_in_range(credential.expires_at, before + cases[i].given, clock_now() + cases[i].given);
		store_device_clear(&device);
		credential_clear(&credential);
	}
	request.credential.link_ttl_s = -1;
	assert_int_equal(device_register(f->core, &f->caller, &request, &device, &credential, &err), E_INPUT);
	assert_string_equal(err.field, "link_ttl_s");
}

/* E9: neither the token nor the password of a package is in the database or the signer's log. */
static void
test_secrets_are_not_stored(void **state)
{
	static const char *const files[] = {"muster.db", "muster.db-wal", "signer.log"};
	struct fixture *f = *state;
	struct store_device device;
	struct credential credential;
	struct buf bytes = {0};
	size_t i;

	fixture_register(f, "quiet", &device, &credential);
	for (i = 0; i < sizeof files / sizeof files[0]; i++)
		fixture_file(f, files[i], &bytes);
	assert_non_null(memmem(bytes.data, bytes.len, device.id, UUID_LEN)); /* the search would find it */
	assert_null(memmem(bytes.data, bytes.len, fixture_token(&credential), 20));
	assert_null(memmem(bytes.data, bytes.len, credential.password, 12));
	assert_null(memmem(bytes.data, bytes.len, "PRIVATE KEY", 11));
	buf_clear(&bytes);
	store_device_clear(&device);
	credential_clear(&credential);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_key_of_its_own),
	    cmocka_unit_test(test_another_ones_key),
	    cmocka_unit_test(test_the_same_key_again),
	    cmocka_unit_test(test_the_loser_of_a_race_is_revoked),
	    cmocka_unit_test(test_a_link_lives_as_long_as_asked),
	    cmocka_unit_test(test_secrets_are_not_stored),
	};

	return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}

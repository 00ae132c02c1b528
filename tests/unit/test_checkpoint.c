/* Checkpoints as the signer writes them, read by OpenSSL: one text for one checkpoint, and nobody else's signature counts. */
#include "x509_fixture.h"

#include "x509/checkpoint.h"
#include "x509/pem.h"

#include <stdlib.h>

static struct fixture_ca ca, other;
static struct key *key;
static struct buf der, issuer_der;
static char *root_pem, *other_pem;

static const struct checkpoint example = {
    .number = 12, .seq = 4711, .head = {1, 2, 3}, .at = FIXTURE_NOW, .previous = {0xfe, 0xdc}};

static void
certify(unsigned usage, struct buf *out)
{
	struct cert_spec spec = {.not_before = FIXTURE_NOW - 60, .not_after = FIXTURE_NOW + 1000, .common_name = "Muster audit",
	    .key_usage = KU_DIGITAL_SIGNATURE, .ext_key_usage = usage};
	struct buf tbs = {0};
	struct err err = {0};

	spec.spki = key_spki(key, &spec.spki_len);
	assert_ok(cert_serial_make(spec.serial, &err));
	assert_ok(cert_tbs_build(&spec, &ca.issuer, &tbs, &err));
	assert_ok(cert_sign(tbs.data, tbs.len, ca.key, out, &err));
	buf_clear(&tbs);
}

static char *
pem_of(X509 *cert)
{
	struct buf pem = {0};
	size_t len;
	uint8_t *bytes = fixture_der(cert, &len);
	char *text;

	pem_encode(&pem, "CERTIFICATE", bytes, len);
	assert_non_null(text = strdup(buf_str(&pem)));
	OPENSSL_free(bytes);
	buf_clear(&pem);
	return text;
}

static int
setup(void **state)
{
	struct err err = {0};
	uint8_t *bytes;
	size_t len;

	(void)state;
	fixture_ca_init(&ca, KEY_EC_P256);
	fixture_ca_init(&other, KEY_EC_P256);
	assert_ok(key_generate(KEY_EC_P256, &key, &err));
	certify(EKU_EMAIL_PROTECTION, &der);
	bytes = fixture_der(ca.cert, &len);
	buf_append(&issuer_der, bytes, len);
	OPENSSL_free(bytes);
	root_pem = pem_of(ca.cert);
	other_pem = pem_of(other.cert);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	fixture_ca_clear(&ca);
	fixture_ca_clear(&other);
	key_free(key);
	buf_clear(&der);
	buf_clear(&issuer_der);
	free(root_pem);
	free(other_pem);
	return 0;
}

static void
sign_by(const struct buf *cert, struct buf *cms)
{
	struct checkpoint_signer signer = {key, cert, &issuer_der};
	struct err err = {0};

	assert_ok(checkpoint_sign(&example, &signer, cms, &err));
}

static void
assert_example(const struct checkpoint *c)
{
	assert_true(c->number == example.number && c->seq == example.seq && c->at == example.at);
	assert_memory_equal(c->head, example.head, SHA256_LEN);
	assert_memory_equal(c->previous, example.previous, SHA256_LEN);
}

static void
test_signed_and_verified(void **state)
{
	struct checkpoint c = {0};
	struct buf cms = {0};
	struct err err = {0};

	(void)state;
	sign_by(&der, &cms);
	assert_ok(checkpoint_verify(cms.data, cms.len, root_pem, &c, &err)); /* long after the certificate's end */
	assert_example(&c);
	buf_clear(&cms);
}

/* H6: no byte of it can be another, so that it says something else. */
static void
test_every_byte_flipped(void **state)
{
	struct buf cms = {0};
	size_t i, refused = 0;

	(void)state;
	sign_by(&der, &cms);
	for (i = 0; i < cms.len; i++) {
		struct checkpoint c = {0};
		struct err err = {0};

		cms.data[i] ^= 1;
		if (checkpoint_verify(cms.data, cms.len, root_pem, &c, &err) != 0)
			refused++;
		else
			assert_example(&c);
		cms.data[i] ^= 1;
	}
	/* All but the copy of a CA certificate that is trusted anyway. */
	assert_true(refused >= cms.len - issuer_der.len - 8);
	for (i = 0; i < cms.len; i += 7) {
		struct checkpoint c = {0};
		struct err err = {0};

		assert_int_equal(checkpoint_verify(cms.data, i, root_pem, &c, &err), E_INPUT);
	}
	buf_clear(&cms);
}

/* Whoever has a certificate of this CA for something else, and whoever has another CA. */
static void
test_others_cannot_sign(void **state)
{
	static const unsigned usages[] = {EKU_CLIENT_AUTH, EKU_CLIENT_AUTH | EKU_SERVER_AUTH | EKU_CODE_SIGNING,
	    EKU_EMAIL_PROTECTION | EKU_CLIENT_AUTH};
	struct checkpoint c = {0};
	struct err err = {0};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof usages / sizeof usages[0]; i++) {
		struct buf cert = {0}, cms = {0};

		certify(usages[i], &cert);
		sign_by(&cert, &cms);
		assert_int_equal(checkpoint_verify(cms.data, cms.len, root_pem, &c, &err), E_INPUT);
		buf_clear(&cert);
		buf_clear(&cms);
	}
	{
		struct buf cms = {0};

		sign_by(&der, &cms);
		assert_int_equal(checkpoint_verify(cms.data, cms.len, other_pem, &c, &err), E_INPUT);
		assert_int_equal(checkpoint_verify(cms.data, cms.len, "", &c, &err), E_INPUT);
		buf_append(&cms, "x", 1);
		assert_int_equal(checkpoint_verify(cms.data, cms.len, root_pem, &c, &err), E_INPUT);
		buf_clear(&cms);
	}
	assert_int_equal(c.number, 0);
}

static void
test_text(void **state)
{
	char text[CHECKPOINT_TEXT_MAX + 8], changed[CHECKPOINT_TEXT_MAX];
	size_t len = checkpoint_text(text, &example), i;
	uint8_t digest[SHA256_LEN], expected[SHA256_LEN];
	struct checkpoint c = {0}, none = {0};
	struct err err = {0};

	(void)state;
	assert_ok(checkpoint_parse(text, len, &c, &err));
	assert_example(&c);
	sha256(expected, text, len);
	checkpoint_digest(digest, &example);
	assert_memory_equal(digest, expected, SHA256_LEN);
	checkpoint_digest(digest, &none);
	memset(expected, 0, sizeof expected);
	assert_memory_equal(digest, expected, SHA256_LEN);

	none = (struct checkpoint){.number = UINT64_MAX, .seq = INT64_MAX, .at = FIXTURE_NOW};
	assert_true(checkpoint_text(changed, &none) < CHECKPOINT_TEXT_MAX);
	assert_int_equal(checkpoint_parse(changed, strlen(changed), &c, &err), E_INPUT); /* no such number */
	for (i = 0; i < len; i++) {
		int rc;

		memcpy(changed, text, len);
		changed[i] ^= 0x20; /* hex digits and letters in the other case, too */
		if ((rc = checkpoint_parse(changed, len, &c, &err)) == 0)
			fail_msg("byte %zu of %s", i, changed);
		assert_int_equal(checkpoint_parse(text, i, &c, &err), E_INPUT);
	}
	text[len] = ' ';
	assert_int_equal(checkpoint_parse(text, len + 1, &c, &err), E_INPUT);
	text[len] = '\0';
	assert_int_equal(checkpoint_parse(text, len + 1, &c, &err), E_INPUT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_signed_and_verified),
	    cmocka_unit_test(test_every_byte_flipped),
	    cmocka_unit_test(test_others_cannot_sign),
	    cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

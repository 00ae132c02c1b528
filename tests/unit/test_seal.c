#include "check.h"

#include "x509/seal.h"

#include <string.h>

static struct key *
make(enum key_kind kind)
{
	struct key *key = NULL;
	struct err err = {0};

	assert_ok(key_generate(kind, &key, &err));
	return key;
}

static int
seal_to(const struct key *key, const void *data, size_t len, struct buf *out, struct err *err)
{
	size_t spki_len;
	const uint8_t *spki = key_spki(key, &spki_len);

	return seal_make(spki, spki_len, data, len, out, err);
}

static void
test_there_and_back(void **state)
{
	static const char longest[SEAL_MAX] = "x";
	struct key *key = make(KEY_RSA_2048), *other = make(KEY_RSA_2048);
	struct buf sealed = {0}, again = {0}, plain = {0};
	struct err err = {0};

	(void)state;
	assert_ok(seal_to(key, longest, sizeof longest, &sealed, &err));
	assert_ok(seal_to(key, longest, sizeof longest, &again, &err));
	assert_int_equal(sealed.len, 256);
	assert_memory_not_equal(sealed.data, again.data, sealed.len); /* nobody learns that two are alike */
	assert_ok(seal_open(key, sealed.data, sealed.len, &plain, &err));
	assert_int_equal(plain.len, sizeof longest);
	assert_memory_equal(plain.data, longest, sizeof longest);
	buf_reset(&plain);
	assert_int_equal(seal_open(other, sealed.data, sealed.len, &plain, &err), E_INPUT);
	assert_int_equal(seal_open(key, sealed.data, sealed.len - 1, &plain, &err), E_INPUT);
	sealed.data[17] ^= 1;
	assert_int_equal(seal_open(key, sealed.data, sealed.len, &plain, &err), E_INPUT);
	assert_int_equal(plain.len, 0);
	buf_clear(&sealed);
	buf_clear(&again);
	buf_clear(&plain);
	key_free(key);
	key_free(other);
}

static void
test_what_cannot_be_sealed(void **state)
{
	static const char long_one[SEAL_MAX + 1];
	struct key *rsa = make(KEY_RSA_2048), *ec = make(KEY_EC_P256);
	struct buf out = {0};
	struct err err = {0};
	const uint8_t *spki;
	size_t len;

	(void)state;
	assert_int_equal(seal_to(rsa, long_one, sizeof long_one, &out, &err), E_INPUT);
	assert_int_equal(seal_to(ec, "x", 1, &out, &err), E_INPUT);
	spki = key_spki(ec, &len);
	assert_int_equal(seal_key_check(spki, len, &err), E_INPUT);
	assert_int_equal(seal_key_check((const uint8_t *)"", 0, &err), E_INPUT);
	assert_int_equal(seal_open(ec, "x", 1, &out, &err), E_INPUT);
	assert_int_equal(out.len, 0);
	spki = key_spki(rsa, &len);
	assert_ok(seal_key_check(spki, len, &err));
	key_free(rsa);
	key_free(ec);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_there_and_back),
	    cmocka_unit_test(test_what_cannot_be_sealed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

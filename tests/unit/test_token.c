/* Tokens: form, strength, and the digest under which they are stored. */
#include "check.h"

#include "base/err.h"
#include "base/text.h"
#include "core/token.h"

#include <stdlib.h>
#include <string.h>

#define ALPHABET "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
#define SAMPLES 20000
#define CHARACTERS 43

static void
check_form(const char *prefix)
{
	char token[TOKEN_SIZE];
	struct err err = {0};
	size_t n = strlen(prefix);

	assert_ok(token_mint(prefix, token, &err));
	assert_memory_equal(token, prefix, n);
	assert_int_equal(strlen(token + n), CHARACTERS);
	assert_int_equal(strspn(token + n, ALPHABET), CHARACTERS);
}

static void
test_form(void **state)
{
	(void)state;
	check_form("");
	check_form("muster_");
	check_form("0123456789abcdef"); /* TOKEN_PREFIX_MAX: ASan sees one byte too many */
	assert_int_equal(TOKEN_PREFIX_MAX, 16);
}

/* E1, F6: chi-square with 63 degrees of freedom, above 140 less than once in ten million honest
 * runs. The last character carries only 4 bits of the 256. */
static void
test_every_place_is_uniform(void **state)
{
	static unsigned seen[CHARACTERS][64];
	char token[TOKEN_SIZE];
	struct err err = {0};
	size_t i, k, n;

	(void)state;
	for (n = 0; n < SAMPLES; n++) {
		assert_ok(token_mint("", token, &err));
		for (i = 0; i < CHARACTERS; i++)
			seen[i][strchr(ALPHABET, token[i]) - ALPHABET]++;
	}
	for (i = 0; i < CHARACTERS; i++) {
		const unsigned step = i + 1 < CHARACTERS ? 1 : 4;
		const double expected = SAMPLES / (64.0 / step);
		double chi = 0;

		for (k = 0; k < 64; k += step)
			chi += (seen[i][k] - expected) * (seen[i][k] - expected) / expected;
		if (chi > 140)
			fail_msg("place %zu: chi-square %f", i, chi);
	}
}

static int
compare(const void *a, const void *b)
{
	return memcmp(a, b, SHA256_LEN);
}

static void
test_unique(void **state)
{
	static uint8_t all[SAMPLES][SHA256_LEN];
	char token[TOKEN_SIZE];
	struct err err = {0};
	size_t i;

	(void)state;
	for (i = 0; i < SAMPLES; i++) {
		assert_ok(token_mint("muster_", token, &err));
		token_digest(token, all[i]);
	}
	qsort(all, SAMPLES, sizeof all[0], compare);
	for (i = 1; i < SAMPLES; i++)
		assert_memory_not_equal(all[i - 1], all[i], SHA256_LEN);
}

/* FIPS 180-2, appendix B, and its neighbours. */
static void
test_digest(void **state)
{
	uint8_t digest[SHA256_LEN];
	char hex[2 * SHA256_LEN + 1];

	(void)state;
	token_digest("abc", digest);
	hex_encode(hex, digest, sizeof digest);
	assert_string_equal(
	    hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	token_digest("", digest);
	hex_encode(hex, digest, sizeof digest);
	assert_string_equal(
	    hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	token_digest("abd", digest);
	hex_encode(hex, digest, sizeof digest);
	assert_string_not_equal(
	    hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_form),
	    cmocka_unit_test(test_every_place_is_uniform),
	    cmocka_unit_test(test_unique),
	    cmocka_unit_test(test_digest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Passwords of packages: form, alphabet, and that nothing is favoured. */
#include "check.h"

#include "base/err.h"
#include "core/password.h"

#include <stdlib.h>
#include <string.h>

#define ALPHABET "0123456789abcdefghjkmnpqrstvwxyz"
#define SAMPLES 20000
#define CHARACTERS 26

static void
test_form(void **state)
{
	char password[PASSWORD_SIZE];
	struct err err = {0};
	size_t i, n = 0;

	(void)state;
	assert_ok(password_make(password, &err));
	assert_int_equal(strlen(password), PASSWORD_SIZE - 1);
	for (i = 0; i < PASSWORD_SIZE - 1; i++) {
		if (i == 5 || i == 11 || i == 17 || i == 23) {
			assert_int_equal(password[i], '-');
			continue;
		}
		assert_non_null(strchr(ALPHABET, password[i]));
		n++;
	}
	/* 5 bits each: E1 rests on these 130. */
	assert_int_equal(strlen(ALPHABET), 32);
	assert_int_equal(n, CHARACTERS);
}

/* Chi-square with 31 degrees of freedom: above 90 once in ten million honest runs. A fixed
 * character, or an alphabet of 31 by a modulus, is far above. */
static void
test_every_place_is_uniform(void **state)
{
	static unsigned seen[PASSWORD_SIZE][32];
	char password[PASSWORD_SIZE];
	struct err err = {0};
	size_t i, k, n;

	(void)state;
	for (n = 0; n < SAMPLES; n++) {
		assert_ok(password_make(password, &err));
		for (i = 0; i < PASSWORD_SIZE - 1; i++)
			if (password[i] != '-')
				seen[i][strchr(ALPHABET, password[i]) - ALPHABET]++;
	}
	for (i = 0; i < PASSWORD_SIZE - 1; i++) {
		const double expected = SAMPLES / 32.0;
		double chi = 0;

		if (i == 5 || i == 11 || i == 17 || i == 23)
			continue;
		for (k = 0; k < 32; k++)
			chi += (seen[i][k] - expected) * (seen[i][k] - expected) / expected;
		if (chi > 90)
			fail_msg("place %zu: chi-square %f", i, chi);
	}
}

static int
compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void
test_unique(void **state)
{
	static char all[SAMPLES][PASSWORD_SIZE];
	struct err err = {0};
	size_t i;

	(void)state;
	for (i = 0; i < SAMPLES; i++)
		assert_ok(password_make(all[i], &err));
	qsort(all, SAMPLES, sizeof all[0], compare);
	for (i = 1; i < SAMPLES; i++)
		assert_string_not_equal(all[i - 1], all[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_form),
	    cmocka_unit_test(test_every_place_is_uniform),
	    cmocka_unit_test(test_unique),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

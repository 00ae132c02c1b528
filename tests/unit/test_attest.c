/* Challenges: given to one caller, for one request, for a while. */
#include "core_fixture.h"

#include "core/attest.h"

#include <ctype.h>

static int64_t now = 1800000000;

static int64_t
test_now(void)
{
	return now;
}

static const struct caller pump = {.role = ROLE_ENROLLEE, .tenant_id = 1, .who = "token:pump"};

/* J1: replayed, expired, another's. */
static void
test_one_caller_one_use(void **state)
{
	struct fixture *f = *state;
	struct caller others[] = {pump, pump, pump};
	char nonce[ATTEST_NONCE_SIZE], second[ATTEST_NONCE_SIZE], upper[ATTEST_NONCE_SIZE];
	struct err err = {0};
	int64_t expires;
	size_t i;

	f->core->now = test_now;
	others[0].tenant_id = 2;
	(void)text_copy(others[1].who, sizeof others[1].who, "token:pum");
	(void)text_copy(others[2].who, sizeof others[2].who, "device:pump");
	assert_ok(attest_challenge(f->core, &pump, nonce, &expires, &err));
	assert_ok(attest_challenge(f->core, &pump, second, &expires, &err));
	assert_int_equal(expires, now + ATTEST_VALID_S);
	assert_string_not_equal(nonce, second);
	for (i = 0; i < 3; i++)
		assert_int_equal(attest_take(f->core, &others[i], nonce, &err), E_DENIED);
	assert_ok(attest_take(f->core, &pump, nonce, &err));
	assert_int_equal(attest_take(f->core, &pump, nonce, &err), E_DENIED);
	assert_non_null(strstr(err.text, "used before"));
	/* Another spelling is the same nonce. */
	for (i = 0; i < sizeof upper; i++)
		upper[i] = (char)toupper((unsigned char)nonce[i]);
	assert_int_equal(attest_take(f->core, &pump, upper, &err), E_DENIED);
	now += ATTEST_VALID_S - 1;
	assert_int_equal(attest_take(f->core, &pump, nonce, &err), E_DENIED);
	assert_ok(attest_take(f->core, &pump, second, &err));
	now++;
	/* Both are forgotten now, and still good for nothing. */
	assert_int_equal(attest_take(f->core, &pump, nonce, &err), E_DENIED);
	assert_non_null(strstr(err.text, "expired"));
	assert_int_equal(attest_take(f->core, &pump, second, &err), E_DENIED);
	f->core->now = clock_now;
}

/* J4: every byte counts, and nothing else is taken for a nonce. */
static void
test_what_is_none(void **state)
{
	struct fixture *f = *state;
	char nonce[ATTEST_NONCE_SIZE], bad[2 * ATTEST_NONCE_SIZE];
	struct err err = {0};
	int64_t expires;
	size_t i;

	assert_ok(attest_challenge(f->core, &pump, nonce, &expires, &err));
	for (i = 0; i < strlen(nonce); i++) {
		memcpy(bad, nonce, sizeof nonce);
		bad[i] = bad[i] == '0' ? '1' : '0';
		assert_int_equal(attest_take(f->core, &pump, bad, &err), E_DENIED);
		memcpy(bad, nonce, sizeof nonce);
		bad[i] = '\0';
		assert_int_equal(attest_take(f->core, &pump, bad, &err), E_DENIED);
		bad[i] = 'g';
		assert_int_equal(attest_take(f->core, &pump, bad, &err), E_DENIED);
	}
	(void)snprintf(bad, sizeof bad, "%s00", nonce);
	assert_int_equal(attest_take(f->core, &pump, bad, &err), E_DENIED);
	assert_ok(attest_take(f->core, &pump, nonce, &err));
}

/* From before a restart. */
static void
test_a_restart_forgets(void **state)
{
	struct fixture *f = *state;
	char nonce[ATTEST_NONCE_SIZE];
	struct err err = {0};
	int64_t expires;

	assert_ok(attest_challenge(f->core, &pump, nonce, &expires, &err));
	fixture_core_close(f);
	fixture_core_open(f);
	assert_int_equal(attest_take(f->core, &pump, nonce, &err), E_DENIED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_one_caller_one_use),
	    cmocka_unit_test(test_what_is_none),
	    cmocka_unit_test(test_a_restart_forgets),
	};

	return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}

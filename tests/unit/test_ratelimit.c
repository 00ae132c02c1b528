#include "check.h"

#include "core/ratelimit.h"

#include <stdio.h>

static void
test_a_burst_then_one_by_one(void **state)
{
	struct ratelimit *limit = NULL;
	struct err err = {0};
	int i;

	(void)state;
	assert_ok(ratelimit_new(60, &limit, &err));
	for (i = 0; i < 60; i++)
		assert_ok(ratelimit_take(limit, "192.0.2.1", 1000, &err));
	assert_int_equal(ratelimit_take(limit, "192.0.2.1", 1000, &err), E_LIMIT);
	assert_in_range(err.retry_after_s, 1, 2);
	assert_int_equal(ratelimit_take(limit, "192.0.2.1", 1999, &err), E_LIMIT);
	assert_ok(ratelimit_take(limit, "192.0.2.1", 2000, &err));
	assert_int_equal(ratelimit_take(limit, "192.0.2.1", 2000, &err), E_LIMIT);
	/* Another client is not affected. */
	assert_ok(ratelimit_take(limit, "192.0.2.2", 2000, &err));
	ratelimit_free(limit);
}

static void
test_looking_costs_nothing(void **state)
{
	struct ratelimit *limit = NULL;
	struct err err = {0};
	int i;

	(void)state;
	assert_ok(ratelimit_new(1, &limit, &err));
	for (i = 0; i < 10; i++)
		assert_ok(ratelimit_look(limit, "a", 0, &err));
	assert_ok(ratelimit_take(limit, "a", 0, &err));
	assert_int_equal(ratelimit_look(limit, "a", 0, &err), E_LIMIT);
	assert_in_range(err.retry_after_s, 59, 61);
	assert_ok(ratelimit_look(limit, "a", 60000, &err));
	ratelimit_free(limit);
}

static void
test_zero_is_no_limit(void **state)
{
	struct ratelimit *limit = NULL;
	struct err err = {0};
	int i;

	(void)state;
	assert_ok(ratelimit_new(0, &limit, &err));
	for (i = 0; i < 1000; i++)
		assert_ok(ratelimit_take(limit, "a", 0, &err));
	ratelimit_free(limit);
}

static void
test_memory_is_bounded(void **state)
{
	struct ratelimit *limit = NULL;
	struct err err = {0};
	char client[32];
	int i;

	(void)state;
	assert_ok(ratelimit_new(1, &limit, &err));
	for (i = 0; i < 2 * RATELIMIT_CLIENTS_MAX; i++) {
		(void)snprintf(client, sizeof client, "client %d", i);
		assert_ok(ratelimit_take(limit, client, 0, &err));
	}
	/* The latest is still known, the first was forgotten. */
	assert_int_equal(ratelimit_take(limit, client, 0, &err), E_LIMIT);
	assert_ok(ratelimit_take(limit, "client 0", 0, &err));
	ratelimit_free(limit);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_burst_then_one_by_one),
	    cmocka_unit_test(test_looking_costs_nothing),
	    cmocka_unit_test(test_zero_is_no_limit),
	    cmocka_unit_test(test_memory_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

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
	assert_ok(ratelimit_new(60, 0, &limit, &err));
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
	assert_ok(ratelimit_new(1, 0, &limit, &err));
	for (i = 0; i < 10; i++)
		assert_ok(ratelimit_look(limit, "a", true, 0, &err));
	assert_ok(ratelimit_take(limit, "a", 0, &err));
	assert_int_equal(ratelimit_look(limit, "a", true, 0, &err), E_LIMIT);
	assert_in_range(err.retry_after_s, 59, 61);
	assert_ok(ratelimit_look(limit, "a", true, 60000, &err));
	ratelimit_free(limit);
}

static void
test_zero_is_no_limit(void **state)
{
	struct ratelimit *limit = NULL;
	struct err err = {0};
	int i;

	(void)state;
	assert_ok(ratelimit_new(0, 0, &limit, &err));
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
	assert_ok(ratelimit_new(1, 0, &limit, &err));
	for (i = 0; i < 2 * RATELIMIT_CLIENTS_MAX; i++) {
		(void)snprintf(client, sizeof client, "client %d", i);
		assert_ok(ratelimit_take(limit, client, 0, &err));
	}
	/* The latest is still known, the first was forgotten. */
	assert_int_equal(ratelimit_take(limit, client, 0, &err), E_LIMIT);
	assert_ok(ratelimit_take(limit, "client 0", 0, &err));
	ratelimit_free(limit);
}

/* Of IPv6 one client has a /64, and may not become another by counting up. */
static void
test_clients_of_ipv6(void **state)
{
	struct ratelimit *limit = NULL;
	struct err err = {0};
	char address[64];
	int i;

	(void)state;
	assert_ok(ratelimit_new(10, 0, &limit, &err));
	for (i = 0; i < 10; i++) {
		(void)snprintf(address, sizeof address, "2001:db8:1:2:%x::%x", i, i);
		assert_ok(ratelimit_take(limit, address, 0, &err));
	}
	assert_int_equal(ratelimit_take(limit, "2001:db8:1:2:ffff::", 0, &err), E_LIMIT);
	assert_int_equal(ratelimit_take(limit, "2001:DB8:1:2::", 0, &err), E_LIMIT);
	assert_ok(ratelimit_take(limit, "2001:db8:1:3::", 0, &err));
	for (i = 0; i < 10; i++)
		assert_ok(ratelimit_take(limit, i % 2 == 0 ? "192.0.2.7" : "::ffff:192.0.2.7", 0, &err));
	assert_int_equal(ratelimit_take(limit, "192.0.2.7", 0, &err), E_LIMIT);
	assert_ok(ratelimit_take(limit, "192.0.2.8", 0, &err));
	ratelimit_free(limit);
}

static void
test_all_together(void **state)
{
	struct ratelimit *limit = NULL;
	struct err err = {0};
	char address[64];
	int i;

	(void)state;
	assert_ok(ratelimit_new(3, 10, &limit, &err));
	/* One who is too fast does not use up what is everybody's. */
	for (i = 0; i < 100; i++)
		(void)ratelimit_take(limit, "192.0.2.1", 0, &err);
	for (i = 0; i < 7; i++) {
		(void)snprintf(address, sizeof address, "198.51.100.%d", i);
		assert_ok(ratelimit_take(limit, address, 0, &err));
	}
	assert_int_equal(ratelimit_take(limit, "198.51.100.200", 0, &err), E_LIMIT);
	assert_in_range(err.retry_after_s, 6, 7);
	assert_int_equal(ratelimit_look(limit, "198.51.100.201", true, 0, &err), E_LIMIT);
	assert_ok(ratelimit_look(limit, "198.51.100.201", false, 0, &err));
	assert_int_equal(ratelimit_look(limit, "192.0.2.1", false, 0, &err), E_LIMIT);
	assert_ok(ratelimit_take(limit, "198.51.100.201", 6000, &err));
	ratelimit_free(limit);
	/* For all only. */
	assert_ok(ratelimit_new(0, 2, &limit, &err));
	assert_ok(ratelimit_take(limit, "192.0.2.1", 0, &err));
	assert_ok(ratelimit_take(limit, "192.0.2.1", 0, &err));
	assert_int_equal(ratelimit_take(limit, "192.0.2.1", 0, &err), E_LIMIT);
	ratelimit_free(limit);
}

/* A year of silence under the largest limit, and a clock that seems to go back. */
static void
test_times_at_the_edge(void **state)
{
	struct ratelimit *limit = NULL;
	struct err err = {0};
	int i;

	(void)state;
	assert_ok(ratelimit_new(1000000000, 1000000000, &limit, &err));
	assert_ok(ratelimit_take(limit, "a", 0, &err));
	assert_ok(ratelimit_take(limit, "a", 365LL * 86400 * 1000, &err));
	ratelimit_free(limit);
	assert_ok(ratelimit_new(2, 2, &limit, &err));
	assert_ok(ratelimit_take(limit, "a", 1000000, &err));
	for (i = 0; i < 10; i++)
		(void)ratelimit_take(limit, "a", 900000, &err);
	assert_int_equal(ratelimit_take(limit, "a", 1000000, &err), E_LIMIT);
	assert_ok(ratelimit_take(limit, "a", 1030000, &err));
	ratelimit_free(limit);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_burst_then_one_by_one),
	    cmocka_unit_test(test_looking_costs_nothing),
	    cmocka_unit_test(test_zero_is_no_limit),
	    cmocka_unit_test(test_clients_of_ipv6),
	    cmocka_unit_test(test_all_together),
	    cmocka_unit_test(test_times_at_the_edge),
	    cmocka_unit_test(test_memory_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

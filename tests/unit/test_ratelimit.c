#include "check.h"

#include "core/ratelimit.h"

#include <pthread.h>
#include <stdio.h>

#define THREADS 8
#define ASKS 3000 /* of each thread */

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

/* What it tells an operator: how often it was in the way. */
static void
test_refusals_are_counted(void **state)
{
	struct ratelimit_state told;
	struct ratelimit *limit = NULL;
	struct err err = {0};

	(void)state;
	assert_ok(ratelimit_new(2, 3, &limit, &err));
	assert_ok(ratelimit_take(limit, "a", 5000, &err));
	assert_ok(ratelimit_take(limit, "a", 5000, &err));
	ratelimit_state(limit, &told);
	assert_int_equal(told.refused, 0);
	assert_int_equal(told.refused_ms, 0);
	assert_int_equal(ratelimit_take(limit, "a", 5001, &err), E_LIMIT); /* by its own */
	assert_ok(ratelimit_take(limit, "b", 5002, &err));
	assert_int_equal(ratelimit_look(limit, "c", true, 5003, &err), E_LIMIT); /* by that for all */
	ratelimit_set(limit, 4, 0);
	ratelimit_state(limit, &told);
	assert_int_equal(told.refused, 2);
	assert_int_equal(told.refused_ms, 5003);
	assert_int_equal(told.per_min, 4);
	assert_int_equal(told.all_per_min, 0);
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

struct asker {
	struct ratelimit *limit;
	pthread_t thread;
	const char *own; /* asks for this client and for one that all share, in turns */
	int64_t all_per_min;
	int let_own, let_shared;
};

static void *
ask_often(void *arg)
{
	struct asker *a = arg;
	struct err err = {0};
	int i;

	for (i = 0; i < ASKS; i++) {
		a->let_own += ratelimit_take(a->limit, a->own, 0, &err) == 0;
		a->let_shared += ratelimit_look(a->limit, "192.0.2.1", true, 0, &err) == 0 &&
				 ratelimit_take(a->limit, "192.0.2.1", 0, &err) == 0;
		if (i % 100 == 0) /* a reload of the configuration */
			ratelimit_set(a->limit, 1000, a->all_per_min);
	}
	return NULL;
}

static void
ask_at_once(struct asker askers[THREADS], int64_t all_per_min)
{
	static const char *const own[THREADS] = {"198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4",
	    "2001:db8::1", "2001:db8:0:1::", "2001:db8:0:2::", "socket"};
	struct ratelimit *limit = NULL;
	struct err err = {0};
	int i;

	assert_ok(ratelimit_new(1000, all_per_min, &limit, &err));
	for (i = 0; i < THREADS; i++) {
		askers[i] = (struct asker){.limit = limit, .own = own[i], .all_per_min = all_per_min};
		assert_int_equal(pthread_create(&askers[i].thread, NULL, ask_often, &askers[i]), 0);
	}
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(askers[i].thread, NULL), 0);
	ratelimit_free(limit);
}

/* However many ask at once, as many are let through as one after another. */
static void
test_threads(void **state)
{
	struct asker askers[THREADS];
	int i, let_shared = 0, let = 0;

	(void)state;
	ask_at_once(askers, 0);
	for (i = 0; i < THREADS; i++) {
		assert_int_equal(askers[i].let_own, 1000);
		let_shared += askers[i].let_shared;
	}
	assert_int_equal(let_shared, 1000);
	ask_at_once(askers, 5000);
	for (i = 0; i < THREADS; i++)
		let += askers[i].let_own + askers[i].let_shared;
	assert_int_equal(let, 5000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_burst_then_one_by_one),
	    cmocka_unit_test(test_looking_costs_nothing),
	    cmocka_unit_test(test_refusals_are_counted),
	    cmocka_unit_test(test_zero_is_no_limit),
	    cmocka_unit_test(test_clients_of_ipv6),
	    cmocka_unit_test(test_all_together),
	    cmocka_unit_test(test_times_at_the_edge),
	    cmocka_unit_test(test_memory_is_bounded),
	    cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

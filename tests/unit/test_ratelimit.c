#include "check.h"

#include "core/ratelimit.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define THREADS 8
#define ASKS 3000 /* of each thread */

static int
new_limit(int64_t per_min, int64_t all_per_min, struct ratelimit **limit_out, struct err *err)
{
	const struct ratelimit_rates rates = {.per_min = {[RATELIMIT_ADDRESS] = per_min, [RATELIMIT_ALL] = all_per_min}};

	return ratelimit_new("things", &rates, limit_out, err);
}

static int
take(struct ratelimit *limit, const char *address, int64_t now_ms, struct err *err)
{
	const struct ratelimit_who who = {.key = {[RATELIMIT_ADDRESS] = address}};

	return ratelimit_take(limit, &who, now_ms, NULL, err);
}

static int
look(struct ratelimit *limit, const char *address, bool with_all, int64_t now_ms, struct err *err)
{
	const struct ratelimit_who who = {.key = {[RATELIMIT_ADDRESS] = address}};

	return ratelimit_look(limit, &who, with_all, now_ms, err);
}

static void
test_a_burst_then_one_by_one(void **state)
{
	struct ratelimit *limit = NULL;
	struct err err = {0};
	int i;

	(void)state;
	assert_ok(new_limit(60, 0, &limit, &err));
	for (i = 0; i < 60; i++)
		assert_ok(take(limit, "192.0.2.1", 1000, &err));
	assert_int_equal(take(limit, "192.0.2.1", 1000, &err), E_LIMIT);
	assert_in_range(err.retry_after_s, 1, 2);
	assert_int_equal(take(limit, "192.0.2.1", 1999, &err), E_LIMIT);
	assert_ok(take(limit, "192.0.2.1", 2000, &err));
	assert_int_equal(take(limit, "192.0.2.1", 2000, &err), E_LIMIT);
	/* Another client is not affected. */
	assert_ok(take(limit, "192.0.2.2", 2000, &err));
	ratelimit_free(limit);
}

static void
test_looking_costs_nothing(void **state)
{
	struct ratelimit *limit = NULL;
	struct err err = {0};
	int i;

	(void)state;
	assert_ok(new_limit(1, 0, &limit, &err));
	for (i = 0; i < 10; i++)
		assert_ok(look(limit, "a", true, 0, &err));
	assert_ok(take(limit, "a", 0, &err));
	assert_int_equal(look(limit, "a", true, 0, &err), E_LIMIT);
	assert_in_range(err.retry_after_s, 59, 61);
	assert_ok(look(limit, "a", true, 60000, &err));
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
	assert_ok(new_limit(2, 3, &limit, &err));
	assert_ok(take(limit, "a", 5000, &err));
	assert_ok(take(limit, "a", 5000, &err));
	ratelimit_state(limit, &told);
	assert_int_equal(told.refused, 0);
	assert_int_equal(told.refused_ms, 0);
	assert_int_equal(take(limit, "a", 5001, &err), E_LIMIT); /* by its own */
	assert_ok(take(limit, "b", 5002, &err));
	assert_int_equal(look(limit, "c", true, 5003, &err), E_LIMIT); /* by that for all */
	ratelimit_set(limit, &(struct ratelimit_rates){.per_min = {[RATELIMIT_ADDRESS] = 4}});
	ratelimit_state(limit, &told);
	assert_int_equal(told.refused, 2);
	assert_int_equal(told.refused_ms, 5003);
	assert_int_equal(told.rates.per_min[RATELIMIT_ADDRESS], 4);
	assert_int_equal(told.rates.per_min[RATELIMIT_ALL], 0);
	ratelimit_free(limit);
}

static void
test_zero_is_no_limit(void **state)
{
	struct ratelimit *limit = NULL;
	struct err err = {0};
	int i;

	(void)state;
	assert_ok(new_limit(0, 0, &limit, &err));
	for (i = 0; i < 1000; i++)
		assert_ok(take(limit, "a", 0, &err));
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
	assert_ok(new_limit(1, 0, &limit, &err));
	for (i = 0; i < 2 * RATELIMIT_BUCKETS_MAX; i++) {
		(void)snprintf(client, sizeof client, "client %d", i);
		assert_ok(take(limit, client, 0, &err));
	}
	/* The latest is still known, the first was forgotten. */
	assert_int_equal(take(limit, client, 0, &err), E_LIMIT);
	assert_ok(take(limit, "client 0", 0, &err));
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
	assert_ok(new_limit(10, 0, &limit, &err));
	for (i = 0; i < 10; i++) {
		(void)snprintf(address, sizeof address, "2001:db8:1:2:%x::%x", i, i);
		assert_ok(take(limit, address, 0, &err));
	}
	assert_int_equal(take(limit, "2001:db8:1:2:ffff::", 0, &err), E_LIMIT);
	assert_int_equal(take(limit, "2001:DB8:1:2::", 0, &err), E_LIMIT);
	assert_ok(take(limit, "2001:db8:1:3::", 0, &err));
	for (i = 0; i < 10; i++)
		assert_ok(take(limit, i % 2 == 0 ? "192.0.2.7" : "::ffff:192.0.2.7", 0, &err));
	assert_int_equal(take(limit, "192.0.2.7", 0, &err), E_LIMIT);
	assert_ok(take(limit, "192.0.2.8", 0, &err));
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
	assert_ok(new_limit(3, 10, &limit, &err));
	/* One who is too fast does not use up what is everybody's. */
	for (i = 0; i < 100; i++)
		(void)take(limit, "192.0.2.1", 0, &err);
	for (i = 0; i < 7; i++) {
		(void)snprintf(address, sizeof address, "198.51.100.%d", i);
		assert_ok(take(limit, address, 0, &err));
	}
	assert_int_equal(take(limit, "198.51.100.200", 0, &err), E_LIMIT);
	assert_in_range(err.retry_after_s, 6, 7);
	assert_int_equal(look(limit, "198.51.100.201", true, 0, &err), E_LIMIT);
	assert_ok(look(limit, "198.51.100.201", false, 0, &err));
	assert_int_equal(look(limit, "192.0.2.1", false, 0, &err), E_LIMIT);
	assert_ok(take(limit, "198.51.100.201", 6000, &err));
	ratelimit_free(limit);
	/* For all only. */
	assert_ok(new_limit(0, 2, &limit, &err));
	assert_ok(take(limit, "192.0.2.1", 0, &err));
	assert_ok(take(limit, "192.0.2.1", 0, &err));
	assert_int_equal(take(limit, "192.0.2.1", 0, &err), E_LIMIT);
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
	assert_ok(new_limit(1000000000, 1000000000, &limit, &err));
	assert_ok(take(limit, "a", 0, &err));
	assert_ok(take(limit, "a", 365LL * 86400 * 1000, &err));
	ratelimit_free(limit);
	assert_ok(new_limit(2, 2, &limit, &err));
	assert_ok(take(limit, "a", 1000000, &err));
	for (i = 0; i < 10; i++)
		(void)take(limit, "a", 900000, &err);
	assert_int_equal(take(limit, "a", 1000000, &err), E_LIMIT);
	assert_ok(take(limit, "a", 1030000, &err));
	ratelimit_free(limit);
}

/* By all that is known of who acts: too much in one is too much, and then counts in none. */
static void
test_scopes(void **state)
{
	const struct ratelimit_rates rates = {.per_min = {[RATELIMIT_ADDRESS] = 5, [RATELIMIT_OPERATOR] = 3, [RATELIMIT_TENANT] = 4}};
	struct ratelimit_who alice = {.key = {[RATELIMIT_ADDRESS] = "192.0.2.1", [RATELIMIT_OPERATOR] = "a", [RATELIMIT_TENANT] = "1"}};
	struct ratelimit_who bob = {.key = {[RATELIMIT_ADDRESS] = "192.0.2.1", [RATELIMIT_OPERATOR] = "b", [RATELIMIT_TENANT] = "1"}};
	struct ratelimit_who carol = {.key = {[RATELIMIT_ADDRESS] = "192.0.2.1", [RATELIMIT_OPERATOR] = "c", [RATELIMIT_TENANT] = "2"}};
	struct ratelimit_report report = {0};
	struct ratelimit *limit = NULL;
	struct err err = {0};
	int i;

	(void)state;
	assert_ok(ratelimit_new("things", &rates, &limit, &err));
	for (i = 0; i < 3; i++)
		assert_ok(ratelimit_take(limit, &alice, 0, NULL, &err));
	for (i = 0; i < 10; i++)
		assert_int_equal(ratelimit_take(limit, &alice, 0, NULL, &err), E_LIMIT);
	assert_non_null(strstr(err.text, "more than 3 a minute from one operator"));
	assert_ok(ratelimit_take(limit, &bob, 0, &report, &err)); /* the fourth of tenant and address */
	assert_int_equal(report.n, 3);
	assert_string_equal(report.quotas[0].scope, "address");
	assert_string_equal(report.quotas[0].name, "things");
	assert_int_equal(report.quotas[0].per_min, 5);
	assert_int_equal(report.quotas[0].left, 1);
	assert_in_range(report.quotas[0].next_s, 12, 13);
	assert_int_equal(report.quotas[1].left, 2);
	assert_int_equal(report.quotas[2].left, 0);
	assert_in_range(report.quotas[2].next_s, 15, 16);
	report.n = 0;
	assert_int_equal(ratelimit_take(limit, &bob, 0, &report, &err), E_LIMIT);
	assert_non_null(strstr(err.text, "one tenant"));
	/* What is in the way, and when it no longer is: as the answer's Retry-After. */
	assert_int_equal(report.n, 1);
	assert_string_equal(report.quotas[0].scope, "tenant");
	assert_int_equal(report.quotas[0].left, 0);
	assert_int_equal(report.quotas[0].next_s, err.retry_after_s);
	assert_ok(ratelimit_take(limit, &carol, 0, NULL, &err)); /* the fifth of the address */
	assert_int_equal(ratelimit_take(limit, &carol, 0, NULL, &err), E_LIMIT);
	assert_non_null(strstr(err.text, "one address"));
	/* The same text in two scopes is two. */
	alice.key[RATELIMIT_ADDRESS] = NULL;
	alice.key[RATELIMIT_OPERATOR] = "2";
	alice.key[RATELIMIT_TENANT] = NULL;
	for (i = 0; i < 3; i++)
		assert_ok(ratelimit_take(limit, &alice, 0, NULL, &err));
	/* A full report is not written past its end. */
	report.n = RATELIMIT_QUOTAS_MAX - 1;
	alice.key[RATELIMIT_OPERATOR] = "d";
	alice.key[RATELIMIT_TENANT] = "3";
	assert_ok(ratelimit_take(limit, &alice, 0, &report, &err));
	assert_int_equal(report.n, RATELIMIT_QUOTAS_MAX);
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
		a->let_own += take(a->limit, a->own, 0, &err) == 0;
		a->let_shared += look(a->limit, "192.0.2.1", true, 0, &err) == 0 &&
				 take(a->limit, "192.0.2.1", 0, &err) == 0;
		if (i % 100 == 0) /* a reload of the configuration */
			ratelimit_set(a->limit, &(struct ratelimit_rates){.per_min = {[RATELIMIT_ADDRESS] = 1000, [RATELIMIT_ALL] = a->all_per_min}});
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

	assert_ok(new_limit(1000, all_per_min, &limit, &err));
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
	    cmocka_unit_test(test_scopes),
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

#include "core_fixture.h"

#include "core/audit.h"
#include "core/authfail.h"
#include "core/sweeper.h"

#include <pthread.h>

#define THREADS 8
#define TRIES 200 /* of each thread, at each address */

/* Minutes that begin and end when the test says so, and nobody else flushes. */
static _Atomic int64_t minute; /* 0: the machine's clock */

static int64_t
now(void)
{
	int64_t m = minute;

	return m == 0 ? clock_now() : m * 60 + 7;
}

static int
open_with_a_clock(void **state)
{
	struct fixture *f;
	int rc = fixture_open(state);

	f = *state;
	sweeper_stop(f->core->sweeper);
	f->core->sweeper = NULL;
	minute = 30000000;
	return rc;
}

static int
close_with_a_clock(void **state)
{
	minute = 0;
	return fixture_close(state);
}

/* What the rows of one address tell. */
struct told {
	const char *target;
	int fails, sums;
	long long count;
	char detail[128];
};

static int
tell(void *ctx, const struct store_audit *row, struct err *err)
{
	struct told *t = ctx;

	(void)err;
	if (t->target != NULL && strcmp(row->target, t->target) != 0)
		return 0;
	if (strcmp(row->action, "authentication.fail") == 0)
		t->fails++;
	if (strcmp(row->action, "authentication.failures") == 0) {
		long long n = 0;

		t->sums++;
		assert_int_equal(sscanf(row->detail, "{\"count\":%lld,", &n), 1);
		t->count += n;
		(void)snprintf(t->detail, sizeof t->detail, "%s", row->detail);
	}
	return 0;
}

/* TARGET NULL: of all. */
static struct told
told(struct fixture *f, const char *target)
{
	struct told t = {.target = target};
	struct err err = {0};

	assert_ok(audit_each(f->core, &f->caller, 0, 100000, tell, &t, &err));
	return t;
}

/* H7: the first at once, how many when the minute is over. */
static void
test_two_rows_an_address_and_minute(void **state)
{
	struct fixture *f = *state;
	struct told t;
	int i;

	for (i = 0; i < 10; i++)
		authfail_note(f->core, "192.0.2.1", "token");
	t = told(f, "address:192.0.2.1");
	assert_int_equal(t.fails, 1);
	authfail_flush(f->core, false);
	assert_int_equal(told(f, "address:192.0.2.1").sums, 0);
	minute++;
	authfail_flush(f->core, false);
	authfail_flush(f->core, false);
	t = told(f, "address:192.0.2.1");
	assert_int_equal(t.fails, 1);
	assert_int_equal(t.sums, 1);
	assert_string_equal(t.detail, "{\"count\":10,\"since\":\"2027-01-15T08:00:00Z\"}");
	/* One alone was told already. */
	authfail_note(f->core, "192.0.2.1", "token");
	minute++;
	authfail_flush(f->core, false);
	t = told(f, "address:192.0.2.1");
	assert_int_equal(t.fails, 2);
	assert_int_equal(t.sums, 1);
}

static void
test_who_fails_too_often_waits(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};
	int64_t i;

	assert_ok(authfail_may_try(f->core, "192.0.2.1", false, &err));
	for (i = 0; i < fixture_config(f->core)->settings.limits[LIMIT_AUTH_FAILURES].per_min[RATELIMIT_ADDRESS]; i++)
		authfail_note(f->core, "192.0.2.1", "token");
	assert_int_equal(authfail_may_try(f->core, "192.0.2.1", false, &err), E_LIMIT);
	assert_true(err.retry_after_s > 0);
	assert_int_equal(authfail_may_try(f->core, "192.0.2.1", true, &err), E_LIMIT);
	assert_ok(authfail_may_try(f->core, "192.0.2.2", false, &err));
	/* What was refused is counted, too: the audit tells how large a flood was. */
	for (i = 0; i < 1000; i++)
		assert_int_equal(authfail_may_try(f->core, "192.0.2.1", false, &err), E_LIMIT);
	authfail_flush(f->core, true);
	assert_int_equal(told(f, "address:192.0.2.1").count, fixture_config(f->core)->settings.limits[LIMIT_AUTH_FAILURES].per_min[RATELIMIT_ADDRESS] + 1002);
}

/* H7: ten thousand addresses do not make ten thousand rows, and none is left out of the count. */
static void
test_a_flood_of_addresses_is_bounded(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};
	struct told t;
	char peer[64];
	int i;

	for (i = 0; i < 10000; i++) {
		(void)snprintf(peer, sizeof peer, "198.51.%d.%d", i / 256, i % 256);
		authfail_note(f->core, peer, "token");
	}
	/* Everybody waits, but for what is urgent. */
	assert_int_equal(authfail_may_try(f->core, "192.0.2.1", false, &err), E_LIMIT);
	assert_ok(authfail_may_try(f->core, "192.0.2.1", true, &err));
	authfail_flush(f->core, true);
	t = told(f, NULL);
	assert_int_equal(t.fails, AUTHFAIL_ADDRESSES_MAX);
	assert_true(t.sums <= AUTHFAIL_ADDRESSES_MAX + 1);
	assert_int_equal(told(f, "address:others").count, 10001 - AUTHFAIL_ADDRESSES_MAX);
}

static void
test_a_network_is_one_client(void **state)
{
	struct fixture *f = *state;
	char peer[64];
	int i;

	for (i = 0; i < 100; i++) {
		(void)snprintf(peer, sizeof peer, "2001:db8:1:2::%x", i);
		authfail_note(f->core, peer, "token");
	}
	authfail_flush(f->core, true);
	assert_int_equal(told(f, NULL).fails, 1);
	assert_int_equal(told(f, "address:2001:db8:1:2::/64").count, 100);
}

/* A stop in mid-minute forgets nothing. */
static void
test_a_stop_tells(void **state)
{
	struct fixture *f = *state;

	authfail_note(f->core, "192.0.2.1", "token");
	authfail_note(f->core, "192.0.2.1", "token");
	fixture_core_close(f);
	fixture_core_open(f);
	assert_int_equal(told(f, "address:192.0.2.1").count, 2);
}

static void *
fail_often(void *arg)
{
	struct fixture *f = arg;
	char peer[64];
	int i, address;

	for (i = 0; i < TRIES; i++)
		for (address = 0; address < AUTHFAIL_ADDRESSES_MAX + 8; address++) {
			(void)snprintf(peer, sizeof peer, "198.51.100.%d", address);
			if (authfail_may_try(f->core, peer, false, NULL) == 0)
				authfail_note(f->core, peer, "token");
		}
	return NULL;
}

/* Workers are threads: each try is counted once, and each address told once, however they meet. */
static void
test_threads(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[THREADS];
	struct told t;
	size_t i;

	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, fail_often, f), 0);
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	authfail_flush(f->core, true);
	t = told(f, NULL);
	assert_int_equal(t.fails, AUTHFAIL_ADDRESSES_MAX);
	assert_int_equal(t.count, (long long)THREADS * TRIES * (AUTHFAIL_ADDRESSES_MAX + 8));
}

#define WITH_HOME(test) cmocka_unit_test_setup_teardown(test, open_with_a_clock, close_with_a_clock)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_HOME(test_two_rows_an_address_and_minute),
	    WITH_HOME(test_who_fails_too_often_waits),
	    WITH_HOME(test_a_flood_of_addresses_is_bounded),
	    WITH_HOME(test_a_network_is_one_client),
	    WITH_HOME(test_a_stop_tells),
	    WITH_HOME(test_threads),
	};

	fixture_clock = now;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

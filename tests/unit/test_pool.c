#include "check.h"

#include "base/pool.h"

#include <semaphore.h>
#include <stdatomic.h>

static atomic_int done;

static void
count(void *arg)
{
	(void)arg;
	done++;
}

static void
test_everything_queued_is_done_before_the_end(void **state)
{
	struct pool *pool = NULL;
	struct err err = {0};
	int i;

	(void)state;
	done = 0;
	assert_ok(pool_new(4, 1000, &pool, &err));
	for (i = 0; i < 1000; i++)
		assert_ok(pool_submit(pool, i % 2 ? POOL_URGENT : POOL_NORMAL, count, NULL, &err));
	pool_free(pool);
	assert_int_equal(done, 1000);
}

static sem_t gate;

static void
block(void *arg)
{
	(void)arg;
	(void)sem_wait(&gate);
}

static void
post(void *arg)
{
	(void)sem_post(arg);
}

/* I10: however long the normal lane is, urgent work gets through, on the worker that takes nothing else. */
static void
test_urgent_work_gets_through(void **state)
{
	struct pool *pool = NULL;
	struct err err = {0};
	sem_t urgent;
	int i;

	(void)state;
	(void)sem_init(&gate, 0, 0);
	(void)sem_init(&urgent, 0, 0);
	assert_ok(pool_new(3, 8, &pool, &err));
	for (i = 0; i < 8; i++)
		assert_ok(pool_submit(pool, POOL_NORMAL, block, NULL, &err));
	assert_ok(pool_submit(pool, POOL_URGENT, post, &urgent, &err));
	assert_int_equal(sem_wait(&urgent), 0);
	for (i = 0; i < 8; i++)
		(void)sem_post(&gate);
	pool_free(pool);
	(void)sem_destroy(&gate);
	(void)sem_destroy(&urgent);
}

/* Strangers' work has a quarter of the threads, waits for all other, and is done in the end. */
static void
test_what_comes_last(void **state)
{
	struct pool *pool = NULL;
	struct err err = {0};
	sem_t normal;
	int i;

	(void)state;
	(void)sem_init(&gate, 0, 0);
	(void)sem_init(&normal, 0, 0);
	assert_ok(pool_new(8, 64, &pool, &err));
	for (i = 0; i < 40; i++)
		assert_ok(pool_submit(pool, POOL_LAST, block, NULL, &err));
	for (i = 0; i < 40; i++)
		assert_ok(pool_submit(pool, POOL_NORMAL, post, &normal, &err));
	for (i = 0; i < 40; i++)
		assert_int_equal(sem_wait(&normal), 0);
	for (i = 0; i < 40; i++)
		(void)sem_post(&gate);
	pool_free(pool);
	assert_int_equal(sem_trywait(&gate), -1); /* each had its turn */
	(void)sem_destroy(&gate);
	(void)sem_destroy(&normal);
}

static void
test_a_full_lane_is_refused(void **state)
{
	struct pool *pool = NULL;
	struct err err = {0};
	int i, refused = 0;

	(void)state;
	(void)sem_init(&gate, 0, 0);
	assert_ok(pool_new(2, 4, &pool, &err));
	for (i = 0; i < 10; i++)
		refused += pool_submit(pool, POOL_NORMAL, block, NULL, &err) == E_BUSY;
	/* One worker may have taken one already. */
	assert_in_range(refused, 5, 6);
	for (i = 0; i < 10; i++)
		(void)sem_post(&gate);
	pool_free(pool);
	(void)sem_destroy(&gate);
}

static void
test_bad_sizes_and_null(void **state)
{
	struct pool *pool = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(pool_new(1, 1, &pool, &err), E_INPUT);
	assert_int_equal(pool_new(2, 0, &pool, &err), E_INPUT);
	assert_null(pool);
	pool_free(NULL);
}

/* What is told of a pool is what was given to it. */
static void
test_how_much_there_is_to_do(void **state)
{
	struct pool_state now;
	struct pool *pool = NULL;
	struct err err = {0};
	sem_t begun;
	int i;

	(void)state;
	(void)sem_init(&gate, 0, 0);
	(void)sem_init(&begun, 0, 0);
	assert_ok(pool_new(2, 3, &pool, &err));
	assert_ok(pool_submit(pool, POOL_URGENT, post, &begun, &err));
	assert_int_equal(sem_wait(&begun), 0);
	/* One worker takes urgent work alone, so that of four normal jobs three wait, and a fifth has no room. */
	assert_ok(pool_submit(pool, POOL_NORMAL, post, &begun, &err));
	assert_int_equal(sem_wait(&begun), 0);
	assert_ok(pool_submit(pool, POOL_NORMAL, block, NULL, &err));
	do
		pool_look(pool, &now);
	while (now.waiting[POOL_NORMAL] > 0 || now.busy != 1);
	for (i = 0; i < 3; i++)
		assert_ok(pool_submit(pool, POOL_NORMAL, block, NULL, &err));
	assert_int_equal(pool_submit(pool, POOL_NORMAL, block, NULL, &err), E_BUSY);
	pool_look(pool, &now);
	assert_int_equal(now.threads, 2);
	assert_int_equal(now.busy, 1);
	assert_int_equal(now.waiting[POOL_NORMAL], 3);
	assert_int_equal(now.waiting[POOL_URGENT], 0);
	assert_int_equal(now.max_queued, 3);
	assert_int_equal(now.refused, 1);
	for (i = 0; i < 4; i++)
		(void)sem_post(&gate);
	pool_free(pool);
	(void)sem_destroy(&gate);
	(void)sem_destroy(&begun);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_how_much_there_is_to_do),
	    cmocka_unit_test(test_everything_queued_is_done_before_the_end),
	    cmocka_unit_test(test_urgent_work_gets_through),
	    cmocka_unit_test(test_what_comes_last),
	    cmocka_unit_test(test_a_full_lane_is_refused),
	    cmocka_unit_test(test_bad_sizes_and_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

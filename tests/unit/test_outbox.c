/* Events between two threads: each once, in order, and none lost without being counted. */
#include "check.h"

#include "plugin/outbox.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#define ID "0b9e4f1c-6f0e-4f4e-9b1a-3c8d2e7a5f60"

static struct report_event
event(enum report_kind kind, int64_t at, const char *reason)
{
	struct report_event e = {.kind = kind, .at = at, .id = ID};

	(void)snprintf(e.reason, sizeof e.reason, "%s", reason);
	return e;
}

static struct outbox *
outbox_of(size_t size)
{
	struct outbox *o = NULL;
	struct err err = {0};

	assert_ok(outbox_new(size, &o, &err));
	return o;
}

static void
add(struct outbox *o, int64_t at)
{
	const struct report_event e = event(REPORT_CONNECT, at, "");

	outbox_add(o, &e);
}

static void
test_in_order_around_the_end(void **state)
{
	struct outbox *o = outbox_of(4);
	const struct report_event *e;

	(void)state;
	assert_int_equal(outbox_look(o, &e), 0);
	add(o, 1);
	add(o, 2);
	add(o, 3);
	assert_int_equal(outbox_look(o, &e), 3);
	assert_int_equal(e[0].at, 1);
	assert_int_equal(outbox_look(o, &e), 3); /* they stay until they are removed */
	outbox_remove(o, 2);
	add(o, 4);
	add(o, 5);
	add(o, 6);
	assert_int_equal(outbox_count(o), 4);
	assert_int_equal(outbox_look(o, &e), 2); /* up to the ring's end */
	assert_int_equal(e[0].at, 3);
	outbox_remove(o, 2);
	assert_int_equal(outbox_look(o, &e), 2);
	assert_int_equal(e[1].at, 6);
	assert_int_equal(outbox_dropped(o), 0);
	outbox_free(o);
}

static void
test_what_has_no_room_is_counted(void **state)
{
	struct report_event e = event(REPORT_DENY, 9, "often");
	struct outbox *o = outbox_of(2);
	const struct report_event *first;

	(void)state;
	add(o, 1);
	add(o, 2);
	add(o, 3);
	e.count = 10;
	outbox_add(o, &e);
	assert_int_equal(outbox_dropped(o), 11);
	assert_int_equal(outbox_look(o, &first), 2);
	assert_int_equal(first[0].at, 1); /* what there was first stays */
	outbox_told(o, 4);
	assert_int_equal(outbox_dropped(o), 7);
	outbox_lose(o, 1);
	assert_int_equal(outbox_dropped(o), 8);
	assert_int_equal(outbox_count(o), 1);
	outbox_free(o);
}

static void
test_equal_ones_are_gathered(void **state)
{
	const struct report_event publish = event(REPORT_DENY, 1, "publish"), subscribe = event(REPORT_DENY, 2, "subscribe");
	struct outbox *o = outbox_of(8);
	const struct report_event *e;
	size_t i;

	(void)state;
	for (i = 0; i < 1000; i++)
		outbox_gather(o, &publish);
	outbox_gather(o, &subscribe);
	assert_int_equal(outbox_count(o), 0);
	outbox_flush(o);
	outbox_flush(o);
	assert_int_equal(outbox_look(o, &e), 2);
	assert_int_equal(e[0].count + e[1].count, 1001);
	assert_int_equal(strcmp(e[0].reason, "publish") == 0 ? e[0].count : e[1].count, 1000);
	outbox_gather(o, &publish); /* freed with the outbox */
	outbox_free(o);
}

/* H7: so many different ones that the broker would run out of memory. */
static void
test_a_flood_is_counted(void **state)
{
	struct outbox *o = outbox_of(16);
	struct report_event e;
	char reason[32];
	size_t i;

	(void)state;
	for (i = 0; i < 10000; i++) {
		(void)snprintf(reason, sizeof reason, "%zu", i);
		e = event(REPORT_DENY, 1, reason);
		outbox_gather(o, &e);
	}
	outbox_flush(o);
	assert_int_equal(outbox_count(o), 16);
	assert_int_equal(outbox_dropped(o), 10000 - 16);
	outbox_free(o);
}

#define MANY 200000

static void *
writer(void *ctx)
{
	int64_t i;

	for (i = 1; i <= MANY; i++)
		add(ctx, i);
	return NULL;
}

static void
test_two_threads(void **state)
{
	struct outbox *o = outbox_of(64);
	const struct report_event *e;
	int64_t last = 0, got = 0;
	pthread_t thread;
	size_t n, i;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, writer, o), 0);
	while (got + outbox_dropped(o) < MANY || outbox_count(o) > 0) {
		if ((n = outbox_look(o, &e)) == 0)
			(void)sched_yield();
		for (i = 0; i < n; i++) {
			assert_true(e[i].at > last);
			last = e[i].at;
		}
		got += (int64_t)n;
		outbox_remove(o, n);
	}
	(void)pthread_join(thread, NULL);
	assert_int_equal(got + outbox_dropped(o), MANY);
	outbox_free(o);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_in_order_around_the_end),
	    cmocka_unit_test(test_what_has_no_room_is_counted),
	    cmocka_unit_test(test_equal_ones_are_gathered),
	    cmocka_unit_test(test_a_flood_is_counted),
	    cmocka_unit_test(test_two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

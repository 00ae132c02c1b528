#include "check.h"

#include "base/metric.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static const struct metric_buckets sizes = {.n = 3, .bounds = {1, 2, 4}};

static void
test_values(void **state)
{
	struct buf out = {0};

	(void)state;
	metric_family(&out, "a_total", "counter", "What a is.");
	metric_value(&out, "a_total", 9007199254740993, "x", "y", "z", "", NULL);
	metric_value(&out, "a_total", -1, NULL);
	metric_seconds(&out, "b_seconds", 1000000, NULL);
	metric_seconds(&out, "b_seconds", 12003400, "x", "y", NULL);
	metric_seconds(&out, "b_seconds", 1, NULL);
	metric_seconds(&out, "b_seconds", 0, NULL);
	assert_string_equal(buf_str(&out),
	    "# HELP a_total What a is.\n# TYPE a_total counter\n"
	    "a_total{x=\"y\",z=\"\"} 9007199254740993\na_total -1\n"
	    "b_seconds 1\nb_seconds{x=\"y\"} 12.0034\nb_seconds 0.000001\nb_seconds 0\n");
	buf_clear(&out);
}

/* B7: no value of a label ends it, or the line. */
static void
test_a_label_stays_a_label(void **state)
{
	struct buf out = {0};

	(void)state;
	metric_value(&out, "a", 1, "x", "\"} 2\nb{y=\"\\", NULL);
	assert_string_equal(buf_str(&out), "a{x=\"\\\"} 2\\nb{y=\\\"\\\\\"} 1\n");
	buf_clear(&out);
}

static void
test_histogram(void **state)
{
	static const uint64_t values[] = {0, 1, 2, 3, 4, 5, 1000};
	struct metric_histogram h = {.buckets = &sizes};
	struct buf out = {0};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof values / sizeof values[0]; i++)
		metric_observe(&h, values[i]);
	assert_int_equal(metric_count(&h), 7);
	metric_histogram(&out, "s", &h, "x", "y", NULL);
	assert_string_equal(buf_str(&out),
	    "s_bucket{x=\"y\",le=\"1\"} 2\ns_bucket{x=\"y\",le=\"2\"} 3\ns_bucket{x=\"y\",le=\"4\"} 5\n"
	    "s_bucket{x=\"y\",le=\"+Inf\"} 7\ns_sum{x=\"y\"} 1015\ns_count{x=\"y\"} 7\n");
	buf_clear(&out);
}

static void
test_durations(void **state)
{
	struct metric_histogram h = {.buckets = &metric_durations};
	struct buf out = {0};

	(void)state;
	metric_observe(&h, 2500);
	metric_observe(&h, 31000000);
	metric_histogram(&out, "d", &h, NULL);
	assert_non_null(strstr(buf_str(&out), "d_bucket{le=\"0.001\"} 0\nd_bucket{le=\"0.0025\"} 1\n"));
	assert_non_null(strstr(buf_str(&out), "d_bucket{le=\"30\"} 1\nd_bucket{le=\"+Inf\"} 2\nd_sum 31.0025\nd_count 2\n"));
	buf_clear(&out);
}

static void *
observe(void *arg)
{
	int i;

	for (i = 0; i < 10000; i++)
		metric_observe(arg, (uint64_t)i % 6);
	return NULL;
}

/* Nothing is lost between threads, and a page that is written meanwhile fits itself. */
static void
test_many_threads(void **state)
{
	struct metric_histogram h = {.buckets = &sizes};
	struct buf out = {0};
	pthread_t threads[4];
	unsigned long long infinite, count;
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, observe, &h), 0);
	for (i = 0; i < 100; i++) {
		buf_reset(&out);
		metric_histogram(&out, "s", &h, NULL);
		assert_int_equal(sscanf(strstr(buf_str(&out), "+Inf"), "+Inf\"} %llu", &infinite), 1);
		assert_int_equal(sscanf(strstr(buf_str(&out), "s_count"), "s_count %llu", &count), 1);
		assert_int_equal(infinite, count);
	}
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(metric_count(&h), 40000);
	buf_clear(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_values),
	    cmocka_unit_test(test_a_label_stays_a_label),
	    cmocka_unit_test(test_histogram),
	    cmocka_unit_test(test_durations),
	    cmocka_unit_test(test_many_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Numbers for a monitoring system: histograms that any thread counts in, and Prometheus' text format (0.0.4). Nothing here
 * grows: whoever counts has a fixed table. Labels are names and kinds of ours, never what a stranger sent. */
#ifndef MUSTER_BASE_METRIC_H
#define MUSTER_BASE_METRIC_H

#include "base/buf.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define METRIC_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define METRIC_BUCKETS_MAX 15

struct metric_buckets {
	bool is_micros; /* values are microseconds, and shown as seconds */
	size_t n;
	uint64_t bounds[METRIC_BUCKETS_MAX]; /* rising; a value that equals one is still below it */
};

/* Zero-initialise, and name its buckets. */
struct metric_histogram {
	const struct metric_buckets *buckets;
	atomic_uint_fast64_t counts[METRIC_BUCKETS_MAX + 1];
	atomic_uint_fast64_t sum;
};

/* 1 ms to 30 s: how long a caller waited. */
extern const struct metric_buckets metric_durations;

/* Any thread, without a lock. */
void metric_observe(struct metric_histogram *histogram, uint64_t value);

/* How many values there were. */
uint64_t metric_count(const struct metric_histogram *histogram);

/* The head of what NAME counts, before its first value. TYPE: "counter", "gauge", "histogram". HELP is one line. */
void metric_family(struct buf *out, const char *name, const char *type, const char *help);

/* One value. Its labels follow as pairs of name and value, and NULL. */
void metric_value(struct buf *out, const char *name, int64_t value, ...) __attribute__((sentinel));

/* The same in seconds. */
void metric_seconds(struct buf *out, const char *name, int64_t micros, ...) __attribute__((sentinel));

/* All lines of a histogram with its labels: buckets, sum, count. */
void metric_histogram(struct buf *out, const char *name, const struct metric_histogram *histogram, ...)
    __attribute__((sentinel));

#endif

/* Counts in fixed tables, one slot a route, each on its own; nothing is locked and nothing grows. A label is a route's
 * pattern, never the path: that of a link holds its token. */
#include "http/traffic.h"

#include "base/metric.h"
#include "base/pool.h"

#include <stdio.h>
#include <stdlib.h>

/* Those that replies have; another one is counted as "other". */
static const int statuses[] = {200, 201, 202, 204, 206, 301, 302, 304, 400, 401, 403, 404, 405, 406, 408, 409, 410, 411, 412,
    413, 414, 415, 417, 422, 429, 431, 500, 501, 502, 503, 504, 505};
#define N_STATUSES (sizeof statuses / sizeof statuses[0])

struct slot {
	atomic_uint_fast64_t by_status[N_STATUSES + 1];
	struct metric_histogram durations;
};

struct traffic {
	int64_t max_connections;
	_Atomic(struct pool *) pool;
	atomic_int_fast64_t counters[TRAFFIC_COUNTERS];
	struct slot slots[]; /* as routes[], then the one without */
};

int
traffic_new(int64_t max_connections, struct traffic **traffic_out, struct err *err)
{
	struct traffic *t = calloc(1, sizeof *t + (n_routes + 1) * sizeof t->slots[0]);
	size_t i;

	if (t == NULL)
		return err_nomem(err);
	t->max_connections = max_connections;
	for (i = 0; i <= n_routes; i++)
		t->slots[i].durations.buckets = &metric_durations;
	*traffic_out = t;
	return 0;
}

void
traffic_free(struct traffic *t)
{
	free(t);
}

void
traffic_pool_set(struct traffic *t, struct pool *pool)
{
	atomic_store(&t->pool, pool);
}

void
traffic_answered(struct traffic *t, const struct route *route, int status, int64_t duration_us)
{
	struct slot *slot = &t->slots[route != NULL ? (size_t)(route - routes) : n_routes];
	size_t i = 0;

	if (status == 0)
		status = 200; /* as struct http_reply has it */
	while (i < N_STATUSES && statuses[i] != status)
		i++;
	(void)atomic_fetch_add_explicit(&slot->by_status[i], 1, memory_order_relaxed);
	metric_observe(&slot->durations, (uint64_t)duration_us);
}

void
traffic_add(struct traffic *t, enum traffic_counter counter, int64_t n)
{
	(void)atomic_fetch_add_explicit(&t->counters[counter], n, memory_order_relaxed);
}

/* ---- showing --------------------------------------------------------------------------------------------------- */

static const char *
method_of(size_t i)
{
	return i < n_routes ? routes[i].method : "none";
}

static const char *
pattern_of(size_t i)
{
	return i < n_routes ? routes[i].pattern : "none";
}

static void
write_slot_statuses(const struct slot *slot, size_t i, struct buf *out)
{
	char code[12];
	uint64_t n;
	size_t k;

	for (k = 0; k <= N_STATUSES; k++) {
		if ((n = atomic_load_explicit(&slot->by_status[k], memory_order_relaxed)) == 0)
			continue;
		(void)snprintf(code, sizeof code, "%d", k < N_STATUSES ? statuses[k] : 0);
		metric_value(out, "muster_http_requests_total", (int64_t)n, "method", method_of(i), "route", pattern_of(i),
		    "code", k < N_STATUSES ? code : "other", NULL);
	}
}

/* Of those that were called, so that the page is as long as it has to be. */
static void
write_requests(const struct traffic *t, struct buf *out)
{
	size_t i;

	metric_family(out, "muster_http_requests_total", "counter",
	    "Requests answered, by route; none is what has no route, or is no request.");
	for (i = 0; i <= n_routes; i++)
		write_slot_statuses(&t->slots[i], i, out);
	metric_family(out, "muster_http_request_duration_seconds", "histogram",
	    "From the whole request to its answer; GET /v1/feed waits for news.");
	for (i = 0; i <= n_routes; i++)
		if (metric_count(&t->slots[i].durations) > 0)
			metric_histogram(out, "muster_http_request_duration_seconds", &t->slots[i].durations, "method",
			    method_of(i), "route", pattern_of(i), NULL);
}

static void
write_one(struct buf *out, const char *name, const char *type, const char *help, int64_t value)
{
	metric_family(out, name, type, help);
	metric_value(out, name, value, NULL);
}

static void
write_connections(const struct traffic *t, struct buf *out)
{
	static const struct {
		const char *name, *type, *help;
	} shown[TRAFFIC_COUNTERS] = {
	    [TRAFFIC_OPEN] = {"muster_http_connections", "gauge", "Connections that are open, over the network and the socket."},
	    [TRAFFIC_ACCEPTED] = {"muster_http_connections_accepted_total", "counter", "Connections accepted."},
	    [TRAFFIC_REFUSED] = {"muster_http_connections_refused_total", "counter",
		"Connections closed because their address has too many (limits.connections_per_client)."},
	    [TRAFFIC_UNANSWERED] = {"muster_http_requests_unanswered_total", "counter",
		"Requests whose client had gone when the answer was ready."},
	};
	size_t i;

	for (i = 0; i < TRAFFIC_COUNTERS; i++)
		write_one(out, shown[i].name, shown[i].type, shown[i].help,
		    atomic_load_explicit(&t->counters[i], memory_order_relaxed));
	write_one(out, "muster_http_connections_max", "gauge", "How many may be open over the network (limits.connections).",
	    t->max_connections);
}

static void
write_workers(struct pool *pool, struct buf *out)
{
	struct pool_state state;

	pool_look(pool, &state);
	write_one(out, "muster_workers", "gauge", "Threads that work on requests.", state.threads);
	write_one(out, "muster_workers_busy", "gauge", "Those that do, this request's among them.", state.busy);
	metric_family(out, "muster_worker_queue_length", "gauge", "Requests that wait for a worker.");
	metric_value(out, "muster_worker_queue_length", state.waiting[POOL_URGENT], "lane", "urgent", NULL);
	metric_value(out, "muster_worker_queue_length", state.waiting[POOL_NORMAL], "lane", "normal", NULL);
	metric_value(out, "muster_worker_queue_length", state.waiting[POOL_LAST], "lane", "last", NULL);
	write_one(out, "muster_worker_queue_max", "gauge", "How many may wait in each lane (limits.queue).", state.max_queued);
	write_one(out, "muster_worker_queue_refused_total", "counter", "Requests answered 503 because too many waited.",
	    (int64_t)state.refused);
}

void
traffic_write(struct traffic *t, struct buf *out)
{
	struct pool *pool = atomic_load(&t->pool);

	write_requests(t, out);
	write_connections(t, out);
	if (pool != NULL)
		write_workers(pool, out);
}

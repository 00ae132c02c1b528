/* What the server counts of its requests and connections, and shows in Prometheus' text format (base/metric.h). */
#ifndef MUSTER_HTTP_TRAFFIC_H
#define MUSTER_HTTP_TRAFFIC_H

#include "base/buf.h"
#include "base/err.h"
#include "http/router.h"

#include <stdatomic.h>
#include <stdint.h>

struct pool;

/* The counters that have one value each. Any thread adds, with traffic_add. */
enum traffic_counter {
	TRAFFIC_OPEN,	    /* connections */
	TRAFFIC_ACCEPTED,   /* connections, since the start */
	TRAFFIC_REFUSED,    /* by limits.connections_per_client */
	TRAFFIC_UNANSWERED, /* requests whose client had gone when the answer was ready */
	TRAFFIC_COUNTERS
};

struct traffic;

/* A slot for each route of the table and one for what has none. E_NOMEM. */
MUST_CHECK int traffic_new(int64_t max_connections, struct traffic **traffic_out, struct err *err);
void traffic_free(struct traffic *traffic);

/* The workers, once there are any. */
void traffic_pool_set(struct traffic *traffic, struct pool *pool);

/* A request for ROUTE (NULL: there is none) has its answer of STATUS, after DURATION_US. Any thread. */
void traffic_answered(struct traffic *traffic, const struct route *route, int status, int64_t duration_us);

void traffic_add(struct traffic *traffic, enum traffic_counter counter, int64_t n);

/* Append all of it. */
void traffic_write(struct traffic *traffic, struct buf *out);

#endif

/* The worker pool: blocking and CPU-bound work that must stay off the event loops. */
#ifndef MUSTER_BASE_POOL_H
#define MUSTER_BASE_POOL_H

#include "base/err.h"

#include <stdint.h>

struct pool;

/* Urgent work (revocation) overtakes normal work, and one thread takes nothing else, so that it
 * gets through however long the normal queue is. What comes last is what strangers can cause at will: it waits for all
 * other work, and has a quarter of the threads at most. */
enum pool_lane { POOL_URGENT, POOL_NORMAL, POOL_LAST, POOL_LANES };

typedef void pool_fn(void *arg);

/* Start THREADS (>= 2) workers with room for MAX_QUEUED waiting jobs a lane. E_NOMEM, E_SYS. */
MUST_CHECK int pool_new(
    unsigned threads, unsigned max_queued, struct pool **pool_out, struct err *err);

/* Finish what is queued, then end the threads. NULL is harmless. */
void pool_free(struct pool *pool);

/* Run FN(ARG) on a worker, soon. Any thread. E_BUSY when the lane is full; FN is then not called. */
MUST_CHECK int pool_submit(
    struct pool *pool, enum pool_lane lane, pool_fn *fn, void *arg, struct err *err);

/* How much there is to do. Any thread. */
struct pool_state {
	unsigned threads, busy;
	unsigned waiting[POOL_LANES], max_queued; /* of each lane */
	uint64_t refused;			  /* for want of room */
};
void pool_look(struct pool *pool, struct pool_state *out);

#endif

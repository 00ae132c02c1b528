/* Two bounded rings under one lock. The work is milliseconds long, so the lock is never the cost. */
#include "base/pool.h"
#include "base/thread.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct job {
	pool_fn *fn;
	void *arg;
	enum pool_lane lane;
};

struct lane {
	struct job *ring;
	unsigned first, count;
};

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t urgent, normal; /* the reserved worker waits on urgent, the others on normal */
	struct lane lanes[POOL_LANES];
	unsigned max_queued;
	bool closing;
	unsigned n_threads;
	unsigned n_started; /* also hands each worker its number */
	unsigned n_busy;
	uint64_t n_refused;
	unsigned n_last, max_last; /* workers that have a job of POOL_LAST, and may have */
	pthread_t threads[];
};

/* The next job for a worker that takes lanes up to LAST. Called with the lock held. */
static bool
take(struct pool *pool, enum pool_lane last, struct job *job_out)
{
	unsigned i;

	for (i = 0; i <= (unsigned)last; i++) {
		struct lane *lane = &pool->lanes[i];

		if (lane->count == 0 || (i == POOL_LAST && pool->n_last == pool->max_last))
			continue;
		pool->n_last += i == POOL_LAST;
		*job_out = lane->ring[lane->first];
		lane->first = (lane->first + 1) % pool->max_queued;
		lane->count--;
		return true;
	}
	return false;
}

static void *
work(void *arg)
{
	struct pool *pool = arg;
	enum pool_lane last;
	pthread_cond_t *cond;
	struct job job;

	(void)pthread_mutex_lock(&pool->lock);
	last = pool->n_started++ == 0 ? POOL_URGENT : POOL_LAST;
	cond = last == POOL_URGENT ? &pool->urgent : &pool->normal;
	for (;;) {
		if (take(pool, last, &job)) {
			pool->n_busy++;
			(void)pthread_mutex_unlock(&pool->lock);
			job.fn(job.arg);
			(void)pthread_mutex_lock(&pool->lock);
			pool->n_busy--;
			pool->n_last -= job.lane == POOL_LAST;
		} else if (pool->closing) {
			break;
		} else {
			(void)pthread_cond_wait(cond, &pool->lock);
		}
	}
	(void)pthread_mutex_unlock(&pool->lock);
	return NULL;
}

int
pool_new(unsigned threads, unsigned max_queued, struct pool **pool_out, struct err *err)
{
	struct pool *pool;
	unsigned i;
	int rc = 0;

	if (threads < 2 || max_queued < 1)
		return err_set(err, E_INPUT, "a pool needs two threads and room for one job");
	if ((pool = calloc(1, sizeof *pool + threads * sizeof pool->threads[0])) == NULL)
		return err_nomem(err);
	(void)pthread_mutex_init(&pool->lock, NULL);
	(void)pthread_cond_init(&pool->urgent, NULL);
	(void)pthread_cond_init(&pool->normal, NULL);
	pool->max_queued = max_queued;
	pool->max_last = threads < 8 ? 1 : threads / 4;
	for (i = 0; i < POOL_LANES; i++)
		if ((pool->lanes[i].ring = calloc(max_queued, sizeof(struct job))) == NULL)
			rc = err_nomem(err);
	for (i = 0; rc == 0 && i < threads; i++)
		if ((rc = thread_start(&pool->threads[i], work, pool, "a worker thread", err)) == 0)
			pool->n_threads++;
	if (rc == 0)
		*pool_out = pool;
	else
		pool_free(pool);
	return rc;
}

void
pool_free(struct pool *pool)
{
	unsigned i;

	if (pool == NULL)
		return;
	(void)pthread_mutex_lock(&pool->lock);
	pool->closing = true;
	(void)pthread_cond_broadcast(&pool->urgent);
	(void)pthread_cond_broadcast(&pool->normal);
	(void)pthread_mutex_unlock(&pool->lock);
	for (i = 0; i < pool->n_threads; i++)
		(void)pthread_join(pool->threads[i], NULL);
	for (i = 0; i < POOL_LANES; i++)
		free(pool->lanes[i].ring);
	(void)pthread_mutex_destroy(&pool->lock);
	(void)pthread_cond_destroy(&pool->urgent);
	(void)pthread_cond_destroy(&pool->normal);
	free(pool);
}

int
pool_submit(struct pool *pool, enum pool_lane lane, pool_fn *fn, void *arg, struct err *err)
{
	struct lane *l = &pool->lanes[lane];
	int rc = 0;

	(void)pthread_mutex_lock(&pool->lock);
	if (l->count == pool->max_queued || pool->closing) {
		pool->n_refused++;
		rc = err_set(err, E_BUSY, "too much work is waiting: try again in a moment");
	} else {
		l->ring[(l->first + l->count++) % pool->max_queued] = (struct job){fn, arg, lane};
		/* An urgent job may be taken by whoever is free first. */
		if (lane == POOL_URGENT)
			(void)pthread_cond_signal(&pool->urgent);
		(void)pthread_cond_signal(&pool->normal);
	}
	(void)pthread_mutex_unlock(&pool->lock);
	return rc;
}

void
pool_look(struct pool *pool, struct pool_state *out)
{
	unsigned i;

	(void)pthread_mutex_lock(&pool->lock);
	*out = (struct pool_state){
	    .threads = pool->n_threads, .busy = pool->n_busy, .max_queued = pool->max_queued, .refused = pool->n_refused};
	for (i = 0; i < POOL_LANES; i++)
		out->waiting[i] = pool->lanes[i].count;
	(void)pthread_mutex_unlock(&pool->lock);
}

/* Off every request's path. Deliveries that come close together share one checkpoint. */
#include "core/sweeper.h"

#include "base/log.h"
#include "base/thread.h"
#include "core/auditpoint.h"
#include "core/authfail.h"
#include "core/feed.h"
#include "core/login.h"
#include "core/operator.h"
#include "core/reconcile.h"
#include "core/refusals.h"
#include "core/retention.h"
#include "core/rotation.h"
#include "store/idempotency.h"
#include "store/job.h"
#include "store/package.h"
#include "store/store.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#define ROUND_S 10 /* seconds between looks for expired links */
#define BATCH 256  /* expired rows a transaction */

struct sweeper {
	struct core *core;
	pthread_t thread;
	bool started;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stopping;
	bool dirty; /* the log may hold an archive's bytes */
};

typedef int expire_fn(struct store_tx *tx, int64_t now, size_t max, size_t *n_out, struct err *err);

/* Have EXPIRE drop what has expired since KEEP_S ago; true if there was anything. */
static bool
sweep(struct sweeper *s, expire_fn *expire, int64_t keep_s, const char *what)
{
	struct store_tx *tx = NULL;
	struct err err = {0};
	size_t n = 0, total = 0;
	int rc;

	do {
		if ((rc = store_begin(s->core->store, &tx, &err)) == 0 &&
		    (rc = expire(tx, s->core->now() - keep_s, BATCH, &n, &err)) == 0)
			rc = store_commit(&tx, &err);
		store_rollback(&tx);
		total += n;
	} while (rc == 0 && n == BATCH);
	if (rc != 0)
		log_error("expired %s were not swept: %s", what, err.text);
	return total > 0;
}

/* False if a reader was in the way: then again in the next round. */
static bool
checkpoint(struct sweeper *s)
{
	struct err err = {0};
	int rc = store_checkpoint(s->core->store, &err);

	if (rc != 0 && rc != E_BUSY)
		log_error("the database's log was not emptied: %s", err.text);
	return rc == 0;
}

/* Sleep a second, or less when it is time to end. Called with the lock held. */
static void
sleep_a_second(struct sweeper *s)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += 1;
	while (!s->stopping && pthread_cond_timedwait(&s->wake, &s->lock, &until) == 0)
		continue;
}

/* A signer that is away is told of by those who need it. */
static void
settle(struct sweeper *s)
{
	struct err err = {0};
	int rc = reconcile_notes(s->core, &err);

	if (rc != 0 && rc != E_BUSY)
		log_error("revocations are not in the signer's log, trying again: %s", err.text);
	if ((rc = reconcile_suspects(s->core, &err)) != 0 && rc != E_BUSY)
		log_error("certificates whose answer was lost are not settled, trying again: %s", err.text);
}

static void
retire(struct sweeper *s)
{
	struct err err = {0};
	int rc = rotation_sweep(s->core, &err);

	if (rc != 0 && rc != E_BUSY)
		log_error("superseded certificates were not revoked, trying again: %s", err.text);
}

static void
prune(struct sweeper *s)
{
	struct err err = {0};

	if (feed_prune(s->core, &err) != 0)
		log_error("old changes of the feed were not pruned: %s", err.text);
	if (retention_sweep(s->core, &err) != 0)
		log_error("devices revoked long ago were not archived: %s", err.text);
}

static void *
sweeper_run(void *arg)
{
	struct sweeper *s = arg;
	unsigned second = 0;
	bool dirty;

	(void)pthread_mutex_lock(&s->lock);
	while (!s->stopping) {
		sleep_a_second(s);
		dirty = s->dirty;
		s->dirty = false;
		(void)pthread_mutex_unlock(&s->lock);
		settle(s);
		retire(s);
		authfail_flush(s->core, false);
		refusals_flush(s->core, false);
		operators_flush(s->core, false);
		logins_flush(s->core);
		auditpoint_flush(s->core, false);
		if (second++ % ROUND_S == 0) {
			dirty = sweep(s, store_package_expire, 0, "packages") || dirty;
			(void)sweep(s, store_idempotency_expire, 0, "idempotency keys");
			(void)sweep(s, store_job_expire, core_config(s->core)->settings.jobs_keep_s, "jobs");
			prune(s);
		}
		if (dirty)
			dirty = !checkpoint(s);
		(void)pthread_mutex_lock(&s->lock);
		s->dirty = s->dirty || dirty;
	}
	(void)pthread_mutex_unlock(&s->lock);
	return NULL;
}

int
sweeper_start(struct core *core, struct sweeper **sweeper_out, struct err *err)
{
	struct sweeper *s = calloc(1, sizeof *s);
	int rc;

	if (s == NULL)
		return err_nomem(err);
	s->core = core;
	s->dirty = true; /* a crash may have left something */
	(void)pthread_mutex_init(&s->lock, NULL);
	thread_cond_init(&s->wake);
	rc = thread_start(&s->thread, sweeper_run, s, "the sweeper's thread", err);
	s->started = rc == 0;
	if (rc == 0)
		*sweeper_out = s;
	else
		sweeper_stop(s);
	return rc;
}

void
sweeper_stop(struct sweeper *s)
{
	if (s == NULL)
		return;
	(void)pthread_mutex_lock(&s->lock);
	s->stopping = true;
	(void)pthread_cond_broadcast(&s->wake);
	(void)pthread_mutex_unlock(&s->lock);
	if (s->started)
		(void)pthread_join(s->thread, NULL);
	(void)pthread_mutex_destroy(&s->lock);
	(void)pthread_cond_destroy(&s->wake);
	free(s);
}

void
sweeper_wake(struct sweeper *s)
{
	(void)pthread_mutex_lock(&s->lock);
	s->dirty = true;
	(void)pthread_mutex_unlock(&s->lock);
}

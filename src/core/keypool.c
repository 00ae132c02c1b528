/* One thread and a stack of keys. It runs at nice 19 and as a batch job rather than as SCHED_IDLE:
 * while it makes a key it now and then holds the lock of the locked heap, and at SCHED_IDLE a busy
 * machine could keep it from giving that back for a second, during which nobody else gets at a
 * secret. */
#include "core/keypool.h"

#include "base/thread.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define RETRY_S 1 /* after a key could not be made */

struct keypool {
	pthread_mutex_t lock;
	pthread_cond_t wake; /* a key was taken, or closing */
	pthread_t thread;
	atomic_bool closing; /* also read without the lock, by a generation under way */
	size_t want, count;
	struct key *ready[];
};

/* Best effort: a sandbox may forbid it, and keys made at the usual priority are still keys. */
static void
lower_priority(void)
{
	const struct sched_param none = {0};

	(void)sched_setscheduler(0, SCHED_BATCH, &none); /* on Linux, of this thread only */
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), 19);
}

/* Wait RETRY_S or until woken. Called with the lock held. */
static void
wait_before_retry(struct keypool *pool)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += RETRY_S;
	(void)pthread_cond_timedwait(&pool->wake, &pool->lock, &until);
}

static void *
fill(void *arg)
{
	struct keypool *pool = arg;
	struct key *key;
	int rc;

	lower_priority();
	(void)pthread_mutex_lock(&pool->lock);
	while (!pool->closing) {
		if (pool->count == pool->want) {
			(void)pthread_cond_wait(&pool->wake, &pool->lock);
			continue;
		}
		(void)pthread_mutex_unlock(&pool->lock);
		rc = key_generate_unless(&pool->closing, KEY_RSA_2048, &key, NULL);
		(void)pthread_mutex_lock(&pool->lock);
		if (rc == 0)
			pool->ready[pool->count++] = key;
		else if (!pool->closing)
			wait_before_retry(pool);
	}
	(void)pthread_mutex_unlock(&pool->lock);
	return NULL;
}

static void
release(struct keypool *pool)
{
	while (pool->count > 0)
		key_free(pool->ready[--pool->count]);
	(void)pthread_mutex_destroy(&pool->lock);
	(void)pthread_cond_destroy(&pool->wake);
	free(pool);
}

int
keypool_new(size_t want, struct keypool **pool_out, struct err *err)
{
	struct keypool *pool;
	int rc;

	if (want > KEYPOOL_MAX)
		return err_set(err, E_LIMIT, "a pool has at most %d keys", KEYPOOL_MAX);
	if ((pool = calloc(1, sizeof *pool + want * sizeof(struct key *))) == NULL)
		return err_nomem(err);
	pool->want = want;
	(void)pthread_mutex_init(&pool->lock, NULL);
	thread_cond_init(&pool->wake);
	if ((rc = thread_start(&pool->thread, fill, pool, "the thread that makes keys", err)) != 0)
		release(pool);
	else
		*pool_out = pool;
	return rc;
}

bool
keypool_take(struct keypool *pool, struct key **key_out)
{
	bool taken;

	(void)pthread_mutex_lock(&pool->lock);
	if ((taken = pool->count > 0)) {
		*key_out = pool->ready[--pool->count];
		(void)pthread_cond_signal(&pool->wake);
	}
	(void)pthread_mutex_unlock(&pool->lock);
	return taken;
}

void
keypool_look(struct keypool *pool, size_t *ready_out, size_t *wanted_out)
{
	(void)pthread_mutex_lock(&pool->lock);
	*ready_out = pool->count;
	*wanted_out = pool->want;
	(void)pthread_mutex_unlock(&pool->lock);
}

void
keypool_free(struct keypool *pool)
{
	if (pool == NULL)
		return;
	(void)pthread_mutex_lock(&pool->lock);
	pool->closing = true;
	(void)pthread_cond_signal(&pool->wake);
	(void)pthread_mutex_unlock(&pool->lock);
	(void)pthread_join(pool->thread, NULL);
	release(pool);
}

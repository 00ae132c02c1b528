/* Buckets are kept in millitokens, so that refilling is exact in integers. A client that is not in the table has a full
 * bucket; when the table is full, the one that came first goes, which at worst forgives it a minute. */
#include "core/ratelimit.h"

#include "base/text.h"

#include <pthread.h>
#include <stdlib.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define TOKEN 60000 /* millitokens; per_min of them return each millisecond */

struct bucket {
	char client[RATELIMIT_KEY_SIZE];
	int64_t tokens, at_ms;
	UT_hash_handle hh;
};

struct ratelimit {
	pthread_mutex_t lock;
	int64_t per_min;
	struct bucket *buckets;
};

int
ratelimit_new(int64_t per_min, struct ratelimit **limit_out, struct err *err)
{
	struct ratelimit *limit = calloc(1, sizeof *limit);

	if (limit == NULL)
		return err_nomem(err);
	(void)pthread_mutex_init(&limit->lock, NULL);
	limit->per_min = per_min;
	*limit_out = limit;
	return 0;
}

void
ratelimit_free(struct ratelimit *limit)
{
	struct bucket *b, *next;

	if (limit == NULL)
		return;
	HASH_ITER(hh, limit->buckets, b, next) {
		HASH_DEL(limit->buckets, b);
		free(b);
	}
	(void)pthread_mutex_destroy(&limit->lock);
	free(limit);
}

/* CLIENT's bucket, refilled; NULL if out of memory. */
static struct bucket *
bucket_of(struct ratelimit *limit, const char *client, int64_t now_ms)
{
	int64_t full = limit->per_min * TOKEN;
	struct bucket *b, *oldest;

	HASH_FIND_STR(limit->buckets, client, b);
	if (b == NULL) {
		if (HASH_COUNT(limit->buckets) >= RATELIMIT_CLIENTS_MAX) {
			oldest = limit->buckets;
			HASH_DEL(limit->buckets, oldest);
			free(oldest);
		}
		if ((b = calloc(1, sizeof *b)) == NULL)
			return NULL;
		(void)text_copy(b->client, sizeof b->client, client);
		b->tokens = full;
		b->at_ms = now_ms;
		HASH_ADD_STR(limit->buckets, client, b);
		if (b->hh.tbl == NULL) {
			free(b);
			return NULL;
		}
	}
	b->tokens += (now_ms - b->at_ms) * limit->per_min;
	b->at_ms = now_ms;
	if (b->tokens > full)
		b->tokens = full;
	return b;
}

static int
ask(struct ratelimit *limit, const char *client, int64_t now_ms, int64_t cost, struct err *err)
{
	struct bucket *b;
	int64_t lacking;
	int rc = 0;

	if (limit->per_min == 0)
		return 0;
	(void)pthread_mutex_lock(&limit->lock);
	if ((b = bucket_of(limit, client, now_ms)) == NULL) {
		rc = err_nomem(err);
	} else if ((lacking = TOKEN - b->tokens) > 0) {
		rc = err_too_often(err, (int)(lacking / (limit->per_min * 1000) + 1),
		    "more than %lld a minute; try again later", (long long)limit->per_min);
	} else {
		b->tokens -= cost;
	}
	(void)pthread_mutex_unlock(&limit->lock);
	return rc;
}

int
ratelimit_take(struct ratelimit *limit, const char *client, int64_t now_ms, struct err *err)
{
	return ask(limit, client, now_ms, TOKEN, err);
}

int
ratelimit_look(struct ratelimit *limit, const char *client, int64_t now_ms, struct err *err)
{
	return ask(limit, client, now_ms, 0, err);
}

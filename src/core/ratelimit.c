/* Buckets are kept in millitokens, so that refilling is exact in integers. A client that is not in the table has a full
 * bucket; when the table is full, the one that came first goes, which at worst forgives it a minute. */
#include "core/ratelimit.h"

#include "base/text.h"

#include <pthread.h>
#include <stdlib.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define MINUTE_MS 60000
#define TOKEN MINUTE_MS /* millitokens; per_min of them return each millisecond */

struct bucket {
	char client[ADDRESS_TEXT_SIZE];
	int64_t tokens, at_ms;
	UT_hash_handle hh;
};

struct ratelimit {
	pthread_mutex_t lock;
	int64_t per_min, all_per_min;
	struct bucket *buckets;
	struct bucket all; /* in no table */
	uint64_t refused;
	int64_t refused_ms;
};

int
ratelimit_new(int64_t per_min, int64_t all_per_min, struct ratelimit **limit_out, struct err *err)
{
	struct ratelimit *limit = calloc(1, sizeof *limit);

	if (limit == NULL)
		return err_nomem(err);
	(void)pthread_mutex_init(&limit->lock, NULL);
	limit->per_min = per_min;
	limit->all_per_min = all_per_min;
	limit->all.tokens = all_per_min * TOKEN;
	*limit_out = limit;
	return 0;
}

void
ratelimit_set(struct ratelimit *limit, int64_t per_min, int64_t all_per_min)
{
	(void)pthread_mutex_lock(&limit->lock);
	limit->per_min = per_min;
	if (limit->all_per_min != all_per_min)
		limit->all.tokens = all_per_min * TOKEN;
	limit->all_per_min = all_per_min;
	(void)pthread_mutex_unlock(&limit->lock);
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

/* CLIENT's bucket; a new one is full. NULL if out of memory. */
static struct bucket *
bucket_of(struct ratelimit *limit, const char *client, int64_t now_ms)
{
	struct bucket *b, *oldest;

	HASH_FIND_STR(limit->buckets, client, b);
	if (b != NULL)
		return b;
	if (HASH_COUNT(limit->buckets) >= RATELIMIT_CLIENTS_MAX) {
		oldest = limit->buckets;
		HASH_DEL(limit->buckets, oldest);
		free(oldest);
	}
	if ((b = calloc(1, sizeof *b)) == NULL)
		return NULL;
	(void)text_copy(b->client, sizeof b->client, client);
	b->tokens = limit->per_min * TOKEN;
	b->at_ms = now_ms;
	HASH_ADD_STR(limit->buckets, client, b);
	if (b->hh.tbl == NULL) {
		free(b);
		return NULL;
	}
	return b;
}

/* Refill B for the time that has passed, and take COST out if there is a token. WHOSE is for the text. */
static int
bucket_ask(struct bucket *b, int64_t per_min, int64_t now_ms, int64_t cost, const char *whose, struct err *err)
{
	int64_t full = per_min * TOKEN, elapsed_ms = now_ms - b->at_ms, lacking;

	if (elapsed_ms >= MINUTE_MS)
		b->tokens = full;
	else if (elapsed_ms > 0) /* a thread that was held up brings an older time */
		b->tokens += elapsed_ms * per_min;
	if (elapsed_ms > 0)
		b->at_ms = now_ms;
	if (b->tokens > full)
		b->tokens = full;
	if ((lacking = TOKEN - b->tokens) > 0)
		return err_too_often(err, (int)(lacking / (per_min * 1000) + 1),
		    "more than %lld a minute from %s; try again later", (long long)per_min, whose);
	b->tokens -= cost;
	return 0;
}

static int
ask(struct ratelimit *limit, const char *address, bool with_all, int64_t now_ms, int64_t cost, struct err *err)
{
	char client[ADDRESS_TEXT_SIZE];
	struct bucket *b;
	int rc = 0;

	address_client(client, address);
	(void)pthread_mutex_lock(&limit->lock);
	if (limit->per_min > 0) {
		b = bucket_of(limit, client, now_ms);
		rc = b == NULL ? err_nomem(err) :
				 bucket_ask(b, limit->per_min, now_ms, cost, "one address", err);
	}
	if (rc == 0 && with_all && limit->all_per_min > 0)
		rc = bucket_ask(&limit->all, limit->all_per_min, now_ms, cost, "all together", err);
	if (rc == E_LIMIT) {
		limit->refused++;
		limit->refused_ms = now_ms;
	}
	(void)pthread_mutex_unlock(&limit->lock);
	return rc;
}

int
ratelimit_take(struct ratelimit *limit, const char *address, int64_t now_ms, struct err *err)
{
	return ask(limit, address, true, now_ms, TOKEN, err);
}

int
ratelimit_look(struct ratelimit *limit, const char *address, bool with_all, int64_t now_ms, struct err *err)
{
	return ask(limit, address, with_all, now_ms, 0, err);
}

void
ratelimit_state(struct ratelimit *limit, struct ratelimit_state *out)
{
	(void)pthread_mutex_lock(&limit->lock);
	out->per_min = limit->per_min;
	out->all_per_min = limit->all_per_min;
	out->refused = limit->refused;
	out->refused_ms = limit->refused_ms;
	(void)pthread_mutex_unlock(&limit->lock);
}

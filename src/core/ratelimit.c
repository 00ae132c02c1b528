/* Buckets are kept in millitokens, so that refilling is exact in integers. Who is not in the table has a full bucket; when
 * the table is full, the one that came first goes, which at worst forgives it a minute. An action is looked at in all its
 * own buckets before it counts in any; none is held meanwhile, for making one may push out another. */
#include "core/ratelimit.h"

#include "base/text.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define MINUTE_MS 60000
#define TOKEN MINUTE_MS /* millitokens; per_min of them return each millisecond */

struct bucket {
	char key[RATELIMIT_KEY_SIZE]; /* the scope as a digit, then whose it is */
	int64_t tokens, at_ms;
	UT_hash_handle hh;
};

struct ratelimit {
	const char *name;
	atomic_bool is_on; /* is there any limit? */
	pthread_mutex_t lock;
	struct ratelimit_rates rates;
	struct bucket *buckets;
	struct bucket all; /* in no table */
	uint64_t refused;
	int64_t refused_ms;
};

static const struct {
	const char *name, *whose;
} scopes[RATELIMIT_SCOPES] = {
    [RATELIMIT_ADDRESS] = {"address", "one address"},
    [RATELIMIT_OPERATOR] = {"operator", "one operator"},
    [RATELIMIT_TENANT] = {"tenant", "one tenant"},
    [RATELIMIT_TOKEN] = {"token", "one enrolment token"},
    [RATELIMIT_DEVICE] = {"device", "one device"},
    [RATELIMIT_ALL] = {"all", "all together"},
};

int
ratelimit_new(const char *name, const struct ratelimit_rates *rates, struct ratelimit **limit_out, struct err *err)
{
	struct ratelimit *limit = calloc(1, sizeof *limit);

	if (limit == NULL)
		return err_nomem(err);
	(void)pthread_mutex_init(&limit->lock, NULL);
	limit->name = name;
	ratelimit_set(limit, rates);
	*limit_out = limit;
	return 0;
}

void
ratelimit_set(struct ratelimit *limit, const struct ratelimit_rates *rates)
{
	bool is_on = false;
	size_t i;

	for (i = 0; i < RATELIMIT_SCOPES; i++)
		is_on = is_on || rates->per_min[i] > 0;
	(void)pthread_mutex_lock(&limit->lock);
	if (limit->rates.per_min[RATELIMIT_ALL] != rates->per_min[RATELIMIT_ALL])
		limit->all.tokens = rates->per_min[RATELIMIT_ALL] * TOKEN;
	limit->rates = *rates;
	(void)pthread_mutex_unlock(&limit->lock);
	atomic_store_explicit(&limit->is_on, is_on, memory_order_relaxed);
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

/* The bucket of KEY, refilled for the time that has passed; NULL if it is not there, and so is full. */
static struct bucket *
bucket_find(struct ratelimit *limit, enum ratelimit_scope scope, const char *key, int64_t now_ms)
{
	int64_t per_min = limit->rates.per_min[scope], elapsed_ms;
	struct bucket *b = &limit->all;

	if (scope != RATELIMIT_ALL)
		HASH_FIND_STR(limit->buckets, key, b);
	if (b == NULL)
		return NULL;
	elapsed_ms = now_ms - b->at_ms;
	if (elapsed_ms >= MINUTE_MS)
		b->tokens = per_min * TOKEN;
	else if (elapsed_ms > 0) /* a thread that was held up brings an older time */
		b->tokens += elapsed_ms * per_min;
	if (elapsed_ms > 0)
		b->at_ms = now_ms;
	if (b->tokens > per_min * TOKEN)
		b->tokens = per_min * TOKEN;
	return b;
}

/* A new one, full. NULL if out of memory. */
static struct bucket *
bucket_add(struct ratelimit *limit, enum ratelimit_scope scope, const char *key, int64_t now_ms)
{
	struct bucket *b, *oldest;

	if (HASH_COUNT(limit->buckets) >= RATELIMIT_BUCKETS_MAX) {
		oldest = limit->buckets;
		HASH_DEL(limit->buckets, oldest);
		free(oldest);
	}
	if ((b = calloc(1, sizeof *b)) == NULL)
		return NULL;
	(void)text_copy(b->key, sizeof b->key, key);
	b->tokens = limit->rates.per_min[scope] * TOKEN;
	b->at_ms = now_ms;
	HASH_ADD_STR(limit->buckets, key, b);
	if (b->hh.tbl == NULL) {
		free(b);
		return NULL;
	}
	return b;
}

/* The keys of WHO's buckets, "" where nothing is limited. */
static void
keys_make(
    const struct ratelimit *limit, const struct ratelimit_who *who, bool with_all, char keys[RATELIMIT_SCOPES][RATELIMIT_KEY_SIZE])
{
	char client[ADDRESS_TEXT_SIZE];
	int i;

	for (i = 0; i < RATELIMIT_ALL; i++) {
		const char *key = who->key[i];

		keys[i][0] = '\0';
		if (key == NULL || limit->rates.per_min[i] == 0)
			continue;
		if (i == RATELIMIT_ADDRESS) {
			address_client(client, key);
			key = client;
		}
		(void)snprintf(keys[i], RATELIMIT_KEY_SIZE, "%d%s", i, key);
	}
	(void)text_copy(
	    keys[RATELIMIT_ALL], RATELIMIT_KEY_SIZE, with_all && limit->rates.per_min[RATELIMIT_ALL] > 0 ? "all" : "");
}

/* Until a bucket of PER_MIN with TOKENS has WANTED, in seconds, rounded up. */
static int64_t
seconds_until(int64_t wanted, int64_t tokens, int64_t per_min)
{
	return (wanted - tokens + per_min * 1000 - 1) / (per_min * 1000);
}

static void
report_add(struct ratelimit_report *report, const struct ratelimit *limit, enum ratelimit_scope scope, int64_t tokens)
{
	int64_t left = tokens / TOKEN, per_min = limit->rates.per_min[scope];

	if (report == NULL || scope == RATELIMIT_ALL || report->n == RATELIMIT_QUOTAS_MAX)
		return;
	report->quotas[report->n++] = (struct ratelimit_quota){
	    limit->name, scopes[scope].name, per_min, left, left < per_min ? seconds_until((left + 1) * TOKEN, tokens, per_min) : 0};
}

/* Is there a token in each from FIRST to LAST? */
static int
each_has(struct ratelimit *limit, char keys[RATELIMIT_SCOPES][RATELIMIT_KEY_SIZE], int first, int last, int64_t now_ms,
    struct ratelimit_report *report, struct err *err)
{
	int i, rc = 0;

	for (i = first; i <= last; i++) {
		const struct bucket *b = keys[i][0] != '\0' ? bucket_find(limit, (enum ratelimit_scope)i, keys[i], now_ms) : NULL;
		int64_t per_min = limit->rates.per_min[i];

		if (b == NULL || b->tokens >= TOKEN)
			continue;
		report_add(report, limit, (enum ratelimit_scope)i, b->tokens);
		rc = err_too_often(err, (int)seconds_until(TOKEN, b->tokens, per_min),
		    "more than %lld a minute from %s; try again later", (long long)per_min, scopes[i].whose);
	}
	return rc;
}

static int
each_take(struct ratelimit *limit, char keys[RATELIMIT_SCOPES][RATELIMIT_KEY_SIZE], int first, int last, int64_t now_ms,
    struct ratelimit_report *report, struct err *err)
{
	struct bucket *b;
	int i;

	for (i = first; i <= last; i++) {
		if (keys[i][0] == '\0')
			continue;
		if ((b = bucket_find(limit, (enum ratelimit_scope)i, keys[i], now_ms)) == NULL &&
		    (b = bucket_add(limit, (enum ratelimit_scope)i, keys[i], now_ms)) == NULL)
			return err_nomem(err);
		b->tokens -= TOKEN;
		report_add(report, limit, (enum ratelimit_scope)i, b->tokens);
	}
	return 0;
}

static int
ask(struct ratelimit *limit, const struct ratelimit_who *who, bool with_all, bool must_take, int64_t now_ms,
    struct ratelimit_report *report, struct err *err)
{
	char keys[RATELIMIT_SCOPES][RATELIMIT_KEY_SIZE];
	int i, rc = 0;

	if (!atomic_load_explicit(&limit->is_on, memory_order_relaxed))
		return 0;
	(void)pthread_mutex_lock(&limit->lock);
	keys_make(limit, who, with_all, keys);
	for (i = 0; rc == 0 && i < 2; i++) {
		int first = i == 0 ? 0 : RATELIMIT_ALL, last = i == 0 ? RATELIMIT_ALL - 1 : RATELIMIT_ALL;

		if ((rc = each_has(limit, keys, first, last, now_ms, report, err)) == 0 && must_take)
			rc = each_take(limit, keys, first, last, now_ms, report, err);
	}
	if (rc == E_LIMIT) {
		limit->refused++;
		limit->refused_ms = now_ms;
	}
	(void)pthread_mutex_unlock(&limit->lock);
	return rc;
}

int
ratelimit_take(struct ratelimit *limit, const struct ratelimit_who *who, int64_t now_ms, struct ratelimit_report *report,
    struct err *err)
{
	return ask(limit, who, true, true, now_ms, report, err);
}

int
ratelimit_look(struct ratelimit *limit, const struct ratelimit_who *who, bool with_all, int64_t now_ms, struct err *err)
{
	return ask(limit, who, with_all, false, now_ms, NULL, err);
}

void
ratelimit_state(struct ratelimit *limit, struct ratelimit_state *out)
{
	(void)pthread_mutex_lock(&limit->lock);
	out->rates = limit->rates;
	out->refused = limit->refused;
	out->refused_ms = limit->refused_ms;
	(void)pthread_mutex_unlock(&limit->lock);
}

/* In memory: a restart tells of everybody once more. Nothing is written on a request's path. */
#include "core/login.h"

#include "base/address.h"
#include "base/log.h"
#include "base/text.h"
#include "core/audit.h"
#include "store/store.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct pair {
	uint64_t hash; /* of who and from where; 0: free */
	int64_t tenant_id;
	char who[CALLER_WHO_SIZE];
	char client[ADDRESS_TEXT_SIZE];
	const char *via;
	int64_t seen, told; /* seconds */
	bool must_tell;
};

struct logins {
	pthread_mutex_t lock;
	struct pair pairs[LOGIN_PAIRS_MAX];
	uint64_t n_others; /* that will get no row of their own */
	int64_t minute;
	int n_rows; /* in it; of the flushing thread alone */
};

int
logins_new(struct logins **out, struct err *err)
{
	struct logins *l = calloc(1, sizeof *l);

	if (l == NULL)
		return err_nomem(err);
	(void)pthread_mutex_init(&l->lock, NULL);
	*out = l;
	return 0;
}

void
logins_free(struct logins *l)
{
	if (l == NULL)
		return;
	(void)pthread_mutex_destroy(&l->lock);
	free(l);
}

static uint64_t
hash_add(uint64_t hash, const char *text)
{
	for (; *text != '\0'; text++)
		hash = (hash ^ (uint8_t)*text) * 1099511628211ULL;
	return (hash ^ 0xff) * 1099511628211ULL;
}

/* The pair's place, or that of the one which has been silent longest. With the lock held. */
static struct pair *
pair_find(struct logins *l, uint64_t hash, const char *who, const char *client)
{
	struct pair *oldest = &l->pairs[0];
	size_t i;

	for (i = 0; i < LOGIN_PAIRS_MAX; i++) {
		struct pair *p = &l->pairs[i];

		if (p->hash == hash && strcmp(p->who, who) == 0 && strcmp(p->client, client) == 0)
			return p;
		if (p->hash == 0 || p->seen < oldest->seen)
			oldest = p;
		if (p->hash == 0)
			break;
	}
	l->n_others += oldest->must_tell;
	*oldest = (struct pair){.hash = hash};
	(void)text_copy(oldest->who, sizeof oldest->who, who);
	(void)text_copy(oldest->client, sizeof oldest->client, client);
	return oldest;
}

void
login_note(struct core *core, const struct caller *caller, const char *peer, const char *via)
{
	struct logins *l = core->logins;
	char client[ADDRESS_TEXT_SIZE];
	int64_t now = core->now();
	struct pair *p;
	uint64_t hash;

	address_client(client, peer);
	hash = hash_add(hash_add(14695981039346656037ULL, caller->who), client) | 1;
	(void)pthread_mutex_lock(&l->lock);
	p = pair_find(l, hash, caller->who, client);
	if (p->seen == 0 || llabs(now - p->seen) > LOGIN_IDLE_S || llabs(now - p->told) >= LOGIN_AGAIN_S) {
		p->must_tell = true;
		p->told = now;
	}
	p->seen = now;
	p->via = via;
	p->tenant_id = caller->tenant_id;
	(void)pthread_mutex_unlock(&l->lock);
}

/* The next pair that a row is due for, from *AT on. */
static bool
due_next(struct logins *l, size_t *at, struct pair *out)
{
	bool found = false;

	(void)pthread_mutex_lock(&l->lock);
	for (; !found && *at < LOGIN_PAIRS_MAX; (*at)++)
		if (l->pairs[*at].must_tell) {
			*out = l->pairs[*at];
			l->pairs[*at].must_tell = false;
			found = true;
		}
	(void)pthread_mutex_unlock(&l->lock);
	return found;
}

static uint64_t
others_take(struct logins *l, bool is_over)
{
	uint64_t n = 0;

	(void)pthread_mutex_lock(&l->lock);
	if (is_over) {
		n = l->n_others;
		l->n_others = 0;
	}
	(void)pthread_mutex_unlock(&l->lock);
	return n;
}

static int
row_write(struct core *core, struct store_tx **tx, const struct pair *p, struct err *err)
{
	struct caller caller = {.tenant_id = p->tenant_id};
	int rc;

	if (*tx == NULL && (rc = store_begin(core->store, tx, err)) != 0)
		return rc;
	(void)text_copy(caller.who, sizeof caller.who, p->who);
	return audit_write(*tx, &caller, core->now(), "authentication.success", "address", p->client, err, "{\"via\":\"%s\"}",
	    p->via);
}

static int
others_write(struct core *core, struct store_tx **tx, uint64_t n, struct err *err)
{
	const struct caller nobody = {.tenant_id = STORE_TENANT_DEFAULT, .who = "nobody"};
	int rc;

	if (*tx == NULL && (rc = store_begin(core->store, tx, err)) != 0)
		return rc;
	return audit_write(*tx, &nobody, core->now(), "authentication.successes", "address", "others", err, "{\"count\":%llu}",
	    (unsigned long long)n);
}

void
logins_flush(struct core *core)
{
	struct logins *l = core->logins;
	int64_t minute = core->now() / 60;
	bool is_over = minute != l->minute;
	struct store_tx *tx = NULL;
	uint64_t n, n_beyond = 0;
	struct err err = {0};
	struct pair pair;
	size_t at = 0;
	int rc = 0;

	if (is_over)
		l->n_rows = 0;
	l->minute = minute;
	if ((n = others_take(l, is_over)) > 0)
		rc = others_write(core, &tx, n, &err);
	while (rc == 0 && due_next(l, &at, &pair))
		if (l->n_rows >= LOGIN_ROWS_PER_MIN) {
			n_beyond++;
		} else {
			l->n_rows++;
			rc = row_write(core, &tx, &pair, &err);
		}
	if (rc == 0 && tx != NULL)
		rc = store_commit(&tx, &err);
	store_rollback(&tx);
	(void)pthread_mutex_lock(&l->lock);
	l->n_others += n_beyond;
	(void)pthread_mutex_unlock(&l->lock);
	if (rc != 0)
		log_error("who came in was not audited: %s", err.text);
}

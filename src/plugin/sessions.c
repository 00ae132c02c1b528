/* A session is in two tables: by pointer, and with its owner. The doomed are a list, so that
 * thousands of them need not be kicked in one TICK. Nobody is ever doomed but who is in here, so
 * that nothing is kicked by a wrong name. */
#include "plugin/sessions.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <utlist.h>

struct owner;

struct session {
	const void *client;
	struct owner *owner;
	int64_t not_after;
	uint8_t sha256[SHA256_LEN];
	enum verdict why;	     /* not VERDICT_ALLOWED: doomed */
	struct session *prev, *next; /* of one owner */
	struct session *prev_doomed, *next_doomed;
	UT_hash_handle hh;
	char client_id[];
};

struct owner {
	uint8_t id[UUID_BYTES];
	struct session *sessions;
	UT_hash_handle hh;
};

struct sessions {
	struct session *by_client, *doomed;
	struct owner *by_id;
};

int
sessions_new(struct sessions **out, struct err *err)
{
	struct sessions *s = calloc(1, sizeof *s);

	if (s == NULL)
		return err_nomem(err);
	*out = s;
	return 0;
}

static void
session_free(struct sessions *s, struct session *x)
{
	struct owner *o = x->owner;

	if (x->why != VERDICT_ALLOWED)
		DL_DELETE2(s->doomed, x, prev_doomed, next_doomed);
	HASH_DEL(s->by_client, x);
	DL_DELETE(o->sessions, x);
	if (o->sessions == NULL) {
		HASH_DEL(s->by_id, o);
		free(o);
	}
	free(x);
}

void
sessions_free(struct sessions *s)
{
	struct session *x, *next;

	if (s == NULL)
		return;
	HASH_ITER (hh, s->by_client, x, next)
		session_free(s, x);
	free(s);
}

static struct owner *
owner_get(struct sessions *s, const uint8_t *id)
{
	struct owner *o;

	HASH_FIND(hh, s->by_id, id, UUID_BYTES, o);
	if (o != NULL || (o = calloc(1, sizeof *o)) == NULL)
		return o;
	memcpy(o->id, id, UUID_BYTES);
	HASH_ADD(hh, s->by_id, id, UUID_BYTES, o);
	if (o->hh.tbl == NULL) {
		free(o);
		return NULL;
	}
	return o;
}

int
sessions_add(struct sessions *s, const void *client, const char *client_id, const struct peer *peer,
    int64_t not_after, struct err *err)
{
	size_t len = strlen(client_id);
	struct session *x = calloc(1, sizeof *x + len + 1);

	sessions_remove(s, client);
	if (x == NULL)
		return err_nomem(err);
	x->client = client;
	x->not_after = not_after;
	memcpy(x->sha256, peer->sha256, SHA256_LEN);
	memcpy(x->client_id, client_id, len + 1);
	HASH_ADD_PTR(s->by_client, client, x);
	if (x->hh.tbl == NULL) {
		free(x);
		return err_nomem(err);
	}
	if ((x->owner = owner_get(s, peer->id)) == NULL) {
		HASH_DEL(s->by_client, x);
		free(x);
		return err_nomem(err);
	}
	DL_APPEND(x->owner->sessions, x);
	return 0;
}

void
sessions_remove(struct sessions *s, const void *client)
{
	struct session *x;

	HASH_FIND_PTR(s->by_client, &client, x);
	if (x != NULL)
		session_free(s, x);
}

const uint8_t *
sessions_owner(const struct sessions *s, const void *client)
{
	struct session *x;

	HASH_FIND_PTR(s->by_client, &client, x);
	return x != NULL ? x->owner->id : NULL;
}

size_t
sessions_count(const struct sessions *s, const uint8_t id[UUID_BYTES], const char *client_id)
{
	const struct session *x;
	struct owner *o;
	size_t n = 0;

	HASH_FIND(hh, s->by_id, id, UUID_BYTES, o);
	if (o == NULL)
		return 0;
	DL_FOREACH(o->sessions, x)
	n += strcmp(x->client_id, client_id) != 0;
	return n;
}

size_t
sessions_total(const struct sessions *s)
{
	return HASH_COUNT(s->by_client);
}

static void
doom(struct sessions *s, struct session *x, enum verdict why)
{
	if (why == VERDICT_ALLOWED || x->why != VERDICT_ALLOWED)
		return;
	x->why = why;
	DL_APPEND2(s->doomed, x, prev_doomed, next_doomed);
}

/* A client id counts once, as in sessions_count. */
static bool
is_first(const struct owner *o, const struct session *x)
{
	const struct session *y = o->sessions;

	while (y != x && strcmp(y->client_id, x->client_id) != 0)
		y = y->next;
	return y == x;
}

static void
owner_check(struct sessions *s, const struct table *t, const struct owner *o)
{
	int64_t n = 0, most = 0;
	enum verdict verdict;
	struct session *x;

	for (x = o->sessions; x != NULL; x = x->next) {
		verdict = verdict_session(t, o->id, x->sha256, x->client_id, &most);
		if (verdict == VERDICT_ALLOWED && x->why == VERDICT_ALLOWED && is_first(o, x) &&
		    ++n > most)
			verdict = VERDICT_SESSIONS;
		doom(s, x, verdict);
	}
}

void
sessions_check(struct sessions *s, const struct table *t, const uint8_t id[UUID_BYTES])
{
	struct owner *o;

	HASH_FIND(hh, s->by_id, id, UUID_BYTES, o);
	if (o != NULL)
		owner_check(s, t, o);
}

void
sessions_check_all(struct sessions *s, const struct table *t)
{
	const struct owner *o;

	for (o = s->by_id; o != NULL; o = o->hh.next)
		owner_check(s, t, o);
}

void
sessions_expire(struct sessions *s, int64_t now)
{
	struct session *x;

	for (x = s->by_client; x != NULL; x = x->hh.next)
		if (x->not_after <= now)
			doom(s, x, VERDICT_EXPIRED);
}

void
sessions_kick(struct sessions *s, size_t max, sessions_kick_fn *kick, void *ctx)
{
	const void *client;
	char *client_id;

	for (; s->doomed != NULL && max > 0; max--) {
		client = s->doomed->client;
		/* A copy, for what KICK does may free the session. Without memory: at the next
		 * TICK. */
		if ((client_id = strdup(s->doomed->client_id)) == NULL)
			return;
		kick(ctx, client_id, s->doomed->why);
		free(client_id);
		sessions_remove(s, client);
	}
}

/* Two lists in order of use: what was asked for once is on trial, what was asked for again is trusted. Only the trial's
 * end is dropped for what is new, and that has a fifth of the room, so a flood of serials that are asked for once
 * pushes out only its own.
 *
 * A change must win over an answer that is being signed meanwhile: each serial belongs to one of a few counters, which
 * forgetting moves on; an answer is kept only if its counter is where it was before the status was looked up. */
#include "core/ocspcache.h"

#include "base/secret.h"
#include "base/text.h"
#include "signer/issuers.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define COUNTERS 4096 /* a power of two */
#define TRIAL_PART 5  /* of the room */

struct entry {
	struct ocspcache_key key;
	UT_hash_handle hh;
	TAILQ_ENTRY(entry) order;
	bool is_trusted;
	bool was_old; /* and that was told */
	int64_t this_update, next_update;
	char etag[OCSPCACHE_ETAG_SIZE];
	size_t len;
	uint8_t der[];
};

TAILQ_HEAD(entries, entry);

struct ocspcache {
	pthread_mutex_t lock;
	struct entry *by_key;
	struct entries trial, trusted; /* used last at the head */
	size_t n, n_trusted, max;
	uint32_t counters[COUNTERS];
};

int
ocspcache_new(size_t max, struct ocspcache **cache_out, struct err *err)
{
	struct ocspcache *c = calloc(1, sizeof *c);

	if (c == NULL)
		return err_nomem(err);
	(void)pthread_mutex_init(&c->lock, NULL);
	TAILQ_INIT(&c->trial);
	TAILQ_INIT(&c->trusted);
	c->max = max;
	*cache_out = c;
	return 0;
}

/* ---- with the lock held -------------------------------------------------------------------------------------- */

static struct entry *
find(struct ocspcache *c, const struct ocspcache_key *key)
{
	struct entry *e;

	HASH_FIND(hh, c->by_key, key, sizeof *key, e);
	return e;
}

static void
unlink_entry(struct ocspcache *c, struct entry *e)
{
	TAILQ_REMOVE(e->is_trusted ? &c->trusted : &c->trial, e, order);
	c->n_trusted -= e->is_trusted;
}

static void
link_entry(struct ocspcache *c, struct entry *e, bool is_trusted)
{
	e->is_trusted = is_trusted;
	TAILQ_INSERT_HEAD(is_trusted ? &c->trusted : &c->trial, e, order);
	c->n_trusted += is_trusted;
}

static void
drop(struct ocspcache *c, struct entry *e)
{
	unlink_entry(c, e);
	HASH_DEL(c->by_key, e);
	c->n--;
	free(e);
}

/* What is trusted beyond its room is on trial again; what is on trial beyond all room goes. */
static void
make_room(struct ocspcache *c, size_t max)
{
	struct entry *e;

	while (c->n_trusted > max - max / TRIAL_PART) {
		e = TAILQ_LAST(&c->trusted, entries);
		unlink_entry(c, e);
		link_entry(c, e, false);
	}
	while (c->n > max) {
		e = TAILQ_LAST(&c->trial, entries);
		drop(c, e != NULL ? e : TAILQ_LAST(&c->trusted, entries));
	}
}

static uint32_t *
counter_of(struct ocspcache *c, const uint8_t *serial)
{
	return &c->counters[(serial[SERIAL_LEN - 1] | (uint32_t)serial[SERIAL_LEN - 2] << 8) & (COUNTERS - 1)];
}

/* ---- the operations ------------------------------------------------------------------------------------------ */

void
ocspcache_free(struct ocspcache *c)
{
	if (c == NULL)
		return;
	make_room(c, 0);
	(void)pthread_mutex_destroy(&c->lock);
	free(c);
}

void
ocspcache_resize(struct ocspcache *c, size_t max)
{
	(void)pthread_mutex_lock(&c->lock);
	c->max = max;
	make_room(c, max);
	(void)pthread_mutex_unlock(&c->lock);
}

bool
ocspcache_get(struct ocspcache *c, const struct ocspcache_key *key, int64_t now, struct ocspcache_answer *out,
    bool *is_old_out)
{
	struct entry *e;

	*is_old_out = false;
	(void)pthread_mutex_lock(&c->lock);
	/* A clock that was set back: an answer of the future is nobody's either. */
	if ((e = find(c, key)) != NULL && (now >= e->next_update || now < e->this_update)) {
		drop(c, e);
		e = NULL;
	}
	if (e != NULL) {
		unlink_entry(c, e);
		link_entry(c, e, true);
		make_room(c, c->max);
		buf_append(&out->der, e->der, e->len);
		out->this_update = e->this_update;
		out->next_update = e->next_update;
		memcpy(out->etag, e->etag, sizeof out->etag);
		*is_old_out = !e->was_old && now - e->this_update >= (e->next_update - e->this_update) / 2;
		e->was_old = e->was_old || *is_old_out;
	}
	(void)pthread_mutex_unlock(&c->lock);
	return e != NULL;
}

uint32_t
ocspcache_generation(struct ocspcache *c, const uint8_t *serial)
{
	uint32_t generation;

	(void)pthread_mutex_lock(&c->lock);
	generation = *counter_of(c, serial);
	(void)pthread_mutex_unlock(&c->lock);
	return generation;
}

void
ocspcache_etag(struct ocspcache_answer *answer)
{
	uint8_t digest[SHA256_LEN];

	sha256(digest, answer->der.data, answer->der.len);
	answer->etag[0] = '"';
	hex_encode(answer->etag + 1, digest, (OCSPCACHE_ETAG_SIZE - 3) / 2);
	answer->etag[OCSPCACHE_ETAG_SIZE - 2] = '"';
	answer->etag[OCSPCACHE_ETAG_SIZE - 1] = '\0';
}

void
ocspcache_put(struct ocspcache *c, const struct ocspcache_key *key, uint32_t generation,
    const struct ocspcache_answer *answer)
{
	struct entry *new, *old;
	bool is_trusted = false;

	if (buf_failed(&answer->der) || (new = calloc(1, sizeof *new + answer->der.len)) == NULL)
		return;
	new->key = *key;
	new->this_update = answer->this_update;
	new->next_update = answer->next_update;
	memcpy(new->etag, answer->etag, sizeof new->etag);
	new->len = answer->der.len;
	memcpy(new->der, answer->der.data, new->len);
	(void)pthread_mutex_lock(&c->lock);
	if (c->max > 0 && *counter_of(c, key->serial) == generation) {
		if ((old = find(c, key)) != NULL) {
			is_trusted = old->is_trusted;
			drop(c, old);
		}
		HASH_ADD(hh, c->by_key, key, sizeof new->key, new);
		if (new->hh.tbl != NULL) {
			c->n++;
			link_entry(c, new, is_trusted);
			make_room(c, c->max);
			new = NULL;
		}
	}
	(void)pthread_mutex_unlock(&c->lock);
	free(new);
}

void
ocspcache_forget(struct ocspcache *c, const uint8_t *serial)
{
	struct ocspcache_key key;
	struct entry *e;
	unsigned i;

	memcpy(key.serial, serial, SERIAL_LEN);
	(void)pthread_mutex_lock(&c->lock);
	++*counter_of(c, serial);
	for (i = 0; i < ISSUERS_MAX * OCSP_HASHES; i++) {
		key.issuer = (uint8_t)(i / OCSP_HASHES);
		key.hash = (uint8_t)(i % OCSP_HASHES);
		if ((e = find(c, &key)) != NULL)
			drop(c, e);
	}
	(void)pthread_mutex_unlock(&c->lock);
}

void
ocspcache_retry(struct ocspcache *c, const struct ocspcache_key *key)
{
	struct entry *e;

	(void)pthread_mutex_lock(&c->lock);
	if ((e = find(c, key)) != NULL)
		e->was_old = false;
	(void)pthread_mutex_unlock(&c->lock);
}

size_t
ocspcache_count(struct ocspcache *c)
{
	size_t n;

	(void)pthread_mutex_lock(&c->lock);
	n = c->n;
	(void)pthread_mutex_unlock(&c->lock);
	return n;
}

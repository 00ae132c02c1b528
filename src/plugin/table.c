/* Owners lie in chunks that never move, found by an index with open addressing whose keys are the
 * chunks' own ids: 80 bytes an owner, and no pause to copy them when there are more. Ids are random
 * (UUIDv4), made by the service, so that a multiplication is hash enough. Policies and types are
 * interned, and stay until the table goes. */
#include "plugin/table.h"

#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define CHUNK 4096 /* owners */
#define INDEX_MIN 1024
#define NONE UINT32_MAX

/* Certificates after the first, in their overlap. */
struct fps {
	size_t n;
	struct feed_fp fp[];
};

struct table_owner {
	uint8_t id[UUID_BYTES];
	uint8_t sha256[SHA256_LEN];
	int64_t not_after; /* 0: no certificate */
	struct fps *more;
	uint32_t policy; /* in policies; of a free place the next free one, or NONE */
	uint32_t type;	 /* in types; NONE of a service */
};

struct policy {
	struct table_policy is;
	bool exists;
	uint32_t number;
	uint32_t next_free; /* of a service's that is gone */
	char *tenant;
	char *key; /* "tenant/name"; NULL of a service's own */
	UT_hash_handle hh;
};

struct word {
	uint32_t number;
	UT_hash_handle hh;
	char text[];
};

struct table {
	struct table_owner **chunks;
	size_t n_chunks, n_used; /* places taken from chunks, free ones among them */
	size_t n_owners, n_more;
	uint32_t free;	   /* the first free place, or NONE */
	uint32_t *index;   /* place + 1; 0 for none */
	size_t index_size; /* a power of two */
	unsigned index_bits;
	struct policy **policies, *policies_by_key;
	size_t n_policies;
	uint32_t free_policy;
	struct word **types, *types_by_text;
	size_t n_types;
};

static struct table_owner *
owner_at(const struct table *t, uint32_t place)
{
	return &t->chunks[place / CHUNK][place % CHUNK];
}

/* An array of N pointers with room for one more: capacities are powers of two. NULL when out of
 * memory. */
static void *
array_grow(void *array, size_t n)
{
	if (n != 0 && (n & (n - 1)) != 0)
		return array;
	return reallocarray(array, n == 0 ? 1 : 2 * n, sizeof(void *));
}

/* ---- the index ------------------------------------------------------------------------------- */

static size_t
home_of(const struct table *t, const uint8_t *id)
{
	uint64_t a, b;

	memcpy(&a, id, sizeof a);
	memcpy(&b, id + sizeof a, sizeof b);
	return (size_t)(((a ^ b) * 0x9e3779b97f4a7c15u) >> (64 - t->index_bits));
}

/* Where ID is in the index, or where it would be. */
static size_t
slot_of(const struct table *t, const uint8_t *id)
{
	size_t i = home_of(t, id);

	while (t->index[i] != 0 && memcmp(owner_at(t, t->index[i] - 1)->id, id, UUID_BYTES) != 0)
		i = (i + 1) & (t->index_size - 1);
	return i;
}

/* Take slot I out, and move those up that had to go past it (no tombstones: lookups stay short for
 * ever). */
static void
slot_clear(struct table *t, size_t i)
{
	const size_t mask = t->index_size - 1;
	size_t j = i, home;

	for (;;) {
		j = (j + 1) & mask;
		if (t->index[j] == 0)
			break;
		home = home_of(t, owner_at(t, t->index[j] - 1)->id);
		if (((j - home) & mask) >= ((j - i) & mask)) {
			t->index[i] = t->index[j];
			i = j;
		}
	}
	t->index[i] = 0;
}

/* Room for one owner more: at most three quarters are in use. */
static int
index_reserve(struct table *t, struct err *err)
{
	uint32_t *old = t->index, *bigger;
	size_t old_size = t->index_size, i;

	if ((t->n_owners + 1) * 4 <= t->index_size * 3)
		return 0;
	if ((bigger = calloc(old_size * 2, sizeof *bigger)) == NULL)
		return err_nomem(err);
	t->index = bigger;
	t->index_size = old_size * 2;
	t->index_bits++;
	for (i = 0; i < old_size; i++)
		if (old[i] != 0)
			bigger[slot_of(t, owner_at(t, old[i] - 1)->id)] = old[i];
	free(old);
	return 0;
}

/* ---- policies and types ---------------------------------------------------------------------- */

static void
policy_clear(struct policy *p)
{
	size_t i;

	for (i = 0; i < p->is.n_write + p->is.n_read; i++)
		free(p->is.topics[i].text);
	free(p->is.topics);
	p->is.topics = NULL;
	p->is.n_write = p->is.n_read = 0;
	p->exists = false;
}

static void
policy_free(struct policy *p)
{
	if (p == NULL)
		return;
	policy_clear(p);
	free(p->tenant);
	free(p->key);
	free(p);
}

static bool
topics_copy(struct table_topic *out, const struct feed_topics *topics)
{
	size_t i;

	for (i = 0; i < topics->n; i++) {
		if ((out[i].text = strdup(topics->topic[i])) == NULL)
			return false;
		out[i].literal = (uint16_t)strcspn(out[i].text, "{+#");
	}
	return true;
}

/* On failure P is one that does not exist. */
static int
policy_fill(struct policy *p, const struct feed_line *line, int64_t sessions, struct err *err)
{
	size_t n = line->write.n + line->read.n;

	policy_clear(p);
	if ((p->is.topics = calloc(n + 1, sizeof *p->is.topics)) == NULL)
		return err_nomem(err);
	p->is.n_write = line->write.n;
	p->is.n_read = line->read.n;
	p->is.sessions = sessions;
	p->exists = topics_copy(p->is.topics, &line->write) &&
		    topics_copy(p->is.topics + line->write.n, &line->read);
	if (p->exists)
		return 0;
	policy_clear(p);
	return err_nomem(err);
}

/* A new one, that does not exist yet. KEY may be NULL. */
static int
policy_add(
    struct table *t, const char *tenant, const char *key, struct policy **out, struct err *err)
{
	struct policy *p = calloc(1, sizeof *p), **bigger = array_grow(t->policies, t->n_policies);

	if (bigger != NULL)
		t->policies = bigger;
	if (p == NULL || bigger == NULL || (p->tenant = strdup(tenant)) == NULL ||
	    (key != NULL && (p->key = strdup(key)) == NULL)) {
		policy_free(p);
		return err_nomem(err);
	}
	if (key != NULL) {
		HASH_ADD_KEYPTR(hh, t->policies_by_key, p->key, strlen(p->key), p);
		if (p->hh.tbl == NULL) {
			policy_free(p);
			return err_nomem(err);
		}
	}
	p->is.tenant = p->tenant;
	p->number = (uint32_t)t->n_policies;
	t->policies[t->n_policies++] = p;
	*out = p;
	return 0;
}

/* The one of this name, made if need be: a device may come before its policy. */
static int
policy_named(
    struct table *t, const char *tenant, const char *name, struct policy **out, struct err *err)
{
	char key[2 * FEED_WORD_SIZE];
	struct policy *p;
	size_t a = strlen(tenant), b = strlen(name);

	memcpy(key, tenant, a);
	key[a] = '/'; /* no word has one */
	memcpy(key + a + 1, name, b + 1);
	HASH_FIND(hh, t->policies_by_key, key, a + 1 + b, p);
	if (p == NULL)
		return policy_add(t, tenant, key, out, err);
	*out = p;
	return 0;
}

/* One of a service's own. */
static int
policy_own(struct table *t, const char *tenant, struct policy **out, struct err *err)
{
	char *copy;

	if (t->free_policy == NONE)
		return policy_add(t, tenant, NULL, out, err);
	if ((copy = strdup(tenant)) == NULL)
		return err_nomem(err);
	*out = t->policies[t->free_policy];
	t->free_policy = (*out)->next_free;
	free((*out)->tenant);
	(*out)->is.tenant = (*out)->tenant = copy;
	return 0;
}

static int
type_number(struct table *t, const char *text, uint32_t *out, struct err *err)
{
	size_t len = strlen(text);
	struct word *w, **bigger;

	HASH_FIND(hh, t->types_by_text, text, len, w);
	if (w == NULL) {
		if ((bigger = array_grow(t->types, t->n_types)) == NULL)
			return err_nomem(err);
		t->types = bigger;
		if ((w = calloc(1, sizeof *w + len + 1)) == NULL)
			return err_nomem(err);
		memcpy(w->text, text, len + 1);
		HASH_ADD_KEYPTR(hh, t->types_by_text, w->text, len, w);
		if (w->hh.tbl == NULL) {
			free(w);
			return err_nomem(err);
		}
		w->number = (uint32_t)t->n_types;
		t->types[t->n_types++] = w;
	}
	*out = w->number;
	return 0;
}

/* ---- owners ---------------------------------------------------------------------------------- */

/* A place for an owner, its memory undefined. */
static int
place_take(struct table *t, uint32_t *out, struct err *err)
{
	struct table_owner **bigger, *chunk;

	if (t->free != NONE) {
		*out = t->free;
		t->free = owner_at(t, *out)->policy;
		return 0;
	}
	if (t->n_used == t->n_chunks * CHUNK) {
		if (t->n_used + CHUNK >= NONE)
			return err_set(err, E_LIMIT, "more devices than the table has numbers for");
		if ((bigger = array_grow(t->chunks, t->n_chunks)) == NULL)
			return err_nomem(err);
		t->chunks = bigger;
		if ((chunk = malloc(CHUNK * sizeof *chunk)) == NULL)
			return err_nomem(err);
		t->chunks[t->n_chunks++] = chunk;
	}
	*out = (uint32_t)t->n_used++;
	return 0;
}

static void
fps_clear(struct table *t, struct table_owner *o)
{
	if (o->more != NULL)
		t->n_more -= o->more->n;
	free(o->more);
	o->more = NULL;
	o->not_after = 0;
}

static void
owner_remove(struct table *t, const uint8_t *id)
{
	size_t slot = slot_of(t, id);
	struct table_owner *o;
	struct policy *p;
	uint32_t place;

	if (t->index[slot] == 0)
		return;
	place = t->index[slot] - 1;
	o = owner_at(t, place);
	slot_clear(t, slot);
	fps_clear(t, o);
	p = t->policies[o->policy];
	if (p->key == NULL) {
		policy_clear(p);
		p->next_free = t->free_policy;
		t->free_policy = p->number;
	}
	o->policy = t->free;
	t->free = place;
	t->n_owners--;
}

static int
owner_find_or_add(struct table *t, const uint8_t *id, struct table_owner **out, struct err *err)
{
	size_t slot = slot_of(t, id);
	uint32_t place = 0;
	int rc;

	if (t->index[slot] != 0) {
		*out = owner_at(t, t->index[slot] - 1);
		return 0;
	}
	if ((rc = index_reserve(t, err)) != 0 || (rc = place_take(t, &place, err)) != 0)
		return rc;
	*out = owner_at(t, place);
	memset(*out, 0, sizeof **out);
	memcpy((*out)->id, id, UUID_BYTES);
	t->index[slot_of(t, id)] = place + 1;
	t->n_owners++;
	return 0;
}

static int
fps_set(struct table *t, struct table_owner *o, const struct feed_line *line, struct err *err)
{
	fps_clear(t, o);
	if (line->n_fps > 1) {
		size_t n = line->n_fps - 1;

		if ((o->more = malloc(sizeof *o->more + n * sizeof o->more->fp[0])) == NULL)
			return err_nomem(err);
		o->more->n = n;
		memcpy(o->more->fp, line->fps + 1, n * sizeof o->more->fp[0]);
		t->n_more += n;
	}
	if (line->n_fps > 0) {
		memcpy(o->sha256, line->fps[0].sha256, SHA256_LEN);
		o->not_after = line->fps[0].not_after;
	}
	return 0;
}

/* The policy that a service or device has from now on; a service's own one is filled. */
static int
owner_policy(struct table *t, const struct table_owner *o, const struct feed_line *line,
    struct policy **out, struct err *err)
{
	int rc;

	if (line->kind == FEED_DEVICE)
		return policy_named(t, line->tenant, line->policy, out, err);
	if (o != NULL && t->policies[o->policy]->key == NULL)
		*out = t->policies[o->policy];
	else if ((rc = policy_own(t, line->tenant, out, err)) != 0)
		return rc;
	if ((rc = policy_fill(*out, line, 1, err)) != 0 && o == NULL) {
		(*out)->next_free = t->free_policy;
		t->free_policy = (*out)->number;
	}
	return rc;
}

static int
owner_apply(struct table *t, const struct feed_line *line, const uint8_t *id, struct err *err)
{
	struct table_owner *o = (struct table_owner *)table_find(t, id);
	uint32_t type = NONE;
	struct policy *p;
	int rc;

	/* What its policy is changes only when the kind does, which never happens; be safe with any
	 * bytes. */
	if (o != NULL && (t->policies[o->policy]->key == NULL) != (line->kind == FEED_SERVICE)) {
		owner_remove(t, id);
		o = NULL;
	}
	if ((line->kind == FEED_DEVICE && (rc = type_number(t, line->type, &type, err)) != 0) ||
	    (rc = owner_policy(t, o, line, &p, err)) != 0)
		return rc;
	if ((rc = owner_find_or_add(t, id, &o, err)) != 0) {
		if (p->key == NULL) {
			policy_clear(p);
			p->next_free = t->free_policy;
			t->free_policy = p->number;
		}
		return rc;
	}
	o->policy = p->number;
	o->type = type;
	return fps_set(t, o, line, err);
}

/* ---- what others call ------------------------------------------------------------------------ */

int
table_new(struct table **out, struct err *err)
{
	struct table *t = calloc(1, sizeof *t);

	if (t == NULL || (t->index = calloc(INDEX_MIN, sizeof *t->index)) == NULL) {
		free(t);
		return err_nomem(err);
	}
	t->index_size = INDEX_MIN;
	while (((size_t)1 << t->index_bits) < INDEX_MIN)
		t->index_bits++;
	t->free = t->free_policy = NONE;
	*out = t;
	return 0;
}

void
table_free(struct table *t)
{
	size_t i;

	if (t == NULL)
		return;
	for (i = 0; t->n_more > 0 && i < t->index_size; i++)
		if (t->index[i] != 0)
			fps_clear(t, owner_at(t, t->index[i] - 1));
	for (i = 0; i < t->n_chunks; i++)
		free(t->chunks[i]);
	HASH_CLEAR(hh, t->policies_by_key);
	HASH_CLEAR(hh, t->types_by_text);
	for (i = 0; i < t->n_policies; i++)
		policy_free(t->policies[i]);
	for (i = 0; i < t->n_types; i++)
		free(t->types[i]);
	free(t->chunks);
	free(t->index);
	free(t->policies);
	free(t->types);
	free(t);
}

int
table_apply(struct table *t, const struct feed_line *line, struct err *err)
{
	uint8_t id[UUID_BYTES];
	struct policy *p;
	int rc;

	if (line->kind == FEED_POLICY) {
		if ((rc = policy_named(t, line->tenant, line->name, &p, err)) != 0)
			return rc;
		if (!line->removed)
			return policy_fill(p, line, line->sessions, err);
		policy_clear(p);
		return 0;
	}
	if ((line->kind != FEED_DEVICE && line->kind != FEED_SERVICE) || !uuid_parse(id, line->id))
		return err_set(err, E_INPUT, "not an object of the table");
	if (line->status != FEED_ACTIVE) {
		owner_remove(t, id);
		return 0;
	}
	if ((rc = owner_apply(t, line, id, err)) != 0)
		owner_remove(t, id);
	return rc;
}

const struct table_owner *
table_find(const struct table *t, const uint8_t id[UUID_BYTES])
{
	uint32_t place = t->index[slot_of(t, id)];

	return place == 0 ? NULL : owner_at(t, place - 1);
}

int64_t
table_not_after(const struct table_owner *owner, const uint8_t sha256[SHA256_LEN])
{
	size_t i;

	if (owner->not_after != 0 && memcmp(owner->sha256, sha256, SHA256_LEN) == 0)
		return owner->not_after;
	for (i = 0; owner->more != NULL && i < owner->more->n; i++)
		if (memcmp(owner->more->fp[i].sha256, sha256, SHA256_LEN) == 0)
			return owner->more->fp[i].not_after;
	return 0;
}

const struct table_policy *
table_policy(const struct table *t, const struct table_owner *owner)
{
	const struct policy *p = t->policies[owner->policy];

	return p->exists ? &p->is : NULL;
}

const char *
table_tenant(const struct table *t, const struct table_owner *owner)
{
	return t->policies[owner->policy]->tenant;
}

const char *
table_type(const struct table *t, const struct table_owner *owner)
{
	return owner->type == NONE ? "" : t->types[owner->type]->text;
}

size_t
table_count(const struct table *t)
{
	return t->n_owners;
}

size_t
table_bytes(const struct table *t)
{
	return t->n_chunks * CHUNK * sizeof(struct table_owner) +
	       t->index_size * sizeof t->index[0] + t->n_more * sizeof(struct feed_fp);
}

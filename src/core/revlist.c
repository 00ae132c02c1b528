/* A certificate that has expired stays listed until the base behind the next one (RFC 5280, section 5: on one scheduled
 * list after its end at least): a base lists whatever was valid when the base before it was made. In between nothing
 * leaves for its age, so that base and delta are the complete list to the last entry. */
#include "core/revlist.h"

#include "store/certificate.h"
#include "store/revocation.h"
#include "store/store.h"

#include <stdlib.h>
#include <string.h>

/* Serials are random, so a slice of one is its own hash. */
#define HASH_FUNCTION(key, len, hashv) ((void)(len), memcpy(&(hashv), (const uint8_t *)(key) + SERIAL_LEN - sizeof(hashv), sizeof(hashv)))
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define ENTRIES_FIRST 256
#define BATCH 256
#define DELTA_MAX 20000 /* entries: a delta of a megabyte */

/* What became of a certificate since the base, last. */
struct change {
	struct crl_entry entry;
	bool is_listed; /* else it is good again */
	UT_hash_handle hh;
};

struct revlist {
	struct core *core;
	const char *issuer;
	int64_t number;
	struct crl_entry *list; /* listed, and not changed since the base; behind them there may be room */
	size_t n, cap;
	struct change *changed;
	struct crl_entry *delta;
	int64_t seen; /* the last row of `revocation` that is in here */
	struct store_crl base; /* number and times of the latest list are not looked at */
	bool is_loaded, has_changed;
};

struct revlist *
revlist_new(struct core *core, const char *issuer, int64_t number)
{
	struct revlist *l = calloc(1, sizeof *l);

	if (l == NULL)
		return NULL;
	l->core = core;
	l->issuer = issuer;
	l->number = number;
	return l;
}

static void
changed_clear(struct revlist *l)
{
	struct change *change, *next;

	HASH_ITER(hh, l->changed, change, next) {
		HASH_DEL(l->changed, change);
		free(change);
	}
}

void
revlist_free(struct revlist *l)
{
	if (l == NULL)
		return;
	changed_clear(l);
	free(l->list);
	free(l->delta);
	free(l);
}

/* Have room for N entries in all. */
static int
list_reserve(struct revlist *l, size_t n, struct err *err)
{
	size_t cap = l->cap == 0 ? ENTRIES_FIRST : l->cap;
	struct crl_entry *list;

	if (n <= l->cap)
		return 0;
	while (cap < n)
		cap += cap / 2;
	if ((list = realloc(l->list, cap * sizeof list[0])) == NULL)
		return err_nomem(err);
	l->list = list;
	l->cap = cap;
	return 0;
}

static struct change *
changed_find(const struct revlist *l, const uint8_t *serial)
{
	struct change *change;

	HASH_FIND(hh, l->changed, serial, SERIAL_LEN, change);
	return change;
}

static int
changed_set(struct revlist *l, const struct store_revocation *row, bool *is_new, struct err *err)
{
	struct change *change = changed_find(l, row->serial);

	if (change == NULL) {
		if ((change = calloc(1, sizeof *change)) == NULL)
			return err_nomem(err);
		memcpy(change->entry.serial, row->serial, SERIAL_LEN);
		HASH_ADD_KEYPTR(hh, l->changed, change->entry.serial, SERIAL_LEN, change);
		if (change->hh.tbl == NULL) {
			free(change);
			return err_nomem(err);
		}
		*is_new = true;
	}
	change->is_listed = row->state != CERTIFICATE_ACTIVE;
	change->entry.revoked_at = row->revoked_at;
	change->entry.reason = (enum crl_reason)row->reason;
	return 0;
}

/* Those that have changed are told of elsewhere. */
static void
list_sieve(struct revlist *l)
{
	size_t i, n = 0;

	for (i = 0; i < l->n; i++)
		if (changed_find(l, l->list[i].serial) == NULL)
			l->list[n++] = l->list[i];
	l->n = n;
}

/* Everything behind L->SEEN, as far as TX sees. */
static int
changes_read(struct revlist *l, struct store_tx *tx, bool *is_new, struct err *err)
{
	struct store_revocation rows[BATCH];
	size_t n, i;
	int rc;

	do {
		if ((rc = store_revocation_list(tx, l->seen, rows, BATCH, &n, err)) != 0)
			return rc;
		for (i = 0; i < n; i++) {
			if (rows[i].issuer == l->number) {
				if ((rc = changed_set(l, &rows[i], is_new, err)) != 0)
					return rc;
				l->has_changed = true;
			}
			l->seen = rows[i].n;
		}
	} while (n == BATCH);
	return 0;
}

/* All that is listed, but for what has changed. */
static int
list_read(struct revlist *l, struct store_tx *tx, struct err *err)
{
	struct store_revoked *revoked = NULL;
	struct store_revoked_row row;
	struct err walk_err = {0};
	int rc;

	l->n = 0;
	if ((rc = store_revoked_open(tx, l->number, l->base.listed_from, &revoked, err)) != 0)
		return rc;
	while (rc == 0 && store_revoked_next(revoked, &row)) {
		if (changed_find(l, row.serial) != NULL || (rc = list_reserve(l, l->n + 1, err)) != 0)
			continue;
		l->list[l->n].revoked_at = row.revoked_at;
		memcpy(l->list[l->n].serial, row.serial, SERIAL_LEN);
		l->list[l->n++].reason = (enum crl_reason)row.reason;
	}
	/* A walk that broke off looks like its end: such a list would lack revocations. */
	if (store_revoked_close(revoked, &walk_err) != 0 && rc == 0) {
		*err = walk_err;
		rc = walk_err.code;
	}
	return rc;
}

/* As the last start, or a process before this one, left it. */
static int
load(struct revlist *l, struct store_tx *tx, struct err *err)
{
	struct buf der = {0};
	struct err none = {0};
	bool is_new;
	int rc;

	changed_clear(l);
	l->base = (struct store_crl){0};
	if ((rc = store_crl_get(tx, l->issuer, &l->base, &der, &none)) == E_NOTFOUND)
		rc = 0;
	else if (rc != 0)
		*err = none;
	buf_clear(&der);
	l->seen = l->base.base_change;
	if (rc == 0 && (rc = changes_read(l, tx, &is_new, err)) == 0)
		rc = list_read(l, tx, err);
	l->is_loaded = rc == 0;
	l->has_changed = true;
	return rc;
}

static bool
base_is_over(const struct revlist *l, int64_t now, int64_t renew_s)
{
	return l->base.base_number == 0 || l->base.base_update > now || now - l->base.base_update >= renew_s ||
	       HASH_COUNT(l->changed) > DELTA_MAX;
}

/* Begin anew, with all that is to be in the next base. What the clock said before is worth nothing if it was set back. */
static int
base_prepare(struct revlist *l, struct store_tx *tx, int64_t now, int64_t renew_s, struct err *err)
{
	if (l->base.base_update == 0 || l->base.base_update > now)
		l->base.listed_from = 0;
	else if (now - l->base.base_update >= renew_s)
		l->base.listed_from = l->base.base_update;
	l->base.base_number = 0;
	changed_clear(l);
	return list_read(l, tx, err);
}

int
revlist_refresh(struct revlist *l, int64_t now, int64_t renew_s, bool *needs_base_out, struct err *err)
{
	struct store_tx *tx = NULL;
	bool is_new = false, is_over;
	int rc;

	if ((rc = store_read(l->core->store, &tx, err)) != 0)
		return rc;
	if (!l->is_loaded)
		rc = load(l, tx, err);
	else if ((rc = changes_read(l, tx, &is_new, err)) == 0 && is_new)
		list_sieve(l);
	is_over = base_is_over(l, now, renew_s);
	if (rc == 0 && is_over)
		rc = base_prepare(l, tx, now, renew_s, err);
	store_rollback(&tx);
	if (rc == 0)
		*needs_base_out = is_over;
	else
		l->is_loaded = false; /* half of it may be there */
	return rc;
}

bool
revlist_has_changed(struct revlist *l)
{
	bool has_changed = l->has_changed;

	l->has_changed = false;
	return has_changed;
}

int
revlist_complete(struct revlist *l, const struct crl_entry **entries_out, size_t *n_out, struct err *err)
{
	struct change *change, *next;
	size_t n = l->n;
	int rc;

	if ((rc = list_reserve(l, l->n + HASH_COUNT(l->changed), err)) != 0)
		return rc;
	HASH_ITER(hh, l->changed, change, next)
		if (change->is_listed)
			l->list[n++] = change->entry;
	*entries_out = l->list;
	*n_out = n;
	return 0;
}

int
revlist_delta(
    struct revlist *l, int64_t now, const struct crl_entry **entries_out, size_t *n_out, struct err *err)
{
	struct change *change, *next;
	size_t n = 0;

	free(l->delta);
	if ((l->delta = calloc(HASH_COUNT(l->changed) + 1, sizeof l->delta[0])) == NULL)
		return err_nomem(err);
	HASH_ITER(hh, l->changed, change, next) {
		l->delta[n] = change->entry;
		if (!change->is_listed) {
			l->delta[n].revoked_at = now;
			l->delta[n].reason = REASON_REMOVE_FROM_CRL;
		}
		n++;
	}
	*entries_out = l->delta;
	*n_out = n;
	return 0;
}

void
revlist_rebase(struct revlist *l, uint64_t number, int64_t this_update)
{
	l->base.base_number = (int64_t)number;
	l->base.base_update = this_update;
	l->base.base_change = l->seen;
}

uint64_t
revlist_base(const struct revlist *l)
{
	return (uint64_t)l->base.base_number;
}

void
revlist_describe(const struct revlist *l, struct store_crl *out)
{
	out->base_number = l->base.base_number;
	out->base_update = l->base.base_update;
	out->base_change = l->base.base_change;
	out->listed_from = l->base.listed_from;
}

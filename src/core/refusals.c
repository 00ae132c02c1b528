/* A flood must not fill the disk (threat H7), so a minute makes a bounded number of rows, as for failed authentications
 * (core/authfail.c). The reason is a broker's text: what reaches a row is a word made of it. */
#include "core/refusals.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "core/audit.h"
#include "store/certificate.h"
#include "store/store.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define REASON_SIZE 65

struct count {
	char id[UUID_LEN + 1];	   /* "" for nobody known */
	char broker[UUID_LEN + 1]; /* the first that told */
	char reason[REASON_SIZE];
	int64_t n;
};

struct counts {
	int64_t minute;
	struct count list[REFUSALS_MAX];
	size_t n;
	int64_t others;
};

/* A device in the latest minute that something was denied it. */
struct offender {
	char id[UUID_LEN + 1];
	int64_t minute, n;
	bool told;
	UT_hash_handle hh;
};

struct refusals {
	pthread_mutex_t lock;
	struct counts counts;
	struct offender *offenders;
};

int
refusals_new(struct refusals **out, struct err *err)
{
	struct refusals *r = calloc(1, sizeof *r);

	if (r == NULL)
		return err_nomem(err);
	(void)pthread_mutex_init(&r->lock, NULL);
	*out = r;
	return 0;
}

/* Those of a minute before MINUTE. */
static void
offenders_forget(struct refusals *r, int64_t minute)
{
	struct offender *o, *next;

	HASH_ITER(hh, r->offenders, o, next) {
		if (o->minute >= minute)
			continue;
		HASH_DEL(r->offenders, o);
		free(o);
	}
}

void
refusals_free(struct refusals *r)
{
	if (r == NULL)
		return;
	offenders_forget(r, INT64_MAX);
	(void)pthread_mutex_destroy(&r->lock);
	free(r);
}

/* "client id is not the certificate's" becomes client-id-is-not-the-certificate-s. */
static void
word_make(char out[REASON_SIZE], const char *text)
{
	size_t n = 0;

	for (; *text != '\0' && n + 1 < REASON_SIZE; text++) {
		bool fits = (*text >= '0' && *text <= '9') || (*text >= 'a' && *text <= 'z') ||
		    (*text >= 'A' && *text <= 'Z') || *text == '_' || *text == '.';

		if (fits)
			out[n++] = *text;
		else if (n > 0 && out[n - 1] != '-')
			out[n++] = '-';
	}
	while (n > 0 && out[n - 1] == '-')
		n--;
	out[n] = '\0';
	if (n == 0)
		(void)text_copy(out, REASON_SIZE, "unknown");
}

void
refusals_count(struct core *core, const char *broker, const char *id, const char *reason, int64_t n)
{
	struct refusals *r = core->refusals;
	struct counts *c = &r->counts;
	char word[REASON_SIZE];
	size_t i;

	word_make(word, reason);
	(void)pthread_mutex_lock(&r->lock);
	if (c->n == 0 && c->others == 0)
		c->minute = core->now() / 60;
	for (i = 0; i < c->n; i++)
		if (strcmp(c->list[i].id, id) == 0 && strcmp(c->list[i].reason, word) == 0)
			break;
	if (i == REFUSALS_MAX) {
		c->others += n;
	} else {
		if (i == c->n) {
			c->list[c->n++] = (struct count){0};
			(void)text_copy(c->list[i].id, sizeof c->list[i].id, id);
			(void)text_copy(c->list[i].broker, sizeof c->list[i].broker, broker);
			(void)text_copy(c->list[i].reason, sizeof c->list[i].reason, word);
		}
		c->list[i].n += n;
	}
	(void)pthread_mutex_unlock(&r->lock);
}

/* NULL where there is no room. */
static struct offender *
offender_get(struct refusals *r, const char *id, int64_t this_minute)
{
	struct offender *o;

	HASH_FIND_STR(r->offenders, id, o);
	if (o != NULL)
		return o;
	if (HASH_COUNT(r->offenders) >= REFUSALS_OFFENDERS_MAX)
		offenders_forget(r, this_minute);
	if (HASH_COUNT(r->offenders) >= REFUSALS_OFFENDERS_MAX || (o = calloc(1, sizeof *o)) == NULL)
		return NULL;
	(void)text_copy(o->id, sizeof o->id, id);
	HASH_ADD_STR(r->offenders, id, o);
	if (o->hh.tbl == NULL) {
		free(o);
		return NULL;
	}
	return o;
}

bool
refusals_are_too_many(struct core *core, const char *id, int64_t at, int64_t n, int64_t most, int64_t *total_out)
{
	int64_t this_minute = core->now() / 60, minute = at / 60 < this_minute ? at / 60 : this_minute;
	struct refusals *r = core->refusals;
	struct offender *o;
	bool too_many = false;

	(void)pthread_mutex_lock(&r->lock);
	/* A later minute begins anew. What comes later than that of an earlier one, another broker's, is not counted. */
	if ((o = offender_get(r, id, this_minute)) != NULL && minute > o->minute) {
		o->minute = minute;
		o->n = 0;
		o->told = false;
	}
	if (o != NULL && minute == o->minute) {
		o->n += n;
		too_many = o->n > most && !o->told;
		o->told = o->told || too_many;
		*total_out = o->n;
	}
	(void)pthread_mutex_unlock(&r->lock);
	return too_many;
}

/* In the trail of the tenant whose device it is; nobody's is the default one's. */
static int
row_write(struct store_tx *tx, const struct count *one, int64_t now, const char *since, struct err *err)
{
	struct caller system = {.role = ROLE_BROKER, .tenant_id = STORE_TENANT_DEFAULT, .who = "system"};
	enum store_owner_kind kind = one->id[0] != '\0' ? OWNER_DEVICE : OWNER_BROKER;
	int rc = 0;

	if (one->id[0] != '\0')
		rc = store_certificate_owner(tx, one->id, &kind, &system.tenant_id, err);
	if (rc != 0 && rc != E_NOTFOUND)
		return rc;
	return audit_write(tx, &system, now, "connection.refusals", store_owner_kind_name(kind),
	    one->id[0] != '\0' ? one->id : one->broker, err,
	    "{\"reason\":\"%s\",\"count\":%lld,\"since\":\"%s\",\"broker\":\"%s\"}", one->reason,
	    (long long)one->n, since, one->broker);
}

static int
rows_write(struct core *core, const struct counts *c, struct err *err)
{
	const struct caller system = {.role = ROLE_BROKER, .tenant_id = STORE_TENANT_DEFAULT, .who = "system"};
	struct store_tx *tx = NULL;
	int64_t now = core->now();
	char since[CLOCK_TEXT_MAX];
	size_t i;
	int rc;

	clock_text(since, c->minute * 60);
	if ((rc = store_begin(core->store, &tx, err)) != 0)
		return rc;
	for (i = 0; rc == 0 && i < c->n; i++)
		rc = row_write(tx, &c->list[i], now, since, err);
	if (rc == 0 && c->others > 0)
		rc = audit_write(tx, &system, now, "connection.refusals", "device", "others", err,
		    "{\"count\":%lld,\"since\":\"%s\"}", (long long)c->others, since);
	if (rc == 0)
		rc = store_commit(&tx, err);
	store_rollback(&tx);
	return rc;
}

void
refusals_flush(struct core *core, bool always)
{
	struct refusals *r = core->refusals;
	struct counts *counts = NULL;
	struct err err = {0};
	int rc = 0;

	(void)pthread_mutex_lock(&r->lock);
	if ((r->counts.n > 0 || r->counts.others > 0) && (always || r->counts.minute != core->now() / 60) &&
	    (counts = malloc(sizeof *counts)) != NULL) {
		*counts = r->counts;
		r->counts = (struct counts){0};
	}
	(void)pthread_mutex_unlock(&r->lock);
	if (counts != NULL && (rc = rows_write(core, counts, &err)) != 0)
		log_error("what brokers refused was not audited: %s", err.text);
	free(counts);
}

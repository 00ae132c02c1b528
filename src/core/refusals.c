/* A flood must not fill the disk (threat H7), so a minute makes a bounded number of rows, as for failed authentications
 * (core/authfail.c). The reason is a broker's text: what reaches a row is a word made of it. */
#include "core/refusals.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "core/audit.h"
#include "store/store.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define REASON_SIZE 65

struct count {
	char id[UUID_LEN + 1];	   /* "" for nobody known */
	char broker[UUID_LEN + 1]; /* the first that told */
	char reason[REASON_SIZE];
	unsigned n;
};

struct counts {
	int64_t minute;
	struct count list[REFUSALS_MAX];
	size_t n;
	unsigned others;
};

struct refusals {
	pthread_mutex_t lock;
	struct counts counts;
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

void
refusals_free(struct refusals *r)
{
	if (r == NULL)
		return;
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

unsigned
refusals_count(struct core *core, const char *broker, const char *id, const char *reason)
{
	struct refusals *r = core->refusals;
	struct counts *c = &r->counts;
	char word[REASON_SIZE];
	unsigned n = 0;
	size_t i;

	word_make(word, reason);
	(void)pthread_mutex_lock(&r->lock);
	if (c->n == 0 && c->others == 0)
		c->minute = core->now() / 60;
	for (i = 0; i < c->n; i++)
		if (strcmp(c->list[i].id, id) == 0 && strcmp(c->list[i].reason, word) == 0)
			break;
	if (i == REFUSALS_MAX) {
		c->others++;
	} else {
		if (i == c->n) {
			c->list[c->n++] = (struct count){0};
			(void)text_copy(c->list[i].id, sizeof c->list[i].id, id);
			(void)text_copy(c->list[i].broker, sizeof c->list[i].broker, broker);
			(void)text_copy(c->list[i].reason, sizeof c->list[i].reason, word);
		}
		n = ++c->list[i].n;
	}
	(void)pthread_mutex_unlock(&r->lock);
	return n;
}

static const struct caller system_caller = {.role = ROLE_BROKER, .tenant_id = STORE_TENANT_DEFAULT, .who = "system"};

static int
rows_write(struct core *core, const struct counts *c, struct err *err)
{
	struct store_tx *tx = NULL;
	int64_t now = core->now();
	char since[CLOCK_TEXT_MAX];
	size_t i;
	int rc;

	clock_text(since, c->minute * 60);
	if ((rc = store_begin(core->store, &tx, err)) != 0)
		return rc;
	for (i = 0; rc == 0 && i < c->n; i++) {
		const struct count *one = &c->list[i];
		bool known = one->id[0] != '\0';

		rc = audit_write(tx, &system_caller, now, "connection.refusals", known ? "device" : "broker",
		    known ? one->id : one->broker, err,
		    "{\"reason\":\"%s\",\"count\":%u,\"since\":\"%s\",\"broker\":\"%s\"}", one->reason, one->n, since,
		    one->broker);
	}
	if (rc == 0 && c->others > 0)
		rc = audit_write(tx, &system_caller, now, "connection.refusals", "device", "others", err,
		    "{\"count\":%u,\"since\":\"%s\"}", c->others, since);
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

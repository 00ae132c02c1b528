/* A flood must not fill the disk (threat H7): however many fail, a minute makes at most two rows for each of a bounded
 * number of addresses, and one for all the others. The counts are in memory until their minute is over. */
#include "core/authfail.h"

#include "base/address.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "core/audit.h"
#include "core/limits.h"
#include "store/store.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define OTHERS "others" /* in the place of an address */

struct count {
	char client[ADDRESS_TEXT_SIZE];
	uint64_t n;
	bool is_told; /* the first has a row */
};

struct counts {
	int64_t minute; /* of the first failure in it */
	struct count by_client[AUTHFAIL_ADDRESSES_MAX];
	size_t n_clients;
	struct count others;
};

struct authfail {
	pthread_mutex_t lock;
	struct counts counts;
};

int
authfail_new(struct authfail **out, struct err *err)
{
	struct authfail *a = calloc(1, sizeof *a);

	if (a == NULL)
		return err_nomem(err);
	(void)pthread_mutex_init(&a->lock, NULL);
	*out = a;
	return 0;
}

void
authfail_free(struct authfail *a)
{
	if (a == NULL)
		return;
	(void)pthread_mutex_destroy(&a->lock);
	free(a);
}

static bool
counts_empty(const struct counts *c)
{
	return c->n_clients == 0 && c->others.n == 0;
}

/* Where CLIENT is counted. */
static struct count *
counts_find(struct counts *c, const char *client)
{
	size_t i;

	for (i = 0; i < c->n_clients; i++)
		if (strcmp(c->by_client[i].client, client) == 0)
			return &c->by_client[i];
	if (c->n_clients == AUTHFAIL_ADDRESSES_MAX)
		return &c->others;
	(void)text_copy(c->by_client[i].client, sizeof c->by_client[i].client, client);
	c->n_clients++;
	return &c->by_client[i];
}

/* Count one of PEER, whose name among the counted goes to CLIENT. True if a row has to be written for it (WILL_TELL:
 * by the caller, now). */
static bool
count(struct core *core, const char *peer, bool will_tell, char client[ADDRESS_TEXT_SIZE])
{
	struct authfail *a = core->authfail;
	struct count *c;
	bool must_tell;

	address_client(client, peer);
	(void)pthread_mutex_lock(&a->lock);
	if (counts_empty(&a->counts))
		a->counts.minute = core->now() / 60;
	c = counts_find(&a->counts, client);
	c->n++;
	must_tell = will_tell && !c->is_told && c != &a->counts.others;
	if (must_tell)
		c->is_told = true;
	(void)pthread_mutex_unlock(&a->lock);
	return must_tell;
}

int
authfail_may_try(struct core *core, const char *peer, bool is_urgent, struct err *err)
{
	char client[ADDRESS_TEXT_SIZE];
	int rc = limits_look_address(core, LIMIT_AUTH_FAILURES, peer, !is_urgent, err);

	if (rc == E_LIMIT)
		(void)count(core, peer, false, client);
	return rc;
}

static const struct caller nobody = {.tenant_id = STORE_TENANT_DEFAULT, .who = "nobody"};

/* TEXT without what would end a JSON text. */
static void
json_plain(char *out, size_t size, const char *text)
{
	size_t i;

	for (i = 0; i + 1 < size && text[i] != '\0'; i++)
		out[i] = text[i] < ' ' || text[i] > '~' || text[i] == '"' || text[i] == '\\' ? '?' : text[i];
	out[i] = '\0';
}

void
authfail_note(struct core *core, const char *peer, const char *via)
{
	authfail_note_why(core, peer, via, NULL);
}

void
authfail_note_why(struct core *core, const char *peer, const char *via, const char *why)
{
	char reason[256] = "", client[ADDRESS_TEXT_SIZE];
	struct store_tx *tx = NULL;
	struct err err = {0};
	int rc;

	(void)limits_take_address(core, LIMIT_AUTH_FAILURES, peer, NULL, NULL);
	if (!count(core, peer, true, client))
		return;
	if (why != NULL)
		json_plain(reason, sizeof reason, why);
	if ((rc = store_begin(core->store, &tx, &err)) == 0 &&
	    (rc = why == NULL ? audit_write(tx, &nobody, core->now(), "authentication.fail", "address", client, &err,
				    "{\"via\":\"%s\"}", via) :
				audit_write(tx, &nobody, core->now(), "authentication.fail", "address", client, &err,
				    "{\"via\":\"%s\",\"why\":\"%s\"}", via, reason)) == 0)
		rc = store_commit(&tx, &err);
	store_rollback(&tx);
	if (rc != 0)
		log_error("a failed authentication was not audited: %s", err.text);
}

/* The row of a sum, unless it would tell no more than the first one's did. */
static int
sum_write(struct store_tx *tx, const struct count *c, int64_t minute, int64_t now, struct err *err)
{
	char since[CLOCK_TEXT_MAX];

	if (c->n == 0 || (c->n == 1 && c->is_told))
		return 0;
	clock_text(since, minute * 60);
	return audit_write(tx, &nobody, now, "authentication.failures", "address", c->client, err,
	    "{\"count\":%llu,\"since\":\"%s\"}", (unsigned long long)c->n, since);
}

static int
sums_write(struct core *core, const struct counts *counts, struct err *err)
{
	struct store_tx *tx = NULL;
	int64_t now = core->now();
	size_t i;
	int rc;

	if ((rc = store_begin(core->store, &tx, err)) != 0)
		return rc;
	for (i = 0; rc == 0 && i < counts->n_clients; i++)
		rc = sum_write(tx, &counts->by_client[i], counts->minute, now, err);
	if (rc == 0 && (rc = sum_write(tx, &counts->others, counts->minute, now, err)) == 0)
		rc = store_commit(&tx, err);
	store_rollback(&tx);
	return rc;
}

void
authfail_flush(struct core *core, bool always)
{
	struct authfail *a = core->authfail;
	struct counts counts;
	struct err err = {0};
	bool is_over;

	(void)pthread_mutex_lock(&a->lock);
	is_over = !counts_empty(&a->counts) && (always || a->counts.minute != core->now() / 60);
	if (is_over) {
		counts = a->counts;
		memset(&a->counts, 0, sizeof a->counts);
	}
	(void)pthread_mutex_unlock(&a->lock);
	if (!is_over)
		return;
	(void)text_copy(counts.others.client, sizeof counts.others.client, OTHERS);
	if (sums_write(core, &counts, &err) != 0)
		log_error("the number of failed authentications was not audited: %s", err.text);
}

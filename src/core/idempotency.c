/* Two guards. The claim, in memory, lets one of equal requests work at a time, so that no second
 * certificate is signed for nothing. The row, in the transaction of the device, is what counts: it
 * outlives the process, and its primary key refuses a second one. */
#include "core/idempotency.h"

#include "base/text.h"
#include "base/thread.h"
#include "store/store.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WAIT_S 10 /* then the client may ask again: its workers are not for waiting */

struct idempotency {
	pthread_mutex_t lock;
	pthread_cond_t released;
	struct idempotency_claim *claims; /* never more than there are workers */
};

int
idempotency_new(struct idempotency **out, struct err *err)
{
	struct idempotency *i = calloc(1, sizeof *i);

	if (i == NULL)
		return err_nomem(err);
	(void)pthread_mutex_init(&i->lock, NULL);
	thread_cond_init(&i->released);
	*out = i;
	return 0;
}

void
idempotency_free(struct idempotency *i)
{
	if (i == NULL)
		return;
	(void)pthread_cond_destroy(&i->released);
	(void)pthread_mutex_destroy(&i->lock);
	free(i);
}

/* With the lock held. */
static bool
is_claimed(const struct idempotency *i, const struct idempotency_claim *claim)
{
	const struct idempotency_claim *c;

	for (c = i->claims; c != NULL; c = c->next)
		if (c->tenant_id == claim->tenant_id && strcmp(c->key, claim->key) == 0 &&
		    strcmp(c->caller, claim->caller) == 0)
			return true;
	return false;
}

int
idempotency_claim(struct core *core, const struct caller *caller, const char *key,
    struct idempotency_claim *claim, struct err *err)
{
	struct idempotency *i = core->idempotency;
	struct timespec until;
	bool is_late = false;
	int rc = 0;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += WAIT_S;
	*claim = (struct idempotency_claim){NULL, caller->tenant_id, caller->who, key};
	(void)pthread_mutex_lock(&i->lock);
	while (is_claimed(i, claim) && !is_late)
		is_late = pthread_cond_timedwait(&i->released, &i->lock, &until) != 0;
	if (is_claimed(i, claim)) {
		rc = err_field(err, E_BUSY, IDEMPOTENCY_FIELD,
		    "a request with this key is still being worked on");
	} else {
		claim->next = i->claims;
		i->claims = claim;
	}
	(void)pthread_mutex_unlock(&i->lock);
	return rc;
}

void
idempotency_release(struct core *core, struct idempotency_claim *claim)
{
	struct idempotency *i = core->idempotency;
	struct idempotency_claim **c;

	(void)pthread_mutex_lock(&i->lock);
	for (c = &i->claims; *c != claim; c = &(*c)->next)
		continue;
	*c = claim->next;
	(void)pthread_cond_broadcast(&i->released);
	(void)pthread_mutex_unlock(&i->lock);
}

int
idempotency_find(struct core *core, const struct caller *caller,
    const struct idempotency_request *request, struct store_idempotency *row_out, struct err *err)
{
	struct store_idempotency row;
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	rc = store_idempotency_find(
	    tx, caller->tenant_id, caller->who, request->key, core->now(), &row, err);
	store_rollback(&tx);
	if (rc != 0)
		return rc;
	if (!secret_equal(row.digest, request->digest, sizeof row.digest))
		return err_field(err, E_CONFLICT, IDEMPOTENCY_FIELD,
		    "this key came with another request before; each request needs a key of its "
		    "own");
	*row_out = row;
	return 0;
}

int
idempotency_note(struct store_tx *tx, const struct caller *caller,
    const struct idempotency_request *request, const char *device_id, const uint8_t *serial,
    int64_t now, struct err *err)
{
	struct store_idempotency row = {.expires_at = now + IDEMPOTENCY_TTL_S};

	if (request->key == NULL)
		return 0;
	memcpy(row.digest, request->digest, sizeof row.digest);
	memcpy(row.serial, serial, sizeof row.serial);
	(void)text_copy(row.device_id, sizeof row.device_id, device_id);
	return store_idempotency_insert(
	    tx, caller->tenant_id, caller->who, request->key, now, &row, err);
}

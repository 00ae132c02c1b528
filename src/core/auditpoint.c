/* The signer remembers the last checkpoint; the store has all. Between them a crash can leave one that was signed and not
 * stored: it is asked for again, and stored, before the next is signed. */
#include "core/auditpoint.h"

#include "base/clock.h"
#include "base/killpoint.h"
#include "base/log.h"
#include "signer/client.h"
#include "store/audit.h"
#include "store/auditpoint.h"
#include "store/store.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_MS 10000
#define DAY 86400

struct auditpoints {
	pthread_mutex_t lock; /* from asking the signer to having stored what it signed */
	bool is_synced;	      /* `last` is the signer's last, and stored */
	struct checkpoint last;
	_Atomic int64_t signed_seq; /* of `last`, for who must not wait */
	int64_t taken_ms, failed_ms; /* monotonic; 0: not yet */
};

int
auditpoints_new(struct auditpoints **out, struct err *err)
{
	struct auditpoints *p = calloc(1, sizeof *p);

	if (p == NULL)
		return err_nomem(err);
	(void)pthread_mutex_init(&p->lock, NULL);
	*out = p;
	return 0;
}

void
auditpoints_free(struct auditpoints *p)
{
	if (p == NULL)
		return;
	(void)pthread_mutex_destroy(&p->lock);
	free(p);
}

static void
from_row(struct checkpoint *out, const struct store_auditpoint *row)
{
	*out = (struct checkpoint){.number = (uint64_t)row->number, .seq = row->seq, .at = row->at};
	memcpy(out->head, row->head, SHA256_LEN);
	memcpy(out->previous, row->previous, SHA256_LEN);
}

/* Number 0 if there is none. */
static int
last_get(struct store_tx *tx, struct checkpoint *out, struct buf *cms, struct err *err)
{
	struct store_auditpoint row = {0};
	struct err why = {0};
	int rc = store_auditpoint_last(tx, &row, cms, &why);

	if (rc != 0 && rc != E_NOTFOUND) {
		*err = why;
		return rc;
	}
	from_row(out, &row);
	return 0;
}

int
auditpoint_stored(struct store_tx *tx, struct checkpoint *out, struct err *err)
{
	return last_get(tx, out, NULL, err);
}

static int
stored_last(struct core *core, struct checkpoint *out, struct buf *cms, struct err *err)
{
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	rc = last_get(tx, out, cms, err);
	store_rollback(&tx);
	return rc;
}

int
auditpoint_signed(struct core *core, int64_t before, struct checkpoint *out, struct buf *cms, struct err *err)
{
	struct store_auditpoint row;
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	if ((rc = store_auditpoint_signed(tx, before, &row, cms, err)) == 0)
		from_row(out, &row);
	store_rollback(&tx);
	return rc;
}

/* ---- taking -------------------------------------------------------------------------------------------------- */

/* With the lock held. */
static void
last_set(struct auditpoints *p, const struct checkpoint *last)
{
	p->last = *last;
	p->signed_seq = last->seq;
}

/* NEXT, which follows the last. A day keeps the message of its last one. With the lock held. */
static int
point_store(struct core *core, const struct checkpoint *next, const struct buf *cms, struct err *err)
{
	struct auditpoints *p = core->auditpoints;
	struct store_auditpoint row = {.number = (int64_t)next->number, .seq = next->seq, .at = next->at};
	struct store_tx *tx = NULL;
	int rc;

	memcpy(row.head, next->head, SHA256_LEN);
	memcpy(row.previous, next->previous, SHA256_LEN);
	if ((rc = store_begin(core->store, &tx, err)) == 0 &&
	    (rc = store_auditpoint_add(tx, &row, cms, p->last.at / DAY == next->at / DAY, err)) == 0)
		rc = store_commit(&tx, err);
	store_rollback(&tx);
	if (rc == 0)
		last_set(p, next);
	return rc;
}

/* Have the store's last and the signer's be the same one, if a crash alone has parted them. With the lock held. */
static int
sync_with_signer(struct core *core, struct err *err)
{
	struct auditpoints *p = core->auditpoints;
	struct checkpoint last, theirs = {0};
	uint8_t ours[SHA256_LEN] = {0};
	struct buf cms = {0};
	int rc;

	if (p->is_synced)
		return 0;
	if ((rc = stored_last(core, &last, NULL, err)) != 0)
		return rc;
	last_set(p, &last);
	if ((rc = signer_checkpoint(core->signer, 0, ours, &theirs, &cms, err)) == E_NOTFOUND)
		rc = 0;
	checkpoint_digest(ours, &p->last);
	if (rc == 0 && theirs.number == p->last.number + 1 && secret_equal(theirs.previous, ours, SHA256_LEN))
		rc = point_store(core, &theirs, &cms, err);
	else if (rc == 0 && theirs.number > p->last.number) {
		/* Goes on from the signer's, so that there is evidence of what comes; verifying tells of the gap. */
		log_error("the audit trail's checkpoints end at number %llu, but the signer remembers number %llu: see "
			  "`muster audit verify`",
		    (unsigned long long)p->last.number, (unsigned long long)theirs.number);
		last_set(p, &theirs);
	}
	p->is_synced = rc == 0;
	buf_clear(&cms);
	return rc;
}

static int
head_get(struct core *core, struct store_audit_head *out, struct err *err)
{
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	rc = store_audit_head(tx, out, err);
	store_rollback(&tx);
	return rc;
}

int
auditpoint_sync(struct core *core, struct err *err)
{
	int rc;

	(void)pthread_mutex_lock(&core->auditpoints->lock);
	rc = sync_with_signer(core, err);
	(void)pthread_mutex_unlock(&core->auditpoints->lock);
	return rc;
}

/* With the lock held. */
static int
take(struct core *core, const struct store_audit_head *head, struct err *err)
{
	struct auditpoints *p = core->auditpoints;
	struct checkpoint next;
	struct buf cms = {0};
	int rc;

	p->is_synced = false; /* until it is stored */
	if ((rc = signer_checkpoint(core->signer, head->seq, head->hash, &next, &cms, err)) == 0 &&
	    next.number != p->last.number) {
		KILLPOINT(59, "a checkpoint of the audit signed, not stored");
		rc = point_store(core, &next, &cms, err);
		KILLPOINT(60, "the same, stored");
	}
	p->is_synced = rc == 0;
	buf_clear(&cms);
	return rc;
}

int
auditpoint_behind(struct core *core, int64_t *rows_out, struct err *err)
{
	const struct auditpoints *p = core->auditpoints;
	struct store_audit_head head;
	int rc;

	if ((rc = head_get(core, &head, err)) != 0)
		return rc;
	*rows_out = head.seq - p->signed_seq;
	return 0;
}

static bool
is_due(const struct core *core, const struct store_audit_head *head, int64_t now_ms)
{
	const struct auditpoints *p = core->auditpoints;
	const struct settings *s = &core_config(core)->settings;

	return !p->is_synced || head->seq < p->last.seq || head->seq - p->last.seq >= s->audit_checkpoint_rows ||
	    (head->seq > p->last.seq && (p->taken_ms == 0 || now_ms - p->taken_ms >= s->audit_checkpoint_s * 1000));
}

void
auditpoint_flush(struct core *core, bool always)
{
	struct auditpoints *p = core->auditpoints;
	int64_t now_ms = clock_mono_ms();
	struct store_audit_head head;
	struct err err = {0};
	int rc = 0;

	(void)pthread_mutex_lock(&p->lock);
	if (!always && p->failed_ms != 0 && now_ms - p->failed_ms < RETRY_MS)
		goto out;
	if ((rc = head_get(core, &head, &err)) == 0 && !always && !is_due(core, &head, now_ms))
		goto out;
	if (rc == 0 && (rc = sync_with_signer(core, &err)) == 0 && head.seq != p->last.seq && head.seq > 0)
		rc = take(core, &head, &err);
	p->failed_ms = rc != 0 ? now_ms : 0;
	if (rc == 0)
		p->taken_ms = now_ms;
out:
	(void)pthread_mutex_unlock(&p->lock);
	if (rc != 0 && rc != E_BUSY && rc != E_FULL)
		log_error("the audit trail's checkpoint was not taken: %s", err.text);
}

/* ---- verifying ----------------------------------------------------------------------------------------------- */

static int
verify_one(void *ctx, const struct store_auditpoint *row, const uint8_t *hash, struct err *err)
{
	struct checkpoint *before = ctx, this;
	uint8_t digest[SHA256_LEN];

	from_row(&this, row);
	checkpoint_digest(digest, before);
	if (this.number != before->number + 1)
		return err_set(err, E_CONFLICT, "checkpoint %llu is missing", (unsigned long long)before->number + 1);
	if (!secret_equal(this.previous, digest, SHA256_LEN))
		return err_set(err, E_CONFLICT, "checkpoint %llu or the one before it was changed",
		    (unsigned long long)this.number);
	if (hash == NULL)
		return err_set(err, E_CONFLICT, "audit row %lld is missing: it was there at checkpoint %llu", (long long)row->seq,
		    (unsigned long long)this.number);
	if (memcmp(this.head, hash, SHA256_LEN) != 0)
		return err_set(err, E_CONFLICT, "audit row %lld has not the hash that it had at checkpoint %llu",
		    (long long)row->seq, (unsigned long long)this.number);
	*before = this;
	return 0;
}

/* The first of a page follows the last of the page before; the first of all follows none. */
struct first {
	struct store_tx *tx;
	struct checkpoint before;
	bool is_known;
};

static int
verify_next(void *ctx, const struct store_auditpoint *row, const uint8_t *hash, struct err *err)
{
	struct first *f = ctx;
	struct store_auditpoint before = {0};
	struct err why = {0};
	int rc;

	if (!f->is_known) {
		if ((rc = store_auditpoint_before(f->tx, row->number, &before, &why)) != 0 && rc != E_NOTFOUND) {
			*err = why;
			return rc;
		}
		from_row(&f->before, &before);
		f->is_known = true;
	}
	return verify_one(&f->before, row, hash, err);
}

int
auditpoint_verify(struct store_tx *tx, int64_t after, int64_t upto, struct err *err)
{
	struct first f = {.tx = tx};

	return store_auditpoint_each(tx, after, upto, verify_next, &f, err);
}

int
auditpoint_verify_end(struct core *core, struct err *err)
{
	struct auditpoints *p = core->auditpoints;
	struct checkpoint ours, theirs = {0};
	uint8_t our_digest[SHA256_LEN] = {0}, their_digest[SHA256_LEN];
	struct buf cms = {0};
	int rc;

	(void)pthread_mutex_lock(&p->lock);
	if ((rc = signer_checkpoint(core->signer, 0, our_digest, &theirs, &cms, err)) == E_NOTFOUND)
		rc = 0;
	if (rc == 0)
		rc = stored_last(core, &ours, NULL, err);
	(void)pthread_mutex_unlock(&p->lock);
	buf_clear(&cms);
	if (rc != 0)
		return rc;
	checkpoint_digest(our_digest, &ours);
	checkpoint_digest(their_digest, &theirs);
	if (secret_equal(our_digest, their_digest, SHA256_LEN))
		return 0;
	if (theirs.number > ours.number)
		return err_set(err, E_CONFLICT, "checkpoint %llu is missing: the signer remembers it, for audit row %lld",
		    (unsigned long long)ours.number + 1, (long long)theirs.seq);
	return err_set(err, E_CONFLICT, "checkpoint %llu is not the one that the signer remembers",
	    (unsigned long long)ours.number);
}

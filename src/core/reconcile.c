/* The signer's log is the truth of what was signed; the store may lack its last rows after a crash, or more after a
 * restore. The mark (setting `signer_log_mark`: "SEQ TIME") keeps the comparison to the tail. */
#include "core/reconcile.h"

#include "base/killpoint.h"
#include "base/log.h"
#include "base/text.h"
#include "core/audit.h"
#include "signer/client.h"
#include "store/change.h"
#include "store/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define MARK "signer_log_mark"
#define BATCH 256 /* log rows a transaction */

/* What the tail says last of one serial. */
struct noted {
	uint8_t serial[SERIAL_LEN];
	enum crl_reason reason;
	UT_hash_handle hh;
};

struct reconcile {
	struct core *core;
	struct caller caller;
	struct store_tx *tx; /* open between batches */
	unsigned in_batch;
	uint64_t last_seq;
	int64_t mark_time;
	struct noted *noted;
	uint64_t n_orphans, n_revoked, n_noted;
};

static int
mark_read(struct reconcile *r, uint64_t *seq_out, struct err *err)
{
	struct buf value = {0};
	struct store_tx *tx = NULL;
	int rc;

	*seq_out = 0;
	r->mark_time = 0;
	if ((rc = store_read(r->core->store, &tx, err)) != 0)
		return rc;
	rc = store_setting_get(tx, MARK, &value, err);
	store_rollback(&tx);
	if (rc == E_NOTFOUND)
		rc = 0;
	else if (rc == 0 && sscanf(buf_str(&value), "%" SCNu64 " %" SCNd64, seq_out, &r->mark_time) != 2)
		rc = err_set(err, E_SYS, "setting " MARK " is not readable");
	buf_clear(&value);
	return rc;
}

static int
orphan_record(struct reconcile *r, const struct signer_log_row *row, struct err *err)
{
	struct store_certificate cert = {.tenant_id = STORE_TENANT_DEFAULT, .owner_kind = OWNER_DEVICE,
	    .state = CERTIFICATE_REVOKED, .reason = REASON_CESSATION_OF_OPERATION,
	    .der = (uint8_t *)row->der, .der_len = row->der_len};
	char serial[2 * SERIAL_LEN + 1];
	struct cert_info info;
	int rc;

	if ((rc = cert_info_read(row->der, row->der_len, &info, err)) != 0)
		return rc;
	memcpy(cert.serial, row->serial, SERIAL_LEN);
	(void)text_copy(cert.owner_id, sizeof cert.owner_id, row->id);
	sha256(cert.fingerprint, row->der, row->der_len);
	sha256(cert.spki_hash, info.spki, info.spki_len);
	(void)text_copy(cert.key, sizeof cert.key, key_kind_name(info.kind));
	cert.not_before = info.not_before;
	cert.not_after = info.not_after;
	cert.revoked_at = r->core->now();
	hex_encode(serial, row->serial, SERIAL_LEN);
	if ((rc = store_certificate_insert(r->tx, &cert, err)) != 0 ||
	    (rc = audit_write(r->tx, &r->caller, cert.revoked_at, "certificate.abandon", "device", row->id,
		 err, "{\"serial\":\"%s\"}", serial)) != 0)
		return rc;
	r->n_orphans++;
	return 0;
}

static int
noted_set(struct reconcile *r, const struct signer_log_row *row, struct err *err)
{
	struct noted *n;

	HASH_FIND(hh, r->noted, row->serial, SERIAL_LEN, n);
	if (n == NULL) {
		if ((n = calloc(1, sizeof *n)) == NULL)
			return err_nomem(err);
		memcpy(n->serial, row->serial, SERIAL_LEN);
		HASH_ADD(hh, r->noted, serial, SERIAL_LEN, n);
		if (n->hh.tbl == NULL) {
			free(n);
			return err_nomem(err);
		}
	}
	n->reason = row->reason;
	return 0;
}

/* One row of the log, in its order. */
static int
on_row(void *ctx, const struct signer_log_row *row, struct err *err)
{
	struct reconcile *r = ctx;
	struct store_certificate cert = {0};
	struct err none = {0};
	int rc = 0;

	r->last_seq = row->seq;
	if (r->tx == NULL && (rc = store_begin(r->core->store, &r->tx, err)) != 0)
		return rc;
	if (row->kind == SIGNER_LOG_ISSUED) {
		rc = store_certificate_by_serial(r->tx, row->serial, &cert, &none);
		store_certificate_clear(&cert);
		if (rc == E_NOTFOUND)
			rc = orphan_record(r, row, err);
		else if (rc != 0)
			*err = none;
	} else if (row->kind == SIGNER_LOG_REVOKED) {
		rc = noted_set(r, row, err);
	}
	KILLPOINT(22, "in the middle of comparing log and store");
	if (rc == 0 && ++r->in_batch >= BATCH) {
		r->in_batch = 0;
		rc = store_commit(&r->tx, err);
	}
	return rc;
}

/* What the log revoked, the store must not call valid. A release (removeFromCRL) changes nothing here: it is
 * noted after the store has it, and a hold too many is the safe mistake. */
static int
log_to_store(struct reconcile *r, struct err *err)
{
	struct store_certificate cert = {0};
	struct noted *n, *next;
	int rc = 0;

	HASH_ITER(hh, r->noted, n, next) {
		bool hold = n->reason == REASON_CERTIFICATE_HOLD;

		if (n->reason == REASON_REMOVE_FROM_CRL)
			continue;
		if ((rc = store_certificate_by_serial(r->tx, n->serial, &cert, err)) != 0)
			return rc;
		if (cert.state == CERTIFICATE_ACTIVE || (cert.state == CERTIFICATE_HELD && !hold)) {
			rc = store_certificate_set_state(r->tx, n->serial,
			    hold ? CERTIFICATE_HELD : CERTIFICATE_REVOKED, (int)n->reason, r->core->now(), NULL,
			    err);
			r->n_revoked++;
		}
		store_certificate_clear(&cert);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* What the store revoked since the mark and the log does not have: a crash came between commit and note, or it is
 * an orphan that was recorded just now. */
static int
store_to_log(struct reconcile *r, struct err *err)
{
	struct store_revoked *walk = NULL;
	struct store_revoked_row row;
	struct store_tx *tx = NULL;
	struct err walk_err = {0};
	struct noted *n;
	int rc;

	if ((rc = store_read(r->core->store, &tx, err)) != 0)
		return rc;
	if ((rc = store_revoked_open(tx, r->core->now(), &walk, err)) == 0) {
		while (rc == 0 && store_revoked_next(walk, &row)) {
			if (row.revoked_at < r->mark_time)
				continue;
			HASH_FIND(hh, r->noted, row.serial, SERIAL_LEN, n);
			if (n != NULL && n->reason == (enum crl_reason)row.reason)
				continue;
			rc = signer_note_revocation(r->core->signer, row.serial,
			    (enum crl_reason)row.reason, row.revoked_at, err);
			r->n_noted++;
		}
		if (store_revoked_close(walk, &walk_err) != 0 && rc == 0) {
			*err = walk_err;
			rc = walk_err.code;
		}
	}
	store_rollback(&tx);
	return rc;
}

static int
mark_write(struct reconcile *r, struct err *err)
{
	char value[48];

	(void)snprintf(value, sizeof value, "%" PRIu64 " %" PRId64, r->last_seq, r->core->now());
	return store_setting_put(r->tx, MARK, value, err);
}

int
reconcile_run(struct core *core, struct err *err)
{
	struct reconcile r = {.core = core,
	    .caller = {.role = ROLE_ADMIN, .tenant_id = STORE_TENANT_DEFAULT, .who = "system"}};
	struct noted *n, *next;
	uint64_t mark;
	int rc;

	if ((rc = mark_read(&r, &mark, err)) != 0)
		return rc;
	r.last_seq = mark;
	if ((rc = signer_log_read(core->signer, mark, on_row, &r, err)) != 0 ||
	    (r.tx == NULL && (rc = store_begin(core->store, &r.tx, err)) != 0) ||
	    (rc = log_to_store(&r, err)) != 0 || (rc = store_commit(&r.tx, err)) != 0)
		goto out;
	KILLPOINT(23, "log and store compared, the mark not moved");
	if ((rc = store_to_log(&r, err)) != 0 || (rc = store_begin(core->store, &r.tx, err)) != 0 ||
	    (rc = mark_write(&r, err)) != 0 || (rc = store_commit(&r.tx, err)) != 0)
		goto out;
	if (r.n_orphans + r.n_revoked + r.n_noted > 0)
		log_warn("signer's log and store compared: %" PRIu64 " unrecorded certificates revoked, "
			 "%" PRIu64 " revocations applied, %" PRIu64 " noted",
		    r.n_orphans, r.n_revoked, r.n_noted);
out:
	store_rollback(&r.tx);
	HASH_ITER(hh, r.noted, n, next) {
		HASH_DEL(r.noted, n);
		free(n);
	}
	return rc;
}

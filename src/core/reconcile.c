/* The signer's log is the truth of what was signed; the store may lack its last rows after a crash, or more after a
 * restore. The mark (setting `signer_log_mark`: "SEQ TIME") keeps the comparison to the tail; `muster restore` adds a
 * word to it, which goes with the mark that the first start writes. */
#include "core/reconcile.h"

#include "base/killpoint.h"
#include "base/log.h"
#include "base/text.h"
#include "core/audit.h"
#include "core/ca.h"
#include "core/publisher.h"
#include "core/recovery.h"
#include "signer/client.h"
#include "store/change.h"
#include "store/crl.h"
#include "store/store.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define MARK "signer_log_mark"
#define RESTORED " restored"
#define BATCH 256 /* log rows a transaction */

/* What the tail says last of one serial. */
struct noted {
	uint8_t serial[SERIAL_LEN];
	enum crl_reason reason;
	int64_t at;
	UT_hash_handle hh;
};

/* A certificate that may be in the log and not in the store. */
struct suspect {
	char owner_id[UUID_LEN + 1];
	uint8_t spki_hash[SHA256_LEN];
	struct suspect *next;
};

/* A revocation that is stored, and not yet in the log. */
struct unnoted {
	uint8_t serial[SERIAL_LEN];
	enum crl_reason reason;
	int64_t at;
	struct unnoted *next;
};

struct suspects {
	pthread_mutex_t lock;
	struct suspect *first;
	struct unnoted *unnoted, **unnoted_end; /* oldest first: a release must not come before its hold */
	uint64_t last_seq; /* of the log's rows, how far all were looked at; reconcile's thread only */
};

static const struct caller caller_system = {
    .role = ROLE_ADMIN, .tenant_id = STORE_TENANT_DEFAULT, .who = "system"};

struct reconcile {
	struct core *core;
	struct caller caller;
	struct store_tx *tx; /* open between batches */
	unsigned in_batch;
	uint64_t last_seq;
	int64_t mark_time;
	bool restored; /* the store comes from a backup */
	struct noted *noted;
	uint64_t n_orphans, n_held, n_revoked, n_noted;
};

/* The mark in TX: 0 and 0 before the first start. */
static int
mark_get(struct store_tx *tx, uint64_t *seq_out, int64_t *time_out, bool *restored_out, struct err *err)
{
	struct buf value = {0};
	int rc;

	*seq_out = 0;
	*time_out = 0;
	*restored_out = false;
	if ((rc = store_setting_get(tx, MARK, &value, err)) == E_NOTFOUND)
		rc = 0;
	else if (rc == 0 && sscanf(buf_str(&value), "%" SCNu64 " %" SCNd64, seq_out, time_out) != 2)
		rc = err_set(err, E_SYS, "setting " MARK " is not readable");
	else if (rc == 0)
		*restored_out = strstr(buf_str(&value), RESTORED) != NULL;
	buf_clear(&value);
	return rc;
}

static int
mark_put(struct store_tx *tx, uint64_t seq, int64_t time, bool restored, struct err *err)
{
	char value[64];

	(void)snprintf(value, sizeof value, "%" PRIu64 " %" PRId64 "%s", seq, time, restored ? RESTORED : "");
	return store_setting_put(tx, MARK, value, err);
}

int
reconcile_restored(struct store_tx *tx, struct err *err)
{
	uint64_t seq;
	int64_t time;
	bool restored;
	int rc;

	if ((rc = mark_get(tx, &seq, &time, &restored, err)) != 0 ||
	    (rc = mark_put(tx, seq, time, true, err)) != 0)
		return rc;
	/* Whoever has a list that was made after the backup must not think that a delta brings it up to date. */
	return store_crl_forget_base(tx, err);
}

static int
mark_read(struct reconcile *r, uint64_t *seq_out, struct err *err)
{
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_read(r->core->store, &tx, err)) != 0)
		return rc;
	rc = mark_get(tx, seq_out, &r->mark_time, &r->restored, err);
	store_rollback(&tx);
	return rc;
}

static int
orphan_record(struct reconcile *r, const struct signer_log_row *row, struct err *err)
{
	struct store_certificate cert = {.tenant_id = STORE_TENANT_DEFAULT, .owner_kind = OWNER_DEVICE,
	    .state = CERTIFICATE_REVOKED, .reason = REASON_CESSATION_OF_OPERATION,
	    .der = (uint8_t *)row->der, .der_len = row->der_len};
	struct recovery recovery = {r->tx, r->core->now()};
	char serial[2 * SERIAL_LEN + 1];
	struct cert_info info;
	bool held;
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
	cert.revoked_at = recovery.now;
	cert.issuer = ca_issuer_number(r->core, &info);
	hex_encode(serial, row->serial, SERIAL_LEN);
	if (r->restored && (rc = recovery_hold(&recovery, info.common_name, &cert, err)) != 0)
		return rc;
	held = cert.state == CERTIFICATE_HELD;
	if ((rc = store_certificate_insert(r->tx, &cert, err)) != 0 ||
	    (rc = audit_write(r->tx, &r->caller, cert.revoked_at, held ? "certificate.hold" : "certificate.abandon",
		 "device", row->id, err, "{\"serial\":\"%s\"}", serial)) != 0)
		return rc;
	r->n_held += held;
	r->n_orphans += !held;
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
	n->at = row->at;
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
	if (r->tx == NULL && (rc = store_begin_urgent(r->core->store, &r->tx, err)) != 0)
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
	const struct recovery recovery = {r->tx, r->core->now()};
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
			    hold ? CERTIFICATE_HELD : CERTIFICATE_REVOKED, (int)n->reason, n->at, NULL, err);
			if (rc == 0)
				rc = recovery_follow(&recovery, &cert, hold, err);
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
	if ((rc = store_revoked_open(tx, STORE_ISSUER_ALL, r->core->now(), &walk, err)) == 0) {
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

int
reconcile_run(struct core *core, struct err *err)
{
	struct reconcile r = {.core = core, .caller = caller_system};
	struct noted *n, *next;
	uint64_t mark;
	int rc;

	if ((rc = mark_read(&r, &mark, err)) != 0)
		return rc;
	r.last_seq = mark;
	if ((rc = signer_log_read(core->signer, mark, on_row, &r, err)) != 0 ||
	    (r.tx == NULL && (rc = store_begin_urgent(core->store, &r.tx, err)) != 0) ||
	    (rc = log_to_store(&r, err)) != 0 || (rc = store_commit(&r.tx, err)) != 0)
		goto out;
	KILLPOINT(23, "log and store compared, the mark not moved");
	if ((rc = store_to_log(&r, err)) != 0)
		goto out;
	if ((rc = store_begin_urgent(core->store, &r.tx, err)) == 0 && (rc = mark_put(r.tx, r.last_seq, core->now(), false, err)) == 0)
		rc = store_commit(&r.tx, err);
	if (rc == E_FULL) { /* the next start compares more rows */
		log_warn("the mark in the signer's log was not moved: %s", err->text);
		rc = 0;
	}
	if (rc != 0)
		goto out;
	core->suspects->last_seq = r.last_seq;
	if (r.n_orphans + r.n_held + r.n_revoked + r.n_noted > 0)
		log_warn("signer's log and store compared: %" PRIu64 " unrecorded certificates revoked, %" PRIu64
			 " put on hold, %" PRIu64 " revocations applied, %" PRIu64 " noted",
		    r.n_orphans, r.n_held, r.n_revoked, r.n_noted);
out:
	store_rollback(&r.tx);
	HASH_ITER(hh, r.noted, n, next) {
		HASH_DEL(r.noted, n);
		free(n);
	}
	return rc;
}

/* ---- while serving ------------------------------------------------------------------------------------------- */

struct suspects *
suspects_new(void)
{
	struct suspects *s = calloc(1, sizeof *s);

	if (s == NULL)
		return NULL;
	(void)pthread_mutex_init(&s->lock, NULL);
	s->unnoted_end = &s->unnoted;
	return s;
}

static void
list_free(struct suspect *list)
{
	struct suspect *next;

	for (; list != NULL; list = next) {
		next = list->next;
		free(list);
	}
}

void
suspects_free(struct suspects *s)
{
	struct unnoted *next;

	if (s == NULL)
		return;
	list_free(s->first);
	for (; s->unnoted != NULL; s->unnoted = next) {
		next = s->unnoted->next;
		free(s->unnoted);
	}
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}

void
reconcile_suspect_hash(struct core *core, const char *owner_id, const uint8_t *spki_hash)
{
	struct suspects *s = core->suspects;
	struct suspect *new = calloc(1, sizeof *new);

	if (new == NULL) {
		log_error("a certificate of %s may have been signed; out of memory to remember it, the next start will "
			  "look for it", owner_id);
		return;
	}
	(void)text_copy(new->owner_id, sizeof new->owner_id, owner_id);
	memcpy(new->spki_hash, spki_hash, SHA256_LEN);
	(void)pthread_mutex_lock(&s->lock);
	new->next = s->first;
	s->first = new;
	(void)pthread_mutex_unlock(&s->lock);
}

void
reconcile_suspect(struct core *core, const char *owner_id, const uint8_t *spki, size_t spki_len)
{
	uint8_t hash[SHA256_LEN];

	sha256(hash, spki, spki_len);
	reconcile_suspect_hash(core, owner_id, hash);
}

/* A row of the log that is a suspect's, with its bytes. */
struct find {
	struct signer_log_row row;
	struct find *next;
};

/* Every row is some caller's, who may be about to store it: only one whose caller has given up may be touched. */
struct search {
	const struct suspect *list;
	struct find *finds;
	uint64_t last_seq;
};

static bool
is_suspect(const struct suspect *list, const struct signer_log_row *row)
{
	struct cert_info info;
	uint8_t hash[SHA256_LEN];

	for (; list != NULL; list = list->next) {
		if (strcmp(list->owner_id, row->id) != 0 || cert_info_read(row->der, row->der_len, &info, NULL) != 0)
			continue;
		sha256(hash, info.spki, info.spki_len);
		if (memcmp(hash, list->spki_hash, SHA256_LEN) == 0)
			return true;
	}
	return false;
}

static int
on_searched_row(void *ctx, const struct signer_log_row *row, struct err *err)
{
	struct search *search = ctx;
	struct find *find;

	search->last_seq = row->seq;
	if (row->kind != SIGNER_LOG_ISSUED || !is_suspect(search->list, row))
		return 0;
	if ((find = malloc(sizeof *find + row->der_len)) == NULL)
		return err_nomem(err);
	find->row = *row;
	find->row.der = memcpy(find + 1, row->der, row->der_len);
	find->next = search->finds;
	search->finds = find;
	return 0;
}

/* Record the certificate of FIND as revoked, unless it is known. */
static int
find_record(struct reconcile *r, const struct find *find, struct err *err)
{
	struct store_certificate cert = {0};
	struct err none = {0};
	int rc;

	rc = store_certificate_by_serial(r->tx, find->row.serial, &cert, &none);
	store_certificate_clear(&cert);
	if (rc == E_NOTFOUND)
		return orphan_record(r, &find->row, err);
	if (rc != 0)
		*err = none;
	return rc;
}

/* The log is read before the transaction begins: no writer waits for the signer. */
static int
search_settle(struct core *core, struct search *search, struct err *err)
{
	struct reconcile r = {.core = core, .caller = caller_system};
	const struct find *find;
	int rc;

	if ((rc = signer_log_read(core->signer, search->last_seq, on_searched_row, search, err)) != 0 ||
	    search->finds == NULL)
		return rc;
	if ((rc = store_begin_urgent(core->store, &r.tx, err)) != 0)
		return rc;
	for (find = search->finds; rc == 0 && find != NULL; find = find->next)
		rc = find_record(&r, find, err);
	if (rc == 0)
		rc = store_commit(&r.tx, err);
	store_rollback(&r.tx);
	for (find = search->finds; rc == 0 && find != NULL; find = find->next)
		rc = signer_note_revocation(
		    core->signer, find->row.serial, REASON_CESSATION_OF_OPERATION, core->now(), err);
	if (rc == 0 && r.n_orphans > 0) {
		log_warn("%" PRIu64 " certificates whose answer was lost were signed: revoked", r.n_orphans);
		publisher_wake(core->publisher, PUBLISH_CRL);
	}
	return rc;
}

/* Put LIST back in front of what has come meanwhile. */
static void
list_return(struct suspects *s, struct suspect *list)
{
	struct suspect *last = list;

	while (last->next != NULL)
		last = last->next;
	(void)pthread_mutex_lock(&s->lock);
	last->next = s->first;
	s->first = list;
	(void)pthread_mutex_unlock(&s->lock);
}

int
reconcile_suspects(struct core *core, struct err *err)
{
	struct suspects *s = core->suspects;
	struct search search = {.last_seq = s->last_seq};
	struct suspect *list;
	struct find *next;
	int rc;

	(void)pthread_mutex_lock(&s->lock);
	list = s->first;
	s->first = NULL;
	(void)pthread_mutex_unlock(&s->lock);
	if (list == NULL)
		return 0;
	search.list = list;
	if ((rc = search_settle(core, &search, err)) == 0) {
		s->last_seq = search.last_seq;
		list_free(list);
	} else {
		list_return(s, list);
	}
	for (; search.finds != NULL; search.finds = next) {
		next = search.finds->next;
		free(search.finds);
	}
	return rc;
}

/* Append to those that wait. */
static void
note_later(struct suspects *s, const uint8_t *serial, enum crl_reason reason, int64_t at)
{
	struct unnoted *new = calloc(1, sizeof *new);

	if (new == NULL) {
		log_error("a revocation is not in the signer's log; out of memory to remember it, the next start adds it");
		return;
	}
	memcpy(new->serial, serial, SERIAL_LEN);
	new->reason = reason;
	new->at = at;
	(void)pthread_mutex_lock(&s->lock);
	*s->unnoted_end = new;
	s->unnoted_end = &new->next;
	(void)pthread_mutex_unlock(&s->lock);
}

int
reconcile_note(struct core *core, const uint8_t *serial, enum crl_reason reason, int64_t at, struct err *err)
{
	struct suspects *s = core->suspects;
	bool others_wait;
	int rc;

	(void)pthread_mutex_lock(&s->lock);
	others_wait = s->unnoted != NULL;
	(void)pthread_mutex_unlock(&s->lock);
	if (others_wait)
		rc = err_set(err, E_BUSY, "the signer is away");
	else if ((rc = signer_note_revocation(core->signer, serial, reason, at, err)) == 0 || rc == E_NOTFOUND)
		return rc;
	note_later(s, serial, reason, at);
	return rc;
}

int
reconcile_notes(struct core *core, struct err *err)
{
	struct suspects *s = core->suspects;
	struct unnoted *first;
	int rc;

	for (;;) {
		(void)pthread_mutex_lock(&s->lock);
		first = s->unnoted;
		(void)pthread_mutex_unlock(&s->lock);
		if (first == NULL)
			return 0;
		/* Only this thread removes, so the first stays the first. */
		rc = signer_note_revocation(core->signer, first->serial, first->reason, first->at, err);
		if (rc != 0 && rc != E_NOTFOUND)
			return rc;
		(void)pthread_mutex_lock(&s->lock);
		if ((s->unnoted = first->next) == NULL)
			s->unnoted_end = &s->unnoted;
		(void)pthread_mutex_unlock(&s->lock);
		free(first);
	}
}

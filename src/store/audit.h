/* Table `audit`: what happened, hash-chained, each link of the chain under a key (store/auditkey.h). A row is written in the
 * transaction of what it tells. */
#ifndef MUSTER_STORE_AUDIT_H
#define MUSTER_STORE_AUDIT_H

#include "base/err.h"
#include "base/secret.h"
#include "store/device.h"

#include <stdbool.h>
#include <stdint.h>

struct store_audit {
	int64_t seq; /* from 1, gapless */
	int64_t tenant_id;
	int64_t at;
	const char *actor;  /* "operator:admin", "uid:0", "link", "system" */
	const char *action; /* "device.register" */
	const char *target; /* "device:UUID", or "" */
	const char *detail; /* a JSON object as text, or "" */
	uint8_t hash[SHA256_LEN]; /* of the row before and all fields of this one */
	uint8_t mac[SHA256_LEN];  /* of the hash, */
	bool has_mac;		  /* but for rows of before there was a key */
};

struct auditkey;
struct db;
struct store;

/* The key of the audit in the database at PATH, for store_open. It is made when no row has a MAC yet; if it is missing in
 * spite of one, *KEY_OUT has no bytes and nothing can be appended. E_INPUT, E_SYS, E_NOMEM. */
MUST_CHECK int store_audit_open(struct db *db, const char *path, struct auditkey *key_out, struct err *err);

/* Can anything be appended? E_NOTFOUND: the key is missing. */
MUST_CHECK int store_audit_ready(const struct store *store, struct err *err);

/* Append ROW; seq, hash and MAC are set by the store. The chain's head (seq, hash) is kept in `setting` in the
 * same transaction, so that a cut tail shows. */
MUST_CHECK int store_audit_append(
    struct store_tx *tx, const struct store_audit *row, struct err *err);

/* Call EACH for at most LIMIT rows of the tenant (0: all) with seq > AFTER, ascending. Borrowed rows. */
typedef int store_audit_each_fn(void *ctx, const struct store_audit *row, struct err *err);
MUST_CHECK int store_audit_each(struct store_tx *tx, int64_t tenant_id, int64_t after, size_t limit,
    store_audit_each_fn *each, void *ctx, struct err *err);

/* The hash of ROW behind one whose hash is BEFORE, into OUT[SHA256_LEN]; that of ROW itself is not looked at. E_NOMEM. */
MUST_CHECK int store_audit_hash(
    const uint8_t *before, const struct store_audit *row, uint8_t *out, struct err *err);

/* Which rows of a tenant's. */
struct store_audit_filter {
	const char *actor, *action, *target; /* exactly; NULL or "": any */
	int64_t since, until;		     /* from, and before; 0: from the first, to the last */
	int64_t after_at, after_seq;	     /* behind this row; after_seq 0: from the first */
};

/* The same for those that FILTER lets through, in the order of their times. One of its words, or its times, is looked for in an
 * index: the target before the actor before the action. */
MUST_CHECK int store_audit_find(struct store_tx *tx, int64_t tenant_id, const struct store_audit_filter *filter,
    size_t limit, store_audit_each_fn *each, void *ctx, struct err *err);

/* The last row's number and hash; 0 and zero: none was written yet. E_CONFLICT: the head is damaged. */
struct store_audit_head {
	int64_t seq;
	uint8_t hash[SHA256_LEN];
};
MUST_CHECK int store_audit_head(struct store_tx *tx, struct store_audit_head *out, struct err *err);

/* The row behind which the table begins; 0: with the first. What came before was archived. E_CONFLICT: it is damaged. */
MUST_CHECK int store_audit_base(struct store_tx *tx, struct store_audit_head *out, struct err *err);

#define STORE_AUDIT_ARCHIVE "audit.archive" /* the action of the row that says so, about "audit:SEQ", with "head":"HASH" */

/* Remove the rows up to SEQ, whose hash is HASH: the table begins behind it. A row of STORE_AUDIT_ARCHIVE is the caller's to
 * append. */
MUST_CHECK int store_audit_drop(struct store_tx *tx, int64_t seq, const uint8_t *hash, struct err *err);

struct store_audit_verdict {
	int64_t archived; /* the rows up to this one are in archives */
	int64_t rows; /* that were looked at, */
	int64_t last; /* and the last of them */
	int64_t keyed_from; /* the first row that only who has the key can have written */
	bool is_end;
};

/* Recompute the chain behind the row AFTER (0: from where the table begins), whose hash is taken for what it says: LIMIT rows, or up to
 * the end, where they are held against the head. E_CONFLICT names the first seq that does not fit: a row changed, missing,
 * moved or made without the key, or a tail that was cut, unless the head was put back with it. E_NOTFOUND: the key is
 * missing. */
MUST_CHECK int store_audit_verify(
    struct store_tx *tx, int64_t after, int64_t limit, struct store_audit_verdict *verdict_out, struct err *err);

#endif

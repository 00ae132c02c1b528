/* Table `audit`: what happened, hash-chained. A row is written in the transaction of what it tells. */
#ifndef MUSTER_STORE_AUDIT_H
#define MUSTER_STORE_AUDIT_H

#include "base/err.h"
#include "base/secret.h"
#include "store/device.h"

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
};

/* Append ROW; seq and hash are set by the store. The chain's head (seq, hash) is kept in `setting` in the
 * same transaction, so that a cut tail shows. */
MUST_CHECK int store_audit_append(
    struct store_tx *tx, const struct store_audit *row, struct err *err);

/* Call EACH for at most LIMIT rows of the tenant (0: all) with seq > AFTER, ascending. Borrowed rows. */
typedef int store_audit_each_fn(void *ctx, const struct store_audit *row, struct err *err);
MUST_CHECK int store_audit_each(struct store_tx *tx, int64_t tenant_id, int64_t after, size_t limit,
    store_audit_each_fn *each, void *ctx, struct err *err);

/* Recompute the whole chain. *ROWS_OUT is the number of rows. E_CONFLICT names the first seq that does not
 * fit: a row changed, missing or moved, or a tail that was cut. */
MUST_CHECK int store_audit_verify(struct store_tx *tx, int64_t *rows_out, struct err *err);

#endif

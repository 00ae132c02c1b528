/* Table `audit_checkpoint`: what the signer has signed of the audit trail. */
#ifndef MUSTER_STORE_AUDITPOINT_H
#define MUSTER_STORE_AUDITPOINT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/secret.h"

#include <stdbool.h>
#include <stdint.h>

struct store_tx;

struct store_auditpoint {
	int64_t number; /* from 1 */
	int64_t seq;	/* of an audit row, whose hash is */
	uint8_t head[SHA256_LEN];
	int64_t at;
	uint8_t previous[SHA256_LEN]; /* digest of the one before */
};

/* Store POINT with its signed message. With REPLACES the message of the one before it goes. E_CONFLICT if there is one of its
 * number or row. */
MUST_CHECK int store_auditpoint_add(struct store_tx *tx, const struct store_auditpoint *point, const struct buf *cms,
    bool replaces, struct err *err);

/* The last one, and its message appended to CMS, which may be NULL. E_NOTFOUND: there is none. */
MUST_CHECK int store_auditpoint_last(struct store_tx *tx, struct store_auditpoint *out, struct buf *cms, struct err *err);

/* The last one of a number below NUMBER. E_NOTFOUND. */
MUST_CHECK int store_auditpoint_before(
    struct store_tx *tx, int64_t number, struct store_auditpoint *out, struct err *err);

/* The last one before the time BEFORE whose message is kept, with it. E_NOTFOUND. */
MUST_CHECK int store_auditpoint_signed(
    struct store_tx *tx, int64_t before, struct store_auditpoint *out, struct buf *cms, struct err *err);

/* The one about the row SEQ. E_NOTFOUND. */
MUST_CHECK int store_auditpoint_at(struct store_tx *tx, int64_t seq, struct store_auditpoint *out, struct err *err);

/* Of those about rows from AFTER + 1 on, the last up to UPTO; without one there, the first behind. E_NOTFOUND. */
MUST_CHECK int store_auditpoint_step(
    struct store_tx *tx, int64_t after, int64_t upto, struct store_auditpoint *out, struct err *err);

/* Remove those with a number below NUMBER. */
MUST_CHECK int store_auditpoint_drop(struct store_tx *tx, int64_t number, struct err *err);

/* Call EACH for those about rows after AFTER and up to UPTO, in order, with the hash of the row; NULL: it is not there.
 * Borrowed. */
typedef int store_auditpoint_each_fn(
    void *ctx, const struct store_auditpoint *point, const uint8_t *hash, struct err *err);
MUST_CHECK int store_auditpoint_each(struct store_tx *tx, int64_t after, int64_t upto, store_auditpoint_each_fn *each,
    void *ctx, struct err *err);

#endif

/* Checkpoints of the audit trail: having them signed as it grows, and holding it against them. */
#ifndef MUSTER_CORE_AUDITPOINT_H
#define MUSTER_CORE_AUDITPOINT_H

#include "base/buf.h"
#include "base/err.h"
#include "core/core.h"
#include "x509/checkpoint.h"

#include <stdbool.h>
#include <stdint.h>

struct auditpoints;
struct store_tx;

MUST_CHECK int auditpoints_new(struct auditpoints **out, struct err *err);
void auditpoints_free(struct auditpoints *points);

/* Have a checkpoint signed and store it if it is time (`[audit] checkpoint` and `checkpoint_rows`), or ALWAYS if there are
 * rows behind the last one. One thread at a time. Best effort: what fails is logged, and tried again later. */
void auditpoint_flush(struct core *core, bool always);

/* As what a restored home begins with: the store's last one; number 0: none. */
MUST_CHECK int auditpoint_stored(struct store_tx *tx, struct checkpoint *out, struct err *err);

/* The last one whose signed message is there (the last of all, and of each day) of before the time BEFORE, and that message (DER)
 * appended to CMS. E_NOTFOUND. */
MUST_CHECK int auditpoint_signed(
    struct core *core, int64_t before, struct checkpoint *out, struct buf *cms, struct err *err);

/* How many rows are behind the last checkpoint; negative: there are fewer than were signed. */
MUST_CHECK int auditpoint_behind(struct core *core, int64_t *rows_out, struct err *err);

/* Do the stored checkpoints about rows after AFTER and up to UPTO follow each other, and say what the trail says? E_CONFLICT. */
MUST_CHECK int auditpoint_verify(struct store_tx *tx, int64_t after, int64_t upto, struct err *err);

/* Before the first of these: have what was signed and not stored, because of a crash, stored now. E_BUSY. */
MUST_CHECK int auditpoint_sync(struct core *core, struct err *err);

/* Is the last of them the one that the signer remembers? E_CONFLICT, E_BUSY. */
MUST_CHECK int auditpoint_verify_end(struct core *core, struct err *err);

#endif

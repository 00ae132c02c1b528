/* The audit trail as core writes and shows it. */
#ifndef MUSTER_CORE_AUDIT_H
#define MUSTER_CORE_AUDIT_H

#include "base/err.h"
#include "core/caller.h"
#include "core/core.h"
#include "store/audit.h"

struct store_tx;

/* Append a row to the caller's transaction. TARGET_KIND and TARGET_ID make "device:UUID"; DETAIL is a printf
 * format for a JSON object, or NULL: its arguments are numbers, UUIDs, hex and checked words only. The caller's request, if it has
 * one, is added as "request". */
MUST_CHECK int audit_write(struct store_tx *tx, const struct caller *caller, int64_t now,
    const char *action, const char *target_kind, const char *target_id, struct err *err,
    const char *detail, ...) __attribute__((format(printf, 8, 9)));

MUST_CHECK int audit_each(struct core *core, const struct caller *caller, int64_t after, size_t limit,
    store_audit_each_fn *each, void *ctx, struct err *err);

/* The same for what FILTER lets through, in the order of the times. */
MUST_CHECK int audit_find(struct core *core, const struct caller *caller, const struct store_audit_filter *filter,
    size_t limit, store_audit_each_fn *each, void *ctx, struct err *err);

/* All tenants' rows, and behind which one the table begins. */
MUST_CHECK int audit_trail(struct core *core, int64_t after, size_t limit, struct store_audit_head *base_out,
    store_audit_each_fn *each, void *ctx, struct err *err);

/* The rows up to the checkpoint about row UNTIL, whose hash is HEAD, are in an archive whose file has the SHA-256 DIGEST: remove
 * AUDIT_ARCHIVE_ROWS of them or a few more, up to a checkpoint. *BASE_OUT is up to which; the caller goes on until it is UNTIL. Only
 * who is on the host may. E_DENIED, E_CONFLICT: there is no such checkpoint. */
#define AUDIT_ARCHIVE_ROWS 2000 /* what a revocation may have to wait for: 80 ms, measured */
MUST_CHECK int audit_archive(struct core *core, const struct caller *caller, int64_t until, const uint8_t *head,
    const uint8_t *digest, int64_t *base_out, struct err *err);

/* Verify the chain behind the row AFTER (0: from the start), LIMIT rows of it or all (INT64_MAX), and the checkpoints of
 * these; at its end also that it reaches as far as the signer remembers. As store_audit_verify; E_BUSY: the signer could not be
 * asked. */
MUST_CHECK int audit_verify(
    struct core *core, int64_t after, int64_t limit, struct store_audit_verdict *verdict_out, struct err *err);

#endif

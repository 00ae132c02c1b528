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

/* All tenants' rows. */
MUST_CHECK int audit_trail(
    struct core *core, int64_t after, size_t limit, store_audit_each_fn *each, void *ctx, struct err *err);

/* Verify the chain behind the row AFTER (0: from the start), LIMIT rows of it or all (INT64_MAX), and the checkpoints of
 * these; at its end also that it reaches as far as the signer remembers. As store_audit_verify; E_BUSY: the signer could not be
 * asked. */
MUST_CHECK int audit_verify(
    struct core *core, int64_t after, int64_t limit, struct store_audit_verdict *verdict_out, struct err *err);

#endif

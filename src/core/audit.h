/* The audit trail as core writes and shows it. */
#ifndef MUSTER_CORE_AUDIT_H
#define MUSTER_CORE_AUDIT_H

#include "base/err.h"
#include "core/caller.h"
#include "core/core.h"
#include "store/audit.h"

struct store_tx;

/* Append a row to the caller's transaction. TARGET_KIND and TARGET_ID make "device:UUID"; DETAIL is a printf
 * format for a JSON object, or NULL: its arguments are numbers, UUIDs, hex and checked words only. */
MUST_CHECK int audit_write(struct store_tx *tx, const struct caller *caller, int64_t now,
    const char *action, const char *target_kind, const char *target_id, struct err *err,
    const char *detail, ...) __attribute__((format(printf, 8, 9)));

MUST_CHECK int audit_each(struct core *core, const struct caller *caller, int64_t after, size_t limit,
    store_audit_each_fn *each, void *ctx, struct err *err);

/* As store_audit_verify. */
MUST_CHECK int audit_verify(struct core *core, struct store_audit_verdict *verdict_out, struct err *err);

#endif

/* The tenant's named policies: setting one changes the rights of every device that uses it. */
#ifndef MUSTER_CORE_POLICIES_H
#define MUSTER_CORE_POLICIES_H

#include "base/err.h"
#include "core/caller.h"
#include "core/core.h"
#include "store/policy.h"

struct policies_request {
	const char *const *write;
	size_t n_write;
	const char *const *read;
	size_t n_read;
	int64_t sessions; /* of a device at a time, each under a client id of its own; 0: one */
};

/* Insert or replace; brokers learn of it. E_INPUT (field "write[0]" …; "sessions" beyond FEED_SESSIONS_MAX). In ACL-file mode it returns after
 * the broker was signalled. */
MUST_CHECK int policies_set(struct core *core, const struct caller *caller, const char *name,
    const struct policies_request *request, struct store_policy *policy_out, struct err *err);
MUST_CHECK int policies_get(struct core *core, const struct caller *caller, const char *name,
    struct store_policy *policy_out, struct err *err);

/* E_CONFLICT while devices use it, and for the built-in one. */
MUST_CHECK int policies_remove(
    struct core *core, const struct caller *caller, const char *name, struct err *err);
MUST_CHECK int policies_each(struct core *core, const struct caller *caller,
    store_policy_each_fn *each, void *ctx, struct err *err);

/* Give the tenant the built-in policy, which is a row of its own, and may be set otherwise. */
MUST_CHECK int policies_put_builtin(struct store_tx *tx, int64_t tenant_id, int64_t now, struct err *err);

#endif

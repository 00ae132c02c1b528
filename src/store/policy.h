/* Table `policy`. */
#ifndef MUSTER_STORE_POLICY_H
#define MUSTER_STORE_POLICY_H

#include "base/err.h"
#include "store/device.h"

#include <stdbool.h>

struct store_policy {
	int64_t tenant_id;
	char name[STORE_WORD_SIZE];
	char *read, *write; /* JSON arrays of topic templates as text; owned */
	int64_t updated_at;
	int64_t sessions; /* of a device at a time; 0 is 1 */
};

void store_policy_clear(struct store_policy *row);

/* Insert or replace. */
MUST_CHECK int store_policy_put(
    struct store_tx *tx, const struct store_policy *row, struct err *err);
MUST_CHECK int store_policy_get(struct store_tx *tx, int64_t tenant_id, const char *name,
    struct store_policy *row_out, struct err *err);

/* E_NOTFOUND; E_CONFLICT while a device that is not revoked or archived uses it. */
MUST_CHECK int store_policy_remove(
    struct store_tx *tx, int64_t tenant_id, const char *name, struct err *err);

/* Call EACH for every policy of the tenant (0: of every tenant), in the order of name. */
typedef int store_policy_each_fn(void *ctx, const struct store_policy *row, struct err *err);
MUST_CHECK int store_policy_each(struct store_tx *tx, int64_t tenant_id,
    store_policy_each_fn *each, void *ctx, struct err *err);

/* As store_device_page, in the order of tenant and name; 0 and "" to begin with. */
MUST_CHECK int store_policy_page(struct store_tx *tx, int64_t after_tenant_id, const char *after_name, size_t max,
    store_policy_each_fn *each, void *ctx, size_t *n_out, struct err *err);

#endif

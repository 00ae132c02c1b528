/* Rights: what topics a device or a service may write and read, from policies to expanded filters. */
#ifndef MUSTER_CORE_RIGHTS_H
#define MUSTER_CORE_RIGHTS_H

#include "authz/feed.h"
#include "authz/policy.h"
#include "base/buf.h"
#include "base/err.h"
#include "core/caller.h"
#include "core/core.h"
#include "store/device.h"
#include "store/store.h"

#include <stddef.h>

/* Check N topics by CHECK (policy_template_check or policy_filter_check) and append them to OUT as a JSON
 * array. E_INPUT with the field "FIELD[i]", E_LIMIT above POLICY_TEMPLATES_MAX. */
MUST_CHECK int rights_to_json(const char *field, const char *const *topics, size_t n,
    int (*check)(const char *topic, struct err *err), struct buf *out, struct err *err);

/* Read a stored JSON array of topics. E_SYS if it is none. */
MUST_CHECK int rights_parse(const char *json, struct feed_topics *out, struct err *err);

/* Expand DEVICE's policy: JSON arrays of topic filters appended to WRITE and READ. E_INPUT (field "policy") if
 * there is no such policy. */
MUST_CHECK int rights_of_device(struct store_tx *tx, const struct store_device *device,
    struct buf *write, struct buf *read, struct err *err);

/* Build the whole ACL file of every active device and service. */
MUST_CHECK int rights_acl_build(struct core *core, struct buf *acl_out, struct err *err);

/* May CALLER give TOPICS to a policy (IS_TEMPLATE) or a service? An operator of the installation in its own tenant, `default`,
 * any. Else each must be its tenant's own: below the tenant's name or {tenant}, or below devices/{id}/ or, of a service,
 * devices/ID/ for one of the tenant's devices, or devices/+/ for all of them, which in `default` would be everybody's.
 * E_DENIED (field "read[0]" …), E_INPUT. */
MUST_CHECK int rights_own_check(struct store_tx *tx, const struct caller *caller, const char *field,
    const char *const *topics, size_t n, bool is_template, struct err *err);

#endif

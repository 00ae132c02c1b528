/* Certificates of an owner, as several handlers show them. */
#ifndef MUSTER_HTTP_API_CERTIFICATES_H
#define MUSTER_HTTP_API_CERTIFICATES_H

#include "base/err.h"
#include "core/core.h"
#include "http/router.h"

#include <jansson.h>

/* Answer with OWNER, a device's or service's shape whose reference is taken, and its `certificate`:
 * the newest of OWNER_ID that is not revoked, without PEM, or null. E_NOMEM, E_SYS. */
MUST_CHECK int api_certificates_reply_take(struct core *core, const struct caller *caller,
    const char *owner_id, json_t *owner, struct http_reply *reply, struct err *err);

#endif

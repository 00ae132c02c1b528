/* What several handlers read from a request in the same way: bodies, pages, reasons, and how a
 * credential is to be made. Syntax only: whether a profile exists or a topic may be granted, core
 * decides. */
#ifndef MUSTER_HTTP_ARGS_H
#define MUSTER_HTTP_ARGS_H

#include "base/buf.h"
#include "base/err.h"
#include "core/credential.h"
#include "core/device.h"
#include "core/idempotency.h"
#include "http/json.h"
#include "http/router.h"
#include "x509/crl.h"

#include <jansson.h>

#define ARGS_PAGE_DEFAULT 50
#define ARGS_PAGE_MAX 1000
#define ARGS_TOPICS_MAX 256 /* an array's items that are read; core allows fewer */

/* The empty list of names: no member, no query parameter. */
extern const char *const args_none[];

/* The members by which a caller says how a credential is to be made, for lists of names. */
#define ARGS_CREDENTIAL_NAMES "key", "csr", "profile", "valid", "san", "link_ttl_s"

/* A request without query whose body is an object with no other members than NAMES
 * (NULL-terminated). With OPTIONAL an empty body counts as an empty object. E_INPUT. Free with
 * json_decref. */
MUST_CHECK int args_body(const struct http_request *req, const char *const *names, bool optional,
    json_t **body_out, struct err *err);

/* The request's Idempotency-Key, and the digest of what it belongs to; zero without one. OUT points into
 * REQ. E_NOMEM. */
MUST_CHECK int args_idempotency(
    const struct http_request *req, struct idempotency_request *out, struct err *err);

/* The query parameters `limit` and `after` (NULL: the first page). E_INPUT. */
MUST_CHECK int args_page(
    const struct http_request *req, size_t *limit_out, const char **after_out, struct err *err);

/* The member `reason`; REASON_UNSPECIFIED if absent. E_INPUT. */
MUST_CHECK int args_reason(json_t *body, enum crl_reason *reason_out, struct err *err);

/* A credential's request; points into the body it was read from and into itself. */
struct args_credential {
	struct credential_request request;
	const char **sans;
	struct buf csr;
};

/* Read the ARGS_CREDENTIAL_NAMES of BODY into OUT, which is zeroed. E_INPUT (field). Clear OUT in
 * any case. */
MUST_CHECK int args_credential(json_t *body, struct args_credential *out, struct err *err);
void args_credential_clear(struct args_credential *args);

/* The members by which a caller says what a device is to be, for lists of names. */
#define ARGS_DEVICE_NAMES "name", "type", "location", "labels", "policy", ARGS_CREDENTIAL_NAMES

/* A device's request; points into the body it was read from and into itself. */
struct args_device {
	struct device_request request;
	struct args_credential credential;
	char *labels;
};

/* Read the ARGS_DEVICE_NAMES of BODY into OUT, which is zeroed. E_INPUT (field). Clear OUT in any case. */
MUST_CHECK int args_device(json_t *body, struct args_device *out, struct err *err);
void args_device_clear(struct args_device *args);

/* The member `labels` as core takes it: JSON text, to be freed; NULL if absent. E_INPUT (field). */
MUST_CHECK int args_labels(json_t *body, char **labels_out, struct err *err);

#endif

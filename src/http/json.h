/* JSON in and out of handlers: strict reading that names the field, and the shapes the API shows. */
#ifndef MUSTER_HTTP_JSON_H
#define MUSTER_HTTP_JSON_H

#include "base/buf.h"
#include "base/err.h"
#include "http/router.h"

#include <jansson.h>

#define JSON_DEPTH_MAX 16

/* Parse the request's body as one JSON object: no duplicate keys, no NUL, nothing behind it, Content-Type
 * application/json (or merge-patch+json). E_INPUT, E_LIMIT. Free with json_decref. */
MUST_CHECK int json_body(const struct http_request *req, json_t **object_out, struct err *err);

/* E_INPUT naming the first member of OBJECT that is not in NAMES (NULL-terminated). */
MUST_CHECK int json_only(json_t *object, const char *const *names, struct err *err);

/* A member of the wanted type. Absent or null: *OUT stays as it is (NULL, 0), unless REQUIRED. Borrowed from
 * OBJECT. E_INPUT naming the field. */
MUST_CHECK int json_get_text(
    json_t *object, const char *name, bool required, const char **out, struct err *err);
MUST_CHECK int json_get_int(json_t *object, const char *name, int64_t min, int64_t max, int64_t *out,
    struct err *err);

/* A member that is a duration such as "90d". The same. */
MUST_CHECK int json_get_duration(json_t *object, const char *name, int64_t *seconds_out, struct err *err);

/* A member that is an array of at most MAX texts; *OUT (freed by the caller with free) borrows the texts. */
MUST_CHECK int json_get_texts(json_t *object, const char *name, size_t max, const char ***out,
    size_t *n_out, struct err *err);

/* Write VALUE (whose reference is taken, NULL counts as out of memory) as the reply's body. */
MUST_CHECK int json_reply_take(
    struct http_reply *reply, int status, json_t *value, struct err *err);

/* RFC 3339 text of a time. New reference. */
json_t *json_time(int64_t when);

#endif

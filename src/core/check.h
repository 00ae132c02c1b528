/* The meaning of what callers send: one check for each kind of text, used wherever it occurs. */
#ifndef MUSTER_CORE_CHECK_H
#define MUSTER_CORE_CHECK_H

#include "base/err.h"
#include "core/core.h"

/* 1 to 64 characters of printable UTF-8 that a person chose. With OPTIONAL it may be NULL or empty. E_INPUT. */
MUST_CHECK int check_name(const char *field, const char *value, bool optional, struct err *err);

/* [A-Za-z0-9._-]{1,64}: what stands in topics, files and URLs. E_INPUT. */
MUST_CHECK int check_word(const char *field, const char *value, struct err *err);

/* NULL, or a JSON object of texts, at most DEVICE_LABELS_MAX bytes, keys check_word'ed. E_INPUT. */
MUST_CHECK int check_labels(const char *json, struct err *err);

/* E_NOTFOUND unless ID is a UUID: what cannot exist is simply not there. */
MUST_CHECK int check_id(const char *what, const char *id, struct err *err);

/* Names for the certificate of ID: well formed, at most CERT_SANS_MAX, none of them another device's UUID or a
 * host name of this server or its broker; a broker's may have the latter. E_INPUT (field "san[i]"). */
MUST_CHECK int check_sans(struct core *core, const char *id, bool is_broker, const char *const *sans, size_t n,
    struct err *err);

#endif

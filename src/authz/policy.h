/* Policies: topic templates and MQTT topic filters. Pure, so that the service and the broker's plugin
 * decide by the same code. */
#ifndef MUSTER_AUTHZ_POLICY_H
#define MUSTER_AUTHZ_POLICY_H

#include "base/buf.h"
#include "base/err.h"
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>

#define POLICY_TOPIC_MAX 256   /* bytes of a template or filter, and of what it expands to (with NUL: + 1) */
#define POLICY_TEMPLATES_MAX 32 /* templates in one direction */
#define POLICY_BUILTIN "default"

/* What a template's names stand for. */
struct policy_subject {
	const char *id;
	const char *tenant;
	const char *type;
};

/* The templates of the built-in policy. */
extern const char *const policy_builtin_write[];
extern const char *const policy_builtin_read[];
extern const size_t policy_builtin_n_write, policy_builtin_n_read;

/* May TEMPLATE stand in a policy? A valid MQTT topic filter (MQTT 3.1.1, section 4.7: `+` a whole level, `#`
 * last) of printable UTF-8 without `%`, not beginning with `$`, no space at either end, not wildcards alone such
 * as `#` or `+/#` (a device never gets everybody's topics), braces only as {id}, {tenant}, {type}, and no longer
 * than POLICY_TOPIC_MAX even with the longest names in them, so that expanding it never fails for a device that is
 * stored. E_INPUT says what is wrong. */
MUST_CHECK int policy_template_check(const char *tmpl, struct err *err);

/* The same for a service's filter: no braces; wildcards alone are allowed, for an operator named them. */
MUST_CHECK int policy_filter_check(const char *filter, struct err *err);

/* Is WORD fit to stand in a topic and in an ACL file: [A-Za-z0-9._-]{1,64}, not "." or ".."? */
bool policy_word_is_valid(const char *word);

/* Expand the checked TEMPLATE for SUBJECT into OUT[POLICY_TOPIC_MAX + 1]. E_INPUT if a value is not
 * policy_word_is_valid, E_LIMIT if the result is too long. */
MUST_CHECK int policy_expand(
    const char *tmpl, const struct policy_subject *subject, char *out, struct err *err);

/* Does the topic NAME match what the checked TEMPLATE expands to for SUBJECT, whose values are
 * policy_word_is_valid? The same answer as of policy_expand and policy_topic_matches, several times
 * sooner: a broker asks it for each message. */
bool policy_template_matches(
    const char *tmpl, const struct policy_subject *subject, const char *topic);

/* Does the topic NAME match FILTER (MQTT 3.1.1, section 4.7)? Wildcards at the first level do not
 * match names that begin with `$`. Both must be well formed; anything else is no match. */
bool policy_topic_matches(const char *filter, const char *topic);

/* The tenant that is the installation's own, whose services name any topics. */
#define POLICY_TENANT_DEFAULT "default"

/* Does FILTER begin with devices/+/ ? In any other tenant that stands for the tenant's own devices, not for everybody's. */
bool policy_is_of_own_devices(const char *filter);

/* Whose subtree it is: the ID of a topic or filter devices/ID or devices/ID/…, if that is a UUID. */
bool policy_device_of(const char *topic, char id_out[UUID_LEN + 1]);

/* Is every topic that INNER matches also matched by OUTER: may a client that is granted OUTER subscribe to
 * INNER? */
bool policy_filter_covers(const char *outer, const char *inner);

#endif

/* Who may connect, and what each may write and read: in memory, in at most 128 bytes a device. One
 * thread at a time: whoever fills it owns it, and gives it away whole. What is not in it is
 * refused. */
#ifndef MUSTER_PLUGIN_TABLE_H
#define MUSTER_PLUGIN_TABLE_H

#include "authz/feed.h"
#include "base/err.h"
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table;

/* An active device or service. Borrowed from the table, until its next table_apply. */
struct table_owner;

/* A checked template or filter. */
struct table_topic {
	uint16_t literal; /* bytes of it that every topic begins with which it matches */
	char *text;
};

/* The topics of a policy, shared by its devices, or those of a service. */
struct table_policy {
	const char *tenant;
	int64_t sessions; /* of one owner at a time */
	size_t n_write, n_read;
	struct table_topic *topics; /* those to write, then those to read */
};

/* Free with table_free. E_NOMEM. */
MUST_CHECK int table_new(struct table **out, struct err *err);
void table_free(struct table *t);

/* Make the table say what LINE, a policy, service or device, says. E_NOMEM: what the line is about
 * is then out of the table, so that nobody has more rights than he should. */
MUST_CHECK int table_apply(struct table *t, const struct feed_line *line, struct err *err);

/* NULL for whom the table does not know. */
const struct table_owner *table_find(const struct table *t, const uint8_t id[UUID_BYTES]);

/* When the certificate of this fingerprint stops being one with which OWNER may connect; 0 if it is
 * none now. */
int64_t table_not_after(const struct table_owner *owner, const uint8_t sha256[SHA256_LEN]);

/* NULL where the policy that a device has does not exist (it then may do nothing). */
const struct table_policy *table_policy(const struct table *t, const struct table_owner *owner);

/* Whose it is. */
const char *table_tenant(const struct table *t, const struct table_owner *owner);

/* The type of a device; of a service "". */
const char *table_type(const struct table *t, const struct table_owner *owner);

size_t table_count(const struct table *t);

/* Memory for owners and their index, without policies and words. */
size_t table_bytes(const struct table *t);

#endif

/* The key of the audit trail: a file beside the database, so that who can write the database alone cannot make rows that
 * fit. It also says from which row on the trail is keyed, for a database could be made to say anything. */
#ifndef MUSTER_STORE_AUDITKEY_H
#define MUSTER_STORE_AUDITKEY_H

#include "base/err.h"
#include "base/secret.h"

#include <stdint.h>

#define AUDITKEY_NAME "audit.key"

struct auditkey {
	struct secret key; /* no bytes: there is none */
	int64_t from;	   /* the first row that has a MAC under it */
};

/* Read the key that belongs to the database at PATH. E_NOTFOUND, E_INPUT: it is damaged; E_SYS, E_NOMEM. */
MUST_CHECK int auditkey_read(const char *path, struct auditkey *out, struct err *err);

/* Make one (0600, the database's owner's) for the rows from FROM on; durable when it returns. E_SYS, E_NOMEM. */
MUST_CHECK int auditkey_make(const char *path, int64_t from, struct auditkey *out, struct err *err);

/* The MAC of a row with HASH into OUT[SHA256_LEN]. There is a key. */
void auditkey_mac(const struct auditkey *key, const uint8_t *hash, uint8_t *out);

void auditkey_clear(struct auditkey *key);

#endif

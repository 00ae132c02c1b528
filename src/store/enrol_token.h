/* Table `enrol_token`: secrets with which devices that make their own keys may enrol. */
#ifndef MUSTER_STORE_ENROL_TOKEN_H
#define MUSTER_STORE_ENROL_TOKEN_H

#include "base/err.h"
#include "base/secret.h"
#include "store/device.h"

#include <stdint.h>

#define STORE_PROFILE_SIZE 33

struct store_enrol_token {
	char id[UUID_LEN + 1];
	int64_t tenant_id;
	char name[STORE_NAME_SIZE]; /* what it is for, or "" */
	uint8_t token_hash[SHA256_LEN];
	char device_id[UUID_LEN + 1];	  /* the pending device that alone may enrol with it, or "" */
	char type[STORE_WORD_SIZE];	  /* of the device that it makes, as the rest; "" with device_id */
	char location[STORE_NAME_SIZE];
	char profile[STORE_PROFILE_SIZE]; /* "" : the key's default */
	char policy[STORE_WORD_SIZE];
	int64_t max_uses, uses;
	int64_t created_at, expires_at;
	int64_t revoked_at; /* 0: it is not */
};

MUST_CHECK int store_enrol_token_insert(
    struct store_tx *tx, const struct store_enrol_token *row, struct err *err);

/* E_NOTFOUND also for another tenant's. */
MUST_CHECK int store_enrol_token_get(struct store_tx *tx, int64_t tenant_id, const char *id,
    struct store_enrol_token *row_out, struct err *err);

/* Of whichever tenant. E_NOTFOUND. */
MUST_CHECK int store_enrol_token_find(struct store_tx *tx, const uint8_t *token_hash,
    struct store_enrol_token *row_out, struct err *err);

/* Count one use, in one conditional update. E_GONE if it is used up, revoked or expired by NOW, or not there. */
MUST_CHECK int store_enrol_token_use(struct store_tx *tx, const char *id, int64_t now, struct err *err);

/* E_NOTFOUND; E_CONFLICT if it is revoked already. */
MUST_CHECK int store_enrol_token_revoke(
    struct store_tx *tx, int64_t tenant_id, const char *id, int64_t now, struct err *err);

/* All of every tenant's, for a restored store: what became of them since the backup, nobody knows. */
MUST_CHECK int store_enrol_token_revoke_all(struct store_tx *tx, int64_t now, struct err *err);

/* One page in the order of (name, id); as store_device_list, but there is nothing to clear. */
MUST_CHECK int store_enrol_token_list(struct store_tx *tx, int64_t tenant_id, size_t limit, const char *after,
    struct store_enrol_token *rows_out, size_t *n_out, char next_out[STORE_CURSOR_SIZE], struct err *err);

#endif

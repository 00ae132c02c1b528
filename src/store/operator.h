/* Table `operator`: who may call the API with a bearer token. */
#ifndef MUSTER_STORE_OPERATOR_H
#define MUSTER_STORE_OPERATOR_H

#include "base/err.h"
#include "base/secret.h"
#include "store/device.h"

#include <stdbool.h>
#include <stdint.h>

struct store_operator {
	char id[UUID_LEN + 1];
	int64_t tenant_id;
	bool bound; /* to that tenant alone; else it is of the whole installation */
	char tenant[STORE_WORD_SIZE]; /* its name, as read; "" if it is not bound */
	char name[STORE_WORD_SIZE]; /* unique among those of one kind that are not revoked */
	char role[16];
	uint8_t token_hash[SHA256_LEN];
	int64_t created_at;
	int64_t revoked_at;   /* 0: valid */
	int64_t expires_at;   /* of the token; 0: never */
	int64_t last_used_at; /* of the token, to the minute; 0: never */
};

/* E_CONFLICT (field "name") if a valid operator that is bound to the same tenant, or as little bound, has the name. */
MUST_CHECK int store_operator_insert(
    struct store_tx *tx, const struct store_operator *row, struct err *err);

/* The operator with that token, whom nobody has removed. E_NOTFOUND. */
MUST_CHECK int store_operator_by_token(struct store_tx *tx, const uint8_t *token_hash,
    struct store_operator *row_out, struct err *err);

/* By the id, or by the name of one that is not revoked, of those that are bound to the tenant or (BOUND false) to none.
 * E_NOTFOUND also for others. */
MUST_CHECK int store_operator_get(struct store_tx *tx, int64_t tenant_id, bool bound, const char *id_or_name,
    struct store_operator *row_out, struct err *err);

/* Whichever has this id: for the owner of a certificate. E_NOTFOUND. */
MUST_CHECK int store_operator_by_id(struct store_tx *tx, const char *id, struct store_operator *row_out, struct err *err);

/* Another token in place of the one it has. */
MUST_CHECK int store_operator_set_token(struct store_tx *tx, const char *id, const uint8_t *token_hash, int64_t expires_at,
    struct err *err);

/* E_CONFLICT if it is revoked already. */
MUST_CHECK int store_operator_revoke(struct store_tx *tx, const char *id, int64_t now, struct err *err);

MUST_CHECK int store_operator_used(struct store_tx *tx, const char *id, int64_t at, struct err *err);

/* The tokens of every tenant's operators end at NOW, for a restored store: who was removed since the backup, nobody knows. */
MUST_CHECK int store_operator_expire_all(struct store_tx *tx, int64_t now, struct err *err);

/* One page, of those that store_operator_get finds, in the order of (name, id), the revoked too; as store_device_list, but there is nothing to clear. */
MUST_CHECK int store_operator_list(struct store_tx *tx, int64_t tenant_id, bool bound, size_t limit, const char *after,
    struct store_operator *rows_out, size_t *n_out, char next_out[STORE_CURSOR_SIZE], struct err *err);

#endif

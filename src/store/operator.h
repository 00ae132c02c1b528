/* Table `operator`: who may call the API with a bearer token. */
#ifndef MUSTER_STORE_OPERATOR_H
#define MUSTER_STORE_OPERATOR_H

#include "base/err.h"
#include "base/secret.h"
#include "store/device.h"

#include <stdint.h>

struct store_operator {
	char id[UUID_LEN + 1];
	int64_t tenant_id;
	char name[STORE_WORD_SIZE]; /* unique among the tenant's that are not revoked */
	char role[16];
	uint8_t token_hash[SHA256_LEN];
	int64_t created_at;
	int64_t revoked_at; /* 0: valid */
};

/* E_CONFLICT (field "name") if a valid operator of that tenant has the name. */
MUST_CHECK int store_operator_insert(
    struct store_tx *tx, const struct store_operator *row, struct err *err);

/* The valid operator with that token. E_NOTFOUND. */
MUST_CHECK int store_operator_by_token(struct store_tx *tx, const uint8_t *token_hash,
    struct store_operator *row_out, struct err *err);

#endif

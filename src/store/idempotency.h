/* Table `idempotency`: what a registration's Idempotency-Key has made. */
#ifndef MUSTER_STORE_IDEMPOTENCY_H
#define MUSTER_STORE_IDEMPOTENCY_H

#include "base/err.h"
#include "base/secret.h"
#include "store/certificate.h"

#include <stddef.h>
#include <stdint.h>

struct store_idempotency {
	uint8_t digest[SHA256_LEN]; /* of the request */
	char device_id[UUID_LEN + 1];
	uint8_t serial[STORE_SERIAL_LEN]; /* of the certificate made with the device */
	int64_t expires_at;
};

/* What KEY of CALLER has made; E_NOTFOUND if nothing, or if it has expired NOW. */
MUST_CHECK int store_idempotency_find(struct store_tx *tx, int64_t tenant_id, const char *caller,
    const char *key, int64_t now, struct store_idempotency *row_out, struct err *err);

/* In the transaction that makes the device. Takes the place of a row that has expired NOW;
 * E_CONFLICT if there is one that has not. */
MUST_CHECK int store_idempotency_insert(struct store_tx *tx, int64_t tenant_id, const char *caller,
    const char *key, int64_t now, const struct store_idempotency *row, struct err *err);

/* Forget at most MAX that expired by NOW. *N_OUT says how many. */
MUST_CHECK int store_idempotency_expire(
    struct store_tx *tx, int64_t now, size_t max, size_t *n_out, struct err *err);

#endif

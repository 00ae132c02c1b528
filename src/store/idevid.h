/* Table `idevid`: which device enrolled by which manufacturer's certificate. */
#ifndef MUSTER_STORE_IDEVID_H
#define MUSTER_STORE_IDEVID_H

#include "base/err.h"
#include "store/trust.h"

#include <stdint.h>

struct store_idevid {
	int64_t tenant_id;
	uint8_t fingerprint[SHA256_LEN]; /* of the certificate */
	uint8_t key_hash[SHA256_LEN];	 /* of the trust anchor's key */
	char serial[STORE_DEVICE_SERIAL_SIZE];
	char device_id[UUID_LEN + 1];
	int64_t created_at;
};

/* E_CONFLICT if the certificate or the CA's serial number has enrolled. */
MUST_CHECK int store_idevid_insert(struct store_tx *tx, const struct store_idevid *row, struct err *err);

/* E_NOTFOUND. */
MUST_CHECK int store_idevid_by_fingerprint(struct store_tx *tx, int64_t tenant_id, const uint8_t *fingerprint,
    struct store_idevid *row_out, struct err *err);
MUST_CHECK int store_idevid_by_serial(struct store_tx *tx, int64_t tenant_id, const uint8_t *key_hash, const char *serial,
    struct store_idevid *row_out, struct err *err);

/* One that is not there is no failure. */
MUST_CHECK int store_idevid_remove(struct store_tx *tx, const struct store_idevid *row, struct err *err);

#endif

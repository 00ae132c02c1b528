/* Tables `change` (what brokers must learn, in order), `crl` and `setting`. */
#ifndef MUSTER_STORE_CHANGE_H
#define MUSTER_STORE_CHANGE_H

#include "base/buf.h"
#include "base/err.h"
#include "store/certificate.h"

#include <stdint.h>

/* Append one change about a device, a service or a policy ("device", "service", "policy"); ID is its UUID or
 * name. Gapless seq from 1, given at the commit's place in the order. */
MUST_CHECK int store_change_append(struct store_tx *tx, const char *kind, const char *id,
    int64_t at, int64_t *seq_out, struct err *err);

/* The latest seq, 0 for none. */
MUST_CHECK int store_change_last(struct store_tx *tx, int64_t *seq_out, struct err *err);

struct store_crl {
	int64_t number;
	int64_t this_update, next_update;
};

/* Keep the latest CRL of the issuer ISSUER (hex of its SKI); a lower number than the one kept is
 * E_CONFLICT. */
MUST_CHECK int store_crl_put(struct store_tx *tx, const char *issuer, const struct store_crl *crl,
    const void *der, size_t len, struct err *err);
MUST_CHECK int store_crl_get(struct store_tx *tx, const char *issuer, struct store_crl *crl_out,
    struct buf *der_out, struct err *err);

/* Small named values. E_NOTFOUND. */
MUST_CHECK int store_setting_put(
    struct store_tx *tx, const char *name, const char *value, struct err *err);
MUST_CHECK int store_setting_get(
    struct store_tx *tx, const char *name, struct buf *value_out, struct err *err);

#endif

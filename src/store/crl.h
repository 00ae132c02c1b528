/* Table `crl`: the latest list of each issuer. */
#ifndef MUSTER_STORE_CRL_H
#define MUSTER_STORE_CRL_H

#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct store_tx;

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

#endif

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
	/* The complete list that deltas refer to. */
	int64_t base_number; /* 0: none yet */
	int64_t base_update; /* its thisUpdate */
	int64_t base_change; /* the last row of `revocation` that is in it */
	int64_t listed_from; /* what ended before that is not in it any more */
};

/* Keep the latest CRL of the issuer ISSUER (hex of its SKI); a lower number than the one kept is
 * E_CONFLICT. */
MUST_CHECK int store_crl_put(struct store_tx *tx, const char *issuer, const struct store_crl *crl,
    const void *der, size_t len, struct err *err);
MUST_CHECK int store_crl_get(struct store_tx *tx, const char *issuer, struct store_crl *crl_out,
    struct buf *der_out, struct err *err);

/* No issuer's deltas refer to a list that was there before. */
MUST_CHECK int store_crl_forget_base(struct store_tx *tx, struct err *err);

#endif

/* Table `issuer`: the issuing CAs there have been, each with the small number by which certificates name theirs. */
#ifndef MUSTER_STORE_ISSUER_H
#define MUSTER_STORE_ISSUER_H

#include "base/err.h"

#include <stdint.h>

struct store_tx;

#define STORE_ISSUER_NONE (-1) /* of a certificate whose CA is not known */

/* The number of the CA with that SKI (hex). E_NOTFOUND. */
MUST_CHECK int store_issuer_find(struct store_tx *tx, const char *key_id, int64_t *n_out, struct err *err);

/* The same, entering the CA as the newest if it is not there. */
MUST_CHECK int store_issuer_enter(struct store_tx *tx, const char *key_id, int64_t *n_out, struct err *err);

#endif

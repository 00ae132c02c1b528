/* Table `revocation`: what became of certificates, in order. store_certificate_insert and store_certificate_set_state append to
 * it; a delta CRL is made of it. */
#ifndef MUSTER_STORE_REVOCATION_H
#define MUSTER_STORE_REVOCATION_H

#include "base/err.h"
#include "store/certificate.h"

#include <stddef.h>
#include <stdint.h>

struct store_revocation {
	int64_t n; /* from 1, rising */
	uint8_t serial[STORE_SERIAL_LEN];
	enum certificate_state state;
	int reason;
	int64_t revoked_at;
	int64_t issuer; /* the certificate's */
};

/* Append the present state of the certificate SERIAL. */
MUST_CHECK int store_revocation_append(struct store_tx *tx, const uint8_t *serial, struct err *err);

/* The n of the last row, 0 for none. */
MUST_CHECK int store_revocation_last(struct store_tx *tx, int64_t *n_out, struct err *err);

/* Those behind AFTER, in their order, at most MAX. */
MUST_CHECK int store_revocation_list(struct store_tx *tx, int64_t after, struct store_revocation *rows_out, size_t max,
    size_t *n_out, struct err *err);

/* Remove the oldest of those before BEFORE, at most MAX. */
MUST_CHECK int store_revocation_prune(struct store_tx *tx, int64_t before, size_t max, size_t *n_out, struct err *err);

#endif

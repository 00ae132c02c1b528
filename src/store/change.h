/* Tables `change` (what brokers must learn, in order) and `setting`. */
#ifndef MUSTER_STORE_CHANGE_H
#define MUSTER_STORE_CHANGE_H

#include "base/buf.h"
#include "base/err.h"
#include "store/certificate.h"

#include <stdint.h>

/* One change about a device, a service or a policy: "something about it is different", not what. */
struct store_change {
	int64_t seq;
	int64_t tenant_id;
	char kind[16];		  /* "device", "service", "policy" */
	char id[STORE_WORD_SIZE]; /* its UUID, or a policy's name */
};

/* Append one. Gapless seq from 1, given at the commit's place in the order. store_on_change tells when it is durable. */
MUST_CHECK int store_change_append(struct store_tx *tx, int64_t tenant_id, const char *kind, const char *id,
    int64_t at, int64_t *seq_out, struct err *err);

/* The latest seq and the first one that is still there, 0 for none. */
MUST_CHECK int store_change_last(struct store_tx *tx, int64_t *seq_out, struct err *err);
MUST_CHECK int store_change_first(struct store_tx *tx, int64_t *seq_out, struct err *err);

/* The changes behind AFTER, in their order, at most MAX. */
MUST_CHECK int store_change_list(struct store_tx *tx, int64_t after, struct store_change *rows_out, size_t max,
    size_t *n_out, struct err *err);

/* Remove from the front, at most MAX, what is older than BEFORE and not among the KEEP (>= 1) newest: so the rest stays
 * without a gap, and the numbers go on. */
MUST_CHECK int store_change_prune(
    struct store_tx *tx, int64_t before, int64_t keep, size_t max, size_t *n_out, struct err *err);

/* Small named values. E_NOTFOUND. */
MUST_CHECK int store_setting_put(
    struct store_tx *tx, const char *name, const char *value, struct err *err);
MUST_CHECK int store_setting_get(
    struct store_tx *tx, const char *name, struct buf *value_out, struct err *err);

#endif

/* The revocation lists of one issuer as they are published, for whoever fetches them: the latest complete one and the latest
 * delta, each compressed once if anybody asks for that. Any thread; nobody waits for anybody. */
#ifndef MUSTER_CORE_SHELF_H
#define MUSTER_CORE_SHELF_H

#include "base/buf.h"
#include "base/err.h"
#include "base/shared.h"
#include "x509/crl.h"

#include <stdbool.h>
#include <stdint.h>

struct shelf;

enum shelf_kind { SHELF_COMPLETE, SHELF_DELTA };
#define SHELF_KINDS 2

MUST_CHECK int shelf_new(struct shelf **shelf_out, struct err *err);
void shelf_free(struct shelf *shelf);

/* Put the list DER, which is taken, in the place of the one before. Who is in the middle of that one may go on, as long as
 * what is kept for such does not become too much. E_NOMEM: the old one stays. */
MUST_CHECK int shelf_put(
    struct shelf *shelf, enum shelf_kind kind, struct buf *der, const struct crl_info *info, struct err *err);

struct shelf_item {
	struct shared *bytes; /* the caller's reference */
	bool is_gzip;
	struct crl_info info; /* of the list, without a look at its entries */
	bool is_same_second;  /* as the one before it: its time does not tell the two apart */
};

/* The latest; with GZIP compressed, unless it is a large one that nobody asked for before, which is then being done.
 * E_NOTFOUND: there is none yet. */
MUST_CHECK int shelf_get(
    struct shelf *shelf, enum shelf_kind kind, bool gzip, struct shelf_item *out, struct err *err);

/* What the latest says; all 0 if there is none. */
void shelf_info(struct shelf *shelf, enum shelf_kind kind, struct crl_info *info_out);

#endif

/* What stands in the revocation lists of one issuer, kept up to date with the store by what has changed. A complete list
 * every now and then is the base that deltas refer to: what has not changed since, and what has, are kept apart, so that
 * base and delta make the complete one. One thread. */
#ifndef MUSTER_CORE_REVLIST_H
#define MUSTER_CORE_REVLIST_H

#include "base/err.h"
#include "core/core.h"
#include "store/crl.h"
#include "x509/crl.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct revlist;

/* ISSUER is its SKI in hex, borrowed, NUMBER what the store calls it. NULL: out of memory. Nothing is read yet. */
struct revlist *revlist_new(struct core *core, const char *issuer, int64_t number);
void revlist_free(struct revlist *list);

/* Take in what has changed in the store. *NEEDS_BASE_OUT: the next complete list must become the base, because there is
 * none, it has had its time (RENEW_S), lies in the future, or the delta has grown too long. E_*; nothing is lost then. */
MUST_CHECK int revlist_refresh(
    struct revlist *list, int64_t now, int64_t renew_s, bool *needs_base_out, struct err *err);

/* Has anything been taken in since the last call of this? */
bool revlist_has_changed(struct revlist *list);

/* The entries of the complete list, and those of the delta, in which who is not revoked any more stands as removed at NOW.
 * Borrowed until the next call of any of these. E_NOMEM. */
MUST_CHECK int revlist_complete(
    struct revlist *list, const struct crl_entry **entries_out, size_t *n_out, struct err *err);
MUST_CHECK int revlist_delta(
    struct revlist *list, int64_t now, const struct crl_entry **entries_out, size_t *n_out, struct err *err);

/* The complete list as it was last refreshed is the base from now on; it has this number and thisUpdate. */
void revlist_rebase(struct revlist *list, uint64_t number, int64_t this_update);

/* The base's number; and what the store must know of it, for the next start. */
uint64_t revlist_base(const struct revlist *list);
void revlist_describe(const struct revlist *list, struct store_crl *out);

#endif

/* Table `package`: encrypted archives waiting behind one-time links. */
#ifndef MUSTER_STORE_PACKAGE_H
#define MUSTER_STORE_PACKAGE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/secret.h"
#include "store/certificate.h"

#include <stdint.h>

enum package_state { PACKAGE_WAITING, PACKAGE_DELIVERED, PACKAGE_EXPIRED, PACKAGE_WITHDRAWN };

struct store_package {
	char id[UUID_LEN + 1];
	int64_t tenant_id;
	enum store_owner_kind owner_kind;
	char owner_id[UUID_LEN + 1];
	uint8_t token_hash[SHA256_LEN];
	enum package_state state;
	int64_t created_at, expires_at;
	int64_t ended_at; /* delivered, expired or withdrawn; 0 while waiting */
};

/* ARCHIVE of LEN bytes is stored with it. */
MUST_CHECK int store_package_insert(struct store_tx *tx, const struct store_package *row,
    const void *archive, size_t len, struct err *err);

/* Without its archive. E_NOTFOUND. */
MUST_CHECK int store_package_find(struct store_tx *tx, const uint8_t *token_hash,
    struct store_package *row_out, struct err *err);

/* Take the archive out, once: in one conditional update the row goes from waiting to delivered and its
 * bytes leave the database. Appends them to ARCHIVE_OUT. E_NOTFOUND; E_GONE if it was taken, withdrawn, or
 * expires_at <= NOW. The link is consumed when the transaction commits, so send nothing before. */
MUST_CHECK int store_package_take(struct store_tx *tx, const uint8_t *token_hash, int64_t now,
    struct store_package *row_out, struct buf *archive_out, struct err *err);

/* Withdraw what still waits for this owner (re-issue, revocation); the bytes go. */
MUST_CHECK int store_package_withdraw(
    struct store_tx *tx, const char *owner_id, int64_t now, struct err *err);

/* Withdraw all that waits, of every tenant; the bytes go. */
MUST_CHECK int store_package_withdraw_all(struct store_tx *tx, int64_t now, struct err *err);

/* Drop the archives of at most MAX packages that expired by NOW. *N_OUT says how many. */
MUST_CHECK int store_package_expire(
    struct store_tx *tx, int64_t now, size_t max, size_t *n_out, struct err *err);

#endif

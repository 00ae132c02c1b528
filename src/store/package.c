/* Table `package`. An archive is there exactly while its link waits; the update that ends the
 * waiting removes it, and secure_delete overwrites it. */
#include "store/package.h"

#include "store/tx.h"

#include <string.h>

#define STATES 4
#define OWNER_KINDS 5
#define COLUMNS                                                                                    \
	"id, tenant_id, owner_kind, owner_id, token_hash, state, created_at, expires_at, ended_at"

static void
row_read(struct db_rows *rows, struct store_package *row)
{
	db_col_text(rows, 0, row->id, sizeof row->id);
	row->tenant_id = db_col_int(rows, 1);
	row->owner_kind = (enum store_owner_kind)db_col_enum(rows, 2, OWNER_KINDS);
	db_col_text(rows, 3, row->owner_id, sizeof row->owner_id);
	db_col_bytes(rows, 4, row->token_hash, sizeof row->token_hash);
	row->state = (enum package_state)db_col_enum(rows, 5, STATES);
	row->created_at = db_col_int(rows, 6);
	row->expires_at = db_col_int(rows, 7);
	row->ended_at = db_col_int(rows, 8);
}

int
store_package_insert(struct store_tx *tx, const struct store_package *row, const void *archive,
    size_t len, struct err *err)
{
	return db_exec(tx->db,
	    "INSERT INTO package (" COLUMNS ", archive)"
	    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
	    DB_ARGS(db_text(row->id), db_int(row->tenant_id), db_int(row->owner_kind),
		db_text(row->owner_id), db_blob(row->token_hash, sizeof row->token_hash),
		db_int(row->state), db_int(row->created_at), db_int(row->expires_at),
		db_int(row->ended_at), db_blob(archive, len)),
	    NULL, err);
}

static bool
is_open(const struct store_package *row, int64_t now)
{
	return row->state == PACKAGE_WAITING && row->expires_at > now;
}

/* The row, and its archive too if ARCHIVE_OUT is not NULL and the link is open NOW. */
static int
find(struct store_tx *tx, const uint8_t *token_hash, int64_t now, struct store_package *row_out,
    struct buf *archive_out, struct err *err)
{
	struct store_package row = {0};
	struct db_rows rows;
	int rc;

	/* The archive is the last column: a row that is only looked at does not even load its
	 * pages. */
	db_query(&rows, tx->db, "SELECT " COLUMNS ", archive FROM package WHERE token_hash = $1",
	    DB_ARGS(db_blob(token_hash, SHA256_LEN)));
	if (db_next(&rows)) {
		row_read(&rows, &row);
		if (archive_out != NULL && is_open(&row, now))
			db_col_append(&rows, 9, archive_out);
	}
	if ((rc = db_end_one(&rows, "no such link", err)) == 0)
		*row_out = row;
	return rc;
}

int
store_package_find(
    struct store_tx *tx, const uint8_t *token_hash, struct store_package *row_out, struct err *err)
{
	return find(tx, token_hash, 0, row_out, NULL, err);
}

int
store_package_take(struct store_tx *tx, const uint8_t *token_hash, int64_t now,
    struct store_package *row_out, struct buf *archive_out, struct err *err)
{
	struct store_package row;
	size_t before = archive_out->len;
	int64_t changed = 0;
	int rc;

	if ((rc = find(tx, token_hash, now, &row, archive_out, err)) == 0)
		rc = db_exec(tx->db,
		    "UPDATE package SET state = 1, ended_at = $1, archive = NULL"
		    " WHERE token_hash = $2 AND state = 0 AND expires_at > $1",
		    DB_ARGS(db_int(now), db_blob(token_hash, SHA256_LEN)), &changed, err);
	if (rc == 0 && changed == 0)
		rc = err_set(err, E_GONE, "the link is used up, withdrawn or expired");
	if (rc != 0) {
		if (archive_out->len > before)
			explicit_bzero(archive_out->data + before, archive_out->len - before);
		buf_cut(archive_out, before);
		return rc;
	}
	row.state = PACKAGE_DELIVERED;
	row.ended_at = now;
	*row_out = row;
	return 0;
}

int
store_package_withdraw(struct store_tx *tx, const char *owner_id, int64_t now, struct err *err)
{
	return db_exec(tx->db,
	    "UPDATE package SET state = 3, ended_at = $1, archive = NULL"
	    " WHERE owner_id = $2 AND state = 0",
	    DB_ARGS(db_int(now), db_text(owner_id)), NULL, err);
}

int
store_package_withdraw_all(struct store_tx *tx, int64_t now, struct err *err)
{
	return db_exec(tx->db, "UPDATE package SET state = 3, ended_at = $1, archive = NULL WHERE state = 0",
	    DB_ARGS(db_int(now)), NULL, err);
}

int
store_package_expire(struct store_tx *tx, int64_t now, size_t max, size_t *n_out, struct err *err)
{
	int64_t changed;
	int rc;

	rc = db_exec(tx->db,
	    "UPDATE package SET state = 2, ended_at = $1, archive = NULL WHERE n IN"
	    " (SELECT n FROM package WHERE state = 0 AND expires_at <= $1"
	    " ORDER BY expires_at LIMIT $2)",
	    DB_ARGS(db_int(now), db_int((int64_t)max)), &changed, err);
	if (rc == 0)
		*n_out = (size_t)changed;
	return rc;
}

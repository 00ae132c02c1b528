/* Table `idempotency`. Its primary key is what makes a second device impossible, whatever is
 * checked before. */
#include "store/idempotency.h"

#include "store/tx.h"

int
store_idempotency_find(struct store_tx *tx, int64_t tenant_id, const char *caller, const char *key,
    int64_t now, struct store_idempotency *row_out, struct err *err)
{
	struct store_idempotency row = {0};
	struct db_rows rows;
	int rc;

	db_query(&rows, tx->db,
	    "SELECT digest, device_id, serial, expires_at FROM idempotency"
	    " WHERE tenant_id = $1 AND caller = $2 AND key = $3 AND expires_at > $4",
	    DB_ARGS(db_int(tenant_id), db_text(caller), db_text(key), db_int(now)));
	if (db_next(&rows)) {
		db_col_bytes(&rows, 0, row.digest, sizeof row.digest);
		db_col_text(&rows, 1, row.device_id, sizeof row.device_id);
		db_col_bytes(&rows, 2, row.serial, sizeof row.serial);
		row.expires_at = db_col_int(&rows, 3);
	}
	if ((rc = db_end_one(&rows, "this key has made nothing", err)) != 0)
		return rc;
	*row_out = row;
	return 0;
}

int
store_idempotency_insert(struct store_tx *tx, int64_t tenant_id, const char *caller,
    const char *key, int64_t now, const struct store_idempotency *row, struct err *err)
{
	int64_t changed = 0;
	int rc;

	rc = db_exec(tx->db,
	    "INSERT INTO idempotency (tenant_id, caller, key, digest, device_id, serial, "
	    "expires_at)"
	    " VALUES ($1, $2, $3, $4, $5, $6, $7)"
	    " ON CONFLICT (tenant_id, caller, key) DO UPDATE SET digest = excluded.digest,"
	    " device_id = excluded.device_id, serial = excluded.serial,"
	    " expires_at = excluded.expires_at WHERE idempotency.expires_at <= $8",
	    DB_ARGS(db_int(tenant_id), db_text(caller), db_text(key),
		db_blob(row->digest, sizeof row->digest), db_text(row->device_id),
		db_blob(row->serial, sizeof row->serial), db_int(row->expires_at), db_int(now)),
	    &changed, err);
	if (rc == 0 && changed == 0)
		rc = err_set(err, E_CONFLICT, "this key has made something else meanwhile");
	return rc;
}

int
store_idempotency_expire(
    struct store_tx *tx, int64_t now, size_t max, size_t *n_out, struct err *err)
{
	int64_t changed;
	int rc;

	rc = db_exec(tx->db,
	    "DELETE FROM idempotency WHERE (tenant_id, caller, key) IN"
	    " (SELECT tenant_id, caller, key FROM idempotency WHERE expires_at <= $1"
	    " ORDER BY expires_at LIMIT $2)",
	    DB_ARGS(db_int(now), db_int((int64_t)max)), &changed, err);
	if (rc == 0)
		*n_out = (size_t)changed;
	return rc;
}

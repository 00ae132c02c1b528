/* Table `idevid`. */
#include "store/idevid.h"

#include "store/tx.h"

#define COLUMNS "tenant_id, fingerprint, key_hash, serial, device_id, created_at"

int
store_idevid_insert(struct store_tx *tx, const struct store_idevid *row, struct err *err)
{
	return db_exec(tx->db, "INSERT INTO idevid (" COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6)",
	    DB_ARGS(db_int(row->tenant_id), db_blob(row->fingerprint, SHA256_LEN), db_blob(row->key_hash, SHA256_LEN),
		db_text(row->serial), db_text(row->device_id), db_int(row->created_at)),
	    NULL, err);
}

/* The one row of a query, and its end. */
static int
row_only(struct db_rows *rows, struct store_idevid *row_out, struct err *err)
{
	struct store_idevid row = {0};
	int rc;

	if (db_next(rows)) {
		row.tenant_id = db_col_int(rows, 0);
		db_col_bytes(rows, 1, row.fingerprint, SHA256_LEN);
		db_col_bytes(rows, 2, row.key_hash, SHA256_LEN);
		db_col_text(rows, 3, row.serial, sizeof row.serial);
		db_col_text(rows, 4, row.device_id, sizeof row.device_id);
		row.created_at = db_col_int(rows, 5);
	}
	if ((rc = db_end_one(rows, "no device has enrolled with that", err)) != 0)
		return rc;
	*row_out = row;
	return 0;
}

int
store_idevid_by_fingerprint(struct store_tx *tx, int64_t tenant_id, const uint8_t *fingerprint,
    struct store_idevid *row_out, struct err *err)
{
	struct db_rows rows;

	db_query(&rows, tx->db, "SELECT " COLUMNS " FROM idevid WHERE tenant_id = $1 AND fingerprint = $2",
	    DB_ARGS(db_int(tenant_id), db_blob(fingerprint, SHA256_LEN)));
	return row_only(&rows, row_out, err);
}

int
store_idevid_by_serial(struct store_tx *tx, int64_t tenant_id, const uint8_t *key_hash, const char *serial,
    struct store_idevid *row_out, struct err *err)
{
	struct db_rows rows;

	db_query(&rows, tx->db, "SELECT " COLUMNS " FROM idevid WHERE tenant_id = $1 AND key_hash = $2 AND serial = $3",
	    DB_ARGS(db_int(tenant_id), db_blob(key_hash, SHA256_LEN), db_text(serial)));
	return row_only(&rows, row_out, err);
}

int
store_idevid_remove(struct store_tx *tx, const struct store_idevid *row, struct err *err)
{
	return db_exec(tx->db, "DELETE FROM idevid WHERE tenant_id = $1 AND fingerprint = $2",
	    DB_ARGS(db_int(row->tenant_id), db_blob(row->fingerprint, SHA256_LEN)), NULL, err);
}

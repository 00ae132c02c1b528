/* Table `revocation`. */
#include "store/revocation.h"

#include "store/tx.h"

#define STATES 3

int
store_revocation_append(struct store_tx *tx, const uint8_t *serial, struct err *err)
{
	return db_exec(tx->db,
	    "INSERT INTO revocation (serial, state, reason, revoked_at, issuer)"
	    " SELECT serial, state, reason, revoked_at, issuer FROM certificate WHERE serial = $1",
	    DB_ARGS(db_blob(serial, STORE_SERIAL_LEN)), NULL, err);
}

int
store_revocation_last(struct store_tx *tx, int64_t *n_out, struct err *err)
{
	struct db_rows rows;
	int64_t n = 0;
	int rc;

	db_query(&rows, tx->db, "SELECT coalesce(max(n), 0) FROM revocation", DB_NONE);
	if (db_next(&rows))
		n = db_col_int(&rows, 0);
	if ((rc = db_end(&rows, err)) == 0)
		*n_out = n;
	return rc;
}

int
store_revocation_list(struct store_tx *tx, int64_t after, struct store_revocation *rows_out, size_t max, size_t *n_out,
    struct err *err)
{
	struct db_rows rows;
	size_t n = 0;
	int rc;

	db_query(&rows, tx->db,
	    "SELECT n, serial, state, reason, revoked_at, issuer FROM revocation WHERE n > $1 ORDER BY n LIMIT $2",
	    DB_ARGS(db_int(after), db_int((int64_t)max)));
	for (; db_next(&rows); n++) {
		rows_out[n].n = db_col_int(&rows, 0);
		db_col_bytes(&rows, 1, rows_out[n].serial, sizeof rows_out[n].serial);
		rows_out[n].state = (enum certificate_state)db_col_enum(&rows, 2, STATES);
		rows_out[n].reason = (int)db_col_int(&rows, 3);
		rows_out[n].revoked_at = db_col_int(&rows, 4);
		rows_out[n].issuer = db_col_int(&rows, 5);
	}
	if ((rc = db_end(&rows, err)) == 0)
		*n_out = n;
	return rc;
}

int
store_revocation_prune(struct store_tx *tx, int64_t before, size_t max, size_t *n_out, struct err *err)
{
	int64_t changed = 0;
	int rc;

	rc = db_exec(tx->db,
	    "DELETE FROM revocation WHERE n IN (SELECT n FROM revocation WHERE n < $1 ORDER BY n LIMIT $2)",
	    DB_ARGS(db_int(before), db_int((int64_t)max)), &changed, err);
	if (rc == 0)
		*n_out = (size_t)changed;
	return rc;
}

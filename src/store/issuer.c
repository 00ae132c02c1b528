/* Table `issuer`. */
#include "store/issuer.h"

#include "store/tx.h"

int
store_issuer_find(struct store_tx *tx, const char *key_id, int64_t *n_out, struct err *err)
{
	struct db_rows rows;
	int64_t n = 0;
	int rc;

	db_query(&rows, tx->db, "SELECT n FROM issuer WHERE key_id = $1", DB_ARGS(db_text(key_id)));
	if (db_next(&rows))
		n = db_col_int(&rows, 0);
	if ((rc = db_end_one(&rows, "no such issuing CA", err)) != 0)
		return rc;
	*n_out = n;
	return 0;
}

int
store_issuer_enter(struct store_tx *tx, const char *key_id, int64_t *n_out, struct err *err)
{
	int rc = store_issuer_find(tx, key_id, n_out, err);

	if (rc != E_NOTFOUND)
		return rc;
	if ((rc = db_exec(tx->db, "INSERT INTO issuer (n, key_id) SELECT coalesce(max(n) + 1, 0), $1 FROM issuer",
		 DB_ARGS(db_text(key_id)), NULL, err)) != 0)
		return rc;
	return store_issuer_find(tx, key_id, n_out, err);
}

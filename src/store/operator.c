/* Table `operator`. */
#include "store/operator.h"

#include "store/tx.h"

int
store_operator_insert(struct store_tx *tx, const struct store_operator *row, struct err *err)
{
	int rc = db_exec(tx->db,
	    "INSERT INTO operator (id, tenant_id, name, role, token_hash, created_at, revoked_at)"
	    " VALUES ($1, $2, $3, $4, $5, $6, $7)",
	    DB_ARGS(db_text(row->id), db_int(row->tenant_id), db_text(row->name),
		db_text(row->role), db_blob(row->token_hash, sizeof row->token_hash),
		db_int(row->created_at), db_int(row->revoked_at)),
	    NULL, err);

	if (rc == E_CONFLICT)
		rc = err_field(
		    err, E_CONFLICT, "name", "there is an operator %s already", row->name);
	return rc;
}

int
store_operator_by_token(
    struct store_tx *tx, const uint8_t *token_hash, struct store_operator *row_out, struct err *err)
{
	struct store_operator row = {0};
	struct db_rows rows;
	bool found;
	int rc;

	db_query(&rows, tx->db,
	    "SELECT id, tenant_id, name, role, token_hash, created_at FROM operator"
	    " WHERE token_hash = $1 AND revoked_at = 0",
	    DB_ARGS(db_blob(token_hash, SHA256_LEN)));
	if ((found = db_next(&rows))) {
		db_col_text(&rows, 0, row.id, sizeof row.id);
		row.tenant_id = db_col_int(&rows, 1);
		db_col_text(&rows, 2, row.name, sizeof row.name);
		db_col_text(&rows, 3, row.role, sizeof row.role);
		db_col_bytes(&rows, 4, row.token_hash, sizeof row.token_hash);
		row.created_at = db_col_int(&rows, 5);
	}
	if ((rc = db_end(&rows, err)) == 0 && !found)
		rc = err_set(err, E_NOTFOUND, "no operator has this token");
	if (rc == 0)
		*row_out = row;
	return rc;
}

/* Table `operator`. */
#include "store/operator.h"

#include "store/cursor.h"
#include "store/tx.h"

#define COLUMNS "id, tenant_id, name, role, token_hash, created_at, revoked_at, expires_at, last_used_at, bound"
#define SELECTED COLUMNS ", (SELECT t.name FROM tenant t WHERE t.id = operator.tenant_id)"

static void
row_read(struct db_rows *rows, struct store_operator *row)
{
	*row = (struct store_operator){0};
	db_col_text(rows, 0, row->id, sizeof row->id);
	row->tenant_id = db_col_int(rows, 1);
	db_col_text(rows, 2, row->name, sizeof row->name);
	db_col_text(rows, 3, row->role, sizeof row->role);
	db_col_bytes(rows, 4, row->token_hash, sizeof row->token_hash);
	row->created_at = db_col_int(rows, 5);
	row->revoked_at = db_col_int(rows, 6);
	row->expires_at = db_col_int(rows, 7);
	row->last_used_at = db_col_int(rows, 8);
	row->bound = db_col_int(rows, 9) != 0;
	if (row->bound)
		db_col_text(rows, 10, row->tenant, sizeof row->tenant);
}

int
store_operator_insert(struct store_tx *tx, const struct store_operator *row, struct err *err)
{
	int rc = db_exec(tx->db, "INSERT INTO operator (" COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
	    DB_ARGS(db_text(row->id), db_int(row->tenant_id), db_text(row->name),
		db_text(row->role), db_blob(row->token_hash, sizeof row->token_hash),
		db_int(row->created_at), db_int(row->revoked_at), db_int(row->expires_at), db_int(row->last_used_at),
		db_int(row->bound)),
	    NULL, err);

	if (rc == E_CONFLICT)
		rc = err_field(
		    err, E_CONFLICT, "name", "there is an operator %s already", row->name);
	return rc;
}

/* The one row of a query, and its end. */
static int
row_only(struct db_rows *rows, struct store_operator *row_out, struct err *err)
{
	struct store_operator row;
	int rc;

	if (db_next(rows))
		row_read(rows, &row);
	if ((rc = db_end_one(rows, "no such operator", err)) != 0)
		return rc;
	*row_out = row;
	return 0;
}

int
store_operator_by_token(
    struct store_tx *tx, const uint8_t *token_hash, struct store_operator *row_out, struct err *err)
{
	struct db_rows rows;

	db_query(&rows, tx->db, "SELECT " SELECTED " FROM operator WHERE token_hash = $1 AND revoked_at = 0",
	    DB_ARGS(db_blob(token_hash, SHA256_LEN)));
	return row_only(&rows, row_out, err);
}

int
store_operator_get(struct store_tx *tx, int64_t tenant_id, bool bound, const char *id_or_name,
    struct store_operator *row_out, struct err *err)
{
	struct db_rows rows;

	db_query(&rows, tx->db,
	    "SELECT " SELECTED " FROM operator WHERE tenant_id = $1 AND bound = $3"
	    " AND (id = $2 OR (name = $2 AND revoked_at = 0)) ORDER BY id <> $2 LIMIT 1",
	    DB_ARGS(db_int(tenant_id), db_text(id_or_name), db_int(bound)));
	return row_only(&rows, row_out, err);
}

int
store_operator_by_id(struct store_tx *tx, const char *id, struct store_operator *row_out, struct err *err)
{
	struct db_rows rows;

	db_query(&rows, tx->db, "SELECT " SELECTED " FROM operator WHERE id = $1", DB_ARGS(db_text(id)));
	return row_only(&rows, row_out, err);
}

int
store_operator_set_token(
    struct store_tx *tx, const char *id, const uint8_t *token_hash, int64_t expires_at, struct err *err)
{
	return db_exec(tx->db, "UPDATE operator SET token_hash = $1, expires_at = $2, last_used_at = 0 WHERE id = $3",
	    DB_ARGS(db_blob(token_hash, SHA256_LEN), db_int(expires_at), db_text(id)), NULL, err);
}

int
store_operator_revoke(struct store_tx *tx, const char *id, int64_t now, struct err *err)
{
	int64_t changed = 0;
	int rc = db_exec(tx->db, "UPDATE operator SET revoked_at = $1 WHERE id = $2 AND revoked_at = 0",
	    DB_ARGS(db_int(now), db_text(id)), &changed, err);

	if (rc == 0 && changed == 0)
		rc = err_set(err, E_CONFLICT, "the operator is removed already");
	return rc;
}

int
store_operator_used(struct store_tx *tx, const char *id, int64_t at, struct err *err)
{
	return db_exec(tx->db, "UPDATE operator SET last_used_at = $1 WHERE id = $2 AND last_used_at < $1",
	    DB_ARGS(db_int(at), db_text(id)), NULL, err);
}

int
store_operator_expire_all(struct store_tx *tx, int64_t now, struct err *err)
{
	return db_exec(tx->db, "UPDATE operator SET expires_at = $1 WHERE expires_at = 0 OR expires_at > $1",
	    DB_ARGS(db_int(now)), NULL, err);
}

int
store_operator_list(struct store_tx *tx, int64_t tenant_id, bool bound, size_t limit, const char *after,
    struct store_operator *rows_out, size_t *n_out, char next_out[STORE_CURSOR_SIZE], struct err *err)
{
	struct cursor at;
	struct db_rows rows;
	bool more;
	size_t n = 0;
	int rc;

	if ((rc = cursor_begin(after, 'o', limit, &at, err)) != 0)
		return rc;
	db_query(&rows, tx->db,
	    "SELECT " SELECTED " FROM operator WHERE tenant_id = $1 AND bound = $5 AND (name, id) > ($2, $3)"
	    " ORDER BY name, id LIMIT $4",
	    DB_ARGS(db_int(tenant_id), db_text(at.key), db_text(at.id), db_int((int64_t)limit + 1), db_int(bound)));
	while (db_next_of(&rows, n, limit, &more))
		row_read(&rows, &rows_out[n++]);
	if ((rc = db_end(&rows, err)) != 0)
		return rc;
	*n_out = n;
	cursor_end(&at, more, n > 0 ? rows_out[n - 1].name : "", n > 0 ? rows_out[n - 1].id : "", next_out);
	return 0;
}

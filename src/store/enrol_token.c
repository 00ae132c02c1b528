/* Table `enrol_token`. */
#include "store/enrol_token.h"

#include "store/cursor.h"
#include "store/tx.h"

#define COLUMNS \
	"id, tenant_id, name, token_hash, device_id, type, location, profile, policy, max_uses, uses, created_at," \
	" expires_at, revoked_at"

static void
row_read(struct db_rows *rows, struct store_enrol_token *row)
{
	*row = (struct store_enrol_token){0};
	db_col_text(rows, 0, row->id, sizeof row->id);
	row->tenant_id = db_col_int(rows, 1);
	db_col_text(rows, 2, row->name, sizeof row->name);
	db_col_bytes(rows, 3, row->token_hash, sizeof row->token_hash);
	db_col_text(rows, 4, row->device_id, sizeof row->device_id);
	db_col_text(rows, 5, row->type, sizeof row->type);
	db_col_text(rows, 6, row->location, sizeof row->location);
	db_col_text(rows, 7, row->profile, sizeof row->profile);
	db_col_text(rows, 8, row->policy, sizeof row->policy);
	row->max_uses = db_col_int(rows, 9);
	row->uses = db_col_int(rows, 10);
	row->created_at = db_col_int(rows, 11);
	row->expires_at = db_col_int(rows, 12);
	row->revoked_at = db_col_int(rows, 13);
}

int
store_enrol_token_insert(struct store_tx *tx, const struct store_enrol_token *row, struct err *err)
{
	return db_exec(tx->db,
	    "INSERT INTO enrol_token (" COLUMNS ")"
	    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
	    DB_ARGS(db_text(row->id), db_int(row->tenant_id), db_text(row->name),
		db_blob(row->token_hash, sizeof row->token_hash), db_text(row->device_id), db_text(row->type),
		db_text(row->location), db_text(row->profile), db_text(row->policy), db_int(row->max_uses),
		db_int(row->uses), db_int(row->created_at), db_int(row->expires_at), db_int(row->revoked_at)),
	    NULL, err);
}

/* The one row of a query, and its end. */
static int
row_only(struct db_rows *rows, struct store_enrol_token *row_out, struct err *err)
{
	struct store_enrol_token row;
	int rc;

	if (db_next(rows))
		row_read(rows, &row);
	if ((rc = db_end_one(rows, "no such enrolment token", err)) != 0)
		return rc;
	*row_out = row;
	return 0;
}

int
store_enrol_token_get(struct store_tx *tx, int64_t tenant_id, const char *id, struct store_enrol_token *row_out,
    struct err *err)
{
	struct db_rows rows;

	db_query(&rows, tx->db, "SELECT " COLUMNS " FROM enrol_token WHERE id = $1 AND tenant_id = $2",
	    DB_ARGS(db_text(id), db_int(tenant_id)));
	return row_only(&rows, row_out, err);
}

int
store_enrol_token_find(
    struct store_tx *tx, const uint8_t *token_hash, struct store_enrol_token *row_out, struct err *err)
{
	struct db_rows rows;

	db_query(&rows, tx->db, "SELECT " COLUMNS " FROM enrol_token WHERE token_hash = $1",
	    DB_ARGS(db_blob(token_hash, SHA256_LEN)));
	return row_only(&rows, row_out, err);
}

int
store_enrol_token_use(struct store_tx *tx, const char *id, int64_t now, struct err *err)
{
	int64_t changed = 0;
	int rc = db_exec(tx->db,
	    "UPDATE enrol_token SET uses = uses + 1"
	    " WHERE id = $1 AND uses < max_uses AND revoked_at = 0 AND expires_at > $2",
	    DB_ARGS(db_text(id), db_int(now)), &changed, err);

	if (rc == 0 && changed == 0)
		rc = err_set(err, E_GONE, "the enrolment token is used up, revoked or expired");
	return rc;
}

int
store_enrol_token_revoke(struct store_tx *tx, int64_t tenant_id, const char *id, int64_t now, struct err *err)
{
	struct store_enrol_token row;
	int rc;

	if ((rc = store_enrol_token_get(tx, tenant_id, id, &row, err)) != 0)
		return rc;
	if (row.revoked_at != 0)
		return err_set(err, E_CONFLICT, "the enrolment token is revoked already");
	return db_exec(tx->db, "UPDATE enrol_token SET revoked_at = $1 WHERE id = $2", DB_ARGS(db_int(now), db_text(id)),
	    NULL, err);
}

int
store_enrol_token_revoke_all(struct store_tx *tx, int64_t now, struct err *err)
{
	return db_exec(tx->db, "UPDATE enrol_token SET revoked_at = $1 WHERE revoked_at = 0", DB_ARGS(db_int(now)), NULL, err);
}

int
store_enrol_token_list(struct store_tx *tx, int64_t tenant_id, size_t limit, const char *after,
    struct store_enrol_token *rows_out, size_t *n_out, char next_out[STORE_CURSOR_SIZE], struct err *err)
{
	struct cursor at;
	struct db_rows rows;
	bool more;
	size_t n = 0;
	int rc;

	if ((rc = cursor_begin(after, 't', limit, &at, err)) != 0)
		return rc;
	db_query(&rows, tx->db,
	    "SELECT " COLUMNS " FROM enrol_token WHERE tenant_id = $1 AND (name, id) > ($2, $3)"
	    " ORDER BY name, id LIMIT $4",
	    DB_ARGS(db_int(tenant_id), db_text(at.key), db_text(at.id), db_int((int64_t)limit + 1)));
	while (db_next_of(&rows, n, limit, &more))
		row_read(&rows, &rows_out[n++]);
	if ((rc = db_end(&rows, err)) != 0)
		return rc;
	*n_out = n;
	cursor_end(&at, more, n > 0 ? rows_out[n - 1].name : "", n > 0 ? rows_out[n - 1].id : "", next_out);
	return 0;
}

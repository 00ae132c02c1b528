/* Table `policy`. */
#include "store/policy.h"

#include "store/tx.h"

#include <stdlib.h>
#include <string.h>

#define COLUMNS "tenant_id, name, read, write, updated_at, sessions"

void
store_policy_clear(struct store_policy *row)
{
	free(row->read);
	free(row->write);
	*row = (struct store_policy){0};
}

static void
row_read(struct db_rows *rows, struct store_policy *row)
{
	*row = (struct store_policy){0};
	row->tenant_id = db_col_int(rows, 0);
	db_col_text(rows, 1, row->name, sizeof row->name);
	db_col_strdup(rows, 2, &row->read);
	db_col_strdup(rows, 3, &row->write);
	row->updated_at = db_col_int(rows, 4);
	row->sessions = db_col_int(rows, 5);
}

int
store_policy_put(struct store_tx *tx, const struct store_policy *row, struct err *err)
{
	return db_exec(tx->db,
	    "INSERT INTO policy (" COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6)"
	    " ON CONFLICT (tenant_id, name) DO UPDATE SET read = excluded.read,"
	    " write = excluded.write, updated_at = excluded.updated_at, sessions = excluded.sessions",
	    DB_ARGS(db_int(row->tenant_id), db_text(row->name), db_text(row->read),
		db_text(row->write), db_int(row->updated_at), db_int(row->sessions > 0 ? row->sessions : 1)),
	    NULL, err);
}

int
store_policy_get(struct store_tx *tx, int64_t tenant_id, const char *name,
    struct store_policy *row_out, struct err *err)
{
	struct store_policy row = {0};
	struct db_rows rows;
	int rc;

	db_query(&rows, tx->db, "SELECT " COLUMNS " FROM policy WHERE tenant_id = $1 AND name = $2",
	    DB_ARGS(db_int(tenant_id), db_text(name)));
	if (db_next(&rows))
		row_read(&rows, &row);
	if ((rc = db_end_one(&rows, "no such policy", err)) == 0)
		*row_out = row;
	else
		store_policy_clear(&row);
	return rc;
}

int
store_policy_remove(struct store_tx *tx, int64_t tenant_id, const char *name, struct err *err)
{
	struct db_rows rows;
	int64_t changed;
	bool used;
	int rc;

	/* 0 … 2: pending, active, suspended. The plus: the index of policies, not that of states.
	 */
	db_query(&rows, tx->db,
	    "SELECT 1 FROM device WHERE tenant_id = $1 AND policy = $2 AND +status <= 2 LIMIT 1",
	    DB_ARGS(db_int(tenant_id), db_text(name)));
	used = db_next(&rows);
	if ((rc = db_end(&rows, err)) != 0)
		return rc;
	if (used)
		return err_set(err, E_CONFLICT, "devices use this policy");
	rc = db_exec(tx->db, "DELETE FROM policy WHERE tenant_id = $1 AND name = $2",
	    DB_ARGS(db_int(tenant_id), db_text(name)), &changed, err);
	if (rc == 0 && changed == 0)
		rc = err_set(err, E_NOTFOUND, "no such policy");
	return rc;
}

/* Hand each row to EACH, and end the query. */
static int
rows_each(struct db_rows *rows, store_policy_each_fn *each, void *ctx, size_t *n_out, struct err *err)
{
	struct store_policy row;
	size_t n = 0;
	int rc;

	for (; db_next(rows); n++) {
		row_read(rows, &row);
		if (rows->rc == 0)
			rows->rc = each(ctx, &row, &rows->err);
		store_policy_clear(&row);
	}
	if ((rc = db_end(rows, err)) == 0)
		*n_out = n;
	return rc;
}

int
store_policy_each(
    struct store_tx *tx, int64_t tenant_id, store_policy_each_fn *each, void *ctx, struct err *err)
{
	struct db_rows rows;
	size_t n;

	if (tenant_id == 0)
		db_query(&rows, tx->db, "SELECT " COLUMNS " FROM policy ORDER BY name, tenant_id",
		    DB_NONE);
	else
		db_query(&rows, tx->db,
		    "SELECT " COLUMNS " FROM policy WHERE tenant_id = $1 ORDER BY name",
		    DB_ARGS(db_int(tenant_id)));
	return rows_each(&rows, each, ctx, &n, err);
}

int
store_policy_page(struct store_tx *tx, int64_t after_tenant_id, const char *after_name, size_t max,
    store_policy_each_fn *each, void *ctx, size_t *n_out, struct err *err)
{
	struct db_rows rows;

	db_query(&rows, tx->db,
	    "SELECT " COLUMNS " FROM policy WHERE (tenant_id, name) > ($1, $2) ORDER BY tenant_id, name LIMIT $3",
	    DB_ARGS(db_int(after_tenant_id), db_text(after_name), db_int((int64_t)max)));
	return rows_each(&rows, each, ctx, n_out, err);
}

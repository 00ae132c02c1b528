/* Table `tenant`. Its rows stay: other rows, and the audit, name them by their id. */
#include "store/tenant.h"

#include "store/cursor.h"
#include "store/tx.h"

#include <string.h>

#define CURSOR_ID "00000000-0000-4000-8000-000000000000" /* the name alone says where a page ended */

#define COLUMNS "id, name, quota, profiles, created_at, devices"

static void
row_read(struct db_rows *rows, struct store_tenant *row)
{
	*row = (struct store_tenant){0};
	row->id = db_col_int(rows, 0);
	db_col_text(rows, 1, row->name, sizeof row->name);
	row->quota = db_col_int(rows, 2);
	db_col_text(rows, 3, row->profiles, sizeof row->profiles);
	row->created_at = db_col_int(rows, 4);
	row->devices = db_col_int(rows, 5);
}

/* The one row of a query, and its end. */
static int
row_only(struct db_rows *rows, struct store_tenant *row_out, struct err *err)
{
	struct store_tenant row;
	int rc;

	if (db_next(rows))
		row_read(rows, &row);
	if ((rc = db_end_one(rows, "no such tenant", err)) != 0)
		return rc;
	*row_out = row;
	return 0;
}

int
store_tenant_insert(struct store_tx *tx, const struct store_tenant *row, int64_t *id_out, struct err *err)
{
	struct store_tenant made;
	int rc;

	rc = db_exec(tx->db, "INSERT INTO tenant (name, quota, profiles, created_at) VALUES ($1, $2, $3, $4)",
	    DB_ARGS(db_text(row->name), db_int(row->quota), db_text(row->profiles), db_int(row->created_at)), NULL, err);
	if (rc == E_CONFLICT)
		return err_field(err, E_CONFLICT, "name", "there is a tenant %s, or there was: a name is given once", row->name);
	if (rc == 0 && (rc = store_tenant_get(tx, row->name, &made, err)) == 0)
		*id_out = made.id;
	return rc;
}

int
store_tenant_get(struct store_tx *tx, const char *name, struct store_tenant *row_out, struct err *err)
{
	struct db_rows rows;

	db_query(&rows, tx->db, "SELECT " COLUMNS " FROM tenant WHERE name = $1 AND removed_at = 0", DB_ARGS(db_text(name)));
	return row_only(&rows, row_out, err);
}

int
store_tenant_by_id(struct store_tx *tx, int64_t id, struct store_tenant *row_out, struct err *err)
{
	struct db_rows rows;

	db_query(&rows, tx->db, "SELECT " COLUMNS " FROM tenant WHERE id = $1 AND removed_at = 0", DB_ARGS(db_int(id)));
	return row_only(&rows, row_out, err);
}

int
store_tenant_name(
    struct store_tx *tx, int64_t tenant_id, char name_out[STORE_WORD_SIZE], struct err *err)
{
	char name[STORE_WORD_SIZE] = "";
	struct db_rows rows;
	int rc;

	db_query(
	    &rows, tx->db, "SELECT name FROM tenant WHERE id = $1", DB_ARGS(db_int(tenant_id)));
	if (db_next(&rows))
		db_col_text(&rows, 0, name, sizeof name);
	if ((rc = db_end_one(&rows, "no such tenant", err)) == 0)
		memcpy(name_out, name, sizeof name);
	return rc;
}

int
store_tenant_update(struct store_tx *tx, const struct store_tenant *row, struct err *err)
{
	return db_exec(tx->db, "UPDATE tenant SET quota = $1, profiles = $2 WHERE id = $3",
	    DB_ARGS(db_int(row->quota), db_text(row->profiles), db_int(row->id)), NULL, err);
}

int
store_tenant_remove(struct store_tx *tx, int64_t id, int64_t now, struct err *err)
{
	static const struct {
		const char *what, *sql;
	} uses[] = {
	    {"devices", "SELECT 1 FROM tenant WHERE id = $1 AND devices > 0"},
	    {"services", "SELECT 1 FROM service WHERE tenant_id = $1 AND status <> 3 LIMIT 1"},
	    {"trust anchors", "SELECT 1 FROM trust WHERE tenant_id = $1 LIMIT 1"},
	    {"operators", "SELECT 1 FROM operator WHERE tenant_id = $1 AND revoked_at = 0 LIMIT 1"},
	};
	struct db_rows rows;
	bool used;
	size_t i;
	int rc;

	for (i = 0; i < sizeof uses / sizeof uses[0]; i++) {
		db_query(&rows, tx->db, uses[i].sql, DB_ARGS(db_int(id)));
		used = db_next(&rows);
		if ((rc = db_end(&rows, err)) != 0)
			return rc;
		if (used)
			return err_set(err, E_CONFLICT, "the tenant still has %s: revoke or remove them first", uses[i].what);
	}
	return db_exec(
	    tx->db, "UPDATE tenant SET removed_at = $1 WHERE id = $2", DB_ARGS(db_int(now), db_int(id)), NULL, err);
}

int
store_tenant_list(struct store_tx *tx, size_t limit, const char *after, struct store_tenant *rows_out, size_t *n_out,
    char next_out[STORE_CURSOR_SIZE], struct err *err)
{
	struct cursor at;
	struct db_rows rows;
	bool more;
	size_t n = 0;
	int rc;

	if ((rc = cursor_begin(after, 'n', limit, &at, err)) != 0)
		return rc;
	db_query(&rows, tx->db, "SELECT " COLUMNS " FROM tenant WHERE name > $1 AND removed_at = 0 ORDER BY name LIMIT $2",
	    DB_ARGS(db_text(at.key), db_int((int64_t)limit + 1)));
	while (db_next_of(&rows, n, limit, &more))
		row_read(&rows, &rows_out[n++]);
	if ((rc = db_end(&rows, err)) != 0)
		return rc;
	*n_out = n;
	cursor_end(&at, more, n > 0 ? rows_out[n - 1].name : "", CURSOR_ID, next_out);
	return 0;
}

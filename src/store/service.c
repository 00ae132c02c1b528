/* Table `service`. */
#include "store/service.h"

#include "store/cursor.h"
#include "store/tx.h"

#include <stdlib.h>

#define COLUMNS "id, tenant_id, name, read, write, status, created_at, updated_at"

void
store_service_clear(struct store_service *row)
{
	free(row->read);
	free(row->write);
	*row = (struct store_service){0};
}

static void
row_read(struct db_rows *rows, struct store_service *row)
{
	*row = (struct store_service){0};
	db_col_text(rows, 0, row->id, sizeof row->id);
	row->tenant_id = db_col_int(rows, 1);
	db_col_text(rows, 2, row->name, sizeof row->name);
	db_col_strdup(rows, 3, &row->read);
	db_col_strdup(rows, 4, &row->write);
	row->status = (enum device_status)db_col_enum(rows, 5, DEVICE_STATUSES);
	row->created_at = db_col_int(rows, 6);
	row->updated_at = db_col_int(rows, 7);
}

int
store_service_insert(struct store_tx *tx, const struct store_service *row, struct err *err)
{
	int rc = db_exec(tx->db,
	    "INSERT INTO service (" COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
	    DB_ARGS(db_text(row->id), db_int(row->tenant_id), db_text(row->name),
		db_text(row->read), db_text(row->write), db_int(row->status),
		db_int(row->created_at), db_int(row->updated_at)),
	    NULL, err);

	if (rc == E_CONFLICT)
		rc = err_field(err, E_CONFLICT, "name", "there is a service %s already", row->name);
	return rc;
}

int
store_service_get(struct store_tx *tx, int64_t tenant_id, const char *id_or_name,
    struct store_service *row_out, struct err *err)
{
	struct store_service row = {0};
	struct db_rows rows;
	int rc;

	/* A name may look like a UUID; the id it looks like wins. */
	if (uuid_is_valid(id_or_name)) {
		db_query(&rows, tx->db,
		    "SELECT " COLUMNS " FROM service WHERE id = $1 AND tenant_id = $2",
		    DB_ARGS(db_text(id_or_name), db_int(tenant_id)));
		if (db_next(&rows))
			row_read(&rows, &row);
		if ((rc = db_end_one(&rows, "no such service", err)) != E_NOTFOUND)
			goto out;
	}
	/* 3: revoked, as the index of the unrevoked names says. */
	db_query(&rows, tx->db,
	    "SELECT " COLUMNS " FROM service WHERE tenant_id = $1 AND name = $2 AND status <> 3",
	    DB_ARGS(db_int(tenant_id), db_text(id_or_name)));
	if (db_next(&rows))
		row_read(&rows, &row);
	rc = db_end_one(&rows, "no such service", err);
out:
	if (rc == 0)
		*row_out = row;
	else
		store_service_clear(&row);
	return rc;
}

int
store_service_update(struct store_tx *tx, const struct store_service *row, struct err *err)
{
	int64_t changed;
	int rc;

	rc = db_exec(tx->db,
	    "UPDATE service SET read = $1, write = $2, status = $3, updated_at = $4"
	    " WHERE id = $5 AND tenant_id = $6",
	    DB_ARGS(db_text(row->read), db_text(row->write), db_int(row->status),
		db_int(row->updated_at), db_text(row->id), db_int(row->tenant_id)),
	    &changed, err);
	if (rc == 0 && changed == 0)
		rc = err_set(err, E_NOTFOUND, "no such service");
	return rc;
}

int
store_service_list(struct store_tx *tx, int64_t tenant_id, size_t limit, const char *after,
    struct store_service *rows_out, size_t *n_out, char next_out[STORE_CURSOR_SIZE],
    struct err *err)
{
	struct cursor at;
	struct db_rows rows;
	bool more;
	size_t n = 0;
	int rc;

	if ((rc = cursor_begin(after, 's', limit, &at, err)) != 0)
		return rc;
	db_query(&rows, tx->db,
	    "SELECT " COLUMNS " FROM service WHERE tenant_id = $1 AND (name, id) > ($2, $3)"
	    " ORDER BY name, id LIMIT $4",
	    DB_ARGS(
		db_int(tenant_id), db_text(at.key), db_text(at.id), db_int((int64_t)limit + 1)));
	while (db_next_of(&rows, n, limit, &more))
		row_read(&rows, &rows_out[n++]);
	if ((rc = db_end(&rows, err)) != 0) {
		while (n > 0)
			store_service_clear(&rows_out[--n]);
		return rc;
	}
	*n_out = n;
	cursor_end(&at, more, n > 0 ? rows_out[n - 1].name : "", n > 0 ? rows_out[n - 1].id : "", next_out);
	return 0;
}

/* Hand each row to EACH, and end the query. */
static int
rows_each(struct db_rows *rows, store_service_each_fn *each, void *ctx, size_t *n_out, struct err *err)
{
	struct store_service row;
	size_t n = 0;
	int rc;

	for (; db_next(rows); n++) {
		row_read(rows, &row);
		if (rows->rc == 0)
			rows->rc = each(ctx, &row, &rows->err);
		store_service_clear(&row);
	}
	if ((rc = db_end(rows, err)) == 0)
		*n_out = n;
	return rc;
}

int
store_service_each(struct store_tx *tx, store_service_each_fn *each, void *ctx, struct err *err)
{
	struct db_rows rows;
	size_t n;

	db_query(&rows, tx->db, "SELECT " COLUMNS " FROM service WHERE status = $1 ORDER BY id",
	    DB_ARGS(db_int(DEVICE_ACTIVE)));
	return rows_each(&rows, each, ctx, &n, err);
}

int
store_service_page(struct store_tx *tx, const char *after, size_t max, store_service_each_fn *each, void *ctx,
    size_t *n_out, struct err *err)
{
	struct db_rows rows;

	db_query(&rows, tx->db, "SELECT " COLUMNS " FROM service WHERE id > $1 ORDER BY id LIMIT $2",
	    DB_ARGS(db_text(after), db_int((int64_t)max)));
	return rows_each(&rows, each, ctx, n_out, err);
}

/* Table `broker`. */
#include "store/broker.h"

#include "store/tx.h"

#include <string.h>

#define COLUMNS "id, tenant_id, name, status, created_at, seen_at, address, epoch, seq, dropped"
/* 0: active. */
#define SELECTED COLUMNS \
	", coalesce((SELECT max(not_after) FROM certificate WHERE owner_id = broker.id AND state = 0), 0)"

static void
row_read(struct db_rows *rows, struct store_broker *row)
{
	*row = (struct store_broker){0};
	db_col_text(rows, 0, row->id, sizeof row->id);
	row->tenant_id = db_col_int(rows, 1);
	db_col_text(rows, 2, row->name, sizeof row->name);
	row->status = (enum device_status)db_col_enum(rows, 3, DEVICE_STATUSES);
	row->created_at = db_col_int(rows, 4);
	row->seen_at = db_col_int(rows, 5);
	db_col_text(rows, 6, row->address, sizeof row->address);
	db_col_text(rows, 7, row->epoch, sizeof row->epoch);
	row->seq = db_col_int(rows, 8);
	row->dropped = db_col_int(rows, 9);
	row->expires_at = db_col_int(rows, 10);
}

int
store_broker_insert(struct store_tx *tx, const struct store_broker *row, struct err *err)
{
	int rc = db_exec(tx->db,
	    "INSERT INTO broker (" COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
	    DB_ARGS(db_text(row->id), db_int(row->tenant_id), db_text(row->name), db_int(row->status),
		db_int(row->created_at), db_int(row->seen_at), db_text(row->address), db_text(row->epoch),
		db_int(row->seq), db_int(row->dropped)),
	    NULL, err);

	if (rc == E_CONFLICT)
		rc = err_field(err, E_CONFLICT, "name", "there is a broker %s already", row->name);
	return rc;
}

int
store_broker_get(struct store_tx *tx, int64_t tenant_id, const char *id_or_name, struct store_broker *row_out,
    struct err *err)
{
	struct store_broker row = {0};
	struct db_rows rows;
	int rc;

	/* 3: revoked. No name looks like an id: core sees to that. */
	db_query(&rows, tx->db,
	    "SELECT " SELECTED " FROM broker WHERE tenant_id = $1 AND (id = $2 OR (name = $2 AND status <> 3))",
	    DB_ARGS(db_int(tenant_id), db_text(id_or_name)));
	if (db_next(&rows))
		row_read(&rows, &row);
	if ((rc = db_end_one(&rows, "no such broker", err)) == 0)
		*row_out = row;
	return rc;
}

static int
found(int rc, int64_t changed, struct err *err)
{
	return rc == 0 && changed == 0 ? err_set(err, E_NOTFOUND, "no such broker") : rc;
}

int
store_broker_set_status(struct store_tx *tx, const char *id, enum device_status status, struct err *err)
{
	int64_t changed = 0;
	int rc = db_exec(tx->db, "UPDATE broker SET status = $1 WHERE id = $2", DB_ARGS(db_int(status), db_text(id)),
	    &changed, err);

	return found(rc, changed, err);
}

int
store_broker_report(struct store_tx *tx, const struct store_broker *row, struct err *err)
{
	int64_t changed = 0;
	int rc = db_exec(tx->db,
	    "UPDATE broker SET seen_at = $1, address = $2, epoch = $3, seq = $4, dropped = dropped + $5 WHERE id = $6",
	    DB_ARGS(db_int(row->seen_at), db_text(row->address), db_text(row->epoch), db_int(row->seq),
		db_int(row->dropped), db_text(row->id)),
	    &changed, err);

	return found(rc, changed, err);
}

int
store_broker_each(struct store_tx *tx, int64_t tenant_id, store_broker_each_fn *each, void *ctx, struct err *err)
{
	struct store_broker row;
	struct db_rows rows;

	db_query(&rows, tx->db,
	    "SELECT " SELECTED " FROM broker WHERE tenant_id = $1 AND status <> 3 ORDER BY name, id",
	    DB_ARGS(db_int(tenant_id)));
	while (db_next(&rows)) {
		row_read(&rows, &row);
		if (rows.rc == 0)
			rows.rc = each(ctx, &row, &rows.err);
	}
	return db_end(&rows, err);
}

/* Table `rotation`. A row's way is forward only: each statement names the states that it leaves. */
#include "store/rotation.h"

#include "store/tx.h"

#define COLUMNS "device_id, tenant_id, word, state, cleared, asked_at, told_at, ended_at, ack, ack_at, ack_reason"

const char *
store_rotation_state_name(enum rotation_state state)
{
	static const char *const names[ROTATION_STATES] = {"waiting", "told", "renewed", "done", "cancelled", "void"};

	return names[state];
}

static void
row_read(struct db_rows *rows, struct store_rotation *row)
{
	*row = (struct store_rotation){0};
	db_col_text(rows, 0, row->device_id, sizeof row->device_id);
	row->tenant_id = db_col_int(rows, 1);
	db_col_text(rows, 2, row->word, sizeof row->word);
	row->state = (enum rotation_state)db_col_enum(rows, 3, ROTATION_STATES);
	row->cleared = db_col_int(rows, 4) != 0;
	row->asked_at = db_col_int(rows, 5);
	row->told_at = db_col_int(rows, 6);
	row->ended_at = db_col_int(rows, 7);
	row->ack = (enum rotation_ack)db_col_enum(rows, 8, ROTATION_ACKS);
	row->ack_at = db_col_int(rows, 9);
	db_col_text(rows, 10, row->ack_reason, sizeof row->ack_reason);
}

int
store_rotation_get(struct store_tx *tx, const char *device_id, struct store_rotation *row_out, struct err *err)
{
	struct store_rotation row;
	struct db_rows rows;
	int rc;

	db_query(&rows, tx->db, "SELECT " COLUMNS " FROM rotation WHERE device_id = $1", DB_ARGS(db_text(device_id)));
	if (db_next(&rows))
		row_read(&rows, &row);
	if ((rc = db_end_one(&rows, "the device was not asked to rotate", err)) == 0)
		*row_out = row;
	return rc;
}

int
store_rotation_put(struct store_tx *tx, const struct store_rotation *row, struct err *err)
{
	return db_exec(tx->db,
	    "INSERT INTO rotation (" COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
	    " ON CONFLICT (device_id) DO UPDATE SET tenant_id = $2, word = $3, state = $4, cleared = $5, asked_at = $6,"
	    " told_at = $7, ended_at = $8, ack = $9, ack_at = $10, ack_reason = $11",
	    DB_ARGS(db_text(row->device_id), db_int(row->tenant_id), db_text(row->word), db_int(row->state),
		db_int(row->cleared), db_int(row->asked_at), db_int(row->told_at), db_int(row->ended_at), db_int(row->ack),
		db_int(row->ack_at), db_text(row->ack_reason)),
	    NULL, err);
}

/* Append what SQL finds to the *N rows there are. */
static int
rows_add(struct store_tx *tx, const char *sql, struct store_rotation *rows_out, size_t max, size_t *n, struct err *err)
{
	struct db_rows rows;

	db_query(&rows, tx->db, sql, DB_ARGS(db_int((int64_t)(max - *n))));
	while (*n < max && db_next(&rows))
		row_read(&rows, &rows_out[(*n)++]);
	return db_end(&rows, err);
}

int
store_rotation_work(struct store_tx *tx, struct store_rotation *rows_out, size_t max, size_t *n_out, struct err *err)
{
	size_t n = 0;
	int rc;

	/* 3 and above: over, and 0: waiting. What was cancelled must not wait behind a whole fleet. */
	if ((rc = rows_add(tx,
		 "SELECT " COLUMNS " FROM rotation WHERE cleared = 0 AND state >= 3"
		 " ORDER BY state, asked_at, device_id LIMIT $1",
		 rows_out, max, &n, err)) == 0 &&
	    n < max)
		rc = rows_add(tx,
		    "SELECT " COLUMNS " FROM rotation WHERE cleared = 0 AND state = 0 ORDER BY asked_at, device_id LIMIT $1",
		    rows_out, max, &n, err);
	if (rc == 0)
		*n_out = n;
	return rc;
}

int
store_rotation_any(struct store_tx *tx, bool *any_out, struct err *err)
{
	struct db_rows rows;
	bool any;
	int rc;

	db_query(&rows, tx->db, "SELECT 1 FROM rotation WHERE cleared = 0 LIMIT 1", DB_NONE);
	any = db_next(&rows);
	if ((rc = db_end(&rows, err)) == 0)
		*any_out = any;
	return rc;
}

int
store_rotation_told(struct store_tx *tx, const char *device_id, const char *word, int64_t at, struct err *err)
{
	return db_exec(tx->db,
	    "UPDATE rotation SET state = 1, told_at = $1 WHERE device_id = $2 AND word = $3 AND state = 0",
	    DB_ARGS(db_int(at), db_text(device_id), db_text(word)), NULL, err);
}

int
store_rotation_cleared(struct store_tx *tx, const char *device_id, const char *word, struct err *err)
{
	return db_exec(tx->db, "UPDATE rotation SET cleared = 1 WHERE device_id = $1 AND word = $2 AND state >= 3",
	    DB_ARGS(db_text(device_id), db_text(word)), NULL, err);
}

int
store_rotation_renewed(struct store_tx *tx, const char *device_id, struct err *err)
{
	return db_exec(tx->db, "UPDATE rotation SET state = 2 WHERE device_id = $1 AND state < 2",
	    DB_ARGS(db_text(device_id)), NULL, err);
}

int
store_rotation_finish(struct store_tx *tx, const char *device_id, int64_t at, struct err *err)
{
	return db_exec(tx->db, "UPDATE rotation SET state = 3, ended_at = $1 WHERE device_id = $2 AND state = 2",
	    DB_ARGS(db_int(at), db_text(device_id)), NULL, err);
}

int
store_rotation_end(struct store_tx *tx, const char *device_id, enum rotation_state state, int64_t at, struct err *err)
{
	return db_exec(tx->db, "UPDATE rotation SET state = $1, ended_at = $2 WHERE device_id = $3 AND state < 3",
	    DB_ARGS(db_int(state), db_int(at), db_text(device_id)), NULL, err);
}

int
store_rotation_acknowledge(struct store_tx *tx, const char *device_id, const char *word, enum rotation_ack ack,
    const char *reason, int64_t at, struct err *err)
{
	return db_exec(tx->db,
	    "UPDATE rotation SET ack = $1, ack_reason = $2, ack_at = $3 WHERE device_id = $4 AND word = $5"
	    " AND (ack <> $1 OR ack_reason <> $2)",
	    DB_ARGS(db_int(ack), db_text(reason), db_int(at), db_text(device_id), db_text(word)), NULL, err);
}

/* Rows as they are: whether they are true, core/auditpoint.c says. */
#include "store/auditpoint.h"

#include "store/tx.h"

#define COLUMNS "c.number, c.seq, c.at, c.head, c.previous"

static void
row_read(struct db_rows *rows, struct store_auditpoint *out)
{
	out->number = db_col_int(rows, 0);
	out->seq = db_col_int(rows, 1);
	out->at = db_col_int(rows, 2);
	db_col_bytes(rows, 3, out->head, sizeof out->head);
	db_col_bytes(rows, 4, out->previous, sizeof out->previous);
}

int
store_auditpoint_add(struct store_tx *tx, const struct store_auditpoint *point, const struct buf *cms, bool replaces,
    struct err *err)
{
	int rc;

	rc = db_exec(tx->db,
	    "INSERT INTO audit_checkpoint (number, seq, at, head, previous, cms) VALUES ($1, $2, $3, $4, $5, $6)",
	    DB_ARGS(db_int(point->number), db_int(point->seq), db_int(point->at), db_blob(point->head, SHA256_LEN),
		db_blob(point->previous, SHA256_LEN), db_blob(cms->data, cms->len)),
	    NULL, err);
	if (rc == 0 && replaces)
		rc = db_exec(tx->db, "UPDATE audit_checkpoint SET cms = NULL WHERE number = $1",
		    DB_ARGS(db_int(point->number - 1)), NULL, err);
	return rc;
}

/* The one row of a query that was begun; its message, if CMS is not NULL. */
static int
one(struct db_rows *rows, const char *none, struct store_auditpoint *out, struct buf *cms, struct err *err)
{
	struct store_auditpoint row;
	int rc;

	if (db_next(rows)) {
		row_read(rows, &row);
		if (cms != NULL)
			db_col_append(rows, 5, cms);
	}
	if ((rc = db_end_one(rows, none, err)) != 0)
		return rc;
	if (cms != NULL && buf_failed(cms))
		return err_nomem(err);
	*out = row;
	return 0;
}

int
store_auditpoint_last(struct store_tx *tx, struct store_auditpoint *out, struct buf *cms, struct err *err)
{
	struct db_rows rows;

	db_query(&rows, tx->db, "SELECT " COLUMNS ", c.cms FROM audit_checkpoint c ORDER BY c.number DESC LIMIT 1", DB_NONE);
	return one(&rows, "there is no checkpoint yet", out, cms, err);
}

int
store_auditpoint_before(struct store_tx *tx, int64_t number, struct store_auditpoint *out, struct err *err)
{
	struct db_rows rows;

	db_query(&rows, tx->db,
	    "SELECT " COLUMNS " FROM audit_checkpoint c WHERE c.number < $1 ORDER BY c.number DESC LIMIT 1",
	    DB_ARGS(db_int(number)));
	return one(&rows, "there is no checkpoint before it", out, NULL, err);
}

int
store_auditpoint_signed(struct store_tx *tx, int64_t before, struct store_auditpoint *out, struct buf *cms, struct err *err)
{
	struct db_rows rows;

	db_query(&rows, tx->db,
	    "SELECT " COLUMNS ", c.cms FROM audit_checkpoint c WHERE c.at < $1 AND c.cms IS NOT NULL"
	    " ORDER BY c.number DESC LIMIT 1",
	    DB_ARGS(db_int(before)));
	return one(&rows, "there is no checkpoint of before that time", out, cms, err);
}

int
store_auditpoint_at(struct store_tx *tx, int64_t seq, struct store_auditpoint *out, struct err *err)
{
	struct db_rows rows;

	db_query(&rows, tx->db, "SELECT " COLUMNS " FROM audit_checkpoint c WHERE c.seq = $1", DB_ARGS(db_int(seq)));
	return one(&rows, "there is no checkpoint of that row", out, NULL, err);
}

int
store_auditpoint_step(struct store_tx *tx, int64_t after, int64_t upto, struct store_auditpoint *out, struct err *err)
{
	struct db_rows rows;
	int rc;

	db_query(&rows, tx->db,
	    "SELECT " COLUMNS " FROM audit_checkpoint c WHERE c.seq > $1 AND c.seq <= $2 ORDER BY c.seq DESC LIMIT 1",
	    DB_ARGS(db_int(after), db_int(upto)));
	if ((rc = one(&rows, "", out, NULL, err)) != E_NOTFOUND)
		return rc;
	db_query(&rows, tx->db, "SELECT " COLUMNS " FROM audit_checkpoint c WHERE c.seq > $1 ORDER BY c.seq LIMIT 1",
	    DB_ARGS(db_int(after)));
	return one(&rows, "there is no checkpoint behind that row", out, NULL, err);
}

int
store_auditpoint_drop(struct store_tx *tx, int64_t number, struct err *err)
{
	return db_exec(
	    tx->db, "DELETE FROM audit_checkpoint WHERE number < $1", DB_ARGS(db_int(number)), NULL, err);
}

int
store_auditpoint_each(struct store_tx *tx, int64_t after, int64_t upto, store_auditpoint_each_fn *each, void *ctx,
    struct err *err)
{
	struct store_auditpoint row;
	uint8_t hash[SHA256_LEN];
	struct db_rows rows;
	bool is_there;

	db_query(&rows, tx->db,
	    "SELECT " COLUMNS ", a.hash FROM audit_checkpoint c LEFT JOIN audit a ON a.seq = c.seq"
	    " WHERE c.seq > $1 AND c.seq <= $2 ORDER BY c.seq",
	    DB_ARGS(db_int(after), db_int(upto)));
	while (db_next(&rows)) {
		row_read(&rows, &row);
		if ((is_there = !db_col_is_null(&rows, 5)))
			db_col_bytes(&rows, 5, hash, sizeof hash);
		if (rows.rc == 0)
			rows.rc = each(ctx, &row, is_there ? hash : NULL, &rows.err);
	}
	return db_end(&rows, err);
}

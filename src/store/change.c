/* Tables `change` and `setting`: what the system remembers about itself. */
#include "store/change.h"

#include "store/tx.h"

/* The one number that SQL answers. */
static int
number_get(struct store_tx *tx, const char *sql, int64_t *out, struct err *err)
{
	struct db_rows rows;
	int64_t number = 0;
	int rc;

	db_query(&rows, tx->db, sql, DB_NONE);
	if (db_next(&rows))
		number = db_col_int(&rows, 0);
	if ((rc = db_end(&rows, err)) == 0)
		*out = number;
	return rc;
}

int
store_change_last(struct store_tx *tx, int64_t *seq_out, struct err *err)
{
	return number_get(tx, "SELECT coalesce(max(seq), 0) FROM change", seq_out, err);
}

int
store_change_first(struct store_tx *tx, int64_t *seq_out, struct err *err)
{
	return number_get(tx, "SELECT coalesce(min(seq), 0) FROM change", seq_out, err);
}

/* Counted and not drawn from a sequence: there is one writer, and a rolled back number must be
 * given again. */
int
store_change_append(struct store_tx *tx, int64_t tenant_id, const char *kind, const char *id, int64_t at,
    int64_t *seq_out, struct err *err)
{
	int64_t seq;
	int rc;

	if ((rc = store_change_last(tx, &seq, err)) != 0)
		return rc;
	seq++;
	rc = db_exec(tx->db, "INSERT INTO change (seq, tenant_id, kind, id, at) VALUES ($1, $2, $3, $4, $5)",
	    DB_ARGS(db_int(seq), db_int(tenant_id), db_text(kind), db_text(id), db_int(at)), NULL, err);
	if (rc != 0)
		return rc;
	tx->has_change = true;
	*seq_out = seq;
	return 0;
}

int
store_change_list(struct store_tx *tx, int64_t after, struct store_change *rows_out, size_t max, size_t *n_out,
    struct err *err)
{
	struct db_rows rows;
	size_t n = 0;
	int rc;

	db_query(&rows, tx->db, "SELECT seq, tenant_id, kind, id FROM change WHERE seq > $1 ORDER BY seq LIMIT $2",
	    DB_ARGS(db_int(after), db_int((int64_t)max)));
	for (; db_next(&rows); n++) {
		rows_out[n].seq = db_col_int(&rows, 0);
		rows_out[n].tenant_id = db_col_int(&rows, 1);
		db_col_text(&rows, 2, rows_out[n].kind, sizeof rows_out[n].kind);
		db_col_text(&rows, 3, rows_out[n].id, sizeof rows_out[n].id);
	}
	if ((rc = db_end(&rows, err)) == 0)
		*n_out = n;
	return rc;
}

int
store_change_prune(
    struct store_tx *tx, int64_t before, int64_t keep, size_t max, size_t *n_out, struct err *err)
{
	int64_t first, last, changed;
	int rc;

	if ((rc = store_change_first(tx, &first, err)) != 0 || (rc = store_change_last(tx, &last, err)) != 0)
		return rc;
	/* Up to the first that must stay: a clock that was set back makes no gap. */
	rc = db_exec(tx->db,
	    "DELETE FROM change WHERE seq < $1 AND seq <= $2 AND seq < coalesce("
	    "(SELECT seq FROM change WHERE at >= $3 ORDER BY seq LIMIT 1), $2 + 1)",
	    DB_ARGS(db_int(first + (int64_t)max), db_int(last - keep), db_int(before)), &changed, err);
	if (rc == 0)
		*n_out = (size_t)changed;
	return rc;
}

int
store_setting_put(struct store_tx *tx, const char *name, const char *value, struct err *err)
{
	return db_exec(tx->db,
	    "INSERT INTO setting (name, value) VALUES ($1, $2)"
	    " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
	    DB_ARGS(db_text(name), db_text(value)), NULL, err);
}

int
store_setting_get(struct store_tx *tx, const char *name, struct buf *value_out, struct err *err)
{
	struct db_rows rows;
	bool found;
	int rc;

	db_query(
	    &rows, tx->db, "SELECT value FROM setting WHERE name = $1", DB_ARGS(db_text(name)));
	if ((found = db_next(&rows)))
		db_col_append(&rows, 0, value_out);
	if ((rc = db_end(&rows, err)) == 0 && !found)
		rc = err_set(err, E_NOTFOUND, "no setting %s", name);
	return rc;
}

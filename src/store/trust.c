/* Tables `trust` and `trust_serial`. */
#include "store/trust.h"

#include "store/cursor.h"
#include "store/tx.h"

#include <stdlib.h>

#define COLUMNS \
	"id, tenant_id, name, name_hash, key_hash, fingerprint, subject, not_after, type, location, profile, policy," \
	" any_serial, held, created_at, der"

void
store_trust_clear(struct store_trust *row)
{
	free(row->der);
	*row = (struct store_trust){0};
}

static void
row_read(struct db_rows *rows, struct store_trust *row)
{
	*row = (struct store_trust){0};
	db_col_text(rows, 0, row->id, sizeof row->id);
	row->tenant_id = db_col_int(rows, 1);
	db_col_text(rows, 2, row->name, sizeof row->name);
	row->name_hash = db_col_int(rows, 3);
	db_col_bytes(rows, 4, row->key_hash, sizeof row->key_hash);
	db_col_bytes(rows, 5, row->fingerprint, sizeof row->fingerprint);
	db_col_text(rows, 6, row->subject, sizeof row->subject);
	row->not_after = db_col_int(rows, 7);
	db_col_text(rows, 8, row->type, sizeof row->type);
	db_col_text(rows, 9, row->location, sizeof row->location);
	db_col_text(rows, 10, row->profile, sizeof row->profile);
	db_col_text(rows, 11, row->policy, sizeof row->policy);
	row->any_serial = db_col_int(rows, 12) != 0;
	row->held = db_col_int(rows, 13) != 0;
	row->created_at = db_col_int(rows, 14);
	db_col_memdup(rows, 15, &row->der, &row->der_len);
}

int
store_trust_insert(struct store_tx *tx, const struct store_trust *row, struct err *err)
{
	int rc = db_exec(tx->db,
	    "INSERT INTO trust (" COLUMNS ")"
	    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
	    DB_ARGS(db_text(row->id), db_int(row->tenant_id), db_text(row->name), db_int(row->name_hash),
		db_blob(row->key_hash, SHA256_LEN), db_blob(row->fingerprint, SHA256_LEN), db_text(row->subject),
		db_int(row->not_after), db_text(row->type), db_text(row->location), db_text(row->profile),
		db_text(row->policy), db_int(row->any_serial), db_int(row->held), db_int(row->created_at),
		db_blob(row->der, row->der_len)),
	    NULL, err);

	return rc == E_CONFLICT ? err_field(err, E_CONFLICT, "name", "there is a trust anchor of that name") : rc;
}

/* At most MAX rows of a query, and its end. */
static int
rows_take(struct db_rows *rows, struct store_trust *rows_out, size_t max, bool *more_out, size_t *n_out, struct err *err)
{
	size_t n = 0, i;
	int rc;

	while (db_next_of(rows, n, max, more_out))
		row_read(rows, &rows_out[n++]);
	if ((rc = db_end(rows, err)) != 0) {
		for (i = 0; i < n; i++)
			store_trust_clear(&rows_out[i]);
		return rc;
	}
	*n_out = n;
	return 0;
}

static int
row_only(struct db_rows *rows, struct store_trust *row_out, struct err *err)
{
	struct store_trust row = {0};
	bool more;
	size_t n;
	int rc;

	if ((rc = rows_take(rows, &row, 1, &more, &n, err)) != 0)
		return rc;
	if (n == 0)
		return err_set(err, E_NOTFOUND, "there is no trust anchor of that name");
	*row_out = row;
	return 0;
}

int
store_trust_get(struct store_tx *tx, int64_t tenant_id, const char *name, struct store_trust *row_out, struct err *err)
{
	struct db_rows rows;

	db_query(&rows, tx->db, "SELECT " COLUMNS " FROM trust WHERE tenant_id = $1 AND name = $2",
	    DB_ARGS(db_int(tenant_id), db_text(name)));
	return row_only(&rows, row_out, err);
}

int
store_trust_by_id(struct store_tx *tx, int64_t tenant_id, const char *id, struct store_trust *row_out, struct err *err)
{
	struct db_rows rows;

	db_query(&rows, tx->db, "SELECT " COLUMNS " FROM trust WHERE id = $1 AND tenant_id = $2",
	    DB_ARGS(db_text(id), db_int(tenant_id)));
	return row_only(&rows, row_out, err);
}

int
store_trust_by_name_hash(
    struct store_tx *tx, int64_t name_hash, struct store_trust *rows_out, size_t max, size_t *n_out, struct err *err)
{
	struct db_rows rows;
	bool more;

	db_query(&rows, tx->db, "SELECT " COLUMNS " FROM trust WHERE name_hash = $1 ORDER BY id LIMIT $2",
	    DB_ARGS(db_int(name_hash), db_int((int64_t)max)));
	return rows_take(&rows, rows_out, max, &more, n_out, err);
}

int
store_trust_any(struct store_tx *tx, bool *any_out, struct err *err)
{
	struct db_rows rows;
	bool any;
	int rc;

	db_query(&rows, tx->db, "SELECT 1 FROM trust LIMIT 1", DB_NONE);
	any = db_next(&rows);
	if ((rc = db_end(&rows, err)) == 0)
		*any_out = any;
	return rc;
}

int
store_trust_count(
    struct store_tx *tx, int64_t name_hash, int64_t tenant_id, int64_t *n_out, int64_t *n_tenants_out, struct err *err)
{
	struct db_rows rows;
	int64_t n = 0, n_tenants = 0;
	int rc;

	db_query(&rows, tx->db,
	    "SELECT count(*), count(CASE WHEN tenant_id = $2 THEN 1 END) FROM trust WHERE name_hash = $1",
	    DB_ARGS(db_int(name_hash), db_int(tenant_id)));
	if (db_next(&rows)) {
		n = db_col_int(&rows, 0);
		n_tenants = db_col_int(&rows, 1);
	}
	if ((rc = db_end(&rows, err)) != 0)
		return rc;
	*n_out = n;
	*n_tenants_out = n_tenants;
	return 0;
}

int
store_trust_list(struct store_tx *tx, int64_t tenant_id, size_t limit, const char *after, struct store_trust *rows_out,
    size_t *n_out, char next_out[STORE_CURSOR_SIZE], struct err *err)
{
	struct db_rows rows;
	struct cursor at;
	bool more;
	int rc;

	if ((rc = cursor_begin(after, 'a', limit, &at, err)) != 0)
		return rc;
	db_query(&rows, tx->db, "SELECT " COLUMNS " FROM trust WHERE tenant_id = $1 AND name > $2 ORDER BY name LIMIT $3",
	    DB_ARGS(db_int(tenant_id), db_text(at.key), db_int((int64_t)limit + 1)));
	if ((rc = rows_take(&rows, rows_out, limit, &more, n_out, err)) != 0)
		return rc;
	cursor_end(&at, more, *n_out > 0 ? rows_out[*n_out - 1].name : "", *n_out > 0 ? rows_out[*n_out - 1].id : "",
	    next_out);
	return 0;
}

int
store_trust_remove(struct store_tx *tx, const char *id, struct err *err)
{
	int rc = db_exec(tx->db, "DELETE FROM trust_serial WHERE trust_id = $1", DB_ARGS(db_text(id)), NULL, err);

	return rc == 0 ? db_exec(tx->db, "DELETE FROM trust WHERE id = $1", DB_ARGS(db_text(id)), NULL, err) : rc;
}

int
store_trust_serials_drop(struct store_tx *tx, const char *id, size_t max, size_t *n_out, struct err *err)
{
	int64_t changed = 0;
	int rc = db_exec(tx->db,
	    "DELETE FROM trust_serial WHERE trust_id = $1 AND serial IN"
	    " (SELECT serial FROM trust_serial WHERE trust_id = $1 ORDER BY serial LIMIT $2)",
	    DB_ARGS(db_text(id), db_int((int64_t)max)), &changed, err);

	*n_out = (size_t)changed;
	return rc;
}

int
store_trust_hold(struct store_tx *tx, const char *id, bool held, struct err *err)
{
	return db_exec(tx->db, "UPDATE trust SET held = $1 WHERE id = $2", DB_ARGS(db_int(held), db_text(id)), NULL, err);
}

int
store_trust_hold_all(struct store_tx *tx, struct err *err)
{
	return db_exec(tx->db, "UPDATE trust SET held = 1", DB_NONE, NULL, err);
}

/* ---- expected serial numbers ----------------------------------------------------------------------------------- */

int
store_trust_serial_put(struct store_tx *tx, const char *trust_id, const char *serial, const char *device_id, bool *new_out,
    struct err *err)
{
	int64_t changed = 0;
	int rc = db_exec(tx->db, "UPDATE trust_serial SET device_id = $3 WHERE trust_id = $1 AND serial = $2",
	    DB_ARGS(db_text(trust_id), db_text(serial), db_text(device_id)), &changed, err);

	*new_out = changed == 0;
	if (rc != 0 || changed != 0)
		return rc;
	return db_exec(tx->db, "INSERT INTO trust_serial (trust_id, serial, device_id) VALUES ($1, $2, $3)",
	    DB_ARGS(db_text(trust_id), db_text(serial), db_text(device_id)), NULL, err);
}

int
store_trust_serial_remove(
    struct store_tx *tx, const char *trust_id, const char *serial, bool *changed_out, struct err *err)
{
	int64_t changed = 0;
	int rc = db_exec(tx->db, "DELETE FROM trust_serial WHERE trust_id = $1 AND serial = $2",
	    DB_ARGS(db_text(trust_id), db_text(serial)), &changed, err);

	*changed_out = changed != 0;
	return rc;
}

int
store_trust_serial_get(struct store_tx *tx, const char *trust_id, const char *serial, struct store_trust_serial *row_out,
    struct err *err)
{
	struct store_trust_serial row = {0};
	struct db_rows rows;
	int rc;

	db_query(&rows, tx->db, "SELECT serial, device_id FROM trust_serial WHERE trust_id = $1 AND serial = $2",
	    DB_ARGS(db_text(trust_id), db_text(serial)));
	if (db_next(&rows)) {
		db_col_text(&rows, 0, row.serial, sizeof row.serial);
		db_col_text(&rows, 1, row.device_id, sizeof row.device_id);
	}
	if ((rc = db_end_one(&rows, "this serial number is not expected", err)) != 0)
		return rc;
	*row_out = row;
	return 0;
}

int
store_trust_serial_list(struct store_tx *tx, const struct store_trust *trust, size_t limit, const char *after,
    struct store_trust_serial *rows_out, size_t *n_out, char next_out[STORE_CURSOR_SIZE], struct err *err)
{
	struct db_rows rows;
	struct cursor at;
	bool more;
	size_t n = 0;
	int rc;

	if ((rc = cursor_begin(after, 's', limit, &at, err)) != 0)
		return rc;
	db_query(&rows, tx->db,
	    "SELECT s.serial, s.device_id, coalesce(i.device_id, '') FROM trust_serial s"
	    " LEFT JOIN idevid i ON i.tenant_id = $1 AND i.key_hash = $2 AND i.serial = s.serial"
	    " WHERE s.trust_id = $3 AND s.serial > $4 ORDER BY s.serial LIMIT $5",
	    DB_ARGS(db_int(trust->tenant_id), db_blob(trust->key_hash, SHA256_LEN), db_text(trust->id), db_text(at.key),
		db_int((int64_t)limit + 1)));
	for (; db_next_of(&rows, n, limit, &more); n++) {
		rows_out[n] = (struct store_trust_serial){0};
		db_col_text(&rows, 0, rows_out[n].serial, sizeof rows_out[n].serial);
		db_col_text(&rows, 1, rows_out[n].device_id, sizeof rows_out[n].device_id);
		db_col_text(&rows, 2, rows_out[n].enrolled_id, sizeof rows_out[n].enrolled_id);
	}
	if ((rc = db_end(&rows, err)) != 0)
		return rc;
	*n_out = n;
	cursor_end(&at, more, n > 0 ? rows_out[n - 1].serial : "", trust->id, next_out);
	return 0;
}

/* Table `certificate`. Rows are added and change their state; none is ever removed, for whatever
 * was signed must stay revocable. */
#include "store/certificate.h"

#include "store/revocation.h"
#include "store/tx.h"

#include <stdlib.h>
#include <string.h>

#define OWNER_KINDS 5
#define STATES 3
#define COLUMNS                                                                                    \
	"serial, tenant_id, owner_kind, owner_id, fingerprint, spki_hash, key, profile, "          \
	"not_before,"                                                                              \
	" not_after, state, reason, revoked_at, superseded_by, der, issuer"

const char *
store_owner_kind_name(enum store_owner_kind kind)
{
	static const char *const names[OWNER_KINDS] = {"device", "service", "server", "broker", "operator"};

	return names[kind];
}

const char *
store_certificate_state_name(enum certificate_state state)
{
	static const char *const names[STATES] = {"active", "held", "revoked"};

	return names[state];
}

void
store_certificate_clear(struct store_certificate *row)
{
	free(row->der);
	*row = (struct store_certificate){0};
}

static void
row_read(struct db_rows *rows, struct store_certificate *row)
{
	*row = (struct store_certificate){0};
	db_col_bytes(rows, 0, row->serial, sizeof row->serial);
	row->tenant_id = db_col_int(rows, 1);
	row->owner_kind = (enum store_owner_kind)db_col_enum(rows, 2, OWNER_KINDS);
	db_col_text(rows, 3, row->owner_id, sizeof row->owner_id);
	db_col_bytes(rows, 4, row->fingerprint, sizeof row->fingerprint);
	db_col_bytes(rows, 5, row->spki_hash, sizeof row->spki_hash);
	db_col_text(rows, 6, row->key, sizeof row->key);
	db_col_text(rows, 7, row->profile, sizeof row->profile);
	row->not_before = db_col_int(rows, 8);
	row->not_after = db_col_int(rows, 9);
	row->state = (enum certificate_state)db_col_enum(rows, 10, STATES);
	row->reason = (int)db_col_int(rows, 11);
	row->revoked_at = db_col_int(rows, 12);
	row->superseded = !db_col_is_null(rows, 13);
	if (row->superseded)
		db_col_bytes(rows, 13, row->superseded_by, sizeof row->superseded_by);
	db_col_memdup(rows, 14, &row->der, &row->der_len);
	row->issuer = db_col_int(rows, 15);
}

int
store_certificate_insert(struct store_tx *tx, const struct store_certificate *row, struct err *err)
{
	int rc;

	rc = db_exec(tx->db,
	    "INSERT INTO certificate (" COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,"
	    " $11, $12, $13, $14, $15, $16)",
	    DB_ARGS(db_blob(row->serial, sizeof row->serial), db_int(row->tenant_id),
		db_int(row->owner_kind), db_text(row->owner_id),
		db_blob(row->fingerprint, sizeof row->fingerprint),
		db_blob(row->spki_hash, sizeof row->spki_hash), db_text(row->key),
		db_text(row->profile), db_int(row->not_before), db_int(row->not_after),
		db_int(row->state), db_int(row->reason), db_int(row->revoked_at),
		db_blob(row->superseded ? row->superseded_by : NULL, sizeof row->superseded_by),
		db_blob(row->der, row->der_len), db_int(row->issuer)),
	    NULL, err);
	return rc == 0 && row->state != CERTIFICATE_ACTIVE ? store_revocation_append(tx, row->serial, err) : rc;
}

static int
get_one(struct store_tx *tx, const char *sql, const struct db_arg *args, size_t n,
    struct store_certificate *row_out, struct err *err)
{
	struct store_certificate row = {0};
	struct db_rows rows;
	int rc;

	db_query(&rows, tx->db, sql, args, n);
	if (db_next(&rows))
		row_read(&rows, &row);
	if ((rc = db_end_one(&rows, "no such certificate", err)) == 0)
		*row_out = row;
	else
		store_certificate_clear(&row);
	return rc;
}

int
store_certificate_by_fingerprint(struct store_tx *tx, int64_t tenant_id, const uint8_t *fingerprint,
    struct store_certificate *row_out, struct err *err)
{
	return get_one(tx,
	    "SELECT " COLUMNS " FROM certificate WHERE fingerprint = $1 AND tenant_id = $2",
	    DB_ARGS(db_blob(fingerprint, SHA256_LEN), db_int(tenant_id)), row_out, err);
}

int
store_certificate_by_serial(
    struct store_tx *tx, const uint8_t *serial, struct store_certificate *row_out, struct err *err)
{
	return get_one(tx, "SELECT " COLUMNS " FROM certificate WHERE serial = $1",
	    DB_ARGS(db_blob(serial, STORE_SERIAL_LEN)), row_out, err);
}

int
store_certificate_status(
    struct store_tx *tx, const uint8_t *serial, struct store_status *status_out, struct err *err)
{
	struct store_status status = {0};
	struct db_rows rows;
	int rc;

	db_query(&rows, tx->db, "SELECT state, reason, revoked_at, issuer FROM certificate WHERE serial = $1",
	    DB_ARGS(db_blob(serial, STORE_SERIAL_LEN)));
	if (db_next(&rows)) {
		status.state = (enum certificate_state)db_col_enum(&rows, 0, STATES);
		status.reason = (int)db_col_int(&rows, 1);
		status.revoked_at = db_col_int(&rows, 2);
		status.issuer = db_col_int(&rows, 3);
	}
	if ((rc = db_end_one(&rows, "no such certificate", err)) != 0)
		return rc;
	*status_out = status;
	return 0;
}

int
store_certificate_key_owner(struct store_tx *tx, const uint8_t *spki_hash,
    enum store_owner_kind *kind_out, char owner_id_out[UUID_LEN + 1], struct err *err)
{
	enum store_owner_kind kind = OWNER_DEVICE;
	char id[UUID_LEN + 1] = "";
	struct db_rows rows;
	int rc;

	db_query(&rows, tx->db,
	    "SELECT owner_kind, owner_id FROM certificate WHERE spki_hash = $1 ORDER BY n LIMIT 1",
	    DB_ARGS(db_blob(spki_hash, SHA256_LEN)));
	if (db_next(&rows)) {
		kind = (enum store_owner_kind)db_col_enum(&rows, 0, OWNER_KINDS);
		db_col_text(&rows, 1, id, sizeof id);
	}
	if ((rc = db_end_one(&rows, "nobody has used this key", err)) != 0)
		return rc;
	*kind_out = kind;
	memcpy(owner_id_out, id, sizeof id);
	return 0;
}

int
store_certificate_owner(struct store_tx *tx, const char *owner_id, enum store_owner_kind *kind_out,
    int64_t *tenant_id_out, struct err *err)
{
	enum store_owner_kind kind = OWNER_DEVICE;
	int64_t tenant_id = 0;
	struct db_rows rows;
	int rc;

	db_query(&rows, tx->db, "SELECT owner_kind, tenant_id FROM certificate WHERE owner_id = $1 ORDER BY n LIMIT 1",
	    DB_ARGS(db_text(owner_id)));
	if (db_next(&rows)) {
		kind = (enum store_owner_kind)db_col_enum(&rows, 0, OWNER_KINDS);
		tenant_id = db_col_int(&rows, 1);
	}
	if ((rc = db_end_one(&rows, "nobody of that id has a certificate", err)) != 0)
		return rc;
	*kind_out = kind;
	*tenant_id_out = tenant_id;
	return 0;
}

/* Read at most MAX rows and end the query. */
static int
rows_read(struct db_rows *rows, struct store_certificate *rows_out, size_t max, size_t *n_out, struct err *err)
{
	size_t n = 0;
	int rc;

	while (n < max && db_next(rows))
		row_read(rows, &rows_out[n++]);
	if ((rc = db_end(rows, err)) == 0)
		*n_out = n;
	else
		while (n > 0)
			store_certificate_clear(&rows_out[--n]);
	return rc;
}

int
store_certificate_by_owner(struct store_tx *tx, int64_t tenant_id, const char *owner_id,
    struct store_certificate *rows_out, size_t max, size_t *n_out, struct err *err)
{
	struct db_rows rows;

	db_query(&rows, tx->db,
	    "SELECT " COLUMNS " FROM certificate WHERE owner_id = $1 AND tenant_id = $2"
	    " ORDER BY n DESC LIMIT $3",
	    DB_ARGS(db_text(owner_id), db_int(tenant_id), db_int((int64_t)max)));
	return rows_read(&rows, rows_out, max, n_out, err);
}

int
store_certificate_unrevoked(struct store_tx *tx, int64_t tenant_id, const char *owner_id,
    struct store_certificate *rows_out, size_t max, size_t *n_out, struct err *err)
{
	struct db_rows rows;

	db_query(&rows, tx->db,
	    "SELECT " COLUMNS " FROM certificate WHERE owner_id = $1 AND tenant_id = $2 AND state <> $3"
	    " ORDER BY n DESC LIMIT $4",
	    DB_ARGS(db_text(owner_id), db_int(tenant_id), db_int(CERTIFICATE_REVOKED), db_int((int64_t)max)));
	return rows_read(&rows, rows_out, max, n_out, err);
}

int
store_certificate_current(struct store_tx *tx, int64_t tenant_id, const char *owner_id, int64_t now,
    struct store_fingerprint *out, size_t max, size_t *n_out, struct err *err)
{
	struct db_rows rows;
	size_t n = 0;
	int rc;

	db_query(&rows, tx->db,
	    "SELECT fingerprint, not_after FROM certificate WHERE owner_id = $1 AND tenant_id = $2 AND state = $3"
	    " AND not_after > $4 ORDER BY n DESC LIMIT $5",
	    DB_ARGS(db_text(owner_id), db_int(tenant_id), db_int(CERTIFICATE_ACTIVE), db_int(now),
		db_int((int64_t)max)));
	for (; db_next(&rows); n++) {
		db_col_bytes(&rows, 0, out[n].sha256, sizeof out[n].sha256);
		out[n].not_after = db_col_int(&rows, 1);
	}
	if ((rc = db_end(&rows, err)) == 0)
		*n_out = n;
	return rc;
}

int
store_certificate_set_state(struct store_tx *tx, const uint8_t *serial,
    enum certificate_state state, int reason, int64_t revoked_at, const uint8_t *superseded_by,
    struct err *err)
{
	struct db_rows rows;
	int64_t changed;
	bool found;
	int rc;

	rc = db_exec(tx->db,
	    "UPDATE certificate SET state = $1, reason = $2, revoked_at = $3,"
	    " superseded_by = coalesce($4, superseded_by) WHERE serial = $5 AND state <> 2",
	    DB_ARGS(db_int(state), db_int(reason), db_int(revoked_at),
		db_blob(superseded_by, STORE_SERIAL_LEN), db_blob(serial, STORE_SERIAL_LEN)),
	    &changed, err);
	if (rc == 0 && changed > 0)
		rc = store_revocation_append(tx, serial, err);
	if (rc != 0 || changed > 0)
		return rc;
	db_query(&rows, tx->db, "SELECT 1 FROM certificate WHERE serial = $1",
	    DB_ARGS(db_blob(serial, STORE_SERIAL_LEN)));
	found = db_next(&rows);
	if ((rc = db_end(&rows, err)) != 0)
		return rc;
	return found ? err_set(err, E_CONFLICT, "the certificate is revoked already")
		     : err_set(err, E_NOTFOUND, "no such certificate");
}

int
store_certificate_retire(
    struct store_tx *tx, const char *owner_id, const uint8_t *serial, int64_t retire_at, struct err *err)
{
	return db_exec(tx->db,
	    "UPDATE certificate SET retire_at = $1, superseded_by = $2"
	    " WHERE owner_id = $3 AND state = 0 AND serial <> $2 AND retire_at = 0",
	    DB_ARGS(db_int(retire_at), db_blob(serial, STORE_SERIAL_LEN), db_text(owner_id)), NULL, err);
}

int
store_certificate_seen(struct store_tx *tx, const uint8_t *fingerprint, int64_t now, struct err *err)
{
	return db_exec(tx->db,
	    "UPDATE certificate SET retire_at = $1 WHERE state = 0 AND retire_at > $1 AND (owner_id, tenant_id) ="
	    " (SELECT owner_id, tenant_id FROM certificate WHERE fingerprint = $2 AND state = 0 AND retire_at = 0)",
	    DB_ARGS(db_int(now), db_blob(fingerprint, SHA256_LEN)), NULL, err);
}

int
store_certificate_due(
    struct store_tx *tx, int64_t now, struct store_due *out, size_t max, size_t *n_out, struct err *err)
{
	struct db_rows rows;
	size_t n = 0;
	int rc;

	db_query(&rows, tx->db,
	    "SELECT serial, tenant_id, owner_id FROM certificate"
	    " WHERE retire_at <> 0 AND state = 0 AND retire_at <= $1 ORDER BY retire_at LIMIT $2",
	    DB_ARGS(db_int(now), db_int((int64_t)max)));
	for (; db_next(&rows); n++) {
		db_col_bytes(&rows, 0, out[n].serial, sizeof out[n].serial);
		out[n].tenant_id = db_col_int(&rows, 1);
		db_col_text(&rows, 2, out[n].owner_id, sizeof out[n].owner_id);
	}
	if ((rc = db_end(&rows, err)) == 0)
		*n_out = n;
	return rc;
}

int
store_certificate_in_use(
    struct store_tx *tx, int64_t issuer, int64_t now, int64_t *n_out, int64_t *end_out, struct err *err)
{
	int64_t n = 0, end = 0;
	struct db_rows rows;
	int rc;

	db_query(&rows, tx->db,
	    "SELECT count(*), coalesce(max(not_after), 0) FROM certificate WHERE issuer = $1 AND not_after > $2 AND state <> $3"
	    " AND owner_kind <> $4",
	    DB_ARGS(db_int(issuer), db_int(now), db_int(CERTIFICATE_REVOKED), db_int(OWNER_SERVER)));
	if (db_next(&rows)) {
		n = db_col_int(&rows, 0);
		end = db_col_int(&rows, 1);
	}
	if ((rc = db_end(&rows, err)) != 0)
		return rc;
	*n_out = n;
	*end_out = end;
	return 0;
}

struct store_revoked {
	struct db_rows rows;
};

int
store_revoked_open(struct store_tx *tx, int64_t issuer, int64_t not_after_least, struct store_revoked **revoked_out,
    struct err *err)
{
	struct store_revoked *revoked = calloc(1, sizeof *revoked);

	if (revoked == NULL)
		return err_nomem(err);
	if (issuer == STORE_ISSUER_ALL) /* issuer by issuer: the index begins with it */
		db_query(&revoked->rows, tx->db,
		    "SELECT serial, revoked_at, reason FROM certificate WHERE state <> 0 AND not_after >= $1 AND issuer IN"
		    " (SELECT n FROM issuer UNION ALL SELECT -1)",
		    DB_ARGS(db_int(not_after_least)));
	else
		db_query(&revoked->rows, tx->db,
		    "SELECT serial, revoked_at, reason FROM certificate WHERE state <> 0 AND not_after >= $1 AND issuer = $2",
		    DB_ARGS(db_int(not_after_least), db_int(issuer)));
	*revoked_out = revoked;
	return 0;
}

bool
store_revoked_next(struct store_revoked *revoked, struct store_revoked_row *row_out)
{
	struct db_rows *rows = &revoked->rows;
	struct store_revoked_row row;

	if (!db_next(rows))
		return false;
	db_col_bytes(rows, 0, row.serial, sizeof row.serial);
	row.revoked_at = db_col_int(rows, 1);
	row.reason = (int)db_col_int(rows, 2);
	if (rows->rc != 0)
		return false;
	*row_out = row;
	return true;
}

int
store_revoked_close(struct store_revoked *revoked, struct err *err)
{
	int rc;

	if (revoked == NULL)
		return 0;
	rc = db_end(&revoked->rows, err);
	free(revoked);
	return rc;
}

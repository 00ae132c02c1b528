/* Tables `job` and `job_row`. That a row is done and that its device is there are one transaction's; the statements that say so
 * name the states that they leave, so nothing is done twice, whoever asks. */
#include "store/job.h"

#include "base/text.h"
#include "store/cursor.h"
#include "store/tx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS \
	"id, tenant_id, kind, state, name, digest, actor, role, origin, packages, link_ttl_s, seal, total, received, refused, done," \
	" failed, created_at, started_at, ended_at, bound"
#define ROW_COLUMNS "n, tenant_id, state, device_id, digest, name, serial, sealed, field, reason, key_hash"
#define ROW_REQUEST ", type, location, labels, policy, key, profile, sans, valid_s, spki"

static const char *const states[JOB_STATES] = {"open", "running", "done", "cancelled"};
static const char *const row_states[JOB_ROW_STATES] = {"waiting", "done", "failed", "refused"};

const char *
store_job_state_name(enum job_state state)
{
	return states[state];
}

const char *
store_job_row_state_name(enum job_row_state state)
{
	return row_states[state];
}

bool
store_job_row_state_parse(const char *name, enum job_row_state *state_out)
{
	int i;

	for (i = 0; i < JOB_ROW_STATES; i++)
		if (strcmp(name, row_states[i]) == 0) {
			*state_out = (enum job_row_state)i;
			return true;
		}
	return false;
}

/* ---- jobs ------------------------------------------------------------------------------------------------------- */

void
store_job_clear(struct store_job *row)
{
	free(row->seal);
	*row = (struct store_job){0};
}

static void
job_read(struct db_rows *rows, struct store_job *row)
{
	*row = (struct store_job){0};
	db_col_text(rows, 0, row->id, sizeof row->id);
	row->tenant_id = db_col_int(rows, 1);
	db_col_text(rows, 2, row->kind, sizeof row->kind);
	row->state = (enum job_state)db_col_enum(rows, 3, JOB_STATES);
	db_col_text(rows, 4, row->name, sizeof row->name);
	db_col_text(rows, 5, row->digest, sizeof row->digest);
	db_col_text(rows, 6, row->actor, sizeof row->actor);
	row->role = db_col_int(rows, 7);
	db_col_text(rows, 8, row->origin, sizeof row->origin);
	row->packages = (enum job_packages)db_col_enum(rows, 9, JOB_PACKAGES);
	row->link_ttl_s = db_col_int(rows, 10);
	db_col_memdup(rows, 11, &row->seal, &row->seal_len);
	row->total = db_col_int(rows, 12);
	row->received = db_col_int(rows, 13);
	row->refused = db_col_int(rows, 14);
	row->done = db_col_int(rows, 15);
	row->failed = db_col_int(rows, 16);
	row->created_at = db_col_int(rows, 17);
	row->started_at = db_col_int(rows, 18);
	row->ended_at = db_col_int(rows, 19);
	row->bound = db_col_int(rows, 20) != 0;
}

int
store_job_insert(struct store_tx *tx, const struct store_job *row, struct err *err)
{
	return db_exec(tx->db,
	    "INSERT INTO job (" COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0, 0, 0, 0, $14, 0, 0, $15)",
	    DB_ARGS(db_text(row->id), db_int(row->tenant_id), db_text(row->kind), db_int(row->state), db_text(row->name),
		db_text(row->digest), db_text(row->actor), db_int(row->role), db_text(row->origin), db_int(row->packages),
		db_int(row->link_ttl_s), db_blob(row->seal, row->seal_len), db_int(row->total), db_int(row->created_at),
		db_int(row->bound)),
	    NULL, err);
}

/* The one job that ROWS finds. */
static int
job_one(struct db_rows *rows, struct store_job *row_out, struct err *err)
{
	struct store_job row = {0};
	int rc;

	if (db_next(rows))
		job_read(rows, &row);
	if ((rc = db_end_one(rows, "no such job", err)) == 0)
		*row_out = row;
	else
		store_job_clear(&row);
	return rc;
}

int
store_job_get(struct store_tx *tx, int64_t tenant_id, const char *id, struct store_job *row_out, struct err *err)
{
	struct db_rows rows;

	db_query(&rows, tx->db, "SELECT " COLUMNS " FROM job WHERE id = $1 AND tenant_id = $2",
	    DB_ARGS(db_text(id), db_int(tenant_id)));
	return job_one(&rows, row_out, err);
}

int
store_job_by_digest(struct store_tx *tx, int64_t tenant_id, const char *digest, struct store_job *row_out, struct err *err)
{
	struct db_rows rows;

	db_query(&rows, tx->db, "SELECT " COLUMNS " FROM job WHERE tenant_id = $1 AND digest = $2 AND state <> 3",
	    DB_ARGS(db_int(tenant_id), db_text(digest)));
	return job_one(&rows, row_out, err);
}

int
store_job_running(struct store_tx *tx, const char *after, struct store_job *row_out, struct err *err)
{
	struct db_rows rows;

	db_query(&rows, tx->db, "SELECT " COLUMNS " FROM job WHERE state = 1 AND id > $1 ORDER BY id LIMIT 1",
	    DB_ARGS(db_text(after)));
	return job_one(&rows, row_out, err);
}

int
store_job_list(struct store_tx *tx, int64_t tenant_id, size_t limit, const char *after, struct store_job *rows_out,
    size_t *n_out, char next_out[STORE_CURSOR_SIZE], struct err *err)
{
	int64_t before = INT64_MAX;
	struct cursor cursor;
	struct db_rows rows;
	char key[32] = "";
	bool more = false;
	size_t n = 0;
	int rc;

	if ((rc = cursor_begin(after, 'j', limit, &cursor, err)) != 0)
		return rc;
	if (after != NULL && !integer_parse(cursor.key, 0, INT64_MAX, &before))
		return err_field(err, E_INPUT, "after", "belongs to another list");
	db_query(&rows, tx->db,
	    "SELECT " COLUMNS " FROM job WHERE tenant_id = $1 AND (created_at, id) < ($2, $3)"
	    " ORDER BY created_at DESC, id DESC LIMIT $4",
	    DB_ARGS(db_int(tenant_id), db_int(before), db_text(cursor.id), db_int((int64_t)limit + 1)));
	while (!more && db_next(&rows)) {
		if ((more = n == limit))
			break;
		job_read(&rows, &rows_out[n++]);
	}
	if ((rc = db_end(&rows, err)) != 0) {
		while (n > 0)
			store_job_clear(&rows_out[--n]);
		return rc;
	}
	if (more)
		(void)snprintf(key, sizeof key, "%lld", (long long)rows_out[n - 1].created_at);
	cursor_end(&cursor, more, key, more ? rows_out[n - 1].id : "", next_out);
	*n_out = n;
	return 0;
}

int
store_job_update(struct store_tx *tx, const struct store_job *row, struct err *err)
{
	return db_exec(tx->db,
	    "UPDATE job SET state = $1, received = $2, refused = $3, started_at = $4, ended_at = $5"
	    " WHERE id = $6 AND tenant_id = $7",
	    DB_ARGS(db_int(row->state), db_int(row->received), db_int(row->refused), db_int(row->started_at),
		db_int(row->ended_at), db_text(row->id), db_int(row->tenant_id)),
	    NULL, err);
}

int
store_job_cancel_all(struct store_tx *tx, int64_t now, struct err *err)
{
	return db_exec(tx->db, "UPDATE job SET state = 3, ended_at = $1 WHERE state < 2", DB_ARGS(db_int(now)), NULL, err);
}

/* ---- rows ------------------------------------------------------------------------------------------------------- */

void
store_job_row_clear(struct store_job_row *row)
{
	free(row->type);
	free(row->location);
	free(row->labels);
	free(row->policy);
	free(row->key);
	free(row->profile);
	free(row->sans);
	free(row->spki);
	free(row->sealed);
	*row = (struct store_job_row){0};
}

static void
row_read(struct db_rows *rows, bool with_request, struct store_job_row *row)
{
	*row = (struct store_job_row){0};
	row->n = db_col_int(rows, 0);
	row->tenant_id = db_col_int(rows, 1);
	row->state = (enum job_row_state)db_col_enum(rows, 2, JOB_ROW_STATES);
	db_col_text(rows, 3, row->device_id, sizeof row->device_id);
	db_col_bytes(rows, 4, row->digest, sizeof row->digest);
	db_col_text(rows, 5, row->name, sizeof row->name);
	if ((row->has_serial = !db_col_is_null(rows, 6)))
		db_col_bytes(rows, 6, row->serial, sizeof row->serial);
	db_col_memdup(rows, 7, &row->sealed, &row->sealed_len);
	db_col_text(rows, 8, row->field, sizeof row->field);
	db_col_text(rows, 9, row->reason, sizeof row->reason);
	if ((row->has_key_hash = !db_col_is_null(rows, 10)))
		db_col_bytes(rows, 10, row->key_hash, sizeof row->key_hash);
	if (!with_request)
		return;
	db_col_strdup(rows, 11, &row->type);
	db_col_strdup(rows, 12, &row->location);
	db_col_strdup(rows, 13, &row->labels);
	db_col_strdup(rows, 14, &row->policy);
	db_col_strdup(rows, 15, &row->key);
	db_col_strdup(rows, 16, &row->profile);
	db_col_strdup(rows, 17, &row->sans);
	row->valid_s = db_col_int(rows, 18);
	db_col_memdup(rows, 19, &row->spki, &row->spki_len);
}

int
store_job_row_insert(struct store_tx *tx, const char *job_id, const struct store_job_row *row, struct err *err)
{
	return db_exec(tx->db,
	    "INSERT INTO job_row (job_id, n, tenant_id, state, device_id, digest, name, type, location, labels, policy, key,"
	    " profile, sans, valid_s, spki, key_hash, field, reason)"
	    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)",
	    DB_ARGS(db_text(job_id), db_int(row->n), db_int(row->tenant_id), db_int(row->state), db_text(row->device_id),
		db_blob(row->digest, sizeof row->digest), db_text(row->name), db_text(row->type), db_text(row->location),
		db_text(row->labels), db_text(row->policy), db_text(row->key), db_text(row->profile), db_text(row->sans),
		db_int(row->valid_s), db_blob(row->spki, row->spki_len),
		db_blob(row->has_key_hash ? row->key_hash : NULL, sizeof row->key_hash), db_text(row->field),
		db_text(row->reason)),
	    NULL, err);
}

int
store_job_row_digest(struct store_tx *tx, const char *job_id, int64_t n, uint8_t digest_out[SHA256_LEN], struct err *err)
{
	uint8_t digest[SHA256_LEN] = {0};
	struct db_rows rows;
	int rc;

	db_query(&rows, tx->db, "SELECT digest FROM job_row WHERE job_id = $1 AND n = $2", DB_ARGS(db_text(job_id), db_int(n)));
	if (db_next(&rows))
		db_col_bytes(&rows, 0, digest, sizeof digest);
	if ((rc = db_end_one(&rows, "no such row", err)) == 0)
		memcpy(digest_out, digest, sizeof digest);
	return rc;
}

/* The number of the row that ROWS finds. */
static int
number_one(struct db_rows *rows, int64_t *n_out, struct err *err)
{
	int64_t n = 0;
	int rc;

	if (db_next(rows))
		n = db_col_int(rows, 0);
	if ((rc = db_end_one(rows, "no such row", err)) == 0)
		*n_out = n;
	return rc;
}

int
store_job_row_by_key(struct store_tx *tx, const char *job_id, const uint8_t *key_hash, int64_t *n_out, struct err *err)
{
	struct db_rows rows;

	db_query(&rows, tx->db, "SELECT n FROM job_row WHERE job_id = $1 AND key_hash = $2",
	    DB_ARGS(db_text(job_id), db_blob(key_hash, SHA256_LEN)));
	return number_one(&rows, n_out, err);
}

int
store_job_row_burnt(struct store_tx *tx, const char *job_id, int64_t *n_out, struct err *err)
{
	struct db_rows rows;

	/* In the order of the rows, each looked up by its key. */
	db_query(&rows, tx->db,
	    "SELECT r.n FROM job_row r WHERE r.job_id = $1 AND r.key_hash IS NOT NULL"
	    " AND EXISTS (SELECT 1 FROM certificate c WHERE c.spki_hash = r.key_hash) ORDER BY r.n LIMIT 1",
	    DB_ARGS(db_text(job_id)));
	return number_one(&rows, n_out, err);
}

/* $1 job, $2 tenant, $3 after, $4 how many, $5 the state. */
#define ROWS(columns, which) \
	"SELECT " columns " FROM job_row WHERE job_id = $1 AND tenant_id = $2 AND n > $3" which " ORDER BY n LIMIT $4"

/* What is wrong has an index of its own. */
static const char *
rows_sql(int state, bool with_request)
{
	if (with_request)
		return state < 0 ? ROWS(ROW_COLUMNS ROW_REQUEST, "") : ROWS(ROW_COLUMNS ROW_REQUEST, " AND state = $5");
	if (state < 0)
		return ROWS(ROW_COLUMNS, "");
	return state >= JOB_ROW_FAILED ? ROWS(ROW_COLUMNS, " AND state >= 2 AND state = $5") : ROWS(ROW_COLUMNS, " AND state = $5");
}

int
store_job_rows(struct store_tx *tx, int64_t tenant_id, const char *job_id, int64_t after, int state, bool with_request,
    size_t max, struct store_job_row *rows_out, size_t *n_out, struct err *err)
{
	struct db_rows rows;
	size_t n = 0;
	int rc;

	db_query(&rows, tx->db, rows_sql(state, with_request),
	    (const struct db_arg[]){db_text(job_id), db_int(tenant_id), db_int(after), db_int((int64_t)max), db_int(state)},
	    state < 0 ? 4 : 5);
	while (n < max && db_next(&rows))
		row_read(&rows, with_request, &rows_out[n++]);
	if ((rc = db_end(&rows, err)) != 0) {
		while (n > 0)
			store_job_row_clear(&rows_out[--n]);
		return rc;
	}
	*n_out = n;
	return 0;
}

/* What was asked is not needed any more. */
#define FORGET "type = NULL, location = NULL, labels = NULL, policy = NULL, key = NULL, profile = NULL, sans = NULL, spki = NULL"

/* One of each of the two statements' rows must have changed. */
static int
row_end(int rc, int64_t changed, struct err *err)
{
	if (rc == 0 && changed != 1)
		rc = err_set(err, E_CONFLICT, "the row is done, or its job is not running any more");
	return rc;
}

int
store_job_row_done(struct store_tx *tx, const char *job_id, int64_t n, const uint8_t *serial, const void *sealed,
    size_t sealed_len, struct err *err)
{
	int64_t changed;
	int rc;

	rc = db_exec(tx->db, "UPDATE job SET done = done + 1 WHERE id = $1 AND state = 1", DB_ARGS(db_text(job_id)), &changed, err);
	if ((rc = row_end(rc, changed, err)) != 0)
		return rc;
	rc = db_exec(tx->db,
	    "UPDATE job_row SET state = 1, serial = $1, sealed = $2, " FORGET " WHERE job_id = $3 AND n = $4 AND state = 0",
	    DB_ARGS(db_blob(serial, STORE_SERIAL_LEN), db_blob(sealed, sealed_len), db_text(job_id), db_int(n)), &changed, err);
	return row_end(rc, changed, err);
}

int
store_job_row_fail(struct store_tx *tx, const char *job_id, int64_t n, const struct err *why, struct err *err)
{
	int64_t changed;
	int rc;

	rc = db_exec(
	    tx->db, "UPDATE job SET failed = failed + 1 WHERE id = $1 AND state = 1", DB_ARGS(db_text(job_id)), &changed, err);
	if ((rc = row_end(rc, changed, err)) != 0)
		return rc;
	rc = db_exec(tx->db,
	    "UPDATE job_row SET state = 2, field = $1, reason = $2, " FORGET " WHERE job_id = $3 AND n = $4 AND state = 0",
	    DB_ARGS(db_text(why->field), db_text(why->text), db_text(job_id), db_int(n)), &changed, err);
	return row_end(rc, changed, err);
}

int
store_job_expire(struct store_tx *tx, int64_t before, size_t max, size_t *n_out, struct err *err)
{
	char id[UUID_LEN + 1] = "";
	int64_t changed = 0;
	struct db_rows rows;
	int rc;

	db_query(&rows, tx->db,
	    "SELECT id FROM job WHERE (state >= 2 AND ended_at <= $1) OR (state = 0 AND created_at <= $1) LIMIT 1",
	    DB_ARGS(db_int(before)));
	if (db_next(&rows))
		db_col_text(&rows, 0, id, sizeof id);
	if ((rc = db_end(&rows, err)) == 0 && id[0] != '\0')
		rc = db_exec(tx->db,
		    "DELETE FROM job_row WHERE job_id = $1 AND n IN (SELECT n FROM job_row WHERE job_id = $1 ORDER BY n LIMIT $2)",
		    DB_ARGS(db_text(id), db_int((int64_t)max)), &changed, err);
	if (rc == 0 && id[0] != '\0' && changed < (int64_t)max)
		rc = db_exec(tx->db, "DELETE FROM job WHERE id = $1", DB_ARGS(db_text(id)), NULL, err);
	if (rc == 0)
		*n_out = (size_t)changed;
	return rc;
}

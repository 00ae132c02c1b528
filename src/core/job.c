/* What callers ask of jobs. Nothing is made here: core/import.c does that. */
#include "core/job.h"

#include "base/text.h"
#include "core/audit.h"
#include "core/check.h"
#include "core/import.h"
#include "core/tenant.h"
#include "store/cursor.h"
#include "store/store.h"
#include "x509/csr.h"
#include "x509/seal.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(STORE_JOB_WHO_SIZE >= CALLER_WHO_SIZE && STORE_JOB_ORIGIN_SIZE >= ADDRESS_TEXT_SIZE, "every caller fits");

/* ---- making one ------------------------------------------------------------------------------------------------- */

static int
digest_check(const char *digest, struct err *err)
{
	uint8_t raw[SHA256_LEN];

	if (digest == NULL || strlen(digest) != 2 * SHA256_LEN || !hex_decode(raw, sizeof raw, digest))
		return err_field(err, E_INPUT, "digest", "must be a SHA-256, 64 hex digits");
	return 0;
}

static int
seal_get(const struct job_request *request, struct store_job *job, struct err *err)
{
	int rc;

	if (request->packages == JOB_PACKAGES_NONE) {
		if (request->seal != NULL)
			return err_field(err, E_INPUT, "seal", "is for packages");
		return 0;
	}
	if (request->seal == NULL)
		return err_field(err, E_INPUT, "seal", "is required with packages: the key for their links and passwords");
	if ((rc = seal_key_check(request->seal, request->seal_len, err)) != 0) {
		(void)text_copy(err->field, sizeof err->field, "seal");
		return rc;
	}
	if ((job->seal = malloc(request->seal_len)) == NULL)
		return err_nomem(err);
	memcpy(job->seal, request->seal, request->seal_len);
	job->seal_len = request->seal_len;
	return 0;
}

static int
job_make(struct core *core, const struct caller *caller, const struct job_request *request, struct store_job *job, struct err *err)
{
	int rc;

	if ((rc = check_name("name", request->name, false, err)) != 0 || (rc = digest_check(request->digest, err)) != 0)
		return rc;
	if (request->total < 1 || request->total > JOB_ROWS_MAX)
		return err_field(err, E_INPUT, "total", "must be from 1 to %d", JOB_ROWS_MAX);
	if (request->link_ttl_s < 0 || request->link_ttl_s > LINK_TTL_MAX_S)
		return err_field(err, E_INPUT, "link_ttl_s", "must be from 1 to %d", LINK_TTL_MAX_S);
	job->tenant_id = caller->tenant_id;
	job->role = caller->role;
	job->bound = caller->is_bound;
	job->packages = request->packages;
	job->link_ttl_s = request->link_ttl_s > 0 ? request->link_ttl_s : LINK_TTL_DEFAULT_S;
	job->total = request->total;
	job->created_at = core->now();
	(void)text_copy(job->kind, sizeof job->kind, JOB_IMPORT);
	(void)text_copy(job->name, sizeof job->name, request->name);
	text_lower(job->digest, sizeof job->digest, request->digest);
	(void)text_copy(job->actor, sizeof job->actor, caller->who);
	(void)text_copy(job->origin, sizeof job->origin, caller->from);
	if ((rc = uuid_make(job->id, err)) != 0)
		return rc;
	return seal_get(request, job, err);
}

int
job_create(struct core *core, const struct caller *caller, const struct job_request *request, bool *made_out,
    struct store_job *job_out, struct err *err)
{
	struct store_job job = {0}, there = {0};
	struct store_tx *tx = NULL;
	struct err none = {0};
	int rc;

	if ((rc = job_make(core, caller, request, &job, err)) != 0 || (rc = store_begin(core->store, &tx, err)) != 0)
		goto out;
	if ((rc = store_job_by_digest(tx, caller->tenant_id, job.digest, &there, &none)) == 0) {
		*made_out = false;
		*job_out = there;
		goto out;
	}
	if (rc != E_NOTFOUND) {
		*err = none;
		goto out;
	}
	if ((rc = store_job_insert(tx, &job, err)) == 0 &&
	    (rc = audit_write(tx, caller, job.created_at, "job.create", "job", job.id, err, "{\"kind\":\"%s\",\"rows\":%lld}",
		 job.kind, (long long)job.total)) == 0 &&
	    (rc = store_commit(&tx, err)) == 0) {
		*made_out = true;
		*job_out = job;
		job = (struct store_job){0};
	}
out:
	store_rollback(&tx);
	store_job_clear(&job);
	return rc;
}

/* ---- its rows --------------------------------------------------------------------------------------------------- */

static int
copy(char **dst, const char *value, struct err *err)
{
	if (value == NULL)
		return 0;
	return (*dst = strdup(value)) != NULL ? 0 : err_nomem(err);
}

static int
sans_copy(char **dst, const char *const *sans, size_t n, struct err *err)
{
	json_t *list;
	size_t i;

	if (n == 0)
		return 0;
	list = json_array();
	for (i = 0; i < n; i++)
		if (json_array_append_new(list, json_string(sans[i])) != 0)
			break;
	if (i == n)
		*dst = json_dumps(list, JSON_COMPACT);
	json_decref(list);
	return *dst != NULL ? 0 : err_nomem(err);
}

static int
request_copy(const struct device_request *request, struct store_job_row *row, struct err *err)
{
	const struct credential_request *c = &request->credential;
	int rc;

	if ((rc = copy(&row->type, request->type, err)) != 0 || (rc = copy(&row->location, request->location, err)) != 0 ||
	    (rc = copy(&row->labels, request->labels, err)) != 0 || (rc = copy(&row->policy, request->policy, err)) != 0 ||
	    (rc = copy(&row->key, c->key, err)) != 0 || (rc = copy(&row->profile, c->profile, err)) != 0 ||
	    (rc = sans_copy(&row->sans, c->sans, c->n_sans, err)) != 0)
		return rc;
	row->valid_s = c->valid_s;
	return 0;
}

/* Of a request that was read, and its signature verified, the key is all that counts. */
static int
key_copy(const struct csr *csr, struct store_job_row *row, struct err *err)
{
	if ((row->spki = malloc(csr->spki_len)) == NULL)
		return err_nomem(err);
	memcpy(row->spki, csr->spki, csr->spki_len);
	row->spki_len = csr->spki_len;
	sha256(row->key_hash, csr->spki, csr->spki_len);
	row->has_key_hash = true;
	return 0;
}

static void
refuse(struct store_job_row *row, const struct err *why)
{
	row->state = JOB_ROW_REFUSED;
	row->has_key_hash = false;
	(void)text_copy(row->field, sizeof row->field, why->field);
	(void)text_copy(row->reason, sizeof row->reason, why->text);
}

/* What a row is refused for, or else has its turn again. */
static bool
is_rows_fault(int rc)
{
	return rc == E_INPUT || rc == E_CONFLICT || rc == E_DENIED || rc == E_NOTFOUND || rc == E_LIMIT;
}

/* Is the row as it should be? */
static int
row_check(struct core *core, const struct caller *caller, const struct store_job *job, const struct job_row_request *request,
    struct store_job_row *row, struct err *err)
{
	const struct credential_request *c = &request->device.credential;
	struct err why = {0};
	bool has_csr = false;
	struct csr csr;
	int rc;

	if (request->wrong.code != 0) {
		refuse(row, &request->wrong);
		return 0;
	}
	if (request->device.name != NULL && text_is_printable(request->device.name, strlen(request->device.name)))
		(void)text_copy(row->name, sizeof row->name, request->device.name);
	if (c->csr == NULL && job->packages == JOB_PACKAGES_NONE)
		rc = err_field(&why, E_INPUT, "csr", "is required, for the job makes no packages");
	else if (c->link_ttl_s != 0)
		rc = err_field(&why, E_INPUT, "link_ttl_s", "is the job's");
	else
		rc = device_check(core, caller, &request->device, &has_csr, &csr, &why);
	if (rc == 0 && (rc = request_copy(&request->device, row, err)) == 0 && has_csr)
		rc = key_copy(&csr, row, err);
	if (rc == 0 || why.code == 0)
		return rc;
	if (!is_rows_fault(rc)) {
		*err = why;
		return rc;
	}
	refuse(row, &why);
	return 0;
}

/* One of the job's keys twice is one device's key for two. */
static int
key_twice(struct store_tx *tx, const char *job_id, struct store_job_row *row, struct err *err)
{
	struct err why = {0};
	int64_t other;
	int rc;

	if (!row->has_key_hash)
		return 0;
	if ((rc = store_job_row_by_key(tx, job_id, row->key_hash, &other, &why)) == E_NOTFOUND)
		return 0;
	if (rc != 0) {
		*err = why;
		return rc;
	}
	(void)err_field(&why, E_CONFLICT, "csr", "this is the key of row %lld, too: each device makes its own", (long long)other);
	refuse(row, &why);
	return 0;
}

/* A chunk on its way. */
struct chunk {
	const char *id;
	int64_t first;
	size_t n;
	struct store_job_row *rows;
};

static int
chunk_store(struct store_tx *tx, const struct chunk *chunk, struct store_job *job, struct err *err)
{
	uint8_t digest[SHA256_LEN];
	size_t i;
	int rc;

	for (i = 0; i < chunk->n; i++) {
		struct store_job_row *row = &chunk->rows[i];

		if (row->n <= job->received) {
			if ((rc = store_job_row_digest(tx, job->id, row->n, digest, err)) != 0)
				return rc;
			if (!secret_equal(digest, row->digest, sizeof digest))
				return err_set(err, E_CONFLICT, "row %lld came with other content before", (long long)row->n);
			continue;
		}
		if ((rc = key_twice(tx, job->id, row, err)) != 0 || (rc = store_job_row_insert(tx, job->id, row, err)) != 0)
			return rc;
		job->received++;
		job->refused += row->state == JOB_ROW_REFUSED;
	}
	return store_job_update(tx, job, err);
}

/* May the chunk come now? */
static int
chunk_fits(const struct store_job *job, const struct chunk *chunk, struct err *err)
{
	if (chunk->first > job->received + 1)
		return err_field(err, E_INPUT, "first", "the next row to come is %lld", (long long)job->received + 1);
	if (chunk->first < 1 || chunk->first + (int64_t)chunk->n - 1 > job->total)
		return err_field(err, E_INPUT, "first", "the job's rows are 1 to %lld", (long long)job->total);
	/* Whoever sends the last chunk again has not had the answer. */
	if (job->state != JOB_OPEN && chunk->first + (int64_t)chunk->n - 1 > job->received)
		return err_set(err, E_CONFLICT, "the job is %s", store_job_state_name(job->state));
	return 0;
}

static int
chunk_commit(struct core *core, const struct caller *caller, const struct chunk *chunk, struct store_job *job, struct err *err)
{
	struct store_tx *tx = NULL;
	int rc;

	store_job_clear(job);
	if ((rc = store_begin(core->store, &tx, err)) == 0 && (rc = store_job_get(tx, caller->tenant_id, chunk->id, job, err)) == 0 &&
	    (rc = chunk_fits(job, chunk, err)) == 0 && (rc = chunk_store(tx, chunk, job, err)) == 0)
		rc = store_commit(&tx, err);
	store_rollback(&tx);
	return rc;
}

int
job_rows_add(struct core *core, const struct caller *caller, const char *id, int64_t first, const struct job_row_request *rows,
    size_t n, struct store_job *job_out, struct err *err)
{
	struct chunk chunk = {id, first, n, NULL};
	struct store_job job = {0};
	size_t i;
	int rc;

	if ((rc = job_get(core, caller, id, &job, err)) != 0 || (rc = chunk_fits(&job, &chunk, err)) != 0)
		goto out;
	if ((chunk.rows = calloc(n, sizeof chunk.rows[0])) == NULL) {
		rc = err_nomem(err);
		goto out;
	}
	for (i = 0; rc == 0 && i < n; i++) {
		struct store_job_row *row = &chunk.rows[i];

		row->n = first + (int64_t)i;
		row->tenant_id = caller->tenant_id;
		memcpy(row->digest, rows[i].digest, sizeof row->digest);
		if (row->n > job.received && (rc = uuid_make(row->device_id, err)) == 0)
			rc = row_check(core, caller, &job, &rows[i], row, err);
	}
	if (rc == 0 && (rc = chunk_commit(core, caller, &chunk, &job, err)) == 0) {
		*job_out = job;
		job = (struct store_job){0};
	}
out:
	for (i = 0; chunk.rows != NULL && i < n; i++)
		store_job_row_clear(&chunk.rows[i]);
	free(chunk.rows);
	store_job_clear(&job);
	return rc;
}

/* ---- its way ---------------------------------------------------------------------------------------------------- */

/* Are all of its rows there, and good? */
static int
job_complete(struct store_tx *tx, const struct store_job *job, struct err *err)
{
	struct err why = {0};
	int64_t n;
	int rc;

	if (job->received < job->total)
		return err_set(err, E_CONFLICT, "%lld of %lld rows are there", (long long)job->received, (long long)job->total);
	if (job->refused > 0)
		return err_set(err, E_CONFLICT, "%lld rows are wrong: nothing is made", (long long)job->refused);
	if ((rc = tenant_room(tx, job->tenant_id, job->total, err)) != 0)
		return rc;
	/* While they came, somebody else may have come with one of their keys. */
	if ((rc = store_job_row_burnt(tx, job->id, &n, &why)) == E_NOTFOUND)
		return 0;
	if (rc != 0) {
		*err = why;
		return rc;
	}
	return err_set(err, E_CONFLICT, "row %lld: meanwhile its key is another device's", (long long)n);
}

/* One move of a job: SELF is as it is now, and as it will be. *CHANGED_OUT: it is to be stored. */
typedef int move_fn(struct core *core, struct store_tx *tx, struct store_job *job, bool *changed_out, struct err *err);

static int
move(struct core *core, const struct caller *caller, const char *id, move_fn *fn, const char *action, struct store_job *job_out,
    struct err *err)
{
	struct store_job job = {0};
	struct store_tx *tx = NULL;
	bool changed = false;
	int rc;

	if ((rc = check_id("job", id, err)) != 0 || (rc = store_begin(core->store, &tx, err)) != 0)
		return rc;
	if ((rc = store_job_get(tx, caller->tenant_id, id, &job, err)) == 0 && (rc = fn(core, tx, &job, &changed, err)) == 0 &&
	    changed && (rc = store_job_update(tx, &job, err)) == 0 &&
	    (rc = audit_write(tx, caller, core->now(), action, "job", job.id, err, "{\"rows\":%lld,\"done\":%lld}",
		 (long long)job.total, (long long)job.done)) == 0)
		rc = store_commit(&tx, err);
	store_rollback(&tx);
	if (rc == 0) {
		import_wake(core->import);
		*job_out = job;
	} else {
		store_job_clear(&job);
	}
	return rc;
}

static int
start(struct core *core, struct store_tx *tx, struct store_job *job, bool *changed_out, struct err *err)
{
	int rc;

	if (job->state == JOB_CANCELLED)
		return err_set(err, E_CONFLICT, "the job is cancelled");
	if (job->state != JOB_OPEN)
		return 0; /* it was started, and the answer got lost */
	if ((rc = job_complete(tx, job, err)) != 0)
		return rc;
	job->state = JOB_RUNNING;
	job->started_at = core->now();
	*changed_out = true;
	return 0;
}

int
job_start(struct core *core, const struct caller *caller, const char *id, struct store_job *job_out, struct err *err)
{
	return move(core, caller, id, start, "job.start", job_out, err);
}

static int
cancel(struct core *core, struct store_tx *tx, struct store_job *job, bool *changed_out, struct err *err)
{
	(void)tx;
	if (job->state == JOB_DONE || job->state == JOB_CANCELLED)
		return err_set(err, E_CONFLICT, "the job is %s", store_job_state_name(job->state));
	job->state = JOB_CANCELLED;
	job->ended_at = core->now();
	*changed_out = true;
	return 0;
}

int
job_cancel(struct core *core, const struct caller *caller, const char *id, struct store_job *job_out, struct err *err)
{
	return move(core, caller, id, cancel, "job.cancel", job_out, err);
}

/* ---- looking ---------------------------------------------------------------------------------------------------- */

int
job_get(struct core *core, const struct caller *caller, const char *id, struct store_job *job_out, struct err *err)
{
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = check_id("job", id, err)) != 0 || (rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	rc = store_job_get(tx, caller->tenant_id, id, job_out, err);
	store_rollback(&tx);
	return rc;
}

int
job_list(struct core *core, const struct caller *caller, size_t limit, const char *after, struct store_job *rows_out,
    size_t *n_out, char next_out[STORE_CURSOR_SIZE], struct err *err)
{
	struct store_tx *tx = NULL;
	int rc;

	if ((rc = store_read(core->store, &tx, err)) != 0)
		return rc;
	rc = store_job_list(tx, caller->tenant_id, limit, after, rows_out, n_out, next_out, err);
	store_rollback(&tx);
	return rc;
}

void
job_row_clear(struct job_row *row)
{
	store_job_row_clear(&row->row);
	store_certificate_clear(&row->certificate);
}

/* Rows into ROWS_OUT, each with its certificate. */
static int
rows_read(struct store_tx *tx, const struct store_job *job, int state, int64_t after, struct store_job_row *rows,
    struct job_row *rows_out, size_t limit, size_t *n_out, struct err *err)
{
	size_t n = 0, i;
	int rc;

	if ((rc = store_job_rows(tx, job->tenant_id, job->id, after, state, false, limit, rows, &n, err)) != 0)
		return rc;
	for (i = 0; i < n; i++) {
		rows_out[i] = (struct job_row){.row = rows[i]};
		if (rc == 0 && rows[i].has_serial)
			rc = store_certificate_by_serial(tx, rows[i].serial, &rows_out[i].certificate, err);
	}
	for (i = 0; rc != 0 && i < n; i++)
		job_row_clear(&rows_out[i]);
	if (rc == 0)
		*n_out = n;
	return rc;
}

int
job_rows(struct core *core, const struct caller *caller, const char *id, int state, size_t limit, const char *after,
    struct job_row *rows_out, size_t *n_out, char next_out[STORE_CURSOR_SIZE], struct err *err)
{
	struct store_job_row *rows = NULL;
	struct store_job job = {0};
	struct store_tx *tx = NULL;
	struct cursor cursor;
	int64_t last = 0;
	char key[32];
	int rc;

	if ((rc = cursor_begin(after, 'r', limit, &cursor, err)) != 0)
		return rc;
	if (after != NULL && (!integer_parse(cursor.key, 0, JOB_ROWS_MAX, &last) || strcmp(cursor.id, id) != 0))
		return err_field(err, E_INPUT, "after", "belongs to another list");
	if ((rc = check_id("job", id, err)) != 0)
		return rc;
	if ((rows = calloc(limit, sizeof rows[0])) == NULL)
		return err_nomem(err);
	if ((rc = store_read(core->store, &tx, err)) == 0 && (rc = store_job_get(tx, caller->tenant_id, id, &job, err)) == 0 &&
	    (rc = rows_read(tx, &job, state, last, rows, rows_out, limit, n_out, err)) == 0) {
		(void)snprintf(key, sizeof key, "%lld", *n_out > 0 ? (long long)rows_out[*n_out - 1].row.n : 0);
		cursor_end(&cursor, *n_out == limit, key, id, next_out);
	}
	store_rollback(&tx);
	store_job_clear(&job);
	free(rows);
	return rc;
}

/* /v1/jobs: orders of many devices. A row is what POST /v1/devices takes, and what is wrong with one is no error of the request. */
#include "core/import.h"
#include "core/job.h"

#include "base/text.h"
#include "http/args.h"
#include "http/json.h"
#include "http/listing.h"
#include "http/routes.h"
#include "http/shape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const create_names[] = {"kind", "name", "digest", "total", "packages", "link_ttl_s", "seal", NULL};
static const char *const rows_names[] = {"first", "rows", NULL};
static const char *const row_names[] = {ARGS_DEVICE_NAMES, NULL};
static const char *const rows_list_names[] = {"limit", "after", "status", NULL};

/* Answer with JOB, which is cleared, unless RC, what making it came to, is an error. */
static int
reply_job_take(struct core *core, struct http_reply *reply, int status, int rc, struct store_job *job, struct err *err)
{
	char why[ERR_TEXT_MAX];

	if (rc == 0) {
		import_why(core->import, job->id, why);
		rc = json_reply_take(reply, status, shape_job(job, core->now(), why, &core_config(core)->settings), err);
	}
	store_job_clear(job);
	return rc;
}

static int
packages_get(json_t *body, enum job_packages *out, struct err *err)
{
	const char *name = NULL;
	int rc;

	if ((rc = json_get_text(body, "packages", false, &name, err)) != 0)
		return rc;
	if (name == NULL || strcmp(name, "none") == 0)
		*out = JOB_PACKAGES_NONE;
	else if (strcmp(name, "links") == 0)
		*out = JOB_PACKAGES_LINKS;
	else
		return err_field(err, E_INPUT, "packages", "must be one of none, links");
	return 0;
}

static int
create_read(json_t *body, struct buf *seal, struct job_request *out, struct err *err)
{
	const char *kind = NULL, *text = NULL;
	int rc;

	if ((rc = json_get_text(body, "kind", true, &kind, err)) != 0 ||
	    (rc = json_get_text(body, "name", true, &out->name, err)) != 0 ||
	    (rc = json_get_text(body, "digest", true, &out->digest, err)) != 0 ||
	    (rc = json_get_int(body, "total", 1, JOB_ROWS_MAX, &out->total, err)) != 0 ||
	    (rc = json_get_int(body, "link_ttl_s", 1, LINK_TTL_MAX_S, &out->link_ttl_s, err)) != 0 ||
	    (rc = packages_get(body, &out->packages, err)) != 0 || (rc = json_get_text(body, "seal", false, &text, err)) != 0)
		return rc;
	if (strcmp(kind, JOB_IMPORT) != 0)
		return err_field(err, E_INPUT, "kind", "must be " JOB_IMPORT);
	if (text == NULL)
		return 0;
	if ((rc = base64_decode(seal, text, strlen(text), err)) != 0)
		return rc == E_INPUT ? err_field(err, E_INPUT, "seal", "must be a SubjectPublicKeyInfo, DER in base64") : rc;
	out->seal = buf_str(seal);
	out->seal_len = seal->len;
	return 0;
}

int
api_jobs_create(struct core *core, const struct caller *caller, const struct http_request *req, struct http_reply *reply,
    struct err *err)
{
	struct job_request request = {0};
	struct store_job job = {0};
	struct buf seal = {0};
	json_t *body = NULL;
	bool made = false;
	int rc;

	if ((rc = args_body(req, create_names, false, &body, err)) == 0 && (rc = create_read(body, &seal, &request, err)) == 0 &&
	    (rc = job_create(core, caller, &request, &made, &job, err)) == 0)
		(void)snprintf(reply->location, sizeof reply->location, "/v1/jobs/%s", job.id);
	rc = reply_job_take(core, reply, made ? 201 : 200, rc, &job, err);
	buf_clear(&seal);
	json_decref(body);
	return rc;
}

/* One row, or what is wrong with it. E_NOMEM. */
static int
row_read(json_t *item, struct args_device *args, struct job_row_request *out, struct err *err)
{
	char *text = json_dumps(item, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
	int rc;

	if (text == NULL)
		return err_nomem(err);
	sha256(out->digest, text, strlen(text));
	free(text);
	if (!json_is_object(item))
		rc = err_set(&out->wrong, E_INPUT, "must be an object");
	else if ((rc = json_only(item, row_names, &out->wrong)) == 0)
		rc = args_device(item, args, &out->wrong);
	if (rc == E_NOMEM)
		return err_nomem(err);
	out->device = args->request;
	return 0;
}

/* The rows of BODY, each with its arguments, both to be freed by the caller. */
static int
rows_read(json_t *body, struct args_device **args_out, struct job_row_request **rows_out, size_t *n_out, struct err *err)
{
	json_t *list = json_object_get(body, "rows"), *item;
	size_t n = json_array_size(list), i;
	int rc = 0;

	if (!json_is_array(list) || n < 1 || n > JOB_CHUNK_MAX)
		return err_field(err, E_INPUT, "rows", "must be an array of 1 to %d rows", JOB_CHUNK_MAX);
	if ((*rows_out = calloc(n, sizeof **rows_out)) == NULL || (*args_out = calloc(n, sizeof **args_out)) == NULL)
		return err_nomem(err);
	*n_out = n;
	json_array_foreach (list, i, item)
		if (rc == 0)
			rc = row_read(item, &(*args_out)[i], &(*rows_out)[i], err);
	return rc;
}

int
api_jobs_rows_add(struct core *core, const struct caller *caller, const struct http_request *req, struct http_reply *reply,
    struct err *err)
{
	struct job_row_request *rows = NULL;
	struct args_device *args = NULL;
	struct store_job job = {0};
	json_t *body = NULL;
	int64_t first = 0;
	size_t n = 0, i;
	int rc;

	if ((rc = args_body(req, rows_names, false, &body, err)) == 0 &&
	    (rc = json_get_int(body, "first", 1, JOB_ROWS_MAX, &first, err)) == 0 &&
	    (rc = rows_read(body, &args, &rows, &n, err)) == 0)
		rc = job_rows_add(core, caller, req->params[0], first, rows, n, &job, err);
	rc = reply_job_take(core, reply, 200, rc, &job, err);
	for (i = 0; i < n; i++)
		args_device_clear(&args[i]);
	free(args);
	free(rows);
	json_decref(body);
	return rc;
}

/* Start and cancel differ in the core call alone. */
typedef int move_fn(struct core *core, const struct caller *caller, const char *id, struct store_job *job_out, struct err *err);

static int
move(move_fn *call, int status, struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	struct store_job job = {0};
	json_t *body = NULL;
	int rc;

	if ((rc = args_body(req, args_none, true, &body, err)) == 0)
		rc = call(core, caller, req->params[0], &job, err);
	json_decref(body);
	return reply_job_take(core, reply, status, rc, &job, err);
}

int
api_jobs_start(struct core *core, const struct caller *caller, const struct http_request *req, struct http_reply *reply,
    struct err *err)
{
	return move(job_start, 202, core, caller, req, reply, err);
}

int
api_jobs_cancel(struct core *core, const struct caller *caller, const struct http_request *req, struct http_reply *reply,
    struct err *err)
{
	return move(job_cancel, 200, core, caller, req, reply, err);
}

int
api_jobs_get(struct core *core, const struct caller *caller, const struct http_request *req, struct http_reply *reply,
    struct err *err)
{
	struct store_job job = {0};
	int rc;

	if ((rc = http_query_only(req, args_none, err)) == 0)
		rc = job_get(core, caller, req->params[0], &job, err);
	return reply_job_take(core, reply, 200, rc, &job, err);
}

/* ---- lists ------------------------------------------------------------------------------------------------------ */

/* A job in a list, with what its shape needs beside it. */
struct listed {
	struct store_job job;
	int64_t now;
	char why[ERR_TEXT_MAX];
	const struct settings *settings;
};

static int
jobs_fill(struct core *core, const struct caller *caller, const struct listing_ask *ask, void *rows, size_t *n_out,
    char next_out[STORE_CURSOR_SIZE], struct err *err)
{
	struct store_job *jobs = calloc(ask->limit, sizeof jobs[0]);
	struct listed *listed = rows;
	size_t i;
	int rc;

	if (jobs == NULL)
		return err_nomem(err);
	if ((rc = job_list(core, caller, ask->limit, ask->after, jobs, n_out, next_out, err)) == 0)
		for (i = 0; i < *n_out; i++) {
			listed[i] = (struct listed){.job = jobs[i], .now = core->now(), .settings = &core_config(core)->settings};
			import_why(core->import, jobs[i].id, listed[i].why);
		}
	free(jobs);
	return rc;
}

static json_t *
jobs_shape(const void *row)
{
	const struct listed *listed = row;

	return shape_job(&listed->job, listed->now, listed->why, listed->settings);
}

static void
jobs_clear(void *row)
{
	store_job_clear(&((struct listed *)row)->job);
}

static const struct listing jobs = {sizeof(struct listed), jobs_fill, jobs_shape, jobs_clear};

int
api_jobs_list(struct core *core, const struct caller *caller, const struct http_request *req, struct http_reply *reply,
    struct err *err)
{
	return listing_pages(core, caller, &jobs, req, reply, err);
}

static int
rows_fill(struct core *core, const struct caller *caller, const struct listing_ask *ask, void *rows, size_t *n_out,
    char next_out[STORE_CURSOR_SIZE], struct err *err)
{
	return job_rows(core, caller, ask->req->params[0], *(int *)ask->filter, ask->limit, ask->after, rows, n_out, next_out, err);
}

static json_t *
rows_shape(const void *row)
{
	return shape_job_row(row);
}

static void
rows_clear(void *row)
{
	job_row_clear(row);
}

static const struct listing rows_listing = {sizeof(struct job_row), rows_fill, rows_shape, rows_clear};

int
api_jobs_rows_list(struct core *core, const struct caller *caller, const struct http_request *req, struct http_reply *reply,
    struct err *err)
{
	const char *status = http_query_get(req, "status");
	enum job_row_state value = JOB_ROW_WAITING;
	int state = -1, rc;
	struct listing_ask ask = {.req = req, .filter = &state};

	if ((rc = http_query_only(req, rows_list_names, err)) != 0 || (rc = args_page(req, &ask.limit, &ask.after, err)) != 0)
		return rc;
	if (status != NULL) {
		if (!store_job_row_state_parse(status, &value))
			return err_field(err, E_INPUT, "status", "must be one of waiting, done, failed, refused");
		state = (int)value;
	}
	return listing_reply(core, caller, &rows_listing, &ask, reply, err);
}

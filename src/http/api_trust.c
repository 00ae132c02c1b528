/* /v1/trust: manufacturers' CAs, and which of their devices are expected. */
#include "core/trust.h"

#include "http/args.h"
#include "http/json.h"
#include "http/listing.h"
#include "http/routes.h"
#include "http/shape.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const add_names[] = {
    "name", "certificate", "type", "location", "policy", "profile", "any_serial", NULL};
static const char *const expect_names[] = {"serials", "device_id", NULL};
static const char *const unexpect_names[] = {"serials", NULL};
static const char *const forget_names[] = {"serial", NULL};

static int
add_read(json_t *body, struct trust_request *out, struct err *err)
{
	json_t *any = json_object_get(body, "any_serial");
	int rc;

	if ((rc = json_get_text(body, "name", true, &out->name, err)) != 0 ||
	    (rc = json_get_text(body, "certificate", true, &out->certificate, err)) != 0 ||
	    (rc = json_get_text(body, "type", true, &out->type, err)) != 0 ||
	    (rc = json_get_text(body, "location", false, &out->location, err)) != 0 ||
	    (rc = json_get_text(body, "policy", false, &out->policy, err)) != 0 ||
	    (rc = json_get_text(body, "profile", false, &out->profile, err)) != 0)
		return rc;
	if (any != NULL && !json_is_null(any) && !json_is_boolean(any))
		return err_field(err, E_INPUT, "any_serial", "must be true or false");
	out->any_serial = json_is_true(any);
	return 0;
}

int
api_trust_add(struct core *core, const struct caller *caller, const struct http_request *req, struct http_reply *reply,
    struct err *err)
{
	struct trust_request request = {0};
	struct store_trust row = {0};
	json_t *body = NULL;
	int rc;

	if ((rc = args_body(req, add_names, false, &body, err)) == 0 && (rc = add_read(body, &request, err)) == 0 &&
	    (rc = trust_add(core, caller, &request, &row, err)) == 0) {
		rc = json_reply_take(reply, 201, shape_trust(&row, true), err);
		(void)snprintf(reply->location, sizeof reply->location, "/v1/trust/%s", row.name);
	}
	store_trust_clear(&row);
	json_decref(body);
	return rc;
}

static int
anchors_fill(struct core *core, const struct caller *caller, const struct listing_ask *ask, void *rows, size_t *n_out,
    char next_out[STORE_CURSOR_SIZE], struct err *err)
{
	return trust_list(core, caller, ask->limit, ask->after, rows, n_out, next_out, err);
}

static json_t *
anchors_shape(const void *row)
{
	return shape_trust(row, false);
}

static void
anchors_clear(void *row)
{
	store_trust_clear(row);
}

static const struct listing anchors = {sizeof(struct store_trust), anchors_fill, anchors_shape, anchors_clear};

int
api_trust_list(struct core *core, const struct caller *caller, const struct http_request *req, struct http_reply *reply,
    struct err *err)
{
	return listing_pages(core, caller, &anchors, req, reply, err);
}

int
api_trust_get(struct core *core, const struct caller *caller, const struct http_request *req, struct http_reply *reply,
    struct err *err)
{
	struct store_trust row = {0};
	int rc;

	if ((rc = http_query_only(req, args_none, err)) == 0 &&
	    (rc = trust_get(core, caller, req->params[0], &row, err)) == 0)
		rc = json_reply_take(reply, 200, shape_trust(&row, true), err);
	store_trust_clear(&row);
	return rc;
}

int
api_trust_remove(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	int rc;

	if ((rc = http_query_only(req, args_none, err)) == 0 &&
	    (rc = trust_remove(core, caller, req->params[0], err)) == 0)
		reply->status = 204;
	return rc;
}

int
api_trust_resume(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	struct store_trust row = {0};
	json_t *body = NULL;
	int rc;

	if ((rc = args_body(req, args_none, true, &body, err)) == 0 &&
	    (rc = trust_resume(core, caller, req->params[0], &row, err)) == 0)
		rc = json_reply_take(reply, 200, shape_trust(&row, true), err);
	store_trust_clear(&row);
	json_decref(body);
	return rc;
}

/* ---- serial numbers ---------------------------------------------------------------------------------------------- */

static int
serials_listed_fill(struct core *core, const struct caller *caller, const struct listing_ask *ask, void *rows, size_t *n_out,
    char next_out[STORE_CURSOR_SIZE], struct err *err)
{
	return trust_serials(core, caller, ask->req->params[0], ask->limit, ask->after, rows, n_out, next_out, err);
}

static json_t *
serials_listed_shape(const void *row)
{
	return shape_trust_serial(row);
}

static const struct listing serials_listed = {sizeof(struct store_trust_serial), serials_listed_fill, serials_listed_shape, NULL};

int
api_trust_serials(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	return listing_pages(core, caller, &serials_listed, req, reply, err);
}

int
api_trust_expect(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	const char **serials = NULL, *device_id = NULL;
	json_t *body = NULL;
	size_t n = 0, n_new;
	int rc;

	if ((rc = args_body(req, expect_names, false, &body, err)) == 0 &&
	    (rc = json_get_texts(body, "serials", TRUST_SERIALS_MAX, &serials, &n, err)) == 0 &&
	    (rc = json_get_text(body, "device_id", false, &device_id, err)) == 0 &&
	    (rc = trust_expect(core, caller, req->params[0], serials, n, device_id, &n_new, err)) == 0)
		rc = json_reply_take(reply, 200, json_pack("{s:I}", "added", (json_int_t)n_new), err);
	free(serials);
	json_decref(body);
	return rc;
}

int
api_trust_unexpect(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	const char **serials = NULL;
	json_t *body = NULL;
	size_t n = 0, n_gone;
	int rc;

	if ((rc = args_body(req, unexpect_names, false, &body, err)) == 0 &&
	    (rc = json_get_texts(body, "serials", TRUST_SERIALS_MAX, &serials, &n, err)) == 0 &&
	    (rc = trust_unexpect(core, caller, req->params[0], serials, n, &n_gone, err)) == 0)
		rc = json_reply_take(reply, 200, json_pack("{s:I}", "removed", (json_int_t)n_gone), err);
	free(serials);
	json_decref(body);
	return rc;
}

int
api_trust_forget(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	char device_id[UUID_LEN + 1];
	const char *serial = NULL;
	json_t *body = NULL;
	int rc;

	if ((rc = args_body(req, forget_names, false, &body, err)) == 0 &&
	    (rc = json_get_text(body, "serial", true, &serial, err)) == 0 &&
	    (rc = trust_forget(core, caller, req->params[0], serial, device_id, err)) == 0)
		rc = json_reply_take(reply, 200, json_pack("{s:s}", "device_id", device_id), err);
	json_decref(body);
	return rc;
}

/* /v1/tokens: enrolment tokens. */
#include "core/enrol.h"

#include "base/text.h"
#include "http/args.h"
#include "http/json.h"
#include "http/routes.h"
#include "http/shape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const create_names[] = {
    "name", "device_id", "type", "location", "policy", "profile", "uses", "valid", NULL};
static const char *const list_names[] = {"limit", "after", NULL};

static int
create_read(json_t *body, struct enrol_token_request *out, struct err *err)
{
	const char *valid = NULL;
	int rc;

	if ((rc = json_get_text(body, "name", false, &out->name, err)) != 0 ||
	    (rc = json_get_text(body, "device_id", false, &out->device_id, err)) != 0 ||
	    (rc = json_get_text(body, "type", false, &out->type, err)) != 0 ||
	    (rc = json_get_text(body, "location", false, &out->location, err)) != 0 ||
	    (rc = json_get_text(body, "policy", false, &out->policy, err)) != 0 ||
	    (rc = json_get_text(body, "profile", false, &out->profile, err)) != 0 ||
	    (rc = json_get_int(body, "uses", 1, ENROL_USES_MAX, &out->uses, err)) != 0 ||
	    (rc = json_get_text(body, "valid", false, &valid, err)) != 0)
		return rc;
	if (valid != NULL && !duration_parse(valid, &out->valid_s))
		return err_field(err, E_INPUT, "valid", "must be a duration such as 90d, 8h, 30m or 45s");
	return 0;
}

int
api_tokens_create(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	struct enrol_token_request request = {0};
	struct store_enrol_token row;
	char token[TOKEN_SIZE];
	json_t *body = NULL;
	int rc;

	if ((rc = args_body(req, create_names, false, &body, err)) == 0 &&
	    (rc = create_read(body, &request, err)) == 0 &&
	    (rc = enrol_token_create(core, caller, &request, &row, token, err)) == 0) {
		buf_init_secret(&reply->body);
		rc = json_reply_take(reply, 201, shape_enrol_token(&row, token), err);
		(void)snprintf(reply->location, sizeof reply->location, "/v1/tokens");
	}
	explicit_bzero(token, sizeof token);
	json_decref(body);
	return rc;
}

int
api_tokens_list(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	struct store_enrol_token *rows = NULL;
	char next[STORE_CURSOR_SIZE];
	json_t *items = NULL;
	size_t limit, n = 0, i;
	const char *after;
	int rc;

	if ((rc = http_query_only(req, list_names, err)) != 0 || (rc = args_page(req, &limit, &after, err)) != 0)
		return rc;
	if ((rows = calloc(limit, sizeof *rows)) == NULL || (items = json_array()) == NULL)
		rc = err_nomem(err);
	if (rc == 0)
		rc = enrol_token_list(core, caller, limit, after, rows, &n, next, err);
	for (i = 0; rc == 0 && i < n; i++)
		if (json_array_append_new(items, shape_enrol_token(&rows[i], NULL)) != 0)
			rc = err_nomem(err);
	if (rc == 0) {
		rc = json_reply_take(reply, 200, shape_page_take(items, next), err);
		items = NULL;
	}
	json_decref(items);
	free(rows);
	return rc;
}

int
api_tokens_revoke(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	struct store_enrol_token row;
	json_t *body = NULL;
	int rc;

	if ((rc = args_body(req, args_none, true, &body, err)) == 0 &&
	    (rc = enrol_token_revoke(core, caller, req->params[0], &row, err)) == 0)
		rc = json_reply_take(reply, 200, shape_enrol_token(&row, NULL), err);
	json_decref(body);
	return rc;
}

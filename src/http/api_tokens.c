/* /v1/tokens: enrolment tokens. */
#include "core/enrol.h"

#include "base/text.h"
#include "http/args.h"
#include "http/json.h"
#include "http/listing.h"
#include "http/routes.h"
#include "http/shape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const create_names[] = {
    "name", "device_id", "type", "location", "policy", "profile", "uses", "valid", NULL};

static int
create_read(json_t *body, struct enrol_token_request *out, struct err *err)
{
	int rc;

	if ((rc = json_get_text(body, "name", false, &out->name, err)) != 0 ||
	    (rc = json_get_text(body, "device_id", false, &out->device_id, err)) != 0 ||
	    (rc = json_get_text(body, "type", false, &out->type, err)) != 0 ||
	    (rc = json_get_text(body, "location", false, &out->location, err)) != 0 ||
	    (rc = json_get_text(body, "policy", false, &out->policy, err)) != 0 ||
	    (rc = json_get_text(body, "profile", false, &out->profile, err)) != 0 ||
	    (rc = json_get_int(body, "uses", 1, ENROL_USES_MAX, &out->uses, err)) != 0)
		return rc;
	return json_get_duration(body, "valid", &out->valid_s, err);
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

static int
tokens_fill(struct core *core, const struct caller *caller, const struct listing_ask *ask, void *rows, size_t *n_out,
    char next_out[STORE_CURSOR_SIZE], struct err *err)
{
	return enrol_token_list(core, caller, ask->limit, ask->after, rows, n_out, next_out, err);
}

static json_t *
tokens_shape(const void *row)
{
	return shape_enrol_token(row, NULL);
}

static const struct listing tokens = {sizeof(struct store_enrol_token), tokens_fill, tokens_shape, NULL};

int
api_tokens_list(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	return listing_pages(core, caller, &tokens, req, reply, err);
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

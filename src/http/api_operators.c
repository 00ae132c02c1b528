/* /v1/operators: who may call the API with a token. */
#include "core/operator.h"

#include "base/text.h"
#include "http/args.h"
#include "http/json.h"
#include "http/listing.h"
#include "http/routes.h"
#include "http/shape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const add_names[] = {"name", "role", "valid", NULL};
static const char *const token_names[] = {"valid", NULL};
static const char *const package_names[] = {ARGS_CREDENTIAL_NAMES, NULL};

static int
role_read(json_t *body, enum role *role_out, struct err *err)
{
	const char *role = NULL;
	int rc;

	if ((rc = json_get_text(body, "role", true, &role, err)) != 0)
		return rc;
	if (!role_parse(role, role_out))
		return err_field(err, E_INPUT, "role", "must be admin, operator, enroller, auditor or broker");
	return 0;
}

/* The operator with the token that was just made for it. */
static int
token_reply(struct http_reply *reply, int status, const struct store_operator *row, const char *token, struct err *err)
{
	buf_init_secret(&reply->body);
	return json_reply_take(reply, status, shape_operator(row, token), err);
}

int
api_operators_add(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	struct store_operator row;
	const char *name = NULL;
	char token[TOKEN_SIZE];
	json_t *body = NULL;
	int64_t valid_s = 0, end;
	enum role role;
	int rc;

	if ((rc = args_body(req, add_names, false, &body, err)) == 0 &&
	    (rc = json_get_text(body, "name", true, &name, err)) == 0 && (rc = role_read(body, &role, err)) == 0 &&
	    (rc = json_get_duration(body, "valid", &valid_s, err)) == 0 && (rc = operator_end(core, valid_s, &end, err)) == 0 &&
	    (rc = operator_create(core->store, caller, name, role, end, &row, token, err)) == 0 &&
	    (rc = token_reply(reply, 201, &row, token, err)) == 0)
		(void)snprintf(reply->location, sizeof reply->location, "/v1/operators");
	explicit_bzero(token, sizeof token);
	json_decref(body);
	return rc;
}

static int
operators_fill(struct core *core, const struct caller *caller, const struct listing_ask *ask, void *rows, size_t *n_out,
    char next_out[STORE_CURSOR_SIZE], struct err *err)
{
	return operator_list(core, caller, ask->limit, ask->after, rows, n_out, next_out, err);
}

static json_t *
operators_shape(const void *row)
{
	return shape_operator(row, NULL);
}

static const struct listing operators = {sizeof(struct store_operator), operators_fill, operators_shape, NULL};

int
api_operators_list(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	return listing_pages(core, caller, &operators, req, reply, err);
}

int
api_operators_token(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	struct store_operator row;
	char token[TOKEN_SIZE];
	json_t *body = NULL;
	int64_t valid_s = 0;
	int rc;

	if ((rc = args_body(req, token_names, true, &body, err)) == 0 && (rc = json_get_duration(body, "valid", &valid_s, err)) == 0 &&
	    (rc = operator_renew(core, caller, req->params[0], valid_s, &row, token, err)) == 0)
		rc = token_reply(reply, 200, &row, token, err);
	explicit_bzero(token, sizeof token);
	json_decref(body);
	return rc;
}

int
api_operators_package(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	struct args_credential args = {0};
	struct credential credential = {0};
	struct store_operator row;
	json_t *body = NULL;
	int rc;

	if ((rc = args_body(req, package_names, true, &body, err)) == 0 && (rc = args_credential(body, &args, err)) == 0 &&
	    (rc = operator_reissue(core, caller, req->params[0], &args.request, &row, &credential, err)) == 0)
		rc = json_reply_take(reply, 201,
		    shape_issued_take(shape_operator(&row, NULL), &credential, ca_chain_pem(core, &credential.certificate)), err);
	credential_clear(&credential);
	args_credential_clear(&args);
	json_decref(body);
	return rc;
}

int
api_operators_revoke(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	struct store_operator row;
	json_t *body = NULL;
	int rc;

	if ((rc = args_body(req, args_none, true, &body, err)) == 0 &&
	    (rc = operator_revoke(core, caller, req->params[0], &row, err)) == 0)
		rc = json_reply_take(reply, 200, shape_operator(&row, NULL), err);
	json_decref(body);
	return rc;
}

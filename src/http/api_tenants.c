/* /v1/tenants. */
#include "core/tenant.h"

#include "http/args.h"
#include "http/json.h"
#include "http/listing.h"
#include "http/routes.h"
#include "http/shape.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const add_names[] = {"name", "quota", "profiles", NULL};
static const char *const update_names[] = {"quota", "profiles", NULL};

static int
request_read(json_t *body, struct tenant_request *out, struct err *err)
{
	const char **profiles = NULL;
	int rc;

	out->quota = -1;
	if ((rc = json_get_int(body, "quota", 0, TENANT_QUOTA_MAX, &out->quota, err)) == 0 &&
	    (rc = json_get_texts(body, "profiles", TENANT_PROFILES_MAX, &profiles, &out->n_profiles, err)) == 0)
		out->profiles = profiles;
	return rc;
}

int
api_tenants_add(struct core *core, const struct caller *caller, const struct http_request *req, struct http_reply *reply,
    struct err *err)
{
	struct tenant_request request = {0};
	struct store_tenant row;
	const char *name = NULL;
	json_t *body = NULL;
	int rc;

	if ((rc = args_body(req, add_names, false, &body, err)) == 0 &&
	    (rc = json_get_text(body, "name", true, &name, err)) == 0 && (rc = request_read(body, &request, err)) == 0 &&
	    (rc = tenant_add(core, caller, name, &request, &row, err)) == 0 &&
	    (rc = json_reply_take(reply, 201, shape_tenant(&row), err)) == 0)
		(void)snprintf(reply->location, sizeof reply->location, "/v1/tenants/%s", row.name);
	free((void *)request.profiles);
	json_decref(body);
	return rc;
}

static int
tenants_fill(struct core *core, const struct caller *caller, const struct listing_ask *ask, void *rows, size_t *n_out,
    char next_out[STORE_CURSOR_SIZE], struct err *err)
{
	return tenant_list(core, caller, ask->limit, ask->after, rows, n_out, next_out, err);
}

static json_t *
tenants_shape(const void *row)
{
	return shape_tenant(row);
}

static const struct listing tenants = {sizeof(struct store_tenant), tenants_fill, tenants_shape, NULL};

int
api_tenants_list(struct core *core, const struct caller *caller, const struct http_request *req, struct http_reply *reply,
    struct err *err)
{
	return listing_pages(core, caller, &tenants, req, reply, err);
}

int
api_tenants_get(struct core *core, const struct caller *caller, const struct http_request *req, struct http_reply *reply,
    struct err *err)
{
	struct store_tenant row;
	int rc;

	if ((rc = http_query_only(req, args_none, err)) == 0 &&
	    (rc = tenant_get(core, caller, req->params[0], &row, err)) == 0)
		rc = json_reply_take(reply, 200, shape_tenant(&row), err);
	return rc;
}

int
api_tenants_update(struct core *core, const struct caller *caller, const struct http_request *req, struct http_reply *reply,
    struct err *err)
{
	struct tenant_request request = {0};
	struct store_tenant row;
	json_t *body = NULL;
	int rc;

	if ((rc = args_body(req, update_names, false, &body, err)) == 0 && (rc = request_read(body, &request, err)) == 0 &&
	    (rc = tenant_update(core, caller, req->params[0], &request, &row, err)) == 0)
		rc = json_reply_take(reply, 200, shape_tenant(&row), err);
	free((void *)request.profiles);
	json_decref(body);
	return rc;
}

int
api_tenants_remove(struct core *core, const struct caller *caller, const struct http_request *req, struct http_reply *reply,
    struct err *err)
{
	int rc;

	if ((rc = http_query_only(req, args_none, err)) == 0 &&
	    (rc = tenant_remove(core, caller, req->params[0], err)) == 0)
		reply->status = 204;
	return rc;
}

/* /v1/policies. */
#include "core/policies.h"

#include "http/args.h"
#include "http/json.h"
#include "http/routes.h"
#include "http/shape.h"

#include <stdlib.h>

static const char *const set_names[] = {"write", "read", "sessions", NULL};

static int
add_policy(void *items, const struct store_policy *row, struct err *err)
{
	return json_array_append_new(items, shape_policy(row)) == 0 ? 0 : err_nomem(err);
}

/* All of them: a tenant has few, and they are shown as a whole. */
int
api_policies_list(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	json_t *items;
	int rc;

	if ((rc = http_query_only(req, args_none, err)) != 0)
		return rc;
	if ((items = json_array()) == NULL)
		return err_nomem(err);
	if ((rc = policies_each(core, caller, add_policy, items, err)) == 0)
		return json_reply_take(reply, 200, shape_page_take(items, ""), err);
	json_decref(items);
	return rc;
}

int
api_policies_get(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	struct store_policy policy = {0};
	int rc;

	if ((rc = http_query_only(req, args_none, err)) == 0 &&
	    (rc = policies_get(core, caller, req->params[0], &policy, err)) == 0)
		rc = json_reply_take(reply, 200, shape_policy(&policy), err);
	store_policy_clear(&policy);
	return rc;
}

int
api_policies_set(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	const char **write = NULL, **read = NULL;
	struct policies_request request = {0};
	struct store_policy policy = {0};
	json_t *body = NULL;
	int rc;

	if ((rc = args_body(req, set_names, false, &body, err)) != 0 ||
	    (rc = json_get_texts(body, "write", ARGS_TOPICS_MAX, &write, &request.n_write, err)) !=
		0 ||
	    (rc = json_get_texts(body, "read", ARGS_TOPICS_MAX, &read, &request.n_read, err)) != 0 ||
	    (rc = json_get_int(body, "sessions", 1, INT32_MAX, &request.sessions, err)) != 0)
		goto out;
	request.write = write;
	request.read = read;
	if ((rc = policies_set(core, caller, req->params[0], &request, &policy, err)) == 0)
		rc = json_reply_take(reply, 200, shape_policy(&policy), err);
out:
	store_policy_clear(&policy);
	free(write);
	free(read);
	json_decref(body);
	return rc;
}

int
api_policies_remove(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	int rc;

	if ((rc = http_query_only(req, args_none, err)) == 0 &&
	    (rc = policies_remove(core, caller, req->params[0], err)) == 0)
		reply->status = 204;
	return rc;
}

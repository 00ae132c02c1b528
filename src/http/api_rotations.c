/* /v1/devices/{id}/rotate and /v1/rotations. */
#include "core/control.h"
#include "core/rekey.h"

#include "http/args.h"
#include "http/json.h"
#include "http/routes.h"
#include "http/shape.h"

static const char *const many_names[] = {"type", "location", "search", "limit", "after", NULL};

int
api_devices_rotate(struct core *core, const struct caller *caller, const struct http_request *req, struct http_reply *reply,
    struct err *err)
{
	struct store_rotation row;
	json_t *body = NULL;
	int rc;

	if ((rc = args_body(req, args_none, true, &body, err)) == 0 &&
	    (rc = rekey_ask(core, caller, req->params[0], &row, err)) == 0)
		rc = json_reply_take(reply, 202, shape_rotation(&row), err);
	json_decref(body);
	return rc;
}

int
api_devices_rotate_cancel(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	struct store_rotation row;
	int rc;

	if ((rc = http_query_only(req, args_none, err)) == 0 && (rc = rekey_cancel(core, caller, req->params[0], &row, err)) == 0)
		rc = json_reply_take(reply, 200, shape_rotation(&row), err);
	return rc;
}

/* One page of devices: a request that ends soon, however many there are. */
int
api_rotations_ask(struct core *core, const struct caller *caller, const struct http_request *req, struct http_reply *reply,
    struct err *err)
{
	struct store_device_filter filter = {.limit = REKEY_PAGE_MAX};
	int64_t limit = REKEY_PAGE_MAX;
	struct rekey_page page;
	json_t *body = NULL;
	int rc;

	if ((rc = args_body(req, many_names, false, &body, err)) != 0 ||
	    (rc = json_get_text(body, "type", false, &filter.type, err)) != 0 ||
	    (rc = json_get_text(body, "location", false, &filter.location, err)) != 0 ||
	    (rc = json_get_text(body, "search", false, &filter.search, err)) != 0 ||
	    (rc = json_get_int(body, "limit", 1, REKEY_PAGE_MAX, &limit, err)) != 0 ||
	    (rc = json_get_text(body, "after", false, &filter.after, err)) != 0)
		goto out;
	filter.limit = (size_t)limit;
	if ((rc = rekey_ask_page(core, caller, &filter, &page, err)) == 0)
		rc = json_reply_take(reply, 202, shape_rotation_page(&page), err);
out:
	json_decref(body);
	return rc;
}

int
api_rotations_get(struct core *core, const struct caller *caller, const struct http_request *req, struct http_reply *reply,
    struct err *err)
{
	struct control_info info;
	int rc;

	(void)caller;
	if ((rc = http_query_only(req, args_none, err)) != 0)
		return rc;
	control_info(core->control, &info);
	return json_reply_take(reply, 200, shape_control(&info), err);
}

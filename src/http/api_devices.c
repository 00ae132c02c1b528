/* /v1/devices: syntax in, one core call, one shape out. */
#include "core/device.h"
#include "core/rekey.h"

#include "base/text.h"
#include "http/api_certificates.h"
#include "http/args.h"
#include "http/json.h"
#include "http/listing.h"
#include "http/routes.h"
#include "http/shape.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const register_names[] = {ARGS_DEVICE_NAMES, "pending", NULL};
static const char *const update_names[] = {"name", "type", "location", "labels", "policy", NULL};
static const char *const list_names[] = {
    "limit", "after", "status", "type", "location", "search", "expiring", NULL};
#define EXPIRING_MAX (100LL * 365 * 86400)

static const char *const revoke_names[] = {"reason", NULL};
static const char *const package_names[] = {ARGS_CREDENTIAL_NAMES, NULL};

/* The member `pending`, which goes with none that says how a credential is to be made. */
static int
pending_get(json_t *body, bool *out, struct err *err)
{
	static const char *const made[] = {ARGS_CREDENTIAL_NAMES, NULL};
	json_t *pending = json_object_get(body, "pending");
	size_t i;

	if (pending != NULL && !json_is_null(pending) && !json_is_boolean(pending))
		return err_field(err, E_INPUT, "pending", "must be true or false");
	*out = json_is_true(pending);
	for (i = 0; *out && made[i] != NULL; i++)
		if (json_object_get(body, made[i]) != NULL)
			return err_field(err, E_INPUT, made[i], "a pending device gets its certificate when it enrols");
	return 0;
}

/* The answer of a request that made a credential: the only one with a password. */
static int
reply_issued(struct core *core, struct http_reply *reply, int status,
    const struct store_device *device, const struct credential *credential, struct err *err)
{
	return json_reply_take(reply, status,
	    shape_issued_take(shape_device(device), credential, ca_chain_pem(core, &credential->certificate)), err);
}

int
api_devices_register(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	struct args_device args = {0};
	struct credential credential = {0};
	struct store_device device = {0};
	json_t *body = NULL;
	int rc;

	if ((rc = args_body(req, register_names, false, &body, err)) == 0 && (rc = args_device(body, &args, err)) == 0 &&
	    (rc = pending_get(body, &args.request.pending, err)) == 0 &&
	    (rc = args_idempotency(req, &args.request.idempotency, err)) == 0 &&
	    (rc = device_register(core, caller, &args.request, &device, &credential, err)) == 0 &&
	    (rc = reply_issued(core, reply, 201, &device, &credential, err)) == 0)
		(void)snprintf(reply->location, sizeof reply->location, "/v1/devices/%s", device.id);
	credential_clear(&credential);
	store_device_clear(&device);
	args_device_clear(&args);
	json_decref(body);
	return rc;
}

static int
filter_read(struct core *core, const struct http_request *req, struct store_device_filter *filter, struct err *err)
{
	const char *status = http_query_get(req, "status"), *expiring = http_query_get(req, "expiring");
	int64_t within_s;
	enum device_status value;
	int rc;

	if ((rc = http_query_only(req, list_names, err)) != 0 ||
	    (rc = args_page(req, &filter->limit, &filter->after, err)) != 0)
		return rc;
	filter->status = -1;
	if (status != NULL) {
		if (!store_device_status_parse(status, &value))
			return err_field(err, E_INPUT, "status",
			    "must be one of pending, active, suspended, revoked, archived");
		filter->status = (int)value;
	}
	if (expiring != NULL) {
		if (!duration_parse(expiring, &within_s) || within_s > EXPIRING_MAX)
			return err_field(err, E_INPUT, "expiring", "must be a duration such as 30d or 8h");
		filter->expiring_by = core->now() + within_s;
	}
	filter->type = http_query_get(req, "type");
	filter->location = http_query_get(req, "location");
	filter->search = http_query_get(req, "search");
	return 0;
}

static int
devices_fill(struct core *core, const struct caller *caller, const struct listing_ask *ask, void *rows, size_t *n_out,
    char next_out[STORE_CURSOR_SIZE], struct err *err)
{
	return device_list(core, caller, ask->filter, rows, n_out, next_out, err);
}

static json_t *
devices_shape(const void *row)
{
	return shape_device(row);
}

static void
devices_clear(void *row)
{
	store_device_clear(row);
}

static const struct listing devices = {sizeof(struct store_device), devices_fill, devices_shape, devices_clear};

int
api_devices_list(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	struct store_device_filter filter = {0};
	struct listing_ask ask = {.req = req, .filter = &filter};
	int rc;

	if ((rc = filter_read(core, req, &filter, err)) != 0)
		return rc;
	ask.limit = filter.limit;
	return listing_reply(core, caller, &devices, &ask, reply, err);
}

/* The device with what it was asked last. */
static int
device_shown(struct core *core, const struct caller *caller, const struct store_device *device, json_t **shape_out,
    struct err *err)
{
	struct store_rotation row;
	struct err none = {0};
	json_t *shape;
	int rc = rekey_get(core, caller, device->id, &row, &none);

	if (rc != 0 && rc != E_NOTFOUND) {
		*err = none;
		return rc;
	}
	shape = shape_device(device);
	if (json_object_set_new(shape, "rotation", rc == 0 ? shape_rotation(&row) : json_null()) != 0) {
		json_decref(shape);
		return err_nomem(err);
	}
	*shape_out = shape;
	return 0;
}

int
api_devices_get(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	struct store_device device = {0};
	json_t *shape = NULL;
	int rc;

	if ((rc = http_query_only(req, args_none, err)) == 0 &&
	    (rc = device_get(core, caller, req->params[0], &device, err)) == 0 &&
	    (rc = device_shown(core, caller, &device, &shape, err)) == 0)
		rc = api_certificates_reply_take(core, caller, device.id, shape, reply, err);
	store_device_clear(&device);
	return rc;
}

/* One member of a merge patch (RFC 7396), in which null removes: that is WHEN_REMOVED for core, or
 * NULL where a device cannot be without it. */
static int
patch_text(
    json_t *body, const char *name, const char *when_removed, const char **out, struct err *err)
{
	if (!json_is_null(json_object_get(body, name)))
		return json_get_text(body, name, false, out, err);
	if (when_removed == NULL)
		return err_field(err, E_INPUT, name, "cannot be removed");
	*out = when_removed;
	return 0;
}

int
api_devices_update(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	struct device_change change = {0};
	struct store_device device = {0};
	json_t *body = NULL;
	char *labels = NULL;
	int rc;

	if ((rc = args_body(req, update_names, false, &body, err)) != 0 ||
	    (rc = patch_text(body, "name", NULL, &change.name, err)) != 0 ||
	    (rc = patch_text(body, "type", NULL, &change.type, err)) != 0 ||
	    (rc = patch_text(body, "location", "", &change.location, err)) != 0 ||
	    (rc = patch_text(body, "policy", NULL, &change.policy, err)) != 0 ||
	    (rc = args_labels(body, &labels, err)) != 0)
		goto out;
	change.labels = json_is_null(json_object_get(body, "labels")) ? "{}" : labels;
	if ((rc = device_update(core, caller, req->params[0], &change, &device, err)) == 0)
		rc = json_reply_take(reply, 200, shape_device(&device), err);
out:
	store_device_clear(&device);
	free(labels);
	json_decref(body);
	return rc;
}

int
api_devices_revoke(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	struct store_device device = {0};
	enum crl_reason reason;
	json_t *body = NULL;
	int rc;

	if ((rc = args_body(req, revoke_names, true, &body, err)) == 0 &&
	    (rc = args_reason(body, &reason, err)) == 0 &&
	    (rc = device_revoke(core, caller, req->params[0], reason, &device, err)) == 0)
		rc = json_reply_take(reply, 200, shape_device(&device), err);
	store_device_clear(&device);
	json_decref(body);
	return rc;
}

/* Suspend and resume differ in the core call alone. */
typedef int move_fn(struct core *core, const struct caller *caller, const char *id,
    struct store_device *device_out, struct err *err);

static int
move(move_fn *call, struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	struct store_device device = {0};
	json_t *body = NULL;
	int rc;

	if ((rc = args_body(req, args_none, true, &body, err)) == 0 &&
	    (rc = call(core, caller, req->params[0], &device, err)) == 0)
		rc = json_reply_take(reply, 200, shape_device(&device), err);
	store_device_clear(&device);
	json_decref(body);
	return rc;
}

int
api_devices_suspend(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	return move(device_suspend, core, caller, req, reply, err);
}

int
api_devices_resume(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	return move(device_resume, core, caller, req, reply, err);
}

int
api_devices_package(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	struct args_credential args = {0};
	struct credential credential = {0};
	struct store_device device = {0};
	json_t *body = NULL;
	int rc;

	if ((rc = args_body(req, package_names, true, &body, err)) == 0 &&
	    (rc = args_credential(body, &args, err)) == 0 &&
	    (rc = device_reissue(
		 core, caller, req->params[0], &args.request, &device, &credential, err)) == 0)
		rc = reply_issued(core, reply, 201, &device, &credential, err);
	credential_clear(&credential);
	store_device_clear(&device);
	args_credential_clear(&args);
	json_decref(body);
	return rc;
}

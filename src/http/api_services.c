/* /v1/services. As for devices, but a service brings its topics itself. */
#include "core/service.h"

#include "http/api_certificates.h"
#include "http/args.h"
#include "http/json.h"
#include "http/listing.h"
#include "http/routes.h"
#include "http/shape.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const add_names[] = {"name", "read", "write", ARGS_CREDENTIAL_NAMES, NULL};
static const char *const revoke_names[] = {"reason", NULL};
static const char *const package_names[] = {ARGS_CREDENTIAL_NAMES, NULL};

static int
reply_issued(struct core *core, struct http_reply *reply, int status,
    const struct store_service *service, const struct credential *credential, struct err *err)
{
	return json_reply_take(reply, status,
	    shape_issued_take(shape_service(service), credential, ca_chain_pem(core, &credential->certificate)),
	    err);
}

int
api_services_add(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	const char **read = NULL, **write = NULL;
	struct args_credential args = {0};
	struct service_request request = {0};
	struct credential credential = {0};
	struct store_service service = {0};
	json_t *body = NULL;
	int rc;

	if ((rc = args_body(req, add_names, false, &body, err)) != 0 ||
	    (rc = json_get_text(body, "name", true, &request.name, err)) != 0 ||
	    (rc = json_get_texts(body, "read", ARGS_TOPICS_MAX, &read, &request.n_read, err)) !=
		0 ||
	    (rc = json_get_texts(body, "write", ARGS_TOPICS_MAX, &write, &request.n_write, err)) !=
		0 ||
	    (rc = args_credential(body, &args, err)) != 0)
		goto out;
	request.read = read;
	request.write = write;
	request.credential = args.request;
	if ((rc = service_add(core, caller, &request, &service, &credential, err)) != 0 ||
	    (rc = reply_issued(core, reply, 201, &service, &credential, err)) != 0)
		goto out;
	(void)snprintf(reply->location, sizeof reply->location, "/v1/services/%s", service.id);
out:
	credential_clear(&credential);
	store_service_clear(&service);
	args_credential_clear(&args);
	free(read);
	free(write);
	json_decref(body);
	return rc;
}

static int
services_fill(struct core *core, const struct caller *caller, const struct listing_ask *ask, void *rows, size_t *n_out,
    char next_out[STORE_CURSOR_SIZE], struct err *err)
{
	return service_list(core, caller, ask->limit, ask->after, rows, n_out, next_out, err);
}

static json_t *
services_shape(const void *row)
{
	return shape_service(row);
}

static void
services_clear(void *row)
{
	store_service_clear(row);
}

static const struct listing services = {sizeof(struct store_service), services_fill, services_shape, services_clear};

int
api_services_list(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	return listing_pages(core, caller, &services, req, reply, err);
}

int
api_services_get(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	struct store_service service = {0};
	int rc;

	if ((rc = http_query_only(req, args_none, err)) == 0 &&
	    (rc = service_get(core, caller, req->params[0], &service, err)) == 0)
		rc = api_certificates_reply_take(
		    core, caller, service.id, shape_service(&service), reply, err);
	store_service_clear(&service);
	return rc;
}

int
api_services_revoke(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	struct store_service service = {0};
	enum crl_reason reason;
	json_t *body = NULL;
	int rc;

	if ((rc = args_body(req, revoke_names, true, &body, err)) == 0 &&
	    (rc = args_reason(body, &reason, err)) == 0 &&
	    (rc = service_revoke(core, caller, req->params[0], reason, &service, err)) == 0)
		rc = json_reply_take(reply, 200, shape_service(&service), err);
	store_service_clear(&service);
	json_decref(body);
	return rc;
}

int
api_services_package(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	struct args_credential args = {0};
	struct credential credential = {0};
	struct store_service service = {0};
	json_t *body = NULL;
	int rc;

	if ((rc = args_body(req, package_names, true, &body, err)) == 0 &&
	    (rc = args_credential(body, &args, err)) == 0 &&
	    (rc = service_reissue(
		 core, caller, req->params[0], &args.request, &service, &credential, err)) == 0)
		rc = reply_issued(core, reply, 201, &service, &credential, err);
	credential_clear(&credential);
	store_service_clear(&service);
	args_credential_clear(&args);
	json_decref(body);
	return rc;
}

/* /v1/brokers: adding and revoking them, how far they are, and what they report. */
#include "core/broker.h"

#include "http/args.h"
#include "http/json.h"
#include "http/routes.h"
#include "http/shape.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const add_names[] = {"name", ARGS_CREDENTIAL_NAMES, NULL};
static const char *const revoke_names[] = {"reason", NULL};
static const char *const report_names[] = {"epoch", "seq", "dropped", "events", NULL};

int
api_brokers_add(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	struct args_credential args = {0};
	struct credential credential = {0};
	struct broker broker;
	const char *name = NULL;
	json_t *body = NULL;
	int rc;

	if ((rc = args_body(req, add_names, false, &body, err)) == 0 &&
	    (rc = json_get_text(body, "name", true, &name, err)) == 0 &&
	    (rc = args_credential(body, &args, err)) == 0 &&
	    (rc = broker_add(core, caller, name, &args.request, &broker, &credential, err)) == 0 &&
	    (rc = json_reply_take(reply, 201,
		 shape_issued_take(shape_broker(&broker), &credential, ca_chain_pem(core, &credential.certificate)), err)) == 0)
		(void)snprintf(reply->location, sizeof reply->location, "/v1/brokers");
	credential_clear(&credential);
	args_credential_clear(&args);
	json_decref(body);
	return rc;
}

/* They are few: one page. */
int
api_brokers_list(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	struct broker *rows = NULL;
	json_t *items = NULL;
	size_t n = 0, i;
	int rc;

	if ((rc = http_query_only(req, args_none, err)) != 0)
		return rc;
	if ((rows = calloc(BROKER_LIST_MAX, sizeof *rows)) == NULL || (items = json_array()) == NULL)
		rc = err_nomem(err);
	if (rc == 0)
		rc = broker_list(core, caller, rows, BROKER_LIST_MAX, &n, err);
	for (i = 0; rc == 0 && i < n; i++)
		if (json_array_append_new(items, shape_broker(&rows[i])) != 0)
			rc = err_nomem(err);
	if (rc == 0) {
		rc = json_reply_take(reply, 200, shape_page_take(items, ""), err);
		items = NULL;
	}
	json_decref(items);
	free(rows);
	return rc;
}

int
api_brokers_revoke(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	enum crl_reason reason;
	struct broker broker;
	json_t *body = NULL;
	int rc;

	if ((rc = args_body(req, revoke_names, true, &body, err)) == 0 &&
	    (rc = args_reason(body, &reason, err)) == 0 &&
	    (rc = broker_revoke(core, caller, req->params[0], reason, &broker, err)) == 0)
		rc = json_reply_take(reply, 200, shape_broker(&broker), err);
	json_decref(body);
	return rc;
}

/* The members' names are looked at here, for the answer to name them; the rest is core's, which shares its reader with
 * the broker's plugin. */
int
api_brokers_report(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	json_t *body = NULL;
	int rc;

	if ((rc = args_body(req, report_names, false, &body, err)) == 0 &&
	    (rc = broker_report(core, caller, req->body, req->body_len, err)) == 0)
		reply->status = 204;
	json_decref(body);
	return rc;
}

/* GET /v1/certificates/{fingerprint} and /v1/devices/{id}/certificates. */
#include "http/api_certificates.h"

#include "core/ca.h"
#include "core/device.h"
#include "core/revocation.h"
#include "http/args.h"
#include "http/json.h"
#include "http/routes.h"
#include "http/shape.h"

#include <stdlib.h>

#define CERTIFICATES_MAX 1000 /* of one owner that are shown: the newest */

struct certificates {
	struct store_certificate *rows;
	size_t n;
};

static int
certificates_read(struct core *core, const struct caller *caller, const char *owner_id, size_t max,
    struct certificates *out, struct err *err)
{
	struct store_certificate *rows = calloc(max, sizeof *rows);
	int rc;

	if (rows == NULL)
		return err_nomem(err);
	if ((rc = device_certificates(core, caller, owner_id, rows, max, &out->n, err)) != 0)
		free(rows);
	else
		out->rows = rows;
	return rc;
}

static void
certificates_clear(struct certificates *c)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		store_certificate_clear(&c->rows[i]);
	free(c->rows);
}

/* The newest that is not revoked, or JSON null. */
static int
current(struct core *core, const struct caller *caller, const char *owner_id, json_t **shape_out,
    struct err *err)
{
	struct certificates certificates = {0};
	struct err none = {0};
	size_t i = 0;
	int rc;

	/* Those not yet revoked are among the newest REVOCATION_MAX: core lets no owner have more.
	 */
	if ((rc = certificates_read(
		 core, caller, owner_id, REVOCATION_MAX, &certificates, &none)) != 0 &&
	    rc != E_NOTFOUND) {
		*err = none;
		return rc;
	}
	while (i < certificates.n && certificates.rows[i].state == CERTIFICATE_REVOKED)
		i++;
	*shape_out =
	    i < certificates.n ? shape_certificate(&certificates.rows[i], false) : json_null();
	certificates_clear(&certificates);
	return *shape_out != NULL ? 0 : err_nomem(err);
}

int
api_certificates_reply_take(struct core *core, const struct caller *caller, const char *owner_id,
    json_t *owner, struct http_reply *reply, struct err *err)
{
	json_t *certificate = NULL;
	int rc;

	if ((rc = current(core, caller, owner_id, &certificate, err)) == 0 &&
	    json_object_set_new(owner, "certificate", certificate) != 0)
		rc = err_nomem(err);
	if (rc == 0)
		return json_reply_take(reply, 200, owner, err);
	json_decref(owner);
	return rc;
}

int
api_devices_certificates(struct core *core, const struct caller *caller,
    const struct http_request *req, struct http_reply *reply, struct err *err)
{
	struct certificates certificates = {0};
	json_t *items;
	size_t i;
	int rc;

	if ((rc = http_query_only(req, args_none, err)) != 0 ||
	    (rc = certificates_read(
		 core, caller, req->params[0], CERTIFICATES_MAX, &certificates, err)) != 0)
		return rc;
	items = json_array();
	for (i = 0; rc == 0 && i < certificates.n; i++)
		if (json_array_append_new(items, shape_certificate(&certificates.rows[i], true)) !=
		    0)
			rc = err_nomem(err);
	certificates_clear(&certificates);
	if (rc == 0)
		return json_reply_take(reply, 200, shape_page_take(items, ""), err);
	json_decref(items);
	return rc;
}

int
api_certificates_get(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	struct store_certificate row = {0};
	int rc;

	if ((rc = http_query_only(req, args_none, err)) != 0 ||
	    (rc = ca_certificate(core, caller, req->params[0], &row, err)) != 0)
		return rc;
	rc = json_reply_take(reply, 200, shape_certificate(&row, true), err);
	store_certificate_clear(&row);
	return rc;
}

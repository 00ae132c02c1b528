/* GET /v1/ca: facts about the CA; the certificates and lists themselves are served by pki.c. */
#include "core/ca.h"

#include "http/args.h"
#include "http/json.h"
#include "http/routes.h"
#include "http/shape.h"

static int
ca_shape(const struct buf *der, json_t **shape_out, struct err *err)
{
	struct cert_info info;
	int rc;

	if ((rc = cert_info_read(der->data, der->len, &info, err)) != 0)
		return rc;
	*shape_out = shape_ca(&info, der->data, der->len);
	return *shape_out != NULL ? 0 : err_nomem(err);
}

/* Null before the first list. */
static int
crl_shape(struct core *core, json_t **shape_out, struct err *err)
{
	struct buf der = {0};
	struct crl_info info;
	struct err none = {0};
	int rc;

	if ((rc = ca_crl(core, "issuing", &der, &none)) == E_BUSY) {
		*shape_out = json_null();
		return 0;
	}
	if (rc != 0)
		*err = none;
	else if ((rc = crl_info_read(der.data, der.len, NULL, &info, err)) == 0 &&
		 (*shape_out = shape_crl(&info, core->issuer.crl_url)) == NULL)
		rc = err_nomem(err);
	buf_clear(&der);
	return rc;
}

int
api_ca_get(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	json_t *issuing = NULL, *root = NULL, *crl = NULL;
	int rc;

	(void)caller;
	if ((rc = http_query_only(req, args_none, err)) != 0 ||
	    (rc = ca_shape(&core->issuing_der, &issuing, err)) != 0 ||
	    (rc = ca_shape(&core->root_der, &root, err)) != 0 ||
	    (rc = crl_shape(core, &crl, err)) != 0) {
		json_decref(issuing);
		json_decref(root);
		return rc;
	}
	return json_reply_take(reply, 200,
	    json_pack("{s:o, s:o, s:o}", "issuing", issuing, "root", root, "crl", crl), err);
}

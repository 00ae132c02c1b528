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

static int
crl_shape(struct core *core, enum shelf_kind kind, json_t **shape_out, struct err *err)
{
	const struct cert_issuer *issuer = &core_config(core)->issuer;
	struct crl_info info;

	ca_crl_info(core, kind, &info);
	*shape_out = shape_crl(&info, kind == SHELF_DELTA ? issuer->delta_url : issuer->crl_url);
	return *shape_out != NULL ? 0 : err_nomem(err);
}

int
api_ca_get(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	json_t *issuing = NULL, *root = NULL, *crl = NULL, *delta = NULL;
	int rc;

	(void)caller;
	if ((rc = http_query_only(req, args_none, err)) != 0 ||
	    (rc = ca_shape(&core->issuers.all[0].der, &issuing, err)) != 0 ||
	    (rc = ca_shape(&core->root_der, &root, err)) != 0 ||
	    (rc = crl_shape(core, SHELF_COMPLETE, &crl, err)) != 0 ||
	    (rc = crl_shape(core, SHELF_DELTA, &delta, err)) != 0) {
		json_decref(issuing);
		json_decref(root);
		json_decref(crl);
		return rc;
	}
	return json_reply_take(reply, 200,
	    json_pack("{s:o, s:o, s:o, s:o}", "issuing", issuing, "root", root, "crl", crl, "delta_crl", delta), err);
}

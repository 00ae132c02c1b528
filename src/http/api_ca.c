/* GET /v1/ca: facts about the CA; the certificates and lists themselves are served by pki.c. */
#include "core/ca.h"

#include "http/args.h"
#include "http/json.h"
#include "http/routes.h"
#include "http/shape.h"

/* NULL: out of memory, here and below. */
static json_t *
ca_shape(const struct buf *der)
{
	struct cert_info info;

	return cert_info_read(der->data, der->len, &info, NULL) == 0 ? shape_ca(&info, der->data, der->len) : NULL;
}

static json_t *
crl_shape(struct core *core, size_t i, enum shelf_kind kind)
{
	const struct cert_issuer *issuer = config_issuer_at(core_config(core), i);
	struct crl_info info;

	ca_crl_info(core, i, kind, &info);
	return shape_crl(&info, kind == SHELF_DELTA ? issuer->delta_url : issuer->crl_url);
}

/* An issuing CA and its lists. */
static json_t *
issuer_shape(struct core *core, size_t i)
{
	return json_pack("{s:o, s:o, s:o}", "issuing", ca_shape(&core->issuers.all[i].der), "crl",
	    crl_shape(core, i, SHELF_COMPLETE), "delta_crl", crl_shape(core, i, SHELF_DELTA));
}

int
api_ca_get(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	json_t *shape, *retired;
	bool failed;
	size_t i;
	int rc;

	(void)caller;
	if ((rc = http_query_only(req, args_none, err)) != 0)
		return rc;
	shape = issuer_shape(core, 0);
	retired = json_array();
	failed = json_object_set_new(shape, "root", ca_shape(&core->roots.ders[0])) != 0 ||
		 json_object_set_new(shape, "old_root", core->roots.n > 1 ? ca_shape(&core->roots.ders[1]) : json_null()) != 0;
	for (i = 1; i < core->issuers.n; i++)
		failed = json_array_append_new(retired, issuer_shape(core, i)) != 0 || failed;
	if (json_object_set_new(shape, "retired", retired) != 0 || failed) {
		json_decref(shape);
		return err_nomem(err);
	}
	return json_reply_take(reply, 200, shape, err);
}

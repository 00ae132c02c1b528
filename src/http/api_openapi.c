/* GET /v1/openapi.json: the description is part of the program (api/openapi.json). */
#include "http/args.h"
#include "http/routes.h"

extern const char openapi_json[];

int
api_openapi_get(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	int rc;

	(void)core;
	(void)caller;
	if ((rc = http_query_only(req, args_none, err)) != 0)
		return rc;
	buf_text(&reply->body, openapi_json);
	if (buf_failed(&reply->body))
		return err_nomem(err);
	reply->cacheable_s = 300;
	return 0;
}

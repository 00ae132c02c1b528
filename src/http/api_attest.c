/* /v1/attest: challenges for those who ask for certificates. */
#include "core/attest.h"

#include "http/args.h"
#include "http/json.h"
#include "http/routes.h"

int
api_attest_challenge(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	char nonce[ATTEST_NONCE_SIZE];
	json_t *body = NULL;
	int64_t expires;
	int rc;

	if ((rc = args_body(req, args_none, true, &body, err)) == 0 &&
	    (rc = attest_challenge(core, caller, nonce, &expires, err)) == 0)
		rc = json_reply_take(
		    reply, 201, json_pack("{s:s, s:o}", "nonce", nonce, "expires_at", json_time(expires)), err);
	json_decref(body);
	return rc;
}

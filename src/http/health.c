/* Is the process alive, and is it of use? */
#include "base/log.h"
#include "http/routes.h"

int
health_live(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	(void)core;
	(void)caller;
	(void)req;
	(void)err;
	buf_text(&reply->body, "{\"status\":\"ok\"}");
	return 0;
}

/* What is missing goes to the log; a stranger only learns that something is. */
int
health_ready(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	struct err why = {0};

	(void)caller;
	if (core_ready(core, &why) != 0) {
		log_warn("%s not ready: %s", req->id, why.text);
		return err_set(err, E_BUSY, "not ready");
	}
	buf_text(&reply->body, "{\"status\":\"ready\"}");
	return 0;
}

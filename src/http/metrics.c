/* GET /metrics: numbers, for a monitoring system. */
#include "core/metrics.h"

#include "base/metric.h"
#include "http/args.h"
#include "http/routes.h"
#include "http/traffic.h"

int
metrics_get(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	int rc;

	(void)caller;
	if ((rc = http_query_only(req, args_none, err)) != 0)
		return rc;
	reply->content_type = METRIC_CONTENT_TYPE;
	traffic_write(req->traffic, &reply->body);
	metrics_write(core, &reply->body);
	return 0;
}

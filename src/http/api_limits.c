/* /v1/limits: how often in a minute, and whether that is in somebody's way. The same for every tenant. */
#include "base/clock.h"
#include "core/authfail.h"
#include "core/ratelimit.h"
#include "http/args.h"
#include "http/json.h"
#include "http/routes.h"
#include "http/shape.h"

int
api_limits_list(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	const struct {
		const char *name; /* of the keys in muster.conf, without _per_min and _all_per_min */
		struct ratelimit *limit;
	} limits[] = {
	    {"register", core->registrations}, {"auth_failures", authfail_limit(core->authfail)}, {"links", core->links},
	    {"ocsp", core->signatures}};
	json_t *items;
	size_t i;
	int rc;

	(void)caller;
	if ((rc = http_query_only(req, args_none, err)) != 0)
		return rc;
	items = json_array();
	for (i = 0; i < sizeof limits / sizeof limits[0]; i++) {
		struct ratelimit_state state;
		int64_t refused_at = 0;

		ratelimit_state(limits[i].limit, &state);
		if (state.refused > 0)
			refused_at = core->now() - (clock_mono_ms() - state.refused_ms) / 1000;
		if (json_array_append_new(items, shape_limit(limits[i].name, &state, refused_at)) != 0) {
			json_decref(items);
			return err_nomem(err);
		}
	}
	return json_reply_take(reply, 200, shape_page_take(items, ""), err);
}

/* /v1/limits: how often in a minute, and whether that is in somebody's way. The same for every tenant. */
#include "base/clock.h"
#include "core/limits.h"
#include "http/args.h"
#include "http/json.h"
#include "http/routes.h"
#include "http/shape.h"

int
api_limits_list(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	json_t *items;
	int i, rc;

	(void)caller;
	if ((rc = http_query_only(req, args_none, err)) != 0)
		return rc;
	items = json_array();
	for (i = 0; i < LIMITS; i++) {
		struct ratelimit_state state;
		int64_t refused_at = 0;

		ratelimit_state(core->limits[i], &state);
		if (state.refused > 0)
			refused_at = core->now() - (clock_mono_ms() - state.refused_ms) / 1000;
		if (json_array_append_new(items, shape_limit(limit_name((enum limit)i), &state, refused_at)) != 0) {
			json_decref(items);
			return err_nomem(err);
		}
	}
	return json_reply_take(reply, 200, shape_page_take(items, ""), err);
}

/* /v1/profiles: read from the configuration; a tenant sees those that it may use. */
#include "core/tenant.h"

#include "http/args.h"
#include "http/json.h"
#include "http/routes.h"
#include "http/shape.h"

int
api_profiles_list(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	struct tenant_profiles allowed;
	json_t *items;
	size_t i;
	int rc;

	if ((rc = http_query_only(req, args_none, err)) != 0 ||
	    (rc = tenant_profiles_read(core, caller->tenant_id, &allowed, err)) != 0)
		return rc;
	items = json_array();
	for (i = 0; i < core_config(core)->profiles.n; i++) {
		if (!tenant_profiles_have(&allowed, core_config(core)->profiles.list[i].name))
			continue;
		if (json_array_append_new(items, shape_profile(&core_config(core)->profiles.list[i])) != 0) {
			json_decref(items);
			return err_nomem(err);
		}
	}
	return json_reply_take(reply, 200, shape_page_take(items, ""), err);
}

int
api_profiles_get(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	const struct profile *profile = profile_find(&core_config(core)->profiles, req->params[0]);
	struct tenant_profiles allowed;
	int rc;

	if ((rc = http_query_only(req, args_none, err)) != 0 ||
	    (rc = tenant_profiles_read(core, caller->tenant_id, &allowed, err)) != 0)
		return rc;
	if (profile == NULL || !tenant_profiles_have(&allowed, profile->name))
		return err_set(err, E_NOTFOUND, "no such profile");
	return json_reply_take(reply, 200, shape_profile(profile), err);
}

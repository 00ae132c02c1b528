/* Finds the route of a path. Walks the table: it is short, and its order never matters, because no two patterns
 * of one method match the same path (the tests check that). */
#include "http/router.h"

#include <stdio.h>
#include <string.h>

/* Match one segment of the pattern, [p, p_end), with one of the path. Captures what {…} stands for. */
static bool
segment_match(const char *p, const char *p_end, const char *s, const char *s_end, char (*params)[HTTP_PARAM_SIZE],
    size_t *n_params)
{
	size_t len = (size_t)(s_end - s);

	if (p == p_end || *p != '{')
		return len == (size_t)(p_end - p) && memcmp(p, s, len) == 0;
	if (len == 0 || len >= HTTP_PARAM_SIZE || *n_params == HTTP_PARAMS_MAX)
		return false;
	memcpy(params[*n_params], s, len);
	params[(*n_params)++][len] = '\0';
	return true;
}

static bool
pattern_match(const char *pattern, const char *path, char (*params)[HTTP_PARAM_SIZE])
{
	size_t n_params = 0;

	while (*pattern == '/' && *path == '/') {
		const char *p = pattern + 1, *s = path + 1;

		pattern = strchrnul(p, '/');
		path = strchrnul(s, '/');
		if (!segment_match(p, pattern, s, path, params, &n_params))
			return false;
	}
	return *pattern == '\0' && *path == '\0';
}

static bool
method_match(const struct route *route, const char *method)
{
	return strcmp(route->method, method) == 0 ||
	    (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

static void
allow_add(char *allow, size_t size, const char *method)
{
	size_t used = strlen(allow);

	(void)snprintf(allow + used, size - used, "%s%s%s", used > 0 ? ", " : "", method,
	    strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

int
router_find(const char *method, const char *path, unsigned listener, const struct route **route_out,
    char params_out[HTTP_PARAMS_MAX][HTTP_PARAM_SIZE], char *allow_out, size_t allow_size,
    struct err *err)
{
	char params[HTTP_PARAMS_MAX][HTTP_PARAM_SIZE] = {{0}};
	size_t i;

	allow_out[0] = '\0';
	for (i = 0; i < n_routes; i++) {
		if ((routes[i].listeners & listener) == 0 ||
		    !pattern_match(routes[i].pattern, path, params))
			continue;
		if (method_match(&routes[i], method)) {
			allow_out[0] = '\0';
			memcpy(params_out, params, sizeof params);
			*route_out = &routes[i];
			return 0;
		}
		allow_add(allow_out, allow_size, routes[i].method);
	}
	if (allow_out[0] != '\0')
		return err_set(err, E_NOTFOUND, "this method is not for this resource");
	return err_set(err, E_NOTFOUND, "there is nothing at this address");
}

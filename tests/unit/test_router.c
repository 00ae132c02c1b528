/* The router on a table of its own; the real table is checked against the roles it promises elsewhere. */
#include "check.h"

#include "http/router.h"

#include <string.h>

static int
nothing(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	(void)core;
	(void)caller;
	(void)req;
	(void)reply;
	(void)err;
	return 0;
}

const struct route routes[] = {
    ROUTE("GET", "/", ROUTE_ANYBODY, ROUTE_INLINE, ON_API, nothing),
    ROUTE("GET", "/things", ROLE_ADMIN, ROUTE_NORMAL, ON_API, nothing),
    ROUTE("POST", "/things", ROLE_ADMIN, ROUTE_NORMAL, ON_API, nothing),
    ROUTE("GET", "/things/{id}", ROLE_ADMIN, ROUTE_NORMAL, ON_API, nothing),
    ROUTE("POST", "/things/{id}/parts/{part}", ROLE_ADMIN, ROUTE_NORMAL, ON_API, nothing),
    ROUTE("GET", "/public", ROUTE_ANYBODY, ROUTE_INLINE, ON_API | ON_PKI, nothing),
};
const size_t n_routes = sizeof routes / sizeof routes[0];

static char params[HTTP_PARAMS_MAX][HTTP_PARAM_SIZE];
static char allow[64];

/* The index of the route found, or the error. */
static int
find(const char *method, const char *path, unsigned listener)
{
	const struct route *route = NULL;
	struct err err = {0};
	int rc;

	memset(params, 0, sizeof params);
	rc = router_find(method, path, listener, &route, params, allow, sizeof allow, &err);
	if (rc != 0) {
		assert_null(route);
		assert_int_equal(err.code, rc);
		return rc;
	}
	return (int)(route - routes);
}

static void
finds_literals_and_parameters(void **state)
{
	(void)state;
	assert_int_equal(find("GET", "/", ON_API), 0);
	assert_int_equal(find("GET", "/things", ON_API), 1);
	assert_int_equal(find("POST", "/things", ON_API), 2);
	assert_int_equal(find("GET", "/things/a b", ON_API), 3);
	assert_string_equal(params[0], "a b");
	assert_int_equal(find("POST", "/things/x/parts/y", ON_API), 4);
	assert_string_equal(params[0], "x");
	assert_string_equal(params[1], "y");
}

static void
head_is_get(void **state)
{
	(void)state;
	assert_int_equal(find("HEAD", "/things", ON_API), 1);
	assert_int_equal(find("HEAD", "/things/x/parts/y", ON_API), E_NOTFOUND);
	assert_string_equal(allow, "POST");
}

static void
wrong_method_lists_the_right_ones(void **state)
{
	(void)state;
	assert_int_equal(find("DELETE", "/things", ON_API), E_NOTFOUND);
	assert_string_equal(allow, "GET, HEAD, POST");
	assert_int_equal(find("GET", "/things", ON_API), 1);
	assert_string_equal(allow, "");
	assert_int_equal(find("get", "/things", ON_API), E_NOTFOUND);
}

static void
unknown_paths_are_not_found(void **state)
{
	static const char *const paths[] = {"", "/thing", "/thingss", "/things/", "/things/x/", "/things/x/parts",
	    "/things//parts/y", "/things/x/parts/y/z", "/things/x/parts/", "things", "/Things", "//", "/{id}"};
	char longest[HTTP_PARAM_SIZE + 16] = "/things/";
	size_t i;

	(void)state;
	for (i = 0; i < sizeof paths / sizeof paths[0]; i++) {
		assert_int_equal(find("GET", paths[i], ON_API), E_NOTFOUND);
		assert_string_equal(allow, "");
	}
	memset(longest + 8, 'a', HTTP_PARAM_SIZE - 1);
	assert_int_equal(find("GET", longest, ON_API), 3);
	assert_int_equal(strlen(params[0]), HTTP_PARAM_SIZE - 1);
	longest[8 + HTTP_PARAM_SIZE - 1] = 'a'; /* one byte over */
	assert_int_equal(find("GET", longest, ON_API), E_NOTFOUND);
}

/* A route of the API does not exist on the plain listener, not even as a 405. */
static void
listeners_are_apart(void **state)
{
	(void)state;
	assert_int_equal(find("GET", "/public", ON_PKI), 5);
	assert_int_equal(find("GET", "/things", ON_PKI), E_NOTFOUND);
	assert_int_equal(find("PUT", "/things", ON_PKI), E_NOTFOUND);
	assert_string_equal(allow, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(finds_literals_and_parameters),
	    cmocka_unit_test(head_is_get),
	    cmocka_unit_test(wrong_method_lists_the_right_ones),
	    cmocka_unit_test(unknown_paths_are_not_found),
	    cmocka_unit_test(listeners_are_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

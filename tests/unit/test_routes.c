/* What must hold for the real table as a whole; that it is the described one, test_openapi checks. */
#include "check.h"

#include "http/routes.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define ROLES ((unsigned)(ROLE_ADMIN | ROLE_OPERATOR | ROLE_ENROLLER | ROLE_AUDITOR | ROLE_BROKER))
#define DEVICES ((unsigned)(ROLE_ENROLLEE | ROLE_DEVICE | ROLE_LATE))

static bool
begins_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* A path that PATTERN matches. */
static void
example_of(const char *pattern, char *out, size_t size)
{
	size_t n = 0;

	for (; *pattern != '\0' && n + 1 < size; pattern++) {
		if (*pattern == '{') {
			out[n++] = 'x';
			pattern = strchr(pattern, '}');
		} else {
			out[n++] = *pattern;
		}
	}
	out[n] = '\0';
}

/* The order of the table never matters: each route is found by its own example. */
static void
test_no_route_hides_another(void **state)
{
	char params[HTTP_PARAMS_MAX][HTTP_PARAM_SIZE], allow[64], path[256];
	const struct route *route;
	struct err err = {0};
	size_t i, k;

	(void)state;
	for (i = 0; i < n_routes; i++) {
		for (k = 0; k < 3; k++) {
			unsigned listener = k == 0 ? ON_API : k == 1 ? ON_PKI : ON_METRICS;

			if ((routes[i].listeners & listener) == 0)
				continue;
			example_of(routes[i].pattern, path, sizeof path);
			assert_ok(router_find(routes[i].method, path, listener, &route, params, allow, sizeof allow, &err));
			assert_ptr_equal(route, &routes[i]);
		}
	}
}

/* H1: everybody's are few and known, all else names roles and nothing else. */
static void
test_who_may_call(void **state)
{
	static const char *const everybodys[] = {"/healthz", "/readyz", "/v1/openapi.json", "/d/", "/ca/", "/crl/", "/ocsp"};
	size_t i, k;

	(void)state;
	for (i = 0; i < n_routes; i++) {
		bool known = routes[i].listeners == ON_METRICS; /* the operator decides who reaches that */

		for (k = 0; k < sizeof everybodys / sizeof everybodys[0]; k++)
			known = known || begins_with(routes[i].pattern, everybodys[k]);
		/* A challenge is for whoever asks for certificates, and gives nothing else. */
		if (routes[i].handler == api_attest_challenge) {
			assert_int_equal(routes[i].who & (unsigned)(ROLE_AUDITOR | ROLE_BROKER | ROUTE_ANYBODY), 0);
			continue;
		}
		/* With a certificate that has ended one renews it, and nothing else. */
		if ((routes[i].who & ROLE_LATE) != 0 && routes[i].who != ROUTE_ANYBODY &&
		    strcmp(strrchr(routes[i].pattern, '/'), "/simplereenroll") != 0)
			fail_msg("%s %s", routes[i].method, routes[i].pattern);
		/* Otherwise devices have EST and nothing else, and nobody else has it. */
		if (begins_with(routes[i].pattern, "/.well-known/est/")) {
			if (strcmp(routes[i].method, "GET") == 0 ? routes[i].who != ROUTE_ANYBODY :
								  (routes[i].who & ~DEVICES) != 0 || routes[i].who == 0)
				fail_msg("%s %s", routes[i].method, routes[i].pattern);
			continue;
		}
		if ((routes[i].who == ROUTE_ANYBODY) != known)
			fail_msg("%s %s", routes[i].method, routes[i].pattern);
		if (!known && ((routes[i].who & ~(ROLES | ROUTE_WHOLE)) != 0 || routes[i].who == 0))
			fail_msg("%s %s", routes[i].method, routes[i].pattern);
		/* What changes something is not for those who only read. */
		if (!known && strcmp(routes[i].method, "GET") != 0 && routes[i].handler != api_brokers_report &&
		    (routes[i].who & (unsigned)(ROLE_AUDITOR | ROLE_BROKER)) != 0)
			fail_msg("%s %s", routes[i].method, routes[i].pattern);
		/* An enroller registers, nothing else. */
		if (!known && (routes[i].who & ROLE_ENROLLER) != 0)
			assert_true(strcmp(routes[i].method, "POST") == 0 && strcmp(routes[i].pattern, "/v1/devices") == 0);
	}
}

/* H1: what is not one tenant's is for nobody who is bound to one, and nothing else is. */
static void
test_what_is_the_whole_installations(void **state)
{
	static const char *const whole[] = {"/v1/brokers", "/v1/feed", "/v1/limits", "/v1/audit/", "/metrics"};
	size_t i, k;

	(void)state;
	for (i = 0; i < n_routes; i++) {
		bool is_whole = begins_with(routes[i].pattern, "/v1/tenants") && strcmp(routes[i].method, "GET") != 0;

		for (k = 0; k < sizeof whole / sizeof whole[0]; k++)
			is_whole = is_whole || (begins_with(routes[i].pattern, whole[k]) && routes[i].who != ROUTE_ANYBODY);
		if (((routes[i].who & ROUTE_WHOLE) != 0) != is_whole)
			fail_msg("%s %s", routes[i].method, routes[i].pattern);
	}
}

/* Over plain HTTP only what is public; on the loop only what blocks nowhere; revocations overtake, and so does what tells
 * brokers of them. */
static void
test_where_they_run(void **state)
{
	unsigned urgent = 0, metrics = 0;
	size_t i;

	(void)state;
	for (i = 0; i < n_routes; i++) {
		const struct route *r = &routes[i];
		const char *action = strrchr(r->pattern, '/');

		if ((r->listeners & ON_PKI) != 0)
			assert_true(r->who == ROUTE_ANYBODY && (strcmp(r->method, "GET") == 0 || r->handler == ocsp_post) &&
			    (r->place == ROUTE_INLINE || r->place == ROUTE_MEMORY));
		if (r->place == ROUTE_INLINE || r->place == ROUTE_MEMORY) /* who calls is asked on a worker */
			assert_int_equal(r->who, ROUTE_ANYBODY);
		if (strcmp(action, "/revoke") == 0 || strcmp(action, "/suspend") == 0 || strcmp(action, "/feed") == 0) {
			assert_int_equal(r->place, ROUTE_URGENT);
			urgent++;
		} else {
			assert_true(r->place != ROUTE_URGENT);
		}
		assert_non_null(r->handler);
		/* What has a listener of its own is one page, which elsewhere is not everybody's. */
		if ((r->listeners & ON_METRICS) != 0) {
			assert_true(r->listeners == ON_METRICS && r->handler == metrics_get);
			metrics++;
		} else {
			assert_true((r->listeners & ON_API) != 0);
			assert_true(r->handler != metrics_get || r->who == (ROUTE_WHOLE | ROLE_ADMIN | ROLE_AUDITOR));
		}
	}
	assert_int_equal(metrics, 1);
	assert_int_equal(urgent, 7);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_no_route_hides_another),
	    cmocka_unit_test(test_who_may_call),
	    cmocka_unit_test(test_what_is_the_whole_installations),
	    cmocka_unit_test(test_where_they_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

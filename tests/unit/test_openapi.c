/* api/openapi.json against the route table: each route in it and nothing else, and for each who may call it. */
#include "check.h"

#include "core/caller.h"
#include "http/routes.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

extern const char openapi_json[];

static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
#define N_METHODS (sizeof methods / sizeof methods[0])

/* What disagrees: how often, and how the first time. */
struct found {
	unsigned n;
	char first[256];
};

__attribute__((format(printf, 2, 3))) static void
found(struct found *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (f->n++ == 0)
		(void)vsnprintf(f->first, sizeof f->first, fmt, ap);
	va_end(ap);
}

static json_t *
operation_of(json_t *spec, const char *pattern, const char *method)
{
	char lower[16];
	size_t i;

	for (i = 0; i < sizeof lower - 1 && method[i] != '\0'; i++)
		lower[i] = (char)tolower((unsigned char)method[i]);
	lower[i] = '\0';
	return json_object_get(json_object_get(json_object_get(spec, "paths"), pattern), lower);
}

static const struct route *
route_of(const char *pattern, const char *method)
{
	size_t i;

	for (i = 0; i < n_routes; i++)
		if (strcmp(routes[i].pattern, pattern) == 0 && strcmp(routes[i].method, method) == 0)
			return &routes[i];
	return NULL;
}

/* The bit of a role's name. */
static unsigned
role_of(const char *name)
{
	unsigned bit;

	for (bit = ROLE_ADMIN; bit <= ROLE_LATE; bit <<= 1)
		if (name != NULL && strcmp(role_name((enum role)bit), name) == 0)
			return bit;
	return 0x8000;
}

/* The roles that the description names, as bits; 0x8000 for what is no role. */
static unsigned
roles_of(json_t *operation)
{
	json_t *roles = json_object_get(operation, "x-roles"), *item;
	unsigned bits = json_is_array(roles) ? 0 : 0x8000;
	size_t i;

	json_array_foreach (roles, i, item)
		bits |= role_of(json_string_value(item));
	return bits;
}

static bool
security_names(json_t *operation, const char *scheme)
{
	json_t *item;
	size_t i;

	json_array_foreach (json_object_get(operation, "security"), i, item)
		if (json_object_get(item, scheme) != NULL)
			return true;
	return false;
}

static void
compare_callers(struct found *f, const struct route *route, json_t *operation)
{
	bool anybody = route->who == ROUTE_ANYBODY;
	json_t *security = json_object_get(operation, "security"), *responses = json_object_get(operation, "responses");

	if (roles_of(operation) != (anybody ? 0 : route->who & ~(unsigned)ROUTE_WHOLE))
		found(f, "%s %s: x-roles are not the route's", route->method, route->pattern);
	if (json_is_true(json_object_get(operation, "x-installation")) != ((route->who & ROUTE_WHOLE) != 0))
		found(f, "%s %s: x-installation", route->method, route->pattern);
	if (!json_is_array(security) || (json_array_size(security) == 0) != anybody)
		found(f, "%s %s: security", route->method, route->pattern);
	if (security_names(operation, "mutualTLS") != (!anybody && (route->who & (ROLE_BROKER | ROLE_ENROLLEE | ROLE_DEVICE)) != 0) ||
	    security_names(operation, "enrolmentToken") != (!anybody && (route->who & ROLE_ENROLLEE) != 0) ||
	    security_names(operation, "bearer") != (!anybody && (route->who & ~(ROUTE_WHOLE | ROLE_ENROLLEE | ROLE_DEVICE | ROLE_LATE)) != 0))
		found(f, "%s %s: the wrong kind of credentials", route->method, route->pattern);
	if ((json_object_get(responses, "401") != NULL) != !anybody || (json_object_get(responses, "403") != NULL) != !anybody)
		found(f, "%s %s: 401 and 403 are for those who need credentials", route->method, route->pattern);
	if (!anybody && json_object_get(responses, "429") == NULL)
		found(f, "%s %s: who fails too often with credentials gets a 429", route->method, route->pattern);
}

/* What a {"$ref": "#/a/b"} stands for; another value stands for itself. NULL if it leads nowhere. */
static json_t *
resolve(json_t *spec, json_t *value)
{
	const char *ref = json_string_value(json_object_get(value, "$ref"));
	char key[128];
	size_t len;

	if (ref == NULL)
		return value;
	if (strncmp(ref, "#/", 2) != 0)
		return NULL;
	for (value = spec, ref++; *ref == '/'; ref += len) {
		len = strcspn(++ref, "/");
		if (len >= sizeof key)
			return NULL;
		memcpy(key, ref, len);
		key[len] = '\0';
		value = json_object_get(value, key);
	}
	return value;
}

/* The parameters in PATH that LIST declares. */
static unsigned
declared_in(json_t *spec, json_t *list, const char *pattern)
{
	unsigned n = 0;
	json_t *item;
	size_t i;

	json_array_foreach (list, i, item) {
		json_t *parameter = resolve(spec, item);
		const char *in = json_string_value(json_object_get(parameter, "in"));
		char braces[128];

		(void)snprintf(
		    braces, sizeof braces, "{%s}", json_string_value(json_object_get(parameter, "name")));
		n += in != NULL && strcmp(in, "path") == 0 && strstr(pattern, braces) != NULL;
	}
	return n;
}

static void
compare_parameters(struct found *f, json_t *spec, const struct route *route, json_t *operation)
{
	json_t *item = json_object_get(json_object_get(spec, "paths"), route->pattern);
	unsigned wanted = 0;
	const char *p;

	for (p = route->pattern; (p = strchr(p, '{')) != NULL; p++)
		wanted++;
	if (declared_in(spec, json_object_get(item, "parameters"), route->pattern) +
		declared_in(spec, json_object_get(operation, "parameters"), route->pattern) !=
	    wanted)
		found(f, "%s %s: its parameters are not all declared", route->method, route->pattern);
}

/* Every reference leads somewhere. */
static void
check_references(struct found *f, json_t *spec, json_t *value)
{
	const char *key;
	json_t *item;
	size_t i;

	if (json_object_get(value, "$ref") != NULL && resolve(spec, value) == NULL)
		found(f, "%s leads nowhere", json_string_value(json_object_get(value, "$ref")));
	json_object_foreach (value, key, item)
		check_references(f, spec, item);
	json_array_foreach (value, i, item)
		check_references(f, spec, item);
}

static struct found
compare(json_t *spec)
{
	struct found f = {0};
	const char *pattern;
	json_t *operation, *item;
	size_t i;

	for (i = 0; i < n_routes; i++) {
		if ((routes[i].listeners & ON_API) == 0)
			continue; /* it is not the API's */
		if ((operation = operation_of(spec, routes[i].pattern, routes[i].method)) == NULL) {
			found(&f, "%s %s is a route and not described", routes[i].method, routes[i].pattern);
			continue;
		}
		compare_callers(&f, &routes[i], operation);
		compare_parameters(&f, spec, &routes[i], operation);
	}
	json_object_foreach (json_object_get(spec, "paths"), pattern, item)
		for (i = 0; i < N_METHODS; i++)
			if (operation_of(spec, pattern, methods[i]) != NULL && route_of(pattern, methods[i]) == NULL)
				found(&f, "%s %s is described and no route", methods[i], pattern);
	check_references(&f, spec, spec);
	return f;
}

static json_t *
load(void)
{
	json_t *spec = json_loads(openapi_json, JSON_REJECT_DUPLICATES, NULL);

	assert_non_null(spec);
	return spec;
}

/* H1 */
static void
test_description_and_routes_agree(void **state)
{
	json_t *spec = load();
	struct found f = compare(spec);

	(void)state;
	if (f.n > 0)
		fail_msg("%u times, first: %s", f.n, f.first);
	json_decref(spec);
}

/* The comparison sees each kind of difference, and where. */
static void
test_every_difference_is_seen(void **state)
{
	static const struct {
		const char *change, *says; /* a JSON merge patch */
	} cases[] = {
	    {"{\"paths\": {\"/v1/devices\": null}}", "/v1/devices is a route and not described"},
	    {"{\"paths\": {\"/v1/audit\": {\"get\": null}}}", "GET /v1/audit is a route and not described"},
	    {"{\"paths\": {\"/v1/keys\": {\"get\": {}}}}", "GET /v1/keys is described and no route"},
	    {"{\"paths\": {\"/v1/devices\": {\"delete\": {}}}}", "DELETE /v1/devices is described and no route"},
	    {"{\"paths\": {\"/v1/audit\": {\"get\": {\"x-roles\": [\"admin\"]}}}}", "GET /v1/audit: x-roles"},
	    {"{\"paths\": {\"/v1/audit\": {\"get\": {\"x-roles\": [\"admin\", \"auditor\", \"enroller\"]}}}}",
		"GET /v1/audit: x-roles"},
	    {"{\"paths\": {\"/v1/audit\": {\"get\": {\"x-roles\": [\"admin\", \"auditor\", \"root\"]}}}}",
		"GET /v1/audit: x-roles"},
	    {"{\"paths\": {\"/v1/audit\": {\"get\": {\"x-roles\": null}}}}", "GET /v1/audit: x-roles"},
	    {"{\"paths\": {\"/v1/audit\": {\"get\": {\"x-installation\": true}}}}", "GET /v1/audit: x-installation"},
	    {"{\"paths\": {\"/v1/brokers\": {\"get\": {\"x-installation\": false}}}}", "GET /v1/brokers: x-installation"},
	    {"{\"paths\": {\"/v1/audit\": {\"get\": {\"security\": []}}}}", "GET /v1/audit: security"},
	    {"{\"paths\": {\"/healthz\": {\"get\": {\"security\": [{\"bearer\": []}]}}}}", "GET /healthz: security"},
	    {"{\"paths\": {\"/v1/audit\": {\"get\": {\"security\": [{\"mutualTLS\": []}]}}}}", "credentials"},
	    {"{\"paths\": {\"/v1/audit\": {\"get\": {\"responses\": {\"401\": null}}}}}", "401"},
	    {"{\"paths\": {\"/v1/audit\": {\"get\": {\"responses\": {\"429\": null}}}}}", "429"},
	    {"{\"paths\": {\"/v1/policies/{name}\": {\"parameters\": null}}}", "/v1/policies/{name}: its parameters"},
	    {"{\"components\": {\"schemas\": null}}", "leads nowhere"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		json_t *spec = load(), *change = json_loads(cases[i].change, 0, NULL);
		json_t *at = spec, *with = change, *item;
		struct found f;
		const char *key;
		void *next;

		/* RFC 7396, for one path of members */
		assert_non_null(change);
		for (;;) {
			assert_non_null(next = json_object_iter(with));
			key = json_object_iter_key(next);
			item = json_object_iter_value(next);
			if (json_is_object(item) && json_object_size(item) > 0 && json_object_get(at, key) != NULL) {
				at = json_object_get(at, key);
				with = item;
				continue;
			}
			if (json_is_null(item))
				assert_int_equal(json_object_del(at, key), 0);
			else
				assert_int_equal(json_object_set(at, key, item), 0);
			break;
		}
		f = compare(spec);
		if (f.n == 0 || strstr(f.first, cases[i].says) == NULL)
			fail_msg("%s: %u found: %s", cases[i].change, f.n, f.first);
		json_decref(spec);
		json_decref(change);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_description_and_routes_agree),
	    cmocka_unit_test(test_every_difference_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

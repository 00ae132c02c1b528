#include "check.h"

#include "http/args.h"
#include "http/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A request with BODY and QUERY; the query's text must outlive it. */
static struct http_request
request_of(const char *body, struct http_query *query, char *text)
{
	struct http_request req = {.method = "POST", .path = "/", .body = (const uint8_t *)body,
	    .body_len = body != NULL ? strlen(body) : 0, .content_type = "application/json", .accept = "",
	    .idempotency_key = "", .query = query};
	struct err err = {0};

	memset(query, 0, sizeof *query);
	if (text != NULL)
		assert_ok(request_query_parse(text, query, &err));
	return req;
}

static const char *const names[] = {"a", "b", NULL};

static void
test_bodies(void **state)
{
	static const struct {
		const char *body, *query;
		bool optional;
		const char *field; /* NULL: taken */
	} cases[] = {
	    {"{\"a\":1}", NULL, false, NULL},
	    {"{}", NULL, false, NULL},
	    {"", NULL, true, NULL},
	    {"", NULL, false, ""},
	    {"{\"c\":1}", NULL, true, "c"}, /* A6 */
	    {"[]", NULL, true, ""},
	    {"{\"a\":1} x", NULL, true, ""},
	    {"{\"a\":1}", "x=1", false, "x"}, /* nothing is ignored */
	};
	struct http_query query;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char text[16] = "";
		struct http_request req;
		json_t *body = NULL;
		struct err err = {0};
		int rc;

		(void)snprintf(text, sizeof text, "%s", cases[i].query != NULL ? cases[i].query : "");
		req = request_of(cases[i].body, &query, cases[i].query != NULL ? text : NULL);
		rc = args_body(&req, names, cases[i].optional, &body, &err);
		if (cases[i].field == NULL) {
			assert_ok(rc);
			assert_true(json_is_object(body));
			json_decref(body);
			continue;
		}
		assert_int_equal(rc, E_INPUT);
		assert_null(body);
		assert_string_equal(err.field, cases[i].field);
	}
}

/* A5 */
static void
test_pages(void **state)
{
	static const struct {
		const char *query;
		int rc;
		size_t limit;
		const char *after;
	} cases[] = {
	    {NULL, 0, ARGS_PAGE_DEFAULT, NULL},
	    {"limit=1", 0, 1, NULL},
	    {"limit=1000&after=x", 0, 1000, "x"},
	    {"limit=0", E_INPUT, 0, NULL},
	    {"limit=1001", E_INPUT, 0, NULL},
	    {"limit=-1", E_INPUT, 0, NULL},
	    {"limit=", E_INPUT, 0, NULL},
	    {"limit=1e2", E_INPUT, 0, NULL},
	    {"limit=+5", E_INPUT, 0, NULL},
	    {"limit=18446744073709551617", E_INPUT, 0, NULL},
	};
	struct http_query query;
	size_t i, limit;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char text[64] = "";
		struct http_request req;
		const char *after = "untouched";
		struct err err = {0};

		(void)snprintf(text, sizeof text, "%s", cases[i].query != NULL ? cases[i].query : "");
		req = request_of(NULL, &query, cases[i].query != NULL ? text : NULL);
		assert_int_equal(args_page(&req, &limit, &after, &err), cases[i].rc);
		if (cases[i].rc != 0) {
			assert_string_equal(err.field, "limit");
			assert_string_equal(after, "untouched");
			continue;
		}
		assert_int_equal(limit, cases[i].limit);
		if (cases[i].after != NULL)
			assert_string_equal(after, cases[i].after);
		else
			assert_null(after);
	}
}

static json_t *
object(const char *text)
{
	json_t *value = json_loads(text, 0, NULL);

	assert_non_null(value);
	return value;
}

static void
test_reasons(void **state)
{
	static const char *const bad[] = {"{\"reason\":\"\"}", "{\"reason\":\"KEYCOMPROMISE\"}", "{\"reason\":1}",
	    "{\"reason\":\"unused\"}", "{\"reason\":[\"superseded\"]}"};
	enum crl_reason reason;
	struct err err = {0};
	json_t *body;
	size_t i;

	(void)state;
	body = object("{}");
	assert_ok(args_reason(body, &reason, &err));
	assert_int_equal(reason, REASON_UNSPECIFIED);
	json_decref(body);
	body = object("{\"reason\":\"keyCompromise\"}");
	assert_ok(args_reason(body, &reason, &err));
	assert_int_equal(reason, REASON_KEY_COMPROMISE);
	json_decref(body);
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		body = object(bad[i]);
		assert_int_equal(args_reason(body, &reason, &err), E_INPUT);
		assert_string_equal(err.field, "reason");
		assert_int_equal(reason, REASON_KEY_COMPROMISE);
		json_decref(body);
	}
}

static void
test_credentials(void **state)
{
	struct args_credential args = {0};
	struct err err = {0};
	json_t *body;

	(void)state;
	body = object("{\"key\":\"ec-p256\",\"profile\":\"short\",\"valid\":\"90m\",\"san\":[\"DNS:a\",\"IP:::1\"],"
		      "\"link_ttl_s\":60}");
	assert_ok(args_credential(body, &args, &err));
	assert_string_equal(args.request.key, "ec-p256");
	assert_string_equal(args.request.profile, "short");
	assert_int_equal(args.request.valid_s, 5400);
	assert_int_equal(args.request.n_sans, 2);
	assert_string_equal(args.request.sans[1], "IP:::1");
	assert_int_equal(args.request.link_ttl_s, 60);
	assert_null(args.request.csr);
	args_credential_clear(&args);
	json_decref(body);

	body = object("{\"csr\":\"MAA=\"}"); /* DER in base64 */
	assert_ok(args_credential(body, &args, &err));
	assert_int_equal(args.request.csr_len, 2);
	assert_memory_equal(args.request.csr, "\x30\x00", 2);
	args_credential_clear(&args);
	json_decref(body);
	body = object("{\"csr\":\"-----BEGIN X-----\"}"); /* PEM as it stands */
	assert_ok(args_credential(body, &args, &err));
	assert_int_equal(args.request.csr_len, 17);
	args_credential_clear(&args);
	json_decref(body);
	/* An empty request is a request that is wrong, not a wish for the server's key. */
	body = object("{\"csr\":\"\"}");
	assert_true(args_credential(body, &args, &err) == E_INPUT || args.request.csr != NULL);
	args_credential_clear(&args);
	json_decref(body);
}

static void
test_bad_credentials_name_the_field(void **state)
{
	static const struct {
		const char *body, *field;
	} cases[] = {
	    {"{\"key\":1}", "key"},
	    {"{\"key\":\"ec-p256\",\"csr\":\"MAA=\"}", "key"},
	    {"{\"csr\":\"%%%\"}", "csr"},
	    {"{\"csr\":{}}", "csr"},
	    {"{\"valid\":\"90\"}", "valid"},
	    {"{\"valid\":\"-1d\"}", "valid"},
	    {"{\"valid\":\"0s\"}", "valid"},
	    {"{\"valid\":90}", "valid"},
	    {"{\"san\":\"DNS:a\"}", "san"},
	    {"{\"san\":[1]}", "san[0]"},
	    {"{\"san\":[\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\","
	     "\"a\"]}",
		"san"},
	    {"{\"link_ttl_s\":0}", "link_ttl_s"},
	    {"{\"link_ttl_s\":604801}", "link_ttl_s"},
	    {"{\"link_ttl_s\":1.5}", "link_ttl_s"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct args_credential args = {0};
		json_t *body = object(cases[i].body);
		struct err err = {0};

		if (args_credential(body, &args, &err) != E_INPUT || strcmp(err.field, cases[i].field) != 0)
			fail_msg("%s: %s: %s", cases[i].body, err.field, err.text);
		args_credential_clear(&args);
		json_decref(body);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_bodies),
	    cmocka_unit_test(test_pages),
	    cmocka_unit_test(test_reasons),
	    cmocka_unit_test(test_credentials),
	    cmocka_unit_test(test_bad_credentials_name_the_field),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

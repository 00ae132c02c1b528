/* Problem documents and statuses; and that the page's policy names the page's style. */
#include "check.h"

#include "base/secret.h"
#include "base/text.h"
#include "core/ratelimit.h"
#include "http/page.h"
#include "http/reply.h"

#include <event2/buffer.h>
#include <jansson.h>
#include <string.h>

static json_t *
problem(int code, const char *field, const char *text, int status)
{
	struct http_reply reply = {0};
	struct err err = {.code = code};
	json_t *body;

	(void)text_copy(err.field, sizeof err.field, field);
	(void)text_copy(err.text, sizeof err.text, text);
	reply_problem(&reply, &err, status, "0123456789abcdef");
	assert_string_equal(reply.content_type, "application/problem+json");
	body = json_loadb((const char *)reply.body.data, reply.body.len, 0, NULL);
	assert_non_null(body);
	assert_int_equal(json_integer_value(json_object_get(body, "status")), reply.status);
	assert_string_equal(json_string_value(json_object_get(body, "instance")), "0123456789abcdef");
	reply_clear(&reply);
	return body;
}

static const char *
text_of(json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

static void
statuses_follow_codes(void **state)
{
	static const struct {
		int code, status;
	} expected[] = {{E_INPUT, 400}, {E_UNAUTH, 401}, {E_DENIED, 403}, {E_NOTFOUND, 404},
	    {E_CONFLICT, 409}, {E_GONE, 410}, {E_LIMIT, 413}, {E_BUSY, 503}, {E_NOMEM, 500}, {E_SYS, 500},
	    {E_FULL, 503}, {0, 500}, {-999, 500}};
	struct err err = {0};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof expected / sizeof expected[0]; i++) {
		err.code = expected[i].code;
		assert_int_equal(reply_status(&err), expected[i].status);
	}
	(void)err_field(&err, E_CONFLICT, "csr", "used");
	assert_int_equal(reply_status(&err), 409);
	(void)err_field(&err, E_CONFLICT, "Idempotency-Key", "used");
	assert_int_equal(reply_status(&err), 422);
	(void)err_field(&err, E_INPUT, "Idempotency-Key", "too long");
	assert_int_equal(reply_status(&err), 400);
}

static void
problem_names_the_field(void **state)
{
	json_t *body = problem(E_INPUT, "san[0]", "is \"odd\"", 0), *first;

	(void)state;
	assert_string_equal(text_of(body, "type"), "urn:muster:problem:invalid-input");
	assert_string_equal(text_of(body, "title"), "Bad Request");
	assert_string_equal(text_of(body, "detail"), "is \"odd\"");
	first = json_array_get(json_object_get(body, "errors"), 0);
	assert_string_equal(text_of(first, "field"), "san[0]");
	assert_string_equal(text_of(first, "reason"), "is \"odd\"");
	json_decref(body);
}

static void
internal_errors_stay_inside(void **state)
{
	json_t *body = problem(E_SYS, "secret.field", "cannot open /var/lib/muster/x", 0);
	char *text = json_dumps(body, 0);

	(void)state;
	assert_int_equal(json_integer_value(json_object_get(body, "status")), 500);
	assert_null(strstr(text, "/var/lib"));
	assert_null(strstr(text, "secret.field"));
	free(text);
	json_decref(body);
}

static void
what_is_not_utf8_is_left_out(void **state)
{
	json_t *body = problem(E_INPUT, "", "bad \xff byte", 0);

	(void)state;
	assert_int_equal(json_integer_value(json_object_get(body, "status")), 400);
	assert_null(json_object_get(body, "detail"));
	json_decref(body);
	body = problem(E_NOTFOUND, "", "wrong method", 405);
	assert_string_equal(text_of(body, "title"), "Method Not Allowed");
	json_decref(body);
}

/* E8 */
static void
page_policy_names_the_style(void **state)
{
	uint8_t digest[SHA256_LEN];
	struct buf want = {0};

	(void)state;
	sha256(digest, page_style, strlen(page_style));
	buf_text(&want, "style-src 'sha256-");
	base64_encode(&want, digest, sizeof digest);
	buf_text(&want, "';");
	assert_non_null(strstr(page_policy, buf_str(&want)));
	assert_non_null(strstr(page_policy, "default-src 'none'"));
	assert_null(strstr(page_policy, "unsafe"));
	buf_clear(&want);
}

/* B5 */
static void
pages_escape(void **state)
{
	struct http_reply reply = {0};

	(void)state;
	page_reply(&reply, 410, "<script>'\"&", "<p>fine</p>");
	assert_int_equal(reply.status, 410);
	assert_true(reply.is_page);
	assert_null(strstr(buf_str(&reply.body), "<script>"));
	assert_non_null(strstr(buf_str(&reply.body), "&lt;script&gt;&#39;&quot;&amp;"));
	assert_non_null(strstr(buf_str(&reply.body), "<p>fine</p>"));
	reply_clear(&reply);
}

/* The answer to what evhttp has not seen, byte for byte as it leaves. */
static void
writes_a_whole_answer(void **state)
{
	const struct reply_options options = {.request_id = "0123456789abcdef", .is_tls = true, .must_close = true};
	struct evbuffer *out = evbuffer_new();
	struct http_reply reply = {0};
	struct err err = {0};
	char *text, *body;

	(void)state;
	assert_non_null(out);
	(void)err_field(&err, E_INPUT, "Content-Length", "is there twice");
	reply_problem(&reply, &err, 0, options.request_id);
	reply_write(out, &reply, &options);
	assert_int_equal(evbuffer_add(out, "", 1), 0);
	text = (char *)evbuffer_pullup(out, -1);
	assert_non_null(body = strstr(text, "\r\n\r\n"));
	*body = '\0';
	body += 4;
	assert_int_equal(strncmp(text, "HTTP/1.1 400 Bad Request\r\n", 26), 0);
	assert_non_null(strstr(text, "\r\nContent-Type: application/problem+json\r\n"));
	assert_non_null(strstr(text, "\r\nX-Request-Id: 0123456789abcdef\r\n"));
	assert_non_null(strstr(text, "\r\nConnection: close\r\n"));
	assert_non_null(strstr(text, "\r\nStrict-Transport-Security: "));
	assert_non_null(strstr(text, "\r\nCache-Control: no-store\r\n"));
	assert_int_equal(strlen(body), reply.body.len);
	assert_non_null(strstr(body, "\"field\":\"Content-Length\""));
	reply_clear(&reply);
	evbuffer_free(out);
}

/* draft-ietf-httpapi-ratelimit-headers: lists of structured fields; as many as there can be fit. */
static void
writes_what_limits_leave(void **state)
{
	struct ratelimit_report report = {.n = 2,
	    .quotas = {{"requests", "operator", 600, 599, 1}, {"register", "tenant", 60, 0, 61}}};
	const struct reply_options options = {.request_id = "0123456789abcdef", .quotas = &report};
	struct evbuffer *out = evbuffer_new();
	struct http_reply reply = {.status = 200};
	const char *text, *end;
	size_t i;

	(void)state;
	assert_non_null(out);
	reply_write(out, &reply, &options);
	assert_int_equal(evbuffer_add(out, "", 1), 0);
	text = (const char *)evbuffer_pullup(out, -1);
	assert_non_null(strstr(text,
	    "\r\nRateLimit-Policy: \"requests-operator\";q=600;w=60, \"register-tenant\";q=60;w=60\r\n"));
	assert_non_null(strstr(text, "\r\nRateLimit: \"requests-operator\";r=599;t=1, \"register-tenant\";r=0;t=61\r\n"));
	(void)evbuffer_drain(out, evbuffer_get_length(out));
	report.n = RATELIMIT_QUOTAS_MAX;
	for (i = 0; i < report.n; i++)
		report.quotas[i] = (struct ratelimit_quota){"auth_failures", "operator", 1000000000, 1000000000, 1000000000};
	reply_write(out, &reply, &options);
	assert_int_equal(evbuffer_add(out, "", 1), 0);
	text = (const char *)evbuffer_pullup(out, -1);
	assert_non_null(text = strstr(text, "\r\nRateLimit: "));
	assert_non_null(end = strstr(text + 2, "\r\n"));
	assert_int_equal(strncmp(end - 25, "r=1000000000;t=1000000000", 25), 0);
	report.n = 0;
	(void)evbuffer_drain(out, evbuffer_get_length(out));
	reply_write(out, &reply, &options);
	assert_int_equal(evbuffer_add(out, "", 1), 0);
	assert_null(strstr((const char *)evbuffer_pullup(out, -1), "RateLimit"));
	evbuffer_free(out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(statuses_follow_codes),
	    cmocka_unit_test(problem_names_the_field),
	    cmocka_unit_test(internal_errors_stay_inside),
	    cmocka_unit_test(what_is_not_utf8_is_left_out),
	    cmocka_unit_test(page_policy_names_the_style),
	    cmocka_unit_test(pages_escape),
	    cmocka_unit_test(writes_a_whole_answer),
	    cmocka_unit_test(writes_what_limits_leave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

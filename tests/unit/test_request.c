/* Request checks, on requests as evhttp would hand them over. */
#include "check.h"

#include "http/request.h"

#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct evhttp_request *
request_make(enum evhttp_cmd_type type, const char *uri)
{
	struct evhttp_request *evreq = evhttp_request_new(NULL, NULL);

	evreq->type = type;
	evreq->major = 1;
	evreq->minor = 1;
	evreq->uri = strdup(uri);
	(void)evhttp_add_header(evhttp_request_get_input_headers(evreq), "Host", "localhost");
	return evreq;
}

static void
header(struct evhttp_request *evreq, const char *name, const char *value)
{
	assert_int_equal(evhttp_add_header(evhttp_request_get_input_headers(evreq), name, value), 0);
}

/* Read, free EVREQ, and leave the result in OUT. */
static int
read_take(struct evhttp_request *evreq, struct request *out)
{
	struct err err = {0};
	int rc;

	memset(out, 0, sizeof *out);
	request_name(out, "127.0.0.1");
	rc = request_read(evreq, out, &err);
	assert_int_equal(rc, rc == 0 ? 0 : err.code);
	evhttp_request_free(evreq);
	return rc;
}

static void
copies_what_a_handler_needs(void **state)
{
	struct evhttp_request *evreq = request_make(EVHTTP_REQ_POST, "/v1/devices/a%20b?limit=5&search=x%2Fy+z");
	struct request r;

	(void)state;
	header(evreq, "content-type", "application/json");
	header(evreq, "Idempotency-Key", "k1");
	header(evreq, "Accept", "text/html");
	header(evreq, "Content-Length", "2");
	(void)evbuffer_add(evhttp_request_get_input_buffer(evreq), "{}", 2);
	assert_int_equal(read_take(evreq, &r), 0);
	/* evreq is gone */
	assert_string_equal(r.http.method, "POST");
	assert_string_equal(r.http.path, "/v1/devices/a b");
	assert_string_equal(http_query_get(&r.http, "limit"), "5");
	assert_string_equal(http_query_get(&r.http, "search"), "x/y z");
	assert_null(http_query_get(&r.http, "after"));
	assert_string_equal(r.http.content_type, "application/json");
	assert_string_equal(r.http.idempotency_key, "k1");
	assert_string_equal(r.http.accept, "text/html");
	assert_string_equal(r.http.peer, "127.0.0.1");
	assert_int_equal(r.http.body_len, 2);
	assert_memory_equal(r.http.body, "{}", 2);
	assert_int_equal(strlen(r.http.id), 32);
	assert_false(r.must_close);
	request_clear(&r);
}

/* What stands below /ocsp/ is nobody's path: it stays as it came, and leads nowhere else. */
static void
a_tail_is_no_path(void **state)
{
	static const char *const tails[] = {"MEIw/A+b==", "%2f%2F..", "//", "../v1/devices", "%00", "a%zz", "-"};
	struct request r;
	char uri[64];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof tails / sizeof tails[0]; i++) {
		(void)snprintf(uri, sizeof uri, "/ocsp/%s", tails[i]);
		assert_int_equal(read_take(request_make(EVHTTP_REQ_GET, uri), &r), 0);
		assert_string_equal(r.http.path, "/ocsp/-");
		assert_string_equal(r.http.tail, tails[i]);
		request_clear(&r);
	}
	assert_int_equal(read_take(request_make(EVHTTP_REQ_GET, "/ocsp/"), &r), 0);
	assert_null(r.http.tail);
	assert_string_equal(r.http.path, "/ocsp/");
	request_clear(&r);
	assert_int_not_equal(read_take(request_make(EVHTTP_REQ_GET, "/ocsq/a//b"), &r), 0);
	request_clear(&r);
}

static int
with_headers(enum evhttp_cmd_type type, const char *const *headers, struct request *out)
{
	struct evhttp_request *evreq = request_make(type, "/x");

	for (; *headers != NULL; headers += 2)
		header(evreq, headers[0], headers[1]);
	return read_take(evreq, out);
}

/* A8 */
static void
closes_behind_a_body_without_meaning(void **state)
{
	static const char *const with_body[] = {"Content-Length", "5", NULL};
	static const char *const empty[] = {"Content-Length", "0", NULL};
	static const enum evhttp_cmd_type without[] = {
	    EVHTTP_REQ_GET, EVHTTP_REQ_HEAD, EVHTTP_REQ_DELETE, EVHTTP_REQ_OPTIONS, EVHTTP_REQ_TRACE};
	struct request r;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof without / sizeof without[0]; i++) {
		assert_int_equal(with_headers(without[i], with_body, &r), 0);
		assert_true(r.must_close);
		request_clear(&r);
		assert_int_equal(with_headers(without[i], empty, &r), 0);
		assert_false(r.must_close);
		request_clear(&r);
	}
	assert_int_equal(with_headers(EVHTTP_REQ_PUT, with_body, &r), 0);
	assert_false(r.must_close);
	request_clear(&r);
}

/* A12 */
static void
paths_have_one_reading(void **state)
{
	static const char *const bad[] = {"/a%00b", "/%00", "/a/../b", "/..", "/a/..", "/%2e%2e/a", "/a/%2E%2e",
	    "/.%2e/a", "/./a", "/a/.", "//a", "/a//b", "//", "/a%2fb", "/a%2Fb", "/a%5cb", "/a%0ab", "/a%7f",
	    "/a%", "/a%4", "/a%zz", "/%ff", "/%c0%ae%c0%ae/x", "/%e2%80%ae", "///"};
	static const struct {
		const char *in, *out;
	} good[] = {
	    {"/", "/"},
	    {"/a", "/a"},
	    {"/a/", "/a/"},
	    {"/a...b/..c/.d", "/a...b/..c/.d"},
	    {"/%64/%c3%a9", "/d/\xc3\xa9"},
	    {"/a+b", "/a+b"},
	    {"/%2541", "/%41"}, /* once, not twice */
	};
	struct request r;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		if (read_take(request_make(EVHTTP_REQ_GET, bad[i]), &r) != E_NOTFOUND)
			fail_msg("%s was let through", bad[i]);
		assert_false(r.must_close);
		request_clear(&r);
	}
	for (i = 0; i < sizeof good / sizeof good[0]; i++) {
		assert_int_equal(read_take(request_make(EVHTTP_REQ_GET, good[i].in), &r), 0);
		assert_string_equal(r.http.path, good[i].out);
		request_clear(&r);
	}
}

static void
query_is_strict(void **state)
{
	static const char *const bad[] = {"/x?a=%00", "/x?a=%", "/x?%ff=1", "/x?a=%0d%0a", "/x?a=%e2%80%ae"};
	static const char *const known[] = {"a", "b", NULL};
	char many[REQUEST_QUERY_MAX * 2 + 8] = "/x?";
	struct err err = {0};
	struct request r;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(read_take(request_make(EVHTTP_REQ_GET, bad[i]), &r), E_INPUT);
		request_clear(&r);
	}
	for (i = 0; i < REQUEST_QUERY_MAX; i++)
		strcat(many, "a&");
	assert_int_equal(read_take(request_make(EVHTTP_REQ_GET, many), &r), 0);
	request_clear(&r);
	strcat(many, "a");
	assert_int_equal(read_take(request_make(EVHTTP_REQ_GET, many), &r), E_INPUT);
	request_clear(&r);

	assert_int_equal(read_take(request_make(EVHTTP_REQ_GET, "/x?a=1&b=&"), &r), 0);
	assert_ok(http_query_only(&r.http, known, &err));
	assert_string_equal(http_query_get(&r.http, "b"), "");
	request_clear(&r);
	assert_int_equal(read_take(request_make(EVHTTP_REQ_GET, "/x?a=1&c=2"), &r), 0);
	assert_int_equal(http_query_only(&r.http, known, &err), E_INPUT);
	assert_string_equal(err.field, "c");
	request_clear(&r);
	assert_int_equal(read_take(request_make(EVHTTP_REQ_GET, "/x?a=1&a=1"), &r), 0);
	assert_int_equal(http_query_only(&r.http, known, &err), E_INPUT);
	assert_string_equal(err.field, "a");
	request_clear(&r);
}

static void
long_headers_are_refused_or_cut(void **state)
{
	struct evhttp_request *evreq = request_make(EVHTTP_REQ_POST, "/x");
	char text[400];
	struct request r;

	(void)state;
	memset(text, 'a', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	header(evreq, "Accept", text);
	assert_int_equal(read_take(evreq, &r), 0);
	assert_int_equal(strlen(r.http.accept), sizeof r.accept - 1);
	request_clear(&r);
}

/* Who sends a key relies on it: one that cannot be kept is refused, never dropped or cut. */
static void
refuses_keys_it_cannot_keep(void **state)
{
	static const char *const bad[] = {"", "a\tb", "a\x01", "a\x7f", "a\xff", "\xc3\xa9\xe2\x80\xae"};
	char text[IDEMPOTENCY_KEY_MAX + 2];
	struct evhttp_request *evreq;
	struct request r;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		evreq = request_make(EVHTTP_REQ_POST, "/x");
		header(evreq, "Idempotency-Key", bad[i]);
		assert_int_equal(read_take(evreq, &r), E_INPUT);
		request_clear(&r);
	}
	memset(text, 'k', sizeof text);
	text[IDEMPOTENCY_KEY_MAX] = '\0';
	evreq = request_make(EVHTTP_REQ_POST, "/x");
	header(evreq, "Idempotency-Key", text);
	assert_int_equal(read_take(evreq, &r), 0);
	assert_string_equal(r.http.idempotency_key, text);
	request_clear(&r);
	text[IDEMPOTENCY_KEY_MAX] = 'k';
	text[IDEMPOTENCY_KEY_MAX + 1] = '\0';
	evreq = request_make(EVHTTP_REQ_POST, "/x");
	header(evreq, "Idempotency-Key", text);
	assert_int_equal(read_take(evreq, &r), E_INPUT);
	request_clear(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(copies_what_a_handler_needs),
	    cmocka_unit_test(refuses_keys_it_cannot_keep),
	    cmocka_unit_test(a_tail_is_no_path),
	    cmocka_unit_test(closes_behind_a_body_without_meaning),
	    cmocka_unit_test(paths_have_one_reading),
	    cmocka_unit_test(query_is_strict),
	    cmocka_unit_test(long_headers_are_refused_or_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

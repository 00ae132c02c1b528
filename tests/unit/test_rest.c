#include "check.h"

#include "cmd/rest.h"

#include <signal.h>
#include <stdbool.h>

#include "rest_fixture.h"

#define ANSWER_MAX (64UL * 1024 * 1024)

/* One canned ANSWER (taken) to METHOD with the body {"a":1}, or none for GET. */
static int
ask(struct fixture *f, struct buf *answer, const char *method, json_t **got, struct err *err)
{
	bool is_get = strcmp(method, "GET") == 0;
	int rc;

	fixture_answer(f, answer, 1);
	rc = rest_call(
	    &f->cli, method, "/v1/devices", is_get ? NULL : json_pack("{s:i}", "a", 1), got, err);
	buf_clear(answer);
	return rc;
}

static void
test_call(void **state)
{
	struct fixture *f = *state;
	struct buf answer = {0}, asked = {0};
	struct err err = {0};
	json_t *got = NULL;

	f->cli.token = "muster_secret";
	fixture_say(&answer, "201 Created", "{\"id\":\"x\"}");
	assert_ok(ask(f, &answer, "POST", &got, &err));
	assert_string_equal(json_string_value(json_object_get(got, "id")), "x");
	fixture_asked(f, &asked);
	assert_ptr_equal(strstr(buf_str(&asked), "POST /v1/devices HTTP/1.1\r\n"), buf_str(&asked));
	assert_non_null(strstr(buf_str(&asked), "Content-Type: application/json\r\n"));
	assert_non_null(strstr(buf_str(&asked), "\r\n\r\n{\"a\":1}"));
	/* The socket knows who calls; a token that is lying about in the environment stays here. */
	assert_null(strstr(buf_str(&asked), "secret"));
	json_decref(got);
	buf_clear(&asked);
}

static void
test_no_content(void **state)
{
	struct fixture *f = *state;
	struct buf answer = {0};
	struct err err = {0};
	json_t *got = NULL;

	buf_text(&answer, "HTTP/1.1 204 No Content\r\n\r\n");
	assert_ok(ask(f, &answer, "DELETE", &got, &err));
	assert_null(got);
}

static void
test_post_without_body(void **state)
{
	struct fixture *f = *state;
	struct buf answer = {0}, asked = {0};
	struct err err = {0};
	json_t *got = NULL;

	fixture_say(&answer, "200 OK", "{}");
	fixture_answer(f, &answer, 1);
	assert_ok(rest_call(&f->cli, "POST", "/v1/devices/../suspend", NULL, &got, &err));
	fixture_asked(f, &asked);
	/* Not a form, and the path is not tidied into that of another resource. */
	assert_null(strcasestr(buf_str(&asked), "Content-Type"));
	assert_non_null(strstr(buf_str(&asked), "POST /v1/devices/../suspend HTTP/1.1\r\n"));
	json_decref(got);
	buf_clear(&answer);
	buf_clear(&asked);
}

struct refusal {
	const char *head, *body;
	int code;
	const char *field, *text, *hint; /* HINT NULL: none */
};

#define FIELD_PROBLEM                                                                              \
	"{\"title\":\"Bad Request\",\"status\":400,\"detail\":\"no\","                             \
	"\"errors\":[{\"field\":\"type\",\"reason\":\"must be a word\"}]}"

static const struct refusal refusals[] = {
    {"400 Bad Request", FIELD_PROBLEM, E_INPUT, "type", "must be a word", NULL},
    {"400 Bad Request", "{\"detail\":\"not JSON\"}", E_INPUT, "", "not JSON", NULL},
    {"401 Unauthorized", "{\"detail\":\"who?\"}", E_UNAUTH, "", "who?", "--token-file"},
    {"403 Forbidden", "{\"detail\":\"may not\"}", E_DENIED, "", "may not", "role"},
    {"404 Not Found", "{\"detail\":\"no such device\"}", E_NOTFOUND, "", "no such device", NULL},
    {"409 Conflict", "{\"detail\":\"is revoked\"}", E_CONFLICT, "", "is revoked", NULL},
    {"410 Gone", "{\"detail\":\"used\"}", E_GONE, "", "used", "muster device package"},
    {"413 Content Too Large", "{\"detail\":\"large\"}", E_LIMIT, "", "large", NULL},
    {"422 Unprocessable Content", "{\"detail\":\"another body\"}", E_CONFLICT, "", "another body",
	NULL},
    {"429 Too Many Requests\r\nRetry-After: 17", "{\"detail\":\"often\"}", E_LIMIT, "", "often",
	"in 17 s"},
    {"500 Internal Server Error", "{\"detail\":\"internal error\",\"instance\":\"r-1\"}", E_SYS, "",
	"internal error", "(request r-1)"},
    {"503 Service Unavailable\r\nRetry-After: 1", "{\"detail\":\"queue\"}", E_BUSY, "", "queue",
	"again"},
    /* Whatever else a server may say: still one line, and no crash. */
    {"400 Bad Request", "", E_INPUT, "", "HTTP 400", NULL},
    {"500 Internal Server Error", "<html>", E_SYS, "", "HTTP 500", "log"},
    {"400 Bad Request", "[1]", E_INPUT, "", "HTTP 400", NULL},
    {"400 Bad Request", "{\"errors\":{\"field\":\"x\"},\"detail\":7}", E_INPUT, "", "HTTP 400",
	NULL},
    {"400 Bad Request", "{\"errors\":[{\"field\":null,\"reason\":[]}],\"detail\":\"d\"}", E_INPUT,
	"", "d", NULL},
    {"302 Found\r\nLocation: http://localhost/elsewhere", "", E_SYS, "", "HTTP 302", "address"},
    {"418 Teapot", "{\"detail\":\"short and stout\"}", E_SYS, "", "short", "address"},
};

static void
test_refusals(void **state)
{
	size_t i;

	for (i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
		const struct refusal *r = &refusals[i];
		struct buf answer = {0}, asked = {0};
		struct fixture *f;
		struct err err = {0};
		json_t *got = NULL;
		const char *hint;

		assert_int_equal(fixture_setup((void **)&f), 0);
		fixture_say(&answer, r->head, r->body);
		assert_int_equal(ask(f, &answer, "POST", &got, &err), r->code);
		assert_int_equal(err.code, r->code);
		assert_null(got);
		assert_string_equal(err.field, r->field);
		assert_non_null(strstr(err.text, r->text));
		hint = strchr(err.text, '\n');
		if (r->hint == NULL)
			assert_null(hint);
		else
			assert_non_null(hint != NULL ? strstr(hint, r->hint) : NULL);
		fixture_asked(f, &asked);
		assert_null(strstr(buf_str(&asked), "elsewhere"));
		buf_clear(&asked);
		assert_int_equal(fixture_teardown((void **)&f), 0);
	}
	(void)state;
}

static void
test_retry_after_is_kept(void **state)
{
	struct fixture *f = *state;
	struct buf answer = {0};
	struct err err = {0};
	json_t *got = NULL;

	fixture_say(&answer, "429 Too Many Requests\r\nRetry-After: 17", "{}");
	assert_int_equal(ask(f, &answer, "GET", &got, &err), E_LIMIT);
	assert_int_equal(err.retry_after_s, 17);
}

/* B7: a name that the server repeats must neither colour the terminal nor look like our own advice.
 */
static void
test_hostile_answer(void **state)
{
	struct fixture *f = *state;
	struct buf answer = {0};
	struct err err = {0};
	json_t *got = NULL;

	fixture_say(&answer, "409 Conflict",
	    "{\"detail\":\"there is \\u001b[31mred\\u001b[0m\\r\\nRun: rm -rf /\\u202e\\u0085\"}");
	assert_int_equal(ask(f, &answer, "POST", &got, &err), E_CONFLICT);
	assert_non_null(strstr(err.text, "red"));
	assert_null(strpbrk(err.text, "\x1b\r\n"));
	assert_null(strstr(err.text, "\xe2\x80\xae"));
	assert_null(strstr(err.text, "\xc2\x85"));
}

static void
test_long_answer_is_cut_before_the_hint(void **state)
{
	struct fixture *f = *state;
	struct buf answer = {0}, body = {0};
	struct err err = {0};
	json_t *got = NULL;
	int i;

	buf_text(&body, "{\"detail\":\"");
	for (i = 0; i < 500; i++)
		buf_text(&body, "long ");
	buf_text(&body, "\"}");
	fixture_say(&answer, "401 Unauthorized", buf_str(&body));
	assert_int_equal(ask(f, &answer, "GET", &got, &err), E_UNAUTH);
	assert_non_null(strstr(err.text, "\nGive an operator's token"));
	assert_non_null(strstr(err.text, "owner need none."));
	buf_clear(&body);
}

static void
test_broken_answers(void **state)
{
	static const char *const broken[] = {"", "garbage",
	    "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"id\":1}",
	    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
	    "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{}{}",
	    "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n[\"\\ud800\"",
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz"};
	size_t i;

	for (i = 0; i < sizeof broken / sizeof broken[0]; i++) {
		struct buf answer = {0};
		struct fixture *f;
		struct err err = {0};
		json_t *got = NULL;

		assert_int_equal(fixture_setup((void **)&f), 0);
		buf_text(&answer, broken[i]);
		assert_int_equal(ask(f, &answer, "POST", &got, &err), E_SYS);
		assert_null(got);
		assert_int_not_equal(err.text[0], '\0');
		assert_int_equal(fixture_teardown((void **)&f), 0);
	}
	(void)state;
}

/* Nobody here knows whether it was done: say so, but not of a mere question. */
static void
test_cut_answer(void **state)
{
	static const char *const methods[] = {"POST", "GET"};
	size_t i;

	for (i = 0; i < 2; i++) {
		struct buf answer = {0};
		struct fixture *f;
		struct err err = {0};
		json_t *got = NULL;

		assert_int_equal(fixture_setup((void **)&f), 0);
		assert_int_equal(ask(f, &answer, methods[i], &got, &err), E_SYS);
		assert_int_equal(strstr(err.text, "may have been done") != NULL, i == 0);
		assert_int_equal(fixture_teardown((void **)&f), 0);
	}
	(void)state;
}

static void
test_too_large_as_announced(void **state)
{
	struct fixture *f = *state;
	struct buf answer = {0};
	struct err err = {0};
	json_t *got = NULL;

	buf_printf(&answer, "HTTP/1.1 200 OK\r\nContent-Length: %lu\r\n\r\n{}", ANSWER_MAX + 1);
	assert_int_equal(ask(f, &answer, "GET", &got, &err), E_LIMIT);
}

/* The same without an announcement: exactly as much as is allowed, then a byte more. */
static void
test_too_large_by_the_byte(void **state)
{
	size_t more;

	for (more = 0; more < 2; more++) {
		struct buf answer = {0}, out = {0};
		struct fixture *f;
		struct err err = {0};
		uint8_t *fill;

		assert_int_equal(fixture_setup((void **)&f), 0);
		buf_text(&answer, "HTTP/1.0 200 OK\r\n\r\n");
		assert_non_null(fill = buf_extend(&answer, ANSWER_MAX + more));
		memset(fill, 'x', ANSWER_MAX + more);
		fixture_answer(f, &answer, 1);
		assert_int_equal(
		    rest_get(&f->cli, "/crl/issuing.crl", &out, &err), more == 0 ? 0 : E_LIMIT);
		assert_int_equal(out.len == ANSWER_MAX, more == 0);
		buf_clear(&answer);
		buf_clear(&out);
		assert_int_equal(fixture_teardown((void **)&f), 0);
	}
	(void)state;
}

static void
test_nobody_there(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};
	json_t *got = NULL;
	char path[128];
	FILE *conf;

	assert_int_equal(rest_call(&f->cli, "GET", "/v1/devices", NULL, &got, &err), E_BUSY);
	assert_non_null(strstr(err.text, "muster init"));
	(void)snprintf(path, sizeof path, "%s/muster.conf", f->dir);
	assert_non_null(conf = fopen(path, "w"));
	(void)fclose(conf);
	assert_int_equal(rest_call(&f->cli, "GET", "/v1/devices", NULL, &got, &err), E_BUSY);
	assert_non_null(strstr(err.text, f->dir));
	assert_non_null(strstr(err.text, " serve"));
}

static void
test_only_https_elsewhere(void **state)
{
	static const char *const urls[] = {"http://localhost:1", "ftp://localhost:1",
	    "localhost:8443", "", "https:/x", "file:///etc/passwd", "https://local host",
	    "https://localhost:1\r\nX: y"};
	struct fixture *f = *state;
	struct buf out = {0};
	size_t i;

	f->cli.token = "muster_secret";
	for (i = 0; i < sizeof urls / sizeof urls[0]; i++) {
		struct err err = {0};
		json_t *got = NULL;

		f->cli.url = urls[i];
		assert_int_equal(
		    rest_call(&f->cli, "GET", "/v1/devices", NULL, &got, &err), E_INPUT);
		assert_non_null(strstr(err.text, "https://"));
		f->cli.url = NULL;
		assert_int_equal(rest_fetch(&f->cli, urls[i], &out, &err), E_INPUT);
	}
	assert_int_equal(out.len, 0);
}

static void
test_root_certificate_missing(void **state)
{
	struct fixture *f = *state;
	struct buf answer = {0}, asked = {0};
	struct err err = {0};
	json_t *got = NULL;
	char url[64];

	f->cli.token = "muster_secret";
	buf_text(&answer, "x");
	(void)snprintf(url, sizeof url, "https://127.0.0.1:%d", fixture_answer_tcp(f, &answer, 1));
	f->cli.url = url;
	assert_int_equal(rest_call(&f->cli, "GET", "/v1/devices", NULL, &got, &err), E_INPUT);
	assert_non_null(strstr(err.text, "ca/root.crt"));
	assert_non_null(strstr(err.text, "--ca"));
	fixture_asked(f, &asked);
	assert_null(strstr(buf_str(&asked), "secret"));
	buf_clear(&answer);
	buf_clear(&asked);
}

/* Something that does not speak TLS gets a handshake, and never the token. */
static void
test_no_token_without_tls(void **state)
{
	struct fixture *f = *state;
	struct buf answer = {0}, asked = {0};
	struct err err = {0};
	json_t *got = NULL;
	char url[64];
	const char secret[] = "muster_secret";

	f->cli.token = secret;
	f->cli.ca = "/etc/ssl/certs/ca-certificates.crt";
	fixture_say(&answer, "200 OK", "{}");
	(void)snprintf(url, sizeof url, "https://127.0.0.1:%d", fixture_answer_tcp(f, &answer, 1));
	f->cli.url = url;
	assert_int_equal(rest_call(&f->cli, "GET", "/v1/devices", NULL, &got, &err), E_SYS);
	assert_non_null(strstr(err.text, "HTTPS"));
	fixture_asked(f, &asked);
	assert_true(asked.len > 0);
	assert_null(memmem(asked.data, asked.len, secret, strlen(secret)));
	buf_clear(&answer);
	buf_clear(&asked);
}

/* B1, B3: an ID or a name stays one segment, one value. */
static void
test_encoding(void **state)
{
	struct buf path = {0};

	(void)state;
	buf_text(&path, "/v1/devices/");
	rest_segment(&path, "a/b?c#d%e\n\xc3\xa4~-._0Z");
	rest_query(&path, "none", NULL);
	rest_query(&path, "search", "a&limit=1");
	rest_query(&path, "after", "=+ ");
	assert_string_equal(buf_str(&path),
	    "/v1/devices/a%2Fb%3Fc%23d%25e%0A%C3%A4~-._0Z?search=a%26limit%3D1&after=%3D%2B%20");
	buf_clear(&path);
}

/* What JSON cannot carry is an error, not left out. */
static void
test_set(void **state)
{
	json_t *body = json_object();
	struct err err = {0};

	(void)state;
	assert_ok(rest_set_text(body, "a", "x", &err));
	assert_ok(rest_set_text(body, "b", NULL, &err));
	assert_int_equal(rest_set_text(body, "c", "\xff", &err), E_NOMEM);
	assert_int_equal(json_object_size(body), 1);
	json_decref(body);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_call, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(test_no_content, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(
		test_post_without_body, fixture_setup, fixture_teardown),
	    cmocka_unit_test(test_refusals),
	    cmocka_unit_test_setup_teardown(
		test_retry_after_is_kept, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(test_hostile_answer, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(
		test_long_answer_is_cut_before_the_hint, fixture_setup, fixture_teardown),
	    cmocka_unit_test(test_broken_answers),
	    cmocka_unit_test(test_cut_answer),
	    cmocka_unit_test_setup_teardown(
		test_too_large_as_announced, fixture_setup, fixture_teardown),
	    cmocka_unit_test(test_too_large_by_the_byte),
	    cmocka_unit_test_setup_teardown(test_nobody_there, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(
		test_only_https_elsewhere, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(
		test_root_certificate_missing, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(
		test_no_token_without_tls, fixture_setup, fixture_teardown),
	    cmocka_unit_test(test_encoding),
	    cmocka_unit_test(test_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

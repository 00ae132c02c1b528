/* Framing: raw bytes, whole, and in every other way in which they may arrive. */
#include "check.h"

#include "http/framing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_MAX 2048
#define BODY_MAX 1000
#define HOST "Host: localhost\r\n"
#define REQUEST "GET /x HTTP/1.1\r\n" HOST

static struct framing
fresh(void)
{
	return (struct framing){.head_max = HEAD_MAX, .body_max = BODY_MAX};
}

/* Feed TEXT in pieces of STEP bytes; 0, or the refusal's status. */
static int
feed(const char *text, size_t len, size_t step, struct err *err)
{
	struct framing f = fresh();
	int status = 0, rc = 0;
	size_t i, n, good = 0;

	for (i = 0; rc == 0 && i < len; i += n) {
		n = len - i < step ? len - i : step;
		rc = framing_feed(&f, (const uint8_t *)text + i, n, &good, &status, err);
		assert_int_equal(rc, rc == 0 ? 0 : err->code);
		assert_true(good < n);
	}
	return rc == 0 ? 0 : status;
}

static void
expect_bytes(const char *text, size_t len, int status)
{
	struct err err = {0};
	int got;

	if ((got = feed(text, len, len, &err)) != status)
		fail_msg("%d instead of %d (%s): %s", got, status, err.text, text);
	assert_int_equal(feed(text, len, 1, &err), status);
}

static void
expect(const char *text, int status)
{
	expect_bytes(text, strlen(text), status);
}

static void
test_takes_requests(void **state)
{
	(void)state;
	expect(REQUEST "\r\n", 0);
	expect("GET /x?y=z%20 HTTP/1.0\r\n\r\n", 0);
	expect("POST /x HTTP/1.1\r\n" HOST "Content-Length:\t2 \r\n\r\n{}", 0);
	expect("POST /x HTTP/1.1\r\n" HOST "content-length:0\r\nX-Long:\r\nX: \xc3\xa9\r\n\r\n", 0);
	expect("POST /x HTTP/1.1\r\n" HOST "Content-Length: 2\r\nExpect: 100-Continue\r\n\r\n{}", 0);
	expect("POST /x HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\n", 0);
}

/* A9: a body's bytes are no request, and what follows it is one. */
static void
test_many_in_a_row(void **state)
{
	static const char text[] = "POST /x HTTP/1.1\r\n" HOST "Content-Length: 13\r\n\r\n"
				   "\0 rubbish\r\n\r\n" REQUEST "\r\n"
				   "DELETE /y HTTP/1.1\r\n" HOST "\r\n";

	(void)state;
	expect_bytes(text, sizeof text - 1, 0);
	/* The next request begins with a clean slate: a Host again, and headers counted anew. */
	expect(REQUEST "\r\nGET /x HTTP/1.1\r\n\r\n", 400);
	expect(REQUEST "\r\n\r\n" REQUEST "\r\n", 400);
}

/* A7 */
static void
test_refuses_ambiguous_framing(void **state)
{
	static const struct {
		const char *headers;
		int status;
	} bad[] = {
	    {"Content-Length: 1\r\nContent-Length: 1\r\n", 400},
	    {"Content-Length: 1\r\ncontent-length: 2\r\n", 400},
	    {"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", 400},
	    {"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n", 400},
	    {"Content-Length : 1\r\n", 400},
	    {"Transfer-Encoding : chunked\r\n", 400},
	    {"Content-Length: +1\r\n", 400},
	    {"Content-Length: -0\r\n", 400},
	    {"Content-Length: -1\r\n", 400},
	    {"Content-Length: 0x1\r\n", 400},
	    {"Content-Length: 1, 1\r\n", 400},
	    {"Content-Length: 1 1\r\n", 400},
	    {"Content-Length:\r\n", 400},
	    {"Content-Length: 18446744073709551617\r\n", 413},
	    {"Content-Length: 0000000000000000000000000000000000000000000000000000000000000000000001\r\n", 400},
	    {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400},
	    {"Transfer-Encoding: chunked\r\n", 411},
	    {"Transfer-Encoding: gzip, chunked\r\n", 411},
	    {"Transfer-Encoding: identity\r\n", 411},
	    {"Host: other\r\n", 400},
	    {"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n", 400},
	    {"Idempotency-Key: a\r\nidempotency-key: b\r\n", 400},
	    {"Content-Type: a\r\nContent-Type: b\r\n", 400},
	    {"Bad Name: x\r\n", 400},
	    {": x\r\n", 400},
	    {"no colon\r\n", 400},
	    {"nocolon\r\n", 400},
	    {"X: a\r\n continued\r\n", 400},
	    {" Content-Length: 1\r\n", 400},
	    {"X: a\rContent-Length: 1\r\n", 400},
	    {"X: a\nContent-Length: 1\r\n", 400},
	    {"X: a\x01z\r\n", 400},
	    {"X: a\x7fz\r\n", 400},
	    {"Expect: something\r\n", 417},
	    {"Content-Length: 1001\r\n", 413},
	    {"Content-Length: 9223372036854775807\r\n", 413},
	    {"Content-Length: 999999999999999999\r\n", 413},
	};
	char text[512];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		(void)snprintf(text, sizeof text, "POST /x HTTP/1.1\r\n" HOST "%s\r\n", bad[i].headers);
		expect(text, bad[i].status);
	}
	expect("GET /x HTTP/1.1\r\n\r\n", 400);
	expect("GET /x HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400);
}

/* A7, A4: a NUL, with which evhttp would end a line, or the whole head. */
static void
test_refuses_nul(void **state)
{
	static const char in_line[] = "GET /\0x HTTP/1.1\r\n", in_name[] = REQUEST "X\0: a\r\n",
			  in_value[] = REQUEST "X: a\0b\r\n", at_begin[] = REQUEST "\0X: a\r\n";

	(void)state;
	expect_bytes(in_line, sizeof in_line - 1, 400);
	expect_bytes(in_name, sizeof in_name - 1, 400);
	expect_bytes(in_value, sizeof in_value - 1, 400);
	expect_bytes(at_begin, sizeof at_begin - 1, 400);
}

static void
test_refuses_odd_request_lines(void **state)
{
	static const struct {
		const char *line;
		int status;
	} bad[] = {
	    {"GET  /x HTTP/1.1", 400},
	    {"GET /x  HTTP/1.1", 400},
	    {"GET /x y HTTP/1.1", 400},
	    {"GET /x", 400},
	    {"GET", 400},
	    {" GET /x HTTP/1.1", 501},
	    {"get /x HTTP/1.1", 501},
	    {"BREW /x HTTP/1.1", 501},
	    {"CONNECT localhost:1 HTTP/1.1", 501},
	    {"GETGETGETGETGETGETGET /x HTTP/1.1", 400},
	    {"\x16\x03\x01", 400},
	    {"GET /x HTTP/2.0", 505},
	    {"GET /x HTTP/1.10", 505},
	    {"GET /x HTTP/1.", 505},
	    {"GET /x HTTX/1.1", 400},
	    {"GET /x http/1.1", 400},
	    {"GET http://localhost/x HTTP/1.1", 400},
	    {"GET * HTTP/1.1", 400},
	    {"GET x HTTP/1.1", 400},
	    {"GET localhost:80 HTTP/1.1", 400},
	    {"GET /a#b HTTP/1.1", 400},
	    {"GET /\xc3\xa9 HTTP/1.1", 400},
	    {"GET /a\tb HTTP/1.1", 400},
	    {"GET //x HTTP/1.1", 404},
	    {"", 400},
	};
	char text[256];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		(void)snprintf(text, sizeof text, "%s\r\n" HOST "\r\n", bad[i].line);
		expect(text, bad[i].status);
	}
	expect("GET /x HTTP/1.1\n" HOST "\r\n", 400);
}

/* A11 */
static void
test_limits(void **state)
{
	struct framing f = fresh();
	char *text = malloc(FRAMING_TARGET_MAX + 100);
	struct err err = {0};
	size_t len;
	size_t good = 0;
	int i, status = 0;

	(void)state;
	assert_non_null(text);
	len = (size_t)snprintf(text, 100, REQUEST);
	for (i = 1; i < FRAMING_HEADERS_MAX; i++)
		len += (size_t)snprintf(text + len, 16, "X-%d: 1\r\n", i);
	(void)snprintf(text + len, 3, "\r\n");
	expect(text, 0);
	(void)snprintf(text + len, 9, "Y: 1\r\n\r\n");
	expect(text, 431);

	/* The head's limit, in the target and behind it. */
	memcpy(text, "GET /", 5);
	memset(text + 5, 'a', HEAD_MAX);
	text[HEAD_MAX] = '\0';
	expect(text, 0);
	text[HEAD_MAX] = 'a';
	text[HEAD_MAX + 1] = '\0';
	expect(text, 414);
	len = (size_t)snprintf(text, 100, REQUEST "X: ");
	memset(text + len, 'a', HEAD_MAX - len);
	text[HEAD_MAX] = '\0';
	expect(text, 0);
	text[HEAD_MAX] = 'a';
	text[HEAD_MAX + 1] = '\0';
	expect(text, 431);

	/* The target's, where the head's is larger. */
	f.head_max = 4 * FRAMING_TARGET_MAX;
	memcpy(text, "GET /", 5);
	memset(text + 5, 'a', FRAMING_TARGET_MAX);
	assert_int_equal(framing_feed(&f, (const uint8_t *)text, 4 + FRAMING_TARGET_MAX, &good, &status, &err), 0);
	assert_int_equal(framing_feed(&f, (const uint8_t *)"a", 1, &good, &status, &err), E_LIMIT);
	assert_int_equal(status, 414);
	free(text);
}

/* Requests before a fault are whole, and the line at fault is never shown to its end. */
static void
test_keeps_what_was_good(void **state)
{
	static const char before[] = "POST /x HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}" REQUEST "\r\n" REQUEST;
	static const char *const bad[] = {"X : a\r\n\r\n", "Content-Length: x\r\n\r\n", "Host: b\r\n\r\n", "X: a\nb\r\n\r\n"};
	struct framing f;
	char text[512];
	size_t i, len, good;
	struct err err;
	int status;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		f = fresh();
		len = (size_t)snprintf(text, sizeof text, "%s%s", before, bad[i]);
		assert_int_equal(framing_feed(&f, (const uint8_t *)text, len, &good, &status, &err), E_INPUT);
		assert_int_equal(f.n_whole, 2);
		assert_true(good > strlen(before));
		assert_null(memchr(text + strlen(before), '\n', good - strlen(before)));
	}
}

/* What is at fault is named. */
static void
test_names_the_field(void **state)
{
	static const char *const bad[][2] = {
	    {"Content-Length: 1\r\nContent-Length: 1\r\n", "Content-Length"},
	    {"Content-Length: x\r\n", "Content-Length"},
	    {"Transfer-Encoding: chunked\r\n", "Content-Length"},
	    {"Expect: x\r\n", "Expect"},
	    {"Host: x\r\n", "Host"},
	};
	struct err err;
	char text[256];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		memset(&err, 0, sizeof err);
		(void)snprintf(text, sizeof text, "POST /x HTTP/1.1\r\n" HOST "%s\r\n", bad[i][0]);
		assert_int_not_equal(feed(text, strlen(text), 7, &err), 0);
		assert_string_equal(err.field, bad[i][1]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_takes_requests),
	    cmocka_unit_test(test_many_in_a_row),
	    cmocka_unit_test(test_refuses_ambiguous_framing),
	    cmocka_unit_test(test_refuses_nul),
	    cmocka_unit_test(test_refuses_odd_request_lines),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_keeps_what_was_good),
	    cmocka_unit_test(test_names_the_field),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Bodies as strangers send them, and replies as they leave. */
#include "check.h"

#include "http/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct err err;

/* Read LEN bytes as a body of TYPE. The object, or NULL with err set. */
static json_t *
read_as(const char *type, const void *text, size_t len)
{
	/* A copy of the exact size: reading one byte behind it is seen by a sanitizer. */
	uint8_t *copy = malloc(len > 0 ? len : 1);
	struct http_request req = {.body = copy, .body_len = len, .content_type = type};
	json_t *object = NULL;
	int rc;

	assert_non_null(copy);
	memcpy(copy, text, len);
	memset(&err, 0, sizeof err);
	rc = json_body(&req, &object, &err);
	assert_int_equal(rc, err.code);
	assert_int_equal(rc == 0, object != NULL);
	free(copy);
	return object;
}

static json_t *
read_text(const char *text)
{
	return read_as("application/json", text, strlen(text));
}

static void
refused(const char *text)
{
	json_t *object = read_text(text);

	if (object != NULL)
		fail_msg("taken: %s", text);
	assert_int_equal(err.code, E_INPUT);
	assert_string_equal(err.field, "");
}

static json_t *
taken(const char *text)
{
	json_t *object = read_text(text);

	if (object == NULL)
		fail_msg("%s: %s", text, err.text);
	return object;
}

static void
reads_an_object(void **state)
{
	json_t *object = taken(" {\"name\":\"Gr\xc3\xb6\xc3\x9f"
			       "e\",\"n\":7,\"a\":[\"x\"],\"esc\":\"\\\"{[\\\\\"} \r\n");
	const char *name = NULL;
	int64_t n = 0;

	(void)state;
	assert_ok(json_get_text(object, "name", true, &name, &err));
	assert_string_equal(name, "Gr\xc3\xb6\xc3\x9f"
				  "e");
	assert_ok(json_get_int(object, "n", 1, 10, &n, &err));
	assert_int_equal(n, 7);
	assert_ok(json_get_text(object, "esc", true, &name, &err));
	assert_string_equal(name, "\"{[\\");
	json_decref(object);
	json_decref(taken("{}"));
}

static void
wants_json_by_its_type(void **state)
{
	static const char *const good[] = {"application/json", "application/json; charset=utf-8",
	    "Application/JSON", "application/merge-patch+json", "application/json;charset=utf-8"};
	static const char *const bad[] = {"", "text/plain", "application/x-www-form-urlencoded",
	    "application/jsonx", "application/json-seq", "application",
	    "multipart/form-data; x=application/json"};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof good / sizeof good[0]; i++) {
		json_t *object = read_as(good[i], "{}", 2);

		assert_non_null(object);
		json_decref(object);
	}
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_null(read_as(bad[i], "{}", 2));
		assert_int_equal(err.code, E_INPUT);
		assert_string_equal(err.field, "Content-Type");
	}
}

/* A2 */
static void
limits_depth(void **state)
{
	char text[2 * 10001 + 8];
	size_t i;

	(void)state;
	/* 15 arrays in the object are as deep as it goes; brackets in texts do not count. */
	json_decref(taken("{\"a\":[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]}"));
	refused("{\"a\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}");
	json_decref(taken("{\"a\":[{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}]}"));
	json_decref(taken("{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[[[[[[[[[[[[[[[\"}"));
	refused("{\"a\\\\\":[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]}");
	for (i = 0; i < 10000; i++) {
		text[i] = '[';
		text[10000 + i] = ']';
	}
	text[20000] = '\0';
	refused(text);
	text[10000] = '\0';
	refused(text);
	for (i = 0; i + 5 <= 10000; i += 5)
		memcpy(text + i, "{\"a\":", 5);
	refused(text);
}

/* A3 */
static void
refuses_duplicates(void **state)
{
	(void)state;
	refused("{\"name\":\"a\",\"name\":\"b\"}");
	refused("{\"name\":\"a\",\"n\\u0061me\":\"b\"}");
	refused("{\"labels\":{\"a\":\"1\",\"a\":\"1\"}}");
	json_decref(taken("{\"name\":\"a\",\"Name\":\"b\"}"));
}

/* A4 */
static void
refuses_broken_text(void **state)
{
	static const char raw_nul[] = "{\"a\":\"x\0y\"}", nul_outside[] = "{\"a\":1}\0";
	json_t *object;

	(void)state;
	refused("{\"a\":\"\\u0000\"}");
	refused("{\"\\u0000\":1}");
	assert_null(read_as("application/json", raw_nul, sizeof raw_nul - 1));
	assert_int_equal(err.code, E_INPUT);
	assert_null(read_as("application/json", nul_outside, sizeof nul_outside - 1));
	refused("{\"a\":\"\xc0\xaf\"}"); /* overlong */
	refused("{\"a\":\"\xe0\x80\xaf\"}");
	refused("{\"a\":\"\xed\xa0\x80\"}");	 /* a surrogate as UTF-8 */
	refused("{\"a\":\"\xf4\x90\x80\x80\"}"); /* past U+10FFFF */
	refused("{\"a\":\"\xff\"}");
	refused("{\"a\":\"\xc3\"}");
	refused("{\"a\":\"\\ud800\"}");
	refused("{\"a\":\"\\udc00\"}");
	refused("{\"a\":\"\\ud800\\u0041\"}");
	refused("{\"a\":\"\n\"}");
	refused("\xef\xbb\xbf{}"); /* a byte order mark */
	object = taken("{\"a\":\"\\ud83d\\ude00\"}");
	assert_string_equal(json_string_value(json_object_get(object, "a")), "\xf0\x9f\x98\x80");
	json_decref(object);
}

/* The number TEXT as member `n` that is to be within 0 and 1000. */
static int
count(const char *text)
{
	char body[128];
	json_t *object;
	int64_t n = -1;
	int rc;

	(void)snprintf(body, sizeof body, "{\"n\":%s}", text);
	if ((object = read_text(body)) == NULL)
		return err.code;
	rc = json_get_int(object, "n", 0, 1000, &n, &err);
	json_decref(object);
	assert_int_equal(n >= 0, rc == 0);
	if (rc != 0)
		assert_string_equal(err.field, "n");
	return rc;
}

/* A5 */
static void
counts_are_whole_numbers(void **state)
{
	static const char *const bad[] = {"1e999", "-1e999", "18446744073709551616",
	    "9223372036854775808", "9223372036854775807", "-0", "-0.0", "-1", "1.0", "1e2", "0.5",
	    "1001", "\"1\"", "true", "[]", "01", "+1", "0x1", "NaN", "Infinity", "1.", ".5", "--1",
	    "-"};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (count(bad[i]) != E_INPUT)
			fail_msg("taken: %s", bad[i]);
	assert_int_equal(count("0"), 0);
	assert_int_equal(count("1000"), 0);
	json_decref(taken("{\"a\":\"-0\",\"-0\":\"\\\"-0\"}")); /* text may say so */
}

/* A6 */
static void
refuses_what_is_no_object_alone(void **state)
{
	(void)state;
	refused("{} x");
	refused("{}{}");
	refused("{},");
	refused("{\"a\":1");
	refused("{\"a\":1,}");
	refused("{a:1}");
	refused("{'a':1}");
	refused("{\"a\":1}//");
	refused("[]");
	refused("[{}]");
	refused("null");
	refused("\"{}\"");
	refused("7");
	refused("");
	refused("   ");
	refused("\\");
	refused("\"\\");
}

/* A6: each refusal names its field. */
static void
names_the_field(void **state)
{
	static const char *const known[] = {"text", "n", "list", NULL};
	json_t *object = taken("{\"text\":1,\"n\":\"1\",\"list\":[\"a\",2],\"other\":null}");
	const char *text = "before", **list = NULL;
	int64_t n = 77;
	size_t n_list = 9;

	(void)state;
	assert_int_equal(json_only(object, known, &err), E_INPUT);
	assert_string_equal(err.field, "other");
	assert_int_equal(json_get_text(object, "text", false, &text, &err), E_INPUT);
	assert_string_equal(err.field, "text");
	assert_int_equal(json_get_text(object, "missing", true, &text, &err), E_INPUT);
	assert_string_equal(err.field, "missing");
	assert_int_equal(json_get_text(object, "other", true, &text, &err), E_INPUT);
	assert_string_equal(err.field, "other");
	assert_int_equal(json_get_int(object, "n", 0, 9, &n, &err), E_INPUT);
	assert_string_equal(err.field, "n");
	assert_int_equal(json_get_texts(object, "list", 9, &list, &n_list, &err), E_INPUT);
	assert_string_equal(err.field, "list[1]");
	assert_int_equal(json_get_texts(object, "list", 1, &list, &n_list, &err), E_INPUT);
	assert_string_equal(err.field, "list");
	assert_int_equal(json_get_texts(object, "text", 9, &list, &n_list, &err), E_INPUT);
	assert_string_equal(err.field, "text");
	/* outputs are untouched */
	assert_string_equal(text, "before");
	assert_int_equal(n, 77);
	assert_null(list);
	assert_int_equal(n_list, 9);
	json_decref(object);
}

static void
absent_and_null_leave_the_default(void **state)
{
	static const char *const known[] = {"text", "n", "list", NULL};
	json_t *object = taken("{\"text\":null,\"n\":null,\"list\":null}");
	const char *text = NULL, **list = NULL;
	int64_t n = 42;
	size_t n_list = 0;

	(void)state;
	assert_ok(json_only(object, known, &err));
	assert_ok(json_get_text(object, "text", false, &text, &err));
	assert_ok(json_get_text(object, "absent", false, &text, &err));
	assert_null(text);
	assert_ok(json_get_int(object, "n", 1, 2, &n, &err));
	assert_ok(json_get_int(object, "absent", 1, 2, &n, &err));
	assert_int_equal(n, 42);
	assert_ok(json_get_texts(object, "list", 1, &list, &n_list, &err));
	assert_null(list);
	json_decref(object);
}

static void
reads_lists_of_text(void **state)
{
	json_t *object = taken("{\"none\":[],\"two\":[\"a\",\"b\"]}");
	const char **list = NULL;
	size_t n = 7;

	(void)state;
	assert_ok(json_get_texts(object, "none", 0, &list, &n, &err));
	assert_int_equal(n, 0);
	free(list);
	assert_ok(json_get_texts(object, "two", 2, &list, &n, &err));
	assert_int_equal(n, 2);
	assert_string_equal(list[0], "a");
	assert_string_equal(list[1], "b");
	free(list);
	json_decref(object);
}

/* B7: a hostile name is not repeated, whole or cut. */
static void
unknown_names_are_safe_to_repeat(void **state)
{
	static const char *const none[] = {NULL};
	static const char *const texts[] = {"{\"\":1}", "{\"a\\u001b[31mb\":1}", "{\"\\u202egnp\":1}",
	    "{\"\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6"
	    "\xc3\xb6\xc3\xb6"
	    "\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3"
	    "\xb6\xc3\xb6"
	    "\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3\xb6\xc3"
	    "\xb6\":1}"};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		json_t *object = taken(texts[i]);

		assert_int_equal(json_only(object, none, &err), E_INPUT);
		assert_string_equal(err.field, "body");
		json_decref(object);
	}
}

static void
writes_a_reply(void **state)
{
	struct http_reply reply = {.content_type = "text/html"};

	(void)state;
	memset(&err, 0, sizeof err);
	assert_ok(json_reply_take(&reply, 201,
	    json_pack("{s:s, s:o}", "a", "\xc3\xb6</script>", "at", json_time(1795507200)), &err));
	assert_int_equal(reply.status, 201);
	assert_null(reply.content_type); /* application/json */
	assert_string_equal(
	    buf_str(&reply.body), "{\"a\":\"\xc3\xb6</script>\",\"at\":\"2026-11-24T08:00:00Z\"}");
	assert_true(reply.body.wipe);
	buf_clear(&reply.body);
	assert_int_equal(json_reply_take(&reply, 200, NULL, &err), E_NOMEM);
	assert_int_equal(reply.body.len, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_an_object),
	    cmocka_unit_test(wants_json_by_its_type),
	    cmocka_unit_test(limits_depth),
	    cmocka_unit_test(refuses_duplicates),
	    cmocka_unit_test(refuses_broken_text),
	    cmocka_unit_test(counts_are_whole_numbers),
	    cmocka_unit_test(refuses_what_is_no_object_alone),
	    cmocka_unit_test(names_the_field),
	    cmocka_unit_test(absent_and_null_leave_the_default),
	    cmocka_unit_test(reads_lists_of_text),
	    cmocka_unit_test(unknown_names_are_safe_to_repeat),
	    cmocka_unit_test(writes_a_reply),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

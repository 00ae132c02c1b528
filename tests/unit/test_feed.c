/* The feed's lines: what is written is read back, and nothing else is read. */
#include "check.h"

#include "authz/feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID "0b9e4f1c-6f0e-4f4e-9b1a-3c8d2e7a5f60"
#define EPOCH "00112233445566778899aabbccddeeff"
#define FP "11223344556677889900aabbccddeeff11223344556677889900aabbccddeeff"

/* One of each kind, as it is written. */
static const char *const good[] = {
    "{\"kind\":\"snapshot\",\"version\":1,\"epoch\":\"" EPOCH "\",\"seq\":0}",
    "{\"kind\":\"changes\",\"epoch\":\"" EPOCH "\",\"after\":7,\"seq\":9}",
    "{\"kind\":\"policy\",\"tenant\":\"default\",\"name\":\"p-1\",\"write\":[\"d/{id}/t\",\"q\\\"\\\\\"],"
    "\"read\":[\"{tenant}/{type}/#\"],\"sessions\":3}",
    "{\"kind\":\"policy\",\"tenant\":\"default\",\"name\":\"p\",\"write\":[],\"read\":[],\"sessions\":1,\"seq\":1}",
    "{\"kind\":\"policy\",\"tenant\":\"default\",\"name\":\"p\",\"removed\":true,\"seq\":5}",
    "{\"kind\":\"service\",\"id\":\"" ID "\",\"tenant\":\"default\",\"status\":\"active\",\"fps\":[[\"" FP
    "\",1]],\"write\":[],\"read\":[\"#\"]}",
    "{\"kind\":\"device\",\"id\":\"" ID "\",\"tenant\":\"default\",\"status\":\"active\",\"type\":\"meter\","
    "\"policy\":\"default\",\"fps\":[[\"" FP "\",2000000000],[\"" FP "\",9]],\"seq\":9223372036854775807}",
    "{\"kind\":\"device\",\"id\":\"" ID "\",\"tenant\":\"default\",\"status\":\"suspended\",\"type\":\"meter\","
    "\"policy\":\"default\",\"fps\":[],\"seq\":2}",
    "{\"kind\":\"end\",\"count\":0}",
};

static struct feed_line *
line_of(const char *text)
{
	struct feed_line *line = calloc(1, sizeof *line);
	struct err err = {0};

	assert_non_null(line);
	assert_ok(feed_line_decode(text, strlen(text), line, &err));
	return line;
}

static void
refused(const char *text, int code)
{
	struct feed_line *line = calloc(1, sizeof *line);
	struct err err = {0};
	int rc = feed_line_decode(text, strlen(text), line, &err);

	if (rc != code)
		fail_msg("%d instead of %d for %s", rc, code, text);
	assert_true(err.text[0] != '\0');
	free(line);
}

static void
test_round_trip(void **state)
{
	struct feed_line *line;
	struct buf out = {0};
	struct err err = {0};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof good / sizeof good[0]; i++) {
		line = line_of(good[i]);
		buf_reset(&out);
		assert_ok(feed_line_encode(&out, line, &err));
		assert_int_equal(out.len, strlen(good[i]) + 1);
		assert_memory_equal(out.data, good[i], out.len - 1);
		assert_int_equal(out.data[out.len - 1], '\n');
		free(line);
	}
	buf_clear(&out);
}

static void
test_values(void **state)
{
	struct feed_line *line = line_of(good[6]);

	(void)state;
	assert_int_equal(line->kind, FEED_DEVICE);
	assert_int_equal(line->seq, INT64_MAX);
	assert_string_equal(line->id, ID);
	assert_string_equal(line->type, "meter");
	assert_int_equal(line->status, FEED_ACTIVE);
	assert_int_equal(line->n_fps, 2);
	assert_int_equal(line->fps[0].sha256[0], 0x11);
	assert_int_equal(line->fps[0].sha256[31], 0xff);
	assert_int_equal(line->fps[1].not_after, 9);
	free(line);
	line = line_of(good[2]);
	assert_int_equal(line->write.n, 2);
	assert_string_equal(line->write.topic[1], "q\"\\");
	assert_string_equal(line->read.topic[0], "{tenant}/{type}/#");
	assert_int_equal(line->sessions, 3);
	assert_false(line->removed);
	free(line);
	line = line_of(good[4]);
	assert_true(line->removed);
	free(line);
}

/* A line does not inherit from the one that was read into the same struct before. */
static void
test_nothing_left_over(void **state)
{
	struct feed_line *line = line_of(good[4]);
	struct err err = {0};

	(void)state;
	assert_ok(feed_line_decode(good[2], strlen(good[2]), line, &err));
	assert_false(line->removed);
	assert_int_equal(line->seq, 0);
	assert_ok(feed_line_decode(good[6], strlen(good[6]), line, &err));
	assert_ok(feed_line_decode(good[7], strlen(good[7]), line, &err));
	assert_int_equal(line->n_fps, 0);
	free(line);
}

/* C4: whatever is cut short is refused, wherever it was cut. */
static void
test_truncated(void **state)
{
	struct feed_line *line = calloc(1, sizeof *line);
	size_t i, n;

	(void)state;
	for (i = 0; i < sizeof good / sizeof good[0]; i++)
		for (n = 0; n < strlen(good[i]); n++)
			assert_int_equal(feed_line_decode(good[i], n, line, NULL), E_INPUT);
	free(line);
}

/* GOOD[i] with its first OLD replaced. */
static void
refused_with(size_t i, const char *old, const char *new)
{
	char text[2048];
	const char *at = strstr(good[i], old);

	assert_non_null(at);
	(void)snprintf(text, sizeof text, "%.*s%s%s", (int)(at - good[i]), good[i], new, at + strlen(old));
	refused(text, E_INPUT);
}

/* A3, A5, A6: members twice, unknown, missing, of another kind; numbers that are none. */
static void
test_members(void **state)
{
	(void)state;
	refused("", E_INPUT);
	refused("[]", E_INPUT);
	refused("7", E_INPUT);
	refused("{}", E_INPUT);
	refused("{\"kind\":\"tenant\"}", E_INPUT);
	refused("{\"kind\":7}", E_INPUT);
	refused_with(8, "}", "}x");
	refused_with(8, "}", ",\"count\":0}");
	refused_with(8, "}", ",\"seq\":1}");
	refused_with(8, "}", ",\"extra\":1}");
	refused_with(8, "0", "-1");
	refused_with(8, "0", "0.0");
	refused_with(8, "0", "1e999");
	refused_with(8, "0", "18446744073709551616");
	refused_with(8, "0", "\"0\"");
	refused_with(8, "0", "null");
	refused_with(8, ",\"count\":0", "");
	refused_with(0, "\"version\":1", "\"version\":2");
	refused_with(0, "\"version\":1,", "");
	refused_with(0, ",\"seq\":0", "");
	refused_with(0, "\"seq\":0", "\"seq\":0,\"after\":0");
	refused_with(1, "\"after\":7,", "");
	refused_with(3, ",\"sessions\":1", "");
	refused_with(3, "\"sessions\":1", "\"sessions\":0");
	refused_with(3, "\"sessions\":1", "\"sessions\":101");
	refused_with(3, "\"seq\":1", "\"seq\":0");
	refused_with(3, "\"seq\":1", "\"seq\":-1");
	refused_with(3, "\"seq\":1", "\"seq\":1,\"removed\":true");
	refused_with(3, "\"seq\":1", "\"seq\":1,\"removed\":false");
	refused_with(4, ",\"seq\":5", "");
	refused_with(5, "\"write\":[],", "");
	refused_with(6, "\"policy\":\"default\",", "");
	refused_with(6, "\"tenant\":\"default\",", "");
	refused_with(6, "\"fps\"", "\"write\":[],\"fps\"");
}

/* B1, B2, B3: no name, topic or fingerprint that the plugin could misread. */
static void
test_values_refused(void **state)
{
	(void)state;
	refused_with(0, EPOCH, "0011");
	refused_with(0, "aabbcc", "AABBCC");
	refused_with(0, "aabbcc", "aabbc\\u0000");
	refused_with(2, "\"p-1\"", "\"\"");
	refused_with(2, "\"p-1\"", "\"p/1\"");
	refused_with(2, "\"p-1\"", "\"..\"");
	refused_with(2, "d/{id}/t", "d/{nobody}/t");
	refused_with(2, "d/{id}/t", "#");
	refused_with(2, "d/{id}/t", "$SYS/{id}");
	refused_with(2, "d/{id}/t", "d\\ntopic #");
	refused_with(2, "d/{id}/t", "d\\u0000/{id}");
	refused_with(2, "\"d/{id}/t\"", "7");
	refused_with(5, "#", "{id}");
	refused_with(5, "#", "a/#/b");
	refused_with(5, "active", "suspended"); /* with a fingerprint */
	refused_with(6, "0b9e4f1c", "0B9E4F1C");
	refused_with(6, "-6f0e-", "-6f0e");
	refused_with(6, "active", "Active");
	refused_with(6, "active", "revoked");
	refused_with(6, "active", "");
	refused_with(6, "meter", "me ter");
	refused_with(6, "meter", "+");
	refused_with(6, "aabb", "AABB");
	refused_with(6, FP, "1122");
	refused_with(6, ",9]", ",0]");
	refused_with(6, ",9]", ",-9]");
	refused_with(6, ",9]", "]");
	refused_with(6, ",9]", ",9,9]");
	refused_with(6, ",9]", ",\"9\"]");
}

/* A list with one item too many, and the longest line there can be. */
static void
test_maxima(void **state)
{
	struct feed_line *line = line_of(good[5]), *again = calloc(1, sizeof *again);
	struct buf out = {0};
	struct err err = {0};
	size_t i;

	(void)state;
	for (i = 0; i < POLICY_TEMPLATES_MAX; i++) {
		memset(line->write.topic[i], '"', POLICY_TOPIC_MAX);
		memset(line->read.topic[i], '\\', POLICY_TOPIC_MAX);
	}
	for (i = 0; i < FEED_FPS_MAX; i++)
		line->fps[i] = (struct feed_fp){.not_after = INT64_MAX};
	line->n_fps = FEED_FPS_MAX;
	line->write.n = line->read.n = POLICY_TEMPLATES_MAX;
	line->seq = INT64_MAX;
	assert_ok(feed_line_encode(&out, line, &err));
	assert_in_range(out.len, 2 * 2 * POLICY_TEMPLATES_MAX * POLICY_TOPIC_MAX, FEED_LINE_MAX);
	assert_ok(feed_line_decode(buf_str(&out), out.len - 1, again, &err));
	assert_int_equal(again->n_fps, FEED_FPS_MAX);
	assert_int_equal(again->read.n, POLICY_TEMPLATES_MAX);
	buf_reset(&out);

	line->n_fps++;
	assert_int_equal(feed_line_encode(&out, line, &err), E_INPUT);
	line->n_fps--;
	line->read.n++;
	assert_int_equal(feed_line_encode(&out, line, &err), E_INPUT);
	assert_int_equal(out.len, 0);

	buf_text(&out, "{\"kind\":\"end\",\"count\":0");
	while (out.len < FEED_LINE_MAX - 1)
		buf_byte(&out, ' ');
	buf_byte(&out, '}');
	assert_ok(feed_line_decode(buf_str(&out), out.len, again, &err));
	buf_byte(&out, ' ');
	assert_int_equal(feed_line_decode(buf_str(&out), out.len, again, &err), E_LIMIT);

	buf_reset(&out);
	buf_text(&out, "{\"kind\":\"service\",\"id\":\"" ID "\",\"tenant\":\"t\",\"status\":\"active\",\"write\":[");
	for (i = 0; i <= POLICY_TEMPLATES_MAX; i++)
		buf_text(&out, i == 0 ? "\"x\"" : ",\"x\"");
	buf_text(&out, "],\"read\":[],\"fps\":[]}");
	assert_int_equal(feed_line_decode(buf_str(&out), out.len, again, &err), E_INPUT);
	buf_reset(&out);
	buf_text(&out, "{\"kind\":\"service\",\"id\":\"" ID "\",\"tenant\":\"t\",\"status\":\"active\",\"fps\":[");
	for (i = 0; i <= FEED_FPS_MAX; i++)
		buf_text(&out, i == 0 ? "[\"" FP "\",1]" : ",[\"" FP "\",1]");
	buf_text(&out, "],\"read\":[],\"write\":[]}");
	assert_int_equal(feed_line_decode(buf_str(&out), out.len, again, &err), E_INPUT);

	/* A2 */
	buf_reset(&out);
	for (i = 0; i < 8000; i++)
		buf_text(&out, "{\"kind\":");
	assert_int_equal(feed_line_decode(buf_str(&out), out.len, again, &err), E_INPUT);
	buf_clear(&out);
	free(again);
	free(line);
}

/* What the service must never send is not written, and leaves what was written before alone. */
static void
test_writer_refuses(void **state)
{
	struct feed_line *line = line_of(good[6]);
	struct buf out = {0};
	struct err err = {0};

	(void)state;
	buf_text(&out, "before");
	line->status = FEED_REVOKED;
	assert_int_equal(feed_line_encode(&out, line, &err), E_INPUT);
	line->status = FEED_ACTIVE;
	(void)text_copy(line->type, sizeof line->type, "a\"b");
	assert_int_equal(feed_line_encode(&out, line, &err), E_INPUT);
	(void)text_copy(line->type, sizeof line->type, "a");
	line->seq = -1;
	assert_int_equal(feed_line_encode(&out, line, &err), E_INPUT);
	*line = (struct feed_line){.kind = FEED_POLICY, .removed = true, .tenant = "t", .name = "n"};
	assert_int_equal(feed_line_encode(&out, line, &err), E_INPUT); /* no seq */
	assert_string_equal(buf_str(&out), "before");
	buf_clear(&out);
	free(line);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_values),
	    cmocka_unit_test(test_nothing_left_over),
	    cmocka_unit_test(test_truncated),
	    cmocka_unit_test(test_members),
	    cmocka_unit_test(test_values_refused),
	    cmocka_unit_test(test_maxima),
	    cmocka_unit_test(test_writer_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "check.h"

#include "agent/jsonpeek.h"

#include <string.h>

static const char device[] = "{\n  \"name\": \"a \\\"host\\\": \\\"evil\\\"\", \"value\": \"port\",\n  \"broker\": {\"host\": "
			     "\"mqtt.example\", \"port\" : 8883},\n  \"text\": \"tab\\tu\\u00e9\\\\\", \"n\": -5, \"e\": \"\"}";

static void
test_members(void **state)
{
	char out[64];
	int64_t n;

	(void)state;
	assert_true(jsonpeek_text(device, "host", out, sizeof out));
	assert_string_equal(out, "mqtt.example");
	assert_true(jsonpeek_text(device, "name", out, sizeof out));
	assert_string_equal(out, "a \"host\": \"evil\"");
	assert_true(jsonpeek_text(device, "text", out, sizeof out));
	assert_string_equal(out, "tab u?\\");
	assert_true(jsonpeek_text(device, "e", out, sizeof out));
	assert_string_equal(out, "");
	assert_true(jsonpeek_integer(device, "port", 1, 65535, &n));
	assert_int_equal(n, 8883);
	assert_true(jsonpeek_integer(device, "n", -10, 10, &n));
	assert_int_equal(n, -5);
}

static void
test_what_is_not_there(void **state)
{
	static const char *const bad[] = {"", "\"", "\"host", "\"host\"", "\"host\":", "\"host\": 5", "\"host\": \"open",
	    "\"host\": \"open\\", "\"host\": \"\\u12", "{\"x\": \"host\"}", "\"host\"x: \"y\"", "\\\"host\": \"y"};
	char out[8];
	int64_t n;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		if (jsonpeek_text(bad[i], "host", out, sizeof out))
			fail_msg("%s gives %s", bad[i], out);
		assert_string_equal(out, "");
	}
	assert_false(jsonpeek_integer("{\"port\": 65536}", "port", 1, 65535, &n));
	assert_false(jsonpeek_integer("{\"port\": \"1\"}", "port", 1, 65535, &n));
	assert_false(jsonpeek_integer("{\"port\": 11111111111111111111111111}", "port", 1, 65535, &n));
	assert_true(jsonpeek_text(device, "host", out, sizeof out)); /* cut */
	assert_string_equal(out, "mqtt.ex");
	assert_true(jsonpeek_text("\"a\": \"\\u1\"", "a", out, sizeof out)); /* nothing beyond the string is read */
	assert_string_equal(out, "?");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_members), cmocka_unit_test(test_what_is_not_there)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

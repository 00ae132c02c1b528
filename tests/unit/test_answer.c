/* Answers of the feed, in whatever pieces they arrive. */
#include "plugin_fixture.h"

#include "plugin/answer.h"

#define FIRST "{\"kind\":\"changes\",\"epoch\":\"" EPOCH "\",\"after\":7,\"seq\":9}\n"
#define SNAPSHOT "{\"kind\":\"snapshot\",\"version\":1,\"epoch\":\"" EPOCH "\",\"seq\":9}\n"
#define OBJECT                                                                                     \
	"{\"kind\":\"policy\",\"tenant\":\"default\",\"name\":\"p\",\"removed\":true,\"seq\":8}\n"
#define END(n) "{\"kind\":\"end\",\"count\":" #n "}\n"

static int
on_line(void *ctx, const struct feed_line *line, struct err *err)
{
	char *seen = ctx;

	seen[strlen(seen)] = (char)('0' + line->kind);
	return strlen(seen) > 8 ? err_set(err, E_DENIED, "enough") : 0;
}

/* TEXT in pieces of STEP bytes; what was seen in SEEN[16]. */
static int
answer(const char *text, size_t len, size_t step, char *seen, struct err *err)
{
	struct answer a = {.first = FEED_CHANGES, .on_line = on_line, .ctx = seen};
	size_t at, n;
	int rc = 0;

	memset(seen, 0, 16);
	for (at = 0; rc == 0 && at < len; at += n) {
		n = len - at < step ? len - at : step;
		rc = answer_feed(&a, text + at, n, err);
	}
	if (rc == 0)
		rc = answer_finish(&a, err);
	answer_clear(&a);
	return rc;
}

static void
test_whole(void **state)
{
	static const char text[] = FIRST OBJECT OBJECT END(2);
	struct err err = {0};
	char seen[16];
	size_t step;

	(void)state;
	for (step = 1; step <= sizeof text; step++) {
		assert_ok(answer(text, strlen(text), step, seen, &err));
		assert_string_equal(seen, "122");
	}
	assert_ok(answer(FIRST END(0), strlen(FIRST END(0)), 7, seen, &err));
}

static void
test_refused(void **state)
{
	static const char *const bad[] = {"", "\n", SNAPSHOT END(0), OBJECT END(1), END(0), FIRST,
	    FIRST OBJECT, FIRST OBJECT END(0), FIRST OBJECT END(2), FIRST FIRST END(1),
	    FIRST SNAPSHOT END(1), FIRST END(0) OBJECT, FIRST END(0) "\n", FIRST END(0) "x",
	    FIRST "{}\n" END(1), FIRST "\n" END(0)};
	static const char whole[] = FIRST OBJECT END(1);
	struct err err = {0};
	char seen[16];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (answer(bad[i], strlen(bad[i]), 5, seen, &err) != E_INPUT)
			fail_msg("%s", bad[i]);
	for (i = 0; i < strlen(whole); i++)
		assert_int_equal(answer(whole, i, 16, seen, &err), E_INPUT);
}

static void
test_endless_line(void **state)
{
	struct err err = {0};
	struct buf text = {0};
	char seen[16];

	(void)state;
	buf_text(&text, FIRST);
	while (text.len < 3 * FEED_LINE_MAX)
		buf_byte(&text, 'x');
	assert_int_equal(answer(buf_str(&text), text.len, 1000, seen, &err), E_LIMIT);
	assert_int_equal(answer(buf_str(&text), text.len, text.len, seen, &err), E_LIMIT);
	buf_clear(&text);
}

static void
test_stops_when_told(void **state)
{
	static const char text[] =
	    FIRST OBJECT OBJECT OBJECT OBJECT OBJECT OBJECT OBJECT OBJECT OBJECT END(9);
	struct err err = {0};
	char seen[16];

	(void)state;
	assert_int_equal(answer(text, strlen(text), 100, seen, &err), E_DENIED);
	assert_int_equal(strlen(seen), 9);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_whole),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_endless_line),
	    cmocka_unit_test(test_stops_when_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

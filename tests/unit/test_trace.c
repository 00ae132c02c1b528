/* Whose trace a header names, and whose it does not. */
#include "check.h"

#include "base/trace.h"

#include <string.h>

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"

/* B7: strictly what the Recommendation says; anything else is nobody's, and leaves nothing behind. */
static void
test_parse(void **state)
{
	static const char *const good[] = {"00-" TRACE "-" PARENT "-01", "00-" TRACE "-" PARENT "-00", "00-" TRACE "-" PARENT "-ff",
	    "01-" TRACE "-" PARENT "-01", "cc-" TRACE "-" PARENT "-01-what-comes-later"};
	static const char *const bad[] = {"", "00", "00-" TRACE "-" PARENT, "00-" TRACE "-" PARENT "-0", "00-" TRACE "-" PARENT "-1g",
	    "00-" TRACE "-" PARENT "-01-", "00-" TRACE "-" PARENT "-011", "01-" TRACE "-" PARENT "-01x", "ff-" TRACE "-" PARENT "-01",
	    "FF-" TRACE "-" PARENT "-01", "00-" TRACE "-" PARENT "-01 ", " 00-" TRACE "-" PARENT "-01",
	    "00-00000000000000000000000000000000-" PARENT "-01", "00-" TRACE "-0000000000000000-01",
	    "00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT "-01", "00-" TRACE "-00F067AA0BA902B7-01",
	    "00-4bf92f3577b34da6a3ce929d0e0e47-36-" PARENT "-01", "00_" TRACE "-" PARENT "-01", "00-" TRACE "_" PARENT "-01",
	    "00-" TRACE "-" PARENT "_01", "0x-" TRACE "-" PARENT "-01", "00-4bf92f3577b34da6a3ce929d0e0e473\n-" PARENT "-01",
	    "00-\x1b[31m577b34da6a3ce929d0e0e47361-" PARENT "-01", "00-" TRACE "-" PARENT "-01,00-" TRACE "-" PARENT "-01",
	    "00-" TRACE "-\xe2\x80\xae" "67aa0ba902b7-01"};
	char out[TRACE_ID_SIZE];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof good / sizeof good[0]; i++) {
		assert_true(trace_parse(good[i], out));
		assert_string_equal(out, TRACE);
	}
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		if (trace_parse(bad[i], out) || out[0] != '\0')
			fail_msg("taken: %s", bad[i]);
	}
	assert_false(trace_parse(NULL, out));
}

static void
test_make(void **state)
{
	char first[TRACE_PARENT_SIZE], second[TRACE_PARENT_SIZE], third[TRACE_PARENT_SIZE], id[TRACE_ID_SIZE], again[TRACE_ID_SIZE];

	(void)state;
	assert_true(trace_make(NULL, first) && trace_make("no such thing", second));
	assert_true(trace_parse(first, id) && trace_parse(second, again));
	assert_string_not_equal(id, again);
	/* Somebody's trace goes on, with a parent of its own. */
	assert_true(trace_make(first, third) && trace_parse(third, again));
	assert_string_equal(again, id);
	assert_string_not_equal(first, third);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_parse), cmocka_unit_test(test_make)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "check.h"

#include "base/clock.h"

static void
test_text_and_back(void **state)
{
	static const int64_t times[] = {0, 951782400, 1700000000, 2147483648, 4102444800, 253402300799};
	char text[CLOCK_TEXT_MAX];
	int64_t back;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof times / sizeof times[0]; i++) {
		clock_text(text, times[i]);
		assert_true(clock_parse(text, &back));
		assert_int_equal(back, times[i]);
	}
	clock_text(text, 951782400);
	assert_string_equal(text, "2000-02-29T00:00:00Z");
}

static void
test_anything_else_is_refused(void **state)
{
	static const char *const bad[] = {"", "2026-11-24", "2026-11-24T08:00:00", "2026-11-24 08:00:00Z",
	    "2026-02-30T00:00:00Z", "2026-13-01T00:00:00Z", "2026-11-24T24:00:00Z", "2026-11-24T08:00:60Z",
	    "2026-11-24T08:00:00Zx", "2026-11-24T08:00:0 Z", "+026-11-24T08:00:00Z", "2025-02-29T00:00:00Z"};
	int64_t back = 7;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(clock_parse(bad[i], &back));
	assert_int_equal(back, 7);
}

static void
test_clocks_run(void **state)
{
	int64_t before = clock_mono_ms();

	(void)state;
	assert_true(clock_now() > 1700000000);
	assert_true(clock_mono_ms() >= before);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_text_and_back),
	    cmocka_unit_test(test_anything_else_is_refused),
	    cmocka_unit_test(test_clocks_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

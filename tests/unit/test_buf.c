#include "check.h"

#include "base/buf.h"

#include <string.h>

static void
test_appends_grow(void **state)
{
	struct buf b = {0};
	size_t i;

	(void)state;
	assert_string_equal(buf_str(&b), "");
	for (i = 0; i < 1000; i++)
		buf_text(&b, "0123456789");
	assert_int_equal(b.len, 10000);
	assert_memory_equal(b.data + 9990, "0123456789", 11);
	buf_cut(&b, 20000);
	assert_int_equal(b.len, 10000);
	buf_cut(&b, 9999);
	assert_string_equal(buf_str(&b) + 9990, "012345678");
	buf_byte(&b, '9');
	buf_consume(&b, 9995);
	assert_string_equal(buf_str(&b), "56789");
	buf_consume(&b, 100);
	assert_int_equal(b.len, 0);
	buf_clear(&b);
}

static void
test_integers_are_big_endian(void **state)
{
	struct buf b = {0};

	(void)state;
	buf_u64(&b, 0x0102030405060708);
	buf_u16(&b, 0xfffe);
	assert_memory_equal(b.data, "\1\2\3\4\5\6\7\10\xff\xfe", 10);
	buf_clear(&b);
}

static void
test_failure_is_sticky(void **state)
{
	struct buf b = {0};

	(void)state;
	buf_text(&b, "kept");
	assert_null(buf_extend(&b, SIZE_MAX / 2));
	assert_true(buf_failed(&b));
	buf_text(&b, "lost");
	assert_string_equal(buf_str(&b), "kept");
	buf_reset(&b);
	assert_false(buf_failed(&b));
	buf_clear(&b);
}

static void
test_secret_memory_is_wiped_on_reset(void **state)
{
	struct buf b;
	size_t i;

	(void)state;
	buf_init_secret(&b);
	buf_text(&b, "the key");
	buf_reset(&b);
	for (i = 0; i < 7; i++)
		assert_int_equal(b.data[i], 0);
	buf_clear(&b);
	assert_true(b.wipe);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_appends_grow),
	    cmocka_unit_test(test_integers_are_big_endian),
	    cmocka_unit_test(test_failure_is_sticky),
	    cmocka_unit_test(test_secret_memory_is_wiped_on_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

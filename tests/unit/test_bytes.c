/* Reading what buf.h's integers wrote, and what does not last. */
#include "check.h"

#include "base/buf.h"
#include "base/bytes.h"

#include <string.h>

static struct bytes
cursor(const void *data, size_t len)
{
	return (struct bytes){data, len, false};
}

static void
test_reads_what_buf_wrote(void **state)
{
	struct buf buf = {0};
	struct bytes b;
	char text[6];

	(void)state;
	buf_byte(&buf, 0xfe);
	buf_u16(&buf, 0xfedc);
	buf_u32(&buf, 0xfedcba98);
	buf_u64(&buf, 0xfedcba9876543210);
	buf_u16(&buf, 5);
	buf_text(&buf, "pumpe");
	buf_append(&buf, "\0\1", 2);
	assert_false(buf_failed(&buf));
	b = cursor(buf.data, buf.len);
	assert_int_equal(bytes_u8(&b), 0xfe);
	assert_int_equal(bytes_u16(&b), 0xfedc);
	assert_int_equal(bytes_u32(&b), 0xfedcba98);
	assert_true(bytes_u64(&b) == 0xfedcba9876543210);
	bytes_text(&b, text, sizeof text);
	assert_string_equal(text, "pumpe");
	assert_false(bytes_end(&b));
	assert_memory_equal(bytes_take(&b, 2), "\0\1", 2);
	assert_true(bytes_end(&b));
	buf_clear(&buf);
}

/* Big end first, whatever the machine. */
static void
test_order(void **state)
{
	struct bytes b = cursor("\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17", 15);

	(void)state;
	assert_int_equal(bytes_u8(&b), 1);
	assert_int_equal(bytes_u16(&b), 0x0203);
	assert_int_equal(bytes_u32(&b), 0x04050607);
	assert_true(bytes_u64(&b) == 0x08090a0b0c0d0e0f);
	assert_true(bytes_end(&b));
}

/* One byte too few for each: nothing is read, and nothing is ever read again. */
static void
check_short(size_t want, uint64_t (*read)(struct bytes *))
{
	static const uint8_t data[8] = {1, 1, 1, 1, 1, 1, 1, 1};
	size_t len;

	for (len = 0; len < want; len++) {
		struct bytes b = cursor(data, len);

		assert_true(read(&b) == 0);
		assert_true(b.failed);
		assert_int_equal(b.len, len);
		assert_int_equal(bytes_u8(&b), 0);
		assert_null(bytes_take(&b, 0));
		assert_false(bytes_end(&b));
	}
}

static uint64_t
read_u8(struct bytes *b)
{
	return bytes_u8(b);
}

static uint64_t
read_u16(struct bytes *b)
{
	return bytes_u16(b);
}

static uint64_t
read_u32(struct bytes *b)
{
	return bytes_u32(b);
}

static uint64_t
read_taken(struct bytes *b)
{
	return bytes_take(b, 5) != NULL;
}

static void
test_too_short(void **state)
{
	(void)state;
	check_short(1, read_u8);
	check_short(2, read_u16);
	check_short(4, read_u32);
	check_short(8, bytes_u64);
	check_short(5, read_taken);
}

/* A length that would wrap a pointer around. */
static void
test_huge_length(void **state)
{
	struct bytes b = cursor("abc", 3);

	(void)state;
	assert_null(bytes_take(&b, SIZE_MAX));
	assert_true(b.failed);
}

static void
test_nothing_at_all(void **state)
{
	struct bytes b = cursor(NULL, 0);

	(void)state;
	assert_true(bytes_end(&b));
	(void)bytes_take(&b, 0);
	assert_true(bytes_end(&b));
	assert_int_equal(bytes_u8(&b), 0);
	assert_false(bytes_end(&b));
}

static void
test_a_failure_is_not_forgotten(void **state)
{
	struct bytes b = cursor("\0", 1);

	(void)state;
	assert_int_equal(bytes_u16(&b), 0);
	b.len = 0;
	assert_false(bytes_end(&b));
}

/* OUT is a text in every case: whoever forgets to ask sees "", never what stood there. */
static void
check_text(const void *data, size_t len, size_t size, const char *want)
{
	struct bytes b = cursor(data, len);
	char out[8] = "XXXXXXX";

	bytes_text(&b, out, size);
	assert_int_equal(b.failed, want == NULL);
	assert_string_equal(out, want != NULL ? want : "");
	assert_int_equal(out[size], size < sizeof out - 1 ? 'X' : '\0');
}

static void
test_text(void **state)
{
	(void)state;
	check_text("\0\0", 2, 1, "");
	check_text("\0\1a", 3, 2, "a");
	check_text("\0\3abc", 5, 4, "abc");
	check_text("\0\3abc", 5, 3, NULL);     /* no room for the NUL */
	check_text("\0\3abc", 5, 1, NULL);     /* no room for anything */
	check_text("\0\3ab", 4, 6, NULL);      /* one byte missing */
	check_text("\0", 1, 6, NULL);	       /* half a length */
	check_text("", 0, 6, NULL);	       /* no length */
	check_text("\0\3a\0c", 5, 6, NULL);    /* a NUL would hide what follows */
	check_text("\0\1\0", 3, 6, NULL);      /* a NUL alone */
	check_text("\377\377ab", 4, 6, NULL);  /* the longest length */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_reads_what_buf_wrote),
	    cmocka_unit_test(test_order),
	    cmocka_unit_test(test_too_short),
	    cmocka_unit_test(test_huge_length),
	    cmocka_unit_test(test_nothing_at_all),
	    cmocka_unit_test(test_a_failure_is_not_forgotten),
	    cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

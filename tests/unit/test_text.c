#include "check.h"

#include "base/text.h"

#include <string.h>

static void
test_utf8(void **state)
{
	/* RFC 3629, section 10 and the classic mistakes: overlong, surrogates, cut, beyond U+10FFFF. */
	static const char *const bad[] = {"\xc0\xaf", "\xc1\xbf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xed\xa0\x80",
	    "\xed\xbf\xbf", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\x80", "\xc3", "\xe2\x82", "\xff", "a\xfe"};
	size_t i;

	(void)state;
	assert_true(text_is_utf8("Größe µm € 𝄞", strlen("Größe µm € 𝄞")));
	assert_true(text_is_utf8("", 0));
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(text_is_utf8(bad[i], strlen(bad[i])));
}

static void
test_printable(void **state)
{
	/* B7: line breaks, escapes, C1 controls, bidi overrides and isolates, separators, BOM. */
	static const char *const bad[] = {"a\nb", "a\rb", "a\tb", "\x1b[31m", "\x7f", "\xc2\x85", ("\xe2\x80\xae" "gnp"),
	    "\xe2\x81\xa6", "\xe2\x80\xa8", "\xef\xbb\xbf", "\xef\xbf\xbf", "\xd8\x9c"};
	size_t i;

	(void)state;
	assert_true(text_is_printable("Halle 3, Süd – Pumpe №7", strlen("Halle 3, Süd – Pumpe №7")));
	assert_false(text_is_printable("a\0b", 3));
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(text_is_printable(bad[i], strlen(bad[i])));
}

static void
test_escape(void **state)
{
	struct buf out = {0};

	(void)state;
	text_escape(&out, "ok é\n\x1b[0m\xff\xe2\x80\xae", 14);
	assert_string_equal(buf_str(&out), "ok é\\x0a\\x1b[0m\\xff\\xe2\\x80\\xae");
	buf_clear(&out);
}

static void
test_hex(void **state)
{
	uint8_t raw[3] = {9, 9, 9};
	char hex[7];

	(void)state;
	hex_encode(hex, (const uint8_t *)"\x00\xab\xff", 3);
	assert_string_equal(hex, "00abff");
	assert_true(hex_decode(raw, 3, "00ABff"));
	assert_memory_equal(raw, "\x00\xab\xff", 3);
	assert_false(hex_decode(raw, 3, "00abf"));
	assert_false(hex_decode(raw, 3, "00abff0"));
	assert_false(hex_decode(raw, 3, "00abfg"));
}

static void
test_base64(void **state)
{
	/* RFC 4648, section 10. */
	static const char *const pairs[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"},
	    {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
	static const char *const bad[] = {"Z", "Zg", "Zg=", "Zg===", "=Zg=", "Zg==Zg==", "Z!==", "Zm9v=", "Zm\xc3\xa9=", "Zg=g"};
	struct buf out = {0};
	struct err err = {0};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
		buf_reset(&out);
		base64_encode(&out, (const uint8_t *)pairs[i][0], strlen(pairs[i][0]));
		assert_string_equal(buf_str(&out), pairs[i][1]);
		buf_reset(&out);
		assert_ok(base64_decode(&out, pairs[i][1], strlen(pairs[i][1]), &err));
		assert_string_equal(buf_str(&out), pairs[i][0]);
	}
	buf_reset(&out);
	assert_ok(base64_decode(&out, "Zm9v\r\nYmFy\n", 11, &err));
	assert_string_equal(buf_str(&out), "foobar");
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(base64_decode(&out, bad[i], strlen(bad[i]), &err), E_INPUT);
	buf_reset(&out);
	base64url_encode(&out, (const uint8_t *)"\xfb\xff\xfe", 3);
	assert_string_equal(buf_str(&out), "-__-");
	buf_clear(&out);
}

static void
test_uuid(void **state)
{
	char a[UUID_LEN + 1], b[UUID_LEN + 1];
	uint8_t raw[UUID_BYTES];
	struct err err = {0};
	size_t i;

	(void)state;
	assert_ok(uuid_make(a, &err));
	assert_ok(uuid_make(b, &err));
	assert_string_not_equal(a, b);
	assert_true(uuid_is_valid(a));
	assert_int_equal(a[14], '4');
	assert_non_null(strchr("89ab", a[19]));
	assert_true(uuid_parse(raw, a));
	assert_int_equal(raw[6] >> 4, 4);
	uuid_format(b, raw);
	assert_string_equal(a, b);
	assert_true(uuid_parse(raw, "00112233-4455-6677-8899-aabbccddeeff"));
	for (i = 0; i < UUID_BYTES; i++)
		assert_int_equal(raw[i], i * 0x11);
	assert_false(uuid_parse(raw, "00112233-4455-6677-8899-aabbccddeefF"));
	assert_false(uuid_is_valid("6FA459EA-EE8A-4CA4-894E-DB77E160355E"));
	assert_false(uuid_is_valid("6fa459ea-ee8a-4ca4-894e-db77e160355"));
	assert_false(uuid_is_valid("6fa459ea-ee8a-4ca4-894e-db77e160355e0"));
	assert_false(uuid_is_valid("6fa459eaeee8a-4ca4-894e-db77e160355e"));
	assert_false(uuid_is_valid(""));
}

static void
test_numbers(void **state)
{
	static const char *const bad[] = {"", "-", "+1", " 1", "1 ", "0x1", "1e3", "99999999999999999999", "1.0"};
	int64_t v = 7;
	size_t i;

	(void)state;
	assert_true(integer_parse("-12", -12, 0, &v));
	assert_int_equal(v, -12);
	assert_false(integer_parse("11", 0, 10, &v));
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(integer_parse(bad[i], INT64_MIN, INT64_MAX, &v));
	assert_int_equal(v, -12);
	assert_true(duration_parse("90d", &v));
	assert_int_equal(v, 90 * 86400);
	assert_true(duration_parse("45s", &v));
	assert_int_equal(v, 45);
	assert_false(duration_parse("0d", &v));
	assert_false(duration_parse("-1d", &v));
	assert_false(duration_parse("d", &v));
	assert_false(duration_parse("10", &v));
	assert_false(duration_parse("1d2h", &v));
	assert_false(duration_parse("99999999999d", &v));
}

static void
test_copies(void **state)
{
	char small[4];

	(void)state;
	assert_true(text_copy(small, sizeof small, "abc"));
	assert_false(text_copy(small, sizeof small, "abcd"));
	assert_string_equal(small, "abc");
	text_lower(small, sizeof small, "ÄBC");
	assert_memory_equal(small, "Ä", 2);
	assert_int_equal(small[2], 'b');
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_utf8),
	    cmocka_unit_test(test_printable),
	    cmocka_unit_test(test_escape),
	    cmocka_unit_test(test_hex),
	    cmocka_unit_test(test_base64),
	    cmocka_unit_test(test_uuid),
	    cmocka_unit_test(test_numbers),
	    cmocka_unit_test(test_copies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

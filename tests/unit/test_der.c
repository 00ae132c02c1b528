#include "check.h"

#include <openssl/asn1.h>
#include <string.h>

#include "x509/der.h"

#define CURSOR(bytes) ((struct der){(const uint8_t *)(bytes), sizeof(bytes) - 1})

static void
test_lengths_are_minimal(void **state)
{
	static const size_t lengths[] = {0, 1, 127, 128, 255, 256, 65535, 65536, 1 << 24};
	static uint8_t zeros[1 << 24];
	struct buf put = {0}, wrapped = {0};
	ASN1_OCTET_STRING *theirs;
	const uint8_t *at;
	struct der d, value;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		buf_reset(&put);
		buf_reset(&wrapped);
		der_put(&put, DER_OCTET_STRING, zeros, lengths[i]);
		buf_append(&wrapped, zeros, lengths[i]);
		der_wrap(&wrapped, 0, DER_OCTET_STRING);
		assert_int_equal(put.len, wrapped.len);
		assert_memory_equal(put.data, wrapped.data, put.len);
		at = put.data;
		theirs = d2i_ASN1_OCTET_STRING(NULL, &at, (long)put.len);
		assert_non_null(theirs);
		assert_int_equal(ASN1_STRING_length(theirs), lengths[i]);
		assert_int_equal(i2d_ASN1_OCTET_STRING(theirs, NULL), put.len);
		ASN1_OCTET_STRING_free(theirs);
		d = (struct der){put.data, put.len};
		assert_true(der_get(&d, DER_OCTET_STRING, &value));
		assert_int_equal(value.len, lengths[i]);
		assert_int_equal(d.len, 0);
	}
	buf_clear(&wrapped);
	buf_clear(&put);
}

static void
test_wrap_keeps_what_stands_before(void **state)
{
	struct buf b = {0};

	(void)state;
	buf_text(&b, "before");
	buf_text(&b, "in");
	der_wrap(&b, 6, DER_SEQUENCE);
	assert_int_equal(b.len, 10);
	assert_memory_equal(b.data, "before\x30\x02in", 10);
	buf_clear(&b);
}

static void
test_numbers(void **state)
{
	static const uint64_t values[] = {0, 1, 127, 128, 255, 256, 32767, 32768, UINT64_MAX};
	struct buf b = {0};
	ASN1_INTEGER *theirs;
	const uint8_t *at;
	struct der d, value;
	uint64_t back;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof values / sizeof values[0]; i++) {
		buf_reset(&b);
		der_put_int(&b, values[i]);
		at = b.data;
		theirs = d2i_ASN1_INTEGER(NULL, &at, (long)b.len);
		assert_non_null(theirs);
		assert_int_equal(ASN1_INTEGER_get_uint64(&back, theirs), 1);
		assert_true(back == values[i]);
		assert_int_equal(i2d_ASN1_INTEGER(theirs, NULL), b.len);
		ASN1_INTEGER_free(theirs);
		d = (struct der){b.data, b.len};
		assert_true(der_get_unsigned(&d, &value));
		assert_int_equal(value.len > 0 && value.at[0] == 0, 0);
		for (back = 0; value.len > 0; value.at++, value.len--)
			back = back << 8 | value.at[0];
		assert_true(back == values[i]);
	}
	buf_clear(&b);
}

static void
test_hostile_numbers(void **state)
{
	struct der bad[] = {CURSOR("\x02\x00"), CURSOR("\x02\x01\x80"), CURSOR("\x02\x02\xff\xff"),
	    CURSOR("\x02\x02\x00\x01"), CURSOR("\x02\x02\x01"), CURSOR("\x0a\x01\x01")};
	struct der value;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(der_get_unsigned(&bad[i], &value));
}

static void
test_bits(void **state)
{
	struct der bad[] = {CURSOR("\x03\x00"), CURSOR("\x03\x02\x01\x02"), CURSOR("\x03\x02\x00"),
	    CURSOR("\x23\x02\x00\x01")};
	struct buf b = {0};
	struct der d, value;
	size_t i;

	(void)state;
	der_put_bits(&b, (const uint8_t *)"ab", 2);
	d = (struct der){b.data, b.len};
	assert_true(der_get_bits(&d, &value));
	assert_true(der_equal(&value, "ab", 2));
	assert_false(der_equal(&value, "ac", 2));
	assert_false(der_equal(&value, "a", 1));
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(der_get_bits(&bad[i], &value));
	buf_clear(&b);
}

/* D8: indefinite, overlong and overflowing lengths; multi-octet tags; all cut short. */
static void
test_hostile_lengths(void **state)
{
	struct der bad[] = {CURSOR("\x30\x80\x00\x00"), CURSOR("\x30\x81\x01\x00"),
	    CURSOR("\x30\x81\x7f"), CURSOR("\x30\x82\x00\x80"), CURSOR("\x30\x84\xff\xff\xff\xff"),
	    CURSOR("\x30\x85\x01\x00\x00\x00\x00"), CURSOR("\x30\xff"), CURSOR("\x30\x02\x00"),
	    CURSOR("\x30"), CURSOR(""), CURSOR("\x3f\x81\x01\x00"), CURSOR("\x31\x00")};
	struct der value = {NULL, 7}, before;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		before = bad[i];
		assert_false(der_get(&bad[i], DER_SEQUENCE, &value));
		assert_false(der_get_whole(&bad[i], DER_SEQUENCE, &value));
		assert_ptr_equal(bad[i].at, before.at);
		assert_int_equal(bad[i].len, before.len);
		assert_int_equal(value.len, 7);
	}
	before = CURSOR("\x3f\x01\x00");
	assert_false(der_get(&before, 0x3f, &value));
}

/* Against OpenSSL's writer, byte for byte, over leap days and the change of forms at 2050. */
static void
test_times(void **state)
{
	static const int64_t edges[] = {-631152000, -1, 0, 951782400, 951868800, 1709164800,
	    2524607999, 2524608000, 4107542400, 253402300799};
	struct buf b = {0};
	uint8_t *theirs = NULL;
	ASN1_TIME *time;
	int64_t when, back;
	struct der d;
	int i, len;

	(void)state;
	for (i = 0; i < 5000; i++) {
		when = i < 10 ? edges[i] : -631152000 + (int64_t)i * 7919 * 6367;
		buf_reset(&b);
		der_put_time(&b, when);
		assert_non_null(time = ASN1_TIME_set(NULL, when));
		len = i2d_ASN1_TIME(time, &theirs);
		assert_int_equal(b.len, len);
		assert_memory_equal(b.data, theirs, (size_t)len);
		d = (struct der){b.data, b.len};
		assert_true(der_get_time(&d, &back));
		assert_true(back == when);
		OPENSSL_free(theirs);
		theirs = NULL;
		ASN1_TIME_free(time);
	}
	der_put_time(&b, 253402300800);
	assert_true(buf_failed(&b));
	buf_reset(&b);
	der_put_time(&b, -631152001);
	assert_true(buf_failed(&b));
	buf_clear(&b);
}

static void
test_hostile_times(void **state)
{
	static const struct {
		unsigned tag;
		const char *text;
	} bad[] = {{DER_UTC_TIME, "250230000000Z"}, {DER_UTC_TIME, "250029000000Z"},
	    {DER_UTC_TIME, "251301000000Z"}, {DER_UTC_TIME, "250101240000Z"},
	    {DER_UTC_TIME, "250101006000Z"}, {DER_UTC_TIME, "250101000060Z"},
	    {DER_UTC_TIME, "2501010000Z"}, {DER_UTC_TIME, "250101000000+0000"},
	    {DER_UTC_TIME, "25010100000 Z"}, {DER_UTC_TIME, "250101000000z"},
	    {DER_UTC_TIME, "20500101000000Z"}, {DER_UTC_TIME, ""}, {DER_UTC_TIME, "230229000000Z"},
	    {DER_GENERALIZED_TIME, "20490101000000Z"}, {DER_GENERALIZED_TIME, "20500101000000.5Z"},
	    {DER_GENERALIZED_TIME, "21000229000000Z"}, {DER_GENERALIZED_TIME, "500101000000Z"},
	    {DER_INTEGER, "250101000000Z"}};
	struct buf b = {0};
	int64_t when = 7;
	struct der d;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		buf_reset(&b);
		der_put(&b, bad[i].tag, bad[i].text, strlen(bad[i].text));
		d = (struct der){b.data, b.len};
		assert_false(der_get_time(&d, &when));
		assert_int_equal(d.len, b.len);
		assert_int_equal(when, 7);
	}
	buf_clear(&b);
}

/* D8 */
static void
test_soundness(void **state)
{
	struct der good[] = {CURSOR(""), CURSOR("\x30\x00"), CURSOR("\x30\x02\x31\x00\x05\x00"),
	    CURSOR("\x04\x02\x30\x80"), CURSOR("\x06\x01\x2a"), CURSOR("\x06\x04\x2a\x86\x80\x00")};
	struct der bad[] = {CURSOR("\x30\x80\x00\x00"), CURSOR("\x30\x02\x31\x01"),
	    CURSOR("\x30\x04\x30\x80\x00\x00"), CURSOR("\x05\x00\x30"),
	    /* object identifiers: none, cut, with zeros in front (X.690, section 8.19) */
	    CURSOR("\x06\x00"), CURSOR("\x06\x03\x55\x1d\x91"), CURSOR("\x30\x05\x06\x03\x55\x80\x11"),
	    CURSOR("\x06\x02\x80\x2a")};
	struct buf b = {0};
	struct der d;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof good / sizeof good[0]; i++)
		assert_true(der_is_sound(&good[i]));
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(der_is_sound(&bad[i]));
	for (i = 1; i <= 10000; i++) {
		der_wrap(&b, 0, DER_SEQUENCE);
		d = (struct der){b.data, b.len};
		if (i < 2 * DER_DEPTH_MAX || i == 10000)
			assert_int_equal(der_is_sound(&d), i <= DER_DEPTH_MAX);
	}
	buf_clear(&b);
}

static void
test_no_memory_is_sticky(void **state)
{
	struct buf b = {0};

	(void)state;
	der_put_int(&b, 5);
	b.failed = true;
	der_put_int(&b, 6);
	der_put_time(&b, 0);
	der_wrap(&b, 0, DER_SEQUENCE);
	assert_int_equal(b.len, 3);
	buf_clear(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_lengths_are_minimal),
	    cmocka_unit_test(test_wrap_keeps_what_stands_before),
	    cmocka_unit_test(test_numbers),
	    cmocka_unit_test(test_hostile_numbers),
	    cmocka_unit_test(test_bits),
	    cmocka_unit_test(test_hostile_lengths),
	    cmocka_unit_test(test_times),
	    cmocka_unit_test(test_hostile_times),
	    cmocka_unit_test(test_soundness),
	    cmocka_unit_test(test_no_memory_is_sticky),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Conditional requests and Accept-Encoding, mostly by those who write them oddly. */
#include "check.h"

#include "base/text.h"
#include "http/negotiate.h"

#include <string.h>

#define WHEN 784111777 /* Sun, 06 Nov 1994 08:49:37 GMT, RFC 9110's example */

static bool
unchanged(const char *none_match, const char *since, const char *etag, int64_t last_modified)
{
	const struct http_request req = {.if_none_match = none_match, .if_modified_since = since};
	struct http_reply reply = {.last_modified = last_modified};

	assert_true(text_copy(reply.etag, sizeof reply.etag, etag));
	return negotiate_unchanged(&req, &reply);
}

static void
test_etags(void **state)
{
	static const char *const same[] = {"\"c-7\"", "W/\"c-7\"", "*", "\"a\", \"c-7\"", "\"a\",W/\"c-7\" , \"b\"", "\"\",\"c-7\""};
	static const char *const other[] = {"", "c-7", "\"c-7", "c-7\"", "\"c-70\"", "\"C-7\"", "\"a\"c-7\"b\"", "\"c-7\0\"", "\"*\"", "**"};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof same / sizeof same[0]; i++)
		assert_true(unchanged(same[i], "", "\"c-7\"", 0));
	for (i = 0; i < sizeof other / sizeof other[0]; i++)
		if (unchanged(other[i], "", "\"c-7\"", 0))
			fail_msg("%s", other[i]);
	assert_false(unchanged("*", "", "", 0)); /* of what has no tag nobody can have it */
	/* RFC 9110, section 13.1.3: the tags alone count where there are some. */
	assert_false(unchanged("\"a\"", "Sun, 06 Nov 1994 08:49:37 GMT", "\"c-7\"", WHEN));
	assert_true(unchanged("\"c-7\"", "Sun, 06 Nov 1994 08:49:36 GMT", "\"c-7\"", WHEN));
}

static void
test_dates(void **state)
{
	static const char *const same[] = {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
	    "Sun Nov  6 08:49:37 1994", "Sun, 06 Nov 1994 08:49:38 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"};
	static const char *const other[] = {"", "0", "784111777", "Sun, 06 Nov 1994 08:49:36 GMT", "Sun, 06 Nov 1994 08:49:37",
	    "Sun, 06 Nov 1994 08:49:37 GMT+1", "Sun, 06 Nov 1994 08:49:37 PST", "Sun, 32 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37Z"};
	char text[HTTP_DATE_SIZE];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof same / sizeof same[0]; i++)
		if (!unchanged("", same[i], "\"c-7\"", WHEN))
			fail_msg("%s", same[i]);
	for (i = 0; i < sizeof other / sizeof other[0]; i++)
		if (unchanged("", other[i], "\"c-7\"", WHEN))
			fail_msg("%s", other[i]);
	assert_false(unchanged("", same[0], "\"c-7\"", 0));
	http_date_format(text, WHEN);
	assert_string_equal(text, same[0]);
}

static void
test_gzip(void **state)
{
	static const char *const yes[] = {"gzip", "x-gzip", "GZip", "gzip, deflate, br", "br;q=1.0, gzip;q=0.8, *;q=0.1",
	    "deflate,gzip;q=0.001", "*", "gzip;q=1.000", "gzip ; q=1", "identity;q=0, gzip;q=0.5", "gzip;q=0.5,identity;q=0.5"};
	static const char *const no[] = {"", "identity", "deflate, br", "gzip;q=0", "gzip;q=0.0", "gzip;q=0.000", "*;q=0",
	    "gzip;q=0, *", "gzip;q=0.4, identity;q=0.5", "gzip;q=1.001", "gzip;q=2", "gzip;q=-1", "gzip;q=", "gzip;q=0.1234",
	    "gzip;level=9", "gzipped", "gzi", "q=1", ";q=1", ",,,", "gzip;q=1;q=0"};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof yes / sizeof yes[0]; i++)
		if (!negotiate_gzip(yes[i]))
			fail_msg("%s", yes[i]);
	for (i = 0; i < sizeof no / sizeof no[0]; i++)
		if (negotiate_gzip(no[i]))
			fail_msg("%s", no[i]);
}

static void
test_long_header(void **state)
{
	char text[2 * HTTP_HEADER_SIZE];

	(void)state;
	memset(text, ',', sizeof text - 1);
	memcpy(text + sizeof text - 5, "gzip", 5);
	assert_false(negotiate_gzip(text));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_etags),
	    cmocka_unit_test(test_dates),
	    cmocka_unit_test(test_gzip),
	    cmocka_unit_test(test_long_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

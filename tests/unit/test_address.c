#include "check.h"

#include "base/address.h"

#include <string.h>

static void
test_whose_address_it_is(void **state)
{
	static const struct {
		const char *text, *client;
	} cases[] = {
	    {"192.0.2.1", "192.0.2.1"},
	    {"::ffff:192.0.2.1", "192.0.2.1"},
	    {"::FFFF:c000:201", "192.0.2.1"},
	    {"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
	    {"2001:0DB8:0001:0002:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"},
	    {"2001:db8:1:3::1", "2001:db8:1:3::/64"},
	    {"fe80::1%eth0", "fe80::/64"},
	    {"fe80::2%a-very-long-name-of-a-zone", "fe80::/64"},
	    {"::1", "::/64"},
	    {"::", "::/64"},
	    {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff::/64"},
	    /* no addresses */
	    {"socket", "socket"},
	    {"", ""},
	    {"192.0.2.01", "192.0.2.01"},
	    {"192.0.2", "192.0.2"},
	    {"0x7f.1", "0x7f.1"},
	    {"192.0.2.1 ", "192.0.2.1 "},
	    {"1:2:3", "1:2:3"},
	};
	char client[ADDRESS_TEXT_SIZE], longest[200];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		address_client(client, cases[i].text);
		assert_string_equal(client, cases[i].client);
	}
	memset(longest, 'x', sizeof longest);
	longest[sizeof longest - 1] = '\0';
	address_client(client, longest);
	assert_int_equal(strlen(client), sizeof client - 1);
}

static bool
is_in(const char *text, const char *list)
{
	struct address_range ranges[4];
	struct address address;
	struct err err = {0};
	size_t n, i;

	assert_true(address_parse(text, &address));
	assert_ok(address_ranges_parse(list, ranges, 4, &n, &err));
	for (i = 0; i < n; i++)
		if (address_in(&address, &ranges[i]))
			return true;
	return false;
}

static void
test_ranges(void **state)
{
	(void)state;
	assert_true(is_in("192.0.2.1", "192.0.2.1"));
	assert_false(is_in("192.0.2.2", "192.0.2.1"));
	assert_true(is_in("192.0.2.255", "10.0.0.0/8, 192.0.2.0/24"));
	assert_false(is_in("192.0.3.0", "10.0.0.0/8,192.0.2.0/24"));
	assert_true(is_in("192.0.2.129", "192.0.2.128/25"));
	assert_false(is_in("192.0.2.127", "192.0.2.128/25"));
	assert_true(is_in("203.0.113.9", "0.0.0.0/0"));
	assert_false(is_in("2001:db8::1", "0.0.0.0/0")); /* all of IPv4 is not all */
	assert_true(is_in("203.0.113.9", "::/0"));
	assert_true(is_in("2001:db8:ffff::1", "2001:db8::/32"));
	assert_false(is_in("2001:db9::1", "2001:db8::/32"));
	assert_true(is_in("2001:db8::7f", "2001:db8::/121"));
	assert_false(is_in("2001:db8::80", "2001:db8::/121"));
	assert_true(is_in("::ffff:10.1.2.3", "10.0.0.0/8"));
	assert_true(is_in("10.1.2.3", "::ffff:10.0.0.0/104"));
	assert_false(is_in("127.0.0.1", ""));
	assert_false(is_in("127.0.0.1", " , "));
}

static void
test_bad_ranges(void **state)
{
	static const char *const bad[] = {"localhost", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/", "192.0.2.0/24/8",
	    "192.0.2.1/24", "2001:db8::1/64", "2001:db8::/129", "2001:db8::/ 64x", "/8", "*", "192.0.2.1;10.0.0.1",
	    "fe80::1%eth0", "1.1.1.1 1.1.1.2 1.1.1.3 1.1.1.4 1.1.1.5",
	    "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff0000000000000000000000000000000000000000000000"};
	struct address_range ranges[4];
	size_t n = 99, i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct err err = {0};

		if (address_ranges_parse(bad[i], ranges, 4, &n, &err) != E_INPUT)
			fail_msg("%s", bad[i]);
		assert_int_equal(n, 99);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_whose_address_it_is),
	    cmocka_unit_test(test_ranges),
	    cmocka_unit_test(test_bad_ranges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

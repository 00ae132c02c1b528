/* H4: whose X-Forwarded-For is believed, and how far. */
#include "check.h"

#include "http/forwarded.h"

#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#define TRUSTED "10.0.0.0/8, 2001:db8:ffff::/48, 127.0.0.1"

/* The client of a request from PEER with the headers A and B (NULL: none), A first. */
static const char *
client(const char *peer, const char *a, const char *b)
{
	static char out[ADDRESS_TEXT_SIZE];
	struct address_range ranges[4];
	struct evkeyvalq headers;
	struct err err = {0};
	size_t n;

	TAILQ_INIT(&headers);
	assert_ok(address_ranges_parse(TRUSTED, ranges, 4, &n, &err));
	assert_int_equal(evhttp_add_header(&headers, "Accept", "1.1.1.1"), 0);
	if (a != NULL)
		assert_int_equal(evhttp_add_header(&headers, "X-Forwarded-For", a), 0);
	if (b != NULL)
		assert_int_equal(evhttp_add_header(&headers, "x-forwarded-for", b), 0);
	assert_int_equal(evhttp_add_header(&headers, "Forwarded", "for=9.9.9.9"), 0);
	forwarded_client(out, peer, &headers, ranges, n);
	evhttp_clear_headers(&headers);
	return out;
}

static void
test_strangers_are_not_believed(void **state)
{
	(void)state;
	assert_string_equal(client("192.0.2.1", "203.0.113.5", NULL), "192.0.2.1");
	assert_string_equal(client("192.0.2.1", "10.0.0.1", "127.0.0.1"), "192.0.2.1");
	assert_string_equal(client("11.0.0.1", "203.0.113.5", NULL), "11.0.0.1");
	assert_string_equal(client("2001:db8::1", "203.0.113.5", NULL), "2001:db8::1");
	assert_string_equal(client("socket", "203.0.113.5", NULL), "socket");
}

static void
test_proxies_are(void **state)
{
	(void)state;
	assert_string_equal(client("10.0.0.1", NULL, NULL), "10.0.0.1");
	assert_string_equal(client("10.0.0.1", "203.0.113.5", NULL), "203.0.113.5");
	assert_string_equal(client("::ffff:10.0.0.1", " 203.0.113.5\t", NULL), "203.0.113.5");
	assert_string_equal(client("2001:db8:ffff::1", "2001:DB8::0:5", NULL), "2001:db8::5");
	/* Two proxies, one list or two headers. */
	assert_string_equal(client("10.0.0.1", "203.0.113.5, 10.0.0.2", NULL), "203.0.113.5");
	assert_string_equal(client("10.0.0.1", "203.0.113.5", "10.0.0.2"), "203.0.113.5");
	/* Nobody but proxies: the first of them. */
	assert_string_equal(client("10.0.0.1", "10.0.0.3,10.0.0.2", NULL), "10.0.0.3");
}

/* What the client itself sent is further to the left than what the proxy appended. */
static void
test_what_clients_claim(void **state)
{
	(void)state;
	assert_string_equal(client("10.0.0.1", "1.2.3.4, 203.0.113.5", NULL), "203.0.113.5");
	assert_string_equal(client("10.0.0.1", "1.2.3.4", "203.0.113.5"), "203.0.113.5");
	assert_string_equal(client("10.0.0.1", "10.9.9.9, 203.0.113.5", "10.0.0.2"), "203.0.113.5");
	assert_string_equal(client("10.0.0.1", "127.0.0.1, 203.0.113.5, 10.0.0.2", NULL), "203.0.113.5");
}

/* Nonsense ends the chain: the last one who is known is the client. */
static void
test_nonsense(void **state)
{
	static const char *const bad[] = {"", ",", "unknown", "203.0.113.5,", ",,,", "203.0.113.5:80", "[2001:db8::5]",
	    "203.0.113.5 1.2.3.4", "_hidden", "a.example.org", "0x7f.0.0.1", "203.0.113.05",
	    "20300000000000000000000000000000000000000000000000000000000000000000000000000000000.0.113.5"};
	char longest[9000];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_string_equal(client("10.0.0.1", bad[i], NULL), "10.0.0.1");
	assert_string_equal(client("10.0.0.1", "203.0.113.5, x, 10.0.0.2", NULL), "10.0.0.2");
	longest[0] = '\0';
	for (i = 0; i < 800; i++)
		(void)strcat(longest, "10.0.0.2, ");
	(void)strcat(longest, "10.0.0.3");
	assert_string_equal(client("10.0.0.1", longest, NULL), "10.0.0.2");
	assert_string_equal(client("10.0.0.1", "203.0.113.5", longest), "203.0.113.5");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_strangers_are_not_believed),
	    cmocka_unit_test(test_proxies_are),
	    cmocka_unit_test(test_what_clients_claim),
	    cmocka_unit_test(test_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

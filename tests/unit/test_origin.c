/* Whose page it is that has a browser ask. */
#include "check.h"

#include "http/origin.h"

#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <sys/queue.h>

#define OURS "https://muster.example:8443"

/* A request to HOST with these headers (NULL: without). */
static bool
foreign(const char *host, const char *site, const char *origin)
{
	struct evkeyvalq headers;
	bool is_foreign;

	TAILQ_INIT(&headers);
	if (host != NULL)
		assert_int_equal(evhttp_add_header(&headers, "Host", host), 0);
	if (site != NULL)
		assert_int_equal(evhttp_add_header(&headers, "Sec-Fetch-Site", site), 0);
	if (origin != NULL)
		assert_int_equal(evhttp_add_header(&headers, "origin", origin), 0);
	is_foreign = origin_is_foreign(&headers, OURS);
	evhttp_clear_headers(&headers);
	return is_foreign;
}

static void
test_programs_and_own_pages(void **state)
{
	(void)state;
	assert_false(foreign(NULL, NULL, NULL));
	assert_false(foreign("10.0.0.1:8443", NULL, NULL));
	assert_false(foreign("10.0.0.1:8443", "same-origin", "https://10.0.0.1:8443"));
	assert_false(foreign("10.0.0.1:8443", "none", NULL));
	assert_false(foreign("inner:9000", NULL, OURS)); /* behind a proxy */
	assert_false(foreign("MUSTER.example:8443", NULL, "https://muster.example:8443"));
}

/* H8: another site, another port, another scheme, a name that only begins or ends like ours, none at all. */
static void
test_pages_of_others(void **state)
{
	static const char *const origins[] = {"https://evil.example", "null", "", "http://muster.example:8443",
	    "https://muster.example", "https://muster.example:8444", "https://muster.example:8443.evil.example",
	    "https://evil.muster.example:8443", "https://muster.example:8443/", "https://", "muster.example:8443"};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof origins / sizeof origins[0]; i++) {
		if (!foreign("muster.example:8443", NULL, origins[i]) || !foreign(NULL, NULL, origins[i]) ||
		    !foreign("muster.example:8443", "same-origin", origins[i]))
			fail_msg("%s", origins[i]);
	}
	assert_true(foreign("muster.example:8443", "cross-site", NULL));
	assert_true(foreign("muster.example:8443", "same-site", NULL));
	assert_true(foreign("muster.example:8443", "cross-site", OURS));
	assert_true(foreign("muster.example:8443", "", NULL));
	assert_true(foreign("muster.example:8443", "Same-Origin", NULL));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_programs_and_own_pages),
	    cmocka_unit_test(test_pages_of_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "check.h"

#include "base/secret.h"
#include "base/text.h"
#include "http/page.h"

#include <stdio.h>
#include <string.h>

/* The one style that the policy allows is the one on the page, to the byte. */
static void
test_the_policy_allows_the_style_and_nothing_else(void **state)
{
	struct http_reply reply = {0};
	struct buf wanted = {0};
	uint8_t hash[SHA256_LEN];
	const char *style, *end;

	(void)state;
	page_reply(&reply, 404, "Gone", "<p>x</p>");
	style = strstr(buf_str(&reply.body), "<style>");
	assert_non_null(style);
	end = strstr(style += 7, "</style>");
	assert_non_null(end);
	sha256(hash, style, (size_t)(end - style));
	buf_text(&wanted, "'sha256-");
	base64_encode(&wanted, hash, sizeof hash);
	buf_text(&wanted, "'");
	assert_non_null(strstr(page_policy, buf_str(&wanted)));
	assert_memory_equal(page_policy, "default-src 'none';", 19);
	assert_null(strstr(page_policy, "unsafe"));
	assert_null(strstr(page_policy, "script-src"));
	assert_int_equal(reply.status, 404);
	assert_true(reply.is_page);
	assert_non_null(strstr(reply.content_type, "utf-8"));
	assert_null(strstr(end + 8, "<style"));
	buf_clear(&wanted);
	buf_clear(&reply.body);
}

/* B5 */
static void
test_nothing_from_outside_is_markup(void **state)
{
	static const char hostile[] = "</title><script>alert(1)</script>\" onload='x' &lt; <svg/onload=1>";
	struct http_reply reply = {0};
	struct buf out = {0};
	const char *p;

	(void)state;
	page_escape(&out, hostile);
	assert_null(strpbrk(buf_str(&out), "<>\"'"));
	for (p = buf_str(&out); (p = strchr(p, '&')) != NULL; p++)
		assert_true(strncmp(p, "&lt;", 4) == 0 || strncmp(p, "&gt;", 4) == 0 || strncmp(p, "&amp;", 5) == 0 ||
		    strncmp(p, "&quot;", 6) == 0 || strncmp(p, "&#39;", 5) == 0);
	assert_non_null(strstr(buf_str(&out), "&amp;lt;")); /* not read back as markup either */
	page_reply(&reply, 200, hostile, "");
	assert_null(strstr(buf_str(&reply.body), "<script"));
	assert_null(strstr(buf_str(&reply.body), "<svg"));
	/* The second reply replaces the first. */
	page_reply(&reply, 200, "a", "b");
	assert_non_null(strstr(buf_str(&reply.body), "<h1>a</h1>\nb</body>"));
	assert_null(strstr(buf_str(&reply.body), "alert"));
	buf_clear(&out);
	buf_clear(&reply.body);
}

static void
test_who_wants_a_page(void **state)
{
	struct http_request req = {.accept = "text/html,application/xhtml+xml;q=0.9"};

	(void)state;
	assert_true(page_wanted(&req));
	req.accept = "*/*"; /* curl */
	assert_false(page_wanted(&req));
	req.accept = "";
	assert_false(page_wanted(&req));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_the_policy_allows_the_style_and_nothing_else),
	    cmocka_unit_test(test_nothing_from_outside_is_markup),
	    cmocka_unit_test(test_who_wants_a_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

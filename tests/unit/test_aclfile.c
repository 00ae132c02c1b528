/* The ACL file: what is written, what is refused, and what a reader takes for whole. */
#include "check.h"

#include "authz/aclfile.h"
#include "authz/policy.h"
#include "base/buf.h"
#include "base/err.h"

#include <stdlib.h>
#include <string.h>

#define ID "0b9e4f1c-6f0e-4f4e-9b1a-3c8d2e7a5f60"
#define OTHER "5d0c9a52-8a43-4a5e-8f0e-7f4b1b6a2c11"
#define USER "user " OTHER

static void
make_file(struct buf *out)
{
	static const char *const write[] = {"devices/" ID "/telemetry", "shared/x", "shared/x"};
	static const char *const read[] = {"devices/" ID "/commands/#", "shared/x", "with space/+"};
	struct err err = {0};

	aclfile_begin(out);
	assert_ok(aclfile_user(out, ID, write, 3, read, 3, &err));
	assert_ok(aclfile_user(out, OTHER, NULL, 0, NULL, 0, &err));
	aclfile_end(out);
}

static void
test_written(void **state)
{
	struct buf out = {0};
	const char *body;
	struct err err = {0};

	(void)state;
	make_file(&out);
	assert_ok(aclfile_check(buf_str(&out), out.len, &err));
	assert_int_equal(buf_str(&out)[0], '#');
	body = strchr(buf_str(&out), '\n') + 1;
	assert_memory_equal(body,
	    "user " ID "\n"
	    "topic readwrite shared/x\n"
	    "topic write devices/" ID "/telemetry\n"
	    "topic read devices/" ID "/commands/#\n"
	    "topic read with space/+\n"
	    "user " OTHER "\n"
	    "# ",
	    strlen("user " ID "\ntopic readwrite shared/x\ntopic write devices/" ID
		   "/telemetry\ntopic read devices/" ID
		   "/commands/#\ntopic read with space/+\nuser " OTHER "\n# "));
	buf_clear(&out);
}

/* B1, B2, B3, B4: no name but a UUID. */
static void
test_refuses_names(void **state)
{
	static const char *const bad[] = {"", "admin", ID "\ntopic #", ID " ", " " ID, ID "\r",
	    "0B9E4F1C-6F0E-4F4E-9B1A-3C8D2E7A5F60", "../../etc/passwd", "#", "+", "%u", "$SYS",
	    "0b9e4f1c-6f0e-4f4e-9b1a-3c8d2e7a5f6", ID "0", "/CN=admin", "{id}"};
	static const char *const topics[] = {"a"};
	struct buf out = {0};
	struct err err = {0};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(aclfile_user(&out, bad[i], topics, 1, topics, 1, &err), E_INPUT);
		assert_int_equal(out.len, 0);
	}
}

/* B1, B2: one bad filter, wherever it stands, and nothing is appended. */
static void
test_refuses_filters(void **state)
{
	static const char *const bad[] = {"", "a\ntopic #", ("a\n" USER), "a\r",
	    "a\npattern readwrite #", " #", "# ", "%c", "%u/x", "$SYS/#", "$CONTROL/#", "{id}",
	    "a#", "\x1b[0m", "a\xff"};
	struct buf out = {0};
	struct err err = {0};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		const char *const list[] = {"good/1", bad[i]};

		assert_int_equal(aclfile_user(&out, ID, list, 2, NULL, 0, &err), E_INPUT);
		assert_int_equal(aclfile_user(&out, ID, NULL, 0, list, 2, &err), E_INPUT);
		assert_int_equal(aclfile_user(&out, ID, list, 1, list + 1, 1, &err), E_INPUT);
		assert_int_equal(out.len, 0);
	}
}

/* C4: of a file cut at any byte, none is taken for whole. */
static void
test_check_cut(void **state)
{
	struct buf out = {0};
	struct err err = {0};
	size_t len;
	char *copy;

	(void)state;
	make_file(&out);
	for (len = 0; len < out.len; len++) {
		/* Exactly LEN bytes, so that ASan sees a read behind them. */
		copy = malloc(len > 0 ? len : 1);
		assert_non_null(copy);
		memcpy(copy, out.data, len);
		assert_int_equal(aclfile_check(copy, len, &err), E_INPUT);
		free(copy);
	}
	buf_clear(&out);
}

/* The file with TEXT inserted behind its first line. */
static int
check_with(const char *text, size_t len)
{
	struct buf whole = {0}, out = {0};
	struct err err = {0};
	size_t first;
	int rc;

	make_file(&whole);
	first = (size_t)(strchr(buf_str(&whole), '\n') + 1 - buf_str(&whole));
	buf_append(&out, whole.data, first);
	buf_append(&out, text, len);
	buf_append(&out, whole.data + first, whole.len - first);
	rc = aclfile_check(buf_str(&out), out.len, &err);
	buf_clear(&whole);
	buf_clear(&out);
	return rc;
}

/* C1, C4: lines that would give rights to everybody, or that are not ours. */
static void
test_check_edited(void **state)
{
	static const char *const bad[] = {"topic readwrite #\n", "topic #\n",
	    "pattern readwrite #\n", "\n", "# remark\n", "user admin\n", USER "\ntopic #\n",
	    USER "\ntopic deny a\n", USER "\ntopic read  a\n", USER "\ntopic read a \n",
	    USER "\ntopic read %u\n", USER "\ntopic read\n", USER " \n", USER "\r\n", USER};
	char long_line[2000];
	size_t i;

	(void)state;
	assert_int_equal(check_with("", 0), 0);
	assert_int_equal(check_with("user " OTHER "\ntopic read a\n", 55), 0);
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (check_with(bad[i], strlen(bad[i])) != E_INPUT)
			fail_msg("accepted edit %zu", i);
	assert_int_equal(check_with("user " OTHER "\0 x\n", 45), E_INPUT);
	memset(long_line, 'a', sizeof long_line);
	long_line[sizeof long_line - 1] = '\n';
	assert_int_equal(check_with(long_line, sizeof long_line), E_INPUT);
	memcpy(long_line, "user " OTHER "\ntopic read ", 53);
	assert_int_equal(check_with(long_line, sizeof long_line), E_INPUT);
}

static void
test_check_empty(void **state)
{
	struct buf out = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(aclfile_check("", 0, &err), E_INPUT);
	aclfile_begin(&out);
	assert_int_equal(aclfile_check(buf_str(&out), out.len, &err), E_INPUT);
	aclfile_end(&out);
	assert_ok(aclfile_check(buf_str(&out), out.len, &err)); /* nobody yet: all is denied */
	buf_byte(&out, '\n');
	assert_int_equal(aclfile_check(buf_str(&out), out.len, &err), E_INPUT);
	buf_clear(&out);
}

/* The longest filter there may be is written and read back. */
static void
test_longest(void **state)
{
	char filter[POLICY_TOPIC_MAX + 1];
	const char *list[] = {filter};
	struct buf out = {0};
	struct err err = {0};

	(void)state;
	memset(filter, 'a', POLICY_TOPIC_MAX);
	filter[POLICY_TOPIC_MAX] = '\0';
	aclfile_begin(&out);
	assert_ok(aclfile_user(&out, ID, list, 1, list, 1, &err));
	aclfile_end(&out);
	assert_ok(aclfile_check(buf_str(&out), out.len, &err));
	buf_clear(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_written),
	    cmocka_unit_test(test_refuses_names),
	    cmocka_unit_test(test_refuses_filters),
	    cmocka_unit_test(test_check_cut),
	    cmocka_unit_test(test_check_edited),
	    cmocka_unit_test(test_check_empty),
	    cmocka_unit_test(test_longest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

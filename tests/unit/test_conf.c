#include "check.h"

#include "base/conf.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct values {
	char name[CONF_TEXT_SIZE];
	char mode[CONF_TEXT_SIZE];
	int64_t count;
	int64_t period_s;
	bool on;
};

static const struct conf_key keys[] = {
    {"a", "name", CONF_TEXT, offsetof(struct values, name), "nobody", "A name.", 0, 0, NULL},
    {"a", "mode", CONF_CHOICE, offsetof(struct values, mode), "slow", "Its mode.", 0, 0, "slow|fast"},
    {"a", "count", CONF_INTEGER, offsetof(struct values, count), "3", "How many.", 0, 10, NULL},
    {"b", "period", CONF_DURATION, offsetof(struct values, period_s), "90m", "How long.", 60, 86400, NULL},
    {"b", "on", CONF_SWITCH, offsetof(struct values, on), "off", "Whether.", 0, 0, NULL},
};
#define N (sizeof keys / sizeof keys[0])

static int
parse(const char *text, struct values *v, struct err *err)
{
	conf_defaults(keys, N, v);
	return conf_parse(text, keys, N, v, NULL, NULL, err);
}

static void
test_defaults_and_values(void **state)
{
	struct values v;
	struct err err = {0};

	(void)state;
	assert_ok(parse("; comment\n[a]\nname = Großer Pump\ncount=10\n\n[b]\nperiod = 2h\non = on\n", &v, &err));
	assert_string_equal(v.name, "Großer Pump");
	assert_string_equal(v.mode, "slow");
	assert_int_equal(v.count, 10);
	assert_int_equal(v.period_s, 7200);
	assert_true(v.on);
	assert_ok(parse("", &v, &err));
	assert_string_equal(v.name, "nobody");
	assert_int_equal(v.period_s, 5400);
	assert_false(v.on);
}

static void
test_what_is_printed_is_understood(void **state)
{
	struct values v, again;
	struct buf out = {0};
	struct err err = {0};

	(void)state;
	memset(&v, 0, sizeof v);
	memset(&again, 0, sizeof again);
	assert_ok(parse("[a]\nmode = fast\n[b]\nperiod = 61s\n", &v, &err));
	conf_print(&out, keys, N, &v);
	assert_non_null(strstr(buf_str(&out), "; How many. (default: 3)\ncount = 3\n"));
	assert_ok(parse(buf_str(&out), &again, &err));
	assert_memory_equal(&v, &again, sizeof v);
	buf_clear(&out);
}

static void
test_mistakes_name_line_and_key(void **state)
{
	static const struct {
		const char *text, *field;
	} bad[] = {
	    {"[a]\ncount = 11\n", "a.count"},
	    {"[a]\ncount = -1\n", "a.count"},
	    {"[a]\ncount = 3x\n", "a.count"},
	    {"[a]\ncount = 99999999999999999999\n", "a.count"},
	    {"[a]\nmode = slo\n", "a.mode"},
	    {"[a]\nmode = slow|fast\n", "a.mode"},
	    {"[b]\nperiod = 1s\n", "b.period"},
	    {"[b]\nperiod = 2\n", "b.period"},
	    {"[b]\non = yes\n", "b.on"},
	    {"[a]\nname = a\x1b[31m\n", "a.name"},
	    {"[a]\nnonsense = 1\n", "a.nonsense"},
	    {"[c]\nx = 1\n", "c.x"},
	};
	struct values v;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct err err = {0};

		assert_int_equal(parse(bad[i].text, &v, &err), E_INPUT);
		assert_string_equal(err.field, bad[i].field);
		assert_non_null(strstr(err.text, "line 2"));
	}
}

static void
test_what_is_no_ini_is_refused(void **state)
{
	struct values v;
	struct err err = {0};

	(void)state;
	assert_int_equal(parse("[a\nname = x\n", &v, &err), E_INPUT);
	assert_int_equal(parse("just words\n", &v, &err), E_INPUT);
}

static int
take_profiles(void *ctx, const char *section, const char *name, const char *value, struct err *err)
{
	(void)err;
	(void)name;
	(void)value;
	*(int *)ctx += strcmp(section, "profile x") == 0;
	return 0;
}

static void
test_other_sections_go_to_their_owner(void **state)
{
	struct values v;
	struct err err = {0};
	int seen = 0;

	(void)state;
	conf_defaults(keys, N, &v);
	assert_ok(conf_parse("[profile x]\nkeys = a\nvalidity = b\n[a]\ncount = 1\n", keys, N, &v, take_profiles, &seen, &err));
	assert_int_equal(seen, 2);
	assert_int_equal(v.count, 1);
}

/* ---- conf_find: one key out of a file whose other keys are others' ------------------------------------------- */

static int
find_count(const char *text, struct values *v, struct err *err)
{
	memset(v, 0x5a, sizeof *v);
	return conf_find(text, &keys[2], v, err);
}

static void
test_one_key_is_found(void **state)
{
	struct values v, untouched;
	struct err err = {0};

	(void)state;
	memset(&untouched, 0x5a, sizeof untouched);
	assert_ok(find_count("[a]\nname = x\nnonsense = 1\ncount = 7\n[c]\ncount = 8\nx = y\n[b]\non = perhaps\n", &v,
	    &err));
	assert_int_equal(v.count, 7);
	v.count = untouched.count;
	assert_memory_equal(&v, &untouched, sizeof v); /* other keys are not even looked at */
}

static void
test_one_key_has_its_default(void **state)
{
	struct values v;
	struct err err = {0};

	(void)state;
	assert_ok(find_count("", &v, &err));
	assert_int_equal(v.count, 3);
	assert_ok(find_count("count = 5\n[b]\ncount = 6\n[a]\n; count = 7\ncounts = 8\n", &v, &err));
	assert_int_equal(v.count, 3);
}

/* As conf_parse has it. */
static void
test_the_last_of_two_counts(void **state)
{
	struct values v;
	struct err err = {0};

	(void)state;
	assert_ok(find_count("[a]\ncount = 5\n[b]\n[a]\ncount = 6\n", &v, &err));
	assert_int_equal(v.count, 6);
	assert_ok(parse("[a]\ncount = 5\n[b]\n[a]\ncount = 6\n", &v, &err));
	assert_int_equal(v.count, 6);
}

static void
test_one_key_is_checked(void **state)
{
	static const char *const bad[] = {"11", "-1", "", "x", "3x", "99999999999999999999"};
	char text[64];
	struct values v;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct err err = {0};

		(void)snprintf(text, sizeof text, "[b]\n[a]\ncount = %s\n", bad[i]);
		assert_int_equal(find_count(text, &v, &err), E_INPUT);
		assert_string_equal(err.field, "a.count");
		assert_non_null(strstr(err.text, "line 3"));
	}
}

static void
test_one_key_out_of_no_ini(void **state)
{
	struct err err = {0};
	struct values v;
	char *large;

	(void)state;
	assert_int_equal(find_count("[a]\njust words\n", &v, &err), E_INPUT);
	assert_non_null(strstr(err.text, "line 2"));
	assert_non_null(large = malloc(CONF_FILE_MAX + 2));
	memset(large, '\n', CONF_FILE_MAX + 1);
	large[CONF_FILE_MAX + 1] = '\0';
	assert_int_equal(find_count(large, &v, &err), E_LIMIT);
	large[CONF_FILE_MAX] = '\0';
	assert_ok(find_count(large, &v, &err));
	free(large);
}

/* A table whose default is wrong is our bug, and must not pass for a value. */
static void
test_a_wrong_default_is_refused(void **state)
{
	struct conf_key key = keys[2];
	struct err err = {0};
	struct values v;

	(void)state;
	key.fallback = "11";
	assert_int_equal(conf_find("[a]\ncount = 7\n", &key, &v, &err), E_INPUT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_defaults_and_values),
	    cmocka_unit_test(test_what_is_printed_is_understood),
	    cmocka_unit_test(test_mistakes_name_line_and_key),
	    cmocka_unit_test(test_what_is_no_ini_is_refused),
	    cmocka_unit_test(test_other_sections_go_to_their_owner),
	    cmocka_unit_test(test_one_key_is_found),
	    cmocka_unit_test(test_one_key_has_its_default),
	    cmocka_unit_test(test_the_last_of_two_counts),
	    cmocka_unit_test(test_one_key_is_checked),
	    cmocka_unit_test(test_one_key_out_of_no_ini),
	    cmocka_unit_test(test_a_wrong_default_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

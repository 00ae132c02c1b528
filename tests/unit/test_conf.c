#include "check.h"

#include "base/conf.h"

#include <stdbool.h>
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_defaults_and_values),
	    cmocka_unit_test(test_what_is_printed_is_understood),
	    cmocka_unit_test(test_mistakes_name_line_and_key),
	    cmocka_unit_test(test_what_is_no_ini_is_refused),
	    cmocka_unit_test(test_other_sections_go_to_their_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "capture.h"

#include "cmd/print.h"

#include <string.h>

static json_t *
json(const char *text)
{
	json_t *value = json_loads(text, 0, NULL);

	assert_non_null(value);
	return value;
}

static void
test_values(void **state)
{
	static const struct {
		const char *path, *text;
	} cases[] = {
	    {"s", "text"}, {"n", "-7"}, {"yes", "yes"}, {"no", "no"}, {"null", ""}, {"absent", ""}, {"o.p.q", "deep"},
	    {"o.absent.q", ""}, {"s.x", ""}, {"list", "a, 2"}, {"map", "k=v, l=w"}, {"empty", ""},
	    {"list.0", "a"}, {"list.1", "2"}, {"list.2", ""}, {"list.x", ""}, {"list.-1", ""}};
	json_t *answer = json("{\"s\":\"text\",\"n\":-7,\"yes\":true,\"no\":false,\"null\":null,\"o\":{\"p\":{\"q\":\"deep\"}},"
			      "\"list\":[\"a\",2],\"map\":{\"k\":\"v\",\"l\":\"w\"},\"empty\":[]}");
	size_t i;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct buf out = {0};

		print_value(&out, answer, cases[i].path);
		assert_string_equal(buf_str(&out), cases[i].text);
		buf_clear(&out);
	}
	json_decref(answer);
}

static void
test_fields_are_aligned_and_what_is_absent_is_left_out(void **state)
{
	static const struct print_field fields[] = {{"Id:", "id"}, {"Location:", "location"}, {"Status:", "status"}};
	json_t *answer = json("{\"id\":\"x\",\"location\":null,\"status\":\"active\"}");
	struct buf out = {0};
	struct capture c;

	(void)state;
	capture_begin(&c);
	print_fields(answer, fields, 3);
	capture_end(&c, &out);
	assert_string_equal(buf_str(&out), "Id:        x\nStatus:    active\n");
	buf_clear(&out);
	json_decref(answer);
}

/* B7: in values, in the names of labels, in lines of PEM, in cells, in the cursor. */
static void
test_nothing_speaks_to_the_terminal(void **state)
{
	static const struct print_field fields[] = {{"A", "a"}, {"M", "m"}};
	json_t *answer = json("{\"a\":\"\\u001b[2J\\r\\nb\",\"m\":{\"\\u009bk\":\"\\u202ev\"},\"next\":\"\\u001b[1m\","
			      "\"items\":[{\"a\":\"\\u001b]0;x\\u0007\",\"m\":{\"\\u0008\":\"y\"}}]}");
	struct buf out = {0};
	struct err err = {0};
	struct capture c;
	const char *p;

	(void)state;
	capture_begin(&c);
	print_fields(answer, fields, 2);
	print_lines(answer, "a");
	(void)!print_items(answer, fields, 2, true, &err);
	capture_end(&c, &out);
	assert_non_null(strstr(buf_str(&out), "There are more"));
	for (p = buf_str(&out); *p != '\0'; p++)
		assert_true(*p == '\n' || (*p >= 0x20 && *p < 0x7f));
	buf_clear(&out);
	json_decref(answer);
}

static void
test_tables(void **state)
{
	static const struct print_field fields[] = {{"NAME", "name"}, {"STATUS", "status"}};
	json_t *answer = json("{\"items\":[{\"name\":\"a longer name\",\"status\":\"active\"},{\"name\":\"b\"}],\"next\":null}");
	json_t *none = json("{\"items\":[],\"next\":null}");
	struct buf out = {0};
	struct err err = {0};
	struct capture c;
	int rc;

	(void)state;
	capture_begin(&c);
	rc = print_items(answer, fields, 2, true, &err);
	capture_end(&c, &out);
	assert_ok(rc);
	assert_string_equal(buf_str(&out), "NAME          STATUS\na longer name active\nb             \n");
	buf_reset(&out);
	capture_begin(&c);
	rc = print_items(none, fields, 2, true, &err);
	capture_end(&c, &out);
	assert_ok(rc);
	assert_string_equal(buf_str(&out), "There are none.\n");
	buf_clear(&out);
	json_decref(answer);
	json_decref(none);
}

/* --json is the answer, the same JSON again. */
static void
test_json_is_the_answer(void **state)
{
	json_t *answer = json("{\"name\":\"K\\u00f6ln \\u202e\",\"n\":[1,2]}"), *again;
	struct buf out = {0};
	struct capture c;

	(void)state;
	capture_begin(&c);
	print_json(answer);
	capture_end(&c, &out);
	assert_non_null(again = json_loads(buf_str(&out), JSON_REJECT_DUPLICATES, NULL));
	assert_true(json_equal(answer, again));
	buf_clear(&out);
	json_decref(answer);
	json_decref(again);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_values),
	    cmocka_unit_test(test_fields_are_aligned_and_what_is_absent_is_left_out),
	    cmocka_unit_test(test_nothing_speaks_to_the_terminal),
	    cmocka_unit_test(test_tables),
	    cmocka_unit_test(test_json_is_the_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "check.h"

#include "cmd/list.h"

#include <signal.h>
#include <stdbool.h>

#include "rest_fixture.h"

static const struct print_field columns[] = {{"ID", "id"}};

/* What list_show printed, with its standard output and error in a file. */
static int
show(struct fixture *f, const struct list_options *options, const char *path_text,
    struct buf *printed, struct err *err)
{
	struct buf path = {0};
	FILE *file = tmpfile();
	int out = dup(STDOUT_FILENO), errors = dup(STDERR_FILENO), rc;
	char chunk[4096];
	size_t n;

	buf_text(&path, path_text);
	(void)fflush(NULL);
	(void)dup2(fileno(file), STDOUT_FILENO);
	(void)dup2(fileno(file), STDERR_FILENO);
	rc = list_show(&f->cli, options, &path, columns, 1, err);
	(void)fflush(NULL);
	(void)dup2(out, STDOUT_FILENO);
	(void)dup2(errors, STDERR_FILENO);
	(void)close(out);
	(void)close(errors);
	rewind(file);
	while ((n = fread(chunk, 1, sizeof chunk, file)) > 0)
		buf_append(printed, chunk, n);
	(void)fclose(file);
	buf_clear(&path);
	return rc;
}

static void
answer(struct fixture *f, const char *const *bodies, size_t n)
{
	struct buf answers[4] = {0};
	size_t i;

	for (i = 0; i < n; i++)
		fixture_say(&answers[i], "200 OK", bodies[i]);
	fixture_answer(f, answers, n);
	for (i = 0; i < n; i++)
		buf_clear(&answers[i]);
}

static const char *const two_pages[] = {
    "{\"items\":[{\"id\":\"one\"},{\"id\":\"two\"}],\"next\":\"c u\"}",
    "{\"items\":[{\"id\":\"three\"}],\"next\":null}"};

static void
test_one_page(void **state)
{
	const struct list_options options = {.limit = "2", .after = "b&c"};
	struct fixture *f = *state;
	struct buf printed = {0}, asked = {0};
	struct err err = {0};

	answer(f, two_pages, 1);
	assert_ok(show(f, &options, "/v1/devices?type=t", &printed, &err));
	assert_non_null(strstr(buf_str(&printed), "one"));
	assert_non_null(strstr(buf_str(&printed), "--after c u"));
	fixture_asked(f, &asked);
	assert_non_null(strstr(buf_str(&asked), "GET /v1/devices?type=t&limit=2&after=b%26c HTTP"));
	buf_clear(&printed);
	buf_clear(&asked);
}

static void
test_all_pages(void **state)
{
	const struct list_options options = {.all = true};
	struct fixture *f = *state;
	struct buf printed = {0}, asked = {0};
	struct err err = {0};

	answer(f, two_pages, 2);
	assert_ok(show(f, &options, "/v1/devices", &printed, &err));
	assert_non_null(strstr(buf_str(&printed), "one"));
	assert_non_null(strstr(buf_str(&printed), "three"));
	assert_null(strstr(buf_str(&printed), "--after"));
	fixture_asked(f, &asked);
	assert_non_null(strstr(buf_str(&asked), "GET /v1/devices?limit=1000 HTTP"));
	assert_non_null(strstr(buf_str(&asked), "GET /v1/devices?limit=1000&after=c%20u HTTP"));
	buf_clear(&printed);
	buf_clear(&asked);
}

static void
test_all_pages_are_one_document(void **state)
{
	const struct list_options options = {.all = true};
	struct fixture *f = *state;
	struct buf printed = {0};
	struct err err = {0};
	json_t *got;

	f->cli.json = true;
	answer(f, two_pages, 2);
	assert_ok(show(f, &options, "/v1/devices", &printed, &err));
	assert_non_null(got = json_loadb(buf_str(&printed), printed.len, 0, NULL));
	assert_int_equal(json_array_size(json_object_get(got, "items")), 3);
	assert_true(json_is_null(json_object_get(got, "next")));
	json_decref(got);
	buf_clear(&printed);
}

static void
test_endless_list(void **state)
{
	static const char *const same[] = {
	    "{\"items\":[],\"next\":\"c\"}", "{\"items\":[],\"next\":\"c\"}"};
	const struct list_options options = {.all = true};
	struct fixture *f = *state;
	struct buf printed = {0};
	struct err err = {0};

	answer(f, same, 2);
	assert_int_equal(show(f, &options, "/v1/devices", &printed, &err), E_SYS);
	assert_non_null(strstr(err.text, "does not end"));
	assert_int_equal(printed.len, 0);
}

static void
test_failure_on_a_later_page(void **state)
{
	static const char *const torn[] = {"{\"items\":[{\"id\":\"one\"}],\"next\":\"c\"}", "[]"};
	const struct list_options options = {.all = true};
	struct fixture *f = *state;
	struct buf printed = {0};
	struct err err = {0};

	answer(f, torn, 2);
	assert_int_equal(show(f, &options, "/v1/devices", &printed, &err), E_SYS);
	assert_int_equal(printed.len, 0); /* half a list would pass for a whole one */
}

static void
test_no_list(void **state)
{
	static const char *const wrong[] = {"{\"items\":{}}"};
	const struct list_options options = {0};
	struct fixture *f = *state;
	struct buf printed = {0};
	struct err err = {0};

	answer(f, wrong, 1);
	assert_int_equal(show(f, &options, "/v1/devices", &printed, &err), E_SYS);
}

/* B7: what is listed, and the cursor. */
static void
test_hostile_items(void **state)
{
	static const char *const hostile[] = {
	    "{\"items\":[{\"id\":\"a\\u001b[2Jb\\nc\\u202ed\"}],\"next\":\"\\u001b]0;x\\u0007\"}"};
	const struct list_options options = {0};
	struct fixture *f = *state;
	struct buf printed = {0};
	struct err err = {0};

	answer(f, hostile, 1);
	assert_ok(show(f, &options, "/v1/devices", &printed, &err));
	assert_non_null(strstr(buf_str(&printed), "[2Jb"));
	assert_non_null(strstr(buf_str(&printed), "]0;x"));
	assert_null(strpbrk(buf_str(&printed), "\x1b\x07"));
	assert_null(strstr(buf_str(&printed), "\xe2\x80\xae"));
	buf_clear(&printed);
}

static void
test_empty_list(void **state)
{
	static const char *const empty[] = {"{\"items\":[],\"next\":null}"};
	const struct list_options options = {0};
	struct fixture *f = *state;
	struct buf printed = {0};
	struct err err = {0};

	answer(f, empty, 1);
	assert_ok(show(f, &options, "/v1/devices", &printed, &err));
	assert_string_equal(buf_str(&printed), "There are none.\n");
	buf_clear(&printed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_one_page, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(test_all_pages, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(
		test_all_pages_are_one_document, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(test_endless_list, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(
		test_failure_on_a_later_page, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(test_no_list, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(test_hostile_items, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(test_empty_list, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

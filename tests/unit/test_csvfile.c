#include "check.h"

#include "cmd/csvfile.h"

#include "base/fs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[64], file[128];

static int
setup(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof dir, "/tmp/muster-test-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(file, sizeof file, "%s/f.csv", dir);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	(void)unlink(file);
	return rmdir(dir);
}

/* Records as "LINE:cell|cell;". A long cell is "<long>", a NUL is shown as 0. */
static int
show(void *ctx, const struct csvfile_record *record, struct err *err)
{
	struct buf *out = ctx;
	size_t i, k;

	(void)err;
	buf_printf(out, "%lld:", (long long)record->line);
	for (i = 0; i < record->n && i < CSVFILE_CELLS_MAX; i++) {
		if (i > 0)
			buf_byte(out, '|');
		if (record->cells[i].is_long)
			buf_text(out, "<long>");
		for (k = 0; k < record->cells[i].len; k++)
			buf_byte(out, record->cells[i].text[k] != '\0' ? (uint8_t)record->cells[i].text[k] : '0');
		assert_int_equal(record->cells[i].text[record->cells[i].len], '\0');
	}
	buf_byte(out, ';');
	return 0;
}

static int
read_text(const void *text, size_t len, struct buf *out, int64_t *line)
{
	struct err err = {0};

	assert_ok(fs_write(file, 0600, (gid_t)-1, text, len, &err));
	return csvfile_read(file, show, out, line, &err);
}

static void
test_records(void **state)
{
	static const struct {
		const char *text, *records;
	} cases[] = {
	    {"", ""},
	    {"a,b\r\nc,d\r\n", "1:a|b;2:c|d;"},
	    {"a,b\nc,d", "1:a|b;2:c|d;"},
	    {"\xef\xbb\xbf" "a\n", "1:a;"},
	    {"\r\n\na\n\n\nb\n", "3:a;6:b;"},
	    {"\"a\r\nb\",\"c,d\"\n\"e\"\"f\",\n", "1:a\r\nb|c,d;3:e\"f|;"},
	    {" a , b\n\"\"\n", "1: a | b;2:;"},
	    {",\n", "1:|;"},
	    {"\xc3\xa4,\"\"\"\"\n", "1:\xc3\xa4|\";"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct buf out = {0};
		int64_t line;

		assert_int_equal(read_text(cases[i].text, strlen(cases[i].text), &out, &line), 0);
		assert_string_equal(buf_str(&out), cases[i].records);
		buf_clear(&out);
	}
}

static void
test_what_is_no_csv(void **state)
{
	static const struct {
		const char *text;
		int64_t line;
	} cases[] = {{"a\nb\"c\n", 2}, {"a\n\n\"b\nc\n", 3}, {"\"a\"b\n", 1}, {"a\n\"b\" ,c\n", 2}};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct buf out = {0};
		int64_t line = 0;

		assert_int_equal(read_text(cases[i].text, strlen(cases[i].text), &out, &line), E_INPUT);
		assert_int_equal(line, cases[i].line);
		buf_clear(&out);
	}
}

/* A cell is cut off at its bound, a record that does not end is an error; a NUL is seen. */
static void
test_bounds(void **state)
{
	size_t len = CSVFILE_RECORD_MAX + 100;
	char *text = malloc(len);
	struct buf out = {0};
	int64_t line = 0;

	(void)state;
	assert_non_null(text);
	memset(text, 'x', len);
	memcpy(text, "a\n", 2);
	assert_int_equal(read_text(text, len, &out, &line), E_LIMIT);
	assert_int_equal(line, 2);
	buf_reset(&out);
	text[CSVFILE_CELL_MAX + 2] = '\n';
	assert_int_equal(read_text(text, CSVFILE_CELL_MAX + 3, &out, &line), 0);
	assert_int_equal(out.len, 4 + 2 + CSVFILE_CELL_MAX + 1);
	buf_reset(&out);
	text[CSVFILE_CELL_MAX + 2] = 'x';
	assert_int_equal(read_text(text, CSVFILE_CELL_MAX + 3, &out, &line), 0);
	assert_string_equal(buf_str(&out), "1:a;2:<long>;");
	buf_reset(&out);
	assert_int_equal(read_text("a\0b,c\n", 6, &out, &line), 0);
	assert_string_equal(buf_str(&out), "1:a0b|c;");
	buf_reset(&out);
	memset(text, ',', 300);
	assert_int_equal(read_text(text, 300, &out, &line), 0);
	assert_int_equal(out.len, 2 + CSVFILE_CELLS_MAX - 1 + 1);
	buf_clear(&out);
	free(text);
}

/* B6 */
static void
test_formulas_are_made_harmless_and_come_back(void **state)
{
	static const char *const cells[] = {"=1", "+1", "-1", "@x", "\tx", "\rx", "'=1", "''@", "'x", "'", "a=b", "", "a\"b", "a,b", "a\nb"};
	static const char *const written[] = {
	    "'=1", "'+1", "'-1", "'@x", "'\tx", "\"'\rx\"", "''=1", "'''@", "'x", "'", "a=b", "", "\"a\"\"b\"", "\"a,b\"", "\"a\nb\""};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof cells / sizeof cells[0]; i++) {
		struct buf out = {0}, expected = {0};
		int64_t line;

		csvfile_write(&out, &cells[i], 1);
		buf_printf(&expected, "%s\r\n", written[i]);
		assert_string_equal(buf_str(&out), buf_str(&expected));
		buf_reset(&expected);
		if (cells[i][0] != '\0') {
			assert_int_equal(read_text(out.data, out.len, &expected, &line), 0);
			buf_cut(&expected, expected.len - 1);
			assert_string_equal(csvfile_plain(buf_str(&expected) + 2), cells[i]);
		}
		buf_clear(&out);
		buf_clear(&expected);
	}
}

static void
test_no_file(void **state)
{
	struct buf out = {0};
	struct err err = {0};
	int64_t line;

	(void)state;
	(void)unlink(file);
	assert_int_equal(csvfile_read(file, show, &out, &line, &err), E_NOTFOUND);
	assert_int_not_equal(csvfile_read(dir, show, &out, &line, &err), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_records),
	    cmocka_unit_test(test_what_is_no_csv),
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_formulas_are_made_harmless_and_come_back),
	    cmocka_unit_test(test_no_file),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

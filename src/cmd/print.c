/* One way to show each kind of answer. */
#include "cmd/print.h"

#include "base/text.h"
#include "cmd/table.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define COLUMNS_MAX 12

void
print_json(const json_t *answer)
{
	/* JSON leaves C1 controls and bidirectional marks as they are; a terminal must not see
	 * them. */
	(void)json_dumpf(
	    answer, stdout, JSON_INDENT(2) | (isatty(STDOUT_FILENO) != 0 ? JSON_ENSURE_ASCII : 0));
	(void)putchar('\n');
}

static const json_t *
at_path(const json_t *value, const char *path)
{
	char key[64];
	int64_t i;
	size_t len;

	for (;;) {
		len = strcspn(path, ".");
		if (len == 0 || len >= sizeof key)
			return value;
		memcpy(key, path, len);
		key[len] = '\0';
		value = json_is_array(value) && integer_parse(key, 0, INT32_MAX, &i) ? json_array_get(value, (size_t)i) :
										 json_object_get(value, key);
		if (path[len] == '\0')
			return value;
		path += len + 1;
	}
}

static void
append_value(struct buf *out, const json_t *value)
{
	const char *key;
	json_t *item;
	size_t i, n = 0;

	switch (value == NULL ? JSON_NULL : json_typeof(value)) {
	case JSON_STRING:
		buf_append(out, json_string_value(value), json_string_length(value));
		break;
	case JSON_INTEGER:
		buf_printf(out, "%lld", (long long)json_integer_value(value));
		break;
	case JSON_TRUE:
		buf_text(out, "yes");
		break;
	case JSON_FALSE:
		buf_text(out, "no");
		break;
	case JSON_ARRAY:
		json_array_foreach (value, i, item) {
			buf_text(out, i > 0 ? ", " : "");
			append_value(out, item);
		}
		break;
	case JSON_OBJECT:
		json_object_foreach ((json_t *)value, key, item) {
			buf_printf(out, "%s%s=", n++ > 0 ? ", " : "", key);
			append_value(out, item);
		}
		break;
	case JSON_REAL:
	case JSON_NULL:
		break;
	}
}

void
print_value(struct buf *out, const json_t *answer, const char *path)
{
	append_value(out, at_path(answer, path));
}

void
print_lines(const json_t *answer, const char *path)
{
	struct buf text = {0}, safe = {0};
	const char *line;
	size_t len;

	print_value(&text, answer, path);
	for (line = buf_str(&text); *line != '\0'; line += len + (line[len] == '\n')) {
		len = strcspn(line, "\n");
		text_escape(&safe, line, len);
		buf_byte(&safe, '\n');
	}
	(void)fputs(buf_str(&safe), stdout);
	buf_clear(&text);
	buf_clear(&safe);
}

void
print_fields(const json_t *answer, const struct print_field *fields, size_t n)
{
	struct buf value = {0}, safe = {0};
	size_t i, width = 0;

	for (i = 0; i < n; i++)
		if (strlen(fields[i].label) > width)
			width = strlen(fields[i].label);
	for (i = 0; i < n; i++) {
		buf_reset(&value);
		buf_reset(&safe);
		print_value(&value, answer, fields[i].path);
		if (value.len == 0)
			continue;
		text_escape(&safe, buf_str(&value), value.len);
		(void)printf("%-*s  %s\n", (int)width, fields[i].label, buf_str(&safe));
	}
	buf_clear(&value);
	buf_clear(&safe);
}

/* On standard error, so that what reads the table sees the table alone. */
static void
print_rest(const json_t *answer)
{
	const char *next = json_string_value(json_object_get(answer, "next"));
	struct buf safe = {0};

	if (next != NULL) {
		text_escape(&safe, next, strlen(next));
		(void)fflush(stdout);
		(void)fprintf(stderr, "There are more: --all shows them all, and the next page\n  --after %s\n",
		    buf_str(&safe));
	}
	buf_clear(&safe);
}

int
print_items(const json_t *answer, const struct print_field *fields, size_t n, bool folded,
    struct err *err)
{
	const char *headings[COLUMNS_MAX], *cells[COLUMNS_MAX];
	struct buf texts[COLUMNS_MAX] = {0};
	json_t *items = json_object_get(answer, "items"), *item;
	struct table *table = NULL;
	size_t i, k;
	int rc;

	if (n > COLUMNS_MAX)
		return err_set(err, E_SYS, "too many columns");
	if (json_array_size(items) == 0) {
		(void)fprintf(stderr, "There are none.\n");
		return 0;
	}
	for (k = 0; k < n; k++)
		headings[k] = fields[k].label;
	if ((rc = table_new(headings, n, folded, &table, err)) != 0)
		return rc;
	json_array_foreach (items, i, item) {
		for (k = 0; k < n; k++) {
			buf_reset(&texts[k]);
			print_value(&texts[k], item, fields[k].path);
			cells[k] = buf_str(&texts[k]);
		}
		if ((rc = table_row(table, cells, err)) != 0)
			break;
	}
	for (k = 0; k < n; k++)
		buf_clear(&texts[k]);
	if (rc != 0) {
		table_free(table);
		return rc;
	}
	table_print_take(table);
	print_rest(answer);
	return 0;
}

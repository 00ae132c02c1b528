/* One way to show each kind of answer. */
#include "cmd/print.h"

#include "base/text.h"
#include "cmd/table.h"

#include <stdio.h>
#include <string.h>

#define COLUMNS_MAX 12
#define LABEL_WIDTH 13

void
print_json(const json_t *answer)
{
	(void)json_dumpf(answer, stdout, JSON_INDENT(2));
	(void)putchar('\n');
}

static const json_t *
at_path(const json_t *value, const char *path)
{
	char key[64];
	size_t len;

	for (;;) {
		len = strcspn(path, ".");
		if (len == 0 || len >= sizeof key)
			return value;
		memcpy(key, path, len);
		key[len] = '\0';
		value = json_object_get(value, key);
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
		json_array_foreach(value, i, item) {
			buf_text(out, i > 0 ? ", " : "");
			append_value(out, item);
		}
		break;
	case JSON_OBJECT:
		json_object_foreach((json_t *)value, key, item) {
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
print_fields(const json_t *answer, const struct print_field *fields, size_t n)
{
	struct buf value = {0}, safe = {0};
	size_t i;

	for (i = 0; i < n; i++) {
		buf_reset(&value);
		buf_reset(&safe);
		print_value(&value, answer, fields[i].path);
		if (value.len == 0)
			continue;
		text_escape(&safe, buf_str(&value), value.len);
		(void)printf("%-*s  %s\n", LABEL_WIDTH, fields[i].label, buf_str(&safe));
	}
	buf_clear(&value);
	buf_clear(&safe);
}

int
print_items(const json_t *answer, const struct print_field *fields, size_t n, const char *again,
    struct err *err)
{
	const char *headings[COLUMNS_MAX], *cells[COLUMNS_MAX];
	struct buf texts[COLUMNS_MAX] = {0};
	const char *next = json_string_value(json_object_get(answer, "next"));
	struct table *table = NULL;
	json_t *item;
	size_t i, k;
	int rc;

	if (n > COLUMNS_MAX)
		return err_set(err, E_SYS, "too many columns");
	for (k = 0; k < n; k++)
		headings[k] = fields[k].label;
	if ((rc = table_new(headings, n, &table, err)) != 0)
		return rc;
	json_array_foreach(json_object_get(answer, "items"), i, item) {
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
	if (next != NULL)
		(void)fprintf(stderr, "There are more: %s --after %s\n", again, next);
	return 0;
}

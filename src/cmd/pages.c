/* What every export has in common; memory for one page, however many there are. */
#include "cmd/pages.h"

#include "cmd/csvfile.h"
#include "cmd/rest.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct format {
	bool csv;
	const char *const *columns;
	size_t n;
};

/* A member as text, to be freed. NULL: no memory. */
static char *
cell_make(const json_t *value)
{
	if (json_is_string(value))
		return strdup(json_string_value(value));
	return value == NULL || json_is_null(value) ? strdup("") : json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
}

static int
csv_item(struct buf *out, const struct format *format, const json_t *item, struct err *err)
{
	char *cell;
	size_t i;

	for (i = 0; i < format->n; i++) {
		if ((cell = cell_make(json_object_get(item, format->columns[i]))) == NULL)
			return err_nomem(err);
		csvfile_cell(out, i, cell, false);
		free(cell);
	}
	buf_text(out, "\r\n");
	return 0;
}

static int
json_item(struct buf *out, const json_t *item, struct err *err)
{
	char *text = json_dumps(item, JSON_COMPACT);

	if (text == NULL)
		return err_nomem(err);
	buf_printf(out, "%s\n", text);
	free(text);
	return 0;
}

static int
put(struct buf *out, struct err *err)
{
	int rc = 0;

	if (buf_failed(out))
		rc = err_nomem(err);
	else if (fwrite(out->data, 1, out->len, stdout) != out->len || fflush(stdout) != 0)
		rc = err_sys(err, "cannot write to standard output");
	buf_reset(out);
	return rc;
}

static int
page_write(struct buf *out, const struct format *format, const json_t *page, struct err *err)
{
	json_t *item;
	size_t i;
	int rc = 0;

	json_array_foreach (json_object_get(page, "items"), i, item)
		if (rc == 0)
			rc = format->csv ? csv_item(out, format, item, err) : json_item(out, item, err);
	return rc == 0 ? put(out, err) : rc;
}

static int
page_get(const struct cli *cli, const struct buf *path, const char *after, json_t **page_out, struct err *err)
{
	struct buf target = {0};
	int rc;

	buf_text(&target, buf_str(path));
	rest_query(&target, "limit", "1000");
	rest_query(&target, "after", after);
	rc = buf_failed(path) || buf_failed(&target) ? err_nomem(err) : rest_call(cli, "GET", buf_str(&target), NULL, page_out, err);
	buf_clear(&target);
	return rc;
}

int
pages_export(const struct cli *cli, struct buf *path, bool csv, const char *const *columns, size_t n)
{
	const struct format format = {csv, columns, n};
	json_t *page = NULL, *next;
	struct buf out = {0};
	struct err err = {0};
	int rc;

	if (csv)
		csvfile_write(&out, columns, n);
	do {
		next = NULL;
		if ((rc = page_get(cli, path, json_string_value(json_object_get(page, "next")), &next, &err)) == 0)
			rc = page_write(&out, &format, next, &err);
		json_decref(page);
		page = next;
	} while (rc == 0 && json_is_string(json_object_get(page, "next")));
	json_decref(page);
	buf_clear(&out);
	buf_clear(path);
	return rc == 0 ? CLI_OK : cli_fail(cli, &err);
}

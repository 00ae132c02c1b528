/* `muster device export`: devices by pages, each written out before the next is asked for. */
#include "cmd/commands.h"
#include "cmd/csvfile.h"
#include "cmd/print.h"
#include "cmd/rest.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPT_FORMAT = 0x100, OPT_STATUS, OPT_TYPE, OPT_LOCATION, OPT_SEARCH };

struct arguments {
	const char *status, *type, *location, *search;
	bool jsonl;
};

static const struct argp_option options[] = {
    {"format", OPT_FORMAT, "FORMAT", 0, "csv (default) or jsonl: a JSON object a line", 0},
    {"status", OPT_STATUS, "STATUS", 0, "Only pending, active, suspended, revoked or archived ones", 0},
    {"type", OPT_TYPE, "WORD", 0, "Only of this type", 0},
    {"location", OPT_LOCATION, "TEXT", 0, "Only at this location", 0},
    {"search", OPT_SEARCH, "TEXT", 0, "Names or ids that begin with TEXT, whatever the case", 0}, {0}};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case OPT_FORMAT:
		if (strcmp(arg, "csv") != 0 && strcmp(arg, "jsonl") != 0)
			argp_error(state, "--format must be csv or jsonl");
		a->jsonl = strcmp(arg, "jsonl") == 0;
		return 0;
	case OPT_STATUS:
		a->status = arg;
		return 0;
	case OPT_TYPE:
		a->type = arg;
		return 0;
	case OPT_LOCATION:
		a->location = arg;
		return 0;
	case OPT_SEARCH:
		a->search = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {options, parse, "",
    "Write devices to standard output, as CSV or as JSON lines."
    "\vThe CSV's columns are those that `muster device import` reads, and what else there is to tell. Labels are one column, a JSON "
    "object. A cell that a spreadsheet would take for a formula (it begins with =, +, -, @, a tab or a carriage return) has an "
    "apostrophe in front, which the import takes off again.\n\n"
    "Examples:\n\n"
    "  muster device export > devices.csv\n"
    "  muster device export --format jsonl --type pump\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

static const char *const columns[] = {
    "id", "name", "type", "location", "labels", "policy", "status", "created_at", "updated_at", "last_seen_at"};
#define N_COLUMNS (sizeof columns / sizeof columns[0])

/* A member as a cell, to be freed: texts as they are, an object as JSON, null and an empty object as nothing. NULL: no memory. */
static char *
cell_make(const json_t *value)
{
	if (json_is_string(value))
		return strdup(json_string_value(value));
	if (json_is_object(value) && json_object_size(value) > 0)
		return json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS);
	return strdup("");
}

static int
csv_device(struct buf *out, const json_t *device, struct err *err)
{
	char *cells[N_COLUMNS] = {NULL};
	size_t i, n = 0;

	for (; n < N_COLUMNS; n++)
		if ((cells[n] = cell_make(json_object_get(device, columns[n]))) == NULL)
			break;
	if (n == N_COLUMNS)
		csvfile_write(out, (const char *const *)cells, N_COLUMNS);
	for (i = 0; i < n; i++)
		free(cells[i]);
	return n == N_COLUMNS ? 0 : err_nomem(err);
}

static int
json_device(struct buf *out, const json_t *device, struct err *err)
{
	char *text = json_dumps(device, JSON_COMPACT);

	if (text == NULL)
		return err_nomem(err);
	buf_printf(out, "%s\n", text);
	free(text);
	return 0;
}

static int
page_write(const struct arguments *a, const json_t *page, struct err *err)
{
	struct buf out = {0};
	json_t *item;
	size_t i;
	int rc = 0;

	json_array_foreach (json_object_get(page, "items"), i, item)
		if (rc == 0)
			rc = a->jsonl ? json_device(&out, item, err) : csv_device(&out, item, err);
	if (rc == 0 && buf_failed(&out))
		rc = err_nomem(err);
	if (rc == 0 && fwrite(out.data, 1, out.len, stdout) != out.len)
		rc = err_sys(err, "cannot write to standard output");
	buf_clear(&out);
	return rc;
}

static int
page_get(const struct cli *cli, const struct arguments *a, const char *after, json_t **page_out, struct err *err)
{
	struct buf path = {0};
	int rc;

	buf_text(&path, "/v1/devices?limit=1000");
	rest_query(&path, "status", a->status);
	rest_query(&path, "type", a->type);
	rest_query(&path, "location", a->location);
	rest_query(&path, "search", a->search);
	rest_query(&path, "after", after);
	rc = buf_failed(&path) ? err_nomem(err) : rest_call(cli, "GET", buf_str(&path), NULL, page_out, err);
	buf_clear(&path);
	return rc;
}

int
cmd_device_export(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {0};
	json_t *page = NULL, *next;
	const char *after = NULL;
	struct buf head = {0};
	struct err err = {0};
	int rc;

	if (argp_parse(&argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	if (!a.jsonl) {
		csvfile_write(&head, columns, N_COLUMNS);
		(void)fputs(buf_str(&head), stdout);
		buf_clear(&head);
	}
	do {
		next = NULL;
		if ((rc = page_get(cli, &a, after, &next, &err)) == 0)
			rc = page_write(&a, next, &err);
		json_decref(page);
		page = next;
		after = json_string_value(json_object_get(page, "next"));
	} while (rc == 0 && after != NULL);
	json_decref(page);
	return rc == 0 ? CLI_OK : cli_fail(cli, &err);
}

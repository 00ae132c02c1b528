/* `muster audit export`: the audit by pages, each written out before the next is asked for. */
#include "cmd/auditfilter.h"
#include "cmd/commands.h"
#include "cmd/csvfile.h"
#include "cmd/rest.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct arguments {
	struct auditfilter filter;
	bool csv;
};

static const struct argp_option options[] = {
    {"format", 'f', "FORMAT", 0, "jsonl (default): a JSON object a line; or csv", 0}, {0}};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &a->filter;
		return 0;
	case 'f':
		if (strcmp(arg, "csv") != 0 && strcmp(arg, "jsonl") != 0)
			argp_error(state, "--format must be jsonl or csv");
		a->csv = strcmp(arg, "csv") == 0;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected: %s", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = {{&auditfilter_argp, 0, NULL, 0}, {0}};

static const struct argp argp = {options, parse, "",
    "Write what happened to standard output, oldest first, as JSON lines or as CSV."
    "\vIn CSV a cell that a spreadsheet would take for a formula (it begins with =, +, -, @, a tab or a carriage return) has an "
    "apostrophe in front, and DETAIL is a JSON object.\n\n"
    "Examples:\n\n"
    "  muster audit export > audit.jsonl\n"
    "  muster audit export --format csv --since 2026-11-01 --until 2026-12-01\n\n" CLI_HELP_END,
    children, NULL, NULL};

static const char *const columns[] = {"seq", "at", "actor", "action", "target", "detail", "hash"};
#define N_COLUMNS (sizeof columns / sizeof columns[0])

/* A member as a cell, to be freed: texts as they are, null as nothing, the rest as JSON. NULL: no memory. */
static char *
cell_make(const json_t *value)
{
	if (json_is_string(value))
		return strdup(json_string_value(value));
	return json_is_null(value) ? strdup("") : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
}

static int
csv_row(struct buf *out, const json_t *row, struct err *err)
{
	char *cells[N_COLUMNS] = {NULL};
	size_t i, n = 0;

	for (; n < N_COLUMNS; n++)
		if ((cells[n] = cell_make(json_object_get(row, columns[n]))) == NULL)
			break;
	if (n == N_COLUMNS)
		csvfile_write(out, (const char *const *)cells, N_COLUMNS);
	for (i = 0; i < n; i++)
		free(cells[i]);
	return n == N_COLUMNS ? 0 : err_nomem(err);
}

static int
json_row(struct buf *out, const json_t *row, struct err *err)
{
	char *text = json_dumps(row, JSON_COMPACT);

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
	json_t *row;
	size_t i;
	int rc = 0;

	json_array_foreach (json_object_get(page, "items"), i, row)
		if (rc == 0)
			rc = a->csv ? csv_row(&out, row, err) : json_row(&out, row, err);
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

	buf_text(&path, "/v1/audit?limit=1000");
	auditfilter_put(&path, &a->filter);
	rest_query(&path, "after", after);
	rc = buf_failed(&path) ? err_nomem(err) : rest_call(cli, "GET", buf_str(&path), NULL, page_out, err);
	buf_clear(&path);
	return rc;
}

int
cmd_audit_export(struct cli *cli, int argc, char **argv)
{
	json_t *page = NULL, *next = NULL;
	struct arguments a = {0};
	const char *after = NULL;
	struct buf head = {0};
	struct err err = {0};
	int rc = 0;

	if (argp_parse(&argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	if (a.csv) {
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
	if (rc == 0 && fflush(stdout) != 0)
		rc = err_sys(&err, "cannot write to standard output");
	return rc == 0 ? CLI_OK : cli_fail(cli, &err);
}

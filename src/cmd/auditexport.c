/* `muster audit export`. */
#include "cmd/auditfilter.h"
#include "cmd/commands.h"
#include "cmd/pages.h"

#include <argp.h>
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

int
cmd_audit_export(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {0};
	struct buf path = {0};

	if (argp_parse(&argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	buf_text(&path, "/v1/audit");
	auditfilter_put(&path, &a.filter);
	return pages_export(cli, &path, a.csv, columns, sizeof columns / sizeof columns[0]);
}

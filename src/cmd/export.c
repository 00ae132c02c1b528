/* `muster device export`. */
#include "cmd/commands.h"
#include "cmd/pages.h"
#include "cmd/rest.h"

#include <argp.h>
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

int
cmd_device_export(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {0};
	struct buf path = {0};

	if (argp_parse(&argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	buf_text(&path, "/v1/devices");
	rest_query(&path, "status", a.status);
	rest_query(&path, "type", a.type);
	rest_query(&path, "location", a.location);
	rest_query(&path, "search", a.search);
	return pages_export(cli, &path, !a.jsonl, columns, sizeof columns / sizeof columns[0]);
}

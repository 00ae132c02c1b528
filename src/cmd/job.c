/* `muster job …`: how far bulk imports are. */
#include "cmd/call.h"
#include "cmd/commands.h"
#include "cmd/rest.h"

#include <argp.h>
#include <string.h>

enum { OPT_ROWS = 0x100 };

struct arguments {
	const char *id, *rows;
	bool wants_id;
	struct list_options list;
};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		if (state->child_inputs != NULL)
			state->child_inputs[0] = &a->list;
		return 0;
	case OPT_ROWS:
		a->rows = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (!a->wants_id || a->id != NULL || arg[0] == '\0')
			argp_error(state, "unexpected: %s", arg);
		a->id = arg;
		return 0;
	case ARGP_KEY_END:
		if (a->wants_id && a->id == NULL)
			argp_error(state, "which job? give its ID");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child list_child[] = {{&list_argp, 0, NULL, 0}, {0}};

static const struct print_field fields[] = {{"Id:", "id"}, {"Kind:", "kind"}, {"Name:", "name"}, {"Status:", "status"},
    {"Rows:", "total"}, {"Received:", "received"}, {"Refused:", "refused"}, {"Done:", "done"}, {"Failed:", "failed"},
    {"A second:", "per_second"}, {"Waits for:", "waits_for"}, {"By:", "created_by"}, {"Created:", "created_at"}, {"Started:", "started_at"},
    {"Ended:", "ended_at"}};
#define N_FIELDS (sizeof fields / sizeof fields[0])

static void
job_path(struct buf *path, const char *id, const char *verb)
{
	buf_text(path, "/v1/jobs/");
	rest_segment(path, id);
	buf_text(path, verb);
}

static const struct argp list_of_jobs_argp = {NULL, parse, "",
    "List jobs (bulk imports), the newest first."
    "\vA job is kept for [jobs] keep of muster.conf when it is over.\n\n"
    "Example:\n\n"
    "  muster job list\n\n" CLI_HELP_END,
    list_child, NULL, NULL};

int
cmd_job_list(struct cli *cli, int argc, char **argv)
{
	static const struct print_field columns[] = {{"ID", "id"}, {"STATUS", "status"}, {"ROWS", "total"}, {"DONE", "done"},
	    {"FAILED", "failed"}, {"CREATED", "created_at"}, {"NAME", "name"}};
	struct arguments a = {0};
	struct buf path = {0};

	if (argp_parse(&list_of_jobs_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	buf_text(&path, "/v1/jobs");
	return call_list(cli, &path, &a.list, columns, sizeof columns / sizeof columns[0]);
}

static const struct argp_option show_options[] = {
    {"rows", OPT_ROWS, "STATUS", 0, "Its rows instead: those that are waiting, done, failed or refused", 0}, {0}};

static const struct argp show_argp = {show_options, parse, "ID",
    "Show how far a job is, or what became of its rows."
    "\vExamples:\n\n"
    "  muster job show 2c0c7d0e-43e2-4f0e-9a4a-1f6d2b9e8c11\n"
    "  muster job show 2c0c7d0e-43e2-4f0e-9a4a-1f6d2b9e8c11 --rows failed\n\n" CLI_HELP_END,
    list_child, NULL, NULL};

int
cmd_job_show(struct cli *cli, int argc, char **argv)
{
	static const struct print_field columns[] = {{"ROW", "row"}, {"STATUS", "status"}, {"DEVICE", "device_id"}, {"NAME", "name"},
	    {"FIELD", "errors.0.field"}, {"REASON", "errors.0.reason"}};
	struct arguments a = {.wants_id = true};
	struct buf path = {0};
	struct err err = {0};

	if (argp_parse(&show_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	job_path(&path, a.id, a.rows != NULL ? "/rows" : "");
	if (a.rows == NULL)
		return call_show(cli, "GET", &path, NULL, 0, fields, N_FIELDS, &err);
	rest_query(&path, "status", a.rows);
	return call_list(cli, &path, &a.list, columns, sizeof columns / sizeof columns[0]);
}

static const struct argp cancel_argp = {NULL, parse, "ID",
    "End a job. Devices that it has made stay."
    "\vThe same file can then be imported anew; rows whose key has a device are refused.\n\n"
    "Example:\n\n"
    "  muster job cancel 2c0c7d0e-43e2-4f0e-9a4a-1f6d2b9e8c11\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

int
cmd_job_cancel(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {.wants_id = true};
	struct buf path = {0};
	struct err err = {0};

	if (argp_parse(&cancel_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	job_path(&path, a.id, "/cancel");
	return call_show(cli, "POST", &path, NULL, 0, fields, N_FIELDS, &err);
}

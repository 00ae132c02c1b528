/* `muster audit …`. */
#include "cmd/commands.h"
#include "cmd/print.h"
#include "cmd/rest.h"

#include <argp.h>
#include <stdio.h>

#define EXIT_TEXT "\n\nExit status: 0 done, 1 refused or failed, 2 usage."

enum { OPT_LIMIT = 0x100, OPT_AFTER };

struct arguments {
	const char *limit, *after;
};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case OPT_LIMIT:
		a->limit = arg;
		return 0;
	case OPT_AFTER:
		a->after = arg;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected: %s", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option list_options[] = {
    {"limit", OPT_LIMIT, "N", 0, "Rows a page, 1 to 1000 (default 50)", 0},
    {"after", OPT_AFTER, "SEQ", 0, "Go on after this row", 0}, {0}};

static const struct argp list_argp = {list_options, parse, "",
    "List what happened, oldest first: who did what to whom, when.\v" EXIT_TEXT, NULL, NULL, NULL};

int
cmd_audit_list(struct cli *cli, int argc, char **argv)
{
	static const struct print_field columns[] = {{"SEQ", "seq"}, {"AT", "at"}, {"ACTOR", "actor"}, {"ACTION", "action"},
	    {"TARGET", "target"}, {"DETAIL", "detail"}};
	struct arguments a = {0};
	json_t *answer = NULL;
	struct buf path = {0};
	struct err err = {0};
	int rc;

	if (argp_parse(&list_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	buf_text(&path, "/v1/audit");
	rest_query(&path, "limit", a.limit);
	rest_query(&path, "after", a.after);
	if ((rc = rest_call(cli, "GET", buf_str(&path), NULL, &answer, &err)) == 0) {
		if (cli->json)
			print_json(answer);
		else
			rc = print_items(answer, columns, 6, "the same with", &err);
	}
	buf_clear(&path);
	json_decref(answer);
	return rc == 0 ? CLI_OK : cli_fail(cli, &err);
}

static const struct argp verify_argp = {NULL, parse, "",
    "Recompute the whole audit trail's hash chain.\v"
    "A row that was changed, removed or moved, and a tail that was cut, are found." EXIT_TEXT,
    NULL, NULL, NULL};

int
cmd_audit_verify(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {0};
	json_t *answer = NULL;
	struct buf rows = {0};
	struct err err = {0};

	if (argp_parse(&verify_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	if (rest_call(cli, "GET", "/v1/audit/verify", NULL, &answer, &err) != 0)
		return cli_fail(cli, &err);
	print_value(&rows, answer, "rows");
	if (cli->json)
		print_json(answer);
	else
		(void)printf("All %s rows are as they were written.\n", buf_str(&rows));
	buf_clear(&rows);
	json_decref(answer);
	return CLI_OK;
}

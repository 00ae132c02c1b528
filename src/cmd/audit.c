/* `muster audit …`. */
#include "cmd/call.h"
#include "cmd/commands.h"
#include "cmd/rest.h"

#include <argp.h>
#include <stdio.h>

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case ARGP_KEY_INIT:
		if (state->child_inputs != NULL)
			state->child_inputs[0] = state->input;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected: %s", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child list_child[] = {{&list_argp, 0, NULL, 0}, {0}};

static const struct argp audit_list_argp = {NULL, parse, "",
    "List what happened, oldest first: who did what to whom, when."
    "\vThe CURSOR is the number of a row (SEQ).\n\n"
    "Examples:\n\n"
    "  muster audit list --after 1200\n"
    "  muster --json audit list --all\n\n" CLI_HELP_END,
    list_child, NULL, NULL};

int
cmd_audit_list(struct cli *cli, int argc, char **argv)
{
	static const struct print_field columns[] = {{"SEQ", "seq"}, {"AT", "at"},
	    {"ACTOR", "actor"}, {"ACTION", "action"}, {"TARGET", "target"}, {"DETAIL", "detail"}};
	struct list_options options = {.unfolded = true};
	struct buf path = {0};

	if (argp_parse(&audit_list_argp, argc, argv, 0, NULL, &options) != 0)
		return CLI_USAGE;
	buf_text(&path, "/v1/audit");
	return call_list(cli, &path, &options, columns, sizeof columns / sizeof columns[0]);
}

static const struct argp verify_argp = {NULL, parse, "",
    "Recompute the whole audit trail's hash chain."
    "\vA row that was changed, removed or moved, and a tail that was cut, are found.\n\n"
    "Exit status: 0 intact, 1 changed or not checked, 2 usage.",
    NULL, NULL, NULL};

int
cmd_audit_verify(struct cli *cli, int argc, char **argv)
{
	json_t *answer = NULL;
	struct err err = {0};

	if (argp_parse(&verify_argp, argc, argv, 0, NULL, NULL) != 0)
		return CLI_USAGE;
	if (rest_call(cli, "GET", "/v1/audit/verify", NULL, &answer, &err) != 0)
		return cli_fail(cli, &err);
	if (cli->json)
		print_json(answer);
	else
		(void)printf("All %lld rows are as they were written.\n",
		    (long long)json_integer_value(json_object_get(answer, "rows")));
	json_decref(answer);
	return CLI_OK;
}

/* `muster audit …`. */
#include "cmd/call.h"
#include "cmd/commands.h"
#include "cmd/outfile.h"
#include "cmd/progress.h"
#include "cmd/rest.h"

#include "base/fs.h"

#include <argp.h>
#include <stdio.h>
#include <string.h>

#define VERIFY_ROWS "50000" /* a call */

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
    "\vA row that was changed, removed, moved or made without audit.key is found, and so is a tail that was cut, or a chain "
    "that was made anew, behind the last checkpoint that the signer remembers ([audit] checkpoint).\n\n"
    "Exit status: 0 intact, 1 changed or not checked, 2 usage.",
    NULL, NULL, NULL};

/* All pages, each of which goes on behind the one before; the answer is the last one's, with the rows of all. */
static int
verify_pages(const struct cli *cli, json_t **answer_out, struct err *err)
{
	struct progress progress = {.what = "verifying"};
	json_t *page = NULL, *next = NULL;
	struct buf path = {0};
	json_int_t rows = 0;
	int rc;

	do {
		buf_reset(&path);
		buf_text(&path, "/v1/audit/verify");
		rest_query(&path, "limit", VERIFY_ROWS);
		rest_query(&path, "after", json_string_value(next));
		json_decref(page);
		page = next = NULL;
		if ((rc = buf_failed(&path) ? err_nomem(err) : rest_call(cli, "GET", buf_str(&path), NULL, &page, err)) != 0)
			break;
		rows += json_integer_value(json_object_get(page, "rows"));
		next = json_object_get(page, "next");
		if (json_is_string(next))
			progress_count(&progress, (uint64_t)rows);
	} while (json_is_string(next));
	progress_end(&progress);
	if (rc == 0 && json_object_set_new(page, "rows", json_integer(rows)) != 0)
		rc = err_nomem(err);
	if (rc == 0) {
		*answer_out = page;
		page = NULL;
	}
	json_decref(page);
	buf_clear(&path);
	return rc;
}

int
cmd_audit_verify(struct cli *cli, int argc, char **argv)
{
	json_t *answer = NULL;
	struct err err = {0};

	if (argp_parse(&verify_argp, argc, argv, 0, NULL, NULL) != 0)
		return CLI_USAGE;
	if (verify_pages(cli, &answer, &err) != 0)
		return cli_fail(cli, &err);
	if (cli->json)
		print_json(answer);
	else
		(void)printf("All %lld rows are as they were written.\n",
		    (long long)json_integer_value(json_object_get(answer, "rows")));
	json_decref(answer);
	return CLI_OK;
}

/* ---- checkpoints --------------------------------------------------------------------------------------------- */

static const struct argp_option checkpoint_options[] = {{"output", 'o', "FILE", 0, "Write it to FILE", 0}, {0}};

static error_t
checkpoint_option(int key, char *arg, struct argp_state *state)
{
	const char **file = state->input;

	if (key != 'o')
		return key == ARGP_KEY_ARG ? (argp_error(state, "unexpected: %s", arg), 0) : ARGP_ERR_UNKNOWN;
	*file = arg;
	return 0;
}

static const struct argp checkpoint_argp = {checkpoint_options, checkpoint_option, "",
    "Get the last checkpoint of the audit trail: the number and hash of a row, signed by the signer."
    "\vKept elsewhere it is evidence: nobody, not even who has the whole server, can change or remove a row up to there "
    "without its showing. It is a CMS message (PEM), which others verify with the root alone:\n\n"
    "  openssl cms -verify -inform PEM -in FILE -CAfile ca/root.crt\n\n"
    "Example:\n\n"
    "  muster audit checkpoint -o /mnt/evidence/checkpoint.pem\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

static int
checkpoint_write(const json_t *answer, const char *file, struct err *err)
{
	const char *pem = json_string_value(json_object_get(answer, "pem"));

	if (pem == NULL)
		return err_set(err, E_SYS, "the server's answer is no checkpoint");
	return fs_write(file, 0644, (gid_t)-1, pem, strlen(pem), err);
}

int
cmd_audit_checkpoint(struct cli *cli, int argc, char **argv)
{
	static const struct print_field fields[] = {
	    {"Number", "number"}, {"Row", "seq"}, {"Hash", "head"}, {"At", "at"}};
	const char *file = NULL;
	json_t *answer = NULL;
	struct err err = {0};
	int rc;

	if (argp_parse(&checkpoint_argp, argc, argv, 0, NULL, &file) != 0)
		return CLI_USAGE;
	if ((rc = file != NULL ? outfile_check(file, &err) : 0) != 0 ||
	    (rc = rest_call(cli, "GET", "/v1/audit/checkpoint", NULL, &answer, &err)) != 0 ||
	    (rc = file != NULL ? checkpoint_write(answer, file, &err) : 0) != 0) {
		json_decref(answer);
		return cli_fail(cli, &err);
	}
	if (cli->json) {
		print_json(answer);
	} else {
		print_fields(answer, fields, sizeof fields / sizeof fields[0]);
		if (file == NULL)
			print_lines(answer, "pem");
	}
	json_decref(answer);
	return CLI_OK;
}

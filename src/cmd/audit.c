/* `muster audit …`. */
#include "cmd/auditfilter.h"
#include "cmd/audittrail.h"
#include "cmd/call.h"
#include "cmd/commands.h"
#include "cmd/outfile.h"
#include "cmd/progress.h"
#include "cmd/rest.h"

#include "base/clock.h"
#include "base/fs.h"

#include <argp.h>
#include <stdio.h>
#include <string.h>

#define VERIFY_ROWS "50000" /* a call */

/* ---- list ---------------------------------------------------------------------------------------------------- */

struct list_arguments {
	struct list_options pages; /* first: its argp is a child's */
	struct auditfilter filter;
};

static error_t
list_parse(int key, char *arg, struct argp_state *state)
{
	struct list_arguments *a = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &a->pages;
		state->child_inputs[1] = &a->filter;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected: %s", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child list_children[] = {{&list_argp, 0, NULL, 0}, {&auditfilter_argp, 0, NULL, 0}, {0}};

static const struct argp audit_list_argp = {NULL, list_parse, "",
    "List what happened, oldest first: who did what to whom, when."
    "\vThe CURSOR is the number of a row (SEQ), or, with one of the filters, what the page before ends with.\n\n"
    "Examples:\n\n"
    "  muster audit list --after 1200\n"
    "  muster audit list --target device:6b2f1c1e-5d0a-4a55-9d0c-0f6f6a1d2f3b\n"
    "  muster --json audit list --all --actor operator:alice --since 2026-11-01\n\n" CLI_HELP_END,
    list_children, NULL, NULL};

int
cmd_audit_list(struct cli *cli, int argc, char **argv)
{
	static const struct print_field columns[] = {{"SEQ", "seq"}, {"AT", "at"},
	    {"ACTOR", "actor"}, {"ACTION", "action"}, {"TARGET", "target"}, {"DETAIL", "detail"}};
	struct list_arguments a = {.pages = {.unfolded = true}};
	struct buf path = {0};

	if (argp_parse(&audit_list_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	buf_text(&path, "/v1/audit");
	auditfilter_put(&path, &a.filter);
	return call_list(cli, &path, &a.pages, columns, sizeof columns / sizeof columns[0]);
}

/* ---- verify -------------------------------------------------------------------------------------------------- */

#define ARCHIVES_MAX 256

struct verify_arguments {
	const char *checkpoint; /* a file */
	const char *archives[ARCHIVES_MAX];
	size_t n_archives;
	bool offline;
};

static const struct argp_option verify_options[] = {
    {"checkpoint", 'c', "FILE", 0, "Hold the rows against this checkpoint, too, which `muster audit checkpoint` wrote", 0},
    {"archive", 'a', "FILE", 0, "The rows in this archive come first; again for each, in their order", 0},
    {"offline", 'o', NULL, 0, "Look at the archives alone, without the service", 0}, {0}};

static error_t
verify_parse(int key, char *arg, struct argp_state *state)
{
	struct verify_arguments *a = state->input;

	switch (key) {
	case 'c':
		a->checkpoint = arg;
		return 0;
	case 'a':
		if (a->n_archives == ARCHIVES_MAX)
			argp_error(state, "more than %d archives", ARCHIVES_MAX);
		a->archives[a->n_archives++] = arg;
		return 0;
	case 'o':
		a->offline = true;
		return 0;
	case ARGP_KEY_END:
		if (a->offline && a->n_archives == 0)
			argp_error(state, "--offline needs an --archive");
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected: %s", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp verify_argp = {verify_options, verify_parse, "",
    "Recompute the whole audit trail's hash chain."
    "\vA row that was changed, removed, moved or made without audit.key is found, and so is a tail that was cut, or a chain "
    "that was made anew, behind the last checkpoint that the signer remembers ([audit] checkpoint). That is what the service finds of itself.\n\n"
    "With --checkpoint the rows are fetched and the chain is recomputed here, up to the row that FILE is about: if it fits, "
    "no row up to there was changed or removed since FILE was signed, whoever has the server now. Nothing is trusted for that but "
    "FILE and the root CA's certificate (ca/root.crt, or --ca). Archives that `muster audit archive` wrote are joined with it, each up "
    "to its own checkpoint; without them the trail begins behind them.\n\n"
    "Examples:\n\n"
    "  muster audit verify --checkpoint /mnt/evidence/checkpoint.pem\n"
    "  muster audit verify --archive 2024.jsonl.gz --archive 2025.jsonl.gz\n\n"
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

/* Not by what the service says of itself: the rows, the files and the root. */
static int
verify_outside(const struct cli *cli, const struct verify_arguments *a, struct audittrail *trail, struct checkpoint *checkpoint,
    struct err *err)
{
	size_t i;
	int rc = 0;

	if (a->checkpoint == NULL && a->n_archives == 0)
		return 0;
	if (a->checkpoint != NULL) {
		if ((rc = audittrail_checkpoint(cli, a->checkpoint, checkpoint, err)) != 0)
			return rc;
		trail->wanted = checkpoint;
	}
	for (i = 0; rc == 0 && i < a->n_archives; i++)
		rc = audittrail_archive(cli, trail, a->archives[i], err);
	if (rc == 0 && !a->offline)
		rc = audittrail_follow(cli, trail, INT64_MAX, NULL, NULL, err);
	return rc == 0 ? audittrail_end(trail, err) : rc;
}

static int
answer_complete(
    json_t **answer, const struct verify_arguments *a, const struct audittrail *trail, const struct checkpoint *checkpoint, struct err *err)
{
	char at[CLOCK_TEXT_MAX];
	bool failed = false;

	if (*answer == NULL) /* offline */
		*answer = json_pack("{s:b}", "intact", 1);
	if (a->checkpoint != NULL || a->n_archives > 0)
		failed = json_object_set_new(*answer, "seen",
			     json_pack("{s:I, s:I}", "from", (json_int_t)trail->first + 1, "to", (json_int_t)trail->seq)) != 0;
	clock_text(at, checkpoint->at);
	if (a->checkpoint != NULL)
		failed = failed || json_object_set_new(*answer, "checkpoint",
				       json_pack("{s:I, s:I, s:s}", "number", (json_int_t)checkpoint->number, "seq",
					   (json_int_t)checkpoint->seq, "at", at)) != 0;
	return failed ? err_nomem(err) : 0;
}

static void
verify_print(json_t *answer)
{
	json_t *rows = json_object_get(answer, "rows"), *seen = json_object_get(answer, "seen"),
	       *checkpoint = json_object_get(answer, "checkpoint");
	json_int_t archived = json_integer_value(json_object_get(answer, "archived"));

	if (rows != NULL)
		(void)printf("All %lld rows are as they were written.\n", (long long)json_integer_value(rows));
	if (archived > 0)
		(void)printf("Those up to row %lld are in archives.\n", (long long)archived);
	if (seen != NULL)
		(void)printf("Rows %lld to %lld follow each other.\n", (long long)json_integer_value(json_object_get(seen, "from")),
		    (long long)json_integer_value(json_object_get(seen, "to")));
	if (checkpoint != NULL)
		(void)printf("Those up to row %lld are what checkpoint %lld of %s was signed for.\n",
		    (long long)json_integer_value(json_object_get(checkpoint, "seq")),
		    (long long)json_integer_value(json_object_get(checkpoint, "number")),
		    json_string_value(json_object_get(checkpoint, "at")));
}

int
cmd_audit_verify(struct cli *cli, int argc, char **argv)
{
	struct verify_arguments a = {0};
	struct checkpoint checkpoint = {0};
	struct audittrail trail = {0};
	json_t *answer = NULL;
	struct err err = {0};

	if (argp_parse(&verify_argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	if (verify_outside(cli, &a, &trail, &checkpoint, &err) != 0 || (!a.offline && verify_pages(cli, &answer, &err) != 0) ||
	    answer_complete(&answer, &a, &trail, &checkpoint, &err) != 0) {
		json_decref(answer);
		return cli_fail(cli, &err);
	}
	if (cli->json)
		print_json(answer);
	else
		verify_print(answer);
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

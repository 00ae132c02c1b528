/* `muster audit archive`: old rows into a file, then out of the database. The file is whole, synced and read back before the service
 * is asked to remove a row, and that removes up to a checkpoint that the file covers, in short transactions: whatever is killed, each
 * row is in the file or in the database, or in both. */
#include "cmd/auditfilter.h"
#include "cmd/audittrail.h"
#include "cmd/commands.h"
#include "cmd/gzlines.h"
#include "cmd/outfile.h"
#include "cmd/print.h"
#include "cmd/progress.h"
#include "cmd/rest.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/text.h"

#include <argp.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct arguments {
	char before[CLOCK_TEXT_MAX];
	const char *file;
};

static const struct argp_option options[] = {
    {"before", 'b', "TIME", 0, "Rows of before then: 2026-01-01, or 2026-01-01T00:00:00Z (UTC)", 0},
    {"output", 'o', "FILE", 0, "The archive, which must not exist (gzip)", 0}, {0}};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case 'b':
		if (!auditfilter_time(a->before, arg))
			argp_error(state, "%s is no day and no time in UTC, such as 2026-01-01T00:00:00Z", arg);
		return 0;
	case 'o':
		a->file = arg;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected: %s", arg);
		return 0;
	case ARGP_KEY_END:
		if (a->before[0] == '\0' || a->file == NULL)
			argp_error(state, "--before and --output are required");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {options, parse, "",
    "Move the audit's rows of before a day into a file."
    "\vThe rows up to the last checkpoint of before then are verified, written to FILE (JSON lines, gzip) with that checkpoint, "
    "and then removed from the database; a row of the audit says so. `muster audit verify --archive FILE` joins them again. "
    "Run it on the server's own host; FILE is all that is left of these rows: keep it, and copies of it.\n\n"
    "Example:\n\n"
    "  muster audit archive --before 2026-01-01 -o /mnt/archive/audit-2025.jsonl.gz\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

/* ---- the file ------------------------------------------------------------------------------------------------ */

struct writer {
	struct gzlines *lines;
	const struct audittrail *trail;
	bool has_begun;
};

/* Takes LINE. */
static int
line_write(struct writer *w, json_t *line, struct err *err)
{
	char *text = line == NULL ? NULL : json_dumps(line, JSON_COMPACT);
	int rc = text == NULL ? err_nomem(err) : gzlines_put(w->lines, text, err);

	json_decref(line);
	free(text);
	return rc;
}

/* Before the first row it is known where the trail began. */
static int
row_write(void *ctx, const json_t *row, struct err *err)
{
	char hash[2 * SHA256_LEN + 1];
	struct writer *w = ctx;
	int rc;

	if (!w->has_begun) {
		hex_encode(hash, w->trail->before, SHA256_LEN);
		w->has_begun = true;
		if ((rc = line_write(w,
			 json_pack("{s:s, s:I, s:s}", "kind", AUDITTRAIL_KIND, "after", (json_int_t)w->trail->first, "hash", hash),
			 err)) != 0)
			return rc;
	}
	return line_write(w, json_incref((json_t *)row), err);
}

static int
file_write(const struct cli *cli, const char *file, const struct checkpoint *upto, const char *pem, struct err *err)
{
	struct audittrail trail = {.wanted = upto};
	struct writer w = {.trail = &trail};
	int rc;

	if ((rc = gzlines_create(file, &w.lines, err)) != 0)
		return rc;
	if ((rc = audittrail_follow(cli, &trail, upto->seq, row_write, &w, err)) == 0 &&
	    (rc = audittrail_end(&trail, err)) == 0 && (rc = line_write(&w, json_pack("{s:s}", "checkpoint", pem), err)) == 0)
		rc = gzlines_finish(&w.lines, err);
	gzlines_close(w.lines);
	return rc;
}

static int
file_digest(const char *file, char out[2 * SHA256_LEN + 1], struct err *err)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	uint8_t digest[SHA256_LEN];
	void *bytes = MAP_FAILED;
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0)
		bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (fd >= 0)
		(void)close(fd);
	if (bytes == MAP_FAILED)
		return err_sys(err, "cannot read %s", file);
	sha256(digest, bytes, (size_t)st.st_size);
	(void)munmap(bytes, (size_t)st.st_size);
	hex_encode(out, digest, sizeof digest);
	return 0;
}

/* ---- the rows ------------------------------------------------------------------------------------------------ */

static int
rows_remove(const struct cli *cli, const struct checkpoint *upto, const char *digest, struct err *err)
{
	char head[2 * SHA256_LEN + 1];
	struct progress progress = {.what = "removing"};
	json_t *answer = NULL;
	int64_t archived = 0;
	int rc = 0;

	hex_encode(head, upto->head, SHA256_LEN);
	while (rc == 0 && archived < upto->seq) {
		rc = rest_call(cli, "POST", "/v1/audit/archive",
		    json_pack("{s:I, s:s, s:s}", "until", (json_int_t)upto->seq, "head", head, "file_sha256", digest), &answer, err);
		if (rc == 0)
			archived = json_integer_value(json_object_get(answer, "archived"));
		json_decref(answer);
		answer = NULL;
		if (archived < upto->seq)
			progress_count(&progress, (uint64_t)archived);
	}
	progress_end(&progress);
	return rc;
}

/* The last checkpoint of before the day. */
static int
end_find(const struct cli *cli, const struct arguments *a, json_t **answer_out, struct checkpoint *out, struct err *err)
{
	struct buf path = {0};
	int rc;

	buf_text(&path, "/v1/audit/checkpoint");
	rest_query(&path, "before", a->before);
	if ((rc = buf_failed(&path) ? err_nomem(err) : rest_call(cli, "GET", buf_str(&path), NULL, answer_out, err)) == 0)
		rc = audittrail_checkpoint_pem(cli, json_string_value(json_object_get(*answer_out, "pem")), out, err);
	buf_clear(&path);
	return rc;
}

static int
archive(const struct cli *cli, const struct arguments *a, struct checkpoint *upto, struct err *err)
{
	char digest[2 * SHA256_LEN + 1];
	struct audittrail again = {0};
	json_t *answer = NULL;
	int rc;

	if (fs_exists(a->file))
		return err_set(err, E_CONFLICT, "%s exists: choose another name", a->file);
	if ((rc = outfile_check(a->file, err)) != 0 || (rc = end_find(cli, a, &answer, upto, err)) != 0)
		goto out;
	rc = file_write(cli, a->file, upto, json_string_value(json_object_get(answer, "pem")), err);
	/* What is to be the only copy is read as a stranger would. */
	if (rc == 0 && (rc = audittrail_archive(cli, &again, a->file, err)) == 0)
		rc = file_digest(a->file, digest, err);
	if (rc != 0)
		(void)unlink(a->file);
	else
		rc = rows_remove(cli, upto, digest, err);
out:
	json_decref(answer);
	return rc;
}

int
cmd_audit_archive(struct cli *cli, int argc, char **argv)
{
	struct checkpoint upto = {0};
	struct arguments a = {0};
	struct err err = {0};
	json_t *said;

	if (argp_parse(&argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	if (archive(cli, &a, &upto, &err) != 0)
		return cli_fail(cli, &err);
	if (cli->json) {
		said = json_pack("{s:s, s:I}", "file", a.file, "archived", (json_int_t)upto.seq);
		print_json(said);
		json_decref(said);
	} else {
		(void)printf("The rows up to %" PRId64 " are in %s, and no longer in the database.\n", upto.seq, a.file);
	}
	return CLI_OK;
}

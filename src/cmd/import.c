/* `muster device import`: the file is read twice, once for what is wrong with it, once to be sent. All that is sent can be sent
 * again, so whatever breaks off, the same command goes on where it was: the job is found by the digest of its rows. */
#include "cmd/importresults.h"
#include "cmd/outfile.h"
#include "cmd/print.h"
#include "cmd/rest.h"

#include "base/secret.h"
#include "base/text.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COMPLAINTS_MAX 100 /* that are shown */
#define CHUNK_ROWS_MAX 1000
#define CHUNK_FRAME 64	   /* bytes around the rows */
#define PATIENCE 60	   /* tries of a call that does not get through, with a second between them */
#define POLL_MS 300
#define KEY_FILE_MAX 16384
#define NAME_CHARS 64

enum { OPT_OUT = 'o', OPT_NO_WAIT = 0x100, OPT_LINK_TTL, OPT_ARCHIVE };

static const struct argp_option options[] = {
    {"out", OPT_OUT, "FILE", 0,
	"Write what became of each row to FILE (CSV, only for its owner to read), replacing it: id, certificate, or link and password",
	0},
    {"archive", OPT_ARCHIVE, "FILE", 0,
	"Fetch all packages into FILE, a tar archive with ID.zip for each, instead of leaving a link for each; their passwords are in "
	"the FILE of --out, which is then required",
	0},
    {"no-wait", OPT_NO_WAIT, NULL, 0, "End when the job runs; the same command again waits for its end", 0},
    {"link-ttl", OPT_LINK_TTL, "DURATION", 0, "How long one-time links are good (default 24h, at most 7d)", 0}, {0}};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct import_arguments *a = state->input;

	switch (key) {
	case OPT_OUT:
		a->out = arg;
		return 0;
	case OPT_ARCHIVE:
		a->archive = arg;
		return 0;
	case OPT_NO_WAIT:
		a->no_wait = true;
		return 0;
	case OPT_LINK_TTL:
		if (!duration_parse(arg, &a->link_ttl_s))
			argp_error(state, "--link-ttl must be a duration such as 90m, 24h or 7d");
		return 0;
	case ARGP_KEY_ARG:
		if (a->file != NULL || arg[0] == '\0')
			argp_error(state, "unexpected: %s", arg);
		a->file = arg;
		return 0;
	case ARGP_KEY_END:
		if (a->file == NULL)
			argp_error(state, "which FILE.csv?");
		if (a->archive != NULL && a->out == NULL)
			argp_error(state, "--archive needs --out FILE for the passwords");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {options, parse, "FILE.csv",
    "Register the devices in a CSV file, each once, whatever breaks off meanwhile."
    "\vThe first line names the columns, in any order:\n\n"
    "  name, type        required\n"
    "  location, policy  as in `muster device register`\n"
    "  label:KEY         the label KEY; or all in one column:\n"
    "  labels            a JSON object, such as {\"line\":\"7\"}\n"
    "  csr               a certification request: PEM, or DER in base64\n"
    "  key               without csr: the kind of the key that is made here\n"
    "  profile, valid    how the certificate is made\n"
    "  san               further names, with blanks between them\n\n"
    "An empty cell is one that is not there. The other columns that `muster device export` writes (id, status, created_at, "
    "updated_at, last_seen_at, expires_at) are not looked at. All rows are checked before anything is made; if one is wrong, every "
    "error is shown with its line and column, and nothing is made.\n\n"
    "The service makes the devices in the background, and goes on after a restart. If this command ends, or its connection breaks, "
    "the same command goes on where it was: it knows the job by the file's rows. `muster job cancel ID` ends it.\n\n"
    "Where rows have no csr, their keys are made here, and links and passwords come encrypted for this command alone: it keeps its "
    "key in FILE.key beside the FILE of --out, which is then required, until all is written. Give links, or the archive, and "
    "passwords to different people, or by different ways.\n\n"
    "Examples:\n\n"
    "  muster device import fleet.csv\n"
    "  muster device import fleet.csv -o results.csv\n"
    "  muster device import fleet.csv -o results.csv --archive packages.tar\n\n" CLI_HELP_END,
    NULL, NULL, NULL};

/* ---- the file --------------------------------------------------------------------------------------------------- */

void
import_complain(void *ctx, int64_t line, const char *column, const char *reason)
{
	struct import_run *r = ctx;
	struct buf text = {0};

	if (r->sum.n_bad++ >= COMPLAINTS_MAX)
		return;
	text_escape(&text, r->a->file, strlen(r->a->file));
	buf_printf(&text, ":%lld: ", (long long)line);
	if (column[0] != '\0') {
		text_escape(&text, column, strlen(column));
		buf_text(&text, ": ");
	}
	text_escape(&text, reason, strlen(reason));
	(void)fprintf(stderr, "%s\n", buf_str(&text));
	buf_clear(&text);
}

int64_t
import_line(const struct import_run *r, const json_t *row)
{
	int64_t n = json_integer_value(json_object_get(row, "row"));

	return n >= 1 && n <= r->sum.n ? r->lines[n - 1] : 0;
}

static int
complaints_end(const struct import_run *r, struct err *err)
{
	if (r->sum.n_bad > COMPLAINTS_MAX)
		(void)fprintf(stderr, "… and %lld more\n", (long long)(r->sum.n_bad - COMPLAINTS_MAX));
	return err_set(err, E_INPUT, "%lld %s in %.200s: nothing is made", (long long)r->sum.n_bad,
	    r->sum.n_bad == 1 ? "error" : "errors", r->a->file);
}

static int
line_note(void *ctx, int64_t n, int64_t line, json_t *row, struct err *err)
{
	struct import_run *r = ctx;
	int64_t *more;

	(void)row;
	if (n > (int64_t)r->room) {
		if ((more = reallocarray(r->lines, 2 * r->room + 1024, sizeof r->lines[0])) == NULL)
			return err_nomem(err);
		r->lines = more;
		r->room = 2 * r->room + 1024;
	}
	r->lines[n - 1] = line;
	return 0;
}

static int
file_check(struct import_run *r, struct err *err)
{
	struct importfile_sum sum;
	int rc;

	if ((rc = importfile_read(r->a->file, import_complain, line_note, r, &sum, err)) != 0)
		return rc;
	if (sum.n_bad > 0)
		return complaints_end(r, err);
	r->sum = sum;
	if (sum.n_without_csr > 0 && r->a->out == NULL)
		return err_set(err, E_INPUT,
		    "%lld rows have no csr, so there will be links and passwords: say with -o FILE where to write them",
		    (long long)sum.n_without_csr);
	if (sum.n_without_csr == 0 && r->a->archive != NULL)
		return err_set(err, E_INPUT, "every row has a csr, so there are no packages for --archive");
	if (r->a->archive != NULL && (rc = outfile_check(r->a->archive, err)) != 0)
		return rc;
	return r->a->out != NULL ? outfile_check(r->a->out, err) : 0;
}

/* ---- calls that may be made again ------------------------------------------------------------------------------- */

static void
sleep_ms(long ms)
{
	const struct timespec pause = {ms / 1000, ms % 1000 * 1000000L};

	(void)nanosleep(&pause, NULL);
}

int
import_call(const struct import_run *r, const char *method, const char *path, json_t *body, json_t **answer_out, struct err *err)
{
	unsigned tries = 0;
	int rc;

	for (;;) {
		*err = (struct err){0};
		rc = rest_call(r->cli, method, path, body != NULL ? json_incref(body) : NULL, answer_out, err);
		if ((rc != E_BUSY && rc != E_SYS && !(rc == E_LIMIT && err->retry_after_s > 0)) || ++tries == PATIENCE)
			break;
		sleep_ms(1000);
	}
	json_decref(body);
	return rc;
}

/* METHOD on the job's VERB ("/start"; "" for itself); r->job is what it answers. */
static int
job_call(struct import_run *r, const char *method, const char *verb, json_t *body, struct err *err)
{
	struct buf path = {0};
	json_t *answer = NULL;
	int rc;

	buf_text(&path, "/v1/jobs/");
	rest_segment(&path, r->id);
	buf_text(&path, verb);
	if (buf_failed(&path)) {
		rc = err_nomem(err);
		json_decref(body);
	} else if ((rc = import_call(r, method, buf_str(&path), body, &answer, err)) == 0) {
		json_decref(r->job);
		r->job = answer;
	}
	buf_clear(&path);
	return rc;
}

int64_t
import_count(const struct import_run *r, const char *name)
{
	return json_integer_value(json_object_get(r->job, name));
}

static bool
job_is(const struct import_run *r, const char *status)
{
	const char *is = json_string_value(json_object_get(r->job, "status"));

	return is != NULL && strcmp(is, status) == 0;
}

/* ---- the job ---------------------------------------------------------------------------------------------------- */

/* The key in FILE.key; made, if there is none yet, and on disk before the job knows of it. */
static int
key_get(struct import_run *r, struct err *err)
{
	struct secret pem = {0};
	struct buf there;
	int rc;

	if (r->sum.n_without_csr == 0)
		return 0;
	if (snprintf(r->key_path, sizeof r->key_path, "%s.key", r->a->out) >= (int)sizeof r->key_path)
		return err_set(err, E_INPUT, "the name of --out is too long");
	buf_init_secret(&there);
	if ((rc = fs_read(r->key_path, KEY_FILE_MAX, &there, err)) == 0) {
		if ((rc = key_from_pem(there.data, there.len, &r->key, err)) != 0)
			(void)err_prefix(err, "%.200s", r->key_path);
	} else if (rc == E_NOTFOUND && (rc = key_generate(KEY_RSA_2048, &r->key, err)) == 0 &&
	    (rc = key_to_pem(r->key, &pem, err)) == 0) {
		rc = fs_write(r->key_path, 0600, (gid_t)-1, pem.data, pem.len, err);
		r->key_is_new = rc == 0;
	}
	secret_clear(&pem);
	buf_clear(&there);
	return rc;
}

/* The last part of the file's name, as much of it as a job's name may have. */
static void
name_make(const char *file, struct buf *out)
{
	const char *name = strrchr(file, '/') != NULL ? strrchr(file, '/') + 1 : file;
	size_t len = 0, chars = 0;

	for (; name[len] != '\0'; len++)
		if (((unsigned char)name[len] & 0xc0) != 0x80 && ++chars > NAME_CHARS)
			break;
	if (text_is_printable(name, len))
		buf_append(out, name, len);
	else
		buf_text(out, "import");
}

/* Of the rows, and of all else that is asked. */
static void
digest_make(const struct import_run *r, char hex[2 * SHA256_LEN + 1])
{
	struct {
		uint8_t rows[SHA256_LEN];
		int64_t link_ttl_s;
	} all = {.link_ttl_s = r->a->link_ttl_s};
	uint8_t digest[SHA256_LEN];

	memcpy(all.rows, r->sum.digest, sizeof all.rows);
	sha256(digest, &all, sizeof all);
	hex_encode(hex, digest, sizeof digest);
}

static int
order_make(const struct import_run *r, json_t *body, struct err *err)
{
	struct buf name = {0}, seal = {0};
	char digest[2 * SHA256_LEN + 1];
	const uint8_t *spki;
	size_t len;
	int rc;

	name_make(r->a->file, &name);
	digest_make(r, digest);
	if ((rc = rest_set_text(body, "kind", "device.import", err)) == 0 &&
	    (rc = rest_set_text(body, "name", buf_str(&name), err)) == 0 && (rc = rest_set_text(body, "digest", digest, err)) == 0 &&
	    (rc = rest_set_take(body, "total", json_integer(r->sum.n), err)) == 0)
		rc = rest_set_text(body, "packages", r->key != NULL ? "links" : "none", err);
	if (rc == 0 && r->key != NULL) {
		spki = key_spki(r->key, &len);
		base64_encode(&seal, spki, len);
		if ((rc = rest_set_text(body, "seal", buf_str(&seal), err)) == 0 && r->a->link_ttl_s > 0)
			rc = rest_set_take(body, "link_ttl_s", json_integer(r->a->link_ttl_s), err);
	}
	if (buf_failed(&name) || buf_failed(&seal))
		rc = err_nomem(err);
	buf_clear(&name);
	buf_clear(&seal);
	return rc;
}

/* Is the job's key the one that we have? One that was made for nothing goes again. */
static int
key_compare(const struct import_run *r, struct err *err)
{
	const char *text = json_string_value(json_object_get(r->job, "seal"));
	struct buf spki = {0};
	int rc = 0;

	if (r->key == NULL)
		return 0;
	if (text == NULL || base64_decode(&spki, text, strlen(text), err) != 0 || !key_is_of(r->key, spki.data, spki.len))
		rc = err_set(err, E_CONFLICT,
		    "job %.40s was begun with another key than that in %.150s: its links and passwords are for that key alone\n"
		    "Run the command with the --out that it was begun with.",
		    r->id, r->key_path);
	if (rc != 0 && r->key_is_new)
		(void)remove(r->key_path);
	buf_clear(&spki);
	return rc;
}

static int
job_open(struct import_run *r, struct err *err)
{
	json_t *body = json_object();
	const char *id;
	int rc;

	if ((rc = order_make(r, body, err)) != 0) {
		json_decref(body);
		return rc;
	}
	if ((rc = import_call(r, "POST", "/v1/jobs", body, &r->job, err)) != 0)
		return rc;
	id = json_string_value(json_object_get(r->job, "id"));
	if (id == NULL || (r->id = strdup(id)) == NULL)
		return err_set(err, E_SYS, "the server's answer is no job");
	return key_compare(r, err);
}

/* ---- sending its rows ------------------------------------------------------------------------------------------- */

static int
chunk_send(struct import_run *r, struct err *err)
{
	json_t *body;
	int64_t before = import_count(r, "received");
	int rc;

	if (json_array_size(r->chunk) == 0)
		return 0;
	body = json_pack("{s:I, s:O}", "first", (json_int_t)r->first, "rows", r->chunk);
	if (body == NULL)
		return err_nomem(err);
	if ((rc = job_call(r, "POST", "/rows", body, err)) != 0)
		return rc;
	progress_add(&r->progress, (uint64_t)(import_count(r, "received") - before));
	r->chunk_len = 0;
	return json_array_clear(r->chunk) == 0 ? 0 : err_nomem(err);
}

static int
row_send(void *ctx, int64_t n, int64_t line, json_t *row, struct err *err)
{
	struct import_run *r = ctx;
	char *text;
	size_t len;
	int rc;

	(void)line;
	if (n <= import_count(r, "received"))
		return 0;
	if ((text = json_dumps(row, JSON_COMPACT)) == NULL)
		return err_nomem(err);
	len = strlen(text) + 1;
	free(text);
	if ((r->chunk_len + len > r->chunk_max || json_array_size(r->chunk) == CHUNK_ROWS_MAX) && (rc = chunk_send(r, err)) != 0)
		return rc;
	if (json_array_size(r->chunk) == 0)
		r->first = n;
	r->chunk_len += len;
	return json_array_append(r->chunk, row) == 0 ? 0 : err_nomem(err);
}

/* All that is wrong with rows, as the server says, by their lines. */
static int
refusals_show(struct import_run *r, struct err *err)
{
	struct buf path = {0};
	json_t *page = NULL, *item, *first;
	const char *next = NULL;
	size_t i;
	int rc;

	do {
		buf_reset(&path);
		buf_printf(&path, "/v1/jobs/%s/rows?status=refused&limit=%d", r->id, COMPLAINTS_MAX);
		rest_query(&path, "after", next);
		json_decref(page);
		page = NULL;
		if ((rc = buf_failed(&path) ? err_nomem(err) : import_call(r, "GET", buf_str(&path), NULL, &page, err)) != 0)
			break;
		json_array_foreach (json_object_get(page, "items"), i, item) {
			const char *field, *reason;

			first = json_array_get(json_object_get(item, "errors"), 0);
			field = json_string_value(json_object_get(first, "field"));
			reason = json_string_value(json_object_get(first, "reason"));
			import_complain(r, import_line(r, item), field != NULL ? field : "", reason != NULL ? reason : "is refused");
		}
		next = json_string_value(json_object_get(page, "next"));
	} while (next != NULL);
	json_decref(page);
	buf_clear(&path);
	return rc == 0 ? complaints_end(r, err) : rc;
}

static int
rows_send(struct import_run *r, struct err *err)
{
	struct importfile_sum sum;
	int64_t max = import_count(r, "chunk_bytes");
	struct err none = {0};
	int rc;

	if (!job_is(r, "open"))
		return 0;
	r->chunk_max = max > CHUNK_FRAME ? (size_t)(max - CHUNK_FRAME) : 0;
	r->progress = (struct progress){.what = "checking", .unit = "rows", .total = (uint64_t)r->sum.n};
	progress_add(&r->progress, (uint64_t)import_count(r, "received"));
	if ((r->chunk = json_array()) == NULL)
		return err_nomem(err);
	rc = importfile_read(r->a->file, import_complain, row_send, r, &sum, err);
	if (rc == 0 && (sum.n_bad > 0 || sum.n != r->sum.n || !secret_equal(sum.digest, r->sum.digest, sizeof sum.digest)))
		rc = err_set(err, E_CONFLICT, "%.200s was changed meanwhile: nothing is made", r->a->file);
	if (rc == 0)
		rc = chunk_send(r, err);
	progress_end(&r->progress);
	if (rc == 0 && import_count(r, "refused") > 0)
		rc = refusals_show(r, err);
	else if (rc == 0)
		return job_call(r, "POST", "/start", NULL, err);
	/* A job that can never start is in the way of the next. */
	if (rc == E_CONFLICT || rc == E_INPUT)
		(void)job_call(r, "POST", "/cancel", NULL, &none);
	return rc;
}

/* ---- waiting for it -------------------------------------------------------------------------------------------- */

/* Why rows wait, once for each reason. */
static void
waits_show(struct import_run *r, json_t **shown)
{
	json_t *why = json_object_get(r->job, "waits_for");
	struct buf text = {0};

	if (json_is_string(why) && !json_equal(why, *shown)) {
		text_escape(&text, json_string_value(why), json_string_length(why));
		progress_end(&r->progress);
		(void)fprintf(stderr, "the service waits: %s\n", buf_str(&text));
		json_decref(*shown);
		*shown = json_incref(why);
	}
	buf_clear(&text);
}

static int
job_wait(struct import_run *r, struct err *err)
{
	json_t *shown = NULL;
	uint64_t settled;
	int rc = 0;

	r->progress = (struct progress){.what = "import", .unit = "rows", .total = (uint64_t)r->sum.n};
	while (rc == 0) {
		settled = (uint64_t)(import_count(r, "done") + import_count(r, "failed"));
		progress_add(&r->progress, settled - r->progress.done);
		if (!job_is(r, "running"))
			break;
		waits_show(r, &shown);
		sleep_ms(POLL_MS);
		rc = job_call(r, "GET", "", NULL, err);
	}
	progress_end(&r->progress);
	json_decref(shown);
	return rc;
}

/* All that it was for is on disk. */
static int
key_remove(const struct import_run *r, struct err *err)
{
	if (r->key == NULL || remove(r->key_path) == 0)
		return 0;
	return err_sys(err, "cannot remove %s", r->key_path);
}

static int
end_show(struct import_run *r, struct err *err)
{
	long long done = (long long)import_count(r, "done"), failed = (long long)import_count(r, "failed");
	int rc;

	if (r->cli->json)
		print_json(r->job);
	else if (job_is(r, "running"))
		(void)printf("Job %s runs. `muster job show %s` tells how far it is; the same command again waits for its end.\n", r->id,
		    r->id);
	else
		(void)printf("%lld devices registered, %lld rows failed (job %s)\n", done, failed, r->id);
	if (job_is(r, "running"))
		return 0;
	if (job_is(r, "cancelled"))
		return err_set(err, E_CONFLICT, "job %.40s was cancelled", r->id);
	if (r->n_lost > 0 && failed == 0)
		return err_set(err, E_GONE, "%lld packages are not in %.200s", (long long)r->n_lost, r->a->archive);
	if (failed == 0)
		return 0;
	if ((rc = importresults_failures(r, err)) != 0)
		return rc;
	return err_set(err, E_CONFLICT, "%lld rows failed; `muster --json job show %.40s --rows failed` lists them", failed, r->id);
}

static int
import(struct import_run *r, struct err *err)
{
	int rc;

	if ((rc = file_check(r, err)) != 0 || (rc = key_get(r, err)) != 0 || (rc = job_open(r, err)) != 0 ||
	    (rc = rows_send(r, err)) != 0 || (!r->a->no_wait && (rc = job_wait(r, err)) != 0) ||
	    (!job_is(r, "running") &&
		((rc = importresults_write(r, err)) != 0 || (rc = importresults_archive(r, err)) != 0 || (rc = key_remove(r, err)) != 0)))
		return rc;
	return end_show(r, err);
}

int
cmd_device_import(struct cli *cli, int argc, char **argv)
{
	struct import_arguments a = {0};
	struct import_run r = {.cli = cli, .a = &a};
	struct err err = {0};
	int rc;

	if (argp_parse(&argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	if ((rc = secret_heap_open(65536, &err)) == 0)
		rc = import(&r, &err);
	json_decref(r.chunk);
	json_decref(r.job);
	key_free(r.key);
	free(r.lines);
	free(r.id);
	return rc == 0 ? CLI_OK : cli_fail(cli, &err);
}

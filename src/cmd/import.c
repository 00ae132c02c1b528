/* `muster device import`: the file is read twice, once for what is wrong with it, once to be sent. All that is sent can be sent
 * again, so whatever breaks off, the same command goes on where it was: the job is found by the digest of its rows. */
#include "cmd/commands.h"
#include "cmd/csvfile.h"
#include "cmd/importfile.h"
#include "cmd/outfile.h"
#include "cmd/print.h"
#include "cmd/progress.h"
#include "cmd/rest.h"
#include "cmd/tarfile.h"

#include "base/fs.h"
#include "base/secret.h"
#include "base/text.h"
#include "x509/key.h"
#include "x509/seal.h"

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

struct arguments {
	const char *file, *out, *archive;
	int64_t link_ttl_s;
	bool no_wait;
};

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
	struct arguments *a = state->input;

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

/* An import on its way. */
struct running {
	struct cli *cli;
	const struct arguments *a;
	struct importfile_sum sum;
	int64_t *lines; /* of each row */
	size_t room;
	bool key_is_new;     /* made by this run */
	struct key *key;     /* what links and passwords are encrypted to; NULL: there are none */
	char key_path[FS_PATH_MAX];
	char *id;	     /* the job's */
	json_t *job;	     /* as it was last seen */
	json_t *chunk;	     /* rows on their way to be sent */
	int64_t first;	     /* of the chunk */
	size_t chunk_len, chunk_max;
	struct progress progress;
	int64_t n_lost;	     /* packages that went astray */
};

/* ---- the file --------------------------------------------------------------------------------------------------- */

static void
on_complaint(void *ctx, int64_t line, const char *column, const char *reason)
{
	struct running *r = ctx;
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

/* Where in the file the row of this answer is. */
static int64_t
line_of(const struct running *r, const json_t *row)
{
	int64_t n = json_integer_value(json_object_get(row, "row"));

	return n >= 1 && n <= r->sum.n ? r->lines[n - 1] : 0;
}

static int
complaints_end(const struct running *r, struct err *err)
{
	if (r->sum.n_bad > COMPLAINTS_MAX)
		(void)fprintf(stderr, "… and %lld more\n", (long long)(r->sum.n_bad - COMPLAINTS_MAX));
	return err_set(err, E_INPUT, "%lld %s in %.200s: nothing is made", (long long)r->sum.n_bad,
	    r->sum.n_bad == 1 ? "error" : "errors", r->a->file);
}

static int
line_note(void *ctx, int64_t n, int64_t line, json_t *row, struct err *err)
{
	struct running *r = ctx;
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
file_check(struct running *r, struct err *err)
{
	struct importfile_sum sum;
	int rc;

	if ((rc = importfile_read(r->a->file, on_complaint, line_note, r, &sum, err)) != 0)
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

/* As rest_call, and again while nobody answers, or it is too much. BODY is taken. */
static int
call(const struct running *r, const char *method, const char *path, json_t *body, json_t **answer_out, struct err *err)
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
job_call(struct running *r, const char *method, const char *verb, json_t *body, struct err *err)
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
	} else if ((rc = call(r, method, buf_str(&path), body, &answer, err)) == 0) {
		json_decref(r->job);
		r->job = answer;
	}
	buf_clear(&path);
	return rc;
}

static int64_t
job_count(const struct running *r, const char *name)
{
	return json_integer_value(json_object_get(r->job, name));
}

static bool
job_is(const struct running *r, const char *status)
{
	const char *is = json_string_value(json_object_get(r->job, "status"));

	return is != NULL && strcmp(is, status) == 0;
}

/* ---- the job ---------------------------------------------------------------------------------------------------- */

/* The key in FILE.key; made, if there is none yet, and on disk before the job knows of it. */
static int
key_get(struct running *r, struct err *err)
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
digest_make(const struct running *r, char hex[2 * SHA256_LEN + 1])
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
order_make(const struct running *r, json_t *body, struct err *err)
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
key_compare(const struct running *r, struct err *err)
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
job_open(struct running *r, struct err *err)
{
	json_t *body = json_object();
	const char *id;
	int rc;

	if ((rc = order_make(r, body, err)) != 0) {
		json_decref(body);
		return rc;
	}
	if ((rc = call(r, "POST", "/v1/jobs", body, &r->job, err)) != 0)
		return rc;
	id = json_string_value(json_object_get(r->job, "id"));
	if (id == NULL || (r->id = strdup(id)) == NULL)
		return err_set(err, E_SYS, "the server's answer is no job");
	return key_compare(r, err);
}

/* ---- sending its rows ------------------------------------------------------------------------------------------- */

static int
chunk_send(struct running *r, struct err *err)
{
	json_t *body;
	int64_t before = job_count(r, "received");
	int rc;

	if (json_array_size(r->chunk) == 0)
		return 0;
	body = json_pack("{s:I, s:O}", "first", (json_int_t)r->first, "rows", r->chunk);
	if (body == NULL)
		return err_nomem(err);
	if ((rc = job_call(r, "POST", "/rows", body, err)) != 0)
		return rc;
	progress_add(&r->progress, (uint64_t)(job_count(r, "received") - before));
	r->chunk_len = 0;
	return json_array_clear(r->chunk) == 0 ? 0 : err_nomem(err);
}

static int
row_send(void *ctx, int64_t n, int64_t line, json_t *row, struct err *err)
{
	struct running *r = ctx;
	char *text;
	size_t len;
	int rc;

	(void)line;
	if (n <= job_count(r, "received"))
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
refusals_show(struct running *r, struct err *err)
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
		if ((rc = buf_failed(&path) ? err_nomem(err) : call(r, "GET", buf_str(&path), NULL, &page, err)) != 0)
			break;
		json_array_foreach (json_object_get(page, "items"), i, item) {
			const char *field, *reason;

			first = json_array_get(json_object_get(item, "errors"), 0);
			field = json_string_value(json_object_get(first, "field"));
			reason = json_string_value(json_object_get(first, "reason"));
			on_complaint(r, line_of(r, item), field != NULL ? field : "", reason != NULL ? reason : "is refused");
		}
		next = json_string_value(json_object_get(page, "next"));
	} while (next != NULL);
	json_decref(page);
	buf_clear(&path);
	return rc == 0 ? complaints_end(r, err) : rc;
}

static int
rows_send(struct running *r, struct err *err)
{
	struct importfile_sum sum;
	int64_t max = job_count(r, "chunk_bytes");
	struct err none = {0};
	int rc;

	if (!job_is(r, "open"))
		return 0;
	r->chunk_max = max > CHUNK_FRAME ? (size_t)(max - CHUNK_FRAME) : 0;
	r->progress = (struct progress){.what = "checking", .unit = "rows", .total = (uint64_t)r->sum.n};
	progress_add(&r->progress, (uint64_t)job_count(r, "received"));
	if ((r->chunk = json_array()) == NULL)
		return err_nomem(err);
	rc = importfile_read(r->a->file, on_complaint, row_send, r, &sum, err);
	if (rc == 0 && (sum.n_bad > 0 || sum.n != r->sum.n || !secret_equal(sum.digest, r->sum.digest, sizeof sum.digest)))
		rc = err_set(err, E_CONFLICT, "%.200s was changed meanwhile: nothing is made", r->a->file);
	if (rc == 0)
		rc = chunk_send(r, err);
	progress_end(&r->progress);
	if (rc == 0 && job_count(r, "refused") > 0)
		rc = refusals_show(r, err);
	else if (rc == 0)
		return job_call(r, "POST", "/start", NULL, err);
	/* A job that can never start is in the way of the next. */
	if (rc == E_CONFLICT || rc == E_INPUT)
		(void)job_call(r, "POST", "/cancel", NULL, &none);
	return rc;
}

/* ---- waiting, and what became of it ----------------------------------------------------------------------------- */

/* Why rows wait, once for each reason. */
static void
waits_show(struct running *r, json_t **shown)
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
job_wait(struct running *r, struct err *err)
{
	json_t *shown = NULL;
	uint64_t settled;
	int rc = 0;

	r->progress = (struct progress){.what = "import", .unit = "rows", .total = (uint64_t)r->sum.n};
	while (rc == 0) {
		settled = (uint64_t)(job_count(r, "done") + job_count(r, "failed"));
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

/* The results, page by page, for fs_write_parts. */
struct results {
	struct running *r;
	struct buf part;
	json_t *page;
	bool is_begun, is_over;
	int64_t n_shown; /* failures */
};

#define RESULT_COLUMNS \
	"row", "line", "name", "status", "id", "key", "serial", "fingerprint", "not_after", "certificate", "link", "password", \
	    "error"

/* Link and password of ROW into the two buffers, which are for secrets. */
static int
unseal(const struct running *r, const json_t *row, struct buf *link, struct buf *password, struct err *err)
{
	const char *text = json_string_value(json_object_get(row, "sealed")),
		   *base = json_string_value(json_object_get(r->job, "link_base")), *blank;
	struct buf sealed = {0}, plain;
	int rc;

	if (text == NULL || r->key == NULL || base == NULL)
		return 0;
	buf_init_secret(&plain);
	if ((rc = base64_decode(&sealed, text, strlen(text), err)) == 0 &&
	    (rc = seal_open(r->key, sealed.data, sealed.len, &plain, err)) == 0) {
		if ((blank = strchr(buf_str(&plain), ' ')) == NULL) {
			rc = err_set(err, E_SYS, "a link and its password cannot be read");
		} else {
			buf_text(link, base);
			buf_append(link, plain.data, (size_t)(blank - (const char *)plain.data));
			buf_text(password, blank + 1);
		}
	}
	buf_clear(&sealed);
	buf_clear(&plain);
	return rc;
}

static void
error_text(const json_t *row, struct buf *out)
{
	const json_t *first = json_array_get(json_object_get(row, "errors"), 0);
	const char *field = json_string_value(json_object_get(first, "field"));
	const char *reason = json_string_value(json_object_get(first, "reason"));

	if (field != NULL)
		buf_printf(out, "%s: ", field);
	if (reason != NULL)
		buf_text(out, reason);
}

static int
result_add(struct results *s, const json_t *row, struct err *err)
{
	static const char *const paths[] = {"name", "status", "device_id", "certificate.key", "certificate.serial",
	    "certificate.fingerprint", "certificate.not_after", "certificate.pem"};
	struct running *r = s->r;
	struct buf values[sizeof paths / sizeof paths[0]] = {{0}}, link, password, error = {0};
	const char *cells[13];
	char number[24], line[24];
	size_t i;
	int rc;

	buf_init_secret(&link);
	buf_init_secret(&password);
	(void)snprintf(number, sizeof number, "%lld", (long long)json_integer_value(json_object_get(row, "row")));
	(void)snprintf(line, sizeof line, "%lld", (long long)line_of(r, row));
	cells[0] = number;
	cells[1] = line;
	for (i = 0; i < sizeof paths / sizeof paths[0]; i++) {
		print_value(&values[i], row, paths[i]);
		cells[2 + i] = buf_str(&values[i]);
	}
	error_text(row, &error);
	if ((rc = unseal(r, row, &link, &password, err)) == 0) {
		cells[10] = buf_str(&link);
		cells[11] = buf_str(&password);
		cells[12] = buf_str(&error);
		for (i = 0; i < sizeof cells / sizeof cells[0]; i++)
			csvfile_cell(&s->part, i, cells[i], i == 9);
		buf_text(&s->part, "\r\n");
	}
	for (i = 0; i < sizeof paths / sizeof paths[0]; i++)
		buf_clear(&values[i]);
	buf_clear(&link);
	buf_clear(&password);
	buf_clear(&error);
	return rc;
}

/* An fs_next. */
static int
results_next(void *ctx, const void **data_out, size_t *len_out, struct err *err)
{
	static const char *const columns[] = {RESULT_COLUMNS};
	struct results *s = ctx;
	const char *next = json_string_value(json_object_get(s->page, "next"));
	struct buf path = {0};
	json_t *page = NULL, *item;
	size_t i;
	int rc;

	buf_reset(&s->part);
	*len_out = 0;
	if (s->is_over)
		return 0;
	if (!s->is_begun)
		csvfile_write(&s->part, columns, sizeof columns / sizeof columns[0]);
	buf_printf(&path, "/v1/jobs/%s/rows?limit=500", s->r->id);
	rest_query(&path, "after", next);
	rc = buf_failed(&path) ? err_nomem(err) : call(s->r, "GET", buf_str(&path), NULL, &page, err);
	json_array_foreach (json_object_get(page, "items"), i, item)
		if (rc == 0)
			rc = result_add(s, item, err);
	if (rc == 0 && buf_failed(&s->part))
		rc = err_nomem(err);
	json_decref(s->page);
	s->page = page;
	s->is_begun = true;
	s->is_over = !json_is_string(json_object_get(page, "next"));
	buf_clear(&path);
	*data_out = s->part.data;
	*len_out = s->part.len;
	return rc;
}

static int
results_write(struct running *r, struct err *err)
{
	struct results s = {.r = r};
	int rc;

	if (r->a->out == NULL)
		return 0;
	buf_init_secret(&s.part);
	rc = fs_write_parts(r->a->out, 0600, (gid_t)-1, results_next, &s, err);
	json_decref(s.page);
	buf_clear(&s.part);
	return rc;
}

/* ---- packages in one archive ------------------------------------------------------------------------------------ */

/* One package into TAR, unless an earlier run has it. A link that was used up has delivered to nobody who kept it. */
static int
package_add(struct running *r, struct tarfile *tar, const json_t *row, struct err *err)
{
	const char *id = json_string_value(json_object_get(row, "device_id"));
	struct buf link, password, package = {0};
	char name[TARFILE_NAME_MAX + 1];
	int rc;

	if (id == NULL || !json_is_string(json_object_get(row, "sealed")))
		return 0;
	(void)snprintf(name, sizeof name, "%s.zip", id);
	if (tarfile_has(tar, name))
		return 0;
	buf_init_secret(&link);
	buf_init_secret(&password);
	if ((rc = unseal(r, row, &link, &password, err)) == 0) {
		*err = (struct err){0};
		rc = rest_fetch(r->cli, buf_str(&link), &package, err);
	}
	if (rc == 0) {
		rc = tarfile_add(tar, name, package.data, package.len, err);
	} else if (rc == E_GONE || rc == E_NOTFOUND) {
		r->n_lost++;
		on_complaint(r, line_of(r, row), "", "its package was fetched before, and is not in the archive: `muster device package ID` makes another");
		rc = 0;
	}
	progress_add(&r->progress, 1);
	buf_clear(&link);
	buf_clear(&password);
	buf_clear(&package);
	return rc;
}

static int
packages_add(struct running *r, struct tarfile *tar, struct err *err)
{
	json_t *page = NULL, *next, *item;
	struct buf path = {0};
	size_t i;
	int rc;

	do {
		buf_reset(&path);
		buf_printf(&path, "/v1/jobs/%s/rows?status=done&limit=500", r->id);
		rest_query(&path, "after", json_string_value(json_object_get(page, "next")));
		next = NULL;
		rc = buf_failed(&path) ? err_nomem(err) : call(r, "GET", buf_str(&path), NULL, &next, err);
		json_decref(page);
		page = next;
		json_array_foreach (json_object_get(page, "items"), i, item)
			if (rc == 0)
				rc = package_add(r, tar, item, err);
	} while (rc == 0 && json_is_string(json_object_get(page, "next")));
	json_decref(page);
	buf_clear(&path);
	return rc;
}

/* Fetch all packages. What is there of the archive has the job's id in its name until it is whole. */
static int
archive_write(struct running *r, struct err *err)
{
	char part[FS_PATH_MAX];
	struct tarfile *tar = NULL;
	int rc;

	if (r->a->archive == NULL)
		return 0;
	if (snprintf(part, sizeof part, "%s.%s", r->a->archive, r->id) >= (int)sizeof part)
		return err_set(err, E_INPUT, "the name of --archive is too long");
	r->progress = (struct progress){.what = "packages", .unit = "packages", .total = (uint64_t)job_count(r, "done")};
	if ((rc = tarfile_open(part, &tar, err)) == 0 && (rc = packages_add(r, tar, err)) == 0 && (rc = tarfile_finish(tar, err)) == 0)
		rc = rename(part, r->a->archive) == 0 ? fs_sync_parent(part, err) : err_sys(err, "cannot write %s", r->a->archive);
	tarfile_free(tar);
	progress_end(&r->progress);
	return rc;
}

/* All that it was for is on disk. */
static int
key_remove(const struct running *r, struct err *err)
{
	if (r->key == NULL || remove(r->key_path) == 0)
		return 0;
	return err_sys(err, "cannot remove %s", r->key_path);
}

/* The first rows that failed, by their lines. */
static int
failures_show(struct running *r, struct err *err)
{
	struct buf path = {0}, text = {0};
	json_t *page = NULL, *item;
	size_t i;
	int rc;

	buf_printf(&path, "/v1/jobs/%s/rows?status=failed&limit=20", r->id);
	rc = buf_failed(&path) ? err_nomem(err) : call(r, "GET", buf_str(&path), NULL, &page, err);
	json_array_foreach (json_object_get(page, "items"), i, item) {
		buf_reset(&text);
		error_text(item, &text);
		on_complaint(r, line_of(r, item), "", buf_str(&text));
	}
	json_decref(page);
	buf_clear(&path);
	buf_clear(&text);
	return rc;
}

static int
end_show(struct running *r, struct err *err)
{
	long long done = (long long)job_count(r, "done"), failed = (long long)job_count(r, "failed");
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
	if ((rc = failures_show(r, err)) != 0)
		return rc;
	return err_set(err, E_CONFLICT, "%lld rows failed; `muster --json job show %.40s --rows failed` lists them", failed, r->id);
}

static int
import(struct running *r, struct err *err)
{
	int rc;

	if ((rc = file_check(r, err)) != 0 || (rc = key_get(r, err)) != 0 || (rc = job_open(r, err)) != 0 ||
	    (rc = rows_send(r, err)) != 0 || (!r->a->no_wait && (rc = job_wait(r, err)) != 0) ||
	    (!job_is(r, "running") &&
		((rc = results_write(r, err)) != 0 || (rc = archive_write(r, err)) != 0 || (rc = key_remove(r, err)) != 0)))
		return rc;
	return end_show(r, err);
}

int
cmd_device_import(struct cli *cli, int argc, char **argv)
{
	struct arguments a = {0};
	struct running r = {.cli = cli, .a = &a};
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

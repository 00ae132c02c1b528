/* Rows are asked for by pages and never all held. Only here are links and passwords in the clear, and only in memory for
 * secrets and in the file that their owner alone can read. */
#include "cmd/importresults.h"

#include "cmd/csvfile.h"
#include "cmd/print.h"
#include "cmd/rest.h"
#include "cmd/tarfile.h"

#include "base/secret.h"
#include "base/text.h"
#include "x509/seal.h"

#include <stdio.h>
#include <string.h>

/* The results, page by page, for fs_write_parts. */
struct results {
	struct import_run *r;
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
unseal(const struct import_run *r, const json_t *row, struct buf *link, struct buf *password, struct err *err)
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
	struct import_run *r = s->r;
	struct buf values[sizeof paths / sizeof paths[0]] = {{0}}, link, password, error = {0};
	const char *cells[13];
	char number[24], line[24];
	size_t i;
	int rc;

	buf_init_secret(&link);
	buf_init_secret(&password);
	(void)snprintf(number, sizeof number, "%lld", (long long)json_integer_value(json_object_get(row, "row")));
	(void)snprintf(line, sizeof line, "%lld", (long long)import_line(r, row));
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
	rc = buf_failed(&path) ? err_nomem(err) : import_call(s->r, "GET", buf_str(&path), NULL, &page, err);
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

int
importresults_write(struct import_run *r, struct err *err)
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
package_add(struct import_run *r, struct tarfile *tar, const json_t *row, struct err *err)
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
		import_complain(r, import_line(r, row), "", "its package was fetched before, and is not in the archive: `muster device package ID` makes another");
		rc = 0;
	}
	progress_add(&r->progress, 1);
	buf_clear(&link);
	buf_clear(&password);
	buf_clear(&package);
	return rc;
}

static int
packages_add(struct import_run *r, struct tarfile *tar, struct err *err)
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
		rc = buf_failed(&path) ? err_nomem(err) : import_call(r, "GET", buf_str(&path), NULL, &next, err);
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
int
importresults_archive(struct import_run *r, struct err *err)
{
	char part[FS_PATH_MAX];
	struct tarfile *tar = NULL;
	int rc;

	if (r->a->archive == NULL)
		return 0;
	if (snprintf(part, sizeof part, "%s.%s", r->a->archive, r->id) >= (int)sizeof part)
		return err_set(err, E_INPUT, "the name of --archive is too long");
	r->progress = (struct progress){.what = "packages", .unit = "packages", .total = (uint64_t)import_count(r, "done")};
	if ((rc = tarfile_open(part, &tar, err)) == 0 && (rc = packages_add(r, tar, err)) == 0 && (rc = tarfile_finish(tar, err)) == 0)
		rc = rename(part, r->a->archive) == 0 ? fs_sync_parent(part, err) : err_sys(err, "cannot write %s", r->a->archive);
	tarfile_free(tar);
	progress_end(&r->progress);
	return rc;
}

/* ---- failures ---------------------------------------------------------------------------------------------------- */

int
importresults_failures(struct import_run *r, struct err *err)
{
	struct buf path = {0}, text = {0};
	json_t *page = NULL, *item;
	size_t i;
	int rc;

	buf_printf(&path, "/v1/jobs/%s/rows?status=failed&limit=20", r->id);
	rc = buf_failed(&path) ? err_nomem(err) : import_call(r, "GET", buf_str(&path), NULL, &page, err);
	json_array_foreach (json_object_get(page, "items"), i, item) {
		buf_reset(&text);
		error_text(item, &text);
		import_complain(r, import_line(r, item), "", buf_str(&text));
	}
	json_decref(page);
	buf_clear(&path);
	buf_clear(&text);
	return rc;
}

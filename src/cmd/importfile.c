/* Columns go by their names in the first record. What can be told without the server is told here, for all rows, before anything is
 * sent; what they mean is the server's to judge. */
#include "cmd/importfile.h"

#include "base/buf.h"
#include "base/text.h"
#include "cmd/credoptions.h"
#include "cmd/csvfile.h"
#include "cmd/rest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LABEL "label:"
#define NAME_MAX_LEN 128 /* bytes of a column's name that is shown */

enum column_kind {
	COLUMN_TEXT,   /* a member of the same name */
	COLUMN_LABEL,  /* label:KEY */
	COLUMN_LABELS, /* a JSON object */
	COLUMN_CSR,
	COLUMN_SAN,    /* names with blanks between them */
	COLUMN_IGNORED /* what export tells and nobody can order */
};

static const struct {
	const char *name;
	enum column_kind kind;
} known[] = {
    {"name", COLUMN_TEXT}, {"type", COLUMN_TEXT}, {"location", COLUMN_TEXT}, {"policy", COLUMN_TEXT}, {"key", COLUMN_TEXT},
    {"profile", COLUMN_TEXT}, {"valid", COLUMN_TEXT}, {"csr", COLUMN_CSR}, {"san", COLUMN_SAN}, {"labels", COLUMN_LABELS},
    {"id", COLUMN_IGNORED}, {"status", COLUMN_IGNORED}, {"created_at", COLUMN_IGNORED}, {"updated_at", COLUMN_IGNORED},
    {"last_seen_at", COLUMN_IGNORED}, {"expires_at", COLUMN_IGNORED},
};
#define N_KNOWN (sizeof known / sizeof known[0])

struct column {
	enum column_kind kind;
	char name[NAME_MAX_LEN + 1];
};

struct reading {
	importfile_complain *complain;
	importfile_each *each;
	void *ctx;
	bool has_header;
	struct column columns[CSVFILE_CELLS_MAX];
	size_t n_columns;
	struct importfile_sum sum;
	int rc; /* of what ends the reading and is not the file's fault */
	bool is_over; /* the columns are wrong */
};

static void
complain(struct reading *r, int64_t line, const char *column, const char *reason)
{
	r->sum.n_bad++;
	r->complain(r->ctx, line, column, reason);
}

/* Text that JSON can carry? */
static const char *
cell_fault(const struct csvfile_cell *cell)
{
	if (cell->is_long)
		return "is longer than 32768 bytes";
	if (memchr(cell->text, '\0', cell->len) != NULL)
		return "has a NUL byte in it";
	if (!text_is_utf8(cell->text, cell->len))
		return "is not UTF-8";
	return NULL;
}

/* ---- the first record ------------------------------------------------------------------------------------------- */

static bool
column_find(const char *name, struct column *out)
{
	size_t i;

	(void)text_copy(out->name, sizeof out->name, name);
	if (strncmp(name, LABEL, strlen(LABEL)) == 0 && name[strlen(LABEL)] != '\0' && strlen(name) <= NAME_MAX_LEN) {
		out->kind = COLUMN_LABEL;
		return true;
	}
	for (i = 0; i < N_KNOWN; i++)
		if (strcmp(name, known[i].name) == 0) {
			out->kind = known[i].kind;
			return true;
		}
	return false;
}

static bool
has_column(const struct reading *r, const char *name)
{
	size_t i;

	for (i = 0; i < r->n_columns; i++)
		if (strcmp(r->columns[i].name, name) == 0)
			return true;
	return false;
}

static void
header_read(struct reading *r, const struct csvfile_record *record)
{
	static const char *const required[] = {"name", "type"};
	size_t i;

	r->has_header = true;
	if (record->n > CSVFILE_CELLS_MAX) {
		complain(r, record->line, "", "has more than 128 columns");
		return;
	}
	for (i = 0; i < record->n; i++) {
		const struct csvfile_cell *cell = &record->cells[i];
		const char *fault = cell_fault(cell);
		struct column column = {0};

		if (fault != NULL)
			(void)snprintf(column.name, sizeof column.name, "column %zu", i + 1);
		else if (!column_find(csvfile_plain(cell->text), &column))
			fault = "is no column that is known here; `muster device import --help` lists them";
		else if (has_column(r, column.name))
			fault = "is there twice";
		if (fault != NULL)
			complain(r, record->line, column.name, fault);
		r->columns[r->n_columns++] = column;
	}
	for (i = 0; i < sizeof required / sizeof required[0]; i++)
		if (!has_column(r, required[i]))
			complain(r, record->line, required[i], "is missing: the first line names the columns");
}

/* ---- rows ------------------------------------------------------------------------------------------------------- */

static int
csr_put(json_t *row, const char *text, const char **fault, struct err *err)
{
	struct buf raw, out = {0};
	struct err why = {0};
	int rc = 0;

	buf_init_secret(&raw); /* in case that it is a key */
	if (strstr(text, "-----BEGIN") != NULL)
		buf_text(&raw, text);
	else
		rc = base64_decode(&raw, text, strlen(text), &why);
	if (rc == 0)
		rc = credoptions_csr(&raw, &out, &why);
	if (rc == 0)
		rc = rest_set_text(row, "csr", buf_str(&out), &why);
	if (rc == E_INPUT)
		*fault = "is no certification request: PEM, or DER in base64";
	else if (rc != 0)
		*err = why;
	buf_clear(&raw);
	buf_clear(&out);
	return rc == E_INPUT ? 0 : rc;
}

static int
san_put(json_t *row, const char *text, struct err *err)
{
	json_t *list = json_array();
	size_t len;
	int rc;

	if ((rc = rest_set_take(row, "san", list, err)) != 0)
		return rc;
	for (text += strspn(text, " "); *text != '\0'; text += len, text += strspn(text, " ")) {
		len = strcspn(text, " ");
		if (json_array_append_new(list, json_stringn(text, len)) != 0)
			return err_nomem(err);
	}
	return 0;
}

/* The object of the row's labels, which is there when it is asked for. */
static json_t *
labels_of(json_t *row)
{
	json_t *labels = json_object_get(row, "labels");

	if (labels == NULL && json_object_set_new(row, "labels", labels = json_object()) != 0)
		return NULL;
	return labels;
}

static int
labels_put(json_t *row, const char *text, const char **fault, struct err *err)
{
	json_t *all = json_loads(text, JSON_REJECT_DUPLICATES, NULL), *labels = labels_of(row), *value;
	const char *key;

	if (labels == NULL) {
		json_decref(all);
		return err_nomem(err);
	}
	if (!json_is_object(all))
		*fault = "must be a JSON object, such as {\"line\":\"7\"}";
	json_object_foreach (all, key, value)
		if (json_object_get(labels, key) != NULL)
			*fault = "names a label that has a column, too";
	if (*fault == NULL && json_object_update(labels, all) != 0) {
		json_decref(all);
		return err_nomem(err);
	}
	json_decref(all);
	return 0;
}

static int
cell_put(json_t *row, const struct column *column, const char *text, const char **fault, struct err *err)
{
	json_t *labels;

	switch (column->kind) {
	case COLUMN_CSR:
		return csr_put(row, text, fault, err);
	case COLUMN_SAN:
		return san_put(row, text, err);
	case COLUMN_LABELS:
		return labels_put(row, text, fault, err);
	case COLUMN_LABEL:
		if ((labels = labels_of(row)) == NULL)
			return err_nomem(err);
		if (json_object_get(labels, column->name + strlen(LABEL)) != NULL)
			*fault = "is in labels, too";
		return rest_set_text(labels, column->name + strlen(LABEL), text, err);
	case COLUMN_IGNORED:
		return 0;
	default:
		return rest_set_text(row, column->name, text, err);
	}
}

/* Digest of all rows: of the digest so far, and this one. */
static int
digest_add(struct importfile_sum *sum, const json_t *row, struct err *err)
{
	char *text = json_dumps(row, JSON_COMPACT | JSON_SORT_KEYS);
	struct buf both = {0};
	int rc = 0;

	buf_append(&both, sum->digest, sizeof sum->digest);
	if (text != NULL)
		buf_text(&both, text);
	if (text == NULL || buf_failed(&both))
		rc = err_nomem(err);
	else
		sha256(sum->digest, both.data, both.len);
	free(text);
	buf_clear(&both);
	return rc;
}

/* The cells of RECORD into ROW; what is wrong with them is told. */
static int
row_fill(struct reading *r, const struct csvfile_record *record, json_t *row, struct err *err)
{
	char reason[96];
	size_t i;
	int rc = 0;

	if (record->n != r->n_columns) {
		(void)snprintf(reason, sizeof reason, "has %zu cells, and there are %zu columns", record->n, r->n_columns);
		complain(r, record->line, "", reason);
		return 0;
	}
	for (i = 0; rc == 0 && i < record->n; i++) {
		const struct csvfile_cell *cell = &record->cells[i];
		const char *fault = r->columns[i].kind == COLUMN_IGNORED ? NULL : cell_fault(cell);

		if (fault == NULL && cell->len > 0)
			rc = cell_put(row, &r->columns[i], csvfile_plain(cell->text), &fault, err);
		if (rc == 0 && fault != NULL)
			complain(r, record->line, r->columns[i].name, fault);
	}
	return rc;
}

static int
on_record(void *ctx, const struct csvfile_record *record, struct err *err)
{
	static const char *const required[] = {"name", "type"};
	struct reading *r = ctx;
	int64_t n_bad = r->sum.n_bad;
	json_t *row;
	size_t i;
	int rc;

	if (!r->has_header) {
		header_read(r, record);
		/* Without its columns nothing can be said of what follows. */
		r->is_over = r->sum.n_bad > 0;
		return r->is_over ? E_CONFLICT : 0;
	}
	if ((row = json_object()) == NULL)
		return err_nomem(err);
	r->sum.n++;
	rc = row_fill(r, record, row, err);
	for (i = 0; rc == 0 && r->sum.n_bad == n_bad && i < sizeof required / sizeof required[0]; i++)
		if (json_object_get(row, required[i]) == NULL)
			complain(r, record->line, required[i], "is required");
	r->sum.n_without_csr += json_object_get(row, "csr") == NULL;
	if (rc == 0 && r->sum.n_bad == 0 && (rc = digest_add(&r->sum, row, err)) == 0)
		rc = r->each(r->ctx, r->sum.n, record->line, row, err);
	json_decref(row);
	return r->rc = rc;
}

int
importfile_read(const char *file, importfile_complain *complain_fn, importfile_each *each, void *ctx,
    struct importfile_sum *sum_out, struct err *err)
{
	struct reading r = {.complain = complain_fn, .each = each, .ctx = ctx};
	struct err why = {0};
	int64_t line = 1;
	int rc = csvfile_read(file, on_record, &r, &line, &why);

	if (r.is_over) {
		rc = 0;
	} else if (r.rc == 0 && (rc == E_INPUT || rc == E_LIMIT)) {
		complain(&r, line, "", why.text);
		rc = 0;
	} else if (rc == 0 && !r.has_header) {
		complain(&r, 1, "", "the file is empty: its first line names the columns");
	} else if (rc == 0 && r.sum.n == 0) {
		complain(&r, line, "", "there is no row behind the columns");
	}
	if (rc == 0)
		*sum_out = r.sum;
	else
		*err = why;
	return rc;
}

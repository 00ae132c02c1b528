/* libcsv knows quotes and ends of records; lines are counted here, for people. */
#include "cmd/csvfile.h"

#include <csv.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE 65536
#define BOM "\xef\xbb\xbf"

struct reader {
	csvfile_each *each;
	void *ctx;
	struct err *err;
	int rc; /* EACH's */
	int64_t line;	    /* that is being read */
	bool is_between;    /* no record has begun */
	size_t record_len;  /* bytes of it so far */
	struct csvfile_record record;
	struct csvfile_cell cells[CSVFILE_CELLS_MAX];
	size_t starts[CSVFILE_CELLS_MAX];
	struct buf text;
};

/* Cells are exactly what is between the commas. */
static int
is_space(unsigned char c)
{
	(void)c;
	return 0;
}

static void
on_cell(void *text, size_t len, void *arg)
{
	struct reader *r = arg;
	size_t i = r->record.n++;

	if (i >= CSVFILE_CELLS_MAX)
		return;
	r->starts[i] = r->text.len;
	r->cells[i].is_long = len > CSVFILE_CELL_MAX;
	r->cells[i].len = r->cells[i].is_long ? 0 : len;
	buf_append(&r->text, text, r->cells[i].len);
	buf_byte(&r->text, 0);
}

static void
on_record(int end, void *arg)
{
	struct reader *r = arg;
	size_t i;

	(void)end;
	for (i = 0; i < r->record.n && i < CSVFILE_CELLS_MAX; i++)
		r->cells[i].text = (const char *)r->text.data + r->starts[i];
	if (r->rc == 0 && buf_failed(&r->text))
		r->rc = err_nomem(r->err);
	if (r->rc == 0)
		r->rc = r->each(r->ctx, &r->record, r->err);
	buf_reset(&r->text);
	r->record.n = 0;
	r->record_len = 0;
	r->is_between = true;
}

/* DATA is a line, or a part of one. */
static int
feed(struct csv_parser *parser, struct reader *r, const char *data, size_t len)
{
	bool is_end = len > 0 && data[len - 1] == '\n';

	if (r->is_between) {
		r->record.line = r->line;
		if (is_end && (len == 1 || (len == 2 && data[0] == '\r'))) {
			r->line++;
			return 0;
		}
		r->is_between = false;
	}
	r->record_len += len;
	if (r->record_len > CSVFILE_RECORD_MAX)
		return err_set(r->err, E_LIMIT, "this record has more than %d bytes: is a quote not closed?", CSVFILE_RECORD_MAX);
	if (csv_parse(parser, data, len, on_cell, on_record, r) != len)
		return csv_error(parser) == CSV_EPARSE ?
		    err_set(r->err, E_INPUT, "a quote stands where none may be (RFC 4180: a cell with quotes in it is quoted, and they are doubled)") :
		    err_nomem(r->err);
	r->line += is_end;
	return r->rc;
}

static int
feed_lines(struct csv_parser *parser, struct reader *r, const char *data, size_t len)
{
	const char *end;
	size_t n;
	int rc = 0;

	for (; rc == 0 && len > 0; data += n, len -= n) {
		end = memchr(data, '\n', len);
		n = end != NULL ? (size_t)(end - data) + 1 : len;
		rc = feed(parser, r, data, n);
	}
	return rc;
}

static int
read_all(FILE *file, const char *path, struct csv_parser *parser, struct reader *r)
{
	static char piece[PIECE];
	bool is_first = true;
	size_t n, skip;
	int rc = 0;

	while (rc == 0 && (n = fread(piece, 1, sizeof piece, file)) > 0) {
		skip = is_first && n >= strlen(BOM) && memcmp(piece, BOM, strlen(BOM)) == 0 ? strlen(BOM) : 0;
		is_first = false;
		rc = feed_lines(parser, r, piece + skip, n - skip);
	}
	if (rc == 0 && ferror(file) != 0)
		rc = err_sys(r->err, "cannot read %s", path);
	if (rc == 0 && !r->is_between && csv_fini(parser, on_cell, on_record, r) != 0)
		rc = err_set(r->err, E_INPUT, "a quote is not closed");
	return rc != 0 ? rc : r->rc;
}

int
csvfile_read(const char *path, csvfile_each *each, void *ctx, int64_t *line_out, struct err *err)
{
	struct reader r = {.each = each, .ctx = ctx, .err = err, .line = 1, .is_between = true};
	struct csv_parser parser;
	FILE *file = fopen(path, "re");
	int rc;

	r.record.cells = r.cells;
	if (file == NULL)
		return errno == ENOENT ? err_set(err, E_NOTFOUND, "there is no file %s", path) : err_sys(err, "cannot open %s", path);
	if (csv_init(&parser, CSV_STRICT | CSV_STRICT_FINI) != 0) {
		(void)fclose(file);
		return err_nomem(err);
	}
	csv_set_space_func(&parser, is_space);
	csv_set_blk_size(&parser, 4096);
	rc = read_all(file, path, &parser, &r);
	*line_out = r.record.line;
	csv_free(&parser);
	buf_clear(&r.text);
	(void)fclose(file);
	return rc;
}

/* ---- spreadsheets ----------------------------------------------------------------------------------------------- */

/* Would a spreadsheet calculate it, but for apostrophes in front? */
static bool
is_formula(const char *text)
{
	return text[0] != '\0' && strchr("=+-@\t\r", text[0]) != NULL;
}

void
csvfile_cell(struct buf *out, size_t i, const char *text, bool is_ours)
{
	struct buf cell = {0};
	uint8_t *at;
	size_t len;

	if (i > 0)
		buf_byte(out, ',');
	if (!is_ours && is_formula(text + strspn(text, "'")))
		buf_byte(&cell, '\'');
	buf_text(&cell, text);
	if (strpbrk(buf_str(&cell), ",\"\r\n") == NULL) {
		buf_append(out, cell.data, cell.len);
	} else {
		len = csv_write(NULL, 0, cell.data, cell.len);
		if ((at = buf_extend(out, len)) != NULL)
			(void)csv_write(at, len, cell.data, cell.len);
	}
	out->failed = out->failed || buf_failed(&cell);
	buf_clear(&cell);
}

void
csvfile_write(struct buf *out, const char *const *cells, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		csvfile_cell(out, i, cells[i], false);
	buf_text(out, "\r\n");
}

const char *
csvfile_plain(const char *text)
{
	return text[0] == '\'' && is_formula(text + strspn(text, "'")) ? text + 1 : text;
}

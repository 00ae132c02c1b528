/* Widths, wrapping and the terminal are libsmartcols' work; making text harmless is ours. */
#include "cmd/table.h"

#include "base/buf.h"
#include "base/text.h"

#include <libsmartcols/libsmartcols.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FOLDED_COLUMNS 2 /* the last ones hold the long texts; nothing is ever cut */

struct table {
	struct libscols_table *scols;
	size_t n;
};

void
table_free(struct table *table)
{
	if (table == NULL)
		return;
	scols_unref_table(table->scols);
	free(table);
}

int
table_new(const char *const *headings, size_t n, bool folded, struct table **table_out, struct err *err)
{
	struct table *table = calloc(1, sizeof *table);
	struct libscols_column *column;
	size_t i;
	bool colour;

	if (table == NULL || (table->scols = scols_new_table()) == NULL) {
		free(table);
		return err_nomem(err);
	}
	table->n = n;
	colour = isatty(STDOUT_FILENO) != 0 && getenv("NO_COLOR") == NULL;
	(void)scols_table_enable_colors(table->scols, colour);
	for (i = 0; i < n; i++) {
		column = scols_table_new_column(table->scols, headings[i], 0,
		    folded && i + FOLDED_COLUMNS >= n ? SCOLS_FL_WRAP : 0);
		if (column == NULL) {
			table_free(table);
			return err_nomem(err);
		}
		if (colour)
			(void)scols_cell_set_color(scols_column_get_header(column), "bold");
	}
	*table_out = table;
	return 0;
}

int
table_row(struct table *table, const char *const *cells, struct err *err)
{
	struct libscols_line *line = scols_table_new_line(table->scols, NULL);
	struct buf text = {0};
	size_t i;
	int rc = 0;

	if (line == NULL)
		return err_nomem(err);
	for (i = 0; rc == 0 && i < table->n; i++) {
		buf_reset(&text);
		text_escape(&text, cells[i] != NULL ? cells[i] : "",
		    cells[i] != NULL ? strlen(cells[i]) : 0);
		if (buf_failed(&text) || scols_line_set_data(line, i, buf_str(&text)) != 0)
			rc = err_nomem(err);
	}
	buf_clear(&text);
	return rc;
}

void
table_print_take(struct table *table)
{
	(void)scols_print_table(table->scols);
	table_free(table);
}

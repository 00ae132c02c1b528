/* CSV files (RFC 4180), and what spreadsheets make of them. The only user of libcsv. */
#ifndef MUSTER_CMD_CSVFILE_H
#define MUSTER_CMD_CSVFILE_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CSVFILE_CELL_MAX 32768	     /* bytes of a cell that are kept; a longer one is is_long */
#define CSVFILE_CELLS_MAX 128	     /* of a record; what is beyond is counted alone */
#define CSVFILE_RECORD_MAX (1 << 20) /* bytes */

struct csvfile_cell {
	const char *text; /* ends with a NUL that len does not count; there may be others in it */
	size_t len;
	bool is_long;
};

struct csvfile_record {
	int64_t line; /* where it begins, from 1 */
	const struct csvfile_cell *cells;
	size_t n;     /* as many as there were; CELLS has CSVFILE_CELLS_MAX at most */
};

/* Call EACH for the records of the file PATH, in their order, empty lines aside; it returns 0 to go on, else its error ends the
 * reading. A record is borrowed during the call. A mark of byte order in front (UTF-8) is no part of the first cell. E_NOTFOUND;
 * E_INPUT with *LINE_OUT: there it is no CSV; E_LIMIT with *LINE_OUT: the record there is too long; E_NOMEM, E_SYS. */
typedef int csvfile_each(void *ctx, const struct csvfile_record *record, struct err *err);
MUST_CHECK int csvfile_read(const char *path, csvfile_each *each, void *ctx, int64_t *line_out, struct err *err);

/* Append a record of N cells, quoted where that is needed, ended by CRLF. A cell that a spreadsheet would take for a formula, because
 * it begins with one of = + - @ TAB CR, gets an apostrophe in front; so does one that begins with apostrophes and then so. */
void csvfile_write(struct buf *out, const char *const *cells, size_t n);

/* Append cell I of a record; the caller ends it with CRLF. What IS_OURS, such as PEM, stays as it is whatever it begins with. */
void csvfile_cell(struct buf *out, size_t i, const char *text, bool is_ours);

/* The text of a cell without such an apostrophe: csvfile_write undone. Points into it. */
const char *csvfile_plain(const char *text);

#endif

/* Aligned tables on standard output. The only user of libsmartcols. */
#ifndef MUSTER_CMD_TABLE_H
#define MUSTER_CMD_TABLE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct table;

/* A table with N column headings. On a terminal that is too narrow the last two columns are FOLDED,
 * each cell within itself, or else the terminal folds its lines. E_NOMEM. */
MUST_CHECK int table_new(const char *const *headings, size_t n, bool folded,
    struct table **table_out, struct err *err);

/* Append a row of N cells (NULL: empty); what could hurt a terminal is escaped. E_NOMEM. */
MUST_CHECK int table_row(struct table *table, const char *const *cells, struct err *err);

/* Print it, and free it. Headings are bold on a terminal that wants colour (NO_COLOR unset). */
void table_print_take(struct table *table);
void table_free(struct table *table);

#endif

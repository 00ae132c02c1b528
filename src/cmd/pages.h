/* Whole lists on standard output, as CSV or as JSON lines: page by page, each written out before the next is asked for. */
#ifndef MUSTER_CMD_PAGES_H
#define MUSTER_CMD_PAGES_H

#include "base/buf.h"
#include "cmd/commands.h"

#include <stdbool.h>
#include <stddef.h>

/* GET PATH (cleared), which may have filters, to its last page, and write its items: as CSV the N members COLUMNS under their names,
 * texts as they are, null as nothing and the rest as JSON; else each as it is, on a line. Returns the command's exit status, and has
 * said on standard error what went wrong. */
int pages_export(const struct cli *cli, struct buf *path, bool csv, const char *const *columns, size_t n);

#endif

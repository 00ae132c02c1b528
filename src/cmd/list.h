/* Lists by pages: their options, and showing them. */
#ifndef MUSTER_CMD_LIST_H
#define MUSTER_CMD_LIST_H

#include "base/buf.h"
#include "base/err.h"
#include "cmd/commands.h"
#include "cmd/print.h"

#include <argp.h>
#include <stdbool.h>
#include <stddef.h>

struct list_options {
	const char *limit, *after;
	bool all;
	bool unfolded; /* a cell of the last columns stays in one piece, for it is copied */
};

/* For the `children` of a list command's argp; its input is a struct list_options. */
extern const struct argp list_argp;

/* GET PATH, which may have filters already, or every page of it one after the other, and show the N
 * columns, or one JSON document. What rest_call may say, E_NOMEM. */
MUST_CHECK int list_show(const struct cli *cli, const struct list_options *options,
    const struct buf *path, const struct print_field *columns, size_t n, struct err *err);

#endif

/* Commands that are one call of the API, and its answer shown. Each of these ends with the command's exit status, and has said
 * on standard error what went wrong. */
#ifndef MUSTER_CMD_CALL_H
#define MUSTER_CMD_CALL_H

#include "base/buf.h"
#include "base/err.h"
#include "cmd/commands.h"
#include "cmd/credoptions.h"
#include "cmd/list.h"
#include "cmd/print.h"

#include <jansson.h>
#include <stddef.h>

/* METHOD on PATH (cleared) with BODY (taken; NULL: none), and the answer's N fields; with --json the answer as it is. Nothing
 * is asked if BUILT, what the making of BODY came to, is an error, which ERR then tells. */
int call_show(const struct cli *cli, const char *method, struct buf *path, json_t *body, int built,
    const struct print_field *fields, size_t n, struct err *err);

/* The same with POST, for what makes credentials: they are shown. */
int call_credential(const struct cli *cli, struct buf *path, json_t *body, int built, const struct credoptions *options,
    struct err *err);

/* DELETE PATH (cleared), which is that of NAME. */
int call_remove(const struct cli *cli, struct buf *path, const char *name);

/* GET PATH (cleared) by pages, and a table of N columns. */
int call_list(const struct cli *cli, struct buf *path, const struct list_options *options, const struct print_field *columns,
    size_t n);

#endif

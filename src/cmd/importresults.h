/* What became of an import's rows, once its job has ended: for the operator to keep, and to read. */
#ifndef MUSTER_CMD_IMPORTRESULTS_H
#define MUSTER_CMD_IMPORTRESULTS_H

#include "cmd/importrun.h"

/* Write the file of --out, whole, if it was asked for: links and passwords are in it. E_*. */
MUST_CHECK int importresults_write(struct import_run *r, struct err *err);

/* Fetch all packages into that of --archive, if it was asked for; one that was begun goes on. r->n_lost cannot be had any
 * more. E_*. */
MUST_CHECK int importresults_archive(struct import_run *r, struct err *err);

/* Complain of the first rows that failed, by their lines. E_*. */
MUST_CHECK int importresults_failures(struct import_run *r, struct err *err);

#endif

/* Making what jobs order: a few threads that take rows of running jobs, some of each by turns, and register a device for each, by
 * the way that a registration goes. A row and its device are stored in one transaction; what was under way when the process ended
 * is begun again by the next. */
#ifndef MUSTER_CORE_IMPORT_H
#define MUSTER_CORE_IMPORT_H

#include "base/err.h"
#include "core/core.h"

#include <stddef.h>

struct import;

/* Start the threads; behind reconcile_run, which settles what an earlier process has left. E_NOMEM, E_SYS. */
MUST_CHECK int import_start(struct core *core, struct import **import_out, struct err *err);

/* Finish the rows that are being made, and end. NULL is harmless. */
void import_stop(struct import *import);

/* Why rows of the job with this id wait at present, as "the signer is away", into OUT; "" if none does. Any thread. */
void import_why(struct import *import, const char *job_id, char out[ERR_TEXT_MAX]);

/* How many jobs run, and of how many of these rows wait. NULL is harmless. Any thread. */
void import_look(struct import *import, size_t *running_out, size_t *waiting_out);

/* A job was started or cancelled. Any thread; NULL is harmless. */
void import_wake(struct import *import);

#endif

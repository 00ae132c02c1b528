/* Jobs: many devices by one order. A job is made, its rows come in chunks, each checked as it comes; when all are there and none is
 * wrong it is started, and its devices are made in the background (core/import.h), each in one transaction with its row. */
#ifndef MUSTER_CORE_JOB_H
#define MUSTER_CORE_JOB_H

#include "base/err.h"
#include "core/caller.h"
#include "core/core.h"
#include "core/device.h"
#include "store/job.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JOB_IMPORT "device.import"
#define JOB_ROWS_MAX 1000000
#define JOB_CHUNK_MAX 1000 /* rows of one call */

struct job_request {
	const char *name;   /* what it is, for people; required */
	const char *digest; /* of all that it is to do, hex; required */
	int64_t total;	    /* rows */
	enum job_packages packages; /* NONE: each row has a CSR */
	int64_t link_ttl_s; /* 0: LINK_TTL_DEFAULT_S */
	const void *seal;   /* an RSA key, SubjectPublicKeyInfo: with LINKS required */
	size_t seal_len;
};

/* Make a job, or find the one that has this digest and is not cancelled: *MADE_OUT says which. E_INPUT (field), E_SYS. Clear
 * JOB_OUT. */
MUST_CHECK int job_create(struct core *core, const struct caller *caller, const struct job_request *request, bool *made_out,
    struct store_job *job_out, struct err *err);

/* A row as it came. */
struct job_row_request {
	uint8_t digest[SHA256_LEN]; /* of all there is to it */
	struct device_request device;
	struct err wrong; /* with a code: it cannot be read, and DEVICE is nothing */
};

/* Add N rows, the first of which is the job's row FIRST. What is wrong with a row is kept with it. Rows that are there already are
 * only compared. E_NOTFOUND; E_INPUT (field "first": rows before it are missing, or there are too many); E_CONFLICT: the job is
 * not open, or a row came with other content before; E_SYS. Clear JOB_OUT. */
MUST_CHECK int job_rows_add(struct core *core, const struct caller *caller, const char *id, int64_t first,
    const struct job_row_request *rows, size_t n, struct store_job *job_out, struct err *err);

/* Begin to make what it is to make; one that is running or done stays so. E_NOTFOUND; E_CONFLICT: rows are missing, or wrong, or
 * it was cancelled; E_SYS. Clear JOB_OUT. */
MUST_CHECK int job_start(struct core *core, const struct caller *caller, const char *id, struct store_job *job_out, struct err *err);

/* Make no more. What was made stays. E_NOTFOUND, E_CONFLICT if it is over, E_SYS. Clear JOB_OUT. */
MUST_CHECK int job_cancel(struct core *core, const struct caller *caller, const char *id, struct store_job *job_out, struct err *err);

MUST_CHECK int job_get(struct core *core, const struct caller *caller, const char *id, struct store_job *job_out, struct err *err);
MUST_CHECK int job_list(struct core *core, const struct caller *caller, size_t limit, const char *after,
    struct store_job *rows_out, size_t *n_out, char next_out[STORE_CURSOR_SIZE], struct err *err);

/* A row, with its certificate if it is done. */
struct job_row {
	struct store_job_row row;
	struct store_certificate certificate; /* der NULL: none */
};
void job_row_clear(struct job_row *row);

/* One page of the job's rows, with STATE or (-1) all. E_NOTFOUND, E_INPUT (field "after"). Clear each row. */
MUST_CHECK int job_rows(struct core *core, const struct caller *caller, const char *id, int state, size_t limit,
    const char *after, struct job_row *rows_out, size_t *n_out, char next_out[STORE_CURSOR_SIZE], struct err *err);

#endif

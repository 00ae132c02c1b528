/* A CSV file of devices as the API's rows. */
#ifndef MUSTER_CMD_IMPORTFILE_H
#define MUSTER_CMD_IMPORTFILE_H

#include "base/err.h"
#include "base/secret.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is wrong at LINE, in COLUMN ("" for the whole line). */
typedef void importfile_complain(void *ctx, int64_t line, const char *column, const char *reason);

/* Row N (from 1), which begins at LINE: the body of POST /v1/devices, borrowed. Returns 0 to go on, else its error ends the
 * reading. */
typedef int importfile_each(void *ctx, int64_t n, int64_t line, json_t *row, struct err *err);

struct importfile_sum {
	int64_t n;		    /* rows */
	int64_t n_bad;		    /* complaints */
	int64_t n_without_csr;
	uint8_t digest[SHA256_LEN]; /* of all rows, in their order */
};

/* Read FILE. Every complaint is told; from the first one on EACH gets nothing more. What csvfile_read may say but E_INPUT and
 * E_LIMIT, which are complaints; EACH's. */
MUST_CHECK int importfile_read(const char *file, importfile_complain *complain, importfile_each *each, void *ctx,
    struct importfile_sum *sum_out, struct err *err);

#endif

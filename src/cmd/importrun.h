/* What the parts of `muster device import` share: an import on its way. */
#ifndef MUSTER_CMD_IMPORTRUN_H
#define MUSTER_CMD_IMPORTRUN_H

#include "base/err.h"
#include "base/fs.h"
#include "cmd/commands.h"
#include "cmd/importfile.h"
#include "cmd/progress.h"
#include "x509/key.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct import_arguments {
	const char *file, *out, *archive;
	int64_t link_ttl_s;
	bool no_wait;
};

struct import_run {
	struct cli *cli;
	const struct import_arguments *a;
	struct importfile_sum sum;
	int64_t *lines; /* of each row */
	size_t room;
	bool key_is_new;     /* made by this run */
	struct key *key;     /* what links and passwords are encrypted to; NULL: there are none */
	char key_path[FS_PATH_MAX];
	char *id;	     /* the job's */
	json_t *job;	     /* as it was last seen */
	json_t *chunk;	     /* rows on their way to be sent */
	int64_t first;	     /* of the chunk */
	size_t chunk_len, chunk_max;
	struct progress progress;
	int64_t n_lost;	     /* packages that went astray */
};

/* As rest_call, and again while nobody answers, or it is too much. BODY is taken. */
MUST_CHECK int import_call(
    const struct import_run *r, const char *method, const char *path, json_t *body, json_t **answer_out, struct err *err);

/* The number NAME of the job as it was last seen. */
int64_t import_count(const struct import_run *r, const char *name);

/* Where in the file the row of this answer is. */
int64_t import_line(const struct import_run *r, const json_t *row);

/* Say on standard error what is wrong with LINE, unless too much was said already. CTX is the run; COLUMN may be "". */
void import_complain(void *ctx, int64_t line, const char *column, const char *reason);

#endif

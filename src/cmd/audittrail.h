/* The audit trail looked at from outside: its rows, from wherever they come, held against each other and against checkpoints,
 * without trust in whoever gave them out. */
#ifndef MUSTER_CMD_AUDITTRAIL_H
#define MUSTER_CMD_AUDITTRAIL_H

#include "base/err.h"
#include "base/secret.h"
#include "cmd/commands.h"
#include "x509/checkpoint.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define AUDITTRAIL_KIND "muster audit archive 1" /* in an archive's first line */

/* Zero-initialise: none of its rows was seen. */
struct audittrail {
	int64_t first;		  /* behind which row it began, */
	uint8_t before[SHA256_LEN]; /* and that one's hash */
	int64_t seq;		  /* of the last row, */
	uint8_t hash[SHA256_LEN]; /* and its hash */
	const struct checkpoint *wanted; /* that it must say; NULL: none */
	bool is_met;			 /* it has said so */
};

/* The next row, as GET /v1/audit/trail tells it. E_CONFLICT: it does not follow, or is not what the checkpoint says; E_INPUT: it is
 * no row. */
MUST_CHECK int audittrail_add(struct audittrail *trail, const json_t *row, struct err *err);

/* All rows behind those that TRAIL has, up to UPTO, asked of the service; one that has none yet begins behind what was archived.
 * EACH (may be NULL) sees each of them first. E_CONFLICT, and what rest_call and EACH may say. */
typedef int audittrail_each(void *ctx, const json_t *row, struct err *err);
MUST_CHECK int audittrail_follow(const struct cli *cli, struct audittrail *trail, int64_t upto, audittrail_each *each, void *ctx,
    struct err *err);

/* The rows in the archive FILE, which go on from TRAIL's, and the checkpoint that ends it. E_CONFLICT, E_INPUT, E_SYS. */
MUST_CHECK int audittrail_archive(const struct cli *cli, struct audittrail *trail, const char *file, struct err *err);

/* Did all rows that WANTED covers come? E_CONFLICT. */
MUST_CHECK int audittrail_end(const struct audittrail *trail, struct err *err);

/* Read the checkpoint in PEM, or in FILE, which a signer under the home's, or --ca's, root has signed. E_INPUT, E_NOTFOUND, E_SYS. */
MUST_CHECK int audittrail_checkpoint_pem(const struct cli *cli, const char *pem, struct checkpoint *out, struct err *err);
MUST_CHECK int audittrail_checkpoint(const struct cli *cli, const char *file, struct checkpoint *out, struct err *err);

#endif

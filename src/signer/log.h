/* The signer's log: the ground truth of what was signed. Append-only, checked by a hash chain, durable
 * before any signed byte leaves. Reader and writer of the format are both here. */
#ifndef MUSTER_SIGNER_LOG_H
#define MUSTER_SIGNER_LOG_H

#include "base/buf.h"
#include "base/err.h"
#include "signer/client.h"
#include "signer/serialset.h"

#include <stdint.h>

struct signer_log;

/* Open or create the log at PATH (0600). Reads it whole once: checks every row, truncates a torn last row
 * (it was never acknowledged), refuses any other damage with E_INPUT. With READ_ONLY nothing is created
 * or cut. E_SYS. */
MUST_CHECK int signer_log_open(
    const char *path, bool read_only, struct signer_log **log_out, struct err *err);
void signer_log_close(struct signer_log *log);

/* Add a row to the batch in memory and give it its seq; nothing is durable yet. E_FULL: the disk is
 * full; what is issued must leave a reserve for revocations and CRL numbers. E_NOMEM. */
MUST_CHECK int signer_log_add(struct signer_log *log, struct signer_log_row *row, struct err *err);

/* Write the batch and fdatasync. After E_SYS the file's state is unknown: the process must end. */
MUST_CHECK int signer_log_sync(struct signer_log *log, struct err *err);

/* What this log, with its batch, says of SERIAL: never issued, valid, on hold, revoked for good. */
enum serial_state signer_log_state(const struct signer_log *log, const uint8_t *serial);

/* The highest CRL number and seq so far; 0 for none. */
uint64_t signer_log_crl_number(const struct signer_log *log);
uint64_t signer_log_last_seq(const struct signer_log *log);

/* The last checkpoint of the audit trail; number 0: none. Borrowed, until the next row is added. */
const struct checkpoint *signer_log_checkpoint(const struct signer_log *log);

/* Bytes of the file up to the end of its last whole row. */
uint64_t signer_log_size(const struct signer_log *log);

/* Call EACH for every durable row after AFTER. E_CONFLICT if AFTER is above the last seq: whoever remembers it has
 * seen a longer log. */
MUST_CHECK int signer_log_walk(struct signer_log *log, uint64_t after, signer_log_each *each,
    void *ctx, struct err *err);

/* A row's bytes as they stand in the log and in the answer to signer_log_read. Reading checks everything but the
 * chain; der is borrowed. E_INPUT. */
void signer_log_row_put(struct buf *out, const struct signer_log_row *row);
MUST_CHECK int signer_log_row_read(
    const uint8_t *data, size_t len, struct signer_log_row *out, struct err *err);

#endif

/* The store: one database, opened once, used by many threads. All writes go through one connection, one
 * transaction after another, and are made durable in groups: store_commit returns when the group that
 * holds the transaction is on disk. Reads have connections of their own and never wait for writers.
 *
 * What is stored in which table is in the header of that table (store/device.h, …). They speak the SQL
 * that SQLite and PostgreSQL share; the engine is behind store/db.h. */
#ifndef MUSTER_STORE_STORE_H
#define MUSTER_STORE_STORE_H

#include "base/err.h"
#include "base/metric.h"

#include <stdint.h>

struct store;
struct store_tx;

#define STORE_TENANT_DEFAULT 1 /* id of the tenant `default`, made by the first migration */

/* Make a new database at PATH (0600) with the present schema. E_CONFLICT if the file exists. */
MUST_CHECK int store_create(const char *path, struct err *err);

/* Open the database at PATH and bring its schema up to date. E_NOTFOUND (no file), E_INPUT (not a Muster
 * database, damaged, or of a newer version), E_BUSY (another process writes to it), E_SYS. */
MUST_CHECK int store_open(const char *path, struct store **store_out, struct err *err);

/* Write one consistent state of the database at PATH to a new file TO, while another process may be serving PATH: it
 * is only read. This process must not have it open. E_CONFLICT if TO exists; E_NOTFOUND, E_INPUT (not a Muster
 * database, damaged), E_BUSY, E_SYS. */
MUST_CHECK int store_copy(const char *path, const char *to, struct err *err);

/* No transaction may be open. NULL is harmless. */
void store_close(struct store *store);

/* Start a write transaction: waits for its turn, sees every earlier one of its group. Hold it briefly and
 * never wait for another process in it. E_FULL: there is little room on the disk. E_SYS; after a failed commit of any group every call fails, for
 * the state of the file is unknown: the process must end. */
MUST_CHECK int store_begin(struct store *store, struct store_tx **tx_out, struct err *err);

/* The same for a revocation and what must follow from one: on a full disk it has a reserve, while store_begin fails
 * with E_FULL. */
MUST_CHECK int store_begin_urgent(struct store *store, struct store_tx **tx_out, struct err *err);

/* E_FULL if store_begin would fail with it now: for work that is expensive, or signs something, before it stores. */
MUST_CHECK int store_room(struct store *store, struct err *err);

/* The same, FN and store_commit in one: FN runs in a transaction, which is committed if it returns 0 and undone otherwise.
 * It may run on any thread, while the caller waits: who commits a group runs what waits for its turn, so that many
 * small transactions cost no handing over. FN must be quick, and not use the store but by TX. What FN and store_commit
 * return. */
typedef int store_fn(struct store_tx *tx, void *ctx, struct err *err);
MUST_CHECK int store_run(struct store *store, store_fn *fn, void *ctx, struct err *err);

/* Start a read transaction on a connection of its own: one consistent snapshot. E_SYS. */
MUST_CHECK int store_read(struct store *store, struct store_tx **tx_out, struct err *err);

/* Commit and wait until it is durable. *TX is NULL afterwards, also on failure (then nothing of it is
 * stored, except that after E_SYS nobody can know). E_FULL, E_SYS. */
MUST_CHECK int store_commit(struct store_tx **tx, struct err *err);

/* Drop a write transaction's changes, or end a read. *TX is NULL afterwards; NULL is harmless. */
void store_rollback(struct store_tx **tx);

/* Call NEWS after each commit that has appended to the feed and is durable; before any transaction. It runs on whichever
 * thread committed, between groups: it must be short, and may not use the store. It may also come for nothing. */
void store_on_change(struct store *store, void (*news)(void *ctx), void *ctx);

/* E_SYS once a commit has failed; for readiness and for the process to know that it must end. */
MUST_CHECK int store_check(struct store *store, struct err *err);

/* Move the write-ahead log into the database and cut it to nothing, so that overwritten content is gone
 * from it. On the writer's connection, between groups. E_BUSY while a reader holds an old snapshot. */
MUST_CHECK int store_checkpoint(struct store *store, struct err *err);

/* Since it was opened: how many transactions each group had, and how long its commit took. Borrowed. */
struct store_figures {
	struct metric_histogram group_sizes, commit_durations;
};
const struct store_figures *store_figures(const struct store *store);

#endif

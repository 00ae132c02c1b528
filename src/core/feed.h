/* The feed that brokers follow: what is there now, what changed since, and that something has changed. The format is
 * authz/feed.h's. */
#ifndef MUSTER_CORE_FEED_H
#define MUSTER_CORE_FEED_H

#include "base/buf.h"
#include "base/err.h"
#include "core/core.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store_tx;

#define FEED_WAIT_MAX_S 30
#define FEED_ANSWER_LINES 10000		 /* of one answer with changes */
#define FEED_ANSWER_BYTES (1024 * 1024)	 /* no more lines are begun behind so many */
#define FEED_SNAPSHOT_BYTES (192 * 1024) /* the same for one part of a snapshot: with its last page, 256 KiB of memory */

/* Read the epoch, or make it where there is none. Before any other thread uses the store. E_*. */
MUST_CHECK int feed_open(struct core *core, struct err *err);
void feed_close(struct core *core);

/* In the caller's transaction: a new random epoch, after which every follower takes a fresh snapshot. Not while the
 * store is being served. */
MUST_CHECK int feed_epoch_renew(struct store_tx *tx, struct err *err);

/* Is that the present one? */
bool feed_has_epoch(const struct core *core, const char *epoch);

/* Call NEWS (NULL: nobody any more) whenever there may be something new. It runs on any thread, and must be short. */
void feed_watch(struct core *core, void (*news)(void *ctx), void *ctx);

/* Grows whenever there may be something new. Who asked for it before looking, saw nothing and finds it unchanged has
 * missed nothing. Any thread, at once. */
uint64_t feed_generation(const struct core *core);

/* Have everybody who waits look again: who they are may have changed. */
void feed_wake(struct core *core);

/* Append to OUT the answer to a follower of EPOCH who has everything up to AFTER: whole, also with no lines in it, for
 * which *HAS_NEWS_OUT is false. E_STALE if he needs a snapshot; E_SYS, E_NOMEM. */
MUST_CHECK int feed_changes(struct core *core, const char *epoch, int64_t after, struct buf *out, bool *has_news_out,
    struct err *err);

/* A snapshot under way. Between two parts it holds nothing but its place: no transaction, no part of the table. */
struct feed_snapshot;
MUST_CHECK int feed_snapshot_open(struct core *core, struct feed_snapshot **snapshot_out, struct err *err);

/* Append the next part to OUT, at most about FEED_SNAPSHOT_BYTES; *END_OUT after the last. */
MUST_CHECK int feed_snapshot_next(
    struct core *core, struct feed_snapshot *snapshot, struct buf *out, bool *end_out, struct err *err);
void feed_snapshot_close(struct feed_snapshot *snapshot);

/* Remove changes that have had their time (settings feed_keep, feed_keep_changes). Called by the sweeper. */
MUST_CHECK int feed_prune(struct core *core, struct err *err);

#endif

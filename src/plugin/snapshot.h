/* The table on disk: a snapshot as it came from the service, behind it the changes since. Written
 * beside and renamed; every byte is covered by a chain of digests, so that a broken file is refused
 * and never read in part. The digests find damage; who may write the file may write another one. */
#ifndef MUSTER_PLUGIN_SNAPSHOT_H
#define MUSTER_PLUGIN_SNAPSHOT_H

#include "authz/feed.h"
#include "base/err.h"
#include "plugin/table.h"

#include <stdbool.h>
#include <stdint.h>

struct snapshot; /* a file to which changes are appended */

struct snapshot_info {
	char epoch[FEED_EPOCH_LEN + 1];
	int64_t seq;
	int64_t contact; /* when the service was last heard */
};

/* Begin a new file beside PATH. Free with snapshot_close, which takes it away again unless it was
 * committed. E_SYS, E_FULL, E_NOMEM. */
MUST_CHECK int snapshot_create(
    const char *path, const char *epoch, int64_t seq, struct snapshot **out, struct err *err);

/* Add a policy, service or device: of the snapshot, or once it is committed one that changed. It
 * may stay in memory until snapshot_commit or snapshot_mark. E_SYS, E_FULL, E_NOMEM. */
MUST_CHECK int snapshot_add(struct snapshot *s, const struct feed_line *line, struct err *err);

/* The snapshot is whole: it replaces what was at PATH, on disk when this returns. E_SYS, E_FULL,
 * E_NOMEM. */
MUST_CHECK int snapshot_commit(struct snapshot *s, int64_t contact, struct err *err);

/* All changes up to SEQ were added, and the service was heard at CONTACT: on disk when this
 * returns. After E_SYS, E_FULL or E_NOMEM what was added is kept, and the next call writes it, too.
 */
MUST_CHECK int snapshot_mark(struct snapshot *s, int64_t seq, int64_t contact, struct err *err);

/* When it was last marked on disk. */
int64_t snapshot_contact(const struct snapshot *s);

/* Has it grown, or failed, so much that a new snapshot is better than more changes? */
bool snapshot_is_worn(const struct snapshot *s);

void snapshot_close(struct snapshot *s);

/* Read PATH into T, new and empty, and say how far it goes; *OUT appends to it. A last part that a
 * crash cut short is left out and cut off. E_NOTFOUND, E_INPUT (broken, T then holds nothing of
 * use), E_SYS, E_FULL, E_NOMEM. */
MUST_CHECK int snapshot_load(const char *path, struct table *t, struct snapshot_info *info_out,
    struct snapshot **out, struct err *err);

#endif

/* The thread that follows the service's feed: first a snapshot, then changes as they come. All
 * network and all disk is here; what it learns it hands to the broker's thread, which takes it
 * without waiting. */
#ifndef MUSTER_PLUGIN_FOLLOWER_H
#define MUSTER_PLUGIN_FOLLOWER_H

#include "base/buf.h"
#include "base/err.h"
#include "plugin/options.h"
#include "plugin/snapshot.h"
#include "plugin/table.h"

#include <stdbool.h>
#include <stdint.h>

struct follower;

enum update_kind { UPDATE_TABLE, UPDATE_ENTRIES, UPDATE_NOTE, UPDATE_WARNING };

struct update {
	struct update *next;
	enum update_kind kind;
	struct table *table;	 /* instead of the one so far; whoever takes it out owns it */
	struct buf entries;	 /* on top of it, for entry_get */
	char note[ERR_TEXT_MAX]; /* for the broker's log, whose functions are not for two threads */
};

/* FILE (may be NULL) and where it stands, INFO, are of the snapshot that was loaded; FILE is taken,
 * also on failure. OPTIONS must live as long. E_SYS, E_NOMEM. */
MUST_CHECK int follower_start(const struct options *options, struct snapshot *file,
    const struct snapshot_info *info, struct follower **out, struct err *err);

/* Ends the thread, within moments also in the middle of a request. */
void follower_stop(struct follower *f);

/* Any thread but the broker's: how far it is (false: it never had a table), and a line for the
 * broker's log. */
bool follower_place(struct follower *f, char epoch_out[FEED_EPOCH_LEN + 1], int64_t *seq_out);
void follower_warn(struct follower *f, const char *text);

/* The broker's thread, none of these waits: */

/* All updates since, oldest first; NULL if there are none. Free each with update_free. */
struct update *follower_take(struct follower *f);
void update_free(struct update *u);

/* TABLE is not used any more; the thread frees it. */
void follower_retire_take(struct follower *f, struct table *table);

/* An update could not be applied: get a whole table. */
void follower_resync(struct follower *f);

/* Has it caught up with the service, or found that it cannot, since it was started? */
bool follower_is_settled(const struct follower *f);

/* When the service was last heard; 0 for never. */
int64_t follower_contact(const struct follower *f);

#endif

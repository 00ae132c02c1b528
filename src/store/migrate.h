/* The schema's history: numbered steps, each in a transaction of its own, never edited once
 * released. */
#ifndef MUSTER_STORE_MIGRATE_H
#define MUSTER_STORE_MIGRATE_H

#include "base/err.h"
#include "store/db.h"

/* SQLite's steps, in order, NULL at the end: made of the files that meson.build lists, by script/embed-migrations. */
extern const struct migration *const migrate_sqlite[];

/* Bring DB from its version to that of LIST (NULL at the end). A step that fails, or is killed,
 * leaves the version before it. E_INPUT if the database is newer than the list; E_BUSY, E_SYS. */
MUST_CHECK int migrate(struct db *db, const struct migration *const *list, struct err *err);

#endif

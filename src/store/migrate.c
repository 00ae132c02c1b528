/* Migrations travel inside the program, so that it can never meet a folder of another version. */
#include "store/migrate.h"

#include <stddef.h>

/* Made by script/embed. */
extern const char migration_sqlite_001[], migration_sqlite_002[], migration_sqlite_003[], migration_sqlite_004[],
    migration_sqlite_005[], migration_sqlite_006[], migration_sqlite_007[],
    migration_sqlite_008[], migration_sqlite_009[], migration_sqlite_010[], migration_sqlite_011[],
    migration_sqlite_012[];

const struct migration *const migrate_sqlite[] = {
    &(const struct migration){"001_init", migration_sqlite_001},
    &(const struct migration){"002_idempotency", migration_sqlite_002},
    &(const struct migration){"003_feed", migration_sqlite_003},
    &(const struct migration){"004_broker", migration_sqlite_004},
    &(const struct migration){"005_sessions", migration_sqlite_005},
    &(const struct migration){"006_enrol", migration_sqlite_006},
    &(const struct migration){"007_operator", migration_sqlite_007},
    &(const struct migration){"008_operator_certificate", migration_sqlite_008},
    &(const struct migration){"009_rotation", migration_sqlite_009},
    &(const struct migration){"010_crl", migration_sqlite_010},
    &(const struct migration){"011_trust", migration_sqlite_011},
    &(const struct migration){"012_expiring", migration_sqlite_012},
    NULL,
};

static int
run(struct db *db, const struct migration *step, int64_t version, struct err *err)
{
	const struct db_engine *engine = db->engine;
	int rc;

	if ((rc = engine->script(db, engine->begin_write, err)) != 0)
		return rc;
	if ((rc = engine->script(db, step->sql, err)) == 0 &&
	    (rc = engine->set_version(db, version, err)) == 0 &&
	    (rc = engine->script(db, "COMMIT", err)) == 0)
		return 0;
	(void)err_prefix(err, "migration %s", step->name);
	if (engine->in_transaction(db))
		(void)engine->script(db, "ROLLBACK", NULL);
	return rc;
}

int
migrate(struct db *db, const struct migration *const *list, struct err *err)
{
	int64_t version, last = 0;
	int rc;

	if ((rc = db->engine->version(db, &version, err)) != 0)
		return rc;
	while (list[last] != NULL)
		last++;
	if (version < 0 || version > last)
		return err_set(err, E_INPUT,
		    "the database has schema %lld and this program knows %lld: start the version "
		    "of Muster "
		    "that wrote it, or restore a backup made by this one",
		    (long long)version, (long long)last);
	for (; rc == 0 && version < last; version++)
		rc = run(db, list[version], version + 1, err);
	return rc;
}

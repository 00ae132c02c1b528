/* Migrations travel inside the program, so that it can never meet a folder of another version. */
#include "store/migrate.h"

#include <stddef.h>

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

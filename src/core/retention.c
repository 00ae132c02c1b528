/* Brokers need not be told: of a revoked device they keep nothing. */
#include "core/retention.h"

#include "core/audit.h"
#include "store/store.h"

#define BATCH 64 /* devices a transaction: a registration waits for no more */

static int
archive_some(struct core *core, int64_t now, size_t *n_out, struct err *err)
{
	struct caller system = {.role = ROLE_ADMIN, .who = "system"};
	int64_t before = now - core_config(core)->settings.registry_archive_after_s;
	struct store_archived archived[BATCH];
	struct store_tx *tx = NULL;
	size_t i;
	int rc;

	if ((rc = store_begin(core->store, &tx, err)) != 0)
		return rc;
	rc = store_device_archive(tx, before, now, archived, BATCH, n_out, err);
	for (i = 0; rc == 0 && i < *n_out; i++) {
		system.tenant_id = archived[i].tenant_id;
		rc = audit_write(tx, &system, now, "device.archive", "device", archived[i].id, err, NULL);
	}
	if (rc == 0 && *n_out > 0)
		rc = store_commit(&tx, err);
	store_rollback(&tx);
	return rc;
}

int
retention_sweep(struct core *core, struct err *err)
{
	size_t n = 0;
	int rc;

	if (core_config(core)->settings.registry_archive_after_s == 0)
		return 0;
	do
		rc = archive_some(core, core->now(), &n, err);
	while (rc == 0 && n == BATCH);
	return rc;
}

/* Devices that were revoked long ago leave the tables that everyday work goes through. */
#ifndef MUSTER_CORE_RETENTION_H
#define MUSTER_CORE_RETENTION_H

#include "base/err.h"
#include "core/core.h"

/* Archive each device that was revoked longer ago than the setting registry.archive_after says, some in a transaction, with an
 * audit row each. They are found by id and listed as archived; nothing about their certificates changes. Called by the
 * sweeper. */
MUST_CHECK int retention_sweep(struct core *core, struct err *err);

#endif

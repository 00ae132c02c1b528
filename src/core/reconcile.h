/* Start-up's comparison of the signer's log with the store: whatever was signed is recorded, whatever was revoked
 * stays revoked. */
#ifndef MUSTER_CORE_RECONCILE_H
#define MUSTER_CORE_RECONCILE_H

#include "base/err.h"
#include "core/core.h"

/* Read the log's rows above the store's low-water mark. A certificate the store does not know is recorded as
 * revoked; a revocation it does not know is applied; a revocation the log does not know is noted there. Then the
 * mark moves up. E_BUSY (no signer), E_SYS. Before any request is served. */
MUST_CHECK int reconcile_run(struct core *core, struct err *err);

#endif

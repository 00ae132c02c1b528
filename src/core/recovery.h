/* What a restored store makes of what only the signer's log knows. */
#ifndef MUSTER_CORE_RECOVERY_H
#define MUSTER_CORE_RECOVERY_H

#include "base/err.h"
#include "store/certificate.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

struct recovery {
	struct store_tx *tx; /* the caller's */
	int64_t now;
};

/* CERT, as the store has it now, was held (HOLD) or revoked because the log says so: its device is suspended, or, with
 * its last certificate that was left, device or service is revoked. E_NOMEM, E_SYS. */
MUST_CHECK int recovery_follow(
    const struct recovery *r, const struct store_certificate *cert, bool hold, struct err *err);

/* Decide about CERT, which is not stored yet and whose state is CERTIFICATE_REVOKED. It was issued after the backup,
 * perhaps to a device that is using it: it becomes held, and its device is suspended with all that it has. Of a revoked
 * owner it stays revoked. A device that the store does not know is recorded under a name made of its id. COMMON_NAME is
 * the certificate's: a device's or service's is its id. Another one's was made by `ca renew` for the API or the broker,
 * whose key the backup lacks and who can have a new one at any time: it stays revoked. E_NOMEM, E_SYS. */
MUST_CHECK int recovery_hold(
    const struct recovery *r, const char *common_name, struct store_certificate *cert, struct err *err);

#endif

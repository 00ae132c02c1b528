/* Taking certificates back: in the store, then in the signer's log, on the CRL and at the broker. */
#ifndef MUSTER_CORE_REVOCATION_H
#define MUSTER_CORE_REVOCATION_H

#include "base/err.h"
#include "core/core.h"
#include "store/certificate.h"
#include "store/store.h"
#include "x509/crl.h"

#include <stddef.h>

#define REVOCATION_MAX 64 /* certificates of one owner that are not yet revoked for good */

struct revocation {
	enum crl_reason reason;
	int64_t at;
	size_t n;
	uint8_t serials[REVOCATION_MAX][SERIAL_LEN]; /* newest first */
};

/* In the caller's transaction, move the certificates of OWNER_ID: all that are not yet revoked become revoked
 * for REASON; with REASON_CERTIFICATE_HOLD the active ones are held; with REASON_REMOVE_FROM_CRL the held ones
 * become active again. SUPERSEDED_BY is the successor's serial, or NULL; the successor itself is spared. Links
 * still waiting are withdrawn, except on release. Fills OUT. */
MUST_CHECK int revocation_apply(struct store_tx *tx, int64_t tenant_id, const char *owner_id,
    enum crl_reason reason, int64_t at, const uint8_t *superseded_by, struct revocation *out,
    struct err *err);

/* After the commit: note them in the signer's log and have CRL and rights published; in ACL-file mode wait for that.
 * An error means: stored, and tried until it is done, but not yet confirmed. Rights go even if the signer is away. */
int revocation_finish(
    struct core *core, const struct revocation *revocation, struct err *err);

#endif

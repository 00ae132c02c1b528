/* The signer's log compared with the store: whatever was signed is recorded, whatever was revoked stays revoked. At
 * start-up for all that came since the last, and while serving for the calls whose answer was lost. */
#ifndef MUSTER_CORE_RECONCILE_H
#define MUSTER_CORE_RECONCILE_H

#include "base/err.h"
#include "core/core.h"
#include "x509/crl.h"

#include <stdint.h>

struct store_tx;

/* Read the log's rows above the store's low-water mark. A certificate the store does not know is recorded as
 * revoked; a revocation it does not know is applied; a revocation the log does not know is noted there. Then the
 * mark moves up. In a restored home an unknown certificate is put on hold instead (core/recovery.h). E_CONFLICT if the
 * log ends before the mark, E_BUSY (no signer), E_SYS. Before any request is served. */
MUST_CHECK int reconcile_run(struct core *core, struct err *err);

/* In the caller's transaction, tell the next start that this store comes from a backup. E_SYS. */
MUST_CHECK int reconcile_restored(struct store_tx *tx, struct err *err);

/* A certificate for this owner and key may have been signed and is not recorded: a call's answer was lost, or storing
 * it failed. Remembered until reconcile_suspects has looked for it in the log. Any thread. */
void reconcile_suspect(struct core *core, const char *owner_id, const uint8_t *spki, size_t spki_len);
void reconcile_suspect_hash(struct core *core, const char *owner_id, const uint8_t *spki_hash);

/* Record those of them that were signed as revoked, and note that in the log. Does nothing if there are none. On
 * E_BUSY (no signer) or E_SYS they stay for the next try. One thread, which may block. */
MUST_CHECK int reconcile_suspects(struct core *core, struct err *err);

/* Note in the signer's log that SERIAL, in the store already, is revoked or released (REASON_REMOVE_FROM_CRL). Durable
 * there when it returns 0. E_BUSY, E_SYS: not yet, reconcile_notes will. E_NOTFOUND: this signer never issued it. Any
 * thread. */
MUST_CHECK int reconcile_note(struct core *core, const uint8_t *serial, enum crl_reason reason, int64_t at,
    struct err *err);

/* Note those that could not be. Does nothing if there are none. E_BUSY, E_SYS: they stay. One thread. */
MUST_CHECK int reconcile_notes(struct core *core, struct err *err);

/* Their place in struct core. NULL: out of memory. */
struct suspects *suspects_new(void);
void suspects_free(struct suspects *suspects);

#endif

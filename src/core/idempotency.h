/* Idempotency-Key: of equal requests one does the work, now or after a restart, and the others get
 * what it made. */
#ifndef MUSTER_CORE_IDEMPOTENCY_H
#define MUSTER_CORE_IDEMPOTENCY_H

#include "base/err.h"
#include "base/secret.h"
#include "core/caller.h"
#include "core/core.h"
#include "store/idempotency.h"

#include <stdint.h>

#define IDEMPOTENCY_FIELD "Idempotency-Key" /* err.field of everything that is wrong with one */
#define IDEMPOTENCY_KEY_MAX 128
#define IDEMPOTENCY_TTL_S 86400

/* Which request it is; the zero value: one without a key. */
struct idempotency_request {
	const char *key;	    /* NULL: none */
	uint8_t digest[SHA256_LEN]; /* of all that makes it this request and no other */
};

struct idempotency;

MUST_CHECK int idempotency_new(struct idempotency **out, struct err *err);
void idempotency_free(struct idempotency *idempotency);

/* In the caller's memory; nobody else looks into it. */
struct idempotency_claim {
	struct idempotency_claim *next;
	int64_t tenant_id;
	const char *caller, *key;
};

/* Have KEY of CALLER for oneself until idempotency_release: waits while another thread has it.
 * E_BUSY if that takes too long. CALLER and KEY must outlive the claim. */
MUST_CHECK int idempotency_claim(struct core *core, const struct caller *caller, const char *key,
    struct idempotency_claim *claim, struct err *err);
void idempotency_release(struct core *core, struct idempotency_claim *claim);

/* What REQUEST made before. E_NOTFOUND: nothing in the last IDEMPOTENCY_TTL_S. E_CONFLICT (field):
 * its key belongs to another request. */
MUST_CHECK int idempotency_find(struct core *core, const struct caller *caller,
    const struct idempotency_request *request, struct store_idempotency *row_out, struct err *err);

/* In the transaction that makes the device: note what REQUEST made. Nothing if it has no key.
 * E_CONFLICT if the key has made something meanwhile. */
MUST_CHECK int idempotency_note(struct store_tx *tx, const struct caller *caller,
    const struct idempotency_request *request, const char *device_id, const uint8_t *serial,
    int64_t now, struct err *err);

#endif

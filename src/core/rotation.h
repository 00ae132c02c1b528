/* Rotation: a device's new certificate beside its old one, and the old one's end. */
#ifndef MUSTER_CORE_ROTATION_H
#define MUSTER_CORE_ROTATION_H

#include "base/err.h"
#include "core/caller.h"
#include "core/core.h"
#include "core/credential.h"
#include "store/device.h"

#include <stdbool.h>
#include <stddef.h>

struct csr;

/* Renew the certificate that CALLER, a device, has shown, for the key of CSR, which must name the same as that certificate
 * does (RFC 7030, section 4.2.2); PROFILE, or NULL, must be its profile. Both are good until the new one was seen connected
 * or rotation.overlap is over. The same key again within a day gets the same certificate. E_INPUT (field), E_DENIED (the
 * profile), E_CONFLICT (the key is not free, or the device or the shown certificate is not active any more), E_LIMIT, E_BUSY,
 * E_SYS. Clear both outputs. */
MUST_CHECK int rotation_renew(struct core *core, const struct caller *caller, const void *csr, size_t csr_len,
    const char *profile, struct store_device *device_out, struct credential *credential_out, struct err *err);

/* A new certificate for the device ID, which CALLER's manufacturer's certificate has enrolled as before, and to which nothing
 * else speaks for CALLER: for the key of CSR or, with MAKES_KEY, for one of its kind that is made here. Otherwise as
 * rotation_renew; the limits were asked before. */
MUST_CHECK int rotation_renew_vouched(struct core *core, const struct caller *caller, const char *id, const struct csr *csr,
    const char *profile, bool makes_key, struct store_device *device_out, struct credential *credential_out, struct err *err);

/* Revoke, as superseded, the certificates whose overlap is over. One thread at a time. Errors are tried again by the next
 * call. */
MUST_CHECK int rotation_sweep(struct core *core, struct err *err);

#endif

/* What is in a device's package. */
#ifndef MUSTER_CORE_PACKAGE_H
#define MUSTER_CORE_PACKAGE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/secret.h"
#include "core/core.h"
#include "core/credential.h"

/* Build the encrypted archive of OWNER: device.key (KEY_PEM), device.crt (LEAF and the issuing CA), ca.crt (a
 * broker's has the issuing CA, too), device.json (which also says when
 * the certificate is to be renewed), README.txt. Appends it to ARCHIVE_OUT. E_NOMEM, E_SYS. */
MUST_CHECK int package_build(struct core *core, const struct credential_owner *owner,
    const struct secret *key_pem, const struct store_certificate *leaf, const char *password,
    struct buf *archive_out, struct err *err);

#endif

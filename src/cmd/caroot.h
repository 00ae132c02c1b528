/* The root CA's key, for local commands: it may be kept offline. */
#ifndef MUSTER_CMD_CAROOT_H
#define MUSTER_CMD_CAROOT_H

#include "base/err.h"
#include "x509/key.h"

/* Read the key in FILE, which must be the root's: of the same public key as the home's ca/root.crt. E_CONFLICT if it is
 * another's, E_NOTFOUND, E_INPUT, E_SYS. Free with key_free. */
MUST_CHECK int caroot_key_read(const char *dir, const char *file, struct key **key_out, struct err *err);

#endif

/* The root CA's key, for local commands: it may be kept offline. */
#ifndef MUSTER_CMD_CAROOT_H
#define MUSTER_CMD_CAROOT_H

#include "base/err.h"
#include "x509/key.h"

/* Where the root's key is, unless it was taken offline. */
#define CAROOT_KEY "ca/private/root.key"

/* Where a rollover of the root that was cut short leaves the new root's key. */
#define CAROOT_NEXT_KEY "ca/private/next-root.key"

/* Where one leaves the old root's, if it was in the home. */
#define CAROOT_OLD_KEY "ca/private/old-root.key"

#define CAROOT_DAYS 7300

/* Read the key in FILE, which must be the root's: of the same public key as the home's ca/root.crt. E_CONFLICT if it is
 * another's, E_NOTFOUND, E_INPUT, E_SYS. Free with key_free. */
MUST_CHECK int caroot_key_read(const char *dir, const char *file, struct key **key_out, struct err *err);

/* The same for FILE, an operator's --root-key, or, if that is NULL, CAROOT_KEY. */
MUST_CHECK int caroot_key_open(const char *dir, const char *file, struct key **key_out, struct err *err);

/* Overwrite the file PATH and remove it. What the file system or the disk keeps besides is beyond us. E_SYS. */
MUST_CHECK int caroot_key_destroy(const char *path, struct err *err);

#endif

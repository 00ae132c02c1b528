/* The passphrase of a backup: from a file or from the terminal, never from the command line, which others can see. */
#ifndef MUSTER_CMD_PASSPHRASE_H
#define MUSTER_CMD_PASSPHRASE_H

#include "base/err.h"
#include "base/secret.h"

#include <stdbool.h>

#define PASSPHRASE_MIN 12 /* bytes of a new one */
#define PASSPHRASE_MAX 1024

/* The first line of FILE, or with NULL what is typed on the terminal without showing it. A NEW one is asked for twice
 * and must not be short. E_INPUT, E_NOTFOUND, E_LIMIT, E_SYS. */
MUST_CHECK int passphrase_get(const char *file, bool new, struct secret *out, struct err *err);

#endif

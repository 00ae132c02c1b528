/* The passwords of packages: made by the machine, read and typed by people. */
#ifndef MUSTER_CORE_PASSWORD_H
#define MUSTER_CORE_PASSWORD_H

#include "base/err.h"

#define PASSWORD_SIZE 31 /* xxxxx-xxxxx-xxxxx-xxxxx-xxxxxx and its NUL */

/* Make a password into OUT[PASSWORD_SIZE]: 26 characters of Crockford's base32 in lower case (no i, l, o,
 * u) in five groups, 130 bits of entropy. The caller wipes it. E_SYS. Any thread. */
MUST_CHECK int password_make(char *out, struct err *err);

#endif

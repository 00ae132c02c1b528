/* Randomness from the kernel. */
#ifndef MUSTER_BASE_RANDOM_H
#define MUSTER_BASE_RANDOM_H

#include "base/err.h"

#include <stddef.h>

/* Fill OUT with LEN unpredictable bytes. E_SYS. Any thread. */
MUST_CHECK int random_bytes(void *out, size_t len, struct err *err);

#endif

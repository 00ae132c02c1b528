/* Bytes that many read at the same time and nobody changes: a list of revoked certificates may have 50 MB, and none of those
 * who fetch it gets a copy. Any thread. */
#ifndef MUSTER_BASE_SHARED_H
#define MUSTER_BASE_SHARED_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

struct shared;

/* Take the memory of BYTES, which is empty afterwards. NULL: out of memory, and nothing is taken. One reference. */
struct shared *shared_new_take(struct buf *bytes);

struct shared *shared_ref(struct shared *shared); /* returns it */
void shared_unref(struct shared *shared);	  /* NULL is harmless */

size_t shared_len(const struct shared *shared);

/* Append at most MAX bytes from OFFSET on to OUT. False if they were withdrawn. */
bool shared_read(struct shared *shared, size_t offset, size_t max, struct buf *out);

/* The caller, who keeps one reference, has no use for them any more: their memory goes when nobody else has one. Returns how
 * many bytes are still held for others. */
size_t shared_retire(struct shared *shared);

/* Free their memory now; whoever reads on is told so. */
void shared_withdraw(struct shared *shared);

#endif

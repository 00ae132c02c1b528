/* One object of the feed as bytes: so it waits for the broker's thread, and so it lies in the
 * snapshot file. Writer and reader; what a value may be was decided by feed_line_decode before. */
#ifndef MUSTER_PLUGIN_ENTRY_H
#define MUSTER_PLUGIN_ENTRY_H

#include "authz/feed.h"
#include "base/buf.h"
#include "base/bytes.h"

#include <stdbool.h>

/* Append a policy, service or device; its seq is left out. OUT has a sticky failure. */
void entry_put(struct buf *out, const struct feed_line *line);

/* Take the next one from IN. False if these are not the bytes of one; *LINE_OUT then holds nothing
 * of use. */
MUST_CHECK bool entry_get(struct bytes *in, struct feed_line *line_out);

#endif

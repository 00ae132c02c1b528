/* An answer of the feed as it arrives: lines, and whether it is whole. Knows nothing of HTTP, nor
 * what becomes of it. */
#ifndef MUSTER_PLUGIN_ANSWER_H
#define MUSTER_PLUGIN_ANSWER_H

#include "authz/feed.h"
#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* Called for the first line (a FEED_SNAPSHOT or FEED_CHANGES), and for each object. Not 0 ends it.
 */
typedef int answer_fn(void *ctx, const struct feed_line *line, struct err *err);

struct answer {
	enum feed_kind first; /* set these three */
	answer_fn *on_line;
	void *ctx;
	bool begun, ended;
	int64_t n; /* objects */
	struct buf rest;
	struct feed_line *line;
};

/* The next LEN bytes. E_INPUT for what is not such an answer, E_LIMIT, E_NOMEM, and what ON_LINE
 * says. */
MUST_CHECK int answer_feed(struct answer *a, const char *bytes, size_t len, struct err *err);

/* There are no more. E_INPUT if its last line has not come. */
MUST_CHECK int answer_finish(const struct answer *a, struct err *err);

void answer_clear(struct answer *a);

#endif

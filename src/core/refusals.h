/* What brokers refuse and deny, counted by device and reason: a minute's counts become audit rows. And by device alone,
 * what is denied it, until that is too much. */
#ifndef MUSTER_CORE_REFUSALS_H
#define MUSTER_CORE_REFUSALS_H

#include "base/err.h"
#include "core/core.h"

#include <stdbool.h>
#include <stdint.h>

#define REFUSALS_OFFENDERS_MAX 10000 /* devices whose denials are counted at a time */
#define REFUSALS_MAX 64	/* kinds of refusal a minute with a row of their own; the others share one */

struct refusals;
MUST_CHECK int refusals_new(struct refusals **out, struct err *err);
void refusals_free(struct refusals *refusals);

/* Count N of device ID ("" for nobody known), which BROKER (its id) refused for REASON, any text. Any thread. */
void refusals_count(struct core *core, const char *broker, const char *id, const char *reason, int64_t n);

/* Count N of device ID that were denied AT, which need not be this minute: reports can be late. Is that the first time
 * that there are more than MOST in one minute? Then *TOTAL_OUT is how many. Any thread. */
bool refusals_are_too_many(
    struct core *core, const char *id, int64_t at, int64_t n, int64_t most, int64_t *total_out);

/* Write the rows of a minute that is over, or of the present one, too (ALWAYS). A failure is logged. */
void refusals_flush(struct core *core, bool always);

#endif

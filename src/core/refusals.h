/* What brokers refuse, counted by device and reason; a minute's counts become audit rows. */
#ifndef MUSTER_CORE_REFUSALS_H
#define MUSTER_CORE_REFUSALS_H

#include "base/err.h"
#include "core/core.h"

#include <stdbool.h>

#define REFUSALS_MAX 64	/* kinds of refusal a minute with a row of their own; the others share one */

struct refusals;
MUST_CHECK int refusals_new(struct refusals **out, struct err *err);
void refusals_free(struct refusals *refusals);

/* Count one of device ID ("" for nobody known), which BROKER (its id) refused for REASON, any text. How many of that
 * device's and reason's there were in this minute; 0 among the others. Any thread. */
unsigned refusals_count(struct core *core, const char *broker, const char *id, const char *reason);

/* Write the rows of a minute that is over, or of the present one, too (ALWAYS). A failure is logged. */
void refusals_flush(struct core *core, bool always);

#endif

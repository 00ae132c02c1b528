/* The sweeper: one thread that removes what has had its time: archives of expired links, idempotency keys after a
 * day, jobs that were over long ago, old changes of the feed, devices revoked long ago, certificates whose successors have taken
 * over, and, after a delivery or an expiry, what is left of archives in the database's write-ahead log. */
#ifndef MUSTER_CORE_SWEEPER_H
#define MUSTER_CORE_SWEEPER_H

#include "base/err.h"
#include "core/core.h"

struct sweeper;

/* Start the thread. E_NOMEM, E_SYS. */
MUST_CHECK int sweeper_start(struct core *core, struct sweeper **sweeper_out, struct err *err);

/* End it, after a last round. NULL is harmless. */
void sweeper_stop(struct sweeper *sweeper);

/* An archive has left the database: have its bytes leave the log, too, within a second or two. Any thread. */
void sweeper_wake(struct sweeper *sweeper);

#endif

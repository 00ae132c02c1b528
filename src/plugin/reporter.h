/* The thread that tells the service what became of connections, in batches, from an outbox. */
#ifndef MUSTER_PLUGIN_REPORTER_H
#define MUSTER_PLUGIN_REPORTER_H

#include "base/err.h"
#include "plugin/follower.h"
#include "plugin/options.h"
#include "plugin/outbox.h"

struct reporter;

/* All three must live as long; FOLLOWER knows how far the broker is, and has what goes wrong
 * logged. E_SYS, E_NOMEM. */
MUST_CHECK int reporter_start(const struct options *options, struct follower *follower,
    struct outbox *outbox, struct reporter **out, struct err *err);

/* Ends the thread; what is in the outbox is still sent, if that takes less than a second. */
void reporter_stop(struct reporter *r);

#endif

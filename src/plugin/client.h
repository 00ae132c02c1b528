/* A thread's way to the service: HTTPS by the broker's own certificate, one exchange at a time, and
 * how the broker's thread ends both. Knows nothing of what is said. */
#ifndef MUSTER_PLUGIN_CLIENT_H
#define MUSTER_PLUGIN_CLIENT_H

#include "base/buf.h"
#include "base/err.h"
#include "plugin/options.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client;

/* OPTIONS must live as long. E_NOMEM. */
MUST_CHECK int client_new(const struct options *options, struct client **out, struct err *err);

/* Run MAIN(CTX) in a thread of its own, which takes no signals. E_SYS. */
MUST_CHECK int client_run(struct client *c, void *(*main)(void *), void *ctx, struct err *err);

/* Wait for that thread, if there is one, to end: nothing in it sleeps any more, and what it
 * exchanges is given up after MS at most. */
void client_stop(struct client *c, int64_t ms);
void client_free(struct client *c);

/* The thread alone: */

/* It is to end. */
bool client_ends(const struct client *c);

/* Called for the bytes of an answer with status 200. Not 0 ends it. */
typedef int client_data_fn(void *ctx, const char *data, size_t len, struct err *err);

/* Ask for PATH and wait for the whole answer, whatever its status. E_BUSY when it is to end, E_SYS,
 * E_NOMEM, and what ON_DATA says. */
MUST_CHECK int client_get(struct client *c, const char *path, client_data_fn *on_data, void *ctx,
    long *status_out, struct err *err);

/* Post BODY, JSON, to PATH, likewise; what is answered beside a status is not looked at. */
MUST_CHECK int client_post(
    struct client *c, const char *path, const struct buf *body, long *status_out, struct err *err);

/* Sleep so long, or until it is to end. */
void client_sleep(struct client *c, int64_t ms);

/* The same after the Nth failure (from 1) in a row: longer with each, and never the same for all
 * brokers of a service that comes back. */
void client_back_off(struct client *c, unsigned n);

#endif

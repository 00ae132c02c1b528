/* How often in a minute: a token bucket for each client, in bounded memory. */
#ifndef MUSTER_CORE_RATELIMIT_H
#define MUSTER_CORE_RATELIMIT_H

#include "base/err.h"

#include <stdint.h>

#define RATELIMIT_CLIENTS_MAX 65536
#define RATELIMIT_KEY_SIZE 96

struct ratelimit;

/* PER_MIN actions a minute and client, in bursts of as many; 0: no limit. E_NOMEM. */
MUST_CHECK int ratelimit_new(int64_t per_min, struct ratelimit **limit_out, struct err *err);
void ratelimit_free(struct ratelimit *limit);

/* Count one action of CLIENT at NOW_MS (clock_mono_ms). E_LIMIT with err->retry_after_s if it is one too many. Any
 * thread. */
int ratelimit_take(struct ratelimit *limit, const char *client, int64_t now_ms, struct err *err);

/* The same answer without counting. */
MUST_CHECK int ratelimit_look(
    struct ratelimit *limit, const char *client, int64_t now_ms, struct err *err);

#endif

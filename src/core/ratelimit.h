/* How often in a minute: a token bucket for each client and one for all of them, in bounded memory. */
#ifndef MUSTER_CORE_RATELIMIT_H
#define MUSTER_CORE_RATELIMIT_H

#include "base/address.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define RATELIMIT_CLIENTS_MAX 65536

struct ratelimit;

/* PER_MIN actions a minute and client, ALL_PER_MIN of all clients together, in bursts of as many; 0: no limit. E_NOMEM. */
MUST_CHECK int ratelimit_new(
    int64_t per_min, int64_t all_per_min, struct ratelimit **limit_out, struct err *err);
void ratelimit_free(struct ratelimit *limit);

/* Other limits from now on. Any thread. */
void ratelimit_set(struct ratelimit *limit, int64_t per_min, int64_t all_per_min);

/* Count one action from ADDRESS (or "socket") at NOW_MS (clock_mono_ms). The client is its address_client. E_LIMIT with
 * err->retry_after_s if it is one too many; what is too many for the client does not count for all. Any thread. */
int ratelimit_take(struct ratelimit *limit, const char *address, int64_t now_ms, struct err *err);

/* What it allows, and how often somebody was refused since it was made: last at REFUSED_MS (of those who asked), 0 if never.
 * Any thread. */
struct ratelimit_state {
	int64_t per_min, all_per_min;
	uint64_t refused;
	int64_t refused_ms;
};
void ratelimit_state(struct ratelimit *limit, struct ratelimit_state *out);

/* The same answer without counting; without WITH_ALL that of the client's own bucket. */
MUST_CHECK int ratelimit_look(
    struct ratelimit *limit, const char *address, bool with_all, int64_t now_ms, struct err *err);

#endif

/* How often in a minute: token buckets for each client, operator, tenant, enrolment token and device, and one for all
 * together, in one table of bounded size. */
#ifndef MUSTER_CORE_RATELIMIT_H
#define MUSTER_CORE_RATELIMIT_H

#include "base/address.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RATELIMIT_BUCKETS_MAX 65536
#define RATELIMIT_KEY_SIZE 160 /* more than a caller's name has; what is longer is cut */

/* For whom it is counted. */
enum ratelimit_scope {
	RATELIMIT_ADDRESS,
	RATELIMIT_OPERATOR,
	RATELIMIT_TENANT,
	RATELIMIT_TOKEN,
	RATELIMIT_DEVICE,
	RATELIMIT_ALL,
	RATELIMIT_SCOPES
};

/* So many actions a minute, in bursts of as many; 0: no limit. */
struct ratelimit_rates {
	int64_t per_min[RATELIMIT_SCOPES];
};

/* Who acts: a key for each scope but all, or NULL where there is none. An address counts for its address_client; "socket" is
 * one, too. Borrowed. */
struct ratelimit_who {
	const char *key[RATELIMIT_ALL];
};

/* What is left of a limit behind an action that it was asked about. */
struct ratelimit_quota {
	const char *name, *scope; /* the limit's; "address", "operator", …; static */
	int64_t per_min, left;
	int64_t next_s; /* until there is one more */
};

#define RATELIMIT_QUOTAS_MAX 8

/* Of all limits that an action was asked for, but for those of all together, which are not the client's business. */
struct ratelimit_report {
	size_t n;
	struct ratelimit_quota quotas[RATELIMIT_QUOTAS_MAX]; /* what does not fit is left out */
};

struct ratelimit;

/* NAME, for reports, is kept, not copied. E_NOMEM. */
MUST_CHECK int ratelimit_new(
    const char *name, const struct ratelimit_rates *rates, struct ratelimit **limit_out, struct err *err);
void ratelimit_free(struct ratelimit *limit);

/* Other limits from now on. Any thread. */
void ratelimit_set(struct ratelimit *limit, const struct ratelimit_rates *rates);

/* Count one action of WHO at NOW_MS (clock_mono_ms), and append what is left to REPORT, which may be NULL. E_LIMIT with
 * err->retry_after_s if it is one too many for one of them, and then it counts for none; for all together only what was not too
 * many for its own counts. Any thread; takes no lock where there is no limit. */
int ratelimit_take(struct ratelimit *limit, const struct ratelimit_who *who, int64_t now_ms, struct ratelimit_report *report,
    struct err *err);

/* The same answer without counting or a report; without WITH_ALL that of WHO's own buckets. */
MUST_CHECK int ratelimit_look(
    struct ratelimit *limit, const struct ratelimit_who *who, bool with_all, int64_t now_ms, struct err *err);

/* What it allows, and how often somebody was refused since it was made: last at REFUSED_MS (of those who asked), 0 if never.
 * Any thread. */
struct ratelimit_state {
	struct ratelimit_rates rates;
	uint64_t refused;
	int64_t refused_ms;
};
void ratelimit_state(struct ratelimit *limit, struct ratelimit_state *out);

#endif

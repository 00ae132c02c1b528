/* The limits a minute that muster.conf sets: which there are, and whom an action counts for. Whatever a request comes by
 * (REST, EST, the socket), and if a job does it, it is taken here, by who its caller is. */
#ifndef MUSTER_CORE_LIMITS_H
#define MUSTER_CORE_LIMITS_H

#include "base/err.h"
#include "core/ratelimit.h"

#include <stdint.h>

struct caller;
struct core;

enum limit {
	LIMIT_REQUESTS,	     /* of whoever has shown who he is; never what is urgent, never a broker's */
	LIMIT_REGISTER,	     /* certificates for devices: registrations, enrolments, renewals */
	LIMIT_AUTH_FAILURES, /* core/authfail */
	LIMIT_LINKS,
	LIMIT_OCSP,
	LIMITS
};

/* Of the keys in muster.conf, which are NAME_per_min (of an address), NAME_operator_per_min, …, NAME_all_per_min. */
const char *limit_name(enum limit limit);

/* Make core->limits by the configuration. E_NOMEM. */
MUST_CHECK int limits_open(struct core *core, struct err *err);
void limits_close(struct core *core);

/* After a change of the configuration. */
void limits_set(struct core *core);

/* Count one action of CALLER in all that is known of it, and report to caller->quotas. E_LIMIT with retry_after_s. Any thread. */
MUST_CHECK int limits_take(struct core *core, enum limit limit, const struct caller *caller, struct err *err);

/* The same for somebody of whom only the address is known. REPORT may be NULL. */
int limits_take_address(
    struct core *core, enum limit limit, const char *address, struct ratelimit_report *report, struct err *err);

/* And without counting; without WITH_ALL only that of the address itself. */
MUST_CHECK int limits_look_address(struct core *core, enum limit limit, const char *address, bool with_all, struct err *err);

#endif

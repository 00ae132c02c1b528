/* Failed authentications: how many an address may make, and what the audit tells of them. */
#ifndef MUSTER_CORE_AUTHFAIL_H
#define MUSTER_CORE_AUTHFAIL_H

#include "base/err.h"
#include "core/core.h"

#include <stdbool.h>
#include <stdint.h>

#define AUTHFAIL_ADDRESSES_MAX 32 /* told apart in one minute's audit */

struct authfail;

/* How many there may be LIMIT_AUTH_FAILURES says. E_NOMEM. */
MUST_CHECK int authfail_new(struct authfail **out, struct err *err);
void authfail_free(struct authfail *authfail);

/* May PEER try to authenticate? Refusals are counted for the audit. What is urgent only waits if PEER itself has failed
 * too often. E_LIMIT with retry_after_s. Any thread; does not block. */
MUST_CHECK int authfail_may_try(
    struct core *core, const char *peer, bool is_urgent, struct err *err);

/* Count a failure of PEER over VIA ("token", "enrolment", "mtls", "idevid", "socket", "link"). The first of an address in a minute is audited at
 * once; how many there were, by authfail_flush. Best effort. */
void authfail_note(struct core *core, const char *peer, const char *via);

/* The same, with WHY in the row: for what is no secret that could be guessed. */
void authfail_note_why(struct core *core, const char *peer, const char *via, const char *why);

/* Audit the sums of the minute if it is over, or ALWAYS. One thread at a time. Best effort. */
void authfail_flush(struct core *core, bool always);

#endif

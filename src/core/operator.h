/* Operators: who holds a bearer token. */
#ifndef MUSTER_CORE_OPERATOR_H
#define MUSTER_CORE_OPERATOR_H

#include "base/err.h"
#include "core/caller.h"
#include "core/core.h"
#include "core/token.h"
#include "store/store.h"

#include <pthread.h>

/* Make an operator and its token (shown once, stored as a digest). E_INPUT, E_CONFLICT. Works on a bare
 * store, so that `muster init` can make the first. */
MUST_CHECK int operator_create(struct store *store, const struct caller *caller, const char *name,
    enum role role, char token_out[TOKEN_SIZE], struct err *err);

/* Who holds TOKEN? E_UNAUTH. The caller counts and audits failures with operator_failed. */
MUST_CHECK int operator_authenticate(
    struct core *core, const char *token, struct caller *caller_out, struct err *err);

#define OPERATOR_FAILURES_MAX 256 /* addresses audited in one minute */

/* Which addresses have a row in the present minute. */
struct operator_failures {
	pthread_mutex_t lock;
	int64_t minute;
	size_t n;
	char peers[OPERATOR_FAILURES_MAX][64];
};

/* May PEER try to authenticate, or has it failed too often? E_LIMIT with retry_after_s. Costs nothing. */
MUST_CHECK int operator_may_try(struct core *core, const char *peer, struct err *err);

/* Count a failed authentication from PEER over VIA ("token", "mtls", "socket") and audit it, at most one row for
 * each address and minute. Best effort. */
void operator_failed(struct core *core, const char *peer, const char *via);

/* Who does the client certificate CERT (DER, already verified against our CA by TLS) stand for? Only an
 * active, recorded broker's certificate is somebody. E_UNAUTH. */
MUST_CHECK int operator_from_certificate(struct core *core, const uint8_t *cert, size_t len,
    struct caller *caller_out, struct err *err);

#endif

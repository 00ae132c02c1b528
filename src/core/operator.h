/* Operators: who holds a bearer token. */
#ifndef MUSTER_CORE_OPERATOR_H
#define MUSTER_CORE_OPERATOR_H

#include "base/err.h"
#include "core/caller.h"
#include "core/core.h"
#include "core/token.h"
#include "store/store.h"

/* Make an operator and its token (shown once, stored as a digest). E_INPUT, E_CONFLICT. Works on a bare
 * store, so that `muster init` can make the first. */
MUST_CHECK int operator_create(struct store *store, const struct caller *caller, const char *name,
    enum role role, char token_out[TOKEN_SIZE], struct err *err);

/* Who holds TOKEN? E_UNAUTH. The caller counts and audits failures with authfail_note. */
MUST_CHECK int operator_authenticate(
    struct core *core, const char *token, struct caller *caller_out, struct err *err);

/* Who does the client certificate CERT (DER, already verified against our CA by TLS) stand for? Only an
 * active, recorded certificate of a broker or of a device is somebody. E_UNAUTH. */
MUST_CHECK int operator_from_certificate(struct core *core, const uint8_t *cert, size_t len,
    struct caller *caller_out, struct err *err);

#endif

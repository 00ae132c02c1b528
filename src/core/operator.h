/* Operators: who holds a bearer token. */
#ifndef MUSTER_CORE_OPERATOR_H
#define MUSTER_CORE_OPERATOR_H

#include "base/err.h"
#include "core/caller.h"
#include "core/core.h"
#include "core/credential.h"
#include "core/token.h"
#include "store/operator.h"
#include "store/store.h"

#define OPERATOR_VALID_DEFAULT_S (365 * 86400)
#define OPERATOR_VALID_MAX_S (10LL * 365 * 86400)

/* Make an operator, bound to the tenant that CALLER asks about or of the whole installation as CALLER is, and its token (shown once, stored as a digest), which ends at EXPIRES_AT; 0: never. ROW_OUT may be NULL.
 * E_INPUT, E_CONFLICT, E_NOTFOUND (the tenant was
 * removed meanwhile). Works on a bare store, so that `muster init` can make the first. */
MUST_CHECK int operator_create(struct store *store, const struct caller *caller, const char *name, enum role role,
    int64_t expires_at, struct store_operator *row_out, char token_out[TOKEN_SIZE], struct err *err);

/* When a token ends that is valid for VALID_S from now; 0: OPERATOR_VALID_DEFAULT_S. E_INPUT (field "valid"). */
MUST_CHECK int operator_end(const struct core *core, int64_t valid_s, int64_t *end_out, struct err *err);

/* Those that are bound to the tenant that the caller asks about, or to none, in the order of their names, the removed too.
 * E_INPUT. */
MUST_CHECK int operator_list(struct core *core, const struct caller *caller, size_t limit, const char *after,
    struct store_operator *rows_out, size_t *n_out, char next_out[STORE_CURSOR_SIZE], struct err *err);

/* Another token; the one before is worth nothing any more. ID_OR_NAME: by its name, one that was not removed. E_INPUT,
 * E_NOTFOUND, E_CONFLICT if the operator was removed. */
MUST_CHECK int operator_renew(struct core *core, const struct caller *caller, const char *id_or_name, int64_t valid_s,
    struct store_operator *row_out, char token_out[TOKEN_SIZE], struct err *err);

/* A certificate with which it calls the API as with its token; earlier ones are revoked as superseded. E_NOTFOUND, E_CONFLICT,
 * credential_make's errors. */
MUST_CHECK int operator_reissue(struct core *core, const struct caller *caller, const char *id_or_name,
    const struct credential_request *request, struct store_operator *row_out, struct credential *credential_out,
    struct err *err);

/* End an operator's access, at once: by its token and by its certificates. E_NOTFOUND, E_CONFLICT. */
MUST_CHECK int operator_revoke(struct core *core, const struct caller *caller, const char *id_or_name,
    struct store_operator *row_out, struct err *err);

/* When each operator's token was last used is in memory until this stores it, each minute or, if ALWAYS, now. One thread at a
 * time. Best effort. */
struct operators;
MUST_CHECK int operators_new(struct operators **out, struct err *err);
void operators_free(struct operators *operators);
void operators_flush(struct core *core, bool always);

/* Who holds TOKEN? E_UNAUTH. The caller counts and audits failures with authfail_note. */
MUST_CHECK int operator_authenticate(
    struct core *core, const char *token, struct caller *caller_out, struct err *err);

/* Who does the client certificate CERT (DER, already verified against our CA by TLS) stand for? Only an
 * active, recorded certificate of an operator, a broker or a device is somebody. E_UNAUTH. */
MUST_CHECK int operator_from_certificate(struct core *core, const uint8_t *cert, size_t len,
    struct caller *caller_out, struct err *err);

#endif

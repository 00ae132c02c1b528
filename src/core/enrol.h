/* Devices that make their own keys enrol: with an enrolment token, once or as often as it says, or with their manufacturer's
 * certificate. */
#ifndef MUSTER_CORE_ENROL_H
#define MUSTER_CORE_ENROL_H

#include "base/err.h"
#include "core/caller.h"
#include "core/core.h"
#include "core/credential.h"
#include "core/token.h"
#include "store/device.h"
#include "store/enrol_token.h"

#include <stddef.h>
#include <stdint.h>

#define ENROL_TOKEN_PREFIX "muster_enrol_"
#define ENROL_USES_MAX 1000000
#define ENROL_VALID_DEFAULT_S (7 * 86400)
#define ENROL_VALID_MAX_S (365 * 86400)

/* What a token is to be good for; NULL and 0 ask for the defaults. */
struct enrol_token_request {
	const char *name;      /* what it is for */
	const char *device_id; /* of a pending device, which alone may use it, once; then none of the next four */
	const char *type;      /* of the devices that it makes; required without device_id */
	const char *location;
	const char *policy;    /* NULL: the built-in one */
	const char *profile;   /* NULL: the default for the device's key */
	int64_t uses;	       /* 0: one */
	int64_t valid_s;       /* 0: ENROL_VALID_DEFAULT_S */
};

/* What a device becomes that enrols. */
struct enrol_kind {
	const char *type, *location, *policy; /* location may be NULL */
	const char *profile;		      /* NULL: the default for the device's key */
};

/* Can there be such devices, with that policy? E_INPUT (field). */
MUST_CHECK int enrol_kind_check(
    struct core *core, const struct caller *caller, const struct enrol_kind *kind, struct err *err);

/* Make a token, shown once in TOKEN_OUT (to be wiped) and stored as a digest. E_INPUT (field), E_NOTFOUND (field: no such
 * device), E_CONFLICT (field: the device is not pending), E_SYS. */
MUST_CHECK int enrol_token_create(struct core *core, const struct caller *caller,
    const struct enrol_token_request *request, struct store_enrol_token *row_out, char token_out[TOKEN_SIZE],
    struct err *err);

/* As store_enrol_token_list, of the caller's tenant. */
MUST_CHECK int enrol_token_list(struct core *core, const struct caller *caller, size_t limit, const char *after,
    struct store_enrol_token *rows_out, size_t *n_out, char next_out[STORE_CURSOR_SIZE], struct err *err);

/* Nobody enrols with it from now on. Devices that did stay. E_NOTFOUND, E_CONFLICT if it is revoked already. */
MUST_CHECK int enrol_token_revoke(struct core *core, const struct caller *caller, const char *id,
    struct store_enrol_token *row_out, struct err *err);

/* Who holds TOKEN? A caller of ROLE_ENROLLEE whose `who` names the token. E_UNAUTH for one that is unknown, revoked or
 * expired; one that is used up is let in, for the answer to its last use may have been lost. */
MUST_CHECK int enrol_authenticate(
    struct core *core, const char *token, struct caller *caller_out, struct err *err);

/* Enrol the device whose request is CSR, for CALLER, whom enrol_authenticate or vouch_authenticate knows: a new one, whose name
 * is the CSR's common name (without one, the manufacturer's serial number), or the pending one that is awaited; active at once.
 * The device that a manufacturer's certificate has enrolled as before gets a new certificate, beside its old ones as after a
 * renewal. PROFILE, or NULL, must be what the token or the anchor is for. The same key again within a day gets the same
 * certificate. E_INPUT (field), E_DENIED (the profile, or not expected any more), E_CONFLICT (the key or the device is not
 * free, or not active), E_GONE (the token is used up), E_LIMIT, E_BUSY, E_SYS. Clear both outputs. */
MUST_CHECK int enrol_device(struct core *core, const struct caller *caller, const void *csr, size_t csr_len,
    const char *profile, struct store_device *device_out, struct credential *credential_out, struct err *err);


/* The same with a key of the CSR's kind that is made here (RFC 7030, section 4.4) and handed over once, in
 * CREDENTIAL_OUT->key_pem: E_CONFLICT for the same CSR again. */
MUST_CHECK int enrol_device_with_key(struct core *core, const struct caller *caller, const void *csr, size_t csr_len,
    const char *profile, struct store_device *device_out, struct credential *credential_out, struct err *err);

#endif

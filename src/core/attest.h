/* Challenges: a device proves, when it asks for a certificate, that it has the key's private half now. It puts the nonce
 * into its request as challengePassword (RFC 2985, section 5.4.1), and the request's own signature is over nonce and key.
 * Profiles with `attest = on` want that of everybody. */
#ifndef MUSTER_CORE_ATTEST_H
#define MUSTER_CORE_ATTEST_H

#include "base/err.h"
#include "core/caller.h"
#include "core/core.h"

#include <stdint.h>

#define ATTEST_NONCE_SIZE 81 /* hex, with NUL */
#define ATTEST_VALID_S 300

struct attest;

/* E_SYS, E_NOMEM. */
MUST_CHECK int attest_new(struct attest **out, struct err *err);
void attest_free(struct attest *attest);

/* A fresh nonce for CALLER alone, good for one request until *EXPIRES_OUT. Nothing is kept of it. E_SYS. Any thread. */
MUST_CHECK int attest_challenge(struct core *core, const struct caller *caller, char nonce_out[ATTEST_NONCE_SIZE],
    int64_t *expires_out, struct err *err);

/* Use up NONCE, which came with a request of CALLER. E_DENIED if it is not one of ours, another caller's, expired, was used
 * before, or was given before the service last started; E_BUSY if too many were used lately; E_NOMEM. Whatever is not 0 has
 * attested nothing. Any thread. */
MUST_CHECK int attest_take(struct core *core, const struct caller *caller, const char *nonce, struct err *err);

#endif

/* Tokens: what an operator's program or a one-time link presents. Only their digests are stored. */
#ifndef MUSTER_CORE_TOKEN_H
#define MUSTER_CORE_TOKEN_H

#include "base/err.h"
#include "base/secret.h"

#include <stdint.h>

#define TOKEN_PREFIX_MAX 16
#define TOKEN_SIZE (TOKEN_PREFIX_MAX + 43 + 1)

/* Mint a token into OUT[TOKEN_SIZE]: PREFIX (at most TOKEN_PREFIX_MAX characters, such as "muster_", by which
 * scanners for leaked secrets know it) and 32 random bytes in base64url. The caller wipes it. E_SYS,
 * E_NOMEM. Any thread. */
MUST_CHECK int token_mint(const char *prefix, char *out, struct err *err);

/* The digest under which TOKEN is stored and looked up, into OUT[SHA256_LEN]: SHA-256 of its whole text. With
 * 256 random bits in it, neither salt nor stretching would add anything. Any text, whoever sent it. */
void token_digest(const char *token, uint8_t *out);

#endif

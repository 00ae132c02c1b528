/* The device's key and certificate on disk: one file, so that one rename replaces both.
 *
 *   device.pem  the pair in use: key, certificate, the issuing CA's
 *   next.key    a key whose certificate has been asked for, or is about to be; stays until its pair is in use
 *   next.pem    the pair that follows, until it has connected once
 *   ca.crt      what vouches for service, broker and our own certificates
 *
 * Whatever moment a kill strikes, device.pem is whole, and what is there besides says how to go on. */
#ifndef MUSTER_AGENT_PAIR_H
#define MUSTER_AGENT_PAIR_H

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "x509/cert.h"
#include "x509/key.h"

#include <stdbool.h>
#include <stdint.h>

enum pair { PAIR_CURRENT, PAIR_NEXT };

#define PAIR_CA "ca.crt"

/* The path of a pair's file; false if there is no such file. */
bool pair_path(const char *dir, enum pair which, char out[FS_PATH_MAX]);

/* Read a pair's certificate; SINCE_OUT, if not NULL, is when we got it. E_NOTFOUND, E_INPUT, E_SYS. */
MUST_CHECK int pair_info(const char *dir, enum pair which, struct cert_info *out, int64_t *since_out, struct err *err);

/* The key for the next pair: the one that was made before a crash or a lost answer, if it is of KIND, else a new one, which
 * is on disk before this returns. E_SYS, E_FULL. */
MUST_CHECK int pair_key_next(const char *dir, enum key_kind kind, struct key **key_out, struct err *err);

/* Keep KEY with its certificate, which is one of those in CERTS (PEM, in any order), as the next pair; RENEW_AT as pair_renew_at tells. E_INPUT: there is
 * none for that key; as chain_check: what is there does not lead up to ROOT_PEM. */
MUST_CHECK int pair_keep(const char *dir, const struct key *key, const char *certs, const char *root_pem, int64_t now,
    int64_t renew_at, struct err *err);

/* When the service wants the pair's certificate to be renewed; 0: it did not say. */
int64_t pair_renew_at(const char *dir, enum pair which);

/* The next pair takes the other one's place. 0 too if there is no next one. E_SYS. */
MUST_CHECK int pair_promote(const char *dir, struct err *err);

/* Forget the next pair, and a key for it. */
void pair_drop_next(const char *dir);

#endif

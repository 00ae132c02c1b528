/* Whom a client's certificate names. OpenSSL has checked its chain before. */
#ifndef MUSTER_PLUGIN_PEER_H
#define MUSTER_PLUGIN_PEER_H

#include "base/err.h"
#include "base/secret.h"
#include "base/text.h"

#include <stdint.h>

struct x509_st;

struct peer {
	uint8_t id[UUID_BYTES];	    /* the subject's only CN */
	uint8_t sha256[SHA256_LEN]; /* of the DER */
};

/* E_INPUT if CERT is NULL, or its subject has not exactly one CN that is an id; E_SYS. CERT is
 * freed. */
MUST_CHECK int peer_read_take(struct x509_st *cert, struct peer *out, struct err *err);

#endif

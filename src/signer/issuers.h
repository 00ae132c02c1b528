/* The issuing CAs of a home: today's, and those before it whose certificates may still be in use. Today's makes new
 * certificates; each goes on with the CRL and the OCSP answers of its own (`muster ca rollover`). */
#ifndef MUSTER_SIGNER_ISSUERS_H
#define MUSTER_SIGNER_ISSUERS_H

#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define ISSUERS_RETIRED_MAX 7
#define ISSUERS_MAX (1 + ISSUERS_RETIRED_MAX)
#define ISSUERS_PEM_MAX 16384

/* Where certificate and key stand in a home: today's in slot 0 (ca/issuing.crt, ca/private/issuing.key), retired ones in
 * 1 to ISSUERS_RETIRED_MAX (ca/retired-1.crt, ca/private/retired-1.key, …), in no order. */
#define ISSUERS_NAME_SIZE 64
void issuers_cert_name(char out[ISSUERS_NAME_SIZE], int slot);
void issuers_key_name(char out[ISSUERS_NAME_SIZE], int slot);

/* Where a rollover that was cut short leaves today's key. */
#define ISSUERS_NEXT_KEY "ca/private/next.key"

struct issuer_file {
	struct buf der;
	int slot;
};

struct issuers {
	struct issuer_file all[ISSUERS_MAX]; /* today's first */
	size_t n;
};

/* Read the certificates: today's, and the retired ones that have not expired by NOW. Clear OUT in any case. E_NOTFOUND,
 * E_INPUT, E_SYS, E_NOMEM. */
MUST_CHECK int issuers_read(const char *dir, int64_t now, struct issuers *out, struct err *err);
void issuers_clear(struct issuers *issuers);

#endif

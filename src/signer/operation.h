/* What the signer does for who asks it: the typed operations of proto.h, and what they work on. */
#ifndef MUSTER_SIGNER_OPERATION_H
#define MUSTER_SIGNER_OPERATION_H

#include "base/buf.h"
#include "base/err.h"
#include "signer/authority.h"
#include "signer/issuers.h"
#include "signer/log.h"
#include "signer/profile.h"
#include "signer/proto.h"
#include "signer/witness.h"
#include "x509/crl.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LISTS_MAX 2 /* CRLs in the making on one connection */

/* By what it signs. */
struct signing {
	struct profiles profiles;
	struct authority authorities[ISSUERS_MAX]; /* today's issuing CA first */
	size_t n_authorities;
	struct witness witness;
	struct signer_log *log;
};

/* A CRL in the making: a digest, for its entries are not kept. */
struct list {
	uint32_t id; /* the call's */
	bool used;
	bool is_delta;
	uint64_t number;
	struct authority *authority;
	struct crl_signing *signing;
	struct err err; /* code 0, or why it will not be signed */
};

/* Those of one connection; zeroed at its beginning. */
struct lists {
	struct list all[LISTS_MAX];
};

void lists_clear(struct lists *lists);

/* Append the body of the answer to FRAME, or fail and change nothing. */
typedef int operation_fn(
    struct signing *s, struct lists *lists, const struct proto_frame *frame, struct buf *answer, struct err *err);

struct operation {
	operation_fn *fn;
	bool silent; /* no answer; a failure ends the connection */
	const char *name;
};

/* NULL: there is none of that TYPE. */
const struct operation *operation_find(unsigned type);

#endif

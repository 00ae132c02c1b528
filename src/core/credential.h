/* A credential: a certificate for a device or a service and, where the server made the key, its package
 * behind a one-time link. */
#ifndef MUSTER_CORE_CREDENTIAL_H
#define MUSTER_CORE_CREDENTIAL_H

#include "base/buf.h"
#include "base/err.h"
#include "core/caller.h"
#include "core/core.h"
#include "core/password.h"
#include "store/certificate.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

#define LINK_TTL_DEFAULT_S 86400
#define LINK_TTL_MAX_S 604800
#define LINK_URL_SIZE 512

struct csr;

/* How it is to be made. All pointers are borrowed; the zero value asks for the defaults. */
struct credential_request {
	const char *key;     /* "rsa-2048", … for the server to make; NULL: the profile's first */
	const void *csr;     /* PEM or DER instead; NULL: the server makes the key */
	size_t csr_len;
	const struct csr *parsed; /* or the same, read by csr_parse already: its signature is not verified twice */
	const char *profile; /* NULL: `standard`, or, if that does not take the key's kind or is not the tenant's, the first of its that does */
	int64_t valid_s;     /* 0: the profile's */
	const char *const *sans;
	size_t n_sans;
	int64_t link_ttl_s;  /* 0: LINK_TTL_DEFAULT_S */
	const struct caller *caller; /* to whom a challenge was given, where the profile wants one; or NULL */
	bool any_profile;    /* not held against what its tenant may use: a renewal, which keeps its profile, or Muster's own */
	bool bare_key;	     /* the server makes the key and hands it back as it is, without a package */
	bool is_retry;	     /* the owner's id is older than this attempt: a certificate for it and this key came of another one */
};

struct credential {
	struct store_certificate certificate;
	struct secret key_pem; /* with bare_key: PKCS#8 */
	bool has_package;
	char url[LINK_URL_SIZE];
	int64_t expires_at;
	char password[PASSWORD_SIZE]; /* shown once, never stored */
	/* not for callers: what the transaction will store */
	uint8_t token_hash[SHA256_LEN];
	struct buf archive;
};

/* The owner, with what its package says of topics: JSON arrays of expanded filters. */
struct credential_owner {
	enum store_owner_kind kind;
	const char *id;
	const char *name;
	int64_t tenant_id;
	const char *write_json, *read_json;
};

/* Everything before the transaction: check, make or take the key, have the certificate signed, compare it,
 * build the package, mint the link. Nothing is stored; the signer's log has it. E_INPUT (field),
 * E_DENIED (a profile that the tenant may not use), E_CONFLICT (the key belongs to another), E_BUSY, E_SYS. */
MUST_CHECK int credential_make(struct core *core, const struct credential_owner *owner,
    const struct credential_request *request, struct credential *out, struct err *err);

/* Would it be made, for an owner with any id? A CSR that was read is in CSR_OUT, and *HAS_CSR_OUT says so. Nothing is made. The same
 * errors. */
MUST_CHECK int credential_check(struct core *core, const struct credential_owner *owner,
    const struct credential_request *request, bool *has_csr_out, struct csr *csr_out, struct err *err);

/* In the caller's transaction: store certificate and package, with E_CONFLICT if meanwhile another owner has
 * used the key. */
MUST_CHECK int credential_store(struct store_tx *tx, const struct credential_owner *owner,
    const struct credential *credential, int64_t now, struct err *err);

/* After credential_make succeeded and its transaction did not: record the certificate as revoked, so that
 * nothing signed is unrecorded. What cannot be recorded now becomes reconcile's to settle. */
void credential_abandon(struct core *core, const struct credential_owner *owner,
    const struct credential *credential);

void credential_clear(struct credential *credential);

#endif

/* The algorithms behind the kinds of key, for this layer only: the one header here that speaks
 * OpenSSL's types. */
#ifndef MUSTER_X509_ALG_H
#define MUSTER_X509_ALG_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "x509/der.h"
#include "x509/key.h"

enum alg_hash { ALG_SHA256, ALG_SHA384, ALG_SHA512, ALG_HASHES };

#define ALG_HASH_LEN_MAX 64

/* An object identifier's content octets. */
struct oid {
	uint8_t len;
	uint8_t bytes[9];
};

extern const struct oid oid_ec, oid_rsa;

bool oid_is(const struct der *d, const struct oid *oid);

struct alg_kind {
	const char *name;
	const char *group; /* OpenSSL's name of the curve; NULL for RSA */
	struct oid curve;
	unsigned bits;
	enum alg_hash hash; /* with which a key of this kind signs */
	size_t scalar_len;  /* octets of an EC private number; the point has 1 + 2 * scalar_len */
};

/* Indexed by enum key_kind. */
extern const struct alg_kind alg_kinds[KEY_KINDS];

/* The AlgorithmIdentifier of a signature by EC or RSA with HASH, appended as DER. */
void alg_put(struct buf *out, bool rsa, enum alg_hash hash);

/* Read one (its content). False for anything but the ones alg_put writes; RSA's parameters may also
 * be absent (RFC 4055, section 5). */
bool alg_read(const struct der *algid, bool rsa, enum alg_hash *hash_out);

/* Digest DATA into OUT[ALG_HASH_LEN_MAX]. E_SYS. */
MUST_CHECK int alg_digest(enum alg_hash hash, const void *data, size_t len, uint8_t *out,
    size_t *len_out, struct err *err);

/* A digest in the making, to be fed with EVP_DigestUpdate. E_SYS. */
MUST_CHECK int alg_digest_new(enum alg_hash hash, EVP_MD_CTX **ctx_out, struct err *err);

/* Set CTX, made ready to sign or verify, to HASH (and PKCS #1 v1.5 for RSA). E_SYS. */
MUST_CHECK int alg_ctx_set(EVP_PKEY_CTX *ctx, bool rsa, enum alg_hash hash, struct err *err);

/* An EVP_PKEY that holds the curve of KIND and no key, shared, never freed; NULL out of memory. */
const EVP_PKEY *alg_curve(enum key_kind kind);

/* Fill ERR with WHAT and OpenSSL's reason, and empty its error queue, which libssl would misread. Returns CODE, or
 * E_NOMEM if it was that: nobody is to blame for what we had no memory to look at. */
int alg_error(struct err *err, int code, const char *what);

#endif

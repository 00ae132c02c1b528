/* Tables of the algorithms, and the OpenSSL objects that are dear to make and can be shared:
 * digests and curves are fetched once for the life of the process. */
#include "x509/alg.h"

#include <openssl/ec.h>
#include <openssl/bnerr.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <string.h>

const struct oid oid_ec = {7, {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01}};
const struct oid oid_rsa = {9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01}};

const struct alg_kind alg_kinds[KEY_KINDS] = {
    [KEY_NONE] = {.name = "none"},
    [KEY_EC_P256] = {"ec-p256", "P-256", {8, {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}}, 256,
	ALG_SHA256, 32},
    [KEY_EC_P384] = {"ec-p384", "P-384", {5, {0x2b, 0x81, 0x04, 0x00, 0x22}}, 384, ALG_SHA384, 48},
    [KEY_RSA_2048] = {.name = "rsa-2048", .bits = 2048, .hash = ALG_SHA256},
    [KEY_RSA_3072] = {.name = "rsa-3072", .bits = 3072, .hash = ALG_SHA256},
    [KEY_RSA_4096] = {.name = "rsa-4096", .bits = 4096, .hash = ALG_SHA256},
};

/* ecdsa-with-SHA2 (RFC 5758) and shaXXXWithRSAEncryption (RFC 4055). No SHA-1, no MD5. */
static const struct {
	const char *md;
	struct oid ec, rsa;
} hashes[ALG_HASHES] = {
    [ALG_SHA256] = {"SHA2-256", {8, {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02}},
	{9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b}}},
    [ALG_SHA384] = {"SHA2-384", {8, {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03}},
	{9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c}}},
    [ALG_SHA512] = {"SHA2-512", {8, {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04}},
	{9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d}}},
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static EVP_MD *digests[ALG_HASHES];
static EVP_PKEY *curves[KEY_KINDS];

static EVP_PKEY *
curve_make(const char *group)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *curve = NULL;

	if (ctx != NULL && EVP_PKEY_paramgen_init(ctx) == 1 &&
	    EVP_PKEY_CTX_set_group_name(ctx, group) == 1)
		(void)EVP_PKEY_paramgen(ctx, &curve);
	EVP_PKEY_CTX_free(ctx);
	return curve;
}

static void
make_shared(void)
{
	size_t i;

	for (i = 0; i < ALG_HASHES; i++)
		digests[i] = EVP_MD_fetch(NULL, hashes[i].md, NULL);
	for (i = 0; i < KEY_KINDS; i++)
		if (alg_kinds[i].group != NULL)
			curves[i] = curve_make(alg_kinds[i].group);
	ERR_clear_error();
}

bool
oid_is(const struct der *d, const struct oid *oid)
{
	return der_equal(d, oid->bytes, oid->len);
}

void
alg_put(struct buf *out, bool rsa, enum alg_hash hash)
{
	const struct oid *oid = rsa ? &hashes[hash].rsa : &hashes[hash].ec;
	size_t mark = out->len;

	der_put(out, DER_OID, oid->bytes, oid->len);
	if (rsa)
		der_put(out, DER_NULL, NULL, 0);
	der_wrap(out, mark, DER_SEQUENCE);
}

bool
alg_read(const struct der *algid, bool rsa, enum alg_hash *hash_out)
{
	struct der rest = *algid, oid, null;
	size_t i;

	if (!der_get(&rest, DER_OID, &oid))
		return false;
	if (rsa && der_get(&rest, DER_NULL, &null) && null.len != 0)
		return false;
	if (rest.len != 0)
		return false;
	for (i = 0; i < ALG_HASHES; i++)
		if (oid_is(&oid, rsa ? &hashes[i].rsa : &hashes[i].ec)) {
			*hash_out = (enum alg_hash)i;
			return true;
		}
	return false;
}

int
alg_digest(enum alg_hash hash, const void *data, size_t len, uint8_t *out, size_t *len_out,
    struct err *err)
{
	unsigned n = 0;

	(void)pthread_once(&once, make_shared);
	if (digests[hash] == NULL || EVP_Digest(data, len, out, &n, digests[hash], NULL) != 1)
		return alg_error(err, E_SYS, "cannot digest");
	*len_out = n;
	return 0;
}

int
alg_digest_new(enum alg_hash hash, EVP_MD_CTX **ctx_out, struct err *err)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	(void)pthread_once(&once, make_shared);
	if (ctx == NULL || digests[hash] == NULL || EVP_DigestInit_ex2(ctx, digests[hash], NULL) != 1) {
		EVP_MD_CTX_free(ctx);
		return alg_error(err, E_SYS, "cannot digest");
	}
	*ctx_out = ctx;
	return 0;
}

int
alg_ctx_set(EVP_PKEY_CTX *ctx, bool rsa, enum alg_hash hash, struct err *err)
{
	(void)pthread_once(&once, make_shared);
	if (digests[hash] == NULL ||
	    (rsa && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) != 1) ||
	    EVP_PKEY_CTX_set_signature_md(ctx, digests[hash]) != 1)
		return alg_error(err, E_SYS, "cannot set up a signature");
	return 0;
}

const EVP_PKEY *
alg_curve(enum key_kind kind)
{
	(void)pthread_once(&once, make_shared);
	return curves[kind];
}

/* Anywhere in the queue: what failed for it is told last. */
static bool
was_nomem(void)
{
	bool found = false;
	unsigned long e;

	while ((e = ERR_get_error()) != 0)
		found = found || ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE ||
		    (ERR_GET_LIB(e) == ERR_LIB_BN && ERR_GET_REASON(e) == BN_R_TOO_MANY_TEMPORARY_VARIABLES);
	return found;
}

int
alg_error(struct err *err, int code, const char *what)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	if (was_nomem())
		return err_nomem(err);
	return err_set(
	    err, code, "%s%s%s", what, reason != NULL ? ": " : "", reason != NULL ? reason : "");
}

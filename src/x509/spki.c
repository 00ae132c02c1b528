/* Public keys from outside. The form is read by our own DER reader, which names what it refuses;
 * OpenSSL then sees only numbers, which is also the fast way (its own decoder takes 20 times as
 * long). */
#include "x509/spki.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <pthread.h>
#include <string.h>

#include "x509/weakkey.h"

#define RSA_EXPONENT_MIN 65537
#define RSA_EXPONENT_OCTETS_MAX 8
#define RSA_OCTETS_MAX 512

/* A public key taken apart; all borrowed. */
struct parts {
	enum key_kind kind;
	struct der point;	      /* EC */
	struct der modulus, exponent; /* RSA, without leading zeros */
};

/* What devices are known to send and Muster does not take, by name. */
struct refused {
	struct oid oid;
	const char *name;
};

static const struct refused refused_keys[] = {
    {{7, {0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x01}}, "DSA"},
    {{9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a}}, "RSASSA-PSS"},
    {{9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x03, 0x01}}, "Diffie-Hellman"},
    {{3, {0x2b, 0x65, 0x6e}}, "X25519"},
    {{3, {0x2b, 0x65, 0x6f}}, "X448"},
    {{3, {0x2b, 0x65, 0x70}}, "Ed25519"},
    {{3, {0x2b, 0x65, 0x71}}, "Ed448"},
};

static const struct refused refused_curves[] = {
    {{8, {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x01}}, "P-192"},
    {{5, {0x2b, 0x81, 0x04, 0x00, 0x21}}, "P-224"},
    {{5, {0x2b, 0x81, 0x04, 0x00, 0x0a}}, "secp256k1"},
    {{5, {0x2b, 0x81, 0x04, 0x00, 0x23}}, "P-521"},
};

static int
refuse_algorithm(const struct der *oid, struct err *err)
{
	size_t i;

	for (i = 0; i < sizeof refused_keys / sizeof refused_keys[0]; i++)
		if (oid_is(oid, &refused_keys[i].oid))
			return err_set(err, E_INPUT, "%s keys are not taken: use EC or RSA",
			    refused_keys[i].name);
	return err_set(err, E_INPUT, "keys of this algorithm are not taken: use EC or RSA");
}

static int
refuse_curve(const struct der *oid, struct err *err)
{
	size_t i;

	for (i = 0; i < sizeof refused_curves / sizeof refused_curves[0]; i++)
		if (oid_is(oid, &refused_curves[i].oid))
			return err_set(err, E_INPUT,
			    "the curve %s is not taken: use P-256 or P-384",
			    refused_curves[i].name);
	return err_set(err, E_INPUT, "this curve is not taken: use P-256 or P-384");
}

/* RFC 5480: parameters are a named curve; explicit ones have been used to forge keys
 * (CVE-2020-0601). */
static int
read_ec(struct der params, const struct der *point, struct parts *out, struct err *err)
{
	enum key_kind kind = KEY_NONE;
	struct der oid;
	size_t i;

	if (!der_get(&params, DER_OID, &oid) || params.len != 0)
		return err_set(
		    err, E_INPUT, "the EC key's curve is not named: send no explicit parameters");
	for (i = 0; i < KEY_KINDS; i++)
		if (alg_kinds[i].group != NULL && oid_is(&oid, &alg_kinds[i].curve))
			kind = (enum key_kind)i;
	if (kind == KEY_NONE)
		return refuse_curve(&oid, err);
	if (point->len == 0 || point->at[0] == 0)
		return err_set(err, E_INPUT, "the EC key's point is at infinity");
	if (point->at[0] == 2 || point->at[0] == 3)
		return err_set(
		    err, E_INPUT, "the EC key's point is compressed: send it uncompressed");
	if (point->at[0] != 4 || point->len != 1 + 2 * alg_kinds[kind].scalar_len)
		return err_set(err, E_INPUT, "the EC key's point is malformed");
	*out = (struct parts){.kind = kind, .point = *point};
	return 0;
}

static size_t
bits_of(const struct der *number)
{
	size_t bits = 8 * number->len;
	unsigned top;

	for (top = number->len > 0 ? number->at[0] : 0x80; (top & 0x80) == 0; top <<= 1)
		bits--;
	return bits;
}

static bool
is_odd(const struct der *number)
{
	return number->len > 0 && (number->at[number->len - 1] & 1) != 0;
}

static int
check_exponent(const struct der *e, struct err *err)
{
	uint64_t value = 0;
	size_t i;

	if (e->len > RSA_EXPONENT_OCTETS_MAX)
		return err_set(err, E_INPUT, "the RSA key's exponent is longer than 64 bits");
	for (i = 0; i < e->len; i++)
		value = value << 8 | e->at[i];
	if (value < RSA_EXPONENT_MIN || !is_odd(e))
		return err_set(err, E_INPUT, "the RSA key's exponent must be odd and at least %d",
		    RSA_EXPONENT_MIN);
	return 0;
}

/* RFC 3279, section 2.3.1: the parameters are NULL. */
static int
read_rsa(struct der params, struct der key, struct parts *out, struct err *err)
{
	enum key_kind kind = KEY_NONE;
	struct der null, seq, n, e;
	size_t i, bits;
	int rc;

	if (!der_get(&params, DER_NULL, &null) || null.len != 0 || params.len != 0 ||
	    !der_get(&key, DER_SEQUENCE, &seq) || key.len != 0 || !der_get_unsigned(&seq, &n) ||
	    !der_get_unsigned(&seq, &e) || seq.len != 0)
		return err_set(err, E_INPUT, "the RSA key is malformed");
	bits = bits_of(&n);
	for (i = 0; i < KEY_KINDS; i++)
		if (key_kind_is_rsa((enum key_kind)i) && alg_kinds[i].bits == bits)
			kind = (enum key_kind)i;
	if (kind == KEY_NONE)
		return err_set(err, E_INPUT,
		    "RSA keys of %zu bits are not taken: use 2048, 3072 or 4096", bits);
	if (!is_odd(&n))
		return err_set(err, E_INPUT, "the RSA key's modulus is even");
	if ((rc = check_exponent(&e, err)) != 0)
		return rc;
	*out = (struct parts){.kind = kind, .modulus = n, .exponent = e};
	return 0;
}

static int
read_parts(const uint8_t *spki, size_t len, struct parts *out, struct err *err)
{
	struct der d = {spki, len}, alg, oid, key;

	if (len > KEY_SPKI_MAX)
		return err_set(
		    err, E_INPUT, "the public key is larger than %d bytes", KEY_SPKI_MAX);
	if (!der_get(&d, DER_SEQUENCE, &key) || d.len != 0 || !der_get(&key, DER_SEQUENCE, &alg) ||
	    !der_get(&alg, DER_OID, &oid))
		return err_set(err, E_INPUT, "the public key is malformed");
	d = key;
	if (!der_get_bits(&d, &key) || d.len != 0)
		return err_set(err, E_INPUT, "the public key is malformed");
	if (oid_is(&oid, &oid_ec))
		return read_ec(alg, &key, out, err);
	if (oid_is(&oid, &oid_rsa))
		return read_rsa(alg, key, out, err);
	return refuse_algorithm(&oid, err);
}

/* EC keys that were closed: giving a new one its curve costs more than all else of opening it, so they get the next
 * point instead. Public keys hold nothing to be wiped. */
#define IDLE_MAX 8
static struct {
	pthread_mutex_t lock;
	EVP_PKEY *list[KEY_KINDS][IDLE_MAX];
	size_t n[KEY_KINDS];
} idle = {.lock = PTHREAD_MUTEX_INITIALIZER};

static EVP_PKEY *
idle_take(enum key_kind kind)
{
	EVP_PKEY *pkey = NULL;

	(void)pthread_mutex_lock(&idle.lock);
	if (idle.n[kind] > 0)
		pkey = idle.list[kind][--idle.n[kind]];
	(void)pthread_mutex_unlock(&idle.lock);
	return pkey;
}

/* False: there are enough. */
static bool
idle_give(enum key_kind kind, EVP_PKEY *pkey)
{
	bool given;

	(void)pthread_mutex_lock(&idle.lock);
	if ((given = idle.n[kind] < IDLE_MAX))
		idle.list[kind][idle.n[kind]++] = pkey;
	(void)pthread_mutex_unlock(&idle.lock);
	return given;
}

static EVP_PKEY *
ec_new(enum key_kind kind)
{
	const EVP_PKEY *curve = alg_curve(kind);
	EVP_PKEY *pkey = EVP_PKEY_new();

	if (curve != NULL && pkey != NULL && EVP_PKEY_copy_parameters(pkey, curve) == 1)
		return pkey;
	EVP_PKEY_free(pkey);
	return NULL;
}

/* Setting an encoded point checks that it lies on the curve; with cofactor 1 that is all. */
static int
open_ec(const struct parts *parts, EVP_PKEY **pkey_out, struct err *err)
{
	EVP_PKEY *pkey = idle_take(parts->kind);

	if (pkey == NULL && (pkey = ec_new(parts->kind)) == NULL)
		return alg_error(err, E_SYS, "cannot load an EC key");
	if (EVP_PKEY_set1_encoded_public_key(pkey, parts->point.at, parts->point.len) != 1) {
		EVP_PKEY_free(pkey);
		return alg_error(err, E_INPUT, "the EC key's point is not on its curve");
	}
	*pkey_out = pkey;
	return 0;
}

/* OSSL_PARAM's integers are in the machine's order. */
static OSSL_PARAM
param_make(const char *name, const struct der *number, uint8_t *space)
{
	size_t i;

	for (i = 0; i < number->len; i++)
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
		space[i] = number->at[number->len - 1 - i];
#else
		space[i] = number->at[i];
#endif
	return OSSL_PARAM_construct_BN(name, space, number->len);
}

static int
open_rsa(const struct parts *parts, EVP_PKEY **pkey_out, struct err *err)
{
	uint8_t n[RSA_OCTETS_MAX], e[RSA_EXPONENT_OCTETS_MAX];
	OSSL_PARAM params[] = {
	    param_make(OSSL_PKEY_PARAM_RSA_N, &parts->modulus, n),
	    param_make(OSSL_PKEY_PARAM_RSA_E, &parts->exponent, e),
	    OSSL_PARAM_construct_end(),
	};
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	EVP_PKEY *pkey = NULL;
	int rc = 0;

	if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
		rc = alg_error(err, E_SYS, "cannot load an RSA key");
	else
		*pkey_out = pkey;
	EVP_PKEY_CTX_free(ctx);
	return rc;
}

static int
open_parts(const struct parts *parts, EVP_PKEY **pkey_out, struct err *err)
{
	return key_kind_is_rsa(parts->kind) ? open_rsa(parts, pkey_out, err)
					    : open_ec(parts, pkey_out, err);
}

int
spki_kind(const uint8_t *spki, size_t len, enum key_kind *kind_out, struct err *err)
{
	struct parts parts;
	int rc;

	if ((rc = read_parts(spki, len, &parts, err)) != 0)
		return rc;
	*kind_out = parts.kind;
	return 0;
}

int
spki_open(
    const uint8_t *spki, size_t len, enum key_kind *kind_out, EVP_PKEY **pkey_out, struct err *err)
{
	struct parts parts;
	int rc;

	if ((rc = read_parts(spki, len, &parts, err)) != 0)
		return rc;
	if (key_kind_is_rsa(parts.kind) &&
	    (rc = weakkey_check(parts.modulus.at, parts.modulus.len, err)) != 0)
		return rc;
	if ((rc = open_parts(&parts, pkey_out, err)) != 0)
		return rc;
	*kind_out = parts.kind;
	return 0;
}

void
spki_close(enum key_kind kind, EVP_PKEY *pkey)
{
	if (pkey != NULL && (key_kind_is_rsa(kind) || !idle_give(kind, pkey)))
		EVP_PKEY_free(pkey);
}

int
spki_check(const uint8_t *spki, size_t len, enum key_kind *kind_out, struct err *err)
{
	EVP_PKEY *pkey = NULL;
	int rc;

	if ((rc = spki_open(spki, len, kind_out, &pkey, err)) != 0)
		return rc;
	spki_close(*kind_out, pkey);
	return 0;
}

int
spki_verify_by(EVP_PKEY *pkey, enum key_kind kind, enum alg_hash hash, const void *data, size_t len,
    const uint8_t *sig, size_t sig_len, struct err *err)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
	uint8_t digest[ALG_HASH_LEN_MAX];
	size_t digest_len;
	int rc;

	if (ctx == NULL || EVP_PKEY_verify_init(ctx) != 1) {
		rc = alg_error(err, E_SYS, "cannot set up a verification");
		goto out;
	}
	if ((rc = alg_ctx_set(ctx, key_kind_is_rsa(kind), hash, err)) != 0 ||
	    (rc = alg_digest(hash, data, len, digest, &digest_len, err)) != 0)
		goto out;
	if (EVP_PKEY_verify(ctx, sig, sig_len, digest, digest_len) != 1 &&
	    (rc = alg_error(err, E_INPUT, "")) == E_INPUT)
		rc = err_set(err, E_INPUT, "the signature does not verify");
out:
	EVP_PKEY_CTX_free(ctx);
	return rc;
}

int
spki_verify(const uint8_t *spki, size_t spki_len, enum key_kind kind, const void *data, size_t len,
    const uint8_t *sig, size_t sig_len, struct err *err)
{
	EVP_PKEY *pkey = NULL;
	struct parts parts;
	int rc;

	if ((rc = read_parts(spki, spki_len, &parts, err)) != 0)
		return rc;
	if (parts.kind != kind)
		return err_set(err, E_INPUT, "the public key is of another kind");
	if ((rc = open_parts(&parts, &pkey, err)) != 0)
		return rc;
	rc = spki_verify_by(pkey, kind, alg_kinds[kind].hash, data, len, sig, sig_len, err);
	spki_close(kind, pkey);
	return rc;
}

void
spki_key_id(uint8_t *out, const uint8_t *spki, size_t len)
{
	struct der d = {spki, len}, seq, alg, bits = {NULL, 0};
	uint8_t digest[SHA256_LEN];

	if (der_get(&d, DER_SEQUENCE, &seq) && der_get(&seq, DER_SEQUENCE, &alg))
		(void)der_get_bits(&seq, &bits);
	sha256(digest, bits.at, bits.len);
	memcpy(out, digest, KEY_ID_LEN);
}

/* Private keys. OpenSSL keeps their numbers in the locked heap; what leaves here leaves as PEM in
 * locked memory. An EC key's PKCS#8 is a fixed frame around its number and never stands anywhere
 * else; an RSA key's passes through a buffer that is wiped. OpenSSL's own PEM and PKCS#8 writers
 * are not used: they leave copies behind. Reading a key (once, at start) does go through OpenSSL's
 * decoder, whose freed memory secret_heap_open has overwritten by M_PERTURB. */
#include "x509/key.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "x509/pem.h"
#include "x509/spki.h"

#define PEM_LABEL "PRIVATE KEY"
#define RSA_NUMBERS 8
#define RSA_NUMBER_MAX 512

struct key {
	EVP_PKEY *pkey;
	EVP_PKEY_CTX *signing; /* made by the first key_sign */
	enum key_kind kind;
	uint8_t spki[KEY_SPKI_MAX];
	size_t spki_len;
};

/* What stands before the point in an EC SubjectPublicKeyInfo, and before and behind the private
 * number in its PKCS#8 (RFC 5958 around RFC 5915): all lengths are fixed. */
static const struct frame {
	uint8_t spki_len, before_len;
	uint8_t spki[26], before[36], between[5];
} frames[KEY_KINDS] = {
    [KEY_EC_P256] = {26, 36,
	{0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08,
	    0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00},
	{0x30, 0x81, 0x87, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d,
	    0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x6d,
	    0x30, 0x6b, 0x02, 0x01, 0x01, 0x04, 0x20},
	{0xa1, 0x44, 0x03, 0x42, 0x00}},
    [KEY_EC_P384] = {23, 35,
	{0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05,
	    0x2b, 0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00},
	{0x30, 0x81, 0xb6, 0x02, 0x01, 0x00, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d,
	    0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22, 0x04, 0x81, 0x9e, 0x30, 0x81,
	    0x9b, 0x02, 0x01, 0x01, 0x04, 0x30},
	{0xa1, 0x64, 0x03, 0x62, 0x00}},
};

const char *
key_kind_name(enum key_kind kind)
{
	return (unsigned)kind < KEY_KINDS ? alg_kinds[kind].name : alg_kinds[KEY_NONE].name;
}

bool
key_kind_parse(const char *name, enum key_kind *kind_out)
{
	int i;

	for (i = KEY_NONE + 1; i < KEY_KINDS; i++)
		if (strcmp(name, alg_kinds[i].name) == 0) {
			*kind_out = (enum key_kind)i;
			return true;
		}
	return false;
}

bool
key_kind_is_rsa(enum key_kind kind)
{
	return kind != KEY_NONE && (unsigned)kind < KEY_KINDS && alg_kinds[kind].group == NULL;
}

void
key_sigalg(enum key_kind kind, struct buf *out)
{
	alg_put(out, key_kind_is_rsa(kind), alg_kinds[kind].hash);
}

EVP_PKEY *
key_pkey(const struct key *key)
{
	return key->pkey;
}

static int
fill_spki(struct key *key, struct err *err)
{
	const struct frame *frame = &frames[key->kind];
	uint8_t *at = key->spki;
	size_t len = 0;
	int n;

	if (key_kind_is_rsa(key->kind)) {
		if ((n = i2d_PUBKEY(key->pkey, NULL)) <= 0 || n > KEY_SPKI_MAX ||
		    i2d_PUBKEY(key->pkey, &at) != n)
			return alg_error(err, E_SYS, "cannot write a public key");
		key->spki_len = (size_t)n;
		return 0;
	}
	memcpy(at, frame->spki, frame->spki_len);
	if (EVP_PKEY_get_octet_string_param(key->pkey, OSSL_PKEY_PARAM_PUB_KEY,
		at + frame->spki_len, KEY_SPKI_MAX - frame->spki_len, &len) != 1 ||
	    len != 1 + 2 * alg_kinds[key->kind].scalar_len || at[frame->spki_len] != 4)
		return alg_error(err, E_SYS, "cannot write a public key");
	key->spki_len = frame->spki_len + len;
	return 0;
}

/* Takes PKEY, on failure too. */
static int
key_take(EVP_PKEY *pkey, enum key_kind kind, struct key **key_out, struct err *err)
{
	struct key *key = calloc(1, sizeof *key);
	int rc;

	if (key == NULL) {
		EVP_PKEY_free(pkey);
		return err_nomem(err);
	}
	key->pkey = pkey;
	key->kind = kind;
	if ((rc = fill_spki(key, err)) != 0) {
		key_free(key);
		return rc;
	}
	*key_out = key;
	return 0;
}

/* OpenSSL asks between two numbers that it tries. */
static int
may_go_on(EVP_PKEY_CTX *ctx)
{
	const atomic_bool *stop = EVP_PKEY_CTX_get_app_data(ctx);

	return !atomic_load(stop);
}

static EVP_PKEY *
generate_rsa(int bits, const atomic_bool *stop)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	EVP_PKEY *pkey = NULL;

	if (ctx != NULL && EVP_PKEY_keygen_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, bits) == 1) {
		EVP_PKEY_CTX_set_app_data(ctx, (void *)stop);
		EVP_PKEY_CTX_set_cb(ctx, may_go_on);
		if (EVP_PKEY_generate(ctx, &pkey) != 1)
			pkey = NULL;
	}
	EVP_PKEY_CTX_free(ctx);
	return pkey;
}

int
key_generate_unless(const atomic_bool *stop, enum key_kind kind, struct key **key_out, struct err *err)
{
	EVP_PKEY *pkey;

	if (kind == KEY_NONE || (unsigned)kind >= KEY_KINDS)
		return err_set(err, E_INPUT, "no such kind of key");
	pkey = key_kind_is_rsa(kind) ? generate_rsa((int)alg_kinds[kind].bits, stop)
				     : EVP_EC_gen(alg_kinds[kind].group);
	if (pkey == NULL)
		return alg_error(err, E_SYS, "cannot make a key");
	return key_take(pkey, kind, key_out, err);
}

int
key_generate(enum key_kind kind, struct key **key_out, struct err *err)
{
	static const atomic_bool never;

	return key_generate_unless(&never, kind, key_out, err);
}

/* The one private key in DER, nothing behind it; NULL if it is anything else. */
static EVP_PKEY *
decode(const struct buf *der)
{
	const uint8_t *at = der->data;
	PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, (long)der->len);
	EVP_PKEY *pkey = NULL;

	if (info != NULL && at == der->data + der->len)
		pkey = EVP_PKCS82PKEY(info);
	PKCS8_PRIV_KEY_INFO_free(info);
	return pkey;
}

/* A file may hold a private number and another key's public half: nobody could verify what it
 * signs. */
static int
check_pair(struct key *key, struct err *err)
{
	static const char probe[] = "muster";
	struct buf sig = {0};
	int rc;

	if ((rc = key_sign(key, probe, sizeof probe, &sig, err)) == 0 &&
	    spki_verify(key->spki, key->spki_len, key->kind, probe, sizeof probe, sig.data, sig.len,
		NULL) != 0)
		rc = err_set(err, E_INPUT, "the private key does not belong to its public key");
	buf_clear(&sig);
	return rc;
}

int
key_from_pem(const void *pem, size_t len, struct key **key_out, struct err *err)
{
	uint8_t spki[KEY_SPKI_MAX], *at = spki;
	EVP_PKEY *pkey = NULL;
	struct key *key = NULL;
	enum key_kind kind;
	struct buf der;
	int rc, n;

	buf_init_secret(&der);
	if ((rc = pem_decode(pem, len, PEM_LABEL, &der, err)) != 0)
		goto out;
	if ((pkey = decode(&der)) == NULL || (n = i2d_PUBKEY(pkey, NULL)) <= 0 ||
	    n > KEY_SPKI_MAX || i2d_PUBKEY(pkey, &at) != n) {
		ERR_clear_error();
		rc = err_set(err, E_INPUT, "not an EC or RSA private key in PKCS#8");
		goto out;
	}
	if ((rc = spki_check(spki, (size_t)n, &kind, err)) != 0)
		goto out;
	rc = key_take(pkey, kind, &key, err);
	pkey = NULL;
	if (rc != 0 || (rc = check_pair(key, err)) != 0)
		goto out;
	*key_out = key;
	key = NULL;
out:
	key_free(key);
	EVP_PKEY_free(pkey);
	buf_clear(&der);
	return rc;
}

/* OSSL_PARAM's integers are in the machine's order; DER's come big end first. */
static void
big_endian(uint8_t *number, size_t len)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	uint8_t *a, *b, swap;

	for (a = number, b = number + len; a < b; a++) {
		swap = *a;
		*a = *--b;
		*b = swap;
	}
#else
	(void)number;
	(void)len;
#endif
}

/* PKCS#8 of an EC key: the frame, with the private number written into its place by OpenSSL. */
static int
ec_to_der(const struct key *key, struct secret *der_out, struct err *err)
{
	const struct frame *frame = &frames[key->kind];
	size_t n = alg_kinds[key->kind].scalar_len, point_len = 1 + 2 * n;
	OSSL_PARAM params[2] = {OSSL_PARAM_END, OSSL_PARAM_END};
	struct secret der = {0};
	uint8_t *number, *at;
	int rc;

	if ((rc = secret_alloc(
		 &der, frame->before_len + n + sizeof frame->between + point_len, err)) != 0)
		return rc;
	memcpy(der.data, frame->before, frame->before_len);
	number = der.data + frame->before_len;
	params[0] = OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, number, n);
	if (EVP_PKEY_get_params(key->pkey, params) != 1 || !OSSL_PARAM_modified(params) ||
	    params[0].return_size != n) {
		secret_clear(&der);
		return alg_error(err, E_SYS, "cannot read a private key");
	}
	big_endian(number, n);
	at = number + n;
	memcpy(at, frame->between, sizeof frame->between);
	memcpy(at + sizeof frame->between, key->spki + frame->spki_len, point_len);
	*der_out = der;
	return 0;
}

/* RSAPrivateKey's numbers (RFC 8017, appendix A.1.2) side by side, big end first, zero-padded. */
static int
rsa_numbers(const struct key *key, struct secret *numbers_out, struct err *err)
{
	static const char *const names[RSA_NUMBERS] = {OSSL_PKEY_PARAM_RSA_N, OSSL_PKEY_PARAM_RSA_E,
	    OSSL_PKEY_PARAM_RSA_D, OSSL_PKEY_PARAM_RSA_FACTOR1, OSSL_PKEY_PARAM_RSA_FACTOR2,
	    OSSL_PKEY_PARAM_RSA_EXPONENT1, OSSL_PKEY_PARAM_RSA_EXPONENT2,
	    OSSL_PKEY_PARAM_RSA_COEFFICIENT1};
	OSSL_PARAM params[RSA_NUMBERS + 1];
	struct secret s = {0};
	int rc, i;

	if ((rc = secret_alloc(&s, RSA_NUMBERS * RSA_NUMBER_MAX, err)) != 0)
		return rc;
	for (i = 0; i < RSA_NUMBERS; i++)
		params[i] =
		    OSSL_PARAM_construct_BN(names[i], s.data + i * RSA_NUMBER_MAX, RSA_NUMBER_MAX);
	params[RSA_NUMBERS] = OSSL_PARAM_construct_end();
	rc = EVP_PKEY_get_params(key->pkey, params);
	for (i = 0; i < RSA_NUMBERS; i++) {
		if (rc != 1 || !OSSL_PARAM_modified(&params[i])) {
			secret_clear(&s);
			return alg_error(err, E_SYS, "cannot read a private key");
		}
		big_endian(s.data + i * RSA_NUMBER_MAX, RSA_NUMBER_MAX);
	}
	*numbers_out = s;
	return 0;
}

static int
rsa_to_der(const struct key *key, struct secret *der_out, struct err *err)
{
	struct secret numbers = {0};
	size_t mark, inner, i;
	struct buf b;
	int rc;

	buf_init_secret(&b);
	if ((rc = rsa_numbers(key, &numbers, err)) != 0)
		goto out;
	der_put_int(&b, 0);
	mark = b.len;
	der_put(&b, DER_OID, oid_rsa.bytes, oid_rsa.len);
	der_put(&b, DER_NULL, NULL, 0);
	der_wrap(&b, mark, DER_SEQUENCE);
	inner = b.len;
	der_put_int(&b, 0);
	for (i = 0; i < RSA_NUMBERS; i++)
		der_put_unsigned(&b, numbers.data + i * RSA_NUMBER_MAX, RSA_NUMBER_MAX);
	der_wrap(&b, inner, DER_SEQUENCE);
	der_wrap(&b, inner, DER_OCTET_STRING);
	der_wrap(&b, 0, DER_SEQUENCE);
	if (buf_failed(&b))
		rc = err_nomem(err);
	else if ((rc = secret_alloc(der_out, b.len, err)) == 0)
		memcpy(der_out->data, b.data, b.len);
out:
	secret_clear(&numbers);
	buf_clear(&b);
	return rc;
}

int
key_to_pem(const struct key *key, struct secret *pem_out, struct err *err)
{
	struct secret der = {0}, pem = {0};
	int rc;

	rc = key_kind_is_rsa(key->kind) ? rsa_to_der(key, &der, err) : ec_to_der(key, &der, err);
	if (rc == 0 && (rc = secret_alloc(&pem, pem_size(PEM_LABEL, der.len), err)) == 0) {
		pem_write((char *)pem.data, PEM_LABEL, der.data, der.len);
		*pem_out = pem;
	}
	secret_clear(&der);
	return rc;
}

void
key_free(struct key *key)
{
	if (key == NULL)
		return;
	EVP_PKEY_CTX_free(key->signing);
	EVP_PKEY_free(key->pkey);
	free(key);
}

enum key_kind
key_kind_of(const struct key *key)
{
	return key->kind;
}

const uint8_t *
key_spki(const struct key *key, size_t *len_out)
{
	*len_out = key->spki_len;
	return key->spki;
}

bool
key_is_of(const struct key *key, const uint8_t *spki, size_t len)
{
	return key->spki_len == len && memcmp(key->spki, spki, len) == 0;
}

static int
signing_open(struct key *key, struct err *err)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
	int rc;

	if (ctx == NULL || EVP_PKEY_sign_init(ctx) != 1)
		rc = alg_error(err, E_SYS, "cannot set up signing");
	else
		rc = alg_ctx_set(ctx, key_kind_is_rsa(key->kind), alg_kinds[key->kind].hash, err);
	if (rc == 0)
		key->signing = ctx;
	else
		EVP_PKEY_CTX_free(ctx);
	return rc;
}

static int
sign_digest(struct key *key, const uint8_t *digest, size_t digest_len, struct buf *sig_out, struct err *err)
{
	uint8_t sig[KEY_SIG_MAX];
	size_t sig_len = sizeof sig;
	int rc;

	if (key->signing == NULL && (rc = signing_open(key, err)) != 0)
		return rc;
	if (EVP_PKEY_sign(key->signing, sig, &sig_len, digest, digest_len) != 1)
		return alg_error(err, E_SYS, "cannot sign");
	/* Out of memory at its very end, OpenSSL says that it has signed, and that the signature is (size_t)-1 long. */
	if (sig_len == 0 || sig_len > sizeof sig)
		return err_nomem(err);
	buf_append(sig_out, sig, sig_len);
	return buf_failed(sig_out) ? err_nomem(err) : 0;
}

int
key_sign(struct key *key, const void *data, size_t len, struct buf *sig_out, struct err *err)
{
	uint8_t digest[ALG_HASH_LEN_MAX];
	size_t digest_len;
	int rc;

	if ((rc = alg_digest(alg_kinds[key->kind].hash, data, len, digest, &digest_len, err)) != 0)
		return rc;
	return sign_digest(key, digest, digest_len, sig_out, err);
}

struct key_digest {
	EVP_MD_CTX *ctx;
	enum key_kind kind;
};

int
key_digest_new(enum key_kind kind, struct key_digest **digest_out, struct err *err)
{
	struct key_digest *d = calloc(1, sizeof *d);
	int rc;

	if (d == NULL)
		return err_nomem(err);
	d->kind = kind;
	if ((rc = alg_digest_new(alg_kinds[kind].hash, &d->ctx, err)) == 0)
		*digest_out = d;
	else
		free(d);
	return rc;
}

int
key_digest_add(struct key_digest *d, const void *data, size_t len, struct err *err)
{
	return EVP_DigestUpdate(d->ctx, data, len) == 1 ? 0 : alg_error(err, E_SYS, "cannot digest");
}

int
key_digest_sign(struct key_digest *d, struct key *key, struct buf *sig_out, struct err *err)
{
	uint8_t digest[ALG_HASH_LEN_MAX];
	unsigned len = 0;

	if (key->kind != d->kind)
		return err_set(err, E_INPUT, "the key is of another kind than the digest was made for");
	if (EVP_DigestFinal_ex(d->ctx, digest, &len) != 1)
		return alg_error(err, E_SYS, "cannot digest");
	return sign_digest(key, digest, len, sig_out, err);
}

void
key_digest_free(struct key_digest *d)
{
	if (d == NULL)
		return;
	EVP_MD_CTX_free(d->ctx);
	free(d);
}

/* One operation of OpenSSL each way; what a key must be, spki_open says. */
#include "x509/seal.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <string.h>

#include "x509/spki.h"

#define OPEN_MAX 512 /* what an RSA-4096 key decrypts to */

static int
open_rsa(const uint8_t *spki, size_t len, enum key_kind *kind_out, EVP_PKEY **pkey_out, struct err *err)
{
	int rc = spki_open(spki, len, kind_out, pkey_out, err);

	if (rc == 0 && !key_kind_is_rsa(*kind_out)) {
		spki_close(*kind_out, *pkey_out);
		rc = err_set(err, E_INPUT, "must be an RSA key");
	}
	return rc;
}

int
seal_key_check(const uint8_t *spki, size_t len, struct err *err)
{
	enum key_kind kind;
	EVP_PKEY *pkey;
	int rc;

	if ((rc = open_rsa(spki, len, &kind, &pkey, err)) == 0)
		spki_close(kind, pkey);
	return rc;
}

static int
oaep_set(EVP_PKEY_CTX *ctx)
{
	return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
	    EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) == 1 && EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) == 1;
}

int
seal_make(const uint8_t *spki, size_t spki_len, const void *data, size_t len, struct buf *sealed_out, struct err *err)
{
	uint8_t sealed[OPEN_MAX];
	size_t sealed_len = sizeof sealed;
	EVP_PKEY_CTX *ctx = NULL;
	enum key_kind kind;
	EVP_PKEY *pkey;
	int rc;

	if (len > SEAL_MAX)
		return err_set(err, E_INPUT, "at most %d bytes can be sealed", SEAL_MAX);
	if ((rc = open_rsa(spki, spki_len, &kind, &pkey, err)) != 0)
		return rc;
	if ((ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL)) == NULL || EVP_PKEY_encrypt_init(ctx) != 1 || !oaep_set(ctx) ||
	    EVP_PKEY_encrypt(ctx, sealed, &sealed_len, data, len) != 1) {
		rc = alg_error(err, E_SYS, "cannot seal");
	} else {
		buf_append(sealed_out, sealed, sealed_len);
		rc = buf_failed(sealed_out) ? err_nomem(err) : 0;
	}
	EVP_PKEY_CTX_free(ctx);
	spki_close(kind, pkey);
	return rc;
}

int
seal_open(const struct key *key, const void *sealed, size_t len, struct buf *out, struct err *err)
{
	uint8_t plain[OPEN_MAX];
	size_t plain_len = sizeof plain;
	EVP_PKEY_CTX *ctx = NULL;
	int rc;

	if (!key_kind_is_rsa(key_kind_of(key)))
		return err_set(err, E_INPUT, "must be an RSA key");
	if ((ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key_pkey(key), NULL)) == NULL || EVP_PKEY_decrypt_init(ctx) != 1 ||
	    !oaep_set(ctx) || EVP_PKEY_decrypt(ctx, plain, &plain_len, sealed, len) != 1) {
		rc = alg_error(err, E_INPUT, "this was not sealed to that key");
	} else {
		buf_append(out, plain, plain_len);
		rc = buf_failed(out) ? err_nomem(err) : 0;
	}
	EVP_PKEY_CTX_free(ctx);
	explicit_bzero(plain, sizeof plain);
	return rc;
}

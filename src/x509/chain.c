/* OpenSSL verifies, as it does in the clients; ours is telling the cases apart. Revocation is not looked at: the
 * list is not part of a chain. */
#include "x509/chain.h"

#include "base/clock.h"
#include "x509/cert.h"
#include "x509/name.h"
#include "x509/pem.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <string.h>

#define IDEVID_AUTH_LEVEL 2 /* of OpenSSL: 112 bits */
#define ANCHOR_BITS_MIN 112

/* No password is ever asked for. */
static int
no_password(char *buf, int size, int writing, void *ctx)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)ctx;
	return -1;
}

/* Every certificate in PEM, in its order; free with sk_X509_pop_free. */
static int
pem_read(const char *pem, STACK_OF(X509) **certs_out, struct err *err)
{
	size_t len = strlen(pem);
	STACK_OF(X509) *certs = sk_X509_new_null();
	BIO *bio = len > CHAIN_PEM_MAX ? NULL : BIO_new_mem_buf(pem, (int)len);
	X509 *cert;
	int rc = 0;

	if (certs == NULL || bio == NULL) {
		rc = len > CHAIN_PEM_MAX ? err_set(err, E_INPUT, "more than %d bytes", CHAIN_PEM_MAX)
					 : err_nomem(err);
		goto out;
	}
	while (sk_X509_num(certs) < CHAIN_CERTS_MAX &&
	       (cert = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL) {
		if (sk_X509_push(certs, cert) > 0)
			continue;
		X509_free(cert);
		rc = err_nomem(err);
		goto out;
	}
	if (sk_X509_num(certs) == 0)
		rc = err_set(err, E_INPUT, "no certificate in PEM form");
out:
	ERR_clear_error();
	BIO_free(bio);
	if (rc == 0)
		*certs_out = certs;
	else
		sk_X509_pop_free(certs, X509_free);
	return rc;
}

int
chain_leaf(const char *pem, struct buf *der_out, struct err *err)
{
	STACK_OF(X509) *certs = NULL;
	uint8_t *at;
	int len, rc;

	if ((rc = pem_read(pem, &certs, err)) != 0)
		return rc;
	len = i2d_X509(sk_X509_value(certs, 0), NULL);
	if (len <= 0 || (at = buf_extend(der_out, (size_t)len)) == NULL)
		rc = err_nomem(err);
	else
		(void)i2d_X509(sk_X509_value(certs, 0), &at);
	sk_X509_pop_free(certs, X509_free);
	return rc;
}

static void
time_text(char *out, const ASN1_TIME *when)
{
	struct tm tm;

	if (when != NULL && ASN1_TIME_to_tm(when, &tm) == 1)
		clock_text(out, timegm(&tm));
	else
		memcpy(out, "?", 2);
}

/* What the verification's ERROR means, said of the certificate that it stopped at. */
static int
judge(X509_STORE_CTX *ctx, const struct chain_question *q, struct err *err)
{
	int error = X509_STORE_CTX_get_error(ctx), depth = X509_STORE_CTX_get_error_depth(ctx);
	const X509 *cert = X509_STORE_CTX_get_current_cert(ctx);
	const char *which = depth <= 0 ? "the certificate" : "a CA's certificate";
	char when[CLOCK_TEXT_MAX] = "?";

	switch (error) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
		time_text(when, cert == NULL ? NULL : X509_get0_notAfter(cert));
		return err_set(err, E_GONE, "%s expired at %s", which, when);
	case X509_V_ERR_CERT_NOT_YET_VALID:
		time_text(when, cert == NULL ? NULL : X509_get0_notBefore(cert));
		return err_set(err, E_BUSY, "%s is not valid before %s", which, when);
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		return err_set(err, E_NOTFOUND,
		    "the chain is incomplete: the certificate of who issued it is not behind it, or leads to another root");
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
		return err_set(err, E_NOTFOUND, "the chain ends in a root that is not ours");
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return err_set(err, E_CONFLICT, "the certificate is not for the name %s", q->host);
	default:
		return err_set(err, E_DENIED, "%s is refused: %s", which, X509_verify_cert_error_string(error));
	}
}

static bool
question_set(X509_STORE_CTX *ctx, const struct chain_question *q)
{
	X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);

	if (q->use != CHAIN_ANY &&
	    X509_STORE_CTX_set_default(ctx, q->use == CHAIN_SERVER ? "ssl_server" : "ssl_client") != 1)
		return false;
	if (q->use == CHAIN_IDEVID) {
		X509_VERIFY_PARAM_set_auth_level(param, IDEVID_AUTH_LEVEL);
		if (X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN) != 1)
			return false;
	}
	X509_VERIFY_PARAM_set_time(param, (time_t)q->now);
	return q->host == NULL || X509_VERIFY_PARAM_set1_ip_asc(param, q->host) == 1 ||
	       X509_VERIFY_PARAM_set1_host(param, q->host, 0) == 1;
}

/* OpenSSL takes some for CAs that do not say so in basicConstraints (RFC 5280, section 6.1.4 (k)). */
static int
check_cas(X509_STORE_CTX *ctx, struct err *err)
{
	const STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);
	int i;

	for (i = 1; i < sk_X509_num(chain); i++)
		if (X509_check_ca(sk_X509_value(chain, i)) != 1)
			return err_set(err, E_DENIED, "a CA's certificate is refused: it does not say that it is one");
	return 0;
}

static bool
trust_all(X509_STORE *store, const STACK_OF(X509) *roots)
{
	int i;

	for (i = 0; i < sk_X509_num(roots); i++)
		if (X509_STORE_add_cert(store, sk_X509_value(roots, i)) != 1)
			return false;
	return true;
}

int
chain_check(const struct chain_question *q, struct err *err)
{
	STACK_OF(X509) *chain = NULL, *roots = NULL;
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509_STORE *store = X509_STORE_new();
	int rc;

	if (ctx == NULL || store == NULL) {
		rc = err_nomem(err);
		goto out;
	}
	if ((rc = pem_read(q->pem, &chain, err)) != 0)
		goto out;
	if ((rc = pem_read(q->root_pem, &roots, err)) != 0) {
		(void)err_prefix(err, "the root");
		goto out;
	}
	if (!trust_all(store, roots) || X509_STORE_CTX_init(ctx, store, sk_X509_value(chain, 0), chain) != 1 || !question_set(ctx, q))
		rc = err_nomem(err);
	else if (X509_verify_cert(ctx) != 1)
		rc = judge(ctx, q, err);
	else if (q->use == CHAIN_IDEVID)
		rc = check_cas(ctx, err);
out:
	ERR_clear_error();
	sk_X509_pop_free(chain, X509_free);
	sk_X509_pop_free(roots, X509_free);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	return rc;
}

/* The next certificate in *AT, and *AT behind it; NULL at the end. */
static X509 *
next_cert(const char **at, struct buf *der)
{
	const uint8_t *p;

	if (!pem_next_block(at, "CERTIFICATE", der))
		return NULL;
	p = der->data;
	return d2i_X509(NULL, &p, (long)der->len);
}

/* Is CROSS the key and name of ROOT, as a CA above issuing CAs, and does it lead up to what STORE has? */
static bool
is_vouched(X509 *cross, X509 *root, X509_STORE *store, int64_t now)
{
	const struct chain_question question = {.use = CHAIN_ANY, .now = now};
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	bool is_good = ctx != NULL && X509_check_ca(cross) == 1 && X509_get_pathlen(cross) == -1 &&
		       X509_NAME_cmp(X509_get_subject_name(cross), X509_get_subject_name(root)) == 0 &&
		       EVP_PKEY_eq(X509_get0_pubkey(cross), X509_get0_pubkey(root)) == 1 &&
		       X509_STORE_CTX_init(ctx, store, cross, NULL) == 1 && question_set(ctx, &question) &&
		       X509_verify_cert(ctx) == 1;

	X509_STORE_CTX_free(ctx);
	return is_good;
}

static bool
is_vouched_by_any(const char *certs, X509 *root, X509_STORE *store, int64_t now)
{
	struct buf der = {0};
	bool is_good = false;
	X509 *cross;

	while (!is_good && (cross = next_cert(&certs, &der)) != NULL) {
		is_good = is_vouched(cross, root, store, now);
		X509_free(cross);
	}
	buf_clear(&der);
	return is_good;
}

static bool
is_among(const STACK_OF(X509) *certs, const X509 *cert)
{
	int i;

	for (i = 0; i < sk_X509_num(certs); i++)
		if (X509_cmp(sk_X509_value(certs, i), cert) == 0)
			return true;
	return false;
}

int
chain_new_roots(const char *certs, const char *root_pem, int64_t now, struct buf *out, struct err *err)
{
	X509_STORE *store = X509_STORE_new();
	STACK_OF(X509) *roots = NULL;
	const char *at = certs;
	struct buf der = {0};
	X509 *root;
	int rc;

	if ((rc = pem_read(root_pem, &roots, err)) != 0)
		goto out;
	if (store == NULL || !trust_all(store, roots)) {
		rc = err_nomem(err);
		goto out;
	}
	while ((root = next_cert(&at, &der)) != NULL) {
		if (X509_self_signed(root, 1) == 1 && X509_check_ca(root) == 1 && !is_among(roots, root) &&
		    is_vouched_by_any(certs, root, store, now))
			pem_encode(out, "CERTIFICATE", der.data, der.len);
		X509_free(root);
	}
	rc = buf_failed(out) ? err_nomem(err) : 0;
out:
	ERR_clear_error();
	buf_clear(&der);
	sk_X509_pop_free(roots, X509_free);
	X509_STORE_free(store);
	return rc;
}

int
chain_issuers(const char *pem, int64_t issuers_out[CHAIN_CERTS_MAX], size_t *n_out, struct err *err)
{
	STACK_OF(X509) *certs = NULL;
	size_t n = 0, k;
	int rc, i;

	if ((rc = pem_read(pem, &certs, err)) != 0)
		return rc;
	for (i = 0; i < sk_X509_num(certs); i++) {
		issuers_out[n] = (int64_t)X509_issuer_name_hash(sk_X509_value(certs, i));
		for (k = 0; k < n && issuers_out[k] != issuers_out[n]; k++)
			continue;
		if (k == n)
			n++;
	}
	*n_out = n;
	sk_X509_pop_free(certs, X509_free);
	ERR_clear_error();
	return 0;
}

/* What an anchor must be. */
static int
anchor_check(X509 *cert, int64_t now, struct err *err)
{
	const EVP_PKEY *key = X509_get0_pubkey(cert);
	time_t when = (time_t)now;
	char text[CLOCK_TEXT_MAX];

	if (X509_check_ca(cert) != 1 || (X509_get_key_usage(cert) & KU_KEY_CERT_SIGN) == 0)
		return err_set(err, E_INPUT,
		    "the certificate is not a CA's (basicConstraints with cA, keyCertSign): it is the manufacturer's CA that is "
		    "trusted, not a device");
	if (key == NULL || EVP_PKEY_get_security_bits(key) < ANCHOR_BITS_MIN)
		return err_set(err, E_INPUT, "the CA's key is too weak, or of a kind that is not known");
	if (X509_cmp_time(X509_get0_notAfter(cert), &when) <= 0) {
		time_text(text, X509_get0_notAfter(cert));
		return err_set(err, E_INPUT, "the CA's certificate expired at %s", text);
	}
	return 0;
}

static int
anchor_fill(X509 *cert, const struct buf *der, struct chain_anchor *out, struct err *err)
{
	uint8_t *spki = NULL, *subject = NULL;
	int spki_len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &spki);
	int len = i2d_X509_NAME(X509_get_subject_name(cert), &subject);
	struct tm tm;
	int rc = 0;

	if (spki_len <= 0 || len <= 0 || ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) != 1) {
		rc = err_nomem(err);
	} else {
		sha256(out->fingerprint, der->data, der->len);
		sha256(out->key_hash, spki, (size_t)spki_len);
		out->name = (int64_t)X509_subject_name_hash(cert);
		out->not_after = timegm(&tm);
		name_text(subject, (size_t)len, out->subject, sizeof out->subject);
	}
	OPENSSL_free(spki);
	OPENSSL_free(subject);
	return rc;
}

int
chain_anchor_read(const char *pem, int64_t now, struct chain_anchor *out, struct buf *der_out, struct err *err)
{
	struct chain_anchor anchor = {0};
	struct buf der = {0};
	const uint8_t *at;
	X509 *cert = NULL;
	int rc;

	if ((rc = pem_decode(pem, strlen(pem), "CERTIFICATE", &der, err)) != 0)
		goto out;
	at = der.data;
	if (der.len == 0 || der.len > CERT_DER_MAX || (cert = d2i_X509(NULL, &at, (long)der.len)) == NULL ||
	    at != der.data + der.len) {
		rc = err_set(err, E_INPUT, "this is no certificate, or one of more than %d bytes", CERT_DER_MAX);
		goto out;
	}
	if ((rc = anchor_check(cert, now, err)) != 0 || (rc = anchor_fill(cert, &der, &anchor, err)) != 0)
		goto out;
	buf_append(der_out, der.data, der.len);
	if ((rc = buf_failed(der_out) ? err_nomem(err) : 0) == 0)
		*out = anchor;
out:
	X509_free(cert);
	buf_clear(&der);
	ERR_clear_error();
	return rc;
}

/* One SSL_CTX at a time, replaced whole by a reload. No session is ever resumed: a resumption carries a client's
 * certificate along without looking at it again, and a revoked one must not live on in a ticket. */
#include "http/tls.h"

#include "base/fs.h"
#include "base/text.h"
#include "x509/cert.h"
#include "x509/pem.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CIPHERS_12 "ECDHE+AESGCM:ECDHE+CHACHA20" /* TLS 1.3 brings its own */
#define PEER_CHAIN_MAX 16384			 /* bytes of a client's certificates */
#define PEER_DEPTH_MAX 4

struct tls {
	pthread_mutex_t lock; /* of ctx */
	SSL_CTX *ctx;
	char chain_path[FS_PATH_MAX], key_path[FS_PATH_MAX];
	struct buf cas[TLS_CAS_MAX];
	size_t n_cas;
	tls_staple_fn *staple; /* NULL: nothing is stapled */
	void *staple_ctx;
	atomic_bool welcomes_strangers;
};

/* The reason of OpenSSL's first error, and forget the rest. */
static int
tls_fail(struct err *err, int code, const char *what)
{
	unsigned long e = ERR_peek_error();
	const char *reason = e != 0 ? ERR_reason_error_string(e) : NULL;

	ERR_clear_error();
	return err_set(err, code, "%s: %s", what, reason != NULL ? reason : "unknown error");
}

/* Let every handshake finish: whether the certificate is any good is in SSL_get_verify_result, and only
 * tls_peer_certificate and its opposite ask. */
static int
verify_later(int ok, X509_STORE_CTX *ctx)
{
	(void)ok;
	(void)ctx;
	return 1;
}

/* Trust the certificate DER for clients, and name it as one whose certificates are welcome. */
static int
trust_add(SSL_CTX *ctx, const struct buf *der, struct err *err)
{
	const uint8_t *p = der->data;
	X509 *cert = d2i_X509(NULL, &p, (long)der->len);
	int rc = 0;

	if (cert == NULL || X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), cert) != 1 ||
	    SSL_CTX_add_client_CA(ctx, cert) != 1)
		rc = tls_fail(err, E_INPUT, "cannot trust a CA certificate");
	X509_free(cert);
	return rc;
}

static int
files_load(const struct tls *tls, SSL_CTX *ctx, struct err *err)
{
	if (SSL_CTX_use_certificate_chain_file(ctx, tls->chain_path) != 1)
		return tls_fail(err, E_INPUT, tls->chain_path);
	if (SSL_CTX_use_PrivateKey_file(ctx, tls->key_path, SSL_FILETYPE_PEM) != 1)
		return tls_fail(err, E_INPUT, tls->key_path);
	if (SSL_CTX_check_private_key(ctx) != 1)
		return tls_fail(err, E_INPUT, "the server's key is not its certificate's");
	return 0;
}

static bool
is_issued_by(const struct buf *der, X509 *cert)
{
	const uint8_t *p = der->data;
	X509 *ca = d2i_X509(NULL, &p, (long)der->len);
	bool is_issued = ca != NULL && X509_check_issued(ca, cert) == X509_V_OK;

	X509_free(ca);
	ERR_clear_error();
	return is_issued;
}

/* Is the server's certificate of one of our CAs'? Then which, and SERIAL_OUT[SERIAL_LEN]. Another's status is not ours to
 * tell. */
static bool
serial_of(const struct tls *tls, X509 *cert, size_t *ca_out, uint8_t *serial_out)
{
	const ASN1_INTEGER *serial = cert != NULL ? X509_get0_serialNumber(cert) : NULL;
	size_t i;

	if (serial == NULL || ASN1_STRING_length(serial) != SERIAL_LEN)
		return false;
	memcpy(serial_out, ASN1_STRING_get0_data(serial), SERIAL_LEN);
	for (i = 0; i < tls->n_cas; i++)
		if (is_issued_by(&tls->cas[i], cert)) {
			*ca_out = i;
			return true;
		}
	return false;
}

/* About the certificate of this very session: a reload may have put another one in its place meanwhile. */
static int
on_status(SSL *ssl, void *arg)
{
	struct tls *tls = arg;
	uint8_t serial[SERIAL_LEN], *copy;
	int rc = SSL_TLSEXT_ERR_NOACK;
	struct buf der = {0};
	size_t ca;

	if (tls->staple != NULL && serial_of(tls, SSL_get_certificate(ssl), &ca, serial) &&
	    tls->staple(tls->staple_ctx, ca, serial, &der) && !buf_failed(&der) &&
	    (copy = OPENSSL_memdup(der.data, der.len)) != NULL) {
		(void)SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)der.len); /* its own now */
		rc = SSL_TLSEXT_ERR_OK;
	}
	buf_clear(&der);
	return rc;
}

static int
ctx_new(const struct tls *tls, SSL_CTX **ctx_out, struct err *err)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	size_t i;
	int rc = 0;

	if (ctx == NULL)
		return tls_fail(err, E_NOMEM, "cannot set up TLS");
	(void)SSL_CTX_set_options(ctx,
	    SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	(void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_max_cert_list(ctx, PEER_CHAIN_MAX);
	SSL_CTX_set_verify_depth(ctx, PEER_DEPTH_MAX);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, verify_later);
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 || SSL_CTX_set_num_tickets(ctx, 0) != 1 ||
	    SSL_CTX_set_cipher_list(ctx, CIPHERS_12) != 1) {
		rc = tls_fail(err, E_SYS, "cannot set up TLS");
		goto out;
	}
	(void)SSL_CTX_set_tlsext_status_cb(ctx, on_status);
	(void)SSL_CTX_set_tlsext_status_arg(ctx, (void *)tls);
	for (i = 0; rc == 0 && i < tls->n_cas; i++)
		rc = trust_add(ctx, &tls->cas[i], err);
	if (rc == 0 && (rc = files_load(tls, ctx, err)) == 0) {
		*ctx_out = ctx;
		ctx = NULL;
	}
out:
	SSL_CTX_free(ctx);
	return rc;
}

int
tls_open(const char *chain_path, const char *key_path, const struct buf *const *cas, size_t n, struct tls **tls_out,
    struct err *err)
{
	struct tls *tls = calloc(1, sizeof *tls);
	bool failed = false;
	size_t i;
	int rc;

	if (tls == NULL)
		return err_nomem(err);
	(void)pthread_mutex_init(&tls->lock, NULL);
	for (i = 0; i < n && i < TLS_CAS_MAX; i++) {
		buf_append(&tls->cas[i], cas[i]->data, cas[i]->len);
		failed = failed || buf_failed(&tls->cas[i]);
	}
	tls->n_cas = i;
	if (!text_copy(tls->chain_path, sizeof tls->chain_path, chain_path) ||
	    !text_copy(tls->key_path, sizeof tls->key_path, key_path))
		rc = err_set(err, E_INPUT, "a path is longer than %d bytes", FS_PATH_MAX - 1);
	else if (failed)
		rc = err_nomem(err);
	else
		rc = ctx_new(tls, &tls->ctx, err);
	if (rc == 0)
		*tls_out = tls;
	else
		tls_close(tls);
	return rc;
}

/* Ask once for the present certificate's answer, so that it is being made before the first handshake wants it. */
static void
staple_ahead(struct tls *tls)
{
	uint8_t serial[SERIAL_LEN];
	struct buf der = {0};
	size_t ca = 0;
	bool is_ours;

	if (tls->staple == NULL)
		return;
	(void)pthread_mutex_lock(&tls->lock);
	is_ours = serial_of(tls, SSL_CTX_get0_certificate(tls->ctx), &ca, serial);
	(void)pthread_mutex_unlock(&tls->lock);
	if (is_ours)
		(void)tls->staple(tls->staple_ctx, ca, serial, &der);
	buf_clear(&der);
}

int
tls_reload(struct tls *tls, struct err *err)
{
	SSL_CTX *ctx = NULL, *old;
	int rc;

	if ((rc = ctx_new(tls, &ctx, err)) != 0)
		return rc;
	(void)pthread_mutex_lock(&tls->lock);
	old = tls->ctx;
	tls->ctx = ctx;
	(void)pthread_mutex_unlock(&tls->lock);
	SSL_CTX_free(old); /* sessions that use it hold it */
	staple_ahead(tls);
	return 0;
}

void
tls_staple(struct tls *tls, tls_staple_fn *fn, void *ctx)
{
	tls->staple = fn;
	tls->staple_ctx = ctx;
	staple_ahead(tls);
}

struct ssl_st *
tls_session(struct tls *tls)
{
	SSL *ssl;

	(void)pthread_mutex_lock(&tls->lock);
	ssl = SSL_new(tls->ctx);
	(void)pthread_mutex_unlock(&tls->lock);
	if (ssl != NULL && atomic_load_explicit(&tls->welcomes_strangers, memory_order_relaxed))
		SSL_set_client_CA_list(ssl, sk_X509_NAME_new_null()); /* out of memory: the context's */
	ERR_clear_error();
	return ssl;
}

void
tls_welcome_strangers(struct tls *tls)
{
	atomic_store_explicit(&tls->welcomes_strangers, true, memory_order_relaxed);
}

/* Is its end all that is wrong with it? The last error may hide another, so all is looked at again, as of the second before. */
static bool
has_only_ended(const SSL *ssl, X509 *cert)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	struct tm end;
	bool good = false;

	if (ctx != NULL && ASN1_TIME_to_tm(X509_get0_notAfter(cert), &end) == 1 &&
	    X509_STORE_CTX_init(ctx, SSL_CTX_get_cert_store(SSL_get_SSL_CTX(ssl)), cert, SSL_get_peer_cert_chain(ssl)) == 1 &&
	    X509_STORE_CTX_set_default(ctx, "ssl_client") == 1) {
		X509_STORE_CTX_set_depth(ctx, PEER_DEPTH_MAX);
		X509_STORE_CTX_set_time(ctx, 0, timegm(&end) - 1);
		good = X509_verify_cert(ctx) == 1;
	}
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
	return good;
}

static bool
is_believed(const SSL *ssl, X509 *cert)
{
	long result = SSL_get_verify_result(ssl);

	return result == X509_V_OK || (result == X509_V_ERR_CERT_HAS_EXPIRED && has_only_ended(ssl, cert));
}

bool
tls_peer_certificate(const struct ssl_st *ssl, struct buf *der_out)
{
	X509 *cert = SSL_get0_peer_certificate(ssl);
	uint8_t *at;
	int len;

	if (cert == NULL || !SSL_is_init_finished(ssl) || !is_believed(ssl, cert) ||
	    (len = i2d_X509(cert, NULL)) <= 0 || (at = buf_extend(der_out, (size_t)len)) == NULL)
		return false;
	return i2d_X509(cert, &at) == len;
}

static bool
pem_append(X509 *cert, struct buf *pem_out)
{
	uint8_t *der = NULL;
	int len = i2d_X509(cert, &der);

	if (len > 0)
		pem_encode(pem_out, "CERTIFICATE", der, (size_t)len);
	OPENSSL_free(der);
	return len > 0 && !buf_failed(pem_out);
}

bool
tls_peer_stranger(const struct ssl_st *ssl, struct buf *pem_out)
{
	X509 *cert = SSL_get0_peer_certificate(ssl);
	STACK_OF(X509) *others = SSL_get_peer_cert_chain(ssl); /* a client's without its own */
	int i;

	if (cert == NULL || SSL_get_verify_result(ssl) == X509_V_OK || !SSL_is_init_finished(ssl) ||
	    !pem_append(cert, pem_out))
		return false;
	for (i = 0; i < sk_X509_num(others); i++)
		if (!pem_append(sk_X509_value(others, i), pem_out))
			return false;
	return true;
}

void
tls_goodbye(struct ssl_st *ssl)
{
	if (SSL_is_init_finished(ssl))
		(void)SSL_shutdown(ssl);
	ERR_clear_error();
}

void
tls_close(struct tls *tls)
{
	size_t i;

	if (tls == NULL)
		return;
	SSL_CTX_free(tls->ctx);
	for (i = 0; i < tls->n_cas; i++)
		buf_clear(&tls->cas[i]);
	(void)pthread_mutex_destroy(&tls->lock);
	free(tls);
}

/* Handshakes with OpenSSL as the client, over memory: what its certificate is worth here. */
#include "x509_fixture.h"

#include "base/clock.h"
#include "base/fs.h"
#include "http/tls.h"
#include "x509/pem.h"

#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ID "6fa459ea-ee8a-4ca4-894e-db77e160355e"

struct fixture {
	struct fixture_ca ca, stranger; /* of the same name */
	struct buf ca_der;
	char dir[64], crt[80], key[80];
	struct tls *tls;
};

/* A certificate of CA for a fresh key, from FROM to TO, and the key. */
static X509 *
leaf_make(struct fixture_ca *ca, int64_t from, int64_t to, struct key **key_out)
{
	struct cert_spec spec = {.not_before = from, .not_after = to, .common_name = ID,
	    .key_usage = KU_DIGITAL_SIGNATURE, .ext_key_usage = EKU_CLIENT_AUTH | EKU_SERVER_AUTH};
	struct buf tbs = {0}, der = {0};
	struct err err = {0};
	const uint8_t *at;
	X509 *cert;

	assert_ok(key_generate(KEY_EC_P256, key_out, &err));
	assert_ok(cert_serial_make(spec.serial, &err));
	spec.spki = key_spki(*key_out, &spec.spki_len);
	assert_ok(cert_tbs_build(&spec, &ca->issuer, &tbs, &err));
	assert_ok(cert_sign(tbs.data, tbs.len, ca->key, &der, &err));
	at = der.data;
	assert_non_null(cert = d2i_X509(NULL, &at, (long)der.len));
	buf_clear(&tbs);
	buf_clear(&der);
	return cert;
}

/* Write a new certificate and key of the server's. */
static void
server_files(struct fixture *f, struct fixture_ca *ca)
{
	struct key *key = NULL;
	struct secret pem = {0};
	struct buf text = {0};
	struct err err = {0};
	uint8_t *der = NULL;
	X509 *cert = leaf_make(ca, FIXTURE_NOW, FIXTURE_NOW + FIXTURE_YEAR, &key);
	int len = i2d_X509(cert, &der);

	pem_encode(&text, "CERTIFICATE", der, (size_t)len);
	assert_ok(fs_write(f->crt, 0644, (gid_t)-1, text.data, text.len, &err));
	assert_ok(key_to_pem(key, &pem, &err));
	assert_ok(fs_write(f->key, 0600, (gid_t)-1, pem.data, pem.len, &err));
	secret_clear(&pem);
	buf_clear(&text);
	OPENSSL_free(der);
	X509_free(cert);
	key_free(key);
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	struct err err = {0};
	uint8_t *der;
	size_t len;

	assert_non_null(f);
	(void)snprintf(f->dir, sizeof f->dir, "/tmp/muster-test-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->crt, sizeof f->crt, "%s/crt", f->dir);
	(void)snprintf(f->key, sizeof f->key, "%s/key", f->dir);
	fixture_ca_init(&f->ca, KEY_EC_P256);
	fixture_ca_init(&f->stranger, KEY_EC_P256);
	der = fixture_der(f->ca.cert, &len);
	buf_append(&f->ca_der, der, len);
	OPENSSL_free(der);
	server_files(f, &f->ca);
	assert_ok(tls_open(f->crt, f->key, (const struct buf *[]){&f->ca_der}, 1, &f->tls, &err));
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	tls_close(f->tls);
	fixture_ca_clear(&f->ca);
	fixture_ca_clear(&f->stranger);
	buf_clear(&f->ca_der);
	(void)unlink(f->crt);
	(void)unlink(f->key);
	(void)rmdir(f->dir);
	free(f);
	return 0;
}

struct pair {
	SSL_CTX *ctx;
	SSL *client, *server;
};

static void
pair_open(struct pair *p, struct fixture *f, X509 *cert, const struct key *key)
{
	BIO *a, *b;
	EVP_PKEY *pkey;

	p->ctx = SSL_CTX_new(TLS_client_method());
	if (cert != NULL) {
		pkey = fixture_pkey(key);
		assert_int_equal(SSL_CTX_use_certificate(p->ctx, cert), 1);
		assert_int_equal(SSL_CTX_use_PrivateKey(p->ctx, pkey), 1);
		EVP_PKEY_free(pkey);
	}
	p->client = SSL_new(p->ctx);
	p->server = tls_session(f->tls);
	assert_non_null(p->server);
	assert_int_equal(BIO_new_bio_pair(&a, 0, &b, 0), 1);
	SSL_set_bio(p->client, a, a);
	SSL_set_bio(p->server, b, b);
	SSL_set_connect_state(p->client);
	SSL_set_accept_state(p->server);
}

static void
pair_close(struct pair *p)
{
	SSL_free(p->client);
	SSL_free(p->server);
	SSL_CTX_free(p->ctx);
}

/* Talk until both are done; false if either gives up. */
static bool
handshake(struct pair *p)
{
	int i, c = -1, s = -1;

	for (i = 0; i < 20 && (c != 1 || s != 1); i++) {
		c = SSL_do_handshake(p->client);
		s = SSL_do_handshake(p->server);
		if ((c != 1 && SSL_get_error(p->client, c) == SSL_ERROR_SSL) ||
		    (s != 1 && SSL_get_error(p->server, s) == SSL_ERROR_SSL))
			return false;
	}
	return c == 1 && s == 1;
}

/* F1: every client may shake hands, but is somebody only by a certificate of our CA, whose time has come. */
static void
test_what_a_certificate_is_worth(void **state)
{
	struct fixture *f = *state;
	struct {
		struct fixture_ca *ca; /* NULL: no certificate at all */
		int64_t from, to;
		bool counts;
	} cases[] = {
	    {&f->ca, clock_now() - 60, clock_now() + 3600, true},
	    {NULL, 0, 0, false},
	    {&f->ca, clock_now() - 3600, clock_now() - 60, true}, /* whether that is worth anything is decided by core */
	    {&f->stranger, clock_now() - 3600, clock_now() - 60, false},
	    {&f->ca, clock_now() + 3600, clock_now() + 7200, false},
	    {&f->stranger, clock_now() - 60, clock_now() + 3600, false},
	};
	size_t i;

	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct key *key = NULL;
		X509 *cert = cases[i].ca != NULL ? leaf_make(cases[i].ca, cases[i].from, cases[i].to, &key) : NULL;
		struct buf der = {0};
		struct pair pair;
		uint8_t *expected = NULL;

		pair_open(&pair, f, cert, key);
		assert_false(tls_peer_certificate(pair.server, &der)); /* nobody yet */
		assert_true(handshake(&pair));
		assert_int_equal(tls_peer_certificate(pair.server, &der), cases[i].counts);
		if (cases[i].counts) {
			assert_int_equal(i2d_X509(cert, &expected), der.len);
			assert_memory_equal(der.data, expected, der.len);
			OPENSSL_free(expected);
		} else {
			assert_int_equal(der.len, 0);
		}
		pair_close(&pair);
		buf_clear(&der);
		X509_free(cert);
		key_free(key);
	}
}

/* Its own self-signed certificate, and the CA's used as a client's: neither is anybody's. */
static void
test_a_self_signed_certificate(void **state)
{
	struct fixture *f = *state;
	struct key *key = NULL;
	struct buf der = {0};
	struct err err = {0};
	struct pair pair;
	X509 *cert;

	assert_ok(key_generate(KEY_EC_P256, &key, &err));
	cert = fixture_cert(key, NULL, "hash");
	pair_open(&pair, f, cert, key);
	assert_true(handshake(&pair));
	assert_false(tls_peer_certificate(pair.server, &der));
	pair_close(&pair);
	X509_free(cert);
	key_free(key);
	buf_clear(&der);
}

/* No old version, and no session that is resumed: a resumption is not a new look at the certificate. C6 */
static void
test_versions_and_sessions(void **state)
{
	static const struct {
		int max;
		bool good;
	} cases[] = {{TLS1_1_VERSION, false}, {TLS1_2_VERSION, true}, {TLS1_3_VERSION, true}};
	struct fixture *f = *state;
	size_t i;

	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		SSL_SESSION *session;
		struct pair pair;
		char byte;

		pair_open(&pair, f, NULL, NULL);
		SSL_set_security_level(pair.client, 0);
		assert_int_equal(SSL_set_max_proto_version(pair.client, cases[i].max), 1);
		assert_int_equal(SSL_set_min_proto_version(pair.client, TLS1_1_VERSION), 1);
		assert_int_equal(handshake(&pair), cases[i].good);
		if (!cases[i].good) {
			pair_close(&pair);
			continue;
		}
		(void)SSL_read(pair.client, &byte, 1); /* a ticket would come now */
		session = SSL_get1_session(pair.client);
		assert_false(SSL_SESSION_is_resumable(session) && SSL_SESSION_has_ticket(session));
		pair_close(&pair);
		pair_open(&pair, f, NULL, NULL);
		assert_int_equal(SSL_set_max_proto_version(pair.client, cases[i].max), 1);
		(void)SSL_set_session(pair.client, session);
		assert_true(handshake(&pair));
		assert_int_equal(SSL_session_reused(pair.client), 0);
		pair_close(&pair);
		SSL_SESSION_free(session);
	}
}

static void
server_is(struct fixture *f, uint8_t *serial, int *len_out)
{
	struct pair pair;
	X509 *cert;

	pair_open(&pair, f, NULL, NULL);
	assert_true(handshake(&pair));
	cert = SSL_get1_peer_certificate(pair.client);
	*len_out = ASN1_STRING_length(X509_get_serialNumber(cert));
	memcpy(serial, ASN1_STRING_get0_data(X509_get_serialNumber(cert)), (size_t)*len_out);
	X509_free(cert);
	pair_close(&pair);
}

/* I9: a bad file at a reload leaves the server as it was; a good one is there for the next connection. */
static void
test_reload(void **state)
{
	struct fixture *f = *state;
	uint8_t before[32], after[32];
	struct pair open_before;
	struct err err = {0};
	int n_before, n_after;

	server_is(f, before, &n_before);
	pair_open(&open_before, f, NULL, NULL);
	assert_ok(fs_write(f->key, 0600, (gid_t)-1, "nonsense", 8, &err));
	assert_int_equal(tls_reload(f->tls, &err), E_INPUT);
	server_is(f, after, &n_after);
	assert_int_equal(n_after, n_before);
	assert_memory_equal(after, before, (size_t)n_before);
	server_files(f, &f->ca);
	assert_ok(tls_reload(f->tls, &err));
	server_is(f, after, &n_after);
	assert_memory_not_equal(after, before, 16);
	assert_true(handshake(&open_before)); /* one that had begun goes on */
	pair_close(&open_before);
}

static void
test_files_that_do_not_fit(void **state)
{
	struct fixture *f = *state;
	struct buf garbage = {.data = (uint8_t *)f->dir, .len = 8};
	struct tls *tls = NULL;
	struct key *other = NULL;
	struct secret pem = {0};
	struct err err = {0};

	assert_int_equal(tls_open(f->crt, "/nonexistent", (const struct buf *[]){&f->ca_der}, 1, &tls, &err), E_INPUT);
	assert_non_null(strstr(err.text, "/nonexistent"));
	assert_int_equal(tls_open(f->crt, f->key, (const struct buf *[]){&f->ca_der, &garbage}, 2, &tls, &err), E_INPUT);
	assert_ok(key_generate(KEY_EC_P256, &other, &err));
	assert_ok(key_to_pem(other, &pem, &err));
	assert_ok(fs_write(f->key, 0600, (gid_t)-1, pem.data, pem.len, &err));
	assert_int_equal(tls_open(f->crt, f->key, (const struct buf *[]){&f->ca_der}, 1, &tls, &err), E_INPUT);
	assert_null(tls);
	tls_close(NULL);
	secret_clear(&pem);
	key_free(other);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_what_a_certificate_is_worth, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_a_self_signed_certificate, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_versions_and_sessions, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_reload, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_files_that_do_not_fit, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

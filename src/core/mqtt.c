/* libmosquitto reads keys from files alone, so the TLS context is made here: the key stays in memory, the broker's name is
 * checked by OpenSSL itself. A connection is used once. */
#include "core/mqtt.h"

#include "base/address.h"
#include "base/clock.h"
#include "base/text.h"
#include "core/roots.h"

#include <errno.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define KEEPALIVE_S 60
#define HANDSHAKE_MS 20000
#define MESSAGE_MAX 4096 /* bytes of one that the broker may send us */

struct mqtt {
	struct mosquitto *mosq;
	SSL_CTX *tls;
	const struct mqtt_events *events;
	void *ctx;
	char address[ADDRESS_TEXT_SIZE], filter[128];
	uint16_t port;
	bool is_ready;
	int refused; /* the broker's reason, or 0 */
	int64_t began_ms;
	char said[160]; /* by libmosquitto, about what went wrong */
};

/* ---- TLS --------------------------------------------------------------------------------------------------------- */

static int
tls_fail(struct err *err, const char *what)
{
	const char *reason = ERR_reason_error_string(ERR_peek_error());

	ERR_clear_error();
	return err_set(err, E_SYS, "%s: %s", what, reason != NULL ? reason : "unknown error");
}

static X509 *
x509_read(const uint8_t *der, size_t len)
{
	return d2i_X509(NULL, &der, (long)len);
}

static int
own_pair_set(SSL_CTX *ctx, const struct mqtt_spec *spec, struct err *err)
{
	BIO *bio = BIO_new_mem_buf(spec->key_pem->data, (int)spec->key_pem->len);
	EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
	X509 *cert = x509_read(spec->cert, spec->cert_len);
	X509 *issuing = x509_read(spec->issuing_der->data, spec->issuing_der->len);
	int rc = 0;

	if (key == NULL || cert == NULL || issuing == NULL || SSL_CTX_use_certificate(ctx, cert) != 1 ||
	    SSL_CTX_add1_chain_cert(ctx, issuing) != 1 || SSL_CTX_use_PrivateKey(ctx, key) != 1 ||
	    SSL_CTX_check_private_key(ctx) != 1)
		rc = tls_fail(err, "cannot use Muster's own certificate");
	X509_free(issuing);
	X509_free(cert);
	EVP_PKEY_free(key);
	BIO_free(bio);
	return rc;
}

static int
cert_trust(SSL_CTX *ctx, const struct buf *der, struct err *err)
{
	X509 *cert = x509_read(der->data, der->len);
	int rc = 0;

	if (cert == NULL || X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), cert) != 1)
		rc = tls_fail(err, "cannot set up whom to trust");
	X509_free(cert);
	return rc;
}

/* Trust the home's roots, and the broker alone that has the name. */
static int
peer_set(SSL_CTX *ctx, const struct mqtt_spec *spec, struct err *err)
{
	X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx);
	int rc = 0;
	size_t i;

	for (i = 0; rc == 0 && i < spec->roots->n; i++)
		rc = cert_trust(ctx, &spec->roots->ders[i], err);
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (rc != 0 || (rc = cert_trust(ctx, spec->issuing_der, err)) != 0)
		return rc;
	if ((X509_VERIFY_PARAM_set1_ip_asc(param, spec->name) != 1 &&
		X509_VERIFY_PARAM_set1_host(param, spec->name, 0) != 1))
		rc = tls_fail(err, "cannot set up whom to trust");
	ERR_clear_error(); /* a name is no address */
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	return rc;
}

static int
tls_new(const struct mqtt_spec *spec, SSL_CTX **ctx_out, struct err *err)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	int rc;

	if (ctx == NULL)
		return tls_fail(err, "cannot set up TLS");
	(void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	/* libmosquitto's way of writing. */
	(void)SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1)
		rc = tls_fail(err, "cannot set up TLS");
	else if ((rc = own_pair_set(ctx, spec, err)) == 0)
		rc = peer_set(ctx, spec, err);
	if (rc == 0)
		*ctx_out = ctx;
	else
		SSL_CTX_free(ctx);
	return rc;
}

/* ---- what libmosquitto tells --------------------------------------------------------------------------------------- */

static void
on_connect(struct mosquitto *mosq, void *ctx, int code)
{
	struct mqtt *m = ctx;

	if (code != 0)
		m->refused = code;
	else if (mosquitto_subscribe(mosq, NULL, m->filter, 1) != MOSQ_ERR_SUCCESS)
		m->refused = MQTT_RC_UNSPECIFIED;
}

static void
on_subscribe(struct mosquitto *mosq, void *ctx, int mid, int n, const int *granted)
{
	struct mqtt *m = ctx;

	(void)mosq;
	(void)mid;
	if (n < 1 || granted[0] > 2)
		m->refused = n < 1 ? MQTT_RC_UNSPECIFIED : granted[0];
	else
		m->is_ready = true;
}

static void
on_publish(struct mosquitto *mosq, void *ctx, int mid, int code, const mosquitto_property *props)
{
	struct mqtt *m = ctx;

	(void)mosq;
	(void)props;
	m->events->published(m->ctx, mid, code < MQTT_RC_UNSPECIFIED); /* above are failures */
}

static void
on_message(struct mosquitto *mosq, void *ctx, const struct mosquitto_message *message)
{
	struct mqtt *m = ctx;

	(void)mosq;
	if (message->payloadlen >= 0 && message->payloadlen <= MESSAGE_MAX)
		m->events->message(m->ctx, message->topic, message->payload, (size_t)message->payloadlen);
}

static void
on_log(struct mosquitto *mosq, void *ctx, int level, const char *text)
{
	struct mqtt *m = ctx;

	(void)mosq;
	if (level == MOSQ_LOG_ERR && m->said[0] == '\0')
		(void)text_copy(m->said, sizeof m->said, text);
}

/* ---- the connection ------------------------------------------------------------------------------------------------ */

static int
begin(struct mqtt *m, const struct mqtt_spec *spec, struct err *err)
{
	int rc;

	mosquitto_connect_callback_set(m->mosq, on_connect);
	mosquitto_subscribe_callback_set(m->mosq, on_subscribe);
	mosquitto_publish_v5_callback_set(m->mosq, on_publish);
	mosquitto_message_callback_set(m->mosq, on_message);
	mosquitto_log_callback_set(m->mosq, on_log);
	if (mosquitto_int_option(m->mosq, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5) != MOSQ_ERR_SUCCESS ||
	    mosquitto_int_option(m->mosq, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0) != MOSQ_ERR_SUCCESS ||
	    mosquitto_void_option(m->mosq, MOSQ_OPT_SSL_CTX, m->tls) != MOSQ_ERR_SUCCESS)
		return err_set(err, E_SYS, "cannot set up MQTT");
	m->began_ms = clock_mono_ms();
	rc = mosquitto_connect_async(m->mosq, spec->address, spec->port, KEEPALIVE_S);
	if (rc == MOSQ_ERR_SUCCESS)
		return 0;
	return err_set(err, rc == MOSQ_ERR_NOMEM ? E_NOMEM : E_BUSY, "cannot reach the broker at %s port %u: %s", spec->address,
	    spec->port, rc == MOSQ_ERR_ERRNO ? strerror(errno) : m->said[0] != '\0' ? m->said : mosquitto_strerror(rc));
}

int
mqtt_open(const struct mqtt_spec *spec, struct mqtt **mqtt_out, struct err *err)
{
	struct mqtt *m = calloc(1, sizeof *m);
	int rc;

	if (m == NULL || mosquitto_lib_init() != MOSQ_ERR_SUCCESS) {
		free(m);
		return err_nomem(err);
	}
	m->events = spec->events;
	m->ctx = spec->ctx;
	m->port = spec->port;
	(void)text_copy(m->address, sizeof m->address, spec->address);
	if (!text_copy(m->filter, sizeof m->filter, spec->filter))
		rc = err_set(err, E_INPUT, "the filter is too long");
	else if ((rc = tls_new(spec, &m->tls, err)) == 0) {
		if ((m->mosq = mosquitto_new(spec->id, true, m)) == NULL)
			rc = err_nomem(err);
		else
			rc = begin(m, spec, err);
	}
	if (rc == 0)
		*mqtt_out = m;
	else
		mqtt_close(m);
	return rc;
}

void
mqtt_close(struct mqtt *m)
{
	if (m == NULL)
		return;
	if (m->mosq != NULL) {
		(void)mosquitto_disconnect(m->mosq);
		mosquitto_destroy(m->mosq);
	}
	SSL_CTX_free(m->tls);
	ERR_clear_error();
	(void)mosquitto_lib_cleanup();
	free(m);
}

int
mqtt_fd(const struct mqtt *m)
{
	return mosquitto_socket(m->mosq);
}

bool
mqtt_wants_write(const struct mqtt *m)
{
	return mosquitto_want_write(m->mosq);
}

bool
mqtt_is_ready(const struct mqtt *m)
{
	return m->is_ready;
}

/* Is there anybody? libmosquitto takes a connect() that failed for one that goes on, and may have read why it did. */
static int
connect_check(const struct mqtt *m, struct err *err)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof peer;

	if (getpeername(mosquitto_socket(m->mosq), (struct sockaddr *)&peer, &len) == 0)
		return 0;
	return err_set(err, E_BUSY, "cannot reach the broker at %s port %u", m->address, m->port);
}

int
mqtt_work(struct mqtt *m, bool readable, bool writable, struct err *err)
{
	int rc = MOSQ_ERR_SUCCESS;

	if (!m->is_ready && (readable || writable) && connect_check(m, err) != 0)
		return E_BUSY;
	if (readable)
		rc = mosquitto_loop_read(m->mosq, 1);
	if (rc == MOSQ_ERR_SUCCESS && writable)
		rc = mosquitto_loop_write(m->mosq, 1);
	if (rc == MOSQ_ERR_SUCCESS)
		rc = mosquitto_loop_misc(m->mosq);
	ERR_clear_error();
	if (m->refused != 0)
		return err_set(err, E_DENIED, "the broker refuses Muster's own service: %s", mosquitto_reason_string(m->refused));
	if (rc != MOSQ_ERR_SUCCESS || mosquitto_socket(m->mosq) < 0)
		return err_set(err, E_BUSY, "the broker: %s",
		    m->said[0] != '\0' ? m->said : rc == MOSQ_ERR_ERRNO ? strerror(errno) : mosquitto_strerror(rc));
	if (!m->is_ready && clock_mono_ms() - m->began_ms > HANDSHAKE_MS)
		return err_set(err, E_BUSY, "the broker does not answer");
	return 0;
}

int
mqtt_publish(struct mqtt *m, const char *topic, const void *data, size_t len, int *mid_out, struct err *err)
{
	int mid, rc = mosquitto_publish(m->mosq, &mid, topic, (int)len, data, 1, true);

	if (rc == MOSQ_ERR_SUCCESS)
		*mid_out = mid;
	else
		rc = err_set(err, rc == MOSQ_ERR_NOMEM ? E_NOMEM : rc == MOSQ_ERR_INVAL ? E_INPUT : E_BUSY, "cannot publish on %s: %s",
		    topic, mosquitto_strerror(rc));
	return rc;
}

/* OpenSSL alone, without an MQTT library: one packet each way is all that is asked, and a library would hide which
 * alert ended the handshake, which is the answer. */
#include "cmd/probe.h"

#include "core/settings.h"
#include "x509/pem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define TIMEOUT_S 5
#define CLIENT_ID_MAX 100 /* so that the packet's length is one byte */
#define MQTT_CONNECT 0x10
#define MQTT_CONNACK 0x20
#define MQTT_DISCONNECT 0xe0
#define MQTT_CLEAN_SESSION 0x02
#define MQTT_LEVEL_3_1_1 4
#define MQTT_LEVEL_NONE 0x7f
#define MQTT_REFUSED_LEVEL 1 /* section 3.2.2.3 */

struct session {
	SSL_CTX *ctx;
	SSL *ssl;
	int fd;
};

static const struct session closed = {NULL, NULL, -1};

static void
session_close(struct session *s)
{
	if (s->ssl != NULL && SSL_is_init_finished(s->ssl))
		(void)SSL_shutdown(s->ssl);
	SSL_free(s->ssl);
	SSL_CTX_free(s->ctx);
	if (s->fd >= 0)
		(void)close(s->fd);
	ERR_clear_error();
	*s = closed;
}

static int
tcp_connect(const char *listen, int *fd_out, struct err *err)
{
	const struct addrinfo hints = {.ai_flags = AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
	const struct timeval timeout = {TIMEOUT_S, 0};
	struct addrinfo *where = NULL;
	char host[64], service[8];
	uint16_t port;
	int fd, rc;

	if ((rc = settings_split_listen(listen, host, &port, err)) != 0)
		return rc;
	(void)snprintf(service, sizeof service, "%u", port);
	if (strcmp(host, "0.0.0.0") == 0)
		(void)snprintf(host, sizeof host, "127.0.0.1");
	else if (strcmp(host, "::") == 0)
		(void)snprintf(host, sizeof host, "::1");
	if ((rc = getaddrinfo(host, service, &hints, &where)) != 0)
		return err_set(err, E_BUSY, "cannot find %s: %s", listen, gai_strerror(rc));
	fd = socket(where->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* The time to send bounds connect(), too. */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) != 0 ||
	    connect(fd, where->ai_addr, where->ai_addrlen) != 0) {
		(void)err_sys(err, "nobody takes connections at %s", listen);
		err->code = E_BUSY;
		if (fd >= 0)
			(void)close(fd);
		rc = E_BUSY;
	} else {
		*fd_out = fd;
		rc = 0;
	}
	freeaddrinfo(where);
	return rc;
}

static int
client_load(SSL_CTX *ctx, const struct probe *p, struct err *err)
{
	if (p->cert_file == NULL)
		return 0;
	if (SSL_CTX_use_certificate_chain_file(ctx, p->cert_file) != 1)
		return err_set(err, E_INPUT, "cannot use the certificate %s", p->cert_file);
	if (SSL_CTX_use_PrivateKey_file(ctx, p->key_file, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_check_private_key(ctx) != 1)
		return err_set(err, E_INPUT, "cannot use the key %s: it is not that of %s", p->key_file, p->cert_file);
	return 0;
}

/* Why the last call failed: RESULT is its return value. */
static int
session_fail(const struct session *s, const struct probe *p, int result, struct err *err)
{
	int system = errno, kind = SSL_get_error(s->ssl, result);
	unsigned long e = ERR_peek_error();
	const char *reason = e != 0 ? ERR_reason_error_string(e) : NULL;
	int alert = ERR_GET_REASON(e) - SSL_AD_REASON_OFFSET;

	if (e != 0 && ERR_GET_LIB(e) == ERR_LIB_SSL && alert >= 0 && alert < 256)
		return err_set(err, E_DENIED, "%s refused by the TLS alert \"%s\"", p->listen,
		    SSL_alert_desc_string_long(alert));
	if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE)
		return err_set(err, E_SYS, "%s did not answer within %d s", p->listen, TIMEOUT_S);
	if (SSL_is_init_finished(s->ssl) &&
	    (kind == SSL_ERROR_ZERO_RETURN || kind == SSL_ERROR_SYSCALL || kind == SSL_ERROR_SSL))
		return err_set(err, E_DENIED, "%s closed the connection behind the handshake", p->listen);
	return err_set(err, E_SYS, "no TLS handshake with %s: %s", p->listen,
	    reason != NULL			   ? reason
		: kind == SSL_ERROR_SYSCALL && system != 0 ? strerror(system)
						   : "it closed the connection");
}

static int
session_open(const struct probe *p, int max_version, struct session *s_out, struct err *err)
{
	struct session s = closed;
	int rc, result;

	ERR_clear_error();
	if ((s.ctx = SSL_CTX_new(TLS_client_method())) == NULL ||
	    SSL_CTX_set_max_proto_version(s.ctx, max_version) != 1) {
		rc = err_nomem(err);
		goto out;
	}
	SSL_CTX_set_verify(s.ctx, SSL_VERIFY_NONE, NULL);
	if ((rc = client_load(s.ctx, p, err)) != 0 || (rc = tcp_connect(p->listen, &s.fd, err)) != 0)
		goto out;
	if ((s.ssl = SSL_new(s.ctx)) == NULL || SSL_set_fd(s.ssl, s.fd) != 1 ||
	    (p->name != NULL && SSL_set_tlsext_host_name(s.ssl, p->name) != 1)) {
		rc = err_nomem(err);
		goto out;
	}
	if ((result = SSL_connect(s.ssl)) != 1)
		rc = session_fail(&s, p, result, err);
out:
	if (rc == 0)
		*s_out = s;
	else
		session_close(&s);
	return rc;
}

static int
certificate_append(const X509 *cert, struct buf *pem, struct err *err)
{
	uint8_t *der = NULL;
	int len = i2d_X509(cert, &der);

	if (len <= 0)
		return err_nomem(err);
	pem_encode(pem, "CERTIFICATE", der, (size_t)len);
	OPENSSL_free(der);
	return buf_failed(pem) ? err_nomem(err) : 0;
}

int
probe_chain(const struct probe *p, struct buf *pem_out, struct err *err)
{
	struct session s = closed;
	STACK_OF(X509) *chain;
	int i, rc;

	if ((rc = session_open(p, 0, &s, err)) != 0)
		return rc;
	chain = SSL_get_peer_cert_chain(s.ssl); /* borrowed; a client sees the leaf in it, too */
	for (i = 0; rc == 0 && i < sk_X509_num(chain); i++)
		rc = certificate_append(sk_X509_value(chain, i), pem_out, err);
	session_close(&s);
	return rc;
}

int
probe_client(const struct probe *p, struct err *err)
{
	struct session s = closed;
	int rc;

	if ((rc = session_open(p, TLS1_2_VERSION, &s, err)) == 0)
		session_close(&s);
	return rc;
}

/* CONNECT of MQTT 3.1.1, section 3.1; returns its length. */
static size_t
connect_make(uint8_t *out, uint8_t level, const char *client_id)
{
	const uint8_t header[] = {0, 4, 'M', 'Q', 'T', 'T', level, MQTT_CLEAN_SESSION, 0, TIMEOUT_S};
	size_t len = strnlen(client_id, CLIENT_ID_MAX);

	out[0] = MQTT_CONNECT;
	out[1] = (uint8_t)(sizeof header + 2 + len);
	memcpy(out + 2, header, sizeof header);
	out[2 + sizeof header] = 0;
	out[3 + sizeof header] = (uint8_t)len;
	memcpy(out + 4 + sizeof header, client_id, len);
	return 4 + sizeof header + len;
}

static int
ask(const struct probe *p, uint8_t level, const char *client_id, unsigned *code_out, struct err *err)
{
	static const uint8_t goodbye[] = {MQTT_DISCONNECT, 0};
	uint8_t packet[CLIENT_ID_MAX + 16], answer[4];
	struct session s = closed;
	size_t got = 0;
	int rc, n;

	if ((rc = session_open(p, 0, &s, err)) != 0)
		return rc;
	n = SSL_write(s.ssl, packet, (int)connect_make(packet, level, client_id));
	while (n > 0 && got < sizeof answer)
		if ((n = SSL_read(s.ssl, answer + got, (int)(sizeof answer - got))) > 0)
			got += (size_t)n;
	if (n <= 0)
		rc = session_fail(&s, p, n, err);
	else if (answer[0] != MQTT_CONNACK || answer[1] != 2)
		rc = err_set(err, E_SYS, "%s does not speak MQTT 3.1.1", p->listen);
	else {
		(void)SSL_write(s.ssl, goodbye, sizeof goodbye);
		*code_out = answer[3];
	}
	session_close(&s);
	return rc;
}

int
probe_mqtt(const struct probe *p, const char *client_id, unsigned *code_out, struct err *err)
{
	return ask(p, MQTT_LEVEL_3_1_1, client_id, code_out, err);
}

int
probe_speaks(const struct probe *p, struct err *err)
{
	unsigned code;
	int rc;

	if ((rc = ask(p, MQTT_LEVEL_NONE, "", &code, err)) == 0 && code != MQTT_REFUSED_LEVEL)
		rc = err_set(err, E_SYS, "%s answers a version of MQTT that there is not with code %u", p->listen, code);
	return rc;
}

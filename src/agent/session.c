/* The broker keeps the session (clean_session is off): commands that come while we are away wait there. */
#include "agent/session.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <mosquitto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEEPALIVE_S 60
#define HANDSHAKE_MS 20000

struct session {
	struct session_spec spec;
	struct mosquitto *mosq;
	enum session_state state;
	int64_t began_ms; /* to connect */
	size_t outstanding;
	bool was_refused;
	char why[200];
	char said[160]; /* by libmosquitto, about what went wrong */
};

static void
on_connect(struct mosquitto *mosq, void *ctx, int code)
{
	struct session *s = ctx;
	size_t i;

	if (code != 0) {
		s->was_refused = true;
		(void)snprintf(s->why, sizeof s->why, "the broker refuses: %s", mosquitto_connack_string(code));
		return;
	}
	s->state = SESSION_CONNECTED;
	for (i = 0; i < s->spec.n_filters; i++)
		(void)mosquitto_subscribe(mosq, NULL, s->spec.filters[i], 1);
}

static void
on_subscribe(struct mosquitto *mosq, void *ctx, int mid, int n, const int *granted)
{
	(void)mosq;
	(void)ctx;
	(void)mid;
	if (n > 0 && granted[0] > 2)
		log_warn("the broker refuses a subscription: the device's policy must let it read its commands and control topics");
}

static void
on_publish(struct mosquitto *mosq, void *ctx, int mid)
{
	struct session *s = ctx;

	(void)mosq;
	(void)mid;
	if (s->outstanding > 0)
		s->outstanding--;
}

static void
on_message(struct mosquitto *mosq, void *ctx, const struct mosquitto_message *message)
{
	struct session *s = ctx;

	(void)mosq;
	s->spec.on_message(s->spec.ctx, message->topic, message->payload, (size_t)message->payloadlen);
}

static void
on_log(struct mosquitto *mosq, void *ctx, int level, const char *text)
{
	struct session *s = ctx;

	(void)mosq;
	if (level == MOSQ_LOG_ERR && s->said[0] == '\0')
		(void)text_copy(s->said, sizeof s->said, text);
}

int
session_new(const struct session_spec *spec, struct session **out, struct err *err)
{
	struct session *s = calloc(1, sizeof *s);

	if (s == NULL || mosquitto_lib_init() != MOSQ_ERR_SUCCESS) {
		free(s);
		return err_nomem(err);
	}
	s->spec = *spec;
	if ((s->mosq = mosquitto_new(spec->id, false, s)) == NULL) {
		session_free(s);
		return err_nomem(err);
	}
	mosquitto_connect_callback_set(s->mosq, on_connect);
	mosquitto_subscribe_callback_set(s->mosq, on_subscribe);
	mosquitto_publish_callback_set(s->mosq, on_publish);
	mosquitto_message_callback_set(s->mosq, on_message);
	mosquitto_log_callback_set(s->mosq, on_log);
	*out = s;
	return 0;
}

void
session_free(struct session *s)
{
	if (s == NULL)
		return;
	mosquitto_destroy(s->mosq);
	(void)mosquitto_lib_cleanup();
	free(s);
}

enum session_state
session_state(const struct session *s)
{
	return s->state;
}

const char *
session_why(const struct session *s)
{
	return s->why;
}

bool
session_was_refused(const struct session *s)
{
	return s->was_refused;
}

int
session_fd(const struct session *s)
{
	return s->state == SESSION_IDLE ? -1 : mosquitto_socket(s->mosq);
}

bool
session_wants_write(const struct session *s)
{
	return mosquitto_want_write(s->mosq);
}

size_t
session_outstanding(const struct session *s)
{
	return s->outstanding;
}

/* The connection is gone. Before the broker's answer, whoever hung up may well have done so because of us: TLS 1.3 tells
 * a client that its certificate is refused only after the handshake. */
static void
lost(struct session *s, int rc)
{
	const char *text = rc == MOSQ_ERR_ERRNO ? strerror(errno) : mosquitto_strerror(rc);

	if (s->state == SESSION_CONNECTING && s->why[0] == '\0') {
		s->was_refused = true;
		(void)snprintf(s->why, sizeof s->why, "no answer from the broker: %s", s->said[0] != '\0' ? s->said : text);
	} else if (s->why[0] == '\0')
		(void)snprintf(s->why, sizeof s->why, "the connection was lost: %s", text);
	s->state = SESSION_IDLE;
}

int
session_connect(struct session *s, const char *pair_path, struct err *err)
{
	int rc;

	s->why[0] = s->said[0] = '\0';
	s->was_refused = false;
	if ((rc = mosquitto_tls_set(s->mosq, s->spec.ca_path, NULL, pair_path, pair_path, NULL)) != MOSQ_ERR_SUCCESS)
		return err_set(err, rc == MOSQ_ERR_NOMEM ? E_NOMEM : E_INPUT, "cannot use %s with %s: %s", pair_path,
		    s->spec.ca_path, mosquitto_strerror(rc));
	s->state = SESSION_CONNECTING;
	s->began_ms = clock_mono_ms();
	rc = mosquitto_connect(s->mosq, s->spec.host, s->spec.port, KEEPALIVE_S);
	if (rc == MOSQ_ERR_SUCCESS)
		return 0;
	if (rc == MOSQ_ERR_TLS) {
		lost(s, rc);
		return err_set(err, E_BUSY, "%s", s->why);
	}
	s->state = SESSION_IDLE;
	(void)snprintf(s->why, sizeof s->why, "cannot reach the broker at %s:%d: %s", s->spec.host, s->spec.port,
	    rc == MOSQ_ERR_ERRNO ? strerror(errno) : mosquitto_strerror(rc));
	return err_set(err, E_BUSY, "%s", s->why);
}

void
session_work(struct session *s, bool readable, bool writable)
{
	int rc = MOSQ_ERR_SUCCESS;

	if (s->state == SESSION_IDLE)
		return;
	if (readable)
		rc = mosquitto_loop_read(s->mosq, 1);
	if (rc == MOSQ_ERR_SUCCESS && writable)
		rc = mosquitto_loop_write(s->mosq, 1);
	if (rc == MOSQ_ERR_SUCCESS)
		rc = mosquitto_loop_misc(s->mosq);
	if (rc != MOSQ_ERR_SUCCESS || mosquitto_socket(s->mosq) < 0)
		lost(s, rc);
	else if (s->state == SESSION_CONNECTING && clock_mono_ms() - s->began_ms > HANDSHAKE_MS) {
		(void)text_copy(s->said, sizeof s->said, "it takes too long");
		(void)mosquitto_disconnect(s->mosq);
		lost(s, MOSQ_ERR_KEEPALIVE);
	}
}

int
session_publish(struct session *s, const char *topic, const void *data, size_t len, struct err *err)
{
	int rc;

	if (s->state != SESSION_CONNECTED)
		return err_set(err, E_BUSY, "not connected");
	rc = mosquitto_publish(s->mosq, NULL, topic, (int)len, data, 1, false);
	/* Without a connection it is queued all the same, for the next one. */
	if (rc == MOSQ_ERR_SUCCESS || rc == MOSQ_ERR_NO_CONN || rc == MOSQ_ERR_CONN_LOST || rc == MOSQ_ERR_ERRNO) {
		s->outstanding++;
		return 0;
	}
	return err_set(err, rc == MOSQ_ERR_NOMEM ? E_NOMEM : E_INPUT, "cannot publish on %s: %s", topic, mosquitto_strerror(rc));
}

void
session_end(struct session *s)
{
	if (s->state != SESSION_IDLE)
		(void)mosquitto_disconnect(s->mosq);
	s->state = SESSION_IDLE;
	s->why[0] = '\0';
	s->was_refused = false;
}

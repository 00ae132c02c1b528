/* The connection to the broker: MQTT 3.1.1 over mutual TLS, by libmosquitto, without threads. The caller polls session_fd
 * and calls session_work. What was published with QoS 1 and not acknowledged survives reconnections, with another pair, too. */
#ifndef MUSTER_AGENT_SESSION_H
#define MUSTER_AGENT_SESSION_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum session_state { SESSION_IDLE, SESSION_CONNECTING, SESSION_CONNECTED };

struct session;

/* Called from session_work. TOPIC and DATA are borrowed. */
typedef void session_message_fn(void *ctx, const char *topic, const void *data, size_t len);

struct session_spec {
	const char *host, *id, *ca_path; /* borrowed for as long as the session lives */
	int port;
	const char *const *filters; /* subscribed to at each connection; as long */
	size_t n_filters;
	session_message_fn *on_message;
	void *ctx;
};

/* E_NOMEM, E_SYS. */
MUST_CHECK int session_new(const struct session_spec *spec, struct session **out, struct err *err);
void session_free(struct session *s);

/* Begin to connect with the pair in PAIR_PATH, from SESSION_IDLE. Failing then or later, the session is SESSION_IDLE again,
 * and session_why tells. E_BUSY, E_INPUT: the files do not work. */
MUST_CHECK int session_connect(struct session *s, const char *pair_path, struct err *err);

enum session_state session_state(const struct session *s);

/* Why it is idle; and: did the broker, or TLS, refuse us, instead of not being there? */
const char *session_why(const struct session *s);
bool session_was_refused(const struct session *s);

/* -1 while idle. */
int session_fd(const struct session *s);
bool session_wants_write(const struct session *s);

/* Do what there is to do; at least every few seconds. */
void session_work(struct session *s, bool readable, bool writable);

/* Publish with QoS 1. E_BUSY unless connected; E_INPUT: not a topic; E_NOMEM. */
MUST_CHECK int session_publish(struct session *s, const char *topic, const void *data, size_t len, struct err *err);

/* Published and not acknowledged yet. */
size_t session_outstanding(const struct session *s);

/* Go to SESSION_IDLE, telling the broker. */
void session_end(struct session *s);

#endif

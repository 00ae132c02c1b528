/* From a handler's result to bytes: the one place that turns error codes into statuses, and that sets the
 * headers every answer carries. */
#ifndef MUSTER_HTTP_REPLY_H
#define MUSTER_HTTP_REPLY_H

#include "base/err.h"
#include "http/router.h"

#include <stdbool.h>

struct evbuffer;
struct ratelimit_report;
struct evhttp_connection;
struct evhttp_request;

/* The HTTP status of an error. */
int reply_status(const struct err *err);

/* Fill REPLY with the application/problem+json (RFC 9457) of ERR. STATUS 0 is reply_status(ERR). The text of
 * an internal error does not leave the house. */
void reply_problem(struct http_reply *reply, const struct err *err, int status, const char *request_id);

/* What the transport adds to a reply. */
struct reply_options {
	const char *request_id;
	const char *allow; /* Allow of a 405, or NULL */
	const struct ratelimit_report *quotas; /* RateLimit-Policy and RateLimit, or NULL */
	bool is_tls;
	bool is_head;	   /* everything but the body */
	bool must_close;
};

/* Write REPLY to EVREQ, which belongs to libevent from here on. Takes the body's memory. On the loop. False if memory
 * ran out and a bare 500 leaves instead. */
bool reply_send_take(
    struct evhttp_request *evreq, struct http_reply *reply, const struct reply_options *options);

/* Begin a reply whose body comes in parts: status line and headers. On the loop. */
void reply_begin(struct evhttp_request *evreq, struct http_reply *reply, const struct reply_options *options);

/* Send BODY, whose memory is taken, as the next part; LEFT is called when it has left, once or more often. Not for an
 * empty one. False when out of memory: the reply cannot go on. */
bool reply_part_take(struct evhttp_request *evreq, struct http_reply *reply,
    void (*left)(struct evhttp_connection *evcon, void *arg), void *arg);

/* That was the last part. */
void reply_end(struct evhttp_request *evreq);

/* Append REPLY to OUT, status line and all: the answer to what evhttp does not know of. On the loop. */
void reply_write(struct evbuffer *out, const struct http_reply *reply, const struct reply_options *options);

/* Free what a reply holds; `sent` is not called. */
void reply_clear(struct http_reply *reply);

#endif

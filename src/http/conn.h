/* Connections of one event loop: counted, found again, and cut at their deadlines, which libevent does not know
 * (it has an idle timeout, which a drop a minute keeps alive). */
#ifndef MUSTER_HTTP_CONN_H
#define MUSTER_HTTP_CONN_H

#include "base/err.h"
#include "http/framing.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bufferevent;
struct client;
struct clients;
struct event;
struct event_base;
struct evhttp_connection;
struct exchange;
struct tls;
struct traffic;

enum conn_state {
	CONN_WAITING,	/* for a request, or still in its handshake: idle_timeout */
	CONN_RECEIVING, /* a request has begun: request_timeout */
	CONN_WORKING,	/* it is at a worker, who ends by himself */
	CONN_SENDING,	/* its reply has begun: request_timeout */
	CONN_LEAVING	/* its last answer, a refusal, has begun: CONN_LEAVING_MS */
};

/* For a peer to notice that it was refused, and for what it still sends: read, and thrown away. */
#define CONN_LEAVING_MS 2000
#define CONN_LEAVING_MAX (8 * 1024 * 1024)

/* When the server ends, whoever has just been let in has so long for a first request: it could not know better. */
#define CONN_FIRST_MS 2000

/* Why a connection is not listened to any more. */
struct conn_refusal {
	int status;
	struct err err;
};

struct conn {
	struct conns *conns;
	bool is_counted; /* against the limit: those that come over a network */
	struct bufferevent *bev;
	struct evhttp_connection *evcon; /* NULL until it is attached */
	int fd;
	const struct client *client; /* whose it is, counted; or NULL */
	enum conn_state state;
	int64_t since_ms;
	bool is_overfull; /* it sent more than any request may hold */
	struct framing framing;
	uint64_t n_begun;	      /* requests that were answered, or are under way */
	struct conn_refusal *refusal; /* of what came behind all whole requests; NULL: nothing was wrong */
	size_t n_ignored;	      /* bytes behind that */
	bool is_cutting;
	struct exchange *exchange;
	struct exchange *unsettled; /* its reply has left, and somebody wants to know whether it arrived */
	struct conn *next; /* in the list of those to attach */
};

struct conns {
	struct event_base *base;
	size_t max, n_counted, n;
	struct clients *clients; /* shared by all loops */
	struct traffic *traffic;
	int64_t warned_ms;	 /* when a client last had too many, or 0 */
	size_t head_max, body_max;
	size_t input_max;	/* bytes that may wait unparsed */
	int64_t idle_ms, request_ms;
	struct conn **by_fd;	/* n_fds entries */
	size_t n_fds;
	struct conn *fresh;	/* created, not yet attached */
	struct event *chores;
	bool has_chores;	/* on some connection that is attached */
	/* The number of counted connections has passed the limit, one way or the other; or there are none any more. */
	void (*changed)(struct conns *conns, void *ctx);
	/* The connection has a refusal, which is its turn now: write it and call conn_leave. */
	void (*refused)(struct conn *conn, void *ctx);
	/* The connection goes; its exchange, if any, is still set. */
	void (*closed)(struct conn *conn, void *ctx);
	void *ctx;
};

/* The rest of CONNS is set already. False: out of memory. */
bool conns_init(struct conns *conns);

/* A bufferevent for a connection that evhttp is accepting; TLS unless NULL. Never NULL unless out of memory. */
struct bufferevent *conns_accept(struct conns *conns, struct tls *tls, bool is_counted);

/* The connection of EVCON; NULL if it is not ours to serve. */
struct conn *conns_find(const struct conns *conns, struct evhttp_connection *evcon);

/* evhttp has its next request whole. */
void conn_begin(struct conn *conn);

void conn_state_set(struct conn *conn, enum conn_state state);

/* Its reply has left: wait for the next request, which may be here already. */
void conn_next(struct conn *conn);

/* Take the connection from evhttp, send what is in its output, and close. */
void conn_leave(struct conn *conn);

/* Has the peer got all that was sent to it, as far as its system tells? Asked when the connection goes. */
bool conn_arrived(const struct conn *conn);

/* Has the peer gone? evhttp does not look while it waits for an answer. */
bool conn_has_left(const struct conn *conn);

/* Cut what is past its deadline; with IDLE also what waits, but for those whose first request may still come. */
void conns_sweep(struct conns *conns, bool idle);

bool conns_full(const struct conns *conns);

/* After evhttp has freed the connections. */
void conns_clear(struct conns *conns);

#endif

/* evhttp creates its connections itself and tells nobody; it only asks us for a bufferevent. So a connection is
 * noted when that is made, and attached in a callback right after, when evhttp has made its part and put itself
 * into the bufferevent's callbacks. Both happen in the same pass of the loop, before any byte is read. */
#include "http/conn.h"

#include "base/clock.h"
#include "base/log.h"
#include "http/clients.h"
#include "http/tls.h"
#include "http/traffic.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#define WARN_MS 60000

static void
conn_free(struct conn *conn)
{
	struct conns *conns = conn->conns;

	conns->n--;
	traffic_add(conns->traffic, TRAFFIC_OPEN, -1);
	if (conn->is_counted)
		conns->n_counted--;
	clients_leave(conns->clients, conn->client);
	free(conn->refusal);
	free(conn);
	conns->changed(conns, conns->ctx);
}

static void
on_closed(struct evhttp_connection *evcon, void *arg)
{
	struct conn *conn = arg;
	struct bufferevent *bev = evhttp_connection_get_bufferevent(evcon);
	struct ssl_st *ssl = bufferevent_openssl_get_ssl(bev);

	conn->conns->by_fd[conn->fd] = NULL;
	/* Before the goodbye, which is sent, too: what it was that arrived could not be told any more. */
	conn->conns->closed(conn, conn->conns->ctx);
	if (ssl != NULL && evbuffer_get_length(bufferevent_get_output(bev)) == 0)
		tls_goodbye(ssl);
	conn_free(conn);
}

static void
chores_add(struct conns *conns)
{
	conns->has_chores = true;
	event_active(conns->chores, EV_TIMEOUT, 0);
}

/* Leave INPUT with the first LEN of its bytes. False: out of memory. */
static bool
input_cut(struct conn *conn, struct evbuffer *input, size_t len)
{
	struct evbuffer *kept = evbuffer_new();
	bool ok;

	conn->is_cutting = true;
	ok = kept != NULL && evbuffer_remove_buffer(input, kept, len) == (int)len;
	(void)evbuffer_drain(input, evbuffer_get_length(input));
	ok = ok && evbuffer_add_buffer(input, kept) == 0;
	conn->is_cutting = false;
	if (kept != NULL)
		evbuffer_free(kept);
	return ok;
}

/* Look at the last LEN bytes of INPUT, and take away what evhttp must not see. False: the connection is lost. */
static bool
input_frame(struct conn *conn, struct evbuffer *input, size_t len)
{
	size_t whole = evbuffer_get_length(input), good;
	struct evbuffer_ptr at;
	struct evbuffer_iovec piece;
	struct err err = {0};
	int status;

	for (; len > 0; len -= piece.iov_len) {
		if (evbuffer_ptr_set(input, &at, whole - len, EVBUFFER_PTR_SET) != 0 ||
		    evbuffer_peek(input, (ev_ssize_t)len, &at, &piece, 1) < 1)
			return false;
		if (piece.iov_len > len)
			piece.iov_len = len;
		if (framing_feed(&conn->framing, piece.iov_base, piece.iov_len, &good, &status, &err) == 0)
			continue;
		if ((conn->refusal = malloc(sizeof *conn->refusal)) == NULL)
			return false;
		*conn->refusal = (struct conn_refusal){status, err};
		chores_add(conn->conns);
		return input_cut(conn, input, whole - len + good);
	}
	return true;
}

/* Bytes have come, and evhttp has not seen them yet. Called from within the bufferevent: answering or cutting the
 * connection must wait for the chores. What comes behind a fault is thrown away. */
static void
on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg)
{
	struct conn *conn = arg;

	if (info->n_added == 0 || conn->is_cutting)
		return;
	if (conn->state == CONN_WAITING)
		conn_state_set(conn, CONN_RECEIVING);
	if (conn->refusal != NULL || conn->is_overfull) {
		(void)input_cut(conn, input, evbuffer_get_length(input) - info->n_added);
		conn->n_ignored += info->n_added;
		conn->is_overfull = conn->is_overfull || conn->n_ignored > CONN_LEAVING_MAX;
		if (conn->is_overfull)
			chores_add(conn->conns);
	} else if (!input_frame(conn, input, info->n_added) ||
	    evbuffer_get_length(input) > conn->conns->input_max) {
		conn->is_overfull = true;
		chores_add(conn->conns);
	}
}

/* Is it the refusal's turn? */
static bool
is_refused(const struct conn *conn)
{
	return conn->refusal != NULL && conn->n_begun == conn->framing.n_whole &&
	    (conn->state == CONN_WAITING || conn->state == CONN_RECEIVING);
}

static bool
by_fd_grow(struct conns *conns, size_t fd)
{
	size_t n = conns->n_fds > 0 ? conns->n_fds : 64;
	struct conn **bigger;

	while (n <= fd)
		n *= 2;
	if (n == conns->n_fds)
		return true;
	if ((bigger = realloc(conns->by_fd, n * sizeof *bigger)) == NULL)
		return false;
	while (conns->n_fds < n)
		bigger[conns->n_fds++] = NULL;
	conns->by_fd = bigger;
	return true;
}

/* Close the connection of CLIENT that has been idle for the longest time. False: none is. */
static bool
idle_close(struct conns *conns, const struct client *client)
{
	struct conn *conn, *oldest = NULL;
	size_t i;

	for (i = 0; i < conns->n_fds; i++)
		if ((conn = conns->by_fd[i]) != NULL && conn->client == client && conn->state == CONN_WAITING &&
		    (oldest == NULL || conn->since_ms < oldest->since_ms))
			oldest = conn;
	if (oldest != NULL)
		evhttp_connection_free(oldest->evcon);
	return oldest != NULL;
}

/* May its client have one more? What is idle makes room: a client that opens connections and forgets them, or leaves
 * them to the many behind its address, is still served. */
static bool
conn_admit(struct conn *conn)
{
	struct conns *conns = conn->conns;
	const struct client *client;
	struct err err = {0};
	char *peer = NULL;
	uint16_t port;
	int rc;

	if (!conn->is_counted)
		return true;
	evhttp_connection_get_peer(conn->evcon, &peer, &port);
	while ((rc = clients_enter(conns->clients, peer, &client, &err)) == E_LIMIT && idle_close(conns, client))
		continue;
	if (rc == 0) {
		conn->client = client;
		return true;
	}
	traffic_add(conns->traffic, TRAFFIC_REFUSED, 1);
	if (conns->warned_ms == 0 || clock_mono_ms() - conns->warned_ms >= WARN_MS) {
		log_warn("a connection is refused: %s", err.text);
		conns->warned_ms = clock_mono_ms();
	}
	return false;
}

/* A connection that cannot be attached is not served: evhttp's own part of it is cut, or gone already. */
static void
conn_attach(struct conn *conn)
{
	struct conns *conns = conn->conns;
	struct bufferevent *bev = conn->bev;
	bufferevent_event_cb eventcb;
	bufferevent_data_cb readcb;
	void *evcon;

	bufferevent_getcb(bev, &readcb, NULL, &eventcb, &evcon);
	conn->fd = bufferevent_getfd(bev);
	if (readcb == NULL || eventcb == NULL || conn->fd < 0) {
		(void)evbuffer_remove_cb(bufferevent_get_input(bev), on_input, conn);
		conn_free(conn);
	} else if (!by_fd_grow(conns, (size_t)conn->fd)) {
		(void)evbuffer_remove_cb(bufferevent_get_input(bev), on_input, conn);
		conn_free(conn);
		evhttp_connection_free(evcon);
	} else {
		conn->evcon = evcon;
		conns->by_fd[conn->fd] = conn;
		evhttp_connection_set_closecb(conn->evcon, on_closed, conn);
		if (!conn_admit(conn))
			evhttp_connection_free(evcon);
	}
	bufferevent_decref(bev);
}

static void
on_chores(evutil_socket_t fd, short what, void *arg)
{
	struct conns *conns = arg;
	struct conn *conn;
	size_t i;

	(void)fd;
	(void)what;
	while ((conn = conns->fresh) != NULL) {
		conns->fresh = conn->next;
		conn_attach(conn);
	}
	if (!conns->has_chores)
		return;
	conns->has_chores = false;
	for (i = 0; i < conns->n_fds; i++) {
		if ((conn = conns->by_fd[i]) == NULL)
			continue;
		if (conn->is_overfull)
			evhttp_connection_free(conn->evcon);
		else if (is_refused(conn))
			conns->refused(conn, conns->ctx);
	}
}

bool
conns_init(struct conns *conns)
{
	conns->chores = event_new(conns->base, -1, 0, on_chores, conns);
	return conns->chores != NULL;
}

struct bufferevent *
conns_accept(struct conns *conns, struct tls *tls, bool is_counted)
{
	struct conn *conn = calloc(1, sizeof *conn);
	struct ssl_st *ssl = conn != NULL && tls != NULL ? tls_session(tls) : NULL;
	struct bufferevent *bev = NULL;

	/* Without a bufferevent evhttp would make a plain one, which no conn belongs to and nobody serves. */
	if (conn != NULL && ssl != NULL)
		bev = bufferevent_openssl_socket_new(
		    conns->base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
	else if (conn != NULL && tls == NULL)
		bev = bufferevent_socket_new(conns->base, -1, BEV_OPT_CLOSE_ON_FREE);
	if (bev == NULL ||
	    evbuffer_add_cb(bufferevent_get_input(bev), on_input, conn) == NULL) {
		free(conn);
		return bev;
	}
	bufferevent_incref(bev);
	*conn = (struct conn){.conns = conns,
	    .bev = bev,
	    .is_counted = is_counted,
	    .framing = {.head_max = conns->head_max, .body_max = conns->body_max},
	    .next = conns->fresh};
	conn_state_set(conn, CONN_WAITING);
	conns->fresh = conn;
	conns->n++;
	traffic_add(conns->traffic, TRAFFIC_OPEN, 1);
	traffic_add(conns->traffic, TRAFFIC_ACCEPTED, 1);
	conns->n_counted += is_counted ? 1 : 0;
	event_active(conns->chores, EV_TIMEOUT, 0);
	if (conns_full(conns))
		conns->changed(conns, conns->ctx);
	return bev;
}

struct conn *
conns_find(const struct conns *conns, struct evhttp_connection *evcon)
{
	int fd = bufferevent_getfd(evhttp_connection_get_bufferevent(evcon));

	if (fd < 0 || (size_t)fd >= conns->n_fds || conns->by_fd[fd] == NULL ||
	    conns->by_fd[fd]->evcon != evcon)
		return NULL;
	return conns->by_fd[fd];
}

void
conn_begin(struct conn *conn)
{
	conn->n_begun++;
	conn_state_set(conn, CONN_WORKING);
}

void
conn_state_set(struct conn *conn, enum conn_state state)
{
	conn->state = state;
	conn->since_ms = clock_mono_ms();
}

void
conn_next(struct conn *conn)
{
	bool has_more = evbuffer_get_length(bufferevent_get_input(conn->bev)) > 0;

	conn_state_set(conn, has_more ? CONN_RECEIVING : CONN_WAITING);
	if (conn->refusal != NULL)
		chores_add(conn->conns);
}

/* The refusal has left. A close with unread input would be a reset, which can overtake it. */
static void
on_left(struct bufferevent *bev, void *arg)
{
	struct conn *conn = arg;
	struct ssl_st *ssl = bufferevent_openssl_get_ssl(bev);

	if (ssl != NULL)
		tls_goodbye(ssl);
	(void)shutdown(conn->fd, SHUT_WR);
}

static void
on_peer_left(struct bufferevent *bev, short what, void *arg)
{
	struct conn *conn = arg;

	(void)bev;
	(void)what;
	evhttp_connection_free(conn->evcon);
}

void
conn_leave(struct conn *conn)
{
	(void)evbuffer_drain(bufferevent_get_input(conn->bev), SIZE_MAX);
	bufferevent_setcb(conn->bev, NULL, on_left, on_peer_left, conn);
	(void)bufferevent_enable(conn->bev, EV_READ | EV_WRITE);
	conn_state_set(conn, CONN_LEAVING);
}

bool
conn_arrived(const struct conn *conn)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof info;

	/* A peer that goes without having read everything resets the connection; one that has, ends it. */
	if (getsockopt(conn->fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
		return true; /* the Unix socket */
	return info.tcpi_state != TCP_CLOSE && info.tcpi_unacked == 0;
}

bool
conn_has_left(const struct conn *conn)
{
	struct pollfd fd = {.fd = conn->fd, .events = POLLRDHUP};

	return poll(&fd, 1, 0) > 0 && (fd.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

static bool
is_late(const struct conns *conns, const struct conn *conn, int64_t now_ms)
{
	int64_t age_ms = now_ms - conn->since_ms;

	switch (conn->state) {
	case CONN_WAITING:
		return age_ms >= conns->idle_ms;
	case CONN_WORKING:
		return false;
	case CONN_LEAVING:
		return age_ms >= CONN_LEAVING_MS;
	case CONN_RECEIVING:
	case CONN_SENDING:
		break;
	}
	return age_ms >= conns->request_ms;
}

static bool
is_idle(const struct conn *conn, int64_t now_ms)
{
	return conn->state == CONN_WAITING && (conn->n_begun > 0 || now_ms - conn->since_ms >= CONN_FIRST_MS);
}

void
conns_sweep(struct conns *conns, bool idle)
{
	int64_t now_ms = clock_mono_ms();
	struct conn *conn;
	size_t i;

	for (i = 0; i < conns->n_fds; i++)
		if ((conn = conns->by_fd[i]) != NULL &&
		    ((idle && is_idle(conn, now_ms)) || is_late(conns, conn, now_ms)))
			evhttp_connection_free(conn->evcon);
}

bool
conns_full(const struct conns *conns)
{
	return conns->n_counted >= conns->max;
}

void
conns_clear(struct conns *conns)
{
	struct conn *conn;

	while ((conn = conns->fresh) != NULL) {
		conns->fresh = conn->next;
		bufferevent_decref(conn->bev);
		free(conn->refusal);
		free(conn);
	}
	if (conns->chores != NULL)
		event_free(conns->chores);
	free(conns->by_fd);
	*conns = (struct conns){0};
}

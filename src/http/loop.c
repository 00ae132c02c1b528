/* Moves bytes and does TLS; whatever may block is a worker's. A worker gives an exchange back by putting it on the
 * list of those that are done and waking the loop through an eventfd, so nothing of libevent is shared between
 * threads. */
#include "http/loop.h"

#include "base/clock.h"
#include "base/pool.h"
#include "base/thread.h"
#include "core/feed.h"
#include "http/conn.h"
#include "http/exchange.h"
#include "http/reply.h"
#include "http/tls.h"
#include "http/traffic.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TICK_MS 500
#define GATHER_MS 10 /* news that comes in quick succession is told together */
#define INPUT_SLACK (64 * 1024) /* chunk framing, and what one read may bring beyond a request */
#define METHODS \
	(EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST | EVHTTP_REQ_PUT | EVHTTP_REQ_PATCH | \
	    EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS | EVHTTP_REQ_TRACE)

static const unsigned on_listeners[LISTENERS] = {
    [LISTENER_API] = ON_API, [LISTENER_PKI] = ON_PKI, [LISTENER_METRICS] = ON_METRICS, [LISTENER_SOCKET] = ON_API};

struct listener {
	struct loop *loop;
	enum listener_kind kind;
	struct evhttp *http;
	struct evhttp_bound_socket *bound; /* NULL: no more */
};

struct loop {
	const struct loop_config *config;
	struct event_base *base;
	struct listener listeners[LISTENERS];
	struct conns conns;
	struct event *wake, *tick;
	int wake_fd;
	bool is_draining; /* as the thread has understood it */
	LIST_HEAD(, exchange) parked;
	struct event *gather;
	int64_t told_ms; /* when those who wait were last woken */

	pthread_mutex_t lock; /* of what follows */
	struct exchange *done, **done_end;
	bool must_drain, must_stop, must_reload, has_news;

	pthread_t thread;
	bool is_started;
};

static void
loop_wake(struct loop *loop)
{
	const uint64_t one = 1;

	if (write(loop->wake_fd, &one, sizeof one) < 0) {
		/* Its counter is full: then it is awake. */
	}
}

/* The way of X ends here; what a handler wants to know may block, so a worker tells it. */
struct ending {
	struct exchange *x;
	bool whole;
};

static void
ending_run(void *arg)
{
	struct ending *ending = arg;

	exchange_end(ending->x, ending->whole);
	free(ending);
}

static void
finish(struct loop *loop, struct exchange *x, bool whole)
{
	struct ending *ending;
	struct err err = {0};

	if (x->reply.sent == NULL) {
		exchange_end(x, whole);
		return;
	}
	if ((ending = malloc(sizeof *ending)) != NULL) {
		*ending = (struct ending){x, whole};
		if (pool_submit(loop->config->pool, POOL_NORMAL, ending_run, ending, &err) == 0 ||
		    pool_submit(loop->config->pool, POOL_URGENT, ending_run, ending, &err) == 0)
			return;
		free(ending);
	}
	exchange_end(x, whole); /* better a slow loop than an audit with a gap */
}

/* Will evhttp close the connection behind this reply? Then nothing more will be known of it. */
static bool
is_last(struct evhttp_request *evreq)
{
	const char *connection = evhttp_find_header(evhttp_request_get_output_headers(evreq), "Connection");

	return connection != NULL ? strcasecmp(connection, "close") == 0 : evreq->minor == 0;
}

/* Has what was sent on CONN arrived? The peer's next request says so, or the way in which it goes. */
static void
settle(struct conn *conn, bool arrived)
{
	struct exchange *x = conn->unsettled;

	conn->unsettled = NULL;
	if (x != NULL)
		finish(x->loop, x, arrived);
}

/* The reply has left, for the kernel's buffers at least; evhttp frees the request after this. */
static void
on_complete(struct evhttp_request *evreq, void *arg)
{
	struct exchange *x = arg;
	struct conn *conn = x->conn;

	conn->exchange = NULL;
	conn_next(conn);
	x->conn = NULL;
	x->evreq = NULL;
	if (x->is_sending) {
		x->has_left = true;
		return;
	}
	if (x->reply.sent != NULL && x->is_whole && !is_last(evreq))
		conn->unsettled = x;
	else
		finish(x->loop, x, x->is_whole);
}

static void next_submit(struct exchange *x);

/* A part has left: now, and not before, is the time to make another one. */
static void
on_part_left(struct evhttp_connection *evcon, void *arg)
{
	struct exchange *x = arg;

	(void)evcon;
	if (x->is_sending)
		x->has_left = true;
	else if (x->conn->state == CONN_SENDING)
		next_submit(x);
}

/* Send what is in the reply's body, the first part or another one. libevent may call us back from within. */
static void
part_send(struct exchange *x)
{
	bool is_last = x->is_last_part, ok = true;

	if (x->reply.body.len == 0 && !is_last) {
		next_submit(x);
		return;
	}
	conn_state_set(x->conn, CONN_SENDING);
	x->is_sending = true;
	x->has_left = false;
	if (x->reply.body.len > 0)
		ok = reply_part_take(x->evreq, &x->reply, is_last ? NULL : on_part_left, x);
	if (ok && is_last && x->conn != NULL) {
		x->is_whole = true;
		reply_end(x->evreq);
	}
	x->is_sending = false;
	if (x->conn == NULL) {
		finish(x->loop, x, is_last && x->has_left);
	} else if (!ok) {
		evhttp_connection_free(x->conn->evcon);
	} else {
		(void)bufferevent_disable(x->conn->bev, EV_READ); /* as in reply_send */
		if (x->has_left)
			next_submit(x);
	}
}

/* Before the first byte leaves, so that whoever has the answer finds it counted. */
static void
answered(struct exchange *x)
{
	traffic_answered(x->loop->config->traffic, x->route, x->reply.status, clock_mono_us() - x->begun_us);
}

static void
reply_send(struct exchange *x)
{
	struct bufferevent *bev = x->conn->bev;
	const struct reply_options options = {
	    .request_id = x->request.http.id,
	    .quotas = &x->quotas,
	    .allow = x->reply.status == 405 ? x->allow : NULL,
	    .is_tls = bufferevent_openssl_get_ssl(bev) != NULL,
	    .is_head = x->request.is_head,
	    .must_close = x->request.must_close || x->loop->is_draining,
	};

	answered(x);
	conn_state_set(x->conn, CONN_SENDING);
	x->is_sent = true;
	evhttp_request_set_on_complete_cb(x->evreq, on_complete, x);
	if (x->reply.next != NULL) {
		reply_begin(x->evreq, &x->reply, &options);
		if (x->request.is_head) {
			buf_reset(&x->reply.body);
			x->is_last_part = true;
		}
		part_send(x);
		return;
	}
	x->is_whole = reply_send_take(x->evreq, &x->reply, &options);
	/* evhttp would read on to notice a close, and so take in without limit what is sent meanwhile. */
	(void)bufferevent_disable(bev, EV_READ);
}

/* On a worker. */
static void
work(void *arg)
{
	struct exchange *x = arg;
	struct loop *loop = x->loop;
	bool was_empty;

	if (x->is_sent)
		exchange_next(x);
	else
		exchange_answer(x);
	(void)pthread_mutex_lock(&loop->lock);
	was_empty = loop->done == NULL;
	x->next = NULL;
	*loop->done_end = x;
	loop->done_end = &x->next;
	(void)pthread_mutex_unlock(&loop->lock);
	if (was_empty)
		loop_wake(loop);
}

/* The credentials that the connection itself carries. */
static void
proof_fill(const struct listener *listener, const struct conn *conn, struct caller_proof *proof)
{
	const uid_t *admins = listener->loop->config->local_admins;
	struct ucred peer;
	socklen_t len = sizeof peer;
	struct ssl_st *ssl = bufferevent_openssl_get_ssl(conn->bev);
	size_t i;

	if (ssl != NULL && tls_peer_certificate(ssl, &proof->certificate))
		proof->via = CALLER_VIA_CERTIFICATE;
	else if (ssl != NULL && tls_peer_stranger(ssl, &proof->certificate))
		proof->via = CALLER_VIA_IDEVID;
	if (listener->kind != LISTENER_SOCKET ||
	    getsockopt(conn->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
		return;
	proof->via = CALLER_VIA_SOCKET;
	proof->uid = peer.uid;
	for (i = 0; i < sizeof listener->loop->config->local_admins / sizeof admins[0]; i++)
		proof->is_local_admin |= peer.uid == admins[i];
}

static const char *
peer_name(bool is_network, struct evhttp_connection *evcon)
{
	char *address = NULL;
	uint16_t port;

	if (!is_network)
		return "socket";
	evhttp_connection_get_peer(evcon, &address, &port);
	return address != NULL ? address : "unknown";
}

static int
work_submit(struct exchange *x, struct err *err)
{
	enum pool_lane lane = x->route->place == ROUTE_URGENT ? POOL_URGENT
	    : x->route->place == ROUTE_MEMORY		 ? POOL_LAST
								 : POOL_NORMAL;
	int rc;

	x->is_working = true;
	if ((rc = pool_submit(x->loop->config->pool, lane, work, x, err)) != 0)
		x->is_working = false;
	return rc;
}

static void
submit(struct exchange *x)
{
	struct err err = {0};

	if (work_submit(x, &err) != 0) {
		exchange_refuse(x, &err, 0);
		reply_send(x);
	}
}

static void
park(struct exchange *x, int64_t until_ms)
{
	x->is_parked = true;
	x->parked_until_ms = until_ms;
	LIST_INSERT_HEAD(&x->loop->parked, x, parked);
}

static void
unpark(struct exchange *x)
{
	x->is_parked = false;
	LIST_REMOVE(x, parked);
}

/* Have the next part of a body made. What has begun cannot be refused any more: without room among the workers it is
 * tried again with the next tick. */
static void
next_submit(struct exchange *x)
{
	conn_state_set(x->conn, CONN_WORKING);
	if (work_submit(x, NULL) != 0)
		park(x, 0);
}

/* X has nothing to tell yet. It waits here, at no worker, for news that it has not seen, for its time, or for the end of
 * the server. */
static void
wait_for_news(struct exchange *x)
{
	int64_t until_ms = x->begun_us / 1000 + x->reply.wait_s * 1000;
	bool is_over = x->loop->is_draining || clock_mono_ms() >= until_ms;

	if (is_over || feed_generation(x->core) != x->reply.wait_generation) {
		x->request.http.must_answer = is_over;
		x->reply.wait_s = 0;
		submit(x);
	} else {
		park(x, until_ms);
	}
}

/* Let those go on who have waited until NOW_MS, or ALL of them. */
static void
parked_resume(struct loop *loop, bool all, int64_t now_ms)
{
	struct exchange *x, *next;

	for (x = LIST_FIRST(&loop->parked); x != NULL; x = next) {
		next = LIST_NEXT(x, parked);
		if (!all && now_ms < x->parked_until_ms) {
			if (conn_has_left(x->conn))
				evhttp_connection_free(x->conn->evcon);
			continue;
		}
		unpark(x);
		if (x->is_sent)
			next_submit(x);
		else
			wait_for_news(x);
	}
}

/* At most every GATHER_MS, for each time costs a look at the store for each who waits. */
static void
news_tell(struct loop *loop)
{
	const struct timeval gather = {0, GATHER_MS * 1000};
	int64_t now_ms = clock_mono_ms();

	if (LIST_EMPTY(&loop->parked) || event_pending(loop->gather, EV_TIMEOUT, NULL) != 0)
		return;
	if (now_ms - loop->told_ms < GATHER_MS && event_add(loop->gather, &gather) == 0)
		return;
	loop->told_ms = now_ms;
	parked_resume(loop, true, now_ms);
}

static void
on_gather(evutil_socket_t fd, short what, void *arg)
{
	struct loop *loop = arg;

	(void)fd;
	(void)what;
	news_tell(loop);
}

/* A whole request has come. */
static void
on_request(struct evhttp_request *evreq, void *arg)
{
	struct listener *listener = arg;
	struct loop *loop = listener->loop;
	struct evhttp_connection *evcon = evhttp_request_get_connection(evreq);
	struct conn *conn = conns_find(&loop->conns, evcon);
	struct exchange *x;

	if (conn == NULL || (x = exchange_new(loop->config->core, loop, loop->config->traffic)) == NULL) {
		evhttp_connection_free(evcon);
		return;
	}
	settle(conn, true);
	conn_begin(conn);
	conn->exchange = x;
	x->conn = conn;
	x->evreq = evreq;
	proof_fill(listener, conn, &x->proof);
	if (exchange_begin(x, evreq, peer_name(conn->is_counted, evcon), on_listeners[listener->kind]))
		submit(x);
	else
		reply_send(x);
}

/* What CONN sent is no request: evhttp has not seen it, and so cannot answer it. */
static void
on_refused(struct conn *conn, void *ctx)
{
	struct loop *loop = ctx;
	struct exchange *x = exchange_new(loop->config->core, loop, loop->config->traffic);
	struct reply_options options = {.is_tls = bufferevent_openssl_get_ssl(conn->bev) != NULL, .must_close = true};

	if (x == NULL) {
		evhttp_connection_free(conn->evcon);
		return;
	}
	request_name(&x->request, peer_name(conn->is_counted, conn->evcon));
	exchange_refuse(x, &conn->refusal->err, conn->refusal->status);
	options.request_id = x->request.http.id;
	answered(x);
	reply_write(bufferevent_get_output(conn->bev), &x->reply, &options);
	exchange_end(x, true);
	conn_leave(conn);
}

/* The connection of CONN goes. A worker that has its exchange finds out when he is done. */
static void
on_closed(struct conn *conn, void *ctx)
{
	struct loop *loop = ctx;
	struct exchange *x = conn->exchange;

	settle(conn, conn_arrived(conn));
	if (x == NULL)
		return;
	/* evhttp leaves a request that was not answered, or not to its end, to us, if it was the peer who went. */
	if (evhttp_request_get_connection(x->evreq) == NULL)
		evhttp_request_free(x->evreq);
	x->conn = NULL;
	x->evreq = NULL;
	if (x->is_parked)
		unpark(x);
	if (!x->is_working && !x->is_sending)
		finish(loop, x, false);
}

/* Accept while there is room; end when there is nothing left to drain. */
static void
on_changed(struct conns *conns, void *ctx)
{
	struct loop *loop = ctx;
	size_t i;

	for (i = 0; i < LISTENERS; i++) {
		struct evconnlistener *lev;

		if (loop->listeners[i].bound == NULL || i == LISTENER_SOCKET)
			continue;
		lev = evhttp_bound_socket_get_listener(loop->listeners[i].bound);
		(void)(conns_full(conns) ? evconnlistener_disable(lev) : evconnlistener_enable(lev));
	}
	if (loop->is_draining && conns->n == 0)
		(void)event_base_loopbreak(loop->base);
}

/* accept failed, for want of descriptors or memory: try again with the next tick. */
static void
on_accept_error(struct evconnlistener *lev, void *ctx)
{
	(void)ctx;
	(void)evconnlistener_disable(lev);
}

/* What the configuration says now. A connection that is there already keeps evhttp's, which are only a second wall:
 * framing.c refuses sooner. */
static void
limits_apply(struct loop *loop)
{
	const struct settings *s = &core_config(loop->config->core)->settings;
	size_t i;

	loop->conns.head_max = (size_t)s->header_bytes;
	loop->conns.body_max = (size_t)s->body_bytes;
	loop->conns.input_max = (size_t)(s->header_bytes + s->body_bytes + INPUT_SLACK);
	loop->conns.idle_ms = s->idle_timeout_s * 1000;
	loop->conns.request_ms = s->request_timeout_s * 1000;
	for (i = 0; i < LISTENERS; i++) {
		if (loop->listeners[i].http == NULL)
			continue;
		evhttp_set_max_headers_size(loop->listeners[i].http, (ev_ssize_t)s->header_bytes);
		evhttp_set_max_body_size(loop->listeners[i].http, (ev_ssize_t)s->body_bytes);
	}
}

static void
drain(struct loop *loop)
{
	size_t i;

	loop->is_draining = true;
	for (i = 0; i < LISTENERS; i++) {
		if (loop->listeners[i].bound != NULL)
			evhttp_del_accept_socket(loop->listeners[i].http, loop->listeners[i].bound);
		loop->listeners[i].bound = NULL;
	}
	parked_resume(loop, true, 0);
	conns_sweep(&loop->conns, true);
	on_changed(&loop->conns, loop);
}

/* X comes back from a worker. */
static void
on_done(struct loop *loop, struct exchange *x)
{
	x->is_working = false;
	if (x->conn == NULL) {
		if (!x->is_sent)
			traffic_add(loop->config->traffic, TRAFFIC_UNANSWERED, 1);
		finish(loop, x, false);
	} else if (x->is_sent && (x->is_failed || loop->is_draining))
		evhttp_connection_free(x->conn->evcon); /* the body without its end says so */
	else if (x->is_sent)
		part_send(x);
	else if (x->reply.wait_s > 0)
		wait_for_news(x);
	else
		reply_send(x);
}

static void
on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct loop *loop = arg;
	struct exchange *x, *done;
	bool must_drain, must_stop, must_reload, has_news;
	uint64_t count;

	(void)what;
	if (read((int)fd, &count, sizeof count) < 0) {
		/* Woken for nothing. */
	}
	(void)pthread_mutex_lock(&loop->lock);
	done = loop->done;
	loop->done = NULL;
	loop->done_end = &loop->done;
	must_drain = loop->must_drain;
	must_stop = loop->must_stop;
	must_reload = loop->must_reload;
	loop->must_reload = false;
	has_news = loop->has_news;
	loop->has_news = false;
	(void)pthread_mutex_unlock(&loop->lock);
	while ((x = done) != NULL) {
		done = x->next;
		on_done(loop, x);
	}
	if (must_reload)
		limits_apply(loop);
	if (has_news)
		news_tell(loop);
	if (must_drain && !loop->is_draining)
		drain(loop);
	if (must_stop)
		(void)event_base_loopbreak(loop->base);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct loop *loop = arg;

	(void)fd;
	(void)what;
	parked_resume(loop, false, clock_mono_ms());
	conns_sweep(&loop->conns, loop->is_draining);
	on_changed(&loop->conns, loop);
}

/* evhttp asks for a bufferevent for a connection it is accepting. */
static struct bufferevent *
on_accept(struct event_base *base, void *arg)
{
	struct listener *listener = arg;
	struct loop *loop = listener->loop;

	(void)base;
	if (atomic_load_explicit(&loop->config->core->has_trust, memory_order_relaxed))
		tls_welcome_strangers(loop->config->tls);
	return conns_accept(&loop->conns, listener->kind == LISTENER_API ? loop->config->tls : NULL,
	    listener->kind != LISTENER_SOCKET);
}

static int
listener_open(struct loop *loop, enum listener_kind kind, struct err *err)
{
	struct listener *listener = &loop->listeners[kind];
	int fd;

	*listener = (struct listener){.loop = loop, .kind = kind};
	if (loop->config->fds[kind] < 0)
		return 0;
	if ((listener->http = evhttp_new(loop->base)) == NULL)
		return err_nomem(err);
	evhttp_set_allowed_methods(listener->http, METHODS);
	(void)evhttp_set_flags(listener->http, EVHTTP_SERVER_LINGERING_CLOSE);
	evhttp_set_default_content_type(listener->http, NULL);
	evhttp_set_bevcb(listener->http, on_accept, listener);
	evhttp_set_gencb(listener->http, on_request, listener);
	if ((fd = fcntl(loop->config->fds[kind], F_DUPFD_CLOEXEC, 0)) < 0)
		return err_sys(err, "cannot share a listening socket");
	if ((listener->bound = evhttp_accept_socket_with_handle(listener->http, fd)) == NULL) {
		(void)close(fd);
		return err_nomem(err);
	}
	evconnlistener_set_error_cb(evhttp_bound_socket_get_listener(listener->bound), on_accept_error);
	return 0;
}

static int
events_open(struct loop *loop, struct err *err)
{
	const struct timeval tick = {0, TICK_MS * 1000};

	loop->wake = event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST, on_wake, loop);
	loop->tick = event_new(loop->base, -1, EV_PERSIST, on_tick, loop);
	loop->gather = event_new(loop->base, -1, 0, on_gather, loop);
	if (loop->wake == NULL || loop->tick == NULL || loop->gather == NULL || event_add(loop->wake, NULL) != 0 ||
	    event_add(loop->tick, &tick) != 0)
		return err_nomem(err);
	return 0;
}

/* Changes of what is waited for go to the kernel together, once a turn, for those of a reply cancel each other out: a fifth of
 * its processor time. libevent warns of descriptors that are copies, which stay in epoll's list when they are closed before
 * the change got there: the listening sockets are the only ones, and closed when the server ends. */
static struct event_base *
base_new(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (config != NULL && event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST) == 0)
		base = event_base_new_with_config(config);
	if (config != NULL)
		event_config_free(config);
	return base;
}

int
loop_new(const struct loop_config *config, struct loop **loop_out, struct err *err)
{
	struct loop *loop = calloc(1, sizeof *loop);
	enum listener_kind kind;
	int rc;

	if (loop == NULL)
		return err_nomem(err);
	loop->config = config;
	loop->done_end = &loop->done;
	(void)pthread_mutex_init(&loop->lock, NULL);
	if ((loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) < 0) {
		rc = err_sys(err, "cannot make an event loop");
		goto out;
	}
	loop->base = base_new();
	loop->conns = (struct conns){.base = loop->base,
	    .max = config->max_connections,
	    .clients = config->clients,
	    .traffic = config->traffic,
	    .changed = on_changed,
	    .refused = on_refused,
	    .closed = on_closed,
	    .ctx = loop};
	if (loop->base == NULL || !conns_init(&loop->conns)) {
		rc = err_nomem(err);
		goto out;
	}
	rc = events_open(loop, err);
	for (kind = 0; rc == 0 && kind < LISTENERS; kind++)
		rc = listener_open(loop, kind, err);
	limits_apply(loop);
out:
	if (rc == 0)
		*loop_out = loop;
	else
		loop_free(loop);
	return rc;
}

static void *
loop_run(void *arg)
{
	struct loop *loop = arg;

	(void)event_base_dispatch(loop->base);
	return NULL;
}

int
loop_start(struct loop *loop, struct err *err)
{
	int rc = thread_start(&loop->thread, loop_run, loop, "an event loop's thread", err);

	loop->is_started = rc == 0;
	return rc;
}

void
loop_drain(struct loop *loop)
{
	(void)pthread_mutex_lock(&loop->lock);
	loop->must_drain = true;
	(void)pthread_mutex_unlock(&loop->lock);
	loop_wake(loop);
}

void
loop_reload(struct loop *loop)
{
	(void)pthread_mutex_lock(&loop->lock);
	loop->must_reload = true;
	(void)pthread_mutex_unlock(&loop->lock);
	loop_wake(loop);
}

void
loop_news(struct loop *loop)
{
	(void)pthread_mutex_lock(&loop->lock);
	loop->has_news = true;
	(void)pthread_mutex_unlock(&loop->lock);
	loop_wake(loop);
}

void
loop_stop(struct loop *loop)
{
	(void)pthread_mutex_lock(&loop->lock);
	loop->must_stop = true;
	(void)pthread_mutex_unlock(&loop->lock);
	loop_wake(loop);
}

bool
loop_join(struct loop *loop, int64_t until_ms)
{
	const struct timespec until = {until_ms / 1000, until_ms % 1000 * 1000000};

	if (loop->is_started && (until_ms < 0 ? pthread_join(loop->thread, NULL)
					      : pthread_clockjoin_np(loop->thread, NULL, CLOCK_MONOTONIC, &until)) == 0)
		loop->is_started = false;
	return !loop->is_started;
}

void
loop_cut(struct loop *loop)
{
	size_t i;

	for (i = 0; i < LISTENERS; i++)
		loop->listeners[i].bound = NULL; /* evhttp_free frees it before the connections */
	for (i = 0; i < LISTENERS; i++) {
		if (loop->listeners[i].http != NULL)
			evhttp_free(loop->listeners[i].http);
		loop->listeners[i].http = NULL;
	}
}

void
loop_free(struct loop *loop)
{
	struct exchange *x;

	if (loop == NULL)
		return;
	loop_cut(loop);
	while ((x = loop->done) != NULL) {
		loop->done = x->next;
		exchange_end(x, false);
	}
	conns_clear(&loop->conns);
	if (loop->wake != NULL)
		event_free(loop->wake);
	if (loop->tick != NULL)
		event_free(loop->tick);
	if (loop->gather != NULL)
		event_free(loop->gather);
	if (loop->base != NULL)
		event_base_free(loop->base);
	if (loop->wake_fd >= 0)
		(void)close(loop->wake_fd);
	(void)pthread_mutex_destroy(&loop->lock);
	free(loop);
}

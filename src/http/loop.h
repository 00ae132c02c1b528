/* One event loop on its own thread. Every loop accepts from the same listening sockets; a connection stays with the
 * loop that took it. Loops share nothing that changes but the worker pool and the TLS context. */
#ifndef MUSTER_HTTP_LOOP_H
#define MUSTER_HTTP_LOOP_H

#include "base/err.h"
#include "core/core.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct clients;
struct loop;
struct pool;
struct tls;
struct traffic;

enum listener_kind { LISTENER_API, LISTENER_PKI, LISTENER_METRICS, LISTENER_SOCKET, LISTENERS };

struct loop_config {
	struct core *core;
	struct pool *pool;
	struct tls *tls;
	struct clients *clients;
	struct traffic *traffic;
	int fds[LISTENERS];	/* listening, non-blocking; the loops use copies; -1: none */
	uid_t local_admins[3];	/* who is admin on the Unix socket */
	size_t max_connections; /* a loop */
};

/* Listens as soon as it is started. CONFIG outlives the loop. E_NOMEM, E_SYS. */
MUST_CHECK int loop_new(const struct loop_config *config, struct loop **loop_out, struct err *err);
MUST_CHECK int loop_start(struct loop *loop, struct err *err);

/* Accept nothing new, close what waits, and end when everything accepted is answered. Any thread. */
void loop_drain(struct loop *loop);

/* Take over the limits of the present configuration. Any thread. */
void loop_reload(struct loop *loop);

/* The feed has news for those who wait. Any thread, short. */
void loop_news(struct loop *loop);

/* End at once. Any thread. */
void loop_stop(struct loop *loop);

/* Wait until the thread has ended, at most until UNTIL_MS (clock_mono_ms; -1: forever). True if it has. */
bool loop_join(struct loop *loop, int64_t until_ms);

/* Cut all connections. The thread has ended; the pool is still there, for what their handlers want to know. */
void loop_cut(struct loop *loop);

/* After loop_cut, and after the pool is gone. NULL is harmless. */
void loop_free(struct loop *loop);

#endif

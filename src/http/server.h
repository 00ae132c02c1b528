/* The listeners and event loops: HTTPS with optional client certificates, the Unix socket, plain HTTP for
 * PKI. Loops only move bytes and do TLS; handlers run on the worker pool. */
#ifndef MUSTER_HTTP_SERVER_H
#define MUSTER_HTTP_SERVER_H

#include "base/err.h"
#include "core/core.h"
#include "http/listen.h"

struct http_server;

/* Bind the listeners of the configuration (port 0 picks one and logs it) that GIVEN does not have, DIR/muster.sock, load
 * DIR/tls/server.crt and server.key, start loops and workers. Binding happens before the sandbox, so this is
 * split: open binds and loads, run starts the threads and logs the line that ends in " ready". */
MUST_CHECK int http_server_open(struct core *core, struct listen_given *given, struct http_server **server_out,
    struct err *err);
MUST_CHECK int http_server_run(struct http_server *server, struct err *err);

/* After a change of the configuration (SIGHUP): take its limits, load certificate and key again; connections stay. The
 * old certificate stays on failure. */
MUST_CHECK int http_server_reload(struct http_server *server, struct err *err);

/* Accept nothing new, finish what was accepted (at most TIMEOUT_MS), free everything. */
void http_server_close(struct http_server *server, int64_t timeout_ms);

#endif

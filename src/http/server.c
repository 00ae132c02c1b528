/* Puts listeners, TLS, loops and workers together, and takes them apart again. */
#include "http/server.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/pool.h"
#include "core/ca.h"
#include "core/feed.h"
#include "core/ocsp.h"
#include "http/clients.h"
#include "http/listen.h"
#include "http/loop.h"
#include "http/tls.h"
#include "http/traffic.h"

#include <event2/event.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOPS_MAX 64
#define FDS_RESERVED 128 /* for the store, the signer, files and the loops themselves */

struct http_server {
	struct loop_config config;
	char names[3][LISTEN_NAME_SIZE]; /* API, PKI, metrics */
	char socket_path[FS_PATH_MAX];
	struct loop *loops[LOOPS_MAX];
	size_t n_loops;
};

/* libevent's own complaints are about our use of it. */
static void
on_libevent_log(int severity, const char *message)
{
	if (severity == EVENT_LOG_ERR)
		log_error("libevent: %s", message);
	else
		log_debug("libevent: %s", message);
}

/* As many descriptors as connections are allowed, or fewer connections where the system does not give as many. */
static size_t
connections_allow(size_t wanted)
{
	struct rlimit limit;
	rlim_t room;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return wanted;
	if (limit.rlim_cur < wanted + FDS_RESERVED) {
		limit.rlim_cur = limit.rlim_max < wanted + FDS_RESERVED ? limit.rlim_max : wanted + FDS_RESERVED;
		if (setrlimit(RLIMIT_NOFILE, &limit) != 0 && getrlimit(RLIMIT_NOFILE, &limit) != 0)
			return wanted;
	}
	room = limit.rlim_cur > 2 * FDS_RESERVED ? limit.rlim_cur - FDS_RESERVED : limit.rlim_cur / 2;
	if (room >= wanted)
		return wanted;
	log_warn("%zu connections instead of %zu, for want of file descriptors", (size_t)room, wanted);
	return (size_t)room;
}

static int
tls_load(struct core *core, struct tls **tls_out, struct err *err)
{
	char chain[FS_PATH_MAX], key[FS_PATH_MAX];
	const struct buf *cas[CA_ALL_MAX];
	int rc;

	if ((rc = fs_path(chain, core->dir, "tls/server.crt", err)) != 0 ||
	    (rc = fs_path(key, core->dir, "tls/server.key", err)) != 0)
		return rc;
	return tls_open(chain, key, cas, ca_all(core, cas), tls_out, err);
}

static int
listeners_open(struct http_server *server, struct listen_given *given, struct err *err)
{
	struct loop_config *config = &server->config;
	const struct settings *settings = &core_config(config->core)->settings;
	int rc;

	if ((rc = listen_tcp(settings->api_listen, given, &config->fds[LISTENER_API], server->names[0], err)) != 0 ||
	    (rc = listen_tcp(settings->pki_listen, given, &config->fds[LISTENER_PKI], server->names[1], err)) != 0 ||
	    (settings->metrics_listen[0] != '\0' &&
		(rc = listen_tcp(settings->metrics_listen, given, &config->fds[LISTENER_METRICS], server->names[2], err)) != 0) ||
	    (rc = listen_all_taken(given, err)) != 0 ||
	    (rc = fs_path(server->socket_path, config->core->dir, "muster.sock", err)) != 0)
		return rc;
	return listen_unix(server->socket_path, &config->fds[LISTENER_SOCKET], err);
}

/* Uid 0, the home's owner and we ourselves are admin on the Unix socket. */
static int
local_admins_find(struct loop_config *config, struct err *err)
{
	struct stat home;

	if (stat(config->core->dir, &home) != 0)
		return err_sys(err, "cannot look at %s", config->core->dir);
	config->local_admins[0] = 0;
	config->local_admins[1] = home.st_uid;
	config->local_admins[2] = geteuid();
	return 0;
}

int
http_server_open(struct core *core, struct listen_given *given, struct http_server **server_out, struct err *err)
{
	struct http_server *server = calloc(1, sizeof *server);
	size_t connections, i;
	int rc;

	if (server == NULL)
		return err_nomem(err);
	server->config.core = core;
	for (i = 0; i < LISTENERS; i++)
		server->config.fds[i] = -1;
	server->n_loops = (size_t)core_config(core)->settings.api_threads;
	if (server->n_loops > LOOPS_MAX)
		server->n_loops = LOOPS_MAX;
	event_set_log_callback(on_libevent_log);
	connections = connections_allow((size_t)core_config(core)->settings.connections);
	server->config.max_connections = connections / server->n_loops + 1;
	if ((rc = local_admins_find(&server->config, err)) == 0 &&
	    (rc = traffic_new((int64_t)connections, &server->config.traffic, err)) == 0 &&
	    (rc = clients_new((size_t)core_config(core)->settings.connections_per_client, core_config(core)->settings.trusted_proxies,
		 core_config(core)->settings.n_trusted_proxies, &server->config.clients, err)) == 0 &&
	    (rc = tls_load(core, &server->config.tls, err)) == 0 &&
	    (rc = listeners_open(server, given, err)) == 0)
		*server_out = server;
	else
		http_server_close(server, 0);
	return rc;
}

static void
on_news(void *ctx)
{
	struct http_server *server = ctx;
	size_t i;

	for (i = 0; i < server->n_loops; i++)
		loop_news(server->loops[i]);
}

static bool
on_staple(void *ctx, size_t ca, const uint8_t *serial, struct buf *der_out)
{
	return ocsp_staple(ctx, ca, serial, der_out);
}

int
http_server_run(struct http_server *server, struct err *err)
{
	const struct settings *settings = &core_config(server->config.core)->settings;
	size_t i;
	int rc;

	if ((rc = pool_new((unsigned)settings->workers, (unsigned)settings->queue, &server->config.pool, err)) != 0)
		return rc;
	traffic_pool_set(server->config.traffic, server->config.pool);
	tls_staple(server->config.tls, on_staple, server->config.core);
	for (i = 0; i < server->n_loops; i++)
		if ((rc = loop_new(&server->config, &server->loops[i], err)) != 0 ||
		    (rc = loop_start(server->loops[i], err)) != 0)
			return rc;
	feed_watch(server->config.core, on_news, server);
	log_info("listening on https://%s, http://%s, %s", server->names[0], server->names[1], server->socket_path);
	if (server->names[2][0] != '\0')
		log_info("metrics for everybody who reaches http://%s/metrics", server->names[2]);
	log_info("muster %s ready", MUSTER_VERSION);
	return 0;
}

int
http_server_reload(struct http_server *server, struct err *err)
{
	size_t i;

	for (i = 0; i < server->n_loops; i++)
		loop_reload(server->loops[i]);
	return tls_reload(server->config.tls, err);
}

/* The loops end when all is answered, or when time is up. */
static void
loops_end(struct http_server *server, int64_t timeout_ms)
{
	int64_t until_ms = clock_mono_ms() + timeout_ms;
	size_t i;

	for (i = 0; i < server->n_loops; i++)
		if (server->loops[i] != NULL)
			loop_drain(server->loops[i]);
	for (i = 0; i < server->n_loops; i++) {
		if (server->loops[i] == NULL)
			continue;
		if (!loop_join(server->loops[i], until_ms)) {
			loop_stop(server->loops[i]);
			(void)loop_join(server->loops[i], -1);
		}
		loop_cut(server->loops[i]);
	}
}

void
http_server_close(struct http_server *server, int64_t timeout_ms)
{
	size_t i;

	if (server == NULL)
		return;
	feed_watch(server->config.core, NULL, NULL);
	for (i = 0; i < LISTENERS; i++)
		if (server->config.fds[i] >= 0)
			(void)close(server->config.fds[i]);
	loops_end(server, timeout_ms);
	pool_free(server->config.pool); /* finishes what was queued */
	for (i = 0; i < server->n_loops; i++)
		loop_free(server->loops[i]);
	tls_close(server->config.tls);
	clients_free(server->config.clients);
	traffic_free(server->config.traffic);
	free(server);
}

/* Listeners, loops, connections and exchanges as one: a whole server on a real core, spoken to over loopback. */
#include "core_fixture.h"

#include "core/operator.h"
#include "core/publisher.h"
#include "http/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <pthread.h>

struct served {
	struct fixture *f;
	struct http_server *server;
	uint16_t api_port, pki_port;
};

/* The ports that this process listens on over IPv4, in the order in which they were opened: API, PKI. */
static void
ports_find(struct served *s)
{
	uint16_t *const ports[] = {&s->api_port, &s->pki_port};
	struct sockaddr_in where;
	int fd, on;
	size_t n = 0;

	for (fd = 3; fd < 1024 && n < 2; fd++) {
		socklen_t len = sizeof where, on_len = sizeof on;

		if (getsockname(fd, (struct sockaddr *)&where, &len) != 0 || where.sin_family != AF_INET ||
		    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &on_len) != 0 || on == 0)
			continue;
		*ports[n++] = ntohs(where.sin_port);
	}
	assert_int_equal(n, 2);
}

static int
setup(void **state)
{
	struct served *s = calloc(1, sizeof *s);
	struct settings *settings;
	struct err err = {0};
	void *f = NULL;

	assert_non_null(s);
	(void)signal(SIGPIPE, SIG_IGN);
	assert_int_equal(fixture_open(&f), 0);
	s->f = f;
	settings = &fixture_config(s->f->core)->settings;
	(void)snprintf(settings->api_listen, CONF_TEXT_SIZE, "127.0.0.1:0");
	(void)snprintf(settings->pki_listen, CONF_TEXT_SIZE, "127.0.0.1:0");
	settings->api_threads = 1;
	settings->workers = 4;
	settings->connections = 4;
	settings->idle_timeout_s = settings->request_timeout_s = 1;
	assert_ok(http_server_open(s->f->core, NULL, &s->server, &err));
	ports_find(s);
	assert_ok(http_server_run(s->server, &err));
	*state = s;
	return 0;
}

static int
teardown(void **state)
{
	struct served *s = *state;
	void *f = s->f;

	http_server_close(s->server, 2000);
	(void)fixture_close(&f);
	free(s);
	return 0;
}

static int
connect_tcp(uint16_t port)
{
	struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct timeval wait = {5, 0};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
	assert_int_equal(connect(fd, (struct sockaddr *)&where, sizeof where), 0);
	return fd;
}

static int
connect_unix(struct served *s)
{
	struct sockaddr_un where = {.sun_family = AF_UNIX};
	struct timeval wait = {5, 0};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(where.sun_path, sizeof where.sun_path, "%s/muster.sock", s->f->home.dir);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
	assert_int_equal(connect(fd, (struct sockaddr *)&where, sizeof where), 0);
	return fd;
}

/* Everything until the other end closes. */
static void
read_all(int fd, struct buf *out)
{
	char chunk[4096];
	ssize_t n;

	while ((n = recv(fd, chunk, sizeof chunk, 0)) > 0)
		buf_append(out, chunk, (size_t)n);
	(void)close(fd);
}

/* Ask on FD for METHOD PATH, and return the status; the whole reply in OUT. Closes FD. */
static int
ask(int fd, const char *method, const char *path, const char *body, struct buf *out)
{
	char request[1024];
	int status = -1;

	(void)snprintf(request, sizeof request,
	    "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
	    "Content-Length: %zu\r\n\r\n%s",
	    method, path, strlen(body), body);
	assert_int_equal(send(fd, request, strlen(request), 0), strlen(request));
	buf_reset(out);
	read_all(fd, out);
	(void)sscanf(buf_str(out), "HTTP/1.1 %d", &status);
	return status;
}

/* The same over TLS, with a token or a client's certificate from PEM files of the home, each may be NULL. */
static int
ask_tls(struct served *s, const char *path, const char *token, const char *crt, const char *key)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	char request[512], reply[4096], file[FS_PATH_MAX];
	int fd = connect_tcp(s->api_port), status = -1, n, len = 0;
	struct err err = {0};
	SSL *ssl;

	if (crt != NULL) {
		assert_ok(fs_path(file, s->f->home.dir, crt, &err));
		assert_int_equal(SSL_CTX_use_certificate_chain_file(ctx, file), 1);
		assert_ok(fs_path(file, s->f->home.dir, key, &err));
		assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, file, SSL_FILETYPE_PEM), 1);
	}
	assert_ok(fs_path(file, s->f->home.dir, "ca/root.crt", &err));
	assert_int_equal(SSL_CTX_load_verify_file(ctx, file), 1);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	ssl = SSL_new(ctx);
	assert_int_equal(SSL_set1_host(ssl, "localhost"), 1);
	assert_int_equal(SSL_set_fd(ssl, fd), 1);
	assert_int_equal(SSL_connect(ssl), 1);
	n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s%s%s\r\n", path,
	    token != NULL ? "Authorization: Bearer " : "", token != NULL ? token : "", token != NULL ? "\r\n" : "");
	assert_int_equal(SSL_write(ssl, request, n), n);
	while (len < (int)sizeof reply - 1 && (n = SSL_read(ssl, reply + len, (int)sizeof reply - 1 - len)) > 0)
		len += n;
	reply[len] = '\0';
	(void)sscanf(reply, "HTTP/1.1 %d", &status);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	(void)close(fd);
	return status;
}

/* Where a request comes in decides what is there, and who it is from. */
static void
test_each_listener(void **state)
{
	struct served *s = *state;
	char token[TOKEN_SIZE];
	struct buf reply = {0};
	struct err err = {0};

	assert_int_equal(ask(connect_tcp(s->pki_port), "GET", "/healthz", "", &reply), 200);
	assert_int_equal(ask(connect_tcp(s->pki_port), "GET", "/v1/devices", "", &reply), 404);
	assert_int_equal(ask(connect_tcp(s->pki_port), "GET", "/d/x", "", &reply), 404);
	assert_int_equal(ask(connect_tcp(s->pki_port), "POST", "/healthz", "", &reply), 405);
	assert_int_equal(ask(connect_unix(s), "GET", "/v1/devices", "", &reply), 200);
	assert_ok(operator_create(s->f->core->store, &s->f->caller, "eve", ROLE_ENROLLER, 0, NULL, token, &err));
	assert_int_equal(ask_tls(s, "/v1/devices", NULL, NULL, NULL), 401);
	assert_int_equal(ask_tls(s, "/v1/devices", "muster_wrong", NULL, NULL), 401);
	assert_int_equal(ask_tls(s, "/v1/devices", token, NULL, NULL), 403); /* known, but may not */
	assert_int_equal(ask_tls(s, "/v1/devices", NULL, "broker/broker.crt", "broker/broker.key"), 403);
	assert_int_equal(ask_tls(s, "/v1/devices", NULL, "tls/server.crt", "tls/server.key"), 401);
	assert_int_equal(ask_tls(s, "/readyz", NULL, NULL, NULL), 200);
	buf_clear(&reply);
}

/* What verifiers fetch is what was published, to the byte. */
static void
test_public_pki(void **state)
{
	static const char *const absent[] = {"/crl/issuing", "/crl/.crl", "/crl/0000.crl", "/crl/issuing.crl.crl", "/ca/",
	    "/ca/private/issuing.key"};
	struct served *s = *state;
	struct buf reply = {0}, crl = {0};
	char path[128];
	size_t i;

	fixture_list(s->f->core, SHELF_COMPLETE, &crl);
	(void)snprintf(path, sizeof path, "/crl/%s.crl", fixture_config(s->f->core)->issuer.key_id_hex);
	for (i = 0; i < 2; i++) {
		assert_int_equal(ask(connect_tcp(s->pki_port), "GET", i == 0 ? path : "/crl/issuing.crl", "", &reply), 200);
		assert_non_null(strstr(buf_str(&reply), "application/pkix-crl"));
		assert_true(reply.len > crl.len);
		assert_memory_equal(reply.data + reply.len - crl.len, crl.data, crl.len);
	}
	assert_int_equal(ask(connect_tcp(s->pki_port), "GET", "/ca/root.crt", "", &reply), 200);
	assert_memory_equal(
	    reply.data + reply.len - s->f->core->roots.ders[0].len, s->f->core->roots.ders[0].data, s->f->core->roots.ders[0].len);
	for (i = 0; i < sizeof absent / sizeof absent[0]; i++)
		assert_int_equal(ask(connect_tcp(s->pki_port), "GET", absent[i], "", &reply), 404);
	buf_clear(&reply);
	buf_clear(&crl);
}

/* Not ready is told, and why is not. */
static void
test_readiness(void **state)
{
	struct served *s = *state;
	struct buf reply = {0};

	assert_int_equal(ask(connect_unix(s), "GET", "/readyz", "", &reply), 200);
	fixture_signer_kill(&s->f->home);
	fixture_unlisten(&s->f->home);
	assert_int_equal(ask(connect_unix(s), "GET", "/readyz", "", &reply), 503);
	assert_null(strstr(buf_str(&reply), "signer"));
	assert_non_null(strstr(buf_str(&reply), "Retry-After"));
	assert_int_equal(ask(connect_unix(s), "GET", "/healthz", "", &reply), 200);
	fixture_listen(&s->f->home);
	fixture_signer_start(&s->f->home);
	buf_clear(&reply);
}

/* A10: whoever sends nothing, or a drop at a time, is cut at the deadline, however often a drop comes. */
static void
test_slow_clients_are_cut(void **state)
{
	struct served *s = *state;
	int silent = connect_tcp(s->pki_port), slow = connect_tcp(s->pki_port);
	int64_t begun_ms = clock_mono_ms();
	bool is_cut = false;
	char byte;

	assert_int_equal(send(slow, "GET / HTTP/1.1\r\n", 16, 0), 16);
	while (!is_cut && clock_mono_ms() - begun_ms < 6000) {
		(void)usleep(100000);
		is_cut = send(slow, "X", 1, 0) != 1 || (recv(slow, &byte, 1, MSG_DONTWAIT) == 0) ||
		    (errno != EAGAIN && errno != EWOULDBLOCK);
	}
	assert_true(is_cut);
	assert_in_range(clock_mono_ms() - begun_ms, 900, 4000);
	assert_int_equal(recv(silent, &byte, 1, 0), 0);
	(void)close(silent);
	(void)close(slow);
}

/* A11: a line without an end is cut at the deadline too, however fast it comes. */
static void
test_endless_headers_are_cut(void **state)
{
	static char junk[65536];
	struct served *s = *state;
	int fd = connect_tcp(s->pki_port);
	int64_t begun_ms = clock_mono_ms();

	memset(junk, 'x', sizeof junk);
	while (send(fd, junk, sizeof junk, MSG_NOSIGNAL) > 0)
		assert_true(clock_mono_ms() - begun_ms < 6000);
	(void)close(fd);
}

/* A14: when the network's connections are used up, the home's own socket still answers, and whoever waits is served as
 * soon as others go. */
static void
test_the_limit_of_connections(void **state)
{
	static const char request[] = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
	struct served *s = *state;
	struct buf reply = {0};
	int idle[10], waiting;
	char byte;
	size_t i;

	for (i = 0; i < sizeof idle / sizeof idle[0]; i++)
		idle[i] = connect_tcp(s->pki_port);
	waiting = connect_tcp(s->pki_port);
	assert_int_equal(send(waiting, request, sizeof request - 1, 0), sizeof request - 1);
	assert_int_equal(ask(connect_unix(s), "GET", "/v1/devices", "", &reply), 200);
	(void)usleep(50000);
	assert_int_equal(recv(waiting, &byte, 1, MSG_DONTWAIT), -1);
	for (i = 0; i < sizeof idle / sizeof idle[0]; i++)
		(void)close(idle[i]);
	buf_reset(&reply);
	read_all(waiting, &reply);
	assert_memory_equal(buf_str(&reply), "HTTP/1.1 200", 12);
	buf_clear(&reply);
}

/* A13: clients that leave while a worker has their request; the sanitizers watch. */
static void
test_clients_that_leave(void **state)
{
	static const char body[] = "{\"name\":\"n\",\"type\":\"t\",\"key\":\"ec-p256\"}";
	struct served *s = *state;
	struct buf reply = {0};
	char request[512];
	int i, fd, n;

	n = snprintf(request, sizeof request,
	    "POST /v1/devices HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
	    "Content-Length: %zu\r\n\r\n%s",
	    strlen(body), body);
	for (i = 0; i < 20; i++) {
		const struct linger reset = {1, 0};

		fd = connect_unix(s);
		assert_int_equal(send(fd, request, (size_t)n, 0), n);
		if (i % 2 == 0)
			(void)usleep(2000);
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
		(void)close(fd);
	}
	assert_int_equal(ask(connect_unix(s), "POST", "/v1/devices", body, &reply), 201);
	buf_clear(&reply);
}

struct last {
	struct served *s;
	struct buf reply;
	int status;
};

static void *
ask_last(void *arg)
{
	struct last *l = arg;

	l->status = ask(connect_unix(l->s), "POST", "/v1/devices",
	    "{\"name\":\"last\",\"type\":\"t\",\"key\":\"rsa-2048\"}", &l->reply);
	return NULL;
}

/* I9: what was accepted is answered before the end, and nothing new is accepted. */
static void
test_the_end_finishes_what_was_accepted(void **state)
{
	struct served *s = *state;
	struct last last = {.s = s};
	struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(s->pki_port)};
	pthread_t thread;
	int fd;

	assert_int_equal(pthread_create(&thread, NULL, ask_last, &last), 0);
	(void)usleep(20000);
	http_server_close(s->server, 10000);
	s->server = NULL;
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(last.status, 201);
	where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&where, sizeof where), -1);
	(void)close(fd);
	buf_clear(&last.reply);
}

/* I15, I3: nothing half open remains of a server that cannot be. */
static void
test_a_server_that_cannot_open(void **state)
{
	struct served *s = *state;
	struct http_server *second = NULL;
	char path[FS_PATH_MAX], aside[FS_PATH_MAX];
	struct err err = {0};

	(void)snprintf(
	    fixture_config(s->f->core)->settings.api_listen, CONF_TEXT_SIZE, "127.0.0.1:%u", (unsigned)s->api_port);
	assert_int_equal(http_server_open(s->f->core, NULL, &second, &err), E_SYS);
	assert_null(second);
	assert_ok(fs_path(path, s->f->home.dir, "tls/server.key", &err));
	assert_ok(fs_path(aside, s->f->home.dir, "aside", &err));
	assert_int_equal(rename(path, aside), 0);
	assert_true(http_server_open(s->f->core, NULL, &second, &err) != 0);
	assert_null(second);
	assert_true(http_server_reload(s->server, &err) != 0);
	assert_int_equal(rename(aside, path), 0);
	assert_ok(http_server_reload(s->server, &err));
	assert_int_equal(ask_tls(s, "/healthz", NULL, NULL, NULL), 200);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_each_listener, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_public_pki, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_readiness, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_slow_clients_are_cut, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_endless_headers_are_cut, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_the_limit_of_connections, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_clients_that_leave, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_the_end_finishes_what_was_accepted, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_a_server_that_cannot_open, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

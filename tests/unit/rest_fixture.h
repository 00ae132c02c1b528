/* A server of a few canned answers, one a connection, on the socket of a home that holds nothing
 * else. */
#ifndef MUSTER_TESTS_REST_FIXTURE_H
#define MUSTER_TESTS_REST_FIXTURE_H

#include "base/buf.h"
#include "cmd/commands.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIXTURE_REQUEST_MAX 8192

struct fixture {
	char dir[64];
	struct cli cli;
	int listener;
	int asked; /* what the server was asked, one byte stream */
	pid_t server;
};

static inline void
fixture_remove(const struct fixture *f, const char *name)
{
	char path[128];

	(void)snprintf(path, sizeof path, "%s/%s", f->dir, name);
	(void)unlink(path);
}

static int
fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	if (f == NULL)
		return -1;
	(void)snprintf(f->dir, sizeof f->dir, "/tmp/muster-test-XXXXXX");
	if (mkdtemp(f->dir) == NULL)
		return -1;
	f->cli.dir = f->dir;
	f->listener = f->asked = -1;
	*state = f;
	return 0;
}

static int
fixture_teardown(void **state)
{
	struct fixture *f = *state;
	int rc;

	if (f->server > 0)
		(void)waitpid(f->server, NULL, 0);
	if (f->asked >= 0)
		(void)close(f->asked);
	fixture_remove(f, "muster.sock");
	fixture_remove(f, "muster.conf");
	rc = rmdir(f->dir); /* fails if anything was left */
	free(f);
	return rc;
}

/* Has all of a request arrived? Its body is as long as it says. */
static inline bool
fixture_is_whole(const char *request, size_t len)
{
	const char *end = strstr(request, "\r\n\r\n"),
		   *length = strcasestr(request, "Content-Length:");
	size_t body = length == NULL ? 0 : strtoul(length + 15, NULL, 10);

	return end != NULL && len >= (size_t)(end + 4 - request) + body;
}

static inline void
fixture_answer_one(int listener, int report, const char *answer, size_t len)
{
	char request[FIXTURE_REQUEST_MAX + 1] = "";
	size_t have = 0;
	ssize_t n;
	int fd = accept(listener, NULL, NULL);

	while (have < FIXTURE_REQUEST_MAX && !fixture_is_whole(request, have) &&
	       (n = read(fd, request + have, FIXTURE_REQUEST_MAX - have)) > 0) {
		have += (size_t)n;
		request[have] = '\0';
		if (request[0] == 0x16) /* a TLS handshake: no more will come before our answer */
			break;
	}
	(void)!write(report, request, have);
	while (len > 0 && (n = write(fd, answer, len)) > 0) {
		answer += n;
		len -= (size_t)n;
	}
	(void)close(fd);
}

/* Give the N ANSWERS on LISTENER in a process of their own, and report each request. */
static inline void
fixture_answer_on(struct fixture *f, int listener, const struct buf *answers, size_t n)
{
	int report[2];
	size_t i;

	assert_int_equal(pipe(report), 0);
	f->server = fork();
	assert_true(f->server >= 0);
	if (f->server == 0) {
		(void)signal(SIGPIPE, SIG_IGN);
		(void)alarm(20);
		for (i = 0; i < n; i++)
			fixture_answer_one(
			    listener, report[1], (const char *)answers[i].data, answers[i].len);
		_exit(0);
	}
	(void)close(report[1]);
	(void)close(listener);
	f->asked = report[0];
}

static inline void
fixture_answer(struct fixture *f, const struct buf *answers, size_t n)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s/muster.sock", f->dir);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(listener, 4), 0);
	fixture_answer_on(f, listener, answers, n);
}

/* The same on a TCP port of the loopback, which is returned. */
static inline int
fixture_answer_tcp(struct fixture *f, const struct buf *answers, size_t n)
{
	struct sockaddr_in address = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof address;
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(listener, 4), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
	fixture_answer_on(f, listener, answers, n);
	return ntohs(address.sin_port);
}

/* One answer: its first line and further headers (each with CRLF), and a body whose length is
 * added. */
static inline void
fixture_say(struct buf *out, const char *head, const char *body)
{
	buf_printf(out, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", head, strlen(body), body);
}

/* Everything the server was asked, once it has ended. */
static inline void
fixture_asked(struct fixture *f, struct buf *out)
{
	char chunk[4096];
	ssize_t n;

	while ((n = read(f->asked, chunk, sizeof chunk)) > 0)
		buf_append(out, chunk, (size_t)n);
	(void)waitpid(f->server, NULL, 0);
	f->server = 0;
}

#endif

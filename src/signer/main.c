/* The signer: one thread that alone has the issuing CA's key. A round reads what has arrived, executes it, syncs the
 * log once, and only then lets the answers go. What it executes are the operations of operation.c.
 *
 * It opens everything before it enters its sandbox and nothing afterwards; at SIGHUP it reads the configuration anew
 * from a descriptor of the supervisor's. If the log fails it ends: what reached the
 * disk is then unknown, and the next start reads it. */
#include "signer/main.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/conf.h"
#include "base/fs.h"
#include "base/killpoint.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/secret.h"
#include "base/handover.h"
#include "base/text.h"
#include "signer/operation.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define SECRET_HEAP_BYTES (64 * 1024)
#define CONNS_MAX 4		  /* the api has one; a second while it restarts */
#define READ_BYTES (256 * 1024)	  /* a round's worth from one connection */
#define OUT_MAX (1024 * 1024)	  /* unsent answers above this: make no more for that connection */

struct conn {
	int fd; /* -1: free */
	struct buf in, out;
	size_t sent;  /* of out */
	bool waiting; /* whole requests stand in `in` until answers have left */
	struct lists lists;
};

struct state {
	const struct signer_options *options;
	struct signing signing;
	int listen_fd, alive_fd, signals;
	struct conn conns[CONNS_MAX];
};

/* ---- opening ------------------------------------------------------------------------------------------------- */

static int
conf_text(const struct signer_options *options, struct buf *text, struct err *err)
{
	char path[FS_PATH_MAX];
	int rc;

	if (options->conf_fd > STDERR_FILENO)
		return handover_read(options->conf_fd, CONF_FILE_MAX, text, err);
	if ((rc = fs_path(path, options->dir, "muster.conf", err)) != 0)
		return rc;
	return fs_read(path, CONF_FILE_MAX, text, err);
}

/* Profiles, and the URL of the PKI pages, from the configuration. */
static int
conf_read(const struct signer_options *options, struct profiles *profiles, char pki_url[CONF_TEXT_SIZE], struct err *err)
{
	const struct conf_key url = {"pki", "public_url", CONF_TEXT, 0, "http://localhost:8080", "", 0, 0,
	    NULL};
	struct buf text = {0};
	int rc;

	if ((rc = conf_text(options, &text, err)) == 0 && (rc = profiles_parse(buf_str(&text), profiles, err)) == 0)
		rc = conf_find(buf_str(&text), &url, pki_url, err);
	buf_clear(&text);
	return rc;
}

static int
load_all(struct state *s, const struct signer_options *options, struct err *err)
{
	char pki_url[CONF_TEXT_SIZE] = "";
	struct issuers issuers;
	size_t i;
	int rc;

	if ((rc = conf_read(options, &s->signing.profiles, pki_url, err)) != 0)
		return rc;
	if ((rc = issuers_read(options->dir, clock_now(), &issuers, err)) == 0)
		s->signing.n_authorities = issuers.n;
	for (i = 0; rc == 0 && i < issuers.n; i++)
		rc = authority_open(options->dir, &issuers.all[i], pki_url, &s->signing.authorities[i], err);
	issuers_clear(&issuers);
	return rc;
}

/* First of all: a SIGHUP must not end a process that is still reading its log. */
static int
signals_open(struct state *s, struct err *err)
{
	sigset_t set;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	if ((s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
		return err_sys(err, "cannot watch signals");
	return 0;
}

static int
open_all(struct state *s, const struct signer_options *options, struct err *err)
{
	char path[FS_PATH_MAX];
	int rc;

	if ((rc = signals_open(s, err)) != 0 || (rc = secret_heap_open(SECRET_HEAP_BYTES, err)) != 0 ||
	    (rc = load_all(s, options, err)) != 0 ||
	    (rc = fs_path(path, options->dir, "signer.log", err)) != 0)
		return rc;
	return signer_log_open(path, false, &s->signing.log, err);
}

static int
sandbox_enter(struct err *err)
{
	int rc;

	if ((rc = sandbox_limit_paths(NULL, 0, err)) != 0)
		return rc;
	return sandbox_limit_calls(SANDBOX_CALLS_SIGNER, err);
}

/* ---- connections --------------------------------------------------------------------------------------------- */

static void
conn_close(struct conn *c)
{
	if (c->fd >= 0)
		(void)close(c->fd);
	lists_clear(&c->lists);
	buf_clear(&c->in);
	buf_clear(&c->out);
	*c = (struct conn){.fd = -1};
}

static void
conn_accept(struct state *s)
{
	int fd = accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	size_t i;

	if (fd < 0)
		return;
	for (i = 0; i < CONNS_MAX; i++)
		if (s->conns[i].fd < 0) {
			s->conns[i].fd = fd;
			return;
		}
	log_warn("more than %d connections: one was closed", CONNS_MAX);
	(void)close(fd);
}

/* For whoever looks for what became of a request: our own troubles, and with --debug everything. */
static void
outcome_log(const char *op, int rc, const struct err *err)
{
	if (rc == E_SYS || rc == E_NOMEM || rc == E_FULL)
		log_warn("%s: %s", op, err->text);
	else
		log_debug("%s: %s", op, rc == 0 ? "done" : err->text);
}

/* Execute one request. False if the connection must end. */
static bool
request_run(struct state *s, struct conn *c, const struct proto_frame *frame)
{
	struct buf answer = {0};
	struct err err = {0};
	const struct operation *op = operation_find(frame->type);
	int rc;

	if (op == NULL) {
		log_warn("an unknown operation %u: the connection was closed", frame->type);
		return false;
	}
	rc = op->fn(&s->signing, &c->lists, frame, &answer, &err);
	if (rc == 0 && buf_failed(&answer))
		rc = err_nomem(&err);
	if (!op->silent)
		outcome_log(op->name, rc, &err);
	if (rc != 0 && op->silent)
		log_warn("%s: the connection was closed", err.text);
	else if (rc != 0)
		proto_error_put(&c->out, frame->id, &err);
	else if (!op->silent)
		proto_answer_put(&c->out, frame->id, answer.data, answer.len);
	buf_clear(&answer);
	return (rc == 0 || !op->silent) && !buf_failed(&c->out);
}

static bool
execute(struct state *s, struct conn *c, const struct proto_frame *frame)
{
	char about[LOG_ID_SIZE];
	bool goes_on;

	if (frame->about != NULL) {
		hex_encode(about, frame->about, PROTO_ABOUT_LEN);
		log_about(about, NULL);
	}
	goes_on = request_run(s, c, frame);
	log_about(NULL, NULL);
	return goes_on;
}

static void
conn_read(struct conn *c)
{
	uint8_t *room = buf_extend(&c->in, READ_BYTES);
	ssize_t n;

	if (room == NULL) {
		conn_close(c);
		return;
	}
	n = recv(c->fd, room, READ_BYTES, 0);
	c->in.len -= READ_BYTES - (size_t)(n > 0 ? n : 0);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		conn_close(c);
}

static bool
conn_has_room(const struct conn *c)
{
	return c->out.len - c->sent <= OUT_MAX;
}

/* A revocation waits for no other work, of which strangers can cause as much as there is room for (OCSP). It depends on
 * none: what it revokes was issued, and that answered, before. */
static bool
execute_notes(struct state *s, struct conn *c)
{
	struct proto_frame frame;
	size_t at = 0;
	int size;

	while ((size = proto_frame_read(c->in.data + at, c->in.len - at, &frame, NULL)) > 0) {
		if (frame.type != PROTO_NOTE) {
			at += (size_t)size;
			continue;
		}
		if (!execute(s, c, &frame))
			return false;
		c->in.len -= (size_t)size;
		memmove(c->in.data + at, c->in.data + at + size, c->in.len - at);
	}
	return true;
}

/* Execute the whole frames that were read, as long as their answers are taken; these wait in c->out for the log. */
static void
conn_execute(struct state *s, struct conn *c)
{
	struct proto_frame frame;
	struct err err = {0};
	size_t at = 0;
	int size;

	if (conn_has_room(c) && !execute_notes(s, c)) {
		conn_close(c);
		return;
	}
	while ((size = proto_frame_read(c->in.data + at, c->in.len - at, &frame, &err)) > 0 && conn_has_room(c)) {
		at += (size_t)size;
		if (!execute(s, c, &frame)) {
			conn_close(c);
			return;
		}
	}
	if (size < 0) {
		log_warn("%s: the connection was closed", err.text);
		conn_close(c);
		return;
	}
	c->waiting = size > 0;
	buf_consume(&c->in, at);
}

/* A list is long, and what a socket takes at once is short: what was sent is dropped when it is most of it. */
static void
conn_flush(struct conn *c)
{
	ssize_t n;

	if (c->fd < 0 || c->out.len == c->sent)
		return;
	n = send(c->fd, c->out.data + c->sent, c->out.len - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		conn_close(c);
		return;
	}
	c->sent += n > 0 ? (size_t)n : 0;
	if (c->sent > c->out.len / 2) {
		buf_consume(&c->out, c->sent);
		c->sent = 0;
	}
}

/* ---- the loop ------------------------------------------------------------------------------------------------ */

enum { POLL_LISTEN, POLL_ALIVE, POLL_SIGNALS, POLL_CONNS, POLL_ALL = POLL_CONNS + CONNS_MAX };

static void
poll_prepare(const struct state *s, struct pollfd fds[POLL_ALL])
{
	size_t i;

	fds[POLL_LISTEN] = (struct pollfd){s->listen_fd, POLLIN, 0};
	fds[POLL_ALIVE] = (struct pollfd){s->alive_fd, POLLIN, 0};
	fds[POLL_SIGNALS] = (struct pollfd){s->signals, POLLIN, 0};
	for (i = 0; i < CONNS_MAX; i++) {
		const struct conn *c = &s->conns[i];
		int events = (conn_has_room(c) && !c->waiting ? POLLIN : 0) |
		    (c->out.len > c->sent || c->waiting ? POLLOUT : 0);

		fds[POLL_CONNS + i] = (struct pollfd){c->fd, (short)events, 0};
	}
}

/* Without the supervisor's snapshot there is nothing that the sandbox would let it read. */
static void
reload(struct state *s)
{
	char pki_url[CONF_TEXT_SIZE] = "";
	struct profiles profiles;
	struct err err = {0};
	size_t i;
	int rc;

	if (s->options->conf_fd <= STDERR_FILENO)
		return;
	rc = conf_read(s->options, &profiles, pki_url, &err);
	/* A URL that is good for one is good for all, so it is all or nothing. */
	for (i = 0; rc == 0 && i < s->signing.n_authorities; i++)
		rc = authority_set_url(&s->signing.authorities[i], pki_url, &err);
	if (rc == 0)
		s->signing.profiles = profiles;
	else
		log_error("configuration not reloaded, the old one stays: %s", err.text);
}

/* SIGTERM and SIGINT end the process, SIGHUP is for the configuration. */
static bool
is_ending(struct state *s, const struct pollfd fds[POLL_ALL])
{
	struct signalfd_siginfo info;
	bool must_reload = false;

	if (fds[POLL_ALIVE].revents != 0)
		return true;
	while (read(s->signals, &info, sizeof info) == sizeof info) {
		if (info.ssi_signo != SIGHUP)
			return true;
		must_reload = true;
	}
	if (must_reload)
		reload(s);
	return false;
}

static int
serve(struct state *s, struct err *err)
{
	struct pollfd fds[POLL_ALL];
	size_t i;
	int rc;

	for (;;) {
		poll_prepare(s, fds);
		if (poll(fds, POLL_ALL, -1) < 0 && errno != EINTR)
			return err_sys(err, "cannot wait for requests");
		if (is_ending(s, fds))
			return 0;
		for (i = 0; i < CONNS_MAX; i++) {
			if ((fds[POLL_CONNS + i].revents & (POLLIN | POLLHUP | POLLERR)) != 0)
				conn_read(&s->conns[i]);
			if (s->conns[i].in.len > 0)
				conn_execute(s, &s->conns[i]);
		}
		KILLPOINT(2, "signed, nothing of it in the log");
		/* Nothing that was signed leaves before this. */
		if ((rc = signer_log_sync(s->signing.log, err)) != 0)
			return rc;
		for (i = 0; i < CONNS_MAX; i++)
			conn_flush(&s->conns[i]);
		if ((fds[POLL_LISTEN].revents & POLLIN) != 0)
			conn_accept(s);
	}
}

int
signer_main(const struct signer_options *options)
{
	struct state *s = calloc(1, sizeof *s);
	struct err err = {0};
	size_t i;
	int rc;

	if (s == NULL) {
		log_error("out of memory");
		return E_NOMEM;
	}
	s->options = options;
	s->listen_fd = options->listen_fd;
	s->alive_fd = options->alive_fd;
	s->signals = -1;
	for (i = 0; i < CONNS_MAX; i++)
		s->conns[i].fd = -1;
	if ((rc = open_all(s, options, &err)) == 0 && (!options->sandbox || (rc = sandbox_enter(&err)) == 0))
		rc = serve(s, &err);
	if (rc != 0)
		log_error("%s%s%s", err.field, err.field[0] != '\0' ? ": " : "", err.text);
	for (i = 0; i < CONNS_MAX; i++)
		conn_close(&s->conns[i]);
	signer_log_close(s->signing.log);
	for (i = 0; i < ISSUERS_MAX; i++)
		authority_clear(&s->signing.authorities[i]);
	witness_clear(&s->signing.witness);
	if (s->signals >= 0)
		(void)close(s->signals);
	free(s);
	return rc;
}

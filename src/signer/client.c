/* One connection, many callers. A caller sends its frames under `sending` and sleeps until the reader, a thread that
 * lives as long as its connection, has brought the last part of its answer. The reader takes only `lock`, so that it
 * goes on when a sender waits for room in the socket. */
#include "signer/client.h"

#include "base/bytes.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/text.h"
#include "base/thread.h"
#include "signer/log.h"
#include "signer/proto.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define STALLED_TIMEOUT_MS 1000 /* after a call that timed out, until one answer has come: a revocation must not queue behind the deaf */
#define READ_BYTES 65536

/* A call under way. Lives on its caller's stack. */
struct call {
	uint32_t id;
	struct buf answer; /* the parts so far */
	bool done;
	bool lost; /* it was sent, and no answer came: what became of it is unknown */
	struct err err;
	pthread_cond_t wake;
	UT_hash_handle hh;
};

struct signer {
	char path[sizeof((struct sockaddr_un *)0)->sun_path];
	int timeout_ms;
	pthread_mutex_t sending; /* one sender at a time; taken before lock */
	pthread_mutex_t lock;	 /* all below */
	int fd;			 /* -1 without a connection */
	bool reading;		 /* the reader has not ended */
	bool cut;		 /* given up: its reader is about to end */
	bool joinable;
	pthread_t reader;
	pthread_cond_t ended; /* the reader has */
	uint64_t n_asked, n_served; /* who wanted `sending` for a call of one frame, and who has had it */
	pthread_cond_t served;
	struct call *calls;
	uint32_t last_id;
	bool stalled; /* the last call to end was not answered in time */
};

/* ---- the reader ---------------------------------------------------------------------------------------------- */

static void
call_end(struct signer *s, struct call *call)
{
	HASH_DEL(s->calls, call);
	call->done = true;
	(void)pthread_cond_signal(&call->wake);
}

/* Called with the lock held. An answer to a call that gave up is dropped. E_INPUT for what is no answer. */
static int
on_frame(struct signer *s, const struct proto_frame *frame)
{
	struct call *call;

	if (frame->type < PROTO_DONE || frame->type > PROTO_FAILED)
		return E_INPUT;
	s->stalled = false;
	HASH_FIND(hh, s->calls, &frame->id, sizeof frame->id, call);
	if (call == NULL)
		return 0;
	if (frame->type == PROTO_FAILED) {
		if (proto_error_read(frame, &call->err) == 0)
			(void)err_set(&call->err, E_SYS, "the signer's answer is malformed");
	} else {
		buf_append(&call->answer, frame->body, frame->len);
	}
	if (frame->type != PROTO_MORE)
		call_end(s, call);
	return 0;
}

/* Hand out the whole frames in IN. E_INPUT for bytes that are no answer. */
static int
take_frames(struct signer *s, struct buf *in)
{
	struct proto_frame frame;
	size_t at = 0;
	int n, rc = 0;

	(void)pthread_mutex_lock(&s->lock);
	while (rc == 0 && (n = proto_frame_read(in->data + at, in->len - at, &frame, NULL)) != 0) {
		rc = n < 0 ? n : on_frame(s, &frame);
		at += n < 0 ? 0 : (size_t)n;
	}
	(void)pthread_mutex_unlock(&s->lock);
	buf_consume(in, at);
	return rc;
}

static void *
read_answers(void *arg)
{
	struct signer *s = arg;
	struct call *call, *next;
	struct buf in = {0};
	uint8_t *room;
	ssize_t n = 1;
	int fd;

	(void)pthread_mutex_lock(&s->lock);
	fd = s->fd;
	(void)pthread_mutex_unlock(&s->lock);
	while ((room = buf_extend(&in, READ_BYTES)) != NULL) {
		n = recv(fd, room, READ_BYTES, 0);
		in.len -= READ_BYTES - (size_t)(n > 0 ? n : 0);
		if ((n <= 0 && errno != EINTR) || n == 0 || take_frames(s, &in) != 0)
			break;
	}
	buf_clear(&in);
	(void)pthread_mutex_lock(&s->lock);
	HASH_ITER(hh, s->calls, call, next) {
		(void)err_set(&call->err, E_BUSY, "the signer ended during the call; it is being restarted");
		call->lost = true;
		call_end(s, call);
	}
	(void)shutdown(fd, SHUT_RDWR); /* whoever still sends need not wait */
	s->reading = false;
	(void)pthread_cond_broadcast(&s->ended);
	(void)pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* ---- the connection ------------------------------------------------------------------------------------------ */

/* Waits for nobody: a signer that is stopped takes no more connections than its backlog holds, and little of what is
 * sent. */
static int
socket_connect(const struct signer *s, int *fd_out, struct err *err)
{
	const struct timeval send_timeout = {s->timeout_ms / 1000, s->timeout_ms % 1000 * 1000L};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, rc = 0;

	(void)text_copy(address.sun_path, sizeof address.sun_path, s->path);
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0)
		return err_sys(err, "cannot make a socket");
	if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
		rc = err_set(err, E_BUSY, "the signer does not answer yet (%s)", strerrordesc_np(errno));
	else if (fcntl(fd, F_SETFL, 0) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &send_timeout, sizeof send_timeout) != 0)
		rc = err_sys(err, "cannot set up the signer's socket");
	if (rc != 0)
		(void)close(fd);
	else
		*fd_out = fd;
	return rc;
}

static int
reader_start(struct signer *s, struct err *err)
{
	int rc;

	s->reading = s->joinable = true;
	if ((rc = thread_start(&s->reader, read_answers, s, "the thread that reads the signer's answers", err)) != 0)
		s->reading = s->joinable = false;
	return rc;
}

/* Drop a connection whose reader has ended. Called with the lock held. */
static void
connection_drop(struct signer *s)
{
	if (s->joinable)
		(void)pthread_join(s->reader, NULL); /* it has let go of the lock for good */
	s->joinable = s->cut = false;
	if (s->fd >= 0)
		(void)close(s->fd);
	s->fd = -1;
}

/* End the connection, which must be a living one, for all of its callers. Called with the lock held. */
static void
connection_cut(struct signer *s)
{
	s->cut = true;
	(void)shutdown(s->fd, SHUT_RDWR);
}

/* Called with both locks held. E_BUSY. */
static int
connection_need(struct signer *s, struct err *err)
{
	int rc;

	while (s->cut && s->reading)
		(void)pthread_cond_wait(&s->ended, &s->lock);
	if (s->fd >= 0 && s->reading)
		return 0;
	connection_drop(s);
	if ((rc = socket_connect(s, &s->fd, err)) != 0)
		return rc;
	if ((rc = reader_start(s, err)) != 0)
		connection_drop(s);
	return rc;
}

int
signer_open(const char *path, int timeout_ms, struct signer **signer_out, struct err *err)
{
	struct signer *s = calloc(1, sizeof *s);
	int rc;

	if (s == NULL)
		return err_nomem(err);
	s->fd = -1;
	s->timeout_ms = timeout_ms;
	(void)pthread_mutex_init(&s->sending, NULL);
	(void)pthread_mutex_init(&s->lock, NULL);
	(void)pthread_cond_init(&s->ended, NULL);
	(void)pthread_cond_init(&s->served, NULL);
	if (!text_copy(s->path, sizeof s->path, path)) {
		rc = err_set(err, E_INPUT, "too long for a Unix socket: %s", path);
	} else {
		(void)pthread_mutex_lock(&s->lock);
		rc = connection_need(s, err);
		(void)pthread_mutex_unlock(&s->lock);
	}
	if (rc == 0)
		*signer_out = s;
	else
		signer_close(s);
	return rc;
}

void
signer_close(struct signer *s)
{
	if (s == NULL)
		return;
	(void)pthread_mutex_lock(&s->lock);
	if (s->fd >= 0)
		(void)shutdown(s->fd, SHUT_RDWR);
	while (s->reading)
		(void)pthread_cond_wait(&s->ended, &s->lock);
	connection_drop(s);
	(void)pthread_mutex_unlock(&s->lock);
	(void)pthread_cond_destroy(&s->ended);
	(void)pthread_cond_destroy(&s->served);
	(void)pthread_mutex_destroy(&s->lock);
	(void)pthread_mutex_destroy(&s->sending);
	free(s);
}

unsigned
signer_waiting(struct signer *s)
{
	unsigned n;

	(void)pthread_mutex_lock(&s->lock);
	n = HASH_COUNT(s->calls);
	(void)pthread_mutex_unlock(&s->lock);
	return n;
}

/* ---- a call -------------------------------------------------------------------------------------------------- */

static bool
send_all(int fd, const struct buf *frame)
{
	size_t at = 0;
	ssize_t n;

	if (buf_failed(frame))
		return false;
	while (at < frame->len) {
		n = send(fd, frame->data + at, frame->len - at, MSG_NOSIGNAL);
		if (n < 0 && errno != EINTR)
			return false;
		at += n > 0 ? (size_t)n : 0;
	}
	return true;
}

/* Take `sending`, and `lock` behind it. A mutex goes to who happens to run, and whoever sends a list of a hundred frames
 * would have it again and again: so he waits, between two of them, for all who have come meanwhile. */
static void
turn_take(struct signer *s, bool is_bulk)
{
	uint64_t until;

	(void)pthread_mutex_lock(&s->lock);
	until = s->n_asked += !is_bulk;
	while (is_bulk && s->n_served < until)
		(void)pthread_cond_wait(&s->served, &s->lock);
	(void)pthread_mutex_unlock(&s->lock);
	(void)pthread_mutex_lock(&s->sending);
	(void)pthread_mutex_lock(&s->lock);
	if (!is_bulk) {
		s->n_served++;
		(void)pthread_cond_broadcast(&s->served);
	}
}

/* Register CALL on a living connection. */
static int
call_begin(struct signer *s, struct call *call, struct err *err)
{
	int rc;

	*call = (struct call){.wake = PTHREAD_COND_INITIALIZER};
	turn_take(s, false);
	if ((rc = connection_need(s, err)) == 0) {
		call->id = ++s->last_id;
		HASH_ADD(hh, s->calls, id, sizeof call->id, call);
		if (call->hh.tbl == NULL)
			rc = err_nomem(err);
	}
	(void)pthread_mutex_unlock(&s->lock);
	(void)pthread_mutex_unlock(&s->sending);
	return rc;
}

/* Send a frame of CALL. False if that is of no use any more: the reader then ends the call with the reason. A call
 * that is not done still has its connection, and keeps it as long as `sending` is held. */
static bool
call_send(struct signer *s, struct call *call, enum proto_op op, const struct buf *body)
{
	uint8_t about[PROTO_ABOUT_LEN];
	struct buf frame = {0};
	bool sent;

	frame.failed = buf_failed(body);
	/* What no longer fits is told without. */
	if (body->len + PROTO_ABOUT_LEN <= PROTO_BODY_MAX && hex_decode(about, sizeof about, log_about_id()))
		proto_request_put(&frame, op, call->id, about, body->data, body->len);
	else
		proto_frame_put(&frame, op, call->id, body->data, body->len);
	turn_take(s, op == PROTO_CRL_ENTRIES);
	sent = !call->done;
	(void)pthread_mutex_unlock(&s->lock);
	if (sent && !(sent = send_all(s->fd, &frame))) {
		(void)pthread_mutex_lock(&s->lock);
		connection_cut(s);
		(void)pthread_mutex_unlock(&s->lock);
	}
	(void)pthread_mutex_unlock(&s->sending);
	buf_clear(&frame);
	return sent;
}

/* Sleep until CALL's answer is whole, and hand it over. A signer that does not answer in time is cut off, for all of
 * its callers: what it was given is unknown now, and its next connection begins anew. */
static int
call_wait(struct signer *s, struct call *call, struct buf *answer_out, struct err *err)
{
	struct timespec until;
	int timeout_ms;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	(void)pthread_mutex_lock(&s->lock);
	timeout_ms = s->stalled && s->timeout_ms > STALLED_TIMEOUT_MS ? STALLED_TIMEOUT_MS : s->timeout_ms;
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += timeout_ms % 1000 * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	while (!call->done) {
		if (pthread_cond_clockwait(&call->wake, &s->lock, CLOCK_MONOTONIC, &until) != ETIMEDOUT ||
		    call->done)
			continue;
		HASH_DEL(s->calls, call);
		call->lost = true;
		s->stalled = true;
		(void)err_set(&call->err, E_BUSY, "the signer did not answer within %d ms", timeout_ms);
		connection_cut(s);
		break;
	}
	(void)pthread_mutex_unlock(&s->lock);
	(void)pthread_cond_destroy(&call->wake);
	if (call->err.code == 0 && buf_failed(&call->answer))
		(void)err_nomem(&call->err);
	if (call->err.code == 0)
		*answer_out = call->answer;
	else
		buf_clear(&call->answer);
	if (call->err.code != 0 && err != NULL)
		*err = call->err;
	return call->err.code;
}

/* Ask for OP with BODY by CALL, which need not be set; the answer is the caller's to clear. */
static int
ask(struct signer *s, enum proto_op op, const struct buf *body, struct call *call, struct buf *answer_out,
    struct err *err)
{
	int rc;

	*call = (struct call){0};
	if (body->len > PROTO_BODY_MAX)
		return err_set(err, E_INPUT, "too large for the signer");
	if ((rc = call_begin(s, call, err)) != 0)
		return rc;
	(void)call_send(s, call, op, body);
	return call_wait(s, call, answer_out, err);
}

/* ---- the operations ------------------------------------------------------------------------------------------ */

/* Append ANSWER to OUT and clear it. */
static int
hand_over(struct buf *answer, struct buf *out, struct err *err)
{
	buf_append(out, answer->data, answer->len);
	buf_clear(answer);
	return buf_failed(out) ? err_nomem(err) : 0;
}

int
signer_issue(struct signer *s, const struct signer_request *request, struct buf *der_out, bool *in_doubt_out,
    struct err *err)
{
	struct buf body = {0}, answer = {0};
	struct call call;
	int rc;

	*in_doubt_out = false;
	if (request->n_sans > CERT_SANS_MAX || request->spki_len > KEY_SPKI_MAX)
		return err_set(err, E_INPUT, "too many names, or too large a key");
	proto_issue_put(&body, request);
	if ((rc = ask(s, PROTO_ISSUE, &body, &call, &answer, err)) == 0)
		rc = hand_over(&answer, der_out, err);
	else
		*in_doubt_out = call.lost;
	buf_clear(&body);
	return rc;
}

int
signer_note_revocation(
    struct signer *s, const uint8_t *serial, enum crl_reason reason, int64_t at, struct err *err)
{
	struct proto_note note = {.reason = reason, .at = at};
	struct buf body = {0}, answer = {0};
	struct call call;
	int rc;

	memcpy(note.serial, serial, SERIAL_LEN);
	proto_note_put(&body, &note);
	if ((rc = ask(s, PROTO_NOTE, &body, &call, &answer, err)) == 0)
		buf_clear(&answer);
	buf_clear(&body);
	return rc;
}

/* Frame by frame: others send in between. False if that is of no use any more. */
static bool
send_entries(struct signer *s, struct call *call, const struct crl_entry *entries, size_t n)
{
	struct buf body = {0};
	bool sent = true;
	size_t i = 0;

	while (sent && i < n) {
		buf_reset(&body);
		for (; i < n && body.len + PROTO_ENTRY_LEN <= PROTO_BODY_MAX; i++)
			proto_entry_put(&body, &entries[i]);
		sent = call_send(s, call, PROTO_CRL_ENTRIES, &body);
	}
	buf_clear(&body);
	return sent;
}

int
signer_crl(struct signer *s, const struct signer_crl *crl, const struct crl_entry *entries, size_t n,
    uint64_t *number_out, struct buf *sig_out, struct err *err)
{
	struct proto_crl begin = {.crl = *crl};
	struct buf body = {0}, answer = {0};
	const uint8_t *sig;
	struct call call;
	uint64_t number;
	size_t i, len;
	int rc;

	for (i = 0; i < n; i++)
		begin.entries_len += crl_entry_len(&entries[i], crl->base > 0);
	proto_crl_put(&body, &begin);
	if ((rc = call_begin(s, &call, err)) != 0)
		goto out;
	if (call_send(s, &call, PROTO_CRL_BEGIN, &body) && send_entries(s, &call, entries, n)) {
		buf_reset(&body);
		(void)call_send(s, &call, PROTO_CRL_SIGN, &body);
	}
	if ((rc = call_wait(s, &call, &answer, err)) != 0 ||
	    (rc = proto_signed_read(&answer, &number, &sig, &len, err)) != 0)
		goto out;
	buf_append(sig_out, sig, len);
	if (buf_failed(sig_out))
		rc = err_nomem(err);
	else
		*number_out = number;
out:
	buf_clear(&body);
	buf_clear(&answer);
	return rc;
}

/* The N answers in BYTES, each into its place. */
static int
take_ocsp(const struct buf *bytes, size_t n, struct buf *outs, int64_t *this_out, int64_t *next_out, struct err *err)
{
	struct bytes b = {bytes->data, bytes->len, false};
	const uint8_t *at;
	bool failed = false;
	size_t len, i;

	*this_out = (int64_t)bytes_u64(&b);
	*next_out = (int64_t)bytes_u64(&b);
	for (i = 0; i < n; i++) {
		len = bytes_u32(&b);
		if ((at = bytes_take(&b, len)) != NULL)
			buf_append(&outs[i], at, len);
		failed = failed || buf_failed(&outs[i]);
	}
	if (!bytes_end(&b))
		return err_set(err, E_SYS, "the signer's answer is malformed");
	return failed ? err_nomem(err) : 0;
}

int
signer_ocsp(struct signer *s, const uint8_t *issuer, int64_t valid_s, const struct signer_ocsp *wanted, size_t n,
    struct buf *outs, int64_t *this_out, int64_t *next_out, struct err *err)
{
	struct buf body = {0}, answer = {0};
	struct call call;
	int rc;

	if (n > SIGNER_OCSP_MAX)
		return err_set(err, E_INPUT, "more than %d OCSP answers at once", SIGNER_OCSP_MAX);
	proto_ocsp_put(&body, issuer, valid_s, wanted, n);
	if ((rc = ask(s, PROTO_OCSP, &body, &call, &answer, err)) == 0) {
		rc = take_ocsp(&answer, n, outs, this_out, next_out, err);
		buf_clear(&answer);
	}
	buf_clear(&body);
	return rc;
}

int
signer_checkpoint(struct signer *s, int64_t seq, const uint8_t *head, struct checkpoint *out, struct buf *cms_out,
    struct err *err)
{
	struct buf body = {0}, answer = {0};
	struct checkpoint got;
	struct call call;
	size_t used;
	int rc;

	proto_checkpoint_put(&body, seq, head);
	if ((rc = ask(s, PROTO_CHECKPOINT, &body, &call, &answer, err)) != 0)
		goto out;
	if ((rc = proto_checkpoint_signed_read(&answer, &got, &used, err)) == 0) {
		buf_append(cms_out, answer.data + used, answer.len - used);
		rc = buf_failed(cms_out) ? err_nomem(err) : 0;
	}
	if (rc == 0)
		*out = got;
	buf_clear(&answer);
out:
	buf_clear(&body);
	return rc;
}

int
signer_ca_cert(struct signer *s, struct buf *der_out, struct err *err)
{
	struct buf nothing = {0}, answer = {0};
	struct call call;
	int rc;

	if ((rc = ask(s, PROTO_CA_CERT, &nothing, &call, &answer, err)) != 0)
		return rc;
	return hand_over(&answer, der_out, err);
}

/* The rows of one answer, each of which follows *LAST. */
static int
each_row(const struct buf *answer, uint64_t *last, signer_log_each *each, void *ctx, struct err *err)
{
	struct bytes b = {answer->data, answer->len, false};
	struct signer_log_row row;
	const uint8_t *at;
	size_t len;
	int rc = 0;

	while (rc == 0 && b.len > 0) {
		len = bytes_u32(&b);
		if ((at = bytes_take(&b, len)) == NULL || signer_log_row_read(at, len, &row, NULL) != 0 ||
		    row.seq != *last + 1)
			return err_set(err, E_SYS, "the signer's answer is malformed");
		*last = row.seq;
		rc = each(ctx, &row, err);
	}
	return rc;
}

int
signer_log_read(struct signer *s, uint64_t after, signer_log_each *each, void *ctx, struct err *err)
{
	struct buf body = {0}, answer = {0};
	struct call call;
	bool more = true;
	int rc = 0;

	while (rc == 0 && more) {
		buf_reset(&body);
		proto_log_read_put(&body, after);
		if ((rc = ask(s, PROTO_LOG_READ, &body, &call, &answer, err)) != 0)
			break;
		more = answer.len > 0;
		rc = each_row(&answer, &after, each, ctx, err);
		buf_clear(&answer);
	}
	buf_clear(&body);
	return rc;
}

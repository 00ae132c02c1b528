/* The api's end of the signer's socket: many callers on one connection, and a signer that dies, stops or lies. Run
 * under ThreadSanitizer, too. */
#include "home_fixture.h"

#include "base/clock.h"
#include "base/fs.h"
#include "signer/client.h"
#include "signer/log.h"
#include "signer/proto.h"
#include "x509/key.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#define ID "6f1ed002-ab59-4f4b-8a5e-3f5b6f0b7f01"
#define PATIENCE_MS 30000 /* for what must succeed */
#define SHORT_MS 200	  /* for what must fail */
#define SLOW_MS 10000	  /* what must fail at once, does so before this on any machine */

static struct fixture_home home;
static struct key *p256;

static int
open_home(void **state)
{
	struct err err = {0};

	(void)state;
	fixture_home_make(&home);
	assert_ok(key_generate(KEY_EC_P256, &p256, &err));
	fixture_signer_start(&home);
	return 0;
}

static int
close_home(void **state)
{
	(void)state;
	fixture_signer_kill(&home);
	fixture_home_remove(&home);
	key_free(p256);
	return 0;
}

static int
issue(struct signer *signer, struct buf *der, bool *in_doubt_out, struct err *err)
{
	struct signer_request request = {.profile = "constrained", .id = ID};

	request.spki = key_spki(p256, &request.spki_len);
	return signer_issue(signer, &request, der, in_doubt_out, err);
}

static void
assert_works(struct signer *signer)
{
	struct buf der = {0};
	struct err err = {0};
	bool in_doubt = true;

	assert_ok(issue(signer, &der, &in_doubt, &err));
	assert_false(in_doubt);
	assert_true(der.len > 0);
	buf_clear(&der);
}

/* A signer that has just been restarted: the connection to the old one may still have to end. */
static void
assert_works_again(struct signer *signer)
{
	const int64_t until = clock_mono_ms() + PATIENCE_MS;
	struct buf der = {0};
	struct err err = {0};
	bool in_doubt;
	int rc;

	while ((rc = issue(signer, &der, &in_doubt, &err)) == E_BUSY && clock_mono_ms() < until)
		(void)usleep(1000);
	if (rc != 0)
		fail_msg("%s", err.text);
	buf_clear(&der);
}

static struct signer *
must_open(const char *path, int timeout_ms)
{
	struct signer *signer = NULL;
	struct err err = {0};

	assert_ok(signer_open(path, timeout_ms, &signer, &err));
	return signer;
}

/* ---- a signer that dies -------------------------------------------------------------------------------------- */

#define CALLERS 8

struct caller_of {
	struct signer *signer;
	pthread_t thread;
	atomic_bool *stop;
	struct buf ders; /* each behind its u32 length */
	unsigned worked, busy;
	int rc; /* the last one's, or what was neither */
};

static void *
call_on(void *arg)
{
	struct caller_of *c = arg;

	while (!*c->stop) {
		struct buf der = {0};
		struct err err = {0};
		bool in_doubt;

		c->rc = issue(c->signer, &der, &in_doubt, &err);
		if (c->rc == 0) {
			buf_u32(&c->ders, (uint32_t)der.len);
			buf_append(&c->ders, der.data, der.len);
			c->worked++;
		} else if (c->rc != E_BUSY || der.len != 0) {
			break;
		} else {
			c->busy++;
			(void)usleep(1000);
		}
		buf_clear(&der);
	}
	return NULL;
}

struct tally {
	struct caller_of *callers;
	unsigned found;
};

static int
on_row(void *ctx, const struct signer_log_row *row, struct err *err)
{
	struct tally *t = ctx;
	size_t i;

	(void)err;
	for (i = 0; i < CALLERS && row->kind == SIGNER_LOG_ISSUED; i++)
		t->found += memmem(t->callers[i].ders.data, t->callers[i].ders.len, row->der, row->der_len) != NULL;
	return 0;
}

/* I4: killed in the middle, again and again. Each call works or says that it did not; whoever has a certificate has
 * one that is in the log; and when the signer is back, all goes on. */
static void
test_killed_in_the_middle(void **state)
{
	struct caller_of callers[CALLERS] = {{0}};
	struct tally tally = {callers, 0};
	struct signer *signer = must_open(home.socket_path, PATIENCE_MS);
	struct signer_log *log = NULL;
	atomic_bool stop = false;
	char path[FS_PATH_MAX];
	unsigned worked = 0;
	struct err err = {0};
	size_t i;

	(void)state;
	for (i = 0; i < CALLERS; i++) {
		callers[i].signer = signer;
		callers[i].stop = &stop;
		assert_int_equal(pthread_create(&callers[i].thread, NULL, call_on, &callers[i]), 0);
	}
	for (i = 0; i < 3; i++) {
		(void)usleep(50000);
		fixture_signer_kill(&home);
		fixture_signer_start(&home);
	}
	assert_works_again(signer);
	(void)usleep(50000);
	stop = true;
	for (i = 0; i < CALLERS; i++) {
		assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
		assert_true(callers[i].rc == 0 || callers[i].rc == E_BUSY);
		assert_true(callers[i].worked > 0);
		worked += callers[i].worked;
	}
	signer_close(signer);
	assert_ok(fs_path(path, home.dir, "signer.log", &err));
	assert_ok(signer_log_open(path, true, &log, &err));
	assert_ok(signer_log_walk(log, 0, on_row, &tally, &err));
	assert_int_equal(tally.found, worked);
	signer_log_close(log);
	for (i = 0; i < CALLERS; i++)
		buf_clear(&callers[i].ders);
}

static void
test_away_and_back(void **state)
{
	struct signer *signer = must_open(home.socket_path, PATIENCE_MS), *none = NULL;
	struct buf der = {0};
	struct err err = {0};
	bool in_doubt = true;
	int i;

	(void)state;
	assert_works(signer);
	fixture_signer_kill(&home);
	fixture_unlisten(&home);
	for (i = 0; i < 3; i++) {
		/* The first may still find the connection that is about to end. */
		assert_int_equal(issue(signer, &der, &in_doubt, &err), E_BUSY);
		assert_true(i == 0 || !in_doubt); /* not sent, not signed */
	}
	assert_int_equal(signer_open(home.socket_path, PATIENCE_MS, &none, &err), E_BUSY);
	assert_null(none);
	fixture_listen(&home);
	fixture_signer_start(&home);
	assert_works(signer);
	signer_close(signer);
}

static void
test_open_and_close(void **state)
{
	struct signer *signer = NULL;
	struct err err = {0};
	char path[200];
	int i;

	(void)state;
	signer_close(NULL);
	for (i = 0; i < 10; i++) {
		signer = must_open(home.socket_path, PATIENCE_MS);
		assert_works(signer); /* it is taken out of the queue */
		signer_close(signer); /* idle */
	}
	signer = NULL;
	memset(path, 'x', sizeof path);
	path[sizeof path - 1] = '\0';
	assert_int_equal(signer_open(path, PATIENCE_MS, &signer, &err), E_INPUT);
	assert_int_equal(signer_open("/nonexistent/signer.sock", PATIENCE_MS, &signer, &err), E_BUSY);
	assert_null(signer);
	signer = must_open(home.socket_path, PATIENCE_MS);
	fixture_signer_kill(&home);
	signer_close(signer); /* of a dead one */
	fixture_signer_start(&home);
}

/* What cannot be said is refused before anything is sent. */
static void
test_too_large(void **state)
{
	static const char *sans[CERT_SANS_MAX + 1];
	struct signer *signer = must_open(home.socket_path, PATIENCE_MS);
	struct signer_request request = {.profile = "constrained", .id = ID, .sans = sans, .n_sans = CERT_SANS_MAX + 1};
	char *text = malloc(70001);
	struct buf der = {0};
	struct err err = {0};
	bool in_doubt = true;

	(void)state;
	assert_int_equal(signer_issue(signer, &request, &der, &in_doubt, &err), E_INPUT);
	request.n_sans = 0;
	request.spki = (const uint8_t *)"";
	request.spki_len = KEY_SPKI_MAX + 1;
	assert_int_equal(signer_issue(signer, &request, &der, &in_doubt, &err), E_INPUT);
	assert_non_null(text);
	memset(text, 'x', 70000);
	text[70000] = '\0';
	request.spki_len = 0;
	request.profile = text;
	assert_int_equal(signer_issue(signer, &request, &der, &in_doubt, &err), E_INPUT);
	assert_false(in_doubt);
	assert_works(signer);
	signer_close(signer);
	free(text);
}

/* ---- a signer that stops ------------------------------------------------------------------------------------- */

/* A list of N entries. */
static int
list(struct signer *signer, size_t n, struct err *err)
{
	const struct signer_crl crl = {.this_update = 1, .next_update = 2};
	struct crl_entry *entries = calloc(n, sizeof *entries);
	struct buf sig = {0};
	uint64_t number;
	size_t i;
	int rc;

	assert_non_null(entries);
	for (i = 0; i < n; i++)
		entries[i] = (struct crl_entry){.serial = {1}, .revoked_at = 1767225600};
	rc = signer_crl(signer, &crl, entries, n, &number, &sig, err);
	assert_int_equal(sig.len, 0);
	buf_clear(&sig);
	free(entries);
	return rc;
}

/* Stopped, not dead: the call ends, and when the signer goes on, so does the next call. */
static void
test_stopped(void **state)
{
	struct signer *signer = must_open(home.socket_path, SHORT_MS);
	int64_t began = clock_mono_ms();
	struct buf der = {0};
	struct err err = {0};
	bool in_doubt = false;

	(void)state;
	assert_works_again(signer);
	assert_int_equal(kill(home.signer, SIGSTOP), 0);
	assert_int_equal(issue(signer, &der, &in_doubt, &err), E_BUSY);
	assert_true(in_doubt);
	assert_true(clock_mono_ms() - began < SLOW_MS);
	assert_int_equal(kill(home.signer, SIGCONT), 0);
	assert_works_again(signer);
	signer_close(signer);
}

/* The same while a list is sent, which is more than the socket takes: neither its caller nor any other may hang. */
static void
test_stopped_in_a_list(void **state)
{
	struct signer *signer = must_open(home.socket_path, SHORT_MS);
	int64_t began = clock_mono_ms();
	struct buf der = {0};
	struct err err = {0};
	bool in_doubt;

	(void)state;
	(void)alarm(60);
	assert_int_equal(kill(home.signer, SIGSTOP), 0);
	assert_int_equal(list(signer, 500000, &err), E_BUSY);
	assert_int_equal(issue(signer, &der, &in_doubt, &err), E_BUSY);
	assert_true(clock_mono_ms() - began < SLOW_MS);
	assert_int_equal(kill(home.signer, SIGCONT), 0);
	assert_works_again(signer);
	(void)alarm(0);
	signer_close(signer);
}

/* ---- a signer that lies -------------------------------------------------------------------------------------- */

/* Answers each connection's first frame with what REPLY makes of its id, then leaves. */
struct liar {
	char path[96];
	int listener;
	pthread_t thread;
	void (*reply)(struct buf *out, uint32_t id);
	bool deaf;    /* accepts nobody */
	bool patient; /* stays if it has nothing to say */
};

static void *
lie(void *arg)
{
	struct liar *l = arg;
	struct proto_frame frame;
	struct buf in = {0}, out = {0};
	struct err err = {0};
	uint8_t *room;
	ssize_t n = 1;
	int fd;

	while ((fd = accept(l->listener, NULL, NULL)) >= 0) {
		while (n > 0 && proto_frame_read(in.data, in.len, &frame, &err) == 0) {
			room = buf_extend(&in, 4096);
			n = recv(fd, room, 4096, 0);
			in.len -= 4096 - (size_t)(n > 0 ? n : 0);
		}
		if (n > 0) {
			l->reply(&out, frame.id);
			(void)send(fd, out.data, out.len, MSG_NOSIGNAL);
		}
		if (out.len > 0 || !l->patient)
			(void)shutdown(fd, SHUT_WR);
		while (n > 0 && (n = recv(fd, buf_extend(&in, 4096), 4096, 0)) > 0)
			continue;
		(void)close(fd);
		buf_reset(&in);
		buf_reset(&out);
		n = 1;
	}
	buf_clear(&in);
	buf_clear(&out);
	return NULL;
}

static void
liar_open(struct liar *l, int backlog)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	(void)snprintf(l->path, sizeof l->path, "%s/liar.sock", home.base);
	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s", l->path);
	l->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(l->listener, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(l->listener, backlog), 0);
	if (!l->deaf)
		assert_int_equal(pthread_create(&l->thread, NULL, lie, l), 0);
}

static void
liar_close(struct liar *l)
{
	(void)shutdown(l->listener, SHUT_RDWR);
	if (!l->deaf)
		assert_int_equal(pthread_join(l->thread, NULL), 0);
	(void)close(l->listener);
	assert_int_equal(unlink(l->path), 0);
}

static void
reply_nothing(struct buf *out, uint32_t id)
{
	(void)out;
	(void)id;
}

static void
reply_garbage(struct buf *out, uint32_t id)
{
	(void)id;
	buf_text(out, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

static void
reply_empty_frame(struct buf *out, uint32_t id)
{
	(void)id;
	buf_u32(out, 0);
}

static void
reply_half(struct buf *out, uint32_t id)
{
	proto_frame_put(out, PROTO_DONE, id, "half of it", 10);
	out->len -= 5;
}

static void
reply_more(struct buf *out, uint32_t id)
{
	proto_frame_put(out, PROTO_MORE, id, "and then?", 9);
}

static void
reply_to_nobody(struct buf *out, uint32_t id)
{
	proto_frame_put(out, PROTO_DONE, id + 1, "whose?", 6);
}

static void
reply_an_operation(struct buf *out, uint32_t id)
{
	proto_frame_put(out, PROTO_ISSUE, id, "der", 3);
}

static void
reply_no_status(struct buf *out, uint32_t id)
{
	proto_frame_put(out, PROTO_FAILED + 1, id, "der", 3);
}

static void
reply_no_error(struct buf *out, uint32_t id)
{
	proto_frame_put(out, PROTO_FAILED, id, "\0\0\0\0\0", 5);
}

static void
reply_half_an_error(struct buf *out, uint32_t id)
{
	proto_frame_put(out, PROTO_FAILED, id, "\4\0\0", 3);
}

/* Every operation, each on a connection of its own. */
static void
check_lie(const char *path, int rc)
{
	uint8_t serial[SERIAL_LEN] = {1};
	struct buf der = {0};
	bool in_doubt = false;
	int op, got = 0;

	for (op = 0; op < 4; op++) {
		struct signer *signer = must_open(path, PATIENCE_MS);
		struct err err = {0};

		if (op == 0)
			got = issue(signer, &der, &in_doubt, &err);
		else if (op == 1)
			got = signer_note_revocation(signer, serial, REASON_SUPERSEDED, 1, &err);
		else if (op == 2)
			got = signer_ca_cert(signer, &der, &err);
		else
			got = list(signer, 3, &err);
		assert_int_equal(got, rc);
		assert_true(err.text[0] != '\0');
		assert_int_equal(der.len, 0);
		signer_close(signer);
	}
	assert_int_equal(in_doubt, rc == E_BUSY);
}

static void
test_lies(void **state)
{
	static const struct {
		void (*reply)(struct buf *out, uint32_t id);
		int rc;
	} lies[] = {{reply_nothing, E_BUSY}, {reply_garbage, E_BUSY}, {reply_empty_frame, E_BUSY}, {reply_half, E_BUSY},
	    {reply_more, E_BUSY}, {reply_to_nobody, E_BUSY}, {reply_an_operation, E_BUSY}, {reply_no_status, E_BUSY},
	    {reply_no_error, E_SYS}, {reply_half_an_error, E_SYS}};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof lies / sizeof lies[0]; i++) {
		struct liar l = {.reply = lies[i].reply};

		liar_open(&l, 8);
		check_lie(l.path, lies[i].rc);
		liar_close(&l);
	}
}

/* The right answer behind a stranger's is taken; a second one is nobody's. */
static void
reply_twice(struct buf *out, uint32_t id)
{
	proto_frame_put(out, PROTO_DONE, id + 7, "no", 2);
	proto_frame_put(out, PROTO_MORE, id, "y", 1);
	proto_frame_put(out, PROTO_MORE, id, "", 0);
	proto_frame_put(out, PROTO_DONE, id, "es", 2);
	proto_frame_put(out, PROTO_DONE, id, "no", 2);
}

static void
test_parts(void **state)
{
	struct liar l = {.reply = reply_twice};
	struct signer *signer;
	struct buf der = {0};
	struct err err = {0};
	int i;

	(void)state;
	liar_open(&l, 8);
	signer = must_open(l.path, PATIENCE_MS);
	for (i = 0; i < 2; i++) {
		buf_reset(&der);
		buf_text(&der, "> ");
		while (signer_ca_cert(signer, &der, &err) == E_BUSY) /* the liar's connection has just ended */
			continue;
		assert_string_equal(buf_str(&der), "> yes");
	}
	signer_close(signer);
	liar_close(&l);
	buf_clear(&der);
}

/* Answers every other connection only. */
static void
reply_by_turns(struct buf *out, uint32_t id)
{
	static unsigned turns;

	if (turns++ % 2 == 1)
		proto_frame_put(out, PROTO_DONE, id, "yes", 3);
}

/* Who gave up on a connection leaves it behind: the next call has a new one, and no part in the old one's end. */
static void
test_given_up(void **state)
{
	struct liar l = {.reply = reply_by_turns, .patient = true};
	struct signer *signer;
	struct buf der = {0};
	struct err err = {0};
	int i;

	(void)state;
	liar_open(&l, 8);
	for (i = 0; i < 4; i++) {
		signer = must_open(l.path, SHORT_MS);
		assert_int_equal(signer_ca_cert(signer, &der, &err), E_BUSY);
		assert_ok(signer_ca_cert(signer, &der, &err));
		signer_close(signer);
	}
	liar_close(&l);
	buf_clear(&der);
}

/* ---- and about its log --------------------------------------------------------------------------------------- */

static void
put_row(struct buf *out, uint64_t seq, size_t cut)
{
	struct signer_log_row row = {.kind = SIGNER_LOG_CRL, .seq = seq, .at = 1, .crl_number = seq};
	struct buf bytes = {0};

	signer_log_row_put(&bytes, &row);
	buf_u32(out, (uint32_t)bytes.len);
	buf_append(out, bytes.data, bytes.len - cut);
	buf_clear(&bytes);
}

static void
reply_rows(struct buf *out, uint32_t id, uint64_t first, uint64_t second, size_t cut)
{
	struct buf body = {0};

	put_row(&body, first, 0);
	put_row(&body, second, cut);
	proto_frame_put(out, PROTO_DONE, id, body.data, body.len);
	buf_clear(&body);
}

static void
reply_row_cut(struct buf *out, uint32_t id)
{
	reply_rows(out, id, 6, 7, 1);
}

static void
reply_row_again(struct buf *out, uint32_t id)
{
	reply_rows(out, id, 6, 6, 0);
}

static void
reply_row_missing(struct buf *out, uint32_t id)
{
	reply_rows(out, id, 6, 8, 0);
}

static void
reply_row_seen(struct buf *out, uint32_t id)
{
	reply_rows(out, id, 5, 6, 0);
}

static void
reply_row_kind(struct buf *out, uint32_t id)
{
	proto_frame_put(out, PROTO_DONE, id, "\0\0\0\1\11", 5);
}

static int
count_row(void *ctx, const struct signer_log_row *row, struct err *err)
{
	(void)err;
	assert_int_equal(row->seq, 6);
	++*(unsigned *)ctx;
	return 0;
}

/* Rows that are missing, come again or are none: whoever compares log and store must not take that for the log. */
static void
test_lies_about_the_log(void **state)
{
	static const struct {
		void (*reply)(struct buf *out, uint32_t id);
		unsigned rows;
	} lies[] = {{reply_row_cut, 1}, {reply_row_again, 1}, {reply_row_missing, 1}, {reply_row_seen, 0},
	    {reply_row_kind, 0}};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof lies / sizeof lies[0]; i++) {
		struct liar l = {.reply = lies[i].reply};
		struct signer *signer;
		struct err err = {0};
		unsigned rows = 0;

		liar_open(&l, 8);
		signer = must_open(l.path, PATIENCE_MS);
		assert_int_equal(signer_log_read(signer, 5, count_row, &rows, &err), E_SYS);
		assert_int_equal(rows, lies[i].rows);
		signer_close(signer);
		liar_close(&l);
	}
}

/* It listens, but takes nobody: its queue is full. */
static void
test_full_queue(void **state)
{
	struct liar l = {.deaf = true};
	struct signer *signers[4] = {NULL};
	int64_t began = clock_mono_ms();
	struct err err = {0};
	size_t i;
	int rc = 0;

	(void)state;
	(void)alarm(60);
	liar_open(&l, 0);
	for (i = 0; i < 4 && rc == 0; i++)
		rc = signer_open(l.path, SHORT_MS, &signers[i], &err);
	assert_int_equal(rc, E_BUSY);
	assert_true(clock_mono_ms() - began < SLOW_MS);
	(void)alarm(0);
	for (i = 0; i < 4; i++)
		signer_close(signers[i]);
	liar_close(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_open_and_close),
	    cmocka_unit_test(test_killed_in_the_middle),
	    cmocka_unit_test(test_away_and_back),
	    cmocka_unit_test(test_too_large),
	    cmocka_unit_test(test_stopped),
	    cmocka_unit_test(test_stopped_in_a_list),
	    cmocka_unit_test(test_lies),
	    cmocka_unit_test(test_parts),
	    cmocka_unit_test(test_given_up),
	    cmocka_unit_test(test_lies_about_the_log),
	    cmocka_unit_test(test_full_queue),
	};

	return cmocka_run_group_tests(tests, open_home, close_home);
}

/* The signer's socket, both ends: frames, and what each body reader makes of them. What is accepted says what it was
 * read from: written again it is the same bytes. */
#include "base/err.h"
#include "fuzz.h"
#include "signer/log.h"
#include "signer/proto.h"
#include "x509/der.h"

static void
expect_same(const struct buf *again, const struct proto_frame *frame)
{
	FUZZ_ASSERT(again->len == frame->len);
	FUZZ_ASSERT(frame->len == 0 || memcmp(again->data, frame->body, frame->len) == 0);
}

static void
check_issue(const struct proto_frame *frame)
{
	struct signer_request request = {0};
	struct proto_issue issue;
	struct buf again = {0};
	size_t i;

	if (proto_issue_read(frame, &issue, NULL) != 0)
		return;
	FUZZ_ASSERT(issue.n_sans <= CERT_SANS_MAX && issue.spki_len <= KEY_SPKI_MAX);
	for (i = 0; i < issue.n_sans; i++)
		FUZZ_ASSERT(strlen(issue.sans[i]) < CERT_SAN_SIZE);
	request.profile = issue.profile;
	request.id = issue.id;
	request.spki = issue.spki;
	request.spki_len = issue.spki_len;
	request.valid_s = issue.valid_s;
	request.sans = issue.sans;
	request.n_sans = issue.n_sans;
	proto_issue_put(&again, &request);
	expect_same(&again, frame);
	buf_clear(&again);
}

static void
check_small(const struct proto_frame *frame)
{
	struct buf again = {0};
	struct proto_note note;
	struct proto_crl crl;
	uint8_t head[SHA256_LEN];
	uint64_t after;
	int64_t seq;

	if (proto_note_read(frame, &note, NULL) == 0) {
		FUZZ_ASSERT(reason_is_known(note.reason) && note.at >= 0 && note.at <= DER_TIME_MAX);
		proto_note_put(&again, &note);
		expect_same(&again, frame);
		buf_reset(&again);
	}
	if (proto_crl_read(frame, &crl, NULL) == 0) {
		proto_crl_put(&again, &crl);
		expect_same(&again, frame);
		buf_reset(&again);
	}
	if (proto_log_read_read(frame, &after, NULL) == 0) {
		proto_log_read_put(&again, after);
		expect_same(&again, frame);
		buf_reset(&again);
	}
	if (proto_checkpoint_read(frame, &seq, head, NULL) == 0) {
		FUZZ_ASSERT(seq >= 0);
		proto_checkpoint_put(&again, seq, head);
		expect_same(&again, frame);
	}
	buf_clear(&again);
}

static void
check_ocsp(const struct proto_frame *frame)
{
	struct proto_ocsp *ocsp = malloc(sizeof *ocsp);
	struct buf again = {0};

	FUZZ_ASSERT(ocsp != NULL);
	if (proto_ocsp_read(frame, ocsp, NULL) == 0) {
		proto_ocsp_put(&again, ocsp->issuer, ocsp->valid_s, ocsp->wanted, ocsp->n);
		expect_same(&again, frame);
	}
	buf_clear(&again);
	free(ocsp);
}

/* Whatever entries are accepted can stand in a list. */
static void
check_entries(const struct proto_frame *frame)
{
	struct buf complete = {0}, delta = {0};
	bool ok = proto_entries_read(frame, false, &complete, NULL) == 0;

	if (proto_entries_read(frame, true, &delta, NULL) == 0) {
		FUZZ_ASSERT(frame->len % PROTO_ENTRY_LEN == 0);
		FUZZ_ASSERT(!buf_failed(&delta));
	} else {
		FUZZ_ASSERT(!ok);
	}
	if (ok) /* what has a place in a complete list has the same in a delta */
		FUZZ_ASSERT(complete.len == delta.len &&
		    (delta.len == 0 || memcmp(complete.data, delta.data, delta.len) == 0));
	buf_clear(&complete);
	buf_clear(&delta);
}

static void
check_signed(const struct proto_frame *frame)
{
	struct buf answer = {0}, sig = {0}, again = {0};
	struct checkpoint checkpoint;
	const uint8_t *at;
	uint64_t number;
	size_t len;

	buf_append(&answer, frame->body, frame->len);
	if (proto_signed_read(&answer, &number, &at, &len, NULL) == 0) {
		buf_append(&sig, at, len);
		proto_signed_put(&again, number, &sig);
		expect_same(&again, frame);
		buf_reset(&again);
	}
	if (proto_checkpoint_signed_read(&answer, &checkpoint, &len, NULL) == 0) {
		proto_checkpoint_signed_put(&again, &checkpoint);
		buf_append(&again, answer.data + len, answer.len - len);
		expect_same(&again, frame);
	}
	buf_clear(&answer);
	buf_clear(&sig);
	buf_clear(&again);
}

/* An error is never a success. */
static void
check_error(const struct proto_frame *frame)
{
	struct err err = {0};
	int rc = proto_error_read(frame, &err);

	FUZZ_ASSERT(rc <= E_INPUT && rc >= E_FULL && err.code == rc);
	FUZZ_ASSERT(proto_error_read(frame, NULL) == rc);
}

static void
check_row(const struct proto_frame *frame)
{
	struct signer_log_row row;
	struct buf again = {0};

	if (signer_log_row_read(frame->body, frame->len, &row, NULL) != 0)
		return;
	signer_log_row_put(&again, &row);
	expect_same(&again, frame);
	buf_clear(&again);
}

static void
check_body(const struct proto_frame *frame)
{
	check_issue(frame);
	check_small(frame);
	check_ocsp(frame);
	check_entries(frame);
	check_signed(frame);
	check_error(frame);
	check_row(frame);
}

static void
check_frame(const struct proto_frame *frame, const uint8_t *at, int size)
{
	struct buf again = {0};

	FUZZ_ASSERT(size == PROTO_HEADER + (int)frame->len + (frame->about != NULL ? PROTO_ABOUT_LEN : 0) && frame->len <= PROTO_BODY_MAX);
	proto_frame_put(&again, frame->type, frame->id, frame->body, frame->len);
	FUZZ_ASSERT(again.len == (size_t)size && memcmp(again.data, at, again.len) == 0);
	buf_clear(&again);
	check_body(frame);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct proto_frame frame = {.body = data, .len = len};
	size_t at = 0;
	int size;

	check_body(&frame); /* the input as one body */
	while ((size = proto_frame_read(data + at, len - at, &frame, NULL)) > 0) {
		check_frame(&frame, data + at, size);
		at += (size_t)size;
	}
	FUZZ_ASSERT(size == 0 || size == E_INPUT);
	return 0;
}

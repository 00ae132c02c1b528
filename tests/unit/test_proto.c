/* Both ends of the signer's socket: each body there and back, and everything that is not exactly a body refused. */
#include "check.h"

#include "base/text.h"
#include "signer/proto.h"
#include "x509/der.h"
#include "x509/crl.h"

#include <stdlib.h>
#include <string.h>

#define ID "6f1ed002-ab59-4f4b-8a5e-3f5b6f0b7f01"

/* A body of its own exact size, so that ASan sees one byte too many, as a frame. */
static struct proto_frame
frame_of(const struct buf *body, size_t len)
{
	struct proto_frame frame = {.type = PROTO_ISSUE, .id = 7, .len = len};
	uint8_t *copy = malloc(len > 0 ? len : 1);

	assert_non_null(copy);
	if (len > 0)
		memcpy(copy, body->data, len);
	frame.body = copy;
	return frame;
}

/* ---- frames -------------------------------------------------------------------------------------------------- */

static void
test_frame(void **state)
{
	struct proto_frame frame = {0};
	struct buf out = {0};
	struct err err = {0};
	size_t len;

	(void)state;
	proto_frame_put(&out, PROTO_NOTE, 0xfedcba98, "body", 4);
	proto_frame_put(&out, PROTO_CA_CERT, 1, NULL, 0);
	assert_int_equal(out.len, 2 * PROTO_HEADER + 4);
	assert_memory_equal(out.data, "\0\0\0\11\2\376\334\272\230body\0\0\0\5\5\0\0\0\1", out.len);
	for (len = 0; len < PROTO_HEADER + 4; len++)
		assert_int_equal(proto_frame_read(out.data, len, &frame, &err), 0);
	assert_int_equal(frame.type, 0); /* untouched so far */
	for (; len <= out.len; len++) {
		assert_int_equal(proto_frame_read(out.data, len, &frame, &err), PROTO_HEADER + 4);
		assert_int_equal(frame.type, PROTO_NOTE);
		assert_true(frame.id == 0xfedcba98);
		assert_int_equal(frame.len, 4);
		assert_memory_equal(frame.body, "body", 4);
	}
	assert_int_equal(
	    proto_frame_read(out.data + PROTO_HEADER + 4, PROTO_HEADER, &frame, &err), PROTO_HEADER);
	assert_int_equal(frame.type, PROTO_CA_CERT);
	assert_int_equal(frame.len, 0);
	buf_clear(&out);
}

/* The length alone decides: nothing is waited for that would be refused when it is there. */
/* A request may say what it is about; an answer may not, and neither may what is too short for that. */
static void
test_what_a_frame_is_about(void **state)
{
	static const uint8_t about[PROTO_ABOUT_LEN] = "sixteen bytes!!";
	struct proto_frame frame = {0};
	struct buf out = {0};
	struct err err = {0};

	(void)state;
	proto_request_put(&out, PROTO_ISSUE, 7, about, "body", 4);
	assert_int_equal(proto_frame_read(out.data, out.len - 1, &frame, &err), 0);
	assert_int_equal(proto_frame_read(out.data, out.len, &frame, &err), PROTO_HEADER + PROTO_ABOUT_LEN + 4);
	assert_int_equal(frame.type, PROTO_ISSUE);
	assert_int_equal(frame.id, 7);
	assert_int_equal(frame.len, 4);
	assert_memory_equal(frame.body, "body", 4);
	assert_memory_equal(frame.about, about, sizeof about);
	buf_reset(&out);
	proto_frame_put(&out, PROTO_ISSUE | PROTO_ABOUT, 7, about, PROTO_ABOUT_LEN - 1);
	assert_int_equal(proto_frame_read(out.data, out.len, &frame, &err), PROTO_HEADER + PROTO_ABOUT_LEN - 1);
	assert_int_equal(frame.type, PROTO_ISSUE | PROTO_ABOUT); /* which is no operation */
	assert_null(frame.about);
	buf_reset(&out);
	proto_frame_put(&out, PROTO_DONE | PROTO_ABOUT, 7, about, PROTO_ABOUT_LEN);
	assert_int_equal(proto_frame_read(out.data, out.len, &frame, &err), PROTO_HEADER + PROTO_ABOUT_LEN);
	assert_int_equal(frame.len, PROTO_ABOUT_LEN);
	assert_null(frame.about);
	buf_clear(&out);
}

static void
test_frame_length(void **state)
{
	static const struct {
		uint32_t size;
		int rc;
	} sizes[] = {{0, E_INPUT}, {1, E_INPUT}, {4, E_INPUT}, {5, 0}, {PROTO_FRAME_MAX, 0},
	    {PROTO_FRAME_MAX + 1, E_INPUT}, {0x7fffffff, E_INPUT}, {0x80000000, E_INPUT}, {0xffffffff, E_INPUT}};
	struct proto_frame frame;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		struct buf out = {0};
		struct err err = {0};

		buf_u32(&out, sizes[i].size);
		assert_int_equal(proto_frame_read(out.data, out.len, &frame, &err), sizes[i].rc);
		assert_int_equal(err.code, sizes[i].rc);
		buf_clear(&out);
	}
}

static void
test_largest_frame(void **state)
{
	static uint8_t body[PROTO_BODY_MAX];
	struct proto_frame frame;
	struct buf out = {0};
	struct err err = {0};

	(void)state;
	proto_frame_put(&out, PROTO_CRL_ENTRIES, 1, body, sizeof body);
	assert_int_equal(out.len, 4 + PROTO_FRAME_MAX);
	assert_int_equal(proto_frame_read(out.data, out.len - 1, &frame, &err), 0);
	assert_int_equal(proto_frame_read(out.data, out.len, &frame, &err), 4 + PROTO_FRAME_MAX);
	assert_int_equal(frame.len, sizeof body);
	buf_clear(&out);
}

/* Put the parts of an answer of LEN bytes together again. */
static void
check_answer(size_t len, unsigned parts)
{
	struct buf body = {0}, out = {0}, whole = {0};
	struct proto_frame frame = {0};
	struct err err = {0};
	size_t i, at = 0;
	unsigned n = 0;
	int size;

	for (i = 0; i < len; i++)
		buf_byte(&body, (uint8_t)(i * 7 + i / 251));
	proto_answer_put(&out, 42, body.data, len);
	assert_false(buf_failed(&out));
	while (at < out.len) {
		size = proto_frame_read(out.data + at, out.len - at, &frame, &err);
		assert_true(size > 0);
		at += (size_t)size;
		assert_int_equal(frame.id, 42);
		buf_append(&whole, frame.body, frame.len);
		n++;
		assert_int_equal(frame.type, at < out.len ? PROTO_MORE : PROTO_DONE);
	}
	assert_int_equal(n, parts);
	assert_int_equal(whole.len, len);
	if (len > 0)
		assert_memory_equal(whole.data, body.data, len);
	buf_clear(&body);
	buf_clear(&out);
	buf_clear(&whole);
}

static void
test_answers_in_parts(void **state)
{
	(void)state;
	check_answer(0, 1);
	check_answer(1, 1);
	check_answer(PROTO_BODY_MAX - 1, 1);
	check_answer(PROTO_BODY_MAX, 1);
	check_answer(PROTO_BODY_MAX + 1, 2);
	check_answer(2 * PROTO_BODY_MAX, 2);
	check_answer(2 * PROTO_BODY_MAX + 1, 3);
}

/* ---- errors -------------------------------------------------------------------------------------------------- */

static void
test_errors(void **state)
{
	struct proto_frame frame;
	struct buf out = {0};
	int code;

	(void)state;
	for (code = E_INPUT; code >= E_FULL; code--) {
		struct err sent = {0}, got = {0}, none = {0};

		(void)err_field(&sent, code, "valid", "longer than %s allows", "that");
		buf_reset(&out);
		proto_error_put(&out, 9, &sent);
		assert_true(proto_frame_read(out.data, out.len, &frame, &none) > 0);
		assert_int_equal(frame.type, PROTO_FAILED);
		assert_int_equal(frame.id, 9);
		assert_int_equal(proto_error_read(&frame, &got), code);
		assert_int_equal(got.code, code);
		assert_string_equal(got.field, "valid");
		assert_string_equal(got.text, "longer than that allows");
		assert_int_equal(proto_error_read(&frame, NULL), code);
	}
	buf_clear(&out);
}

/* The longest texts that an error can have. */
static void
test_longest_error(void **state)
{
	struct err sent = {.code = E_SYS}, got = {0}, none = {0};
	struct proto_frame frame;
	struct buf out = {0};

	(void)state;
	memset(sent.field, 'f', sizeof sent.field - 1);
	memset(sent.text, 't', sizeof sent.text - 1);
	proto_error_put(&out, 1, &sent);
	assert_true(proto_frame_read(out.data, out.len, &frame, &none) > 0);
	assert_int_equal(proto_error_read(&frame, &got), E_SYS);
	assert_string_equal(got.field, sent.field);
	assert_string_equal(got.text, sent.text);
	buf_clear(&out);
}

/* What is no error must not pass for a success, nor for another error. */
static void
test_malformed_errors(void **state)
{
	static const uint8_t codes[] = {0, 12, 13, 127, 128, 255};
	struct buf body = {0}, out = {0};
	struct err sent = {0}, err = {0};
	struct proto_frame frame;
	size_t len, i;

	(void)state;
	(void)err_field(&sent, E_NOTFOUND, "id", "none");
	proto_error_put(&out, 1, &sent);
	buf_append(&body, out.data + PROTO_HEADER, out.len - PROTO_HEADER);
	buf_byte(&body, 'x');
	for (len = 0; len <= body.len; len++) {
		frame = frame_of(&body, len);
		assert_int_equal(proto_error_read(&frame, &err), len == body.len - 1 ? E_NOTFOUND : E_SYS);
		free((void *)frame.body);
	}
	for (i = 0; i < sizeof codes; i++) {
		body.data[0] = codes[i];
		frame = frame_of(&body, body.len - 1);
		assert_int_equal(proto_error_read(&frame, &err), E_SYS);
		assert_non_null(strstr(err.text, "malformed"));
		free((void *)frame.body);
	}
	buf_clear(&body);
	buf_clear(&out);
}

/* ---- bodies -------------------------------------------------------------------------------------------------- */

typedef int read_fn(const struct proto_frame *frame, struct err *err);

static int
read_issue(const struct proto_frame *frame, struct err *err)
{
	struct proto_issue issue;

	return proto_issue_read(frame, &issue, err);
}

static int
read_note(const struct proto_frame *frame, struct err *err)
{
	struct proto_note note;

	return proto_note_read(frame, &note, err);
}

static int
read_crl(const struct proto_frame *frame, struct err *err)
{
	struct proto_crl crl;

	return proto_crl_read(frame, &crl, err);
}

static int
read_log_read(const struct proto_frame *frame, struct err *err)
{
	uint64_t after;

	return proto_log_read_read(frame, &after, err);
}

static int
read_entries(const struct proto_frame *frame, struct err *err)
{
	struct buf der = {0};
	int rc = proto_entries_read(frame, false, &der, err);

	buf_clear(&der);
	return rc;
}

/* BODY is taken; cut at any byte, or with one too many, it is not. */
static void
check_exact(struct buf *body, read_fn *read)
{
	size_t len = body->len, n;

	buf_byte(body, 0);
	for (n = 0; n <= len + 1; n++) {
		struct proto_frame frame = frame_of(body, n);
		struct err err = {0};

		assert_int_equal(read(&frame, &err), n == len ? 0 : E_INPUT);
		assert_int_equal(err.text[0] == '\0', n == len);
		free((void *)frame.body);
	}
	body->len = len;
}

static void
check_refused(const struct buf *body, read_fn *read)
{
	struct proto_frame frame = frame_of(body, body->len);
	struct err err = {0};

	assert_int_equal(read(&frame, &err), E_INPUT);
	free((void *)frame.body);
}

static void
test_issue(void **state)
{
	static const char *const sans[] = {"DNS:pump.example", "IP:192.0.2.1"};
	const struct signer_request request = {.profile = "standard", .id = ID, .spki = (const uint8_t *)"SPKI\0\1",
	    .spki_len = 6, .valid_s = 86400, .sans = sans, .n_sans = 2};
	struct proto_issue issue;
	struct proto_frame frame;
	struct buf body = {0};
	struct err err = {0};

	(void)state;
	proto_issue_put(&body, &request);
	frame = frame_of(&body, body.len);
	assert_ok(proto_issue_read(&frame, &issue, &err));
	free((void *)frame.body); /* all of it is copied */
	assert_string_equal(issue.profile, "standard");
	assert_string_equal(issue.id, ID);
	assert_int_equal(issue.spki_len, 6);
	assert_memory_equal(issue.spki, "SPKI\0\1", 6);
	assert_int_equal(issue.valid_s, 86400);
	assert_int_equal(issue.n_sans, 2);
	assert_string_equal(issue.sans[0], sans[0]);
	assert_string_equal(issue.sans[1], sans[1]);
	check_exact(&body, read_issue);
	buf_clear(&body);
}

static void
test_issue_with_nothing(void **state)
{
	const struct signer_request request = {.profile = "", .id = "", .spki = (const uint8_t *)""};
	struct buf body = {0};

	(void)state;
	proto_issue_put(&body, &request);
	assert_int_equal(body.len, 2 + 2 + 2 + 8 + 2);
	check_exact(&body, read_issue);
	buf_clear(&body);
}

/* Each part at its maximum is taken, one more is not. */
static void
check_issue_size(size_t profile_len, size_t id_len, size_t spki_len, size_t n_sans, size_t san_len, int rc)
{
	static uint8_t spki[KEY_SPKI_MAX + 1];
	char profile[64] = "", id[80] = "", san[CERT_SAN_SIZE + 8] = "";
	const char *sans[CERT_SANS_MAX + 1];
	struct signer_request request = {.profile = profile, .id = id, .spki = spki, .spki_len = spki_len,
	    .sans = sans, .n_sans = n_sans};
	struct proto_frame frame;
	struct proto_issue *issue = malloc(sizeof *issue); /* ASan watches its end */
	struct buf body = {0};
	struct err err = {0};
	size_t i;

	assert_non_null(issue);
	memset(profile, 'p', profile_len);
	memset(id, 'i', id_len);
	memset(san, 's', san_len);
	for (i = 0; i < n_sans; i++)
		sans[i] = san;
	proto_issue_put(&body, &request);
	frame = frame_of(&body, body.len);
	assert_int_equal(proto_issue_read(&frame, issue, &err), rc);
	if (rc == 0) {
		assert_string_equal(issue->profile, profile);
		assert_string_equal(issue->id, id);
		assert_int_equal(issue->n_sans, n_sans);
		if (n_sans > 0)
			assert_string_equal(issue->sans[n_sans - 1], san);
	}
	free((void *)frame.body);
	free(issue);
	buf_clear(&body);
}

static void
test_issue_maxima(void **state)
{
	(void)state;
	check_issue_size(PROFILE_NAME_MAX, 63, KEY_SPKI_MAX, CERT_SANS_MAX, CERT_SAN_SIZE - 1, 0);
	check_issue_size(PROFILE_NAME_MAX + 1, 36, 91, 0, 0, E_INPUT);
	check_issue_size(8, 64, 91, 0, 0, E_INPUT);
	check_issue_size(8, 36, KEY_SPKI_MAX + 1, 0, 0, E_INPUT);
	check_issue_size(8, 36, 91, CERT_SANS_MAX + 1, 8, E_INPUT);
	check_issue_size(8, 36, 91, 1, CERT_SAN_SIZE, E_INPUT);
}

/* Counts and lengths that promise more than there is. */
static void
test_issue_lies(void **state)
{
	const struct signer_request request = {
	    .profile = "p", .id = "i", .spki = (const uint8_t *)"k", .spki_len = 1};
	static const size_t lengths[] = {0, 3, 6, 17};
	struct buf body = {0};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		buf_reset(&body);
		proto_issue_put(&body, &request);
		assert_int_equal(body.len, 19);
		memset(body.data + lengths[i], 0xff, 2);
		check_refused(&body, read_issue);
	}
	buf_reset(&body);
	proto_issue_put(&body, &request);
	body.data[2] = '\0'; /* a NUL in a text */
	check_refused(&body, read_issue);
	buf_clear(&body);
}

static void
test_note(void **state)
{
	static const bool known[256] = {[0] = true, [1] = true, [2] = true, [3] = true, [4] = true, [5] = true,
	    [6] = true, [8] = true, [9] = true, [10] = true};
	struct proto_note note = {.reason = REASON_KEY_COMPROMISE, .at = 1767225600}, got;
	struct proto_frame frame;
	struct buf body = {0};
	struct err err = {0};
	unsigned i;

	(void)state;
	for (i = 0; i < SERIAL_LEN; i++)
		note.serial[i] = (uint8_t)(i + 1);
	proto_note_put(&body, &note);
	check_exact(&body, read_note);
	for (i = 0; i < 256; i++) {
		body.data[SERIAL_LEN] = (uint8_t)i;
		frame = frame_of(&body, body.len);
		assert_int_equal(proto_note_read(&frame, &got, &err), known[i] ? 0 : E_INPUT);
		if (known[i]) {
			assert_memory_equal(got.serial, note.serial, SERIAL_LEN);
			assert_int_equal(got.reason, i);
			assert_int_equal(got.at, note.at);
		}
		free((void *)frame.body);
	}
	buf_clear(&body);
}

static void
test_entries(void **state)
{
	struct crl_entry entry = {.revoked_at = 1767225600, .reason = REASON_CERTIFICATE_HOLD};
	struct proto_frame frame;
	struct buf body = {0}, got = {0}, want = {0};
	struct err err = {0};
	unsigned i;

	(void)state;
	for (i = 0; i < PROTO_ENTRIES_MAX; i++) {
		memset(entry.serial, (int)(i % 127 + 1), SERIAL_LEN);
		entry.reason = i % 2 == 0 ? REASON_CERTIFICATE_HOLD : REASON_UNSPECIFIED;
		entry.revoked_at++;
		proto_entry_put(&body, &entry);
		crl_entry_put(&want, &entry, false);
	}
	assert_int_equal(body.len, PROTO_ENTRIES_MAX * PROTO_ENTRY_LEN);
	assert_true(body.len <= PROTO_BODY_MAX && body.len + PROTO_ENTRY_LEN > PROTO_BODY_MAX);
	frame = frame_of(&body, body.len);
	assert_ok(proto_entries_read(&frame, false, &got, &err));
	assert_int_equal(got.len, want.len);
	assert_memory_equal(got.data, want.data, want.len);
	free((void *)frame.body);
	buf_clear(&got);
	buf_clear(&want);
	buf_clear(&body);
}

/* Whole entries only, of reasons that a list may have; removeFromCRL in deltas alone (RFC 5280, section 5.3.1). */
static void
test_entries_refused(void **state)
{
	static const bool listed[256] = {[0] = true, [1] = true, [2] = true, [3] = true, [4] = true, [5] = true,
	    [6] = true, [9] = true, [10] = true};
	struct buf der = {0};
	struct crl_entry entry = {.serial = {1}, .revoked_at = 1767225600};
	struct proto_frame frame;
	struct buf body = {0};
	unsigned i;

	(void)state;
	proto_entry_put(&body, &entry);
	proto_entry_put(&body, &entry);
	for (i = 0; i <= body.len; i++) {
		struct err err = {0};

		frame = frame_of(&body, i);
		assert_int_equal(read_entries(&frame, &err), i % PROTO_ENTRY_LEN == 0 ? 0 : E_INPUT);
		free((void *)frame.body);
	}
	for (i = 0; i < 256; i++) {
		struct err err = {0};

		body.data[body.len - 1] = (uint8_t)i;
		frame = frame_of(&body, body.len);
		assert_int_equal(read_entries(&frame, &err), listed[i] ? 0 : E_INPUT);
		assert_int_equal(proto_entries_read(&frame, true, &der, &err),
		    listed[i] || i == REASON_REMOVE_FROM_CRL ? 0 : E_INPUT);
		free((void *)frame.body);
	}
	buf_clear(&der);
	buf_clear(&body);
}

/* A time before 1970, or after 9999: no certificate and no list could say it, and the whole list would fail. */
static void
test_times(void **state)
{
	static const struct {
		int64_t at;
		int rc;
	} times[] = {{0, 0}, {253402300799, 0}, {253402300800, E_INPUT}, {-1, E_INPUT}, {INT64_MAX, E_INPUT},
	    {INT64_MIN, E_INPUT}};
	struct buf note_body = {0}, entry_body = {0};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof times / sizeof times[0]; i++) {
		struct proto_note note = {.serial = {1}, .at = times[i].at};
		struct crl_entry entry = {.serial = {1}, .revoked_at = times[i].at};
		struct proto_frame frame;
		struct err err = {0};

		buf_reset(&note_body);
		proto_note_put(&note_body, &note);
		frame = frame_of(&note_body, note_body.len);
		assert_int_equal(read_note(&frame, &err), times[i].rc);
		free((void *)frame.body);
		buf_reset(&entry_body);
		proto_entry_put(&entry_body, &entry);
		frame = frame_of(&entry_body, entry_body.len);
		assert_int_equal(read_entries(&frame, &err), times[i].rc);
		free((void *)frame.body);
	}
	buf_clear(&note_body);
	buf_clear(&entry_body);
}

static void
test_crl(void **state)
{
	const struct proto_crl crl = {{{1, 2, 3, [KEY_ID_LEN - 1] = 0xff}, 0x123456789abcdef0, 0xfedcba9876543210, true, 1767225600,
					  1767830400}, 0x0102030405060708};
	struct proto_crl got = {0};
	struct proto_frame frame;
	struct buf body = {0};
	struct err err = {0};

	(void)state;
	proto_crl_put(&body, &crl);
	frame = frame_of(&body, body.len);
	assert_ok(proto_crl_read(&frame, &got, &err));
	assert_memory_equal(got.crl.issuer, crl.crl.issuer, KEY_ID_LEN);
	assert_true(got.crl.base == crl.crl.base && got.crl.at_least == crl.crl.at_least && got.crl.is_paired);
	assert_int_equal(got.crl.this_update, crl.crl.this_update);
	assert_int_equal(got.crl.next_update, crl.crl.next_update);
	assert_true(got.entries_len == crl.entries_len);
	free((void *)frame.body);
	check_exact(&body, read_crl);
	body.data[KEY_ID_LEN] = 2; /* neither yes nor no */
	frame = frame_of(&body, body.len);
	assert_int_equal(proto_crl_read(&frame, &got, &err), E_INPUT);
	free((void *)frame.body);
	buf_clear(&body);
}

static void
test_signed(void **state)
{
	struct buf body = {0}, sig = {0};
	size_t lens[] = {1, KEY_SIG_MAX}, i, len;
	struct err err = {0};
	const uint8_t *got;
	uint64_t number;

	(void)state;
	for (i = 0; i < 2; i++) {
		buf_reset(&body);
		buf_reset(&sig);
		memset(buf_extend(&sig, lens[i]), 0x5a, lens[i]);
		proto_signed_put(&body, 0xfedcba9876543210, &sig);
		assert_ok(proto_signed_read(&body, &number, &got, &len, &err));
		assert_true(number == 0xfedcba9876543210 && len == lens[i]);
		assert_memory_equal(got, sig.data, len);
	}
	buf_byte(&body, 0); /* longer than any signature */
	assert_int_equal(proto_signed_read(&body, &number, &got, &len, &err), E_SYS);
	for (i = 0; i <= 8; i++) { /* no signature */
		body.len = i;
		assert_int_equal(proto_signed_read(&body, &number, &got, &len, &err), E_SYS);
	}
	buf_clear(&body);
	buf_clear(&sig);
}

static void
test_log_read(void **state)
{
	struct proto_frame frame;
	struct buf body = {0};
	struct err err = {0};
	uint64_t after = 0;

	(void)state;
	proto_log_read_put(&body, 0xfedcba9876543210);
	frame = frame_of(&body, body.len);
	assert_ok(proto_log_read_read(&frame, &after, &err));
	assert_true(after == 0xfedcba9876543210);
	free((void *)frame.body);
	check_exact(&body, read_log_read);
	buf_clear(&body);
}

static int
read_checkpoint(const struct proto_frame *frame, struct err *err)
{
	uint8_t head[SHA256_LEN];
	int64_t seq;

	return proto_checkpoint_read(frame, &seq, head, err);
}

static void
test_checkpoint(void **state)
{
	struct checkpoint c = {.number = 3, .seq = 1LL << 40, .head = {1}, .at = 1000, .previous = {2}}, got = {0};
	struct buf body = {0}, answer = {0};
	struct err err = {0};
	size_t used = 0, i;

	(void)state;
	proto_checkpoint_put(&body, 1LL << 40, c.head);
	check_exact(&body, read_checkpoint);
	buf_reset(&body);
	proto_checkpoint_put(&body, -1, c.head);
	check_refused(&body, read_checkpoint);
	proto_checkpoint_signed_put(&answer, &c);
	for (i = 0; i <= answer.len; i++) { /* nothing behind it is malformed, too */
		struct buf part = {.data = answer.data, .len = i};

		assert_int_equal(proto_checkpoint_signed_read(&part, &got, &used, &err), E_SYS);
	}
	buf_append(&answer, "cms", 3);
	assert_ok(proto_checkpoint_signed_read(&answer, &got, &used, &err));
	assert_memory_equal(answer.data + used, "cms", 3);
	assert_memory_equal(&got, &c, sizeof c);
	buf_clear(&body);
	buf_clear(&answer);
}

static int
read_ocsp(const struct proto_frame *frame, struct err *err)
{
	struct proto_ocsp *ocsp = malloc(sizeof *ocsp); /* ASan watches its end */
	int rc;

	assert_non_null(ocsp);
	rc = proto_ocsp_read(frame, ocsp, err);
	free(ocsp);
	return rc;
}

static void
test_ocsp(void **state)
{
	static const uint8_t issuer[KEY_ID_LEN] = {1, 2, 3}, nonce[OCSP_NONCE_MAX] = {9, 8, 7};
	const struct ocsp_single singles[] = {{.hash = OCSP_SHA256, .serial = {5}, .status = OCSP_GOOD},
	    {.serial = {6}, .status = OCSP_REVOKED, .revoked_at = 1000, .reason = REASON_SUPERSEDED},
	    {.serial = {7}, .status = OCSP_UNKNOWN}};
	const struct signer_ocsp wanted[] = {{singles, 2, NULL, 0}, {singles + 2, 1, nonce, sizeof nonce}};
	static struct proto_ocsp got;
	struct proto_frame frame;
	struct buf body = {0};
	struct err err = {0};

	(void)state;
	proto_ocsp_put(&body, issuer, 3600, wanted, 2);
	frame = frame_of(&body, body.len);
	assert_ok(proto_ocsp_read(&frame, &got, &err));
	free((void *)frame.body);
	assert_memory_equal(got.issuer, issuer, KEY_ID_LEN);
	assert_int_equal(got.valid_s, 3600);
	assert_int_equal(got.n, 2);
	assert_int_equal(got.wanted[0].n, 2);
	assert_int_equal(got.wanted[0].nonce_len, 0);
	assert_int_equal(got.wanted[0].singles[0].hash, OCSP_SHA256);
	assert_int_equal(got.wanted[0].singles[1].status, OCSP_REVOKED);
	assert_int_equal(got.wanted[0].singles[1].revoked_at, 1000);
	assert_int_equal(got.wanted[0].singles[1].reason, REASON_SUPERSEDED);
	assert_int_equal(got.wanted[1].nonce_len, sizeof nonce);
	assert_memory_equal(got.wanted[1].nonce, nonce, sizeof nonce);
	assert_memory_equal(got.wanted[1].singles[0].serial, singles[2].serial, SERIAL_LEN);
	check_exact(&body, read_ocsp);
	buf_clear(&body);
}

/* One more of anything than fits the reader, and values that no answer can have. */
static void
test_ocsp_lies(void **state)
{
	static const uint8_t issuer[KEY_ID_LEN] = {1}, nonce[OCSP_NONCE_MAX + 1] = {1};
	struct ocsp_single singles[SIGNER_OCSP_SINGLES_MAX + 1] = {{0}};
	struct signer_ocsp wanted[SIGNER_OCSP_MAX + 1] = {{0}};
	const struct ocsp_single bad[] = {{.hash = OCSP_HASHES}, {.status = OCSP_UNKNOWN + 1}, {.revoked_at = -1},
	    {.revoked_at = DER_TIME_MAX + 1}, {.reason = (enum crl_reason)7}, {.reason = REASON_REMOVE_FROM_CRL}};
	struct buf body = {0};
	size_t i;

	(void)state;
	for (i = 0; i <= SIGNER_OCSP_MAX; i++)
		wanted[i] = (struct signer_ocsp){singles, 1, nonce, OCSP_NONCE_MAX};
	proto_ocsp_put(&body, issuer, 60, wanted, SIGNER_OCSP_MAX);
	check_exact(&body, read_ocsp);
	buf_reset(&body);
	proto_ocsp_put(&body, issuer, 60, wanted, SIGNER_OCSP_MAX + 1);
	check_refused(&body, read_ocsp);
	wanted[0].nonce_len = OCSP_NONCE_MAX + 1;
	buf_reset(&body);
	proto_ocsp_put(&body, issuer, 60, wanted, 1);
	check_refused(&body, read_ocsp);
	wanted[0] = (struct signer_ocsp){singles, SIGNER_OCSP_SINGLES_MAX, NULL, 0};
	buf_reset(&body);
	proto_ocsp_put(&body, issuer, 60, wanted, 1);
	check_exact(&body, read_ocsp);
	buf_reset(&body);
	proto_ocsp_put(&body, issuer, 60, wanted, 2); /* each alone would fit */
	check_refused(&body, read_ocsp);
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		wanted[0] = (struct signer_ocsp){&bad[i], 1, NULL, 0};
		buf_reset(&body);
		proto_ocsp_put(&body, issuer, 60, wanted, 1);
		check_refused(&body, read_ocsp);
	}
	buf_clear(&body);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_frame),
	    cmocka_unit_test(test_what_a_frame_is_about),
	    cmocka_unit_test(test_frame_length),
	    cmocka_unit_test(test_largest_frame),
	    cmocka_unit_test(test_answers_in_parts),
	    cmocka_unit_test(test_errors),
	    cmocka_unit_test(test_longest_error),
	    cmocka_unit_test(test_malformed_errors),
	    cmocka_unit_test(test_issue),
	    cmocka_unit_test(test_issue_with_nothing),
	    cmocka_unit_test(test_issue_maxima),
	    cmocka_unit_test(test_issue_lies),
	    cmocka_unit_test(test_note),
	    cmocka_unit_test(test_entries),
	    cmocka_unit_test(test_entries_refused),
	    cmocka_unit_test(test_times),
	    cmocka_unit_test(test_crl),
	    cmocka_unit_test(test_signed),
	    cmocka_unit_test(test_log_read),
	    cmocka_unit_test(test_checkpoint),
	    cmocka_unit_test(test_ocsp),
	    cmocka_unit_test(test_ocsp_lies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

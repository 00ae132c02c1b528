/* Writers trust their caller, readers nobody: a body must be exactly what its type asks for. Lengths are checked
 * against named maxima before anything is copied. */
#include "signer/proto.h"

#include "base/bytes.h"
#include "base/text.h"
#include "x509/der.h"

#include <string.h>

#define LENGTH_BYTES 4
#define FRAME_MIN 5 /* type and call id */

int
proto_frame_read(const uint8_t *data, size_t len, struct proto_frame *out, struct err *err)
{
	struct bytes b = {data, len, false};
	uint32_t size;

	if (len < LENGTH_BYTES)
		return 0;
	size = bytes_u32(&b);
	if (size < FRAME_MIN || size > PROTO_FRAME_MAX)
		return err_set(err, E_INPUT, "a frame of %u bytes: from %d to %d are taken", (unsigned)size,
		    FRAME_MIN, PROTO_FRAME_MAX);
	if (b.len < size)
		return 0;
	out->type = bytes_u8(&b);
	out->id = bytes_u32(&b);
	out->len = size - FRAME_MIN;
	out->about = NULL;
	if (out->type < PROTO_DONE && (out->type & PROTO_ABOUT) != 0 && out->len >= PROTO_ABOUT_LEN) {
		out->type &= (uint8_t)~PROTO_ABOUT;
		out->about = bytes_take(&b, PROTO_ABOUT_LEN);
		out->len -= PROTO_ABOUT_LEN;
	}
	out->body = bytes_take(&b, out->len);
	return (int)(LENGTH_BYTES + size);
}

void
proto_frame_put(struct buf *out, unsigned type, uint32_t id, const void *body, size_t len)
{
	buf_u32(out, (uint32_t)(FRAME_MIN + len));
	buf_byte(out, (uint8_t)type);
	buf_u32(out, id);
	buf_append(out, body, len);
}

void
proto_request_put(struct buf *out, enum proto_op op, uint32_t id, const uint8_t *about, const void *body, size_t len)
{
	buf_u32(out, (uint32_t)(FRAME_MIN + PROTO_ABOUT_LEN + len));
	buf_byte(out, (uint8_t)(op | PROTO_ABOUT));
	buf_u32(out, id);
	buf_append(out, about, PROTO_ABOUT_LEN);
	buf_append(out, body, len);
}

void
proto_answer_put(struct buf *out, uint32_t id, const void *body, size_t len)
{
	const uint8_t *at = body;

	for (; len > PROTO_BODY_MAX; at += PROTO_BODY_MAX, len -= PROTO_BODY_MAX)
		proto_frame_put(out, PROTO_MORE, id, at, PROTO_BODY_MAX);
	proto_frame_put(out, PROTO_DONE, id, at, len);
}

static void
put_text(struct buf *body, const char *text)
{
	size_t len = strlen(text);

	buf_u16(body, (uint16_t)len);
	buf_append(body, text, len);
}

static int
malformed(const char *what, struct err *err)
{
	return err_set(err, E_INPUT, "%s is malformed", what);
}

void
proto_error_put(struct buf *out, uint32_t id, const struct err *error)
{
	struct buf body = {0};

	buf_byte(&body, (uint8_t)-error->code);
	put_text(&body, error->field);
	put_text(&body, error->text);
	proto_frame_put(out, PROTO_FAILED, id, body.data, body.len);
	out->failed = out->failed || buf_failed(&body);
	buf_clear(&body);
}

int
proto_error_read(const struct proto_frame *frame, struct err *err)
{
	struct bytes b = {frame->body, frame->len, false};
	struct err e = {0};

	e.code = -(int)bytes_u8(&b);
	bytes_text(&b, e.field, sizeof e.field);
	bytes_text(&b, e.text, sizeof e.text);
	if (!bytes_end(&b) || e.code > E_INPUT || e.code < E_FULL)
		return err_set(err, E_SYS, "the signer's answer is malformed");
	if (err != NULL)
		*err = e;
	return e.code;
}

void
proto_issue_put(struct buf *body, const struct signer_request *request)
{
	size_t i;

	put_text(body, request->profile);
	put_text(body, request->id);
	buf_u16(body, (uint16_t)request->spki_len);
	buf_append(body, request->spki, request->spki_len);
	buf_u64(body, (uint64_t)request->valid_s);
	buf_u16(body, (uint16_t)request->n_sans);
	for (i = 0; i < request->n_sans; i++)
		put_text(body, request->sans[i]);
}

int
proto_issue_read(const struct proto_frame *frame, struct proto_issue *out, struct err *err)
{
	struct bytes b = {frame->body, frame->len, false};
	const uint8_t *spki;
	size_t i;

	bytes_text(&b, out->profile, sizeof out->profile);
	bytes_text(&b, out->id, sizeof out->id);
	out->spki_len = bytes_u16(&b);
	spki = bytes_take(&b, out->spki_len);
	out->valid_s = (int64_t)bytes_u64(&b);
	out->n_sans = bytes_u16(&b);
	if (b.failed || out->spki_len > sizeof out->spki || out->n_sans > CERT_SANS_MAX)
		return malformed("the issue request", err);
	memcpy(out->spki, spki, out->spki_len);
	for (i = 0; i < out->n_sans; i++) {
		bytes_text(&b, out->names[i], sizeof out->names[i]);
		out->sans[i] = out->names[i];
	}
	return bytes_end(&b) ? 0 : malformed("the issue request", err);
}

static bool
is_time(int64_t at)
{
	return at >= 0 && at <= DER_TIME_MAX;
}

void
proto_note_put(struct buf *body, const struct proto_note *note)
{
	buf_append(body, note->serial, SERIAL_LEN);
	buf_byte(body, (uint8_t)note->reason);
	buf_u64(body, (uint64_t)note->at);
}

int
proto_note_read(const struct proto_frame *frame, struct proto_note *out, struct err *err)
{
	struct bytes b = {frame->body, frame->len, false};
	const uint8_t *serial = bytes_take(&b, SERIAL_LEN);
	unsigned reason = bytes_u8(&b);

	out->at = (int64_t)bytes_u64(&b);
	if (!bytes_end(&b) || !reason_is_known(reason) || !is_time(out->at))
		return malformed("the note of a revocation", err);
	memcpy(out->serial, serial, SERIAL_LEN);
	out->reason = (enum crl_reason)reason;
	return 0;
}

void
proto_entry_put(struct buf *body, const struct crl_entry *entry)
{
	buf_append(body, entry->serial, SERIAL_LEN);
	buf_u64(body, (uint64_t)entry->revoked_at);
	buf_byte(body, (uint8_t)entry->reason);
}

int
proto_entries_read(const struct proto_frame *frame, bool is_delta, struct buf *der_out, struct err *err)
{
	struct bytes b = {frame->body, frame->len, false};
	struct crl_entry entry;
	unsigned reason;

	if (frame->len % PROTO_ENTRY_LEN != 0)
		return malformed("a list of revoked certificates", err);
	while (b.len > 0) {
		memcpy(entry.serial, bytes_take(&b, SERIAL_LEN), SERIAL_LEN);
		entry.revoked_at = (int64_t)bytes_u64(&b);
		reason = bytes_u8(&b);
		/* removeFromCRL stands in delta CRLs only (RFC 5280, section 5.3.1). */
		if (!reason_is_known(reason) || (reason == REASON_REMOVE_FROM_CRL && !is_delta) ||
		    !is_time(entry.revoked_at))
			return malformed("a list of revoked certificates", err);
		entry.reason = (enum crl_reason)reason;
		crl_entry_put(der_out, &entry, is_delta);
	}
	return 0;
}

void
proto_crl_put(struct buf *body, const struct proto_crl *crl)
{
	buf_append(body, crl->crl.issuer, KEY_ID_LEN);
	buf_byte(body, crl->crl.is_paired);
	buf_u64(body, crl->crl.base);
	buf_u64(body, crl->crl.at_least);
	buf_u64(body, (uint64_t)crl->crl.this_update);
	buf_u64(body, (uint64_t)crl->crl.next_update);
	buf_u64(body, crl->entries_len);
}

int
proto_crl_read(const struct proto_frame *frame, struct proto_crl *out, struct err *err)
{
	struct bytes b = {frame->body, frame->len, false};
	const uint8_t *issuer = bytes_take(&b, KEY_ID_LEN);
	uint8_t paired = bytes_u8(&b);

	out->crl.base = bytes_u64(&b);
	out->crl.at_least = bytes_u64(&b);
	out->crl.this_update = (int64_t)bytes_u64(&b);
	out->crl.next_update = (int64_t)bytes_u64(&b);
	out->entries_len = bytes_u64(&b);
	if (!bytes_end(&b) || paired > 1)
		return malformed("the CRL request", err);
	memcpy(out->crl.issuer, issuer, KEY_ID_LEN);
	out->crl.is_paired = paired == 1;
	return 0;
}

void
proto_signed_put(struct buf *body, uint64_t number, const struct buf *sig)
{
	buf_u64(body, number);
	buf_append(body, sig->data, sig->len);
	body->failed = body->failed || buf_failed(sig);
}

int
proto_signed_read(
    const struct buf *body, uint64_t *number_out, const uint8_t **sig_out, size_t *sig_len_out, struct err *err)
{
	struct bytes b = {body->data, body->len, false};
	uint64_t number = bytes_u64(&b);

	if (b.failed || b.len == 0 || b.len > KEY_SIG_MAX)
		return err_set(err, E_SYS, "the signer's answer is malformed");
	*number_out = number;
	*sig_len_out = b.len;
	*sig_out = bytes_take(&b, b.len);
	return 0;
}

void
proto_checkpoint_put(struct buf *body, int64_t seq, const uint8_t *head)
{
	buf_u64(body, (uint64_t)seq);
	buf_append(body, head, SHA256_LEN);
}

int
proto_checkpoint_read(const struct proto_frame *frame, int64_t *seq_out, uint8_t head_out[SHA256_LEN], struct err *err)
{
	struct bytes b = {frame->body, frame->len, false};
	uint64_t seq = bytes_u64(&b);
	const uint8_t *head = bytes_take(&b, SHA256_LEN);

	if (!bytes_end(&b) || seq > INT64_MAX)
		return malformed("the checkpoint", err);
	*seq_out = (int64_t)seq;
	memcpy(head_out, head, SHA256_LEN);
	return 0;
}

void
proto_checkpoint_signed_put(struct buf *body, const struct checkpoint *c)
{
	buf_u64(body, c->number);
	buf_u64(body, (uint64_t)c->seq);
	buf_append(body, c->head, SHA256_LEN);
	buf_u64(body, (uint64_t)c->at);
	buf_append(body, c->previous, SHA256_LEN);
}

int
proto_checkpoint_signed_read(const struct buf *body, struct checkpoint *out, size_t *used_out, struct err *err)
{
	struct bytes b = {body->data, body->len, false};
	struct checkpoint c = {.number = bytes_u64(&b)};
	const uint8_t *head, *previous;

	c.seq = (int64_t)bytes_u64(&b);
	head = bytes_take(&b, SHA256_LEN);
	c.at = (int64_t)bytes_u64(&b);
	previous = bytes_take(&b, SHA256_LEN);
	if (b.failed || b.len == 0 || c.number == 0 || c.number > INT64_MAX || c.seq <= 0 || !is_time(c.at))
		return err_set(err, E_SYS, "the signer's answer is malformed");
	memcpy(c.head, head, SHA256_LEN);
	memcpy(c.previous, previous, SHA256_LEN);
	*out = c;
	*used_out = body->len - b.len;
	return 0;
}

void
proto_log_read_put(struct buf *body, uint64_t after)
{
	buf_u64(body, after);
}

int
proto_log_read_read(const struct proto_frame *frame, uint64_t *after_out, struct err *err)
{
	struct bytes b = {frame->body, frame->len, false};

	*after_out = bytes_u64(&b);
	return bytes_end(&b) ? 0 : malformed("the request for log rows", err);
}

static void
put_single(struct buf *body, const struct ocsp_single *single)
{
	buf_byte(body, (uint8_t)single->hash);
	buf_append(body, single->serial, SERIAL_LEN);
	buf_byte(body, (uint8_t)single->status);
	buf_u64(body, (uint64_t)single->revoked_at);
	buf_byte(body, (uint8_t)single->reason);
}

void
proto_ocsp_put(struct buf *body, const uint8_t *issuer, int64_t valid_s, const struct signer_ocsp *wanted, size_t n)
{
	size_t i, j;

	buf_append(body, issuer, KEY_ID_LEN);
	buf_u64(body, (uint64_t)valid_s);
	buf_u16(body, (uint16_t)n);
	for (i = 0; i < n; i++) {
		buf_byte(body, (uint8_t)wanted[i].nonce_len);
		buf_append(body, wanted[i].nonce, wanted[i].nonce_len);
		buf_u16(body, (uint16_t)wanted[i].n);
		for (j = 0; j < wanted[i].n; j++)
			put_single(body, &wanted[i].singles[j]);
	}
}

static bool
single_read(struct bytes *b, struct ocsp_single *out)
{
	unsigned hash = bytes_u8(b), status, reason;
	const uint8_t *serial = bytes_take(b, SERIAL_LEN);

	status = bytes_u8(b);
	out->revoked_at = (int64_t)bytes_u64(b);
	reason = bytes_u8(b);
	if (b->failed || hash >= OCSP_HASHES || status > OCSP_UNKNOWN || !is_time(out->revoked_at) ||
	    !reason_is_known(reason) || reason == REASON_REMOVE_FROM_CRL)
		return false;
	out->hash = (enum ocsp_hash)hash;
	out->status = (enum ocsp_status)status;
	out->reason = (enum crl_reason)reason;
	memcpy(out->serial, serial, SERIAL_LEN);
	return true;
}

int
proto_ocsp_read(const struct proto_frame *frame, struct proto_ocsp *out, struct err *err)
{
	struct bytes b = {frame->body, frame->len, false};
	const uint8_t *issuer = bytes_take(&b, KEY_ID_LEN), *nonce;
	size_t used = 0, i, j;

	out->valid_s = (int64_t)bytes_u64(&b);
	out->n = bytes_u16(&b);
	if (b.failed || out->n > SIGNER_OCSP_MAX)
		return malformed("the OCSP request", err);
	memcpy(out->issuer, issuer, KEY_ID_LEN);
	for (i = 0; i < out->n; i++) {
		struct signer_ocsp *wanted = &out->wanted[i];

		wanted->nonce_len = bytes_u8(&b);
		nonce = bytes_take(&b, wanted->nonce_len);
		wanted->n = bytes_u16(&b);
		if (b.failed || wanted->nonce_len > OCSP_NONCE_MAX || wanted->n > SIGNER_OCSP_SINGLES_MAX - used)
			return malformed("the OCSP request", err);
		if (wanted->nonce_len > 0)
			memcpy(out->nonces[i], nonce, wanted->nonce_len);
		wanted->nonce = out->nonces[i];
		wanted->singles = &out->singles[used];
		for (j = 0; j < wanted->n; j++)
			if (!single_read(&b, &out->singles[used++]))
				return malformed("the OCSP request", err);
	}
	return bytes_end(&b) ? 0 : malformed("the OCSP request", err);
}

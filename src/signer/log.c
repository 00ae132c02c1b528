/* The file: an 8-byte magic, then rows: u16 length, its complement, the row's bytes, and the SHA-256 of the chain so
 * far and those bytes. Whoever changes, drops or moves a row must write all that follow anew; the store's memory of
 * the last seq shows a tail that was cut. The complement keeps a damaged length from passing for a torn row, whose
 * bytes may be cut off.
 *
 * Memory holds what every request needs (which serials, the last number), and the place of every 1024th row, so
 * that a walk begins near its start. */
#include "signer/log.h"

#include "base/bytes.h"
#include "base/fs.h"
#include "base/killpoint.h"
#include "base/secret.h"
#include "signer/serialset.h"
#include "x509/der.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "MUSTLOG1"
#define MAGIC_LEN 8
#define LENGTH_BYTES 4
#define ROW_MAX (CERT_DER_MAX + 256)
#define CHUNK (1024 * 1024)
#define BATCH_MAX (64 * 1024 * 1024)
#define SECTOR 512
#define TORN_ZEROS_MIN 8
#define INDEX_STEP 1024
#define RESERVE_BYTES (256 * 1024) /* room for some 3,000 revocations and CRL numbers when the disk is full */
#define ALLOCATE_BYTES (1024 * 1024)

struct signer_log {
	int fd;
	bool read_only;
	uint64_t end;		     /* bytes that are durable */
	uint64_t allocated;	     /* the file's blocks reach to here, beyond its end */
	struct buf batch;	     /* rows not yet written */
	uint8_t chain[SHA256_LEN]; /* over all rows, the batch included */
	uint64_t last_seq, durable_seq, crl_number;
	struct checkpoint checkpoint; /* the last */
	struct serialset serials;
	uint64_t *index; /* index[i]: where row i * INDEX_STEP + 1 begins */
	size_t n_index;
};

/* ---- a row's bytes ------------------------------------------------------------------------------------------- */

static void
put_text(struct buf *out, const char *text)
{
	buf_u16(out, (uint16_t)strlen(text));
	buf_text(out, text);
}

void
signer_log_row_put(struct buf *out, const struct signer_log_row *row)
{
	buf_byte(out, (uint8_t)row->kind);
	buf_u64(out, row->seq);
	buf_u64(out, (uint64_t)row->at);
	switch (row->kind) {
	case SIGNER_LOG_ISSUED:
	case SIGNER_LOG_RESPONDER:
		buf_append(out, row->serial, SERIAL_LEN);
		put_text(out, row->id);
		buf_append(out, row->der, row->der_len);
		break;
	case SIGNER_LOG_REVOKED:
		buf_append(out, row->serial, SERIAL_LEN);
		buf_byte(out, (uint8_t)row->reason);
		break;
	case SIGNER_LOG_CRL:
		buf_u64(out, row->crl_number);
		break;
	case SIGNER_LOG_CHECKPOINT:
		buf_u64(out, row->checkpoint.number);
		buf_u64(out, (uint64_t)row->checkpoint.seq);
		buf_append(out, row->checkpoint.head, SHA256_LEN);
		buf_append(out, row->checkpoint.previous, SHA256_LEN);
		break;
	}
}

static void
checkpoint_read(struct bytes *b, int64_t at, struct checkpoint *out)
{
	const uint8_t *head, *previous;

	out->number = bytes_u64(b);
	out->seq = (int64_t)bytes_u64(b);
	head = bytes_take(b, SHA256_LEN);
	previous = bytes_take(b, SHA256_LEN);
	out->at = at;
	if (out->number > INT64_MAX || out->seq < 0)
		b->failed = true;
	if (b->failed)
		return;
	memcpy(out->head, head, SHA256_LEN);
	memcpy(out->previous, previous, SHA256_LEN);
}

int
signer_log_row_read(const uint8_t *data, size_t len, struct signer_log_row *out, struct err *err)
{
	struct bytes b = {data, len, false};
	struct signer_log_row row = {.kind = (enum signer_log_kind)bytes_u8(&b)};
	const uint8_t *serial = NULL;
	unsigned reason = REASON_UNSPECIFIED;

	row.seq = bytes_u64(&b);
	row.at = (int64_t)bytes_u64(&b);
	if (row.kind != SIGNER_LOG_CRL && row.kind != SIGNER_LOG_CHECKPOINT)
		serial = bytes_take(&b, SERIAL_LEN);
	if (row.kind == SIGNER_LOG_ISSUED || row.kind == SIGNER_LOG_RESPONDER) {
		bytes_text(&b, row.id, sizeof row.id);
		row.der_len = b.len;
		row.der = bytes_take(&b, b.len);
	} else if (row.kind == SIGNER_LOG_REVOKED) {
		reason = bytes_u8(&b);
	} else if (row.kind == SIGNER_LOG_CRL) {
		row.crl_number = bytes_u64(&b);
	} else if (row.kind == SIGNER_LOG_CHECKPOINT) {
		checkpoint_read(&b, row.at, &row.checkpoint);
	} else {
		b.failed = true;
	}
	if (!bytes_end(&b) || row.at < 0 || row.at > DER_TIME_MAX || !reason_is_known(reason))
		return err_set(err, E_INPUT, "a row of the signer's log is malformed");
	row.reason = (enum crl_reason)reason;
	if (serial != NULL)
		memcpy(row.serial, serial, SERIAL_LEN);
	*out = row;
	return 0;
}

/* ---- reading the file ---------------------------------------------------------------------------------------- */

/* A walk over the file's rows from a place on. */
struct scan {
	int fd;
	uint64_t offset; /* of data.data[0] in the file */
	uint64_t limit;	 /* nothing beyond this is looked at */
	size_t at;	 /* the next row in data */
	struct buf data;
};

/* Have WANT bytes from the next row on, if the file holds them. */
static int
scan_fill(struct scan *s, size_t want, struct err *err)
{
	uint64_t left;
	uint8_t *room;
	ssize_t n;

	if (s->data.len - s->at >= want)
		return 0;
	s->offset += s->at;
	buf_consume(&s->data, s->at);
	s->at = 0;
	while (s->data.len < want && (left = s->limit - s->offset - s->data.len) > 0) {
		size_t before = s->data.len, size = left < CHUNK ? (size_t)left : CHUNK;

		if ((room = buf_extend(&s->data, size)) == NULL)
			return err_nomem(err);
		n = pread(s->fd, room, size, (off_t)(s->offset + before));
		s->data.len = before + (n > 0 ? (size_t)n : 0);
		if (n < 0 && errno != EINTR)
			return err_sys(err, "cannot read the signer's log");
		if (n == 0)
			break;
	}
	return 0;
}

/* The next row's bytes and chain value. Returns 1, 0 at the end, which may leave a torn row behind, or E_INPUT for a
 * length that cannot be. */
static int
scan_next(struct scan *s, struct bytes *row_out, const uint8_t **chain_out, struct err *err)
{
	struct bytes b;
	uint16_t len, complement;
	int rc;

	if ((rc = scan_fill(s, LENGTH_BYTES, err)) != 0)
		return rc;
	if (s->data.len - s->at < LENGTH_BYTES)
		return 0;
	b = (struct bytes){s->data.data + s->at, s->data.len - s->at, false};
	len = bytes_u16(&b);
	complement = bytes_u16(&b);
	if (len > ROW_MAX || (len ^ complement) != UINT16_MAX)
		return err_set(err, E_INPUT, "a length that cannot be");
	if ((rc = scan_fill(s, LENGTH_BYTES + len + SHA256_LEN, err)) != 0)
		return rc;
	b = (struct bytes){s->data.data + s->at + LENGTH_BYTES, s->data.len - s->at - LENGTH_BYTES, false};
	if (b.len < (size_t)len + SHA256_LEN)
		return 0;
	*row_out = (struct bytes){bytes_take(&b, len), len, false};
	*chain_out = bytes_take(&b, SHA256_LEN);
	s->at += LENGTH_BYTES + len + SHA256_LEN;
	return 1;
}

static uint64_t
scan_place(const struct scan *s)
{
	return s->offset + s->at;
}

/* ---- opening ------------------------------------------------------------------------------------------------- */

static void
chain_step(uint8_t *chain, const uint8_t *row, size_t len)
{
	uint8_t joined[SHA256_LEN + ROW_MAX];

	memcpy(joined, chain, SHA256_LEN);
	memcpy(joined + SHA256_LEN, row, len);
	sha256(chain, joined, SHA256_LEN + len);
}

/* What a revocation for REASON makes of a serial: what is revoked for good stays so. */
static enum serial_state
state_after(enum serial_state now, enum crl_reason reason)
{
	if (now == SERIAL_REVOKED)
		return now;
	return reason == REASON_REMOVE_FROM_CRL   ? SERIAL_ISSUED
	    : reason == REASON_CERTIFICATE_HOLD ? SERIAL_HELD
						: SERIAL_REVOKED;
}

/* Remember what ROW, which begins at OFFSET, says. */
static int
remember(struct signer_log *log, const struct signer_log_row *row, uint64_t offset, struct err *err)
{
	int rc;

	if ((row->kind == SIGNER_LOG_ISSUED || row->kind == SIGNER_LOG_RESPONDER) &&
	    (rc = serialset_add(&log->serials, row->serial, err)) != 0)
		return rc;
	if ((row->seq - 1) % INDEX_STEP == 0) {
		uint64_t *index = realloc(log->index, (log->n_index + 1) * sizeof index[0]);

		if (index == NULL)
			return err_nomem(err);
		log->index = index;
		index[log->n_index++] = offset;
	}
	if (row->kind == SIGNER_LOG_REVOKED)
		serialset_move(&log->serials, row->serial,
		    state_after(serialset_state(&log->serials, row->serial), row->reason));
	if (row->kind == SIGNER_LOG_CRL && row->crl_number > log->crl_number)
		log->crl_number = row->crl_number;
	if (row->kind == SIGNER_LOG_CHECKPOINT)
		log->checkpoint = row->checkpoint;
	log->last_seq = row->seq;
	return 0;
}

/* May a crash have torn what begins at PLACE, would end at END, and is no sound row? A file's growth may reach the disk
 * before its bytes, of which whole sectors are written: then all is zero to the end, from PLACE or from the start of a
 * sector within the row on. A sound row ends in a hash, so a few zeros tell it from one with a damaged byte. */
static bool
is_torn(const struct signer_log *log, uint64_t place, uint64_t end, uint64_t size)
{
	struct scan s = {.fd = log->fd, .offset = place, .limit = size};
	uint64_t zeros = size; /* from here on */
	bool torn = false;

	if (size - place <= BATCH_MAX && scan_fill(&s, (size_t)(size - place), NULL) == 0 &&
	    s.data.len == size - place) {
		while (zeros > place && s.data.data[zeros - place - 1] == 0)
			zeros--;
		if (zeros > place)
			zeros = (zeros + SECTOR - 1) / SECTOR * SECTOR;
		torn = zeros == place || (zeros < end && zeros + TORN_ZEROS_MIN <= size);
	}
	buf_clear(&s.data);
	return torn;
}

/* Read and check every row; END_OUT is where the last whole one ends. */
static int
load(struct signer_log *log, uint64_t size, uint64_t *end_out, struct err *err)
{
	struct scan s = {.fd = log->fd, .offset = MAGIC_LEN, .limit = size};
	struct signer_log_row row;
	const uint8_t *chain;
	uint8_t expected[SHA256_LEN];
	struct bytes bytes;
	uint64_t place = MAGIC_LEN, end;
	int rc;

	while ((rc = scan_next(&s, &bytes, &chain, err)) == 1) {
		if ((rc = signer_log_row_read(bytes.at, bytes.len, &row, err)) != 0)
			break;
		memcpy(expected, log->chain, SHA256_LEN);
		chain_step(expected, bytes.at, bytes.len);
		if (row.seq != log->last_seq + 1 || memcmp(expected, chain, SHA256_LEN) != 0) {
			rc = err_set(err, E_INPUT, "the chain does not fit");
			break;
		}
		if ((rc = remember(log, &row, place, err)) != 0)
			break;
		memcpy(log->chain, expected, SHA256_LEN);
		place = scan_place(&s);
	}
	end = scan_place(&s) > place ? scan_place(&s) : place + LENGTH_BYTES;
	if (rc == E_INPUT && is_torn(log, place, end, size)) {
		rc = 0;
		if (err != NULL)
			*err = (struct err){0};
	}
	if (rc == E_INPUT)
		(void)err_prefix(err, "the signer's log is damaged behind row %llu, at byte %llu; restore it",
		    (unsigned long long)log->last_seq, (unsigned long long)place);
	buf_clear(&s.data);
	*end_out = place;
	return rc;
}

static int
start_file(struct signer_log *log, const char *path, struct err *err)
{
	int rc;

	if (log->read_only)
		return err_set(err, E_INPUT, "%s is empty", path);
	if ((rc = fs_write_all(log->fd, MAGIC, MAGIC_LEN, err)) != 0)
		return err_prefix(err, "%s", path);
	if (fdatasync(log->fd) != 0)
		return err_sys(err, "cannot sync %s", path);
	return fs_sync_parent(path, err);
}

static int
open_file(struct signer_log *log, const char *path, uint64_t *size_out, struct err *err)
{
	int flags = log->read_only ? O_RDONLY : O_RDWR | O_CREAT | O_APPEND;
	char magic[MAGIC_LEN];
	struct stat st;
	ssize_t n;
	int rc;

	if ((log->fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0)
		return err_sys(err, "cannot open %s", path);
	if (fstat(log->fd, &st) != 0)
		return err_sys(err, "cannot look at %s", path);
	if ((n = pread(log->fd, magic, MAGIC_LEN, 0)) < 0)
		return err_sys(err, "cannot read %s", path);
	if (memcmp(magic, MAGIC, (size_t)n) != 0)
		return err_set(err, E_INPUT, "%s is not a signer's log", path);
	/* Shorter than its magic: a crash came while it was made, and nothing was ever acknowledged. */
	if (n < MAGIC_LEN) {
		if (!log->read_only && ftruncate(log->fd, 0) != 0)
			return err_sys(err, "cannot cut %s", path);
		if ((rc = start_file(log, path, err)) != 0)
			return rc;
		*size_out = MAGIC_LEN;
		return 0;
	}
	*size_out = (uint64_t)st.st_size;
	return 0;
}

/* Have blocks up to UPTO, so that no write behind the end fails for want of room. False: the disk is full. A file
 * system that cannot do it is trusted, and a write that fails there ends the process. */
static bool
room_keep(struct signer_log *log, uint64_t upto)
{
	uint64_t wanted = upto + ALLOCATE_BYTES;

	if (upto <= log->allocated)
		return true;
	if (fallocate(log->fd, FALLOC_FL_KEEP_SIZE, (off_t)log->end, (off_t)(wanted - log->end)) != 0) {
		if (errno != ENOSPC && errno != EDQUOT)
			return true;
		wanted = upto;
		if (fallocate(log->fd, FALLOC_FL_KEEP_SIZE, (off_t)log->end, (off_t)(wanted - log->end)) != 0)
			return false;
	}
	log->allocated = wanted;
	return true;
}

int
signer_log_open(const char *path, bool read_only, struct signer_log **log_out, struct err *err)
{
	struct signer_log *log = calloc(1, sizeof *log);
	uint64_t size = 0;
	int rc;

	if (log == NULL)
		return err_nomem(err);
	log->fd = -1;
	log->read_only = read_only;
	if ((rc = open_file(log, path, &size, err)) != 0 || (rc = load(log, size, &log->end, err)) != 0)
		goto out;
	if (log->end < size && !read_only && ftruncate(log->fd, (off_t)log->end) != 0) {
		rc = err_sys(err, "cannot cut a torn row off %s", path);
		goto out;
	}
	/* A process that died between write and sync left rows that are in the file, but perhaps not on the disk. */
	if (!read_only && fdatasync(log->fd) != 0) {
		rc = err_sys(err, "cannot sync %s", path);
		goto out;
	}
	log->durable_seq = log->last_seq;
	if (!read_only)
		(void)room_keep(log, log->end + RESERVE_BYTES);
	*log_out = log;
	log = NULL;
out:
	signer_log_close(log);
	return rc;
}

void
signer_log_close(struct signer_log *log)
{
	if (log == NULL)
		return;
	if (log->fd >= 0)
		(void)close(log->fd);
	buf_clear(&log->batch);
	serialset_clear(&log->serials);
	free(log->index);
	free(log);
}

/* ---- adding -------------------------------------------------------------------------------------------------- */

int
signer_log_add(struct signer_log *log, struct signer_log_row *row, struct err *err)
{
	uint64_t offset = log->end + log->batch.len;
	size_t mark = log->batch.len;
	struct buf bytes = {0};
	int rc;

	row->seq = log->last_seq + 1;
	signer_log_row_put(&bytes, row);
	if (buf_failed(&bytes))
		rc = err_nomem(err);
	else if (bytes.len > ROW_MAX)
		rc = err_set(err, E_INPUT, "a row of %zu bytes does not fit the log", bytes.len);
	else if (!room_keep(log, offset + LENGTH_BYTES + bytes.len + SHA256_LEN +
			(row->kind == SIGNER_LOG_REVOKED || row->kind == SIGNER_LOG_CRL ? 0 : RESERVE_BYTES)))
		rc = err_set(err, E_FULL, "the disk of the signer's log is full: nothing is issued until there is room");
	else
		rc = remember(log, row, offset, err);
	if (rc != 0)
		goto out;
	chain_step(log->chain, bytes.data, bytes.len);
	buf_u16(&log->batch, (uint16_t)bytes.len);
	buf_u16(&log->batch, (uint16_t)~bytes.len);
	buf_append(&log->batch, bytes.data, bytes.len);
	buf_append(&log->batch, log->chain, SHA256_LEN);
	/* The chain has moved on: a log that failed here refuses to sync, and its process ends. */
	if (buf_failed(&log->batch)) {
		log->batch.len = mark;
		rc = err_nomem(err);
	}
out:
	buf_clear(&bytes);
	return rc;
}

int
signer_log_sync(struct signer_log *log, struct err *err)
{
	int rc;

	if (buf_failed(&log->batch))
		return err_set(err, E_SYS, "the signer's log lost a row for lack of memory");
	if (log->batch.len == 0)
		return 0;
	if ((rc = fs_write_all(log->fd, log->batch.data, log->batch.len, err)) != 0)
		return err_prefix(err, "signer's log");
	KILLPOINT(3, "the signer's log written, not synced");
	if (fdatasync(log->fd) != 0)
		return err_sys(err, "cannot sync the signer's log");
	KILLPOINT(4, "the signer's log durable, no answer sent");
	log->end += log->batch.len;
	log->durable_seq = log->last_seq;
	buf_reset(&log->batch);
	return 0;
}

enum serial_state
signer_log_state(const struct signer_log *log, const uint8_t *serial)
{
	return serialset_state(&log->serials, serial);
}

uint64_t
signer_log_crl_number(const struct signer_log *log)
{
	return log->crl_number;
}

uint64_t
signer_log_last_seq(const struct signer_log *log)
{
	return log->last_seq;
}

const struct checkpoint *
signer_log_checkpoint(const struct signer_log *log)
{
	return &log->checkpoint;
}

uint64_t
signer_log_size(const struct signer_log *log)
{
	return log->end;
}

int
signer_log_walk(
    struct signer_log *log, uint64_t after, signer_log_each *each, void *ctx, struct err *err)
{
	struct scan s = {.fd = log->fd, .limit = log->end};
	struct signer_log_row row = {0};
	const uint8_t *chain;
	struct bytes bytes;
	int rc = 0;

	if (after > log->durable_seq)
		return err_set(err, E_CONFLICT,
		    "the signer's log ends at row %llu, but row %llu was seen before: it was cut, or is an old copy. "
		    "Put the newest signer.log back, or make the home anew with muster restore",
		    (unsigned long long)log->durable_seq, (unsigned long long)after);
	if (after == log->durable_seq)
		return 0;
	s.offset = log->index[after / INDEX_STEP];
	while (rc == 0 && (rc = scan_next(&s, &bytes, &chain, err)) == 1)
		if ((rc = signer_log_row_read(bytes.at, bytes.len, &row, err)) == 0 && row.seq > after)
			rc = each(ctx, &row, err);
	if (rc == 0 && row.seq != log->durable_seq)
		rc = err_set(err, E_SYS, "the signer's log was cut while it was open");
	buf_clear(&s.data);
	return rc;
}

/* A file is a sequence of sections: u32 length, u32 the same inverted, so many bytes, and the
 * SHA-256 of the digest before and these bytes. The first byte says which: HEAD (version, epoch,
 * seq), then ENTRIES, then END (their number, contact); behind it CHANGES (seq, contact, entries).
 * Up to END all must be right. Behind it the file may end anywhere, for a broker can die while it
 * appends; but what is there must be right, or else nobody knows what else is not.
 *
 * Changes that could not be written wait in the block, in their order, so that a file never lacks
 * one in the middle. */
#include "plugin/snapshot.h"

#include "base/fs.h"
#include "plugin/entry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VERSION 1
#define BLOCK_BYTES (256 * 1024)	 /* a snapshot's section has so many */
#define UNSAVED_MAX (8 * 1024 * 1024)	 /* changes in memory, when the disk does not take them */
#define SECTION_MAX (UNSAVED_MAX + 1024) /* with what stands before the entries */
#define WORN_BYTES (4 * 1024 * 1024)	 /* of changes, and half as many as the snapshot */
#define LENGTHS 8
#define MAGIC "muster-table"

enum section { HEAD = 'H', ENTRIES = 'E', END = 'T', CHANGES = 'C' };

struct snapshot {
	int fd;
	bool committed;
	bool lost; /* more changes than could wait: the file stays behind */
	struct snapshot_info info;
	uint8_t digest[SHA256_LEN]; /* of the last section */
	int64_t len;		    /* bytes that are good */
	int64_t base_len;	    /* those up to END */
	uint64_t n;		    /* entries up to END */
	struct buf block;	    /* entries that are not in the file yet */
	char path[FS_PATH_MAX];
	char beside[FS_PATH_MAX + 8];
};

/* ---- writing --------------------------------------------------------------------------------- */

static int
write_at(struct snapshot *s, const struct buf *bytes, struct err *err)
{
	size_t done = 0;
	ssize_t n;

	while (done < bytes->len) {
		n = pwrite(
		    s->fd, bytes->data + done, bytes->len - done, (off_t)(s->len + (int64_t)done));
		if (n < 0 && errno != EINTR)
			return err_sys(err, "cannot write %s", s->path);
		if (n > 0)
			done += (size_t)n;
	}
	return 0;
}

/* HEAD and ENTRIES_LEN bytes of ENTRIES as one section at the end. */
static int
section_write(struct snapshot *s, enum section kind, const struct buf *head, const uint8_t *entries,
    size_t entries_len, struct err *err)
{
	struct buf payload = {0}, bytes = {0};
	uint8_t digest[SHA256_LEN];
	uint32_t len;
	int rc;

	/* The digest before stands in front, so that one call covers both. */
	buf_append(&payload, s->digest, SHA256_LEN);
	buf_byte(&payload, (uint8_t)kind);
	buf_append(&payload, head->data, head->len);
	buf_append(&payload, entries, entries_len);
	len = (uint32_t)(payload.len - SHA256_LEN);
	buf_u32(&bytes, len);
	buf_u32(&bytes, ~len);
	if (buf_failed(head) || buf_failed(&payload)) {
		rc = err_nomem(err);
		goto out;
	}
	sha256(digest, payload.data, payload.len);
	buf_append(&bytes, payload.data + SHA256_LEN, len);
	buf_append(&bytes, digest, SHA256_LEN);
	rc = buf_failed(&bytes) ? err_nomem(err) : write_at(s, &bytes, err);
	if (rc == 0) {
		s->len += (int64_t)bytes.len;
		memcpy(s->digest, digest, SHA256_LEN);
	}
out:
	buf_clear(&payload);
	buf_clear(&bytes);
	return rc;
}

/* The block, if only to say SEQ and CONTACT. */
static int
block_write(struct snapshot *s, int64_t seq, int64_t contact, struct err *err)
{
	struct buf head = {0};
	int rc;

	if (s->committed) {
		buf_u64(&head, (uint64_t)seq);
		buf_u64(&head, (uint64_t)contact);
	}
	rc = section_write(
	    s, s->committed ? CHANGES : ENTRIES, &head, s->block.data, s->block.len, err);
	buf_clear(&head);
	if (rc != 0)
		return rc;
	buf_reset(&s->block);
	s->info.seq = seq;
	s->info.contact = contact;
	return 0;
}

int
snapshot_create(
    const char *path, const char *epoch, int64_t seq, struct snapshot **out, struct err *err)
{
	struct snapshot *s = calloc(1, sizeof *s);
	struct buf head = {0};
	int rc;

	if (s == NULL)
		return err_nomem(err);
	s->info.seq = seq;
	if (!text_copy(s->path, sizeof s->path, path) ||
	    !text_copy(s->info.epoch, sizeof s->info.epoch, epoch)) {
		free(s);
		return err_set(err, E_INPUT, "too long a name for a snapshot: %.100s", path);
	}
	(void)snprintf(s->beside, sizeof s->beside, "%s.new", path);
	s->fd = open(s->beside, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->fd < 0) {
		rc = err_sys(err, "cannot write %s", s->beside);
		free(s);
		return rc;
	}
	buf_append(&head, MAGIC, strlen(MAGIC));
	buf_u32(&head, VERSION);
	buf_append(&head, s->info.epoch, FEED_EPOCH_LEN);
	buf_u64(&head, (uint64_t)seq);
	rc = section_write(s, HEAD, &head, NULL, 0, err);
	buf_clear(&head);
	if (rc != 0) {
		snapshot_close(s);
		return rc;
	}
	*out = s;
	return 0;
}

int
snapshot_add(struct snapshot *s, const struct feed_line *line, struct err *err)
{
	int rc;

	if (s->lost)
		return 0; /* a new snapshot will say it */
	if (!s->committed && s->block.len >= BLOCK_BYTES &&
	    (rc = block_write(s, s->info.seq, 0, err)) != 0)
		return rc;
	entry_put(&s->block, line);
	s->lost = buf_failed(&s->block) || s->block.len > UNSAVED_MAX;
	if (s->lost) {
		buf_clear(&s->block);
		return s->committed ? 0 : err_nomem(err);
	}
	s->n += !s->committed;
	return 0;
}

int
snapshot_commit(struct snapshot *s, int64_t contact, struct err *err)
{
	struct buf head = {0};
	int rc;

	if (s->block.len > 0 && (rc = block_write(s, s->info.seq, 0, err)) != 0)
		return rc;
	buf_u64(&head, s->n);
	buf_u64(&head, (uint64_t)contact);
	rc = section_write(s, END, &head, NULL, 0, err);
	buf_clear(&head);
	if (rc != 0)
		return rc;
	if (fsync(s->fd) != 0 || rename(s->beside, s->path) != 0)
		return err_sys(err, "cannot replace %s", s->path);
	s->committed = true;
	s->info.contact = contact;
	s->base_len = s->len;
	return fs_sync_parent(s->path, err);
}

int
snapshot_mark(struct snapshot *s, int64_t seq, int64_t contact, struct err *err)
{
	int rc;

	if (s->lost)
		return err_set(err, E_SYS, "%s lacks changes that could not be written", s->path);
	if ((rc = block_write(s, seq, contact, err)) != 0)
		return rc;
	return fdatasync(s->fd) == 0 ? 0 : err_sys(err, "cannot write %s", s->path);
}

int64_t
snapshot_contact(const struct snapshot *s)
{
	return s->info.contact;
}

bool
snapshot_is_worn(const struct snapshot *s)
{
	return s->lost || s->len - s->base_len > WORN_BYTES + s->base_len / 2;
}

void
snapshot_close(struct snapshot *s)
{
	if (s == NULL)
		return;
	if (!s->committed)
		(void)unlink(s->beside);
	(void)close(s->fd);
	buf_clear(&s->block);
	free(s);
}

/* ---- reading --------------------------------------------------------------------------------- */

struct reader {
	struct snapshot *s;
	struct table *table;
	struct feed_line *line;
	int64_t size;	    /* of the file */
	struct buf payload; /* the digest before, then a section's bytes and its digest */
	uint64_t n;	    /* entries so far */
	bool has_head, has_end;
};

static int
broken(const struct reader *r, struct err *err)
{
	return err_set(err, E_INPUT, "%s is broken at byte %lld", r->s->path, (long long)r->s->len);
}

/* Exactly LEN bytes at OFFSET; the file is known to have them. */
static int
read_at(const struct reader *r, void *out, size_t len, int64_t offset, struct err *err)
{
	uint8_t *at = out;
	ssize_t n;

	while (len > 0) {
		n = pread(r->s->fd, at, len, (off_t)offset);
		if (n == 0 || (n < 0 && errno != EINTR))
			return err_sys(err, "cannot read %s", r->s->path);
		if (n > 0) {
			at += n;
			len -= (size_t)n;
			offset += n;
		}
	}
	return 0;
}

static int
entries_read(struct reader *r, struct bytes *in, struct err *err)
{
	int rc;

	for (; in->len > 0; r->n++) {
		if (!entry_get(in, r->line))
			return broken(r, err);
		if ((rc = table_apply(r->table, r->line, err)) != 0)
			return rc;
	}
	return 0;
}

static bool
head_read(struct reader *r, struct bytes *in)
{
	const uint8_t *magic = bytes_take(in, strlen(MAGIC)), *epoch;
	uint32_t version = bytes_u32(in);

	if ((epoch = bytes_take(in, FEED_EPOCH_LEN)) == NULL ||
	    memcmp(magic, MAGIC, strlen(MAGIC)) != 0)
		return false;
	memcpy(r->s->info.epoch, epoch, FEED_EPOCH_LEN);
	r->s->info.seq = (int64_t)bytes_u64(in);
	return r->has_head =
		   version == VERSION && feed_epoch_is_valid(r->s->info.epoch) && bytes_end(in);
}

/* A section whose digest is right. */
static int
section_apply(struct reader *r, struct bytes *in, struct err *err)
{
	enum section kind = (enum section)bytes_u8(in);

	if (!r->has_head)
		return kind == HEAD && head_read(r, in) ? 0 : broken(r, err);
	if (kind == ENTRIES && !r->has_end)
		return entries_read(r, in, err);
	if (kind == END && !r->has_end) {
		r->has_end = bytes_u64(in) == r->n;
		r->s->info.contact = (int64_t)bytes_u64(in);
		return r->has_end && bytes_end(in) ? 0 : broken(r, err);
	}
	if (kind != CHANGES || !r->has_end)
		return broken(r, err);
	r->s->info.seq = (int64_t)bytes_u64(in);
	r->s->info.contact = (int64_t)bytes_u64(in);
	return in->failed ? broken(r, err) : entries_read(r, in, err);
}

/* The next section; *ENDS_OUT where the file does, or where a crash cut it. */
static int
section_read(struct reader *r, bool *ends_out, struct err *err)
{
	const int64_t left = r->size - r->s->len;
	uint8_t lengths[LENGTHS], digest[SHA256_LEN];
	struct bytes in = {.at = lengths, .len = sizeof lengths};
	uint8_t *at;
	uint32_t len;
	int rc;

	*ends_out = r->has_end && left < LENGTHS;
	if (*ends_out)
		return 0;
	if (left < LENGTHS)
		return broken(r, err);
	if ((rc = read_at(r, lengths, sizeof lengths, r->s->len, err)) != 0)
		return rc;
	len = bytes_u32(&in);
	if (bytes_u32(&in) != ~len || len == 0 || len > SECTION_MAX)
		return broken(r, err);
	*ends_out = r->has_end && left < LENGTHS + (int64_t)len + SHA256_LEN;
	if (*ends_out)
		return 0;
	if (left < LENGTHS + (int64_t)len + SHA256_LEN)
		return broken(r, err);
	buf_reset(&r->payload);
	buf_append(&r->payload, r->s->digest, SHA256_LEN);
	if ((at = buf_extend(&r->payload, len + SHA256_LEN)) == NULL)
		return err_nomem(err);
	if ((rc = read_at(r, at, len + SHA256_LEN, r->s->len + LENGTHS, err)) != 0)
		return rc;
	sha256(digest, r->payload.data, SHA256_LEN + len);
	if (!secret_equal(digest, at + len, SHA256_LEN))
		return broken(r, err);
	in = (struct bytes){.at = at, .len = len};
	if ((rc = section_apply(r, &in, err)) != 0)
		return rc;
	memcpy(r->s->digest, digest, SHA256_LEN);
	r->s->len += LENGTHS + (int64_t)len + SHA256_LEN;
	if (!r->s->committed && r->has_end) {
		r->s->committed = true;
		r->s->base_len = r->s->len;
	}
	return 0;
}

static int
file_read(struct reader *r, struct err *err)
{
	bool ends = false;
	struct stat st;
	int rc = 0;

	if ((r->line = calloc(1, sizeof *r->line)) == NULL)
		return err_nomem(err);
	if (fstat(r->s->fd, &st) != 0)
		return err_sys(err, "cannot read %s", r->s->path);
	for (r->size = st.st_size; !ends;)
		if ((rc = section_read(r, &ends, err)) != 0)
			return rc;
	/* What a crash left would stand behind what is appended. */
	if (r->s->len < r->size && ftruncate(r->s->fd, (off_t)r->s->len) != 0)
		return err_sys(err, "cannot cut %s", r->s->path);
	return 0;
}

int
snapshot_load(const char *path, struct table *t, struct snapshot_info *info_out,
    struct snapshot **out, struct err *err)
{
	struct snapshot *s = calloc(1, sizeof *s);
	struct reader r = {.s = s, .table = t};
	int rc;

	if (s == NULL)
		return err_nomem(err);
	if (!text_copy(s->path, sizeof s->path, path)) {
		free(s);
		return err_set(err, E_INPUT, "too long a name for a snapshot: %.100s", path);
	}
	if ((s->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW)) < 0) {
		rc = errno == ENOENT ? err_set(err, E_NOTFOUND, "there is no %s", path)
				     : err_sys(err, "cannot open %s", path);
		free(s);
		return rc;
	}
	rc = file_read(&r, err);
	free(r.line);
	buf_clear(&r.payload);
	if (rc != 0) {
		s->committed = true; /* not ours to take away */
		snapshot_close(s);
		return rc;
	}
	*info_out = s->info;
	*out = s;
	return 0;
}

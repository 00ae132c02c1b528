/* The signer's log: what was acknowledged is there after whatever happened to the process, and no damage passes
 * unnoticed. */
#include "check.h"

#include "base/fs.h"
#include "signer/log.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC_LEN 8
#define HASH_LEN 32
#define SECTOR 512
#define FILE_MAX (4 * 1024 * 1024)
#define ID "6f1ed002-ab59-4f4b-8a5e-3f5b6f0b7f01"

static char dir[64], path[96];

/* ---- the disk, where it can be told to fail ------------------------------------------------------------------ */

static unsigned syncs;
static bool sync_fails, full;

/* In libc's place for this program: no test here cuts the power, and a real one takes longer than all else. */
int
fdatasync(int fd)
{
	(void)fd;
	syncs++;
	errno = EIO;
	return sync_fails ? -1 : 0;
}

int
fsync(int fd)
{
	(void)fd;
	return 0;
}

int
fallocate(int fd, int mode, off_t offset, off_t len)
{
	(void)fd;
	(void)mode;
	(void)offset;
	(void)len;
	errno = ENOSPC;
	return full ? -1 : 0;
}

static int
setup(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof dir, "/tmp/muster-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof path, "%s/signer.log", dir);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(dir); /* fails if anything was left */
}

static void
file_read(struct buf *out)
{
	struct err err = {0};

	buf_reset(out);
	assert_ok(fs_read(path, FILE_MAX, out, &err));
}

static void
file_write(const uint8_t *data, size_t len)
{
	FILE *file;

	(void)unlink(path); /* ext4 writes a file that was emptied out at its close */
	assert_non_null(file = fopen(path, "wb"));
	assert_int_equal(fwrite(data, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

static uint64_t
file_size(void)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (uint64_t)st.st_size;
}

/* ---- rows ---------------------------------------------------------------------------------------------------- */

/* The Nth row of our logs: all kinds by turns. */
static struct signer_log_row
row_of(uint64_t n)
{
	static const uint8_t der[] = "0\x82 any bytes will do here, the log does not look into them";
	struct signer_log_row row = {.at = 1767225600 + (int64_t)n};

	memset(row.serial, (int)(n % 127 + 1), SERIAL_LEN);
	memcpy(row.serial + SERIAL_LEN - sizeof n, &n, sizeof n);
	switch (n % 3) {
	case 1:
		row.kind = SIGNER_LOG_ISSUED;
		(void)snprintf(row.id, sizeof row.id, ID);
		row.der = der;
		row.der_len = sizeof der - n % 7;
		break;
	case 2:
		row.kind = SIGNER_LOG_REVOKED;
		row.reason = n % 2 == 0 ? REASON_AA_COMPROMISE : REASON_REMOVE_FROM_CRL;
		break;
	default:
		row.kind = SIGNER_LOG_CRL;
		row.crl_number = n;
		memset(row.serial, 0, SERIAL_LEN);
	}
	return row;
}

static void
assert_row(const struct signer_log_row *row, uint64_t n)
{
	struct signer_log_row want = row_of(n);

	assert_int_equal(row->seq, n);
	assert_int_equal(row->kind, want.kind);
	assert_int_equal(row->at, want.at);
	assert_memory_equal(row->serial, want.serial, SERIAL_LEN);
	assert_string_equal(row->id, want.id);
	assert_int_equal(row->reason, want.reason);
	assert_int_equal(row->crl_number, want.crl_number);
	assert_int_equal(row->der_len, want.der_len);
	if (want.der_len > 0)
		assert_memory_equal(row->der, want.der, want.der_len);
}

static struct signer_log *
must_open(bool read_only)
{
	struct signer_log *log = NULL;
	struct err err = {0};

	assert_ok(signer_log_open(path, read_only, &log, &err));
	return log;
}

/* Nothing is opened, nothing on the disk is changed. */
static void
assert_refused(int code)
{
	struct signer_log *log = NULL;
	struct buf before = {0}, after = {0};
	struct err err = {0};

	file_read(&before);
	assert_int_equal(signer_log_open(path, true, &log, &err), code);
	assert_int_equal(signer_log_open(path, false, &log, &err), code);
	assert_null(log);
	assert_true(err.text[0] != '\0');
	file_read(&after);
	assert_int_equal(before.len, after.len);
	assert_memory_equal(before.data, after.data, before.len);
	buf_clear(&before);
	buf_clear(&after);
}

static void
add_rows(struct signer_log *log, uint64_t n)
{
	struct signer_log_row row;
	struct err err = {0};
	uint64_t seq;

	for (; n > 0; n--) {
		seq = signer_log_last_seq(log) + 1;
		row = row_of(seq);
		assert_ok(signer_log_add(log, &row, &err));
		assert_int_equal(row.seq, seq);
	}
	assert_ok(signer_log_sync(log, &err));
}

static void
make_log(uint64_t n)
{
	struct signer_log *log;

	(void)unlink(path);
	log = must_open(false);
	add_rows(log, n);
	signer_log_close(log);
}

struct walk {
	uint64_t next, stop_at;
	int stop_with;
};

static int
on_row(void *ctx, const struct signer_log_row *row, struct err *err)
{
	struct walk *walk = ctx;

	(void)err;
	assert_row(row, walk->next);
	return walk->next++ == walk->stop_at ? walk->stop_with : 0;
}

/* Rows AFTER + 1 to LAST, whole and in order. */
static void
assert_rows(struct signer_log *log, uint64_t after, uint64_t last)
{
	struct walk walk = {.next = after + 1};
	struct err err = {0};

	assert_ok(signer_log_walk(log, after, on_row, &walk, &err));
	assert_int_equal(walk.next, last + 1);
}

/* Where the rows of the file in DATA begin, and where the last one ends; returns how many there are. */
static size_t
row_places(const struct buf *data, size_t *places, size_t max)
{
	size_t at = MAGIC_LEN, n = 0;

	while (at < data->len) {
		assert_true(n + 1 < max);
		places[n++] = at;
		at += 4 + (size_t)(data->data[at] << 8 | data->data[at + 1]) + HASH_LEN;
	}
	assert_int_equal(at, data->len);
	places[n] = at;
	return n;
}

/* ---- writing and reading ------------------------------------------------------------------------------------- */

static void
test_write_and_reopen(void **state)
{
	struct signer_log *log = must_open(false);
	struct signer_log_row row;
	struct stat st;
	uint64_t i;

	(void)state;
	assert_int_equal(signer_log_last_seq(log), 0);
	assert_int_equal(signer_log_crl_number(log), 0);
	assert_rows(log, 0, 0);
	add_rows(log, 10);
	assert_rows(log, 0, 10);
	signer_log_close(log);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	for (i = 0; i < 2; i++) {
		log = must_open(i == 0);
		assert_int_equal(signer_log_last_seq(log), 10);
		assert_int_equal(signer_log_crl_number(log), 9);
		assert_rows(log, 0, 10);
		row = row_of(4);
		assert_int_equal(signer_log_state(log, row.serial), SERIAL_ISSUED);
		row = row_of(5); /* a revocation's serial was not thereby issued */
		assert_int_equal(signer_log_state(log, row.serial), SERIAL_UNKNOWN);
		signer_log_close(log);
	}
	log = must_open(false);
	add_rows(log, 5);
	assert_rows(log, 0, 15);
	signer_log_close(log);
	log = must_open(false);
	assert_rows(log, 0, 15);
	signer_log_close(log);
}

/* The format, read by other means: whoever changes a row must write all that follow anew. */
static void
test_chain(void **state)
{
	uint8_t chain[HASH_LEN] = {0}, joined[HASH_LEN + 512];
	size_t places[8], i, len;
	struct buf data = {0};

	(void)state;
	make_log(6);
	file_read(&data);
	assert_memory_equal(data.data, "MUSTLOG1", MAGIC_LEN);
	assert_int_equal(row_places(&data, places, 8), 6);
	for (i = 0; i < 6; i++) {
		const uint8_t *at = data.data + places[i];

		len = places[i + 1] - places[i] - 4 - HASH_LEN;
		assert_true(len <= 512);
		assert_int_equal(at[0] ^ at[2], 0xff);
		assert_int_equal(at[1] ^ at[3], 0xff);
		memcpy(joined, chain, HASH_LEN);
		memcpy(joined + HASH_LEN, at + 4, len);
		(void)SHA256(joined, HASH_LEN + len, chain);
		assert_memory_equal(at + 4 + len, chain, HASH_LEN);
	}
	buf_clear(&data);
}

/* What is added is not there before it is synced, and one sync does for all. */
static void
test_sync(void **state)
{
	struct signer_log_row row = row_of(1);
	struct signer_log *log;
	struct err err = {0};
	uint64_t size, i;

	(void)state;
	make_log(0);
	log = must_open(false);
	size = file_size();
	for (i = 0; i < 100; i++) {
		row = row_of(i + 1);
		assert_ok(signer_log_add(log, &row, &err));
	}
	assert_int_equal(file_size(), size);
	assert_rows(log, 0, 0);
	assert_int_equal(signer_log_walk(log, 1, on_row, NULL, &err), E_CONFLICT);
	assert_int_equal(signer_log_last_seq(log), 100);
	syncs = 0;
	assert_ok(signer_log_sync(log, &err));
	assert_int_equal(syncs, 1);
	assert_rows(log, 0, 100);
	assert_ok(signer_log_sync(log, &err)); /* nothing to do */
	assert_int_equal(syncs, 1);
	row = row_of(101);
	assert_ok(signer_log_add(log, &row, &err));
	signer_log_close(log); /* never synced */
	log = must_open(false);
	assert_rows(log, 0, 100);
	signer_log_close(log);
}

/* The rows of a process that died between write and sync are in the file, but perhaps not on the disk: whoever opens
 * it tells others of them, so they must be durable by then. */
static void
test_what_is_found_is_synced(void **state)
{
	struct signer_log *log = NULL;
	struct buf data = {0};
	struct err err = {0};

	(void)state;
	make_log(3);
	file_read(&data);
	file_write(data.data, data.len);
	syncs = 0;
	signer_log_close(must_open(false));
	assert_true(syncs > 0);
	sync_fails = true;
	assert_int_equal(signer_log_open(path, false, &log, &err), E_SYS);
	sync_fails = false;
	syncs = 0;
	signer_log_close(must_open(true)); /* a reader writes nothing */
	assert_int_equal(syncs, 0);
	buf_clear(&data);
}

/* The last one counts, also one that goes back: that a restore writes. */
static void
test_last_checkpoint(void **state)
{
	static const int64_t seqs[] = {5, 7, 3, 0};
	struct signer_log *log = must_open(false);
	struct err err = {0};
	uint64_t i;

	(void)state;
	assert_true(signer_log_checkpoint(log)->number == 0);
	for (i = 0; i < 4; i++) {
		struct signer_log_row row = {.kind = SIGNER_LOG_CHECKPOINT, .at = 1000 + (int64_t)i,
		    .checkpoint = {.number = 3 - i, .seq = seqs[i], .head = {1, 2}, .previous = {3}}};
		const struct checkpoint *last;

		assert_ok(signer_log_add(log, &row, &err));
		assert_ok(signer_log_sync(log, &err));
		signer_log_close(log);
		log = must_open(false);
		last = signer_log_checkpoint(log);
		assert_true(last->number == 3 - i && last->seq == seqs[i] && last->at == row.at);
		assert_memory_equal(last->head, row.checkpoint.head, SHA256_LEN);
		assert_memory_equal(last->previous, row.checkpoint.previous, SHA256_LEN);
	}
	signer_log_close(log);
}

static void
test_crl_number_never_goes_down(void **state)
{
	static const uint64_t numbers[] = {5, 7, 3, 7, 1}, highest[] = {5, 7, 7, 7, 7};
	struct signer_log *log = must_open(false);
	struct err err = {0};
	size_t i;

	(void)state;
	for (i = 0; i < 5; i++) {
		struct signer_log_row row = {.kind = SIGNER_LOG_CRL, .at = 1, .crl_number = numbers[i]};

		assert_ok(signer_log_add(log, &row, &err));
		assert_int_equal(signer_log_crl_number(log), highest[i]);
		assert_ok(signer_log_sync(log, &err));
		signer_log_close(log);
		log = must_open(false);
		assert_int_equal(signer_log_crl_number(log), highest[i]);
	}
	signer_log_close(log);
}

static void
move(struct signer_log *log, const uint8_t *serial, enum crl_reason reason, enum serial_state after)
{
	struct signer_log_row row = {.kind = SIGNER_LOG_REVOKED, .at = 1000, .reason = reason};
	struct err err = {0};

	memcpy(row.serial, serial, SERIAL_LEN);
	assert_ok(signer_log_add(log, &row, &err));
	assert_int_equal(signer_log_state(log, serial), after);
}

/* A hold can end, a revocation cannot, whatever is noted behind it; and the file says the same again. */
static void
test_states(void **state)
{
	struct signer_log_row held = row_of(1), released = row_of(4), revoked = row_of(7), responder = row_of(10);
	struct signer_log *log = must_open(false);
	struct err err = {0};
	int i;

	(void)state;
	responder.kind = SIGNER_LOG_RESPONDER;
	assert_ok(signer_log_add(log, &held, &err));
	assert_ok(signer_log_add(log, &released, &err));
	assert_ok(signer_log_add(log, &revoked, &err));
	assert_ok(signer_log_add(log, &responder, &err));
	move(log, held.serial, REASON_CERTIFICATE_HOLD, SERIAL_HELD);
	move(log, released.serial, REASON_CERTIFICATE_HOLD, SERIAL_HELD);
	move(log, released.serial, REASON_REMOVE_FROM_CRL, SERIAL_ISSUED);
	move(log, revoked.serial, REASON_CERTIFICATE_HOLD, SERIAL_HELD);
	move(log, revoked.serial, REASON_UNSPECIFIED, SERIAL_REVOKED);
	move(log, revoked.serial, REASON_REMOVE_FROM_CRL, SERIAL_REVOKED);
	move(log, revoked.serial, REASON_CERTIFICATE_HOLD, SERIAL_REVOKED);
	assert_ok(signer_log_sync(log, &err));
	for (i = 0; i < 2; i++) {
		assert_int_equal(signer_log_state(log, held.serial), SERIAL_HELD);
		assert_int_equal(signer_log_state(log, released.serial), SERIAL_ISSUED);
		assert_int_equal(signer_log_state(log, revoked.serial), SERIAL_REVOKED);
		assert_int_equal(signer_log_state(log, responder.serial), SERIAL_ISSUED);
		signer_log_close(log);
		log = must_open(true);
	}
	signer_log_close(log);
}

static void
test_largest_row(void **state)
{
	uint8_t *der = calloc(1, CERT_DER_MAX + 512);
	struct signer_log_row row = row_of(1), small = row_of(1);
	struct signer_log *log = must_open(false);
	struct err err = {0};

	(void)state;
	assert_non_null(der);
	memset(row.serial, 0x55, SERIAL_LEN);
	row.der = der;
	row.der_len = CERT_DER_MAX + 512;
	assert_int_equal(signer_log_add(log, &row, &err), E_INPUT); /* and the log goes on as if it had not been */
	assert_int_equal(signer_log_state(log, row.serial), SERIAL_UNKNOWN);
	assert_int_equal(signer_log_last_seq(log), 0);
	assert_ok(signer_log_add(log, &small, &err));
	assert_int_equal(small.seq, 1);
	(void)snprintf(row.id, sizeof row.id, "%063d", 0);
	row.der_len = CERT_DER_MAX;
	assert_ok(signer_log_add(log, &row, &err));
	assert_ok(signer_log_sync(log, &err));
	signer_log_close(log);
	log = must_open(false);
	assert_int_equal(signer_log_last_seq(log), 2);
	assert_int_equal(signer_log_state(log, row.serial), SERIAL_ISSUED);
	signer_log_close(log);
	free(der);
}

static void
test_walk(void **state)
{
	static const uint64_t after[] = {0, 1, 1022, 1023, 1024, 1025, 2047, 2048, 2049, 3071, 3072, 3099, 3100};
	struct signer_log *log;
	struct err err = {0};
	size_t i;

	(void)state;
	make_log(3100);
	log = must_open(true);
	for (i = 0; i < sizeof after / sizeof after[0]; i++)
		assert_rows(log, after[i], 3100);
	/* Whoever remembers a row that is not here has seen another log. */
	assert_int_equal(signer_log_walk(log, 3101, on_row, NULL, &err), E_CONFLICT);
	assert_int_equal(signer_log_walk(log, UINT64_MAX, on_row, NULL, &err), E_CONFLICT);
	signer_log_close(log);
	log = must_open(false); /* rows that came after the opening are found as well */
	add_rows(log, 2000);
	assert_rows(log, 3100, 5100);
	assert_rows(log, 4096, 5100);
	assert_rows(log, 5099, 5100);
	signer_log_close(log);
}

static void
test_walk_ends_where_it_is_told(void **state)
{
	static const int codes[] = {1, E_LIMIT};
	struct signer_log *log;
	size_t i;

	(void)state;
	make_log(20);
	log = must_open(true);
	for (i = 0; i < 2; i++) {
		struct walk walk = {.next = 4, .stop_at = 9, .stop_with = codes[i]};
		struct err err = {0};

		assert_int_equal(signer_log_walk(log, 3, on_row, &walk, &err), codes[i]);
		assert_int_equal(walk.next, 10);
	}
	signer_log_close(log);
}

/* ---- damage -------------------------------------------------------------------------------------------------- */

/* H6: not one byte may be another, the last row's neither: it is whole, so it may have been acknowledged. */
static void
test_every_byte_flipped(void **state)
{
	static const uint8_t masks[] = {0x01, 0x80, 0xff};
	struct buf data = {0};
	size_t i, k;

	(void)state;
	make_log(6);
	file_read(&data);
	for (i = 0; i < data.len; i++)
		for (k = 0; k < sizeof masks; k++) {
			data.data[i] ^= masks[k];
			file_write(data.data, data.len);
			assert_refused(E_INPUT);
			data.data[i] ^= masks[k];
		}
	file_write(data.data, data.len);
	signer_log_close(must_open(false));
	buf_clear(&data);
}

/* I2: a crash in the middle of a write. Rows before the cut stay, the torn one goes, and the log can go on. */
static void
test_cut_at_every_byte(void **state)
{
	struct buf data = {0};
	size_t places[8], len, whole = 0;
	struct signer_log *log;

	(void)state;
	make_log(6);
	file_read(&data);
	assert_int_equal(row_places(&data, places, 8), 6);
	for (len = MAGIC_LEN; len <= data.len; len++) {
		whole += whole < 6 && places[whole + 1] == len;
		file_write(data.data, len);
		log = must_open(true);
		assert_rows(log, 0, whole);
		assert_int_equal(file_size(), len); /* nothing is cut for a reader */
		signer_log_close(log);
		log = must_open(false);
		assert_rows(log, 0, whole);
		assert_int_equal(file_size(), places[whole]);
		add_rows(log, 2);
		signer_log_close(log);
		log = must_open(true);
		assert_rows(log, 0, whole + 2);
		signer_log_close(log);
	}
	buf_clear(&data);
}

/* A crash while the file was made: nothing was acknowledged. */
static void
test_cut_in_the_magic(void **state)
{
	struct signer_log *log = NULL;
	struct err err = {0};
	size_t len;

	(void)state;
	for (len = 0; len < MAGIC_LEN; len++) {
		file_write((const uint8_t *)"MUSTLOG1", len);
		assert_int_equal(signer_log_open(path, true, &log, &err), E_INPUT);
		assert_int_equal(file_size(), len);
		log = must_open(false);
		add_rows(log, 1);
		signer_log_close(log);
		log = must_open(true);
		assert_rows(log, 0, 1);
		signer_log_close(log);
		log = NULL;
	}
}

/* H6: rows deleted, moved, doubled. What is cut off whole at the end only the store's memory of the last seq shows. */
static void
test_rows_missing_or_moved(void **state)
{
	struct buf data = {0}, other = {0};
	size_t places[8], i, k;
	struct signer_log *log;
	struct err err = {0};

	(void)state;
	make_log(6);
	file_read(&data);
	(void)row_places(&data, places, 8);
	for (i = 0; i < 6; i++)
		for (k = i + 1; k <= 6; k++) { /* without rows i to k - 1 */
			buf_reset(&other);
			buf_append(&other, data.data, places[i]);
			buf_append(&other, data.data + places[k], data.len - places[k]);
			file_write(other.data, other.len);
			if (k < 6) {
				assert_refused(E_INPUT);
				continue;
			}
			log = must_open(false);
			assert_int_equal(signer_log_walk(log, 6, on_row, NULL, &err), E_CONFLICT);
			signer_log_close(log);
		}
	for (i = 0; i < 5; i++) { /* row i behind row i + 1 */
		buf_reset(&other);
		buf_append(&other, data.data, places[i]);
		buf_append(&other, data.data + places[i + 1], places[i + 2] - places[i + 1]);
		buf_append(&other, data.data + places[i], places[i + 1] - places[i]);
		buf_append(&other, data.data + places[i + 2], data.len - places[i + 2]);
		file_write(other.data, other.len);
		assert_refused(E_INPUT);
	}
	for (i = 0; i < 6; i++) { /* row i twice */
		buf_reset(&other);
		buf_append(&other, data.data, places[i + 1]);
		buf_append(&other, data.data + places[i], data.len - places[i]);
		file_write(other.data, other.len);
		assert_refused(E_INPUT);
	}
	buf_clear(&data);
	buf_clear(&other);
}

/* Another log's rows do not fit behind ours, however sound they are. */
static void
test_rows_of_another_log(void **state)
{
	struct buf ours = {0}, theirs = {0};
	size_t places[8];
	struct signer_log_row row = row_of(2);
	struct signer_log *log;
	struct err err = {0};

	(void)state;
	log = must_open(false);
	assert_ok(signer_log_add(log, &row, &err)); /* the 2nd in the 1st's place */
	assert_ok(signer_log_sync(log, &err));
	add_rows(log, 3);
	signer_log_close(log);
	file_read(&theirs);
	(void)row_places(&theirs, places, 8);
	make_log(2);
	file_read(&ours);
	buf_append(&ours, theirs.data + places[2], theirs.len - places[2]);
	file_write(ours.data, ours.len);
	assert_refused(E_INPUT);
	buf_clear(&ours);
	buf_clear(&theirs);
}

/* A file may grow on the disk before its bytes are there. */
static void
test_zero_tail(void **state)
{
	static const size_t zeros[] = {1, 3, 4, 5, 36, 511, 512, 5000};
	struct signer_log *log;
	uint64_t len;
	size_t i;

	(void)state;
	make_log(4);
	len = file_size();
	for (i = 0; i < sizeof zeros / sizeof zeros[0]; i++) {
		make_log(4);
		assert_int_equal(truncate(path, (off_t)(len + zeros[i])), 0);
		log = must_open(false);
		assert_rows(log, 0, 4);
		assert_int_equal(file_size(), len);
		add_rows(log, 1);
		signer_log_close(log);
		log = must_open(true);
		assert_rows(log, 0, 5);
		signer_log_close(log);
	}
}

/* And only some of its sectors may be: then the row is there in part, and zero from a sector's start on. */
static void
test_torn_at_a_sector(void **state)
{
	size_t places[64], sector, i, n;
	struct buf data = {0};
	struct signer_log *log;
	unsigned cut = 0;

	(void)state;
	make_log(30);
	file_read(&data);
	n = row_places(&data, places, 64);
	for (sector = SECTOR; sector < data.len; sector += SECTOR) {
		struct buf torn = {0};

		for (i = 0; i < n && places[i + 1] <= sector;)
			i++; /* the row that the sector's start cuts */
		buf_append(&torn, data.data, data.len);
		memset(torn.data + sector, 0, torn.len - sector);
		file_write(torn.data, torn.len);
		log = must_open(false);
		assert_rows(log, 0, i);
		assert_int_equal(file_size(), places[i]);
		add_rows(log, 2);
		signer_log_close(log);
		log = must_open(true);
		assert_rows(log, 0, i + 2);
		signer_log_close(log);
		cut += places[i] < sector && places[i] + 4 <= sector; /* with its length whole */
		torn.data[torn.len - 1] = 1; /* but not with a byte behind the zeros */
		file_write(torn.data, torn.len);
		assert_refused(E_INPUT);
		buf_clear(&torn);
	}
	assert_true(cut > 0);
	/* Nor from elsewhere: a whole row that lost some bytes may have been acknowledged. */
	assert_true(data.len % SECTOR > 40);
	memset(data.data + data.len - 40, 0, 40);
	file_write(data.data, data.len);
	assert_refused(E_INPUT);
	buf_clear(&data);
}

/* What is not zero to the end, or more than a batch can be, is damage. */
static void
test_zeros_that_are_damage(void **state)
{
	static const size_t zeros[] = {4, 100, 4096};
	struct signer_log *log = NULL;
	struct buf data = {0};
	struct err err = {0};
	uint64_t len;
	size_t i, k;

	(void)state;
	make_log(4);
	file_read(&data);
	len = data.len;
	for (i = 0; i < sizeof zeros / sizeof zeros[0]; i++) {
		data.len = len;
		for (k = 0; k < zeros[i]; k++)
			buf_byte(&data, 0);
		buf_byte(&data, 1);
		file_write(data.data, data.len);
		assert_refused(E_INPUT);
	}
	file_write(data.data, len);
	assert_int_equal(truncate(path, (off_t)len + 65 * 1024 * 1024), 0);
	assert_int_equal(signer_log_open(path, false, &log, &err), E_INPUT);
	assert_int_equal(file_size(), len + 65 * 1024 * 1024);
	buf_clear(&data);
}

static void
test_not_a_log(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} files[] = {{"MUSTLOG2", 8}, {"mustlog1", 8}, {"SQLite format 3", 15}, {"MUSTLOG\0 and more", 17}, {"mine", 4},
	    {"MUSTLO\n", 7}, {"M\0", 2}, {"\0", 1}};
	struct signer_log *log = NULL;
	struct err err = {0};
	char other[128];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof files / sizeof files[0]; i++) {
		file_write((const uint8_t *)files[i].bytes, files[i].len);
		assert_refused(E_INPUT);
	}
	assert_int_equal(unlink(path), 0);
	assert_int_equal(signer_log_open(path, true, &log, &err), E_SYS); /* a reader makes none */
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(signer_log_open(dir, false, &log, &err), E_SYS);
	(void)snprintf(other, sizeof other, "%s/other", dir);
	assert_int_equal(symlink(other, path), 0);
	assert_int_equal(signer_log_open(path, false, &log, &err), E_SYS); /* a planted link is not followed */
	assert_int_equal(access(other, F_OK), -1);
	assert_null(log);
}

/* ---- a disk that fails --------------------------------------------------------------------------------------- */

/* I2: the row is not acknowledged, and not given to anybody. */
static void
test_sync_fails(void **state)
{
	struct signer_log_row row = row_of(4);
	struct signer_log *log;
	struct err err = {0};

	(void)state;
	make_log(3);
	log = must_open(false);
	assert_ok(signer_log_add(log, &row, &err));
	sync_fails = true;
	assert_int_equal(signer_log_sync(log, &err), E_SYS);
	sync_fails = false;
	assert_rows(log, 0, 3);
	signer_log_close(log);
}

/* I2: the disk is full in the middle of a row. */
static void
test_write_fails(void **state)
{
	struct rlimit before, limit;
	struct signer_log *log;
	struct err err = {0};
	uint64_t len, room;
	int rc;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	(void)signal(SIGXFSZ, SIG_IGN);
	for (room = 0; room < 60; room += 7) {
		struct signer_log_row row = row_of(4);

		make_log(3);
		len = file_size();
		log = must_open(false);
		assert_ok(signer_log_add(log, &row, &err));
		limit = (struct rlimit){len + room, before.rlim_max};
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
		rc = signer_log_sync(log, &err);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
		assert_int_equal(rc, E_SYS);
		assert_int_equal(file_size(), len + room);
		signer_log_close(log);
		log = must_open(false);
		assert_rows(log, 0, 3);
		assert_int_equal(file_size(), len);
		add_rows(log, 1);
		assert_rows(log, 0, 4);
		signer_log_close(log);
	}
	(void)signal(SIGXFSZ, SIG_DFL);
}

/* H7: with the disk full nothing more is issued, and what is refused leaves no trace; revocations and numbers of lists
 * have their reserve, until that is used up as well. */
static void
test_reserve(void **state)
{
	struct signer_log_row issued = row_of(1), revoked = row_of(2);
	unsigned n_issued = 0, n_revoked = 0;
	struct signer_log *log;
	struct err err = {0};
	int rc;

	(void)state;
	log = must_open(false);
	full = true;
	while ((rc = signer_log_add(log, &issued, &err)) == 0 && n_issued < 100000)
		n_issued++;
	assert_int_equal(rc, E_FULL);
	memset(issued.serial, 0x77, SERIAL_LEN);
	while ((rc = signer_log_add(log, &revoked, &err)) == 0 && n_revoked < 100000) {
		n_revoked++;
		assert_int_equal(signer_log_add(log, &issued, &err), E_FULL);
	}
	assert_int_equal(rc, E_FULL);
	assert_in_range(n_revoked, 3000, 5000);
	assert_int_equal(signer_log_state(log, issued.serial), SERIAL_UNKNOWN);
	assert_ok(signer_log_sync(log, &err));
	assert_int_equal(signer_log_add(log, &issued, &err), E_FULL);
	full = false;
	assert_ok(signer_log_add(log, &issued, &err)); /* there is room again */
	assert_ok(signer_log_sync(log, &err));
	signer_log_close(log);
	log = must_open(true);
	assert_int_equal(signer_log_last_seq(log), n_issued + n_revoked + 1);
	signer_log_close(log);
}

static void
test_reader_cannot_write(void **state)
{
	struct signer_log_row row = row_of(4);
	struct signer_log *log;
	struct err err = {0};
	uint64_t len;

	(void)state;
	make_log(3);
	len = file_size();
	log = must_open(true);
	assert_ok(signer_log_add(log, &row, &err));
	assert_int_equal(signer_log_sync(log, &err), E_SYS);
	assert_int_equal(file_size(), len);
	signer_log_close(log);
}

/* Rows that were there when the log was opened, and are not any more, are not passed over. */
static void
test_cut_while_it_is_open(void **state)
{
	struct walk walk = {.next = 1};
	struct buf data = {0};
	struct signer_log *log;
	struct err err = {0};
	size_t places[8];

	(void)state;
	make_log(6);
	file_read(&data);
	(void)row_places(&data, places, 8);
	log = must_open(false);
	assert_int_equal(truncate(path, (off_t)places[4]), 0);
	assert_int_equal(signer_log_walk(log, 0, on_row, &walk, &err), E_SYS);
	assert_int_equal(walk.next, 5);
	assert_int_equal(signer_log_walk(log, 5, on_row, &walk, &err), E_SYS);
	signer_log_close(log);
	buf_clear(&data);
}

/* ---- a row's bytes ------------------------------------------------------------------------------------------- */

static int
row_read(const uint8_t *data, size_t len, struct signer_log_row *out)
{
	uint8_t *copy = malloc(len > 0 ? len : 1); /* ASan watches its end */
	struct err err = {0};
	int rc;

	assert_non_null(copy);
	if (len > 0)
		memcpy(copy, data, len);
	rc = signer_log_row_read(copy, len, out, &err);
	free(copy);
	return rc;
}

/* A certificate's bytes go to the row's end; all else has its length. */
static void
test_row_bytes(void **state)
{
	struct signer_log_row row, got;
	struct buf bytes = {0};
	size_t len, fixed;
	uint64_t n;

	(void)state;
	for (n = 1; n <= 3; n++) {
		row = row_of(n);
		row.seq = n;
		buf_reset(&bytes);
		signer_log_row_put(&bytes, &row);
		fixed = bytes.len - row.der_len;
		for (len = 0; len <= bytes.len; len++)
			assert_int_equal(row_read(bytes.data, len, &got), len >= fixed ? 0 : E_INPUT);
		assert_int_equal(got.seq, n);
		assert_int_equal(got.kind, row.kind);
		buf_byte(&bytes, 0);
		assert_int_equal(row_read(bytes.data, bytes.len, &got), row.der_len > 0 ? 0 : E_INPUT);
	}
	buf_clear(&bytes);
}

static void
test_malformed_rows(void **state)
{
	struct signer_log_row row = row_of(1), got;
	struct buf bytes = {0};
	unsigned kind;

	(void)state;
	row.seq = 1;
	signer_log_row_put(&bytes, &row);
	for (kind = 0; kind < 256; kind++) {
		bytes.data[0] = (uint8_t)kind;
		assert_int_equal(row_read(bytes.data, bytes.len, &got),
		    kind == SIGNER_LOG_ISSUED || kind == SIGNER_LOG_RESPONDER ? 0 : E_INPUT);
	}
	bytes.data[0] = SIGNER_LOG_ISSUED;
	bytes.data[17 + SERIAL_LEN + 1] = 64; /* an id that does not fit */
	assert_int_equal(row_read(bytes.data, bytes.len, &got), E_INPUT);
	bytes.data[17 + SERIAL_LEN + 1] = 36;
	bytes.data[17 + SERIAL_LEN + 2 + 35] = '\0'; /* or is cut by a NUL */
	assert_int_equal(row_read(bytes.data, bytes.len, &got), E_INPUT);
	buf_clear(&bytes);
}

/* A reason that RFC 5280 does not have, or a time that no list can say, would come back into every list. */
static void
test_rows_of_no_meaning(void **state)
{
	static const bool known[256] = {[0] = true, [1] = true, [2] = true, [3] = true, [4] = true, [5] = true,
	    [6] = true, [8] = true, [9] = true, [10] = true};
	static const int64_t times[] = {-1, INT64_MIN, INT64_MAX, 253402300800};
	struct signer_log_row row = row_of(2), got;
	struct buf bytes = {0};
	unsigned i;

	(void)state;
	row.seq = 1;
	signer_log_row_put(&bytes, &row);
	for (i = 0; i < 256; i++) {
		bytes.data[bytes.len - 1] = (uint8_t)i;
		assert_int_equal(row_read(bytes.data, bytes.len, &got), known[i] ? 0 : E_INPUT);
	}
	for (i = 0; i < 4; i++) {
		row.at = times[i];
		buf_reset(&bytes);
		signer_log_row_put(&bytes, &row);
		assert_int_equal(row_read(bytes.data, bytes.len, &got), E_INPUT);
	}
	buf_clear(&bytes);
}

int
main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_write_and_reopen),
	    TEST(test_chain),
	    TEST(test_sync),
	    TEST(test_what_is_found_is_synced),
	    TEST(test_last_checkpoint),
	    TEST(test_crl_number_never_goes_down),
	    TEST(test_states),
	    TEST(test_largest_row),
	    TEST(test_walk),
	    TEST(test_walk_ends_where_it_is_told),
	    TEST(test_every_byte_flipped),
	    TEST(test_cut_at_every_byte),
	    TEST(test_cut_in_the_magic),
	    TEST(test_rows_missing_or_moved),
	    TEST(test_rows_of_another_log),
	    TEST(test_zero_tail),
	    TEST(test_torn_at_a_sector),
	    TEST(test_zeros_that_are_damage),
	    TEST(test_not_a_log),
	    TEST(test_sync_fails),
	    TEST(test_write_fails),
	    TEST(test_reserve),
	    TEST(test_reader_cannot_write),
	    TEST(test_cut_while_it_is_open),
	    TEST(test_row_bytes),
	    TEST(test_malformed_rows),
	    TEST(test_rows_of_no_meaning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

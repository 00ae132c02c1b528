/* The signer's log as a file of any bytes. What opens has whole rows without gaps, is cut behind the last of them and
 * nowhere else, and can go on. No mutation keeps the chain, so each input is also tried with its chain made to fit. */
#include "base/err.h"
#include "base/fs.h"
#include "fuzz.h"
#include "signer/log.h"

#include <fcntl.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC_LEN 8
#define ROW_MAX 16384

static char path[64];

/* In libc's place: nobody cuts the power here. */
int
fdatasync(int fd)
{
	(void)fd;
	return 0;
}

int
fsync(int fd)
{
	(void)fd;
	return 0;
}

static void
file_write(const uint8_t *data, size_t len)
{
	int fd;

	if (path[0] == '\0')
		(void)snprintf(path, sizeof path, "/tmp/muster-fuzz-log-%d", (int)getpid());
	(void)unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	FUZZ_ASSERT(fd >= 0 && fs_write_all(fd, data, len, NULL) == 0 && close(fd) == 0);
}

static size_t
file_size(void)
{
	struct stat st;

	FUZZ_ASSERT(stat(path, &st) == 0);
	return (size_t)st.st_size;
}

static int
count_row(void *ctx, const struct signer_log_row *row, struct err *err)
{
	uint64_t *n = ctx;

	(void)err;
	FUZZ_ASSERT(row->seq == ++*n);
	return 0;
}

/* The rows of an open log; closes it. */
static uint64_t
rows_of(struct signer_log *log)
{
	uint64_t n = 0;

	FUZZ_ASSERT(signer_log_walk(log, 0, count_row, &n, NULL) == 0);
	FUZZ_ASSERT(n == signer_log_last_seq(log));
	FUZZ_ASSERT(signer_log_walk(log, n + 1, count_row, &n, NULL) == E_CONFLICT);
	signer_log_close(log);
	return n;
}

static void
check(const uint8_t *data, size_t len)
{
	struct signer_log_row row = {.kind = SIGNER_LOG_CRL, .crl_number = 1};
	struct signer_log *log = NULL;
	struct buf after = {0};
	uint64_t n = 0, number;
	int rc;

	file_write(data, len);
	rc = signer_log_open(path, true, &log, NULL);
	FUZZ_ASSERT(file_size() == len);
	if (rc == 0)
		n = rows_of(log);
	else
		FUZZ_ASSERT(rc == E_INPUT);
	log = NULL;
	if (signer_log_open(path, false, &log, NULL) != 0) {
		FUZZ_ASSERT(rc == E_INPUT && file_size() == len);
		goto out;
	}
	/* A file that is shorter than its magic is begun, which a reader does not do. */
	FUZZ_ASSERT(rc == 0 || len < MAGIC_LEN);
	FUZZ_ASSERT(fs_read(path, len + MAGIC_LEN, &after, NULL) == 0);
	FUZZ_ASSERT(after.len >= MAGIC_LEN && (len < MAGIC_LEN || after.len <= len));
	FUZZ_ASSERT(len == 0 || memcmp(after.data, data, after.len < len ? after.len : len) == 0);
	number = signer_log_crl_number(log);
	FUZZ_ASSERT(signer_log_add(log, &row, NULL) == 0 && signer_log_sync(log, NULL) == 0);
	FUZZ_ASSERT(signer_log_crl_number(log) == (number > 1 ? number : 1));
	FUZZ_ASSERT(rows_of(log) == n + 1);
	log = NULL;
	FUZZ_ASSERT(signer_log_open(path, true, &log, NULL) == 0 && rows_of(log) == n + 1);
out:
	buf_clear(&after);
}

/* DATA as rows, each whose length fits what is left with the right complement and chain value, and a seq of its
 * place. */
static void
rechain(const uint8_t *data, size_t len, struct buf *out)
{
	uint8_t joined[SHA256_DIGEST_LENGTH + ROW_MAX] = {0}, *row = joined + SHA256_DIGEST_LENGTH;
	size_t at = MAGIC_LEN, n;
	uint64_t seq = 0;
	int shift;

	buf_append(out, "MUSTLOG1", MAGIC_LEN);
	while (at + 4 <= len) {
		n = (size_t)(data[at] << 8 | data[at + 1]);
		if (n > ROW_MAX || n > len - at - 4)
			break;
		memcpy(row, data + at + 4, n);
		for (seq++, shift = 56; shift >= 0 && n >= 9; shift -= 8)
			row[8 - shift / 8] = (uint8_t)(seq >> shift);
		(void)SHA256(joined, SHA256_DIGEST_LENGTH + n, joined);
		buf_u16(out, (uint16_t)n);
		buf_u16(out, (uint16_t)~n);
		buf_append(out, row, n);
		buf_append(out, joined, SHA256_DIGEST_LENGTH);
		at += 4 + n + SHA256_DIGEST_LENGTH;
	}
	if (at < len)
		buf_append(out, data + at, len - at); /* a torn row, or damage */
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct buf fitted = {0};

	check(data, len);
	rechain(data, len, &fitted);
	check(fitted.data, fitted.len);
	buf_clear(&fitted);
	(void)unlink(path);
	return 0;
}

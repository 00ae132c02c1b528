/* Nothing but regular files with short names: a header of 512 bytes, the bytes, zeros up to the next 512. Two blocks of zeros are
 * the end. Streaming, however many entries there are, which no zip writer at hand does. */
#include "cmd/tarfile.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 512
#define SIZE_MAX_OCTAL 077777777777LL

struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100], magic[6], version[2], user[32],
	    group[32], major[8], minor[8], prefix[155], rest[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a header is a block");

struct tarfile {
	int fd;
	char path[FS_PATH_MAX];
	struct buf names; /* of the entries that were there, each with a NUL behind it */
	size_t asked;	  /* bytes of these */
};

static unsigned
sum_of(const struct header *h)
{
	const uint8_t *bytes = (const uint8_t *)h;
	unsigned sum = 8 * ' ';
	size_t i;

	for (i = 0; i < BLOCK; i++)
		if (i < offsetof(struct header, sum) || i >= offsetof(struct header, sum) + sizeof h->sum)
			sum += bytes[i];
	return sum;
}

static void
header_make(struct header *h, const char *name, size_t len)
{
	*h = (struct header){.type = '0', .magic = "ustar", .version = {'0', '0'}};
	(void)text_copy(h->name, sizeof h->name, name);
	(void)snprintf(h->mode, sizeof h->mode, "%07o", 0600U);
	(void)snprintf(h->uid, sizeof h->uid, "%07o", 0U);
	(void)snprintf(h->gid, sizeof h->gid, "%07o", 0U);
	(void)snprintf(h->size, sizeof h->size, "%011llo", (unsigned long long)len);
	(void)snprintf(h->mtime, sizeof h->mtime, "%011o", 0U); /* it says nothing of when it was made */
	(void)snprintf(h->sum, sizeof h->sum, "%06o", sum_of(h));
	h->sum[7] = ' ';
}

/* Is this the header of an entry of ours? */
static bool
header_read(const struct header *h, off_t *len_out)
{
	char *end;
	long long len;

	if (h->name[0] == '\0' || h->name[sizeof h->name - 1] != '\0' || h->size[sizeof h->size - 1] != '\0' || h->sum[6] != '\0' ||
	    strtoul(h->sum, NULL, 8) != sum_of(h))
		return false;
	len = strtoll(h->size, &end, 8);
	if (*end != '\0' || len < 0 || len > SIZE_MAX_OCTAL)
		return false;
	*len_out = (off_t)len;
	return true;
}

/* Note the entries that are whole, and cut off what is behind them. */
static int
recover(struct tarfile *tar, struct err *err)
{
	struct header h;
	struct stat st;
	off_t at = 0, len, end;

	if (fstat(tar->fd, &st) != 0)
		return err_sys(err, "cannot look at %s", tar->path);
	while (pread(tar->fd, &h, sizeof h, at) == (ssize_t)sizeof h && header_read(&h, &len)) {
		end = at + BLOCK + (len + BLOCK - 1) / BLOCK * BLOCK;
		if (end > st.st_size)
			break;
		buf_append(&tar->names, h.name, strlen(h.name) + 1);
		at = end;
	}
	if (at == 0 && st.st_size >= BLOCK && h.name[0] != '\0' && memcmp(h.magic, "ustar", 5) != 0)
		return err_set(err, E_INPUT, "%s is no archive of packages: remove it, or name another file", tar->path);
	if (buf_failed(&tar->names))
		return err_nomem(err);
	if (ftruncate(tar->fd, at) != 0 || lseek(tar->fd, at, SEEK_SET) != at)
		return err_sys(err, "cannot write %s", tar->path);
	return 0;
}

int
tarfile_open(const char *path, struct tarfile **tar_out, struct err *err)
{
	struct tarfile *tar = calloc(1, sizeof *tar);
	int rc = 0;

	if (tar == NULL)
		return err_nomem(err);
	if (!text_copy(tar->path, sizeof tar->path, path))
		rc = err_set(err, E_INPUT, "the file's name is too long");
	else if ((tar->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0)
		rc = err_sys(err, "cannot write %s", path);
	else if ((rc = recover(tar, err)) == 0)
		rc = fs_sync_parent(path, err);
	if (rc == 0)
		*tar_out = tar;
	else
		tarfile_free(tar);
	return rc;
}

bool
tarfile_has(struct tarfile *tar, const char *name)
{
	const char *next = (const char *)tar->names.data + tar->asked;

	if (tar->asked == tar->names.len || strcmp(next, name) != 0)
		return false;
	tar->asked += strlen(next) + 1;
	return true;
}

/* DATA, and zeros up to the end of its block. */
static int
put(struct tarfile *tar, const void *data, size_t len, struct err *err)
{
	static const uint8_t zeros[BLOCK];
	int rc;

	if ((rc = fs_write_all(tar->fd, data, len, err)) == 0 && len % BLOCK != 0)
		rc = fs_write_all(tar->fd, zeros, BLOCK - len % BLOCK, err);
	return rc;
}

static int
sync_now(struct tarfile *tar, struct err *err)
{
	return fdatasync(tar->fd) == 0 ? 0 : err_sys(err, "cannot write %s", tar->path);
}

int
tarfile_add(struct tarfile *tar, const char *name, const void *data, size_t len, struct err *err)
{
	struct header h;
	int rc;

	if (name[0] == '\0' || strlen(name) > TARFILE_NAME_MAX)
		return err_set(err, E_INPUT, "an entry's name must have 1 to %d bytes", TARFILE_NAME_MAX);
	header_make(&h, name, len);
	if ((rc = put(tar, &h, sizeof h, err)) == 0 && (rc = put(tar, data, len, err)) == 0)
		rc = sync_now(tar, err);
	return rc;
}

int
tarfile_finish(struct tarfile *tar, struct err *err)
{
	static const uint8_t end[2 * BLOCK];
	int rc = put(tar, end, sizeof end, err);

	return rc == 0 ? sync_now(tar, err) : rc;
}

void
tarfile_free(struct tarfile *tar)
{
	if (tar == NULL)
		return;
	if (tar->fd > 0)
		(void)close(tar->fd);
	buf_clear(&tar->names);
	free(tar);
}
